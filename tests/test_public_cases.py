"""Public reports of starts that failed or came up, with what really happened (repository and number in each case)."""

from __future__ import annotations

from typing import Any

import pytest

from sizing.engine.placement import Placement
from sizing.memory.ledger import MemoryLedger, memory_ledger
from sizing.planning.target import resolve_target


def ledger(
    model: str, on: str, tp: int = 1, ep: int = 1, *, version: str | None = None, weights: str | None = None,
    kv_dtype: str | None = None, engine: str | None = None, **flags: Any,
) -> MemoryLedger:  # fmt: skip
    """The ledger of a reported start."""
    aim = resolve_target(model, on, engine=engine, engine_version=version, weights=weights, kv_dtype=kv_dtype)
    return memory_ledger(
        aim.arch, aim.device, Placement(tp, 1, 1, ep), aim.engine, aim.scheme, kv_dtype=aim.kv, **flags
    )


def blocks(found: MemoryLedger) -> float:
    """Blocks of recurrent state in the pool."""
    return next(line.value for line in found.lines if line.name == "running requests with a state")


@pytest.mark.parametrize(
    ("model", "on", "version", "weights", "flags", "real", "within"),
    [
        # vLLM recipes, pull request 551
        ("Qwen/Qwen3.6-27B", "h100-sxm", "0.23", "fp8", {"utilization": 0.95}, 856, 0.02),
        # vLLM recipes, pull request 831
        ("Qwen/Qwen3.8-27B", "rtx-pro-6000-blackwell", "0.26", "fp8", {"utilization": 0.92}, 939, 0.04),
        ("Qwen/Qwen3.8-27B", "rtx-pro-6000-blackwell", "0.26", "nvfp4", {"utilization": 0.92}, 1011, 0.04),
        ("Qwen/Qwen3.8-27B", "rtx-pro-6000-blackwell", "0.26", "bf16", {"utilization": 0.95}, 556, 0.04),
    ],
)
def test_state_blocks_of_hybrids(
    model: str, on: str, version: str, weights: str, flags: dict[str, Any], real: int, within: float
) -> None:
    """1,024 running requests were asked for and refused; the launch flags stay below the blocks that there were."""
    found = ledger(model, on, version=version, weights=weights, **flags)
    assert blocks(found) == pytest.approx(real, rel=within)
    assert found.fits
    assert 0.85 * real < found.load.max_num_seqs <= real
    assert any("max_num_seqs" in text and "launch files" in text for text in found.assumptions)
    refused = ledger(model, on, version=version, weights=weights, max_num_seqs=1024, **flags)
    assert not refused.fits
    assert refused.refusal is not None
    assert refused.refusal.code == "state_blocks"


def test_compressed_layers_are_refused() -> None:
    """vllm#44376: V4-Flash on 2 x GH200, 0.22, 0.95: 30,000 tokens refused, 13,528 the longest possible."""
    given: dict[str, Any] = {"version": "0.22", "kv_dtype": "fp8", "utilization": 0.95}
    found = ledger("deepseek-ai/DeepSeek-V4-Flash", "gh200-96gb", 2, 2, context=30_000, **given)
    assert found.refusal is not None
    assert found.refusal.code == "one_request"
    assert ledger("deepseek-ai/DeepSeek-V4-Flash", "gh200-96gb", 2, 2, context=12_500, **given).fits


def test_compressed_layers_at_a_long_context() -> None:
    """vllm#51041: V4-Flash on 2 x H20, 0.26: 1.24 requests of 121,344 tokens, 150 thousand tokens."""
    found = ledger("deepseek-ai/DeepSeek-V4-Flash", "h20-96gb", 2, 2, version="0.26", kv_dtype="fp8", context=121_344)
    assert found.fits
    assert found.max_concurrency == pytest.approx(1.24, rel=0.05)
    assert found.kv_pool_tokens == pytest.approx(150_000, rel=0.05)


def test_a_vision_tower_in_the_profile() -> None:
    """vllm#16570: Qwen2.5-VL-72B on 4 x A100-40GB, 0.8.3: activation 2.51 GiB, hardly a cache, no start."""
    found = ledger(
        "Qwen/Qwen2.5-VL-72B-Instruct", "a100-40gb-sxm", 4, version="0.8.3", memory_utilization=0.95, context=8192
    )
    assert found.activation_bytes / 2**30 == pytest.approx(2.51, abs=0.05)
    assert not found.fits


def test_a_drafting_module_has_two_vocabularies_of_its_own() -> None:
    """sglang#36452: Qwen3.8-27B's NEXTN draft takes 5.2 GB while the pool is sized."""
    alone = ledger("Qwen/Qwen3.8-27B", "h200-sxm", engine="sglang")
    drafting = ledger("Qwen/Qwen3.8-27B", "h200-sxm", engine="sglang", speculative_tokens=3)
    taken = drafting.weights_bytes - alone.weights_bytes
    assert 5.0e9 < taken < 6.5e9


def test_partly_quantised_hybrids() -> None:
    """vLLM recipes, pull request 810: Qwen3.6-27B NVFP4 on 2 x 5090: 12.02 GiB on a rank, 445,875 tokens."""
    found = ledger("Qwen/Qwen3.6-27B", "rtx-5090", 2, weights="nvfp4", context=262_144, version="0.23")
    assert found.weights_bytes / 2**30 == pytest.approx(12.02, rel=0.1)
    assert found.kv_pool_tokens == pytest.approx(445_875, rel=0.1)


@pytest.mark.parametrize(
    ("model", "on", "tp", "weights", "fits"),
    [
        ("Qwen/Qwen3-Coder-30B-A3B-Instruct", "rtx-5090", 1, "fp8", False),  # vllm#41695
        ("zai-org/GLM-5.1", "ascend-910b3", 8, "int8", False),  # vllm-ascend#8817
        ("zai-org/GLM-5.1", "ascend-910b3", 16, "int8", True),
    ],
)
def test_whether_it_fits(model: str, on: str, tp: int, weights: str, fits: bool) -> None:
    assert ledger(model, on, tp, weights=weights, strict=False, context=8192 if fits else None).fits is fits


def test_weights_that_fill_the_accelerator_say_so() -> None:
    found = ledger("Qwen/Qwen3-32B", "rtx-4090", context=4096)
    assert found.refusal is not None
    assert found.refusal.code == "weights"
    assert found.to_dict()["refusal"]["text"] == found.shortage
    assert found.to_dict()["launch"]["max_model_len"] == 4096
