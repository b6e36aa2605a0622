"""What accelerators of one kind can do with a model at the very most: every placement, every batch.

The planner asks for a rate and targets; a claim asks whether any operating point gives what it says. ``capacity`` scans
all placements of a target over the whole load and keeps the points: tokens/s per accelerator, batch, TPOT, TTFT.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from sizing.base.arrays import FloatArray, as_float
from sizing.base.budget import spend
from sizing.base.errors import SizingError
from sizing.engine.layouts import Space
from sizing.engine.placement import Placement
from sizing.planning.candidates import Demand, Ground, survey
from sizing.planning.target import Target
from sizing.serving import LoadCurve, batch_grid, load_curve
from sizing.study import EngineChoice

TokenKind = Literal["input", "output", "blend"]
POINTS = 48
MOST_NODES = 64


@dataclass(frozen=True)
class OperatingPoint:
    """One placement at one load. batch: sequences per attention data-parallel rank; rates are per accelerator."""

    placement: Placement
    batch: float
    tokens_per_s: float
    ttft_s: float
    tpot_s: float
    concurrency: float
    requests_per_s: float
    prefill_share: float
    accelerators: int


@dataclass(frozen=True)
class Capacity:
    """All points of one target for requests of one shape. Axis 0: placements, axis 1: load."""

    ground: Ground
    curve: LoadCurve
    allowed: Any
    chips: FloatArray

    def tokens_per_s(self, kind: TokenKind) -> FloatArray:
        """Tokens/s of one accelerator. "blend": input and output tokens together, all the time counted. "input",
        "output": those tokens over the share of time that they take, as costs are split (``token_cost``).
        """
        demand, curve = self.ground.demand, self.curve
        rate = curve.requests_per_s / self.chips[:, None]
        if kind == "blend":
            return rate * (demand.input_tokens + demand.output_tokens)
        if kind == "input":
            return rate * demand.input_tokens / np.maximum(curve.prefill_share, 1e-9)
        return rate * demand.output_tokens / np.maximum(1.0 - curve.prefill_share, 1e-9)

    def point(self, row: int, column: int, kind: TokenKind) -> OperatingPoint:
        """The point of a placement and a load."""
        curve = self.curve
        return OperatingPoint(
            placement=self.ground.placements[row],
            batch=float(curve.batch[row, column]),
            tokens_per_s=float(self.tokens_per_s(kind)[row, column]),
            ttft_s=float(curve.ttft_s[row, column]),
            tpot_s=float(curve.tpot_s[row, column]),
            concurrency=float(curve.concurrency[row, column]),
            requests_per_s=float(curve.requests_per_s[row, column]),
            prefill_share=float(curve.prefill_share[row, column]),
            accelerators=int(self.chips[row]),
        )

    def best(self, kind: TokenKind, most_tpot_s: float | None = None) -> OperatingPoint | None:
        """The point of the highest rate per accelerator (with at most this TPOT); None where nothing fits."""
        rate = np.where(self._within(most_tpot_s), self.tokens_per_s(kind), -1.0)
        if not rate.size or rate.max() <= 0:
            return None
        row, column = np.unravel_index(int(np.argmax(rate)), rate.shape)
        return self.point(int(row), int(column), kind)

    def least_batch(self, kind: TokenKind, needed: float, most_tpot_s: float | None = None) -> OperatingPoint | None:
        """The point of the least batch that gives ``needed`` tokens/s per accelerator; None where none does."""
        enough = self._within(most_tpot_s) & (self.tokens_per_s(kind) >= needed)
        if not enough.any():
            return None
        batch = np.where(enough, self.curve.batch, np.inf)
        row, column = np.unravel_index(int(np.argmin(batch)), batch.shape)
        return self.point(int(row), int(column), kind)

    def _within(self, most_tpot_s: float | None) -> Any:
        return self.allowed if most_tpot_s is None else self.allowed & (self.curve.tpot_s <= most_tpot_s)


def nodes_needed(target: Target, most: int = MOST_NODES) -> int:
    """Servers that a replica may span for a fair answer: four times what the weights need, in all at least two."""
    weights = target.arch.total * target.scheme.experts.bits / 8
    server = target.accelerator.usable_bytes * target.node_size
    return int(min(max(2.0, np.ceil(4 * weights / server)), most))


def capacity(
    target: Target,
    input_tokens: float,
    output_tokens: float,
    *,
    context: int | None = None,
    max_nodes: int | None = None,
    max_accelerators: int | None = None,
    points: int = POINTS,
) -> Capacity:
    """Scan every placement of a target (on at most ``max_accelerators``) for requests of these tokens.

    Raises SizingError where no placement is legal or none holds one request.
    """
    demand = Demand.fixed(input_tokens, output_tokens, context)
    nodes = nodes_needed(target) if max_nodes is None else max_nodes
    space = Space(
        target.node_size,
        nodes,
        max_accelerators,
        host_size=target.host_size,
        alone=target.accelerator.works_alone,
    )
    ground = survey(target, demand, space, EngineChoice())
    name = f"{target.arch.name} in {target.scheme.name} on {target.accelerator.name}"
    held_by = f"{nodes} servers" if max_accelerators is None else f"{max_accelerators} x {target.accelerator.name}"
    if ground is None:
        raise SizingError(f"{name}: {target.engine.name} accepts no placement on {held_by}", key="--on")
    if not ground.fits.any():
        raise SizingError(
            f"{name}: not even {held_by} hold the weights and one request of {demand.context:,} tokens",
            key="--context",
        )
    spend(len(ground.placements) * points)
    grid = batch_grid(ground.limit, points, 1.0)
    curve = load_curve(
        target.step, ground.rows(slice(None)), ground.load_of(slice(None)), ground.batching, grid, think_s=0.0
    )
    chips = np.broadcast_to(as_float(ground.flat.accelerators), ground.limit.shape)
    within = curve.concurrency <= (ground.limit * ground.flat.dp)[:, None] * 1.0001
    allowed = ground.fits[:, None] & (within | (np.arange(points) == 0))
    return Capacity(ground, curve, allowed, chips)
