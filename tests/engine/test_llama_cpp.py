"""llama.cpp as an engine: what its caches ask for, its compute buffer, what it takes and refuses."""

from __future__ import annotations

from typing import Any

import pytest

from sizing.base.errors import SizingError
from sizing.engine.placement import Placement
from sizing.engine.registry import get_engine
from sizing.hardware import load_accelerator
from sizing.memory.ledger import memory_ledger
from sizing.planning.target import resolve_target, usual_engine

MIB = 2**20


def ledger(model: str, on: str, *, weights: str = "q4_k_m", kv_dtype: str | None = None, tp: int = 1, pp: int = 1,
           context: int, max_num_seqs: int | None = None) -> dict[str, Any]:  # fmt: skip
    target = resolve_target(model, on, engine="llama.cpp", weights=weights, kv_dtype=kv_dtype)
    made = memory_ledger(
        target.arch, target.device, Placement(tp, pp, 1, 1), target.engine, target.scheme, kv_dtype=target.kv,
        context=context, max_num_seqs=max_num_seqs,
    )  # fmt: skip
    return made.to_dict()


def test_faces() -> None:
    for name in ("llamacpp", "Ollama", "LM Studio", "lm_studio", "llama-server"):
        assert get_engine(name).name == "llama.cpp"


def test_the_compute_buffer_is_what_llama_cpp_prints() -> None:
    """Llama-3-8B, micro-batch 512: "CUDA0 compute buffer size = 258.50 MiB"."""
    made = ledger("meta-llama/Meta-Llama-3-8B", "rtx-4090", context=8192)
    assert made["per_accelerator"]["activation_gib"] * 1024 == pytest.approx(258.5, abs=0.01)


def test_the_pool_is_what_the_slots_ask_for() -> None:
    """Llama-3-8B keeps 128 KiB a token in 16 bits: four slots of 8,192 are 4 GiB, in q8_0 17/32 of it."""
    made = ledger("meta-llama/Meta-Llama-3-8B", "rtx-4090", context=8192)
    assert made["per_accelerator"]["kv_pool_gib"] == pytest.approx(4.0)
    assert made["kv_pool_tokens"] == 32768 and made["launch"]["max_num_seqs"] == 4
    assert made["per_accelerator"]["graphs_gib"] == 0
    small = ledger("meta-llama/Meta-Llama-3-8B", "rtx-4090", context=8192, kv_dtype="q8_0")
    assert small["per_accelerator"]["kv_pool_gib"] == pytest.approx(4.0 * 17 / 32)


def test_cells_come_in_256s() -> None:
    made = ledger("meta-llama/Meta-Llama-3-8B", "rtx-4090", context=1000, max_num_seqs=1)
    assert made["per_accelerator"]["kv_pool_gib"] == pytest.approx(1024 * 131072 / 2**30)


def test_windows_keep_the_window_and_a_micro_batch() -> None:
    """gemma-3-4b: 29 layers with windows of 1,024, 5 without; 4 heads of 256: 4,096 bytes a token and layer."""
    made = ledger("google/gemma-3-4b-it", "rtx-4090", weights="q4_0", context=32768, max_num_seqs=1)
    asked = 4096 * (5 * 32768 + 29 * 1536)
    assert made["per_accelerator"]["kv_pool_gib"] == pytest.approx(asked / 2**30)


def test_fewer_slots_where_the_memory_is_small() -> None:
    made = ledger("meta-llama/Meta-Llama-3-70B", "rtx-3090", context=8192, pp=2)
    assert made["fits"] and made["launch"]["max_num_seqs"] == 1


def test_layers_are_split_not_matrices() -> None:
    with pytest.raises(SizingError, match="--pp 2"):
        ledger("meta-llama/Meta-Llama-3-70B", "rtx-3090", context=8192, tp=2)


def test_where_vllm_does_not_run() -> None:
    assert usual_engine(load_accelerator("apple-m4-max")) == "llama.cpp"
    assert usual_engine(load_accelerator("rtx-4090")) == "vllm"


def test_v100_and_t4_take_fp16() -> None:
    for name in ("v100-sxm2", "t4"):
        assert resolve_target("Qwen/Qwen3-8B", name, engine="vllm").scheme.name == "fp16"
