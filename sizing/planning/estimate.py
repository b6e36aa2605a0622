"""One estimate: a model on a placement of accelerators under a load. Memory, speed, cost, and how sure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sizing.base.answers import Answer, amount, span
from sizing.base.arrays import FloatArray, as_float, scalar
from sizing.base.checked import flag, one_of, public, real, renamed, required, switch, text, whole
from sizing.base.errors import SizingError
from sizing.base.ledger import Interval, Spread
from sizing.coefficients.batching import Batching
from sizing.coefficients.calibration import Calibration
from sizing.engine.base import Load as EngineLoad
from sizing.engine.placement import Placement
from sizing.hardware import Accelerator, Catalog
from sizing.hardware.price_models import Price
from sizing.memory.ledger import MemoryLedger, memory_ledger
from sizing.memory.terms import memory_terms
from sizing.model.architecture import Architecture
from sizing.money.prices import hourly_price
from sizing.money.quotes import dated, is_stale
from sizing.money.tokens import TokenCost, token_cost
from sizing.planning.bottleneck import bottleneck
from sizing.planning.confidence import sent_spread, width
from sizing.planning.target import Target, check_alone, resolve_target
from sizing.serving import MOST_IN_FLIGHT, Load, SteadyState, held_tokens, open_state, steady_state
from sizing.step.model import TimedOperation
from sizing.step.operations import StepShape
from sizing.study import DEFAULT_ACCEPTANCE

MAX_TOKENS = 100_000_000  # lengths beyond this are a mistake
MAX_RATE = 1e7  # requests/s
MAX_DRAFT_TOKENS = 64
GRID_POINTS = 48
LEAST_IN_FLIGHT = 1e-6  # requests per rank
BISECTIONS = 24
NO_DECODE = "one token out: prompts are read and nothing is decoded, so there is no TPOT"


class Throughput(dict[str, Interval]):
    """Rates of one replica, by key as in the JSON document and by attribute."""

    @property
    def output_tokens_per_s(self) -> Interval:
        """Output tokens [tokens/s]."""
        return self["output_tokens_per_s"]

    @property
    def total_tokens_per_s(self) -> Interval:
        """Input and output tokens [tokens/s]."""
        return self["total_tokens_per_s"]

    @property
    def requests_per_s(self) -> Interval:
        """Requests that end [requests/s]."""
        return self["requests_per_s"]


class Latency(dict[str, Interval]):
    """Times of a request, by key as in the JSON document and by attribute."""

    @property
    def ttft_s(self) -> Interval:
        """Time to the first token [s]."""
        return self["ttft_s"]

    @property
    def tpot_s(self) -> Interval:
        """Time per output token after the first [s]."""
        return self["tpot_s"]


@dataclass(frozen=True, repr=False)
class Estimate(Answer):
    """The answer for one replica; every figure with its ledger.

    concurrency: requests that the replica holds, waiting ones included. usd_per_hour: of all its accelerators.
    """

    target: Target
    placement: Placement
    input_tokens: float
    output_tokens: float
    concurrency: float
    steady: SteadyState
    memory: MemoryLedger
    decode_step: tuple[TimedOperation, ...]
    prefill_step: tuple[TimedOperation, ...]
    throughput: Throughput
    latency: Latency
    cost: TokenCost | None
    usd_per_hour: float | None
    price: Price | None
    bottleneck: str
    assumptions: tuple[str, ...]
    widths: dict[str, Spread]

    def cost_intervals(self) -> dict[str, Interval] | None:
        """USD per million tokens as intervals: dear where throughput is low."""
        if self.cost is None:
            return None
        base = self.throughput["requests_per_s"]
        names = {
            "usd_per_million_input_tokens": self.cost.usd_per_million_input_tokens,
            "usd_per_million_output_tokens": self.cost.usd_per_million_output_tokens,
            "usd_per_million_cached_input_tokens": self.cost.usd_per_million_cached_input_tokens,
            "usd_per_million_tokens": self.cost.usd_per_million_tokens,
        }
        return {name: base.inverse_of(scalar(value) * base.p50) for name, value in names.items()}

    def summary_lines(self) -> list[tuple[str, str]]:
        """Speed, latency, cost, memory and what limits."""
        target, speed, times = self.target, self.throughput, self.latency
        costs = self.cost_intervals() or {}
        engine = f"{target.engine.name} {target.engine.version_text}"
        lines = [
            ("estimate", f"{target.arch.name} in {target.scheme.name} on {self.placement.describe()} x "
             f"{target.accelerator.name}, {engine}"),
            ("load", f"{amount(self.concurrency)} requests of {amount(self.input_tokens)} tokens in and "
             f"{amount(self.output_tokens)} out"),
            *((name.replace("_", " ").replace("per s", "per second"), span(value.p10, value.p50, value.p90))
              for name, value in speed.items()),
            *((name.removesuffix("_s").upper(), span(value.p10, value.p50, value.p90, "s"))
              for name, value in times.items()),
            *((name.removeprefix("usd_per_million_").replace("_", " "),
               f"${span(value.p10, value.p50, value.p90)} per million")
              for name, value in costs.items() if name.endswith(("_input_tokens", "output_tokens"))
              and "cached" not in name),
            ("memory", f"{amount(self.memory.kv_pool_tokens)} tokens of KV cache per rank"),
            ("limited by", self.bottleneck),
            ("assumptions", f"{len(self.assumptions)}, in .assumptions"),
        ]  # fmt: skip
        return lines

    def to_dict(self) -> dict[str, Any]:
        """The document of ``sizing estimate --json``."""
        costs = self.cost_intervals()
        place = self.placement
        return {
            "model": self.target.arch.name,
            "hypothetical": self.target.arch.hypothetical,
            **self.target.facts(self.placement),
            "workload": {
                "input_tokens": self.input_tokens,
                "output_tokens": self.output_tokens,
                "concurrency": self.concurrency,
            },
            "throughput": {name: value.to_dict() for name, value in self.throughput.items()},
            "latency": {name: value.to_dict() for name, value in self.latency.items()},
            "cost": None if costs is None else {name: value.to_dict() for name, value in costs.items()},
            "usd_per_hour": self.usd_per_hour,
            "price": None if self.price is None else price_dict(self.price),
            "bottleneck": self.bottleneck,
            "running": scalar(self.steady.running) * float(place.dp),
            "prefill_share": scalar(self.steady.prefill_share),
            "step": [step_line(item, "decode") for item in self.decode_step]
            + [step_line(item, "prefill") for item in self.prefill_step],
            "memory": self.memory.to_dict(),
            "confidence": {name: list(width.reasons) for name, width in self.widths.items()},
            "assumptions": list(self.assumptions),
        }


def price_dict(price: Price) -> dict[str, Any]:
    """A price with its rule, range and dates; ``stale`` where the newest is more than 90 days old."""
    return {
        "usd_per_accelerator_hour" if price.unit == "accelerator-hour" else "usd_per_accelerator": price.usd,
        "term": price.term,
        "rule": price.rule,
        "low": price.low,
        "high": price.high,
        "quotes": price.quotes,
        "newest": price.newest,
        "oldest": price.oldest,
        "stale": is_stale(price),
        "derived": price.derived,
        "basis": price.basis,
        **({} if price.purchase_usd is None else {"usd_per_accelerator": price.purchase_usd}),
        "assumptions": list(price.assumptions),
        "sources": list(price.sources),
    }


def step_line(item: TimedOperation, phase: str) -> dict[str, Any]:
    """One operation of a pass: its work per call and the time of all its calls."""
    op = item.operation
    return {
        "phase": phase,
        "name": op.name,
        "kind": op.kind,
        "count": op.count,
        "seconds": scalar(item.seconds),
        "flops": scalar(op.flops),
        "weight_bytes": scalar(op.weight_bytes),
        "cache_bytes": scalar(op.cache_bytes),
        "io_bytes": scalar(op.io_bytes),
        "message_bytes": scalar(op.message_bytes),
    }


def check_length(value: float | None, key: str, *, least: float = 1.0) -> float:
    """A token count or rate that is a finite number of a sensible size; raises SizingError otherwise."""
    if value is None or not np.isfinite(value) or value < least or value > MAX_TOKENS:
        raise SizingError(f"must be a number from {least:g} to {MAX_TOKENS:,}, not {value}", key=key)
    return float(value)


def check_drafts(tokens: int, key: str = "--speculative-tokens") -> int:
    """A number of draft tokens that an engine could verify in a step; raises SizingError otherwise."""
    if not 0 <= tokens <= MAX_DRAFT_TOKENS:
        raise SizingError(f"must be from 0 to {MAX_DRAFT_TOKENS}, not {tokens}", key=key)
    return tokens


def check_context(arch: Architecture, tokens: float, key: str = "--input") -> list[str]:
    """Refuse lengths beyond the model's context; say so where they need a scaled (YaRN) context."""
    native, extended = arch.native_context, arch.extended_context
    if not native:
        return ["the config states no context length; the lengths asked for are taken as they are"]
    if tokens <= native:
        return []
    if tokens <= max(extended, native):
        return [
            f"{tokens:,.0f} tokens exceed the native context of {native:,}: rope scaling (YaRN) to {extended:,} is on"
        ]
    raise SizingError(
        f"{min(tokens, 10**15):,.0f} tokens are beyond the context of {arch.name}, {max(native, extended):,}",
        key=key,
        hint=f"input + output must be at most {max(native, extended):,}",
    )


