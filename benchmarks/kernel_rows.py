"""What kernel fits are made of: the machines measured, one curve with its rows, and what all readers share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from sizing.coefficients.kernels import KernelCurves, MachineRates

T = 1e12
MACHINES = {
    "a100_sxm": MachineRates("a100_sxm", "ampere", 312 * T, 0, 624 * T, 0, 2.039 * T, 108, 300e9, 25e9),
    "h100_sxm": MachineRates("h100_sxm", "hopper", 989 * T, 1979 * T, 1979 * T, 0, 3.35 * T, 132, 450e9, 50e9),
    "h200_sxm": MachineRates("h200_sxm", "hopper", 989 * T, 1979 * T, 1979 * T, 0, 4.8 * T, 132, 450e9, 50e9),
    "l40s": MachineRates("l40s", "ada", 362.05 * T, 733 * T, 733 * T, 0, 0.864 * T, 142, 31e9, 25e9, fabric="pcie"),
    "b200_sxm": MachineRates(
        "b200_sxm",
        "blackwell",
        2250 * T,
        4500 * T,
        4500 * T,
        9000 * T,
        7.7 * T,
        148,
        900e9,
        50e9,
    ),
    "ascend_910b": MachineRates(
        "ascend_910b",
        "ascend-910b",
        353.9 * T,
        0,
        707.8 * T,
        0,
        1.6 * T,
        24,
        196e9,
        25e9,
        fabric="hccs",
    ),
}

Frame = pd.DataFrame
Predict = Callable[[MachineRates, Frame, KernelCurves], Any]


@dataclass
class Problem:
    """One curve to fit: rows of one family and key, a prediction, a start and what the fit may move."""

    operation: str
    key: str
    rows: Frame  # with columns system, engine, us, w
    predict: Predict
    start: Any
    free: dict[str, tuple[float, float]]
    source: str
    note: str = ""
    stats: dict[str, Any] = field(default_factory=dict)

    @property
    def family(self) -> str:
        return MACHINES[str(self.rows.system.iloc[0])].family


def blocks(frame: Frame, size: int) -> Frame:
    """Number the runs of ``size`` rows of each system and engine: the files hold one dtype after the
    other."""
    frame["block"] = frame.groupby(["system", "engine"], sort=False).cumcount() // size
    return frame


def resident(frame: Frame, data: Any) -> Any:
    """Rows whose data stay in L2 between repetitions, which in a model they would not (seen on L40S, 96
    MB)."""
    return (frame.system == "l40s") & (data < 96e6) & (data > 1e6)


def families_of(frame: Frame) -> Any:
    return frame.system.map({s: m.family for s, m in MACHINES.items()})
