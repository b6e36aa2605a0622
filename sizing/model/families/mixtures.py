"""More mixtures of experts: ERNIE 4.5, Hunyuan, Hy3, MiMo-V2, Laguna."""

from __future__ import annotations

from dataclasses import replace

from sizing.model.body import Body, Layer, layer_count, norm
from sizing.model.families.decoder import add_mtp, moe_after_first, read_head_dim, read_kv_heads
from sizing.model.families.recurrent import finish, read_gqa
from sizing.model.feedforward import dense, moe
from sizing.model.keys import Keys
from sizing.model.mixers import ATTENTION, gqa
from sizing.model.parts import Component, Linear, Mixer, Sharding, Vector


def build_ernie_moe(keys: Keys) -> Body:
    """ERNIE 4.5 MoE: experts between a start and an end layer, at an interval, with a stored correction
    bias.
    """
    hidden = keys.integer("hidden_size", maximum=2**20)
    count = layer_count(keys)
    bias = keys.boolean("use_bias", default=False)
    attention = read_gqa(keys, hidden, bias=bias)
    width = keys.integer("moe_intermediate_size")
    number = keys.integer("moe_num_experts", "num_experts", maximum=10**6)
    experts = moe(
        hidden=hidden,
        num_experts=number,
        num_experts_per_tok=keys.integer("moe_k", "num_experts_per_tok", maximum=number),
        intermediate=width,
        router_params=number,
        shared_intermediate=width * keys.integer("moe_num_shared_experts", minimum=0),
        shared_bias=bias,
    )
    plain = dense(hidden, keys.integer("intermediate_size"), bias=bias)
    start = keys.integer("moe_layer_start_index", minimum=0)
    end = keys.integer("moe_layer_end_index", default=count - 1, minimum=-1)
    end = count - 1 if end == -1 else end
    step = keys.integer("moe_layer_interval", default=1)
    layers = [
        Layer(
            attention,
            experts if start <= index <= end and (index + 1) % step == 0 else plain,
            norm(hidden, count=2),
        )
        for index in range(count)
    ]
    if keys.integer("num_nextn_predict_layers", default=0, minimum=0):
        raise keys.error("num_nextn_predict_layers", "is not supported in this family")
    body = finish(keys, hidden, layers, tie=True)
    body.lm_head_bias = bias
    return body


def build_ernie_vl(keys: Keys) -> Body:
    """ERNIE 4.5 VL MoE: experts for text and others for images side by side in one layer, shared experts."""
    hidden = keys.integer("hidden_size", maximum=2**20)
    count = layer_count(keys)
    bias = keys.boolean("use_bias", default=False)
    attention = read_gqa(keys, hidden, bias=bias)
    widths = keys.integers("moe_intermediate_size", 2, minimum=1)
    if widths is None:
        raise keys.error("moe_intermediate_size", "must be two numbers, of the experts for text and for images")
    number = same_everywhere(keys, "moe_num_experts")
    images = number * (3 * hidden * widths[1]) + number * hidden + number
    chosen = keys.integer("moe_k", maximum=number)
    experts = moe(
        hidden=hidden,
        num_experts=number,
        num_experts_per_tok=chosen,
        intermediate=widths[0],
        router_params=number,
        shared_intermediate=widths[0] * keys.integer("moe_num_shared_experts", minimum=0),
        shared_bias=bias,
        extra_vectors=(Vector("image_experts", images, Component.ROUTED_EXPERTS, sharded=True),),
    )
    experts = replace(experts, idle_params=images)
    plain = dense(hidden, keys.integer("intermediate_size"), bias=bias)
    sparse = _ernie_vl_layers(keys, count)
    layers = [Layer(attention, experts if is_moe else plain, norm(hidden, count=2)) for is_moe in sparse]
    if keys.integer("num_nextn_predict_layers", default=0, minimum=0):
        raise keys.error("num_nextn_predict_layers", "is not supported in this family")
    body = finish(keys, hidden, layers, tie=True)
    body.lm_head_bias = keys.boolean("weight_share_add_bias", default=False) and bias
    body.notes.append("text tokens pass by the experts for images: they are counted, but not as active")
    return body


