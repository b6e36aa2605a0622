"""Configs that other tools write beside or instead of config.json: read where the count follows exactly, else refused
with what is missing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from sizing.errors import ConfigError
from sizing.model.config import parse_json, read_json

MAX_TABLE_BYTES = 200 * 2**20
MAX_VALUES = 6_000_000
MAX_MANIFEST = 2**20
MISTRAL = "params.json"
# Files that name no widths, and what is missing.
_NO_WIDTHS = {
    "genai_config.json": "ONNX Runtime GenAI's file has no width of the feed-forward layers",
    "openvino_model.xml": "OpenVINO's file names no architecture (its constants are read beside a config.json)",
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


def ollama_file(path: Path) -> Path | None:
    """The GGUF file of Ollama's manifest at a path; None where the file is no manifest.

    Raises ConfigError where the blob that it names is not beside it, or it names none.
    """
    if not path.is_file():
        return None
    with path.open("rb") as stream:
        text = stream.read(MAX_MANIFEST + 1)
    if len(text) > MAX_MANIFEST or b"application/vnd.ollama.image" not in text:
        return None
    layers = parse_json(text.decode("utf-8", "replace"), str(path)).get("layers")
    digests = [
        str(layer.get("digest")) for layer in (layers if isinstance(layers, list) else ())
        if isinstance(layer, dict) and layer.get("mediaType") == "application/vnd.ollama.image.model"
    ]  # fmt: skip
    if len(digests) != 1 or re.fullmatch(r"sha256:[0-9a-f]{64}", digests[0]) is None:
        raise ConfigError(f"names {len(digests)} files of weights where one is read", key=str(path))
    blob = digests[0].replace(":", "-")
    for folder in path.resolve().parents[:8]:
        if (folder / "blobs" / blob).is_file():
            return folder / "blobs" / blob
    raise ConfigError(
        f"names blobs/{blob[:19]}..., which is not there", key=str(path), hint="give the GGUF file itself"
    )


def why_no_config(folder: Path) -> ConfigError:
    """What a folder without config.json lacks, by the files that other tools left in it."""
    for name, why in _NO_WIDTHS.items():
        if (folder / name).is_file():
            return ConfigError(
                f"has no config.json, and {why}", key=str(folder), hint="put the model's config.json beside it"
            )
    return ConfigError("has no config.json", key=str(folder))


def quantization_beside(folder: Path) -> dict[str, object] | None:
    """The quantization_config that the files of quanto, msModelSlim or HQQ beside a config.json amount to."""
    table = folder / "quanto_qmap.json"
    if table.is_file():
        return {"quant_method": "quanto", "qmap": read_json(table, limit=MAX_TABLE_BYTES, most=MAX_VALUES)}
    described = sorted(folder.glob("quant_model_description*.json"))
    if described:
        entries = read_json(described[0], limit=MAX_TABLE_BYTES, check=False, most=MAX_VALUES)
        told = {key: value for key, value in entries.items() if key.endswith(".weight") or "." not in key}
        if any(key.endswith(".kv_cache_scale") for key in entries):
            told.setdefault("kv_cache_type", "C8")
        return {"quant_method": "msmodelslim", "description": told}
    return {"quant_method": "hqq"} if (folder / "qmodel.pt").is_file() else None
