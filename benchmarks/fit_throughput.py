"""Fits the coefficients of sizing/coefficients/throughput.yaml and prints how far predictions are from measurements.

    python benchmarks/fit_throughput.py [--rows FILE] [--write] [--no-left-out]

Left out are whole models, whole accelerators and whole sources in turn (folds of them), never random rows.
"""

from __future__ import annotations

import argparse
import os
import zlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import yaml
from scipy.optimize import least_squares

from sizing.evidence.predict_throughput import Prepared, coefficients, evaluate, partition, prepare
from sizing.evidence.rows_throughput import ThroughputRow, read_throughput_rows
from sizing.evidence.table import Predictions, as_text, error_table
from sizing.evidence.throughput_cases import engine_of, regime_of
from sizing.evidence.throughput_regimes import KIND_CODES, NAMES, Regime

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "sizing" / "coefficients" / "throughput.yaml"
FOLDS = 4
SCALE = 0.1  # of log residuals: beyond it they count linearly
# How far (in log) the data may pull a coefficient from its start: kernels were measured, host times were not.
PRIOR = {
    "gemm": 0.3, "decode_attention": 0.3, "prefill_attention": 0.3, "experts": 0.3, "collectives": 0.3, "prefill": 0.3,
    "bridge": 0.5, "bridge_ranks": 0.3, "narrow": 0.25, "int4_experts": 1.0, "unmeasured": 0.4,
    "layer_s": 1.2, "step_s": 1.2, "sequence_s": 1.2, "elementwise": 0.7, "first_s": 1.2, "tail": 0.7,
    "occupancy": 0.1, "reserve": 0.5, "queueing": 0.5, "acceptance": 0.15, "slo_share": 0.2,
    "stable_share": 0.05,
}  # fmt: skip
# Where a fit starts, if not at the plain Regime: without graphs Ascend's plugin launches operators from the host, some
# tenths of a millisecond per layer, whatever they hold (batch-1 TPOT of every model there is several times its weights').
STARTS = {"vllm-ascend": Regime(layer_s=1e-4, step_s=2e-3), "vllm-ascend eager": Regime(layer_s=5e-4, step_s=2e-3)}
# Cards and AMD's modules: few rows each, so drawn to what the engine does on NVIDIA's modules.
STARTS |= {
    f"{engine} {kind}": coefficients().regimes[engine] for engine in ("vllm", "sglang") for kind in ("amd", "pcie")
}
# Its 200 rows are of 25 models on few machines: they tell host and kernel times apart less well than the rows of others.
TIGHTER = {"vllm-ascend": 0.5, "vllm-ascend eager": 0.5, "mindie": 0.5}
TIGHTER |= {f"{engine} {kind}": 0.7 for engine in ("vllm", "sglang") for kind in ("amd", "pcie")}
NARROWEST = 0.05  # an interval holds its median by as much at least (in log)
KIN = {"mindie": "vllm-ascend"}
FLOOR, CEILING = {"layer_s": 1e-7, "step_s": 1e-6, "sequence_s": 1e-8}, {"occupancy": 1.0, "acceptance": 0.95}


def shared_rows() -> Path:
    places = [Path(os.environ["SIZING_SHARED"])] if "SIZING_SHARED" in os.environ else []
    places += [ROOT.parent / "shared", ROOT.parent.parent / "shared"]
    found = [place / "measurements" / "throughput" / "throughput.csv.gz" for place in places]
    return next((path for path in found if path.exists()), found[-1])


def weights(rows: Sequence[ThroughputRow]) -> np.ndarray:
    """Every (source, model, accelerator) counts about equally: its rows share the fourth root of their number."""
    keys = [(row.source, row.model, row.accelerator) for row in rows]
    counts: dict[object, int] = defaultdict(int)
    for key in keys:
        counts[key] += 1
    return np.array([counts[key] ** 0.25 / counts[key] for key in keys])


def unpack(theta: np.ndarray, start: Regime) -> Regime:
    made = {}
    for name, value in zip(NAMES, theta, strict=True):
        size = getattr(start, name) * float(np.exp(value))
        made[name] = min(max(size, FLOOR.get(name, 0.0)), CEILING.get(name, np.inf))
    return Regime(**made)


def logs(prepared: Prepared, regimes: Mapping[str, Regime]) -> np.ndarray:
    """log(measured / predicted); NaN where there is no prediction."""
    values, _ = evaluate(prepared, regimes)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.log(prepared.measured / values)
    return np.where(np.isfinite(found), found, np.nan)


