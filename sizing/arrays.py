"""The one numeric type of the formulas: a number or a NumPy array of floats; everything broadcasts."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]
Num: TypeAlias = float | int | FloatArray


def as_float(value: Any) -> FloatArray:
    """``value`` as a float64 array (0-dimensional for a scalar)."""
    return np.asarray(value, dtype=np.float64)


def scalar(value: Num) -> float:
    """The plain Python float behind a 0-dimensional or one-element array."""
    return float(np.asarray(value, dtype=np.float64).reshape(-1)[0])
