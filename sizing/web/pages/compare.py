"""Compare: two to six models or machines side by side."""

from __future__ import annotations

import plotly.graph_objects as go
import streamlit as st

from sizing.base.units import count
from sizing.planning.compare import ComparisonRow
from sizing.study import Study
from sizing.web import calc, fields, inputs, state, style
from sizing.web import show as ui
from sizing.web.messages import t

MOST = 6
USUAL = ("Qwen/Qwen3-32B", "deepseek-ai/DeepSeek-V3")


def show(study: Study) -> None:
    """Draw the page."""
    st.title(t("compare.title"), anchor=False)
    st.caption(t("compare.help"))
    labels = {name: label for name, _, label, _ in inputs.model_choices()}
    current = study.model.name if study.model.name in labels else None
    names = inputs.accelerator_names()
    memory = st.session_state
    memory.setdefault("compare_models", [name for name in (current, *USUAL) if name in labels][:3])
    memory.setdefault("compare_machines", [calc.accelerator_id(one.accelerator) for one in study.hardware][:3])
    left, right = st.columns(2)
    with left:
        models = fields.several(
            t("compare.models"), "compare_models", list(labels), format_func=labels.__getitem__, max_selections=MOST
        )
    with right:
        machines = fields.several(
            t("compare.machines"),
            "compare_machines",
            list(names),
            format_func=names.__getitem__,
            max_selections=MOST,
        )
    if not models or not machines:
        st.info(t("compare.choose"))
        return
    targets = study.workload.targets
    found = calc.comparison_of(
        tuple(models),
        tuple(machines),
        round(study.workload.input.mean_tokens),
        round(study.workload.output.mean_tokens),
        targets.tpot_p95_s or targets.tpot_p50_s or state.USUAL_TPOT_S,
    )
    st.caption(
        t(
            "compare.at",
            input=f"{found.input_tokens:,.0f}",
            output=f"{found.output_tokens:,.0f}",
            tpot=f"{found.most_tpot_s * 1e3:g}",
        )
    )
    offered = [calc.accelerator_id(one.accelerator) for one in study.hardware]
    _chart(list(found.rows), names, "output_tokens_per_s_per_accelerator", t("axis.output_accelerator"), offered)
    _chart(list(found.rows), names, "usd_per_million_output_tokens", t("axis.usd_output"), offered)
    _table(list(found.rows), names)
    ui.said(found.to_dict()["assumptions"], t("plan.assumptions"))


def _short(model: str) -> str:
    return model.rsplit("/", 1)[-1]


def _chart(rows: list[ComparisonRow], names: dict[str, str], field: str, title: str, offered: list[str]) -> None:
    figure = go.Figure()
    looks = style.accelerator_colours([*offered, *(row.accelerator for row in rows)])
    models = list(dict.fromkeys(_short(row.model) for row in rows))
    for key, (colour, _) in looks.items():
        if all(row.accelerator != key for row in rows):
            continue
        of = {_short(row.model): getattr(row, field) for row in rows if row.accelerator == key}
        figure.add_trace(
            go.Bar(
                x=models,
                y=[of.get(model) for model in models],
                name=names.get(key, key),
                marker_color=colour,
                hovertemplate="%{x}<br>%{y:.4g}<extra>%{fullData.name}</extra>",
            )
        )
    style.frame(figure, "", title, barmode="group", height=320)
    style.chart(figure, f"compare_{field}")


def _table(rows: list[ComparisonRow], names: dict[str, str]) -> None:
    st.subheader(t("compare.table"), anchor=False)
    contexts = sorted({n for row in rows for n in row.kv_gib})
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    ui.table(
        [
            {
                "model": _short(row.model),
                "machine": names.get(row.accelerator, row.accelerator),
                "total": count(row.total),
                "active": count(row.active),
                "weights": row.weights,
                "weights_gib": row.weights_gib,
                **{f"kv_{n}": row.kv_gib.get(n) for n in contexts},
                "layout": ""
                if row.placement is None
                else " ".join(f"{a.upper()}{s}" for a, s in row.placement.items() if s > 1 or a == "tp"),
                "rate": row.output_tokens_per_s_per_accelerator,
                "low": None
                if row.output_tokens_per_s is None or not row.accelerators
                else row.output_tokens_per_s.p10 / row.accelerators,
                "high": None
                if row.output_tokens_per_s is None or not row.accelerators
                else row.output_tokens_per_s.p90 / row.accelerators,
                "ttft": row.ttft_s,
                "tpot": None if row.tpot_s is None else row.tpot_s * 1e3,
                "cost": row.usd_per_million_output_tokens,
                "dated": ui.dated(row.price),
                "met": "" if row.meets_tpot is None else t("answer.yes") if row.meets_tpot else t("answer.no"),
                "reason": row.reason,
            }
            for row in rows
        ],
        {
            "model": text(t("input.model"), pinned=True),
            "machine": text(t("col.accelerator"), pinned=True),
            "total": text(t("compare.total")),
            "active": text(t("compare.active")),
            "weights": text(t("compare.weights")),
            "weights_gib": number(t("compare.weights_gib"), format="%.4g"),
            **{
                f"kv_{n}": number(t("compare.kv", n=f"{n // 1024}K" if n < 2**20 else "1M"), format="%.3g")
                for n in contexts
            },
            "layout": text(t("col.layout"), help=t("help.layout")),
            "rate": number(t("axis.output_accelerator"), format="%.4g"),
            "low": number("p10", format="%.4g"),
            "high": number("p90", format="%.4g"),
            "ttft": number(t("col.ttft"), format="%.3g"),
            "tpot": number(t("col.tpot"), format="%.3g"),
            "cost": number(t("col.output"), format="$%.3g"),
            "dated": text(t("catalog.dated")),
            "met": text(t("compare.met")),
            "reason": text(t("col.why"), width="large"),
        },
        key="compare_table",
    )
