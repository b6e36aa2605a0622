"""What it costs, against what, and why not the other candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sizing.planning.result import WORKS, Plan, Rejection
from sizing.report.blocks import column, table
from sizing.report.charts import cost_chart
from sizing.report.context import Context, layout
from sizing.report.model import Block, Cell, Section, Table, Text
from sizing.report.money_sheet import owned

Row = tuple[Cell, ...]
MOST_REJECTED = 40
COSTS = (
    "usd_per_request",
    "usd_per_million_tokens",
    "usd_per_million_output_tokens",
    "usd_per_million_input_tokens",
    "usd_per_million_cached_input_tokens",
)


def cost_section(ctx: Context) -> Section:
    """Costs with intervals, what they hang on, and from which volume owning beats an API."""
    m, best = ctx.m, ctx.best
    blocks: list[Block] = []
    if best is not None:
        blocks.append(_costs(ctx, best))
        chart = cost_chart(ctx)
        blocks += [chart] if chart is not None else []
        blocks += _ownership(ctx, best)
        if best.sensitivities:
            rows = [(m.phrase(name), value) for name, value in best.sensitivities.items()]
            columns = [column(m, "change"), column(m, "effect_cost", "percent", "percent")]
            blocks.append(table(m, "sensitivity", columns, rows, note=m("cost.sensitivity_note")))
        blocks.append(_break_even(ctx) if ctx.break_even else Text(text=m("cost.no_breakeven"), tone="note"))
    return Section(id="cost", title=m("section.cost"), blocks=tuple(blocks))


def _costs(ctx: Context, best: Plan) -> Table:
    m = ctx.m
    rows: list[Row] = [
        (m("cost.usd_accelerator_hour"), None, best.usd_per_accelerator_hour, None, m("unit.usd")),
        (m("cost.usd_hour"), None, best.usd_per_hour, None, m("unit.usd")),
        (m("cost.usd_month"), None, best.usd_per_month, None, m("unit.usd")),
    ]
    for name in COSTS:
        if name in best.cost:
            rows.append((m(f"cost.{name}"), *best.cost[name].to_dict().values(), m("unit.usd")))
    rows += [
        (m("cost.energy"), None, best.energy_wh_per_million_tokens, None, m("unit.wh")),
        (m("cost.carbon"), None, best.carbon_g_per_million_tokens, None, m("unit.g")),
    ]
    for name, span in best.footprint.items():
        unit = m("unit.litre") if name.startswith("water") else m("unit.g")
        rows.append((m(f"cost.{name}"), span.low, span.value, span.high, unit))
    if best.price is not None:
        price = best.price
        rows.append(
            (f"{m('cost.price')} ({m.word('basis', price.basis)})", price.low, price.usd, price.high, m("unit.usd"))
        )
    columns = [column(m, "item"), column(m, "p10", "money"), column(m, "p50", "money"), column(m, "p90", "money"),
               column(m, "unit")]  # fmt: skip
    return table(m, "money", columns, rows, note=" ".join(filter(None, (m("cost.note"), ctx.old_prices([best])))))


def _ownership(ctx: Context, best: Plan) -> list[Block]:
    found = owned(ctx, best)
    if found is None:
        return []
    m = ctx.m
    rows = [(m.phrase(line.name), line.usd_per_year, m.phrase(line.formula)) for line in found.lines]
    columns = [column(m, "item"), column(m, "value", "money", "usd"), column(m, "formula")]
    return [table(m, "ownership", columns, rows, note=ctx.old_prices([best]))]


def _break_even(ctx: Context) -> Table:
    m = ctx.m
    rows: list[Row] = []
    for item in ctx.break_even:
        age = m("word.stale") if item.stale else m("word.fresh")
        said = m("cost.cheaper") if item.cheaper_at_planned_volume else m("cost.dearer")
        rows.append(
            (item.api, item.provider, item.date, age, item.api_usd_per_request, item.usd_per_request_at_capacity,
             item.requests_per_month, item.share_of_capacity, item.api_usd_per_month, said)
        )  # fmt: skip
    columns = [
        column(m, "api"), column(m, "provider"), column(m, "date"), column(m, "age"),
        column(m, "api_request", "money", "usd"),
        column(m, "own_request", "money", "usd"), column(m, "breakeven", "number", "requests_month"),
        column(m, "share_of_capacity", "percent", "percent"), column(m, "api_month", "money", "usd"),
        column(m, "verdict"),
    ]  # fmt: skip
    return table(m, "breakeven", columns, rows)


def alternatives_section(ctx: Context) -> Section:
    """All plans kept, and one line for each kind of loser."""
    m, result = ctx.m, ctx.result
    blocks: list[Block] = [Text(text=m("alt.evaluated", count=f"{result.evaluated:,}"))]
    if result.plans:
        blocks.append(_plans(ctx))
    folded = _folded(result.rejected)
    rows: list[Row] = [
        (m.word("code", item.code), m.phrase(item.candidate), item.count, m.phrase(item.reason))
        for item in folded[:MOST_REJECTED]
    ]
    left = len(folded) - MOST_REJECTED
    columns = [column(m, "code"), column(m, "candidate"), column(m, "count", "number"), column(m, "reason")]
    note = m("alt.more", count=left) if left > 0 else "" if rows else m("alt.none")
    blocks.append(table(m, "rejected", columns, rows, note=note))
    return Section(id="alternatives", title=m("section.alternatives"), blocks=tuple(blocks))


def _folded(items: Sequence[Rejection]) -> list[Rejection]:
    """One line for all layouts of one accelerator in one format that work; the first, cheapest, stands for them."""
    found: dict[tuple[str, ...], Rejection] = {}
    for item in items:
        words = item.candidate.split(" ")
        key = (item.code, *words[2:4]) if item.code in WORKS else (item.code, item.candidate, item.reason)
        known = found.get(key)
        found[key] = item if known is None else replace(known, count=known.count + item.count)
    return list(found.values())


def _plans(ctx: Context) -> Table:
    m = ctx.m
    rows: list[Row] = []
    for number, plan in enumerate(ctx.result.plans, 1):
        out, each = plan.cost.get("usd_per_million_tokens"), plan.cost.get("usd_per_request")
        basis = "" if plan.price is None else m.word("basis", plan.price.basis)
        rows.append(
            (number, plan.accelerator_name, plan.accelerators, plan.weights, plan.kv_dtype, layout(plan),
             plan.replicas, plan.usd_per_hour, basis, each.p50 if each else None, out.p50 if out else None,
             plan.ttft_p95_s * 1e3, plan.tpot_p95_s * 1e3, plan.utilization)
        )  # fmt: skip
    columns = [
        column(m, "rank", "number"), column(m, "accelerator"), column(m, "accelerators", "number"),
        column(m, "weights"), column(m, "kv"), column(m, "layout"), column(m, "replicas", "number"),
        column(m, "usd_hour", "money", "usd_h"), column(m, "basis"),
        column(m, "usd_request", "money", "usd_request"), column(m, "usd_tokens", "money", "usd_m"),
        column(m, "ttft95", "number", "ms"),
        column(m, "tpot95", "number", "ms"), column(m, "load", "percent", "percent"),
    ]  # fmt: skip
    return table(m, "plans", columns, rows, highlight=0, note=ctx.old_prices(ctx.result.plans))
