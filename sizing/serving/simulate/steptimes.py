"""Step times for the simulator: the protocol, a table of one for the hot loop, and a simple affine model."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from sizing.base.errors import SizingError


@runtime_checkable
class StepTimes(Protocol):
    """The time of one forward step of one replica, in seconds; arguments broadcast."""

    def step_seconds(
        self, decode_seqs: Any, decode_context_mean: Any, prefill_tokens: Any, prefill_context_mean: Any
    ) -> Any:
        """Seconds of a step.

        ``decode_seqs``: sequences that produce a token; ``decode_context_mean``: mean tokens each of them
        attends to (tokens, ignored at 0 sequences); ``prefill_tokens``: prompt tokens computed in the step (0
        for a pure decode step); ``prefill_context_mean``: mean over those tokens of the tokens each attends
        to, so a prompt of n tokens computed at once has n/2 and a chunk of n after p cached tokens has p +
        n/2.
        """
        ...


@dataclass(frozen=True, slots=True)
class AffineStepTimes:
    """t = fixed + B*(per_sequence + per_context_token*context) + P*(per_prefill_token +
    per_prefill_pair*context).

    Units: seconds, seconds per sequence, seconds per sequence and context token, seconds per prompt token,
    seconds per pair of prompt token and attended token. Good for tests and for replaying a fitted engine.
    """

    fixed: float = 8e-3
    per_sequence: float = 2e-5
    per_context_token: float = 1e-8
    per_prefill_token: float = 5e-5
    per_prefill_pair: float = 0.0

    def step_seconds(
        self, decode_seqs: Any, decode_context_mean: Any, prefill_tokens: Any, prefill_context_mean: Any
    ) -> Any:
        """See :class:`StepTimes`."""
        decode = decode_seqs * (self.per_sequence + self.per_context_token * decode_context_mean)
        prefill = prefill_tokens * (self.per_prefill_token + self.per_prefill_pair * prefill_context_mean)
        return self.fixed + decode + prefill


def _log_nodes(low: float, high: float, per_octave: float) -> list[float]:
    """Log-spaced nodes from ``low`` to at least ``high``, ``per_octave`` of them for each doubling."""
    high = max(high, 2 * low)
    count = max(2, math.ceil(math.log2(high / low) * per_octave) + 1)
    return [float(x) for x in np.geomspace(low, high, count)]


class InterpolatedStepTimes:
    """Any :class:`StepTimes` tabulated once; scalar look-ups take about a microsecond.

    Pure decode steps are tabulated for each number of sequences and log-spaced contexts; steps with prefill
    on a log-spaced grid in all four arguments with multilinear interpolation (exact for functions such as
    :class:`AffineStepTimes`; a kink of a roofline is rounded over one cell). Beyond the grid it extrapolates
    linearly. Building costs ``max_decode_seqs * ~20 + ~40,000`` evaluations in two broadcast calls.
    """

    def __init__(
        self,
        source: StepTimes,
        *,
        max_decode_seqs: int,
        max_context: int,
        max_prefill_tokens: int,
    ) -> None:
        if max_decode_seqs < 1 or max_context < 1 or max_prefill_tokens < 1:
            raise SizingError("limits of the step-time table must be at least 1")
        self.max_decode_seqs = max_decode_seqs
        context = [0.0, *_log_nodes(64.0, float(max_context), 2)]
        seqs = [0.0, *_log_nodes(1.0, float(max_decode_seqs), 2)]
        prefill = _log_nodes(1.0, float(max_prefill_tokens), 1.5)
        reach = [0.0, *_log_nodes(128.0, float(max_context), 0.75)]
        rows = np.arange(max_decode_seqs + 1, dtype=np.float64)
        nodes = np.asarray(context)
        table = self._evaluate(source, (len(rows), len(nodes)), rows[:, None], nodes[None, :], 0.0, 0.0)
        slope = np.diff(table, axis=1) / np.diff(nodes)[None, :]
        base = table[:, :-1] - slope * nodes[None, :-1]
        self._decode_inner = context[1:-1]
        self._decode_base: list[list[float]] = base.tolist()
        self._decode_slope: list[list[float]] = slope.tolist()
        axes = (seqs, context[::2] if len(context) > 12 else context, prefill, reach)
        self._axes = [np.asarray(axis) for axis in axes]
        grids = np.meshgrid(*self._axes, indexing="ij", sparse=True)
        shape = tuple(len(axis) for axis in axes)
        self._grid = self._evaluate(source, shape, *grids)
        self._inner = [list(axis[1:-1]) for axis in axes]
        self._nodes = [list(axis) for axis in axes]
        self._inverse = [[1.0 / (b - a) for a, b in pairwise(axis)] for axis in axes]
        self._cells: dict[int, tuple[float, ...]] = {}

    @staticmethod
    def _evaluate(source: StepTimes, shape: Sequence[int], b: Any, c: Any, p: Any, q: Any) -> npt.NDArray[np.float64]:
        values = np.broadcast_to(np.asarray(source.step_seconds(b, c, p, q), dtype=np.float64), tuple(shape))
        if not np.all(np.isfinite(values)) or np.any(values <= 0):
            raise SizingError("the step-time model gave a time that is not positive and finite")
        return values

    def decode(self, seqs: int, context: float) -> float:
        """Seconds of a pure decode step of ``seqs`` sequences with mean context ``context`` (tokens)."""
        j = bisect_right(self._decode_inner, context)
        return self._decode_base[seqs][j] + self._decode_slope[seqs][j] * context

    def _cell(self, key: int, i: int, j: int, k: int, m: int) -> tuple[float, ...]:
        """Coefficients of the multilinear polynomial of one cell in local coordinates."""
        cube = np.array(self._grid[i : i + 2, j : j + 2, k : k + 2, m : m + 2])
        for axis in range(4):
            low, high = np.split(cube, 2, axis=axis)
            cube = np.concatenate([low, high - low], axis=axis)
        found = tuple(float(x) for x in cube.ravel())
        self._cells[key] = found
        return found

    def mixed(self, seqs: float, context: float, prefill: float, reach: float) -> float:
        """Seconds of a step of ``seqs`` decoding sequences and ``prefill`` prompt tokens (at least 1)."""
        inner, nodes, inverse = self._inner, self._nodes, self._inverse
        i = bisect_right(inner[0], seqs)
        j = bisect_right(inner[1], context)
        k = bisect_right(inner[2], prefill)
        m = bisect_right(inner[3], reach)
        x = (seqs - nodes[0][i]) * inverse[0][i]
        y = (context - nodes[1][j]) * inverse[1][j]
        z = (prefill - nodes[2][k]) * inverse[2][k]
        w = (reach - nodes[3][m]) * inverse[3][m]
        key = ((i << 20) | (j << 10) | k) << 10 | m
        cell = self._cells.get(key) or self._cell(key, i, j, k, m)
        a, b, c, d, e, f, g, h, p, q, r, s, t, u, v, o = cell
        return (
            a + b * w + z * (c + d * w) + y * (e + f * w + z * (g + h * w))
            + x * (p + q * w + z * (r + s * w) + y * (t + u * w + z * (v + o * w)))
        )  # fmt: skip

    def step_seconds(
        self, decode_seqs: Any, decode_context_mean: Any, prefill_tokens: Any, prefill_context_mean: Any
    ) -> Any:
        """See :class:`StepTimes`; broadcasts (by a Python loop: for checks, not for speed)."""

        def one(b: float, c: float, p: float, q: float) -> float:
            return self.mixed(b, c, p, q) if p > 0 else self.decode(round(b), c)

        found = np.vectorize(one, otypes=[np.float64])(
            decode_seqs, decode_context_mean, prefill_tokens, prefill_context_mean
        )
        return float(found) if found.ndim == 0 else found
