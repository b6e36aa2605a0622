"""Predicts rows of published throughput figures: ``sizing validate --throughput ROWS``.

Output columns: ``id, value_p10, value_p50, value_p90, note``, in the row's own metric and unit. A row that cannot be
predicted has empty figures and the reason in ``note``.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from sizing.base.arrays import FloatArray
from sizing.base.errors import SizingError
from sizing.coefficients.serving import throughput_document
from sizing.evidence.llama_cpp_rows import bench_figures
from sizing.evidence.rows_throughput import ThroughputRow, read_throughput_rows
from sizing.evidence.simulated_bursts import NOTE, burst_of
from sizing.evidence.throughput_cases import Case, CaseBook, Tables, build_tables, engine_of, host_kind
from sizing.evidence.throughput_regimes import KIND_CODES, NAMES, Answers, Questions, Regime, answer

COLUMNS = ("id", "value_p10", "value_p50", "value_p90", "note")
DEFAULT_DRAFTS = 1
LLAMA_CPP = "llama.cpp"
NODE = 8


@dataclass(frozen=True, slots=True)
class Prediction:
    """The figures of one row in its own metric and unit; None where it can't be told."""

    id: str
    p10: float | None
    p50: float | None
    p90: float | None
    note: str

    def cells(self) -> list[str]:
        """The line of the output file, in the order of ``COLUMNS``."""
        return [self.id, *("" if x is None else f"{x:.6g}" for x in (self.p10, self.p50, self.p90)), self.note]


@dataclass(frozen=True)
class Coefficients:
    """The file ``throughput.yaml``: regimes, and quantiles of log(measured / predicted) by partition."""

    regimes: Mapping[str, Regime]
    spread: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    document: Mapping[str, Any] = field(default_factory=dict)


@lru_cache(maxsize=1)
def coefficients() -> Coefficients:
    """What ``benchmarks/fit_throughput.py`` wrote."""
    document = throughput_document()
    regimes = {
        name: Regime(**{k: float(v) for k, v in entry["coefficients"].items() if k in NAMES})
        for name, entry in document["regimes"].items()
    }
    spread = {name: (float(low), float(high)) for name, (low, high) in document.get("intervals", {}).items()}
    return Coefficients(regimes, spread, document)


@dataclass(frozen=True)
class Prepared:
    """Rows made ready: everything that does not depend on the coefficients."""

    rows: Sequence[ThroughputRow]
    cases: Sequence[Case | None]
    reasons: Sequence[str]
    book: CaseBook
    tables: Tables
    questions: Questions
    owner: FloatArray  # question -> row
    measured: FloatArray


def prepare(rows: Sequence[ThroughputRow]) -> Prepared:
    """Placements, memory and kernel times of all rows that can be predicted."""
    book = CaseBook()
    cases: list[Case | None] = []
    reasons: list[str] = []
    for row in rows:
        case, reason = None, "; ".join(row.problems)
        if row.kind in KIND_CODES and not row.problems:
            try:
                case = book.add(row)
            except SizingError as problem:
                reason = str(problem)
        elif not reason:
            reason = f"{row.kind} is not predicted here"
        cases.append(case)
        reasons.append(reason)
    lines: list[tuple[float, ...]] = []
    owner: list[int] = []
    nan = float("nan")
    for index, (row, case) in enumerate(zip(rows, cases, strict=True)):
        if case is None:
            continue
        hints, engine = row.hints, engine_of(row)
        drafts = (hints.draft_tokens or DEFAULT_DRAFTS) if hints.speculative else 0
        rate = row.rate if row.rate is not None and math.isfinite(row.rate) else nan
        mixed = engine.name in ("tensorrt-llm", "vllm", "vllm-ascend") and not (
            engine.name == "vllm" and not engine.at_least(0, 8)
        )
        for candidate in case.candidates:
            owner.append(index)
            lines.append((
                candidate, KIND_CODES[row.kind], row.concurrency or nan, hints.requests or nan, rate,
                hints.slo_ttft_s or nan, hints.slo_tpot_s or nan, hints.cached_share, drafts,
                hints.accept_rate if hints.accept_rate is not None else nan, mixed, engine.name == "tensorrt-llm",
            ))  # fmt: skip
    table = np.array(lines, dtype=np.float64).reshape(len(lines), 12).T
    numbers = ("concurrency", "requests", "rate", "slo_ttft_s", "slo_tpot_s", "cached", "drafts", "accept")
    questions = Questions(
        candidate=table[0].astype(np.int64),
        kind=table[1].astype(np.int64),
        mixed=table[10] > 0,
        reserves=table[11] > 0,
        **{name: table[2 + k] for k, name in enumerate(numbers)},
    )
    measured = np.array([nan if row.value is None else row.value for row in rows])
    return Prepared(rows, cases, reasons, book, build_tables(book), questions, np.array(owner, dtype=int), measured)


def with_defaults(prepared: Prepared, regimes: Mapping[str, Regime]) -> dict[str, Regime]:
    """The regimes, and the plain one for what was never fitted."""
    return {**{candidate.regime: Regime() for candidate in prepared.book.candidates}, **regimes}


def evaluate(prepared: Prepared, regimes: Mapping[str, Regime]) -> tuple[FloatArray, FloatArray]:
    """``(values, chosen)``: the median of every row in its unit (NaN: none), and the candidate that it stands on."""
    found = answer(prepared.questions, prepared.book.candidates, prepared.tables, regimes)
    values = np.full(len(prepared.rows), np.nan)
    chosen = np.full(len(prepared.rows), -1.0)
    best = np.zeros(len(prepared.rows))
    score = np.where(np.isfinite(found.requests_per_s), found.requests_per_s, 0.0)
    order = np.lexsort((-score, prepared.owner))
    owners = prepared.owner[order]
    first = order[np.r_[True, owners[1:] != owners[:-1]]] if owners.size else order
    rows = prepared.owner[first]
    best[rows] = score[first]
    values[rows] = _values(prepared, found, first)
    chosen[rows] = prepared.questions.candidate[first]
    return values, chosen


