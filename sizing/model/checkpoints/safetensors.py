"""Headers of safetensors files: names, dtypes, shapes and exact stored bytes, without the safetensors
package.

Format: an unsigned 64-bit little-endian length, then a JSON object of that length; each tensor has
``dtype``, ``shape`` and ``data_offsets`` relative to the end of the header
(https://huggingface.co/docs/safetensors).
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from pathlib import Path

from sizing.base.errors import ConfigError
from sizing.base.files import check_values
from sizing.model.architecture import Architecture
from sizing.model.config import read_json
from sizing.model.keys import describe

MAX_HEADER_BYTES = 100 * 2**20
MAX_INDEX_BYTES = 200 * 2**20
MAX_SHARDS = 20_000
MAX_VALUES = 6_000_000  # of a header or an index: some 400,000 tensors
INDEX = "model.safetensors.index.json"

_BITS = {
    "BOOL": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "U8": 8,
    "I8": 8,
    "F8_E4M3": 8,
    "F8_E5M2": 8,
    "F8_E8M0": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "C64": 64,
    "I64": 64,
    "U64": 64,
    "F64": 64,
}


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """One stored tensor. bytes: what it takes in the file [bytes]."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    bytes: int

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


def safetensors_headers(folder: str | Path) -> list[StoredTensor]:
    """All tensors of a model directory, from its index or its single file.

    Raises ConfigError for a missing, truncated or malformed file; headers above 100 MiB are refused.
    """
    path = Path(folder)
    index = path / INDEX
    files = _shards(index) if index.is_file() else sorted(path.glob("*.safetensors"))
    if not files:
        raise ConfigError("has no safetensors files", key=str(path))
    tensors: dict[str, StoredTensor] = {}
    for file in files:
        for tensor in read_header(file):
            if tensor.name in tensors:
                raise ConfigError(f"tensor {tensor.name!r} is stored twice", key=str(file))
            tensors[tensor.name] = tensor
    return list(tensors.values())


def _shards(index: Path) -> list[Path]:
    document = read_json(index, limit=MAX_INDEX_BYTES, check=False, most=MAX_VALUES)
    weight_map = document.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise ConfigError("has no weight_map", key=str(index))
    names = set()
    for value in weight_map.values():
        if not isinstance(value, str) or Path(value).name != value or value in ("", ".", "..") or "\0" in value:
            raise ConfigError(f"{describe(value)} is not the name of a file beside it", key=str(index))
        names.add(value)
    if len(names) > MAX_SHARDS:
        raise ConfigError(f"names more than {MAX_SHARDS} files", key=str(index))
    return [index.with_name(name) for name in sorted(names)]


def read_header(file: str | Path) -> list[StoredTensor]:
    """The tensors of one safetensors file."""
    path = Path(file)
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            prefix = stream.read(8)
            if len(prefix) < 8:
                raise ConfigError("is too short for a safetensors file", key=str(path))
            (length,) = struct.unpack("<Q", prefix)
            if length > MAX_HEADER_BYTES or length + 8 > size:
                raise ConfigError(f"states a header of {length} bytes, more than it can have", key=str(path))
            raw = stream.read(length)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error}", key=str(path)) from None
    except ValueError as error:  # a null byte in the name
        if isinstance(error, ConfigError):
            raise
        raise ConfigError("is not a valid path", key=str(path)) from None
    try:
        text = raw.decode("utf-8")
        check_values(text, MAX_VALUES, str(path), error=ConfigError)
        header = json.loads(text)
    except ConfigError:
        raise
    except (ValueError, RecursionError):
        raise ConfigError("its header is not valid JSON", key=str(path)) from None
    if not isinstance(header, dict):
        raise ConfigError("its header is no JSON object", key=str(path))
    return [_tensor(name, entry, size - 8 - length, path) for name, entry in header.items() if name != "__metadata__"]


def _tensor(name: str, entry: object, available: int, path: Path) -> StoredTensor:
    def bad(why: str) -> ConfigError:
        return ConfigError(f"tensor {describe(name)} {why}", key=str(path))

    if not isinstance(entry, dict):
        raise bad("is no object")
    dtype, shape, offsets = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    if not isinstance(dtype, str) or dtype not in _BITS:
        raise bad(f"has an unknown dtype {describe(dtype)}")
    if not _whole_numbers(shape) or not _whole_numbers(offsets):
        raise bad("has a malformed shape or data_offsets")
    assert isinstance(shape, list) and isinstance(offsets, list)
    if len(offsets) != 2 or not 0 <= offsets[0] <= offsets[1] <= available:
        raise bad("lies outside the file")
    expected = math.ceil(math.prod(shape) * _BITS[dtype] / 8)
    if offsets[1] - offsets[0] != expected:
        raise bad(f"has {offsets[1] - offsets[0]} bytes where its shape needs {expected}")
    return StoredTensor(name, dtype, tuple(shape), expected)


def _whole_numbers(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(item, int) and not isinstance(item, bool) and 0 <= item < 2**62 for item in value
    )


def check_against(architecture: Architecture, tensors: list[StoredTensor]) -> dict[str, int]:
    """Stored bytes and entries beside the config's count.

    difference = entries - total - mtp: 0 for a plain 16-bit checkpoint; scales, packed weights, stored
    copies of a tied head and buffers show up in it.
    """
    entries = sum(tensor.elements for tensor in tensors)
    return {
        "stored_bytes": sum(tensor.bytes for tensor in tensors),
        "entries": entries,
        "total": architecture.total,
        "mtp": architecture.mtp,
        "difference": entries - architecture.total - architecture.mtp,
    }


def describe_difference(architecture: Architecture, found: dict[str, int]) -> str:
    """What ``check_against`` found, in words: agreement, a known surplus, or a difference to look into."""
    stored = f"{found['stored_bytes']} bytes stored in {found['entries']} entries"
    off = found["difference"]
    if off == 0:
        return f"{stored}, which is the config's count"
    if off == -architecture.mtp:
        return f"{stored}, which is the config's count without its multi-token-prediction modules"
    head = architecture.vocab_size * architecture.hidden_size
    if architecture.tie_word_embeddings and off == head:
        return f"{stored}, which is the config's count with the tied head stored as well"
    if architecture.native_quantization is not None:
        return f"{stored}; scales and packed weights make {off:+d} entries beside the config's count"
    return f"{stored}, which differs from the config's count by {off:+d}: the checkpoint is not of this config alone"
