"""The vectorised evaluation of all placements of one target under one demand: what the planner ranks.

For every legal placement the load curve is evaluated over a grid of batch sizes; the largest load that keeps the
targets gives the rate of one replica, and the demand over that rate the number of replicas. Arrays all the way: axis 0
is the placement, axis 1 the load.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sizing.arrays import FloatArray, as_float
from sizing.engine.base import Load as EngineLoad
from sizing.engine.placement import Placement
from sizing.estimate import batching_of, mean_held_tokens
from sizing.load_curve import LoadCurve, batch_grid, load_curve
from sizing.memory import MemoryTerms, memory_terms, resolve_load
from sizing.placements import Space, as_arrays, legal_placements
from sizing.serving import Batching, Load
from sizing.study import Study
from sizing.target import Target
from sizing.workload import BatchArrival, ConcurrencyArrival, UsersArrival, Workload

LOAD_POINTS = 24
MAX_PREFILL_SHARE = 0.97


@dataclass(frozen=True, slots=True)
class Demand:
    """The workload as numbers. kind: "rate", "concurrency", "users" or "batch"; amount in its unit at the peak."""

    kind: str
    amount: float
    think_s: float
    input_tokens: float
    output_tokens: float
    cached_tokens: float
    input_scv: float
    context: int

    @classmethod
    def of(cls, workload: Workload, target: Target, context: int | None) -> Demand:
        """The demand of a workload on a model; images count with the model's own tokens."""
        vision = target.arch.vision
        tokens_of = vision.image_tokens if vision is not None else None
        inputs = workload.mean_input_tokens(image_tokens=tokens_of)
        outputs = workload.mean_output_tokens()
        arrival = workload.arrival
        kind, amount, think = "rate", workload.peak_requests_per_s or 0.0, 0.0
        if isinstance(arrival, UsersArrival):
            kind, amount, think = "users", float(arrival.users), arrival.think_s
        elif isinstance(arrival, ConcurrencyArrival):
            kind, amount = "concurrency", float(arrival.concurrency)
        elif isinstance(arrival, BatchArrival):
            kind, amount = "batch", float(arrival.requests)
        most_in, most_out = workload.length_grid(64, image_tokens=tokens_of)
        longest = int(np.max(most_in + most_out))
        return cls(
            kind=kind,
            amount=amount,
            think_s=think,
            input_tokens=inputs,
            output_tokens=outputs,
            cached_tokens=inputs * workload.prefix_cache_hit_rate,
            input_scv=workload.input.scv if workload.joint is None else _scv(most_in),
            context=context or longest,
        )

    def carried(self, curve: LoadCurve) -> FloatArray:
        """How much of the demand one replica carries at each point of its curve."""
        if self.kind == "concurrency":
            return curve.concurrency
        if self.kind == "users":
            return curve.requests_per_s * (self.think_s + curve.end_to_end_s(self.output_tokens))
        return curve.requests_per_s


def _scv(values: Any) -> float:
    mean = float(np.mean(values))
    return float(np.var(values)) / mean**2 if mean > 0 else 0.0


@dataclass(frozen=True)
class Candidates:
    """All placements of one target, evaluated. Axis 0: placements. ``at`` holds the planned operating point."""

    target: Target
    demand: Demand
    placements: list[Placement]
    terms: MemoryTerms
    engine_load: EngineLoad
    limit: FloatArray  # running requests per rank
    load: Load
    batching: Batching
    replicas: FloatArray  # needed, without spares; inf where nothing meets the targets
    max_carried: FloatArray  # per replica within the targets
    curve: LoadCurve  # at the planned operating point
    fits: FloatArray
    meets_ttft: FloatArray
    meets_tpot: FloatArray
    best_ttft_p95: FloatArray
    best_tpot_p95: FloatArray
    evaluated: int
    fallen: Counter[tuple[str, str]]
    drafts: int = 0


def space_of(study: Study, target: Target) -> Space:
    """The bounds of the search on one target."""
    c = study.constraints
    return Space(
        node_size=target.node_size,
        max_nodes=c.max_nodes,
        max_accelerators=c.max_accelerators,
        tensor_parallel=c.tensor_parallel,
        pipeline_parallel=c.pipeline_parallel,
        data_parallel=c.data_parallel,
        expert_parallel=c.expert_parallel,
    )


def acceptance_length(rate: float, drafts: int) -> float:
    """Tokens gained per step: ``(1 - p^(k+1)) / (1 - p)`` for k drafts, each accepted with probability p in turn."""
    if rate >= 1.0:
        return drafts + 1.0
    return float((1.0 - rate ** (drafts + 1)) / (1.0 - rate))


