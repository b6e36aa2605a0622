"""The vectorised evaluation of all placements of one target under one demand: what the planner ranks.

For every legal placement the step times are tabulated over a grid of batch sizes and the load curve is evaluated
between the nodes; the largest load that keeps the targets gives the rate of one replica, and the demand over that rate
the number of replicas. Arrays all the way: axis 0 is the placement, axis 1 the load. Placements go by in chunks, so
that a search of any size stays within some tens of megabytes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sizing.base.arrays import FloatArray
from sizing.base.budget import spend
from sizing.coefficients.batching import Batching
from sizing.engine.base import Load as EngineLoad
from sizing.engine.layouts import legal_placements
from sizing.engine.placement import Placement
from sizing.memory.terms import MemoryTerms
from sizing.planning.candidates import Demand, Ground, space_of, survey
from sizing.planning.target import Target
from sizing.serving import MOST_IN_FLIGHT, FineGrid, Load, LoadCurve, batch_grid, load_curve, tabulated_curve
from sizing.study import Study
from sizing.workload import Targets

NODES = 24  # batch sizes at which the step model itself is asked
LEAST_BATCH = 0.02  # sequences: nearly idle, where TTFT is that of one prompt alone
POINTS_PER_NODE = 32  # loads evaluated between two nodes
CHUNK_POINTS = 1 << 15  # loads evaluated at a time: what fits a core's cache
MAX_PREFILL_SHARE = 0.97  # of the time, where requests come at random


@dataclass(frozen=True)
class Candidates:
    """All placements of one target, evaluated. Axis 0: placements.

    Those that do not fit are not timed: nothing is carried or met there, their points of the curve are NaN.
    """

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


@dataclass
class _Scan:
    """What the scan of the load leaves of each placement."""

    most: list[FloatArray] = field(default_factory=list)
    ttft: list[Any] = field(default_factory=list)
    tpot: list[Any] = field(default_factory=list)
    best_ttft: list[FloatArray] = field(default_factory=list)
    best_tpot: list[FloatArray] = field(default_factory=list)
    replicas: list[FloatArray] = field(default_factory=list)
    batch: list[FloatArray] = field(default_factory=list)


def evaluate(
    study: Study,
    target: Target,
    demand: Demand,
    *,
    drafts: int = 0,
    ground: Ground | None = None,
    points_per_node: int = POINTS_PER_NODE,
) -> Candidates:
    """Evaluate every legal placement of a target; see the module's text. ``ground``: its survey, if at hand."""
    ground = ground or survey(target, demand, space_of(study, target), study.engine, drafts=drafts)
    if ground is None:
        _, fallen = legal_placements(target.arch, target.scheme, target.engine, space_of(study, target))
        return _nothing(target, demand, fallen)
    fitting = np.flatnonzero(ground.fits)
    spend(len(fitting) * ((NODES - 1) * points_per_node + 1))
    scan = _scan(ground, fitting, study.workload.targets, points_per_node)
    points = {name: np.full((len(ground.placements), 1), np.nan) for name in LoadCurve.__dataclass_fields__}
    if len(fitting):
        batch = np.concatenate(scan.batch)[:, None]
        planned = load_curve(
            target.step,
            ground.rows(fitting),
            ground.load_of(fitting),
            ground.batching,
            batch,
            think_s=demand.arrival_think_s,
            lengths=demand.lengths,
        )
        for name, values in points.items():
            values[fitting] = getattr(planned, name)

    def of_all(parts: list[FloatArray], otherwise: float) -> FloatArray:
        values = np.full(len(ground.placements), otherwise)
        values[fitting] = np.concatenate(parts) if parts else 0.0
        return values

    return Candidates(
        target=target,
        demand=demand,
        placements=ground.placements,
        terms=ground.terms,
        engine_load=ground.engine_load,
        limit=ground.limit,
        load=ground.load,
        batching=ground.batching,
        replicas=of_all(scan.replicas, np.inf),
        max_carried=of_all(scan.most, 0.0),
        curve=LoadCurve(**points),
        fits=ground.fits,
        meets_ttft=of_all(scan.ttft, 0.0),
        meets_tpot=of_all(scan.tpot, 0.0),
        best_ttft_p95=of_all(scan.best_ttft, np.inf),
        best_tpot_p95=of_all(scan.best_tpot, np.inf),
        evaluated=len(ground.placements) * ((NODES - 1) * points_per_node + 1),
        fallen=ground.fallen,
        drafts=drafts,
    )


