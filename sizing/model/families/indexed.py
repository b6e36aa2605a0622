"""Families whose attention reads the tokens that an indexer picks: MiniMax-M3 and GLM-5.3."""

from __future__ import annotations

from dataclasses import replace

from sizing.model.body import Body, Layer, layer_count, norm
from sizing.model.families.decoder import add_mtp, read_kv_heads
from sizing.model.families.latent import hyper_connections, indexer_layers, read_experts, read_mla
from sizing.model.families.recurrent import finish, kda
from sizing.model.feedforward import dense, moe
from sizing.model.keys import Keys
from sizing.model.mixers import ATTENTION, gqa
from sizing.model.parts import Linear, Mixer, Sharding, Vector


def build_minimax_m3(keys: Keys) -> Body:
    """MiniMax-M3: grouped attention that reads blocks of tokens which an index branch picks, experts with a shared
    one.
    """
    hidden = keys.integer("hidden_size", maximum=2**20)
    count = layer_count(keys)
    if keys.boolean("attention_output_gate", default=False):
        raise keys.error("attention_output_gate", "true is not supported")
    if not keys.boolean("use_qk_norm", default=True) or keys.text("qk_norm_type", default="per_head") != "per_head":
        raise keys.error("use_qk_norm", "only norms of every head are supported")
    if keys.integer("n_shared_experts", default=1, minimum=0) != 1:
        raise keys.error("n_shared_experts", "must be 1")
    experts = keys.integer("num_local_experts", "num_experts", maximum=10**6)
    mixture = moe(
        hidden=hidden,
        num_experts=experts,
        num_experts_per_tok=keys.integer("num_experts_per_tok", maximum=experts),
        intermediate=keys.integer("intermediate_size", "moe_intermediate_size"),
        shared_intermediate=keys.integer("shared_intermediate_size"),
    )
    plain = dense(hidden, keys.integer("dense_intermediate_size"))
    picked = _m3_sparse_layers(keys, count)
    made = {flag: _m3_attention(keys, hidden, flag) for flag in set(picked)}
    sparse = _m3_expert_layers(keys, count)
    vectors = norm(hidden, count=2)
    layers = [
        Layer(made[flag], mixture if is_moe else plain, vectors) for flag, is_moe in zip(picked, sparse, strict=True)
    ]
    body = finish(keys, hidden, layers)
    for name in ("num_mtp_modules", "num_nextn_predict_layers"):
        if keys.integer(name, default=0, minimum=0, maximum=64):
            body.notes.append("the multi-token-prediction modules that the config states are not counted")
    if any(picked):
        body.notes.append("index keys are counted at 2 bytes an element")
    return body


def _m3_expert_layers(keys: Keys, count: int) -> list[bool]:
    kinds = keys.names("mlp_layer_types", ("dense", "sparse"), count)
    if kinds is not None:
        return [kind == "sparse" for kind in kinds]
    frequency = keys.integers("moe_layer_freq", count)
    return [True] * count if frequency is None else [bool(value) for value in frequency]


def _m3_config(keys: Keys) -> Keys | None:
    return keys.child("sparse_attention_config")


def _m3_sparse_layers(keys: Keys, count: int) -> list[bool]:
    types = keys.names("layer_types", ("full_attention", "minimax_m3_sparse"), count)
    config = _m3_config(keys)
    if config is not None and not config.boolean("use_sparse_attention", default=True):
        raise config.error("use_sparse_attention", "false is not supported")
    if types is not None:
        picked = [kind == "minimax_m3_sparse" for kind in types]
    else:
        frequency = config.integers("sparse_attention_freq", count) if config is not None else None
        picked = [bool(value) for value in frequency or [0] * count]
    without = config.integers("sparse_disable_index_value", count) if config is not None else None
    if without is not None and any(flag and not off for flag, off in zip(picked, without, strict=True)):
        raise keys.error("sparse_attention_config", "layers with an index value are not supported")
    return picked


