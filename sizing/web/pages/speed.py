"""Speed: where a step's time goes, the roofline, throughput against interactivity, TTFT against prompt length."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from sizing.base.arrays import scalar
from sizing.base.units import digits, seconds
from sizing.planning.confidence import width
from sizing.planning.estimate import Estimate
from sizing.planning.result import Plan
from sizing.step.model import TimedOperation
from sizing.study import Study
from sizing.web import calc, style
from sizing.web import show as ui
from sizing.web.messages import known, plain, t
from sizing.web.pages import simulated

PROMPTS = tuple(float(2**power) for power in range(7, 18))
IDLE_BATCH = 1e-3  # sequences that decode beside the prompt: next to none
PHASES = ("decode", "prefill")


def show(study: Study) -> None:
    """Draw the page."""
    st.title(t("speed.title"), anchor=False)
    result = calc.result_of(study)
    row = ui.choose_plan(result)
    if row is None:
        return
    item = result.plans[row]
    _cards(item)
    found = calc.estimate_of(study, row)
    if isinstance(found, str):
        st.warning(plain(found), icon=":material/block:")
    else:
        _step(found)
        _roofline(found)
    _curve(study, row, item)
    _first_token(study, row, item)
    simulated.show(study, row, item)


def _cards(item: Plan) -> None:
    ui.metrics(
        [
            ("TTFT", seconds(item.ttft_s.p50), f"p95 {seconds(item.ttft_p95_s)}", t("card.ttft_help")),
            ("TPOT", seconds(item.tpot_s.p50), f"p95 {seconds(item.tpot_p95_s)}", t("card.tpot_help")),
            (
                t("speed.output"),
                f"{digits(item.output_tokens_per_s.p50)} tokens/s",
                ui.between(item.output_tokens_per_s, digits),
                t("card.interval_help"),
            ),
            (t("speed.end"), seconds(item.end_to_end_s), t("speed.end_how"), None),
            (
                t("speed.rate"),
                f"{digits(item.rate_per_replica)} /s",
                t("speed.of_most", most=digits(item.max_rate_per_replica)),
                None,
            ),
            (
                t("speed.flight"),
                digits(item.concurrency_per_replica),
                t("speed.of_most", most=digits(item.max_concurrency_per_replica)),
                None,
            ),
        ]
    )
    st.caption(t("plan.limits", binding=known("binding", item.binding), bottleneck=plain(item.bottleneck)))


def _steps(found: Estimate) -> dict[str, tuple[TimedOperation, ...]]:
    return {"decode": found.decode_step, "prefill": found.prefill_step}


def _step(found: Estimate) -> None:
    """Time of a step by kind of operation, decode above prefill, as shares of the step."""
    st.subheader(t("speed.step"), anchor=False)
    sums: dict[str, dict[str, float]] = {phase: defaultdict(float) for phase in PHASES}
    for phase, items in _steps(found).items():
        for item in items:
            sums[phase][item.operation.kind] += scalar(item.seconds)
    kinds = sorted({kind for part in sums.values() for kind in part}, key=lambda k: -sum(p[k] for p in sums.values()))
    totals = {phase: sum(part.values()) or 1.0 for phase, part in sums.items()}
    labels = {phase: f"{t(f'speed.{phase}')}<br>{seconds(totals[phase])}" for phase in PHASES}
    figure = go.Figure()
    for kind in kinds:
        figure.add_trace(
            go.Bar(
                y=[labels[phase] for phase in PHASES[::-1]],
                x=[sums[phase][kind] / totals[phase] * 100 for phase in PHASES[::-1]],
                name=known("kind", kind),
                orientation="h",
                marker_color=style.KINDS.get(kind, style.RED),
                marker_pattern_shape="/" if kind in ("prefill_attention", "linear_prefill", "all_to_all") else "",
                customdata=[seconds(sums[phase][kind]) for phase in PHASES[::-1]],
                hovertemplate="%{fullData.name}: %{customdata} (%{x:.3g} %)<extra></extra>",
            )
        )
    style.frame(figure, t("axis.share_step"), "", barmode="stack", height=260)
    style.chart(figure, "speed_step")
    rows = [
        {
            "phase": t(f"speed.{phase}"),
            "name": item.operation.name,
            "kind": known("kind", item.operation.kind),
            "calls": item.operation.count,
            "us": scalar(item.seconds) * 1e6,
            "flops": scalar(item.operation.flops) * item.operation.count / 1e9,
            "bytes": _bytes(item) * item.operation.count / 1e6,
        }
        for phase, items in _steps(found).items()
        for item in items
    ]
    ui.under(
        rows,
        {
            "phase": st.column_config.TextColumn(t("col.phase")),
            "name": st.column_config.TextColumn(t("col.operation")),
            "kind": st.column_config.TextColumn(t("col.kind")),
            "calls": st.column_config.NumberColumn(t("col.calls"), format="%.4g"),
            "us": st.column_config.NumberColumn(t("col.us"), format="%.4g"),
            "flops": st.column_config.NumberColumn("GFLOP", format="%.4g"),
            "bytes": st.column_config.NumberColumn("MB", format="%.4g"),
        },
        "speed_step_table",
    )


def _bytes(item: TimedOperation) -> float:
    op = item.operation
    return scalar(op.weight_bytes) + scalar(op.cache_bytes) + scalar(op.io_bytes)


def _roofline(found: Estimate) -> None:
    """The machine's roofs and the operations under them."""
    st.subheader(t("speed.roofline"), anchor=False)
    machine = found.target.machine
    roofs = {"bf16": machine.bf16_flops, "fp8": machine.fp8_flops, "int8": machine.int8_flops, "fp4": machine.fp4_flops}
    intensity = np.geomspace(0.1, 10_000, 60)
    figure = go.Figure()
    for number, (name, peak) in enumerate(item for item in roofs.items() if item[1] > 0):
        figure.add_trace(
            go.Scatter(
                x=intensity,
                y=np.minimum(peak, intensity * machine.memory_bandwidth) / 1e12,
                mode="lines",
                name=t("speed.roof", format=name, peak=digits(peak / 1e12)),
                line={"color": style.GREY, "dash": ("solid", "dash", "dot", "dashdot")[number]},
                hoverinfo="skip",
            )
        )
    rows = []
    for phase, symbol, colour in (("decode", "circle", style.BLUE), ("prefill", "diamond", style.ORANGE)):
        points = [item for item in _steps(found)[phase] if scalar(item.operation.flops) > 0 and _bytes(item) > 0]
        xs = [scalar(item.operation.flops) / _bytes(item) for item in points]
        ys = [scalar(item.operation.flops) * item.operation.count / scalar(item.seconds) / 1e12 for item in points]
        names = [item.operation.name for item in points]
        rows += [
            {"phase": t(f"speed.{phase}"), "name": n, "x": x, "y": y} for n, x, y in zip(names, xs, ys, strict=True)
        ]
        figure.add_trace(
            go.Scatter(
                x=xs,
                y=ys,
                mode="markers",
                name=t(f"speed.{phase}"),
                text=names,
                marker={"color": colour, "symbol": symbol, "size": 10, "line": {"width": 1, "color": "white"}},
                hovertemplate="%{text}<br>%{x:.3g} FLOP/byte<br>%{y:.3g} TFLOP/s<extra>%{fullData.name}</extra>",
            )
        )
    style.frame(figure, t("axis.intensity"), t("axis.tflops"), height=430)
    figure.update_xaxes(type="log", dtick=1, exponentformat="none")
    figure.update_yaxes(type="log", dtick=1, exponentformat="none")
    style.chart(figure, "speed_roofline")
    st.caption(
        t(
            "speed.roofline_help",
            name=plain(found.target.accelerator.name),
            bandwidth=digits(machine.memory_bandwidth / 1e9),
            ridge=digits(machine.bf16_flops / machine.memory_bandwidth),
        )
    )
    ui.under(
        rows,
        {
            "phase": st.column_config.TextColumn(t("col.phase")),
            "name": st.column_config.TextColumn(t("col.operation")),
            "x": st.column_config.NumberColumn(t("axis.intensity"), format="%.4g"),
            "y": st.column_config.NumberColumn(t("axis.tflops"), format="%.4g"),
        },
        "speed_roofline_table",
    )


