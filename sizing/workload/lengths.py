"""Lengths in tokens: fixed, lognormal, uniform or empirical, truncated to limits."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from sizing.base.checked import Checked, public
from sizing.base.errors import SizingError
from sizing.base.files import bounded_lines
from sizing.base.normal import normal_quantile
from sizing.workload.lognormal import inside, parameters, truncated_quantile

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

MAX_TOKENS = 1 << 31
UNLIMITED = 0.9999  # the quantile that stands for the longest where nothing limits the lengths
_GRID = 4096  # points of the quantile grid behind the moments
_MAX_POINTS = 1_000_000


class LengthDistribution(BaseModel, metaclass=Checked):
    """A distribution of lengths in tokens (whole numbers of at least 1).

    ``fixed``: ``value``. ``lognormal``: ``mean`` or ``median``, and ``p95`` or ``sigma`` (of the natural
    logarithm), or mean and median. ``uniform``: ``low`` to ``high``, both included. ``empirical``: ``values``
    with optional ``weights`` (a histogram's bins). Lengths lie within ``minimum..maximum``: what lies outside is left
    out and the rest scaled up. The mean, median and p95 stated of a lognormal are those of the lengths that remain;
    sigma is that of the logarithm before the limits cut.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["fixed", "lognormal", "uniform", "empirical"]
    value: int | None = Field(None, ge=1, le=MAX_TOKENS)
    mean: float | None = Field(None, ge=1, le=MAX_TOKENS)
    median: float | None = Field(None, ge=1, le=MAX_TOKENS)
    p95: float | None = Field(None, ge=1, le=MAX_TOKENS)
    sigma: float | None = Field(None, ge=0, le=10)
    low: int | None = Field(None, ge=1, le=MAX_TOKENS)
    high: int | None = Field(None, ge=1, le=MAX_TOKENS)
    values: tuple[int, ...] | None = Field(None, min_length=1, max_length=_MAX_POINTS)
    weights: tuple[float, ...] | None = Field(None, max_length=_MAX_POINTS)
    minimum: int = Field(1, ge=1, le=MAX_TOKENS)
    maximum: int = Field(MAX_TOKENS, ge=1, le=MAX_TOKENS)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        needs = {
            "fixed": {"value"},
            "uniform": {"low", "high"},
            "empirical": {"values"},
            "lognormal": set[str](),
        }[self.kind]
        allowed = needs | {"lognormal": {"mean", "median", "p95", "sigma"}, "empirical": {"weights"}}.get(
            self.kind, set()
        )
        every = ("value", "mean", "median", "p95", "sigma", "low", "high", "values", "weights")
        for name in every:
            given = getattr(self, name) is not None
            if given and name not in allowed:
                raise ValueError(f"{name} does not belong to a {self.kind} distribution")
            if not given and name in needs:
                raise ValueError(f"a {self.kind} distribution needs {name}")
        if self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum} is above maximum {self.maximum}")
        if self.kind == "lognormal":
            self._parameters()
        if self.kind == "uniform" and self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")
        if self.values is not None:
            if min(self.values) < 1 or max(self.values) > MAX_TOKENS:
                raise ValueError("values must be at least 1 token")
            if self.weights is not None and (
                len(self.weights) != len(self.values) or min(self.weights) < 0 or sum(self.weights) <= 0
            ):
                raise ValueError("weights must be one number of at least 0 for each value, and not all 0")
            if not any(self.minimum <= value <= self.maximum for value in self.values):
                raise ValueError("no value lies between minimum and maximum")
        return self

    @classmethod
    @public()
    def fixed(cls, value: int) -> LengthDistribution:
        """Always ``value`` tokens."""
        return cls(kind="fixed", value=value)

    @classmethod
    @public()
    def lognormal(cls, *, mean: float | None = None, median: float | None = None, p95: float | None = None,
                  sigma: float | None = None, minimum: int = 1,
                  maximum: int = MAX_TOKENS) -> LengthDistribution:  # fmt: skip
        """See the class; tokens, ``sigma`` without unit."""
        return cls(kind="lognormal", mean=mean, median=median, p95=p95, sigma=sigma, minimum=minimum, maximum=maximum)

    @classmethod
    @public()
    def uniform(cls, low: int, high: int) -> LengthDistribution:
        """Whole numbers from ``low`` to ``high`` tokens, both included."""
        return cls(kind="uniform", low=low, high=high)

    @classmethod
    @public()
    def empirical(cls, values: Sequence[int] | IntArray, weights: Sequence[float] | None = None) -> LengthDistribution:
        """The values seen (repeats are counted together), or a histogram with weights."""
        try:
            points = np.atleast_1d(np.asarray(values, dtype=np.int64))
            shares = np.ones(len(points)) if weights is None else np.atleast_1d(np.asarray(weights, dtype=np.float64))
        except (TypeError, ValueError, OverflowError):
            raise SizingError("must be whole numbers, the weights numbers", key="values") from None
        if points.ndim != 1 or len(points) == 0 or shares.shape != points.shape:
            raise SizingError("an empirical distribution needs values, and one weight for each if any", key="values")
        unique, index = np.unique(points, return_inverse=True)
        summed = np.bincount(index, weights=shares)
        return cls(kind="empirical", values=tuple(unique.tolist()), weights=tuple(summed.tolist()))

    def with_mean(self, mean: float) -> LengthDistribution:
        """The same spread about another mean [tokens]: every length, the limits too, in proportion.

        >>> LengthDistribution.lognormal(mean=1000, p95=3000, maximum=10_000).with_mean(2000).p95
        6000.0
        """
        if not 1 <= mean <= MAX_TOKENS:
            raise SizingError(f"must be from 1 to {MAX_TOKENS:,} tokens, not {mean:g}", key="mean")
        ratio = mean / (self.mean if self.mean is not None else self.mean_tokens)
        data = self.model_dump()

        def scaled(value: float) -> int:
            return int(min(max(1, round(value * ratio)), MAX_TOKENS))

        if self.kind == "lognormal":
            data |= {name: data[name] * ratio for name in ("mean", "median", "p95") if data[name] is not None}
            data["mean"] = None if self.mean is None else float(mean)
        elif self.kind == "empirical":
            assert self.values is not None
            data["values"] = tuple(scaled(value) for value in self.values)
        else:
            data |= {name: scaled(data[name]) for name in ("value", "low", "high") if data[name] is not None}
        if self.minimum > 1:
            data["minimum"] = scaled(self.minimum)
        if self.maximum < MAX_TOKENS:
            data["maximum"] = max(scaled(self.maximum), data["minimum"])
        return LengthDistribution(**data)

    def truncated(self, minimum: int | None = None, maximum: int | None = None) -> LengthDistribution:
        """The same within tighter limits (tokens); SizingError if nothing is left."""
        data = self.model_dump()
        data["minimum"] = max(self.minimum, minimum or 1)
        data["maximum"] = min(self.maximum, maximum or MAX_TOKENS)
        if self.kind == "fixed" and self.value is not None:
            data["value"] = min(max(self.value, data["minimum"]), data["maximum"])
        if self.kind == "lognormal":
            mu, sigma = self._parameters()
            low, high = data["minimum"], data["maximum"]
            middle = float(truncated_quantile(0.5, mu, sigma, max(low - 0.5, 1e-9), high + 0.5))
            data |= {"mean": None, "p95": None, "sigma": sigma, "median": min(max(middle, low), high)}
        try:
            return LengthDistribution(**data)
        except ValueError as error:
            raise SizingError(f"can't truncate the lengths: {error}", key="lengths") from error

    def _parameters(self) -> tuple[float, float]:
        """mu and sigma of the natural logarithm, before the limits cut."""
        return parameters(self.mean, self.median, self.p95, self.sigma, self.minimum, self.maximum)

    def at(self, probability: npt.ArrayLike) -> FloatArray:
        """Quantiles (tokens, not rounded) at probabilities inside (0, 1), any shape."""
        u = np.asarray(probability, dtype=np.float64)
        if self.kind == "fixed":
            assert self.value is not None
            return np.asarray(np.clip(np.full(u.shape, float(self.value)), self.minimum, self.maximum))
        if self.kind == "uniform":
            assert self.low is not None and self.high is not None
            low, high = max(self.low, self.minimum), min(self.high, self.maximum)
            return np.asarray(np.clip(low + np.floor(u * (high - low + 1)), low, high))
        if self.kind == "lognormal":
            mu, sigma = self._parameters()
            if sigma == 0:
                return np.asarray(np.clip(np.full(u.shape, math.exp(mu)), self.minimum, self.maximum))
            below, upto = inside(mu, sigma, max(self.minimum - 0.5, 1e-9), self.maximum + 0.5)
            z = normal_quantile(np.clip(below + u * (upto - below), 1e-15, 1 - 1e-15))
            return np.asarray(np.clip(np.exp(mu + sigma * z), self.minimum, self.maximum))
        assert self.values is not None
        values = np.asarray(self.values, dtype=np.float64)
        weights = np.ones(len(values)) if self.weights is None else np.asarray(self.weights)
        keep = (values >= self.minimum) & (values <= self.maximum)
        values, weights = values[keep], weights[keep]
        order = np.argsort(values, kind="stable")
        edges = np.cumsum(weights[order])
        place = np.searchsorted(edges, u * edges[-1], side="right")
        return np.asarray(values[order][np.minimum(place, len(values) - 1)])

    def quantiles(self, n: int) -> IntArray:
        """``n`` equally likely lengths (tokens), the quantiles at (i + 1/2)/n: a deterministic sample."""
        return np.maximum(1, np.rint(self.at((np.arange(n) + 0.5) / n))).astype(np.int64)

    def sample(self, n: int, rng: np.random.Generator) -> IntArray:
        """``n`` random lengths (tokens)."""
        return np.maximum(1, np.rint(self.at(rng.random(n)))).astype(np.int64)

    @property
    def mean_tokens(self) -> float:
        """Mean after truncation and rounding (tokens)."""
        return float(self.quantiles(_GRID).mean())

    @property
    def scv(self) -> float:
        """Squared coefficient of variation after truncation (no unit)."""
        grid = self.quantiles(_GRID).astype(np.float64)
        return float(grid.var() / grid.mean() ** 2)

    @property
    def longest(self) -> int:
        """The longest that occurs [tokens]: the limit, or what one in ten thousand exceeds where there is none."""
        if self.kind == "lognormal":
            return self.maximum if self.maximum < MAX_TOKENS else math.ceil(float(self.at(UNLIMITED)))
        return int(self.at(1 - 1e-12))

    def percentile(self, percent: float) -> float:
        """The given percentile (tokens), ``percent`` inside (0, 100)."""
        return float(np.rint(self.at(percent / 100)))