def evaluate(study: Study, target: Target, demand: Demand, *, drafts: int = 0, points: int = LOAD_POINTS) -> Candidates:
    """Evaluate every legal placement of a target; see the module's text."""
    legal, fallen = legal_placements(target.arch, target.scheme, target.engine, space_of(study, target))
    if not legal:
        return _nothing(target, demand, fallen)
    flat = as_arrays(legal)
    engine = study.engine
    flags = resolve_load(
        target.engine,
        target.device,
        target.arch,
        flat,
        context=demand.context,
        max_num_seqs=engine.max_num_seqs,
        max_num_batched_tokens=engine.max_num_batched_tokens,
        utilization=engine.memory_utilization,
        speculative_tokens=drafts,
    )
    terms = memory_terms(target.arch, target.device, flat, target.engine, target.scheme, flags, kv_dtype=target.kv)
    fits = np.asarray(terms.fits)
    held = float(mean_held_tokens(target, demand.input_tokens, demand.output_tokens))
    at_mean = memory_terms(
        target.arch,
        target.device,
        flat,
        target.engine,
        target.scheme,
        replace(flags, context=max(1, int(np.ceil(held)))),
        kv_dtype=target.kv,
    )
    limit = np.where(fits, np.minimum(as_float(at_mean.max_concurrency), float(flags.max_num_seqs)), 1.0)
    limit = np.maximum(limit, 1.0)
    load = Load(
        concurrency=1.0,
        input_tokens=demand.input_tokens,
        output_tokens=demand.output_tokens,
        cached_tokens=demand.cached_tokens,
        tokens_per_step=acceptance_length(engine.acceptance_rate, drafts) if drafts else 1.0,
        verified_tokens=1.0 + drafts,
    )
    batching = batching_of(target, flags.max_num_batched_tokens)
    grid = batch_grid(limit, points)
    curve = load_curve(target.step, as_arrays(legal, 1), load, batching, grid, input_scv=demand.input_scv)
    targets = study.workload.targets
    within = np.minimum(curve.concurrency, np.inf) <= (limit * flat.dp)[:, None] * 1.0001
    meets_ttft = _at_most(curve.ttft_p95_s, targets.ttft_p95_s) & _at_most(curve.ttft_s, targets.ttft_p50_s)
    meets_tpot = _at_most(curve.tpot_p95_s, targets.tpot_p95_s) & _at_most(curve.tpot_s, targets.tpot_p50_s)
    if targets.e2e_p95_s is not None:
        whole = curve.ttft_p95_s + curve.tpot_p95_s * max(demand.output_tokens - 1, 0)
        meets_tpot = meets_tpot & _at_most(whole, targets.e2e_p95_s)
    busy = curve.prefill_share <= MAX_PREFILL_SHARE
    within = within | (np.arange(points) == 0)
    allowed = fits[:, None] & meets_ttft & meets_tpot & busy & within
    carried = np.where(allowed, demand.carried(curve), 0.0)
    most = carried.max(axis=1)
    usable = most * (1.0 - targets.headroom)
    with np.errstate(divide="ignore", invalid="ignore"):
        replicas = np.where(usable > 0, np.ceil(demand.amount / usable - 1e-9), np.inf)
    if demand.kind == "batch":
        replicas = np.where(usable > 0, 1.0, np.inf)
    replicas = np.maximum(replicas, 1.0)
    share = most if demand.kind == "batch" else np.where(np.isfinite(replicas), demand.amount / replicas, 0.0)
    batch = _batch_for(share, np.where(allowed, demand.carried(curve), np.nan), grid)
    planned = load_curve(target.step, as_arrays(legal, 1), load, batching, batch[:, None], input_scv=demand.input_scv)
    return Candidates(
        target=target,
        demand=demand,
        placements=legal,
        terms=terms,
        engine_load=flags,
        limit=limit,
        load=load,
        batching=batching,
        replicas=replicas,
        max_carried=most,
        curve=planned,
        fits=fits,
        meets_ttft=(meets_ttft & within).any(axis=1),
        meets_tpot=(meets_tpot & within).any(axis=1),
        best_ttft_p95=np.nanmin(curve.ttft_p95_s, axis=1),
        best_tpot_p95=np.nanmin(curve.tpot_p95_s, axis=1),
        evaluated=curve.requests_per_s.size,
        fallen=fallen,
        drafts=drafts,
    )


def _at_most(values: FloatArray, bound: float | None) -> Any:
    return np.ones(values.shape, dtype=bool) if bound is None else values <= bound


def _batch_for(share: FloatArray, carried: FloatArray, grid: FloatArray) -> FloatArray:
    """The batch at which each placement carries its share, by interpolation along its own curve."""
    found = np.empty(len(share))
    for row in range(len(share)):
        known = np.isfinite(carried[row])
        if not known.any() or share[row] <= 0:
            found[row] = grid[row, 0]
            continue
        rising = np.maximum.accumulate(carried[row, known])
        batches = grid[row, known]
        if share[row] < rising[0]:
            found[row] = batches[0] * share[row] / rising[0]
        else:
            found[row] = np.interp(share[row], rising, batches)
    return np.maximum(found, 1e-3)


def _nothing(target: Target, demand: Demand, fallen: Counter[tuple[str, str]]) -> Candidates:
    none = np.zeros(0)
    empty = MemoryTerms(none, none, none, none, none, none, none, none)
    curve = LoadCurve(*([none.reshape(0, 1)] * len(LoadCurve.__dataclass_fields__)))
    return Candidates(
        target=target,
        demand=demand,
        placements=[],
        terms=empty,
        engine_load=EngineLoad(0.9, 1, 1, 1),
        limit=none,
        load=Load(1.0, 1.0, 1.0),
        batching=target.coefficients.batching,
        replicas=none,
        max_carried=none,
        curve=curve,
        fits=none,
        meets_ttft=none,
        meets_tpot=none,
        best_ttft_p95=none,
        best_tpot_p95=none,
        evaluated=0,
        fallen=fallen,
    )
