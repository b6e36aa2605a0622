"""Plan: the recommended deployment in one sentence, the alternatives, and why not the rest."""

from __future__ import annotations

from functools import partial

import plotly.graph_objects as go
import streamlit as st

from sizing.base.arrays import scalar
from sizing.base.ledger import LedgerLine
from sizing.base.units import count, digits, seconds
from sizing.planning.planner import study_model
from sizing.planning.result import Plan, Result
from sizing.study import Study
from sizing.web import calc, sharing, state, style
from sizing.web import show as ui
from sizing.web.messages import known, plain, t

OUT = "usd_per_million_tokens"


def show(study: Study) -> None:
    """Draw the page."""
    st.title(t("plan.title"), anchor=False)
    result = calc.result_of(study)
    _model_line(result)
    best = result.best
    if best is None:
        st.warning(t("plan.none"), icon=":material/block:")
        _ways_on(study)
        _rejected(result)
        ui.said(result.assumptions, t("plan.assumptions"))
        sharing.share(study, result)
        return
    _verdict(result, best)
    st.caption(_sized_for(result))
    _cards(best)
    if best.quality:
        st.caption(t("plan.quality", weights=best.weights, bits=digits(best.weight_bits)))
    if best.bought is not None and best.bought.free:
        whole = best.bought
        st.caption(
            t(
                "plan.bought",
                used=whole.used,
                all=whole.accelerators,
                servers=whole.servers,
                server=plain(whole.server_name),
            )
        )
    st.caption(t("plan.limits", binding=known("binding", best.binding), bottleneck=plain(best.bottleneck)))
    _working(study, best)
    _alternatives(result)
    _pareto(result)
    _rejected(result)
    ui.said(result.assumptions, t("plan.assumptions"))
    sharing.share(study, result)


def _ways_on(study: Study) -> None:
    """The cheapest changes with which there is a plan, as buttons that make them."""
    with st.spinner(t("plan.ways_running")):
        ways = calc.relaxations_of(study)
    if not ways:
        return
    st.markdown(f"**{t('plan.ways')}**")
    for number, item in enumerate(ways):
        price = ui.money(item.plan.usd_per_month).replace("$", "\\$")
        label = t("plan.way", change=item.flags.replace("--", ""), plan=plain(item.plan.label), month=price)
        st.button(label, key=f"way{number}", on_click=partial(state.apply, item.study), width="stretch")


def _model_line(result: Result) -> None:
    facts = result.model
    st.caption(
        t(
            "plan.model",
            name=plain(str(facts["model"])),
            total=count(float(facts["total"])),
            active=count(float(facts["active"])),
            context=f"{int(facts['native_context'] or 0):,}",
            checked=f"{result.evaluated:,}",
        )
    )
    if facts.get("hypothetical"):
        st.warning(t("plan.hypothetical"), icon=":material/warning:")


def _sentence(result: Result, best: Plan) -> str:
    targets = result.study.workload.targets
    key = "plan.sentence" if best.usd_per_month is not None else "plan.sentence_unpriced"
    promised = []
    if targets.ttft_p95_s:
        promised.append(t("plan.promise_ttft", value=seconds(targets.ttft_p95_s)))
    if targets.tpot_p95_s:
        promised.append(t("plan.promise_tpot", value=seconds(targets.tpot_p95_s)))
    return t(
        key,
        count=best.accelerators,
        name=plain(best.accelerator_name),
        servers=best.servers,
        model=plain(str(result.model["model"])),
        weights=best.weights,
        engine=best.engine,
        layout=ui.placement_text(best),
        replicas=best.replicas,
        rate=digits(best.requests_per_s),
        month=ui.money(best.usd_per_month).replace("$", "\\$"),
        promises=t("plan.joined").join(promised) or t("plan.no_promise"),
    )


def _verdict(result: Result, best: Plan) -> None:
    """The sentence, green where the simulation agrees or there is none, red where it misses; both p95 by their target."""
    targets, checked = result.study.workload.targets, best.checked or {}
    said = str(checked.get("verdict", ""))
    missed = said == "misses"
    parts = [
        t("plan.of_target", name=name, value=seconds(value), target=seconds(limit))
        for name, value, limit in (
            ("TTFT", checked.get("ttft_p95_s") or best.ttft_p95_s, targets.ttft_p95_s),
            ("TPOT", checked.get("tpot_p95_s") or best.tpot_p95_s, targets.tpot_p95_s),
        )
        if limit and value is not None
    ]
    how = t("plan.checked") if said == "meets" else t("plan.missed") if missed else t("plan.unchecked")
    text = _sentence(result, best) + ("\n\n" + t("plan.verdict", parts=", ".join(parts), how=how) if parts else "")
    if missed:
        st.error(text, icon=":material/warning:")
    elif said == "meets" or not parts:
        st.success(text, icon=":material/check_circle:")
    else:
        st.warning(text, icon=":material/help:")


