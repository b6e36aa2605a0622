"""More dialects of the common decoder: families that differ from it by a norm, a gate or a scalar."""

from __future__ import annotations

from sizing.model.families.decoder import (
    Dialect,
    Dims,
    MoeDialect,
    moe_after_first,
    moe_by_types,
    window_by_types,
    window_pattern,
)
from sizing.model.families.dialects import ATTENTION_BIAS
from sizing.model.keys import Keys
from sizing.model.mixers import ATTENTION
from sizing.model.parts import Component, Linear, Sharding, Vector

Found = tuple[tuple[Linear, ...], tuple[Vector, ...]]


def _xielu(keys: Keys, dims: Dims) -> Found:
    """Apertus: the two learned slopes of the activation."""
    return (), (Vector("act_fn", 2, Component.DENSE_MLP),)


def _sub_norm(keys: Keys, dims: Dims) -> Found:
    """BitNet: a norm before the output projection, of the model's width."""
    if dims.heads * dims.head_dim != dims.hidden:
        raise keys.error("head_dim", "times num_attention_heads is not hidden_size, which this family needs")
    return (), (Vector("attn_sub_norm", dims.hidden),)


def _mlp_sub_norm(keys: Keys, dims: Dims) -> Found:
    """BitNet: a norm of the MLP's width before its down projection."""
    return (), (Vector("ffn_sub_norm", keys.integer("intermediate_size")),)


def _lambdas(keys: Keys, dims: Dims) -> Found:
    """DiffLlama: four vectors of a head's width that weigh the two attention maps."""
    if dims.kv_heads % 2:
        raise keys.error("num_key_value_heads", f"{dims.kv_heads} must be even in this family")
    return (), (Vector("lambdas", 4 * dims.head_dim, ATTENTION),)


def _full_gate(keys: Keys, dims: Dims) -> Found:
    """AFMoE: a gate of the attention's own width before the output projection."""
    gate = Linear("gate_proj", dims.hidden, dims.heads * dims.head_dim, ATTENTION, Sharding.COLUMN)
    return (gate,), ()


def _post_norms(keys: Keys) -> int:
    return 4 if keys.boolean("use_post_norm", default=True) else 2


def _after_dense(keys: Keys, layers: int) -> list[bool]:
    """AFMoE: the first num_dense_layers are dense."""
    dense = keys.integer("num_dense_layers", default=1, minimum=0)
    return [index >= dense for index in range(layers)]


def _cohere_windows(keys: Keys, layers: int) -> list[int | None]:
    """Cohere2-MoE: dense first layers have a window pattern of their own."""
    first = keys.integer("first_k_dense_replace", default=0, minimum=0)
    own = keys.integer("prefix_dense_sliding_window_pattern", default=1)
    if keys.has("layer_types") or not first:
        return window_pattern(4, 4096)(keys, layers)
    rest = window_pattern(4, 4096)(keys, layers - first)
    window = keys.optional_integer("sliding_window")
    return [window if (index + 1) % own else None for index in range(first)] + rest


def _shared_width(keys: Keys, width: int) -> int:
    """Ling 2: the width of one shared expert, moe_shared_expert_intermediate_size where it is given."""
    return keys.integer("moe_shared_expert_intermediate_size", default=width)


LING = Dialect(
    qkv_bias=("use_qkv_bias", "use_bias", False),
    o_bias=("use_bias", False),
    mlp_bias=("use_bias", False),
    qk_norm="head",
    qk_norm_flag=("use_qk_norm", False),
    mtp="noted",
    moe=MoeDialect(
        experts=("num_experts",),
        layers=moe_after_first(0),
        shared_count=("num_shared_experts",),
        shared_of=_shared_width,
        router_vector=False,
    ),
)

COHERE2_MOE = MoeDialect(
    experts=("num_experts",),
    width=("intermediate_size",),
    layers=moe_after_first(0),
    dense_width=("prefix_dense_intermediate_size", "intermediate_size"),
    shared_count=("num_shared_experts",),
    default_top_k=2,
)

