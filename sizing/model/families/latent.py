"""Families with multi-head latent attention: DeepSeek V2, V3, V3.2 and V4, Kimi K2, GLM-5, GLM-4.7-Flash."""

from __future__ import annotations

from dataclasses import replace

from sizing.model.body import Body, Layer, layer_count, norm
from sizing.model.families.decoder import add_mtp, moe_after_first, read_head_dim, read_kv_heads
from sizing.model.feedforward import dense, moe
from sizing.model.keys import Keys
from sizing.model.mixers import ATTENTION, gqa, mla
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

MLA_FAMILIES = (
    "glm_moe_dsa",
    "deepseek_v3",
    "deepseek_v32",
    "kimi_k2",
    "glm4_moe_lite",
    "mistral4",
    "sarvam_mla",
)


def read_q_lora_rank(keys: Keys) -> int | None:
    """q_lora_rank; null is a plain q_proj, an absent key is refused as families differ in their default."""
    if "q_lora_rank" not in keys.data:
        raise keys.error("q_lora_rank", "required key is missing", "null for a plain query projection")
    return keys.optional_integer("q_lora_rank", maximum=2**20)


def read_mla(
    keys: Keys,
    hidden: int,
    heads: int,
    *,
    index_topk: int | None = None,
    own_indexer: bool = True,
    value_default: bool = False,
    extra_linears: tuple[Linear, ...] = (),
) -> Mixer:
    """The latent attention of one layer; value_default: v_head_dim may be left to hidden_size / heads."""
    sparse = index_topk is not None
    return mla(
        hidden=hidden,
        heads=heads,
        q_lora_rank=read_q_lora_rank(keys),
        kv_lora_rank=keys.integer("kv_lora_rank", maximum=2**20),
        qk_nope_head_dim=keys.integer("qk_nope_head_dim", maximum=2**16),
        qk_rope_head_dim=keys.integer("qk_rope_head_dim", minimum=0, maximum=2**16),
        v_head_dim=keys.integer("v_head_dim", default=hidden // heads if value_default else None, maximum=2**16),
        bias=keys.boolean("attention_bias", default=False),
        index_heads=keys.integer("index_n_heads", maximum=2**16) if sparse else 0,
        index_dim=keys.integer("index_head_dim", maximum=2**16) if sparse else 0,
        index_topk=index_topk,
        own_indexer=own_indexer,
        extra_linears=extra_linears,
    )


def indexer_layers(keys: Keys, layers: int) -> list[bool]:
    """Which layers have an indexer of their own (GLM-5.2): indexer_types, a pattern, or a frequency."""
    types = keys.names("indexer_types", ("full", "shared"), layers)
    if types is not None:
        return [kind == "full" for kind in types]
    pattern = keys.data.get("index_topk_pattern")
    if isinstance(pattern, str) and keys.has("index_topk_pattern"):
        if len(pattern) < layers or set(pattern) - {"F", "S"}:
            raise keys.error("index_topk_pattern", f"must be {layers} letters F or S")
        return [letter == "F" for letter in pattern[:layers]]
    if pattern is not None:
        names = keys.names("index_topk_pattern", ("full", "shared"), layers) or []
        return [kind == "full" for kind in names]
    frequency = keys.integer("index_topk_freq", default=1)
    offset = keys.integer("index_skip_topk_offset", default=2, minimum=0)
    return [max(index - offset + 1, 0) % frequency == 0 for index in range(layers)]


def read_experts(
    keys: Keys, hidden: int, *, shared_default: int | None = None, bias: bool = False, normed: bool = False
) -> FeedForward:
    """DeepSeekMoE: routed experts and n_shared_experts of the same width (0 or null: none)."""
    experts = keys.integer("n_routed_experts", "num_experts", maximum=10**6)
    other = keys.optional_integer("num_experts", maximum=10**6)
    if other is not None and other != experts:
        raise keys.error("num_experts", f"{other} contradicts n_routed_experts ({experts})")
    width = keys.integer("moe_intermediate_size")
    if "n_shared_experts" in keys.data:
        shared = keys.integer("n_shared_experts", default=0, minimum=0, maximum=1024)
    else:
        shared = keys.integer("n_shared_experts", "num_shared_experts", default=shared_default)
    return moe(
        hidden=hidden,
        num_experts=experts,
        num_experts_per_tok=keys.integer("num_experts_per_tok", "num_experts_per_token", maximum=experts),
        intermediate=width,
        shared_intermediate=width * shared,
        shared_bias=bias,
        extra_vectors=norm(hidden, name="experts_norm") if normed else (),
    )


def _plain_attention(keys: Keys, hidden: int, heads: int) -> Mixer:
    """Attention of the small DeepSeek models that do without latents (use_mla false)."""
    keys.refuse(("kv_lora_rank", "q_lora_rank"), "contradicts use_mla false")
    keys.unused("kv_lora_rank", "q_lora_rank")
    bias = keys.boolean("attention_bias", default=False)
    kv_heads = read_kv_heads(keys, heads)
    head_dim = read_head_dim(keys, hidden, heads, ignore=True)
    return gqa(hidden=hidden, heads=heads, kv_heads=kv_heads, head_dim=head_dim, q_bias=bias, o_bias=bias)


def build(
    keys: Keys,
    *,
    experts_norm: bool = False,
    mlp_biases: bool = False,
    dense_only: bool = False,
    tie: bool = False,
) -> Body:
    """DeepSeek V2, V3, V3.2, Kimi K2, GLM-5, Mistral 4: one builder, told apart by their keys.

    experts_norm: a norm behind the experts (A.X K1). mlp_biases: mlp_bias is honoured (DeepSeek V2, MiniCPM3).
    dense_only: the family has no experts (MiniCPM3, Youtu).
    """
    hidden = keys.integer("hidden_size", maximum=2**20)
    count = layer_count(keys)
    heads = keys.integer("num_attention_heads", maximum=2**16)
    keys.names("layer_types", ("deepseek_sparse_attention", "indexed_attention", "full_attention"), count)
    topk = keys.optional_integer("index_topk")
    own = indexer_layers(keys, count) if topk is not None else [True] * count
    if keys.boolean("use_mla", default=True):
        made = {
            flag: read_mla(keys, hidden, heads, index_topk=topk, own_indexer=flag, value_default=dense_only)
            for flag in set(own)
        }
    else:
        made = {True: _plain_attention(keys, hidden, heads)}
        if topk is not None:
            raise keys.error("index_topk", "is not supported with use_mla false")
    bias = keys.boolean("mlp_bias", default=False) if mlp_biases else False
    routed = not dense_only and ("n_routed_experts" not in keys.data or keys.has("n_routed_experts"))
    sparse = moe_after_first()(keys, count) if routed else [False] * count
    plain = dense(hidden, keys.integer("intermediate_size"), bias=bias) if not all(sparse) else None
    experts = read_experts(keys, hidden, bias=bias, normed=experts_norm) if any(sparse) else None
    if not dense_only:
        keys.unused("n_shared_experts", "n_routed_experts", "num_experts", "num_shared_experts")
    blocks = [experts if is_moe else plain for is_moe in sparse]
    vectors = norm(hidden, count=2)
    layers = [Layer(made[flag], block, vectors) for flag, block in zip(own, blocks, strict=True) if block is not None]
    body = Body(
        hidden_size=hidden,
        vocab_size=keys.integer("vocab_size", maximum=2**27),
        layers=layers,
        tie_default=tie,
        final_vectors=norm(hidden, name="final_norm"),
    )
    add_mtp(keys, body, "num_nextn_predict_layers", "num_mtp_layers")
    if topk is not None:
        body.notes.append("index keys are counted at 2 bytes an element; fp8 kernels keep dim + 4 bytes a token")
    return body


# ---- DeepSeek V4 ----


def build_v4(keys: Keys) -> Body:
    """DeepSeek V4: one shared key-value head, a window everywhere, compressed caches, hyper-connections."""
    hidden = keys.integer("hidden_size", maximum=2**20)
    count = layer_count(keys)
    ratios = _v4_ratios(keys, count)
    keys.refuse(("attention_bias", "mlp_bias"), "true is not supported in this family")
    if keys.integer("n_shared_experts", minimum=0) != 1:
        raise keys.error("n_shared_experts", "must be 1 in this family", "its public codes disagree on more")
    experts = replace(read_experts(keys, hidden), kind="moe")
    connections = hyper_connections(keys, hidden)
    layers = []
    for ratio in ratios:
        mixer = compressed_attention(keys, hidden, ratio)
        layers.append(Layer(mixer, experts, (*norm(hidden, count=2), connections, connections)))
    mult = keys.integer("hc_mult", maximum=64)
    head = Vector("hc_head", mult * mult * hidden + mult + 1, Component.OTHER)
    keys.has("num_hash_layers")
    body = Body(
        hidden_size=hidden,
        vocab_size=keys.integer("vocab_size", maximum=2**27),
        layers=layers,
        final_vectors=(*norm(hidden, name="final_norm"), head),
        notes=["the window's keys and values are kept beside the compressed ones in every layer"],
    )
    modules = keys.integer("num_nextn_predict_layers", default=0, minimum=0, maximum=64)
    if modules:
        body.mtp_layers = [
            Layer(
                compressed_attention(keys, hidden, 0),
                experts,
                (*norm(hidden, count=2), connections, connections),
            )
        ] * modules
        number = experts.experts.num_experts if experts.experts else 0
        body.mtp_extra_params = modules * (2 * hidden * hidden + 3 * hidden + number + head.params)
    return body


V4_KINDS = {"sliding_attention": 0, "compressed_sparse_attention": 4, "heavily_compressed_attention": 128}


def _v4_ratios(keys: Keys, count: int) -> list[int]:
    """Tokens to an entry of every layer's compressed cache: compress_ratios, or layer_types as transformers
    writes them.
    """
    types = keys.names("layer_types", V4_KINDS, count)
    rates = keys.child("compress_rates") or Keys({}, "compress_rates.")
    for kind in ("compressed_sparse_attention", "heavily_compressed_attention"):
        if rates.integer(kind, default=V4_KINDS[kind]) != V4_KINDS[kind]:
            raise rates.error(kind, f"only {V4_KINDS[kind]} is supported")
    if types is not None:
        return [V4_KINDS[kind] for kind in types]
    ratios = keys.integers("compress_ratios", count, at_least=True)
    if ratios is None:
        raise keys.error("compress_ratios", "required key is missing", "or layer_types")
    return ratios


def hyper_connections(keys: Keys, hidden: int) -> Vector:
    """Manifold hyper-connections of one block: fn, base and scale."""
    mult = keys.integer("hc_mult", maximum=64)
    width = mult * (mult + 2)
    return Vector("hyper_connection", width * mult * hidden + width + 3, Component.OTHER)


def compressed_attention(keys: Keys, hidden: int, ratio: int) -> Mixer:
    """V4's attention: ratio 0 is the window alone, 4 compressed sparse (with an indexer), 128 heavily
    compressed.
    """
    if ratio not in (0, 4, 128):
        raise keys.error("compress_ratios", f"{ratio} is not supported", "0, 4 or 128")
    heads = keys.integer("num_attention_heads", maximum=2**16)
    head_dim = keys.integer("head_dim", maximum=2**16)
    q_rank = keys.integer("q_lora_rank", maximum=2**20)
    groups = keys.integer("o_groups", maximum=2**16)
    o_rank = keys.integer("o_lora_rank", maximum=2**20)
    window = keys.integer("sliding_window")
    if keys.integer("num_key_value_heads", default=1) != 1:
        raise keys.error("num_key_value_heads", "must be 1 in this family")
    if heads * head_dim % groups:
        raise keys.error("o_groups", f"{groups} does not divide {heads} heads of {head_dim}")
    index_heads = keys.integer("index_n_heads", maximum=2**16)
    index_dim = keys.integer("index_head_dim", maximum=2**16)
    topk = keys.integer("index_topk")
    whole = Sharding.REPLICATED
    linears = [
        Linear("q_a_proj", hidden, q_rank, ATTENTION, whole, fuse="qkv_a"),
        Linear("kv_proj", hidden, head_dim, ATTENTION, whole, fuse="qkv_a"),
        Linear("q_b_proj", q_rank, heads * head_dim, ATTENTION, Sharding.COLUMN),
        Linear("o_a_proj", heads * head_dim // groups, groups * o_rank, ATTENTION, Sharding.COLUMN),
        Linear("o_b_proj", groups * o_rank, hidden, ATTENTION, Sharding.ROW),
    ]
    vectors = [
        Vector("q_a_norm", q_rank),
        Vector("kv_norm", head_dim),
        Vector("sinks", heads, ATTENTION, True),
    ]
    core = AttentionCore(CoreKind.MLA, heads, 1, head_dim, head_dim, window, latent_dim=head_dim, latent_v_dim=head_dim)
    cache = Cache(CacheKind.SLIDING, head_dim, 1, window)
    if ratio == 0:
        return Mixer("window_latent", tuple(linears), tuple(vectors), core, cache)
    width = head_dim * (2 if ratio == 4 else 1)
    linears.append(Linear("compressor.kv_proj", hidden, width, ATTENTION, whole, fuse="compressor"))
    linears.append(Linear("compressor.gate_proj", hidden, width, ATTENTION, whole, fuse="compressor"))
    vectors.append(Vector("compressor.position_bias", ratio * width, ATTENTION))
    vectors.append(Vector("compressor.kv_norm", head_dim))
    cache = Cache(
        CacheKind.COMPRESSED,
        head_dim / ratio,
        1,
        local_window=window,
        local_elements_per_token=head_dim,
    )
    core = replace(core, compress_ratio=ratio)
    if ratio == 4:
        for name in ("kv_proj", "gate_proj"):
            linears.append(
                Linear(f"indexer.{name}", hidden, 2 * index_dim, ATTENTION, whole, fuse="indexer_compressor")
            )
        linears.append(Linear("indexer.q_b_proj", q_rank, index_heads * index_dim, ATTENTION, whole))
        linears.append(Linear("indexer.weights_proj", hidden, index_heads, ATTENTION, whole, quantizable=False))
        vectors.append(Vector("indexer.position_bias", ratio * 2 * index_dim, ATTENTION))
        vectors.append(Vector("indexer.kv_norm", index_dim))
        core = replace(core, topk_tokens=topk, index_heads=index_heads, index_dim=index_dim, index_ratio=ratio)
        cache = replace(cache, indexer_bytes_per_token=2.0 * index_dim / ratio)
    kind = "compressed_sparse" if ratio == 4 else "heavily_compressed"
    return Mixer(kind, tuple(linears), tuple(vectors), core, cache)