def _price_given(value: Any, key: str) -> Any:
    """A price per accelerator-hour, or prices by accelerator."""
    if isinstance(value, Mapping):
        return {required(text)(name, key): required(real)(item, key) for name, item in value.items()}
    return real(value, key)


def resolve_price(
    target: Target, price: float | Mapping[str, float] | None, term: str = "on-demand"
) -> tuple[float | None, Price | None, list[str]]:
    """USD per accelerator-hour: the user's, else the catalog's by its stated rule, else derived from a purchase price.

    Returns the figure, the catalog price behind it, and what to say. None where there is no price at all.
    """
    given = price.get(target.accelerator.id) if isinstance(price, Mapping) else price
    if given is not None:
        if not np.isfinite(given) or given < 0:
            raise SizingError(f"must be a price of 0 or more, not {given}", key="--price")
        return float(given), None, [f"{target.accelerator.id}: ${given:g} per accelerator-hour, given by you"]
    try:
        found = hourly_price(target.accelerator.id, term, target.catalog)
    except SizingError as error:
        return None, None, [str(error)]
    said = [f"{found.accelerator}: ${found.usd:.2f} per accelerator-hour ({found.rule}; quotes to {dated(found)})"]
    return found.usd, found, said + list(found.assumptions)


def mean_held_tokens(target: Target, input_tokens: Any, output_tokens: Any) -> FloatArray:
    """Cache tokens that a running request holds on average: prompt and half its output, or all where reserved."""
    return held_tokens(input_tokens, output_tokens, reserves=target.engine.reserves_max_output)


