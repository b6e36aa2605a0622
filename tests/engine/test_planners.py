"""The engines' own cache planners, run for real: what vLLM 0.33 and SGLang 0.5.23 gave for a pool of 40 GiB."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sizing.engine.base import GIB, Engine, Load
from sizing.engine.cache import BlockPlan, cache_groups
from sizing.engine.placement import Placement
from sizing.engine.registry import get_engine
from sizing.engine.sharding import stages
from sizing.model.kv_formats import kv_format
from sizing.model.sources import load_model

POOL = 40 * GIB
CONTEXT = 131_072


def laid_out(
    model: str, tp: int = 1, *, engine: str = "vllm", version: str | None = "0.33.0", kv: str = "bf16", **flags: Any
) -> tuple[Engine, BlockPlan, Load]:
    """An engine, the blocks that it cuts a model's pool into, and its flags (an H100's)."""
    served = get_engine(engine, version)
    load = Load(0.9, 1024, flags.pop("tokens", 8192), flags.pop("context", CONTEXT), **flags)
    arch = load_model(model, allow_hub=False)
    groups = cache_groups(arch, Placement(tp), kv_format(kv), stages(arch, 1)[0], fp8_index_keys=True,
                          speculative_tokens=load.speculative_tokens, fp32_states=served.fp32_states)  # fmt: skip
    return served, served.plan(groups, load, kv_format(kv)), load


@pytest.mark.parametrize(
    ("model", "tokens", "running"),
    [
        ("openai/gpt-oss-120b", 1200, 876), ("openai/gpt-oss-120b", 4200, 266),
        ("Qwen/Qwen3-Next-80B-A3B-Instruct", 1200, 505), ("Qwen/Qwen3-Next-80B-A3B-Instruct", 4096, 275),
        ("google/gemma-3-27b-it", 4096, 49), ("google/gemma-3-1b-it", 4096, 1459),
        ("nvidia/Nemotron-3-Nano", 4096, 555), ("nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-FP8", 1200, 209),
        ("nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-FP8", 9500, 156), ("Qwen/Qwen3-8B", 1200, 242),
    ],
)  # fmt: skip
def test_what_really_runs_at_once(model: str, tokens: int, running: int) -> None:
    """The real manager, filled with requests of one length until it admits no more."""
    engine, plan, load = laid_out(model)
    assert float(engine.running(POOL, plan, load, tokens)) == pytest.approx(running, rel=0.02)


@pytest.mark.parametrize(
    ("model", "tp", "block", "context", "printed"),
    [
        ("Qwen/Qwen3-Next-80B-A3B-Instruct", 1, 576, 262_144, 6.52),
        ("Qwen/Qwen3-Next-80B-A3B-Instruct", 1, 576, 4096, 178.5),
        ("Qwen/Qwen3-Next-80B-A3B-Instruct", 4, 320, 262_144, 13.17),
        ("Qwen/Qwen3.5-35B-A3B", 1, 1088, 262_144, None),
        ("Qwen/Qwen3.5-27B", 1, 832, 262_144, None),
        ("Qwen/Qwen3.5-397B-A17B", 1, 2112, 262_144, None),
        ("nvidia/Nemotron-3-Nano", 1, 2096, 262_144, 24.17),
        ("nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-FP8", 1, 4160, 262_144, 15.95),
        ("nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-FP8", 1, 4160, 4096, 78.75),
    ],
)
def test_hybrids_with_prefix_caching(model: str, tp: int, block: int, context: int, printed: float | None) -> None:
    """Blocks end where states can be exported, and three states a group are set aside."""
    engine, plan, load = laid_out(model, tp, context=context)
    assert float(np.max(plan.block_tokens)) == block
    if printed is not None:
        assert float(engine.concurrency(POOL, plan, load, context)) == pytest.approx(printed, rel=0.002)


@pytest.mark.parametrize("drafts", [1, 2])
def test_drafts_grow_the_convolution_alone(drafts: int) -> None:
    _, plan, load = laid_out("Qwen/Qwen3-Next-80B-A3B-Instruct", speculative_tokens=drafts)
    assert float(np.max(plan.block_tokens)) == 576
    assert get_engine("vllm", "0.33.0").states_per_request(plan, load) == 3 + drafts


def test_without_prefix_caching_blocks_are_as_before() -> None:
    engine, plan, load = laid_out("Qwen/Qwen3-Next-80B-A3B-Instruct", prefix_caching=False)
    assert float(np.max(plan.block_tokens)) == 544
    assert engine.states_per_request(plan, load) == 1


def test_the_printed_size_of_a_window_everywhere() -> None:
    """Mistral-7B-v0.1: the log says concurrency x length, where the pool has 327,680 slots."""
    engine, plan, load = laid_out("mistralai/Mistral-7B-v0.1", context=32_768)
    assert float(engine.pool_tokens(POOL, plan, load)) == pytest.approx(523_878, abs=1)


def test_slots_of_states_limit_sglang() -> None:
    """Qwen3-Next-80B on four H100, 25.782 GiB: 677 slots of 19.3 MB, 1,187,049 tokens, 225 requests."""
    engine, plan, load = laid_out("Qwen/Qwen3-Next-80B-A3B-Instruct", 4, engine="sglang", version="0.5.23")
    pool = 25.782 * GIB
    assert float(plan.slot_bytes) == pytest.approx(19.3e6, rel=0.002)
    assert float(engine.most_seqs(pool, plan, load)) == 225
    assert float(engine.pool_tokens(pool, plan, load)) == pytest.approx(1_187_049, rel=0.002)
    assert float(engine.running(pool, plan, load, 1200)) == 225


def test_slots_take_their_share_of_a_dense_hybrid() -> None:
    """A 27B with 360 slots keeps 51 GB of states and no more than 120 requests run (mamba_full_memory_ratio 0.9)."""
    engine, plan, load = laid_out("Qwen/Qwen3.5-27B", 1, engine="sglang", version="0.5.23")
    pool = 361 * float(plan.slot_bytes) * 1.9 / 0.9
    assert float(engine.most_seqs(pool, plan, load)) == 120
    assert 360 * float(plan.slot_bytes) == pytest.approx(54e9, rel=0.05)


@pytest.mark.parametrize(
    ("version", "block"),
    [("0.22.0", 1_051_776), ("0.33.0", 1_002_240)],
)
def test_blocks_of_compressed_layers(version: str, block: int) -> None:
    _, plan, _ = laid_out("deepseek-ai/DeepSeek-V4-Flash", 2, version=version, kv="fp8")
    assert float(plan.block_bytes) == block


def test_a_request_of_compressed_layers_has_a_fixed_part() -> None:
    """vllm#44376, 2 x GH200: 30,000 tokens need 6.66 GiB; 5.44 GiB are left, which hold 13,528 tokens at most."""
    engine, plan, load = laid_out("deepseek-ai/DeepSeek-V4-Flash", 2, version="0.22.0", kv="fp8")
    flight, states = engine.in_flight_tokens(plan, load), engine.states_per_request(plan, load)
    needed = float(plan.request_blocks(30_000, flight, states) * plan.block_bytes)
    assert needed / GIB == pytest.approx(6.66, abs=0.005)
    longest = max(n for n in range(13_000, 14_200) if plan.request_blocks(n, flight, states) * plan.block_bytes
                  <= 5.44 * GIB)  # fmt: skip
    assert longest == pytest.approx(13_528, rel=0.01)
    assert float(engine.concurrency(5.44 * GIB, plan, load, 30_000)) < 1
