"""More hybrids of attention and recurrence: Kimi Linear, Jamba, Granite 4, Bamba, MiniMax-Text, LFM2."""

from __future__ import annotations

import math

from sizing.model.body import Body, Layer, layer_count, norm
from sizing.model.families.decoder import read_head_dim, read_kv_heads
from sizing.model.feedforward import dense, mlp_linears, moe
from sizing.model.keys import Keys
from sizing.model.mixers import RECURRENT, gqa, lightning, mamba1, mamba2, short_conv
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


def read_gqa(keys: Keys, hidden: int, *, qk_norm: str = "none", bias: bool = False) -> Mixer:
    """Full attention with the common key names."""
    heads = keys.integer("num_attention_heads", maximum=2**16)
    return gqa(
        hidden=hidden,
        heads=heads,
        kv_heads=read_kv_heads(keys, heads, 8),
        head_dim=read_head_dim(keys, hidden, heads),
        q_bias=bias,
        o_bias=bias,
        qk_norm=qk_norm,
    )


def finish(keys: Keys, hidden: int, layers: list[Layer], *, tie: bool = False) -> Body:
    """The body around the layers: vocabulary and final norm."""
    return Body(
        hidden_size=hidden,
        vocab_size=keys.integer("vocab_size", maximum=2**27),
        layers=layers,
        tie_default=tie,
        final_vectors=norm(hidden, name="final_norm"),
    )


# ---- Kimi Linear --------------------------------------------------------------------------------------


def kda(
    *,
    hidden: int,
    heads: int,
    head_dim: int,
    conv_kernel: int,
    full_decay: bool = False,
    full_gate: bool = False,
) -> Mixer:
    """Kimi delta attention: convolutions of q, k and v, decay and output gates of rank head_dim, or of full rank.

    State: 3 * width * conv_kernel + heads * head_dim * head_dim elements a sequence.
    """
    width = heads * head_dim
    column, row, whole = Sharding.COLUMN, Sharding.ROW, Sharding.REPLICATED

    def gate(name: str, full: bool) -> tuple[Linear, ...]:
        if full:
            return (Linear(f"{name}_proj", hidden, width, RECURRENT, column),)
        low = Linear(f"{name}_a_proj", hidden, head_dim, RECURRENT, whole)
        return (low, Linear(f"{name}_b_proj", head_dim, width, RECURRENT, column))

    linears = (
        *(Linear(f"{name}_proj", hidden, width, RECURRENT, column, fuse="qkv") for name in "qkv"),
        *gate("f", full_decay),
        Linear("b_proj", hidden, heads, RECURRENT, column, quantizable=False),
        *gate("g", full_gate),
        Linear("o_proj", width, hidden, RECURRENT, row),
    )
    vectors = (
        Vector("conv1d", 3 * width * conv_kernel, RECURRENT, sharded=True),
        Vector("dt_bias", width, RECURRENT, sharded=True),
        Vector("A_log", heads, RECURRENT, sharded=True),
        Vector("o_norm", head_dim),
    )
    core = AttentionCore(CoreKind.LINEAR, heads, heads, head_dim, head_dim)
    recurrent = heads * head_dim * head_dim
    cache = Cache(
        CacheKind.STATE,
        state_elements=3 * width * conv_kernel + recurrent,
        state_fp32_elements=recurrent,
        conv_elements=3 * width * conv_kernel,
        conv_columns=conv_kernel,
    )
    return Mixer("kda", linears, vectors, core, cache)


# ---- Jamba, Granite 4, Bamba --------------------------------------------------------------------------


