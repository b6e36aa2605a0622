"""One benchmark run of any tool, in one shape: ``Measurement``, and checked access to foreign JSON:
``Fields``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sizing.base.errors import SizingError
from sizing.base.files import check_values
from sizing.evidence.fields import number, read_text, show

MAX_DEPTH = 64  # of nested lists and objects
MAX_VALUES = 6_000_000  # of a document
MAX_LINES = 500_000  # of a file of JSON Lines
LARGEST = 1e24  # no figure of a benchmark comes near; times in nanoseconds are 1.7e18


@dataclass(frozen=True, slots=True)
class Latency:
    """A latency over the requests of a run [s]; None where the tool did not print it."""

    mean: float | None = None
    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None

    def __bool__(self) -> bool:
        return any(value is not None for value in (self.mean, self.p50, self.p90, self.p95, self.p99))


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one run of a benchmark tool measured on one server (all its accelerators together).

    input_tokens, output_tokens: means of a request. concurrency: the cap that the client kept,
    concurrency_measured: the average that the tool saw. request_rate: offered [requests/s], infinite when all
    were sent at once. Rates are whole-server [tokens/s], [requests/s]; duration_s [s]. Latencies in seconds.
    accept_length: tokens per verification step under speculative decoding, of ``draft_tokens`` drafted. tp, pp, dp, ep,
    accelerators, replicas, engine_version, weights, kv_dtype: only where the file states them.
    """

    tool: str
    source: str
    model: str | None = None
    engine: str | None = None
    accelerator: str | None = None
    precision: str | None = None
    input_tokens: float | None = None
    output_tokens: float | None = None
    concurrency: float | None = None
    concurrency_measured: float | None = None
    request_rate: float | None = None
    num_prompts: int | None = None
    completed: int | None = None
    failed: int | None = None
    ttft_s: Latency = Latency()
    tpot_s: Latency = Latency()
    itl_s: Latency = Latency()
    e2e_s: Latency = Latency()
    output_tokens_per_s: float | None = None
    total_tokens_per_s: float | None = None
    requests_per_s: float | None = None
    duration_s: float | None = None
    accept_length: float | None = None
    tp: int | None = None
    pp: int | None = None
    dp: int | None = None
    ep: int | None = None
    accelerators: int | None = None
    replicas: int | None = None
    engine_version: str | None = None
    weights: str | None = None
    kv_dtype: str | None = None
    draft_tokens: int | None = None
    notes: tuple[str, ...] = ()
    extra: dict[str, str | float | bool] = field(default_factory=dict)


class Fields:
    """Typed access to one JSON object of a file; every complaint names the file and the key."""

    def __init__(self, data: object, source: str, where: str = "") -> None:
        self.source = source
        self.where = where
        if not isinstance(data, dict):
            raise self.wrong("", "is not an object", data)
        self.data: dict[str, Any] = data

    def wrong(self, key: str, message: str, value: object) -> SizingError:
        """An error about ``key`` of this object."""
        path = ".".join(part for part in (self.where, show(key)[1:-1] if key else "") if part)
        at = f"{path}: " if path else ""
        return SizingError(f"{at}{message}, got {show(value)}", key=self.source)

    def lack(self, key: str) -> SizingError:
        """An error that ``key`` is not there."""
        path = ".".join(part for part in (self.where, key) if part)
        return SizingError(f"lacks the key {path}", key=self.source)

    def __contains__(self, key: str) -> bool:
        return key in self.data

    def number(self, *keys: str, scale: float = 1.0, infinite: bool = False) -> float | None:
        """The first of ``keys`` that is stated, times ``scale``. NaN counts as not stated; negative is an
        error.
        """
        for key in keys:
            raw = self.data.get(key)
            if raw is None:
                continue
            value = number(raw)
            if value is None:
                if isinstance(raw, float) or (isinstance(raw, str) and raw.strip().lower() in {"", "nan"}):
                    continue
                raise self.wrong(key, "must be a number", raw)
            if value < 0 or (math.isinf(value) and not infinite):
                if math.isinf(value) and value > 0:
                    continue
                raise self.wrong(key, "must not be negative", raw)
            if math.isfinite(value) and value > LARGEST:
                raise self.wrong(key, "is beyond all measure", raw)
            return value * scale
        return None

    def needed(self, *keys: str, scale: float = 1.0) -> float:
        """Like ``number``, but must be there."""
        value = self.number(*keys, scale=scale)
        if value is None:
            raise self.lack(keys[0])
        return value

    def count(self, *keys: str) -> int | None:
        """A whole number, None if not stated."""
        value = self.number(*keys)
        if value is None:
            return None
        if value != int(value) or value > 1e15:
            raise self.wrong(keys[0], "must be a whole number", value)
        return int(value)

    def text(self, *keys: str) -> str | None:
        """The first of ``keys`` that is a string with something in it; None if none is stated."""
        for key in keys:
            raw = self.data.get(key)
            if isinstance(raw, str):
                if raw.strip():
                    return raw.strip()[:500]
            elif raw is not None:
                raise self.wrong(key, "must be a string", raw)
        return None

    def sub(self, key: str) -> Fields | None:
        """The object at ``key``; None if not stated."""
        raw = self.data.get(key)
        return None if raw is None else Fields(raw, self.source, ".".join(p for p in (self.where, key) if p))

    def reach(self, *path: str) -> Fields | None:
        """The object at the end of ``path``; None if any step is missing."""
        here: Fields | None = self
        for key in path:
            here = here.sub(key) if here is not None else None
        return here

    def latency(self, name: str, scale: float, pattern: str = "{stat}_{name}") -> Latency:
        """Statistics spelled ``mean_ttft_ms``-like: ``pattern`` with ``stat`` and ``name`` filled in."""

        def get(*stats: str) -> float | None:
            return self.number(*(pattern.format(stat=stat, name=name) for stat in stats), scale=scale)

        return Latency(get("mean"), get("median", "p50"), get("p90"), get("p95"), get("p99"))


def _refuse(text: str) -> float:
    return {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}[text]


def _too_deep(value: object) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True


def _parse(text: str, source: str) -> object:
    check_values(text, MAX_VALUES, source)
    try:
        data = json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise SizingError(f"is nested deeper than {MAX_DEPTH} levels", key=source) from None
    if _too_deep(data):
        raise SizingError(f"is nested deeper than {MAX_DEPTH} levels", key=source)
    return data


def load_documents(path: Path) -> Iterator[tuple[str, object]]:
    """``(source, document)`` of a JSON file, or of each line of JSON Lines. Raises SizingError only."""
    text = read_text(path)
    name = str(path)
    if not text.strip():
        raise SizingError("is empty", key=name)
    try:
        yield name, _parse(text, name)
        return
    except json.JSONDecodeError as error:
        first = error
    except ValueError as error:
        if isinstance(error, SizingError):
            raise
        raise SizingError("is not valid JSON (a number is too long)", key=name) from None
    lines = [(i, line) for i, line in enumerate(text.split("\n"), 1) if line.strip()]
    if first.msg != "Extra data" or len(lines) < 2:
        raise SizingError(f"is not valid JSON: {first.msg} at line {first.lineno}", key=name)
    if len(lines) > MAX_LINES:
        raise SizingError(f"has more than {MAX_LINES:,} lines", key=name)
    for index, line in lines:
        source = f"{name}:{index}"
        try:
            document = _parse(line, source)
        except SizingError:
            raise
        except ValueError:
            raise SizingError("is not valid JSON", key=source) from None
        yield source, document
