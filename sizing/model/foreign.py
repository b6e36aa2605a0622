"""Configs that other tools write beside or instead of config.json: read where the count follows exactly, else refused
with what is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sizing.errors import ConfigError

MISTRAL = "params.json"
# Files that name no widths, and what is missing.
_NO_WIDTHS = {
    "genai_config.json": "ONNX Runtime GenAI's file has no width of the feed-forward layers",
    "openvino_model.xml": "OpenVINO's file names no architecture",
    "openvino_config.json": "OpenVINO's file names no architecture",
    "rank0.engine": "a built engine of TensorRT-LLM names no architecture",
    "model_config.yaml": "NeMo's file names no model family whose count follows from it",
    "run_config.yaml": "Megatron-Bridge's file names no model family whose count follows from it",
}
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


def why_no_config(folder: Path) -> ConfigError:
    """What a folder without config.json lacks, by the files that other tools left in it."""
    for name, why in _NO_WIDTHS.items():
        if (folder / name).is_file():
            return ConfigError(
                f"has no config.json, and {why}", key=str(folder), hint="put the model's config.json beside it"
            )
    return ConfigError("has no config.json", key=str(folder))
