"""The answer: summary, configuration with its bill of materials, memory, speed."""

from __future__ import annotations

from sizing.base.arrays import scalar
from sizing.base.units import GIB
from sizing.planning.result import Plan
from sizing.report.blocks import column, facts, table
from sizing.report.charts import memory_chart, speed_chart
from sizing.report.context import Context, layout
from sizing.report.model import Block, Cell, Figure, Figures, Items, Section, Table, Text
from sizing.report.sections_notes import risks
from sizing.report.text import show

Row = tuple[Cell, ...]
LOAD_ROWS = 9
TOP_RISKS = 3


def dollars(value: float | None) -> str:
    """Money in a sentence."""
    return "–" if value is None else f"${show(value, 'money')}"


def confidence(ctx: Context, plan: Plan) -> tuple[str, str]:
    """Level (high, medium, low) and reasons: each kind of server that was never measured lowers it."""
    missing = [reason for reason in plan.confidence if reason.startswith(("no measured", "few or no"))]
    level = "high" if not missing else "medium" if len(missing) == 1 else "low"
    return level, "; ".join(ctx.m.phrase(reason) for reason in plan.confidence)


def summary_section(ctx: Context) -> Section:
    """The answer on one page."""
    m, best = ctx.m, ctx.best
    title = m("section.summary")
    if best is None:
        return Section(
            id="summary", title=title, blocks=(Text(text=m("summary.none", model=ctx.model_name), tone="lead"),)
        )
    text = m(
        "summary.answer", model=ctx.model_name, accelerators=best.accelerators, accelerator=best.accelerator_name,
        servers=best.servers, replicas=best.replicas, layout=layout(best), weights=best.weights, engine=best.engine,
        version=best.engine_version,
    )  # fmt: skip
    blocks: list[Block] = [Text(text=text, tone="lead"), _figures(ctx, best)]
    out = best.cost.get("usd_per_million_tokens")
    if best.usd_per_hour is not None and out is not None:
        money = m(
            "summary.money", hour=dollars(best.usd_per_hour), month=dollars(best.usd_per_month),
            request=dollars(best.cost["usd_per_request"].p50), tokens=dollars(out.p50),
            low=dollars(out.p10), high=dollars(out.p90),
        )  # fmt: skip
        blocks.append(Text(text=money))
        old = ctx.old_prices([best])
        blocks += [Text(text=old, tone="warning")] if old else []
    else:
        blocks.append(Text(text=m("summary.no_money"), tone="warning"))
    bound = m("summary.bound", bottleneck=m.phrase(best.bottleneck), binding=m.phrase(best.binding))
    blocks.append(Text(text=bound))
    other = next((plan for plan in ctx.result.plans if plan.accelerator != best.accelerator), None)
    if other is not None and other.usd_per_hour and best.usd_per_hour:
        ratio = show(other.usd_per_hour / best.usd_per_hour, "percent")
        plan = f"{ctx.plan_name(other)}, {layout(other)}"
        blocks.append(Text(text=m("summary.runner_up", plan=plan, hour=dollars(other.usd_per_hour), ratio=ratio)))
    level, reasons = confidence(ctx, best)
    sure = m("summary.confidence", level=m(f"summary.confidence_{level}"), reasons=reasons)
    blocks.append(Text(text=sure, tone="note" if level == "high" else "warning"))
    items = tuple(f"{row[1]}: {row[2]}" for row in risks(ctx)[:TOP_RISKS])
    if items:
        blocks.append(Items(id="top_risks", title=m("summary.top_risks"), items=items))
    return Section(id="summary", title=title, blocks=tuple(blocks))


