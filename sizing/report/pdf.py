"""The PDF form: WeasyPrint sets the HTML's print variant. No browser; the same bytes for the same report."""

from __future__ import annotations

import datetime as dt
import gc
import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sizing.base.errors import SizingError
from sizing.report.html import html_text, missing_extra, print_style
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


@contextmanager
def _no_collection() -> Iterator[None]:
    """No garbage is collected inside: WeasyPrint's tree of boxes all lives to the end, and looking for garbage in it again
    and again takes a fifth of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


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
    text, style = html_text(report, pdf=True), print_style(report)
    identifier = hashlib.sha256((text + style).encode()).digest()[:16]
    with _source_date(report), _no_collection():
        fonts = weasyprint.text.fonts.FontConfiguration()
        fetch = _only_inside(weasyprint)
        # Apart from the page: the parser of HTML goes through fonts of a style element letter by letter.
        sheet = weasyprint.CSS(string=style, url_fetcher=fetch, font_config=fonts)
        made = weasyprint.HTML(string=text, url_fetcher=fetch).write_pdf(
            stylesheets=[sheet], font_config=fonts, pdf_identifier=identifier
        )
    assert isinstance(made, bytes)
    return made
