"""Cost: rent or own, break-even against APIs, cost per token against utilisation, energy."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from sizing.base.errors import SizingError
from sizing.base.units import count, digits
from sizing.money.tokens import token_cost
from sizing.planning.breakeven import BreakEven
from sizing.planning.result import Plan
from sizing.study import Study
from sizing.web import calc, style
from sizing.web import show as ui
from sizing.web.messages import plain, t

USES = tuple(np.round(np.linspace(0.05, 1.0, 39), 3))
SHOWN_APIS = 4


def show(study: Study) -> None:
    """Draw the page."""
    st.title(t("cost.title"), anchor=False)
    result = calc.result_of(study)
    row = ui.choose_plan(result)
    if row is None:
        return
    item = result.plans[row]
    if item.usd_per_month is None:
        st.warning(t("plan.no_price"), icon=":material/block:")
        return
    _cards(item)
    if item.price is not None:
        st.caption(t("price.newest", date=ui.dated(item.price)))
    _rent_or_own(study, row)
    _use(study, row, item)
    _break_even(study, row)
    ui.said([text for text in item.assumptions if "$" in text or "USD" in text or "price" in text], t("cost.sources"))


def _cards(item: Plan) -> None:
    rows: list[tuple[str, str, str | None, str | None]] = [
        (
            t("card.month"),
            ui.money(item.usd_per_month),
            t("card.per_hour", value=ui.money(item.usd_per_accelerator_hour)),
            t("card.month_help"),
        ),
    ]
    for key in ("output", "input", "blend"):
        name = {"blend": "usd_per_million_tokens"}.get(key, f"usd_per_million_{key}_tokens")
        each = item.cost[name]
        rows.append((t(f"card.{key}"), ui.money(each.p50), ui.between(each, ui.money), t("card.interval_help")))
    each = item.cost["usd_per_request"]
    rows.append((t("cost.request"), ui.money(each.p50), ui.between(each, ui.money), None))
    if item.energy_wh_per_million_tokens is not None:
        carbon = item.carbon_g_per_million_tokens
        rows.append(
            (
                t("cost.energy"),
                f"{digits(item.energy_wh_per_million_tokens)} Wh",
                None if carbon is None else t("cost.carbon", grams=digits(carbon)),
                t("cost.energy_help"),
            )
        )
    ui.metrics(rows)


def _rent_or_own(study: Study, row: int) -> None:
    """The very same deployment, rented and owned."""
    st.subheader(t("cost.rent_own"), anchor=False)
    rows, said = [], []
    for mode in ("rent", "own"):
        found = calc.priced_as(study, row, mode)
        rows.append(
            {
                "mode": t(f"money.{mode}"),
                "hour": None if found is None else found.usd_per_accelerator_hour,
                "month": None if found is None else found.usd_per_month,
                "dated": "" if found is None else ui.dated(found.price),
                "output": None if found is None or not found.cost else found.cost["usd_per_million_output_tokens"].p50,
            }
        )
        if found is not None and mode == "own":
            said = [text for text in found.assumptions if "own" in text or "buy" in text]
    ui.table(
        rows,
        {
            "mode": st.column_config.TextColumn(t("input.money")),
            "hour": st.column_config.NumberColumn(t("cost.hour"), format="$%.3f"),
            "month": st.column_config.NumberColumn(t("col.month"), format="dollar"),
            "output": st.column_config.NumberColumn(t("col.output"), format="$%.3g"),
            "dated": st.column_config.TextColumn(t("catalog.dated")),
        },
        key="rent_own",
    )
    ui.said(said, t("working.title"))


def _use(study: Study, row: int, item: Plan) -> None:
    """Cost per million output tokens against the share of the capacity in use."""
    st.subheader(t("cost.use"), anchor=False)
    one = calc.replica_of(study, row)
    most = item.max_rate_per_replica * (item.replicas - item.spare_replicas)
    shares = np.asarray(USES)
    found = token_cost(
        item.usd_per_hour or 0.0,
        most * shares,
        one.demand.input_tokens,
        one.demand.output_tokens,
        item.prefill_share,
        study.workload.prefix_cache_hit_rate,
    )
    out = np.asarray(found.usd_per_million_output_tokens)
    low = item.cost["usd_per_million_output_tokens"].p10 / item.cost["usd_per_million_output_tokens"].p50
    high = item.cost["usd_per_million_output_tokens"].p90 / item.cost["usd_per_million_output_tokens"].p50
    x = shares * 100
    figure = go.Figure()
    figure.add_trace(style.band(x, out * low, out * high, t("speed.band")))
    figure.add_trace(
        go.Scatter(
            x=x,
            y=out,
            mode="lines",
            line={"color": style.BLUE},
            name="p50",
            hovertemplate="%{x:.3g} %<br>$%{y:.3g}<extra></extra>",
        )
    )
    figure.add_trace(
        go.Scatter(
            x=[item.utilization * study.workload.daily.utilization * 100],
            y=[item.cost["usd_per_million_output_tokens"].p50],
            mode="markers",
            name=t("speed.here"),
            marker={"color": style.RED, "symbol": "star", "size": 13},
            hovertemplate="%{x:.3g} %<br>$%{y:.3g}<extra></extra>",
        )
    )
    style.frame(figure, t("axis.use"), t("axis.usd_output"))
    figure.update_yaxes(type="log", exponentformat="none", dtick="D2")
    style.chart(figure, "cost_use")
    ui.under(
        [{"use": a, "y": b} for a, b in zip(x, out, strict=True)],
        {
            "use": st.column_config.NumberColumn(t("axis.use"), format="%.3g"),
            "y": st.column_config.NumberColumn(t("axis.usd_output"), format="%.3g"),
        },
        "cost_use_table",
    )


def _break_even(study: Study, row: int) -> None:
    """The plan's bill against what APIs would ask for the same requests."""
    st.subheader(t("cost.break_even"), anchor=False)
    try:
        found = calc.break_even_of(study, row)
    except SizingError as error:
        st.warning(plain(str(error)))
        return
    if not found:
        return
    _break_even_chart(found)
    st.caption(t("cost.break_even_help"))
    ui.table(
        [
            {
                "api": f"{one.api} ({one.provider})",
                "date": t("price.old", date=one.date or t("price.undated")) if one.stale else one.date,
                "in": one.usd_per_million_input,
                "out": one.usd_per_million_output,
                "request": one.api_usd_per_request * 1e3,
                "month": one.api_usd_per_month,
                "verdict": one.verdict if one.requests_per_month is not None else t("cost.never"),
                "now": t("answer.yes") if one.cheaper_at_planned_volume else t("answer.no"),
                "reason": one.reason,
            }
            for one in found
        ],
        {
            "api": st.column_config.TextColumn("API", pinned=True),
            "date": st.column_config.TextColumn(t("col.date")),
            "in": st.column_config.NumberColumn(t("col.api_in"), format="$%.3g"),
            "out": st.column_config.NumberColumn(t("col.api_out"), format="$%.3g"),
            "request": st.column_config.NumberColumn(t("col.api_request"), format="$%.3g"),
            "month": st.column_config.NumberColumn(t("col.api_month"), format="dollar"),
            "verdict": st.column_config.TextColumn(t("col.verdict")),
            "now": st.column_config.TextColumn(t("col.cheaper_now")),
            "reason": st.column_config.TextColumn(t("col.reason"), width="large"),
        },
        key="break_even",
    )


