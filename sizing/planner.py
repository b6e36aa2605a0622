"""The planner: every accelerator offered x engine x formats x placement; the best kept, the rest told why.

``plan(study)`` returns a Result: plans ranked by cost, the Pareto front of cost against interactivity, and one reason
for each group of losers. It evaluates with the very functions of a single estimate (``sizing.search``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from sizing.cost import (
    owned_usd_per_hour,
    ownership_per_accelerator_year,
)
from sizing.engine.placement import Placement
from sizing.errors import PlacementError, SizingError, UnknownNameError
from sizing.estimate import Interval, bottlenecks, check_context, resolve_price, width
from sizing.evidence.calibration import Calibration
from sizing.hardware import Catalog, load_catalog
from sizing.hardware.price_models import Price
from sizing.hardware.prices import dated, purchase_price
from sizing.model.architecture import Architecture
from sizing.model.config import parse_config
from sizing.model.counts import params_report
from sizing.model.quantization import scheme
from sizing.operations import StepShape
from sizing.placements import as_arrays
from sizing.plan_money import plan_money
from sizing.pool_plan import pooled_plan, sustained
from sizing.result import Plan, Rejection, Result
from sizing.search import Candidates, Demand, evaluate
from sizing.study import Offer, Study
from sizing.survey import space_of, survey
from sizing.target import Target, as_model, native_scheme, resolve_target, runs, usual_engine

GIB = 2.0**30


class MapsWork(Protocol):
    """Whatever maps work over workers: concurrent.futures' executors, dask's ``client.get_executor()``, Ray's pool."""

    def map(self, function: Callable[..., Any], /, *iterables: Iterable[Any]) -> Iterable[Any]:
        """Apply the function to the items of the iterables in turn; results in order."""
        ...


@dataclass(frozen=True)
class _Answer:
    """What the search on one target found."""

    plans: list[Plan]
    rejected: list[Rejection]
    evaluated: int


@dataclass(frozen=True)
class _Priced:
    """A target with the price of its hour."""

    target: Target
    offer: Offer
    usd: float | None
    price: Price | None
    said: tuple[str, ...]
    power_w: float


def plan(
    study: Study,
    catalog: Catalog | None = None,
    *,
    calibration: Calibration | None = None,
    executor: MapsWork | None = None,
) -> Result:
    """Answer a Study. Raises SizingError for unknown names and lengths beyond the model's context.

    A part that cannot run, fit or meet the targets is not an error: it is in ``rejected`` with its reason.
    ``executor`` (with a ``map`` like ``concurrent.futures.Executor``'s) takes the targets (accelerator, engine and
    formats) one by one; the answer is the same.
    """
    catalog = catalog or load_catalog()
    arch = study_model(study)
    assumptions: list[str] = []
    rejected: list[Rejection] = []
    found: list[Plan] = []
    evaluated = 0
    work = list(_targets(study, arch, catalog, rejected, assumptions, calibration))
    if work:
        demand = Demand.of(study.workload, work[0].target, study.model.context)
        assumptions += check_context(arch, demand.context, "workload")
        if study.workload.images is not None and arch.vision is not None:
            tokens = study.workload.images.tokens_per_request(arch.vision.image_tokens)
            assumptions.append(f"images add {tokens:,} tokens to the input of a request, by the model's vision tower")
        many = len(work)
        run: Callable[..., Iterable[_Answer]] = map if executor is None else executor.map
        for answer in run(_answer, [study] * many, work, [demand] * many, [_draft_choices(study, arch)] * many):
            found += answer.plans
            rejected += answer.rejected
            evaluated += answer.evaluated
    ranked = sorted(found, key=_rank)
    kept = _distinct(ranked, study.constraints.max_plans)
    rejected += _dearer(ranked, kept)
    if kept:
        kept = [_explained(study, kept[0], catalog, arch), *kept[1:]]
    return Result(
        study=study,
        plans=tuple(kept),
        pareto=tuple(pareto_front(ranked)),
        rejected=tuple(_grouped(rejected)),
        assumptions=tuple(dict.fromkeys(assumptions + [a for p in kept[:1] for a in p.assumptions])),
        evaluated=evaluated,
        model=model_facts(arch),
    )


