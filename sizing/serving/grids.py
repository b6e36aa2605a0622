"""Batch sizes at which the load is looked at, and values between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sizing.base.arrays import FloatArray, as_float


def batch_grid(limit: Any, points: int, least: float = 0.25) -> FloatArray:
    """``points`` batch sizes from ``least`` to ``limit`` in equal ratios, on a new last axis."""
    top = np.maximum(as_float(limit), least * 1.01)[..., None]
    share = np.linspace(0.0, 1.0, points)
    return np.asarray(least * (top / least) ** share, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class FineGrid:
    """``factor`` points an interval between the nodes of a batch grid (last axis), in equal ratios, nodes included.

    Step times are smooth in the batch, and a table costs a look-up where the step model costs a microsecond a point.
    """

    points: FloatArray
    weight: FloatArray

    @classmethod
    def between(cls, nodes: FloatArray, factor: int) -> FineGrid:
        """The grid of ``factor * (nodes - 1) + 1`` points."""
        low, high = nodes[..., :-1, None], nodes[..., 1:, None]
        points = low * (high / low) ** (np.arange(factor) / factor)
        weight = (points - low) / np.maximum(high - low, 1e-300)
        flat = points.reshape(*nodes.shape[:-1], -1)
        return cls(np.concatenate([flat, nodes[..., -1:]], axis=-1), weight)

    def spread(self, table: FloatArray) -> FloatArray:
        """Values at the nodes as values at the points, linear in the batch."""
        left = table[..., :-1, None]
        inner = left + (table[..., 1:, None] - left) * self.weight
        return np.concatenate([inner.reshape(*table.shape[:-1], -1), table[..., -1:]], axis=-1)
