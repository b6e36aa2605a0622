"""The XLSX form: native charts, and a cost sheet of live formulas over named inputs, each checked against the report.

User text is never a formula: strings are written as strings, and one that a sheet would take for a formula gets an
apostrophe before it.
"""

from __future__ import annotations

import datetime as dt
import io
import re
from typing import Any

from sizing.charts.data import Chart
from sizing.report.html import missing_extra
from sizing.report.model import Block, Cell, CostSheet, ReportModel, Section, Table

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
MOST_LETTERS = 32_000  # a cell holds 32,767
FORMATS = {"number": "#,##0.###", "money": "#,##0.00####", "percent": "0.0%", "text": "@"}
CHECK = 1e-6


def guarded(text: str) -> str:
    """Text that no spreadsheet takes for a formula, without control characters, no longer than a cell."""
    kept = "".join(letter for letter in text if letter in "\n\t" or ord(letter) >= 32)[:MOST_LETTERS]
    return f"'{kept}" if kept.lstrip(" \n").startswith(FORMULA_STARTS) or kept.startswith(FORMULA_STARTS) else kept


def xlsx_bytes(report: ReportModel) -> bytes:
    """The report as a workbook; the same bytes for the same report."""
    try:
        import xlsxwriter
    except ImportError:
        raise missing_extra("xlsxwriter") from None
    made = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    book = xlsxwriter.Workbook(made, options)
    day = dt.datetime.combine(dt.date.fromisoformat(report.date), dt.time())
    book.set_properties({"title": guarded(report.title), "subject": guarded(report.status), "created": day})
    _Writer(book, report).write()
    book.close()
    return made.getvalue()


