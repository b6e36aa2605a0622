"""Gemma 3n and Gemma 4: layers that share an earlier layer's keys and values, and embeddings of every layer."""

from __future__ import annotations

from sizing.model.body import Body, Layer, layer_count, norm
from sizing.model.families.decoder import read_kv_heads
from sizing.model.feedforward import dense, mlp_linears, moe
from sizing.model.keys import Keys
from sizing.model.mixers import gqa
from sizing.model.parts import Component, FeedForward, Linear, Mixer, Sharding, Vector

PER_LAYER = Component.PER_LAYER_EMBEDDING


def per_layer_parts(hidden: int, width: int) -> tuple[tuple[Linear, ...], tuple[Vector, ...]]:
    """What a layer adds for its own embedding: a gate, a projection back and a norm; nothing where width is 0."""
    if not width:
        return (), ()
    linears = (
        Linear("per_layer_input_gate", hidden, width, PER_LAYER, Sharding.REPLICATED, quantizable=False),
        Linear("per_layer_projection", width, hidden, PER_LAYER, Sharding.REPLICATED, quantizable=False),
    )
    return linears, norm(hidden, name="per_layer_norm")


def per_layer_table(keys: Keys, hidden: int, count: int, width: int) -> tuple[tuple[Linear, ...], tuple[Vector, ...]]:
    """The table of all layers' embeddings (a look-up, no GEMM), the projection beside it and its norm."""
    if not width:
        return (), ()
    rows = keys.integer("vocab_size_per_layer_input", default=262_144, maximum=2**27)
    projection = Linear(
        "per_layer_model_projection", hidden, count * width, PER_LAYER, Sharding.REPLICATED, quantizable=False
    )
    table = Vector("embed_tokens_per_layer", rows * count * width, PER_LAYER, sharded=True)  # by rows of the vocabulary
    return (projection,), (table, *norm(width, name="per_layer_projection_norm"))


def sharing_layers(keys: Keys, types: list[str], default: int | None) -> list[bool]:
    """Which layers have no keys and values of their own: the last num_kv_shared_layers."""
    count = len(types)
    shared = keys.integer("num_kv_shared_layers", default=default, minimum=0, maximum=count)
    if shared and set(types[: count - shared]) != set(types):
        raise keys.error("num_kv_shared_layers", "leaves a kind of layer without one that keeps a cache")
    return [index >= count - shared for index in range(count)]


def read_types(keys: Keys, count: int, period: int) -> list[str]:
    """layer_types, else every ``period``-th layer is full."""
    types = keys.names("layer_types", ("full_attention", "sliding_attention"), count)
    if types is None:
        types = ["sliding_attention" if (index + 1) % period else "full_attention" for index in range(count)]
    return types


# ---- Gemma 3n ----


def build_gemma3n(keys: Keys) -> Body:
    """Gemma 3n: AltUp streams, LAuReL, embeddings of every layer, shared keys and values."""
    hidden = keys.integer("hidden_size", maximum=2**20)
    count = layer_count(keys)
    types = read_types(keys, count, 5)
    shares = sharing_layers(keys, types, 15)
    width = keys.integer("hidden_size_per_layer_input", default=256, maximum=2**20)
    streams = keys.integer("altup_num_inputs", default=4, maximum=64)
    rank = keys.integer("laurel_rank", default=64, maximum=2**20)
    window = keys.integer("sliding_window", default=512)
    widths = _widths(keys, count)
    heads = keys.integer("num_attention_heads", maximum=2**16)
    bias = keys.boolean("attention_bias", default=False)
    kv_heads = read_kv_heads(keys, heads, 2)
    head_dim = keys.integer("head_dim", default=256, maximum=2**16)
    gates, gate_norm = per_layer_parts(hidden, width)
    extra = (
        Linear("altup.correction_coefs", streams, streams, Component.OTHER, Sharding.REPLICATED, quantizable=False),
        Linear("altup.prediction_coefs", streams, streams**2, Component.OTHER, Sharding.REPLICATED, quantizable=False),
        Linear("altup.modality_router", hidden, streams, Component.OTHER, Sharding.REPLICATED, quantizable=False),
        Linear("laurel.linear_left", hidden, rank, Component.OTHER, Sharding.REPLICATED, quantizable=False),
        Linear("laurel.linear_right", rank, hidden, Component.OTHER, Sharding.REPLICATED, quantizable=False),
        *gates,
    )
    vectors = (
        *norm(hidden, count=4),
        Vector("altup.correct_output_scale", hidden, Component.OTHER),
        *norm(hidden, count=2, name="altup_laurel_norms"),
        *gate_norm,
    )
    layers = []
    for kind, shared, intermediate in zip(types, shares, widths, strict=True):
        mixer = gqa(
            hidden=hidden,
            heads=heads,
            kv_heads=kv_heads,
            head_dim=head_dim,
            q_bias=bias,
            o_bias=bias,
            qk_norm="head",
            window=window if kind == "sliding_attention" else None,
            share_kv=shared,
            extra_linears=extra,
        )
        layers.append(Layer(mixer, dense(hidden, intermediate), vectors))
    outside, table = per_layer_table(keys, hidden, count, width)
    streams_linears = tuple(
        Linear(f"{name}.{index}", hidden, hidden, Component.OTHER, Sharding.REPLICATED, quantizable=False)
        for name in ("altup_projections", "altup_unembed_projections")
        for index in range(streams - 1)
    )
    return Body(
        hidden_size=hidden,
        vocab_size=keys.integer("vocab_size", maximum=2**27),
        layers=layers,
        tie_default=True,
        final_vectors=(*norm(hidden, name="final_norm"), *table),
        extra_linears=(*outside, *streams_linears),
    )


