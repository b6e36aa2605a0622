"""Lognormal lengths between limits: what is stated (mean, median, 95th percentile) holds for the lengths that occur.

Source: moments of a lognormal truncated to [a, b] (Johnson, Kotz, Balakrishnan, Continuous Univariate Distributions 1,
section 14.9): E[X] = exp(mu + s^2/2) (Phi(b' - s) - Phi(a' - s)) / (Phi(b') - Phi(a')), a' = (ln a - mu)/s.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from sizing.base.normal import normal_cdf, normal_quantile

FloatArray = npt.NDArray[np.float64]
Figure = Callable[[npt.ArrayLike, npt.ArrayLike, float, float], FloatArray]
Z95 = 1.6448536269514722
WIDEST = 10.0  # sigma of the natural logarithm
CLOSE = 1e-3  # of a figure found to the one stated
LEAST_INSIDE = 1e-9  # share of the distribution that must lie between the limits
_STEPS = 60  # halvings of an interval
_GRID = 64  # sigmas looked at side by side


def inside(mu: npt.ArrayLike, sigma: npt.ArrayLike, low: float, high: float) -> FloatArray:
    """Probabilities below ``low`` and below ``high`` [tokens], last axis of two."""
    limits = np.log(np.array([max(low, 1e-9), high]))
    middle, width = np.asarray(mu, dtype=np.float64)[..., None], np.asarray(sigma, dtype=np.float64)[..., None]
    return normal_cdf((limits - middle) / np.maximum(width, 1e-12))


def truncated_quantile(p: float, mu: npt.ArrayLike, sigma: npt.ArrayLike, low: float, high: float) -> FloatArray:
    """The quantile of what lies between the limits [tokens]."""
    ends = inside(mu, sigma, low, high)
    share = ends[..., 0] + p * (ends[..., 1] - ends[..., 0])
    return np.asarray(
        np.clip(
            np.exp(np.asarray(mu) + np.asarray(sigma) * normal_quantile(np.clip(share, 1e-15, 1 - 1e-15))), low, high
        )
    )


def truncated_mean(mu: npt.ArrayLike, sigma: npt.ArrayLike, low: float, high: float) -> FloatArray:
    """The mean of what lies between the limits [tokens].

    >>> round(float(truncated_mean(0.0, 1.0, 1e-9, 1e9)), 4)  # exp(1/2): no limit in reach
    1.6487
    """
    mu, sigma = np.asarray(mu, dtype=np.float64), np.maximum(np.asarray(sigma, dtype=np.float64), 1e-9)
    ends, moved = inside(mu, sigma, low, high), inside(mu + sigma * sigma, sigma, low, high)
    share = ends[..., 1] - ends[..., 0]
    mass = moved[..., 1] - moved[..., 0]
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        mean = np.exp(np.minimum(mu + sigma * sigma / 2, 700.0)) * mass / share
    lost = ~np.isfinite(mean) | (share < LEAST_INSIDE)
    edge = np.where(
        mu > math.log(high), high, np.where(mu < math.log(max(low, 1e-9)), low, np.exp(np.minimum(mu, 700.0)))
    )
    return np.asarray(np.clip(np.where(lost, edge, mean), low, high))


def free_parameters(
    mean: float | None, median: float | None, p95: float | None, sigma: float | None
) -> tuple[float, float]:
    """(mu, sigma) of ln(length) from exactly two of the four, no limits; ValueError where they don't go together."""
    if sum(value is not None for value in (mean, median, p95, sigma)) != 2 or (mean is None and median is None):
        raise ValueError("lognormal needs mean or median, and one of p95, sigma, or both mean and median")
    if median is not None:
        if sigma is not None:
            return math.log(median), sigma
        if p95 is not None:
            if p95 < median:
                raise ValueError(f"p95 {p95:g} is below the median {median:g}")
            return math.log(median), math.log(p95 / median) / Z95
        assert mean is not None
        if mean < median:
            raise ValueError(f"the mean {mean:g} of a lognormal is not below its median {median:g}")
        return math.log(median), math.sqrt(2 * math.log(mean / median))
    assert mean is not None
    if sigma is None:
        assert p95 is not None
        room = Z95**2 - 2 * math.log(p95 / mean)
        if p95 < mean or room < 0:
            raise ValueError(f"p95/mean must be between 1 and {math.exp(Z95**2 / 2):.2f} for a lognormal")
        sigma = Z95 - math.sqrt(room)
    return math.log(mean) - sigma * sigma / 2, sigma


