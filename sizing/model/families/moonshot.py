"""Kimi Linear, Kimi K3 and the Ling hybrids: Kimi delta attention beside latent attention, with experts."""

from __future__ import annotations

from sizing.model.body import Body, Layer, layer_count, norm
from sizing.model.families.decoder import moe_after_first
from sizing.model.families.latent import read_mla
from sizing.model.families.recurrent import finish, kda
from sizing.model.feedforward import dense, moe
from sizing.model.keys import Keys
from sizing.model.mixers import ATTENTION
from sizing.model.parts import Component, FeedForward, Linear, Mixer, Sharding, Vector


def kimi_delta(keys: Keys, hidden: int, count: int) -> tuple[Mixer, list[bool]]:
    """KDA and the layers that have it: linear_attn_config with layers listed from 1, or the names of transformers."""
    linear = keys.child("linear_attn_config")
    types = keys.names("layer_types", ("linear_attention", "full_attention"), count)
    if linear is not None:
        full = linear.integers("full_attn_layers", minimum=1)
        fast = linear.integers("kda_layers", minimum=1)
        if types is None or full is not None or fast is not None:
            if full is None or fast is None or sorted([*full, *fast]) != list(range(1, count + 1)):
                raise linear.error("kda_layers", f"with full_attn_layers must list the layers 1 to {count} once")
            listed = ["linear_attention" if index in fast else "full_attention" for index in range(1, count + 1)]
            if types is not None and types != listed:
                raise keys.error("layer_types", "contradicts linear_attn_config")
            types = listed
    if types is None:
        raise keys.error("linear_attn_config", "required key is missing", "or layer_types")
    linear = linear or Keys({}, "linear_attn_config.")

    def read(name: str, flat: str, maximum: int) -> int:
        flat_value = keys.optional_integer(flat, maximum=maximum)
        return linear.integer(name, default=flat_value, maximum=maximum)

    delta = kda(
        hidden=hidden,
        heads=read("num_heads", "linear_num_heads", 2**16),
        head_dim=read("head_dim", "linear_head_dim", 2**16),
        conv_kernel=read("short_conv_kernel_size", "linear_conv_kernel_dim", 1024),
        full_gate=linear.boolean("use_full_rank_gate", default=False),
    )
    return delta, [kind == "linear_attention" for kind in types]


def build_kimi_linear(keys: Keys) -> Body:
    """Kimi Linear and Kimi K3: KDA layers and latent attention layers, experts after the first layers.

    K3 adds, by its keys, gates on the latent attention's output, experts of a narrower width behind two projections,
    and attention over the residuals of earlier blocks.
    """
    hidden = keys.integer("hidden_size", maximum=2**20)
    count = layer_count(keys)
    if keys.boolean("tie_word_embeddings", default=False):
        raise keys.error("tie_word_embeddings", "true is not supported in this family", "its public codes disagree")
    delta, is_delta = kimi_delta(keys, hidden, count)
    heads = keys.integer("num_attention_heads", maximum=2**16)
    gates: tuple[Linear, ...] = ()
    if keys.boolean("mla_use_output_gate", default=False):
        width = heads * keys.integer("v_head_dim", maximum=2**16)
        gates = (Linear("g_proj", hidden, width, ATTENTION, Sharding.COLUMN),)
    attention = read_mla(keys, hidden, heads, extra_linears=gates)
    experts = _experts(keys, hidden)
    sparse = moe_after_first(1)(keys, count)
    plain = dense(hidden, keys.integer("intermediate_size"))
    residuals = keys.optional_integer("attn_res_block_size") is not None
    vectors = (*norm(hidden, count=2), *(_residual_attention(hidden, 2) if residuals else ()))
    layers = [
        Layer(delta if fast else attention, experts if is_moe else plain, vectors)
        for fast, is_moe in zip(is_delta, sparse, strict=True)
    ]
    body = finish(keys, hidden, layers)
    if residuals:
        body.final_vectors = (*body.final_vectors, *_residual_attention(hidden, 1))
    if keys.integer("num_nextn_predict_layers", default=0, minimum=0, maximum=64):
        body.notes.append("the multi-token-prediction modules that the config states are not counted")
    return body


def _residual_attention(hidden: int, count: int) -> tuple[Vector, ...]:
    """A norm and a query of the model's width for each choice among earlier residuals."""
    return (
        *norm(hidden, count=count, name="residual_norms"),
        Vector("residual_queries", count * hidden, Component.OTHER),
    )


def _experts(keys: Keys, hidden: int) -> FeedForward:
    width = keys.integer("moe_intermediate_size")
    number = keys.integer("num_experts", "num_local_experts", "n_routed_experts", maximum=10**6)
    latent = keys.optional_integer("routed_expert_hidden_size")
    linears: tuple[Linear, ...] = ()
    vectors: tuple[Vector, ...] = ()
    if latent is not None:
        linears = (
            Linear("routed_expert_down_proj", hidden, latent, Component.OTHER, Sharding.REPLICATED, quantizable=False),
            Linear("routed_expert_up_proj", latent, hidden, Component.OTHER, Sharding.REPLICATED, quantizable=False),
        )
        if keys.boolean("latent_moe_use_norm", default=False):
            vectors = norm(latent, name="routed_expert_norm")
    return moe(
        hidden=hidden,
        num_experts=number,
        num_experts_per_tok=keys.integer("num_experts_per_token", "num_experts_per_tok", maximum=number),
        intermediate=width,
        expert_hidden=latent,
        shared_intermediate=width * keys.integer("num_shared_experts", "n_shared_experts", minimum=0),
        extra_linears=linears,
        extra_vectors=vectors,
    )


# ---- Ling ----


def build_bailing_hybrid(keys: Keys) -> Body:
    """Ling 3: KDA of full-rank gates, latent attention with one gate a head in every layer_group_size-th layer."""
    hidden = keys.integer("hidden_size", maximum=2**20)
    count = layer_count(keys)
    heads = keys.integer("num_attention_heads", maximum=2**16)
    if keys.boolean("tie_word_embeddings", default=False):
        raise keys.error("tie_word_embeddings", "true is not supported in this family", "its public codes disagree")
    types = keys.names("layer_types", ("linear_attention", "full_attention"), count)
    if types is None:
        group = keys.integer("layer_group_size", default=6)
        types = ["linear_attention" if (index + 1) % group else "full_attention" for index in range(count)]
    # the class writes the width that it read back as the rotary width, and keeps the read one as linear_head_dim
    delta = kda(
        hidden=hidden,
        heads=keys.integer("linear_num_heads", default=heads, maximum=2**16),
        head_dim=keys.integer("linear_head_dim", "head_dim", default=128, maximum=2**16),
        conv_kernel=keys.integer("linear_conv_kernel_dim", "short_conv_kernel_size", default=4, maximum=1024),
        full_decay=True,
        full_gate=True,
    )
    gate = Linear("g_proj", hidden, heads, ATTENTION, Sharding.COLUMN, quantizable=False)
    attention = read_mla(keys, hidden, heads, extra_linears=(gate,))
    experts = _experts(keys, hidden)
    plain = dense(hidden, keys.integer("intermediate_size"))
    sparse = moe_after_first(2)(keys, count)
    layers = [
        Layer(delta if kind == "linear_attention" else attention, experts if is_moe else plain, norm(hidden, count=2))
        for kind, is_moe in zip(types, sparse, strict=True)
    ]
    body = finish(keys, hidden, layers)
    if keys.integer("num_nextn_predict_layers", "num_mtp_layers", default=0, minimum=0, maximum=64):
        body.notes.append("the multi-token-prediction modules that the config states are not counted")
    return body
