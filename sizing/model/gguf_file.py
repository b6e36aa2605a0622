"""A GGUF file to an Architecture: its metadata give the build, its tensors the exact stored bytes.

Needs the optional ``gguf`` package. The tensors are held against the build's count: a file whose tensors do
not add up to it is refused.
Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import importlib
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sizing.errors import ConfigError
from sizing.model.architecture import Architecture
from sizing.model.config import parse_config
from sizing.model.keys import describe
from sizing.model.quantization import QuantScheme, WeightFormat

MAX_TENSORS = 1_000_000
# What stands in the file but is no weight of the reference code.
NOT_WEIGHTS = ("rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight")
BUFFER = "exp_probs_b.bias"  # the routers' correction: a buffer, in no count
FAMILIES = {
    "llama": "llama",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
    "qwen3moe": "qwen3_moe",
    "gemma": "gemma",
    "gemma2": "gemma2",
    "gemma3": "gemma3_text",
    "qwen2moe": "qwen2_moe",
    "gpt-oss": "gpt_oss",
    "deepseek2": "deepseek_v3",
}
MAX_PARTS = 1000
_PART = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """One tensor of the file. bytes: what it takes there [bytes]."""

    name: str
    dtype: str
    elements: int
    bytes: int
    rows: int  # the slowest dimension


def load_gguf(path: str | Path) -> Architecture:
    """The Architecture of a GGUF file of one of ``FAMILIES``; of a file in parts, any part stands for all.

    Raises ConfigError without the extra ``gguf``, for a malformed file, for another family, and where the
    tensors do not add up to the count of the metadata.
    """
    file, *more = _parts(Path(path))
    fields, tensors = _read(file)
    count = fields.get("split.count")
    if isinstance(count, int) and count > 1 and count != len(more) + 1:
        raise ConfigError(f"is one part of {count}, and its name does not say so", key=str(file))
    for part in more:
        tensors += _read(part)[1]
    return _architecture(file, fields, tensors)


def single_file(files: Iterable[Path]) -> set[str]:
    """The files of a folder by what they are of: the parts of one file count as one."""
    return {_PART.sub("", file.name) for file in files}


def _parts(file: Path) -> list[Path]:
    """The files that belong together, first to last: ``-00001-of-00003.gguf`` and so on."""
    found = _PART.search(file.name)
    if found is None:
        return [file]
    count = int(found.group(2))
    if not 1 <= count <= MAX_PARTS:
        raise ConfigError(f"states {count} parts", key=str(file))
    stem = file.name[: found.start()]
    parts = [file.with_name(f"{stem}-{number:05d}-of-{count:05d}.gguf") for number in range(1, count + 1)]
    missing = [part.name for part in parts if not part.is_file()]
    if missing:
        raise ConfigError(f"{missing[0]} is not beside it", key=str(file))
    return parts


def _read(file: Path) -> tuple[dict[str, object], list[GgufTensor]]:
    try:
        package = importlib.import_module("gguf")
    except ImportError:
        raise ConfigError(
            "reading GGUF files needs the extra 'gguf'",
            key=str(file),
            hint="pip install 'llm-sizing[gguf]', or give the model's config.json",
        ) from None
    try:
        reader: Any = _strict(package.GGUFReader)(file)
        fields = {
            name: field.contents()
            for name, field in reader.fields.items()
            if not name.startswith(("tokenizer.", "GGUF."))
        }
        tensors = [
            GgufTensor(
                str(tensor.name),
                str(tensor.tensor_type.name),
                int(tensor.n_elements),
                int(tensor.n_bytes),
                int(tensor.shape[-1]),
            )
            for tensor in reader.tensors[:MAX_TENSORS]
        ]
    except Exception as error:  # the package raises whatever its arithmetic meets first
        raise ConfigError(f"is no readable GGUF file ({type(error).__name__})", key=str(file)) from None
    return fields, tensors


def _strict(reader: Any) -> Any:
    """The package's reader, which takes a length beyond the file's end for an endless array, made to refuse it."""

    def get(self: Any, offset: int, dtype: Any, count: int = 1, override_order: Any = None) -> Any:
        values = reader._get(self, offset, dtype, count, override_order)
        if len(values) < int(count):
            raise ValueError("beyond the end of the file")
        return values

    return type("StrictReader", (reader,), {"_get": get})


def _architecture(file: Path, fields: dict[str, object], tensors: list[GgufTensor]) -> Architecture:
    name = fields.get("general.architecture")
    if not isinstance(name, str) or name not in FAMILIES:
        raise ConfigError(
            f"{describe(name)} is not supported",
            key=f"{file.name}: general.architecture",
            hint="one of " + ", ".join(FAMILIES),
        )
    weights = [tensor for tensor in tensors if tensor.name not in NOT_WEIGHTS and not tensor.name.endswith(BUFFER)]
    by_name = {tensor.name: tensor for tensor in tensors}
    if "token_embd.weight" not in by_name:
        raise ConfigError("has no tensor token_embd.weight", key=str(file))
    try:
        found = parse_config(_config(fields, name, by_name), name=file.stem)
    except ConfigError as error:
        raise ConfigError(f"its metadata are not understood: {error}", key=str(file)) from None
    entries = sum(tensor.elements for tensor in weights)
    if entries != found.total:
        raise ConfigError(f"its tensors hold {entries} weights where its metadata give {found.total}", key=str(file))
    stored = sum(tensor.bytes for tensor in tensors)
    dtypes: Counter[str] = Counter()
    for tensor in tensors:
        dtypes[tensor.dtype] += tensor.bytes
    note = f"GGUF: {stored} bytes in {len(tensors)} tensors, whose {entries} weights are those of the build"
    return replace(
        found,
        notes=(*found.notes, note),
        native_quantization=_scheme(weights, tied=found.tie_word_embeddings),
        stored_bytes=stored,
        stored_dtypes=tuple(sorted(dtypes.items())),
    )


def _config(fields: dict[str, object], name: str, tensors: dict[str, GgufTensor]) -> dict[str, object]:
    """The config.json that these metadata amount to."""

    def get(key: str) -> object:
        return fields.get(f"{name}.{key}")

    config: dict[str, object] = {
        "model_type": FAMILIES[name],
        "hidden_size": get("embedding_length"),
        "num_hidden_layers": get("block_count"),
        "num_attention_heads": get("attention.head_count"),
        "num_key_value_heads": get("attention.head_count_kv"),
        "intermediate_size": get("feed_forward_length"),
        "max_position_embeddings": get("context_length"),
        "vocab_size": tensors["token_embd.weight"].rows,
        "tie_word_embeddings": "output.weight" not in tensors,
    }
    if name == "deepseek2":
        return {**config, **_latent(get, tensors)}
    if get("attention.key_length") is not None:
        config["head_dim"] = get("attention.key_length")
        if get("attention.value_length") not in (None, get("attention.key_length")):
            raise ConfigError("differs from key_length", key=f"{name}.attention.value_length")
    if name in ("llama", "qwen3", "qwen3moe"):
        config["attention_bias"] = "blk.0.attn_q.bias" in tensors
    if name == "gpt-oss":
        config["num_local_experts"] = get("expert_count")
        config["num_experts_per_tok"] = get("expert_used_count")
        config["intermediate_size"] = get("expert_feed_forward_length")
        config["sliding_window"] = get("attention.sliding_window")
    elif name in ("qwen3moe", "qwen2moe"):
        config["num_experts"] = get("expert_count")
        config["num_experts_per_tok"] = get("expert_used_count")
        config["moe_intermediate_size"] = get("expert_feed_forward_length")
        if name == "qwen2moe":
            config["shared_expert_intermediate_size"] = get("expert_shared_feed_forward_length")
    elif get("expert_count"):
        if name != "llama":
            raise ConfigError("is not supported in this family", key=f"{name}.expert_count")
        config["model_type"] = "mixtral"
        config["num_local_experts"] = get("expert_count")
        config["num_experts_per_tok"] = get("expert_used_count")
    if name in ("gemma2", "gemma3"):
        config["sliding_window"] = get("attention.sliding_window")
    return config


def _latent(get: Callable[[str], object], tensors: dict[str, GgufTensor]) -> dict[str, object]:
    """The keys of latent attention and its experts; ConfigError for metadata of before these keys were written."""

    def whole(key: str) -> int:
        value = get(key)
        if not isinstance(value, int) or isinstance(value, bool):
            raise ConfigError("is missing: convert the model anew, or give its config.json", key=f"deepseek2.{key}")
        return value

    rope, experts = whole("rope.dimension_count"), get("expert_count")
    found: dict[str, object] = {
        "num_key_value_heads": get("attention.head_count"),
        "kv_lora_rank": whole("attention.kv_lora_rank"),
        "q_lora_rank": get("attention.q_lora_rank"),
        "qk_rope_head_dim": rope,
        "qk_nope_head_dim": whole("attention.key_length_mla") - rope,
        "v_head_dim": whole("attention.value_length_mla"),
        "first_k_dense_replace": get("leading_dense_block_count"),
        "n_routed_experts": experts,
        "num_experts_per_tok": get("expert_used_count"),
        "moe_intermediate_size": get("expert_feed_forward_length"),
        "n_shared_experts": get("expert_shared_count"),
    }
    if not any(name.endswith("exp_probs_b.bias") for name in tensors):
        found["model_type"] = "deepseek_v2"
    return found


def _scheme(weights: Iterable[GgufTensor], *, tied: bool) -> QuantScheme:
    """The mean bits of the layers' matrices, the experts, the head and the rest, as the file stores them."""
    parts: dict[str, list[GgufTensor]] = {"linear": [], "experts": [], "head": [], "other": []}
    for tensor in weights:
        if tensor.name == "output.weight" or (tied and tensor.name == "token_embd.weight"):
            parts["head"].append(tensor)
        if "_exps." in tensor.name:
            parts["experts"].append(tensor)
        elif tensor.name == "token_embd.weight":
            parts["other"].append(tensor)
        elif tensor.name.startswith("blk.") and "norm" not in tensor.name and tensor.name.endswith(".weight"):
            parts["linear"].append(tensor)
    linear = _format(parts["linear"])
    return QuantScheme(
        linear.name,
        linear=linear,
        experts=_format(parts["experts"]) if parts["experts"] else linear,
        other=_format(parts["other"]),
        lm_head=_format(parts["head"]),
        vision=linear,
    )


def _format(tensors: list[GgufTensor]) -> WeightFormat:
    elements = sum(tensor.elements for tensor in tensors) or 1
    bits = sum(tensor.bytes for tensor in tensors) * 8 / elements
    common = Counter({"F16": 0})
    for tensor in tensors:
        common[tensor.dtype] += tensor.bytes
    return WeightFormat(f"gguf_{common.most_common(1)[0][0].lower()}", bits)
