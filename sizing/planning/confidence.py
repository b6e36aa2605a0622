"""How far the figures of a target may be off."""

from __future__ import annotations

from sizing.base.ledger import Spread
from sizing.coefficients.intervals import spread
from sizing.planning.target import Target


def sent_spread(spread: Spread, headroom: float) -> Spread:
    """The spread of a throughput that is sent, not sought: never more, less where the servers are too slow for it.

    headroom: the most that they carry at the likeliest speed over what is sent.
    """
    return Spread(min(headroom * spread.low, 1.0), 1.0, spread.reasons)


def width(target: Target, quantity: str, *, disaggregated: bool = False) -> Spread:
    """How far a figure of this target may be off, from the evidence nearest to it (or the user's own runs)."""
    if target.calibration is not None:
        return target.calibration.spread(quantity)
    return spread(
        quantity,
        engine=target.engine.name,
        family=target.accelerator.family,
        kind=target.arch.kind,
        dtype=target.scheme.experts.name if target.arch.is_moe else target.scheme.linear.name,
        disaggregated=disaggregated,
    )