def batching_of(target: Target, token_budget: float) -> Batching:
    """The engine's fitted batching with the token budget of this deployment."""
    return replace(target.coefficients.batching, token_budget=float(token_budget))


def gained_tokens(drafts: int, rate: float | None = None, length: float | None = None) -> float:
    """Tokens gained per step of decoding: ``1 + rate x drafts``, or the length stated.

    rate: accepted over drafted tokens, as engines report it (0 to 1). Raises SizingError where both are given.

    >>> gained_tokens(3, 0.6)
    2.8
    """
    if rate is not None and length is not None:
        raise SizingError("give either a rate or a length, not both", key="--acceptance-rate")
    if length is not None:
        return float(length)
    if rate is not None and not 0.0 <= rate <= 1.0:
        raise SizingError(
            f"must be a share from 0 to 1, not {rate:g}", key="--acceptance-rate", hint="or --acceptance-length"
        )
    return 1.0 + (DEFAULT_ACCEPTANCE if rate is None else float(rate)) * drafts


@renamed(cached_fraction="prefix_cache_hit_rate", draft_tokens="speculative_tokens", utilization="memory_utilization")
@public(
    flag,
    model=required(one_of(str, Path, Architecture)),
    accelerator=required(one_of(str, Accelerator)),
    placement=one_of(Placement),
    input_tokens=real,
    output_tokens=real,
    concurrency=real,
    rate=real,
    engine=text,
    engine_version=text,
    weights=text,
    kv_dtype=text,
    context=whole,
    max_num_seqs=whole,
    max_num_batched_tokens=whole,
    memory_utilization=real,
    prefix_cache_hit_rate=required(real),
    acceptance_length=real,
    acceptance_rate=real,
    speculative_tokens=required(whole),
    enforce_eager=switch,
    price=_price_given,
    catalog=one_of(Catalog, what="sizing.load_catalog()"),
    calibration=one_of(Calibration),
    target=one_of(Target),
)
def estimate(
    model: str | Path | Architecture,
    accelerator: str | Accelerator,
    placement: Placement | None = None,
    *,
    input_tokens: float,
    output_tokens: float,
    concurrency: float | None = None,
    rate: float | None = None,
    engine: str | None = None,
    engine_version: str | None = None,
    weights: str | None = None,
    kv_dtype: str | None = None,
    context: int | None = None,
    max_num_seqs: int | None = None,
    max_num_batched_tokens: int | None = None,
    memory_utilization: float | None = None,
    prefix_cache_hit_rate: float = 0.0,
    acceptance_rate: float | None = None,
    acceptance_length: float | None = None,
    speculative_tokens: int = 0,
    enforce_eager: bool = False,
    price: float | Mapping[str, float] | None = None,
    catalog: Catalog | None = None,
    calibration: Calibration | None = None,
    target: Target | None = None,
) -> Estimate:
    """Estimate one replica.

    Give one of ``concurrency`` (requests held by the replica), ``rate`` (requests/s that it must carry) or neither
    (the most that the cache holds). Lengths are means in tokens. ``prefix_cache_hit_rate`` of the input is found in the
    prefix cache. Of ``speculative_tokens`` drafted in a step the share ``acceptance_rate`` is accepted (0 to 1;
    ``DEFAULT_ACCEPTANCE`` if nothing is given); ``acceptance_length`` states the tokens gained per step instead.
    ``enforce_eager``: no graphs are captured.
    Raises SizingError where the input is wrong, the placement is refused or the model does not fit.
    """
    input_tokens = check_length(input_tokens, "--input")
    output_tokens = check_length(output_tokens, "--output")
    if concurrency is not None and rate is not None:
        raise SizingError("give either a concurrency or a rate, not both", key="--rate")
    if not 0.0 <= prefix_cache_hit_rate <= 1.0:
        raise SizingError(f"must be between 0 and 1, not {prefix_cache_hit_rate}", key="--prefix-cache-hit-rate")
    check_drafts(speculative_tokens)
    acceptance_length = gained_tokens(speculative_tokens, acceptance_rate, acceptance_length)
    if not 1.0 <= acceptance_length <= speculative_tokens + 1:
        raise SizingError(
            f"must be from 1 to speculative tokens + 1 = {speculative_tokens + 1}, not {acceptance_length}",
            key="--acceptance-length",
        )
    if target is None:
        target = resolve_target(
            model,
            accelerator,
            engine=engine,
            engine_version=engine_version,
            weights=weights,
            kv_dtype=kv_dtype,
            catalog=catalog,
            calibration=calibration,
            enforce_eager=enforce_eager,
        )
    place = placement or Placement()
    check_alone(target.accelerator, place)
    assumptions = list(target.assumptions) + check_context(target.arch, input_tokens + output_tokens)
    if output_tokens <= 1:
        assumptions.append(NO_DECODE)
    held = scalar(mean_held_tokens(target, input_tokens, output_tokens))
    memory = memory_ledger(
        target.arch,
        target.device,
        place,
        target.engine,
        target.scheme,
        kv_dtype=target.kv,
        context=context or int(np.ceil(input_tokens + output_tokens)),
        max_num_seqs=max_num_seqs,
        max_num_batched_tokens=max_num_batched_tokens,
        memory_utilization=memory_utilization,
        speculative_tokens=speculative_tokens,
        enforce_eager=enforce_eager,
    )
    if not memory.fits:
        raise SizingError(
            does_not_fit(target, place, memory), key="--tp", hint="use more accelerators, or fewer bits per weight"
        )
    limit = max(1.0, scalar(running_limit(target, place, memory.load, held)))
    load = Load(
        concurrency=1.0,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cached_tokens=input_tokens * prefix_cache_hit_rate,
        running_limit=limit,
        tokens_per_step=acceptance_length,
        verified_tokens=1.0 + speculative_tokens,
    )
    batching = batching_of(target, memory.load.max_num_batched_tokens)
    widths = {name: width(target, name) for name in ("throughput", "ttft", "tpot")}
    carried = widths["throughput"]
    if rate is None:
        per_rank = limit if concurrency is None else check_length(concurrency, "--concurrency") / float(place.dp)
        steady = steady_state(target.step, place, _with(load, per_rank), batching)
    else:
        per_rank, best = _in_flight_at(target, place, load, batching, limit, rate)
        steady = open_state(target.step, place, load, batching, per_rank)
        # No more comes out than is sent; less, where the replica may be too slow for it.
        carried = sent_spread(carried, best / scalar(steady.requests_per_s))
        per_rank = scalar(steady.requests_per_s * steady.end_to_end_s) / float(place.dp)
    usd, found, said = resolve_price(target, price)
    assumptions += said + list(memory.assumptions)
    usd_per_hour = None if usd is None else usd * float(place.accelerators)
    cost = None
    if usd_per_hour is not None:
        cost = token_cost(
            usd_per_hour,
            steady.requests_per_s,
            input_tokens,
            output_tokens,
            steady.prefill_share,
            prefix_cache_hit_rate,
        )
    decode = target.step.working(
        StepShape(
            decode_seqs=steady.decoding / float(place.pp),
            decode_context=load.decode_context,
            tokens_per_decode=load.verified_tokens,
        ),
        place,
    )
    chunk = min(input_tokens * (1 - prefix_cache_hit_rate) or 1.0, memory.load.max_num_batched_tokens)
    prefill = target.step.working(StepShape(prefill_tokens=chunk), place)
    return Estimate(
        target=target,
        placement=place,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        concurrency=float(per_rank) * float(place.dp),
        steady=steady,
        memory=memory,
        decode_step=tuple(decode),
        prefill_step=tuple(prefill),
        throughput=Throughput(
            {
                name: Interval.around(scalar(getattr(steady, name)), carried)
                for name in ("output_tokens_per_s", "total_tokens_per_s", "requests_per_s")
            }
        ),
        latency=Latency(
            {
                "ttft_s": Interval.around(scalar(steady.ttft_s), widths["ttft"]),
                "tpot_s": Interval.around(scalar(steady.tpot_s), widths["tpot"]),
            }
        ),
        cost=cost,
        usd_per_hour=usd_per_hour,
        price=found,
        bottleneck=bottleneck(target, steady, decode, prefill, float(per_rank), limit),
        assumptions=tuple(dict.fromkeys(assumptions)),
        widths=widths,
    )


