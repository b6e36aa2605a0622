"""Which placements engines refuse, by the name of the rule."""

from __future__ import annotations

import pytest

from sizing.base.errors import PlacementError
from sizing.engine.placement import Placement, check, problems
from sizing.engine.registry import get_engine
from sizing.model.architecture import Architecture
from sizing.model.quantization.schemes import scheme


def rules(arch: Architecture, placement: Placement, weights: str = "bf16", version: str | None = None) -> list[str]:
    return [item.rule for item in problems(arch, placement, scheme(weights), get_engine("vllm", version))]


def test_sizes_of_a_replica() -> None:
    placement = Placement(tp=4, pp=2, dp=4, ep=16)
    assert placement.accelerators == 32
    assert placement.moe_tp == 1
    assert placement.describe() == "TP4 PP2 DP4 EP16"


def test_heads_must_divide(qwen2_7b: Architecture) -> None:
    assert rules(qwen2_7b, Placement(tp=4)) == []
    assert "heads_not_divisible" in rules(qwen2_7b, Placement(tp=8))
    with pytest.raises(PlacementError, match="28 attention heads") as caught:
        check(qwen2_7b, Placement(tp=8), scheme("bf16"))
    assert caught.value.rule == "heads_not_divisible"


def test_kv_heads_divide_or_are_copied(qwen3_235b: Architecture) -> None:
    assert "kv_heads_not_divisible" not in rules(qwen3_235b, Placement(tp=8))
    assert rules(qwen3_235b, Placement(tp=16)) == []


@pytest.mark.parametrize(("tp", "legal"), [(1, True), (2, True), (4, True), (8, False)])
def test_fp8_blocks_of_qwen3_235b(qwen3_235b: Architecture, tp: int, legal: bool) -> None:
    """1536 / 8 = 192 is not a multiple of 128: vLLM 0.23 refuses it, spreading experts cures it."""
    found = rules(qwen3_235b, Placement(tp=tp), "fp8_block", "0.23.0")
    assert ("fp8_block_not_divisible" not in found) is legal
    assert rules(qwen3_235b, Placement(tp=tp, ep=tp), "fp8_block", "0.23.0") == []


def test_newer_vllm_repairs_fp8_blocks(qwen3_235b: Architecture) -> None:
    assert rules(qwen3_235b, Placement(tp=8), "fp8_block", "0.33.0") == []


def test_pipeline_and_experts(qwen2_7b: Architecture, deepseek_v3: Architecture) -> None:
    assert rules(qwen2_7b, Placement(pp=29)) == ["more_stages_than_layers"]
    assert rules(qwen2_7b, Placement(tp=2, ep=2)) == ["no_experts"]
    assert rules(deepseek_v3, Placement(tp=8, ep=3)) == ["ep_does_not_divide"]
    assert rules(deepseek_v3, Placement(tp=1, dp=320, ep=320)) == ["more_ranks_than_experts"]
    assert [item.rule for item in problems(deepseek_v3, Placement(tp=3, ep=3), scheme("bf16"), get_engine("sglang"))][
        -1
    ] == "experts_not_divisible"


def test_bad_sizes(qwen2_7b: Architecture) -> None:
    assert rules(qwen2_7b, Placement(tp=0)) == ["size_not_positive"]
