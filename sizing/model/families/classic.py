"""Decoders of 2019 to 2023 with LayerNorms and key names of their own: GPT-2, GPT-J, GPT-NeoX, OPT, BLOOM, MPT,
StarCoder-1, StableLM, Qwen-1 and DBRX.
"""

from __future__ import annotations

from sizing.model.body import Body, Layer, layer_count, norm
from sizing.model.families.decoder import read_kv_heads
from sizing.model.feedforward import NO_FEED_FORWARD, dense, moe
from sizing.model.keys import Keys
from sizing.model.mixers import ATTENTION, NO_CACHE, NO_CORE, NO_MIXER, gqa
from sizing.model.parts import Component, FeedForward, Linear, Mixer, Sharding, Vector

WIDTH = ("n_embd", "hidden_size")
LAYERS = ("n_layer", "num_hidden_layers")
HEADS = ("n_head", "num_attention_heads")


def _agree(keys: Keys, *names: str) -> None:
    """Refuse a config that states one number under two names, differently."""
    stated = {str(keys.data[name]) for name in names if keys.has(name)}
    if len(stated) > 1:
        raise keys.error(names[0], f"contradicts {' and '.join(names[1:])}")


def _split(keys: Keys, hidden: int, heads: int) -> int:
    """The width of one head."""
    if hidden % heads:
        raise keys.error(keys.first(HEADS) or HEADS[0], f"{heads} does not divide the width {hidden}")
    return hidden // heads


def _read(keys: Keys) -> tuple[int, int, int, int]:
    """Width, layers, heads and width of a head by the names of GPT-2."""
    for names in (WIDTH, LAYERS, HEADS):
        _agree(keys, *names)
    hidden = keys.integer(*WIDTH, maximum=2**20)
    heads = keys.integer(*HEADS, maximum=2**16)
    return hidden, layer_count(keys, *LAYERS), heads, _split(keys, hidden, heads)


def _body(
    keys: Keys,
    hidden: int,
    layer: Layer,
    count: int,
    *,
    tie: bool,
    extra: tuple[Vector, ...] = (),
    norm_bias: bool = True,
    final: bool = True,
) -> Body:
    final_norm = norm(hidden, bias=norm_bias, name="final_norm") if final else ()
    return Body(
        hidden_size=hidden,
        vocab_size=keys.integer("vocab_size", maximum=2**27),
        layers=[layer] * count,
        tie_default=tie,
        final_vectors=(*final_norm, *extra),
    )


def _positions(rows: int, hidden: int) -> Vector:
    return Vector("position_embedding", rows * hidden, Component.EMBEDDING)


def _gpt2(keys: Keys, *, multi_query: bool) -> Body:
    if keys.boolean("add_cross_attention", default=False):
        raise keys.error("add_cross_attention", "true is not supported")
    hidden, count, heads, head_dim = _read(keys)
    mixer = gqa(
        hidden=hidden,
        heads=heads,
        kv_heads=1 if multi_query else heads,
        head_dim=head_dim,
        q_bias=True,
        o_bias=True,
    )
    block = dense(hidden, keys.integer("n_inner", default=4 * hidden), gated=False, bias=True)
    table = _positions(keys.integer("n_positions", "max_position_embeddings"), hidden)
    layer = Layer(mixer, block, norm(hidden, bias=True, count=2))
    return _body(keys, hidden, layer, count, tie=True, extra=(table,))


def build_gpt2(keys: Keys) -> Body:
    """GPT-2: learned positions, biases everywhere, two LayerNorms a layer."""
    return _gpt2(keys, multi_query=False)


def build_gpt_bigcode(keys: Keys) -> Body:
    """StarCoder-1: GPT-2 with one KV head unless multi_query is false."""
    return _gpt2(keys, multi_query=keys.boolean("multi_query", default=True))


def build_gptj(keys: Keys) -> Body:
    """GPT-J: rotary, one LayerNorm a layer, biases in the MLP and the head only."""
    hidden, count, heads, head_dim = _read(keys)
    mixer = gqa(hidden=hidden, heads=heads, kv_heads=heads, head_dim=head_dim)
    block = dense(hidden, keys.integer("n_inner", default=4 * hidden), gated=False, bias=True)
    body = _body(keys, hidden, Layer(mixer, block, norm(hidden, bias=True)), count, tie=False)
    body.lm_head_bias = True
    return body


