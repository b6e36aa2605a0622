"""The one numeric type of the formulas: a number or a NumPy array of floats; everything broadcasts."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]
Num: TypeAlias = float | int | FloatArray
DOUBLE = np.dtype(np.float64)


def as_float(value: Any) -> FloatArray:
    """``value`` as float64: an array, or a NumPy scalar for a scalar (an array's methods at a tenth of the time)."""
    kind = type(value)
    if kind is np.float64:
        return value  # type: ignore[no-any-return]
    if kind is float or kind is int:
        return np.float64(value)  # type: ignore[return-value]
    if kind is np.ndarray and value.dtype is DOUBLE and value.ndim:
        return value  # type: ignore[no-any-return]
    found = np.asarray(value, dtype=np.float64)
    return found if found.ndim else found[()]


def scalar(value: Num) -> float:
    """The plain Python float behind a 0-dimensional or one-element array."""
    if isinstance(value, float | int):  # a NumPy float64 is a float
        return float(value)
    return float(np.asarray(value, dtype=np.float64).reshape(-1)[0])
