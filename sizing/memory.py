"""The memory of one accelerator, line by line: weights, activation peak, runtime, graphs, cache pool.

``memory_terms`` is the one formula; it broadcasts over arrays of parallel sizes, and ``memory_ledger``
writes out what it gives for one placement. Sizes are bytes; reports are in GiB (2^30).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from sizing.base.answers import Answer
from sizing.base.checked import amount, flag, one_of, public, real, required, switch, text, whole
from sizing.base.errors import SizingError
from sizing.base.ledger import LedgerLine
from sizing.coefficients.memory import constant
from sizing.engine.base import GIB, Device, Engine, Load
from sizing.engine.cache import BlockPlan, cache_groups
from sizing.engine.loading import load_extras
from sizing.engine.placement import Placement, check
from sizing.engine.sharding import (
    Stage,
    distinct_stages,
    stage_components,
)
from sizing.memory_fit import ROUNDING, found_fraction, most_fraction, shortage
from sizing.memory_lines import ledger_lines
from sizing.memory_start import Refusal, fewer_requests, refusal_code, too_many_requests
from sizing.model.architecture import Architecture
from sizing.model.kv_formats import KVFormat, kv_format
from sizing.model.quantization.schemes import QuantScheme

MAX_COUNT = 100_000_000  # tokens or sequences beyond this are a mistake
FALLBACK_CONTEXT = 4096  # tokens, for a config that states none
USER_FIELDS = ("utilization", "max_num_seqs", "max_num_batched_tokens")


@dataclass(frozen=True, slots=True)
class MemoryTerms:
    """Bytes on one rank of the pipeline stage that decides the pool; numbers or arrays of one shape.

    pool may be negative: then the rest does not fit. pool_tokens and max_concurrency are of one data
    parallel rank. stage is the deciding stage's index. concurrency_at_mean: requests that run at once at the mean
    length that was asked for, on the same stage; 0 where none was. left: bytes of the memory that no line takes; negative
    where the lines are more than the memory. utilization: the memory fraction that the pool is computed with. running:
    concurrency_at_mean at the full context, where max_concurrency is the log's worst case. max_num_seqs: the flag with which
    the engine starts; most_seqs: the highest that its states allow.
    """

    weights: Any
    activation: Any
    runtime: Any
    graphs: Any
    pool: Any
    pool_tokens: Any
    max_concurrency: Any
    stage: Any
    concurrency_at_mean: Any = 0.0
    running: Any = 0.0
    max_num_seqs: Any = 1.0
    most_seqs: Any = np.inf
    left: Any = 0.0
    utilization: Any = 0.0

    @property
    def fits(self) -> Any:
        """Whether the pool holds one request of the full context, as engines demand at start-up, and the memory
        all the lines.
        """
        holds = (np.asarray(self.max_concurrency) >= 1.0) & (np.asarray(self.left) >= -ROUNDING)
        return holds & (np.asarray(self.max_num_seqs) >= 1.0) & (np.asarray(self.max_num_seqs) <= self.most_seqs)


@dataclass(frozen=True, slots=True, repr=False)
class MemoryLedger(Answer):
    """The memory of one accelerator for one placement, with its working. Sizes in bytes.

    shortage: why it does not fit, as a sum; None where it fits. load: the flags with which the engine starts, the memory
    fraction used among them. max_concurrency: the log's worst case; running: requests of the full context that really run at
    once. refusal: why the engine would not start; None where it does.
    """

    lines: tuple[LedgerLine, ...]
    usable_bytes: float
    weights_bytes: float
    activation_bytes: float
    runtime_bytes: float
    graphs_bytes: float
    kv_pool_bytes: float
    kv_pool_tokens: int
    max_concurrency: float
    fits: bool
    placement: Placement
    load: Load
    assumptions: tuple[str, ...] = ()
    shortage: str | None = None
    running: float = 0.0
    refusal: Refusal | None = None

    def summary_lines(self) -> list[tuple[str, str]]:
        """Whether it fits, and the parts of the memory of one accelerator."""
        parts = {"weights": self.weights_bytes, "activation": self.activation_bytes, "runtime": self.runtime_bytes,
                 "graphs": self.graphs_bytes, "KV cache pool": self.kv_pool_bytes}  # fmt: skip
        verdict = "fits" if self.fits else f"does not fit: {self.shortage}"
        return [
            ("memory", f"{self.placement.describe()}: {verdict}"),
            ("usable", f"{self.usable_bytes / GIB:.2f} GiB of one accelerator"),
            *((name, f"{size / GIB:.2f} GiB") for name, size in parts.items()),
            ("tokens", f"{self.kv_pool_tokens:,} of KV cache per data parallel rank"),
            ("requests", f"{self.max_concurrency:.3g} of the full context at once, per data parallel rank"),
        ]

    def to_dict(self) -> dict[str, Any]:
        """The document of ``sizing memory --json``; GiB are 2^30 bytes. Tokens and concurrency are of one
        data parallel rank, ``*_replica`` of all ``dp`` of them.
        """
        return {
            "per_accelerator": {
                "usable_gib": self.usable_bytes / GIB,
                "weights_gib": self.weights_bytes / GIB,
                "activation_gib": self.activation_bytes / GIB,
                "runtime_gib": self.runtime_bytes / GIB,
                "graphs_gib": self.graphs_bytes / GIB,
                "kv_pool_gib": self.kv_pool_bytes / GIB,
            },
            "kv_pool_tokens": self.kv_pool_tokens,
            "max_concurrency": self.max_concurrency,
            "running_requests": self.running,
            "kv_pool_tokens_replica": self.kv_pool_tokens * int(self.placement.dp),
            "max_concurrency_replica": self.max_concurrency * int(self.placement.dp),
            "fits": self.fits,
            "shortage": self.shortage,
            "memory_utilization": self.load.utilization,
            "launch": {
                "max_num_seqs": self.load.max_num_seqs,
                "max_num_batched_tokens": self.load.max_num_batched_tokens,
                "max_model_len": self.load.context,
                "memory_utilization": self.load.utilization,
            },
            "refusal": None if self.refusal is None else {"code": self.refusal.code, "text": self.refusal.text},
            "ledger": [
                {
                    "name": line.name,
                    "value": line.value,
                    "unit": line.unit,
                    "formula": line.formula,
                    "inputs": line.inputs,
                }
                for line in self.lines
            ],
            "assumptions": list(self.assumptions),
        }


def resolve_load(
    engine: Engine,
    device: Device,
    arch: Architecture,
    placement: Placement,
    *,
    context: int | None = None,
    max_num_seqs: int | None = None,
    max_num_batched_tokens: int | None = None,
    utilization: float | None = None,
    speculative_tokens: int = 0,
    enforce_eager: bool = False,
    prefix_caching: bool = True,
) -> Load:
    """The flags with the engine's own defaults, by version and device, where none is given.

    Raises SizingError for a utilization outside (0, 1] or counts below 1 or beyond all sense.
    """
    length = (context if context is not None else 0) or arch.max_position_embeddings or FALLBACK_CONTEXT
    for key, value in (("--context", context), ("--max-num-seqs", max_num_seqs),
                       ("--max-num-batched-tokens", max_num_batched_tokens)):  # fmt: skip
        if value is not None and not 1 <= value <= MAX_COUNT:
            raise SizingError(f"must be from 1 to {MAX_COUNT:,}, not {value}", key=key)
    if utilization is not None and not 0.0 < utilization <= 1.0:
        raise SizingError(f"must be above 0 and at most 1, not {utilization}", key="--memory-utilization")
    tokens = max_num_batched_tokens or engine.default_batched_tokens(device, length)
    seqs = max_num_seqs or engine.default_num_seqs(device)
    fraction: Any = utilization
    if utilization is None:
        fraction = engine.default_utilization(device, placement, arch)
        fraction = float(fraction) if np.ndim(fraction) == 0 else fraction
    return Load(
        utilization=fraction,
        max_num_seqs=min(seqs, tokens) if engine.caps_seqs_by_tokens else seqs,
        max_num_batched_tokens=tokens,
        context=length,
        enforce_eager=enforce_eager,
        speculative_tokens=speculative_tokens,
        prefix_caching=prefix_caching,
        automatic=utilization is None,
        automatic_seqs=max_num_seqs is None,
    )


def rank_weights(
    arch: Architecture,
    scheme: QuantScheme,
    placement: Placement,
    stage: Stage,
    engine: Engine,
    *,
    speculative: bool = False,
) -> Any:
    """Bytes that loading takes on one rank: sharded weights, rotary tables, MLA's absorbed copies [bytes]."""
    parts = stage_components(arch, scheme, placement, stage, layout=engine.layout, speculative=speculative)
    extras = load_extras(arch, scheme, placement, stage, engine.layout) if engine.pytorch else {}
    return sum(parts.values()) + sum(extras.values()) + engine.load_overhead_bytes(placement)


