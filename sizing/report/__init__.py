"""Reports of one Result: HTML, PDF, XLSX, Markdown and JSON, in English and Chinese.

::

    from sizing.report import report

    report(result, "sizing.pdf")
    report(result, "sizing.xlsx", language="zh")
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

from sizing.base.errors import SizingError
from sizing.base.files import write_bytes

if TYPE_CHECKING:
    from sizing.hardware import Catalog
    from sizing.planning.result import Result
    from sizing.report.model import ReportModel

KINDS = ("html", "pdf", "xlsx", "md", "json")
SUFFIXES = {
    ".html": "html",
    ".htm": "html",
    ".pdf": "pdf",
    ".xlsx": "xlsx",
    ".md": "md",
    ".markdown": "md",
    ".json": "json",
}

__all__ = ["KINDS", "build", "kind_of", "render", "report", "report_bytes"]


def build(
    result: Result, language: str = "en", date: dt.date | str | None = None, catalog: Catalog | None = None
) -> ReportModel:
    """The neutral model of a report; ``render`` gives its forms."""
    from sizing.report.assemble import report_model

    return report_model(result, language=language, date=date, catalog=catalog)


def render(model: ReportModel, kind: str) -> bytes:
    """One form (of ``KINDS``) of a report. Raises SizingError where a package that it needs is missing."""
    if kind == "html":
        from sizing.report.html import html_text

        return html_text(model).encode()
    if kind == "pdf":
        from sizing.report.pdf import pdf_bytes

        return pdf_bytes(model)
    if kind == "xlsx":
        from sizing.report.xlsx import xlsx_bytes

        return xlsx_bytes(model)
    if kind == "md":
        from sizing.report.markdown import markdown_text

        return markdown_text(model).encode()
    if kind == "json":
        from sizing.report.json_form import json_text

        return json_text(model).encode()
    raise SizingError(f"unknown form {kind[:40]!r}", key="report", hint="one of " + ", ".join(KINDS))


def report_bytes(
    result: Result,
    kind: str,
    language: str = "en",
    *,
    date: dt.date | str | None = None,
    catalog: Catalog | None = None,
) -> bytes:
    """A report as bytes, for downloads. ``kind``: one of ``KINDS``; ``date``: of the report (today)."""
    return render(build(result, language, date, catalog), kind)


def report(
    result: Result,
    path: str | Path,
    *,
    language: str = "en",
    date: dt.date | str | None = None,
    catalog: Catalog | None = None,
) -> Path:
    """Write a report; the suffix says which form. The file is there whole or not at all, an old one replaced whole."""
    target = Path(path)
    kind = kind_of(target)
    write_bytes(target, report_bytes(result, kind, language, date=date, catalog=catalog))
    return target


def kind_of(path: Path) -> str:
    """The form that a file name asks for; raises SizingError for names that no report can have."""
    if "\0" in str(path) or any(ord(letter) < 32 for letter in path.name):
        raise SizingError("not a file name", key="-o")
    kind = SUFFIXES.get(path.suffix.lower())
    if kind is None:
        known = ", ".join(f".{name}" for name in KINDS)
        raise SizingError(f"{path.name[:80]!r} names no form of report", key="-o", hint=f"end it with {known}")
    if path.is_dir():
        raise SizingError(f"{path.name[:80]!r} is a directory", key="-o")
    if not path.parent.is_dir():
        raise SizingError(f"no such directory: {str(path.parent)[:200]}", key="-o")
    return kind
