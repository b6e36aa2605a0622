"""Shards of real-shaped models: they sum to the whole, and arrays give what single placements give."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sizing.engine.loading import allocator_slack
from sizing.engine.placement import Placement
from sizing.engine.shard import VLLM_LAYOUT, heads_per_rank, padded_vocab
from sizing.engine.sharding import (
    stage_components,
    stage_sizes,
    stages,
    weight_bytes,
    weight_bytes_per_rank,
)
from sizing.model.architecture import Architecture
from sizing.model.parts import Sharding
from sizing.model.quantization.schemes import scheme
from sizing.model.sources import load_model

BF16 = scheme("bf16")


def whole_bytes(arch: Architecture) -> int:
    """Bytes of the model in 16 bits with the vocabulary padded as engines hold it."""
    padding = (padded_vocab(arch.vocab_size) - arch.vocab_size) * arch.hidden_size
    tables = 1 if arch.tie_word_embeddings else 2
    return 2 * (arch.total + tables * padding)


def replicated_bytes(arch: Architecture) -> int:
    """Bytes of what every rank of a tensor parallel group holds whole."""
    total = sum(vector.params for vector in arch.extra_vectors)
    for group in arch.groups:
        linears = (*group.mixer.linears, *group.feed_forward.linears)
        vectors = (*group.mixer.vectors, *group.feed_forward.vectors, *group.vectors)
        total += group.count * sum(item.params for item in linears if item.sharding is Sharding.REPLICATED)
        total += group.count * sum(item.params for item in vectors if not item.sharded)
    return 2 * total


@pytest.mark.parametrize("name", ["qwen2_7b", "qwen3_235b", "deepseek_v3"])
def test_one_rank_holds_the_model(name: str, request: pytest.FixtureRequest) -> None:
    arch: Architecture = request.getfixturevalue(name)
    assert float(weight_bytes_per_rank(arch, BF16)) == whole_bytes(arch)
    assert sum(line.bytes for line in weight_bytes(arch, Placement(), BF16)) == whole_bytes(arch)


@pytest.mark.parametrize("tp", [2, 4])
@pytest.mark.parametrize("name", ["qwen2_7b", "qwen3_235b", "deepseek_v3"])
def test_shards_sum_to_the_whole(name: str, tp: int, request: pytest.FixtureRequest) -> None:
    arch: Architecture = request.getfixturevalue(name)
    copied = replicated_bytes(arch)
    rank = float(weight_bytes_per_rank(arch, BF16, tp=tp))
    assert tp * (rank - copied) + copied == pytest.approx(whole_bytes(arch), rel=1e-12)


@pytest.mark.parametrize("pp", [2, 3, 7])
def test_stages_sum_to_the_whole(deepseek_v3: Architecture, pp: int) -> None:
    parts = [
        sum(stage_components(deepseek_v3, BF16, Placement(pp=pp), stage).values()) for stage in stages(deepseek_v3, pp)
    ]
    assert sum(parts) == whole_bytes(deepseek_v3)
    assert float(weight_bytes_per_rank(deepseek_v3, BF16, pp=pp)) == max(parts)


def test_experts_spread_or_cut_weigh_the_same(deepseek_v3: Architecture) -> None:
    spread = float(weight_bytes_per_rank(deepseek_v3, BF16, tp=8, ep=8))
    assert spread == float(weight_bytes_per_rank(deepseek_v3, BF16, tp=8, ep=1))


def test_data_parallel_attention_copies_all_but_experts(deepseek_v3: Architecture) -> None:
    one = stage_components(deepseek_v3, BF16, Placement(tp=1, dp=8, ep=8), stages(deepseek_v3, 1)[0])
    alone = stage_components(deepseek_v3, BF16, Placement(), stages(deepseek_v3, 1)[0])
    assert float(one["attention"]) == float(alone["attention"])
    assert float(one["routed_experts"]) * 8 == float(alone["routed_experts"])


def test_kv_heads_are_copied() -> None:
    assert heads_per_rank(4, np.array([1, 2, 4, 8, 16])).tolist() == [4, 2, 1, 1, 1]


def test_pipeline_remainder_goes_to_the_middle() -> None:
    assert stage_sizes(62, 4) == (15, 16, 16, 15)
    assert stage_sizes(61, 2) == (31, 30)
    assert stage_sizes(32, 4) == (8, 8, 8, 8)


def test_mtp_only_with_speculative_decoding(deepseek_v3: Architecture) -> None:
    without = float(weight_bytes_per_rank(deepseek_v3, BF16))
    with_mtp = float(weight_bytes_per_rank(deepseek_v3, BF16, speculative=True))
    assert with_mtp - without == pytest.approx(2 * deepseek_v3.mtp, rel=1e-6)


def test_published_weights_of_a_rank(qwen2_7b: Architecture) -> None:
    """vLLM logs 14.25 GiB for Qwen2.5-7B on one H100 (7.12 on two): weights, rotary table, slack."""
    assert float(weight_bytes_per_rank(qwen2_7b, BF16, layout=VLLM_LAYOUT)) / 2**30 == pytest.approx(14.19, abs=0.01)
    assert float(allocator_slack(31.5 * 2**20)) == 0.5 * 2**20
    assert float(allocator_slack(24.5 * 2**20)) == 0.0


@settings(deadline=None, max_examples=30)
@given(
    tp=st.sampled_from([1, 2, 4, 8]),
    pp=st.integers(1, 6),
    dp=st.sampled_from([1, 2, 4]),
    spread=st.booleans(),
)
def test_arrays_equal_single_placements(deepseek_v3: Architecture, tp: int, pp: int, dp: int, spread: bool) -> None:
    ep = tp * dp if spread else 1
    array = weight_bytes_per_rank(
        deepseek_v3,
        scheme("fp8_block"),
        np.array([1, tp, 2]),
        np.array([1, pp, 2]),
        np.array([1, dp, 1]),
        np.array([1, ep, 2]),
    )
    lines = weight_bytes(deepseek_v3, Placement(tp, pp, dp, ep), scheme("fp8_block"))
    assert array[1] == pytest.approx(sum(line.bytes for line in lines), rel=1e-12)
    assert array[1] <= array[0]


def test_per_layer_embedding_tables_are_split_by_vocabulary() -> None:
    """Gemma 3n E4B: the table of 262,144 x 35 x 256 elements is halved by TP 2, its small projections are not."""
    arch = load_model("google/gemma-3n-E4B-it")
    table = 262_144 * 35 * 256 * 2
    one, two = (float(weight_bytes_per_rank(arch, scheme("bf16"), tp=tp)) for tp in (1, 2))
    assert one - two > table / 2
