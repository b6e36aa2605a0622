"""Prices by rule: rents, purchases, derived prices, staleness, and no silent zero."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from sizing.hardware import load_catalog
from sizing.hardware.loader import Catalog
from sizing.hardware.price_models import first_day
from sizing.money.prices import derived_hourly_price, hourly_price
from sizing.money.quotes import NoPriceError, api_prices, is_stale, purchase_price, rental_price


def test_rent_of_h100() -> None:
    price = rental_price("h100-sxm")
    assert price.low < price.usd < price.high
    assert 2 < price.usd < 8
    assert price.quotes >= len(price.providers) >= 3
    assert price.newest and price.newest.startswith("2026-") and price.sources
    assert "median" in price.rule and price.unit == "accelerator-hour"


def test_terms() -> None:
    on_demand, spot = rental_price("h100-sxm"), rental_price("h100-sxm", "spot")
    assert spot.usd < on_demand.usd
    with pytest.raises(NoPriceError, match="--price mi300x=USD_PER_HOUR"):
        rental_price("mi300x", "serverless")


def test_set_aside_quotes_are_kept_but_not_used(catalog: Catalog) -> None:
    aside = [q for q in catalog.rental_quotes if q.set_aside]
    assert aside
    assert "planner default" not in rental_price("h200-sxm").providers


def test_median_rule(own_file: Callable[[str], Path]) -> None:
    lines = ["rental_quotes:"]
    for provider, price, day in (
        ("one", 1.0, "2026-10-01"), ("one", 3.0, "2026-10-02"), ("two", 5.0, "2026-10-01"),
        ("three", 9.0, "2026-09-01"), ("old", 90.0, "2020-01-01"), ("undated", 50.0, "2026"),
    ):  # fmt: skip
        lines.append(
            f"- {{item: x, accelerator: a30, provider: {provider}, term: on-demand, price_per_hour: {price}, "
            f"date: '{day}', source: test}}"
        )
    price = rental_price("a30", catalog=load_catalog(own_file("\n".join(lines))))
    assert (price.usd, price.low, price.high, price.quotes) == (5.0, 2.0, 9.0, 4)
    assert (price.newest, price.oldest) == ("2026-10-02", "2026-09-01")


def test_own_quotes_replace_the_built_in_ones(own_file: Callable[[str], Path]) -> None:
    own = load_catalog(
        own_file(
            "rental_quotes: [{item: contract, accelerator: h100-sxm, provider: mine, term: on-demand, "
            "price_per_hour: 1.9, date: '2026-11-01', source: contract}]"
        )
    )
    assert rental_price("h100-sxm", catalog=own).usd == 1.9
    assert rental_price("h100-sxm", "spot", own) == rental_price("h100-sxm", "spot")


def test_purchase() -> None:
    assert purchase_price("h100-sxm").usd == 30000
    rack = purchase_price("gb200")
    assert rack.term == "rack" and rack.usd == pytest.approx(3_000_000 / 72)
    assert any("72" in text or "divided" in text for text in rack.assumptions)


def test_purchase_of_a_sibling_is_said() -> None:
    price = purchase_price("ascend-910b2")
    assert price.derived and "ascend-910b1" in price.assumptions[0]
    assert price.usd == pytest.approx(120_000 * 0.141285)
    assert purchase_price("h800-sxm").usd == pytest.approx(0.825 * 30000)


def test_derived_price_of_ascend() -> None:
    price = derived_hourly_price("ascend-910b2")
    assert price.derived and price.term == "ownership" and price.basis == "own"
    # 120,000 CNY and the host beside it; 576 W on average (400 W, host 0.8, load 0.8)
    card = 120_000 * 0.141285 * 1.3
    capex = card + 1500 + 300
    capital = (capex - 0.1 * card / 1.08**4) * 0.08 / (1 - 1.08**-4)
    energy = 0.576 * 1.3 * 8760 * 0.1
    yearly = capital + energy + 0.576 * 120 * 12 + 500 + 0.05 * capex
    assert price.usd == pytest.approx(yearly / 8760)
    text = " | ".join(price.assumptions)
    for word in ("years", "PUE", "electricity", "maintenance", "idle hour", "CNY", "910b1", "margin"):
        assert word in text


def test_assumptions_can_be_overridden(own_file: Callable[[str], Path]) -> None:
    text = "price_assumptions: {owning: {years: {value: 2}, electricity_usd_per_kwh: {value: 0.3}}}"
    own = load_catalog(own_file(text))
    assert derived_hourly_price("ascend-910b2", own).usd > derived_hourly_price("ascend-910b2").usd * 1.5
    assert own.price_assumptions.owning.pue.value == 1.3


def test_the_keys_of_older_files_are_read(own_file: Callable[[str], Path]) -> None:
    own = load_catalog(own_file("price_assumptions: {years: {value: 2}, average_power: {value: 0.5}}"))
    owning = own.price_assumptions.owning
    assert (owning.years.value, owning.average_power_fraction.value) == (2, 0.5)


def test_no_price_is_an_error_that_helps() -> None:
    with pytest.raises(NoPriceError, match="--price hygon-k100-ai=USD_PER_HOUR"):
        hourly_price("hygon-k100-ai")


def test_h20_has_a_price_and_all_are_listed_with_age() -> None:
    from sizing.money.listing import accelerator_prices, list_prices

    rows = {row["accelerator"]: row for row in accelerator_prices()}
    h20 = rows["h20-96gb"]
    assert h20["basis"] == "rent_estimated" and h20["low"] < h20["usd_per_hour"] < h20["high"]
    assert h20["usd_to_buy"] == pytest.approx(1_200_000 / 8 * 0.141285) and h20["newest"] == "2024-07-14"
    assert h20["stale"] and h20["age_days"] > 365
    assert rows["h100-sxm"]["basis"] == "rent"
    assert all(row["age_days"] is None or row["date"] for row in list_prices())


def test_parts_cost_their_share() -> None:
    whole, part = rental_price("h100-sxm"), rental_price("h100-mig-3g.40gb")
    assert part.usd == pytest.approx(whole.usd / 2)  # two of them fit one accelerator
    assert part.accelerator != whole.accelerator and len(part.assumptions) == len(whole.assumptions) + 1
    assert hourly_price("ascend-910c-die").usd == pytest.approx(hourly_price("ascend-910c").usd / 2)


def test_nothing_is_free(catalog: Catalog) -> None:
    for key in catalog.accelerators:
        try:
            price = hourly_price(key)
        except NoPriceError:
            continue
        assert 0 < price.low <= price.usd <= price.high, key


def test_api_prices() -> None:
    prices = api_prices()
    assert len(prices) == 53
    v3 = next(p for p in prices if p.model == "deepseek-chat (V3)")
    assert (v3.input_per_million, v3.cached_input_per_million, v3.output_per_million) == (0.27, 0.07, 1.1)
    assert all(p.source for p in prices)


def test_staleness() -> None:
    price = rental_price("h100-sxm")
    assert not is_stale(price, date(2026, 11, 24))
    assert is_stale(price, date(2027, 11, 24))
    assert is_stale(purchase_price("ascend-910b2"), date(2026, 11, 24))
    undated = next(q for q in load_catalog().purchase_quotes if q.date is None)
    assert is_stale(undated, date(2026, 11, 24), days=100_000)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026-09-25", date(2026, 9, 25)), ("2026-03", date(2026, 3, 1)), ("2025-Q2", date(2025, 4, 1)),
        ("2026", date(2026, 1, 1)), (None, None),
    ],
)  # fmt: skip
def test_partial_dates(text: str | None, day: date | None) -> None:
    assert first_day(text) == day