def _ernie_vl_layers(keys: Keys, count: int) -> list[bool]:
    kinds = keys.names("mlp_layer_types", ("dense", "sparse"), count)
    if kinds is not None:
        return [kind == "sparse" for kind in kinds]
    starts = keys.data.get("moe_layer_start_index")
    start = same_everywhere(keys, "moe_layer_start_index") if starts is not None else 1
    ends = keys.integers("moe_layer_end_index") or [] if isinstance(keys.data.get("moe_layer_end_index"), list) else []
    if any(end < count - 1 for end in ends) or keys.integer("moe_layer_interval", default=1) != 1:
        raise keys.error("moe_layer_end_index", "layers of experts that end before the last are not supported")
    return [index >= start for index in range(count)]


def same_everywhere(keys: Keys, *names: str) -> int:
    """A whole number that may be written once, or as an equal entry for each layer."""
    name = keys.first(names)
    if name is None or not isinstance(keys.data[name], list):
        return keys.integer(*names)
    values = keys.integers(name, minimum=1) or []
    if not values or len(set(values)) != 1:
        raise keys.error(name, "entries that differ by layer are not supported")
    return values[0]


def build_hunyuan_moe(keys: Keys) -> Body:
    """Hunyuan MoE (A13B): experts and one shared MLP in every layer, norms of q and k."""
    hidden = keys.integer("hidden_size", maximum=2**20)
    count = layer_count(keys)
    if keys.boolean("use_cla", default=False):
        raise keys.error("use_cla", "true is not supported")
    attention = read_gqa(keys, hidden, qk_norm="head", bias=keys.boolean("attention_bias", default=False))
    width = keys.integer("intermediate_size")
    if keys.has("moe_intermediate_size") and same_everywhere(keys, "moe_intermediate_size") != width:
        raise keys.error("moe_intermediate_size", f"must be intermediate_size ({width})")
    if keys.has("num_shared_expert") and same_everywhere(keys, "num_shared_expert") != 1:
        raise keys.error("num_shared_expert", "must be 1")
    number = same_everywhere(keys, "num_experts")
    chosen = same_everywhere(keys, "moe_topk")
    if chosen > number:
        raise keys.error("moe_topk", f"{chosen} is more than num_experts ({number})")
    block = moe(
        hidden=hidden,
        num_experts=number,
        num_experts_per_tok=chosen,
        intermediate=width,
        shared_intermediate=width,
    )
    return finish(keys, hidden, [Layer(attention, block, norm(hidden, count=2))] * count)


def build_hy3(keys: Keys) -> Body:
    """Hunyuan 3: norms of q and k, a dense first layer, shared experts."""
    hidden = keys.integer("hidden_size", maximum=2**20)
    count = layer_count(keys)
    bias = keys.boolean("mlp_bias", default=False)
    attention = read_gqa(keys, hidden, qk_norm="head", bias=keys.boolean("attention_bias", default=False))
    width = keys.integer("moe_intermediate_size")
    number = keys.integer("num_experts", maximum=10**6)
    experts = moe(
        hidden=hidden,
        num_experts=number,
        num_experts_per_tok=keys.integer("num_experts_per_tok", maximum=number),
        intermediate=width,
        shared_intermediate=width * keys.integer("num_shared_experts", minimum=0),
        shared_bias=bias,
    )
    sparse = moe_after_first(1)(keys, count)
    plain = dense(hidden, keys.integer("intermediate_size"), bias=bias)
    layers = [Layer(attention, experts if is_moe else plain, norm(hidden, count=2)) for is_moe in sparse]
    body = finish(keys, hidden, layers)
    add_mtp(keys, body)
    return body


def build_mimo_v2(keys: Keys) -> Body:
    """MiMo-V2: sliding layers with head counts and sinks of their own, values narrower than keys."""
    hidden = keys.integer("hidden_size", maximum=2**20)
    count = layer_count(keys)
    pattern = keys.integers("hybrid_layer_pattern", count)
    types = keys.names("layer_types", ("full_attention", "sliding_attention"), count)
    if types is None:
        if pattern is None or set(pattern) - {0, 1}:
            raise keys.error("hybrid_layer_pattern", "must be given, with entries 0 and 1")
        types = ["sliding_attention" if kind else "full_attention" for kind in pattern]
    window = keys.integer("sliding_window", "sliding_window_size")
    if not any(name.startswith("swa_") for name in keys.data):
        keys = _mimo_sliding_keys(keys)
    mixers = {
        "full_attention": _mimo_attention(keys, hidden, "", None),
        "sliding_attention": _mimo_attention(keys, hidden, "swa_", window),
    }
    width = keys.integer("moe_intermediate_size")
    number = keys.integer("n_routed_experts", maximum=10**6)
    experts = moe(
        hidden=hidden,
        num_experts=number,
        num_experts_per_tok=keys.integer("num_experts_per_tok", maximum=number),
        intermediate=width,
        shared_intermediate=width * keys.integer("n_shared_experts", default=0, minimum=0),
    )
    sparse = moe_after_first(1)(keys, count)
    plain = dense(hidden, keys.integer("intermediate_size"))
    layers = [
        Layer(mixers[kind], experts if is_moe else plain, norm(hidden, count=2))
        for kind, is_moe in zip(types, sparse, strict=True)
    ]
    return finish(keys, hidden, layers)


