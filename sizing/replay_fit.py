"""Calibrate on a trace with measured times: the two factors under which its replay has the measured means."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from sizing.arrays import FloatArray, as_float
from sizing.engine.placement import Placement
from sizing.errors import SizingError
from sizing.evidence.calibration import FIRST_TOKEN_SIGMA, FLOOR_SIGMA, Calibration, Shift
from sizing.replay import Flags, replay
from sizing.target import Target

ROUNDS = 6
STEP = 0.05  # of the logarithm of a factor, for the slope
MOST = 1.5  # |log factor|: a server further off is another one than its labels say
ENOUGH = 0.003
PRIOR = 0.03  # weight of the model as it was: a long queue hardly tells decode from prefill
WEIGHTS = np.array([1.0, 0.5])  # a first token is noisier than a step


def fit_trace(path: Path, target: Target, placement: Placement, flags: Flags | None = None) -> Calibration:
    """The calibration whose replay of a trace has the measured mean TPOT and TTFT, by Gauss-Newton on the two logarithms.

    Raises SizingError where the trace has no measured TPOT and TTFT.
    """
    name = Path(path).name

    def shift(logs: FloatArray) -> Calibration:
        decode, prefill = (float(np.exp(x)) for x in logs)
        return Calibration(
            target.engine.name,
            target.accelerator.id,
            Shift(decode, FLOOR_SIGMA, 1),
            Shift(prefill, FIRST_TOKEN_SIGMA / 2, 1),
            (name,),
        )

    def errors(logs: FloatArray) -> FloatArray:
        made = shift(logs)
        moved = replace(target, coefficients=made.apply(target.coefficients), calibration=made)
        found = replay(path, moved, placement, flags).to_dict()["compared"]
        if not {"tpot_s", "ttft_s"} <= set(found):
            hint = "columns measured_ttft_s and measured_tpot_ms"
            raise SizingError("has no measured TPOT and TTFT to calibrate on", key=name, hint=hint)
        return as_float(np.log1p([found["tpot_s"]["error"], found["ttft_s"]["error"]]))

    best = here = np.zeros(2)
    miss = least = errors(here)
    for _ in range(ROUNDS):
        if np.abs(least).max() < ENOUGH:
            break
        slopes = np.column_stack([(errors(here + STEP * axis) - miss) / STEP for axis in np.eye(2)])
        system = np.vstack([slopes * WEIGHTS[:, None], PRIOR * np.eye(2)])
        move = np.linalg.lstsq(system, np.concatenate([-miss * WEIGHTS, -PRIOR * here]), rcond=None)[0]
        here = np.clip(here + np.clip(move, -0.5, 0.5), -MOST, MOST)
        miss = errors(here)
        if np.abs(miss * WEIGHTS).sum() < np.abs(least * WEIGHTS).sum():
            best, least = here, miss
    return shift(best)
