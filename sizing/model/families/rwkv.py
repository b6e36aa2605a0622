"""RWKV-7 (arXiv 2503.14456) as the flash-linear-attention library writes it: no attention, one matrix state a head."""

from __future__ import annotations

from sizing.model.body import Body, Layer, layer_count, norm
from sizing.model.keys import Keys
from sizing.model.mixers import RECURRENT
from sizing.model.parts import (
    AttentionCore,
    Cache,
    CacheKind,
    Component,
    CoreKind,
    FeedForward,
    Linear,
    Mixer,
    Sharding,
    Vector,
)


def build_rwkv7(keys: Keys) -> Body:
    """RWKV-7: time mixing of four square matrices and four low-rank ones, channel mixing without a gate.

    The first layer has a norm more and no low-rank mix of the first layer's value. Cache: heads x head_dim^2 in fp32
    and the last token of both blocks.
    """
    hidden = keys.integer("hidden_size", maximum=2**20)
    count = layer_count(keys)
    head_dim = keys.integer("head_dim", default=64, maximum=2**16)
    if hidden % head_dim:
        raise keys.error("head_dim", f"{head_dim} does not divide the width {hidden}")
    widths = keys.data.get("value_dim")
    if widths is not None and set(widths if isinstance(widths, list) else [widths]) != {hidden}:
        raise keys.error("value_dim", f"must be hidden_size ({hidden})")
    if keys.data.get("attn") is not None:
        raise keys.error("attn", "attention layers are not supported in this family")
    if not keys.boolean("norm_bias", default=True) or not keys.boolean("norm_first", default=True):
        raise keys.error("norm_bias", "only models with norm_first and biases in their norms are supported")
    width = keys.optional_integer("intermediate_size")
    if width is None:
        ratio = keys.number("hidden_ratio", default=4.0)
        width = -(-int(hidden * ratio) // 32) * 32
    block = FeedForward(
        "channel_mix",
        (
            Linear("key", hidden, width, Component.DENSE_MLP, Sharding.COLUMN),
            Linear("value", width, hidden, Component.DENSE_MLP, Sharding.ROW),
        ),
        (Vector("x_k", hidden, Component.DENSE_MLP),),
    )
    layers = [
        Layer(
            _time_mix(keys, hidden, head_dim, first=index == 0), block, norm(hidden, bias=True, count=3 - (index > 0))
        )
        for index in range(count)
    ]
    return Body(
        hidden_size=hidden,
        vocab_size=keys.integer("vocab_size", maximum=2**27),
        layers=layers,
        final_vectors=norm(hidden, bias=True, name="final_norm"),
        notes=["the mix of the first layer's value is counted from the second layer on, where it is used"],
    )


def _time_mix(keys: Keys, hidden: int, head_dim: int, *, first: bool) -> Mixer:
    column, row, whole = Sharding.COLUMN, Sharding.ROW, Sharding.REPLICATED
    linears = [Linear(f"{name}_proj", hidden, hidden, RECURRENT, column) for name in ("r", "k", "v")]
    linears.append(Linear("o_proj", hidden, hidden, RECURRENT, row))
    for name, key, bias in (
        ("w_lora", "decay_low_rank_dim", True),
        ("a_lora", "a_low_rank_dim", True),
        ("v_lora", "v_low_rank_dim", True),
        ("g_lora", "gate_low_rank_dim", False),
    ):
        rank = keys.integer(key, maximum=2**20)
        if name == "v_lora" and first:
            continue
        linears.append(Linear(f"{name}.down", hidden, rank, RECURRENT, whole, quantizable=False))
        linears.append(Linear(f"{name}.up", rank, hidden, RECURRENT, column, bias, quantizable=False))
    vectors = (
        Vector("token_shift", 6 * hidden, RECURRENT),
        Vector("k_k_a_r_k", 3 * hidden, RECURRENT, sharded=True),
        Vector("g_norm", 2 * hidden, sharded=True),
    )
    heads = hidden // head_dim
    state = heads * head_dim * head_dim
    core = AttentionCore(CoreKind.LINEAR, heads, heads, head_dim, head_dim)
    cache = Cache(CacheKind.STATE, state_elements=state + 2 * hidden, state_fp32_elements=state)
    return Mixer("rwkv7", tuple(linears), vectors, core, cache)
