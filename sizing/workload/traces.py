"""Readers of request traces: Azure LLM inference CSV, Mooncake JSONL, and plain CSV in seconds.

A source is a path or an open text stream (an upload). Errors name the line and the column. Requests without
input or output (failures) are left out and counted in ``skipped``.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Literal

import numpy as np
import numpy.typing as npt

from sizing.base.errors import SizingError
from sizing.base.files import bounded_lines
from sizing.workload.lengths import MAX_TOKENS, JointLengths, LengthDistribution
from sizing.workload.requests import Requests
from sizing.workload.workload import BatchArrival, RateArrival, Workload

Source = str | Path | IO[str]
TraceFormat = Literal["azure", "mooncake", "csv"]

MAX_ROWS = 5_000_000
MOONCAKE_BLOCK = 512  # tokens of one hash id
_MOST_RATE = 1e7  # requests per second of a workload
_FIT_PAIRS = 20_000

_COLUMNS: dict[str, tuple[str, ...]] = {
    "arrival": ("arrival", "arrival_s", "arrival_time", "timestamp", "timestamp_s", "time", "time_s", "t"),
    "input": ("input", "input_tokens", "input_length", "prompt_tokens", "contexttokens", "request tokens",
              "request_tokens", "prompt_len", "input_len"),
    "output": ("output", "output_tokens", "output_length", "completion_tokens", "generatedtokens",
               "response tokens", "response_tokens", "output_len", "generated_tokens"),
    "cached": ("cached", "cached_tokens"),
}  # fmt: skip


@dataclass(frozen=True)
class Trace:
    """Requests of a trace in order of arrival; ``arrival_s`` starts at 0 (seconds), lengths in tokens."""

    name: str
    arrival_s: npt.NDArray[np.float64]
    input_tokens: npt.NDArray[np.int64]
    output_tokens: npt.NDArray[np.int64]
    cached_tokens: npt.NDArray[np.int64]
    skipped: int = 0
    measured: dict[str, npt.NDArray[np.float64]] = field(
        default_factory=dict
    )  # ttft_s, tpot_s, e2e_s [s], where stated

    def __len__(self) -> int:
        return len(self.arrival_s)

    @property
    def requests_per_s(self) -> float:
        """Mean arrival rate; infinite if all came at once."""
        span = float(self.arrival_s[-1])
        return len(self) / span if span > 0 else math.inf

    @property
    def prefix_cache_hit_rate(self) -> float:
        """Share of all input tokens found in the cache."""
        return float(self.cached_tokens.sum() / self.input_tokens.sum())

    @property
    def interval_cv(self) -> float:
        """Coefficient of variation of the intervals between arrivals (1 is Poisson)."""
        gaps = np.diff(self.arrival_s)
        return float(gaps.std() / gaps.mean()) if len(gaps) and gaps.mean() > 0 else 0.0

    def requests(self, *, speed: float = 1.0) -> Requests:
        """The trace as it was, or replayed ``speed`` times as fast."""
        if not speed > 0:
            raise SizingError("must be above 0", key="speed")
        return Requests(self.arrival_s / speed, self.input_tokens, self.output_tokens, self.cached_tokens).checked()

    def fit(self) -> Workload:
        """A stationary workload like the trace: its pairs of lengths (at most 20,000), rate, burstiness, hit
        rate.

        Burstiness is 1/CV^2 of the intervals, so on/off traffic is made gamma traffic of the same CV: bursts
        become shorter than they were.
        """
        n = len(self)
        pick = np.arange(n) if n <= _FIT_PAIRS else (np.arange(_FIT_PAIRS) * n) // _FIT_PAIRS
        pairs = zip(self.input_tokens[pick].tolist(), self.output_tokens[pick].tolist(), strict=True)
        arrival: RateArrival | BatchArrival = BatchArrival(requests=n)
        if 0 < self.requests_per_s <= _MOST_RATE:  # faster than that, all come at once
            burstiness = min(max(1 / max(self.interval_cv, 1e-3) ** 2, 1e-3), 1e6)
            arrival = RateArrival(requests_per_s=self.requests_per_s, burstiness=burstiness)
        return Workload(
            name=self.name[:200],
            input=LengthDistribution.empirical(self.input_tokens[pick]),
            output=LengthDistribution.empirical(self.output_tokens[pick]),
            joint=JointLengths(pairs=tuple(pairs)),
            arrival=arrival,
            prefix_cache_hit_rate=min(1.0, self.prefix_cache_hit_rate),
            source=f"fitted to the trace {self.name[:200]} ({n} requests)",
        )


@contextmanager
def _opened(source: Source) -> Iterator[tuple[IO[str], str]]:
    """The stream and the name that errors use."""
    if isinstance(source, str | Path):
        path = Path(source)
        if "\0" in str(path):
            raise SizingError("is not a valid path", key="trace")
        try:
            with path.open(newline="", encoding="utf-8-sig") as stream:
                yield stream, path.name
        except (OSError, UnicodeDecodeError) as error:
            raise SizingError(f"can't be read: {error}", key=path.name) from error
    else:
        yield source, str(getattr(source, "name", "trace"))


def _tokens(value: object, where: str) -> int:
    """A count of tokens of at least 0."""
    try:
        number = float(value.strip() if isinstance(value, str) else value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = math.nan
    if not (math.isfinite(number) and number == int(number) and 0 <= number <= MAX_TOKENS):
        raise SizingError(f"{str(value)[:40]!r} is not a number of tokens", key=where, hint="a whole number from 0")
    return int(number)


def _seconds(value: object, where: str) -> float:
    """Seconds, from a number or an ISO date and time (any number of fractional digits, zone optional)."""
    text = str(value).strip()
    try:
        number = float(text)
    except ValueError:
        number = _iso_seconds(text)
    if not math.isfinite(number) or abs(number) > 1e15:
        raise SizingError(
            f"{text[:40]!r} is not a time",
            key=where,
            hint="seconds, or a date such as 2023-11-16 18:15:46.68",
        )
    return number


def _iso_seconds(text: str) -> float:
    whole, dot, rest = text.partition(".")
    digits = 0
    while digits < len(rest) and rest[digits].isdigit():
        digits += 1
    try:
        moment = datetime.fromisoformat(whole + rest[digits:])
        fraction = float(f"0.{rest[:digits]}") if dot and digits else 0.0
    except ValueError:
        return math.nan
    return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() + fraction


def _trace(name: str, rows: list[tuple[float, int, int, int]], total: int) -> Trace:
    if not rows:
        raise SizingError("has no request with input and output", key=name)
    table = np.asarray(rows, dtype=np.float64)
    table = table[np.argsort(table[:, 0], kind="stable")]
    tokens = table[:, 1:].astype(np.int64)
    return Trace(name, table[:, 0] - table[0, 0], tokens[:, 0], tokens[:, 1], tokens[:, 2], total - len(rows))


def read_csv(source: Source, *, max_rows: int = MAX_ROWS) -> Trace:
    """A CSV with a header: time (seconds or date), input and output tokens, optionally cached tokens.

    Reads Azure's ``TIMESTAMP,ContextTokens,GeneratedTokens`` (2023 and 2024), BurstGPT's ``Timestamp``,
    ``Request tokens``, ``Response tokens``, and ``arrival,input,output`` with many spellings.
    """
    rows: list[tuple[float, int, int, int]] = []
    total = 0
    with _opened(source) as (stream, name):
        reader = csv.reader(bounded_lines(stream, name))
        try:
            header = next(reader, [])
            columns = _columns(header, name)
            for row in reader:
                if not row:
                    continue
                where = f"{name} line {reader.line_num}"
                if len(row) <= max(columns.values()):
                    raise SizingError(f"has {len(row)} columns, the header {len(header)}", key=where)
                total += 1
                if total > max_rows:
                    raise SizingError(f"has more than {max_rows} rows", key=name, hint="cut the file or raise max_rows")

                def label(column: str, where: str = where) -> str:
                    return f"{where} column {header[columns[column]]}"

                count_in = _tokens(row[columns["input"]], label("input"))
                count_out = _tokens(row[columns["output"]], label("output"))
                cached = _tokens(row[columns["cached"]], label("cached")) if "cached" in columns else 0
                at = _seconds(row[columns["arrival"]], label("arrival"))
                if cached > count_in:
                    raise SizingError(f"{cached} cached of {count_in} input tokens", key=label("cached"))
                if count_in and count_out:
                    rows.append((at, count_in, count_out, cached))
        except csv.Error as error:
            raise SizingError(f"is not CSV: {error}", key=f"{name} line {reader.line_num}") from error
    return _trace(name, rows, total)


def _columns(header: list[str], name: str) -> dict[str, int]:
    plain = [cell.strip().lower() for cell in header]
    found = {
        column: min((plain.index(alias) for alias in aliases if alias in plain), default=-1)
        for column, aliases in _COLUMNS.items()
    }
    for column in ("arrival", "input", "output"):
        if found[column] < 0:
            hint = f"for instance {_COLUMNS[column][0]!r}; it has {', '.join(header)[:200]}"
            raise SizingError(f"has no column for {column}", key=f"{name} line 1", hint=hint)
    return {column: place for column, place in found.items() if place >= 0}


class _PrefixCache:
    """Blocks by id, least recently used first; ``capacity`` None never forgets."""

    def __init__(self, capacity: int | None) -> None:
        self.capacity = capacity
        self.blocks: dict[int, None] = {}

    def hits(self, ids: list[int]) -> int:
        """Leading blocks found; then all of them are the most recent, the head of the chain last to go."""
        blocks = self.blocks
        found = 0
        for block in ids:
            if block not in blocks:
                break
            found += 1
        for block in reversed(ids):
            blocks.pop(block, None)
            blocks[block] = None
        if self.capacity is not None:
            while len(blocks) > self.capacity:
                del blocks[next(iter(blocks))]
        return found


def read_mooncake(
    source: Source,
    *,
    cache_blocks: int | None = None,
    block_tokens: int = MOONCAKE_BLOCK,
    max_rows: int = MAX_ROWS,
) -> Trace:
    """Mooncake JSONL: ``timestamp`` (ms), ``input_length``, ``output_length``, ``hash_ids`` of 512-token
    blocks.

    ``cached_tokens`` are those of the leading blocks that an LRU cache of ``cache_blocks`` blocks (None:
    infinite) has seen in earlier requests.
    """
    if cache_blocks is not None and cache_blocks < 0:
        raise SizingError("must be at least 0", key="cache_blocks")
    rows: list[tuple[float, int, int, int]] = []
    total = 0
    cache = _PrefixCache(cache_blocks)
    with _opened(source) as (stream, name):
        for number, line in enumerate(bounded_lines(stream, name), 1):
            if not line.strip():
                continue
            where = f"{name} line {number}"
            total += 1
            if total > max_rows:
                raise SizingError(f"has more than {max_rows} rows", key=name, hint="cut the file or raise max_rows")
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise SizingError(f"is not JSON: {str(error)[:100]}", key=where) from error
            if not isinstance(row, dict):
                raise SizingError("is not a JSON object", key=where)
            for column in ("timestamp", "input_length", "output_length"):
                if column not in row or isinstance(row[column], bool):
                    raise SizingError("is missing", key=f"{where} column {column}")
            at = _seconds(row["timestamp"], f"{where} column timestamp") / 1000
            count_in = _tokens(row["input_length"], f"{where} column input_length")
            count_out = _tokens(row["output_length"], f"{where} column output_length")
            ids = row.get("hash_ids") or []
            if not isinstance(ids, list) or not all(type(block) is int for block in ids):
                raise SizingError("is not a list of whole numbers", key=f"{where} column hash_ids")
            cached = min(cache.hits(ids) * block_tokens, count_in)
            if count_in and count_out:
                rows.append((at, count_in, count_out, cached))
    return _trace(name, rows, total)


def read_trace(source: str | Path, format: TraceFormat | None = None, *, max_rows: int = MAX_ROWS) -> Trace:
    """Read a trace file; without ``format``, ``.jsonl`` and ``.json`` are Mooncake's and all else CSV."""
    if format is None:
        format = "mooncake" if Path(source).suffix.lower() in (".jsonl", ".json") else "csv"
    readers: dict[str, Callable[[], Trace]] = {
        "azure": lambda: read_csv(source, max_rows=max_rows),
        "csv": lambda: read_csv(source, max_rows=max_rows),
        "mooncake": lambda: read_mooncake(source, max_rows=max_rows),
    }
    return readers[format]()
