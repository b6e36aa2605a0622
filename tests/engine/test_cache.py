"""Cache bytes by kind, and the blocks of vLLM's hybrid manager against published logs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sizing.base.errors import SizingError
from sizing.engine.cache import (
    CacheGroup,
    block_plan,
    cache_bytes_per_token_per_rank,
    cache_groups,
    sequence_bytes,
)
from sizing.engine.placement import Placement
from sizing.engine.sharding import stages
from sizing.model.architecture import Architecture
from sizing.model.counts import kv_bytes, kv_report
from sizing.model.kv_formats import KV_ALIASES, KV_FORMATS, kv_format
from sizing.model.parts import CacheKind
from sizing.model.sources import load_model

GIB = 2**30


def test_mla_is_not_divided(deepseek_v3: Architecture) -> None:
    """61 x 576 x 2 = 70,272 bytes a token, whatever tp."""
    sizes = cache_bytes_per_token_per_rank(deepseek_v3, Placement(tp=np.array([1, 8, 16])))
    assert sizes.tolist() == [70272.0] * 3
    assert float(cache_bytes_per_token_per_rank(deepseek_v3, Placement(tp=8), "fp8_ds_mla")) == 61 * 656


def test_gqa_is_divided_by_heads_then_copied(qwen3_235b: Architecture) -> None:
    """4 heads: 48,128 bytes a token on each rank at tp 4, 8 and 16."""
    sizes = cache_bytes_per_token_per_rank(qwen3_235b, Placement(tp=np.array([1, 2, 4, 8, 16])))
    assert sizes.tolist() == [192512.0, 96256.0, 48128.0, 48128.0, 48128.0]
    assert float(cache_bytes_per_token_per_rank(qwen3_235b, Placement(), "fp8")) == 96256.0


def test_drafting_layer_adds_its_cache(deepseek_v3: Architecture) -> None:
    assert float(cache_bytes_per_token_per_rank(deepseek_v3, Placement(), speculative_tokens=1)) == 62 * 1152


def test_unknown_dtype() -> None:
    with pytest.raises(SizingError, match="KV cache dtype"):
        kv_format("fp7")


def test_unknown_dtype_lists_the_known_ones() -> None:
    with pytest.raises(SizingError, match=r"--kv-dtype.*one of bf16.*nvfp4.*fp8_per_token_head.*fp4"):
        kv_format("q4")


def test_fp4_has_a_scale_for_16_values(deepseek_v3: Architecture) -> None:
    """61 x 576 x 0.5625 = 19,764 bytes a token."""
    assert kv_bytes(deepseek_v3, 1.0, "fp4") == 61 * 576 * (0.5 + 1 / 16) == 19764
    assert kv_bytes(deepseek_v3, 1.0, "fp8_ds_mla") == 61 * 656


@pytest.mark.parametrize("name", [*KV_FORMATS, *KV_ALIASES])
@pytest.mark.parametrize(
    "model", ["DeepSeek-V3", "DeepSeek-V3.2", "Qwen3-32B", "gpt-oss-20b", "Qwen3-Next-80B-A3B-Instruct"]
)
def test_one_sequence_and_one_rank_hold_the_same(model: str, name: str) -> None:
    """What a token adds to a sequence, unsharded, is what it adds to the only rank."""
    arch = load_model(model)
    held = float(cache_bytes_per_token_per_rank(arch, Placement(), name))
    report = kv_report(arch, 1, name)
    assert report["bytes"] - report["state_bytes_per_sequence"] == pytest.approx(held)  # type: ignore[operator]


def test_gemma3_12b_blocks() -> None:
    """40 window and 8 full layers: 6 groups of 8; 48,867 blocks are 130,304 tokens and 15.88 requests of
    8,192.
    """
    window = CacheGroup(CacheKind.SLIDING, 40, 8192.0, 1024, 0.0)
    full = CacheGroup(CacheKind.FULL, 8, 8192.0, None, 0.0)
    plan = block_plan([window, full], 16)
    assert plan.groups == 6
    assert float(plan.block_bytes) == 2**20
    assert 48867 // plan.groups * 16 == 130304
    assert 48867 / float(plan.request_blocks(8192, 8192, 1)) == pytest.approx(15.88, abs=0.005)


def test_gemma3_27b_is_padded() -> None:
    """52 + 10 layers in groups of 10 take the room of 70."""
    plan = block_plan(
        [CacheGroup(CacheKind.SLIDING, 52, 1.0, 1024, 0.0), CacheGroup(CacheKind.FULL, 10, 1.0, None, 0.0)],
        16,
    )
    assert plan.groups * float(plan.block_bytes) == 70 * 16


def test_recurrent_state_enlarges_blocks() -> None:
    """Qwen3.6-35B-A3B on one rank, fp8 cache: blocks of 2,096 tokens; 5.98 GiB hold 4.33 requests."""
    state = 8192 * 3 * 2 + 32 * 128 * 128 * 4
    plan = block_plan(
        [
            CacheGroup(CacheKind.FULL, 10, 1024.0, None, 0.0),
            CacheGroup(CacheKind.STATE, 30, 0.0, None, float(state)),
        ],
        16,
    )
    assert float(plan.block_tokens) == 2096
    blocks = np.floor(5.98 * GIB / plan.block_bytes)
    assert float(np.floor(blocks / plan.request_blocks(131072, 8192, 2) * 131072)) == 567978


@given(st.integers(1, 200_000), st.integers(1, 200_000))
def test_longer_sequences_never_need_less(first: int, second: int) -> None:
    groups = [
        CacheGroup(CacheKind.SLIDING, 5, 100.0, 512, 0.0),
        CacheGroup(CacheKind.FULL, 1, 100.0, None, 0.0),
        CacheGroup(CacheKind.STATE, 2, 0.0, None, 1e5),
    ]
    short, long = sorted((first, second))
    assert sequence_bytes(groups, short) <= sequence_bytes(groups, long)
    plan = block_plan(groups, 16)
    assert plan.request_blocks(short, 2048, 1) <= plan.request_blocks(long, 2048, 1)


def test_groups_of_a_stage(deepseek_v3: Architecture) -> None:
    groups = cache_groups(deepseek_v3, Placement(pp=2), kv_format("bf16"), stages(deepseek_v3, 2)[0])
    assert [(group.kind, group.layers) for group in groups] == [(CacheKind.MLA, 31)]


@pytest.mark.parametrize(
    ("kv_dtype", "row"),
    [
        ("bf16", 256 * 2), ("fp8", 256), ("nvfp4", 256 / 2 + 256 / 16), ("int8_per_token_head", 256 + 4 + 4),
        ("fp8_per_token_head", 256 + 4 + 4), ("int4_per_token_head", 256 / 2 + 4 + 4),
    ],
)  # fmt: skip
def test_scales_of_keys_and_of_values_are_kept(qwen3_235b: Architecture, kv_dtype: str, row: float) -> None:
    """94 layers x KV heads of the rank x (128 + 128 elements, a scale of 4 bytes for K and one for V)."""
    sizes = cache_bytes_per_token_per_rank(qwen3_235b, Placement(tp=np.array([1, 2, 8])), kv_dtype)
    assert sizes.tolist() == [94 * heads * row for heads in (4, 2, 1)]
