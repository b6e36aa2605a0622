"""Whether the lines of a memory ledger go into the memory, the fraction at which they do, and why not, in words.

Every engine's cache pool is linear in its memory fraction u, so what the lines take in all is linear too:
``weights + activation + runtime + graphs + pool(0) + u (pool(1) - pool(0))``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sizing.coefficients.memory import constant
from sizing.engine.base import GIB, Device, Engine

PLACES = 1000  # a fraction found is rounded down to three places, as launch files write it
ROUNDING = 1.0  # bytes by which floating-point sums may differ
SEEN = 10 * 1024  # bytes that six places of a GiB show


def most_fraction(engine: Engine, device: Device, weights: Any, activation: Any, runtime: Any, graphs: Any) -> Any:
    """The highest memory fraction at which all lines go into the memory; 0 or less where none does.

    Never above what the engine's guides set, and with room for the worst error of the predicted activation peak and
    graphs. Numbers or arrays [bytes]; rounded down to three places.
    """
    margin = constant("search_margin", "activation") * activation + constant("search_margin", "graphs") * graphs
    empty, full = (engine.pool_bytes(device, weights, activation, runtime, graphs, part) for part in (0.0, 1.0))
    room = device.total_bytes - weights - activation - runtime - graphs - margin - empty
    slope = np.maximum(np.asarray(full) - empty, 1.0)
    fraction = np.floor(np.minimum(room / slope, engine.most_utilization()) * PLACES) / PLACES
    return np.where(weights + activation + runtime + graphs + margin > device.total_bytes, 0.0, fraction)


def found_fraction(engine: Engine, default: float, used: float, context: int) -> str:
    """What to say where the engine's default fraction could not work and another one is used."""
    why = (
        f"leaves less than one request of {context:,} tokens"
        if used > default
        else "leaves too little for activations and graphs"
    )
    return (
        f"memory fraction {used:g}, set by the launch files: the default of {engine.name} {engine.version_text} here, "
        f"{default:g}, {why}"
    )


def shortage(usable: float, terms: tuple[float, float, float, float], pool: float, fraction: float, context: int,
             most: float) -> str:  # fmt: skip
    """Why a model does not fit on one accelerator, as a sum that adds up as it is printed [bytes in, GiB out].

    terms: weights, activation peak, runtime, graphs. most: the highest fraction at which all of it goes in.
    """
    kept = usable - sum(terms) - pool
    if sum(terms) > usable:
        return _too_much(usable, terms)
    if kept < -ROUNDING:
        known = _too_much(usable, (*terms, pool), "cache pool", f" (memory fraction {fraction:g})")
        return f"{known}: lower the fraction to {most:g}" if most > 0 else f"{known}: no fraction leaves room for all"
    if pool < -SEEN:
        return _too_much(usable, (*terms, kept), "kept free", f" (memory fraction {fraction:g})")
    places = 1 if round(pool / GIB, 1) else 2
    total, left = round(usable / GIB, places), round(max(pool, 0.0) / GIB, places)
    parts = [round(size / GIB, places) for size in terms]
    kept = round(total - sum(parts) - left, places) + 0.0
    named = _named([*parts, kept], places, "kept free")
    return (
        f"{named} (memory fraction {fraction:g}) leave {left:.{places}f} of {total:.{places}f} GiB per accelerator "
        f"for the cache, less than one request of {context:,} tokens needs"
    )


def _named(sizes: Sequence[float], places: int, last: str) -> str:
    """The parts of a sum by name; ``last`` is the name of the fifth."""
    names = ("weights", "activation peak", "runtime", "graphs", last)
    return " + ".join(f"{name} {size:.{places}f}" for name, size in zip(names, sizes, strict=False))


def _too_much(usable: float, sizes: Sequence[float], last: str = "", note: str = "") -> str:
    """A sum that is more than the memory, to as many places as it takes to see it."""
    for places in (1, 2, 3, 6):
        parts = [round(size / GIB, places) for size in sizes]
        taken, total = round(sum(parts), places), round(usable / GIB, places)
        if taken > total:
            break
    named = _named(parts, places, last)
    return f"{named}{note} are {taken:.{places}f} GiB per accelerator, more than its {total:.{places}f} GiB"
