"""Commands about evidence: validate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sizing.cli import options as opt
from sizing.cli.output import line, message, print_json
from sizing.errors import SizingError
from sizing.files import write_text


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("validate")(validate)


def validate(
    rows: Annotated[Path, typer.Argument(help="CSV of measured rows, may be gzipped.")],
    throughput: Annotated[bool, typer.Option("--throughput", help="Rows of throughput tables.")] = False,
    memory: Annotated[bool, typer.Option("--memory", help="Rows of engines' start-up logs.")] = False,
    predictions: Annotated[Path | None, typer.Option("--predictions", help="Write one line a row to this CSV.")] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Draw predicted against measured.")] = None,
    as_json: opt.Json = False,
) -> None:
    """Compare predictions with measured rows: the error table, or one prediction a row."""
    if throughput and memory:
        raise SizingError("give one of --throughput and --memory", key="--memory")
    from sizing.evidence import validation

    kind = "throughput" if throughput else "memory" if memory else "serving"
    found = validation.run(kind, rows)
    page = found.html() if html is not None else ""
    if predictions is not None:
        write_text(predictions, found.csv())
        message(f"wrote {predictions}: {found.answered} of {found.total} rows predicted")
    if html is not None:
        write_text(html, page)
        message(f"wrote {html}")
    if as_json:
        print_json(found.to_dict())
    elif predictions is None:
        line(found.text())
