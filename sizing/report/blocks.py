"""Short ways to write tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from sizing.report.model import Cell, Column, Table
from sizing.report.text import Messages

Kind = Literal["text", "number", "money", "percent"]


def column(m: Messages, key: str, kind: Kind = "text", unit: str = "", title: str | None = None) -> Column:
    """A column whose header is the catalog's ``col.KEY`` and whose unit is ``unit.UNIT``."""
    return Column(key=key, title=title or m(f"col.{key}"), unit=m.word("unit", unit) if unit else "", kind=kind)


def table(
    m: Messages,
    name: str,
    columns: Sequence[Column],
    rows: Iterable[Sequence[Cell]],
    *,
    note: str = "",
    highlight: int | None = None,
    title: str | None = None,
) -> Table:
    """A table with the catalog's title ``table.NAME``."""
    return Table(
        id=name,
        title=title if title is not None else m(f"table.{name}"),
        columns=tuple(columns),
        rows=tuple(tuple(row) for row in rows),
        note=note,
        highlight=highlight,
    )


def facts(m: Messages, name: str, rows: Iterable[Sequence[Cell]], *, note: str = "", last: str = "note") -> Table:
    """A table of item, value, unit and a last column."""
    columns = [column(m, "item"), column(m, "value", "number"), column(m, "unit"), column(m, last)]
    return table(m, name, columns, rows, note=note)