def _answer(study: Study, priced: _Priced, demand: Demand, draft_choices: list[int]) -> _Answer:
    """The search on one target: aggregated and, where the study asks for it, disaggregated. Runs on any worker."""
    plans: list[Plan] = []
    rejected: list[Rejection] = []
    evaluated = 0
    for drafts in draft_choices:
        try:
            ground = survey(priced.target, demand, space_of(study, priced.target), study.engine, drafts=drafts)
            if study.engine.disaggregated != "on":
                candidates = evaluate(study, priced.target, demand, drafts=drafts, ground=ground)
                evaluated += candidates.evaluated
                made, fallen = _plans_of(study, priced, candidates)
                plans += made
                rejected += fallen
            if study.engine.disaggregated != "off":
                pooled, count = pooled_plan(
                    study,
                    priced.target,
                    demand,
                    ground=ground,
                    drafts=drafts,
                    usd_per_hour=priced.usd,
                    price=priced.price,
                    power_w=priced.power_w,
                    max_accelerators=priced.offer.max_accelerators,
                    said=priced.said,
                )
                evaluated += count
                (plans if isinstance(pooled, Plan) else rejected).append(pooled)  # type: ignore[arg-type]
        except SizingError as error:
            rejected.append(Rejection(_name(priced.target), "not_evaluated", str(error)))
    return _Answer(plans, rejected, evaluated)


def study_model(study: Study) -> Architecture:
    """The study's model: its inline config, or the name looked up."""
    if study.model.config is not None:
        return parse_config(study.model.config, name=study.model.name)
    return as_model(study.model.name)


def model_facts(arch: Architecture) -> dict[str, Any]:
    """Counts and contexts of a model, for the head of an answer."""
    report = params_report(arch)
    return {
        **report,
        "hypothetical": arch.hypothetical,
        "native_context": arch.native_context,
        "extended_context": arch.extended_context,
        "notes": list(arch.notes),
    }


def _name(target: Target) -> str:
    return f"{target.accelerator.id} {target.scheme.name} {target.engine.name}"


def _draft_choices(study: Study, arch: Architecture) -> list[int]:
    """Numbers of draft tokens to try: none, or the model's own MTP module's."""
    wanted = study.engine.speculative
    if wanted == "off":
        return [0]
    if not arch.mtp_groups and wanted == "try":
        return [0]
    return [study.engine.draft_tokens] if wanted == "on" else [0, study.engine.draft_tokens]


def _targets(
    study: Study,
    arch: Architecture,
    catalog: Catalog,
    rejected: list[Rejection],
    assumptions: list[str],
    calibration: Calibration | None = None,
) -> Iterator[_Priced]:
    """Every accelerator x engine x formats that can run, with its price."""
    for offer in study.hardware:
        accelerator, said = catalog.resolve(offer.accelerator)
        assumptions += said
        engines = study.engine.names or (usual_engine(accelerator),)
        for engine in engines:
            for weights in _weight_choices(study, arch, accelerator):
                for kv_dtype in study.model.kv_dtype or (None,):
                    try:
                        target = resolve_target(
                            arch,
                            accelerator,
                            engine=engine,
                            engine_version=study.engine.version,
                            weights=weights,
                            kv_dtype=kv_dtype,
                            catalog=catalog,
                            calibration=calibration,
                        )
                        _check_formats(target)
                        _ = target.machine
                    except (PlacementError, UnknownNameError):
                        raise
                    except SizingError as error:
                        rejected.append(
                            Rejection(f"{accelerator.id} {weights or ''}".strip(), "does_not_run", str(error))
                        )
                        continue
                    assumptions += [item for item in target.assumptions if "HYPOTHETICAL" in item]
                    yield _price(study, offer, target)


