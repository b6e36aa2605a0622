"""Cost as a sheet that recomputes: named inputs, and lines as formulas with the core's own values beside."""

from __future__ import annotations

import math

from sizing.base.errors import SizingError
from sizing.money.ownership import HOURS_PER_MONTH, HOURS_PER_YEAR, OwnedHour
from sizing.money.tokens import api_usd_per_request, break_even_requests_per_month
from sizing.planning.planner import own_hour
from sizing.planning.result import Plan
from sizing.report.context import Context
from sizing.report.model import CostSheet, Formula, Input

CACHED_WEIGHT = 0.1  # the default of sizing.money.tokens.token_cost
MOST_APIS = 10


def power_of(plan: Plan, ctx: Context) -> float:
    """Power that the plan's energy figure stands on, per accelerator with its share of the server [W]."""
    if plan.energy_wh_per_million_tokens is None:
        return 0.0
    tokens = plan.requests_per_s * ctx.study.workload.daily.utilization * sum(ctx.lengths)
    watts = plan.energy_wh_per_million_tokens * tokens * 3600 / 1e6 / ctx.owning.pue
    return watts / max(plan.accelerators, 1)


def owned(ctx: Context, plan: Plan) -> OwnedHour | None:
    """The owned hour behind the plan's price, where the study prices owned hardware by it; else None."""
    if ctx.study.money.mode != "own" or plan.usd_per_accelerator_hour is None:
        return None
    for offer in ctx.study.hardware:
        if ctx.catalog.resolve(offer.accelerator)[0].id == plan.accelerator and offer.usd_per_hour is not None:
            return None
    try:
        return own_hour(ctx.study, ctx.target(plan))
    except SizingError:
        return None


class _Sheet:
    """Collects inputs and lines with their words."""

    def __init__(self, ctx: Context) -> None:
        self.m = ctx.m
        self.inputs: list[Input] = []
        self.lines: list[Formula] = []

    def put(self, name: str, value: float, unit: str = "", label: str | None = None) -> None:
        self.inputs.append(Input(name=name, label=label or self.m(f"input.{name}"), value=float(value), unit=unit))

    def line(self, name: str, formula: str, value: float, unit: str = "", label: str | None = None) -> None:
        text = label or self.m(f"line.{name}")
        self.lines.append(Formula(name=f"out_{name}", label=text, unit=unit, formula=formula, value=float(value)))


def cost_sheet(ctx: Context) -> CostSheet | None:
    """The sheet of the best plan; None without a plan. A plan without a price starts at a price of 0."""
    plan = ctx.best
    if plan is None:
        return None
    sheet = _Sheet(ctx)
    price = _price(ctx, plan, sheet)
    _demand(ctx, plan, sheet)
    _totals(ctx, plan, sheet, price)
    _tokens(ctx, plan, sheet)
    _power(ctx, plan, sheet)
    _apis(ctx, plan, sheet)
    return CostSheet(inputs=tuple(sheet.inputs), formulas=tuple(sheet.lines))


def _price(ctx: Context, plan: Plan, sheet: _Sheet) -> str:
    """Rent: an input. Owned: inputs of the ownership ledger and its lines. Returns the name that holds the price."""
    own = ctx.owning
    found = owned(ctx, plan)
    sheet.put("power_w_per_accelerator", power_of(plan, ctx), "W")
    sheet.put("pue", own.pue)
    sheet.put("electricity", own.electricity_usd_per_kwh, "USD/kWh")
    sheet.put("grid", ctx.study.money.grid_g_per_kwh, "g CO2e/kWh")
    if found is None:
        name = "price_per_accelerator_hour"
        sheet.put(name, plan.usd_per_accelerator_hour or 0.0, "USD/h", _with_age(ctx, plan, name))
        return "price_per_accelerator_hour"
    node = ctx.target(plan).node_size
    sheet.put("server_usd", found.capital_usd * node, "USD", _with_age(ctx, plan, "server_usd"))
    sheet.put("accelerators_per_server", node)
    sheet.put("network_usd", own.network_usd_per_accelerator, "USD")
    sheet.put("rack_usd", own.rack_usd_per_accelerator, "USD")
    sheet.put("years", own.years)
    sheet.put("residual", own.residual_fraction)
    sheet.put("discount", own.discount_rate)
    sheet.put("hosting", own.hosting_usd_per_kw_month, "USD/kW-month")
    sheet.put("staff", own.staff_usd_per_accelerator_year, "USD/year")
    sheet.put("maintenance", own.maintenance_fraction)
    ledger = {line.name: line.usd_per_year for line in found.lines}
    capex = found.capital_usd + own.network_usd_per_accelerator + own.rack_usd_per_accelerator
    sheet.line("capex", "server_usd/accelerators_per_server+network_usd+rack_usd", capex, "USD")
    repaid = "IF(discount=0,1/years,discount/(1-(1+discount)^(-years)))"
    left = "residual*server_usd/accelerators_per_server/(1+discount)^years"
    sheet.line("annual_capital", f"(out_capex-{left})*{repaid}", ledger["capital"], "USD")
    kilowatts = "power_w_per_accelerator/1000"
    power = f"{kilowatts}*pue*{HOURS_PER_YEAR:g}*electricity"
    sheet.line("annual_electricity", power, ledger["electricity"], "USD")
    sheet.line("annual_hosting", f"{kilowatts}*hosting*12", ledger["hosting"], "USD")
    sheet.line("annual_maintenance", "maintenance*out_capex", ledger["maintenance"], "USD")
    total = "out_annual_capital+out_annual_electricity+out_annual_hosting+staff+out_annual_maintenance"
    sheet.line("price_hour", f"({total})/{HOURS_PER_YEAR:g}", plan.usd_per_accelerator_hour or 0.0, "USD/h")
    return "out_price_hour"


