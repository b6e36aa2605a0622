"""Configs that other tools write beside or instead of config.json: read where the count follows exactly, else refused
with what is missing.
"""

from __future__ import annotations

import re
from pathlib import Path

from sizing.base.errors import ConfigError
from sizing.model.config import parse_json, read_json

MAX_TABLE_BYTES = 200 * 2**20
MAX_VALUES = 6_000_000
MAX_MANIFEST = 2**20
# Files that name no widths, and what is missing.
_NO_WIDTHS = {
    "genai_config.json": "ONNX Runtime GenAI's file has no width of the feed-forward layers",
    "openvino_model.xml": "OpenVINO's file names no architecture (its constants are read beside a config.json)",
    "openvino_config.json": "OpenVINO's file names no architecture",
    "rank0.engine": "a built engine of TensorRT-LLM names no architecture",
    "model_config.yaml": "NeMo's file names no model family whose count follows from it",
    "run_config.yaml": "Megatron-Bridge's file names no model family whose count follows from it",
}


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