def _break_even_chart(found: list[BreakEven]) -> None:
    top = found[0].capacity_requests_per_month
    x = np.geomspace(max(top / 1e4, 1.0), top, 40)
    figure = go.Figure()
    figure.add_trace(
        go.Scatter(
            x=[x[0], top],
            y=[found[0].plan_usd_per_month] * 2,
            mode="lines",
            name=t("cost.this_plan"),
            line={"color": style.BLUE, "width": 3},
            hovertemplate="$%{y:,.0f}<extra>%{fullData.name}</extra>",
        )
    )
    ordered = sorted(found, key=lambda one: one.api_usd_per_request)
    step = max(1, (len(ordered) - 1) // max(SHOWN_APIS - 1, 1))
    dashes = ("solid", "dash", "dot", "dashdot")
    for number, one in enumerate(ordered[::step][:SHOWN_APIS]):
        figure.add_trace(
            go.Scatter(
                x=x,
                y=x * one.api_usd_per_request,
                mode="lines",
                name=one.api,
                line={"color": style.SERIES[1:][number], "dash": dashes[number]},
                hovertemplate="%{x:,.0f} requests<br>$%{y:,.0f}<extra>%{fullData.name}</extra>",
            )
        )
    now = found[0].planned_requests_per_month
    figure.add_vline(
        x=now,
        line={"color": style.GREY, "dash": "dot"},
        annotation_text=t("cost.planned", n=count(now)),
        annotation_position="bottom left",
    )
    style.frame(figure, t("axis.requests_month"), t("axis.usd_month"))
    figure.update_xaxes(type="log", dtick=1, exponentformat="SI")
    figure.update_yaxes(type="log", dtick=1, tickprefix="$", exponentformat="SI")
    style.chart(figure, "cost_break_even")
