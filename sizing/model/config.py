"""A Hugging Face config.json, validated, to an Architecture: keys are read, never model names."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from sizing.base.errors import ConfigError, nearest
from sizing.base.files import check_values, read_text
from sizing.model.architecture import Architecture, VisionTower
from sizing.model.body import Body, group_layers
from sizing.model.families.images import with_tokens
from sizing.model.families.registry import BUILDERS, OUTER, TEXT_KEYS, Outer
from sizing.model.foreign_configs import as_hugging_face
from sizing.model.heads import read_head
from sizing.model.image_limits import PROCESSOR, VIDEO
from sizing.model.keys import Keys, describe
from sizing.model.quantization.schemes import BF16, QuantScheme, from_quantization_config

PLAIN_DTYPES = {
    "bfloat16": "bfloat16", "float16": "float16", "half": "float16", "float32": "float32", "float": "float32",
}  # fmt: skip
MAX_FILE_BYTES = 4 * 2**20
MAX_DEPTH = 32
MAX_KEYS = 200_000


def read_json(
    path: str | Path, *, limit: int = MAX_FILE_BYTES, check: bool = True, most: int | None = None
) -> dict[str, object]:
    """The JSON object in a file, refused when it is too large, too deep (unless not ``check``) or no
    object.
    """
    file = Path(path)
    text = read_text(file, limit, error=ConfigError)
    if most is not None:
        check_values(text, most, str(file), error=ConfigError)
    return parse_json(text, str(file), check=check)


def parse_json(text: str, name: str = "config.json", *, check: bool = True) -> dict[str, object]:
    """The JSON object in a text; ``name`` is what errors call it."""
    try:
        data = json.loads(text)
    except RecursionError:
        raise ConfigError("is nested too deeply", key=name) from None
    except ValueError as error:
        raise ConfigError(f"is not valid JSON: {error}", key=name) from None
    if not isinstance(data, dict):
        raise ConfigError("must be a JSON object", key=name)
    if check:
        check_size(data, name)
    return data


def check_size(data: object, name: str = "config.json") -> None:
    """Refuse JSON that is deeper or larger than any real config."""
    level: list[object] = [data]
    seen = 0
    for _ in range(MAX_DEPTH):
        below: list[object] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
        seen += len(below)
        if seen > MAX_KEYS:
            raise ConfigError(f"has more than {MAX_KEYS} values", key=name)
        if not below:
            return
        level = below
    raise ConfigError(f"is nested more than {MAX_DEPTH} levels deep", key=name)


def load_config(
    path: str | Path,
    *,
    name: str | None = None,
    hypothetical: bool = False,
    quantization: Mapping[str, object] | None = None,
) -> Architecture:
    """The Architecture of a config.json; a hf_quant_config.json and the processors' files beside it are honoured, and
    ``quantization`` stands for a quantization_config that it does not have.
    """
    file = Path(path)
    beside = file.with_name("hf_quant_config.json")
    quant = read_json(beside) if beside.is_file() else None
    config = dict(read_json(file))
    if quantization is not None and quant is None and not config.get("quantization_config"):
        config = {**config, "quantization_config": quantization}
    for processor in (PROCESSOR, VIDEO):
        limits = file.with_name(f"{processor}.json")
        if processor not in config and limits.is_file():
            config[processor] = read_json(limits)
    return parse_config(
        config,
        name=name or file.parent.name or file.stem,
        hf_quant_config=quant,
        hypothetical=hypothetical,
    )


def parse_config(
    config: Mapping[str, object],
    *,
    name: str = "model",
    hf_quant_config: Mapping[str, object] | None = None,
    hypothetical: bool = False,
    max_position_embeddings: int | None = None,
) -> Architecture:
    """The Architecture that a config describes.

    max_position_embeddings: for catalog entries whose config leaves it out. Raises ConfigError naming the
    key at fault; an unknown model_type, and keys that would change the count in a way that is not
    supported, are refused.
    """
    if not isinstance(config, Mapping):
        raise ConfigError(f"must be an object, not {describe(config)}", key="config")
    check_size(config)
    if "model_type" not in config:
        config = as_hugging_face(config)
    top = Keys(config)
    model_type = top.text("model_type")
    body, text, tower = _bodies(top, model_type)
    groups, order = group_layers(body.layers)
    mtp_groups, _ = group_layers(body.mtp_layers, "mtp/")
    keeps, head = read_head(config, body.hidden_size)
    context = _context(top, text, max_position_embeddings)
    factor, original = _rope(text)
    quant = config.get("quantization_config")
    only_text = not quant and text is not top
    if only_text:
        quant = text.data.get("quantization_config")
    if quant is not None and not isinstance(quant, Mapping):
        raise top.error("quantization_config", f"must be an object, not {describe(quant)}")
    elsewhere = config.get("quantization")  # MLX writes it under this name alone
    if not quant and isinstance(elsewhere, Mapping):
        quant = elsewhere
    native, problem = _native_quantization(quant or None, hf_quant_config, body, text)
    dtype = _dtype(top, text)
    if native is None and problem is None and dtype not in (None, *PLAIN_DTYPES):
        problem = f"torch_dtype {describe(dtype)} and no quantization_config"
        body.notes.append(f"the checkpoint's format is not understood, give the weight format: {problem}")
    if native is not None and only_text:
        native = replace(native, vision=BF16)
    return Architecture(
        name=name,
        model_type=model_type,
        hidden_size=body.hidden_size,
        vocab_size=body.vocab_size,
        max_position_embeddings=context,
        groups=groups,
        tie_word_embeddings=_tied(top, text, body.tie_default, OUTER.get(model_type)),
        extra_vectors=body.final_vectors,
        extra_linears=(*body.extra_linears, *head),
        has_lm_head=body.has_lm_head and keeps,
        lm_head_bias=body.lm_head_bias,
        embedding_params=body.embedding_params,
        vision=tower,
        mtp_groups=mtp_groups,
        mtp_extra_params=body.mtp_extra_params,
        hypothetical=hypothetical,
        notes=tuple(body.notes),
        native_quantization=native,
        quantization_problem=problem,
        torch_dtype=PLAIN_DTYPES.get(dtype or "", "bfloat16"),
        dtype_stated=dtype is not None,
        rope_scaling_factor=factor,
        original_max_position_embeddings=original,
        layer_order=order,
        yarn_context=body.yarn_context,
    )


def _native_quantization(
    quant: Mapping[str, object] | None, beside: Mapping[str, object] | None, body: Body, text: Keys
) -> tuple[QuantScheme | None, str | None]:
    """The config's own scheme, or what of it is not understood: the counts stand, sizes need a named format."""
    where: dict[str, set[int]] = {}
    for index, layer in enumerate(body.layers):
        for linear in (*layer.mixer.linears, *layer.feed_forward.linears):
            where.setdefault(linear.name, set()).add(index)
        if layer.feed_forward.experts is not None:
            where.setdefault("experts", set()).add(index)
    layers = {name: frozenset(indexes) for name, indexes in where.items()}
    expert_dtype = text.data.get("expert_dtype")
    try:
        found = from_quantization_config(
            quant, beside, layers=layers, expert_dtype=expert_dtype if isinstance(expert_dtype, str) else None
        )
        return found, None
    except ConfigError as error:
        body.notes.append(f"the checkpoint's quantisation is not understood, give the weight format: {error}")
        return None, str(error)


