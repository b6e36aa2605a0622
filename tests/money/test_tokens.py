"""Money by hand: the arithmetic stands beside each figure."""

from __future__ import annotations

import numpy as np
import pytest

from sizing.money.tokens import (
    api_usd_per_request,
    break_even_requests_per_month,
    carbon_g_per_million_tokens,
    energy_wh_per_million_tokens,
    token_cost,
)


def test_a_token() -> None:
    # 36 USD/h at 1 request/s: 0.01 USD a request. A quarter of the time is prefill: 0.0025 over 1,000 input tokens is
    # 2.5 USD per million; 0.0075 over 500 output tokens is 15 USD per million; 0.01 over 1,500 is 6.67.
    each = token_cost(36.0, 1.0, 1000, 500, 0.25)
    assert each.usd_per_request == pytest.approx(0.01)
    assert each.usd_per_million_input_tokens == pytest.approx(2.5)
    assert each.usd_per_million_output_tokens == pytest.approx(15.0)
    assert each.usd_per_million_tokens == pytest.approx(0.01 / 1500 * 1e6)


def test_what_tokens_pay_is_what_the_hour_costs() -> None:
    share, cached = np.array([0.1, 0.5, 0.9]), 0.4
    each = token_cost(10.0, 3.0, 2000, 300, share, cached)
    paid = (
        2000 * (1 - cached) * each.usd_per_million_input_tokens
        + 2000 * cached * each.usd_per_million_cached_input_tokens
        + 300 * each.usd_per_million_output_tokens
    ) / 1e6
    assert paid * 3.0 * 3600 == pytest.approx(np.full(3, 10.0))
    assert np.all(each.usd_per_million_cached_input_tokens < each.usd_per_million_input_tokens)


def test_energy_and_carbon() -> None:
    # 7,200 W x 1.25 for 1e6 / 2,000 = 500 s: 4,500,000 J = 1,250 Wh; at 400 g/kWh 500 g
    energy = energy_wh_per_million_tokens(7200, 1.25, 2000)
    assert energy == pytest.approx(1250)
    assert carbon_g_per_million_tokens(energy, 400) == pytest.approx(500)


def test_break_even() -> None:
    # 7,300 USD a month over 0.0073 USD a request
    assert break_even_requests_per_month(7300, 0.0073) == pytest.approx(1_000_000)
    assert break_even_requests_per_month(7300, 0.01, 0.0127) is None
    # 1,000 input tokens, half of them cached, at 3 and 0.3 USD, 200 output tokens at 15
    assert api_usd_per_request(1000, 200, 3, 15, 0.5, 0.3) == pytest.approx((500 * 3 + 500 * 0.3 + 200 * 15) / 1e6)
    assert api_usd_per_request(1000, 200, 3, 15, 0.5) == pytest.approx((1000 * 3 + 200 * 15) / 1e6)