def _figures(ctx: Context, best: Plan) -> Figures:
    m = ctx.m
    rows = [
        Figure(key="accelerators", label=m("figure.accelerators"), value=best.accelerators, unit=best.accelerator_name),
        Figure(key="usd_per_hour", label=m("figure.usd_per_hour"), value=best.usd_per_hour, unit="USD", kind="money"),
        Figure(
            key="usd_per_month", label=m("figure.usd_per_month"), value=best.usd_per_month, unit="USD", kind="money"
        ),
    ]
    out = best.cost.get("usd_per_million_tokens")
    if out is not None:
        rows.append(Figure(key="usd_per_million_tokens", label=m("cost.usd_per_million_tokens"), value=out.p50,
                           unit="USD", low=out.p10, high=out.p90, kind="money"))  # fmt: skip
    for key, item, factor, unit in (
        ("ttft", best.ttft_s, 1e3, "ms"),
        ("tpot", best.tpot_s, 1e3, "ms"),
        ("output_rate", best.output_tokens_per_s, 1.0, "tokens_s"),
    ):
        rows.append(Figure(key=key, label=m(f"figure.{key}"), value=item.p50 * factor, unit=m(f"unit.{unit}"),
                           low=item.p10 * factor, high=item.p90 * factor))  # fmt: skip
    rows.append(Figure(key="utilization", label=m("figure.utilization"), value=best.utilization, kind="percent"))
    return Figures(id="key", figures=tuple(rows))


def configuration_section(ctx: Context) -> Section:
    """The configuration, the decisions behind it, and what to buy."""
    m, best = ctx.m, ctx.best
    blocks: list[Block] = []
    if best is not None:
        blocks += [facts(m, "configuration", _configuration(ctx, best)), _decisions(ctx, best), _bill(ctx)]
    return Section(id="configuration", title=m("section.configuration"), blocks=tuple(blocks))