def _widths(keys: Keys, count: int) -> list[int]:
    """intermediate_size: one number, or one for each layer."""
    if isinstance(keys.data.get("intermediate_size"), list):
        return keys.integers("intermediate_size", count, minimum=1) or []
    return [keys.integer("intermediate_size")] * count


# ---- Gemma 4 ----


def build_gemma4(keys: Keys, *, plain: bool = False) -> Body:
    """Gemma 4: wider heads and fewer KV heads on full layers, keys used as values, dense and expert blocks side by
    side, and in the E-models embeddings of every layer and shared keys and values.

    plain: Gemma 4 Unified, without embeddings of every layer and without experts.
    """
    if not plain and "hidden_size_per_layer_input" not in keys.data:
        raise keys.error("hidden_size_per_layer_input", "required key is missing", "0 for a model without it")
    hidden = keys.integer("hidden_size", maximum=2**20)
    count = layer_count(keys)
    types = read_types(keys, count, 6)
    types[-1] = "full_attention"
    shares = sharing_layers(keys, types, 0)
    window = keys.integer("sliding_window", default=1024 if plain else 512)
    if keys.data.get("use_bidirectional_attention") == "all":
        raise keys.error("use_bidirectional_attention", "'all' is not supported")
    width = 0 if plain else keys.integer("hidden_size_per_layer_input", default=0, minimum=0, maximum=2**20)
    double = keys.boolean("use_double_wide_mlp", default=False)
    gates, gate_norm = per_layer_parts(hidden, width)
    layers = []
    for own, kind, shared in zip(_gemma4_layers(keys, types), types, shares, strict=True):
        limit = window if kind == "sliding_attention" else None
        mixer = _gemma4_attention(own, hidden, limit, shared, gates)
        block, norms = _gemma4_block(keys, hidden, double and shared, plain)
        layers.append(Layer(mixer, block, (*norm(hidden, count=norms), *gate_norm)))
    outside, table = per_layer_table(keys, hidden, count, width)
    return Body(
        hidden_size=hidden,
        vocab_size=keys.integer("vocab_size", maximum=2**27),
        layers=layers,
        tie_default=True,
        final_vectors=(*norm(hidden, name="final_norm"), *table),
        extra_linears=outside,
    )


def _gemma4_layers(keys: Keys, types: list[str]) -> list[Keys]:
    """The keys of every layer; what full layers have of their own stands under global_ names, or, as newer
    versions of transformers write it, in per_layer_config.
    """
    if keys.has("per_layer_config"):
        return keys.per_layer(len(types), ("head_dim", "num_key_value_heads"))
    full = {**keys.data, "head_dim": keys.integer("global_head_dim", default=512, maximum=2**16)}
    few = keys.optional_integer("num_global_key_value_heads", maximum=2**16)
    if few is not None and keys.boolean("attention_k_eq_v", default=False):
        full["num_key_value_heads"] = few
    wide = Keys(full, keys.path)
    wide.read = keys.read
    return [wide if kind == "full_attention" else keys for kind in types]


def _gemma4_attention(
    keys: Keys,
    hidden: int,
    window: int | None,
    shared: bool,
    extra: tuple[Linear, ...],
) -> Mixer:
    heads = keys.integer("num_attention_heads", maximum=2**16)
    kv_heads = read_kv_heads(keys, heads, 4)
    head_dim = keys.integer("head_dim", default=256, maximum=2**16)
    same = keys.boolean("attention_k_eq_v", default=False)
    bias = keys.boolean("attention_bias", default=False)
    full = window is None
    return gqa(
        hidden=hidden,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        q_bias=bias,
        o_bias=bias,
        qk_norm="head",
        window=window,
        share_kv=shared,
        key_is_value=full and same,
        extra_linears=extra,
    )


def _gemma4_block(keys: Keys, hidden: int, double: bool, plain: bool) -> tuple[FeedForward, int]:
    """The feed-forward block and the layer's number of norms."""
    width = keys.integer("intermediate_size") * (2 if double else 1)
    if plain or not keys.boolean("enable_moe_block", default=False):
        keys.unused("num_experts", "enable_moe_block")
        return dense(hidden, width), 4
    number = keys.integer("num_experts", maximum=10**6)
    block = moe(
        hidden=hidden,
        num_experts=number,
        num_experts_per_tok=keys.integer("top_k_experts", "num_experts_per_tok", maximum=number),
        intermediate=keys.integer("moe_intermediate_size"),
        router_params=hidden + number,
        extra_linears=mlp_linears(hidden, width),
    )
    return block, 7