def _check_formats(target: Target) -> None:
    """Refuse formats that the engine has no kernels for."""
    problem = target.engine.unsupported(target.scheme, target.kv.name, target.accelerator.vendor)
    if problem:
        raise SizingError(str(problem), key="--engine")


def _weight_choices(study: Study, arch: Architecture, accelerator: Any) -> list[str | None]:
    """Formats to try: the user's, else the checkpoint's own (or its stand-in) and the usual published variants."""
    if study.model.weights:
        return list(study.model.weights)
    choices: list[str | None] = [None]
    own = native_scheme(arch)
    if own.name in ("bf16", "fp16"):
        usual = ("fp8_block" if arch.is_moe else "fp8", "int8", "int4_awq")
        for name in usual:
            how = runs(accelerator, scheme(name))
            if how == "native" or (name == "int4_awq" and how is not None):
                choices.append(name)
        # Where FP8 and INT8 both run, FP8 is what publishers ship.
        if "int8" in choices and any(c in choices for c in ("fp8", "fp8_block")):
            choices.remove("int8")
    elif own.experts.bits >= 8 and runs(accelerator, scheme("nvfp4")) == "native":
        choices.append("nvfp4")
    return choices


def _price(study: Study, offer: Offer, target: Target) -> _Priced:
    """The hour of one accelerator: given, rented or owned."""
    share = study.money.own.average_power_fraction
    power = (target.accelerator.tdp_w or 0.0) * share + _host_watts(target, share)
    if study.money.mode == "own" and offer.usd_per_hour is None:
        usd, bought, said = own_hour(study, target, power)
        return _Priced(target, offer, usd, bought, tuple(said), power)
    usd, price, said = resolve_price(target, offer.usd_per_hour, offer.term)
    return _Priced(target, offer, usd, price, tuple(said), power)


def _host_watts(target: Target, share: float) -> float:
    """Share of the server's own power per accelerator [W]: CPUs, fans, switches."""
    host = target.server.host_power_kw
    return (host or 0.0) * 1000.0 * share / target.node_size


def own_hour(study: Study, target: Target, power_w: float) -> tuple[float | None, Price | None, list[str]]:
    """USD per hour of an owned accelerator, the catalog's purchase price behind it (if any), its ledger in words."""
    own = study.money.own
    said: list[str] = []
    found: Price | None = None
    if own.server_usd is not None:
        server_usd = own.server_usd
    else:
        try:
            found = purchase_price(target.accelerator.id, target.catalog)
        except SizingError as error:
            return None, None, [str(error)]
        server_usd = found.usd * target.node_size
        said += [f"{target.accelerator.id}: ${found.usd:,.0f} to buy one ({found.rule}; quotes to {dated(found)})"]
        said += list(found.assumptions)
    lines = ownership_per_accelerator_year(
        server_usd=server_usd,
        accelerators_per_server=target.node_size,
        network_usd_per_accelerator=own.network_usd_per_accelerator,
        rack_usd_per_accelerator=own.rack_usd_per_accelerator,
        years=own.years,
        residual_fraction=own.residual_fraction,
        discount_rate=own.discount_rate,
        power_w=power_w,
        pue=own.pue,
        electricity_usd_per_kwh=own.electricity_usd_per_kwh,
        hosting_usd_per_kw_month=own.hosting_usd_per_kw_month,
        staff_usd_per_accelerator_year=own.staff_usd_per_accelerator_year,
        maintenance_fraction=own.maintenance_fraction,
    )
    said += [f"owning, {line.name}: ${line.usd_per_year:,.0f} a year ({line.formula})" for line in lines]
    return owned_usd_per_hour(lines), found, said


