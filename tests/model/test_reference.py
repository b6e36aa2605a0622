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

from sizing.model.architecture import Architecture
from sizing.model.config import parse_config
from sizing.model.counts import kv_bytes

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "data" / "reference.json").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("case", CASES, ids=[case["label"] for case in CASES])
def test_total_agrees_with_the_reference(case: dict[str, Any]) -> None:
    arch = parse_config(case["config"])
    assert arch.total == case["total"]
    assert sum(arch.components().values()) == arch.total
    assert arch.num_layers == len(arch.layer_order)
    if "cache_8" in case:  # elements of the cache of 8 tokens, measured
        assert kv_bytes(arch, 8.0, 1.0) == cache_bytes(case["cache_8"], arch)


def cache_bytes(elements: int, arch: Architecture) -> float:
    """Elements to what ``kv_bytes`` gives at 1 byte an element: states stay at 2 bytes."""
    states = sum(group.count * group.mixer.cache.state_elements for group in arch.groups)
    return float(elements + states)
