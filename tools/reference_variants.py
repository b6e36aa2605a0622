"""Random legal variants of the families' configuration classes: what tools/reference_counts.py compares.

``small`` fills the class of a model_type with small values; ``CHOICES`` are the keys that are varied wherever a class has
them, ``FIXES`` keep what a class demands beyond that.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from transformers import CONFIG_MAPPING

TOP_K = ("num_experts_per_tok", "num_experts_per_token", "moe_k", "moe_topk", "top_k_experts", "moe_top_k")
EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")

CHOICES: dict[str, list[Any]] = {
    "vocab_size": [160, 224, 259],
    "tie_word_embeddings": [True, False],
    "attention_bias": [True, False],
    "attention_out_bias": [True, False],
    "mlp_bias": [True, False],
    "use_bias": [True, False],
    "use_qkv_bias": [True, False],
    "qkv_bias": [True, False],
    "bias": [True, False],
    "lm_head_bias": [True, False],
    "qk_layernorm": [True, False],
    "use_qk_norm": [True, False],
    "moe_intermediate_size": [24, 40],
    "shared_intermediate_size": [24, 40],
    "shared_expert_intermediate_size": [24, 40],
    "moe_shared_expert_intermediate_size": [24, 40],
    "intermediate_size_mlp": [48, 56],
    "n_shared_experts": [1, 2],
    "num_shared_experts": [1, 2],
    "moe_num_shared_experts": [1, 2],
    "first_k_dense_replace": [0, 1, 2],
    "moe_layer_start_index": [0, 1, 2],
    "moe_layer_interval": [1, 2],
    "num_dense_layers": [0, 1, 2],
    "decoder_sparse_step": [1, 2, 3],
    "mlp_only_layers": [[], [0], [1, 3]],
    "sliding_window": [16, 24],
    "use_sliding_window": [True, False],
    "max_window_layers": [0, 2, 28],
    "q_lora_rank": [None, 24],
    "kv_lora_rank": [16, 32],
    "qk_nope_head_dim": [16, 24],
    "qk_rope_head_dim": [8, 16],
    "v_head_dim": [16, 24],
    "index_topk": [4, 16],
    "index_n_heads": [2, 4],
    "index_head_dim": [16, 32],
    "mamba_d_state": [8, 16],
    "mamba_d_conv": [2, 4],
    "mamba_n_groups": [1, 2],
    "mamba_proj_bias": [True, False],
    "mamba_conv_bias": [True, False],
    "mamba_rms_norm": [True, False],
    "state_size": [8, 16],
    "conv_kernel": [2, 4],
    "n_groups": [1, 2],
    "ssm_state_size": [8, 16],
    "use_conv_bias": [True, False],
    "conv_L_cache": [2, 3],
    "conv_bias": [True, False],
    "linear_num_key_heads": [2],
    "linear_num_value_heads": [2, 4],
    "linear_key_head_dim": [8, 16],
    "linear_value_head_dim": [8, 16],
    "linear_conv_kernel_dim": [2, 4],
    "attn_output_gate": [True],
    "new_decoder_architecture": [True, False],
    "multi_query": [True, False],
    "parallel_attn": [True, False],
    "use_parallel_residual": [True, False],
    "num_kv_shared_layers": [0, 2],
    "hidden_size_per_layer_input": [0, 16],
    "vocab_size_per_layer_input": [160],
    "use_double_wide_mlp": [True, False],
    "enable_moe_block": [True, False],
    "attention_k_eq_v": [True, False],
    "num_global_key_value_heads": [None, 1, 2],
    "global_head_dim": [16, 32],
    "block_auto_adjust_ff_dim": [True, False],
    "block_multiple_of": [8, 16],
    "moe_latent_size": [None, 32],
    "add_swa_attention_sink_bias": [True, False],
    "add_full_attention_sink_bias": [True, False],
    "attn_layer_period": [2, 4],
    "attn_layer_offset": [0, 1],
    "expert_layer_period": [1, 2],
    "expert_layer_offset": [0],
    "interleave_moe_layer_step": [1, 2],
    "position_embedding_type": ["rope"],
    "max_position_embeddings": [64, 128],
    "enable_bias": [True, False],
    "layer_norm_elementwise_affine": [True, False],
    "do_layer_norm_before": [True],
    "laurel_rank": [8],
    "hc_mult": [2, 4],
    "o_groups": [2],
    "o_lora_rank": [16],
    "zero_expert_num": [0, 2],
    "router_bias": [True, False],
    "norm_topk_prob": [True],
}


def small(model_type: str, rng: random.Random) -> dict[str, Any] | None:
    """Keyword arguments of the family's configuration class: small, legal as far as the names tell."""
    cls = CONFIG_MAPPING[model_type]
    try:
        usual = cls().to_dict()
    except Exception:
        return None
    return filled(model_type, usual, rng)