def _values(prepared: Prepared, found: Answers, first: Any) -> FloatArray:
    """The chosen questions' figures in their rows' units."""
    result = np.empty(len(first))
    x, ttft, tpot, e2e = (a[first] for a in (found.requests_per_s, found.ttft_s, found.tpot_s, found.e2e_s))
    for k, index in enumerate(first):
        row = prepared.rows[prepared.owner[index]]
        candidate = prepared.book.candidates[prepared.questions.candidate[index]]
        given = row.input_tokens or 0.0
        quantity = row.quantity
        if quantity == "ttft_s":
            value = ttft[k]
        elif quantity == "tpot_s":
            value = tpot[k]
        elif quantity == "e2e_s":
            value = e2e[k]
        else:
            tokens = {
                "requests_per_s": 1.0,
                "output_tokens_per_s": candidate.output_tokens,
                "input_tokens_per_s": given,
                "total_tokens_per_s": candidate.output_tokens + given,
            }.get(quantity or "", math.nan)
            value = _scoped(row, x[k] * tokens)
        result[k] = value / row.factor
    return result


def _scoped(row: ThroughputRow, value: float) -> float:
    """A figure of the whole instance in the row's scope; latencies have none."""
    count = float(row.accelerators or 1)
    if row.quantity in ("ttft_s", "tpot_s", "e2e_s") or row.scope not in ("accelerator", "node"):
        return value
    return value / count if row.scope == "accelerator" else value / max(count / NODE, 1.0)


def partition(row: ThroughputRow) -> str:
    """Whose spread a row's interval comes from: the kind of run, the engine, and rate or latency."""
    latency = row.quantity if row.quantity in ("ttft_s", "tpot_s") else "rate"
    kind = host_kind(row.accelerator)
    place = f" {kind}" if kind in ("amd", "pcie") else ""
    return f"{row.kind} {row.engine}{place} {latency}"


def predict(rows: Sequence[ThroughputRow], known: Coefficients | None = None) -> list[Prediction]:
    """One prediction per row, in order: of servers by their regimes, of llama.cpp's own benchmarks by its backends."""
    served = iter(_predict_served([row for row in rows if row.engine != LLAMA_CPP], known or coefficients()))
    return [_predict_bench(row) if row.engine == LLAMA_CPP else next(served) for row in rows]


def _predict_bench(row: ThroughputRow) -> Prediction:
    """A row of llama.cpp's own benchmarks."""
    try:
        if row.problems:
            raise SizingError("; ".join(row.problems))
        low, value, high, note = bench_figures(row)
    except SizingError as problem:
        return Prediction(row.id, None, None, None, str(problem))
    return Prediction(row.id, low, value, high, note)


def _predict_served(rows: Sequence[ThroughputRow], known: Coefficients) -> list[Prediction]:
    """Rows of servers, and of engines' own benchmarks that a regime covers."""
    prepared = prepare(rows)
    values, chosen = evaluate(prepared, with_defaults(prepared, known.regimes))
    made = []
    for index, row in enumerate(rows):
        value, case = float(values[index]), prepared.cases[index]
        if case is None or not math.isfinite(value) or value <= 0:
            offered = _offered(row)
            made.append(offered or Prediction(row.id, None, None, None, prepared.reasons[index] or "no figure"))
            continue
        name = partition(row)
        low, high = (
            known.spread.get(name)
            or known.spread.get(name.replace(" amd", "").replace(" pcie", ""))
            or known.spread.get(name.split(" ")[0])
            or (-0.5, 0.5)
        )
        candidate = prepared.book.candidates[int(chosen[index])]
        burst = burst_of(row, candidate, prepared.book.subjects[candidate.subject])
        if burst is not None and burst.get(row.quantity or "", 0.0) > 0:
            value = _scoped(row, burst[row.quantity or ""]) / row.factor
        notes = [*row.notes, *case.notes, row.lengths_assumed and f"lengths: {row.lengths_assumed}"]
        if not row.placement_stated:
            notes.append(f"taken: {candidate.replicas:g} x {candidate.placement.describe()}")
        if row.hints.speculative and row.hints.accept_rate is None:
            accepted = known.regimes.get(candidate.regime, Regime()).acceptance
            notes.append(f"acceptance of drafts assumed {accepted:.2f}")
        if burst is not None:
            notes.append(NOTE)
        if candidate.pool_tokens <= 0:
            notes.append("by the memory model no cache fits: one request at a time assumed")
        text = "; ".join(note for note in notes if note)
        made.append(Prediction(row.id, value * math.exp(low), value, value * math.exp(high), text))
    return made


def _offered(row: ThroughputRow) -> Prediction | None:
    """A column that prints the offered rate beside the measurements: known before the run."""
    if row.metric == "offered_req_s" and row.rate is not None and math.isfinite(row.rate):
        return Prediction(row.id, row.rate, row.rate, row.rate, "; ".join(row.notes))
    return None


def write_predictions(rows: str | Path | Sequence[ThroughputRow], out: TextIO) -> list[Prediction]:
    """Predict every row (of a file) and write the lines of ``sizing validate --throughput``."""
    found = predict(read_throughput_rows(rows) if isinstance(rows, str | Path) else rows)
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(item.cells() for item in found)
    return found
