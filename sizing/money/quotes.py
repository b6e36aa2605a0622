"""Prices that were quoted, by stated rules; every price carries its rule, range, dates and assumptions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import date, timedelta
from statistics import median
from typing import Any

from sizing.base.dates import today
from sizing.base.errors import SizingError
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

STALE_DAYS = 90
STALE = f"older than {STALE_DAYS} days"
AnyPrice = Price | ApiPrice | RentalQuote | PurchaseQuote


class NoPriceError(SizingError):
    """No price is known and none can be derived; the hint says how to give one."""


def no_price(accelerator: str, what: str) -> NoPriceError:
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
        return share_of(rental_price(accelerator.parent, term, catalog), accelerator)
    rules = catalog.price_assumptions
    quotes = [
        q for q in catalog.rental_quotes
        if q.accelerator == accelerator.id and q.term == term and q.set_aside is None
    ]  # fmt: skip
    if not quotes:
        raise no_price(accelerator.id, f"{term} rental price")
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


def share_of(price: Price, accelerator: Accelerator) -> Price:
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
        return share_of(purchase_price(accelerator.parent, catalog), accelerator)
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
        raise no_price(accelerator.id, "purchase price")
    base = purchase_price(sibling.use, catalog)
    factor = "" if sibling.factor == 1 else f"{sibling.factor:g} times "
    said = f"no purchase price of {accelerator.id} was found: {factor}that of {sibling.use} ({sibling.reason})"
    said_all = (said, *base.assumptions)
    return replace(_scaled(base, sibling.factor), accelerator=accelerator.id, assumptions=said_all, derived=True)


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
