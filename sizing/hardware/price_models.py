"""Quotes (what was read, with date and source) and what the rules make of them (``Price``)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from sizing.hardware.models import Count, Entry, Fraction, Id, NotNegative, Positive, Text

Basis = Literal["rent", "rent_estimated", "own"]
Term = Literal["on-demand", "reserved", "spot", "serverless"]
DateText = Annotated[str, Field(strict=True, pattern=r"^\d{4}(-\d{2}(-\d{2})?|-Q[1-4])?$")]


def first_day(text: str | None) -> date | None:
    """The first day of the period that a date such as "2026-09-25", "2026-03", "2025-Q2" or "2026" names."""
    if not text:
        return None
    year, _, rest = text.partition("-")
    if not rest:
        return date(int(year), 1, 1)
    if rest.startswith("Q"):
        return date(int(year), 3 * int(rest[1]) - 2, 1)
    month, _, day = rest.partition("-")
    return date(int(year), int(month), int(day or 1))


class RentalQuote(Entry):
    """One provider's price of one accelerator for one hour [USD/h, unless ``currency`` says otherwise]."""

    item: Text
    accelerator: Id
    count: Count = 1
    provider: Text
    region: Text | None = None
    term: Term
    price_per_hour: Positive
    currency: Literal["USD", "CNY", "EUR", "GBP"] = "USD"
    date: DateText | None = None
    source: Text
    note: Text | None = None
    set_aside: Text | None = None


class PurchaseQuote(Entry):
    """What one item costs to buy; ``accelerators`` of them are in it."""

    item: Text
    accelerator: Id | None = None
    accelerators: Count = 1
    scope: Literal["card", "server", "rack"] = "card"
    price: Positive
    low: Positive | None = None
    high: Positive | None = None
    currency: Literal["USD", "CNY", "EUR", "GBP"] = "USD"
    date: DateText | None = None
    source: Text
    note: Text | None = None
    set_aside: Text | None = None


class ApiPrice(Entry):
    """An API price list: money per million tokens, input, cached input and output apart."""

    model: Text
    provider: Text
    input_per_million: NotNegative | None = None
    cached_input_per_million: NotNegative | None = None
    output_per_million: NotNegative | None = None
    currency: Literal["USD", "CNY"] = "USD"
    date: DateText | None = None
    source: Text
    note: Text | None = None


class ExchangeRate(Entry):
    """USD for one unit of a currency."""

    usd: Positive
    date: DateText
    source: Text


class Sibling(Entry):
    """Whose price stands in for an accelerator that has none."""

    use: Id
    factor: Positive = 1.0
    reason: Text


class Assumption(Entry):
    """A number that was chosen, not read: value, unit, and why."""

    value: NotNegative
    unit: Text
    why: Text


class FootprintFactor(Entry):
    """A factor with its range by published figures: value, unit, and which figures."""

    low: NotNegative
    value: NotNegative
    high: NotNegative
    unit: Text
    why: Text

    @model_validator(mode="after")
    def _in_order(self) -> FootprintFactor:
        if not self.low <= self.value <= self.high:
            raise ValueError("low, value and high must be in order")
        return self


class Footprint(Entry):
    """Factors of what energy does not tell; ``sizing.money.footprint`` says what each is."""

    embodied_kg_per_accelerator: FootprintFactor
    water_site_l_per_kwh: FootprintFactor
    water_grid_l_per_kwh: FootprintFactor


class Owning(Entry):
    """The terms of owning that a study leaves open; ``sizing.money.ownership`` says what each is."""

    years: Assumption
    residual_fraction: Assumption
    discount_rate: Assumption
    electricity_usd_per_kwh: Assumption
    pue: Assumption
    hosting_usd_per_kw_month: Assumption
    staff_usd_per_accelerator_year: Assumption
    network_usd_per_accelerator: Assumption
    rack_usd_per_accelerator: Assumption
    maintenance_fraction: Assumption
    average_power_fraction: Assumption

    @model_validator(mode="after")
    def _years_above_zero(self) -> Owning:
        if self.years.value <= 0:
            raise ValueError("years must be above zero")
        return self


_OLDER_KEYS = {
    "years": "years",
    "pue": "pue",
    "electricity_usd_per_kwh": "electricity_usd_per_kwh",
    "average_power": "average_power_fraction",
}


class PriceAssumptions(Entry):
    """What the price rules assume; every one can be overridden in a user's file. last_checked: the day on which newer
    prices were last looked for."""

    last_checked: DateText | None = None
    recent_days: Count
    least_providers: Count
    owning: Owning
    footprint: Footprint
    server_share: Assumption
    host_power_share: Assumption
    least_margin_parts: Count
    system_power_kw: dict[str, Assumption] = Field(default_factory=dict)
    exchange_rates: dict[str, ExchangeRate] = Field(default_factory=dict)
    siblings: dict[str, Sibling] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _older_keys(cls, data: Any) -> Any:
        """The terms of owning stood one level higher before 0.2; files of that time are read still."""
        if not isinstance(data, dict) or not any(key in data for key in _OLDER_KEYS):
            return data
        owning = {key: dict(value) for key, value in data.get("owning", {}).items()}
        for old, new in _OLDER_KEYS.items():
            if isinstance(data.get(old), dict):
                owning[new] = {**owning.get(new, {}), **data[old]}
        return {**{key: value for key, value in data.items() if key not in _OLDER_KEYS}, "owning": owning}


@dataclass(frozen=True, slots=True)
class Price:
    """A price by a stated rule: ``usd`` per ``unit`` ("accelerator-hour" or "accelerator").

    ``low`` and ``high`` are the range of the quotes behind it, ``newest`` and ``oldest`` their dates. ``basis``: what
    the figure is: ``rent`` (quoted), ``rent_estimated`` (an owner's cost with a provider's margin), ``own``.
    ``purchase_usd``: what one accelerator costs to buy, where an hour rests on it [USD].
    """

    accelerator: str
    usd: float
    unit: str
    term: str
    rule: str
    low: float
    high: float
    quotes: int
    newest: str | None
    oldest: str | None
    providers: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()
    derived: bool = False
    basis: Basis = "rent"
    purchase_usd: float | None = None


@dataclass(frozen=True, slots=True)
class RentMargin:
    """Rent over the cost of owning, over the parts whose rent and price are both known: deciles and median [1]."""

    low: float
    median: float
    high: float
    parts: tuple[str, ...]


__all__ = [
    "ApiPrice", "Assumption", "Basis", "ExchangeRate", "Fraction", "Owning", "Price", "PriceAssumptions", "PurchaseQuote",
    "RentMargin", "RentalQuote", "Sibling", "Term", "first_day",
]  # fmt: skip
