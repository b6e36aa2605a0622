"""Memory: the ledger of one accelerator, the cache's growth, what fits."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from sizing.base.units import gib
from sizing.memory.ledger import MemoryLedger
from sizing.planning.result import Plan, Result
from sizing.study import Study
from sizing.web import calc, style
from sizing.web import show as ui
from sizing.web.messages import plain, t

GIB = 2.0**30
PARTS = ("weights", "activation", "runtime", "graphs", "kv_pool")
GROWTH = tuple(float(2**power) for power in range(10, 21))
GRID_CONTEXTS = tuple(2**power for power in range(12, 21))
GRID_REQUESTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


def show(study: Study) -> None:
    """Draw the page."""
    st.title(t("memory.title"), anchor=False)
    result = calc.result_of(study)
    row = ui.choose_plan(result)
    if row is None:
        return
    item, found = result.plans[row], calc.ledger_of(study, row)
    _cards(item, found)
    _stack(result)
    with st.expander(t("working.title")):
        ui.ledger(found.lines)
        for text in found.assumptions:
            st.markdown(f"- {plain(text)}")
    _growth(study, row, item, found)
    _grid(study, row, item)


def _cards(item: Plan, found: MemoryLedger) -> None:
    ranks = int(item.placement["dp"])
    ui.metrics(
        [
            (t("memory.usable"), gib(found.usable_bytes), item.accelerator_name, None),
            (t("memory.weights"), gib(found.weights_bytes), f"{item.weights}", None),
            (t("memory.pool"), gib(found.kv_pool_bytes), t("memory.each"), None),
            (t("memory.tokens"), f"{found.kv_pool_tokens * ranks:,}", t("memory.replica"), None),
            (
                t("memory.requests"),
                f"{found.running * ranks:,.1f}",
                t("memory.of_context", context=f"{found.load.context:,}"),
                t("memory.requests_help"),
            ),
        ]
    )


def _stack(result: Result) -> None:
    """One bar for each plan (the best of each accelerator and format): parts in a fixed order, capacity as a line."""
    st.subheader(t("memory.stack"), anchor=False)
    shown: dict[str, Plan] = {}
    for item in result.plans:
        shown.setdefault(f"{item.accelerator_name}<br>{item.weights} {ui.placement_text(item)}", item)
    chosen = dict(list(shown.items())[:8])
    labels = list(chosen)[::-1]
    figure = go.Figure()
    for part in PARTS:
        figure.add_trace(
            go.Bar(
                y=labels,
                x=[chosen[label].memory_gib[part] for label in labels],
                name=t(f"memory.part_{part}"),
                orientation="h",
                marker_color=style.MEMORY[part],
                hovertemplate="%{y}<br>%{fullData.name}: %{x:.3g} GiB<extra></extra>",
            )
        )
    figure.add_trace(
        go.Scatter(
            y=labels,
            x=[chosen[label].memory_gib["usable"] for label in labels],
            mode="markers",
            name=t("memory.capacity"),
            marker={"symbol": "line-ns", "size": 26, "line": {"width": 3, "color": style.RED}},
            hovertemplate="%{x:.3g} GiB<extra></extra>",
        )
    )
    style.frame(figure, t("axis.gib_accelerator"), "", barmode="stack", height=150 + 44 * len(labels))
    figure.update_layout(legend={"traceorder": "normal"})
    style.chart(figure, "memory_stack")
    ui.under(
        [{"plan": label.replace("<br>", " "), **chosen[label].memory_gib} for label in labels[::-1]],
        {"plan": st.column_config.TextColumn(t("col.plan"))}
        | {
            part: st.column_config.NumberColumn(f"{t(f'memory.part_{part}')} [GiB]", format="%.4g")
            for part in (*PARTS, "usable")
        },
        "memory_stack_table",
    )


def _growth(study: Study, row: int, item: Plan, found: MemoryLedger) -> None:
    """Cache against length: one sequence, the planned concurrency, and where the pool ends."""
    st.subheader(t("memory.growth"), anchor=False)
    one = calc.cache_growth_of(study, row, GROWTH) / GIB
    running = max(1.0, round(item.concurrency_per_replica))
    pool = found.kv_pool_bytes * (item.accelerators // item.replicas) / GIB
    figure = go.Figure()
    hover = "%{x:,} tokens<br>%{y:.4g} GiB<extra>%{fullData.name}</extra>"
    figure.add_trace(
        go.Scatter(
            x=GROWTH,
            y=one,
            name=t("memory.one"),
            mode="lines+markers",
            line={"color": style.GREEN},
            hovertemplate=hover,
        )
    )
    figure.add_trace(
        go.Scatter(
            x=GROWTH,
            y=one * running,
            name=t("memory.many", count=f"{running:,.0f}"),
            mode="lines+markers",
            line={"color": style.BLUE},
            marker={"symbol": "square"},
            hovertemplate=hover,
        )
    )
    figure.add_trace(
        go.Scatter(
            x=[GROWTH[0], GROWTH[-1]],
            y=[pool, pool],
            name=t("memory.end", size=gib(pool * GIB)),
            mode="lines",
            line={"color": style.RED, "dash": style.DASH["limit"]},
            hoverinfo="skip",
        )
    )
    style.frame(figure, t("axis.context"), t("axis.cache_replica"))
    ticks = [2**power for power in range(10, 21, 2)] + [131_072]
    figure.update_xaxes(type="log", tickvals=ticks, ticktext=[f"{n // 1024}K" if n < 2**20 else "1M" for n in ticks])
    figure.update_yaxes(type="log", dtick=1, exponentformat="none")
    style.chart(figure, "memory_growth")
    limit = calc.replica_of(study, row).target.arch.extended_context
    if limit:
        st.caption(t("memory.growth_help", context=f"{limit:,}"))
    ui.under(
        [{"tokens": int(n), "one": size, "many": size * running} for n, size in zip(GROWTH, one, strict=True)],
        {
            "tokens": st.column_config.NumberColumn(t("axis.context"), format="localized"),
            "one": st.column_config.NumberColumn(f"{t('memory.one')} [GiB]", format="%.4g"),
            "many": st.column_config.NumberColumn(f"{t('memory.many', count=f'{running:,.0f}')} [GiB]", format="%.4g"),
        },
        "memory_growth_table",
    )


def _grid(study: Study, row: int, item: Plan) -> None:
    """What fits a replica: context by requests in flight, as the share of the cache that they take."""
    st.subheader(t("memory.grid"), anchor=False)
    ranks = int(item.placement["dp"])
    most = [calc.ledger_of(study, row, context).running * ranks for context in GRID_CONTEXTS]
    share = np.array([[requests / max(top, 1e-9) for top in most] for requests in GRID_REQUESTS])
    level = np.select([share <= 0.8, share <= 1.0], [0, 1], 2)
    marks = np.array([t("fit.good"), t("fit.tight"), t("fit.no")])[level]
    contexts = [f"{n // 1024}K" if n < 2**20 else "1M" for n in GRID_CONTEXTS]
    colours = [style.GREEN, style.ORANGE, style.GREY]
    scale = [[i / 3 + step, colour] for i, colour in enumerate(colours) for step in (0, 1 / 3)]
    figure = go.Figure(
        go.Heatmap(
            x=contexts,
            y=[f"{n:,}" for n in GRID_REQUESTS],
            z=level,
            zmin=-0.5,
            zmax=2.5,
            colorscale=scale,
            showscale=False,
            xgap=2,
            ygap=2,
            text=np.where(level == 2, "×", np.where(level == 1, "~", "✓")),
            texttemplate="%{text}",
            textfont={"color": "white"},
            customdata=np.dstack([share * 100, marks]),
            hovertemplate="%{x} tokens × %{y}: %{customdata[1]} (%{customdata[0]:.3g} %)<extra></extra>",
        )
    )
    style.frame(figure, t("axis.context"), t("axis.requests_replica"), height=420)
    figure.update_xaxes(type="category")
    figure.update_yaxes(type="category")
    style.chart(figure, "memory_grid")
    st.caption(t("memory.grid_help"))
    ui.under(
        [{"context": n, "most": top} for n, top in zip(GRID_CONTEXTS, most, strict=True)],
        {
            "context": st.column_config.NumberColumn(t("axis.context"), format="localized"),
            "most": st.column_config.NumberColumn(t("memory.requests"), format="%.4g"),
        },
        "memory_grid_table",
    )