def _m3_attention(keys: Keys, hidden: int, picks: bool) -> Mixer:
    heads = keys.integer("num_attention_heads", maximum=2**16)
    mixer = gqa(
        hidden=hidden,
        heads=heads,
        kv_heads=read_kv_heads(keys, heads, 4),
        head_dim=keys.integer("head_dim", default=128, maximum=2**16),
        qk_norm="head",
    )
    config = _m3_config(keys) or Keys({})
    numbers = {}
    for name, legacy, default in (
        ("index_n_heads", "sparse_num_index_heads", 4),
        ("index_head_dim", "sparse_index_dim", 128),
        ("index_block_size", "sparse_block_size", 128),
        ("index_topk_blocks", "sparse_topk_blocks", 16),
    ):
        fallback = keys.integer(name, default=default, maximum=2**20)
        numbers[name] = config.integer(legacy, default=fallback, maximum=2**20)
    if not picks:
        return mixer
    index_heads, dim = numbers["index_n_heads"], numbers["index_head_dim"]
    whole = Sharding.REPLICATED
    linears = (
        Linear("indexer.q_proj", hidden, index_heads * dim, ATTENTION, whole),
        Linear("indexer.k_proj", hidden, dim, ATTENTION, whole),
    )
    core = replace(
        mixer.core,
        topk_tokens=numbers["index_block_size"] * numbers["index_topk_blocks"],
        index_heads=index_heads,
        index_dim=dim,
    )
    cache = replace(mixer.cache, indexer_bytes_per_token=2.0 * dim)
    vectors = (*mixer.vectors, *norm(dim, count=2, name="indexer.norms"))
    return Mixer("gqa_sparse", (*mixer.linears, *linears), vectors, core, cache)


# ---- GLM-5.3 ----


def build_glm5_next(keys: Keys) -> Body:
    """GLM-5.3: Kimi delta attention and latent attention with pooled index keys, hyper-connections, experts."""
    hidden = keys.integer("hidden_size", maximum=2**20)
    count = layer_count(keys)
    heads = keys.integer("num_attention_heads", maximum=2**16)
    types = keys.names("layer_types", ("linear_attention", "indexed_attention", "full_attention"), count)
    if types is None:
        types = ["indexed_attention" if index % 4 == 3 else "linear_attention" for index in range(count)]
    topk = keys.integer("index_topk", default=2048)
    owns = indexer_layers(keys, count)
    linear = keys.child("linear_attn_config") or Keys({}, "linear_attn_config.")
    delta = kda(
        hidden=hidden,
        heads=linear.integer("num_heads", default=keys.integer("linear_num_heads", default=64), maximum=2**16),
        head_dim=linear.integer("head_dim", default=keys.integer("linear_head_dim", default=128), maximum=2**16),
        conv_kernel=linear.integer(
            "short_conv_kernel_size", default=keys.integer("linear_conv_kernel_dim", default=4), maximum=1024
        ),
    )
    keys.unused("linear_attn_config")
    made = {own: _pooled_mla(keys, hidden, heads, topk, own) for own in set(owns)}
    kinds = keys.names("mlp_layer_types", ("dense", "sparse"), count)
    if kinds is None:
        first = keys.integer("first_k_dense_replace", default=3, minimum=0)
        kinds = ["dense" if index < first else "sparse" for index in range(count)]
    blocks = {
        "dense": dense(hidden, keys.integer("intermediate_size")),
        "sparse": read_experts(keys, hidden, shared_default=1),
    }
    connections = hyper_connections(keys, hidden)
    vectors = (*norm(hidden, count=2), connections, connections)
    layers = [
        Layer(delta if kind == "linear_attention" else made[own], blocks[mlp], vectors)
        for kind, own, mlp in zip(types, owns, kinds, strict=True)
    ]
    body = finish(keys, hidden, layers)
    made.setdefault(True, _pooled_mla(keys, hidden, heads, topk, True))
    add_mtp(keys, body, layer=Layer(made[True], blocks["sparse"], norm(hidden, count=2)))
    body.notes.append("index keys are pooled, one for index_kpool tokens, and counted at 2 bytes an element")
    return body


def _pooled_mla(keys: Keys, hidden: int, heads: int, topk: int, own: bool) -> Mixer:
    """Latent attention whose indexer keeps one key for every index_kpool tokens, with the pooling's weights."""
    mixer = read_mla(keys, hidden, heads, index_topk=topk, own_indexer=own)
    pool = keys.integer("index_kpool", default=16, maximum=2**20)
    if not own:
        return mixer
    dim = keys.integer("index_head_dim", maximum=2**16)
    gate = Linear("indexer.pool_gate", hidden, dim, ATTENTION, Sharding.REPLICATED, quantizable=False)
    cache = replace(mixer.cache, indexer_bytes_per_token=mixer.cache.indexer_bytes_per_token / pool)
    return replace(
        mixer,
        linears=(*mixer.linears, gate),
        vectors=(*mixer.vectors, Vector("indexer.pool_position", pool * dim, ATTENTION)),
        core=replace(mixer.core, index_ratio=pool),
        cache=cache,
    )