NEWER: dict[str, Dialect] = {
    "apertus": Dialect(qkv_bias=ATTENTION_BIAS, o_bias=ATTENTION_BIAS, qk_norm="head", gated=False, mlp_parts=_xielu),
    "bitnet": Dialect(
        qkv_bias=ATTENTION_BIAS, o_bias=ATTENTION_BIAS, kv_default=5, attention_parts=_sub_norm, mlp_parts=_mlp_sub_norm
    ),
    "cwm": Dialect(
        mlp_bias=("mlp_bias", False), head_dim=128, kv_default=8, windows=window_pattern(4, 8192, first=True)
    ),
    "diffllama": Dialect(qkv_bias=ATTENTION_BIAS, o_bias=ATTENTION_BIAS, attention_parts=_lambdas),
    "iquestcoder": Dialect(
        qkv_bias=ATTENTION_BIAS, o_bias=ATTENTION_BIAS, mlp_bias=("mlp_bias", False), head_dim=128, kv_default=8
    ),
    "hyperclovax": Dialect(
        qkv_bias=ATTENTION_BIAS, o_bias=ATTENTION_BIAS, mlp_bias=("mlp_bias", False), layer_norms=_post_norms
    ),
    "jais2": Dialect(
        qkv_bias=("attention_bias", True),
        o_bias=("attention_bias", True),
        mlp_bias=("mlp_bias", True),
        gated=False,
        norm_bias=True,
    ),
    "nanochat": Dialect(qkv_bias=ATTENTION_BIAS, o_bias=ATTENTION_BIAS, gated=False, norm_weight=False),
    "persimmon": Dialect(
        qkv_bias=True,
        o_bias=True,
        mlp_bias=True,
        gated=False,
        norm_bias=True,
        qk_norm="head",
        qk_norm_flag=("qk_layernorm", True),
        ignore_head_dim=True,
        multi_head=True,
    ),
    "vaultgemma": Dialect(
        qkv_bias=ATTENTION_BIAS,
        o_bias=ATTENTION_BIAS,
        head_dim=256,
        tie=True,
        kv_default=4,
        windows=window_pattern(2, 4096, none=False),
    ),
    "granite_swa": Dialect(
        qkv_bias=ATTENTION_BIAS,
        o_bias=ATTENTION_BIAS,
        mlp_bias=("mlp_bias", False),
        sinks=True,
        tie=True,
        kv_default=4,
        windows=window_pattern(4, 128, first=True),
    ),
    "granitemoe_swa": Dialect(
        qkv_bias=ATTENTION_BIAS,
        o_bias=ATTENTION_BIAS,
        sinks=True,
        windows=window_pattern(4, 128, first=True),
        moe=MoeDialect(
            experts=("num_local_experts",),
            width=("intermediate_size",),
            shared_width=("shared_intermediate_size",),
        ),
    ),
    "afmoe": Dialect(
        qkv_bias=ATTENTION_BIAS,
        o_bias=ATTENTION_BIAS,
        qk_norm="head",
        layer_norms=4,
        head_dim=128,
        windows=window_pattern(4, 1024, key="global_attn_every_n_layers"),
        attention_parts=_full_gate,
        moe=MoeDialect(
            experts=("num_experts",),
            layers=_after_dense,
            shared_count=("num_shared_experts",),
            shared_count_default=2,
            router_vector=True,
        ),
    ),
    "cohere2_moe": Dialect(
        qkv_bias=ATTENTION_BIAS,
        o_bias=ATTENTION_BIAS,
        layer_norms=1,
        tie=True,
        head_dim=128,
        windows=_cohere_windows,
        moe=COHERE2_MOE,
    ),
    "bailing_moe": LING,
    "bailing_moe_v2": LING,
    "deepseek": Dialect(
        qkv_bias=ATTENTION_BIAS,
        o_bias=ATTENTION_BIAS,
        ignore_head_dim=True,
        moe=MoeDialect(
            experts=("n_routed_experts",),
            layers=moe_after_first(0),
            shared_count=("n_shared_experts",),
        ),
    ),
    "minicpm": Dialect(qkv_bias=ATTENTION_BIAS, o_bias=ATTENTION_BIAS, tie=True, ignore_head_dim=True),
    "exaone_moe": Dialect(
        qk_norm="head",
        windows=window_pattern(4, 4096),
        kv_default=32,
        mtp="noted",
        moe=MoeDialect(
            experts=("num_experts",),
            layers=moe_after_first(1),
            shared_count=("num_shared_experts",),
            shared_count_default=1,
        ),
    ),
    "mellum": Dialect(
        qkv_bias=ATTENTION_BIAS,
        o_bias=ATTENTION_BIAS,
        qk_norm="head",
        head_dim=128,
        kv_default=4,
        windows=window_by_types,
        mtp="noted",
        moe=MoeDialect(experts=("num_experts", "num_local_experts"), layers=moe_by_types),
    ),
    "solar_open": Dialect(
        qkv_bias=ATTENTION_BIAS,
        head_dim=128,
        kv_default=8,
        moe=MoeDialect(
            experts=("n_routed_experts",),
            shared_count=("n_shared_experts",),
            shared_count_default=1,
        ),
    ),
    "sarvam_moe": Dialect(
        qkv_bias=("attention_bias", False),
        qk_norm="head",
        qk_norm_flag=("use_qk_norm", True),
        head_dim=64,
        kv_default=4,
        mtp="noted",
        moe=MoeDialect(
            experts=("n_routed_experts", "num_experts"),
            layers=moe_after_first(1),
            shared_count=("n_shared_experts", "num_shared_experts"),
            shared_count_default=1,
        ),
    ),
}