def _sized_for(result: Result) -> str:
    """What was typed, as the answer took it: mean lengths, the longest request, the load."""
    work = result.study.workload
    vision = study_model(result.study).vision
    tokens_of = vision.image_tokens if vision is not None else None
    arrival = work.arrival
    loads = {
        "rate": lambda: f"{work.peak_requests_per_s or 0.0:.6g}",
        "users": lambda: f"{getattr(arrival, 'users', 0):,}",
        "concurrency": lambda: f"{getattr(arrival, 'concurrency', 0):,}",
        "batch": lambda: f"{getattr(arrival, 'requests', 0):,}",
    }
    return t(
        "plan.sized_for",
        input=f"{work.mean_input_tokens(image_tokens=tokens_of):,.0f}",
        output=f"{work.mean_output_tokens():,.0f}",
        longest=f"{work.longest_request(image_tokens=tokens_of):,}",
        load=t(f"plan.load_{arrival.kind}", value=loads[arrival.kind]()),
    )


def _cards(best: Plan) -> None:
    rows: list[tuple[str, str, str | None, str | None]] = [
        (t("card.accelerators"), f"{best.accelerators}", t("card.servers", count=best.servers), None),
        (
            t("card.month"),
            ui.money(best.usd_per_month),
            t("card.per_hour", value=ui.money(best.usd_per_accelerator_hour)),
            t("card.month_help"),
        ),
    ]
    if best.cost:
        each = best.cost[OUT]
        rows.append((t("card.blend"), ui.money(each.p50), ui.between(each, ui.money), t("card.interval_help")))
        into = best.cost["usd_per_request"]
        rows.append((t("cost.request"), ui.money(into.p50), ui.between(into, ui.money), t("card.interval_help")))
    rows += [
        (
            "TTFT",
            seconds(best.ttft_s.p50),
            f"{ui.between(best.ttft_s, seconds)} · p95 {seconds(best.ttft_p95_s)}",
            t("card.ttft_help"),
        ),
        (
            "TPOT",
            seconds(best.tpot_s.p50),
            f"{ui.between(best.tpot_s, seconds)} · p95 {seconds(best.tpot_p95_s)}",
            t("card.tpot_help"),
        ),
    ]
    ui.metrics(rows)


def _working(study: Study, best: Plan) -> None:
    """Every figure of the cards, opened to its ledger."""
    with st.expander(t("working.title")):
        st.markdown(f"**{t('working.memory')}**")
        ui.ledger(calc.ledger_of(study, 0).lines)
        found = calc.estimate_of(study, 0)
        if isinstance(found, str):
            st.caption(plain(found))
        else:
            st.markdown(f"**{t('working.step')}**")
            ui.ledger(
                LedgerLine(
                    f"{phase}: {item.operation.name}",
                    scalar(item.seconds),
                    "seconds",
                    t("working.calls", count=digits(item.operation.count), kind=known("kind", item.operation.kind)),
                    {
                        "FLOP": scalar(item.operation.flops),
                        "bytes": scalar(item.operation.weight_bytes)
                        + scalar(item.operation.cache_bytes)
                        + scalar(item.operation.io_bytes),
                        "message bytes": scalar(item.operation.message_bytes),
                    },
                )
                for phase, items in (("decode", found.decode_step), ("prefill", found.prefill_step))
                for item in items
            )
        st.markdown(f"**{t('working.money')}**")
        for text in best.assumptions:
            st.markdown(f"- {plain(text)}")
        if best.sensitivities:
            st.markdown(f"**{t('working.sensitivities')}**")
            ui.table(
                [{"what": name, "change": value} for name, value in best.sensitivities.items()],
                {
                    "what": st.column_config.TextColumn(t("col.change_of")),
                    "change": st.column_config.NumberColumn(t("col.change_cost"), format="percent"),
                },
            )
        if best.confidence:
            st.markdown(f"**{t('working.confidence')}**")
            for text in best.confidence:
                st.markdown(f"- {plain(text)}")


def plan_columns() -> dict[str, object]:
    """The table of plans: field -> column with its unit and what it means."""
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    return {
        "rank": number("#", width="small", pinned=True),
        "accelerator": text(t("col.accelerator"), pinned=True),
        "accelerators": number(t("col.count"), help=t("help.count")),
        "weights": text(t("col.weights"), help=t("help.weights")),
        "layout": text(t("col.layout"), help=t("help.layout")),
        "replicas": number(t("col.replicas"), help=t("help.replicas")),
        "month": number(t("col.month"), format="dollar"),
        "basis": text(t("col.basis")),
        "output": number(t("col.output"), format="$%.3g", help=t("help.output")),
        "ttft": number(t("col.ttft"), format="%.3g", help=t("card.ttft_help")),
        "ttft95": number(t("col.ttft95"), format="%.3g"),
        "tpot": number(t("col.tpot"), format="%.3g", help=t("card.tpot_help")),
        "tpot95": number(t("col.tpot95"), format="%.3g"),
        "use": st.column_config.ProgressColumn(
            t("col.use"), min_value=0.0, max_value=1.0, format="percent", help=t("help.use")
        ),
        "binding": text(t("col.binding"), help=t("help.binding")),
        "engine": text(t("col.engine")),
    }


