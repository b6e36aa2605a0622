"""Traces to replay: any known form, with the times that were measured of each request where the file has them.

CSV and JSON Lines hold one request a row: arrival (seconds, or a date), input and output tokens, and perhaps measured
TTFT, TPOT and end-to-end time. Mooncake's lines (``hash_ids``) bring the prefix cache with them.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from sizing.base.errors import SizingError
from sizing.base.files import bounded_lines
from sizing.workload.traces import MOONCAKE_BLOCK, Trace, read_csv, read_mooncake

#: Quantity -> {column: factor to seconds}.
MEASURED: dict[str, dict[str, float]] = {
    "ttft_s": {"measured_ttft_s": 1.0, "measured_ttft_ms": 1e-3, "ttft_s": 1.0, "ttft_ms": 1e-3},
    "tpot_s": {"measured_tpot_s": 1.0, "measured_tpot_ms": 1e-3, "tpot_s": 1.0, "tpot_ms": 1e-3},
    "e2e_s": {"measured_e2e_s": 1.0, "measured_e2e_ms": 1e-3, "e2e_s": 1.0, "e2e_ms": 1e-3, "latency_s": 1.0},
}
_MILLISECONDS = ("arrival_ms", "timestamp_ms", "arrival_time_ms")
_TIMES = ("arrival", "arrival_s", "arrival_time", "timestamp", "timestamp_s", "time", "time_s", "t")


def read_replay(path: str | Path, *, cache_tokens: float | None = None) -> Trace:
    """A trace with its measured times in ``measured`` [s], in order of arrival.

    cache_tokens: what the prefix cache holds, for traces that name their blocks (None: all of it). Raises SizingError
    with the line and column at fault.

    >>> import tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "one.csv"
    >>> _ = file.write_text("arrival_s,input_tokens,output_tokens,measured_ttft_s\\n0,100,10,0.25\\n")
    >>> float(read_replay(file).measured["ttft_s"][0])
    0.25
    """
    file = Path(path)
    rows = _json_rows(file)
    if rows is None:
        return _with_measured(read_csv(file), _csv_rows(file))
    if rows and "input_length" in rows[0]:
        blocks = None if cache_tokens is None else max(0, int(cache_tokens // MOONCAKE_BLOCK))
        return _with_measured(read_mooncake(file, cache_blocks=blocks), rows)
    return _with_measured(read_csv(_as_csv(rows, file.name)), rows)


def tells_blocks(path: str | Path) -> bool:
    """Whether a trace names the blocks of its prompts, so that the size of the cache decides what is found."""
    rows = _json_rows(Path(path), 1)
    return bool(rows) and bool(rows[0].get("hash_ids")) if rows is not None else False


def _json_rows(file: Path, most: int | None = None) -> list[dict[str, Any]] | None:
    """The objects of a file of JSON Lines; None for a file of another kind."""
    if file.suffix.lower() not in (".jsonl", ".json", ".ndjson"):
        return None
    rows: list[dict[str, Any]] = []
    try:
        with file.open(encoding="utf-8-sig") as stream:
            for number, line in enumerate(islice(bounded_lines(stream, file.name), most), 1):
                if not line.strip():
                    continue
                where = f"{file.name} line {number}"
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError):
                    raise SizingError("is not JSON", key=where) from None
                if not isinstance(row, dict):
                    raise SizingError("is not a JSON object", key=where)
                rows.append(row)
    except (OSError, UnicodeDecodeError) as error:
        raise SizingError(f"can't be read: {error}", key=file.name) from error
    if not rows:
        raise SizingError("has no request", key=file.name)
    return rows


def _csv_rows(file: Path) -> list[dict[str, Any]]:
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            return [
                {(name or "").strip().lower(): cell for name, cell in row.items()}
                for row in csv.DictReader(bounded_lines(stream, file.name))
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SizingError(f"can't be read: {error}", key=file.name) from error


def _as_csv(rows: list[dict[str, Any]], name: str) -> io.StringIO:
    """The objects as the CSV that ``read_csv`` knows; a time in milliseconds is made seconds."""
    columns = [str(key) for key in rows[0]]
    late = next((key for key in _MILLISECONDS if key in columns), None)
    if late is not None and not any(key in columns for key in _TIMES):
        rows = [{**row, "arrival_s": _seconds(row.get(late), 1e-3)} for row in rows]
        columns.append("arrival_s")
    out = io.StringIO()
    out.name = name
    writer = csv.DictWriter(out, columns, restval="", extrasaction="ignore")
    writer.writeheader()
    writer.writerows({key: value for key, value in row.items() if not isinstance(value, list | dict)} for row in rows)
    out.seek(0)
    return out


def _seconds(value: object, factor: float) -> float:
    try:
        number = float(value) * factor  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return float("nan")
    return number if 0 <= number < 1e9 else float("nan")


def _with_measured(trace: Trace, rows: list[Mapping[str, Any]] | list[dict[str, Any]]) -> Trace:
    """The trace with the measured columns, in its own order; none where the rows can't be matched one to one."""
    if len(rows) != len(trace) or trace.skipped:
        return trace
    names = {str(key).strip().lower(): str(key) for key in rows[0]}
    times = next((names[key] for key in (*_TIMES, *_MILLISECONDS) if key in names), None)
    plain = [_seconds(row.get(times), 1.0) for row in rows] if times is not None else []
    order = np.argsort(plain, kind="stable") if plain and np.isfinite(plain).all() else np.arange(len(rows))
    found = {}
    for quantity, columns in MEASURED.items():
        column = next((key for key in columns if key in names), None)
        if column is not None:
            values = np.array([_seconds(row.get(names[column]), columns[column]) for row in rows])[order]
            if np.isfinite(values).any():
                found[quantity] = values
    return replace(trace, measured=found)
