"""From measured and predicted times to the shift of a calibration, by Bayes' rule for lognormal factors."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sizing.base.ledger import Spread
from sizing.coefficients.calibration import RUN_SIGMA, Z90, Shift

FLOOR_SIGMA = 0.04


def posterior(log_ratios: Sequence[float], prior_sigma: float, run_sigma: float = RUN_SIGMA) -> Shift:
    """The shift after runs whose logarithms of measured over predicted are ``log_ratios``, each ``run_sigma`` sure."""
    if not log_ratios:
        return Shift(1.0, prior_sigma, 0)
    precision = 1 / prior_sigma**2 + len(log_ratios) / run_sigma**2
    mean = sum(log_ratios) / run_sigma**2 / precision
    sigma = max(math.sqrt(1 / precision), FLOOR_SIGMA)
    return Shift(math.exp(mean), sigma, len(log_ratios))


def prior_sigma(width: Spread) -> float:
    """The standard deviation of the logarithm behind an 80% interval."""
    return max((math.log(width.high) - math.log(width.low)) / (2 * Z90), 1e-3)
