"""What answers are made of: lines of working, and figures with how far they may be off."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Spread:
    """An 80% interval as factors: p10 = p50 * low, p90 = p50 * high. reasons: why it is as wide as it is."""

    low: float
    high: float
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Interval:
    """A prediction: nine times in ten the true figure is above p10, and nine in ten below p90."""

    p10: float
    p50: float
    p90: float

    @classmethod
    def around(cls, value: float, width: Spread) -> Interval:
        """The interval of a median with the factors of a spread below and above it."""
        return cls(value * width.low, value, value * width.high)

    def inverse_of(self, factor: float) -> Interval:
        """The interval of ``factor / x``: high where this one is low."""
        return Interval(factor / self.p90, factor / self.p50, factor / self.p10)

    def to_dict(self) -> dict[str, float]:
        """The three figures by name, in the interval's own unit."""
        return {"p10": self.p10, "p50": self.p50, "p90": self.p90}


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """One line of working: name, value, unit, the formula in words, its inputs."""

    name: str
    value: float
    unit: str
    formula: str
    inputs: dict[str, float | str] = field(default_factory=dict)