@lru_cache(maxsize=4096)
def parameters(
    mean: float | None, median: float | None, p95: float | None, sigma: float | None, minimum: int, maximum: int
) -> tuple[float, float]:
    """(mu, sigma) whose lengths between the limits have the mean, median or 95th percentile stated.

    sigma, where given, is that of the logarithm before the limits cut. Raises ValueError where nothing has those
    figures within the limits.

    >>> mu, sigma = parameters(1155.0, None, 4083.0, None, 1, 14_050)
    >>> round(float(truncated_mean(mu, sigma, 0.5, 14_050.5)))
    1155
    >>> round(float(truncated_quantile(0.95, mu, sigma, 0.5, 14_050.5)))
    4083
    """
    low, high = max(minimum - 0.5, 1e-9), maximum + 0.5
    for name, value in (("mean", mean), ("median", median), ("p95", p95)):
        if value is not None and not minimum <= value <= maximum:
            raise ValueError(
                f"{name} {value:g} lies outside the limits, {minimum:,} to {maximum:,}: raise the maximum or leave it out"
                if value > maximum
                else f"{name} {value:g} lies outside the limits, {minimum:,} to {maximum:,}"
            )
    free: tuple[float, float] | None
    try:
        free = free_parameters(mean, median, p95, sigma)
    except ValueError:
        if maximum >= 1 << 31 or sum(value is not None for value in (mean, median, p95, sigma)) != 2:
            raise
        if (p95 or math.inf) < (mean or median or 0.0) or (mean or math.inf) < (median or 0.0):
            raise
        if mean is None and median is None:
            raise
        free = None  # beyond what an unlimited one can be; within limits there may be one
    if free is not None and (free[1] == 0 or _holds(free, low, high)):
        return free
    first: tuple[Figure, float | None] = (truncated_mean, mean) if mean is not None else (_median, median)
    assert first[1] is not None
    if sigma is not None:
        mu = _middle(first, np.array([sigma]), low, high)[0]
        _check_share(mu, sigma, low, high)
        return float(mu), float(sigma)
    second: tuple[Figure, float | None] = (_p95, p95) if p95 is not None else (_median, median)
    assert second[1] is not None
    nothing = f"nothing between {minimum:,} and {maximum:,} has those two figures: raise the maximum or leave it out"
    sigmas = np.geomspace(1e-4, WIDEST, _GRID)
    for _ in range(6):  # each round narrows the bracket 63 times
        gap = second[0](_middle(first, sigmas, low, high), sigmas, low, high) - second[1]
        change = np.flatnonzero(np.sign(gap[:-1]) != np.sign(gap[1:]))
        if len(change) == 0:
            if np.min(np.abs(gap)) < 1e-6 * second[1]:
                break
            raise ValueError(nothing)
        sigmas = np.linspace(sigmas[change[0]], sigmas[change[0] + 1], _GRID)
    sigma = float(sigmas[len(sigmas) // 2])
    mu = float(_middle(first, np.array([sigma]), low, high)[0])
    for figure, value in (first, second):
        assert value is not None
        if not abs(float(figure(mu, sigma, low, high)) / value - 1) < CLOSE:
            raise ValueError(nothing)
    return mu, sigma


def _median(mu: npt.ArrayLike, sigma: npt.ArrayLike, low: float, high: float) -> FloatArray:
    return truncated_quantile(0.5, mu, sigma, low, high)


def _p95(mu: npt.ArrayLike, sigma: npt.ArrayLike, low: float, high: float) -> FloatArray:
    return truncated_quantile(0.95, mu, sigma, low, high)


def _holds(free: tuple[float, float], low: float, high: float) -> bool:
    """Whether so little lies outside the limits that the figures stand as they are."""
    below, upto = inside(free[0], free[1], low, high)
    return bool(below + (1.0 - upto) < 1e-9)


def _check_share(mu: float, sigma: float, low: float, high: float) -> None:
    if sigma > 0 and np.diff(inside(mu, sigma, low, high))[0] < LEAST_INSIDE:
        raise ValueError("nearly nothing of the distribution lies between minimum and maximum")


def _middle(wanted: tuple[Figure, float | None], sigmas: FloatArray, low: float, high: float) -> FloatArray:
    """mu for each sigma, so that the figure is as wanted: each figure grows with mu."""
    figure, value = wanted
    assert value is not None
    least = np.full(sigmas.shape, math.log(low) - 6.0) - 6 * sigmas
    most = np.full(sigmas.shape, math.log(high) + 6.0) + 6 * sigmas
    for _ in range(_STEPS):
        mu = (least + most) / 2
        above = figure(mu, sigmas, low, high) > value
        most, least = np.where(above, mu, most), np.where(above, least, mu)
    return (least + most) / 2