def _plans_of(study: Study, priced: _Priced, found: Candidates) -> tuple[list[Plan], list[Rejection]]:
    """The feasible placements of one target as plans (the few best), and the reasons of the others."""
    target = priced.target
    fallen = [
        Rejection(f"{_name(target)} {example.split(':')[0]}", rule, example.split(": ", 1)[-1], count)
        for (rule, example), count in found.fallen.items()
    ]
    if not found.placements:
        return [], fallen
    chips = np.array([place.accelerators for place in found.placements], dtype=float)
    total = chips * (found.replicas + study.workload.targets.spare_replicas)
    limit = priced.offer.max_accelerators or np.inf
    feasible = np.isfinite(found.replicas) & (total <= limit)
    fallen += list(_reasons(study, found, total, limit))
    order = sorted(np.flatnonzero(feasible), key=lambda row: (total[row], found.curve.tpot_s[row, 0]))
    rows = [int(row) for row in order[:12]]
    named = _bottlenecks(found, rows)
    plans = [_as_plan(study, priced, found, row, name) for row, name in zip(rows, named, strict=True)]
    return plans, fallen


def _reasons(study: Study, found: Candidates, total: Any, limit: float) -> Iterator[Rejection]:
    """One rejection for each reason why placements of this target fell."""
    targets = study.workload.targets
    name = _name(found.target)
    weights, usable = found.terms.weights / GIB, found.target.accelerator.usable_bytes / GIB
    no_fit = ~found.fits.astype(bool)
    if no_fit.any():
        row = int(np.flatnonzero(no_fit)[np.argmin(weights[no_fit])])
        yield Rejection(
            f"{name} {found.placements[row].describe()}",
            "no_memory",
            f"weights need {weights[row]:.1f} of {usable:.1f} GiB per accelerator; the cache pool, "
            f"{max(found.terms.pool[row] / GIB, 0):.1f} GiB, holds no request of {found.demand.context:,} tokens",
            int(no_fit.sum()),
        )
    slow_first = ~no_fit & ~found.meets_ttft.astype(bool)
    if slow_first.any():
        best = float(np.min(found.best_ttft_p95[slow_first]))
        bound = targets.ttft_p95_s or targets.ttft_p50_s or 0.0
        yield Rejection(
            name, "ttft_target", f"TTFT is at best {best:.2f} s, above the target of {bound:g} s", int(slow_first.sum())
        )
    slow = ~no_fit & found.meets_ttft.astype(bool) & ~found.meets_tpot.astype(bool)
    if slow.any():
        best = float(np.min(found.best_tpot_p95[slow]))
        bound = targets.tpot_p95_s or targets.tpot_p50_s or targets.e2e_p95_s or 0.0
        yield Rejection(
            name,
            "tpot_target",
            f"TPOT is at best {best * 1e3:.1f} ms, above the target of {bound:g} s",
            int(slow.sum()),
        )
    many = np.isfinite(found.replicas) & (total > limit)
    if many.any():
        yield Rejection(
            name,
            "too_many_accelerators",
            f"needs {int(np.min(total[many])):,} accelerators, more than the {int(limit):,} offered",
            int(many.sum()),
        )
    both = ~no_fit & found.meets_ttft.astype(bool) & found.meets_tpot.astype(bool) & ~np.isfinite(found.replicas)
    if both.any():
        yield Rejection(name, "targets_together", "no load meets all targets at once", int(both.sum()))


