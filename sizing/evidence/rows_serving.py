"""Rows of measured serving latency (mean TTFT and TPOT of a whole server) as typed, normalised records.

A row that cannot be predicted says why in ``problems``; reading never fails for what is in a cell. Whether
labels are believed as printed is decided elsewhere: ``labels.reinterpret``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from sizing.evidence.fields import engine_name, number, read_table, size, whole
from sizing.evidence.weight_labels import Weights, from_modes

_CONCURRENCY = re.compile(r"silicon_concurrency=(\d{1,9})\b")
# Dumps of InferenceX by date, and comparisons of one model with them (which repeat their rows).
_INFERENCEX = re.compile(r"^(?:source_file=(?:\d{4}-\d\d-\d\d|[\w.-]+-gap-analysis)\.csv|db-dump/)")


@dataclass(frozen=True, slots=True)
class Placement:
    """Where one replica (or one worker of a disaggregated pool) runs.

    tp: attention tensor parallel size, dp: attention data parallel size, pp: pipeline stages; experts are
    split moe_tp x moe_ep over the tp * dp ranks. moe_stated: whether the row says so (1 x 1 on several ranks
    says nothing). batch: concurrent requests per attention data-parallel rank, None if not stated. workers:
    replicas in the pool, None if not stated.
    """

    tp: int
    pp: int = 1
    dp: int = 1
    moe_tp: int = 1
    moe_ep: int = 1
    batch: float | None = None
    workers: int | None = None

    @property
    def accelerators(self) -> int:
        """Of one worker."""
        return self.tp * self.pp * self.dp

    @property
    def moe_stated(self) -> bool:
        """Whether the split of experts is stated, or has nothing to state."""
        return self.moe_tp * self.moe_ep > 1 or self.tp * self.dp == 1

    @property
    def concurrency(self) -> float | None:
        """Requests that one worker holds, all its attention ranks together."""
        return None if self.batch is None else self.batch * self.dp


@dataclass(frozen=True, slots=True)
class ServingRow:
    """One measured server. isl, osl: nominal tokens of a request; latencies in seconds, None where not given.

    mode: "agg" (``placement`` is set) or "disagg" (``prefill`` and ``decode`` are set). concurrency: requests
    in flight on the whole deployment as the source states it, None if it does not. inferencex: the source is
    a dump of InferenceX (InferenceMAX), whose client draws lengths uniformly from 0.8 to 1 of the nominal
    ones. replicas: deployments of this placement behind one address (1 unless the labels imply more).
    """

    row: str
    engine: str | None
    engine_version: str | None
    model: str
    system: str
    weights: Weights
    mode: str
    isl: float
    osl: float
    placement: Placement | None
    prefill: Placement | None = None
    decode: Placement | None = None
    concurrency: float | None = None
    ttft_s: float | None = None
    tpot_s: float | None = None
    inferencex: bool = False
    replicas: int = 1
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def predictable(self) -> bool:
        """Whether the row says all that a prediction needs; ``labels.TOTAL_ONLY`` is answered all the same."""
        return not self.problems


def _placement(row: Mapping[str, str], prefix: str) -> Placement | None:
    """The placement in the columns that start with ``prefix``; None if it states none."""
    names = ("tp_size", "pp_size", "attention_dp_size", "moe_tp_size", "moe_ep_size")
    cells = [row.get(prefix + name, "") for name in names]
    if all(whole(cell) is None for cell in cells):
        return None
    tp, pp, dp, moe_tp, moe_ep = (size(cell) for cell in cells)
    batch = number(row.get(f"{prefix}batch_size", ""))
    held = batch if batch and 0 < batch < 1e9 else None
    return Placement(tp, pp, dp, moe_tp, moe_ep, held, whole(row.get(f"{prefix}num_workers")) or None)


def _seconds(text: str) -> float | None:
    value = number(text)
    return value * 1e-3 if value is not None and 0 < value < 1e9 else None


def _problems(found: ServingRow, engine: str, complaint: str | None) -> list[str]:
    """Why a row cannot be predicted."""
    problems = []
    if found.engine is None:
        problems.append(f"the engine {engine[:40]!r} is not known" if engine else "the engine is not stated")
    if not found.model:
        problems.append("the model is not stated")
    if not found.system:
        problems.append("the machine is not stated")
    if complaint:
        problems.append(complaint)
    if found.isl <= 0 or found.osl <= 0:
        problems.append("the lengths are not stated")
    if found.mode == "agg":
        if found.placement is None:
            problems.append("the placement is not stated")
        elif found.placement.batch is None and found.concurrency is None:
            problems.append("the batch is not stated")
    elif found.mode == "disagg":
        if found.prefill is None or found.decode is None:
            problems.append("the placement of prefill or of decode is not stated")
        elif found.decode.batch is None and found.concurrency is None:
            problems.append("the batch of decode is not stated")
    else:
        problems.append(f"the mode {found.mode[:40]!r} is not known")
    return problems


def parse_serving_row(cells: Mapping[str, str], line: int = 0) -> ServingRow:
    """One row of the table as a record. Never raises for what is in a cell."""
    mode = cells.get("mode", "").lower() or "agg"
    source = cells.get("source", "")
    stated = _CONCURRENCY.search(source)
    weights, complaint = from_modes(
        cells.get("gemm_quant_mode", ""), cells.get("moe_quant_mode", ""), cells.get("precision", "")
    )
    engine = cells.get("backend", "") or cells.get("engine", "")
    found = ServingRow(
        row=cells.get("row", "") or f"line{line}",
        engine=engine_name(engine),
        engine_version=cells.get("backend_version", "") or None,
        model=cells.get("model_path", ""),
        system=cells.get("system", ""),
        weights=weights,
        mode=mode,
        isl=number(cells.get("isl", "")) or 0.0,
        osl=number(cells.get("osl", "")) or 0.0,
        placement=_placement(cells, "") if mode == "agg" else None,
        prefill=_placement(cells, "prefill_") if mode == "disagg" else None,
        decode=_placement(cells, "decode_") if mode == "disagg" else None,
        concurrency=float(stated.group(1)) if stated and int(stated.group(1)) else None,
        ttft_s=_seconds(cells.get("ttft_ms", "")),
        tpot_s=_seconds(cells.get("tpot_ms", "")),
        inferencex=bool(_INFERENCEX.match(source)),
    )
    return replace(found, problems=tuple(_problems(found, engine, complaint)))


def read_serving_rows(path: str | Path) -> list[ServingRow]:
    """Every row of a serving table (CSV or CSV.gz), in the order of the file.

    Needs the columns backend, model_path, system, isl, osl; all others may be absent, unknown ones are
    ignored. Raises SizingError when the file is no such table.
    """
    needed = ("backend", "model_path", "system", "isl", "osl")
    return [parse_serving_row(cells, line) for line, cells in read_table(Path(path), needed)]
