"""Provisional: replaced by the fitted coefficients."""

from __future__ import annotations

from dataclasses import dataclass

from sizing.serving import Batching
from sizing.step import Overheads


@dataclass(frozen=True, slots=True)
class ServingCoefficients:
    overheads: Overheads
    batching: Batching
    origin: str = ""


def serving_coefficients(engine: str, family: str) -> ServingCoefficients:
    return ServingCoefficients(
        Overheads(layer_s=15e-6, step_s=3e-4, elementwise=25.0), Batching(mixed=engine != "sglang")
    )
