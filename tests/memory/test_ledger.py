"""The memory ledger against published start-up logs, and its properties."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sizing.base.errors import PlacementError, SizingError
from sizing.engine.base import GIB, Device
from sizing.engine.placement import Placement
from sizing.engine.registry import engine_names, get_engine
from sizing.engine.shard import Shards
from sizing.memory.ledger import MemoryLedger, memory_ledger
from sizing.memory.terms import memory_terms, resolve_load
from sizing.model.architecture import Architecture
from sizing.model.config import parse_config
from sizing.model.quantization.schemes import scheme
from sizing.model.sources import load_model
from sizing.step.operations import StepShape, list_operations

H100 = 79.19 * GIB
QWEN = parse_config(
    {
        "model_type": "qwen2", "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
        "num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 152064,
        "max_position_embeddings": 32768, "tie_word_embeddings": False,
    },
    name="Qwen2.5-7B",
)  # fmt: skip


def ledger(arch: Architecture = QWEN, placement: Placement | None = None, **options: Any) -> MemoryLedger:
    engine = options.pop("engine", get_engine("vllm", "0.19.0"))
    weights = options.pop("weights", "bf16")
    usable = options.pop("usable", H100)
    options.setdefault("device_name", "h100-sxm")
    return memory_ledger(arch, usable, placement or Placement(), engine, scheme(weights), **options)


def test_a_draft_model_lies_beside_the_weights() -> None:
    alone, both = ledger(), ledger(draft_weight_bytes=2.0 * GIB)
    assert float(both.weights_bytes) == pytest.approx(float(alone.weights_bytes) + 2.0 * GIB)
    assert float(both.kv_pool_bytes) == pytest.approx(float(alone.kv_pool_bytes) - 2.0 * GIB, rel=0.001)


def test_published_log_of_qwen_7b_on_h100() -> None:
    """vLLM 0.19.0 at 0.95: weights 14.25, activation 2.21, non-torch 0.25, KV 58.53 GiB, 1,096,000 tokens."""
    found = ledger(context=8192, memory_utilization=0.95)
    assert found.weights_bytes / GIB == pytest.approx(14.25, abs=0.02)
    assert found.activation_bytes / GIB == pytest.approx(2.21, abs=0.02)
    assert found.kv_pool_bytes / GIB == pytest.approx(58.53, abs=0.05)
    assert found.kv_pool_tokens == pytest.approx(1_096_000, rel=0.002)
    assert found.max_concurrency == pytest.approx(133.79, rel=0.002)
    assert found.fits


def test_document_and_working() -> None:
    found = ledger(context=8192)
    document = found.to_dict()
    parts = document["per_accelerator"]
    assert set(parts) == {
        "usable_gib", "weights_gib", "activation_gib", "runtime_gib", "graphs_gib", "kv_pool_gib",
    }  # fmt: skip
    weights = [line.value for line in found.lines if line.name.startswith("weights: ")]
    assert sum(weights) == pytest.approx(found.weights_bytes)
    assert all(line.formula and line.unit for line in found.lines)
    assert any("utilization" in text for text in document["assumptions"])


@pytest.mark.parametrize("name", engine_names())
def test_every_engine_makes_a_ledger(name: str) -> None:
    found = ledger(engine=get_engine(name), context=8192, usable=61.0 * GIB, device_name="ascend-910b2")
    assert 0 < found.kv_pool_bytes < 61.0 * GIB
    assert found.kv_pool_tokens > 0
    assert found.fits


@settings(deadline=None, max_examples=40)
@given(first=st.integers(1, 32768), second=st.integers(1, 32768), name=st.sampled_from(engine_names()))
def test_longer_contexts_never_hold_more_requests(first: int, second: int, name: str) -> None:
    short, long = sorted((first, second))
    engine = get_engine(name)
    held = [ledger(engine=engine, context=length).max_concurrency for length in (short, long)]
    assert held[0] >= held[1]


@settings(deadline=None, max_examples=30)
@given(tp=st.sampled_from([1, 2, 4, 7]), pp=st.integers(1, 4), name=st.sampled_from(engine_names()))
def test_arrays_equal_single_ledgers(tp: int, pp: int, name: str) -> None:
    engine, device = get_engine(name), Device(H100, "h100-sxm")
    placement = Placement(np.array([1, tp]), np.array([1, pp]), np.array([1, 1]), np.array([1, 1]))
    load = resolve_load(engine, device, QWEN, Placement(tp, pp), context=8192)
    terms = memory_terms(QWEN, device, placement, engine, scheme("bf16"), load)
    single = ledger(
        engine=engine, placement=Placement(tp, pp), context=8192, memory_utilization=load.utilization, strict=False
    )
    assert terms.pool[1] == pytest.approx(single.kv_pool_bytes)
    assert terms.max_concurrency[1] == pytest.approx(single.max_concurrency)
    assert bool(terms.fits[1]) is single.fits


def test_more_sequences_and_smaller_weights() -> None:
    assert ledger(max_num_seqs=1024).kv_pool_bytes < ledger(max_num_seqs=64).kv_pool_bytes
    assert ledger(weights="fp8").weights_bytes < ledger().weights_bytes
    assert ledger(kv_dtype="fp8", context=8192).kv_pool_tokens > 1.9 * ledger(context=8192).kv_pool_tokens


def test_what_does_not_fit_says_so() -> None:
    found = ledger(usable=15.0 * GIB, context=8192)
    assert not found.fits
    assert found.kv_pool_tokens == 0


def test_refusals() -> None:
    with pytest.raises(PlacementError, match="28 attention heads"):
        ledger(placement=Placement(tp=8))
    with pytest.raises(SizingError, match="--memory-utilization"):
        ledger(memory_utilization=1.2)
    with pytest.raises(SizingError, match="--context"):
        ledger(context=-5)


@pytest.mark.parametrize("version", ["0.19.0", "0.33.0"])
def test_the_pool_by_hand(version: str) -> None:
    """Qwen3-32B on 2 ranks keeps 64 layers x 4 KV heads x (128 + 128) x 2 bytes = 131,072 bytes a token and rank.

    GiB are 2^30 bytes: the pool's GiB are what the memory fraction leaves (since vLLM 0.21 without the graphs), and hold
    as many blocks of 16 tokens as fit.
    """
    engine = get_engine("vllm", version)
    found = ledger(load_model("Qwen/Qwen3-32B"), Placement(2), engine=engine, context=8192, memory_utilization=0.9)
    document = found.to_dict()
    parts = document["per_accelerator"]
    assert parts["usable_gib"] == pytest.approx(79.19)
    left = 0.9 * 79.19 - sum(parts[f"{name}_gib"] for name in ("weights", "activation", "runtime"))
    left -= parts["graphs_gib"] if version == "0.33.0" else 0.0
    assert parts["graphs_gib"] > 0.5
    assert parts["kv_pool_gib"] == pytest.approx(left)
    blocks = int(parts["kv_pool_gib"] * 2**30 // (16 * 131_072))
    assert document["kv_pool_tokens"] == blocks * 16
    assert document["max_concurrency"] == pytest.approx(blocks * 16 / 8192)
    for name in ("weights", "activation", "runtime", "graphs", "kv_pool"):
        assert parts[f"{name}_gib"] * 2**30 == pytest.approx(getattr(found, f"{name}_bytes"))


def test_weights_of_a_rank_by_hand() -> None:
    """Qwen3-32B in 16 bits on 2 ranks, by component [bytes]."""
    found = ledger(load_model("Qwen/Qwen3-32B"), Placement(2), context=8192)
    lines = {line.name: line.value for line in found.lines}
    assert lines["weights: attention"] == 64 * 5120 * (8192 + 8192 + 1024 + 1024) / 2 * 2
    assert lines["weights: dense_mlp"] == 64 * 3 * 5120 * 25600 / 2 * 2
    assert lines["weights: norms"] == (64 * (2 * 5120 + 2 * 128) + 5120) * 2
    assert lines["weights: embedding"] == lines["weights: lm_head"] == 151_936 * 5120 / 2 * 2


@pytest.mark.parametrize(
    ("place", "experts"),
    [(Placement(tp=8), 128 / 8), (Placement(tp=8, ep=8), 16), (Placement(tp=2, dp=4, ep=8), 16), (Placement(4), 32)],
)
def test_the_step_reads_the_experts_that_the_ledger_holds(place: Placement, experts: float) -> None:
    """Qwen3-235B-A22B, all experts reached: 94 layers x (whole experts' worth) x 3 x 4096 x 1536 x 2 bytes, both ways."""
    arch = load_model("Qwen/Qwen3-235B-A22B")
    held = ledger(arch, place, context=8192, usable=200 * GIB)
    held_bytes = next(line.value for line in held.lines if line.name == "weights: routed_experts")
    step = list_operations(arch, StepShape(prefill_tokens=1e5), place, Shards(scheme("bf16")))
    read_bytes = sum(item.count * float(item.weight_bytes) for item in step if item.name == "experts")
    assert held_bytes == 94 * experts * 3 * 4096 * 1536 * 2
    assert read_bytes == pytest.approx(held_bytes, rel=1e-9)
