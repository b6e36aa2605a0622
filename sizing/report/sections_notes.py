"""What to be careful with, where figures are from, and how to make the report again."""

from __future__ import annotations

from sizing.hardware.models import Accelerator, Server, Source
from sizing.model.sources import find_in_catalog
from sizing.planning.result import Plan
from sizing.report.blocks import column, table
from sizing.report.context import Context, layout, possible_factors
from sizing.report.model import Block, Cell, Code, Items, Section, Table, Text
from sizing.report.text import show

Row = tuple[Cell, ...]
BUSY = 0.85  # load at the peak above which headroom is a risk
QUANTISED = ("int8", "int4", "w4a8", "nvfp4", "mxfp4", "bits", "fp8")


def risks(ctx: Context) -> list[Row]:
    """Rows of ID, risk, effect, action: what the rules below find in the best plan."""
    best = ctx.best
    if best is None:
        return []
    found: list[tuple[str, dict[str, object]]] = []
    if ctx.arch.hypothetical:
        found.append(("hypothetical", {}))
    missing = [reason for reason in best.confidence if reason.startswith(("no measured", "few or no"))]
    if missing:
        said = "; ".join(ctx.m.phrase(reason) for reason in missing)
        low, high = (show(value, "percent") for value in possible_factors(best))
        found.append(("evidence", {"reasons": said, "low": low, "high": high}))
    found += _price_risk(ctx, best)
    if best.spare_replicas == 0:
        share = show(1 / max(best.replicas, 1), "percent")
        found.append(("spare", {"replicas": best.replicas, "share": share}))
    if best.utilization > BUSY:
        found.append(("load", {"load": show(best.utilization, "percent")}))
    native = any("own format" in text for text in best.assumptions)
    if best.weights.startswith(QUANTISED) and not native:
        found.append(("quality", {"weights": best.weights}))
    context = ctx.demand(best).context
    if ctx.arch.native_context and context > ctx.arch.native_context:
        found.append(("yarn", {"context": show(context), "native": show(ctx.arch.native_context)}))
    targets = ctx.study.workload.targets
    if not any((targets.ttft_p95_s, targets.ttft_p50_s, targets.tpot_p95_s, targets.tpot_p50_s, targets.e2e_p95_s)):
        found.append(("targets", {}))
    return [
        (f"R{number}", ctx.m(f"risk.{key}"), ctx.m(f"risk.{key}.effect", **values), ctx.m(f"risk.{key}.action"))
        for number, (key, values) in enumerate(found, 1)
    ]


def _price_risk(ctx: Context, best: Plan) -> list[tuple[str, dict[str, object]]]:
    if best.usd_per_hour is None:
        return [("noprice", {})]
    price = best.price
    if price is None or not (price.derived or ctx.stale(price)):
        return []
    newest = price.newest or ctx.m("word.unknown")
    return [("price", {"newest": newest, "low": show(price.low, "money"), "high": show(price.high, "money")})]


def risks_section(ctx: Context) -> Section:
    """Risks with what to do, assumptions, confidence, exclusions."""
    m, rows = ctx.m, risks(ctx)
    columns = [column(m, "id"), column(m, "risk"), column(m, "effect"), column(m, "action")]
    blocks: list[Block] = [table(m, "risks", columns, rows, note="" if rows else m("risk.none"))]
    said = tuple(m.phrase(text) for text in ctx.result.assumptions)
    blocks.append(Items(id="assumptions", title=m("assumptions.title"), items=said))
    if ctx.best is not None:
        reasons = tuple(m.phrase(text) for text in ctx.best.confidence)
        blocks.append(Items(id="confidence", title=m("confidence.title"), items=reasons))
    items = tuple(part.strip() for part in m("excluded.items").replace("；", ";").split(";"))
    blocks.append(Items(id="excluded", title=m("excluded.title"), items=items))
    return Section(id="risks", title=m("section.risks"), blocks=tuple(blocks))


def sources_section(ctx: Context) -> Section:
    """Every price with its dates, every hardware figure with its source."""
    m = ctx.m
    blocks: list[Block] = [_prices(ctx)]
    if ctx.break_even:
        blocks.append(_api_prices(ctx))
    blocks += [_hardware(ctx), _others(ctx)]
    return Section(id="sources", title=m("section.sources"), blocks=tuple(blocks))


def _prices(ctx: Context) -> Table:
    m = ctx.m
    rows: list[Row] = []
    seen: set[str] = set()
    for plan in ctx.result.plans:
        if plan.accelerator in seen:
            continue
        seen.add(plan.accelerator)
        price = plan.price
        if price is None:
            said = m("source.price_given") if plan.usd_per_hour is not None else m("word.unknown")
            rows.append((plan.accelerator, plan.usd_per_accelerator_hour, None, None, None, None, "", said, ""))
            continue
        age = ctx.age(price)
        kind = m("word.derived") if price.derived else m("word.quoted")
        rows.append((plan.accelerator, price.usd, price.low, price.high, price.quotes, price.newest, age,
                     f"{kind}: {m.phrase(price.rule)}", "; ".join(price.sources)))  # fmt: skip
    columns = [
        column(m, "accelerator"), column(m, "price", "money", "usd_h"), column(m, "low", "money", "usd_h"),
        column(m, "high", "money", "usd_h"), column(m, "quotes", "number"), column(m, "newest"), column(m, "age"),
        column(m, "basis"), column(m, "source"),
    ]  # fmt: skip
    return table(m, "prices", columns, rows, note=m("source.note"))


