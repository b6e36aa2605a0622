"""Predicted against measured, log-log, as one HTML page that needs no network."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np

from sizing.base.errors import SizingError
from sizing.evidence.table import Predictions

MAX_NAME = 200  # characters of a name in a hover


def _safe(text: object) -> str:
    return html.escape(str(text)[:MAX_NAME])


def scatter_html(
    data: Predictions,
    names: Sequence[str],
    groups: Sequence[str] | None = None,
    *,
    title: str = "Predicted and measured",
    unit: str = "",
) -> str:
    """A page with one point a row: measured along, predicted up, both logarithmic, with lines at 1:1 and 1:2.

    names tell the row in the hover; groups (at most 20 get a colour of their own) make the legend. Needs
    Plotly, which is loaded here and not before; the page carries Plotly itself. Raises SizingError without
    Plotly, or when the lengths differ.
    """
    if len(names) != len(data) or (groups is not None and len(groups) != len(data)):
        raise SizingError(f"{len(names)} names for {len(data)} rows", key="names")
    try:
        import plotly.graph_objects as go
    except ImportError:
        raise SizingError("charts need Plotly", key="plotly", hint="pip install 'llm-sizing[report]'") from None
    good = np.isfinite(data.measured) & (data.measured > 0) & np.isfinite(data.p50) & (data.p50 > 0)
    labels = np.asarray([str(x) for x in groups] if groups is not None else ["rows"] * len(data), dtype=object)
    order = [name for name, _ in sorted(_counts(labels[good]).items(), key=lambda item: (-item[1], item[0]))]
    labels = np.asarray([x if x in set(order[:20]) else "others" for x in labels], dtype=object)
    figure = go.Figure()
    for group in dict.fromkeys([*order[:20], "others"]):
        at = np.flatnonzero(good & (labels == group))
        if not at.size:
            continue
        figure.add_trace(
            go.Scattergl(
                x=data.measured[at].tolist(),
                y=data.p50[at].tolist(),
                mode="markers",
                marker={"size": 6, "opacity": 0.7},
                name=_safe(group),
                text=[_safe(names[i]) for i in at.tolist()],
                hovertemplate="%{text}<br>measured %{x:.4g}<br>predicted %{y:.4g}<extra></extra>",
            )
        )
    if good.any():
        both = np.concatenate([data.measured[good], data.p50[good]])
        ends = [float(both.min()), float(both.max())]
        for factor, dash in ((1.0, "solid"), (2.0, "dot"), (0.5, "dot")):
            style = {"color": "#888", "width": 1, "dash": dash}
            y = [end * factor for end in ends]
            figure.add_trace(go.Scatter(x=ends, y=y, mode="lines", line=style, showlegend=False, hoverinfo="skip"))
    suffix = f" [{_safe(unit)}]" if unit else ""
    figure.update_layout(
        title=_safe(title),
        xaxis={"type": "log", "title": f"measured{suffix}"},
        yaxis={"type": "log", "title": f"predicted{suffix}"},
        template="plotly_white",
    )
    page: str = figure.to_html(full_html=True, include_plotlyjs=True)
    return page


def _counts(labels: np.ndarray) -> dict[str, int]:
    names, counts = np.unique(labels.astype(str), return_counts=True)
    return dict(zip(names.tolist(), counts.tolist(), strict=True))
