"""Families that mix softmax attention with recurrent layers: Qwen3-Next, Qwen3.5, Nemotron-H."""

from __future__ import annotations

from sizing.model.body import MAX_LAYERS, Body, Layer, layer_count, norm
from sizing.model.families.decoder import add_mtp, moe_sparse_step, read_head_dim, read_kv_heads
from sizing.model.feedforward import NO_FEED_FORWARD, dense, moe
from sizing.model.keys import Keys
from sizing.model.mixers import NO_MIXER, gated_delta_net, gqa, mamba2
from sizing.model.parts import Component, FeedForward, Linear, Mixer, Sharding

FP32 = "float32"


# ---- Qwen3-Next and Qwen3.5 ----


def qwen_hybrid(mtp_default: int, moe_family: bool | None) -> object:
    """The builder of Qwen3-Next (moe_family None: by layer) and Qwen3.5 (dense or MoE in all layers)."""

    def build(keys: Keys) -> Body:
        return _build_qwen(keys, mtp_default, moe_family)

    return build


def _build_qwen(keys: Keys, mtp_default: int, moe_family: bool | None) -> Body:
    hidden = keys.integer("hidden_size", maximum=2**20)
    count = layer_count(keys)
    heads = keys.integer("num_attention_heads", maximum=2**16)
    attention = gqa(
        hidden=hidden,
        heads=heads,
        kv_heads=read_kv_heads(keys, heads, 2 if moe_family is not False else 4),
        head_dim=read_head_dim(keys, hidden, heads, 256),
        q_bias=keys.boolean("attention_bias", default=False),
        o_bias=keys.boolean("attention_bias", default=False),
        qk_norm="head",
        output_gate=keys.boolean("attn_output_gate", default=True),
    )
    delta = gated_delta_net(
        hidden=hidden,
        key_heads=keys.integer("linear_num_key_heads", maximum=2**16),
        value_heads=keys.integer("linear_num_value_heads", maximum=2**16),
        key_dim=keys.integer("linear_key_head_dim", maximum=2**16),
        value_dim=keys.integer("linear_value_head_dim", maximum=2**16),
        conv_kernel=keys.integer("linear_conv_kernel_dim", maximum=1024),
        fp32_state=keys.text("mamba_ssm_dtype", default="") == FP32,
    )
    types = keys.names("layer_types", ("linear_attention", "full_attention"), count)
    interval = keys.integer("full_attention_interval", default=4)
    if types is None:
        types = ["full_attention" if (i + 1) % interval == 0 else "linear_attention" for i in range(count)]
    blocks = _qwen_blocks(keys, hidden, count, moe_family)
    vectors = norm(hidden, count=2)
    layers = [
        Layer(attention if kind == "full_attention" else delta, block, vectors)
        for kind, block in zip(types, blocks, strict=True)
    ]
    body = Body(
        hidden_size=hidden,
        vocab_size=keys.integer("vocab_size", maximum=2**27),
        layers=layers,
        final_vectors=norm(hidden, name="final_norm"),
    )
    if keys.boolean("mtp_use_dedicated_embeddings", default=False):
        raise keys.error("mtp_use_dedicated_embeddings", "true is not supported")
    if mtp_default and not keys.has("mtp_num_hidden_layers") and not keys.has("num_nextn_predict_layers"):
        body.notes.append("the config does not state its MTP module; the family's published one is assumed")
        keys = Keys({"mtp_num_hidden_layers": mtp_default}, keys.path)
    add_mtp(
        keys,
        body,
        "mtp_num_hidden_layers",
        "num_nextn_predict_layers",
        layer=Layer(attention, blocks[-1], vectors),
        shared_extra=True,
    )
    return body


def _qwen_blocks(keys: Keys, hidden: int, count: int, moe_family: bool | None) -> list[FeedForward]:
    if moe_family is False:
        return [dense(hidden, keys.integer("intermediate_size"))] * count
    sparse = moe_sparse_step(keys, count)
    number = keys.integer("num_experts", maximum=10**6)
    experts = moe(
        hidden=hidden,
        num_experts=number,
        num_experts_per_tok=keys.integer("num_experts_per_tok", maximum=number),
        intermediate=keys.integer("moe_intermediate_size"),
        shared_intermediate=keys.integer("shared_expert_intermediate_size", minimum=0),
        shared_gate=True,
    )
    if all(sparse):
        return [experts] * count
    plain = dense(hidden, keys.integer("intermediate_size"))
    return [experts if is_moe else plain for is_moe in sparse]


