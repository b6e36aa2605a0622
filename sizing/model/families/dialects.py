"""The table of dialects of the common decoder, by model_type."""

from __future__ import annotations

from sizing.model.families.decoder import (
    Dialect,
    MoeDialect,
    moe_after_first,
    moe_sparse_step,
    no_window,
    window_always,
    window_by_types,
    window_minimax_m2,
    window_pattern,
    window_qwen,
    window_qwen_moe,
)

ATTENTION_BIAS = ("attention_bias", False)

QWEN_MOE = MoeDialect(experts=("num_experts", "num_local_experts"), layers=moe_sparse_step, optional=False)
MIXTRAL_MOE = MoeDialect(experts=("num_local_experts",), width=("intermediate_size",))

LLAMA = Dialect(qkv_bias=ATTENTION_BIAS, o_bias=ATTENTION_BIAS, mlp_bias=("mlp_bias", False))
QWEN3 = Dialect(
    qkv_bias=ATTENTION_BIAS,
    o_bias=ATTENTION_BIAS,
    qk_norm="head",
    windows=window_qwen,
    head_dim=128,
    kv_default=32,
    yarn_factor=4,
)
GEMMA = Dialect(qkv_bias=ATTENTION_BIAS, o_bias=ATTENTION_BIAS, head_dim=256, tie=True, vocab_default=None)