def _api_prices(ctx: Context) -> Table:
    m = ctx.m
    by_name = {(entry.model, entry.provider): entry for entry in ctx.catalog.api_prices}
    rows: list[Row] = []
    for item in ctx.break_even:
        entry = by_name.get((item.api, item.provider))
        age = "" if entry is None else ctx.age(entry)
        rows.append((item.api, item.provider, item.usd_per_million_input, item.usd_per_million_output, item.date, age,
                     entry.source if entry else m("source.none")))  # fmt: skip
    columns = [
        column(m, "api"), column(m, "provider"), column(m, "usd_input", "money", "usd_m"),
        column(m, "usd_output", "money", "usd_m"), column(m, "date"), column(m, "age"), column(m, "source"),
    ]  # fmt: skip
    return table(m, "apis", columns, rows)


def _hardware(ctx: Context) -> Table:
    m = ctx.m
    rows: list[Row] = []
    seen: set[str] = set()
    for offer in ctx.study.hardware:
        accelerator, _ = ctx.catalog.resolve(offer.accelerator)
        rows += _entry_rows(ctx, accelerator, seen)
    if ctx.best is not None:
        rows += _entry_rows(ctx, ctx.target(ctx.best).server, seen)
    columns = [column(m, "name"), column(m, "field"), column(m, "says"), column(m, "source")]
    return table(m, "hardware", columns, rows)


def _entry_rows(ctx: Context, entry: Accelerator | Server, seen: set[str]) -> list[Row]:
    if entry.id in seen:
        return []
    seen.add(entry.id)
    sources: tuple[Source, ...] = entry.sources
    rows: list[Row] = [(entry.id, ", ".join(source.fields), source.says, source.ref) for source in sources]
    if entry.unsourced:
        rows.append((entry.id, ", ".join(entry.unsourced), "", ctx.m("source.none")))
    return rows


def _others(ctx: Context) -> Table:
    m = ctx.m
    found = None if ctx.study.model.config is not None else find_in_catalog(ctx.study.model.name)
    model = found[0].source if found is not None and found[0].source else m("source.study")
    rows: list[Row] = [
        (m("source.model"), model),
        (m("source.workload"), m.phrase(ctx.study.workload.source) or m("source.study")),
    ]
    if ctx.best is not None:
        rows.append((m("source.evidence"), "; ".join(m.phrase(text) for text in ctx.best.confidence)))
    return table(m, "other_sources", [column(m, "item"), column(m, "source")], rows)


def appendix_section(ctx: Context) -> Section:
    """Formulas in words with their values, and the study that makes the report again."""
    m, best = ctx.m, ctx.best
    blocks: list[Block] = []
    if best is not None:
        columns = [column(m, "item"), column(m, "formula"), column(m, "value", "number"), column(m, "unit")]
        blocks.append(table(m, "formulas", columns, _formulas(ctx, best), note=m("appendix.excerpt")))
    engine = "\n".join(
        f"sizing {command}"
        for command in (
            "plan study.yaml",
            "report study.yaml -o report.pdf",
            "deploy study.yaml --kind compose -o launch",
        )
    )
    blocks += [
        Text(text=m("appendix.reproduce")),
        Code(title=m("appendix.commands"), text=engine),
        Code(title=m("appendix.study"), text=ctx.study.to_yaml()),
    ]
    return Section(id="appendix", title=m("section.appendix"), blocks=tuple(blocks))


def _formulas(ctx: Context, best: Plan) -> list[Row]:
    m, found = ctx.m, ctx.estimate
    cost = {name: value.p50 for name, value in best.cost.items()}
    rows: list[Row] = []

    def add(name: str, value: float | None, unit: str, text: str | None = None) -> None:
        rows.append((m(f"formula.{name}"), text or m(f"formula.{name}.text"), value, m.word("unit", unit)))

    if found is not None:
        pool = next(line for line in found.memory.lines if line.name == "cache pool")
        add("pool", found.memory.kv_pool_bytes / 2**30, "gib", m.phrase(pool.formula))
    add("throughput", best.output_tokens_per_s.p50, "tokens_s")
    add("tpot", best.tpot_s.p50 * 1e3, "ms")
    add("ttft", best.ttft_s.p50 * 1e3, "ms")
    add("replicas", float(best.replicas), "")
    add("cost_hour", best.usd_per_hour, "usd")
    add("cost_request", cost.get("usd_per_request"), "usd")
    add("cost_output", cost.get("usd_per_million_output_tokens"), "usd")
    add("cost_input", cost.get("usd_per_million_input_tokens"), "usd")
    add("energy", best.energy_wh_per_million_tokens, "wh")
    return rows


__all__ = ["appendix_section", "layout", "risks", "risks_section", "sources_section"]