def _as_plan(study: Study, priced: _Priced, found: Candidates, row: int, named: str) -> Plan:
    """One placement of a target as a Plan, at its operating point."""
    target, demand, place = priced.target, found.demand, found.placements[row]
    curve = {name: float(getattr(found.curve, name)[row, 0]) for name in found.curve.__dataclass_fields__}
    spare = study.workload.targets.spare_replicas
    working = int(found.replicas[row])
    chips = int(place.accelerators) * (working + spare)
    rate = curve["requests_per_s"] * working
    widths = {name: width(target, name) for name in ("throughput", "ttft", "tpot")}
    money = plan_money(
        study,
        demand,
        accelerators=chips,
        peak_requests_per_s=rate,
        prefill_share=curve["prefill_share"],
        usd_per_accelerator_hour=priced.usd,
        power_w=priced.power_w,
        throughput=widths["throughput"],
    )
    memory = {
        "usable": target.accelerator.usable_bytes / GIB,
        "weights": float(found.terms.weights[row]) / GIB,
        "activation": float(found.terms.activation[row]) / GIB,
        "runtime": float(found.terms.runtime[row]) / GIB,
        "graphs": float(np.broadcast_to(found.terms.graphs, found.terms.weights.shape)[row]) / GIB,
        "kv_pool": float(found.terms.pool[row]) / GIB,
    }
    said = [*target.assumptions, *priced.said]
    if found.drafts:
        said.append(
            f"speculative decoding: {found.drafts} draft tokens, each accepted with probability "
            f"{study.engine.acceptance_rate:g}: {found.load.tokens_per_step:.2f} tokens a step"
        )
    return Plan(
        accelerator=target.accelerator.id,
        accelerator_name=target.accelerator.name,
        accelerators=chips,
        servers=int(np.ceil(chips / target.node_size)),
        placement={"tp": int(place.tp), "pp": int(place.pp), "dp": int(place.dp), "ep": int(place.ep)},
        replicas=working + spare,
        spare_replicas=spare,
        weights=target.scheme.name,
        kv_dtype=target.kv.name,
        engine=target.engine.name,
        engine_version=target.engine.version_text,
        mode="aggregated",
        speculative_tokens=found.drafts,
        usd_per_hour=money.usd_per_hour,
        usd_per_accelerator_hour=priced.usd,
        price=priced.price,
        usd_per_month=money.usd_per_month,
        cost=money.cost,
        ttft_s=Interval.around(curve["ttft_s"], widths["ttft"]),
        tpot_s=Interval.around(curve["tpot_s"], widths["tpot"]),
        ttft_p95_s=curve["ttft_p95_s"],
        tpot_p95_s=curve["tpot_p95_s"],
        end_to_end_s=curve["ttft_s"] + curve["tpot_s"] * max(demand.output_tokens - 1, 0),
        requests_per_s=rate,
        output_tokens_per_s=Interval.around(rate * demand.output_tokens, widths["throughput"]),
        rate_per_replica=curve["requests_per_s"],
        max_rate_per_replica=_max_rate(found, row),
        utilization=_utilization(found, row, working),
        concurrency_per_replica=curve["concurrency"],
        max_concurrency_per_replica=float(found.limit[row]) * float(place.dp),
        batch_per_rank=curve["batch"],
        prefill_share=curve["prefill_share"],
        memory_gib=memory,
        bottleneck=named,
        binding=_binding(study, found, row, working),
        energy_wh_per_million_tokens=money.energy_wh_per_million_tokens,
        carbon_g_per_million_tokens=money.carbon_g_per_million_tokens,
        assumptions=tuple(dict.fromkeys(said)),
        confidence=tuple(dict.fromkeys(reason for item in widths.values() for reason in item.reasons)),
    )


def _max_rate(found: Candidates, row: int) -> float:
    if found.demand.kind in ("rate", "batch"):
        return float(found.max_carried[row])
    share = found.demand.amount / found.replicas[row]
    return float(found.curve.requests_per_s[row, 0] * found.max_carried[row] / max(share, 1e-12))


def _utilization(found: Candidates, row: int, working: int) -> float:
    if found.demand.kind == "batch":
        return 1.0
    return float(found.demand.amount / working / max(found.max_carried[row], 1e-300))


