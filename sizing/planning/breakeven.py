"""Own or API: from which volume a month a plan is cheaper than paying a price list, and whether it can carry it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from sizing.base.errors import unknown_name
from sizing.hardware import Catalog, load_catalog
from sizing.hardware.price_models import ApiPrice
from sizing.money.ownership import HOURS_PER_MONTH
from sizing.money.quotes import api_prices, dated, is_stale
from sizing.money.tokens import api_usd_per_request, break_even_requests_per_month
from sizing.planning.result import Plan
from sizing.study import Study

SECONDS_PER_MONTH = HOURS_PER_MONTH * 3600.0
#: The price lists that a plan is held against when the study names none.
REFERENCE = (
    "deepseek-chat (V3)",
    "deepseek-reasoner (R1)",
    "deepseek-chat (V3.2-Exp)",
    "DeepSeek V4 Flash peak",
    "DeepSeek V4 Pro peak",
    "Qwen3 235B A22B non-thinking",
    "Qwen3 235B A22B thinking",
    "Qwen3 32B non-thinking",
    "qwen3.5-plus",
    "GPT-4 Turbo",
    "GPT-4o",
    "GPT-4o mini",
)


@dataclass(frozen=True, slots=True)
class BreakEven:
    """A plan against one price list. Money in USD, volumes a month; None where there is none, ``reason`` says why.

    date: of the list; stale: whether that is more than 90 days ago; dated: both in words.
    requests_per_month: from which the plan, paid for as it is, costs less than the API. capacity_requests_per_month is
    what it carries within the targets if every hour were like the peak. usd_per_request_at_capacity: its least cost.
    price_basis: what the plan's price is (rent, rent_estimated, own); None where it was given.
    api_usd_per_month: what the study's own volume costs at the list price.
    """

    api: str
    provider: str
    date: str | None
    stale: bool
    dated: str
    usd_per_million_input: float
    usd_per_million_cached_input: float | None
    usd_per_million_output: float
    api_usd_per_request: float
    plan_usd_per_month: float
    requests_per_month: float | None
    tokens_per_month: float | None
    capacity_requests_per_month: float
    share_of_capacity: float | None
    usd_per_request_at_capacity: float
    planned_requests_per_month: float
    api_usd_per_month: float
    cheaper_at_planned_volume: bool
    verdict: str
    reason: str
    price_basis: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def list_price(name: str, catalog: Catalog | None = None) -> ApiPrice:
    """The API price list entry of that name (case and punctuation don't matter; the shortest that starts with
    it, or has it inside, where none is the same). Raises UnknownNameError with the nearest."""
    plain = _plain(name)
    entries = [item for item in api_prices(catalog) if item.output_per_million is not None]
    tests: tuple[Callable[[str], bool], ...] = (
        lambda known: known == plain,
        lambda known: known.startswith(plain),
        lambda known: plain in known,
    )
    for fits in tests:
        found = [item for item in entries if plain and fits(_plain(item.model))]
        if found:
            return min(found, key=lambda item: len(item.model))
    raise unknown_name("API price list", name, [item.model for item in entries], key="api")


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def break_even(plan: Plan, study: Study, catalog: Catalog | None = None) -> list[BreakEven]:
    """The plan against every price list that the study names (``money.api``), or the reference ones.

    A plan without a price has no break-even: the list is empty. Raises UnknownNameError for a list that isn't known.
    """
    if plan.usd_per_month is None:
        return []
    from sizing.planning.planner import study_model

    catalog = catalog or load_catalog()
    vision = study_model(study).vision
    image_tokens = vision.image_tokens if vision is not None else None
    shape = (
        study.workload.mean_input_tokens(image_tokens=image_tokens),
        study.workload.mean_output_tokens(),
    )
    names = study.money.api or REFERENCE
    return [_against(plan, study, shape, list_price(name, catalog), catalog) for name in names]


def _against(plan: Plan, study: Study, shape: tuple[float, float], api: ApiPrice, catalog: Catalog) -> BreakEven:
    """The arithmetic against one list."""
    input_tokens, output_tokens = shape
    rate = 1.0 if api.currency == "USD" else catalog.price_assumptions.exchange_rates[api.currency].usd
    into, out = (api.input_per_million or 0.0) * rate, (api.output_per_million or 0.0) * rate
    cached = None if api.cached_input_per_million is None else api.cached_input_per_million * rate
    each = api_usd_per_request(input_tokens, output_tokens, into, out, study.workload.prefix_cache_hit_rate, cached)
    month = plan.usd_per_month or 0.0
    working = max(plan.replicas - plan.spare_replicas, 1)
    most = plan.max_rate_per_replica * working * SECONDS_PER_MONTH
    needed = break_even_requests_per_month(month, each)
    least = month / most if most > 0 else float("inf")
    planned = plan.requests_per_s * study.workload.daily.utilization * SECONDS_PER_MONTH
    if needed is None:
        verdict, reason = "never", "the list price is nothing"
    elif needed > most:
        verdict = "never"
        reason = (
            f"even at its full capacity, every hour of the month, a request costs ${least:.2g} on this plan and "
            f"${each:.2g} at the list price"
        )
    else:
        verdict = f"from {needed:,.0f} requests a month"
        reason = f"${month:,.0f} a month / ${each:.4g} a request; {needed / most:.0%} of what the plan can carry"
    reached = needed if needed is not None and needed <= most else None
    return BreakEven(
        api=api.model,
        provider=api.provider,
        date=api.date,
        stale=is_stale(api),
        dated=dated(api),
        usd_per_million_input=into,
        usd_per_million_cached_input=cached,
        usd_per_million_output=out,
        api_usd_per_request=each,
        plan_usd_per_month=month,
        requests_per_month=reached,
        tokens_per_month=None if reached is None else reached * (input_tokens + output_tokens),
        capacity_requests_per_month=most,
        share_of_capacity=None if reached is None or most <= 0 else reached / most,
        usd_per_request_at_capacity=least,
        planned_requests_per_month=planned,
        api_usd_per_month=planned * each,
        cheaper_at_planned_volume=month < planned * each,
        verdict=verdict,
        reason=reason,
        price_basis=None if plan.price is None else plan.price.basis,
    )