def _bodies(top: Keys, model_type: str) -> tuple[Body, Keys, VisionTower | None]:
    """The language model, the keys it was read from, and the vision tower."""
    outer = OUTER.get(model_type)
    if outer is None:
        body = _build(top, model_type)
        top.refuse(("vision_config", "audio_config"), f"is not supported in a model of type {model_type!r}")
        return body, top, None
    if outer.inside is not None:
        served = top.child(outer.inside)
        if served is None:
            raise top.error(outer.inside, "required key is missing")
        left = [key for key in ("talker_config", "code2wav_config", "token2wav_config") if top.data.get(key)]
        top = served
        outer = replace(outer, inside=None)
    else:
        left = []
    nested = top.child(*TEXT_KEYS)
    if nested is None and not outer.flat:
        raise top.error("text_config", "required key is missing")
    text = top if nested is None else nested
    inner = outer.text if nested is None else text.text("model_type", default=outer.text)
    if inner == model_type:
        inner = outer.text
    body = _build(text, inner)
    if left:
        body.notes.append(f"counted: the thinker alone, without {', '.join(left)}")
    return body, text, _tower(top, outer, body)


def _tower(top: Keys, outer: Outer, body: Body) -> VisionTower | None:
    """The vision tower, with the audio encoder's parameters where the family has one."""
    pictures, sounds = top.child("vision_config"), top.child("audio_config")
    if sounds is not None and (outer.audio is None or pictures is None):
        raise top.error("audio_config", "is not supported")
    if pictures is not None:
        if outer.tower is None:
            raise top.error("vision_config", "is not supported in this family")
        tower = outer.tower(pictures, body.hidden_size, top)
        heard = outer.audio if sounds is not None else None
        tower = with_tokens(tower, outer.tower, heard, top, pictures)
        if sounds is None or outer.audio is None:
            return tower
        body.notes.append("the audio encoder is counted with the vision tower")
        return replace(tower, params=tower.params + outer.audio(sounds, body.hidden_size))
    named = outer.named(top, body.hidden_size) if outer.named is not None else None
    if named is not None:
        return with_tokens(named, outer.named, outer.named, top, None)
    body.notes.append("the config has no vision_config: counted as text only")
    return None