def _binding(study: Study, found: Candidates, row: int, working: int) -> str:
    """What stops one replica from carrying more."""
    limit = float(found.limit[row]) * float(found.placements[row].dp)
    targets = study.workload.targets
    point = found.curve
    if working == 1 and found.demand.kind != "batch" and _utilization(found, row, working) < 0.5:
        return "the model must fit and meet the targets at all: one replica has room to spare"
    near = point.concurrency[row, 0] >= 0.9 * limit
    if near:
        return "cache capacity: no more requests fit into memory"
    if targets.tpot_p95_s and point.tpot_p95_s[row, 0] > 0.85 * targets.tpot_p95_s:
        return "the TPOT target"
    if targets.ttft_p95_s and point.ttft_p95_s[row, 0] > 0.85 * targets.ttft_p95_s:
        return "the TTFT target"
    if point.prefill_share[row, 0] > 0.6:
        return "prefill work"
    return "decode throughput"


def _bottlenecks(found: Candidates, rows: list[int]) -> list[str]:
    """What most of the time goes into at the operating points of these placements."""
    if not rows:
        return []
    target, demand = found.target, found.demand
    places = as_arrays([found.placements[row] for row in rows])
    decode = target.step.working(
        StepShape(
            decode_seqs=np.maximum(found.curve.batch[rows, 0] / places.pp, 1e-3),
            decode_context=demand.input_tokens + demand.output_tokens / 2,
            tokens_per_decode=found.load.verified_tokens,
        ),
        places,
    )
    chunk = max(min(demand.input_tokens - demand.cached_tokens, found.engine_load.max_num_batched_tokens), 1.0)
    prefill = target.step.working(StepShape(prefill_tokens=chunk), places)
    per_rank = found.curve.concurrency[rows, 0] / places.dp
    return bottlenecks(target, found.curve.prefill_share[rows, 0], decode, prefill, per_rank, found.limit[rows])


def _rank(item: Plan) -> tuple[float, int, float]:
    """Cheapest first; of equals the fewer accelerators, then the faster. Plans without a price come last."""
    price = item.usd_per_hour if item.usd_per_hour is not None else float("inf")
    if item.cost and item.utilization == 1.0 and item.requests_per_s:
        price = item.cost["usd_per_million_tokens"].p50
    return (round(price, 9), item.accelerators, item.tpot_s.p50)


PLANS_PER_PART = 3  # layouts listed of one accelerator in one format


def _distinct(ranked: list[Plan], most: int) -> list[Plan]:
    """The best plans, at most a few layouts of one accelerator in one format, so that every offer shows."""
    kept: list[Plan] = []
    seen: Counter[tuple[str, str, str, str, str, int]] = Counter()
    for item in ranked:
        key = (item.accelerator, item.weights, item.kv_dtype, item.engine, item.mode, item.speculative_tokens)
        seen[key] += 1
        if seen[key] <= PLANS_PER_PART:
            kept.append(item)
    return kept[:most]


def _dearer(ranked: list[Plan], kept: list[Plan]) -> list[Rejection]:
    """Plans that would work but lost on cost."""
    return [
        Rejection(
            item.label,
            "dearer",
            "works, but costs "
            + (f"${item.usd_per_hour:,.2f}" if item.usd_per_hour is not None else "an unknown amount")
            + f" an hour with {item.accelerators} accelerators",
        )
        for item in ranked
        if item not in kept
    ]


def _grouped(items: Iterable[Rejection]) -> list[Rejection]:
    """Equal reasons of one target merged; counts added."""
    merged: dict[tuple[str, str, str], Rejection] = {}
    for item in items:
        key = (item.candidate, item.code, item.reason)
        known = merged.get(key)
        merged[key] = item if known is None else replace(known, count=known.count + item.count)
    return list(merged.values())


def pareto_front(plans: Iterable[Plan]) -> list[Plan]:
    """Plans that no other beats in both cost per output token and TPOT, fastest last."""
    priced = [item for item in plans if "usd_per_million_output_tokens" in item.cost]
    ordered = sorted(priced, key=lambda item: (item.cost["usd_per_million_output_tokens"].p50, item.tpot_s.p50))
    front: list[Plan] = []
    best = float("inf")
    for item in ordered:
        if item.tpot_s.p50 < best * (1 - 1e-9):
            front.append(item)
            best = item.tpot_s.p50
    return front


