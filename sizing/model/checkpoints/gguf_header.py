"""The header of a GGUF file, without the gguf package: metadata, and each tensor's name, type and shape.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Little-endian files of versions 2 and 3; the vocabulary
and the weights are passed over unread.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sizing.base.errors import ConfigError
from sizing.model.checkpoints.gguf_types import BY_NUMBER

MAX_TENSORS = 1_000_000
MAX_FIELDS = 100_000
MAX_TEXT = 2**20
MAX_LIST = 100_000  # entries of a list that is kept: a layer's number of heads and the like
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_TEXT, _ARRAY = 8, 9


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """One tensor of the file. bytes: what it takes there [bytes]."""

    name: str
    dtype: str
    elements: int
    bytes: int
    rows: int  # the slowest dimension


class _Reader:
    """Reads forward through a file, and refuses what would lie beyond its end."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream, self._size = stream, size

    def take(self, length: int) -> bytes:
        data = self._stream.read(length) if self._stream.tell() + length <= self._size else b""
        if len(data) != length:
            raise ValueError("ends too early")
        return data

    def skip(self, length: int) -> None:
        if self._stream.tell() + length > self._size:
            raise ValueError("ends too early")
        self._stream.seek(length, 1)

    def number(self, code: str) -> int:
        return int(struct.unpack(f"<{code}", self.take(struct.calcsize(f"<{code}")))[0])

    def text(self) -> str:
        length = self.number("Q")
        if length > MAX_TEXT:
            raise ValueError(f"has a name of {length} bytes")
        return self.take(length).decode("utf-8", "replace")

    def value(self, kind: int, *, keep: bool) -> object:
        if kind in _SCALARS:
            found = struct.unpack(f"<{_SCALARS[kind]}", self.take(struct.calcsize(f"<{_SCALARS[kind]}")))[0]
            return found
        if kind == _TEXT:
            if keep:
                return self.text()
            self.skip(self.number("Q"))
            return None
        if kind != _ARRAY:
            raise ValueError(f"has a value of unknown type {kind}")
        inner, count = self.number("I"), self.number("Q")
        if inner in _SCALARS:
            width = struct.calcsize(f"<{_SCALARS[inner]}")
            if not keep or count > MAX_LIST:
                self.skip(width * count)
                return None
            return list(struct.unpack(f"<{count}{_SCALARS[inner]}", self.take(width * count)))
        if inner != _TEXT or count * 8 > self._size:
            raise ValueError("has a list that cannot be read")
        for _ in range(count):
            self.skip(self.number("Q"))
        return None


def begins_as_gguf(file: Path) -> bool:
    """Whether a regular file has GGUF's first four bytes, whatever its name: Ollama's blobs have no ending."""
    if not file.is_file():
        return False
    with file.open("rb") as stream:
        return stream.read(4) == b"GGUF"


def read_gguf(file: Path) -> tuple[dict[str, object], list[GgufTensor]]:
    """The metadata (without the vocabulary) and the tensors of one file.

    Raises ConfigError for what is no GGUF file, is cut short, or has a tensor type that is not known.
    """
    try:
        with file.open("rb") as stream:
            return _read(_Reader(stream, file.stat().st_size))
    except (OSError, ValueError, struct.error, OverflowError) as error:
        why = str(error) if isinstance(error, ValueError) else f"cannot be read: {error}"
        raise ConfigError(f"is no readable GGUF file: {why}", key=str(file)) from None


def _read(reader: _Reader) -> tuple[dict[str, object], list[GgufTensor]]:
    if reader.take(4) != b"GGUF":
        raise ValueError("does not begin with GGUF")
    version = reader.number("I")
    if version not in (2, 3):
        raise ValueError(f"has version {version}; 2 and 3 are read")
    count, fields = reader.number("Q"), reader.number("Q")
    if count > MAX_TENSORS or fields > MAX_FIELDS:
        raise ValueError(f"states {count} tensors and {fields} fields")
    found: dict[str, object] = {}
    for _ in range(fields):
        name = reader.text()
        kept = not name.startswith("tokenizer.")
        value = reader.value(reader.number("I"), keep=kept)
        if kept:
            found[name] = value
    return found, [_tensor(reader) for _ in range(count)]


def _tensor(reader: _Reader) -> GgufTensor:
    name, dimensions = reader.text(), reader.number("I")
    if not 1 <= dimensions <= 8:
        raise ValueError(f"has a tensor of {dimensions} dimensions")
    shape = [reader.number("Q") for _ in range(dimensions)]
    number = reader.number("I")
    reader.skip(8)
    kind = BY_NUMBER.get(number)
    if kind is None:
        raise ValueError(f"has a tensor of unknown type {number}")
    elements = math.prod(shape)
    if elements >= 2**62:
        raise ValueError("has a tensor that is too large")
    return GgufTensor(name, kind.name, elements, elements // kind.weights * kind.bytes, shape[-1])
