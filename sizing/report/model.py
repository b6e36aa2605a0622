"""What a report says, whatever its form: sections of tables, charts as data, ledgers, a cost sheet that recomputes.

One ``ReportModel`` is built from one Result; the renderers only lay it out. Numbers are
plain numbers in the unit that the column or row names; texts are in the report's language.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from sizing.charts.data import Chart, Part

REPORT_VERSION: Literal[1] = 1
Cell = str | int | float | None
Language = Literal["en", "zh"]


class Column(Part):
    """One column. ``key`` is the same in every language; ``unit`` stands in the header; numbers are set right."""

    key: str
    title: str
    unit: str = ""
    kind: Literal["text", "number", "money", "percent"] = "text"


class Table(Part):
    """Rows of cells under columns. ``highlight`` marks the row that matters most."""

    block: Literal["table"] = "table"
    id: str
    title: str = ""
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    highlight: int | None = None
    note: str = ""


class Text(Part):
    """A paragraph, or a call-out (``tone`` note or warning)."""

    block: Literal["text"] = "text"
    text: str
    tone: Literal["plain", "lead", "note", "warning"] = "plain"


class Items(Part):
    """A list of sentences."""

    block: Literal["items"] = "items"
    id: str
    title: str = ""
    items: tuple[str, ...]


class Figure(Part):
    """One key figure with its 80 % interval, where it has one."""

    key: str
    label: str
    value: float | int | str | None
    unit: str = ""
    low: float | None = None
    high: float | None = None
    kind: Literal["text", "number", "money", "percent"] = "number"


class Figures(Part):
    """The figures that a reader looks for first."""

    block: Literal["figures"] = "figures"
    id: str
    figures: tuple[Figure, ...]


class Code(Part):
    """Text that is set as it is: the study file, a command."""

    block: Literal["code"] = "code"
    title: str = ""
    text: str


Block = Annotated[Table | Text | Items | Figures | Chart | Code, Field(discriminator="block")]


class Section(Part):
    """One numbered part of the report."""

    id: str
    title: str
    blocks: tuple[Block, ...]


class Input(Part):
    """A figure that a reader may change in the spreadsheet; ``name`` is its defined name there."""

    name: str
    label: str
    value: float
    unit: str = ""
    note: str = ""


class Formula(Part):
    """A line that follows from the inputs: ``formula`` in spreadsheet syntax over names, ``value`` as Python has it."""

    name: str
    label: str
    unit: str = ""
    formula: str
    value: float
    note: str = ""


class CostSheet(Part):
    """The arithmetic of cost as a spreadsheet can follow it."""

    inputs: tuple[Input, ...]
    formulas: tuple[Formula, ...]


class ReportModel(Part):
    """Everything that a report says. ``result`` is the document of ``sizing plan --json``."""

    version: Literal[1] = REPORT_VERSION
    title: str
    subtitle: str
    language: Language
    date: str
    status: str
    tool: str
    study_key: str
    labels: dict[str, str] = Field(default_factory=dict)  # words that renderers need: page, contents, ...
    sections: tuple[Section, ...]
    cost_sheet: CostSheet | None = None
    study: str
    result: dict[str, Any]

    def section(self, name: str) -> Section:
        """The section of that id; KeyError where there is none."""
        for section in self.sections:
            if section.id == name:
                return section
        raise KeyError(name)

    def table(self, name: str) -> Table:
        """The table of that id; KeyError where there is none."""
        for section in self.sections:
            for block in section.blocks:
                if isinstance(block, Table) and block.id == name:
                    return block
        raise KeyError(name)

    def chart(self, name: str) -> Chart:
        """The chart of that id; KeyError where there is none."""
        for section in self.sections:
            for block in section.blocks:
                if isinstance(block, Chart) and block.id == name:
                    return block
        raise KeyError(name)