def filled(model_type: str, usual: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    heads = rng.choice([4, 8])
    width = rng.choice([8, 16])
    hidden = heads * width
    layers = rng.choice([4, 5, 6])
    experts = rng.choice([4, 6])
    kv = rng.choice([1, 2, heads])
    top_k = rng.choice([1, 2])
    common: dict[str, Any] = {
        **dict.fromkeys(("hidden_size", "n_embd", "d_model", "n_embed"), hidden),
        **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers"), layers),
        **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "swa_num_attention_heads"), heads),
        **dict.fromkeys(("num_key_value_heads", "num_kv_heads", "swa_num_key_value_heads"), kv),
        **dict.fromkeys(("intermediate_size", "ffn_dim", "n_inner", "ffn_hidden_size"), rng.choice([48, 72])),
        **dict.fromkeys(("max_position_embeddings", "n_positions"), 128),
        **dict.fromkeys(EXPERTS, experts),
        **dict.fromkeys(TOP_K, top_k),
        "mamba_n_heads": 2 * hidden // 8,
        "mamba_d_head": 8,
        "mamba_expand": 2,
        "mamba_num_heads": 8,
        "mamba_head_dim": 8,
        "word_embed_proj_dim": hidden,
        "n_group": 1,
        "topk_group": 1,
        "num_expert_group": 1,
    }
    values = {key: value for key, value in common.items() if key in usual}
    for key, options in CHOICES.items():
        if key in usual:
            values[key] = rng.choice(options)
    for number, key in enumerate(("pad_token_id", "bos_token_id", "eos_token_id")):
        if isinstance(usual.get(key), int):
            values[key] = number
    if "head_dim" in usual:
        values["head_dim"] = rng.choice([width, 8, 16, 32] if usual["head_dim"] is not None else [None, width, 16, 32])
        if values["head_dim"] is None:
            del values["head_dim"]
    for key in ("layer_types", "layers_block_type"):
        kinds = usual.get(key)
        if (isinstance(kinds, list) and kinds and rng.random() < 0.6) or (key in usual and key == "layers_block_type"):
            names = sorted(set(kinds or ["attention", "mamba"]))
            values[key] = [rng.choice(names) for _ in range(layers)]
            values[key][-1] = names[0] if "full_attention" not in names else "full_attention"
    if isinstance(usual.get("intermediate_size"), list):
        values["intermediate_size"] = [rng.choice([48, 72]) for _ in range(layers)]
    for key, inner in usual.items():
        if isinstance(inner, dict) and key == "text_config":
            values[key] = filled(str(inner.get("model_type")), inner, rng)
        elif isinstance(inner, dict) and key in ("vision_config", "audio_config"):
            values[key] = pictures(inner, rng)
    if "text_config" in values and "vision_config" in values:
        out = values["text_config"].get("hidden_size")
        for part in ("vision_config", "audio_config"):
            for key in ("out_hidden_size", "output_dim"):
                if key in (usual.get(part) or {}):
                    values[part][key] = out
        if usual["vision_config"].get("model_type") == "qwen2_vl_vision":
            values["vision_config"]["hidden_size"] = out
        if usual.get("model_type") == "paligemma":
            values["projection_dim"] = out
        if "projection_hidden_size" in usual:
            values["projection_hidden_size"] = values["vision_config"]["hidden_size"]
    if model_type in FIXES:
        FIXES[model_type](values, rng)
    return {key: value for key, value in values.items() if key not in DROP.get(model_type, ())}


