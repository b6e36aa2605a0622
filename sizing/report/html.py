"""The HTML form: one file, everything inside, nothing fetched; also the print variant that the PDF is set from."""

from __future__ import annotations

import base64
import gzip
import io
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from sizing.base.errors import SizingError
from sizing.report.model import ReportModel
from sizing.report.svg import chart_svg
from sizing.report.text import show

FACES = (("Regular", 400), ("Bold", 700))


def missing_extra(what: str) -> SizingError:
    """The error for a package of the extra ``report`` that isn't installed."""
    return SizingError(f"this form needs {what}", key="report", hint="pip install 'llm-sizing[report]'")


@lru_cache(maxsize=1)
def _environment() -> Any:
    try:
        import jinja2
    except ImportError:
        raise missing_extra("jinja2") from None
    return jinja2.Environment(
        loader=jinja2.PackageLoader("sizing.report", "templates"),
        autoescape=jinja2.select_autoescape(default=True, default_for_string=True),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _asset(name: str) -> str:
    return (resources.files("sizing.report") / "templates" / name).read_text(encoding="utf-8")


def html_text(report: ReportModel, *, pdf: bool = False) -> str:
    """The report as HTML. ``pdf``: the variant for WeasyPrint, without script and without its ``print_style``."""
    environment = _environment()
    import markupsafe

    style = "" if pdf else _asset("style.css")
    if has_chinese(report) and not pdf:
        style = faces(report) + style
    return str(
        environment.get_template("report.html.j2").render(
            report=report,
            pdf=pdf,
            show=show,
            svg=lambda chart: markupsafe.Markup(chart_svg(chart)),
            style=markupsafe.Markup(style),
            script=markupsafe.Markup(_asset("script.js")),
        )
    )


def print_style(report: ReportModel) -> str:
    """The style sheet of the PDF: fonts, the look of the HTML, page boxes."""
    return faces(report) + _asset("style.css") + _page_style(report)


def _page_style(report: ReportModel) -> str:
    labels = report.labels
    values = {
        "status_css": report.status,
        "meta_css": f"{report.tool} · {report.date} · {report.study_key}",
        "page_css": labels["page"],
        "of_css": labels["of"],
        "after_css": " 页" if report.language == "zh" else "",
    }
    style = _asset("print.css")
    for name, value in values.items():
        style = style.replace("{{ report." + name + " }}", css_string(value))
    return style


def css_string(text: str) -> str:
    """Text that is safe between the double quotes of a CSS string inside ``<style>``."""
    return "".join(letter if letter.isalnum() or letter in " .,:;·-–()" else f"\\{ord(letter):x} " for letter in text)


def has_chinese(report: ReportModel) -> bool:
    """Whether any text of the report has CJK characters."""
    return report.language == "zh" or any("\u2e80" <= letter <= "\uffef" for letter in report.model_dump_json())


def font_files(report: ReportModel) -> list[tuple[int, Path]]:
    """Weight and file of the fonts that the report needs."""
    kind = "sc" if has_chinese(report) else "latin"
    folder = Path(str(resources.files("sizing.report") / "fonts"))
    return [(weight, folder / f"NotoSansSC-{kind}-{face}.ttf.gz") for face, weight in FACES]


def faces(report: ReportModel) -> str:
    """``@font-face`` rules with the characters that the report uses, inside the file: it reads on a bare machine."""
    letters = "".join(sorted(set(report.model_dump_json()) | {*map(chr, range(0x20, 0x7F)), *"•◦▪·–"}))
    rules = []
    for weight, path in font_files(report):
        data = base64.b64encode(_subset(str(path), letters)).decode("ascii")
        rules.append(
            f'@font-face {{ font-family: "Sizing Sans"; font-weight: {weight}; '
            f'src: url("data:font/ttf;base64,{data}") format("truetype"); }}\n'
        )
    return "".join(rules)


@lru_cache(maxsize=8)
def _subset(path: str, letters: str) -> bytes:
    """The font with these characters only; whole where fontTools (it comes with the extra) is missing."""
    whole = gzip.decompress(Path(path).read_bytes())
    try:
        from fontTools import subset  # type: ignore[import-untyped]
        from fontTools.ttLib import TTFont  # type: ignore[import-untyped]
    except ImportError:
        return whole
    options = subset.Options(hinting=False, notdef_outline=True, layout_features=["kern", "locl"])
    font = TTFont(io.BytesIO(whole), recalcTimestamp=False, lazy=True)
    tool = subset.Subsetter(options)
    tool.populate(text=letters)
    tool.subset(font)
    kept = io.BytesIO()
    font.save(kept)
    return kept.getvalue()
