"""Deployments that publishers and operators describe must come out as they say, with stated tolerances."""

from __future__ import annotations

import pytest

from sizing.base.errors import PlacementError, SizingError
from sizing.engine.placement import Placement
from sizing.planning.estimate import estimate
from sizing.planning.planner import plan
from sizing.study import parse_study


def fits(model: str, on: str, place: Placement, **parts: object) -> bool:
    try:
        estimate(model, on, place, input_tokens=1024, output_tokens=1024, concurrency=1, **parts)  # type: ignore[arg-type]
    except SizingError as error:
        assert "does not fit" in str(error), error
        return False
    return True


def test_deepseek_on_one_h200_server_and_two_h100_servers() -> None:
    """671 GB of FP8 weights: 8 x 141 GB hold them, 8 x 80 GB do not, 16 x 80 GB do."""
    assert fits("deepseek-ai/DeepSeek-R1", "h200-sxm", Placement(tp=8))
    assert not fits("deepseek-ai/DeepSeek-R1", "h100-sxm", Placement(tp=8))
    assert fits("deepseek-ai/DeepSeek-R1", "h100-sxm", Placement(tp=8, pp=2))


def test_qwen3_235b_on_four_and_eight_h100() -> None:
    """FP8 on 4 (TP4); BF16 needs all 8; FP8 blocks do not divide at TP8, so experts are spread whole (EP8)."""
    assert fits("Qwen/Qwen3-235B-A22B-FP8", "h100-sxm", Placement(tp=4))
    assert not fits("Qwen/Qwen3-235B-A22B", "h100-sxm", Placement(tp=4), weights="bf16")
    assert fits("Qwen/Qwen3-235B-A22B", "h100-sxm", Placement(tp=8), weights="bf16")
    with pytest.raises(PlacementError, match="FP8 block") as refused:
        estimate(
            "Qwen/Qwen3-235B-A22B-FP8", "h100-sxm", Placement(tp=8), input_tokens=1024, output_tokens=1024,
            concurrency=1, engine="vllm", engine_version="0.19",
        )  # fmt: skip
    assert refused.value.rule == "fp8_block_not_divisible"
    assert fits("Qwen/Qwen3-235B-A22B-FP8", "h100-sxm", Placement(tp=8, ep=8))


@pytest.mark.parametrize(("weights", "expected"), [("bf16", False), ("int4_awq", True)])
def test_qwen3_32b_at_128k_on_one_a100(weights: str, expected: bool) -> None:
    """32 GiB of cache for 131,072 tokens beside 61 GiB of BF16 weights do not go into 80 GB; beside 4 bits they do."""
    try:
        estimate(
            "Qwen/Qwen3-32B", "a100-80gb-sxm", Placement(), input_tokens=130_000, output_tokens=1000, concurrency=1,
            weights=weights,
        )  # fmt: skip
        found = True
    except SizingError:
        found = False
    assert found is expected


def test_deepseek_w8a8_on_two_atlas_servers() -> None:
    """The maker states 16 x 910B (64 GB) for DeepSeek-R1 in W8A8."""
    assert fits("deepseek-ai/DeepSeek-R1", "ascend-910b", Placement(tp=4, dp=4, ep=16), weights="int8")
    assert not fits("deepseek-ai/DeepSeek-R1", "ascend-910b", Placement(tp=8), weights="int8")


def test_single_stream_speed_of_llama_8b_on_h100() -> None:
    """vLLM's blog of 2026-04-22: ITL(ms) = 6.44 + 4.37e-5 x context in BF16 on one H100. Within 15%."""
    for context in (1024, 32_768, 100_000):
        answer = estimate(
            "meta-llama/Llama-3.1-8B-Instruct", "h100-sxm", Placement(), input_tokens=context, output_tokens=2,
            concurrency=1, weights="bf16",
        )  # fmt: skip
        assert answer.latency["tpot_s"].p50 * 1e3 == pytest.approx(6.44 + 4.37e-5 * context, rel=0.15)


def test_deepseeks_own_cluster_is_within_the_interval() -> None:
    """DeepSeek's H800 decode: 14.8k output tokens/s per node of 8 at EP144, mean context near 5k, 20-22 tokens/s a user."""
    answer = estimate(
        "deepseek-ai/DeepSeek-R1", "h800-sxm", Placement(tp=1, dp=144, ep=144), input_tokens=4400, output_tokens=1150,
        concurrency=144 * 96, prefix_cache_hit_rate=1.0,
    )  # fmt: skip
    per_node = answer.throughput["output_tokens_per_s"]
    assert per_node.p10 / 18 < 14_800 < per_node.p90 / 18 * 1.6


def test_the_plan_of_the_readme_is_believable() -> None:
    study = parse_study(
        {
            "model": "Qwen/Qwen3-235B-A22B",
            "workload": {
                "input": {"kind": "fixed", "value": 4096},
                "output": {"kind": "fixed", "value": 1024},
                "arrival": {"kind": "rate", "requests_per_s": 2},
            },
            "hardware": ["h100-sxm", "a100-80gb-sxm", "ascend-910b"],
        }
    )
    best = {}
    for item in plan(study).plans:
        best.setdefault(item.accelerator, item)
    assert set(best) == {"h100-sxm", "a100-80gb-sxm", "ascend-910b2"}
    assert all(4 <= item.accelerators <= 16 for item in best.values())