@lru_cache(maxsize=2048)
def _known_weights(
    arch: Architecture,
    scheme: QuantScheme,
    sizes: tuple[tuple[int, ...], ...],
    pp: int,
    stage: Stage,
    engine: Engine,
    speculative: bool,
) -> Any:
    """``rank_weights``, kept: they are the same on every accelerator. sizes: all the tp, dp and ep of one pp."""
    placement = Placement(np.array(sizes[0]), pp, np.array(sizes[1]), np.array(sizes[2]))
    return rank_weights(arch, scheme, placement, stage, engine, speculative=speculative)


@dataclass(frozen=True, slots=True)
class _Stage:
    """One pipeline stage's terms without its pool [bytes], and how a pool is cut; None where it caches nothing."""

    index: int
    weights: Any
    activation: Any
    runtime: Any
    graphs: Any
    blocks: BlockPlan | None

    def most_fraction(self, engine: Engine, device: Device) -> Any:
        """The highest memory fraction at which this stage goes into the memory."""
        return most_fraction(engine, device, self.weights, self.activation, self.runtime, self.graphs)

    def _sure_seqs(self, engine: Engine, pool: Any, load: Load) -> Any:
        """The running requests that the pool has states for even where activations and graphs take the margin more."""
        if self.blocks is None:
            return np.full(np.shape(pool), np.inf)
        margin = constant("search_margin", "activation") * self.activation
        margin = margin + constant("search_margin", "graphs") * self.graphs
        return engine.most_seqs(pool - margin, self.blocks, load)

    def filled(self, engine: Engine, device: Device, load: Load, mean_context: int | None) -> MemoryTerms:
        """The terms with the pool of this load's memory fraction."""
        fixed = (self.weights, self.activation, self.runtime, self.graphs)
        pool = engine.pool_bytes(device, *fixed, load.utilization)
        most: Any = np.full(np.shape(pool), np.inf)
        free = pool
        if self.blocks is not None:
            pool = np.minimum(free, engine.asked_bytes(self.blocks, load))
        if self.blocks is None:
            tokens = concurrency = running = np.where(pool > 0, np.inf, 0.0)
            at_mean: Any = tokens
        else:
            tokens = engine.pool_tokens(pool, self.blocks, load)
            concurrency = engine.concurrency(pool, self.blocks, load, load.context)
            running = engine.running(pool, self.blocks, load, load.context)
            at_mean = 0.0 if mean_context is None else engine.running(pool, self.blocks, load, mean_context)
            most = engine.most_seqs(free, self.blocks, load)
        lowers = load.automatic_seqs or engine.lowers_seqs
        seqs = (
            np.minimum(load.max_num_seqs, self._sure_seqs(engine, free, load))
            if lowers
            else np.full(np.shape(pool), float(load.max_num_seqs))
        )
        left = device.total_bytes - self.weights - self.activation - self.runtime - self.graphs - pool
        return MemoryTerms(*fixed, pool, tokens, concurrency, self.index, at_mean, running, seqs, most, left,
                           load.utilization)  # fmt: skip