def build_jamba(keys: Keys) -> Body:
    """Jamba: Mamba with one attention layer a period, experts in every other layer."""
    hidden = keys.integer("hidden_size", maximum=2**20)
    count = layer_count(keys)
    period, offset = keys.integer("attn_layer_period"), keys.integer("attn_layer_offset", minimum=0)
    moe_period, moe_offset = (
        keys.integer("expert_layer_period"),
        keys.integer("expert_layer_offset", minimum=0),
    )
    rank = keys.data.get("mamba_dt_rank", "auto")
    mamba = mamba1(
        hidden=hidden,
        inner=hidden * keys.integer("mamba_expand", maximum=64),
        state_size=keys.integer("mamba_d_state", maximum=2**16),
        dt_rank=math.ceil(hidden / 16) if rank == "auto" else keys.integer("mamba_dt_rank"),
        conv_kernel=keys.integer("mamba_d_conv", maximum=1024),
        proj_bias=keys.boolean("mamba_proj_bias", default=False),
        conv_bias=keys.boolean("mamba_conv_bias", default=True),
        inner_norms=True,
    )
    attention = read_gqa(keys, hidden)
    width = keys.integer("intermediate_size")
    number = keys.integer("num_experts", maximum=10**6)
    top_k = keys.integer("num_experts_per_tok", maximum=max(number, 2))
    plain = dense(hidden, width)
    experts = plain
    if number > 1:
        experts = moe(hidden=hidden, num_experts=number, num_experts_per_tok=top_k, intermediate=width)
    layers = [
        Layer(
            attention if index % period == offset else mamba,
            experts if index % moe_period == moe_offset else plain,
            norm(hidden, count=2),
        )
        for index in range(count)
    ]
    return finish(keys, hidden, layers)


def read_mamba2(keys: Keys, hidden: int) -> Mixer:
    """Mamba-2 with the key names of Granite 4 and Bamba."""
    heads = keys.integer("mamba_n_heads", maximum=2**16)
    expand = keys.integer("mamba_expand", default=2, maximum=64)
    head_dim = expand * hidden // heads
    if keys.data.get("mamba_d_head", "auto") != "auto":
        head_dim = keys.integer("mamba_d_head", maximum=2**16)
    if head_dim * heads != expand * hidden:
        raise keys.error("mamba_n_heads", f"{heads} heads of {head_dim} are not {expand} x {hidden}")
    return mamba2(
        hidden=hidden,
        heads=heads,
        head_dim=head_dim,
        state_size=keys.integer("mamba_d_state", maximum=2**16),
        groups=keys.integer("mamba_n_groups", maximum=2**16),
        conv_kernel=keys.integer("mamba_d_conv", maximum=1024),
        proj_bias=keys.boolean("mamba_proj_bias", default=False),
        conv_bias=keys.boolean("mamba_conv_bias", default=True),
    )


def build_granite_hybrid(keys: Keys) -> Body:
    """Granite 4: Mamba-2 and attention layers, a shared MLP in each and experts beside it where there are
    any.
    """
    hidden = keys.integer("hidden_size", maximum=2**20)
    count = layer_count(keys)
    allowed = ("mamba", "linear_attention", "attention", "full_attention")
    types = keys.names("layer_types", allowed, count) or keys.names("layers_block_type", allowed, count)
    if types is None:
        raise keys.error("layer_types", "required key is missing")
    kinds: dict[bool, Mixer] = {}
    if any("attention" in kind and kind != "linear_attention" for kind in types):
        kinds[True] = read_gqa(keys, hidden, bias=keys.boolean("attention_bias", default=False))
    if any(kind in ("mamba", "linear_attention") for kind in types):
        kinds[False] = read_mamba2(keys, hidden)
    else:
        keys.unused("mamba_d_state", "mamba_n_heads")
    shared = keys.integer("shared_intermediate_size")
    number = keys.integer("num_local_experts", minimum=0, maximum=10**6)
    if number:
        block = moe(
            hidden=hidden,
            num_experts=number,
            num_experts_per_tok=keys.integer("num_experts_per_tok", maximum=number),
            intermediate=keys.integer("intermediate_size"),
            shared_intermediate=shared,
        )
    else:
        block = FeedForward("dense", mlp_linears(hidden, shared, component=Component.SHARED_EXPERTS, prefix="shared_"))
    layers = [Layer(kinds[kind in ("attention", "full_attention")], block, norm(hidden, count=2)) for kind in types]
    return finish(keys, hidden, layers)


