"""A GGUF file to an Architecture: its metadata give the build, its tensors the exact stored bytes.

The tensors are held against the build's count. Where metadata do not give one that fits (architectures beyond ``FAMILIES``,
models whose metadata leave widths out), a config.json beside the file gives the build and the file the bytes; without it the
file is refused.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from sizing.base.errors import ConfigError
from sizing.model.architecture import Architecture
from sizing.model.checkpoints.gguf_header import GgufTensor, read_gguf
from sizing.model.config import load_config, parse_config
from sizing.model.keys import describe
from sizing.model.parts import Component
from sizing.model.quantization.schemes import BF16, QuantScheme, WeightFormat

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
    "qwen2vl": "qwen2",
    "qwen3vl": "qwen3",
    "qwen3vlmoe": "qwen3_moe",
    "phi3": "phi3",
    "olmo2": "olmo2",
    "olmoe": "olmoe",
    "command-r": "cohere",
    "cohere2": "cohere2",
    "granite": "granite",
    "internlm2": "internlm2",
    "mistral3": "mistral",
    "seed_oss": "seed_oss",
    "smollm3": "smollm3",
    "ernie4_5": "ernie4_5",
    "exaone": "exaone",
    "baichuan": "baichuan",
    "xverse": "xverse",
    "glm4": "glm4",
    "glm4moe": "glm4_moe",
    "minimax-m2": "minimax_m2",
    "bailingmoe2": "bailing_moe_v2",
    "dots1": "dots1",
}
# Families of experts: the keys under which their config has the number of experts and that of shared ones.
_OF_EXPERTS = {
    "qwen3vlmoe": ("num_experts", None),
    "olmoe": ("num_experts", None),
    "glm4moe": ("n_routed_experts", "n_shared_experts"),
    "minimax-m2": ("num_local_experts", None),
    "bailingmoe2": ("num_experts", "num_shared_experts"),
    "dots1": ("n_routed_experts", "n_shared_experts"),
}
_BIASES = ("llama", "qwen3", "qwen3moe", "qwen3vl", "qwen3vlmoe", "seed_oss", "granite", "glm4", "glm4moe", "mistral3")
MAX_PARTS = 1000
CLOSE = 0.02  # the share by which tensors may differ from the count of a config.json beside them
_BLOCK = re.compile(r"(blk\.\d+)\.")
_PART = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")


def load_gguf(path: str | Path) -> Architecture:
    """The Architecture of a GGUF file of one of ``FAMILIES``; of a file in parts, any part stands for all.

    Raises ConfigError without the extra ``gguf``, for a malformed file, for another family, and where the
    tensors do not add up to the count of the metadata.
    """
    file, *more = _parts(Path(path))
    fields, tensors = read_gguf(file)
    count = fields.get("split.count")
    if isinstance(count, int) and count > 1 and count != len(more) + 1:
        raise ConfigError(f"is one part of {count}, and its name does not say so", key=str(file))
    for part in more:
        tensors += read_gguf(part)[1]
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


def _architecture(file: Path, fields: dict[str, object], tensors: list[GgufTensor]) -> Architecture:
    by_name = {tensor.name: tensor for tensor in tensors}
    if "token_embd.weight" not in by_name:
        raise ConfigError("has no tensor token_embd.weight", key=str(file))
    weights = [
        tensor for tensor in tensors
        if tensor.name not in NOT_WEIGHTS and not tensor.name.endswith(BUFFER) and ".nextn." not in tensor.name
    ]  # fmt: skip
    entries = sum(tensor.elements for tensor in weights)
    try:
        found = _by_metadata(file, fields, by_name, entries)
    except ConfigError as error:
        beside = file.with_name("config.json")
        if not beside.is_file():
            raise
        found = _by_config(beside, file, entries, error)
    stored = sum(tensor.bytes for tensor in tensors)
    dtypes: Counter[str] = Counter()
    for tensor in tensors:
        dtypes[tensor.dtype] += tensor.bytes
    note = f"GGUF: {stored} bytes in {len(tensors)} tensors, whose {entries} weights are those of the build"
    return replace(
        found,
        notes=(*found.notes, note),
        native_quantization=_scheme(weights, tied=found.tie_word_embeddings),
        quantization_problem=None,
        stored_bytes=stored,
        stored_dtypes=tuple(sorted(dtypes.items())),
    )


def _by_metadata(file: Path, fields: dict[str, object], by_name: dict[str, GgufTensor], entries: int) -> Architecture:
    """The build that the metadata give; ConfigError for a family that is not read or a count that does not fit."""
    name = fields.get("general.architecture")
    if not isinstance(name, str) or name not in FAMILIES:
        raise ConfigError(
            f"{describe(name)} is not supported by its metadata alone",
            key=f"{file.name}: general.architecture",
            hint="put the model's config.json beside it; by themselves are read " + ", ".join(FAMILIES),
        )
    try:
        found = parse_config(_config(fields, name, by_name), name=file.stem)
    except ConfigError as error:
        raise ConfigError(
            f"its metadata are not understood: {error}", key=str(file), hint="put the model's config.json beside it"
        ) from None
    if entries != found.total:
        raise ConfigError(
            f"its tensors hold {entries} weights where its metadata give {found.total}",
            key=str(file),
            hint="put the model's config.json beside it",
        )
    return found


def _by_config(beside: Path, file: Path, entries: int, error: ConfigError) -> Architecture:
    """The build of a config.json beside the file, whose text model the tensors must come to within 2%."""
    found = load_config(beside, name=file.stem)
    text = found.total - (found.vision.params if found.vision is not None else 0)
    if not any(abs(entries - count) <= CLOSE * count for count in (text, text + found.mtp, found.total)):
        raise ConfigError(
            f"its tensors hold {entries} weights where config.json gives {text}; {error}", key=str(file)
        ) from None
    if entries < found.total - CLOSE * text and found.vision is not None:
        found = replace(found, vision=None, notes=(*found.notes, "the file holds the text model alone"))
    return replace(found, notes=(*found.notes, "the build is of the config.json beside the file"))


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
    if name == "exaone":
        config["num_layers"] = get("block_count")
    if name == "command-r":
        config["use_qk_norm"] = "blk.0.attn_q_norm.weight" in tensors
    if name in _BIASES:
        config["attention_bias"] = "blk.0.attn_q.bias" in tensors
    if name in _OF_EXPERTS:
        config.update(_experts(get, tensors, *_OF_EXPERTS[name]))
    elif name == "gpt-oss":
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
    if name in ("gemma2", "gemma3", "cohere2", "phi3"):
        config["sliding_window"] = get("attention.sliding_window")
    return config


def _experts(
    get: Callable[[str], object], tensors: dict[str, GgufTensor], routed: str, shared: str | None
) -> dict[str, object]:
    """The keys of experts, under the family's names for them."""
    width = get("expert_feed_forward_length")
    found: dict[str, object] = {
        routed: get("expert_count"),
        "num_experts_per_tok": get("expert_used_count"),
        "moe_intermediate_size": width,
        "intermediate_size": get("feed_forward_length") or width,
        "use_qk_norm": any(name.endswith("attn_q_norm.weight") for name in tensors),
    }
    if shared is not None:
        found[shared] = get("expert_shared_count")
        found["first_k_dense_replace"] = get("leading_dense_block_count")
    return found


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