def _stage(
    arch: Architecture,
    device: Device,
    placement: Placement,
    engine: Engine,
    scheme: QuantScheme,
    fmt: KVFormat,
    load: Load,
    stage: Stage,
    extra_weights: float,
) -> _Stage:
    """What does not depend on the memory fraction."""
    drafted = load.speculative_tokens
    own_module = bool(drafted and arch.mtp_groups)
    sizes = tuple(tuple(np.atleast_1d(size).tolist()) for size in (placement.tp, placement.dp, placement.ep))
    weights = _known_weights(arch, scheme, sizes, placement.pp, stage, engine, own_module) + extra_weights
    if own_module:
        weights = weights + engine.draft_bytes(arch, placement)
    groups = cache_groups(
        arch,
        placement,
        fmt,
        stage,
        speculative_tokens=drafted,
        fp8_index_keys=engine.fp8_index_keys(device),
        fp32_states=engine.fp32_states,
    )
    return _Stage(
        stage.index,
        weights,
        engine.activation_bytes(arch, scheme, placement, load, last_stage=stage.last),
        engine.runtime_bytes(placement, device),
        engine.graph_bytes(arch, placement, load, device),
        engine.plan(groups, load, fmt) if groups else None,
    )


def _deciding(stages: list[MemoryTerms], shape: tuple[int, ...]) -> dict[str, Any]:
    """The terms of the stage that decides: one whose lines are more than the memory, else the least concurrency."""
    best: dict[str, Any] | None = None
    for terms in stages:
        made = {name: np.broadcast_to(getattr(terms, name), shape) for name in MemoryTerms.__dataclass_fields__}
        if best is None:
            best = made
            continue
        over, known_over = made["left"] < -ROUNDING, best["left"] < -ROUNDING
        worse = made["max_concurrency"] < best["max_concurrency"]
        worse |= (made["max_concurrency"] == best["max_concurrency"]) & (made["pool"] < best["pool"])
        worse = np.where(over == known_over, worse, over)
        best = {name: np.where(worse, made[name], best[name]) for name in best}
    assert best is not None
    return best


