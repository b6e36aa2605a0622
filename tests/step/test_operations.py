"""The work of one step, counted by hand for single layers, and held against what the memory ledger holds."""

from __future__ import annotations

import numpy as np
import pytest

from sizing.engine.placement import Placement
from sizing.engine.shard import Shards
from sizing.model.architecture import Architecture
from sizing.model.kv_formats import kv_format
from sizing.model.quantization.schemes import scheme
from sizing.model.sources import load_model
from sizing.step.operations import Operation, StepShape, list_operations

MANY = 100_000.0  # tokens that reach every expert


@pytest.fixture(scope="module")
def dense() -> Architecture:
    """Qwen3-32B: 64 layers of 5120, 64 heads and 8 KV heads of 128, feed-forward 25600, vocabulary 151936."""
    return load_model("Qwen/Qwen3-32B")


@pytest.fixture(scope="module")
def mixture() -> Architecture:
    """Qwen3-235B-A22B: 94 layers of 4096, 64 heads and 4 KV heads of 128, 8 of 128 experts of 1536."""
    return load_model("Qwen/Qwen3-235B-A22B")


@pytest.fixture(scope="module")
def latent() -> Architecture:
    """DeepSeek-V3: 61 layers of 7168, 128 heads, latents of 512 and 64 rotary elements, 8 of 256 experts of 2048."""
    return load_model("deepseek-ai/DeepSeek-V3")


def find(
    arch: Architecture, name: str, shape: StepShape, place: Placement | None = None, weights: str = "bf16",
    kv: str = "bf16",
) -> Operation:  # fmt: skip
    """The last operation of this name (of a mixture: in a layer with experts)."""
    found = list_operations(arch, shape, place or Placement(), Shards(scheme(weights), kv=kv_format(kv)))
    return [item for item in found if item.name == name][-1]


def test_decode_reads_keys_and_values(dense) -> None:
    """4 sequences x 1000 tokens x 4 of 8 KV heads x (128 of K + 128 of V) x 2 bytes: 8,192,000 a layer."""
    shape = StepShape(decode_seqs=4.0, decode_context=1000.0)
    found = find(dense, "attention_decode", shape, Placement(tp=2))
    assert (found.count, float(found.cache_bytes)) == (64, 8_192_000)
    assert float(find(dense, "attention_decode", shape, Placement(tp=2), kv="fp8").cache_bytes) == 4_096_000
    # 8 KV heads on 16 ranks: each holds one whole head, as at 8
    assert float(find(dense, "attention_decode", shape, Placement(tp=16)).cache_bytes) == 4 * 1000 * 256 * 2
    # each query reads 1000 keys and values with 32 heads: 2 x 4 x 1000 x 32 x 256
    assert float(found.flops) == 65_536_000
    assert float(found.io_bytes) == 4 * 32 * 256 * 2


def test_decode_reads_latents_once_on_every_rank(latent) -> None:
    """10 sequences x 500 tokens x 576 elements x 2 bytes, not split; 2 x 5000 x 16 heads x (576 + 512) FLOP."""
    found = find(latent, "attention_decode", StepShape(decode_seqs=10.0, decode_context=500.0), Placement(tp=8))
    assert float(found.cache_bytes) == 5_760_000
    assert float(found.flops) == 2 * 5000 * 16 * 1088


def test_verified_drafts_are_computed(dense) -> None:
    """With 3 drafts a sequence has 4 rows in every product and 4 queries; its cache is read once."""
    plain = StepShape(decode_seqs=8.0, decode_context=1000.0)
    drafted = StepShape(decode_seqs=8.0, decode_context=1000.0, tokens_per_decode=4.0)
    for name in ("qkv", "o_proj", "gate_up", "down_proj", "lm_head", "attention_decode"):
        one, four = find(dense, name, plain), find(dense, name, drafted)
        assert float(four.flops) == 4 * float(one.flops)
        assert float(four.weight_bytes) == float(one.weight_bytes)
        assert float(four.cache_bytes) == float(one.cache_bytes)
    for name in ("attention_all_reduce", "mlp_all_reduce", "logits_all_gather"):
        assert float(find(dense, name, drafted).message_bytes) == 4 * float(find(dense, name, plain).message_bytes)


def test_causal_prefill_over_a_past(dense) -> None:
    """2 prompts of 256 new tokens after 100: 256 x 100 + 256 x 257 / 2 pairs each; K and V of 356 tokens are read."""
    shape = StepShape(prefill_tokens=512.0, prefill_seqs=2.0, prefill_past=100.0)
    found = find(dense, "attention_prefill", shape, Placement(tp=2))
    pairs = float(found.args["keys"]) * 256
    assert pairs == pytest.approx(256 * 100 + 256 * 257 / 2, rel=0.005)  # half a token a row is left open
    assert float(found.flops) == pytest.approx(2 * 2 * pairs * 32 * 256)
    assert float(found.cache_bytes) == 2 * 356 * 4 * 256 * 2
    assert float(found.io_bytes) == 2 * 512 * 32 * 256 * 2