def plan_row(rank: int, item: Plan) -> dict[str, object]:
    """A plan as a row of that table."""
    return {
        "rank": rank,
        "accelerator": item.accelerator_name,
        "accelerators": item.accelerators,
        "weights": f"{item.weights} / {item.kv_dtype}",
        "layout": ui.placement_text(item),
        "replicas": item.replicas,
        "month": item.usd_per_month,
        "basis": "" if item.price is None else t(f"basis.{item.price.basis}"),
        "output": item.cost[OUT].p50 if OUT in item.cost else None,
        "ttft": item.ttft_s.p50,
        "ttft95": item.ttft_p95_s,
        "tpot": item.tpot_s.p50 * 1e3,
        "tpot95": item.tpot_p95_s * 1e3,
        "use": item.utilization,
        "binding": known("binding", item.binding),
        "engine": f"{item.engine} {item.engine_version}",
    }


def _alternatives(result: Result) -> None:
    st.subheader(t("plan.alternatives"), anchor=False)
    st.caption(t("plan.alternatives_help"))
    ui.table([plan_row(rank, item) for rank, item in enumerate(result.plans, 1)], plan_columns(), key="plans")


def _pareto(result: Result) -> None:
    st.subheader(t("plan.pareto"), anchor=False)
    every = [*result.plans, *(item for item in result.pareto if item not in result.plans)]
    priced = [item for item in every if OUT in item.cost and item.tpot_s.p50 > 0]
    if not priced:
        st.caption(t("plan.no_price"))
        return
    looks = style.accelerator_colours([*calc.offered_names(result.study), *(item.accelerator_name for item in every)])
    figure = go.Figure()
    front = [item for item in result.pareto if item in priced]
    figure.add_trace(
        go.Scatter(
            x=[1 / item.tpot_s.p50 for item in front],
            y=[item.cost[OUT].p50 for item in front],
            mode="lines",
            line={"color": style.GREY, "dash": "dot"},
            name=t("plan.front"),
            hoverinfo="skip",
        )
    )
    for name, (colour, symbol) in looks.items():
        of = [item for item in priced if item.accelerator_name == name]
        if not of:
            continue
        figure.add_trace(
            go.Scatter(
                x=[1 / item.tpot_s.p50 for item in of],
                y=[item.cost[OUT].p50 for item in of],
                mode="markers",
                name=name,
                marker={"color": colour, "symbol": symbol, "size": 11, "line": {"width": 1, "color": "white"}},
                error_y={
                    "type": "data",
                    "symmetric": False,
                    "thickness": 1,
                    "width": 3,
                    "color": style.faded(colour, 0.6),
                    "array": [item.cost[OUT].p90 - item.cost[OUT].p50 for item in of],
                    "arrayminus": [item.cost[OUT].p50 - item.cost[OUT].p10 for item in of],
                },
                text=[ui.plan_label(item) for item in of],
                hovertemplate="%{text}<br>%{x:.3g} tokens/s<br>$%{y:.3g} / M tokens<extra></extra>",
            )
        )
    style.frame(figure, t("axis.interactivity"), t("axis.usd_output"))
    figure.update_yaxes(rangemode="tozero")
    style.chart(figure, "pareto")
    st.caption(t("plan.pareto_help"))
    ui.under(
        [
            {
                "plan": ui.plan_label(item),
                "x": 1 / item.tpot_s.p50,
                "low": item.cost[OUT].p10,
                "y": item.cost[OUT].p50,
                "high": item.cost[OUT].p90,
            }
            for item in priced
        ],
        {
            "plan": st.column_config.TextColumn(t("col.plan"), width="large"),
            "x": st.column_config.NumberColumn(t("axis.interactivity"), format="%.3g"),
            "low": st.column_config.NumberColumn("p10 [$]", format="%.3g"),
            "y": st.column_config.NumberColumn(t("axis.usd_output"), format="%.3g"),
            "high": st.column_config.NumberColumn("p90 [$]", format="%.3g"),
        },
        "pareto_table",
    )


def _rejected(result: Result) -> None:
    st.subheader(t("plan.rejected"), anchor=False)
    if not result.rejected:
        st.caption(t("plan.rejected_none"))
        return
    st.caption(t("plan.rejected_help"))
    ui.table(
        [
            {"candidate": item.candidate, "why": known("code", item.code), "reason": item.reason, "count": item.count}
            for item in result.rejected
        ],
        {
            "candidate": st.column_config.TextColumn(t("col.candidate"), width="medium"),
            "why": st.column_config.TextColumn(t("col.why")),
            "reason": st.column_config.TextColumn(t("col.reason"), width="large"),
            "count": st.column_config.NumberColumn(t("col.rejected_count"), help=t("help.rejected_count")),
        },
        key="rejected",
    )


__all__ = ["plan_columns", "plan_row", "show"]