def _build(keys: Keys, model_type: str) -> Body:
    builder = BUILDERS.get(model_type)
    if builder is None:
        close = nearest(model_type[:100], [*BUILDERS, *OUTER])
        hint = "did you mean " + " or ".join(close) + "?" if close else "a count is exact or refused"
        raise keys.error("model_type", f"{describe(model_type)} is not supported", hint)
    body = builder(keys)
    keys.refuse_unread(model_type)
    return body


def _tied(top: Keys, text: Keys, default: bool, outer: Outer | None) -> bool:
    """tie_word_embeddings: the top level wins, then the language model's, then the family's default.

    Some families read one of the two alone.
    """
    if outer is not None and outer.ties == "text":
        top = text
    elif outer is not None and outer.ties == "only_top":
        text = top
    inner = text.boolean("tie_word_embeddings", default=default)
    return top.boolean("tie_word_embeddings", default=inner)


def _context(top: Keys, text: Keys, given: int | None) -> int:
    names = (
        "max_position_embeddings",
        "seq_length",
        "max_sequence_length",
        "n_positions",
        "model_max_length",
    )
    for keys in (text, top):
        value = keys.optional_integer(*names)
        if value is not None:
            return value
    return given or 0


def _rope(text: Keys) -> tuple[float, int | None]:
    """The factor of the config's own rope scaling and the context before it."""
    scaling = text.child("rope_scaling") or text.child("rope_parameters")
    if scaling is None:
        return 1.0, None
    nested = scaling.data.get("full_attention")
    if isinstance(nested, dict):
        scaling = Keys(nested, f"{scaling.path}full_attention.")
    factor = scaling.data.get("factor")
    value = 1.0
    if factor is not None:
        value = scaling.number("factor", minimum=0.0)
    original = scaling.data.get("original_max_position_embeddings")
    if isinstance(original, float) and math.isfinite(original) and original == int(original):
        return value, int(original)
    return value, scaling.optional_integer("original_max_position_embeddings")


def _dtype(top: Keys, text: Keys) -> str | None:
    """The dtype that the config states, without "torch.", None without one."""
    for keys in (top, text):
        for key in ("torch_dtype", "dtype"):
            value = keys.data.get(key)
            if isinstance(value, str) and value != "auto":
                return value.removeprefix("torch.")
    return None
