"""The fitted constants of the memory model, read once from ``sizing/coefficients/memory.yaml``."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from typing import Any

import yaml


@lru_cache(maxsize=1)
def memory_constants() -> dict[str, Any]:
    """The whole calibration document: constants with their units, origin and residuals."""
    text = resources.files("sizing.coefficients").joinpath("memory.yaml").read_text(encoding="utf-8")
    document: dict[str, Any] = yaml.safe_load(text)
    return document


def constant(section: str, name: str) -> float:
    """One fitted number, e.g. ``constant("vllm_activation", "fixed_gib")``."""
    return float(memory_constants()[section][name]["value"])
