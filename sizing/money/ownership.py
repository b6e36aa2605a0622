"""What it costs to own an accelerator: the one price of owning, line by line.

Every face reads it: the plan under ``money.mode: own``, the report's ledger and sheet, the price of a part that nobody
rents out. What the study leaves open is the catalog's assumption (``price_assumptions.owning``).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from sizing.base.errors import SizingError
from sizing.hardware.models import Accelerator, Server
from sizing.hardware.price_models import Price
from sizing.hardware.servers import default_server
from sizing.money.quotes import NoPriceError, dated, purchase_price

if TYPE_CHECKING:
    from sizing.hardware.loader import Catalog
    from sizing.study import Ownership

HOURS_PER_YEAR = 8760.0
HOURS_PER_MONTH = HOURS_PER_YEAR / 12.0


@dataclass(frozen=True, slots=True)
class OwnershipTerms:
    """The terms of owning, all resolved.

    years: of use [years]. residual_fraction: of the server's price, left at the end [1]. discount_rate: [1/year].
    electricity_usd_per_kwh: [USD/kWh]. pue: facility power over server power [1]. hosting_usd_per_kw_month: space and
    cooling [USD/kW-month]. staff_usd_per_accelerator_year: [USD/year]. network_usd_per_accelerator,
    rack_usd_per_accelerator: outside the server [USD]. maintenance_fraction: of the capital [1/year].
    average_power_fraction: of the most that the server draws, drawn on average [1].
    """

    years: float
    residual_fraction: float
    discount_rate: float
    electricity_usd_per_kwh: float
    pue: float
    hosting_usd_per_kw_month: float
    staff_usd_per_accelerator_year: float
    network_usd_per_accelerator: float
    rack_usd_per_accelerator: float
    maintenance_fraction: float
    average_power_fraction: float


def ownership_terms(catalog: Catalog, own: Ownership | None = None) -> OwnershipTerms:
    """The catalog's assumptions, with what a study states in their place."""
    rules = catalog.price_assumptions.owning
    found: dict[str, float] = {}
    for field in fields(OwnershipTerms):
        stated = None if own is None else getattr(own, field.name)
        found[field.name] = getattr(rules, field.name).value if stated is None else stated
    return OwnershipTerms(**found)


def annuity(rate: float, years: float) -> float:
    """Yearly payment that repays one unit over ``years`` at discount ``rate`` (a fraction a year) [1/year].

    ``rate / (1 - (1 + rate)**-years)``; ``1 / years`` where the rate is zero. Raises SizingError unless years > 0 and
    rate > -1.

    >>> round(annuity(0.08, 4), 4)
    0.3019
    """
    if years <= 0 or rate <= -1:
        raise SizingError(f"an annuity needs years > 0 and a rate > -1, not {years} and {rate}", key="money.own")
    if rate == 0:
        return 1.0 / years
    return float(rate / -np.expm1(-years * np.log1p(rate)))


@dataclass(frozen=True, slots=True)
class OwnershipLine:
    """One line of the yearly bill of an owned accelerator [USD per accelerator and year]."""

    name: str
    usd_per_year: float
    formula: str


def ownership_lines(capital_usd: float, power_w: float, terms: OwnershipTerms) -> list[OwnershipLine]:
    """The yearly cost of owning one accelerator, line by line.

    capital_usd: one accelerator with its share of the server [USD]. power_w: its average draw, the host's share in it
    [W]. Capital is repaid as an annuity; what the machine is still worth at the end is discounted back and taken off.
    Valid for whole servers that run all year; an idle hour costs as much as a busy one.

    >>> from sizing.hardware import load_catalog
    >>> lines = ownership_lines(35_000, 1_020, ownership_terms(load_catalog()))
    >>> [(line.name, round(line.usd_per_year)) for line in lines][:2]
    [('capital', 10334), ('electricity', 1162)]
    """
    capex = capital_usd + terms.network_usd_per_accelerator + terms.rack_usd_per_accelerator
    residual = terms.residual_fraction * capital_usd / (1 + terms.discount_rate) ** terms.years
    kw = power_w / 1000
    return [
        OwnershipLine(
            "capital",
            (capex - residual) * annuity(terms.discount_rate, terms.years),
            f"({capex:,.0f} - residual {residual:,.0f} USD) as an annuity over {terms.years:g} years "
            f"at {terms.discount_rate:.1%}",
        ),
        OwnershipLine(
            "electricity",
            kw * terms.pue * HOURS_PER_YEAR * terms.electricity_usd_per_kwh,
            f"{kw:.3f} kW x PUE {terms.pue:g} x 8,760 h x {terms.electricity_usd_per_kwh:g} USD/kWh",
        ),
        OwnershipLine(
            "hosting",
            kw * terms.hosting_usd_per_kw_month * 12,
            f"{kw:.3f} kW x {terms.hosting_usd_per_kw_month:g} USD/kW-month x 12",
        ),
        OwnershipLine("staff", terms.staff_usd_per_accelerator_year, "stated per accelerator and year"),
        OwnershipLine(
            "maintenance",
            terms.maintenance_fraction * capex,
            f"{terms.maintenance_fraction:.1%} of {capex:,.0f} USD a year",
        ),
    ]