class _Writer:
    """Writes one workbook: a sheet a section, then inputs and cost after the summary, chart data last."""

    def __init__(self, book: Any, report: ReportModel) -> None:
        self.book, self.report = book, report
        make = book.add_format
        self.title = make({"bold": True, "font_size": 16, "font_color": "#0b4f8a"})
        self.head = make({"bold": True, "bottom": 2, "text_wrap": True, "valign": "top", "bg_color": "#e8f1fa"})
        self.bold = make({"bold": True, "font_size": 12})
        self.wrap = make({"text_wrap": True, "valign": "top"})
        self.grey = make({"font_color": "#5a6473", "text_wrap": True, "valign": "top"})
        self.kinds = {
            kind: make({"num_format": code, "valign": "top"}) for kind, code in FORMATS.items() if kind != "text"
        }
        self.input = make({"bg_color": "#fff2cc", "border": 1, "num_format": "#,##0.########"})
        self.live = make({"num_format": "#,##0.00######"})
        self.mono = make({"font_name": "Consolas", "valign": "top"})
        self.names: set[str] = set()
        self.data: Any = None

    def write(self) -> None:
        """All sheets."""
        for number, section in enumerate(self.report.sections):
            self._section(section, first=number == 0)
            if number == 0 and self.report.cost_sheet is not None:
                self._money(self.report.cost_sheet)

    def _sheet(self, title: str) -> Any:
        name = re.sub(r"[\[\]:*?/\\']", " ", title).strip()[:28] or "Sheet"
        unique, count = name, 2
        while unique.lower() in self.names:
            unique, count = f"{name[:25]} {count}", count + 1
        self.names.add(unique.lower())
        sheet = self.book.add_worksheet(unique)
        sheet.set_landscape()
        sheet.set_paper(9)
        sheet.fit_to_pages(1, 0)
        sheet.set_footer("&L&8" + guarded(self.report.status).replace("&", "&&") + "&R&8&P / &N")
        return sheet

    def _section(self, section: Section, *, first: bool) -> None:
        sheet = self._sheet(section.title)
        sheet.set_column(0, 0, 44)
        sheet.set_column(1, 12, 18)
        row = 0
        if first:
            for text, style in (
                (self.report.title, self.title),
                (self.report.subtitle, self.bold),
                (self.report.status, self.grey),
            ):
                sheet.write_string(row, 0, guarded(text), style)
                row += 1
            sheet.write_string(
                row, 0, f"{self.report.labels['date']} {self.report.date}, {guarded(self.report.tool)}", self.grey
            )
            row += 2
        else:
            sheet.write_string(row, 0, guarded(section.title), self.title)
            row += 2
        for block in section.blocks:
            row = self._block(sheet, row, block) + 1

    def _block(self, sheet: Any, row: int, block: Block) -> int:
        if block.block == "table":
            return self._table(sheet, row, block)
        if block.block == "chart":
            return self._chart(sheet, row, block)
        if block.block == "text":
            sheet.merge_range(row, 0, row, 8, "", self.wrap)
            sheet.write_string(row, 0, guarded(block.text), self.wrap)
            sheet.set_row(row, 15 * (1 + len(block.text) // 150))
            return row + 1
        if block.block == "items":
            sheet.write_string(row, 0, guarded(block.title), self.bold)
            for item in block.items:
                row += 1
                sheet.write_string(row, 0, guarded(item))
            return row + 1
        if block.block == "figures":
            for figure in block.figures:
                sheet.write_string(row, 0, guarded(figure.label))
                self._cell(sheet, row, 1, figure.value, figure.kind)
                sheet.write_string(row, 2, guarded(figure.unit), self.grey)
                if figure.low is not None:
                    self._cell(sheet, row, 3, figure.low, figure.kind)
                    self._cell(sheet, row, 4, figure.high, figure.kind)
                    sheet.write_string(row, 5, self.report.labels["interval"], self.grey)
                row += 1
            return row
        sheet.write_string(row, 0, guarded(block.title), self.bold)
        for line in block.text.rstrip("\n").split("\n"):
            row += 1
            sheet.write_string(row, 0, guarded(line), self.mono)
        return row + 1

    def _cell(self, sheet: Any, row: int, column: int, value: Cell, kind: str) -> None:
        if value is None:
            sheet.write_blank(row, column, None, self.wrap)
        elif isinstance(value, str):
            sheet.write_string(row, column, guarded(value), self.wrap)
        else:
            sheet.write_number(row, column, value, self.kinds.get(kind, self.kinds["number"]))

    def _table(self, sheet: Any, row: int, table: Table) -> int:
        sheet.write_string(row, 0, guarded(table.title), self.bold)
        row += 1
        if table.rows:
            for index, column in enumerate(table.columns):
                unit = f" [{column.unit}]" if column.unit else ""
                sheet.write_string(row, index, guarded(column.title + unit), self.head)
            for cells in table.rows:
                row += 1
                for index, (value, column) in enumerate(zip(cells, table.columns, strict=True)):
                    self._cell(sheet, row, index, value, column.kind)
            row += 1
        if table.note:
            sheet.write_string(row, 0, guarded(table.note), self.grey)
            row += 1
        return row

    def _chart(self, sheet: Any, row: int, chart: Chart) -> int:
        """The chart's data on the sheet, and a native chart over it."""
        name = sheet.get_name()
        kind = (
            {"type": "bar", "subtype": "stacked"}
            if chart.kind == "stack"
            else {"type": "scatter", "subtype": "straight"}
        )
        native = self.book.add_chart(kind)
        native.set_title({"name": guarded(chart.title), "name_font": {"size": 12}})
        axis: dict[str, Any] = {
            "name_font": {"size": 9},
            "major_gridlines": {"visible": True, "line": {"color": "#e3e7ec"}},
        }
        across: dict[str, Any] = {"name": guarded(chart.x_label), **axis}
        up: dict[str, Any] = {"name": guarded(chart.y_label), **axis, **({"log_base": 10} if chart.y_log else {})}
        if chart.kind == "stack":
            native.set_y_axis({"name_font": {"size": 9}, "reverse": True})
            native.set_x_axis({**up})
        else:
            native.set_x_axis(across)
            native.set_y_axis(up)
        native.set_size({"width": 860, "height": 400})
        native.set_legend({"position": "bottom"})
        place = row
        row += 21
        first_column = 0
        for index, series in enumerate(chart.series):
            xs: tuple[Any, ...] = chart.categories if chart.kind == "stack" else series.x
            column = first_column if chart.kind == "stack" else index * 2
            if chart.kind != "stack" or index == 0:
                sheet.write_string(row, column, guarded(chart.x_label or self.report.labels["name"]), self.head)
                for offset, x in enumerate(xs, 1):
                    self._cell(sheet, row + offset, column, x, "number")
            value_column = index + 1 if chart.kind == "stack" else column + 1
            sheet.write_string(row, value_column, guarded(series.name), self.head)
            for offset, y in enumerate(series.y, 1):
                self._cell(sheet, row + offset, value_column, y, "number")
            given: dict[str, Any] = {
                "name": [name, row, value_column],
                "categories": [name, row + 1, column, row + len(xs), column],
                "values": [name, row + 1, value_column, row + len(xs), value_column],
            }
            if series.style == "points":
                given |= {"marker": {"type": "circle", "size": 9}, "line": {"none": True}}
            elif chart.kind != "stack":
                given |= {"line": {"width": 2, **({"dash_type": "dash"} if series.style == "dashed" else {})}}
            native.add_series(given)
        sheet.insert_chart(place, 0, native, {"object_position": 2, "description": guarded(chart.description)})
        most = max((len(series.y) for series in chart.series), default=0)
        return row + most + 2

    def _money(self, money: CostSheet) -> None:
        """The sheets Inputs and Cost."""
        labels = self.report.labels
        inputs = self._sheet(labels["inputs"])
        name = inputs.get_name()
        inputs.set_column(0, 0, 52)
        inputs.set_column(1, 1, 18)
        inputs.set_column(2, 3, 26)
        inputs.merge_range(0, 0, 0, 3, "", self.grey)
        inputs.write_string(0, 0, guarded(labels["change_me"]), self.grey)
        inputs.set_row(0, 32)
        for column, text in enumerate((labels["inputs"], labels["live_value"], labels["unit"], labels["name"])):
            inputs.write_string(2, column, guarded(text), self.head)
        for row, item in enumerate(money.inputs, 3):
            inputs.write_string(row, 0, guarded(item.label))
            inputs.write_number(row, 1, item.value, self.input)
            inputs.write_string(row, 2, guarded(item.unit), self.grey)
            inputs.write_string(row, 3, item.name, self.grey)
            self.book.define_name(defined(item.name), f"='{name}'!$B${row + 1}")
        inputs.freeze_panes(3, 0)
        cost = self._sheet(labels["cost"])
        name = cost.get_name()
        cost.set_column(0, 0, 52)
        cost.set_column(1, 4, 20)
        heads = (labels["cost"], labels["live_value"], labels["unit"], labels["python_value"], labels["check"])
        for column, text in enumerate(heads):
            cost.write_string(0, column, guarded(text), self.head)
        names = {item.name for item in money.inputs} | {line.name for line in money.formulas}
        for row, line in enumerate(money.formulas, 1):
            cost.write_string(row, 0, guarded(line.label))
            cost.write_formula(row, 1, "=" + _named(line.formula, names), self.live, line.value)
            cost.write_string(row, 2, guarded(line.unit), self.grey)
            cost.write_number(row, 3, line.value, self.live)
            same = f"ABS(B{row + 1}-D{row + 1})<={CHECK:g}*MAX(1E-12,ABS(D{row + 1}))"
            check = f'=IF({same},"{labels["check_ok"]}","{labels["check_off"]}")'
            cost.write_formula(row, 4, check, None, labels["check_ok"])
            self.book.define_name(defined(line.name), f"='{name}'!$B${row + 1}")
        cost.freeze_panes(1, 1)


def defined(name: str) -> str:
    """The defined name of an input or line: prefixed, so that none reads as a cell's address (``API1``)."""
    return f"s_{name}"


def _named(formula: str, names: set[str]) -> str:
    """The formula over defined names."""
    return re.sub(r"[A-Za-z_][A-Za-z_0-9]*", lambda m: defined(m[0]) if m[0] in names else m[0], formula)
