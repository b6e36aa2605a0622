"""A trace with measured times, simulated: the factors on decode and prefill that bring its means together."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from sizing.base.errors import SizingError
from sizing.coefficients.calibration import Calibration, Shift
from sizing.engine.placement import Placement
from sizing.evidence.fields import read_text
from sizing.evidence.fit_runs import Compared
from sizing.evidence.shifts import prior_sigma
from sizing.evidence.stated import SIZES, Stated
from sizing.hardware import Accelerator, Catalog
from sizing.planning.confidence import width
from sizing.planning.replay import Flags, Replay, replay
from sizing.planning.target import Target, resolve_target
from sizing.workload.measured import MEASURED

ROUNDS = 4
TRACE_SIGMA = 0.04  # log: of means over a trace; nothing of the load is guessed, as it is for a run
STEP = 0.05  # log: of the differences
MOST_LOG = math.log(4.0)
LOOSE = 3.0  # on the prior here; the shift is held to the prior itself where runs are put together
WITHIN = 0.002  # log: near enough
METRICS = ("tpot_s", "ttft_s")


def is_trace(path: Path) -> bool:
    """Whether a file is a CSV with a measured time of each request."""
    if path.suffix.lower() != ".csv" or not path.is_file():
        return False
    try:
        header = next(csv.reader([read_text(path).partition("\n")[0]]), [])
    except (csv.Error, SizingError):
        return False
    names = {cell.strip().lower() for cell in header}
    return any(names & columns.keys() for columns in MEASURED.values())


def compare_trace(path: Path, accelerator: str | Accelerator, told: Stated, catalog: Catalog) -> Compared:
    """Simulate the trace and seek the two factors; raises SizingError where it holds no TTFT and TPOT to fit."""
    if told.model is None:
        raise SizingError("names no model", key=path.name, hint="give --model")
    target = resolve_target(
        told.model, accelerator, engine=told.engine, engine_version=told.engine_version, weights=told.weights,
        kv_dtype=told.kv_dtype, catalog=catalog,
    )  # fmt: skip
    place = Placement(*(getattr(told, name) or 1 for name in SIZES))
    flags = Flags(told.max_num_seqs, told.max_num_batched_tokens, told.memory_utilization)
    first = replay(path, target, place, flags)
    misses = _misses(first)
    if misses is None:
        hint = "columns measured_ttft_s and measured_tpot_ms"
        raise SizingError("has no measured first tokens and times per token to fit", key=path.name, hint=hint)
    logs = _seek(path, target, place, flags, misses)
    found = first.to_dict()["compared"]
    means = {name: found[name] for name in METRICS}
    return Compared(
        file=path.name, target=target, placement=place, concurrency=max(first.result.mean_running, 1.0),
        concurrency_from="simulated", measured={name: item["measured"]["mean"] for name, item in means.items()},
        predicted={name: item["simulated"]["mean"] for name, item in means.items()}, decode_log=float(logs[0]),
        prefill_log=float(logs[1]), sigma=TRACE_SIGMA, simulated=True,
        input_tokens=float(first.trace.input_tokens.mean()), output_tokens=float(first.trace.output_tokens.mean()),
        assumptions=target.assumptions,
    )  # fmt: skip


def _misses(found: Replay) -> np.ndarray | None:
    """Logarithms of measured over simulated means of TPOT and TTFT; None where one was not measured."""
    compared = found.to_dict()["compared"]
    if any(name not in compared for name in METRICS):
        return None
    return np.array([-math.log1p(compared[name]["error"]) for name in METRICS])


def _seek(path: Path, target: Target, place: Placement, flags: Flags, misses: np.ndarray) -> np.ndarray:
    """The logarithms of the two factors, least squares with the model's own interval as prior (Gauss-Newton)."""
    prior = LOOSE * np.array([prior_sigma(width(target, name)) for name in ("tpot", "ttft")])

    def missed(logs: np.ndarray) -> np.ndarray:
        found = _misses(replay(path, _shifted(target, logs), place, flags))
        return misses if found is None else found

    def badness(logs: np.ndarray, left: np.ndarray) -> float:
        return float(((left / TRACE_SIGMA) ** 2).sum() + ((logs / prior) ** 2).sum())

    logs, left = np.zeros(2), misses
    for _ in range(ROUNDS):
        if np.abs(left).max() < WITHIN:
            break
        slope = np.column_stack([(missed(logs + STEP * unit) - left) / STEP for unit in np.eye(2)])
        normal = slope.T @ slope / TRACE_SIGMA**2 + np.diag(1 / prior**2)
        move = -np.linalg.solve(normal, slope.T @ left / TRACE_SIGMA**2 + logs / prior**2)
        for share in (1.0, 0.5, 0.25):
            there = np.clip(logs + share * move, -MOST_LOG, MOST_LOG)
            after = missed(there)
            if badness(there, after) < badness(logs, left):
                logs, left = there, after
                break
        else:
            break
    return logs


def _shifted(target: Target, logs: np.ndarray) -> Target:
    shift = Calibration(target.engine.name, target.accelerator.id, Shift(math.exp(logs[0])), Shift(math.exp(logs[1])))
    return replace(target, coefficients=shift.apply(target.coefficients))