def build_olmo_hybrid(keys: Keys) -> Body:
    """OLMo Hybrid: gated delta nets with a norm before each block, full attention with norms behind, dense MLPs."""
    hidden = keys.integer("hidden_size", maximum=2**20)
    count = layer_count(keys)
    heads = keys.integer("num_attention_heads", maximum=2**16)
    bias = keys.boolean("attention_bias", default=False)
    attention = gqa(
        hidden=hidden,
        heads=heads,
        kv_heads=read_kv_heads(keys, heads),
        head_dim=read_head_dim(keys, hidden, heads, ignore=True),
        q_bias=bias,
        o_bias=bias,
        qk_norm="full",
    )
    delta = gated_delta_net(
        hidden=hidden,
        key_heads=keys.integer("linear_num_key_heads", maximum=2**16),
        value_heads=keys.integer("linear_num_value_heads", maximum=2**16),
        key_dim=keys.integer("linear_key_head_dim", maximum=2**16),
        value_dim=keys.integer("linear_value_head_dim", maximum=2**16),
        conv_kernel=keys.integer("linear_conv_kernel_dim", default=4, maximum=1024),
        fp32_state=False,
    )
    types = keys.names("layer_types", ("linear_attention", "full_attention"), count)
    if types is None:
        raise keys.error("layer_types", "required key is missing")
    block = dense(hidden, keys.integer("intermediate_size"))
    return Body(
        hidden_size=hidden,
        vocab_size=keys.integer("vocab_size", maximum=2**27),
        layers=[
            Layer(attention if kind == "full_attention" else delta, block, norm(hidden, count=2)) for kind in types
        ],
        final_vectors=norm(hidden, name="final_norm"),
    )


# ---- Nemotron-H ----

NEMOTRON_LETTERS = {"M": "mamba", "-": "mlp", "*": "attention", "E": "moe"}
NEMOTRON_NAMES = {
    "mamba": "mamba",
    "linear_attention": "mamba",
    "attention": "attention",
    "full_attention": "attention",
    "mlp": "mlp",
    "moe": "moe",
}


def nemotron_types(keys: Keys, pattern: str, names: tuple[str, ...]) -> list[str] | None:
    """The kinds of layers, from a pattern of letters or from a list of names."""
    if keys.has(pattern):
        letters = keys.text(pattern)
        if len(letters) > MAX_LAYERS or set(letters) - set(NEMOTRON_LETTERS):
            raise keys.error(pattern, "must be a string of M, -, * and E")
        return [NEMOTRON_LETTERS[letter] for letter in letters]
    for name in names:
        listed = keys.names(name, NEMOTRON_NAMES)
        if listed is not None:
            if len(listed) > MAX_LAYERS:
                raise keys.error(name, f"must have at most {MAX_LAYERS} entries")
            return [NEMOTRON_NAMES[kind] for kind in listed]
    return None


def build_nemotron_h(keys: Keys) -> Body:
    """Nemotron-H and Nemotron 3: each layer is one block, Mamba-2, attention, MLP or (latent) experts."""
    hidden = keys.integer("hidden_size", maximum=2**20)
    types = nemotron_types(keys, "hybrid_override_pattern", ("layers_block_type", "layer_types"))
    if types is None:
        raise keys.error("hybrid_override_pattern", "required key is missing", "or layers_block_type")
    stated = keys.optional_integer("num_hidden_layers", maximum=MAX_LAYERS)
    if stated is not None and stated != len(types):
        raise keys.error("num_hidden_layers", f"{stated} contradicts the {len(types)} layers of the pattern")
    if keys.boolean("tie_word_embeddings", default=False):
        raise keys.error("tie_word_embeddings", "true is not supported in this family", "its public codes disagree")
    kinds = {kind: _nemotron_layer(keys, hidden, kind) for kind in set(types)}
    if "moe" not in kinds:
        keys.unused("moe_latent_size", "n_routed_experts", "n_shared_experts", "moe_shared_expert_intermediate_size")
    if "mamba" not in kinds:
        keys.unused("mamba_num_heads", "ssm_state_size")
    layers = [kinds[kind] for kind in types]
    body = Body(
        hidden_size=hidden,
        vocab_size=keys.integer("vocab_size", maximum=2**27),
        layers=layers,
        final_vectors=norm(hidden, name="final_norm"),
    )
    _nemotron_mtp(keys, body)
    return body


