"""Money, energy and carbon: from an accelerator-hour to a token, a request, a month.

Pure functions, all broadcasting. USD throughout unless a name says otherwise; an hour of accelerators is priced first
(rented or owned), then divided among input and output tokens by the time that each takes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sizing.base.arrays import FloatArray, Num, as_float

MILLION = 1e6


@dataclass(frozen=True, slots=True)
class TokenCost:
    """What tokens and requests cost [USD]. Arrays or scalars."""

    usd_per_million_input_tokens: Num
    usd_per_million_output_tokens: Num
    usd_per_million_cached_input_tokens: Num
    usd_per_million_tokens: Num
    usd_per_request: Num


def token_cost(
    usd_per_hour: Num,
    requests_per_s: Num,
    input_tokens: Num,
    output_tokens: Num,
    prefill_share: Num,
    cached_fraction: Num = 0.0,
    cached_weight: float = 0.1,
) -> TokenCost:
    """Split what ``usd_per_hour`` buys among input and output tokens by the time that each takes.

    usd_per_hour: price of all accelerators of the deployment. prefill_share: share of busy time spent on prompts
    (0 to 1). cached_fraction: share of input tokens found in the prefix cache; a cached token is charged
    ``cached_weight`` of an uncached one (it holds memory, but takes no compute).
    """
    requests_per_hour = np.maximum(as_float(requests_per_s), 1e-300) * 3600.0
    per_request: FloatArray = as_float(usd_per_hour) / requests_per_hour
    cached = as_float(cached_fraction)
    weighted_input = as_float(input_tokens) * (1 - cached + cached * cached_weight)
    per_input = per_request * prefill_share / np.maximum(weighted_input, 1e-300)
    per_output = per_request * (1 - as_float(prefill_share)) / np.maximum(as_float(output_tokens), 1e-300)
    return TokenCost(
        usd_per_million_input_tokens=per_input * MILLION,
        usd_per_million_output_tokens=per_output * MILLION,
        usd_per_million_cached_input_tokens=per_input * cached_weight * MILLION,
        usd_per_million_tokens=per_request / (as_float(input_tokens) + output_tokens) * MILLION,
        usd_per_request=per_request,
    )


def energy_wh_per_million_tokens(power_w: Num, pue: float, tokens_per_s: Num) -> FloatArray:
    """Energy at the meter per million tokens [Wh], for a deployment that draws ``power_w`` at the servers."""
    return as_float(power_w) * pue * MILLION / np.maximum(as_float(tokens_per_s), 1e-300) / 3600.0


def carbon_g_per_million_tokens(energy_wh: Num, grid_g_per_kwh: float) -> FloatArray:
    """Operational carbon per million tokens [g CO2e] (embodied carbon is left out)."""
    return as_float(energy_wh) / 1000.0 * grid_g_per_kwh


def break_even_requests_per_month(
    fixed_usd_per_month: float, api_usd_per_request: float, own_variable_usd_per_request: float = 0.0
) -> float | None:
    """Requests a month above which a deployment of fixed cost is cheaper than paying an API; None if never."""
    saved = api_usd_per_request - own_variable_usd_per_request
    if saved <= 0:
        return None
    return fixed_usd_per_month / saved


def api_usd_per_request(
    input_tokens: float,
    output_tokens: float,
    usd_per_million_input: float,
    usd_per_million_output: float,
    cached_fraction: float = 0.0,
    usd_per_million_cached_input: float | None = None,
) -> float:
    """What one request costs at an API's list price [USD]; cached input at its own price where the list has one."""
    cached_price = usd_per_million_input if usd_per_million_cached_input is None else usd_per_million_cached_input
    input_usd = input_tokens * ((1 - cached_fraction) * usd_per_million_input + cached_fraction * cached_price)
    return (input_usd + output_tokens * usd_per_million_output) / MILLION
