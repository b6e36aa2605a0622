"""Numbers for people: units and sensible digits. GiB is 2**30 and is what memory is given in."""

from __future__ import annotations

import math

GIB = float(2**30)


def gib(size: float) -> str:
    """Bytes as GiB: ``gib(86973087744)`` -> ``'81.0 GiB'``."""
    value = size / GIB
    return f"{value:,.0f} GiB" if abs(value) >= 1000 else f"{digits(value)} GiB"


def digits(value: float, count: int = 3) -> str:
    """``value`` with ``count`` significant digits, thousands separated, no exponent for everyday sizes."""
    if not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    places = max(0, count - 1 - math.floor(math.log10(abs(value))))
    if places > 8:
        return f"{value:.2g}"
    return f"{value:,.{places}f}"


def whole_or_digits(value: float) -> str:
    """A number of things: ``32``, ``16,384``, or three digits where it is no whole number (``34.4``)."""
    return f"{value:,.0f}" if math.isfinite(value) and value == round(value) else digits(value)


def seconds(value: float) -> str:
    """A duration: µs, ms or s."""
    if not math.isfinite(value):
        return "–"
    if abs(value) < 1e-3:
        return f"{digits(value * 1e6)} µs"
    if abs(value) < 1.0:
        return f"{digits(value * 1e3)} ms"
    return f"{digits(value)} s"


def count(value: float) -> str:
    """A large count: ``count(235093634560)`` -> ``'235B'``."""
    for factor, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K")):
        if abs(value) >= factor:
            return f"{digits(value / factor)}{letter}"
    return digits(value)


def usd(value: float) -> str:
    """Money: cents for small sums, none for large ones."""
    if not math.isfinite(value):
        return "–"
    if abs(value) >= 1000:
        return f"${value:,.0f}"
    if abs(value) >= 1:
        return f"${value:,.2f}"
    return f"${digits(value)}"
