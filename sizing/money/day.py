"""A day with replicas scaled by the hour, beside the day that keeps the peak's replicas."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ScaledDay:
    """Replicas of each hour, spares included, and what both days cost [USD]; saved: share of the peak's cost [1]."""

    replicas: tuple[int, ...]
    usd_per_day: float
    usd_per_day_at_peak: float
    saved: float
    usd_per_request: float

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def scaled_day(
    weights: Sequence[float],
    peak_rate: float,
    rate_per_replica: float,
    peak_replicas: int,
    spare: int,
    usd_per_hour: float,
) -> ScaledDay:
    """Replicas scaled by the hour to a daily curve: at least one, never more than at the peak.

    weights: relative load of the hours. peak_rate: of the busiest hour [requests/s]. rate_per_replica: what each carries
    at the peak [requests/s]. peak_replicas: spares included. usd_per_hour: of all of them. Valid where hours are paid one by
    one (rent): owned machines cost the same when idle. Starting a replica takes minutes that are left out.

    >>> day = scaled_day([1] * 12 + [3] * 12, 6.0, 2.0, 3, 0, 30.0)
    >>> (day.replicas[0], day.replicas[12], day.usd_per_day, day.usd_per_day_at_peak)
    (1, 3, 480.0, 720.0)
    """
    most = max(weights)
    working = max(peak_replicas - spare, 1)
    replicas = tuple(
        min(max(math.ceil(round(peak_rate * weight / most / rate_per_replica, 6)), 1), working) + spare
        for weight in weights
    )
    each = usd_per_hour / peak_replicas
    cost, peak = sum(replicas) * each, usd_per_hour * len(weights)
    requests = sum(peak_rate * weight / most for weight in weights) * 3600.0
    return ScaledDay(replicas, cost, peak, 1 - cost / peak if peak else 0.0, cost / requests)