def _nemotron_mtp(keys: Keys, body: Body) -> None:
    """The module: its own block pattern, a 2h x h projection and three norms of the width."""
    modules = keys.integer("num_nextn_predict_layers", default=0, minimum=0, maximum=64)
    types = nemotron_types(keys, "mtp_hybrid_override_pattern", ("mtp_layers_block_type",))
    if not modules:
        return
    if types is None:
        types = ["attention", "moe"]
    hidden = body.hidden_size
    body.mtp_layers = [_nemotron_layer(keys, hidden, kind) for kind in types] * modules
    body.mtp_extra_params = modules * (2 * hidden * hidden + 3 * hidden)


def _nemotron_layer(keys: Keys, hidden: int, kind: str) -> Layer:
    vectors = norm(hidden)
    bias = keys.boolean("mlp_bias", default=False)
    gated = _gated(keys)
    if kind == "mamba":
        return Layer(_nemotron_mamba(keys, hidden), NO_FEED_FORWARD, vectors)
    if kind == "attention":
        if keys.boolean("attention_bias", default=False):
            raise keys.error("attention_bias", "true is not supported in this family", "its public codes disagree")
        heads = keys.integer("num_attention_heads", maximum=2**16)
        mixer = gqa(
            hidden=hidden,
            heads=heads,
            kv_heads=read_kv_heads(keys, heads, 8),
            head_dim=read_head_dim(keys, hidden, heads, 128),
        )
        return Layer(mixer, NO_FEED_FORWARD, vectors)
    if kind == "mlp":
        return Layer(NO_MIXER, dense(hidden, keys.integer("intermediate_size"), gated=gated, bias=bias), vectors)
    return Layer(NO_MIXER, _nemotron_experts(keys, hidden), vectors)


def _gated(keys: Keys) -> bool:
    """Nemotron-H's MLPs have no gate; another activation is not known to keep that."""
    activation = keys.text("mlp_hidden_act", default="relu2")
    if activation != "relu2":
        raise keys.error("mlp_hidden_act", f"{activation!r} is not supported in this family", "relu2")
    return False


def _nemotron_mamba(keys: Keys, hidden: int) -> Mixer:
    return mamba2(
        hidden=hidden,
        heads=keys.integer("mamba_num_heads", maximum=2**16),
        head_dim=keys.integer("mamba_head_dim", maximum=2**16),
        state_size=keys.integer("ssm_state_size", maximum=2**16),
        groups=keys.integer("n_groups", "mamba_n_groups", maximum=2**16),
        conv_kernel=keys.integer("conv_kernel", "mamba_d_conv", maximum=1024),
        proj_bias=keys.boolean("use_bias", default=False),
        conv_bias=keys.boolean("use_conv_bias", "mamba_conv_bias", default=True),
        fp32_state=keys.text("mamba_ssm_cache_dtype", default="") == FP32,
    )


def _nemotron_experts(keys: Keys, hidden: int) -> FeedForward:
    experts = keys.integer("n_routed_experts", maximum=10**6)
    latent = keys.optional_integer("moe_latent_size")
    width = hidden if latent is None else latent
    shared = keys.integer("moe_shared_expert_intermediate_size", default=0, minimum=0)
    shared *= keys.integer("n_shared_experts", default=1, minimum=0, maximum=1)
    bias = keys.boolean("mlp_bias", default=False)
    extra: tuple[Linear, ...] = ()
    if latent is not None:
        extra = (
            Linear("fc1_latent_proj", hidden, latent, Component.OTHER, Sharding.REPLICATED, bias),
            Linear("fc2_latent_proj", latent, hidden, Component.OTHER, Sharding.REPLICATED, bias),
        )
    return moe(
        hidden=hidden,
        num_experts=experts,
        num_experts_per_tok=keys.integer("num_experts_per_tok", maximum=experts),
        intermediate=keys.integer("moe_intermediate_size"),
        gated=False,
        expert_hidden=width,
        shared_intermediate=shared,
        shared_bias=bias,
        extra_linears=extra,
    )