def fit_regime(rows: Sequence[ThroughputRow], name: str, start: Regime) -> Regime:
    """Robust least squares of log(measured / predicted) with a prior around ``start``."""
    prepared = prepare(rows)
    if not prepared.owner.size:
        return start
    weight = np.sqrt(weights(rows))
    sigma = np.array([PRIOR[item] for item in NAMES]) * TIGHTER.get(name, 1.0)

    def residuals(theta: np.ndarray) -> np.ndarray:
        miss = logs(prepared, {name: unpack(theta, start)}) / SCALE
        miss = np.nan_to_num(miss, nan=0.0)
        soft = np.sign(miss) * np.sqrt(2 * (np.sqrt(1 + miss**2) - 1))  # linear tails
        return np.concatenate([weight * soft, theta / sigma])

    found = least_squares(residuals, np.zeros(len(NAMES)), bounds=(-4 * sigma, 4 * sigma), diff_step=1e-3, max_nfev=60)
    return unpack(found.x, start)


def by_regime(rows: Sequence[ThroughputRow]) -> dict[str, list[ThroughputRow]]:
    groups: dict[str, list[ThroughputRow]] = defaultdict(list)
    for row in rows:
        groups[regime_of(row, engine_of(row))].append(row)
    return groups


def _fit_one(args: tuple[str, list[ThroughputRow], Regime]) -> tuple[str, Regime]:
    name, rows, start = args
    return name, fit_regime(rows, name, start)


def fit(rows: Sequence[ThroughputRow], pool: ProcessPoolExecutor) -> dict[str, Regime]:
    """Every regime by itself; those with few rows start from their kin (``KIN``)."""
    groups = sorted(by_regime(rows).items(), key=lambda item: -len(item[1]))
    found = dict(
        pool.map(_fit_one, [(name, members, STARTS.get(name, Regime())) for name, members in groups if name not in KIN])
    )
    rest = [(name, members, found.get(KIN[name], Regime())) for name, members in groups if name in KIN]
    return {**found, **dict(pool.map(_fit_one, rest))}


def fold_of(label: str) -> int:
    return zlib.crc32(label.encode()) % FOLDS


def left_out(
    rows: Sequence[ThroughputRow], label: Callable[[ThroughputRow], str], whole: Mapping[str, Regime],
    pool: ProcessPoolExecutor,
) -> np.ndarray:  # fmt: skip
    """log(measured / predicted) of every row by coefficients that never saw its label."""
    result = np.full(len(rows), np.nan)
    jobs, places = [], []
    for name, members in by_regime(rows).items():
        for fold in range(FOLDS):
            kept = [row for row in members if fold_of(label(row)) != fold]
            out = [row for row in members if fold_of(label(row)) == fold]
            if out:
                jobs.append((name, kept, whole.get(KIN.get(name, ""), STARTS.get(name, Regime()))))
                places.append((name, out))
    where = {id(row): index for index, row in enumerate(rows)}
    for (name, regime), (_, out) in zip(pool.map(_fit_one, jobs), places, strict=True):
        miss = logs(prepare(out), {**whole, name: regime})
        for row, value in zip(out, miss, strict=True):
            result[where[id(row)]] = value
    return result


def spreads(rows: Sequence[ThroughputRow], misses: Sequence[np.ndarray]) -> dict[str, tuple[float, float]]:
    """10th and 90th percentile of the left-out log(measured / predicted), by partition and by kind."""
    groups: dict[str, list[float]] = defaultdict(list)
    for miss in misses:
        for row, value in zip(rows, miss, strict=True):
            if np.isfinite(value):
                groups[partition(row)].append(float(value))
                groups[row.kind].append(float(value))
    found = {}
    for name, values in sorted(groups.items()):
        if len(values) >= 30 or name in KIND_CODES:
            low, high = np.quantile(values, (0.09, 0.91))
            found[name] = (min(round(float(low), 3), -NARROWEST), max(round(float(high), 3), NARROWEST))
    return found


def show(rows: Sequence[ThroughputRow], miss: np.ndarray, title: str, spread: Mapping[str, tuple[float, float]]) -> str:
    value = np.array([row.value or np.nan for row in rows])
    p50 = value / np.exp(miss)
    bands = [spread.get(partition(row)) or spread.get(row.kind) or (np.nan, np.nan) for row in rows]
    low, high = (np.array([band[k] for band in bands]) for k in (0, 1))
    data = Predictions.of(value, p50, p50 * np.exp(low), p50 * np.exp(high))
    keys = {
        "partition": [partition(row) for row in rows],
        "source": [row.source for row in rows],
        "engine": [f"{row.engine}" for row in rows],
        "accelerator": [row.accelerator for row in rows],
        "model": [row.model for row in rows],
    }
    return title + "\n" + as_text(error_table(data, keys))