def _curve(study: Study, row: int, item: Plan) -> None:
    """Output per accelerator against speed for each user as the load grows, with the 80% band."""
    st.subheader(t("speed.curve"), anchor=False)
    one, curve = calc.replica_of(study, row), calc.curve_of(study, row)
    chips = int(one.placement.accelerators)
    x = 1.0 / np.ravel(curve.tpot_s)
    y = np.ravel(curve.requests_per_s) * one.demand.output_tokens / chips
    wide = width(one.target, "throughput", disaggregated=item.mode == "disaggregated")
    held = np.ravel(curve.concurrency)
    figure = go.Figure()
    figure.add_trace(style.band(x, y * wide.low, y * wide.high, t("speed.band")))
    figure.add_trace(
        go.Scatter(
            x=x,
            y=y,
            mode="lines+markers",
            name="p50",
            line={"color": style.BLUE},
            customdata=held,
            marker={"size": 5},
            hovertemplate="%{x:.3g} | %{y:.4g} tokens/s<br>" + t("speed.flight") + ": %{customdata:.4g}<extra></extra>",
        )
    )
    if item.mode != "disaggregated":
        figure.add_trace(
            go.Scatter(
                x=[1.0 / item.tpot_s.p50],
                y=[item.rate_per_replica * one.demand.output_tokens / chips],
                mode="markers",
                name=t("speed.here"),
                marker={"color": style.RED, "size": 13, "symbol": "star"},
                hovertemplate="%{x:.3g} | %{y:.4g} tokens/s<extra></extra>",
            )
        )
    style.frame(figure, t("axis.interactivity"), t("axis.output_accelerator"))
    figure.update_xaxes(rangemode="tozero")
    figure.update_yaxes(rangemode="tozero")
    style.chart(figure, "speed_curve")
    st.caption(t("speed.curve_help"))
    ui.under(
        [
            {"held": h, "x": a, "low": b * wide.low, "y": b, "high": b * wide.high, "ttft": f, "tpot": g * 1e3}
            for h, a, b, f, g in zip(held, x, y, np.ravel(curve.ttft_s), np.ravel(curve.tpot_s), strict=True)
        ],
        {
            "held": st.column_config.NumberColumn(t("speed.flight"), format="%.4g"),
            "x": st.column_config.NumberColumn(t("axis.interactivity"), format="%.4g"),
            "low": st.column_config.NumberColumn("p10 [tokens/s]", format="%.4g"),
            "y": st.column_config.NumberColumn(t("axis.output_accelerator"), format="%.4g"),
            "high": st.column_config.NumberColumn("p90 [tokens/s]", format="%.4g"),
            "ttft": st.column_config.NumberColumn(t("col.ttft"), format="%.4g"),
            "tpot": st.column_config.NumberColumn(t("col.tpot"), format="%.4g"),
        },
        "speed_curve_table",
    )


