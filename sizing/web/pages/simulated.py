"""The part of Speed that serves random requests one by one, to hold the closed form against."""

from __future__ import annotations

import plotly.graph_objects as go
import streamlit as st

from sizing.base.budget import BudgetError
from sizing.base.errors import SizingError
from sizing.base.units import digits
from sizing.planning.result import Plan
from sizing.study import Study
from sizing.web import calc, limits, style
from sizing.web import show as ui
from sizing.web.messages import plain, t

ASKED = "simulated"
SHARES = [100 * share for share in calc.SHARES]


def show(study: Study, row: int, item: Plan) -> None:
    """The button, and what it gave for this very plan."""
    st.subheader(t("simulate.title"), anchor=False)
    reason = _why_not(study, item)
    if reason:
        st.caption(t(reason))
        return
    st.caption(t("simulate.help", count=f"{calc.SIMULATED_REQUESTS:,}", seconds=f"{calc.SIMULATED_SECONDS:g}"))
    key = calc.key_of(study, row)
    if st.button(t("simulate.button"), key="simulate", icon=":material/play_arrow:"):
        st.session_state[ASKED] = key
    if st.session_state.get(ASKED) != key:
        return
    try:
        with st.spinner(t("simulate.running")):
            found = calc.simulation_of(study, row)
    except (BudgetError, limits.BusyError):
        raise
    except SizingError as error:
        st.warning(plain(str(error)), icon=":material/block:")
        return
    _draw(item, found)


def _why_not(study: Study, item: Plan) -> str | None:
    if study.workload.arrival.kind == "batch":
        return "simulate.not_batch"
    if item.mode != "aggregated" or item.placement["pp"] > 1 or item.speculative_tokens:
        return "simulate.not_here"
    return None


def _draw(item: Plan, found: calc.Simulated) -> None:
    means = {"ttft_s": item.ttft_s.p50, "tpot_s": item.tpot_s.p50, "e2e_s": item.end_to_end_s}
    tails = {"ttft_s": item.ttft_p95_s, "tpot_s": item.tpot_p95_s, "e2e_s": None}
    names = {"ttft_s": t("axis.ttft"), "tpot_s": t("simulate.tpot"), "e2e_s": t("simulate.e2e")}
    factor = {"ttft_s": 1.0, "tpot_s": 1e3, "e2e_s": 1.0}
    for column, (name, title) in zip(st.columns(3), names.items(), strict=True):
        with column:
            _chart(found, name, title, factor[name], means[name], tails[name])
    st.caption(t("simulate.legend"))
    said = "simulate.result_cut" if found.stopped else "simulate.result"
    st.caption(
        t(
            said,
            count=f"{found.completed:,}",
            steps=f"{found.steps:,}",
            rate=digits(found.requests_per_s),
            running=digits(found.mean_running),
            preemptions=f"{found.preemptions:,}",
        )
    )
    ui.table(
        [
            {
                "name": names[name],
                "closed": means[name] * factor[name],
                "sim": found.means[name] * factor[name],
                "closed95": None if (tail := tails[name]) is None else tail * factor[name],
                "sim95": found.p95[name] * factor[name],
                "sim99": found.p99[name] * factor[name],
            }
            for name in names
        ],
        {
            "name": st.column_config.TextColumn(t("col.value"), width="medium"),
            "closed": st.column_config.NumberColumn(t("simulate.closed_mean"), format="%.4g"),
            "sim": st.column_config.NumberColumn(t("simulate.mean"), format="%.4g"),
            "closed95": st.column_config.NumberColumn(t("simulate.closed_p95"), format="%.4g"),
            "sim95": st.column_config.NumberColumn(t("simulate.p95"), format="%.4g"),
            "sim99": st.column_config.NumberColumn(t("simulate.p99"), format="%.4g"),
        },
        key="speed_simulated_table",
    )


def _chart(found: calc.Simulated, name: str, title: str, scale: float, mean: float, tail: float | None) -> None:
    """The distribution of one metric over the simulated requests, and what the closed form says of it."""
    figure = go.Figure(
        go.Scatter(
            x=found.quantiles[name] * scale,
            y=SHARES,
            mode="lines",
            name=t("simulate.requests"),
            line={"color": style.BLUE},
            hovertemplate="%{x:.3g}<br>%{y:.3g} %<extra></extra>",
        )
    )
    for value, label, colour, dash in (
        (found.means[name], t("simulate.mean"), style.BLUE, "dot"),
        (mean, t("simulate.closed_mean"), style.ORANGE, "dash"),
    ):
        figure.add_trace(
            go.Scatter(
                x=[value * scale, value * scale],
                y=[0, 100],
                mode="lines",
                name=label,
                line={"color": colour, "dash": dash},
                hovertemplate="%{x:.3g}<extra>%{fullData.name}</extra>",
            )
        )
    if tail is not None:
        figure.add_trace(
            go.Scatter(
                x=[tail * scale],
                y=[95],
                mode="markers",
                name=t("simulate.closed_p95"),
                marker={"color": style.ORANGE, "symbol": "diamond", "size": 11},
                hovertemplate="%{x:.3g}<extra>%{fullData.name}</extra>",
            )
        )
    style.frame(figure, title, t("simulate.share"), height=300, showlegend=False)
    # The tail beyond the 99th percentile would squeeze all the rest.
    figure.update_xaxes(range=[0, 1.05 * scale * max(found.p99[name], tail or 0.0, mean)])
    figure.update_yaxes(range=[0, 101])
    style.chart(figure, f"speed_simulated_{name}")
