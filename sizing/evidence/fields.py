"""Reading what other people wrote: numbers, token counts and tables, without surprises.

Every function here either returns a clean value, returns ``None`` for "not stated", or raises SizingError
with one line that names the file and the field.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import re
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sizing.base import files
from sizing.base.errors import SizingError

MAX_BYTES = 64 * 2**20  # of a file, unpacked
MAX_CELL = 1 << 20  # characters of one cell of a table
_NUMBER = re.compile(r"^([+-]?\d[\d,]*(?:\.\d*)?(?:[eE][+-]?\d{1,3})?|[+-]?\.\d+)\s*([kKmM]?)$")
_BLANK = {"", "-", "–", "na", "n/a", "nan", "none", "null", "?"}
_FACTOR = {"": 1.0, "k": 1e3, "m": 1e6}


def show(value: object, limit: int = 60) -> str:
    """``value`` for an error message: printable ASCII, one line, cut at ``limit`` characters."""
    text = ascii(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def number(text: object) -> float | None:
    """A figure as people print it: ``'14.8k'`` -> 14800.0, ``'1,066'`` -> 1066.0, ``'INF'`` -> inf, ``''`` ->
    None.

    Returns None for what is no number as well; NaN counts as not stated.
    """
    if isinstance(text, bool) or text is None:
        return None
    if isinstance(text, int | float):
        try:
            value = float(text)
        except OverflowError:
            return None
        return None if math.isnan(value) else value
    if not isinstance(text, str) or len(text) > 64:
        return None
    cleaned = text.strip()
    if cleaned.lower() in _BLANK:
        return None
    if cleaned.lower() in {"inf", "infinity", "+inf"}:
        return math.inf
    match = _NUMBER.match(cleaned)
    if not match:
        return None
    value = float(match.group(1).replace(",", "")) * _FACTOR[match.group(2).lower()]
    return value if math.isfinite(value) else None


def token_count(text: object) -> float | None:
    """Tokens; like ``number``, but a printed ``'64k'`` of tokens is a nominal length: 64 * 1024 = 65536.

    Decimal labels ('3.5k', '1.5k') are decimal thousands in the sources that print them.
    """
    if isinstance(text, str):
        match = re.match(r"^\s*(\d+)\s*[kK]\s*$", text)
        if match and int(match.group(1)[:9]) in (4, 8, 16, 32, 64, 128, 256, 512):
            return float(match.group(1)) * 1024
    value = number(text)
    return value if value is not None and value >= 0 and math.isfinite(value) else None


def whole(text: object) -> int | None:
    """A whole number written as ``'8'``, ``'8.0'`` or 8; None when blank, not whole, negative or absurd."""
    value = number(text)
    if value is None or not math.isfinite(value) or value < 0 or value > 1e9 or value != int(value):
        return None
    return int(value)


def size(text: object) -> int:
    """A parallel size: blank and 0 mean "not stated", which is 1."""
    return whole(text) or 1


def read_bytes(path: Path) -> bytes:
    """The bytes of a file (unpacked when gzipped), at most MAX_BYTES.

    Raises SizingError when the file is missing, unreadable, damaged or too large.
    """
    name = str(path)
    raw = files.read_bytes(path, MAX_BYTES)
    if raw[:2] == b"\x1f\x8b":
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(raw)) as stream:
                raw = stream.read(MAX_BYTES + 1)
        except (OSError, EOFError, zlib.error):
            raise SizingError("is a damaged gzip file", key=name) from None
    if len(raw) > MAX_BYTES:
        raise SizingError(f"larger than {MAX_BYTES:,} bytes unpacked, the most that is read", key=name)
    return raw


def read_text(path: Path) -> str:
    """The UTF-8 text of a file; see ``read_bytes``."""
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SizingError("is not UTF-8 text", key=str(path)) from None


def read_table(path: Path, needed: tuple[str, ...]) -> Iterator[tuple[int, Mapping[str, str]]]:
    """``(line, row)`` of a CSV or CSV.gz, cells stripped; missing cells are ''. ``needed`` columns must
    exist.
    """
    text = read_text(path)
    old = csv.field_size_limit(MAX_CELL)
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""))
        columns = [column or "" for column in reader.fieldnames or []]
        missing = [column for column in needed if column not in columns]
        if missing:
            hint = f"needs {', '.join(needed)}"
            raise SizingError(f"lacks the column {missing[0]}", key=str(path), hint=hint)
        for row in reader:
            cells: dict[str, Any] = dict(row)
            yield (
                reader.line_num,
                {k: v.strip() if isinstance(v, str) else "" for k, v in cells.items() if isinstance(k, str)},
            )
    except csv.Error as error:
        raise SizingError(f"is not a readable CSV: {error}", key=str(path)) from None
    finally:
        csv.field_size_limit(old)


ENGINES = ("vllm", "sglang", "tensorrt-llm", "vllm-ascend", "mindie", "llama.cpp")
# Faces of llama.cpp, and MLX, whose rows its tables hold too.
_LLAMA_CPP = ("llama.cpp", "llama-cpp", "llamacpp", "ollama", "lmstudio", "lm-studio", "mlx")


def engine_name(text: str) -> str | None:
    """The canonical engine behind a label, None if it is none that the calculator models."""
    key = text.lower().replace("_", "-").replace(" ", "")
    if not key:
        return None
    if key.startswith("vllm-ascend") or key == "vllmascend":
        return "vllm-ascend"
    if key.startswith("vllm") or key in ("openai-vllm", "atom"):  # ATOM: AMD's engine, in vLLM's place
        return "vllm"
    if key.startswith(("sglang", "sgl")):
        return "sglang"
    if key.startswith(("trtllm", "trt-llm", "tensorrt-llm", "tensorrtllm")):
        return "tensorrt-llm"
    if key.startswith(_LLAMA_CPP):
        return "llama.cpp"
    return "mindie" if key.startswith("mindie") else None