def _first_token(study: Study, row: int, item: Plan) -> None:
    """TTFT over prompt lengths: idle, and with the planned batch decoding."""
    st.subheader(t("speed.ttft"), anchor=False)
    context = calc.replica_of(study, row).target.arch.extended_context or PROMPTS[-1]
    lengths = tuple(n for n in PROMPTS if n <= context)
    idle, _ = calc.first_token_of(study, row, lengths, IDLE_BATCH)
    busy, busy95 = calc.first_token_of(study, row, lengths, max(item.batch_per_rank, 0.25))
    figure = go.Figure()
    hover = "%{x:,} tokens<br>%{y:.3g} s<extra>%{fullData.name}</extra>"
    for values, name, colour, dash in (
        (idle, t("speed.idle"), style.GREEN, "solid"),
        (busy, t("speed.busy"), style.BLUE, "solid"),
        (busy95, t("speed.busy95"), style.BLUE, style.DASH["p95"]),
    ):
        figure.add_trace(
            go.Scatter(
                x=lengths,
                y=values,
                name=name,
                mode="lines+markers",
                line={"color": colour, "dash": dash},
                hovertemplate=hover,
            )
        )
    target = study.workload.targets.ttft_p95_s
    if target:
        figure.add_trace(
            go.Scatter(
                x=[lengths[0], lengths[-1]],
                y=[target, target],
                mode="lines",
                name=t("speed.target"),
                line={"color": style.RED, "dash": style.DASH["limit"]},
                hoverinfo="skip",
            )
        )
    style.frame(figure, t("axis.prompt"), t("axis.ttft"))
    figure.update_xaxes(
        type="log", tickvals=lengths, ticktext=[f"{n / 1024:g}K" if n >= 1024 else f"{n:g}" for n in lengths]
    )
    figure.update_yaxes(type="log", dtick=1, exponentformat="none")
    style.chart(figure, "speed_ttft")
    ui.under(
        [{"n": int(n), "idle": a, "busy": b, "p95": c} for n, a, b, c in zip(lengths, idle, busy, busy95, strict=True)],
        {
            "n": st.column_config.NumberColumn(t("axis.prompt"), format="localized"),
            "idle": st.column_config.NumberColumn(f"{t('speed.idle')} [s]", format="%.4g"),
            "busy": st.column_config.NumberColumn(f"{t('speed.busy')} [s]", format="%.4g"),
            "p95": st.column_config.NumberColumn(f"{t('speed.busy95')} [s]", format="%.4g"),
        },
        "speed_ttft_table",
    )
