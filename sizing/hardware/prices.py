"""Prices by stated rules from dated quotes; every price carries its rule, range, dates and assumptions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import date, timedelta
from statistics import median
from typing import Any

from sizing.dates import today
from sizing.errors import SizingError
from sizing.hardware.loader import Catalog, load_catalog
from sizing.hardware.models import Accelerator
from sizing.hardware.price_models import (
    ApiPrice,
    Price,
    PriceAssumptions,
    PurchaseQuote,
    RentalQuote,
    first_day,
)
from sizing.hardware.servers import default_server

HOURS_PER_YEAR = 8766.0
STALE_DAYS = 90
STALE = f"older than {STALE_DAYS} days"
AnyPrice = Price | ApiPrice | RentalQuote | PurchaseQuote


class NoPriceError(SizingError):
    """No price is known and none can be derived; the hint says how to give one."""


def _no_price(accelerator: str, what: str) -> NoPriceError:
    hint = f"give one with --price {accelerator}=USD_PER_HOUR"
    return NoPriceError(f"no {what} is known", key=accelerator, hint=hint)


def _dates(texts: Iterable[str | None]) -> tuple[str | None, str | None]:
    """(newest, oldest) of dates as printed."""
    known = sorted((t for t in texts if t), key=lambda t: (first_day(t) or date.min, t))
    return (known[-1], known[0]) if known else (None, None)


def _to_usd(amount: float, currency: str, assumptions: PriceAssumptions, said: list[str]) -> float:
    """The amount in USD [USD]; the rate used is added to ``said``."""
    if currency == "USD":
        return amount
    rate = assumptions.exchange_rates.get(currency)
    if rate is None:
        raise SizingError(f"no exchange rate for {currency}", key="price_assumptions.exchange_rates")
    text = f"{currency} converted at {rate.usd:g} USD (rate of {rate.date})"
    if text not in said:
        said.append(text)
    return amount * rate.usd


def rental_price(accelerator_id: str, term: str = "on-demand", catalog: Catalog | None = None) -> Price:
    """The price of one accelerator for one hour [USD] under a term: on-demand, reserved, spot or serverless.

    Rule: the quotes dated to the month or the day within ``recent_days`` of the newest one, one figure per
    provider (the median over its regions and shapes), the median of these. With fewer than
    ``least_providers`` providers all quotes of the term count. A part of an accelerator costs its share.
    ``NoPriceError`` where there are no quotes.
    """
    catalog = catalog or load_catalog()
    accelerator, _ = catalog.resolve(accelerator_id)
    if accelerator.parent:
        return _share(rental_price(accelerator.parent, term, catalog), accelerator)
    rules = catalog.price_assumptions
    quotes = [
        q for q in catalog.rental_quotes
        if q.accelerator == accelerator.id and q.term == term and q.set_aside is None
    ]  # fmt: skip
    if not quotes:
        raise _no_price(accelerator.id, f"{term} rental price")
    chosen = _recent(quotes, rules.recent_days)
    scope = f"quotes within {rules.recent_days} days of the newest"
    if len({q.provider for q in chosen}) < rules.least_providers:
        chosen, scope = quotes, f"all quotes (fewer than {rules.least_providers} providers have recent ones)"
    said: list[str] = []
    by_provider: dict[str, list[float]] = defaultdict(list)
    for quote in chosen:
        by_provider[quote.provider].append(_to_usd(quote.price_per_hour, quote.currency, rules, said))
    figures = [median(values) for values in by_provider.values()]
    return _from_quotes(
        accelerator,
        figures,
        chosen,
        said,
        unit="accelerator-hour",
        term=term,
        rule=f"median over {len(figures)} providers (each the median of its regions and shapes) of {scope}",
        providers=tuple(sorted(by_provider)),
    )


def _from_quotes(
    accelerator: Accelerator,
    figures: list[float],
    chosen: Sequence[RentalQuote] | Sequence[PurchaseQuote],
    said: list[str],
    **facts: Any,
) -> Price:
    """The median of ``figures`` [USD] with the span, the dates and the sources of the quotes behind them."""
    newest, oldest = _dates(q.date for q in chosen)
    return Price(
        accelerator=accelerator.id,
        usd=float(median(figures)),
        low=min(figures),
        high=max(figures),
        quotes=len(chosen),
        newest=newest,
        oldest=oldest,
        sources=tuple(dict.fromkeys(q.source for q in chosen)),
        assumptions=tuple(said),
        **facts,
    )


def _recent(quotes: list[RentalQuote], days: int) -> list[RentalQuote]:
    """The quotes dated at least to the month, no more than ``days`` before the newest of them."""
    dated = [(first_day(q.date), q) for q in quotes if q.date and "-" in q.date]
    newest = max((d for d, _ in dated if d), default=None)
    if newest is None:
        return []
    return [q for d, q in dated if d and newest - d <= timedelta(days=days)]


def _share(price: Price, accelerator: Accelerator) -> Price:
    """The parent's price times the part's share."""
    share = accelerator.fraction_of_parent or 1.0
    said = f"{accelerator.id} is priced at {share:.4g} of {price.accelerator}"
    return replace(_scaled(price, share), accelerator=accelerator.id, assumptions=(*price.assumptions, said))


def _scaled(price: Price, factor: float) -> Price:
    return replace(price, usd=price.usd * factor, low=price.low * factor, high=price.high * factor)


def purchase_price(accelerator_id: str, catalog: Catalog | None = None) -> Price:
    """What one accelerator costs to buy [USD].

    Rule: the median of dated quotes of the card alone in USD; else of undated ones; else of quotes in other
    currencies; else the price of a server or rack divided by its accelerators (``term`` is then "server" or
    "rack"). Where there is none at all, the sibling's that the catalog names, which is then an assumption.
    """
    catalog = catalog or load_catalog()
    accelerator, _ = catalog.resolve(accelerator_id)
    if accelerator.parent:
        return _share(purchase_price(accelerator.parent, catalog), accelerator)
    rules = catalog.price_assumptions
    quotes = [q for q in catalog.purchase_quotes if q.accelerator == accelerator.id and q.set_aside is None]
    if not quotes:
        return _sibling_price(accelerator, catalog)
    chosen, scope, which = _best_purchase_quotes(quotes)
    said: list[str] = []
    figures = [_to_usd(q.price / q.accelerators, q.currency, rules, said) for q in chosen]
    if scope != "card":
        said.append(f"price of the whole {scope} divided by its accelerators: the host is in it")
    rule = f"median of {len(chosen)} {which} quotes of the {scope}"
    return _from_quotes(accelerator, figures, chosen, said, unit="accelerator", term=scope, rule=rule)


def _best_purchase_quotes(quotes: list[PurchaseQuote]) -> tuple[list[PurchaseQuote], str, str]:
    """The first non-empty choice of the rule: (quotes, scope, description)."""
    choices: list[tuple[str, Callable[[PurchaseQuote], bool]]] = [
        ("dated USD", lambda q: q.currency == "USD" and q.date is not None),
        ("undated USD", lambda q: q.currency == "USD"),
        ("foreign-currency", lambda q: True),
    ]
    for scope in ("card", "server", "rack"):
        for which, fits in choices:
            found = [q for q in quotes if q.scope == scope and fits(q)]
            if found:
                return found, scope, which
    raise AssertionError("a quote has one of the three scopes")


def _sibling_price(accelerator: Accelerator, catalog: Catalog) -> Price:
    sibling = catalog.price_assumptions.siblings.get(accelerator.id)
    if sibling is None or sibling.use == accelerator.id:
        raise _no_price(accelerator.id, "purchase price")
    base = purchase_price(sibling.use, catalog)
    factor = "" if sibling.factor == 1 else f"{sibling.factor:g} times "
    said = f"no purchase price of {accelerator.id} was found: {factor}that of {sibling.use} ({sibling.reason})"
    said_all = (said, *base.assumptions)
    return replace(_scaled(base, sibling.factor), accelerator=accelerator.id, assumptions=said_all, derived=True)


def derived_hourly_price(accelerator_id: str, catalog: Catalog | None = None) -> Price:
    """What owning one accelerator costs per hour [USD], from its purchase price and the stated assumptions.

    ``capital * (1/years + overhead_per_year) / 8766 h + power * PUE * electricity``, where capital is the
    card's price times ``1 + server_share`` (a server's or rack's price already has the host in it) and power
    is the server's maximum per accelerator times ``average_power``. Utilisation is not included: an idle hour
    costs as much.
    """
    catalog = catalog or load_catalog()
    accelerator, _ = catalog.resolve(accelerator_id)
    if accelerator.parent:
        return _share(derived_hourly_price(accelerator.parent, catalog), accelerator)
    rules = catalog.price_assumptions
    bought = purchase_price(accelerator.id, catalog)
    share = rules.server_share.value if bought.term == "card" else 0.0
    kilowatt, power_said = _average_kilowatt(accelerator, rules, catalog)
    energy = kilowatt * rules.pue.value * rules.electricity_usd_per_kwh.value
    if rules.years.value <= 0:
        raise SizingError("must be above zero", key="price_assumptions.years")

    def hourly(card: float) -> float:
        capital = card * (1 + share)
        return capital * (1 / rules.years.value + rules.overhead_per_year.value) / HOURS_PER_YEAR + energy

    said = [
        f"ownership cost from a purchase price of {bought.usd:,.0f} USD ({bought.rule}), not a rent: "
        "no provider's margin is in it",
        *bought.assumptions,
        f"paid off over {rules.years.value:g} {rules.years.unit} ({rules.years.why})",
        power_said,
    ]
    if share:
        said.append(f"host, network and chassis add {share:g} {rules.server_share.unit}")
    for name in ("average_power", "pue", "electricity_usd_per_kwh", "overhead_per_year"):
        chosen = getattr(rules, name)
        said.append(f"{name} {chosen.value:g} {chosen.unit} ({chosen.why})")
    if bought.newest is None:
        said.append("the purchase price has no date")
    said.append("utilisation is not included")
    return Price(
        accelerator=accelerator.id, usd=hourly(bought.usd), unit="accelerator-hour", term="ownership",
        rule="capital over its years, yearly overhead, and energy", low=hourly(bought.low),
        high=hourly(bought.high), quotes=bought.quotes, newest=bought.newest, oldest=bought.oldest,
        sources=bought.sources, assumptions=tuple(said), derived=True,
    )  # fmt: skip


def _average_kilowatt(accelerator: Accelerator, rules: PriceAssumptions, catalog: Catalog) -> tuple[float, str]:
    """Average draw of one accelerator with its share of the host [kW], and how it was found."""
    average = rules.average_power.value
    stated = rules.system_power_kw.get(accelerator.id)
    if stated is not None:
        return stated.value * average, f"power: {stated.value:g} {stated.unit} ({stated.why})"
    server = default_server(accelerator.id, catalog)
    if server.max_power_kw is not None:
        power = server.max_power_kw / server.accelerator_count
        recalled = ", a figure that no source confirms" if "max_power_kw" in server.unsourced else ""
        return (
            power * average,
            f"power: {power:.3g} kW each, {server.name} at {server.max_power_kw:g} kW{recalled}",
        )
    if accelerator.tdp_w is None:
        hint = f"set tdp_w in a file of your own, or give --price {accelerator.id}=USD_PER_HOUR"
        raise NoPriceError("its power is not known, so no price can be derived", key=accelerator.id, hint=hint)
    power = accelerator.tdp_w / 1000 * (1 + rules.host_power_share.value)
    recalled = ", a figure that no source confirms" if accelerator.unsourced_field("tdp_w") else ""
    host = f"host share {rules.host_power_share.value:g}"
    return power * average, f"power: {power:.3g} kW each, {accelerator.tdp_w:g} W{recalled}, {host}"


def hourly_price(accelerator_id: str, term: str = "on-demand", catalog: Catalog | None = None) -> Price:
    """The rental price where quotes exist, else the derived one; ``NoPriceError`` where neither is possible.

    A derived price is a cost of ownership: it has no provider's margin, and its assumptions say so.
    """
    catalog = catalog or load_catalog()
    known = catalog.known_prices.get((accelerator_id, term))
    if known is None:
        try:
            known = rental_price(accelerator_id, term, catalog)
        except NoPriceError:
            known = derived_hourly_price(accelerator_id, catalog)
        catalog.known_prices[accelerator_id, term] = known
    return known


def api_prices(catalog: Catalog | None = None) -> tuple[ApiPrice, ...]:
    """All API price lists, money per million tokens."""
    return (catalog or load_catalog()).api_prices


def is_stale(price: AnyPrice, day: date | None = None, days: int = STALE_DAYS) -> bool:
    """Whether the price's (newest) date is more than ``days`` before ``day`` (None: today), or unknown.

    A date known to the month, quarter or year counts as its first day. This one function decides wherever a price shows.
    """
    newest = first_day(_date_of(price))
    return newest is None or ((day or today()) - newest).days > days


def _date_of(price: AnyPrice) -> str | None:
    return price.newest if isinstance(price, Price) else price.date


def dated(price: AnyPrice, day: date | None = None) -> str:
    """The price's (newest) date for people, with the flag where it is old: ``2025-Q2, older than 90 days``."""
    text = _date_of(price) or "a date that is not known"
    return f"{text}, {STALE}" if is_stale(price, day) else text