def _with_age(ctx: Context, plan: Plan, name: str) -> str:
    """The label of an input that is a price of the catalog: what is old says so."""
    label = ctx.m(f"input.{name}")
    if plan.price is None or not ctx.stale(plan.price):
        return label
    return f"{label} ({plan.price.newest or ctx.m('word.unknown')}, {ctx.m('word.stale')})"


def _demand(ctx: Context, plan: Plan, sheet: _Sheet) -> None:
    work = ctx.study.workload
    inputs, outputs = ctx.lengths
    sheet.put("peak_requests_per_s", plan.requests_per_s, ctx.m("unit.requests_s"))
    sheet.put("utilisation", work.daily.utilization)
    if _follows(ctx, plan):
        sheet.put("max_requests_per_replica", plan.max_rate_per_replica, ctx.m("unit.requests_s"))
        sheet.put("headroom", work.targets.headroom)
    else:
        sheet.put("replicas_planned", plan.replicas - plan.spare_replicas)
    sheet.put("spare_replicas", plan.spare_replicas)
    sheet.put("accelerators_per_replica", plan.accelerators / max(plan.replicas, 1))
    sheet.put("input_tokens", inputs, ctx.m("unit.tokens"))
    sheet.put("output_tokens", outputs, ctx.m("unit.tokens"))
    sheet.put("cached_share", work.prefix_cache_hit_rate)
    sheet.put("cached_weight", CACHED_WEIGHT)
    sheet.put("prefill_share", plan.prefill_share)


def _follows(ctx: Context, plan: Plan) -> bool:
    """Whether the number of replicas follows from rate and capacity as the sheet would compute it."""
    usable = plan.max_rate_per_replica * (1 - ctx.study.workload.targets.headroom)
    if usable <= 0 or plan.mode != "aggregated":
        return False
    return max(math.ceil(round(plan.requests_per_s / usable, 6)), 1) == plan.replicas - plan.spare_replicas


def _totals(ctx: Context, plan: Plan, sheet: _Sheet, price: str) -> None:
    usable = "(max_requests_per_replica*(1-headroom))"
    count = f"MAX(1,ROUNDUP(ROUND(peak_requests_per_s/{usable},6),0))" if _follows(ctx, plan) else "replicas_planned"
    hour = plan.usd_per_hour or 0.0
    sheet.line("replicas", count, plan.replicas - plan.spare_replicas)
    total = "(out_replicas+spare_replicas)*accelerators_per_replica"
    sheet.line("accelerators", total, plan.accelerators)
    sheet.line("usd_per_hour", f"out_accelerators*{price}", hour, "USD")
    sheet.line("usd_per_month", f"out_usd_per_hour*{HOURS_PER_MONTH:g}", plan.usd_per_month or 0.0, "USD")
    sheet.line("usd_per_year", f"out_usd_per_hour*{HOURS_PER_YEAR:g}", hour * HOURS_PER_YEAR, "USD")
    mean = plan.requests_per_s * ctx.study.workload.daily.utilization
    sheet.line("mean_rate", "peak_requests_per_s*utilisation", mean, ctx.m("unit.requests_s"))
    month = mean * HOURS_PER_MONTH * 3600
    formula = f"out_mean_rate*{HOURS_PER_MONTH:g}*3600"
    sheet.line("requests_per_month", formula, month, ctx.m("unit.requests_month"))