def document(
    rows: Sequence[ThroughputRow], regimes: Mapping[str, Regime], miss: np.ndarray,
    spread: Mapping[str, tuple[float, float]], outs: Mapping[str, np.ndarray],
) -> str:  # fmt: skip
    """The text of throughput.yaml."""
    entries = {}
    names = np.array([regime_of(row, engine_of(row)) for row in rows])
    for name, regime in sorted(regimes.items()):
        here = (names == name) & np.isfinite(miss)
        size = np.abs(np.expm1(-miss[here]))
        entries[name] = {
            "coefficients": {key: float(f"{getattr(regime, key):.4g}") for key in NAMES},
            "origin": {
                "rows": int(here.sum()),
                "models": len({row.model for row, yes in zip(rows, here, strict=True) if yes}),
                "accelerators": sorted({row.accelerator for row, yes in zip(rows, here, strict=True) if yes}),
            },
            "residuals": {
                "median": round(float(np.median(size)), 3) if size.size else None,
                "p90": round(float(np.quantile(size, 0.9)), 3) if size.size else None,
            },
        }
    head = (
        "# Coefficients of sizing/evidence/throughput_regimes.py. Written by benchmarks/fit_throughput.py from\n"
        "# measurements/throughput/throughput.csv.gz. residuals: median and 90th percentile of |predicted - measured|\n"
        "# / measured in sample. intervals: 10th and 90th percentile of log(measured / predicted), whole models,\n"
        "# accelerators or sources left out; left_out: median errors of the same runs.\n"
    )
    table: dict[str, dict[str, float]] = {}
    for title, found in {"in sample": miss, **outs}.items():
        groups: dict[str, list[float]] = defaultdict(list)
        for row, value in zip(rows, found, strict=True):
            if np.isfinite(value):
                groups[partition(row)].append(abs(float(np.expm1(-value))))
        table[title] = {key: round(float(np.median(group)), 4) for key, group in groups.items() if len(group) >= 10}
    intervals = {key: list(value) for key, value in spread.items()}
    body = {"version": 1, "regimes": entries, "intervals": intervals, "left_out": table}
    return head + yaml.safe_dump(body, sort_keys=False, default_flow_style=None, width=118)


def merged(text: str) -> str:
    """A document of some regimes, laid over the committed one."""
    made, old = yaml.safe_load(text), yaml.safe_load(TARGET.read_text(encoding="utf-8"))
    for part in ("regimes", "intervals"):
        kinds = set(KIND_CODES) if part == "intervals" else set()
        old[part] |= {key: value for key, value in made[part].items() if key not in kinds}
    head = text[: text.index("version:")]
    return head + yaml.safe_dump(old, sort_keys=False, default_flow_style=None, width=118)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=Path, nargs="+", default=None)
    parser.add_argument("--only", nargs="+", default=None, help="regimes to fit; the others stay as they are")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--no-left-out", action="store_true")
    options = parser.parse_args()
    read = [row for path in options.rows or [shared_rows()] for row in read_throughput_rows(path)]
    rows = [row for row in read if row.predictable and row.kind in KIND_CODES]
    if options.only:
        rows = [row for row in rows if regime_of(row, engine_of(row)) in options.only]
    with ProcessPoolExecutor(1) as pool:
        regimes = fit(rows, pool)
        miss = logs(prepare(rows), regimes)
        outs: dict[str, np.ndarray] = {}
        if not options.no_left_out:
            labels: dict[str, Callable[[ThroughputRow], str]] = {
                "models": lambda row: row.model,
                "accelerators": lambda row: row.accelerator,
                "sources": lambda row: row.source,
            }
            outs = {title: left_out(rows, label, regimes, pool) for title, label in labels.items()}
    spread = spreads(rows, list(outs.values()) or [miss])
    print(show(rows, miss, "in sample", spread))
    for title, out in outs.items():
        print(show(rows, out, f"\nleft out: whole {title}", spread))
    if options.write:
        text = document(rows, regimes, miss, spread, outs)
        TARGET.write_text(merged(text) if options.only else text, encoding="utf-8")


if __name__ == "__main__":
    main()