def pictures(usual: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """A small encoder."""
    common: dict[str, Any] = {
        **dict.fromkeys(("hidden_size", "embed_dim", "width"), 64),
        **dict.fromkeys(("num_hidden_layers", "depth", "layers"), rng.choice([2, 3])),
        **dict.fromkeys(("num_attention_heads", "num_heads", "heads", "attention_heads"), 4),
        **dict.fromkeys(("intermediate_size",), rng.choice([48, 96])),
        "image_size": rng.choice([56, 112]),
        "patch_size": 14,
        "deepstack_visual_indexes": rng.choice([[0], [0, 1]]),
        "vision_use_head": False,
        **dict.fromkeys(("encoder_layers", "num_global_layers"), 2),
        "encoder_attention_heads": 4,
        "encoder_ffn_dim": 96,
        "d_model": 64,
        "downsample_hidden_size": 16,
        "ext_pw_out_channel": 64,
        "depthwise_separable_out_channel": 64,
    }
    values = {key: value for key, value in common.items() if key in usual}
    if isinstance(usual.get("image_size"), list):
        values["image_size"] = [values["image_size"]] * 2
        values["patch_size"] = [14, 14]
    for key in ("vocab_size",):
        values.pop(key, None)
    if "model_type" in usual:
        values["model_type"] = usual["model_type"]
    return values


DROP: dict[str, tuple[str, ...]] = {
    "dbrx": ("tie_word_embeddings",),
    "deepseek_v2": ("head_dim",),
    "deepseek_v3": ("head_dim",),
    "deepseek_v32": ("head_dim",),
}


def fix_q_rank(values: dict[str, Any], rng: random.Random) -> None:
    values["q_lora_rank"] = rng.choice([16, 24])


FIXES: dict[str, Callable[[dict[str, Any], random.Random], None]] = {}


def fixes(*names: str) -> Callable[[Callable[[dict[str, Any], random.Random], None]], None]:
    def keep(function: Callable[[dict[str, Any], random.Random], None]) -> None:
        for name in names:
            FIXES[name] = function

    return keep


fixes("deepseek_v32", "glm_moe_dsa", "axk1")(fix_q_rank)


@fixes("longcat_flash")
def _(values: dict[str, Any], rng: random.Random) -> None:
    fix_q_rank(values, rng)
    values["zero_expert_num"] = 0  # transformers gives weights to experts that hold none


@fixes("deepseek_v4")
def _(values: dict[str, Any], rng: random.Random) -> None:
    values.update(q_lora_rank=24, num_key_value_heads=1, num_nextn_predict_layers=0, n_shared_experts=1)
    values.update(attention_bias=False, mlp_bias=False)


@fixes("qwen4_exp_text", "qwen4_exp")
def _(values: dict[str, Any], rng: random.Random) -> None:
    if "text_config" in values:
        return
    kinds = [rng.choice(["linear_attention", "indexed_attention"]) for _ in range(values["num_hidden_layers"] - 1)]
    kinds = ["linear_attention", *kinds]
    values.update(
        layer_types=kinds, indexer_n_heads=rng.choice([2, 4]), indexer_kv_heads=1, indexer_head_dim=32, head_dim=16,
        indexer_budget=16, indexer_compress_ratio=rng.choice([2, 4]), eos_token_id=2, hc_lowrank=rng.choice([8, 12]),
        hc_count=rng.choice([2, 4]), ngram_vocab_size_base=rng.choice([100, 150]), heads_per_ngram=rng.choice([2, 4]),
        ple_embed_dim=rng.choice([32, 64]), split_ngram_parts=1, ngram_size=rng.choice([2, 3]),
        ple_layer_ids=[i + 1 for i, kind in enumerate(kinds) if kind == "linear_attention" and rng.random() < 0.5],
    )  # fmt: skip


@fixes("falcon_h1")
def _(values: dict[str, Any], rng: random.Random) -> None:
    inner = rng.choice([64, 128])
    values.update(mamba_d_ssm=inner, mamba_d_head=16, mamba_n_heads=inner // 16, projectors_bias=rng.random() < 0.5)


@fixes("mamba", "falcon_mamba")
def _(values: dict[str, Any], rng: random.Random) -> None:
    expand = rng.choice([1, 2, 3])
    values.update(expand=expand, intermediate_size=expand * values["hidden_size"])


@fixes("mamba2")
def _(values: dict[str, Any], rng: random.Random) -> None:
    head, expand = rng.choice([8, 16]), rng.choice([1, 2])
    values.update(expand=expand, head_dim=head, num_heads=expand * values["hidden_size"] // head)


@fixes("lfm2_moe")
def _(values: dict[str, Any], rng: random.Random) -> None:
    kinds = [rng.choice(["conv", "full_attention"]) for _ in range(values["num_hidden_layers"])]
    values.update(layer_types=[*kinds[:-1], "full_attention"])


@fixes("kimi_linear")
def _(values: dict[str, Any], rng: random.Random) -> None:
    layers = list(range(1, values["num_hidden_layers"] + 1))
    full = sorted(rng.sample(layers, 2))
    values["linear_attn_config"] = {
        "full_attn_layers": full, "kda_layers": [index for index in layers if index not in full],
        "num_heads": 4, "head_dim": rng.choice([8, 16]), "short_conv_kernel_size": rng.choice([2, 4]),
    }  # fmt: skip
    values.update(tie_word_embeddings=False)
    values.pop("layer_types", None)
    values.update(linear_head_dim=values["linear_attn_config"]["head_dim"], linear_num_heads=4)
    values["linear_conv_kernel_dim"] = values["linear_attn_config"]["short_conv_kernel_size"]
    if rng.random() < 0.5:
        del values["linear_attn_config"]
        kinds = [rng.choice(["linear_attention", "full_attention"]) for _ in layers]
        values["layer_types"] = [*kinds[:-1], "full_attention"]


@fixes("internlm3")
def _(values: dict[str, Any], rng: random.Random) -> None:
    values["attention_bias"] = values["mlp_bias"]


@fixes("nemotron_h")
def _(values: dict[str, Any], rng: random.Random) -> None:
    values.update(n_shared_experts=1, attention_bias=False, tie_word_embeddings=False)


@fixes("phimoe", "qwen3_vl_moe_text", "qwen3_omni_moe_text")
def _(values: dict[str, Any], rng: random.Random) -> None:
    values["sliding_window"] = None


@fixes("gpt_neo")
def _(values: dict[str, Any], rng: random.Random) -> None:
    values.update(num_layers=4, attention_types=[[["global", "local"], 2]], window_size=16, num_heads=4)
    values.pop("attention_layers", None)


@fixes("bailing_hybrid")
def _(values: dict[str, Any], rng: random.Random) -> None:
    values.update(tie_word_embeddings=False)


@fixes("dbrx")
def _(values: dict[str, Any], rng: random.Random) -> None:
    values["attn_config"] = {"kv_n_heads": rng.choice([1, 2]), "clip_qkv": None, "rope_theta": 1e4}
    values["ffn_config"] = {
        "ffn_hidden_size": 48, "moe_num_experts": 4, "moe_top_k": 2, "hidden_size": values["d_model"],
    }  # fmt: skip


@fixes("ernie4_5_vl_moe_text")
def _(values: dict[str, Any], rng: random.Random) -> None:
    values["moe_intermediate_size"] = rng.choice([[24, 40], [32, 16]])


@fixes("glm5_next_text")
def _(values: dict[str, Any], rng: random.Random) -> None:
    fix_q_rank(values, rng)
    values.update(num_key_value_heads=values["num_attention_heads"], qk_rope_head_dim=0, index_topk=16, index_kpool=4)


@fixes("mllama", "mllama_text_model")
def _(values: dict[str, Any], rng: random.Random) -> None:
    text = values.get("text_config", values)
    text.update(cross_attention_layers=rng.choice([[1], [0, 2]]), tie_word_embeddings=False)
    values["tie_word_embeddings"] = False


@fixes("diffllama")
def _(values: dict[str, Any], rng: random.Random) -> None:
    values["num_key_value_heads"] = rng.choice([2, values["num_attention_heads"]])
    values.pop("head_dim", None)


@fixes("helium", "gptj", "gemma3n_text")
def _(values: dict[str, Any], rng: random.Random) -> None:
    if "head_dim" in values:
        values["head_dim"] = values["hidden_size"] // values["num_attention_heads"]
    for name in ("rotary_dim",):
        values[name] = 8
    if values.get("hidden_size_per_layer_input") == 0:
        values["hidden_size_per_layer_input"] = 16
