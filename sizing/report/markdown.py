"""The Markdown form: tables as GitHub reads them, charts as tables of their data."""

from __future__ import annotations

import re

from sizing.charts.data import Chart
from sizing.report.model import Block, Cell, Column, Figures, ReportModel, Table
from sizing.report.text import show

MOST_POINTS = 12
_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~!])")


def markdown_text(report: ReportModel) -> str:
    """The report as Markdown."""
    lines = [
        f"# {safe(report.title)}",
        "",
        f"**{safe(report.status)}**",
        "",
        safe(report.subtitle),
        "",
        f"{report.labels['date']} {report.date} · {safe(report.tool)} · {report.labels['study']} {report.study_key}",
    ]
    for number, section in enumerate(report.sections, 1):
        lines += ["", f"## {number}. {safe(section.title)}"]
        for block in section.blocks:
            lines += ["", *_block(report, block)]
    return "\n".join(lines) + "\n"


def safe(text: str) -> str:
    """Text that stays text: Markdown's own characters escaped, lines joined."""
    joined = " ".join(str(text).split())
    escaped = _SPECIAL.sub(r"\\\1", joined)
    return re.sub(r"^([-+]|\d+[.)])(?= )", r"\\\1", escaped)


def _block(report: ReportModel, block: Block) -> list[str]:
    if block.block == "text":
        text = safe(block.text)
        return [{"lead": f"**{text}**", "note": f"> {text}", "warning": f"> ⚠ {text}"}.get(block.tone, text)]
    if block.block == "items":
        head = [f"### {safe(block.title)}", ""] if block.title else []
        return head + [f"- {safe(item)}" for item in block.items]
    if block.block == "figures":
        return _figures(report, block)
    if block.block == "code":
        fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", block.text)), default=0))
        kind = "yaml" if block.title.endswith(".yaml") else "console"
        head = [f"### {safe(block.title)}", ""] if block.title else []
        return [*head, f"{fence}{kind}", *block.text.rstrip("\n").split("\n"), fence]
    if block.block == "chart":
        return _chart(report, block)
    return _table(block)


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(value: Cell, column: Column) -> str:
    if value is None:
        return "" if column.kind == "text" else "–"
    return safe(show(value, column.kind))


def _table(table: Table) -> list[str]:
    lines = [f"### {safe(table.title)}", ""] if table.title else []
    if table.rows:
        heads = [safe(c.title) + (f" [{safe(c.unit)}]" if c.unit else "") for c in table.columns]
        lines += [_row(heads), _row(["---" if c.kind == "text" else "---:" for c in table.columns])]
        lines += [
            _row([_cell(value, column) for value, column in zip(row, table.columns, strict=True)]) for row in table.rows
        ]
    return [*lines, "", safe(table.note)] if table.note else lines


def _figures(report: ReportModel, block: Figures) -> list[str]:
    lines = [_row(["", "", report.labels["interval"]]), _row(["---", "---:", "---:"])]
    for item in block.figures:
        span = "" if item.low is None else f"{show(item.low, item.kind)} – {show(item.high, item.kind)}"
        value = f"{show(item.value, item.kind)} {item.unit}".strip()
        lines.append(_row([safe(item.label), safe(value), safe(span)]))
    return lines


def _chart(report: ReportModel, chart: Chart) -> list[str]:
    lines = [f"### {safe(chart.title)}", "", safe(chart.description), ""]
    if chart.kind == "stack":
        lines += [_row([safe(chart.y_label), *(safe(item.name) for item in chart.series)])]
        lines += [_row(["---", *("---:" for _ in chart.series)])]
        for index, name in enumerate(chart.categories):
            lines.append(_row([safe(name), *(show(item.y[index]) for item in chart.series)]))
        return lines
    lines += [
        _row([report.labels["chart_data"], safe(chart.x_label), safe(chart.y_label)]),
        _row(["---", "---:", "---:"]),
    ]
    for item in chart.series:
        size = len(item.x)
        for index in sorted({round(i * (size - 1) / (MOST_POINTS - 1)) for i in range(MOST_POINTS)}):
            lines.append(_row([safe(item.name), show(item.x[index]), show(item.y[index])]))
    return lines
