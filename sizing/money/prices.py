"""The price of an hour: owned, quoted as a rent, or estimated as one. All rents may stand in one ranking."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sizing.hardware.loader import Catalog, load_catalog
from sizing.hardware.models import Accelerator
from sizing.hardware.price_models import Price, RentMargin
from sizing.money.ownership import OwnedHour, owned_hour, ownership_terms
from sizing.money.quotes import NoPriceError, no_price, purchase_price, rental_price, share_of


def derived_hourly_price(accelerator_id: str, catalog: Catalog | None = None) -> Price:
    """What owning one accelerator costs per hour [USD], under the catalog's terms: ``sizing.money.ownership``.

    It is a cost, not a rent: no provider's margin is in it, and an idle hour costs as much.
    """
    catalog = catalog or load_catalog()
    accelerator, _ = catalog.resolve(accelerator_id)
    if accelerator.parent:
        return share_of(derived_hourly_price(accelerator.parent, catalog), accelerator)
    return own_price(accelerator, owned_hour(accelerator, catalog, ownership_terms(catalog)))


def own_price(accelerator: Accelerator, hour: OwnedHour) -> Price:
    """An owned hour as a price, with the dates and sources of the purchase quotes behind it."""
    bought = hour.bought
    return Price(
        accelerator=accelerator.id,
        usd=hour.usd,
        unit="accelerator-hour",
        term="ownership",
        rule="cost of owning: capital over its years, energy, hosting, staff, maintenance",
        low=hour.low,
        high=hour.high,
        quotes=0 if bought is None else bought.quotes,
        newest=None if bought is None else bought.newest,
        oldest=None if bought is None else bought.oldest,
        sources=() if bought is None else bought.sources,
        assumptions=(*hour.said, "no provider's margin is in it"),
        derived=True,
        basis="own",
        purchase_usd=None if bought is None else bought.usd,
    )


def rent_margin(catalog: Catalog, term: str = "on-demand") -> RentMargin | None:
    """How much more a rented hour costs than an owned one, over all parts; None with too few parts to tell.

    Parts count that have quotes of that term and a purchase price of their own (no sibling's).
    """
    if term not in catalog.known_margins:
        catalog.known_margins[term] = _margin(catalog, term)
    return catalog.known_margins[term]


def _margin(catalog: Catalog, term: str) -> RentMargin | None:
    ratios: dict[str, float] = {}
    for accelerator in catalog.accelerators.values():
        if accelerator.parent:
            continue
        try:
            rent = rental_price(accelerator.id, term, catalog)
            if purchase_price(accelerator.id, catalog).derived:
                continue
            ratios[accelerator.id] = rent.usd / derived_hourly_price(accelerator.id, catalog).usd
        except NoPriceError:
            continue
    if len(ratios) < catalog.price_assumptions.least_margin_parts:
        return None
    low, middle, high = np.quantile(list(ratios.values()), (0.1, 0.5, 0.9))
    return RentMargin(float(low), float(middle), float(high), tuple(sorted(ratios)))


def _sibling_margin(accelerator: Accelerator, term: str, catalog: Catalog) -> RentMargin | None:
    """The margin of the sibling that the catalog names, where its rent is quoted."""
    sibling = catalog.price_assumptions.siblings.get(accelerator.id)
    if sibling is None:
        return None
    try:
        rent = rental_price(sibling.use, term, catalog)
        own = derived_hourly_price(sibling.use, catalog).usd
    except NoPriceError:
        return None
    return RentMargin(rent.low / own, rent.usd / own, rent.high / own, (sibling.use,))


def estimated_rent(accelerator_id: str, term: str = "on-demand", catalog: Catalog | None = None) -> Price:
    """A rent where nobody quotes one [USD/h]: the cost of owning times the margin of the parts that have both.

    A part whose purchase price is a sibling's takes that sibling's own margin (the same silicon is rented out beside it);
    its range is that of the sibling's rent. Else the margin is the median of all such parts, and the range its deciles. Both
    widen by the range of the purchase quotes. ``NoPriceError`` where the cost of owning is not known, or too few parts tell
    the margin.
    """
    catalog = catalog or load_catalog()
    accelerator, _ = catalog.resolve(accelerator_id)
    if accelerator.parent:
        return share_of(estimated_rent(accelerator.parent, term, catalog), accelerator)
    own = derived_hourly_price(accelerator.id, catalog)
    margin = _sibling_margin(accelerator, term, catalog) or rent_margin(catalog, term)
    if margin is None:
        raise no_price(accelerator.id, f"{term} rental price")
    shown = f"its sibling {margin.parts[0]} shows" if len(margin.parts) == 1 else f"{len(margin.parts)} parts show"
    said = (
        f"no {term} rent of {accelerator.id} is quoted: estimated as the cost of owning, ${own.usd:.2f}, times the margin "
        f"that {shown}, {margin.median:.2f} ({margin.low:.2f} to {margin.high:.2f})"
    )
    return replace(
        own,
        usd=own.usd * margin.median,
        low=own.low * margin.low,
        high=own.high * margin.high,
        term=term,
        rule="estimated: cost of owning with a provider's margin",
        assumptions=(said, *own.assumptions[:-1]),
        basis="rent_estimated",
    )


def hourly_price(accelerator_id: str, term: str = "on-demand", catalog: Catalog | None = None) -> Price:
    """The rent where quotes exist, else an estimated one (``basis`` says which); ``NoPriceError`` where neither can be.

    Every figure is a rent, so that all may stand in one ranking.
    """
    catalog = catalog or load_catalog()
    known = catalog.known_prices.get((accelerator_id, term))
    if known is None:
        try:
            known = rental_price(accelerator_id, term, catalog)
        except NoPriceError:
            known = estimated_rent(accelerator_id, term, catalog)
        catalog.known_prices[accelerator_id, term] = known
    return known
