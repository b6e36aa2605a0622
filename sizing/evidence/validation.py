"""``sizing validate``: predict measured rows of three kinds, write the predictions, tabulate and draw the errors."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sizing.base.answers import Answer, amount
from sizing.base.errors import SizingError
from sizing.evidence.scatter import scatter_html
from sizing.evidence.table import Errors, Predictions, as_markdown, as_text, error_table

KINDS = ("serving", "throughput", "memory")


@dataclass(frozen=True)
class Panel:
    """One quantity of a validation: its predictions against what was measured, with labels to group by."""

    quantity: str
    data: Predictions
    names: Sequence[str]
    labels: Mapping[str, Sequence[str]]

    def table(self) -> list[Errors]:
        """The errors of all rows and of each group by label."""
        return error_table(self.data, self.labels)


@dataclass(frozen=True, repr=False)
class Validation(Answer):
    """A file of rows, predicted. ``text`` of the prediction file and the panels of errors."""

    kind: str
    total: int
    answered: int
    prediction_file: str
    panels: tuple[Panel, ...]

    def csv(self) -> str:
        """The prediction file: one line a row, in the columns of the command's contract."""
        return self.prediction_file

    def text(self) -> str:
        """Error tables for a terminal."""
        parts = [f"{self.kind}: {self.answered:,} of {self.total:,} rows predicted"]
        parts += [f"\n{panel.quantity}\n{as_text(panel.table())}" for panel in self.panels]
        return "\n".join(parts)

    def markdown(self) -> str:
        """Error tables for the documentation."""
        return "\n\n".join(f"### {panel.quantity}\n\n{as_markdown(panel.table())}" for panel in self.panels)

    def html(self) -> str:
        """Predicted against measured, log-log; hovering names the row. One page for all quantities."""
        if not self.panels:
            raise SizingError("no row has both a measurement and a prediction", key="--html")
        pages = [
            scatter_html(panel.data, list(panel.names), list(next(iter(panel.labels.values()))), title=panel.quantity)
            for panel in self.panels
        ]
        if len(pages) == 1:
            return pages[0]
        head, _, _ = pages[0].partition("</body>")
        rest = [page.partition("<body>")[2].partition("</body>")[0] for page in pages[1:]]
        return head + "".join(rest) + "</body></html>"

    def summary_lines(self) -> list[tuple[str, str]]:
        """How many rows were answered, and the error over all rows of each quantity."""
        lines = [(self.kind, f"{self.answered:,} of {self.total:,} rows predicted")]
        for panel in self.panels:
            table = panel.table()
            if table:
                lines.append(
                    (panel.quantity, f"median error {table[0].median:.1%}, 90th percentile {table[0].p90:.1%}, "
                     f"bias {table[0].bias:+.1%}, {amount(table[0].rows)} rows")
                )  # fmt: skip
        return lines

    def to_dict(self) -> dict[str, Any]:
        """The error tables as plain data."""
        return {
            "kind": self.kind,
            "rows": self.total,
            "answered": self.answered,
            "errors": {
                panel.quantity: [
                    {
                        "group": line.group,
                        "rows": line.rows,
                        "share_answered": line.share_answered,
                        "median": line.median,
                        "mean": line.mean,
                        "p90": line.p90,
                        "bias": line.bias,
                        "coverage": line.coverage,
                    }
                    for line in panel.table()
                ]
                for panel in self.panels
            },
        }


def run(kind: str, path: Path) -> Validation:
    """Predict all rows of a file; raises SizingError for a file that is not such a table."""
    if kind == "serving":
        return _serving(path)
    if kind == "throughput":
        return _throughput(path)
    return _memory(path)


def _serving(path: Path) -> Validation:
    from sizing.evidence.predict_serving import validate_serving

    out = io.StringIO()
    rows, made = validate_serving(path, out)
    labels = {
        "model": [row.model for row in rows],
        "machine": [row.system for row in rows],
        "engine": [row.engine or "?" for row in rows],
        "mode": [row.mode for row in rows],
    }
    names = [f"{row.row} {row.model} {row.system} {row.engine} {row.isl:g}/{row.osl:g}" for row in rows]
    panels = [
        Panel(
            title,
            Predictions.of(
                [getattr(row, f"{key}_s") or np.nan for row in rows],
                getattr(made, f"{key}_p50"),
                getattr(made, f"{key}_p10"),
                getattr(made, f"{key}_p90"),
            ),
            names,
            labels,
        )
        for key, title in (("tpot", "TPOT"), ("ttft", "TTFT"))
    ]
    answered = int(np.isfinite(np.asarray(made.tpot_p50)).sum())
    return Validation("serving", len(rows), answered, out.getvalue(), _measured(panels))


def _throughput(path: Path) -> Validation:
    from sizing.evidence.predict_throughput import write_predictions
    from sizing.evidence.rows_throughput import read_throughput_rows

    out = io.StringIO()
    rows = read_throughput_rows(path)
    made = write_predictions(rows, out)
    labels = {
        "source": [row.source for row in rows],
        "model": [row.model or "?" for row in rows],
        "machine": [row.accelerator or "?" for row in rows],
        "engine": [row.engine or "?" for row in rows],
        "kind": [row.kind for row in rows],
    }
    data = Predictions.of(
        # An offered rate is what the client was told, no measurement.
        [np.nan if row.value is None or row.metric == "offered_req_s" else row.value for row in rows],
        [np.nan if item.p50 is None else item.p50 for item in made],
        [np.nan if item.p10 is None else item.p10 for item in made],
        [np.nan if item.p90 is None else item.p90 for item in made],
    )
    panel = Panel("value (each row's own metric)", data, [item.id for item in made], labels)
    answered = sum(item.p50 is not None for item in made)
    return Validation("throughput", len(rows), answered, out.getvalue(), _measured([panel]))


def _memory(path: Path) -> Validation:
    from sizing.evidence.memory_rows import read_rows
    from sizing.evidence.validate_memory import FIGURES, validate_memory

    out = io.StringIO()
    rows = read_rows(path)
    made = validate_memory(path, out)
    labels = {
        "engine": [row.text("engine") for row in rows],
        "machine": [row.text("gpu") for row in rows],
        "model": [row.text("model") for row in rows],
    }
    panels = []
    for figure in FIGURES:
        measured = [row.number(figure) for row in rows]
        predicted = [item.figures.get(figure) for item in made]
        data = Predictions.of(
            [np.nan if value is None else value for value in measured],
            [np.nan if value is None else value for value in predicted],
        )
        panels.append(Panel(figure, data, [row.text("id") for row in rows], labels))
    answered = sum(bool(item.figures) for item in made)
    return Validation("memory", len(rows), answered, out.getvalue(), _measured(panels))


def _measured(panels: Sequence[Panel]) -> tuple[Panel, ...]:
    """The panels that have anything to compare with."""
    return tuple(panel for panel in panels if np.isfinite(panel.data.measured).any())
