"""The PDF form: WeasyPrint sets the HTML's print variant. No browser; the same bytes for the same report."""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sizing.errors import SizingError
from sizing.report.html import html_text, missing_extra
from sizing.report.model import ReportModel


def _weasyprint() -> Any:
    try:
        import weasyprint
    except ImportError:
        raise missing_extra("weasyprint") from None
    except OSError as error:  # the Python package is there, Pango is not
        library = str(error).split(":", 1)[0][:120]
        raise SizingError(
            f"a PDF needs the system library Pango ({library})",
            key="report",
            hint="install Pango (Debian: apt install libpango-1.0-0 libpangoft2-1.0-0), or write .html and print that",
        ) from None
    return weasyprint


@contextmanager
def _source_date(report: ReportModel) -> Iterator[None]:
    """The report's own date as the PDF's, where the environment sets none."""
    old = os.environ.get("SOURCE_DATE_EPOCH")
    day = dt.datetime.combine(dt.date.fromisoformat(report.date), dt.time(), tzinfo=dt.UTC)
    os.environ.setdefault("SOURCE_DATE_EPOCH", str(int(day.timestamp())))
    try:
        yield
    finally:
        if old is None:
            os.environ.pop("SOURCE_DATE_EPOCH", None)


def _only_inside(weasyprint: Any) -> Any:
    """A fetcher of ``data:`` URLs alone: nothing that a text of the report could name is read or fetched."""
    fetcher = getattr(weasyprint.urls, "URLFetcher", None)
    if fetcher is not None:
        return fetcher(allowed_protocols={"data"})

    def fetch(url: str, *args: Any, **kwargs: Any) -> Any:  # before WeasyPrint 67
        if not url.startswith("data:"):
            raise ValueError("only data: URLs are read")
        return weasyprint.default_url_fetcher(url, *args, **kwargs)

    return fetch


def pdf_bytes(report: ReportModel) -> bytes:
    """The report as PDF. Raises SizingError, with what to install, where WeasyPrint or Pango is missing."""
    weasyprint = _weasyprint()
    for name in ("weasyprint", "fontTools", "fontTools.subset", "fontTools.ttLib"):
        logging.getLogger(name).setLevel(logging.ERROR)
    text = html_text(report, pdf=True)
    identifier = hashlib.sha256(text.encode()).digest()[:16]
    with _source_date(report):
        made = weasyprint.HTML(string=text, url_fetcher=_only_inside(weasyprint)).write_pdf(pdf_identifier=identifier)
    assert isinstance(made, bytes)
    return made