def owned_usd_per_hour(lines: list[OwnershipLine]) -> float:
    """USD per accelerator-hour of an owned machine, every hour of the year counted, used or not."""
    return sum(line.usd_per_year for line in lines) / HOURS_PER_YEAR


def server_kilowatts(accelerator: Accelerator, server: Server, catalog: Catalog) -> tuple[float | None, str, bool]:
    """The most that a server draws [kW], accelerators and host; where the figure is from; whether it is assumed.

    The server's own figure, else the catalog's for the system, else the accelerators' rated power and a stated share of
    it for the host. None where not even the rated power is known.
    """
    rules, count = catalog.price_assumptions, server.accelerator_count
    if server.max_power_kw is not None:
        return server.max_power_kw, f"catalog, server {server.id}", "max_power_kw" in server.unsourced
    stated = rules.system_power_kw.get(accelerator.id)
    if stated is not None:
        return stated.value * count, f"{stated.value:g} {stated.unit} ({stated.why})", True
    if accelerator.tdp_w is None:
        return None, "", True
    share = rules.host_power_share.value
    said = f"assumption: {accelerator.tdp_w:g} W an accelerator and {share:g} of that for the host"
    return count * accelerator.tdp_w / 1000 * (1 + share), said, True


def average_watts(
    accelerator: Accelerator, server: Server, catalog: Catalog, terms: OwnershipTerms
) -> tuple[float | None, str]:
    """Average draw of one accelerator with its share of the host [W], and where it is from; None where it is not known."""
    most, where, _ = server_kilowatts(accelerator, server, catalog)
    each = None if most is None else most * 1000.0 / server.accelerator_count * terms.average_power_fraction
    return each, where


@dataclass(frozen=True, slots=True)
class OwnedHour:
    """An owned accelerator's hour [USD]: the figure, its range by the quotes, the bill behind it.

    capital_usd: one accelerator with its share of the server [USD]. power_w: its average draw [W]. bought: the catalog's
    purchase price; None where the study states the server's price. said: how it came about, in words.
    """

    usd: float
    low: float
    high: float
    capital_usd: float
    power_w: float
    lines: tuple[OwnershipLine, ...]
    bought: Price | None
    said: tuple[str, ...]


def owned_hour(
    accelerator: Accelerator,
    catalog: Catalog,
    terms: OwnershipTerms,
    *,
    server: Server | None = None,
    server_usd: float | None = None,
) -> OwnedHour:
    """What owning one accelerator costs per hour: whole servers, host power, network and rack.

    server_usd: price of a whole server [USD]; None takes the catalog's purchase price (a card's price takes the host
    beside it by ``server_share``). Raises SizingError where neither a price nor its power is known.
    """
    server = server or default_server(accelerator.id, catalog)
    power, where = average_watts(accelerator, server, catalog, terms)
    if power is None:
        hint = f"set tdp_w in a file of your own, or give --price {accelerator.id}=USD_PER_HOUR"
        raise NoPriceError("its power is not known, so no price can be derived", key=accelerator.id, hint=hint)
    bought, said, low, high = None, [], 1.0, 1.0
    if server_usd is not None:
        capital = server_usd / server.accelerator_count
    else:
        bought = purchase_price(accelerator.id, catalog)
        share = catalog.price_assumptions.server_share
        capital = bought.usd * (1 + share.value) if bought.term == "card" else bought.usd
        low, high = bought.low / bought.usd, bought.high / bought.usd
        said += [f"{accelerator.id}: ${bought.usd:,.0f} to buy one ({bought.rule}; quotes to {dated(bought)})"]
        said += list(bought.assumptions)
        if bought.term == "card":
            said.append(f"the server's host and chassis add {share.value:g} {share.unit} ({share.why})")
    lines = ownership_lines(capital, power, terms)
    said.append(f"{power / 1000:.3g} kW an accelerator on average, host included ({where})")
    said += [f"owning, {line.name}: ${line.usd_per_year:,.0f} a year ({line.formula})" for line in lines]
    said.append("an idle hour costs as much as a busy one")

    def hour(factor: float) -> float:
        return owned_usd_per_hour(ownership_lines(capital * factor, power, terms))

    return OwnedHour(hour(1.0), hour(low), hour(high), capital, power, tuple(lines), bought, tuple(said))
