"""Refit the kernel coefficients from published measurements and write sizing/coefficients/kernels.yaml.

    python benchmarks/fit_kernels.py [--shared ../shared] [--out sizing/coefficients/kernels.yaml] [--quick]

The measurements (``measurements/kernels``) are not part of this repository; SIZING_SHARED names their
directory too. Prints residuals by operation, system and dtype, and the errors on systems and engines that a
fit did not see.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from scipy.optimize import least_squares

from sizing.coefficients.kernels import KernelCurves

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # when run as a script

from benchmarks.kernel_rows import MACHINES, Frame, Problem
from benchmarks.kernel_rows_dense import (
    attention_problems,
    encoder_problems,
    gemm_problems,
    linear_problems,
    mla_problems,
)
from benchmarks.kernel_rows_parallel import collective_problems, dispatch_problems, moe_problems

# ---------------------------------------------------------------- fitting


def predict_us(problem: Problem, rows: Frame, curve: Any, base: KernelCurves | None = None) -> np.ndarray:
    out = np.empty(len(rows))
    for system, index in rows.groupby("system", sort=False).indices.items():
        machine = MACHINES[str(system)]
        curves = base or KernelCurves(machine.family, "fit", {}).override(problem.operation, problem.key, curve)
        out[index] = problem.predict(machine, rows.iloc[index], curves) * 1e6
    return out


def fit(problem: Problem, rows: Frame | None = None) -> Any:
    rows = problem.rows if rows is None else rows
    rows = rows[rows.w > 0]
    if len(rows) > 12000:
        rows = rows.sample(12000, random_state=1)
    names = list(problem.free)
    low = np.log([problem.free[n][0] for n in names])
    high = np.log([problem.free[n][1] for n in names])
    x0 = np.clip(np.log([getattr(problem.start, n) for n in names]), low + 1e-6, high - 1e-6)
    y, w = np.log(rows.us.to_numpy()), np.sqrt(rows.w.to_numpy())

    def residuals(x: np.ndarray) -> np.ndarray:
        curve = replace(problem.start, **dict(zip(names, np.exp(x), strict=True)))
        return w * (np.log(predict_us(problem, rows, curve)) - y)

    best = least_squares(residuals, x0, bounds=(low, high), loss="soft_l1", f_scale=0.1, max_nfev=200)
    return replace(problem.start, **dict(zip(names, np.exp(best.x), strict=True)))


def errors(problem: Problem, rows: Frame, curve: Any, base: KernelCurves | None = None) -> np.ndarray:
    return np.log(predict_us(problem, rows, curve, base) / rows.us.to_numpy())


def describe(e: np.ndarray) -> dict[str, float]:
    a = np.abs(e)
    return {
        "rows": len(e),
        "median": round(float(np.median(a)), 3),
        "p90": round(float(np.quantile(a, 0.9)), 3),
        "bias": round(float(np.median(e)), 3),
    }


# ---------------------------------------------------------------- report


def rounded(curve: Any) -> dict[str, float]:
    return {n: float(f"{getattr(curve, n):.4g}") for n in curve.__dataclass_fields__}


def report(problems: list[Problem], quick: bool) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    families: dict[str, Any] = {}
    table: dict[str, dict[str, dict[str, Any]]] = {}
    lines: list[dict[str, Any]] = []
    for p in problems:
        curve = fit(p)
        good = p.rows[p.rows.w >= 0.3]
        e = errors(p, good, curve)
        curve = replace(curve, sigma=float(np.quantile(np.abs(e), 0.68)))
        systems = sorted(good.system.unique())
        stats = describe(e)
        entry: dict[str, Any] = rounded(curve)
        entry |= {
            "origin": {"files": p.source, "systems": systems, "rows": stats["rows"]},
            "residuals": {"median": stats["median"], "p90": stats["p90"]},
        }
        if p.note:
            entry["note"] = p.note
        families.setdefault(p.family, {}).setdefault(p.operation, {})[p.key] = entry
        table.setdefault(p.family, {}).setdefault(p.operation, {})[p.key] = curve
        p.stats["curve"] = curve
        for system in systems:
            at = (good.system == system).to_numpy()
            lines.append({"op": p.operation, "key": p.key, "fit": "in", "on": system, **describe(e[at])})
        factors: dict[str, float] = {}
        for engine in sorted(good.engine.unique()):
            at = (good.engine == engine).to_numpy()
            if not at.all():
                if at.sum() >= 30:
                    factors[str(engine)] = round(float(np.exp(-np.median(e[at]))), 3)
                lines.append({"op": p.operation, "key": p.key, "fit": "in", "on": f"{p.family}:{engine}",
                              **describe(e[at])})  # fmt: skip
        if factors:
            entry["engines"] = factors
        if quick:
            continue
        for column in ("system", "engine"):
            values = sorted(good[column].unique())
            for value in values if len(values) > 1 else ():
                out = good[good[column] == value].reset_index(drop=True)
                if len(out) < 30:
                    continue
                other = fit(p, good[good[column] != value])
                name = value if column == "system" else f"{p.family}:{value}"
                lines.append({"op": p.operation, "key": p.key, "fit": f"without {column}", "on": name,
                              **describe(errors(p, out, other))})  # fmt: skip
    for p in problems:  # the family left out altogether: what the stand-in rule gives
        rest = {name: ops for name, ops in table.items() if name != p.family}
        good = p.rows[p.rows.w >= 0.3]
        try:
            e = errors(p, good, None, KernelCurves(p.family, "fit", rest))
        except KeyError:
            continue
        lines.append({"op": p.operation, "key": p.key, "fit": "without family", "on": p.family, **describe(e)})
    return families, lines


HEADER = """\
# Coefficients of the kernel-time formulas in sizing/kernels. Written by benchmarks/fit_kernels.py.
# Measurements: ai-dynamo/aiconfigurator (Apache-2.0) for NVIDIA, hudingyi688/aiconfigurator-npu for Ascend.
# residuals: median and 90th percentile of |log(predicted / measured)| on rows of weight 0.3 and more, which
# the fit saw; sigma: their 68th percentile. engines: median time of an engine's kernels over the curve.
# A family or format without an entry takes a kindred format or operation of the same family (sigma + 0.15
# in quadrature), else the same in the nearest family (+ 0.25), else the median of families (+ 0.35).
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path(os.environ.get("SIZING_SHARED", "../shared")))
    parser.add_argument("--out", type=Path, default=Path("sizing/coefficients/kernels.yaml"))
    parser.add_argument("--quick", action="store_true", help="skip the leave-one-out fits")
    parser.add_argument("--only", default="", help="fit one operation and print, without writing")
    arguments = parser.parse_args()
    root = arguments.shared / "measurements" / "kernels"
    if not root.is_dir():
        print(f"no measurements in {root}: pass --shared", file=sys.stderr)
        return 2
    begun = time.perf_counter()
    makers = {
        "gemm": gemm_problems,
        "attention": attention_problems,
        "mla": mla_problems,
        "encoder": encoder_problems,
        "linear": linear_problems,
        "moe": moe_problems,
        "collective": collective_problems,
        "dispatch": dispatch_problems,
    }
    problems = [p for name, make in makers.items() if arguments.only in ("", name) for p in make(root)]
    families, lines = report(problems, arguments.quick)
    for p in problems:
        print(f"{p.operation:18}{p.family:12}{p.key:10}", rounded(p.stats["curve"]))
    print(pd.DataFrame(lines).to_string(index=False))
    if not arguments.only:
        lines_out = [HEADER + "version: 1", "families:"]
        for family, operations in families.items():
            lines_out.append(f"  {family}:")
            for operation, entries in operations.items():
                lines_out.append(f"    {operation}:")
                for key, entry in entries.items():
                    flow = yaml.safe_dump(entry, default_flow_style=True, sort_keys=False, width=4000).strip()
                    start, end = flow.split(", origin: ")
                    lines_out += [f"      {key}:", f"        {start},", f"          origin: {end}"]
        text = "\n".join(lines_out) + "\n"
        arguments.out.write_text(text, encoding="utf-8")
        print(f"wrote {arguments.out}")
    print(f"{time.perf_counter() - begun:.0f} s", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