DIALECTS: dict[str, Dialect] = {
    "llama": LLAMA,
    "aquila": LLAMA,
    "yi": LLAMA,
    "xverse": Dialect(),
    "baichuan": Dialect(),
    "internlm2": Dialect(qkv_bias=("bias", False), o_bias=("bias", False)),
    "internlm3": Dialect(
        qkv_bias=("qkv_bias", False), o_bias=("bias", False), mlp_bias=("bias", False), kv_default=2
    ),
    "mistral": Dialect(windows=window_always, kv_default=8),
    "ministral": Dialect(windows=window_by_types, kv_default=8),
    "ministral3": Dialect(windows=window_always, kv_default=8, head_dim=128),
    "mixtral": Dialect(windows=window_always, kv_default=8, moe=MIXTRAL_MOE),
    "qwen2": Dialect(qkv_bias=True, windows=window_qwen, kv_default=32, ignore_head_dim=False, yarn_factor=4),
    "qwen2_moe": Dialect(
        qkv_bias=("qkv_bias", True),
        windows=window_qwen_moe,
        kv_default=16,
        moe=MoeDialect(
            experts=("num_experts",),
            layers=moe_sparse_step,
            shared_width=("shared_expert_intermediate_size",),
            shared_gate=True,
        ),
        yarn_factor=4,
    ),
    "qwen3": QWEN3,
    "qwen3_moe": Dialect(
        qkv_bias=ATTENTION_BIAS,
        o_bias=ATTENTION_BIAS,
        qk_norm="head",
        windows=window_qwen_moe,
        kv_default=4,
        moe=QWEN_MOE,
        yarn_factor=4,
    ),
    "gemma": GEMMA,
    "gemma2": Dialect(
        qkv_bias=ATTENTION_BIAS,
        o_bias=ATTENTION_BIAS,
        head_dim=256,
        tie=True,
        layer_norms=4,
        windows=window_pattern(2, 4096, none=False),
        kv_default=4,
    ),
    "gemma3_text": Dialect(
        qkv_bias=ATTENTION_BIAS,
        o_bias=ATTENTION_BIAS,
        head_dim=256,
        tie=True,
        layer_norms=4,
        qk_norm="head",
        windows=window_pattern(6, 4096, none=False),
        kv_default=4,
        vocab_default=262208,
        heads_default=8,
    ),
    "phi3": Dialect(windows=window_always, ignore_head_dim=False),
    "phi": Dialect(
        qkv_bias=True,
        o_bias=True,
        mlp_bias=True,
        layer_norms=1,
        norm_bias=True,
        gated=False,
        lm_head_bias=True,
        qk_norm="head",
        qk_norm_flag=("qk_layernorm", False),
        ignore_head_dim=True,
    ),
    "phimoe": Dialect(
        qkv_bias=ATTENTION_BIAS,
        o_bias=ATTENTION_BIAS,
        norm_bias=True,
        lm_head_bias=("lm_head_bias", False),
        windows=no_window,
        kv_default=8,
        moe=MIXTRAL_MOE,
    ),
    "gpt_oss": Dialect(
        qkv_bias=("attention_bias", True),
        o_bias=("attention_bias", True),
        sinks=True,
        windows=window_pattern(2, 128, none=False),
        head_dim=64,
        kv_default=8,
        moe=MoeDialect(
            experts=("num_local_experts", "num_experts"),
            top_k=("num_experts_per_tok", "experts_per_token"),
            width=("intermediate_size",),
            expert_bias=True,
            router_bias=True,
        ),
    ),
    "glm": Dialect(qkv_bias=("attention_bias", True), head_dim=128, kv_default=2),
    "glm4": Dialect(qkv_bias=("attention_bias", True), head_dim=128, kv_default=2, layer_norms=4),
    "glm4_moe": Dialect(
        qkv_bias=ATTENTION_BIAS,
        qk_norm="head",
        qk_norm_flag=("use_qk_norm", False),
        kv_default=8,
        mtp="deepseek",
        moe=MoeDialect(
            experts=("n_routed_experts",),
            layers=moe_after_first(1),
            shared_count=("n_shared_experts",),
            shared_count_default=1,
        ),
    ),
    "minimax_m2": Dialect(
        qk_norm="full",
        windows=window_minimax_m2,
        head_dim=128,
        kv_default=8,
        moe=MoeDialect(experts=("num_local_experts", "num_experts"), width=("intermediate_size",)),
    ),
    "seed_oss": Dialect(
        qkv_bias=("attention_bias", True),
        o_bias=("attention_out_bias", False),
        mlp_bias=("mlp_bias", False),
        head_dim=128,
        kv_default=8,
    ),
    "olmo": Dialect(qkv_bias=ATTENTION_BIAS, o_bias=ATTENTION_BIAS, norm_weight=False, ignore_head_dim=True),
    "olmo2": Dialect(qkv_bias=ATTENTION_BIAS, o_bias=ATTENTION_BIAS, qk_norm="full", ignore_head_dim=False),
    "olmo3": Dialect(
        qkv_bias=ATTENTION_BIAS, o_bias=ATTENTION_BIAS, qk_norm="full", windows=window_pattern(4, 4096)
    ),
    "olmoe": Dialect(
        qkv_bias=ATTENTION_BIAS,
        o_bias=ATTENTION_BIAS,
        qk_norm="full",
        kv_default=16,
        moe=MoeDialect(experts=("num_experts",), width=("intermediate_size",), default_top_k=8),
    ),
    "flex_olmo": Dialect(
        qkv_bias=ATTENTION_BIAS,
        o_bias=ATTENTION_BIAS,
        qk_norm="full",
        moe=MoeDialect(experts=("num_experts",), width=("intermediate_size",)),
    ),
    "cohere": Dialect(
        qkv_bias=ATTENTION_BIAS,
        o_bias=ATTENTION_BIAS,
        layer_norms=1,
        tie=True,
        qk_norm="full",
        qk_norm_flag=("use_qk_norm", False),
        ignore_head_dim=False,
    ),
    "cohere2": Dialect(
        qkv_bias=ATTENTION_BIAS,
        o_bias=ATTENTION_BIAS,
        layer_norms=1,
        tie=True,
        windows=window_pattern(4, 4096),
        ignore_head_dim=True,
    ),
    "exaone": Dialect(layer_key=("num_layers", "num_hidden_layers")),
    "exaone4": Dialect(qk_norm="head", windows=window_pattern(4, 4096), kv_default=32),
    "ernie4_5": Dialect(
        qkv_bias=("use_bias", False),
        o_bias=("use_bias", False),
        mlp_bias=("use_bias", False),
        head_dim=128,
        tie=True,
        kv_default=2,
    ),
    "smollm3": Dialect(
        qkv_bias=ATTENTION_BIAS,
        o_bias=ATTENTION_BIAS,
        mlp_bias=("mlp_bias", False),
        windows=window_qwen,
        tie=True,
        kv_default=4,
    ),
    "granite": LLAMA,
    "arcee": Dialect(
        qkv_bias=ATTENTION_BIAS, o_bias=ATTENTION_BIAS, mlp_bias=("mlp_bias", False), gated=False
    ),
    "nemotron": Dialect(
        qkv_bias=ATTENTION_BIAS,
        o_bias=ATTENTION_BIAS,
        mlp_bias=("mlp_bias", False),
        gated=False,
        norm_bias=True,
    ),
    "helium": Dialect(qkv_bias=ATTENTION_BIAS, mlp_bias=("mlp_bias", False), head_dim=128, kv_default=20),
    "starcoder2": Dialect(
        qkv_bias=("use_bias", True),
        o_bias=("use_bias", True),
        mlp_bias=("use_bias", True),
        gated=False,
        norm_bias=True,
        windows=window_always,
        tie=True,
        kv_default=2,
        ignore_head_dim=True,
    ),
    "mimo": Dialect(qkv_bias=True, windows=window_qwen, kv_default=32, mtp="deepseek"),
    "hunyuan_v1_dense": Dialect(qkv_bias=ATTENTION_BIAS, o_bias=ATTENTION_BIAS, qk_norm="head"),
    "dots1": Dialect(
        qkv_bias=ATTENTION_BIAS,
        o_bias=ATTENTION_BIAS,
        qk_norm="head",
        windows=window_by_types,
        kv_default=32,
        moe=MoeDialect(
            experts=("n_routed_experts",),
            layers=moe_after_first(0),
            shared_count=("n_shared_experts",),
        ),
    ),
    "granitemoe": Dialect(
        qkv_bias=ATTENTION_BIAS, o_bias=ATTENTION_BIAS, moe=MIXTRAL_MOE, ignore_head_dim=True
    ),
    "granitemoeshared": Dialect(
        qkv_bias=ATTENTION_BIAS,
        o_bias=ATTENTION_BIAS,
        ignore_head_dim=True,
        moe=MoeDialect(
            experts=("num_local_experts",),
            width=("intermediate_size",),
            shared_width=("shared_intermediate_size",),
        ),
    ),
}
