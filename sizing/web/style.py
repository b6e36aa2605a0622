"""Colours, one for each thing on all pages (Okabe and Ito, safe for colour-blind readers), and the charts' frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from sizing.base.arrays import FloatArray

BLUE, ORANGE, GREEN, PINK = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
RED, SKY, GREY, OLIVE = "#D55E00", "#56B4E9", "#8C8C8C", "#B8A800"
SERIES = (BLUE, ORANGE, GREEN, PINK, RED, SKY, OLIVE, GREY)
MEMORY = {"weights": BLUE, "activation": ORANGE, "runtime": PINK, "graphs": OLIVE, "kv_pool": GREEN, "left": GREY}
KINDS = {
    "gemm": BLUE,
    "moe": SKY,
    "prefill_attention": ORANGE,
    "decode_attention": ORANGE,
    "linear_prefill": OLIVE,
    "linear_decode": OLIVE,
    "all_reduce": PINK,
    "all_gather": PINK,
    "all_to_all": PINK,
    "send": PINK,
    "host": GREY,
}
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star", "x", "pentagon")
DASH = {"p95": "dash", "limit": "dot"}


def accelerator_colours(names: list[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker of each accelerator, in the order of the offers."""
    return {name: (SERIES[i % len(SERIES)], SYMBOLS[i % len(SYMBOLS)]) for i, name in enumerate(dict.fromkeys(names))}


def faded(colour: str, share: float = 0.2) -> str:
    """The colour, see-through."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{share})"


def band(x: FloatArray, low: FloatArray, high: FloatArray, name: str) -> go.Scatter:
    """The area between two curves over ``x``, under the line of the median."""
    return go.Scatter(
        x=np.concatenate([x, x[::-1]]),
        y=np.concatenate([high, low[::-1]]),
        fill="toself",
        fillcolor=faded(BLUE),
        line={"width": 0},
        name=name,
        hoverinfo="skip",
    )


def frame(figure: go.Figure, x: str, y: str, **more: Any) -> go.Figure:
    """Axis titles with units, legend above, no surplus."""
    figure.update_layout(
        margin={"l": 8, "r": 8, "t": 36, "b": 8},
        height=more.pop("height", 380),
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "xanchor": "left", "x": 0, "title": None},
        hovermode=more.pop("hovermode", "closest"),
        **more,
    )
    figure.update_xaxes(title=x, automargin=True)
    figure.update_yaxes(title=y, automargin=True)
    return figure


def chart(figure: go.Figure, key: str) -> None:
    """Draw a chart."""
    st.plotly_chart(figure, width="stretch", key=key, config={"displaylogo": False, "displayModeBar": False})