def does_not_fit(target: Target, place: Placement, memory: MemoryLedger) -> str:
    """Why a model does not fit, with the arithmetic."""
    return (
        f"{target.arch.name} in {target.scheme.name} does not fit {place.describe()} on {target.accelerator.name}: "
        f"{memory.shortage}"
    )


def running_limit(target: Target, place: Placement, load: EngineLoad, held_tokens: float) -> FloatArray:
    """Requests that run at once on one data-parallel rank: what the cache holds at their mean length, and no more
    than max_num_seqs. ``place`` may hold arrays."""
    held = replace(load, context=max(1, int(np.ceil(held_tokens))))
    terms = memory_terms(target.arch, target.device, place, target.engine, target.scheme, held, kv_dtype=target.kv)
    return np.minimum(as_float(terms.running), as_float(terms.max_num_seqs))


def _with(load: Load, concurrency: Any) -> Load:
    return replace(load, concurrency=concurrency)


def _in_flight_at(
    target: Target, place: Placement, load: Load, batching: Batching, limit: float, rate: float
) -> tuple[float, float]:
    """Requests per data-parallel rank in flight where ``rate`` requests/s come at random, and the most that may come."""
    if not 0 < rate <= MAX_RATE:
        raise SizingError(f"must be above 0 and at most {MAX_RATE:,.0f} requests/s, not {rate:g}", key="--rate")
    grid = np.geomspace(LEAST_IN_FLIGHT, max(limit, 1.0) * MOST_IN_FLIGHT, GRID_POINTS)
    carried = open_state(target.step, place, load, batching, grid).requests_per_s
    best = float(np.max(carried))
    if rate > best:
        raise SizingError(
            f"{rate:g} requests/s are more than this replica sustains, about {best:.3g}",
            key="--rate",
            hint=f"plan for {int(np.ceil(rate / best))} or more replicas",
        )
    low, high = 0.0, float(grid[int(np.argmax(carried >= rate))])
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        enough = scalar(open_state(target.step, place, load, batching, middle).requests_per_s) >= rate
        low, high = (low, middle) if enough else (middle, high)
    return high, best