def _mimo_sliding_keys(keys: Keys) -> Keys:
    """Config of transformers, which leaves out what its code fixes: sliding layers have twice the KV heads, and sinks."""
    own = {name: keys.data.get(name) for name in ("num_attention_heads", "head_dim", "v_head_dim")}
    twice = 2 * keys.integer("num_key_value_heads", maximum=2**15)
    whole = Keys(
        {**keys.data, **{f"swa_{name}": value for name, value in own.items()}, "swa_num_key_value_heads": twice},
        keys.path,
    )
    whole.read = keys.read
    return whole


def _mimo_attention(keys: Keys, hidden: int, prefix: str, window: int | None) -> Mixer:
    heads = keys.integer(f"{prefix}num_attention_heads", maximum=2**16)
    kv_heads = keys.integer(f"{prefix}num_key_value_heads", maximum=heads)
    sinks = keys.boolean(
        "add_swa_attention_sink_bias" if prefix else "add_full_attention_sink_bias", default=bool(prefix)
    )
    return gqa(
        hidden=hidden,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=keys.integer(f"{prefix}head_dim", maximum=2**16),
        v_head_dim=keys.integer(f"{prefix}v_head_dim", maximum=2**16),
        q_bias=keys.boolean("attention_bias", default=False),
        sinks=sinks,
        window=window,
    )


def build_laguna(keys: Keys) -> Body:
    """Laguna: a head count for each layer, windows, a gate on the attention's output, one shared expert."""
    hidden = keys.integer("hidden_size", maximum=2**20)
    count = layer_count(keys)
    common = keys.integer("num_attention_heads", maximum=2**16)
    heads = keys.integers("num_attention_heads_per_layer", count, minimum=1) or [common] * count
    types = keys.names("layer_types", ("full_attention", "sliding_attention"), count)
    types = types or ["full_attention"] * count
    window = keys.optional_integer("sliding_window")
    gating = keys.data.get("gating", True)
    if gating not in (True, "per-head", "per-element"):
        raise keys.error("gating", f"{gating!r} is not supported")
    head_dim = read_head_dim(keys, hidden, common, 128)
    kv_heads = read_kv_heads(keys, common, 8)
    bias = keys.boolean("attention_bias", default=False)
    per_head = gating in (True, "per-head")

    def attention(number: int, kind: str) -> Mixer:
        if kind == "sliding_attention" and window is None:
            raise keys.error("sliding_window", "required key is missing")
        gate = Linear("g_proj", hidden, number * (1 if per_head else head_dim), ATTENTION, Sharding.COLUMN)
        return gqa(
            hidden=hidden,
            heads=number,
            kv_heads=kv_heads,
            head_dim=head_dim,
            q_bias=bias,
            o_bias=bias,
            qk_norm="head",
            window=window if kind == "sliding_attention" else None,
            extra_linears=(gate,),
        )

    total = keys.integer("num_experts", maximum=10**6)
    experts = moe(
        hidden=hidden,
        num_experts=total,
        num_experts_per_tok=keys.integer("num_experts_per_tok", maximum=total),
        intermediate=keys.integer("moe_intermediate_size"),
        router_params=total,
        shared_intermediate=keys.integer("shared_expert_intermediate_size", minimum=0),
    )
    kinds = keys.names("mlp_layer_types", ("dense", "sparse"), count)
    kinds = kinds or ["dense", *(["sparse"] * (count - 1))]
    plain = dense(hidden, keys.integer("intermediate_size"))
    layers = [
        Layer(attention(number, kind), experts if block == "sparse" else plain, norm(hidden, count=2))
        for number, kind, block in zip(heads, types, kinds, strict=True)
    ]
    return finish(keys, hidden, layers)