def _tokens(ctx: Context, plan: Plan, sheet: _Sheet) -> None:
    def middle(name: str) -> float:
        return plan.cost[name].p50 if name in plan.cost else 0.0

    out = plan.cost.get("usd_per_million_output_tokens")
    usd = ctx.m("unit.usd")
    sheet.put("cost_low", out.p10 / out.p50 if out and out.p50 else 1.0)
    sheet.put("cost_high", out.p90 / out.p50 if out and out.p50 else 1.0)
    sheet.line("usd_per_request", "out_usd_per_hour/(out_mean_rate*3600)", middle("usd_per_request"), usd)
    weighted = "(input_tokens*(1-cached_share+cached_share*cached_weight))"
    each = f"out_usd_per_request*prefill_share/{weighted}*1000000"
    sheet.line("usd_per_million_input", each, middle("usd_per_million_input_tokens"), usd)
    cached = middle("usd_per_million_cached_input_tokens")
    sheet.line("usd_per_million_cached", "out_usd_per_million_input*cached_weight", cached, usd)
    made = "out_usd_per_request*(1-prefill_share)/output_tokens*1000000"
    sheet.line("usd_per_million_output", made, middle("usd_per_million_output_tokens"), usd)
    for name, factor, value in (
        ("p10", "cost_low", out.p10 if out else 0.0),
        ("p90", "cost_high", out.p90 if out else 0.0),
    ):
        sheet.line(f"usd_per_million_output_{name}", f"out_usd_per_million_output*{factor}", value, usd)
    both = "out_usd_per_request/(input_tokens+output_tokens)*1000000"
    sheet.line("usd_per_million_tokens", both, middle("usd_per_million_tokens"), usd)


def _power(ctx: Context, plan: Plan, sheet: _Sheet) -> None:
    if plan.energy_wh_per_million_tokens is None:
        return
    kilowatts = power_of(plan, ctx) * plan.accelerators / 1000
    meter = kilowatts * ctx.owning.pue * HOURS_PER_MONTH
    sheet.line("power_kw", "out_accelerators*power_w_per_accelerator/1000", kilowatts, "kW")
    sheet.line(
        "energy_wh",
        "out_power_kw*1000*pue/(out_mean_rate*(input_tokens+output_tokens))/3600*1000000",
        plan.energy_wh_per_million_tokens,
        "Wh",
    )
    sheet.line("energy_month", f"out_power_kw*pue*{HOURS_PER_MONTH:g}", meter, "kWh")
    sheet.line("electricity_month", "out_energy_month*electricity", meter * ctx.owning.electricity_usd_per_kwh, "USD")
    sheet.line("carbon", "out_energy_wh/1000*grid", plan.carbon_g_per_million_tokens or 0.0, "g CO2e")


def _apis(ctx: Context, plan: Plan, sheet: _Sheet) -> None:
    """Price lists that are cheaper than nothing: what a request costs there, and the volume that breaks even."""
    inputs, outputs = ctx.lengths
    hit = ctx.study.workload.prefix_cache_hit_rate
    for number, item in enumerate(ctx.break_even[:MOST_APIS], 1):
        m, unit = ctx.m, ctx.m("unit.usd_m")
        cached = item.usd_per_million_cached_input
        cached = item.usd_per_million_input if cached is None else cached
        sheet.put(f"api{number}_input", item.usd_per_million_input, unit, m("input.api_in", api=item.api))
        sheet.put(f"api{number}_cached", cached, unit, m("input.api_cached", api=item.api))
        sheet.put(f"api{number}_output", item.usd_per_million_output, unit, m("input.api_out", api=item.api))
        each = api_usd_per_request(
            inputs, outputs, item.usd_per_million_input, item.usd_per_million_output, hit, cached
        )
        into = f"input_tokens*((1-cached_share)*api{number}_input+cached_share*api{number}_cached)"
        formula = f"({into}+output_tokens*api{number}_output)/1000000"
        sheet.line(f"api{number}_request", formula, each, m("unit.usd"), m("line.api_request", api=item.api))
        needed = break_even_requests_per_month(plan.usd_per_month or 0.0, each)
        if needed is not None:
            formula = f"out_usd_per_month/out_api{number}_request"
            label = m("line.api_breakeven", api=item.api)
            sheet.line(f"api{number}_breakeven", formula, needed, m("unit.requests_month"), label)