SENSITIVITIES = ("memory bandwidth +10%", "compute +10%", "memory +10%", "price +10%", "context +10%")


def _explained(study: Study, winner: Plan, catalog: Catalog, arch: Architecture) -> Plan:
    """The winner with what 10% more of each thing would change in its cost per hour or its throughput.

    Values are relative changes of the cost per million tokens at full use of one replica.
    """
    accelerator, _ = catalog.resolve(winner.accelerator)
    base_target = resolve_target(
        arch,
        accelerator,
        engine=winner.engine,
        engine_version=winner.engine_version,
        weights=winner.weights if winner.weights in _known_schemes() else None,
        kv_dtype=winner.kv_dtype,
        catalog=catalog,
    )
    place = Placement(**winner.placement)
    base = _capacity(study, base_target, place, winner)
    if base <= 0:
        return winner
    found: dict[str, float] = {"price +10%": 0.10}
    machine = base_target.machine
    changed = {
        "memory bandwidth +10%": replace(machine, memory_bandwidth=machine.memory_bandwidth * 1.1),
        "compute +10%": replace(
            machine,
            bf16_flops=machine.bf16_flops * 1.1,
            fp8_flops=machine.fp8_flops * 1.1,
            int8_flops=machine.int8_flops * 1.1,
            fp4_flops=machine.fp4_flops * 1.1,
        ),
        "link bandwidth +10%": replace(machine, link_bandwidth=machine.link_bandwidth * 1.1),
    }
    for name, rates in changed.items():
        other = replace(base_target)
        other.__dict__["machine"] = rates
        found[name] = base / max(_capacity(study, other, place, winner), 1e-12) - 1.0
    memory = accelerator.memory.model_copy(update={"usable_gib": accelerator.usable_bytes / GIB * 1.1})
    larger = replace(base_target, accelerator=accelerator.model_copy(update={"memory": memory}))
    found["memory +10%"] = base / max(_capacity(study, larger, place, winner), 1e-12) - 1.0
    found["context +10%"] = base / max(_capacity(study, base_target, place, winner, longer=1.1), 1e-12) - 1.0
    return replace(winner, sensitivities=found)


def _known_schemes() -> set[str]:
    from sizing.model.quantization import SCHEMES

    return set(SCHEMES)


def _capacity(study: Study, target: Target, place: Placement, winner: Plan, longer: float = 1.0) -> float:
    """Requests/s that one replica of a placement (or an accelerator of separate pools) sustains within the targets."""
    narrowed = study.model_copy(
        update={
            "constraints": study.constraints.model_copy(
                update={
                    "tensor_parallel": (int(place.tp),),
                    "pipeline_parallel": (int(place.pp),),
                    "data_parallel": (int(place.dp),),
                    "expert_parallel": (int(place.ep),),
                }
            )
        }
    )
    demand = Demand.of(study.workload, target, study.model.context)
    if longer != 1.0:
        demand = replace(
            demand,
            input_tokens=demand.input_tokens * longer,
            cached_tokens=demand.cached_tokens * longer,
            context=int(demand.context * longer),
        )
    if winner.mode == "disaggregated":
        return sustained(study, target, demand, winner)
    found = evaluate(narrowed, target, demand, drafts=winner.speculative_tokens)
    rates = [found.max_carried[row] for row, item in enumerate(found.placements) if _same(item, place)]
    return float(rates[0]) if rates else 0.0


def _same(one: Placement, other: Placement) -> bool:
    return all(int(getattr(one, axis)) == int(getattr(other, axis)) for axis in ("tp", "pp", "dp", "ep"))


__all__ = ["as_arrays", "model_facts", "pareto_front", "plan", "study_model"]
