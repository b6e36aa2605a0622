"""What a search evaluated on one target, as plans and as reasons: ``plans_of``. Separate pools:
``sizing.planning.pool_plans``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from sizing.base.ledger import Interval
from sizing.engine.layouts import as_arrays
from sizing.hardware.price_models import Price
from sizing.memory.ledger import why_not
from sizing.memory.start import fewer_requests
from sizing.money.bought import bought
from sizing.planning.bottleneck import bottlenecks
from sizing.planning.candidates import fraction_notes, memory_gib
from sizing.planning.confidence import sent_spread, width
from sizing.planning.estimate import NO_DECODE
from sizing.planning.pricing import plan_money
from sizing.planning.result import Plan, Rejection
from sizing.planning.search import Candidates
from sizing.planning.target import Target, least_bits, quality_note
from sizing.step.operations import StepShape
from sizing.study import Offer, Study

GIB = 2.0**30
MOST_PLANS = 12  # of one target, fewest accelerators first


@dataclass(frozen=True)
class PricedTarget:
    """A target with the price of its hour.

    usd: per accelerator-hour, None where nobody knows. said: how the price came about. power_w: of one accelerator with
    its share of the server, at the study's average use [W].
    """

    target: Target
    offer: Offer
    usd: float | None
    price: Price | None
    said: tuple[str, ...]
    power_w: float


def target_label(target: Target) -> str:
    """A target in the words of rejections: accelerator, format, engine."""
    return f"{target.accelerator.id} {target.scheme.name} {target.engine.name}"


def plans_of(study: Study, priced: PricedTarget, found: Candidates) -> tuple[list[Plan], list[Rejection]]:
    """The feasible placements of one target as plans (the few best), and the reasons of the others."""
    target = priced.target
    fallen = [
        Rejection(f"{target_label(target)} {example.split(':')[0]}", rule, example.split(": ", 1)[-1], count)
        for (rule, example), count in found.fallen.items()
    ]
    if not found.placements:
        return [], fallen
    chips = np.array([place.accelerators for place in found.placements], dtype=float)
    total = chips * (found.replicas + study.workload.targets.spare_replicas)
    limit = priced.offer.max_accelerators or np.inf
    feasible = np.isfinite(found.replicas) & (total <= limit)
    fallen += list(_reasons(study, found, total, limit))
    load = [_utilization(found, row, found.replicas[row]) if feasible[row] else 0.0 for row in range(len(chips))]
    order = sorted(np.flatnonzero(feasible), key=lambda row: (total[row], load[row], found.curve.tpot_s[row, 0]))
    rows = [int(row) for row in order[:MOST_PLANS]]
    named = _bottlenecks(found, rows)
    plans = [_as_plan(study, priced, found, row, name) for row, name in zip(rows, named, strict=True)]
    return plans, fallen


def _reasons(study: Study, found: Candidates, total: Any, limit: float) -> Iterator[Rejection]:
    """One rejection for each reason why placements of this target fell."""
    targets = study.workload.targets
    name = target_label(found.target)
    no_fit = ~found.fits.astype(bool)
    if no_fit.any():
        row = int(np.flatnonzero(no_fit)[np.argmin(found.terms.weights[no_fit])])
        yield Rejection(
            f"{name} {found.placements[row].describe()}",
            "no_memory",
            why_not(found.target.engine, found.target.device, found.terms, found.demand.context, row),
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


def _as_plan(study: Study, priced: PricedTarget, found: Candidates, row: int, named: str) -> Plan:
    """One placement of a target as a Plan, at its operating point."""
    target, demand, place = priced.target, found.demand, found.placements[row]
    curve = {name: float(getattr(found.curve, name)[row, 0]) for name in found.curve.__dataclass_fields__}
    spare = study.workload.targets.spare_replicas
    working = int(found.replicas[row])
    chips = int(place.accelerators) * (working + spare)
    rate = curve["requests_per_s"] * working
    widths = {name: width(target, name) for name in ("throughput", "ttft", "tpot")}
    carried = widths["throughput"]
    if demand.kind == "rate":
        carried = sent_spread(carried, _max_rate(found, row) / max(curve["requests_per_s"], 1e-12))
    money = plan_money(
        study,
        demand,
        target.catalog,
        accelerators=chips,
        peak_requests_per_s=rate,
        prefill_share=curve["prefill_share"],
        usd_per_accelerator_hour=priced.usd,
        price=priced.price,
        power_w=priced.power_w,
        throughput=widths["throughput"],
        whole=target.accelerator.fraction_of_parent or 1.0,
    )
    fraction = float(found.terms.utilization[row])
    servers = int(np.ceil(chips / target.node_size))
    said = [*target.assumptions, *priced.said, *fraction_notes(study, target, place, fraction, demand.context)]
    if demand.output_tokens <= 1:
        said.append(NO_DECODE)
    seqs = int(found.terms.max_num_seqs[row])
    if seqs < found.engine_load.max_num_seqs:
        said.append(fewer_requests(target.engine, found.engine_load.max_num_seqs, seqs))
    if found.drafts:
        said.append(
            f"speculative decoding: {found.drafts} draft tokens, each accepted with probability "
            f"{study.engine.acceptance_rate:g}: {found.load.tokens_per_step:.2f} tokens a step"
        )
    return Plan(
        accelerator=target.accelerator.id,
        accelerator_name=target.accelerator.name,
        accelerators=chips,
        servers=servers,
        server=target.server.id,
        bought=bought(target.accelerator, target.server, chips, servers, priced.usd),
        weight_bits=least_bits(target.scheme),
        quality=quality_note(target),
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
        output_tokens_per_s=Interval.around(rate * demand.output_tokens, carried),
        rate_per_replica=curve["requests_per_s"],
        max_rate_per_replica=_max_rate(found, row),
        utilization=_utilization(found, row, working),
        concurrency_per_replica=curve["concurrency"],
        max_concurrency_per_replica=float(found.limit[row]) * float(place.dp),
        batch_per_rank=curve["batch"],
        prefill_share=curve["prefill_share"],
        memory_gib=memory_gib(target, found.terms, row),
        memory_utilization=fraction,
        bottleneck=named,
        binding=_binding(study, found, row, working),
        energy_wh_per_million_tokens=money.energy_wh_per_million_tokens,
        carbon_g_per_million_tokens=money.carbon_g_per_million_tokens,
        footprint=money.footprint,
        assumptions=tuple(dict.fromkeys(said)),
        confidence=tuple(dict.fromkeys(reason for item in widths.values() for reason in item.reasons)),
    )


def _max_rate(found: Candidates, row: int) -> float:
    if found.demand.kind in ("rate", "batch"):
        return float(found.max_carried[row])
    share = found.demand.amount / found.replicas[row]
    return float(found.curve.requests_per_s[row, 0] * found.max_carried[row] / max(share, 1e-12))


def _utilization(found: Candidates, row: int, working: float) -> float:
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
            decode_context=demand.held(reserves=False),
            tokens_per_decode=found.load.verified_tokens,
        ),
        places,
    )
    chunk = max(min(demand.input_tokens - demand.cached_tokens, found.engine_load.max_num_batched_tokens), 1.0)
    prefill = target.step.working(StepShape(prefill_tokens=chunk), places)
    per_rank = found.curve.concurrency[rows, 0] / places.dp
    return bottlenecks(target, found.curve.prefill_share[rows, 0], decode, prefill, per_rank, found.limit[rows])
