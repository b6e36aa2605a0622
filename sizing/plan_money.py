"""What a plan costs: from the price of an accelerator-hour to tokens, requests, months, energy and carbon."""

from __future__ import annotations

from dataclasses import dataclass

from sizing.arrays import scalar
from sizing.cost import HOURS_PER_MONTH, carbon_g_per_million_tokens, energy_wh_per_million_tokens, token_cost
from sizing.estimate import Interval
from sizing.evidence.intervals import Spread
from sizing.study import Study
from sizing.survey import Demand


@dataclass(frozen=True, slots=True)
class PlanMoney:
    """USD and watt-hours of a whole plan; None where no price (or no power) is known."""

    usd_per_hour: float | None
    usd_per_month: float | None
    cost: dict[str, Interval]
    energy_wh_per_million_tokens: float | None
    carbon_g_per_million_tokens: float | None


def plan_money(
    study: Study,
    demand: Demand,
    *,
    accelerators: int,
    peak_requests_per_s: float,
    prefill_share: float,
    usd_per_accelerator_hour: float | None,
    power_w: float,
    throughput: Spread,
) -> PlanMoney:
    """The money of ``accelerators`` that serve a demand; costs are over the whole day, idle hours included.

    power_w: draw of one accelerator with its share of the server [W]. throughput: how far the speed may be off: a plan
    is dear per token where it is slow.
    """
    rate = peak_requests_per_s * study.workload.daily.utilization
    usd_hour = None if usd_per_accelerator_hour is None else usd_per_accelerator_hour * accelerators
    cost: dict[str, Interval] = {}
    if usd_hour is not None:
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
            cost[name] = Interval(value / throughput.high, value, value / throughput.low)
    tokens = rate * (demand.input_tokens + demand.output_tokens)
    energy = carbon = None
    if power_w and tokens:
        energy = float(energy_wh_per_million_tokens(power_w * accelerators, study.money.own.pue, tokens))
        carbon = float(carbon_g_per_million_tokens(energy, study.money.grid_g_per_kwh))
    return PlanMoney(
        usd_per_hour=usd_hour,
        usd_per_month=None if usd_hour is None else usd_hour * HOURS_PER_MONTH,
        cost=cost,
        energy_wh_per_million_tokens=energy,
        carbon_g_per_million_tokens=carbon,
    )
