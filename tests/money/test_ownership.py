"""The one price of owning, by hand, and that every face reads it."""

from __future__ import annotations

import pytest

from sizing.base.errors import SizingError
from sizing.hardware import default_server, load_accelerator, load_catalog
from sizing.money.ownership import (
    OwnershipTerms,
    annuity,
    average_watts,
    owned_hour,
    owned_usd_per_hour,
    ownership_lines,
    ownership_terms,
    server_kilowatts,
)
from sizing.money.prices import derived_hourly_price, hourly_price, rent_margin
from sizing.money.quotes import rental_price
from sizing.planning.planner import plan
from sizing.study import Money, Ownership, quick_study


def test_annuity() -> None:
    # 1.08^4 = 1.36048896; 0.08 / (1 - 1/1.36048896) = 0.301920804
    assert annuity(0.08, 4) == pytest.approx(0.301920804, rel=1e-8)
    assert annuity(0.0, 5) == 0.2
    for rate, years in ((0.1, 0.0), (-1.0, 3.0)):
        with pytest.raises(SizingError):
            annuity(rate, years)


def test_owning_an_accelerator() -> None:
    terms = OwnershipTerms(
        years=4, residual_fraction=0.25, discount_rate=0.0, electricity_usd_per_kwh=0.1, pue=1.25,
        hosting_usd_per_kw_month=100, staff_usd_per_accelerator_year=400, network_usd_per_accelerator=2_000,
        rack_usd_per_accelerator=0, maintenance_fraction=0.05, average_power_fraction=0.8,
    )  # fmt: skip
    lines = ownership_lines(40_000, 1_000, terms)
    bill = {line.name: line.usd_per_year for line in lines}
    # (40,000 + 2,000 - 0.25 x 40,000) / 4 years = 8,000
    assert bill["capital"] == pytest.approx(8_000)
    # 1 kW x 1.25 x 8,760 h x 0.1
    assert bill["electricity"] == pytest.approx(1_095)
    # 1 kW x 100 x 12
    assert bill["hosting"] == pytest.approx(1_200)
    assert bill["staff"] == 400
    assert bill["maintenance"] == pytest.approx(0.05 * 42_000)
    assert owned_usd_per_hour(lines) == pytest.approx(sum(bill.values()) / 8760)


def test_a_study_states_what_differs_from_the_catalog() -> None:
    catalog = load_catalog()
    usual, mine = ownership_terms(catalog), ownership_terms(catalog, Ownership(years=2, pue=1.1))
    assert (mine.years, mine.pue) == (2, 1.1)
    assert (mine.discount_rate, mine.maintenance_fraction) == (usual.discount_rate, usual.maintenance_fraction)


def test_the_host_is_paid_for_on_every_server() -> None:
    catalog = load_catalog()
    for accelerator in catalog.accelerators.values():
        try:
            server = default_server(accelerator.id, catalog)
        except SizingError:
            continue
        most, _, _ = server_kilowatts(accelerator, server, catalog)
        if most is not None and accelerator.tdp_w is not None and not accelerator.parent:
            assert most * 1000 > accelerator.tdp_w * server.accelerator_count, accelerator.id
    # Atlas 800T A2: no power of its own is known, so 400 W and a share of 0.8 for the host: 720 W at most, 576 on average
    chip = load_accelerator("ascend-910b2")
    watts, _ = average_watts(chip, default_server(chip.id, catalog), catalog, ownership_terms(catalog))
    assert watts == pytest.approx(400 * 1.8 * 0.8)


@pytest.mark.parametrize("name", ["a100-80gb-sxm", "h100-sxm", "ascend-910b2"])
def test_plan_and_catalog_price_the_same_owned_hour(name: str) -> None:
    study = quick_study("Qwen/Qwen3-32B", input_tokens=1000, output_tokens=200, rate=1.0, on=[name])
    study = study.model_copy(update={"money": Money(mode="own")})
    best = plan(study).best
    assert best is not None and best.price is not None
    assert best.usd_per_accelerator_hour == pytest.approx(derived_hourly_price(name).usd)
    assert best.price.basis == "own"


def test_a_server_price_of_ones_own() -> None:
    catalog, chip = load_catalog(), load_accelerator("h100-sxm")
    terms = ownership_terms(catalog)
    cheap, dear = (owned_hour(chip, catalog, terms, server_usd=usd) for usd in (240_000, 480_000))
    assert dear.capital_usd == 2 * cheap.capital_usd == 60_000
    assert cheap.bought is None and cheap.usd < dear.usd < 2 * cheap.usd


def test_rents_that_nobody_quotes_are_estimated_with_a_margin() -> None:
    catalog = load_catalog()
    margin = rent_margin(catalog)
    assert margin is not None and len(margin.parts) >= catalog.price_assumptions.least_margin_parts
    assert 1 < margin.low < margin.median < margin.high
    price, own = hourly_price("ascend-910b2"), derived_hourly_price("ascend-910b2")
    assert price.basis == "rent_estimated" and price.derived and price.term == "on-demand"
    assert price.usd == pytest.approx(own.usd * margin.median)
    assert price.low < price.usd < price.high
    assert "estimated" in price.assumptions[0]


def test_a_sibling_lends_its_own_margin() -> None:
    rent, own = rental_price("gb200"), derived_hourly_price("gb200")
    price = hourly_price("gb300")
    assert price.usd / derived_hourly_price("gb300").usd == pytest.approx(rent.usd / own.usd)
    a100, a800 = hourly_price("a100-80gb-sxm"), hourly_price("a800-80gb-sxm")
    assert a800.usd == pytest.approx(a100.usd, rel=0.1)  # the same silicon


def test_a_narrow_win_on_an_estimated_rent_is_said() -> None:
    def said(*offers: str) -> tuple[str, ...]:
        study = quick_study("Qwen/Qwen3-32B", input_tokens=2000, output_tokens=500, rate=2.0, on=offers)
        return plan(study).assumptions

    assert any("less than prices are known" in text for text in said("a100-80gb-sxm", "a800-80gb-sxm"))
    assert not any("less than prices are known" in text for text in said("a100-80gb-sxm", "h100-sxm"))
