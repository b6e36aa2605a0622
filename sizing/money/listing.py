"""All prices with their age: what ``sizing prices`` lists."""

from __future__ import annotations

from datetime import date
from typing import Any

from sizing.base.dates import today
from sizing.hardware.loader import Catalog, load_catalog
from sizing.hardware.price_models import first_day
from sizing.money.prices import hourly_price
from sizing.money.quotes import NoPriceError, api_prices, is_stale, purchase_price


def age_days(text: str | None, day: date | None = None) -> int | None:
    """Days from a date as printed to ``day`` (None: today); None for no date.

    >>> age_days("2026-11-01", date(2026, 11, 30))
    29
    """
    first = first_day(text)
    return None if first is None else ((day or today()) - first).days


def accelerator_prices(
    catalog: Catalog | None = None, term: str = "on-demand", search: str = ""
) -> list[dict[str, Any]]:
    """The price of an hour of every whole accelerator [USD/h], its basis, range, quotes, dates and age [days].

    ``usd_per_hour`` is None, with a reason, where no price is known and none can be derived.
    """
    catalog = catalog or load_catalog()
    rows = []
    for accelerator in catalog.accelerators.values():
        if accelerator.parent or search.lower() not in accelerator.id:
            continue
        row: dict[str, Any] = {"accelerator": accelerator.id, "term": term}
        try:
            price = hourly_price(accelerator.id, term, catalog)
        except NoPriceError as error:
            rows.append({**row, "usd_per_hour": None, "reason": str(error)})
            continue
        row |= {
            "usd_per_hour": price.usd,
            "basis": price.basis,
            "low": price.low,
            "high": price.high,
            "quotes": price.quotes,
            "newest": price.newest,
            "age_days": age_days(price.newest),
            "stale": is_stale(price),
            "sources": list(price.sources),
        }
        try:
            row["usd_to_buy"] = purchase_price(accelerator.id, catalog).usd
        except NoPriceError:
            row["usd_to_buy"] = None
        rows.append(row)
    return rows


def list_prices(catalog: Catalog | None = None, search: str = "") -> list[dict[str, Any]]:
    """The API price lists, money per million tokens in the list's own currency, with dates and age [days]."""
    return [
        {
            "model": item.model,
            "provider": item.provider,
            "currency": item.currency,
            "input_per_million": item.input_per_million,
            "cached_input_per_million": item.cached_input_per_million,
            "output_per_million": item.output_per_million,
            "date": item.date,
            "age_days": age_days(item.date),
            "stale": is_stale(item),
            "source": item.source,
        }
        for item in api_prices(catalog)
        if search.lower() in item.model.lower()
    ]
