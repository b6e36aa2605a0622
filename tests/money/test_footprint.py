"""Carbon, water, and the day scaled by the hour."""

from __future__ import annotations

import pytest

from sizing.hardware import load_catalog
from sizing.hardware.servers import default_server
from sizing.money.ownership import average_watts, ownership_terms
from sizing.planning.planner import plan
from sizing.study import quick_study

DAY = [1, 1, 1, 1, 1, 2, 3, 5, 8, 9, 9, 8, 7, 8, 9, 9, 8, 7, 6, 5, 4, 3, 2, 1]


def test_energy_counts_the_host_on_every_server() -> None:
    catalog = load_catalog()
    terms = ownership_terms(catalog)
    for accelerator in catalog.accelerators.values():
        if accelerator.parent or accelerator.tdp_w is None or accelerator.max_per_server is None:
            continue
        server = default_server(accelerator.id, catalog)
        each, _ = average_watts(accelerator, server, catalog, terms)
        assert each is not None
        if server.max_power_kw is None:
            assert each == pytest.approx(accelerator.tdp_w * 1.8 * terms.average_power_fraction), accelerator.id


@pytest.mark.parametrize(
    ("model", "on", "whole"), [("Qwen3-8B", "h100-sxm", 1.0), ("Qwen3-0.6B", "h100-sxm-mig-1g.10gb", 1 / 7)]
)
def test_carbon_and_water_are_ranges(model: str, on: str, whole: float) -> None:
    best = plan(quick_study(model, input_tokens=1000, output_tokens=300, rate=1, on=[on])).best
    assert best is not None
    data = best.to_dict()
    tokens = best.requests_per_s * 1300
    embodied = data["embodied_carbon_g_per_million_tokens_range"]
    assert embodied["value"] == pytest.approx(best.accelerators * whole * 318_000 / (4 * 8760 * 3600) / tokens * 1e6)
    assert embodied["low"] < embodied["value"] < embodied["high"]
    water = data["water_l_per_million_tokens_range"]
    kwh = (best.energy_wh_per_million_tokens or 0) / 1000
    assert water["value"] == pytest.approx(kwh * (0.36 / 1.3 + 4.35))
    assert water["low"] == pytest.approx(kwh * 0.54) and water["high"] == pytest.approx(kwh * (1.8 / 1.3 + 4.52))


def test_day_scaled_by_the_hour_costs_less_than_the_peak() -> None:
    asked = quick_study(
        "Qwen3-8B", input_tokens=1000, output_tokens=300, rate=40, on=["l40s"], workload={"daily": {"weights": DAY}}
    )
    result = plan(asked)
    assert result.best is not None
    day = result.best.scaled_day(asked)
    assert day is not None and max(day.replicas) == result.best.replicas and min(day.replicas) >= 1
    assert day.usd_per_day_at_peak == pytest.approx(24 * (result.best.usd_per_hour or 0))
    assert day.usd_per_day < day.usd_per_day_at_peak
    assert result.to_dict()["plans"][0]["scaled_day"]["usd_per_day"] == day.usd_per_day
