"""What a million tokens cost the climate and the water beside the energy: embodied carbon and water, as ranges."""

from __future__ import annotations

from dataclasses import dataclass

from sizing.hardware.price_models import FootprintFactor
from sizing.money.ownership import HOURS_PER_YEAR


@dataclass(frozen=True, slots=True)
class Span:
    """A figure and its range by the sources of its factor: low <= value <= high."""

    low: float
    value: float
    high: float

    def to_dict(self) -> dict[str, float]:
        """Plain data."""
        return {"low": self.low, "value": self.value, "high": self.high}


def embodied_g_per_million_tokens(
    factor: FootprintFactor, accelerators: float, years: float, tokens_per_s: float
) -> Span:
    """Carbon of making the hardware, spread over its years of use and the tokens served [g CO2e per million tokens].

    factor: [kg CO2e per accelerator, its share of the server in it]. accelerators: whole ones, a slice its share. Valid for
    machines that are used all their years.

    >>> from sizing.hardware import load_catalog
    >>> factor = load_catalog().price_assumptions.footprint.embodied_kg_per_accelerator
    >>> round(embodied_g_per_million_tokens(factor, 8, 4, 5000).value, 1)
    4.0
    """
    each = accelerators * 1000.0 / (years * HOURS_PER_YEAR * 3600.0) / max(tokens_per_s, 1e-300) * 1e6
    return Span(factor.low * each, factor.value * each, factor.high * each)


def water_l_per_million_tokens(
    site: FootprintFactor, grid: FootprintFactor, energy_wh_per_million_tokens: float, pue: float
) -> Span:
    """Water that evaporates at the site's cooling and where its electricity is made [litres per million tokens].

    site: [L per kWh at the servers]. grid: [L per kWh at the meter]. energy: at the meter [Wh per million tokens].
    """
    meter = energy_wh_per_million_tokens / 1000.0
    low, value, high = (
        getattr(site, end) * meter / pue + getattr(grid, end) * meter for end in ("low", "value", "high")
    )
    return Span(low, value, high)
