"""Totals of odd configs (missing keys, biases, tied heads, layer lists) against the reference modelling code.

The numbers in tests/data/reference.json were taken by building each config with transformers 5.24 on the
meta device; the configs are variants of catalog entries and of the families' defaults, most of them cut to
few layers.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sizing.model.config import parse_config

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "data" / "reference.json").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("case", CASES, ids=[case["label"] for case in CASES])
def test_total_agrees_with_the_reference(case: dict[str, Any]) -> None:
    arch = parse_config(case["config"])
    assert arch.total == case["total"]
    assert sum(arch.components().values()) == arch.total
    assert arch.num_layers == len(arch.layer_order)
