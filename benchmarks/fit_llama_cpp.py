"""Fit llama.cpp's coefficients on its published benchmark tables and write ``sizing/coefficients/llama_cpp.yaml``.

    python benchmarks/fit_llama_cpp.py [ROWS]

One set for each backend, drawn towards the set of all rows (a ridge in logs), so that a backend with few rows stays near
the others. Intervals and the errors stated come from fits that left out whole models and whole machines.
"""

from __future__ import annotations

import csv
import gzip
import math
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from scipy.optimize import least_squares

from sizing.coefficients import llama_cpp as llama_cpp_curves
from sizing.coefficients.llama_cpp import BACKENDS, overheads_from
from sizing.evidence import llama_cpp_rows
from sizing.evidence.rows_throughput import parse_throughput_row
from sizing.step.model import Parts

OUT = Path(__file__).parents[1] / "sizing" / "coefficients" / "llama_cpp.yaml"
# GB/s that one core unpacks: of 20, 30, 50 and none the best; cards with much bandwidth a core decode the slower.
CORE_GB_S = {"cuda": 30.0}
START = {
    "gemm": 1.0, "attention": 1.0, "experts": 1.0, "linear": 1.0, "prefill_gemm": 2.0, "prefill_gemm16": 1.0,
    "prefill_attention": 2.0, "prefill_experts": 2.0, "prefill_linear": 2.0, "layer_us": 10.0, "moe_layer_us": 10.0,
    "linear_layer_us": 10.0, "sequence_us": 20.0, "elementwise": 20.0,
}  # fmt: skip
OVERLAP = "stage_overlap"
RIDGE = 0.5
HOST_RIDGE = 1.5  # rows of 70B models alone would call slow streaming a cost of layers


@dataclass(frozen=True)
class Rows:
    """Rows of one table with the parts of their passes, stacked."""

    keys: dict[str, np.ndarray]
    share: np.ndarray
    prompt: np.ndarray
    stages: np.ndarray
    passes: np.ndarray
    tokens: np.ndarray
    measured: np.ndarray
    backend: np.ndarray
    model: np.ndarray
    machine: np.ndarray

    def take(self, mask: np.ndarray) -> Rows:
        fields = {name: getattr(self, name)[mask] for name in self.__dataclass_fields__ if name != "keys"}
        return Rows({key: amount[mask] for key, amount in self.keys.items()}, **fields)

    def errors(self, values: dict[str, float], overlap: float) -> np.ndarray:
        """log(measured / predicted)."""
        seconds = Parts(self.keys, self.share).seconds(overheads_from(values)) * self.passes
        seconds = seconds * np.where(self.prompt, 1 - min(overlap, 0.9) * (1 - 1 / self.stages), 1.0)
        return np.log(self.measured * seconds / self.tokens)


def read(path: Path) -> Rows:
    """All rows that have a value and can be timed."""
    llama_cpp_rows.machine_for = lambda machine, backend: llama_cpp_curves.machine_from(machine, CORE_GB_S.get(backend))
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        table = list(csv.DictReader(stream))
    made = []
    for cells in table:
        row = parse_throughput_row(cells)
        if row.value:
            case = llama_cpp_rows.bench_case(row)
            made.append((row, case, case.parts()))
    names = sorted({key for _, _, parts in made for key in parts.amounts})
    return Rows(
        {name: np.array([float(parts.amounts.get(name, 0.0)) for _, _, parts in made]) for name in names},
        np.array([float(parts.share) for _, _, parts in made]),
        np.array([case.prompt for _, case, _ in made]),
        np.array([float(case.placement.pp) for _, case, _ in made]),
        np.array([case.passes for _, case, _ in made]),
        np.array([case.tokens for _, case, _ in made]),
        np.array([row.value for row, _, _ in made]),
        np.array([case.backend for _, case, _ in made]),
        np.array([case.step.arch.name for _, case, _ in made]),
        np.array([row.accelerator for row, _, _ in made]),
    )