def build_bamba(keys: Keys) -> Body:
    """Bamba: Mamba-2 with attention at attn_layer_indices, dense MLPs."""
    hidden = keys.integer("hidden_size", maximum=2**20)
    count = layer_count(keys)
    indices = set(keys.integers("attn_layer_indices") or [])
    attention = read_gqa(keys, hidden, bias=keys.boolean("attention_bias", default=False))
    mamba = read_mamba2(keys, hidden)
    block = dense(hidden, keys.integer("intermediate_size"), bias=keys.boolean("mlp_bias", default=False))
    layers = [Layer(attention if index in indices else mamba, block, norm(hidden, count=2)) for index in range(count)]
    return finish(keys, hidden, layers)


# ---- MiniMax-Text, LFM2 -------------------------------------------------------------------------------


def build_minimax(keys: Keys) -> Body:
    """MiniMax-Text-01: lightning attention with softmax attention in between, experts in every layer."""
    hidden = keys.integer("hidden_size", maximum=2**20)
    count = layer_count(keys)
    types = keys.names("layer_types", ("full_attention", "linear_attention"), count)
    listed = keys.integers("attn_type_list", count)
    if types is None:
        if listed is None or set(listed) - {0, 1}:
            raise keys.error("attn_type_list", "must be given, with entries 0 and 1")
        types = ["full_attention" if kind else "linear_attention" for kind in listed]
    keys.refuse(("shared_intermediate_size",), "is not supported in this family")
    attention = read_gqa(keys, hidden)
    heads = keys.integer("num_attention_heads", maximum=2**16)
    fast = lightning(hidden=hidden, heads=heads, head_dim=read_head_dim(keys, hidden, heads))
    number = keys.integer("num_local_experts", "num_experts", maximum=10**6)
    block = moe(
        hidden=hidden,
        num_experts=number,
        num_experts_per_tok=keys.integer("num_experts_per_tok", maximum=number),
        intermediate=keys.integer("intermediate_size"),
    )
    layers = [Layer(attention if kind == "full_attention" else fast, block, norm(hidden, count=2)) for kind in types]
    return finish(keys, hidden, layers)


def build_lfm2(keys: Keys) -> Body:
    """LFM2 and LFM2-MoE: gated short convolutions and attention; the dense width may be adjusted and
    rounded.
    """
    hidden = keys.integer("hidden_size", maximum=2**20)
    count = layer_count(keys)
    types = keys.names("layer_types", ("conv", "full_attention"), count)
    if types is None:
        indexes = keys.integers("full_attn_idxs")
        if indexes is None:
            raise keys.error("layer_types", "required key is missing")
        types = ["full_attention" if index in indexes else "conv" for index in range(count)]
    attention = read_gqa(keys, hidden, qk_norm="head")
    convolution = short_conv(
        hidden=hidden,
        kernel=keys.integer("conv_L_cache", maximum=1024),
        bias=keys.boolean("conv_bias", default=False),
    )
    blocks = _lfm2_blocks(keys, hidden, count)
    layers = [
        Layer(attention if kind == "full_attention" else convolution, block, norm(hidden, count=2))
        for kind, block in zip(types, blocks, strict=True)
    ]
    return finish(keys, hidden, layers, tie=keys.boolean("tie_embedding", default=True))


def _lfm2_blocks(keys: Keys, hidden: int, count: int) -> list[FeedForward]:
    number = keys.optional_integer("num_experts", maximum=10**6)
    width = keys.integer("block_ff_dim", "intermediate_size")
    if number is not None:
        experts = moe(
            hidden=hidden,
            num_experts=number,
            num_experts_per_tok=keys.integer("num_experts_per_tok", maximum=number),
            intermediate=keys.integer("moe_intermediate_size"),
        )
        first = keys.integer("num_dense_layers", minimum=0)
        plain = dense(hidden, width)
        return [plain if index < first else experts for index in range(count)]
    if keys.boolean("block_auto_adjust_ff_dim", default=True):
        width = int(2 * width / 3)
        multiple = keys.integer("block_multiple_of", default=256, maximum=2**20)
        width = int(keys.number("block_ffn_dim_multiplier", default=1.0) * width)
        width = multiple * math.ceil(width / multiple)
    return [dense(hidden, width)] * count
