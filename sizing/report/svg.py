# ruff: noqa: E501 — lines of SVG markup
"""Charts as SVG text: vector in HTML and PDF alike, the same text every time, no library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from sizing.charts.data import Chart, Series
from sizing.report.text import show

WIDTH, HEIGHT = 720, 380
LEFT, RIGHT, TOP, BOTTOM = 66, 18, 14, 46
# Okabe and Ito's colours: told apart by the colour-blind; lightness falls along the list, so greyscale prints too.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#8a8a8a", "#5d3a9b")
STACK = {
    "weights": "#0072b2",
    "activation": "#e69f00",
    "runtime": "#8a8a8a",
    "graphs": "#cc79a7",
    "kv_pool": "#009e73",
    "unused": "#e6e6e6",
}
DASHES = ("", "7 3", "2 3", "9 3 2 3", "4 2", "1 2")
BAR, GAP, NAME = 26, 14, 14


def chart_svg(chart: Chart) -> str:
    """The chart as one ``<svg>`` element."""
    return _stack(chart) if chart.kind == "stack" else _lines(chart)


def _open(chart: Chart, height: float) -> list[str]:
    label = f"svg-{chart.id}"
    return [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {height:g}" role="img" aria-labelledby="{label}-t {label}-d" '
        'xmlns="http://www.w3.org/2000/svg">',
        f'<title id="{label}-t">{escape(chart.title)}</title><desc id="{label}-d">{escape(chart.description)}</desc>',
    ]


def _text(x: float, y: float, text: str, anchor: str = "start", kind: str = "tick", extra: str = "") -> str:
    size = 12.5 if kind == "label" else 11.5
    fill = {"inbar": "#ffffff", "marked": "#5a6473"}.get(kind, "#1d2430")
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}" font-size="{size}" fill="{fill}" '
        f'font-family="Sizing Sans, Noto Sans, Arial, sans-serif"{extra}>{escape(text)}</text>'
    )


def nice_ticks(low: float, high: float, count: int = 6) -> list[float]:
    """Round values from ``low`` to ``high``."""
    span = max(high - low, 1e-12)
    raw = span / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(step * index, 12) for index in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten from ``low`` to ``high``."""
    found = []
    for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1):
        found += [factor * 10.0**power for factor in (1, 2, 5)]
    return [value for value in found if low * 0.999 <= value <= high * 1.001]


class _Axis:
    """Maps values to pixels, linear or logarithmic."""

    def __init__(self, values: Sequence[float], start: float, end: float, log: bool) -> None:
        known = [value for value in values if math.isfinite(value) and (value > 0 or not log)] or [0.1, 1.0]
        self.log, self.start, self.end = log, start, end
        low, high = min(known), max(known)
        if log:
            self.low, self.high = low / 1.15, high * 1.15
            self.ticks = log_ticks(self.low, self.high) or [low]
        else:
            self.low = 0.0 if low >= 0 else low
            self.high = high * 1.04 if high > self.low else self.low + 1.0
            self.ticks = nice_ticks(self.low, self.high)

    def __call__(self, value: float) -> float:
        if self.log:
            share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)


def _label(value: float) -> str:
    if value >= 10_000 and value == int(value):
        return f"{value / 1000:,.0f}K"
    return show(value) if value >= 1000 or value == int(value) else f"{value:g}"


def _legend(entries: Sequence[tuple[str, str, str]], y: float) -> tuple[list[str], float]:
    """Rows of swatches and names; returns the elements and the height that they take."""
    parts: list[str] = []
    x = float(LEFT)
    for key, name, swatch in entries:
        wide = 34 + sum(12.5 if ord(letter) > 0x2E80 else 6.3 for letter in name)
        if x + wide > WIDTH - RIGHT and x > LEFT:
            x, y = float(LEFT), y + 18
        shifted = swatch.format(
            x1=f"{x:.1f}", x2=f"{x + 22:.1f}", xm=f"{x + 11:.1f}", y=f"{y - 4:.1f}", yt=f"{y - 9:.1f}"
        )
        parts.append(f'<g class="legend" data-series="{escape(key, quote=True)}">{shifted}{_text(x + 28, y, name)}</g>')
        x += wide + 12
    return parts, y


