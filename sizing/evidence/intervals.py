"""Provisional."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    low: float
    high: float
    reasons: tuple[str, ...] = ()


def spread(quantity: str, **case: object) -> Spread:
    return Spread(0.75, 1.33, ("provisional",))
