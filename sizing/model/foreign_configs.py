"""The config.json that another tool's config amounts to: Mistral's params.json, TensorRT-LLM's checkpoint config."""

from __future__ import annotations

from collections.abc import Mapping

from sizing.base.errors import ConfigError

MISTRAL = "params.json"
_KNOWN = frozenset((
    "dim", "n_layers", "n_heads", "n_kv_heads", "head_dim", "hidden_dim", "vocab_size", "norm_eps", "rope_theta",
    "sliding_window", "moe", "max_position_embeddings", "max_seq_len", "use_biases", "tied_embeddings",
    "model_type", "causal",
))  # fmt: skip


def mistral_config(params: Mapping[str, object]) -> dict[str, object]:
    """The config.json that Mistral's own params.json amounts to.

    Raises ConfigError for keys that change the count and are not read here.
    """
    unread = sorted(key for key, value in params.items() if key not in _KNOWN and value not in (None, False))
    if unread or params.get("use_biases"):
        raise ConfigError(
            "is not read from params.json", key=(unread or ["use_biases"])[0], hint="give the model's config.json"
        )
    names = {"dim": "hidden_size", "n_layers": "num_hidden_layers", "n_heads": "num_attention_heads",
             "n_kv_heads": "num_key_value_heads", "head_dim": "head_dim", "hidden_dim": "intermediate_size",
             "vocab_size": "vocab_size"}  # fmt: skip
    missing = [key for key in names if params.get(key) is None]
    if missing:
        raise ConfigError("required key is missing", key=f"{MISTRAL}: {missing[0]}")
    config: dict[str, object] = {name: params[key] for key, name in names.items()}
    config["model_type"] = "mistral"
    config["sliding_window"] = params.get("sliding_window")
    config["tie_word_embeddings"] = params.get("tied_embeddings") is True
    reach = params.get("max_position_embeddings") or params.get("max_seq_len")
    if reach is not None:
        config["max_position_embeddings"] = reach
    moe = params.get("moe")
    if isinstance(moe, Mapping):
        config["model_type"] = "mixtral"
        config["num_local_experts"] = moe.get("num_experts")
        config["num_experts_per_tok"] = moe.get("num_experts_per_tok")
    return config


# TensorRT-LLM's names of architectures, whose counts follow from its keys alone, and the model_type of each.
_TENSORRT = {
    "LlamaForCausalLM": "llama", "MistralForCausalLM": "mistral", "MixtralForCausalLM": "mixtral",
    "Qwen2ForCausalLM": "qwen2", "GemmaForCausalLM": "gemma", "Gemma2ForCausalLM": "gemma2",
    "Phi3ForCausalLM": "phi3", "InternLM2ForCausalLM": "internlm2",
}  # fmt: skip
_QWEN = {"qwen2": "qwen2", "qwen3": "qwen3", "qwen3_moe": "qwen3_moe", "qwen2_moe": "qwen2_moe"}
_SAME = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size")


def as_hugging_face(config: Mapping[str, object]) -> Mapping[str, object]:
    """The config.json that Mistral's params.json or TensorRT-LLM's checkpoint config amounts to; others as they are."""
    if "dim" in config and "n_layers" in config:
        return mistral_config(config)
    if isinstance(config.get("architecture"), str) and "num_hidden_layers" in config:
        return tensorrt_config(config)
    return config


def tensorrt_config(given: Mapping[str, object]) -> dict[str, object]:
    """The config.json that a checkpoint config of TensorRT-LLM amounts to.

    Raises ConfigError for an architecture whose count does not follow from the keys, and for keys that are missing.
    """
    name = str(given.get("architecture"))
    kind = _QWEN.get(str(given.get("qwen_type"))) if name == "QWenForCausalLM" else _TENSORRT.get(name)
    if kind is None:
        raise ConfigError(
            f"{name[:60]!r} of TensorRT-LLM does not say enough for an exact count", key="architecture",
            hint="give the config.json of the model it was converted from",
        )  # fmt: skip
    missing = [key for key in _SAME if given.get(key) is None]
    if missing:
        raise ConfigError("required key is missing", key=missing[0])
    found: dict[str, object] = {key: given[key] for key in _SAME}
    found["model_type"] = kind
    found["num_key_value_heads"] = given.get("num_key_value_heads") or given["num_attention_heads"]
    found["torch_dtype"] = given.get("dtype")
    found["max_position_embeddings"] = given.get("max_position_embeddings")
    found["tie_word_embeddings"] = (
        given.get("share_embedding_table") is True or given.get("tie_word_embeddings") is True
    )
    for key, other in (
        ("head_size", "head_dim"),
        ("attn_bias", "attention_bias"),
        ("sliding_window", "sliding_window"),
    ):
        if given.get(key) is not None:
            found[other] = given[key]
    moe = given.get("moe")
    experts = moe.get("num_experts") if isinstance(moe, Mapping) else None
    if experts:
        assert isinstance(moe, Mapping)
        if name == "LlamaForCausalLM":
            found["model_type"] = "mixtral"
        found["num_local_experts" if found["model_type"] == "mixtral" else "num_experts"] = experts
        found["num_experts_per_tok"] = moe.get("top_k")
        for key, other in (("moe_intermediate_size",) * 2, ("moe_shared_expert_intermediate_size",
                           "shared_expert_intermediate_size")):  # fmt: skip
            if given.get(key):
                found[other] = given[key]
    quant = given.get("quantization")
    if isinstance(quant, Mapping) and (quant.get("quant_algo") or quant.get("kv_cache_quant_algo")):
        found["quantization_config"] = {"quant_method": "modelopt", **quant}
    return found