def build_gpt_neo(keys: Keys) -> Body:
    """GPT-Neo: learned positions, projections of q, k and v without biases, a window in every other layer."""
    hidden = keys.integer("hidden_size", maximum=2**20)
    count = layer_count(keys, "num_layers", "num_hidden_layers")
    heads = keys.integer("num_heads", "num_attention_heads", maximum=2**16)
    head_dim = _split(keys, hidden, heads)
    kinds = keys.names("attention_layers", ("global", "local"), count)
    if kinds is None:
        kinds = ["local" if index % 2 else "global" for index in range(count)]
        if keys.data.get("attention_types", [[["global", "local"], count // 2]]) != [[["global", "local"], count // 2]]:
            raise keys.error("attention_types", "only global and local in turn are supported", "or attention_layers")
    window = keys.integer("window_size", default=256)
    block = dense(hidden, keys.integer("intermediate_size", default=4 * hidden), gated=False, bias=True)
    layers = [
        Layer(
            gqa(
                hidden=hidden,
                heads=heads,
                kv_heads=heads,
                head_dim=head_dim,
                o_bias=True,
                window=window if kind == "local" else None,
            ),
            block,
            norm(hidden, bias=True, count=2),
        )
        for kind in kinds
    ]
    table = _positions(keys.integer("max_position_embeddings"), hidden)
    body = _body(keys, hidden, layers[0], count, tie=True, extra=(table,))
    body.layers = layers
    return body


def build_gpt_neox(keys: Keys) -> Body:
    """GPT-NeoX, Pythia: rotary, two LayerNorms, biases, an untied head."""
    hidden, count, heads, head_dim = _read(keys)
    bias = keys.boolean("attention_bias", default=True)
    mixer = gqa(hidden=hidden, heads=heads, kv_heads=heads, head_dim=head_dim, q_bias=bias, o_bias=bias)
    block = dense(hidden, keys.integer("intermediate_size"), gated=False, bias=True)
    return _body(keys, hidden, Layer(mixer, block, norm(hidden, bias=True, count=2)), count, tie=False)


def build_opt(keys: Keys) -> Body:
    """OPT: learned positions with two rows more, embeddings narrower than the model by word_embed_proj_dim."""
    hidden, count, heads, head_dim = _read(keys)
    bias = keys.boolean("enable_bias", default=True)
    affine = keys.boolean("layer_norm_elementwise_affine", default=True)
    before = keys.boolean("do_layer_norm_before", default=True)
    removed = keys.boolean("_remove_final_layer_norm", default=False)
    width = keys.integer("word_embed_proj_dim", default=hidden, maximum=2**20)
    mixer = gqa(hidden=hidden, heads=heads, kv_heads=heads, head_dim=head_dim, q_bias=bias, o_bias=bias)
    block = dense(hidden, keys.integer("ffn_dim"), gated=False, bias=bias)
    layer = Layer(mixer, block, norm(hidden if affine else 0, bias=True, count=2))
    table = _positions(keys.integer("max_position_embeddings") + 2, hidden)
    final = before and not removed and affine
    body = _body(keys, hidden, layer, count, tie=True, extra=(table,), final=final)
    if width != hidden:
        if keys.boolean("tie_word_embeddings", default=True) is False:
            raise keys.error("tie_word_embeddings", "false is not supported with word_embed_proj_dim")
        body.embedding_params = body.vocab_size * width
        body.extra_linears = (
            Linear("project_in", width, hidden, Component.OTHER, Sharding.REPLICATED),
            Linear("project_out", hidden, width, Component.OTHER, Sharding.REPLICATED),
        )
    return body


def build_bloom(keys: Keys) -> Body:
    """BLOOM: ALiBi, a LayerNorm behind the embedding, biases everywhere, an MLP of 4 h."""
    for names in (("hidden_size", "n_embed"), LAYERS, HEADS):
        _agree(keys, *names)
    hidden = keys.integer("hidden_size", "n_embed", maximum=2**20)
    heads = keys.integer(*HEADS, maximum=2**16)
    count = layer_count(keys, *LAYERS)
    head_dim = _split(keys, hidden, heads)
    mixer = gqa(hidden=hidden, heads=heads, kv_heads=heads, head_dim=head_dim, q_bias=True, o_bias=True)
    block = dense(hidden, 4 * hidden, gated=False, bias=True)
    extra = norm(hidden, bias=True, name="embedding_norm")
    layer = Layer(mixer, block, norm(hidden, bias=True, count=2))
    return _body(keys, hidden, layer, count, tie=True, extra=extra)


def build_mpt(keys: Keys) -> Body:
    """MPT with ALiBi: norms and matrices without biases. What other settings would add is refused."""
    hidden = keys.integer("d_model", "hidden_size", maximum=2**20)
    heads = keys.integer("n_heads", "num_attention_heads", maximum=2**16)
    count = layer_count(keys, "n_layers", "num_hidden_layers")
    attention = keys.child("attn_config") or Keys({}, "attn_config.")
    if not keys.boolean("no_bias", default=True):
        raise keys.error("no_bias", "false is not supported")
    if keys.text("norm_type", default="low_precision_layernorm") not in ("low_precision_layernorm", "layernorm"):
        raise keys.error("norm_type", "only LayerNorm is supported")
    if not attention.boolean("alibi", default=True):
        raise attention.error("alibi", "false is not supported")
    if attention.boolean("qk_ln", default=False):
        raise attention.error("qk_ln", "true is not supported")
    if attention.text("attn_type", default="multihead_attention") != "multihead_attention":
        raise attention.error("attn_type", "only multihead_attention is supported")
    ffn = keys.child("ffn_config")
    if ffn is not None and ffn.text("ffn_type", default="mptmlp") != "mptmlp":
        raise ffn.error("ffn_type", "only mptmlp is supported")
    if keys.integer("expansion_ratio", default=4, maximum=1024) != 4:
        raise keys.error("expansion_ratio", "only 4 is supported, implementations differ")
    mixer = gqa(hidden=hidden, heads=heads, kv_heads=heads, head_dim=_split(keys, hidden, heads))
    layer = Layer(mixer, dense(hidden, 4 * hidden, gated=False), norm(hidden, count=2))
    return _body(keys, hidden, layer, count, tie=True, norm_bias=False)


def build_dbrx(keys: Keys) -> Body:
    """DBRX: grouped attention and experts by attn_config and ffn_config, LayerNorms without bias."""
    hidden = keys.integer("d_model", "hidden_size", maximum=2**20)
    heads = keys.integer("n_heads", "num_attention_heads", maximum=2**16)
    count = layer_count(keys, "n_layers", "num_hidden_layers")
    attention, ffn = keys.child("attn_config"), keys.child("ffn_config")
    if attention is None or ffn is None:
        raise keys.error("attn_config" if attention is None else "ffn_config", "required key is missing")
    kv_heads = attention.integer("kv_n_heads", maximum=heads)
    if heads % kv_heads:
        raise attention.error("kv_n_heads", f"{kv_heads} does not divide the {heads} attention heads")
    if ffn.integer("hidden_size", default=hidden) != hidden:
        raise ffn.error("hidden_size", f"must be d_model ({hidden})")
    experts = ffn.integer("moe_num_experts", maximum=10**6)
    block = moe(
        hidden=hidden,
        num_experts=experts,
        num_experts_per_tok=ffn.integer("moe_top_k", maximum=experts),
        intermediate=ffn.integer("ffn_hidden_size"),
    )
    mixer = gqa(hidden=hidden, heads=heads, kv_heads=kv_heads, head_dim=_split(keys, hidden, heads))
    return _body(keys, hidden, Layer(mixer, block, norm(hidden, count=2)), count, tie=False, norm_bias=False)


def build_stablelm(keys: Keys) -> Body:
    """StableLM: gated MLP, LayerNorms with bias, optional qkv bias and norms of every single head."""
    hidden = keys.integer("hidden_size", maximum=2**20)
    heads = keys.integer("num_attention_heads", maximum=2**16)
    kv_heads = read_kv_heads(keys, heads, 32)
    head_dim = _split(keys, hidden, heads)
    single = head_dim * (heads + kv_heads)
    normed = keys.boolean("qk_layernorm", default=False)
    mixer = gqa(
        hidden=hidden,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        q_bias=keys.boolean("use_qkv_bias", default=False),
        extra_vectors=(Vector("qk_norms", single, sharded=True),) if normed else (),
    )
    norms = 1 if keys.boolean("use_parallel_residual", default=False) else 2
    layer = Layer(mixer, dense(hidden, keys.integer("intermediate_size")), norm(hidden, bias=True, count=norms))
    return _body(keys, hidden, layer, layer_count(keys), tie=False)


def build_qwen1(keys: Keys) -> Body:
    """Qwen (the first): a biased qkv projection of kv_channels a head; intermediate_size is twice the MLP's width."""
    hidden = keys.integer("hidden_size", maximum=2**20)
    heads = keys.integer("num_attention_heads", maximum=2**16)
    if not keys.boolean("no_bias", default=True):
        raise keys.error("no_bias", "false is not supported")
    width = keys.integer("intermediate_size")
    if width % 2:
        raise keys.error("intermediate_size", f"{width} is odd, and this family halves it")
    head_dim = keys.integer("kv_channels", default=_split(keys, hidden, heads), maximum=2**16)
    mixer = gqa(hidden=hidden, heads=heads, kv_heads=heads, head_dim=head_dim, q_bias=True)
    layer = Layer(mixer, dense(hidden, width // 2), norm(hidden, count=2))
    return _body(keys, hidden, layer, layer_count(keys), tie=False, norm_bias=False)


# ---- Nemotron-NAS ----


def build_nemotron_nas(keys: Keys) -> Body:
    """Nemotron-NAS (DeciLM): block_configs give every layer its KV heads and MLP width, a single matrix, or
    nothing.
    """
    hidden = keys.integer("hidden_size", maximum=2**20)
    heads = keys.integer("num_attention_heads", maximum=2**16)
    count = layer_count(keys)
    if keys.boolean("attention_bias", default=False) or keys.boolean("mlp_bias", default=False):
        raise keys.error("attention_bias", "biases are not supported in this family")
    blocks = keys.sequence("block_configs", count)
    if blocks is None:
        raise keys.error("block_configs", "required key is missing")
    head_dim = keys.integer("head_dim", default=_split(keys, hidden, heads), maximum=2**16)
    layers = []
    for index, block in enumerate(blocks):
        if not isinstance(block, dict):
            raise keys.error(f"block_configs[{index}]", "must be an object")
        entry = Keys(block, f"{keys.path}block_configs[{index}].")
        attention, ffn = entry.child("attention"), entry.child("ffn")
        if attention is None or ffn is None:
            raise entry.error("attention" if attention is None else "ffn", "required key is missing")
        mixer = _nas_attention(attention, hidden, heads, head_dim)
        feed_forward = _nas_ffn(ffn, hidden)
        norms = int(mixer.kind != "none") + int(feed_forward.kind != "none")
        layers.append(Layer(mixer, feed_forward, norm(hidden, count=norms)))
    return Body(
        hidden_size=hidden,
        vocab_size=keys.integer("vocab_size", maximum=2**27),
        layers=layers,
        final_vectors=norm(hidden, name="final_norm"),
    )


def _nas_attention(keys: Keys, hidden: int, heads: int, head_dim: int) -> Mixer:
    keys.refuse(("window_length", "num_sink_tokens", "sparsify", "unshifted_sink"), "is not supported")
    if keys.boolean("no_op", default=False):
        return NO_MIXER
    if keys.boolean("replace_with_linear", default=False):
        linear = Linear("linear_attn", hidden, hidden, ATTENTION, Sharding.REPLICATED)
        return Mixer("linear", (linear,), (), NO_CORE, NO_CACHE)
    group = keys.integer("n_heads_in_group", maximum=heads)
    if heads % group:
        raise keys.error("n_heads_in_group", f"{group} does not divide the {heads} attention heads")
    return gqa(hidden=hidden, heads=heads, kv_heads=heads // group, head_dim=head_dim)


def _nas_ffn(keys: Keys, hidden: int) -> FeedForward:
    keys.refuse(("sparsify", "moe", "moe_config"), "is not supported")
    if keys.boolean("no_op", default=False):
        return NO_FEED_FORWARD
    if keys.boolean("replace_with_linear", default=False):
        linear = Linear("linear_mlp", hidden, hidden, Component.DENSE_MLP, Sharding.REPLICATED)
        return FeedForward("linear", (linear,))
    width = keys.optional_integer("intermediate_size")
    if width is None:
        width = -(-int(2 * keys.number("ffn_mult") * hidden / 3) // 256) * 256
        if width <= 0:
            raise keys.error("ffn_mult", "gives no width")
    return dense(hidden, width)
