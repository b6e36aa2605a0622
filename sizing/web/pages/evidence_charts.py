"""The charts of Evidence: this answer's intervals, and the errors by partition that the validation report lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
import streamlit as st
from plotly.subplots import make_subplots

from sizing.base.ledger import Interval
from sizing.web import style
from sizing.web.messages import language, t

ERRORS = ("group", "rows", "median error", "p90 error", "bias", "coverage")  # columns of a table by partition
MOST = 24  # groups in one chart; the table below it has all
LABEL = 22  # characters of a group's name beside the chart
PROMISED = 80.0  # percent of measurements that an interval should hold
LEAST = 0.1  # percent: smaller errors are drawn here, as the axis is logarithmic
COLOURS = {"engine": style.ORANGE, "machine": style.GREEN, "model": style.BLUE, "partition": style.PINK}


def intervals(figures: Mapping[str, Interval]) -> None:
    """The 80% interval of each figure, around its median."""
    known = {name: one for name, one in figures.items() if one.p50}
    names = list(known)[::-1]
    low = [(1 - known[name].p10 / known[name].p50) * 100 for name in names]
    high = [(known[name].p90 / known[name].p50 - 1) * 100 for name in names]
    figure = go.Figure(
        go.Scatter(
            x=[0.0] * len(names),
            y=names,
            mode="markers",
            marker={"color": style.BLUE, "size": 10},
            error_x={"type": "data", "symmetric": False, "array": high, "arrayminus": low, "color": style.BLUE},
            customdata=list(zip(low, high, strict=True)),
            hovertemplate="%{y}: −%{customdata[0]:.0f} % … +%{customdata[1]:.0f} %<extra></extra>",
            showlegend=False,
        )
    )
    style.frame(figure, t("evidence.off"), "", height=90 + 42 * len(names))
    figure.update_xaxes(zeroline=True)
    style.chart(figure, "evidence_chart")


def partitioned(names: Sequence[str]) -> bool:
    """Whether a table of the report is one of errors by partition."""
    return set(ERRORS) <= set(names)


def partitions(names: Sequence[str], rows: Sequence[Sequence[str]], key: str) -> None:
    """Median and 90th percentile of the errors of each group, and how often the interval held the measurement."""
    figure = _by_partition(tuple(names), tuple(tuple(row) for row in rows), language())
    if figure is not None:
        style.chart(figure, key)
        st.caption(t("evidence.chart_help"))


@st.cache_resource(max_entries=60, show_spinner=False)
def _by_partition(names: tuple[str, ...], rows: tuple[tuple[str, ...], ...], spoken: str) -> go.Figure | None:
    """The chart of one table, kept: the report changes with the program only. ``spoken``: of its words."""
    at = {name: names.index(name) for name in ERRORS}
    shown = [row for row in rows if _percent(row[at["median error"]]) is not None][:MOST]
    if not shown:
        return None
    groups = [row[at["group"]] for row in shown]
    order = list(range(len(shown)))[::-1]
    medians = [max(_percent(row[at["median error"]]) or 0.0, LEAST) for row in shown]
    tails = [max(_percent(row[at["p90 error"]]) or 0.0, LEAST) for row in shown]
    covered = [_percent(row[at["coverage"]]) for row in shown]
    colours = [COLOURS.get(group.partition("=")[0], style.GREY) for group in groups]
    told = [[group, row[at["rows"]], row[at["bias"]]] for group, row in zip(groups, shown, strict=True)]
    both = any(value is not None for value in covered)
    figure = make_subplots(
        rows=1, cols=2 if both else 1, shared_yaxes=True, horizontal_spacing=0.05,
        column_widths=[0.66, 0.34] if both else [1.0],
    )  # fmt: skip
    lines: list[tuple[list[float | None], list[int | None]]] = [
        ([low, high, None], [place, place, None]) for low, high, place in zip(medians, tails, order, strict=True)
    ]
    figure.add_trace(
        go.Scatter(
            x=[value for xs, _ in lines for value in xs],
            y=[value for _, ys in lines for value in ys],
            mode="lines",
            line={"color": style.GREY, "width": 1},
            hoverinfo="skip",
            showlegend=False,
        ),
        row=1,
        col=1,
    )
    for values, label, symbol in (
        (medians, t("evidence.median"), "circle"),
        (tails, t("evidence.p90"), "diamond-open"),
    ):
        figure.add_trace(
            go.Scatter(
                x=values,
                y=order,
                mode="markers",
                name=label,
                marker={"color": colours, "symbol": symbol, "size": 9},
                customdata=told,
                hovertemplate=t("evidence.hover") + "<extra>%{fullData.name}</extra>",
            ),
            row=1,
            col=1,
        )
    if both:
        figure.add_trace(
            go.Scatter(
                x=covered,
                y=order,
                mode="markers",
                name=t("evidence.coverage"),
                marker={"color": colours, "symbol": "square", "size": 7},
                customdata=told,
                hovertemplate="%{customdata[0]}: %{x:.0f} %<extra></extra>",
                showlegend=False,
            ),
            row=1,
            col=2,
        )
        figure.add_vline(x=PROMISED, line={"color": style.GREY, "dash": "dot"}, row=1, col=2)
        figure.update_xaxes(range=[-6, 106], tickvals=[0, 80], row=1, col=2)
    style.frame(figure, t("evidence.error"), "", height=110 + 21 * len(shown))
    if both:
        figure.update_xaxes(title=t("evidence.coverage"), row=1, col=2)
    figure.update_xaxes(type="log", tickvals=[0.1, 1, 10, 100, 1000], row=1, col=1)
    figure.update_yaxes(
        tickvals=order, ticktext=[_short(group) for group in groups], range=[-0.7, len(shown) - 0.3], row=1, col=1
    )
    figure.update_yaxes(range=[-0.7, len(shown) - 0.3])
    return figure


def _percent(text: str) -> float | None:
    try:
        return float(text.removesuffix("%"))
    except ValueError:
        return None


def _short(group: str) -> str:
    kind, _, value = group.partition("=")
    name = value if kind in COLOURS and value else group
    name = name.rpartition("/")[2] or name
    return name if len(name) <= LABEL else name[: LABEL - 1] + "…"