def _configuration(ctx: Context, best: Plan) -> list[Row]:
    m = ctx.m
    working = max(best.replicas, 1)
    rows: list[Row] = [
        (m("conf.accelerator"), best.accelerator_name, "", best.accelerator),
        (m("conf.accelerators"), best.accelerators, "", ""),
        (m("conf.servers"), best.servers, "", ctx.target(best).server.name),
        (m("conf.replicas"), best.replicas, "", ""),
        (m("conf.spare"), best.spare_replicas, "", ""),
        (m("conf.mode"), m.word("conf", f"mode_{best.mode}"), "", ""),
        (m("conf.layout"), layout(best), "", ""),
        (m("conf.per_replica"), best.accelerators // working, "", ""),
        (m("conf.weights"), best.weights, "", ""),
        (m("conf.kv"), best.kv_dtype, "", ""),
        (m("conf.engine"), f"{best.engine} {best.engine_version}", "", ""),
        (m("conf.speculative"), best.speculative_tokens, m("unit.tokens"), ""),
    ]
    found = ctx.estimate
    if found is not None:
        load = found.memory.load
        rows += [
            (m("conf.context"), load.context, m("unit.tokens"), ""),
            (m("conf.max_seqs"), load.max_num_seqs, m("unit.requests"), ""),
            (m("conf.max_tokens"), load.max_num_batched_tokens, m("unit.tokens"), ""),
            (m("conf.memory_fraction"), load.utilization, "", ""),
        ]
    rows += [
        (m("conf.rate_replica"), best.rate_per_replica, m("unit.requests_s"), ""),
        (m("conf.max_rate"), best.max_rate_per_replica, m("unit.requests_s"), ""),
        (m("conf.concurrency"), best.concurrency_per_replica, m("unit.requests"), ""),
        (m("conf.max_concurrency"), best.max_concurrency_per_replica, m("unit.requests"), ""),
    ]
    return rows


def _decisions(ctx: Context, best: Plan) -> Table:
    m, accelerators = ctx.m, {plan.accelerator for plan in ctx.result.plans}
    native = any("own format" in text for text in best.assumptions)
    why = m("decision.weights_why", gib=show(best.memory_gib["weights"]), pool=show(best.memory_gib["kv_pool"]))
    one = "" if len(accelerators) > 1 else "_only"
    rate, most = show(best.requests_per_s), show(best.max_rate_per_replica)
    headroom = show(ctx.study.workload.targets.headroom, "percent")
    rows: list[Row] = [
        ("D1", m("decision.accelerator", accelerator=best.accelerator_name),
         m(f"decision.accelerator_why{one}", count=len(ctx.result.plans)),
         m("decision.accelerator_implies", servers=best.servers, price=dollars(best.usd_per_accelerator_hour))),
        ("D2", m("decision.weights", weights=best.weights, kv=best.kv_dtype),
         f"{m('decision.weights_native')}; {why}" if native else why,
         m("decision.weights_implies_native" if native else "decision.weights_implies")),
        ("D3", m("decision.layout", layout=layout(best)), m("decision.layout_why", binding=m.phrase(best.binding)),
         m("decision.layout_implies", count=best.accelerators // max(best.replicas, 1))),
        ("D4", m("decision.replicas", replicas=best.replicas, spare=best.spare_replicas),
         m("decision.replicas_why", rate=rate, most=most, headroom=headroom),
         m("decision.replicas_implies", load=show(best.utilization, "percent"))),
        ("D5", m("decision.engine", engine=best.engine, version=best.engine_version), m("decision.engine_why"),
         m("decision.engine_implies")),
    ]  # fmt: skip
    columns = [column(m, "id"), column(m, "decision"), column(m, "why"), column(m, "implication")]
    return table(m, "decisions", columns, rows)


def _bill(ctx: Context) -> Table:
    m, found = ctx.m, ctx.materials
    assert found is not None
    rows = [
        (m.phrase(line.name), line.quantity, m.phrase(line.unit), m.phrase(line.formula), m.phrase(line.source),
         m("word.assumed") if line.assumed else "")
        for line in found.lines
    ]  # fmt: skip
    columns = [
        column(m, "item"), column(m, "quantity", "number"), column(m, "unit"), column(m, "formula"),
        column(m, "source"), column(m, "assumed"),
    ]  # fmt: skip
    return table(m, "bill", columns, rows, note=m("conf.bill_note"), title=m("table.bill", server=found.server))


def memory_section(ctx: Context) -> Section:
    """The ledger of one accelerator and the plans' stacks."""
    m, found = ctx.m, ctx.estimate
    blocks: list[Block] = []
    chart = memory_chart(ctx)
    if found is not None:
        ledger = found.memory
        text = m(
            "memory.fits", tokens=show(ledger.kv_pool_tokens), requests=show(ledger.max_concurrency),
            context=show(ledger.load.context),
        )  # fmt: skip
        blocks.append(Text(text=text))
    if chart is not None:
        blocks.append(chart)
    if found is not None:
        rows: list[Row] = []
        for line in found.memory.lines:
            size, unit = (line.value / GIB, "GiB") if line.unit == "bytes" else (line.value, m.phrase(line.unit))
            given = ", ".join(
                f"{key} {show(value) if not isinstance(value, str) else value}" for key, value in line.inputs.items()
            )
            rows.append((m.phrase(line.name), size, unit, m.phrase(line.formula), given))
        columns = [
            column(m, "item"),
            column(m, "value", "number"),
            column(m, "unit"),
            column(m, "formula"),
            column(m, "inputs"),
        ]
        note = m("memory.pool_note") if ctx.best is not None and ctx.best.pools else ""
        blocks.append(table(m, "memory", columns, rows, note=note))
    return Section(id="memory", title=m("section.memory"), blocks=tuple(blocks))


def speed_section(ctx: Context) -> Section:
    """Predictions with intervals, the load curve, and where a step's time goes."""
    m, best = ctx.m, ctx.best
    blocks: list[Block] = []
    if best is not None:
        low, high = (best.output_tokens_per_s.p10, best.output_tokens_per_s.p90)
        middle = max(best.output_tokens_per_s.p50, 1e-12)
        rows: list[Row] = [
            (m("speed.output"), low, middle, high, m("unit.tokens_s")),
            (m("speed.requests"), best.requests_per_s * low / middle, best.requests_per_s,
             best.requests_per_s * high / middle, m("unit.requests_s")),
            (m("speed.ttft"), *(1e3 * v for v in best.ttft_s.to_dict().values()), m("unit.ms")),
            (m("speed.ttft95"), None, 1e3 * best.ttft_p95_s, None, m("unit.ms")),
            (m("speed.tpot"), *(1e3 * v for v in best.tpot_s.to_dict().values()), m("unit.ms")),
            (m("speed.tpot95"), None, 1e3 * best.tpot_p95_s, None, m("unit.ms")),
            (m("speed.user"), 1 / best.tpot_s.p90, 1 / best.tpot_s.p50, 1 / best.tpot_s.p10, m("unit.tokens_s")),
            (m("speed.e2e"), None, best.end_to_end_s, None, m("unit.s")),
        ]  # fmt: skip
        columns = [column(m, "item"), column(m, "p10", "number"), column(m, "p50", "number"),
                   column(m, "p90", "number"), column(m, "unit")]  # fmt: skip
        blocks.append(table(m, "speed", columns, rows, note=m("speed.note")))
        chart = speed_chart(ctx)
        blocks += [chart] if chart is not None else []
        blocks += [*_load_table(ctx, best), *_step_table(ctx)]
    return Section(id="speed", title=m("section.speed"), blocks=tuple(blocks))


def _load_table(ctx: Context, best: Plan) -> list[Block]:
    curve, m = ctx.curve(best), ctx.m
    if curve is None:
        return []
    chips = max(best.accelerators / max(best.replicas, 1), 1.0)
    size = len(curve.batch)
    rows: list[Row] = []
    for point in sorted({round(i * (size - 1) / (LOAD_ROWS - 1)) for i in range(LOAD_ROWS)}):
        tpot, rate = float(curve.tpot_s[point]), float(curve.requests_per_s[point])
        rows.append(
            (float(curve.concurrency[point]), rate, rate * ctx.lengths[1], rate * ctx.lengths[1] / chips,
             float(curve.ttft_s[point]) * 1e3, float(curve.ttft_p95_s[point]) * 1e3, tpot * 1e3,
             float(curve.tpot_p95_s[point]) * 1e3, 1 / tpot)
        )  # fmt: skip
    columns = [
        column(m, "concurrency", "number", "requests"), column(m, "rate", "number", "requests_s"),
        column(m, "throughput", "number", "tokens_s"), column(m, "per_accelerator", "number", "tokens_s"),
        column(m, "ttft", "number", "ms"), column(m, "ttft95", "number", "ms"), column(m, "tpot", "number", "ms"),
        column(m, "tpot95", "number", "ms"), column(m, "interactivity", "number", "tokens_s"),
    ]  # fmt: skip
    return [table(m, "load", columns, rows)]


def _step_table(ctx: Context) -> list[Block]:
    found, m = ctx.estimate, ctx.m
    if found is None:
        return []
    rows: list[Row] = []
    for phase, timed in (("decode", found.decode_step), ("prefill", found.prefill_step)):
        total = max(sum(scalar(item.seconds) for item in timed), 1e-12)
        for item in timed:
            spent = scalar(item.seconds)
            if spent / total < 0.005:
                continue
            kind = m.word("op", item.operation.kind)
            rows.append((m(f"phase.{phase}"), item.operation.name, kind, int(item.operation.count), spent * 1e3,
                         spent / total))  # fmt: skip
    columns = [column(m, "phase"), column(m, "operation"), column(m, "item"), column(m, "calls", "number"),
               column(m, "time", "number", "ms"), column(m, "share", "percent", "percent")]  # fmt: skip
    return [table(m, "step", columns, rows)]
