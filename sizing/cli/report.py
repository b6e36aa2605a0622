"""``sizing report`` and ``sizing deploy``: what people hand over."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sizing.cli import options as opt
from sizing.cli.output import message

StudyFile = Annotated[Path, typer.Argument(help="A study.yaml.")]
Date = Annotated[str | None, typer.Option("--date", help="Date printed in the files (ISO); default: today.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("report")(report)
    app.command("deploy")(deploy)


def report(
    study: StudyFile,
    output: Annotated[Path, typer.Option("-o", "--output", help="File: .html, .pdf, .xlsx, .md or .json.")],
    language: Annotated[str, typer.Option("--language", help="en or zh.")] = "en",
    date: Date = None,
    calibration: opt.Calibration = None,
    catalog: opt.CatalogDir = None,
) -> None:
    """A report of the study's answer: HTML, PDF, XLSX with live formulas, Markdown or JSON."""
    from sizing.base.dates import as_of, parse_day
    from sizing.report import kind_of
    from sizing.report import report as write
    from sizing.report.text import language_of

    kind_of(output)
    language_of(language)
    with as_of(parse_day(date)):
        result, found = _answer(study, calibration, catalog)
        message(f"wrote {write(result, output, language=language, date=date, catalog=found)}")


def deploy(
    study: StudyFile,
    kind: Annotated[
        str, typer.Option("--kind", help="command, compose, kubernetes, lws, kserve, llm-d, dynamo, benchmark, all.")
    ] = "compose",
    output: Annotated[Path, typer.Option("-o", "--output", help="Directory for the files; made if absent.")] = Path(),
    number: Annotated[int, typer.Option("--plan", min=1, help="Which plan of the answer, best first.")] = 1,
    date: Date = None,
    calibration: opt.Calibration = None,
    catalog: opt.CatalogDir = None,
) -> None:
    """Launch files of a plan of the study's answer, and the benchmark that checks it."""
    from sizing.doors import deploy as write

    result, found = _answer(study, calibration, catalog)
    for name in write(result, output, kind=kind, plan=number, date=date, catalog=found):
        message(f"wrote {output / name}")


def _answer(study: Path, calibration: Path | None, catalog: Path | None) -> tuple[Any, Any]:
    """The Result of a study file, and the catalog it was answered with."""
    from sizing.hardware import load_catalog
    from sizing.planning.planner import plan
    from sizing.study import load_study

    found = load_catalog(catalog)
    return plan(load_study(study), found, **opt.calibrated(calibration)), found
