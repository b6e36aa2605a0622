"""The five forms: whole, repeatable, safe, right."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import time
import zipfile
from pathlib import Path

import pytest

from sizing.base.errors import SizingError
from sizing.report import build, render, report, report_bytes
from sizing.report.xlsx import guarded
from tests.report.conftest import DATE, with_text

openpyxl = pytest.importorskip("openpyxl")
CHROMIUM = next(
    (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome") if shutil.which(name)), None
)
SOFFICE = shutil.which("soffice")
EVIL = '</style><script>alert(1)</script><img src=x onerror=alert(2)>"&{{7*7}}'


@pytest.mark.parametrize("kind", ["html", "md", "json", "xlsx", "pdf"])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_same_bytes_twice_and_small(result, kind, language):
    if kind == "pdf":
        pytest.importorskip("weasyprint")
    first = report_bytes(result, kind, language, date=DATE)
    time.sleep(1.1 if kind in ("pdf", "xlsx") else 0)
    assert report_bytes(result, kind, language, date=DATE) == first
    assert 10_000 < len(first) < 5_000_000


def test_html_is_self_contained(model):
    text = render(model, "html").decode()
    assert text.count("<svg") == 4
    assert not re.search(r'(?:src|href)="(?!#|data:)', text)
    assert "<link" not in text and "@import" not in text
    for section in model.sections:
        assert f'id="{section.id}"' in text


def test_html_escapes_user_text(result):
    text = report_bytes(with_text(result, EVIL), "html", date=DATE).decode()
    assert "<script>alert" not in text and "<img" not in text and "{{7*7}}" in text
    assert text.count("<script>") == 1


def test_markdown_escapes_user_text(result):
    text = report_bytes(with_text(result, "a|b <script>x</script> [l](http://e) `c`"), "md", date=DATE).decode()
    body = text.split("```", 1)[0]
    assert "<script" not in body.replace("\\<", "") and "a\\|b" in body and not re.search(r"(?<!\\)\]\(http", body)


@pytest.mark.parametrize("text", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", " =1", '=HYPERLINK("x")'])
def test_user_text_is_never_a_formula(result, text):
    book = openpyxl.load_workbook(io.BytesIO(report_bytes(with_text(result, text), "xlsx", date=DATE)))
    cost = {"Inputs", "Cost"}
    for sheet in book.worksheets:
        for row in sheet.iter_rows():
            for cell in row:
                assert cell.data_type != "f" or sheet.title in cost, cell.value
                if isinstance(cell.value, str) and cell.data_type != "f":
                    assert not cell.value.lstrip().startswith(("=", "+", "@")), cell.value
    assert guarded(text).startswith("'")


def test_workbook(model):
    book = openpyxl.load_workbook(io.BytesIO(render(model, "xlsx")))
    assert {"Summary", "Inputs", "Cost", "Speed"} <= set(book.sheetnames)
    assert "s_price_per_accelerator_hour" in book.defined_names
    with zipfile.ZipFile(io.BytesIO(render(model, "xlsx"))) as parts:
        assert sum(name.startswith("xl/charts/chart") for name in parts.namelist()) == 4
    kept = openpyxl.load_workbook(io.BytesIO(render(model, "xlsx")), data_only=True)["Cost"]
    assert all(row[4].value == "OK" for row in kept.iter_rows(min_row=2))
    for row in kept.iter_rows(min_row=2):
        assert row[1].value == pytest.approx(row[3].value)


def recalculated(data, folder, changes):
    """The workbook with inputs changed, recalculated by LibreOffice: line -> (value, check)."""
    book = openpyxl.load_workbook(io.BytesIO(data))
    inputs = book["Inputs"]
    for row in inputs.iter_rows(min_row=4):
        if row[3].value in changes:
            row[1].value = changes[row[3].value]
    source = folder / "in.xlsx"
    book.save(source)  # openpyxl keeps no cached values: what LibreOffice writes is computed
    home = f"-env:UserInstallation=file://{folder}/profile"
    command = [
        SOFFICE,
        home,
        "--headless",
        "--convert-to",
        "xlsx:Calc MS Excel 2007 XML",
        "--outdir",
        str(folder / "out"),
        str(source),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=900)
    sheet = openpyxl.load_workbook(folder / "out" / "in.xlsx", data_only=True)["Cost"]
    return {row[0].value: (row[1].value, row[4].value) for row in sheet.iter_rows(min_row=2)}


@pytest.mark.slow
@pytest.mark.skipif(SOFFICE is None, reason="LibreOffice (soffice) is not installed: formulas were not recalculated")
def test_costs_follow_the_inputs_in_libreoffice(model, result, tmp_path):
    data = render(model, "xlsx")
    same = recalculated(data, tmp_path, {})
    assert all(check == "OK" for _, check in same.values()), same
    for line in model.cost_sheet.formulas:
        assert same[line.label][0] == pytest.approx(line.value, rel=1e-9), line.name
    price = result.best.usd_per_accelerator_hour * 2
    dear = recalculated(data, tmp_path, {"price_per_accelerator_hour": price, "utilisation": 0.5})
    assert dear["Cost per hour"] == (pytest.approx(2 * result.best.usd_per_hour), "DIFFERS")
    output = result.best.cost["usd_per_million_output_tokens"].p50
    assert dear["Million output tokens"][0] == pytest.approx(4 * output)
    rate = next(item.value for item in model.cost_sheet.inputs if item.name == "peak_requests_per_s")
    busy = recalculated(data, tmp_path, {"peak_requests_per_s": rate * 10})
    assert busy["Accelerators"][0] > result.best.accelerators


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: the HTML was not opened")
@pytest.mark.parametrize("language", ["en", "zh"])
def test_html_opens_in_chromium_without_network(result, tmp_path, language):
    page = report(result, tmp_path / "r.html", language=language, date=DATE)
    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND",
               f"--user-data-dir={tmp_path}/profile", "--enable-logging=stderr", "--v=0", "--virtual-time-budget=3000",
               "--dump-dom", page.as_uri()]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.stdout.count("<svg") == 4
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert not console, console


def test_pdf_has_pages_fonts_and_text(model_zh, model, tmp_path):
    pytest.importorskip("weasyprint")
    if shutil.which("pdftotext") is None:
        pytest.skip("poppler is not installed: the PDF was not read")
    for made, words in (
        (model, ("Summary", "Page 1 of", "Sources and their dates")),
        (model_zh, ("摘要", "页，共", "来源与日期")),
    ):
        path = tmp_path / "r.pdf"
        path.write_bytes(render(made, "pdf"))
        text = subprocess.run(["pdftotext", "-layout", str(path), "-"], capture_output=True, text=True).stdout
        for word in words:
            assert word in text
        fonts = subprocess.run(["pdffonts", str(path)], capture_output=True, text=True).stdout.splitlines()[2:]
        assert fonts and all("Sizing-Sans" in line and " yes " in line for line in fonts), fonts


def test_written_whole_or_not_at_all(result, tmp_path, monkeypatch):
    path = tmp_path / "r.md"
    path.write_text("old")
    monkeypatch.setattr(Path, "replace", lambda *a: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(SizingError, match="can't be written: full"):
        report(result, path, date=DATE)
    assert path.read_text() == "old" and [item.name for item in tmp_path.iterdir()] == ["r.md"]
    monkeypatch.undo()
    assert report(result, path, date=DATE).read_text(encoding="utf-8").startswith("# ")


@pytest.mark.parametrize("name", ["r.docx", "r", "no/such/r.md", "a\0.md", "a\nb.md"])
def test_bad_file_names(result, tmp_path, name):
    with pytest.raises(SizingError):
        report(result, Path(f"{tmp_path}/{name}"), date=DATE)


def test_missing_packages_are_named(model, monkeypatch):
    import builtins

    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "xlsxwriter":
            raise ImportError(name)
        if name == "weasyprint":
            raise OSError("cannot load library 'libpango-1.0-0': not found")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(SizingError, match=r"llm-sizing\[report\]"):
        render(model, "xlsx")
    with pytest.raises(SizingError, match=r"Pango.*\.html"):
        render(model, "pdf")


def test_unknown_kind(model):
    with pytest.raises(SizingError, match="unknown form"):
        render(model, "docx")


def test_build_is_one_model_for_all(result):
    assert build(result, "en", DATE) == build(result, "en", DATE)
