"""How far predictions are from measurements: error tables by any key, as text, Markdown or CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from sizing.base.arrays import FloatArray
from sizing.base.errors import SizingError

HEAD = ("group", "rows", "answered", "median error", "mean error", "p90 error", "bias", "coverage")


@dataclass(frozen=True, slots=True)
class Errors:
    """Errors of one group. All but the counts are shares (0.13 is 13%); NaN where nothing was answered.

    error is ``|p50 - measured| / measured``: its median, mean and 90th percentile over answered rows. bias:
    median of ``(p50 - measured) / measured``; positive: predicted too large. coverage: share of answered rows
    whose measurement lies in [p10, p90]; NaN where no intervals were given. A row is answered when its p50 is
    finite and positive.
    """

    group: str
    rows: int
    answered: int
    median: float
    mean: float
    p90: float
    bias: float
    coverage: float

    @property
    def share_answered(self) -> float:
        """Rows answered over rows; NaN of none."""
        return self.answered / self.rows if self.rows else float("nan")


@dataclass(frozen=True, slots=True)
class Predictions:
    """Arrays of equal length: measured values and predicted 10th, 50th, 90th percentile, in any one unit a
    row.

    NaN in p50 means not answered; NaN in p10 or p90, no interval. Rows without a measurement (NaN or not
    positive) count nowhere.
    """

    measured: FloatArray
    p50: FloatArray
    p10: FloatArray
    p90: FloatArray

    @classmethod
    def of(
        cls,
        measured: ArrayLike,
        p50: ArrayLike,
        p10: ArrayLike | None = None,
        p90: ArrayLike | None = None,
    ) -> Predictions:
        """From anything like an array. Raises SizingError when the lengths differ."""
        actual = np.asarray(measured, dtype=np.float64).reshape(-1)
        blank = np.full(actual.shape, np.nan)
        arrays = [
            blank if values is None else np.asarray(values, dtype=np.float64).reshape(-1) for values in (p50, p10, p90)
        ]
        for name, values in zip(("p50", "p10", "p90"), arrays, strict=True):
            if values.shape != actual.shape:
                raise SizingError(f"{values.size} predictions for {actual.size} measurements", key=name)
        return cls(actual, *arrays)

    def __len__(self) -> int:
        return int(self.measured.size)


def errors(data: Predictions, group: str = "all", where: ArrayLike | None = None) -> Errors:
    """Errors over the rows for which ``where`` holds (all if None) and for which there is a measurement."""
    chosen = np.ones(len(data), dtype=bool) if where is None else np.asarray(where, dtype=bool)
    chosen = chosen & np.isfinite(data.measured) & (data.measured > 0)
    good = chosen & np.isfinite(data.p50) & (data.p50 > 0)
    if not good.any():
        nan = float("nan")
        return Errors(group, int(chosen.sum()), 0, nan, nan, nan, nan, nan)
    actual = data.measured[good]
    limit = np.finfo(np.float64).max / 4  # errors beyond it are infinite to any reader, and stay printable
    with np.errstate(over="ignore"):
        signed = np.minimum((data.p50[good] - actual) / actual, limit)
    absolute = np.abs(signed)
    low, high = data.p10[good], data.p90[good]
    banded = np.isfinite(low) & np.isfinite(high)
    inside = (low <= actual) & (actual <= high)
    return Errors(
        group=group,
        rows=int(chosen.sum()),
        answered=int(good.sum()),
        median=float(np.median(absolute)),
        mean=float(np.sum(absolute / absolute.size)),
        p90=float(np.quantile(absolute, 0.9)),
        bias=float(np.median(signed)),
        coverage=float(np.mean(inside[banded])) if banded.any() else float("nan"),
    )


def error_table(data: Predictions, groups: Mapping[str, Sequence[str]] | None = None) -> list[Errors]:
    """One line for all rows, then one per value of each key: ``{"model": [...], "machine": [...]}``.

    Labels are one per row; lines of a key come by number of rows, and are named ``key=value``.
    Raises SizingError when a key has not one label per row.
    """
    table = [errors(data)]
    for key, labels in (groups or {}).items():
        if len(labels) != len(data):
            raise SizingError(f"{len(labels)} labels for {len(data)} rows", key=key)
        names = np.asarray([str(label) for label in labels], dtype=object)
        lines = [errors(data, f"{key}={name}", names == name) for name in dict.fromkeys(names.tolist())]
        table += sorted((line for line in lines if line.rows), key=lambda line: (-line.rows, line.group))
    return table


def _percent(value: float, signed: bool = False) -> str:
    if not np.isfinite(value):
        return "–"
    return f"{value * 100:+.1f}%" if signed else f"{value * 100:.1f}%"


def _cells(line: Errors) -> tuple[str, ...]:
    figures = (_percent(x) for x in (line.share_answered, line.median, line.mean, line.p90))
    return (line.group, str(line.rows), *figures, _percent(line.bias, signed=True), _percent(line.coverage))


def as_text(table: Sequence[Errors]) -> str:
    """Aligned columns for a terminal."""
    rows = [HEAD, *(_cells(line) for line in table)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEAD))]

    def line(row: tuple[str, ...]) -> str:
        first = row[0].ljust(widths[0])
        return "  ".join(
            [first, *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        ).rstrip()

    return "\n".join(line(row) for row in rows)


def as_markdown(table: Sequence[Errors]) -> str:
    """A Markdown table; pipes and angle brackets in names are escaped."""
    safe = str.maketrans({"|": "\\|", "<": "&lt;", ">": "&gt;", "\n": " ", "\r": " "})
    lines = ["| " + " | ".join(HEAD) + " |", "|---|" + "---:|" * (len(HEAD) - 1)]
    lines += ["| " + " | ".join(cell.translate(safe) for cell in _cells(line)) + " |" for line in table]
    return "\n".join(lines)
