"""Parts that several pages share: figures with units, tables, ledgers, the choice of a plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import streamlit as st

from sizing.base.ledger import Interval, LedgerLine
from sizing.base.units import digits, gib, seconds, usd
from sizing.hardware.price_models import Price
from sizing.money.quotes import AnyPrice, is_stale
from sizing.planning.result import Plan, Result
from sizing.web import fields, state
from sizing.web.messages import known, plain, t


def money(value: float | None) -> str:
    """USD for people; a dash where there is none."""
    return "–" if value is None else usd(value)


def dated(price: AnyPrice | None) -> str:
    """The date of a price, flagged where that is more than 90 days ago; empty for a price that was given."""
    if price is None:
        return ""
    newest = price.newest if isinstance(price, Price) else price.date
    text = newest or t("price.undated")
    return t("price.old", date=text) if is_stale(price) else text


def between(interval: Interval, form: Any) -> str:
    """``low to high`` of an 80% interval; a throughput that is sent has none."""
    if interval.p10 == interval.p90:
        return t("figure.sent")
    return t("figure.between", low=form(interval.p10), high=form(interval.p90))


def figure_value(value: float, unit: str) -> str:
    """A ledger's figure with its unit."""
    if unit == "bytes":
        return gib(value)
    if unit == "seconds":
        return seconds(value)
    return f"{digits(value, 4)} {unit}"


def metrics(rows: Sequence[tuple[str, str, str | None, str | None]], columns: int = 3) -> None:
    """Cards: label, value, small text, help. They wrap on a narrow screen."""
    for start in range(0, len(rows), columns):
        for column, (label, value, small, help_text) in zip(
            st.columns(columns), rows[start : start + columns], strict=False
        ):
            with column:
                st.metric(
                    label,
                    value.replace("$", "\\$"),
                    small and small.replace("$", "\\$"),
                    delta_color="off",
                    delta_arrow="off",
                    help=help_text,
                    border=True,
                )


def table(rows: Iterable[Mapping[str, Any]], columns: Mapping[str, Any], key: str | None = None) -> None:
    """A sortable table; ``columns`` maps field names to Streamlit column settings."""
    st.dataframe(
        [{name: row.get(name) for name in columns} for row in rows],
        hide_index=True,
        width="stretch",
        column_config=dict(columns),
        column_order=list(columns),
        key=key,
    )


def under(rows: Iterable[Mapping[str, Any]], columns: Mapping[str, Any], key: str) -> None:
    """The table under a chart, folded."""
    with st.expander(t("chart.table")):
        table(rows, columns, key=key)


def ledger(lines: Iterable[LedgerLine]) -> None:
    """Working, line by line: name, figure, formula in words, inputs."""
    lines = list(lines)
    inputs = any(line.inputs for line in lines)
    table(
        [
            {
                "name": known("ledger", line.name),
                "value": figure_value(line.value, line.unit),
                "formula": line.formula,
                "inputs": ", ".join(f"{name} {_input(value)}" for name, value in line.inputs.items()),
            }
            for line in lines
        ],
        {
            "name": st.column_config.TextColumn(t("col.line"), width="medium"),
            "value": st.column_config.TextColumn(t("col.value")),
            "formula": st.column_config.TextColumn(t("col.formula"), width="large"),
            **({"inputs": st.column_config.TextColumn(t("col.inputs"), width="large")} if inputs else {}),
        },
    )


def _input(value: float | str) -> str:
    return value if isinstance(value, str) else digits(value, 6) if value != int(value) else f"{int(value):,}"


def said(texts: Sequence[str], title: str) -> None:
    """A folded list of sentences from the API."""
    if texts:
        with st.expander(f"{title} ({len(texts)})"):
            for text in texts:
                st.markdown(f"- {plain(text)}")


def placement_text(item: Plan) -> str:
    """``TP4 EP4``."""
    return " ".join(f"{axis.upper()}{size}" for axis, size in item.placement.items() if size > 1 or axis == "tp")


def plan_label(item: Plan) -> str:
    """A plan in a few words: count, accelerator, format, layout."""
    return f"{item.accelerators} × {item.accelerator_name} · {item.weights} · {placement_text(item)} × {item.replicas}"


def choose_plan(result: Result) -> int | None:
    """Which of the plans a page examines; the best until told otherwise. None, with the reason, where there is none."""
    if not result.plans:
        st.warning(t("plan.none"), icon=":material/block:")
        return None
    labels = [f"{number + 1}. {plan_label(item)}" for number, item in enumerate(result.plans)]
    if st.session_state.get(state.PLAN_KEY, len(labels)) >= len(labels):
        fields.put(state.PLAN_KEY, 0)
    return int(fields.choice(t("plan.examined"), state.PLAN_KEY, range(len(labels)), format_func=lambda i: labels[i]))