def test_the_index_of_sparse_attention_scores_every_pair() -> None:
    """V3.2: 64 heads of 128 score all pairs of 2 prompts of 256 new tokens after 1000; attention sees the picked ones."""
    shape = StepShape(prefill_tokens=512.0, prefill_seqs=2.0, prefill_past=1000.0)
    found = find(load_model("deepseek-ai/DeepSeek-V3.2"), "attention_prefill", shape, Placement(tp=8))
    pairs = 256 * 1000 + 256 * 257 / 2
    assert float(found.args["index_flops"]) == pytest.approx(2 * 2 * pairs * 64 * 128, rel=0.005)


@pytest.mark.parametrize(
    ("name", "place", "rows", "columns"),
    [
        ("qkv", Placement(tp=2), (8192 + 1024 + 1024) / 2, 5120),
        ("qkv", Placement(tp=16), 8192 / 16 + 1024 / 8 + 1024 / 8, 5120),  # KV heads are copied past their number
        ("o_proj", Placement(tp=2), 5120, 8192 / 2),
        ("gate_up", Placement(tp=4), 2 * 25600 / 4, 5120),
        ("down_proj", Placement(tp=4), 5120, 25600 / 4),
        ("lm_head", Placement(tp=4), 151936 / 4, 5120),
    ],
)
def test_a_product_of_a_dense_layer(dense, name: str, place: Placement, rows: float, columns: float) -> None:
    """2 m n k FLOP, n k weights, and m rows of k in and n out of 16 bits; m counts decoded and prompt tokens."""
    shape = StepShape(decode_seqs=6.0, decode_context=100.0, prefill_tokens=34.0, prefill_seqs=2.0)
    rank_rows = 8.0 if name == "lm_head" else 40.0  # the head works on the last row of each prompt only
    found = find(dense, name, shape, place)
    assert float(found.flops) == pytest.approx(2 * rank_rows * rows * columns)
    assert float(found.weight_bytes) == pytest.approx(rows * columns * 2)
    assert float(found.io_bytes) == pytest.approx(rank_rows * (rows + columns) * 2)
    assert found.count == (1 if name == "lm_head" else 64)
    half = find(dense, name, shape, place, weights="fp8")
    if name != "lm_head":  # kept in 16 bits
        assert float(half.weight_bytes) == pytest.approx(rows * columns, rel=1e-5)  # and a scale of 4 bytes


@pytest.mark.parametrize(
    ("place", "experts", "width"),
    [
        (Placement(), 128, 1536),
        (Placement(tp=8), 128, 1536 / 8),
        (Placement(tp=8, ep=8), 16, 1536),
        (Placement(tp=2, dp=4, ep=8), 16, 1536),
        (Placement(tp=4, dp=2, ep=1), 128, 1536 / 8),
    ],
)
def test_experts_of_one_rank(mixture, place: Placement, experts: float, width: float) -> None:
    """All experts are reached: a rank reads those that it holds, 3 matrices of 4096 x its width each."""
    found = find(mixture, "experts", StepShape(prefill_tokens=MANY), place)
    assert found.count == 94
    assert float(found.weight_bytes) == pytest.approx(experts * 3 * 4096 * width * 2, rel=1e-9)
    pairs = MANY * float(place.dp) * 8 / float(place.ep)  # each token goes to 8 experts, on any of the ranks
    assert float(found.flops) == pytest.approx(2 * pairs * 3 * 4096 * width)
    assert float(found.io_bytes) == pytest.approx(pairs * (2 * 4096 + 3 * width) * 2)


def test_a_token_reaches_eight_experts(mixture) -> None:
    """One token reads 8 experts; two read 128 (1 - (1 - 1/16)^2) = 15.5 of them, spread evenly over the EP ranks."""
    expert = 3 * 4096 * 1536 * 2
    for tokens, reached in ((1.0, 8.0), (2.0, 15.5)):
        shape = StepShape(decode_seqs=tokens, decode_context=10.0)
        assert float(find(mixture, "experts", shape).weight_bytes) == pytest.approx(reached * expert)
        split = find(mixture, "experts", shape, Placement(tp=4, ep=4))
        assert float(split.weight_bytes) == pytest.approx(reached / 4 * expert)


