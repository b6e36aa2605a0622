"""Random legal models and machines for property tests: whole configs of many families, data sheets of no real part."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from sizing.coefficients.kernels import MachineRates
from sizing.model.architecture import Architecture
from sizing.model.config import parse_config

KINDS = ("dense", "window", "experts", "latent", "sparse_latent", "delta", "mamba", "kimi", "compressed", "short_conv")
LAYERS = st.integers(4, 12)


def config(kind: str, size: int, layers: int, kv_heads: int, experts: int, top_k: int, tied: bool) -> dict[str, Any]:
    """A config.json of ``kind``: ``size`` x 1024 wide, heads of 128."""
    hidden, heads = 1024 * size, 8 * size
    common: dict[str, Any] = {
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": min(kv_heads, heads),
        "head_dim": 128,
        "intermediate_size": 3072 * size,
        "vocab_size": 32_768,
        "max_position_embeddings": 131_072,
        "tie_word_embeddings": tied,
    }
    moe = {"num_experts": experts, "num_experts_per_tok": top_k, "moe_intermediate_size": 512 * size}
    routed = {**moe, "n_routed_experts": experts, "n_shared_experts": 1, "first_k_dense_replace": 1}
    del routed["num_experts"]
    latent = {"kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128}
    hybrid = [index % 4 == 3 for index in range(layers)]
    delta = {
        "linear_num_key_heads": 8,
        "linear_num_value_heads": 16,
        "linear_key_head_dim": 128,
        "linear_value_head_dim": 128,
        "linear_conv_kernel_dim": 4,
    }
    added: dict[str, dict[str, Any]] = {
        "dense": {"model_type": "llama"},
        "window": {"model_type": "gemma3_text", "sliding_window": 1024, "sliding_window_pattern": 4},
        "experts": {"model_type": "qwen3_moe", **moe},
        "latent": {"model_type": "deepseek_v3", **routed, **latent, "q_lora_rank": 1536, "num_key_value_heads": heads},
        "sparse_latent": {
            "model_type": "deepseek_v32", **routed, **latent, "q_lora_rank": 1536, "num_key_value_heads": heads,
            "index_topk": 2048, "index_n_heads": 16, "index_head_dim": 128,
        },
        "delta": {
            "model_type": "qwen3_5_moe_text", **moe, **delta, "shared_expert_intermediate_size": 512, "head_dim": 256,
        },
        "mamba": {
            "model_type": "nemotron_h", "hybrid_override_pattern": ("M-M*" * layers)[:layers], "n_groups": 8,
            "mamba_num_heads": 16, "mamba_head_dim": 64, "ssm_state_size": 128, "conv_kernel": 4,
            "tie_word_embeddings": False,
        },
        "kimi": {
            "model_type": "kimi_linear", **latent, "q_lora_rank": None, **moe, "num_shared_experts": 1,
            "first_k_dense_replace": 1, "tie_word_embeddings": False,
            "layer_types": ["full_attention" if full else "linear_attention" for full in hybrid],
            "linear_num_heads": 8, "linear_head_dim": 128, "linear_conv_kernel_dim": 4,
        },
        "compressed": {
            "model_type": "deepseek_v4", **routed, "head_dim": 512, "num_key_value_heads": 1, "q_lora_rank": 1024,
            "o_groups": 8, "o_lora_rank": 1024, "sliding_window": 128, "hc_mult": 4, "index_topk": 512,
            "index_n_heads": 64, "index_head_dim": 128,
            "compress_ratios": [(0, 4, 128)[index % 3] for index in range(layers)],
        },
        "short_conv": {
            "model_type": "lfm2", "conv_L_cache": 3, "block_auto_adjust_ff_dim": False, "head_dim": None,
            "layer_types": ["full_attention" if full else "conv" for full in hybrid],
        },
    }  # fmt: skip
    return {**common, **added[kind]}


@st.composite
def configs(draw: st.DrawFn, kinds: tuple[str, ...] = KINDS) -> dict[str, Any]:
    """A config of one of ``kinds``, small to middling."""
    experts = draw(st.sampled_from([8, 16, 64]))
    return config(
        draw(st.sampled_from(kinds)),
        draw(st.sampled_from([1, 2, 4])),
        draw(LAYERS),
        draw(st.sampled_from([1, 2, 8])),
        experts,
        draw(st.integers(1, min(8, experts))),
        draw(st.booleans()),
    )


def architectures(kinds: tuple[str, ...] = KINDS) -> st.SearchStrategy[Architecture]:
    """The models of ``configs``."""
    return configs(kinds).map(lambda data: parse_config(data, name=str(data["model_type"])))


@st.composite
def machines(draw: st.DrawFn) -> MachineRates:
    """An accelerator that no maker sells: rates between an old card and twice the newest part."""
    flops = draw(st.floats(50e12, 5e15))
    return MachineRates(
        name="made-up",
        family=draw(st.sampled_from(["hopper", "ampere", "blackwell", "ascend-910b", "unheard-of"])),
        bf16_flops=flops,
        fp8_flops=draw(st.sampled_from([0.0, 2 * flops])),
        int8_flops=draw(st.sampled_from([0.0, 2 * flops])),
        fp4_flops=draw(st.sampled_from([0.0, 4 * flops])),
        memory_bandwidth=draw(st.floats(0.3e12, 16e12)),
        cores=draw(st.integers(20, 400)),
        link_bandwidth=draw(st.floats(16e9, 1.8e12)),
        node_bandwidth=draw(st.floats(3e9, 200e9)),
        node_size=draw(st.sampled_from([1, 2, 8, 72])),
        fabric=draw(st.sampled_from(["nvlink", "hccs", "pcie"])),
    )