def most_carried(ground: Ground, targets: Targets) -> FloatArray:
    """How much of the demand one replica carries within the targets, of each placement that fits [unit of demand]."""
    parts = _scan(ground, np.flatnonzero(ground.fits), targets, POINTS_PER_NODE).most
    return np.concatenate(parts) if parts else np.zeros(0)


def _scan(ground: Ground, chosen: Any, targets: Targets, points_per_node: int) -> _Scan:
    scan = _Scan()
    rows = max(1, CHUNK_POINTS // (NODES * points_per_node))
    for start in range(0, len(chosen), rows):
        spend()
        _scan_rows(ground, chosen[start : start + rows], targets, points_per_node, scan)
    return scan


def _scan_rows(ground: Ground, rows: Any, targets: Targets, points: int, scan: _Scan) -> None:
    """Evaluate the load curves of some placements and keep what the plan needs of them."""
    demand, places = ground.demand, ground.rows(rows)
    think = demand.arrival_think_s
    nodes = batch_grid(ground.limit[rows], NODES, LEAST_BATCH if think > 0 else 1.0)
    curve = tabulated_curve(
        ground.target.step,
        places,
        ground.load_of(rows),
        ground.batching,
        nodes,
        points,
        think_s=think,
        lengths=demand.lengths,
    )
    grid = FineGrid.between(nodes, points).points
    within = curve.in_flight <= ground.limit[rows, None] * (1.0001 if think <= 0 else MOST_IN_FLIGHT)
    within[:, 0] = True
    meets_ttft = _at_most(curve.ttft_p95_s, targets.ttft_p95_s) & _at_most(curve.ttft_s, targets.ttft_p50_s)
    meets_tpot = _at_most(curve.tpot_p95_s, targets.tpot_p95_s) & _at_most(curve.tpot_s, targets.tpot_p50_s)
    if targets.e2e_p95_s is not None:
        whole = curve.ttft_p95_s + curve.tpot_p95_s * max(demand.output_tokens - 1, 0)
        meets_tpot = meets_tpot & _at_most(whole, targets.e2e_p95_s)
    busy = (curve.busy <= MAX_PREFILL_SHARE) | (think <= 0)
    allowed = meets_ttft & meets_tpot & busy & within
    carried = np.where(allowed, demand.carried(curve), 0.0)
    most = carried.max(axis=1)
    usable = most * (1.0 - targets.headroom)
    with np.errstate(divide="ignore", invalid="ignore"):
        replicas = np.where(usable > 0, np.ceil(demand.amount / usable - 1e-9), np.inf)
    if demand.kind == "batch":
        replicas = np.where(usable > 0, 1.0, np.inf)
    replicas = np.maximum(replicas, 1.0)
    share = most if demand.kind == "batch" else np.where(np.isfinite(replicas), demand.amount / replicas, 0.0)
    scan.most.append(most)
    scan.replicas.append(replicas)
    scan.batch.append(_batch_for(share, np.where(allowed, carried, np.nan), grid))
    scan.ttft.append((meets_ttft & within).any(axis=1))
    scan.tpot.append((meets_tpot & within).any(axis=1))
    scan.best_ttft.append(curve.ttft_p95_s.min(axis=1))
    scan.best_tpot.append(curve.tpot_p95_s.min(axis=1))


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


__all__ = ["Candidates", "Demand", "evaluate", "most_carried", "space_of"]