def test_messages(dense, mixture) -> None:
    """A row of the residual stream has 16-bit elements; ranks apart in attention send tokens to their experts."""
    shape = StepShape(decode_seqs=10.0, decode_context=100.0)
    for name in ("attention_all_reduce", "mlp_all_reduce"):
        joined = find(dense, name, shape, Placement(tp=4))
        assert (float(joined.message_bytes), float(joined.args["ranks"]), joined.count) == (10 * 5120 * 2, 4, 64)
    gathered = find(dense, "logits_all_gather", shape, Placement(tp=4))
    assert (float(gathered.message_bytes), gathered.count) == (10 * 151936 * 2, 1)
    reduced = find(mixture, "moe_all_reduce", shape, Placement(tp=8, ep=8))
    assert (float(reduced.message_bytes), float(reduced.args["ranks"])) == (10 * 4096 * 2, 8)
    apart = find(mixture, "moe_all_reduce", shape, Placement(tp=2, dp=4, ep=8))
    assert (float(apart.message_bytes), float(apart.args["ranks"])) == (0, 1)
    sent = find(mixture, "moe_dispatch_combine", shape, Placement(tp=2, dp=4, ep=8))
    assert (float(sent.message_bytes), float(sent.args["ranks"])) == (10 * 4096 * 2, 8)
    assert (float(sent.args["tokens"]), float(sent.args["gathered"])) == (5, 4 * 10 * 4096 * 2)


def test_stages_hand_their_rows_on(dense) -> None:
    shape = StepShape(decode_seqs=10.0, decode_context=100.0)
    sent = find(dense, "pipeline_send", shape, Placement(tp=2, pp=4))
    assert float(sent.message_bytes) == 3 * 10 * 5120 * 2
    assert (float(sent.args["ranks"]), float(sent.args["hops"])) == (4, 3)
    assert not [
        item for item in list_operations(dense, shape, Placement(2), Shards(scheme("bf16"))) if item.kind == "send"
    ]


def test_recurrent_state_is_read_and_written_as_it_is_held() -> None:
    """Qwen3-Next: 32 value heads of 128 x 128 states in 16 bits, 16 key heads; half of each on two ranks."""
    arch = load_model("Qwen/Qwen3-Next-80B-A3B-Instruct")
    shape = StepShape(decode_seqs=3.0, decode_context=5000.0)
    found = find(arch, "linear_attention_decode", shape, Placement(tp=2))
    state = 16 * 128 * 128
    assert found.count == 36
    conv = (16 * 128 + 2 * 8 * 128) * 3 * 2  # kernel - 1 columns of the convolution before it, in 16 bits
    assert float(found.cache_bytes) == 3 * (state * 2 + conv) * 2
    assert float(found.flops) == 6 * 3 * state
    prompt = find(arch, "linear_attention_prefill", StepShape(prefill_tokens=100.0, prefill_seqs=2.0), Placement(tp=2))
    assert float(prompt.cache_bytes) == 2 * (state * 2 + conv)
    assert float(prompt.flops) == 6 * 100 * state
    assert float(prompt.io_bytes) == 100 * (2 * 8 * 128 + 2 * 16 * 128) * 2


def test_a_window_bounds_what_decode_reads() -> None:
    """gpt-oss-120b: 18 of 36 layers see 128 tokens, the others all 5000; 8 KV heads of 64."""
    arch = load_model("openai/gpt-oss-120b")
    shape = StepShape(decode_seqs=2.0, decode_context=5000.0)
    reads: dict[float, float] = {}
    for item in list_operations(arch, shape, Placement(), Shards(scheme("mxfp4"))):
        if item.kind == "decode_attention":
            size = float(item.cache_bytes)
            reads[size] = reads.get(size, 0.0) + item.count
    assert reads == {2 * 128 * 8 * 128 * 2: 18, 2 * 5000 * 8 * 128 * 2: 18}


def test_placements_broadcast(mixture) -> None:
    """An array of placements gives what each of them gives alone."""
    sizes = np.array([(1, 1, 1), (4, 1, 4), (2, 2, 4)])
    many = Placement(tp=sizes[:, 0], dp=sizes[:, 1], ep=sizes[:, 2])
    shape = StepShape(decode_seqs=50.0, decode_context=2000.0, prefill_tokens=100.0)
    together = list_operations(mixture, shape, many, Shards(scheme("fp8")))
    for row, (tp, dp, ep) in enumerate(sizes.tolist()):
        alone = {
            item.name: item for item in list_operations(mixture, shape, Placement(tp, 1, dp, ep), Shards(scheme("fp8")))
        }
        for item in together:
            for field in ("flops", "weight_bytes", "cache_bytes", "io_bytes", "message_bytes"):
                value = np.broadcast_to(getattr(item, field), 3)[row]
                expected = getattr(alone[item.name], field) if item.name in alone else 0.0
                assert value == pytest.approx(float(expected)), (item.name, field)
