"""How an answer shows itself: a row for a table, a summary for a terminal, a table for a notebook.

Every result of the public API is an ``Answer``: ``to_dict()`` is the whole document, ``to_row()`` one flat row of plain
scalars (so that ``pandas.DataFrame([answer.to_row() for answer in answers])`` works), ``print(answer)`` at most 20 lines.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

import numpy as np

MOST_LINES = 20  # of a summary
WIDE = 110  # letters of a line of a summary
MOST_JOINED = 12  # items of a list that are joined to one text; longer lists are counted


class Answer:
    """What all results share. A result gives ``to_dict`` and ``summary_lines``; the rest follows."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """The whole document, as plain data."""
        raise NotImplementedError

    def summary_lines(self) -> Iterable[tuple[str, str]]:
        """What a person wants to see first, as (label, text). An empty label continues the line before."""
        raise NotImplementedError

    def to_row(self) -> dict[str, Any]:
        """One flat row: the scalars of ``to_dict`` under joined names such as ``throughput_requests_per_s_p50``.

        Lists of scalars become one text, lists of mappings are left out. No NumPy scalars.
        """
        return flat(self.to_dict())

    def summary(self) -> str:
        """At most 20 lines of text for a terminal."""
        pairs = list(self.summary_lines())
        width = max((len(label) for label, _ in pairs), default=0)
        lines: list[str] = []
        for label, text in pairs:
            room = max(WIDE - width - 2, 20)
            lines += [
                f"{label if index == 0 else '':<{width}}  {part}".rstrip()
                for index, part in enumerate(textwrap.wrap(" ".join(str(text).split()), room) or [""])
            ]
        if len(lines) > MOST_LINES:
            lines = [*lines[: MOST_LINES - 1], "..."]
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        pairs = list(self.summary_lines())
        first = " ".join(pairs[0][1].split()) if pairs else ""
        return f"<{type(self).__name__}: {textwrap.shorten(first, WIDE, placeholder='...')}>"

    def _repr_html_(self) -> str:
        """The summary as a table, for notebooks."""
        rows = "".join(
            f'<tr><th style="text-align:left;vertical-align:top">{escape(label)}</th>'
            f'<td style="text-align:left">{escape(str(text))}</td></tr>'
            for label, text in list(self.summary_lines())[:MOST_LINES]
        )
        return f"<table>{rows}</table>"


def flat(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested document as one row of scalars; see ``Answer.to_row``.

    >>> flat({"a": {"p50": 1.5, "p90": 2}, "names": ["x", "y"], "lines": [{"v": 1}]})
    {'a_p50': 1.5, 'a_p90': 2, 'names': 'x; y'}
    """
    row: dict[str, Any] = {}
    for key, value in data.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            row.update(flat(value, name + "_"))
        elif isinstance(value, (list, tuple)):
            items = [_scalar(item) for item in value]
            if any(isinstance(item, (Mapping, list, tuple)) for item in items):
                continue
            row[name] = "; ".join(str(item) for item in items) if len(items) <= MOST_JOINED else len(items)
        else:
            row[name] = _scalar(value)
    return row


def _scalar(value: Any) -> Any:
    """Python's own number in place of NumPy's."""
    return value.item() if isinstance(value, np.generic) else value


def amount(value: float | None, unit: str = "", digits: int = 3) -> str:
    """A figure for a summary: significant digits and thousands.

    >>> amount(1234.567, "tokens/s"), amount(0.0123456, "s"), amount(None)
    ('1,235 tokens/s', '0.0123 s', 'unknown')
    """
    if value is None:
        return "unknown"
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.{digits}g}"
    return f"{text} {unit}".rstrip()


def span(low: float, middle: float, high: float, unit: str = "") -> str:
    """An interval for a summary: the median, then p10 to p90.

    >>> span(0.9, 1.0, 1.2, "s")
    '1 s (0.9 to 1.2)'
    """
    return f"{amount(middle, unit)} ({amount(low)} to {amount(high)})"