def _lines(chart: Chart) -> str:
    xs = [value for item in chart.series for value in item.x] + [m.value for m in chart.marks if m.axis == "x"]
    ys = [value for item in chart.series for value in (*item.y, *item.low, *item.high)]
    entries, colours = [], {}
    for number, item in enumerate(chart.series):
        colour, dash = COLOURS[number % len(COLOURS)], DASHES[number % len(DASHES)]
        dash = "3 3" if item.style == "dashed" else dash
        colours[item.key] = (colour, dash)
        line = f'<line x1="{{x1}}" x2="{{x2}}" y1="{{y}}" y2="{{y}}" stroke="{colour}" stroke-width="2.2" stroke-dasharray="{dash}"/>'
        dot = f'<circle cx="{{xm}}" cy="{{y}}" r="5" fill="{colour}" stroke="#fff"/>'
        entries.append((item.key, item.name, dot if item.style == "points" else line))
    legend, end = _legend(entries, HEIGHT + 14.0)
    height = end + 10
    x_axis = _Axis(xs, LEFT, WIDTH - RIGHT, chart.x_log)
    y_axis = _Axis(ys, HEIGHT - BOTTOM, TOP, chart.y_log)
    parts = _open(chart, height)
    for tick in y_axis.ticks:
        y = y_axis(tick)
        parts.append(
            f'<line class="grid" stroke="#e3e7ec" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        parts.append(_text(LEFT - 7, y + 4, _label(tick), "end"))
    for tick in x_axis.ticks:
        x = x_axis(tick)
        parts.append(
            f'<line class="axis" stroke="#5a6473" x1="{x:.1f}" x2="{x:.1f}" y1="{HEIGHT - BOTTOM}" y2="{HEIGHT - BOTTOM + 5}"/>'
        )
        parts.append(_text(x, HEIGHT - BOTTOM + 18, _label(tick), "middle"))
    parts.append(
        f'<line class="axis" stroke="#5a6473" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{HEIGHT - BOTTOM}" y2="{HEIGHT - BOTTOM}"/>'
    )
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, chart.x_label, "middle", "label"))
    turn = f' transform="rotate(-90 14 {(TOP + HEIGHT - BOTTOM) / 2:.1f})"'
    parts.append(_text(14, (TOP + HEIGHT - BOTTOM) / 2, chart.y_label, "middle", "label", turn))
    for number, mark in enumerate(chart.marks):
        x = x_axis(mark.value)
        side, shift = ("end", -5) if x > WIDTH * 0.7 else ("start", 5)
        parts.append(
            f'<line class="mark" stroke="#5a6473" stroke-dasharray="4 3" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
        )
        parts.append(
            _text(x + shift, TOP + 12 + 15 * number, f"{mark.label} {_label(round(mark.value, 1))}", side, "marked")
        )
    for item in chart.series:
        parts.append(_series(chart, item, x_axis, y_axis, *colours[item.key]))
    return "".join([*parts, *legend, "</svg>"])


def _series(chart: Chart, item: Series, x_axis: _Axis, y_axis: _Axis, colour: str, dash: str) -> str:
    points = [(x_axis(x), y_axis(y)) for x, y in zip(item.x, item.y, strict=True)]
    parts = [f'<g class="series" data-series="{escape(item.key, quote=True)}">']
    if item.low and item.high:
        upper = [f"{x_axis(x):.1f},{y_axis(y):.1f}" for x, y in zip(item.x, item.high, strict=True)]
        lower = [f"{x_axis(x):.1f},{y_axis(y):.1f}" for x, y in zip(item.x, item.low, strict=True)]
        parts.append(f'<polygon points="{" ".join(upper + lower[::-1])}" fill="{colour}" fill-opacity="0.13"/>')
    if item.style != "points":
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(
            f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2.2" stroke-dasharray="{dash}"/>'
        )
    if item.style != "dashed":
        size = 5.5 if item.style == "points" else 2.6
        for (x, y), given, made in zip(points, item.x, item.y, strict=True):
            tip = f"{item.name}\n{chart.x_label}: {show(given)}\n{chart.y_label}: {show(made)}"
            parts.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size}" fill="{colour}" stroke="#fff" stroke-width="0.8" '
                f'class="dot" data-tip="{escape(tip, quote=True)}"/>'
            )
    return "".join([*parts, "</g>"])


def _stack(chart: Chart) -> str:
    totals = [sum(item.y[row] for item in chart.series) for row in range(len(chart.categories))]
    top = 4.0
    body = len(chart.categories) * (BAR + GAP + NAME)
    base = top + body
    entries = [
        (
            item.key,
            item.name,
            f'<rect x="{{x1}}" y="{{yt}}" width="22" height="11" fill="{_part(item, number)}" class="seg"/>',
        )
        for number, item in enumerate(chart.series)
    ]
    legend, end = _legend(entries, base + 58)
    axis = _Axis([0.0, *totals], 8, WIDTH - RIGHT - 10, False)
    parts = _open(chart, end + 10)
    for tick in axis.ticks:
        x = axis(tick)
        parts.append(f'<line class="grid" stroke="#e3e7ec" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{base:.1f}"/>')
        parts.append(_text(x, base + 15, _label(tick), "middle"))
    parts.append(_text((8 + WIDTH - RIGHT) / 2, base + 34, chart.y_label, "middle", "label"))
    for row, name in enumerate(chart.categories):
        y = top + row * (BAR + GAP + NAME) + NAME
        parts.append(_text(8, y - 3, name, "start", "label"))
        left = 0.0
        for number, item in enumerate(chart.series):
            value = item.y[row]
            x1, x2 = axis(left), axis(left + value)
            left += value
            tip = escape(f"{name}\n{item.name}: {show(value)} GiB", quote=True)
            parts.append(
                f'<rect x="{x1:.1f}" y="{y:.1f}" width="{max(x2 - x1, 0):.1f}" height="{BAR}" '
                f'fill="{_part(item, number)}" class="seg dot" data-series="{escape(item.key, quote=True)}" data-tip="{tip}"/>'
            )
            if x2 - x1 > 34:
                kind = "inbar dark" if item.key in ("unused", "activation") else "inbar"
                parts.append(_text((x1 + x2) / 2, y + BAR / 2 + 4, show(value), "middle", kind))
    return "".join([*parts, *legend, "</svg>"])


def _part(item: Series, number: int) -> str:
    return STACK.get(item.key, COLOURS[number % len(COLOURS)])