def build_step3(keys: Keys) -> Body:
    """Step 3.5 and 3.7: more heads on sliding layers, one gate a head, experts with a shared one."""
    hidden = keys.integer("hidden_size", maximum=2**20)
    count = layer_count(keys)
    modules = keys.integer("num_nextn_predict_layers", default=0, minimum=0, maximum=64)
    kinds = ("full_attention", "sliding_attention")
    types = keys.names("layer_types", kinds, count, at_least=modules > 0)
    if types is None:
        raise keys.error("layer_types", "required key is missing")
    beyond = (keys.names("layer_types", kinds) or [])[count:]
    heads = keys.integer("num_attention_heads", maximum=2**16)
    other = keys.child("attention_other_setting")
    if other is not None:
        few = other.integer("num_attention_heads", maximum=2**16)
        _same_elsewhere(other, keys, "num_attention_groups", "num_key_value_heads")
        _same_elsewhere(other, keys, "head_dim")
    else:
        few = keys.integer("num_sliding_attention_heads", maximum=2**16)
    if not keys.boolean("use_head_wise_attn_gate", default=True) or not keys.boolean("use_qk_norm", default=True):
        raise keys.error("use_head_wise_attn_gate", "only models with a gate and a norm of every head are supported")
    keys.refuse(("sink", "sparse_attention"), "is not supported in this family")
    window = keys.integer("sliding_window")
    bias = keys.boolean("attention_bias", default=False)
    mixers = {
        kind: _step_attention(keys, hidden, number, limit, bias)
        for kind, number, limit in (("full_attention", heads, None), ("sliding_attention", few, window))
    }
    number = keys.integer("moe_num_experts", "n_routed_experts", "num_experts", maximum=10**6)
    keys.unused("num_local_experts", "num_experts")
    mlp_bias = keys.boolean("mlp_bias", default=False)
    experts = moe(
        hidden=hidden,
        num_experts=number,
        num_experts_per_tok=keys.integer("moe_top_k", "num_experts_per_tok", maximum=number),
        intermediate=keys.integer("moe_intermediate_size"),
        shared_intermediate=keys.integer("share_expert_dim", "share_expert_dims"),
        shared_bias=mlp_bias,
    )
    plain = dense(hidden, keys.integer("intermediate_size"), bias=mlp_bias)
    sparse = _step_expert_layers(keys, count, modules)
    layers = [
        Layer(mixers[kind], experts if is_moe else plain, norm(hidden, count=2))
        for kind, is_moe in zip(types, sparse, strict=True)
    ]
    body = finish(keys, hidden, layers)
    if modules and len(beyond) != modules:
        body.notes.append("the multi-token-prediction modules are not counted: layer_types leaves them out")
    elif modules:
        body.mtp_layers = [Layer(mixers[kind], plain, norm(hidden, count=2)) for kind in beyond]
        body.mtp_extra_params = modules * (2 * hidden * hidden + 3 * hidden + body.vocab_size * hidden)
    return body


def _same_elsewhere(other: Keys, keys: Keys, *names: str) -> None:
    """Refuse sliding layers that differ from the others in more than their number of heads."""
    given = other.optional_integer(*names)
    if given is not None and given != keys.integer(*names):
        raise other.error(names[0], f"{given} differs from the full layers' number")


def _step_attention(keys: Keys, hidden: int, heads: int, window: int | None, bias: bool) -> Mixer:
    kv_heads = keys.integer("num_attention_groups", "num_key_value_heads", maximum=2**16)
    if heads % kv_heads:
        raise keys.error("num_attention_groups", f"{kv_heads} does not divide the {heads} attention heads")
    return gqa(
        hidden=hidden,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=keys.integer("head_dim", default=128, maximum=2**16),
        q_bias=bias,
        o_bias=bias,
        qk_norm="head",
        window=window,
        extra_linears=(Linear("g_proj", hidden, heads, ATTENTION, Sharding.COLUMN, quantizable=False),),
    )


def _step_expert_layers(keys: Keys, count: int, modules: int) -> list[bool]:
    kinds = keys.names("mlp_layer_types", ("dense", "sparse"), count, at_least=modules > 0)
    if kinds is not None:
        return [kind == "sparse" for kind in kinds]
    listed = keys.data.get("moe_layers_enum")
    if listed is None:
        raise keys.error("moe_layers_enum", "required key is missing")
    if isinstance(listed, str):
        parts = [part.strip() for part in listed.split(",") if part.strip()]
        if not all(part.isdecimal() and len(part) < 6 for part in parts):
            raise keys.error("moe_layers_enum", "must be layer numbers with commas")
        chosen = {int(part) for part in parts}
    else:
        chosen = set(keys.integers("moe_layers_enum") or [])
    return [index in chosen for index in range(count)]
