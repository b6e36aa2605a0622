"""A disaggregated plan: the pools of one target as a Plan, priced, with its intervals and what binds it."""

from __future__ import annotations

import math
from dataclasses import replace

from sizing.base.arrays import scalar
from sizing.base.ledger import Interval
from sizing.engine.placement import Placement
from sizing.hardware.price_models import Price
from sizing.money.bought import bought
from sizing.planning.candidates import Demand, Ground, fraction_notes, memory_gib, space_of
from sizing.planning.confidence import width
from sizing.planning.pools import NoPools, Pool, Pools, find_pools
from sizing.planning.pricing import plan_money
from sizing.planning.result import Plan, PoolPlan, Rejection
from sizing.planning.target import Target, least_bits, quality_note
from sizing.step.model import time_by_kind
from sizing.step.operations import StepShape
from sizing.study import Study

KIND_TEXT = {
    "gemm": "matrix products",
    "moe": "experts",
    "decode_attention": "reading the KV cache",
    "prefill_attention": "attention over the prompt",
    "all_reduce": "communication between accelerators",
    "all_gather": "communication between accelerators",
    "all_to_all": "communication between accelerators",
    "send": "communication between accelerators",
    "host": "launch and host overhead",
}


def pooled_plan(
    study: Study,
    target: Target,
    demand: Demand,
    *,
    ground: Ground | None = None,
    drafts: int = 0,
    usd_per_hour: float | None = None,
    price: Price | None = None,
    power_w: float = 0.0,
    max_accelerators: int | None = None,
    said: tuple[str, ...] = (),
) -> tuple[Plan | Rejection, int]:
    """The best disaggregated plan of a target, or why there is none; and how many configurations were evaluated."""
    name = f"{target.accelerator.id} {target.scheme.name} {target.engine.name} disaggregated"
    found = find_pools(
        target,
        demand,
        space_of(study, target),
        study.engine,
        study.workload.targets,
        ground=ground,
        drafts=drafts,
        spare=study.workload.targets.spare_replicas,
    )
    if isinstance(found, NoPools):
        return Rejection(name, found.code, found.reason), found.evaluated
    if max_accelerators is not None and found.accelerators > max_accelerators:
        reason = f"needs {found.accelerators:,} accelerators, more than the {max_accelerators:,} offered"
        return Rejection(name, "too_many_accelerators", reason), found.evaluated
    return _as_plan(study, target, demand, found, drafts, usd_per_hour, price, power_w, said), found.evaluated


def _as_plan(
    study: Study,
    target: Target,
    demand: Demand,
    found: Pools,
    drafts: int,
    usd_per_hour: float | None,
    price: Price | None,
    power_w: float,
    said: tuple[str, ...],
) -> Plan:
    """Pools as a Plan; ``replicas``, placement and memory are those of the decode pool."""
    spare = study.workload.targets.spare_replicas
    decode, prefill = found.decode, found.prefill
    working = decode.instances - spare
    widths = {name: width(target, name) for name in ("throughput", "ttft", "tpot")}
    share = prefill.accelerators / found.accelerators
    most = min(decode.rate * working, prefill.rate * (prefill.instances - spare))
    money = plan_money(
        study,
        demand,
        target.catalog,
        accelerators=found.accelerators,
        peak_requests_per_s=demand.amount,
        prefill_share=share,
        usd_per_accelerator_hour=usd_per_hour,
        price=price,
        power_w=power_w,
        throughput=widths["throughput"],
        whole=target.accelerator.fraction_of_parent or 1.0,
    )
    row = _row(found, decode)
    fractions = {pool.role: float(found.ground.terms.utilization[_row(found, pool)]) for pool in (prefill, decode)}
    servers = sum(math.ceil(pool.accelerators / target.node_size) for pool in (prefill, decode))
    notes = [
        *target.assumptions,
        *said,
        *fraction_notes(study, target, prefill.placement, fractions["prefill"], demand.context),
        *fraction_notes(study, target, decode.placement, fractions["decode"], demand.context),
        f"separate pools: {prefill.instances} x {prefill.placement.describe()} for prefill at a load of "
        f"{prefill.load:.0%}, {decode.instances} x {decode.placement.describe()} for decode",
        f"a prompt's cache travels in {found.transfer_s * 1e3:.1f} ms over the network cards",
    ]
    return Plan(
        accelerator=target.accelerator.id,
        accelerator_name=target.accelerator.name,
        accelerators=found.accelerators,
        servers=servers,
        server=target.server.id,
        bought=bought(target.accelerator, target.server, found.accelerators, servers, usd_per_hour),
        weight_bits=least_bits(target.scheme),
        quality=quality_note(target),
        placement=_sizes(decode.placement),
        replicas=decode.instances,
        spare_replicas=spare,
        weights=target.scheme.name,
        kv_dtype=target.kv.name,
        engine=target.engine.name,
        engine_version=target.engine.version_text,
        mode="disaggregated",
        speculative_tokens=drafts,
        usd_per_hour=money.usd_per_hour,
        usd_per_accelerator_hour=usd_per_hour,
        price=price,
        usd_per_month=money.usd_per_month,
        cost=money.cost,
        ttft_s=Interval.around(found.ttft_s, widths["ttft"]),
        tpot_s=Interval.around(found.tpot_s, widths["tpot"]),
        ttft_p95_s=found.ttft_p95_s,
        tpot_p95_s=found.tpot_p95_s,
        end_to_end_s=found.ttft_s + found.tpot_s * max(demand.output_tokens - 1, 0),
        requests_per_s=demand.amount,
        output_tokens_per_s=Interval.around(demand.amount * demand.output_tokens, widths["throughput"]),
        rate_per_replica=demand.amount / working,
        max_rate_per_replica=most / working,
        utilization=demand.amount / most,
        concurrency_per_replica=decode.load * float(decode.placement.dp),
        max_concurrency_per_replica=float(found.ground.limit[row]) * float(decode.placement.dp),
        batch_per_rank=decode.load,
        prefill_share=share,
        memory_gib=memory_gib(target, found.ground.terms, row),
        memory_utilization=fractions["decode"],
        bottleneck=_bottleneck(target, demand, decode, found),
        binding=_binding(study, found, decode, prefill),
        pools=tuple(
            PoolPlan(pool.role, _sizes(pool.placement), pool.instances, pool.accelerators, fractions[pool.role])
            for pool in (prefill, decode)
        ),
        energy_wh_per_million_tokens=money.energy_wh_per_million_tokens,
        carbon_g_per_million_tokens=money.carbon_g_per_million_tokens,
        footprint=money.footprint,
        assumptions=tuple(dict.fromkeys(notes)),
        confidence=tuple(dict.fromkeys(reason for item in widths.values() for reason in item.reasons)),
    )