class JointLengths(BaseModel, metaclass=Checked):
    """Pairs (input, output) seen together, in tokens: keeps the correlation of a trace. Equally likely."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pairs: tuple[tuple[int, int], ...] = Field(..., min_length=1, max_length=_MAX_POINTS)

    @model_validator(mode="after")
    def _positive(self) -> Self:
        if min(min(pair) for pair in self.pairs) < 1:
            raise ValueError("lengths must be at least 1 token")
        return self

    def arrays(self) -> tuple[IntArray, IntArray]:
        """Input and output tokens of the pairs."""
        table = np.asarray(self.pairs, dtype=np.int64)
        return table[:, 0], table[:, 1]


def _whole(text: str | None, where: str) -> int:
    try:
        value = float((text or "").strip())
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value == int(value) and 1 <= value <= MAX_TOKENS):
        raise SizingError(f"{(text or '')[:40]!r} is not a number of tokens", key=where, hint="a whole number from 1")
    return int(value)


def read_lengths_csv(path: str | Path, *, max_rows: int = _MAX_POINTS) -> JointLengths:
    """A CSV with columns ``input`` and ``output`` (or ``input_tokens``, ``output_tokens``), one request a
    line.

    SizingError names the file, line and column that is wrong.
    """
    pairs: list[tuple[int, int]] = []
    file = Path(path)
    if "\0" in str(file):
        raise SizingError("is not a valid path", key="lengths")
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(bounded_lines(stream, file.name))
            columns = _find_columns(reader.fieldnames or (), file.name)
            for row in reader:
                if len(pairs) >= max_rows:
                    raise SizingError(f"has more than {max_rows} rows", key=file.name)
                where = f"{file.name} line {reader.line_num}"
                pairs.append(
                    (
                        _whole(row[columns["input"]], f"{where} column {columns['input']}"),
                        _whole(row[columns["output"]], f"{where} column {columns['output']}"),
                    )
                )
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SizingError(f"can't be read: {error}", key=file.name) from error
    if not pairs:
        raise SizingError("has no rows", key=file.name)
    return JointLengths(pairs=tuple(pairs))


def _find_columns(names: Sequence[str], file: str) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for name in names:
        plain = (name or "").strip().lower().removesuffix("_tokens").removesuffix("_length")
        if plain in ("input", "output"):
            found.setdefault(plain, name)
    for wanted in ("input", "output"):
        if wanted not in found:
            raise SizingError(f"has no column {wanted!r}", key=file, hint=f"it has {', '.join(names)[:200]}")
    return found
