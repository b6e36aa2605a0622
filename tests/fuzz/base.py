"""What a fuzz target is, and the real files that inputs are made of."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


BENCH = ROOT / "tests" / "data" / "bench"


CATALOG = ROOT / "sizing" / "model" / "catalog"


# Results that may be below 0: differences and changes, by the path of the key.
NEGATIVE = re.compile(r"difference|disputes|sensitivit|saving|change|residual|bias|break_even|margin|log_")


Mutation = Callable[[random.Random, bytes], bytes]


@dataclass(frozen=True)
class Target:
    """``run(data, folder)`` gives complaints; it may write to ``folder`` only. ``weight``: share of a long run."""

    name: str
    seeds: Callable[[], list[bytes]]
    mutate: Mutation
    run: Callable[[bytes, Path], list[str]]
    weight: float = 1.0


def files(*patterns: str, most: int = 10_000) -> list[bytes]:
    found = [path.read_bytes() for pattern in patterns for path in sorted(ROOT.glob(pattern))]
    return [data for data in found if len(data) <= most]