def fit(rows: Rows, towards: dict[str, float], overlap: float | None) -> tuple[dict[str, float], float]:
    """Coefficients near ``towards``; the overlap of stages too where it is None."""
    names = [*towards, *([OVERLAP] if overlap is None else [])]
    start = np.log([towards.get(name, 0.2) for name in names])
    weight = np.array([HOST_RIDGE if n.endswith("_us") or n in ("elementwise", OVERLAP) else RIDGE for n in names])

    def residuals(x: np.ndarray) -> np.ndarray:
        values = dict(zip(names, np.exp(x), strict=True))
        share = values.pop(OVERLAP, overlap)
        return np.r_[np.clip(rows.errors(values, share), -3, 3), weight * (x - start)]

    found = dict(zip(names, np.exp(least_squares(residuals, start, loss="soft_l1", f_scale=0.15).x), strict=True))
    share = float(found.pop(OVERLAP, overlap))
    return {name: float(value) for name, value in found.items()}, share


def fit_all(rows: Rows) -> tuple[dict[str, dict[str, float]], float]:
    """The sets of all backends, and the overlap."""
    shared, overlap = fit(rows, START, None)
    sets = {}
    for backend in BACKENDS:
        own = rows.take(rows.backend == backend)
        sets[backend] = fit(own, shared, overlap)[0] if own.measured.size else shared
    return sets, overlap


def judged(rows: Rows, sets: dict[str, dict[str, float]], overlap: float) -> np.ndarray:
    """log(measured / predicted) of every row under its backend's set."""
    found = np.zeros(rows.measured.size)
    for backend, values in sets.items():
        mask = rows.backend == backend
        found[mask] = rows.take(mask).errors(values, overlap)
    return found


def left_out(rows: Rows, by: str) -> tuple[np.ndarray, np.ndarray]:
    """Errors of each group predicted by a fit on all others; and which rows' backend kept half of its rows in that fit."""
    groups = getattr(rows, by)
    found, kept = np.zeros(groups.size), np.zeros(groups.size, dtype=bool)
    for group in sorted(set(groups)):
        out = groups == group
        sets, overlap = fit_all(rows.take(~out))
        found[out] = judged(rows.take(out), sets, overlap)
        for backend in BACKENDS:
            own = rows.backend == backend
            kept[out & own] = (own & ~out).sum() >= own.sum() / 2
    return found, kept


def main() -> None:
    """Fit, judge, write."""
    shared = Path(os.environ.get("SIZING_SHARED", "../shared"))
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else shared / "measurements/throughput/llamacpp.csv.gz"
    rows = read(path)
    sets, overlap = fit_all(rows)
    kinds = {"prompt": rows.prompt, "decode": ~rows.prompt}
    everything = np.ones(rows.measured.size, dtype=bool)
    judgements = {"in sample": (judged(rows, sets, overlap), everything)}
    for by in ("model", "machine"):
        found, kept = left_out(rows, by)
        judgements[f"{by}s left out"] = found, everything
        judgements[f"{by}s left out, half of the backend's rows kept"] = found, kept
    spread: dict[str, list[float]] = {}
    medians: dict[str, dict[str, float]] = {}
    for name, (found, kept) in judgements.items():
        masks = {"all": everything, **kinds}
        medians[name] = {k: round(float(np.median(np.abs(np.expm1(-found[m & kept])))), 4) for k, m in masks.items()}
        medians[name]["rows"] = int(kept.sum())
    for kind, mask in kinds.items():
        held = [found[mask & kept] for name, (found, kept) in judgements.items() if name.endswith("kept")]
        low, high = np.quantile(np.concatenate(held), [0.09, 0.91])
        spread[kind] = [round(float(low), 3), round(float(high), 3)]
    document = {
        "version": "1",
        "origin": f"fitted by benchmarks/fit_llama_cpp.py on {rows.measured.size} rows of throughput/llamacpp.csv.gz "
        "(llama-bench and llama-batched-bench tables, MLX)",
        "core_gb_s": CORE_GB_S,
        "stage_overlap": float(f"{overlap:.3g}"),
        "backends": {b: {k: float(f"{v:.4g}") for k, v in values.items()} for b, values in sets.items()},
        "rows": {b: int((rows.backend == b).sum()) for b in sets},
        "intervals": spread,
        "median_errors": medians,
    }
    assert all(math.isfinite(v) for values in sets.values() for v in values.values())
    head = "# llama.cpp's coefficients by backend. Written by benchmarks/fit_llama_cpp.py.\n"
    OUT.write_text(head + yaml.safe_dump(document, sort_keys=False, width=120), encoding="utf-8")
    print(yaml.safe_dump({"medians": medians, "intervals": spread}))


if __name__ == "__main__":
    main()
