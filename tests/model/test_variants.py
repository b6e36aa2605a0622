"""Random legal variants of every family, against the reference modelling code.

tests/data/variants.json is written by tools/reference_counts.py, which builds each config with transformers, counts
its parameters and measures its cache after eight tokens.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sizing.model.config import parse_config
from sizing.model.counts import kv_bytes
from sizing.model.parts import CacheKind

TOKENS = 8
CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "data" / "variants.json").read_text(encoding="utf-8")
)
TYPES = sorted({case["config"]["model_type"] for case in CASES})


@pytest.mark.parametrize("model_type", TYPES)
def test_counts_of_variants_agree_with_the_reference(model_type: str) -> None:
    for case in CASES:
        if case["config"]["model_type"] != model_type:
            continue
        arch = parse_config(case["config"])
        parts = arch.components()
        assert arch.total == case["total"] == sum(parts.values())
        assert arch.embedding == case["embedding"]
        assert arch.tie_word_embeddings == case["tied"]
        assert parts["routed_experts"] == case["routed"]
        assert parts["vision"] == case["vision"]
        assert arch.total - arch.active - parts["vision"] == case["idle"]
        if "windows" in case:
            caches = [arch.groups[index].mixer.cache for index in arch.layer_order]
            assert sorted(cache.window for cache in caches if cache.kind is CacheKind.SLIDING) == case["windows"]
        if "cache" in case:
            elements = kv_bytes(arch, float(TOKENS), 1.0)
            for group in arch.groups:  # states are counted at 2 bytes, index keys at 2 bytes, whatever the dtype
                cache = group.mixer.cache
                elements -= group.count * (cache.state_elements + cache.indexer_bytes_per_token * TOKENS / 2)
            assert elements == case["cache"]


def test_the_table_is_broad() -> None:
    assert len(TYPES) > 90
    assert sum("cache" in case for case in CASES) > 200
