"""What a plan costs: from the price of an accelerator-hour to tokens, requests, months, energy and carbon."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sizing.base.arrays import scalar
from sizing.base.ledger import Interval, Spread
from sizing.hardware.loader import Catalog
from sizing.hardware.price_models import Price
from sizing.money.footprint import Span, embodied_g_per_million_tokens, water_l_per_million_tokens
from sizing.money.ownership import HOURS_PER_MONTH, ownership_terms
from sizing.money.tokens import carbon_g_per_million_tokens, energy_wh_per_million_tokens, token_cost
from sizing.planning.candidates import Demand
from sizing.planning.result import Plan
from sizing.study import Study


@dataclass(frozen=True, slots=True)
class PlanMoney:
    """USD and watt-hours of a whole plan; None where no price (or no power) is known."""

    usd_per_hour: float | None
    usd_per_month: float | None
    cost: dict[str, Interval]
    energy_wh_per_million_tokens: float | None
    carbon_g_per_million_tokens: float | None
    footprint: dict[str, Span]


def plan_money(
    study: Study,
    demand: Demand,
    catalog: Catalog,
    *,
    accelerators: int,
    peak_requests_per_s: float,
    prefill_share: float,
    usd_per_accelerator_hour: float | None,
    price: Price | None,
    power_w: float,
    throughput: Spread,
    whole: float = 1.0,
) -> PlanMoney:
    """The money of ``accelerators`` that serve a demand; costs are over the whole day, idle hours included.

    power_w: draw of one accelerator with its share of the server [W]. throughput: how far the speed may be off: a plan
    is dear per token where it is slow. price: the catalog's price behind the hour; an estimated rent adds its own range.
    whole: how much of a whole accelerator each is: 1, or a slice's share [1].
    """
    rate = peak_requests_per_s * study.workload.daily.utilization
    usd_hour = None if usd_per_accelerator_hour is None else usd_per_accelerator_hour * accelerators
    cost: dict[str, Interval] = {}
    if usd_hour is not None:
        cheap, dear = _spread(throughput, price)
        each = token_cost(
            usd_hour,
            rate,
            demand.input_tokens,
            demand.output_tokens,
            prefill_share,
            study.workload.prefix_cache_hit_rate,
        )
        for name in (
            "usd_per_million_input_tokens",
            "usd_per_million_output_tokens",
            "usd_per_million_cached_input_tokens",
            "usd_per_million_tokens",
            "usd_per_request",
        ):
            value = scalar(getattr(each, name))
            cost[name] = Interval(value * cheap, value, value * dear)
    tokens = rate * (demand.input_tokens + demand.output_tokens)
    energy = carbon = None
    footprint: dict[str, Span] = {}
    terms, factors = ownership_terms(catalog, study.money.own), catalog.price_assumptions.footprint
    if tokens:
        footprint["embodied_carbon_g_per_million_tokens"] = embodied_g_per_million_tokens(
            factors.embodied_kg_per_accelerator, accelerators * whole, terms.years, tokens
        )
    if power_w and tokens:
        pue = terms.pue
        energy = float(energy_wh_per_million_tokens(power_w * accelerators, pue, tokens))
        carbon = float(carbon_g_per_million_tokens(energy, study.money.grid_g_per_kwh))
        footprint["water_l_per_million_tokens"] = water_l_per_million_tokens(
            factors.water_site_l_per_kwh, factors.water_grid_l_per_kwh, energy, pue
        )
    return PlanMoney(
        usd_per_hour=usd_hour,
        usd_per_month=None if usd_hour is None else usd_hour * HOURS_PER_MONTH,
        cost=cost,
        energy_wh_per_million_tokens=energy,
        carbon_g_per_million_tokens=carbon,
        footprint=footprint,
    )


def _spread(throughput: Spread, price: Price | None) -> tuple[float, float]:
    """What a cost may be of its middle, at least and at most (p10, p90) [1].

    Speed alone where the rent is quoted; the range of an estimated rent, or of a cost of owning, joins it as an
    independent factor (the logarithms add as squares).
    """
    low, high = -math.log(throughput.high), -math.log(throughput.low)
    if price is not None and price.basis != "rent":
        low = -math.hypot(low, math.log(price.low / price.usd))
        high = math.hypot(high, math.log(price.high / price.usd))
    return math.exp(low), math.exp(high)


def close_call(ranked: Sequence[Plan]) -> str | None:
    """A sentence where the first plan's price, or the one it beats, is estimated and its range holds the other; else None.

    ranked: plans with prices, cheapest first. The other is the cheapest plan on other accelerators.
    """
    first = ranked[0] if ranked else None
    if first is None or not first.usd_per_hour:
        return None
    other = next((p for p in ranked if p.accelerator != first.accelerator and p.usd_per_hour), None)
    if other is None or not any(p.price and p.price.basis != "rent" for p in (first, other)):
        return None
    dear, cheap = _at(first, "high"), _at(other, "low")
    if dear < cheap:
        return None
    return (
        f"{first.accelerators} x {first.accelerator} beats {other.accelerators} x {other.accelerator} by less than "
        f"prices are known: {_what(first, other)} put the first at up to ${dear:,.2f} an hour and the second at "
        f"${cheap:,.2f} at least. "
        "Ask for quotes before you choose."
    )


def _what(first: Plan, other: Plan) -> str:
    owned = any(plan.price and plan.price.basis == "own" for plan in (first, other))
    return "quotes to buy" if owned else "estimated rents"


def _at(plan: Plan, end: Literal["low", "high"]) -> float:
    """The plan's price at one end of an estimated rent's or owning cost's range [USD/h]; as it is where quoted."""
    hour = plan.usd_per_hour or 0.0
    if plan.price is None or plan.price.basis == "rent":
        return hour
    return hour * float(getattr(plan.price, end)) / plan.price.usd


def in_currency(plan: Plan, currency: str, catalog: Catalog) -> dict[str, Any] | None:
    """The plan's cost in a currency, with the rate, its date and source; None for USD and for a plan without a price."""
    rate = catalog.price_assumptions.exchange_rates.get(currency)
    if rate is None or plan.usd_per_hour is None or plan.usd_per_month is None:
        return None
    return {
        "currency": currency,
        "usd": rate.usd,
        "date": rate.date,
        "source": rate.source,
        "per_hour": plan.usd_per_hour / rate.usd,
        "per_month": plan.usd_per_month / rate.usd,
        **{name.removeprefix("usd_"): cost.p50 / rate.usd for name, cost in plan.cost.items()},
    }