def _searched(
    engine: Engine, device: Device, load: Load, stages: list[_Stage], mean_context: int | None, shape: tuple[int, ...]
) -> dict[str, Any]:
    """The deciding stage's terms, and where the engine's default fraction cannot work those of one that can.

    A higher fraction leaves a larger pool and less beside it: the highest at which everything goes in works, or none.
    """
    found = _deciding([stage.filled(engine, device, load, mean_context) for stage in stages], shape)
    works = MemoryTerms(**found).fits
    if not load.automatic or works.all():
        return found
    most = np.min([np.broadcast_to(stage.most_fraction(engine, device), shape) for stage in stages], axis=0)
    another = ~works & (most > 0)
    moved = replace(load, utilization=np.where(another, most, load.utilization))
    other = _deciding([stage.filled(engine, device, moved, mean_context) for stage in stages], shape)
    better = another & (MemoryTerms(**other).fits | (found["left"] < -ROUNDING))
    return {name: np.where(better, other[name], found[name]) for name in found}


def memory_terms(
    arch: Architecture,
    device: Device,
    placement: Placement,
    engine: Engine,
    scheme: QuantScheme,
    load: Load,
    *,
    kv_dtype: str | KVFormat = "bf16",
    extra_weights: float = 0.0,
    mean_context: int | None = None,
) -> MemoryTerms:
    """All terms for one placement or for arrays of them (``tp``, ``pp``, ``dp``, ``ep`` broadcast).

    Of a pipeline the stage with the least concurrency decides, as engines take the least pool of all ranks.
    ``extra_weights`` are bytes of a draft model on every rank. ``mean_context``: also how many requests of this many
    tokens run at once. Where ``load.automatic`` and the engine's default memory fraction cannot work, the highest one
    that does is used: ``utilization`` of the answer.
    """
    fmt = kv_format(kv_dtype)
    sizes = np.broadcast_arrays(placement.tp, placement.pp, placement.dp, placement.ep, load.utilization)
    tp, pp, dp, ep, fraction = (np.atleast_1d(size) for size in sizes)
    result = {name: np.zeros(tp.shape) for name in MemoryTerms.__dataclass_fields__}
    for stages_count in np.unique(pp):
        here = pp == stages_count
        part = Placement(tp[here], int(stages_count), dp[here], ep[here])
        flags = replace(load, utilization=fraction[here])
        stages = [
            _stage(arch, device, part, engine, scheme, fmt, flags, stage, extra_weights)
            for stage in distinct_stages(arch, int(stages_count))
        ]
        for name, values in _searched(engine, device, flags, stages, mean_context, part.tp.shape).items():
            result[name][here] = values
    shape = sizes[0].shape
    return MemoryTerms(**{name: value.reshape(shape) for name, value in result.items()})


def _memory_of(value: Any, key: str) -> Any:
    """A device, or the bytes that its driver shows."""
    return value if isinstance(value, Device) else amount(value, key)


