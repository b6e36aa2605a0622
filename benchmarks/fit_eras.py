"""Fits what engines of an older era add to a step, on whole servers of that era, and judges it on sizes left out.

``python benchmarks/fit_eras.py``: prints the ``values`` of vLLM before 0.8 in sizing/coefficients/serving.yaml, from
serving/open_loop_vllm_0.6.csv; the measurements are found as by fit_serving.py. Three coefficients: what joins of ranks
cost, host time of a step, host time of a first token; the rest is the era's regime in throughput.yaml.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from fit_serving import measurements
from scipy.optimize import least_squares

from sizing.evidence.predict_serving import Features, committed_coefficients, evaluate, features
from sizing.evidence.rows_serving import read_serving_rows

NAMES, START, UNIT = ("sync_us", "step_ms", "fixed_ttft_ms"), (10.0, 2.0, 20.0), (1e-6, 1e-3, 1e-3)
FILE = "open_loop_vllm_0.6.csv"


def predict(found: Features, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logarithms of TTFT and TPOT under three coefficients (as logarithms), without the burst of closed-loop runs."""
    over, batching, pools = committed_coefficients(found)
    sync, step, first = (np.full(len(found.index), value) for value in np.exp(x) * UNIT)
    ttft, tpot = evaluate(
        found,
        replace(over, sync_s=sync, step_s=step),
        replace(batching, fixed_ttft_s=first),
        replace(pools, burst=0.0),
    )
    return np.log(ttft), np.log(tpot)


def main() -> None:
    """Fit on all rows, then without each tensor parallel size."""
    rows = list(read_serving_rows(measurements().parent / FILE))
    found = features(rows)
    tpot = np.log([rows[i].tpot_s or np.nan for i in found.index])
    ttft = np.log([rows[i].ttft_s or np.nan for i in found.index])
    sizes = np.array([case.decode.tp for case in found.cases])

    def fit(kept: np.ndarray) -> np.ndarray:
        def residuals(x: np.ndarray) -> np.ndarray:
            first, each = predict(found, x)
            return np.concatenate([(each - tpot)[kept] / 0.1, 0.5 * (first - ttft)[kept] / 0.2])

        return np.asarray(least_squares(residuals, np.log(START), loss="soft_l1").x)

    def errors(x: np.ndarray, chosen: np.ndarray) -> tuple[float, float]:
        first, each = predict(found, x)
        return tuple(float(np.median(np.abs(np.expm1(e))[chosen])) for e in (first - ttft, each - tpot))

    every = np.ones(len(sizes), bool)
    best = fit(every)
    print(dict(zip(NAMES, np.exp(best).round(3).tolist(), strict=True)), "TTFT, TPOT off by", errors(best, every))
    for size in np.unique(sizes):
        print(f"TP{size} left out: TTFT, TPOT off by", errors(fit(sizes != size), sizes == size))


if __name__ == "__main__":
    main()