def _sizes(place: Placement) -> dict[str, int]:
    return {axis: int(getattr(place, axis)) for axis in ("tp", "pp", "dp", "ep")}


def _bottleneck(target: Target, demand: Demand, decode: Pool, found: Pools) -> str:
    """What most of a decode step goes into."""
    shape = StepShape(
        decode_seqs=max(decode.load / decode.placement.pp, 1e-3),
        decode_context=demand.held(reserves=False),
        tokens_per_decode=found.ground.load.verified_tokens,
    )
    times: dict[str, float] = {}
    for kind, each in time_by_kind(target.step.working(shape, decode.placement)).items():
        name = KIND_TEXT.get(kind, kind)
        times[name] = times.get(name, 0.0) + scalar(each)
    name, seconds = max(times.items(), key=lambda pair: pair[1])
    return f"decode pool: {name}, {seconds / max(sum(times.values()), 1e-12):.0%} of a step"


def _binding(study: Study, found: Pools, decode: Pool, prefill: Pool) -> str:
    """What keeps the pools from carrying more."""
    targets = study.workload.targets
    if decode.instances == 1 and prefill.instances == 1:
        return "each pool has one instance: both must exist at all"
    if targets.ttft_p95_s and found.ttft_p95_s > 0.85 * targets.ttft_p95_s:
        return "the TTFT target (the prefill pool's queue)"
    if targets.tpot_p95_s and found.tpot_p95_s > 0.85 * targets.tpot_p95_s:
        return "the TPOT target (the decode pool's batch)"
    return "cache capacity of the decode pool" if decode.load > 0.7 * _limit(found) else "throughput of both pools"


def _limit(found: Pools) -> float:
    return float(found.ground.limit[_row(found, found.decode)])


def _row(found: Pools, pool: Pool) -> int:
    """The row of a pool's placement in the survey."""
    return next(i for i, place in enumerate(found.ground.placements) if place is pool.placement)


def sustained(study: Study, target: Target, demand: Demand, winner: Plan) -> float:
    """Requests/s per accelerator that the winner's two placements sustain on a (changed) target, in balance."""
    place = {pool.role: Placement(**pool.placement) for pool in winner.pools}
    space = space_of(study, target)
    sizes = list(place.values())
    narrowed = replace(
        space,
        tensor_parallel=tuple(sorted({int(item.tp) for item in sizes})),
        pipeline_parallel=tuple(sorted({int(item.pp) for item in sizes})),
        data_parallel=tuple(sorted({int(item.dp) for item in sizes})),
        expert_parallel=tuple(sorted({int(item.ep) for item in sizes})),
    )
    found = find_pools(
        target,
        demand,
        narrowed,
        study.engine,
        study.workload.targets,
        drafts=winner.speculative_tokens,
        prefill_only=place["prefill"],
        decode_only=place["decode"],
    )
    return 0.0 if isinstance(found, NoPools) else found.requests_per_s_per_accelerator