@public(
    flag,
    usable_bytes=_memory_of,
    device_name=required(text),
    enforce_eager=switch,
    prefix_caching=switch,
    strict=switch,
    arch=required(one_of(Architecture, what="sizing.load_model(NAME)")),
    placement=required(one_of(Placement)),
    engine=required(one_of(Engine, what="sizing.engine.registry.get_engine(NAME)")),
    scheme=required(one_of(QuantScheme, what="sizing.model.quantization.schemes.scheme(NAME)")),
    kv_dtype=required(one_of(str, KVFormat)),
    context=whole,
    max_num_seqs=whole,
    max_num_batched_tokens=whole,
    utilization=real,
    speculative_tokens=required(whole),
    draft_weight_bytes=amount,
)
def memory_ledger(
    arch: Architecture,
    usable_bytes: float | Device,
    placement: Placement,
    engine: Engine,
    scheme: QuantScheme,
    *,
    device_name: str = "",
    kv_dtype: str | KVFormat = "bf16",
    context: int | None = None,
    max_num_seqs: int | None = None,
    max_num_batched_tokens: int | None = None,
    utilization: float | None = None,
    speculative_tokens: int = 0,
    enforce_eager: bool = False,
    prefix_caching: bool = True,
    draft_weight_bytes: float = 0.0,
    strict: bool = True,
) -> MemoryLedger:
    """The ledger of one accelerator; ``usable_bytes`` is what its driver shows in all [bytes], or the device.

    Raises PlacementError when the engine would refuse the placement and SizingError for flags out of range,
    unless ``strict`` is off (then the first broken rule is listed under ``assumptions``).
    """
    assumptions: list[str] = []
    try:
        check(arch, placement, scheme, engine)
    except SizingError as problem:
        if strict:
            raise
        assumptions.append(f"the engine would refuse this placement: {problem}")
    device = usable_bytes if isinstance(usable_bytes, Device) else Device(float(usable_bytes), device_name)
    load = resolve_load(
        engine,
        device,
        arch,
        placement,
        context=context,
        max_num_seqs=max_num_seqs,
        max_num_batched_tokens=max_num_batched_tokens,
        utilization=utilization,
        speculative_tokens=speculative_tokens,
        enforce_eager=enforce_eager,
        prefix_caching=prefix_caching,
    )
    terms = memory_terms(
        arch, device, placement, engine, scheme, load, kv_dtype=kv_dtype, extra_weights=draft_weight_bytes
    )
    default, used = float(load.utilization), float(terms.utilization)
    asked = load.max_num_seqs
    load = replace(load, utilization=used, automatic=False, max_num_seqs=max(int(terms.max_num_seqs), 1))
    if load.max_num_seqs < asked:
        assumptions.append(fewer_requests(engine, asked, load.max_num_seqs))
        max_num_seqs = max_num_seqs or load.max_num_seqs
    if used != default:
        assumptions.append(found_fraction(engine, default, used, load.context))
    given = {"utilization": utilization if used == default else used, "max_num_seqs": max_num_seqs,
             "max_num_batched_tokens": max_num_batched_tokens}  # fmt: skip
    assumptions.extend(
        f"{name} {getattr(load, name)}: the default of {engine.name} {engine.version_text} here"
        for name in USER_FIELDS
        if given[name] is None
    )
    if speculative_tokens and not arch.mtp_groups and not draft_weight_bytes:
        assumptions.append("speculative decoding without a draft model's size: its weights and cache are not counted")
    fmt = kv_format(kv_dtype)
    stage = next(item for item in distinct_stages(arch, placement.pp) if item.index == int(terms.stage))
    tokens = float(terms.pool_tokens)
    short = None if terms.fits else why_not(engine, device, terms, load.context)
    return MemoryLedger(
        lines=ledger_lines(arch, placement, engine, scheme, fmt, load, stage, terms, device, draft_weight_bytes),
        usable_bytes=float(device.total_bytes),
        weights_bytes=float(terms.weights),
        activation_bytes=float(terms.activation),
        runtime_bytes=float(terms.runtime),
        graphs_bytes=float(terms.graphs),
        kv_pool_bytes=float(terms.pool),
        kv_pool_tokens=int(tokens) if np.isfinite(tokens) else 0,
        max_concurrency=float(terms.max_concurrency),
        fits=bool(terms.fits),
        placement=placement,
        load=load,
        assumptions=tuple(assumptions),
        shortage=short,
        running=float(terms.running),
        refusal=None if short is None else Refusal(refusal_code(terms, device), short),
    )


def why_not(engine: Engine, device: Device, terms: MemoryTerms, context: int, row: int | None = None) -> str:
    """Why terms that do not fit do not, as a sum; ``row``: of this placement of arrays of terms."""

    def at(value: Any) -> float:
        return float(value if row is None else np.broadcast_to(value, np.shape(terms.weights))[row])

    fixed = (at(terms.weights), at(terms.activation), at(terms.runtime), at(terms.graphs))
    if at(terms.max_concurrency) >= 1.0 and at(terms.left) >= -ROUNDING:
        return too_many_requests(engine, at(terms.max_num_seqs), at(terms.most_seqs))
    most = float(most_fraction(engine, device, *fixed))
    return shortage(float(device.total_bytes), fixed, at(terms.pool), at(terms.utilization), context, most)