# Where a tensor of a layer belongs, by its name below the layer; what is left are the feed-forward's own matrices.
_PARTS: tuple[tuple[str, Component], ...] = (
    ("_exps", Component.ROUTED_EXPERTS),
    ("_gate_inp_shexp", Component.SHARED_EXPERTS),
    ("_shexp", Component.SHARED_EXPERTS),
    ("_chexps", Component.SHARED_EXPERTS),
    ("ffn_gate_inp", Component.ROUTER),
    ("ssm_", Component.LINEAR_ATTENTION),
    ("shortconv", Component.LINEAR_ATTENTION),
    ("time_mix", Component.LINEAR_ATTENTION),
    ("attn_", Component.ATTENTION),
    ("indexer", Component.ATTENTION),
    ("ffn_", Component.DENSE_MLP),
)


def part_of(name: str, recurrent: frozenset[str]) -> Component | None:
    """The component of a layer's matrix; ``recurrent``: the layers ("blk.3") with a state; None for other tensors.

    >>> part_of("blk.3.ffn_down_exps.weight", frozenset()).value
    'routed_experts'
    """
    block = _BLOCK.match(name)
    if block is None or "norm" in name or not name.endswith(".weight"):
        return None
    rest = name[block.end() :]
    if rest.startswith(("attn_qkv", "attn_gate")) and block.group(1) in recurrent:
        return Component.LINEAR_ATTENTION
    return next((part for word, part in _PARTS if word in rest), None)


def _scheme(weights: Iterable[GgufTensor], *, tied: bool) -> QuantScheme:
    """The mean bits of each component's matrices, the experts, the head and the embedding, as the file stores them."""
    weights = list(weights)
    recurrent = frozenset(
        found.group(1) for item in weights if ".ssm_" in item.name and (found := _BLOCK.match(item.name)) is not None
    )
    parts: dict[Component, list[GgufTensor]] = {}
    linear: list[GgufTensor] = []
    for tensor in weights:
        if tensor.name == "output.weight" or (tied and tensor.name == "token_embd.weight"):
            parts.setdefault(Component.LM_HEAD, []).append(tensor)
        part = part_of(tensor.name, recurrent)
        if tensor.name == "token_embd.weight":
            parts.setdefault(Component.EMBEDDING, []).append(tensor)
        elif part is not None:
            parts.setdefault(part, []).append(tensor)
            if part not in (Component.ROUTED_EXPERTS, Component.ROUTER):
                linear.append(tensor)
    main = _format(linear)
    own = [part for part in parts if part not in (Component.ROUTED_EXPERTS, Component.LM_HEAD, Component.EMBEDDING)]
    return QuantScheme(
        main.name,
        linear=main,
        experts=_format(parts[Component.ROUTED_EXPERTS]) if Component.ROUTED_EXPERTS in parts else main,
        other=_format(parts[Component.EMBEDDING]),
        lm_head=_format(parts.get(Component.LM_HEAD, [])),
        vision=BF16,
        by_component=tuple((part, _format(parts[part])) for part in sorted(own)),
    )


def _format(tensors: list[GgufTensor]) -> WeightFormat:
    elements = sum(tensor.elements for tensor in tensors) or 1
    bits = sum(tensor.bytes for tensor in tensors) * 8 / elements
    common = Counter({"F16": 0})
    for tensor in tensors:
        common[tensor.dtype] += tensor.bytes
    return WeightFormat(f"gguf_{common.most_common(1)[0][0].lower()}", bits)
