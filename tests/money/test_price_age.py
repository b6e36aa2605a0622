"""A price older than 90 days says so wherever it shows; one function decides, from a day that can be frozen."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import sizing
from sizing.base.dates import as_of, parse_day, today
from sizing.base.errors import SizingError
from sizing.cli import main
from sizing.hardware import load_catalog
from sizing.money.quotes import dated, is_stale, rental_price
from sizing.planning.breakeven import break_even

DAY = dt.date(2026, 11, 24)
LATER = dt.date(2028, 1, 1)
FLAG = "older than 90 days"


@pytest.fixture(autouse=True)
def frozen() -> Iterator[None]:
    with as_of(DAY):
        yield


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A quote of exactly 90 days (l40s) and one of 91 (a30)."""
    path = tmp_path / "own.yaml"
    quote = (
        "  - {{item: x, accelerator: {}, provider: p, term: on-demand, price_per_hour: 2, date: '{}', source: test}}\n"
    )
    path.write_text("rental_quotes:\n" + quote.format("l40s", "2026-08-26") + quote.format("a30", "2026-08-25"))
    return path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def call(*argv: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(list(argv))
        out, err = capsys.readouterr()
        assert ended.value.code == 0, err
        return out

    return call


def test_ninety_days_are_fresh_ninety_one_are_not(own: Path) -> None:
    catalog = load_catalog(own)
    fresh, old = rental_price("l40s", catalog=catalog), rental_price("a30", catalog=catalog)
    assert not is_stale(fresh) and dated(fresh) == "2026-08-26"
    assert is_stale(old) and dated(old) == f"2026-08-25, {FLAG}"
    with as_of(DAY + dt.timedelta(days=1)):
        assert is_stale(fresh)
    undated = next(quote for quote in catalog.purchase_quotes if quote.date is None)
    assert is_stale(undated) and FLAG in dated(undated)


def test_the_day(monkeypatch: pytest.MonkeyPatch) -> None:
    assert today() == DAY and parse_day(None) == DAY
    with as_of(LATER):
        assert today() == LATER
        with as_of(None):
            assert today() == LATER
    with pytest.raises(SizingError, match="is not a date"):
        parse_day("yesterday")
    monkeypatch.setattr("sizing.base.dates._FROZEN", type("Never", (), {"get": staticmethod(lambda: None)}))
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert today() == dt.date(1970, 1, 2)


ESTIMATE = ("estimate", "Qwen/Qwen3-8B", "--input", "500", "--output", "100")
PLAN = ("plan", "Qwen/Qwen3-8B", "--input", "500", "--output", "100", "--rate", "1")


@pytest.mark.parametrize(("accelerator", "old"), [("l40s", False), ("a30", True)])
def test_the_command_line_says_it(run: Callable[..., str], own: Path, accelerator: str, old: bool) -> None:
    on = ("--on", accelerator, "--catalog", str(own))
    lines = [line for line in run(*ESTIMATE, *on).splitlines() if "per accelerator-hour" in line]
    assert lines and all((FLAG in line) == old for line in lines)
    price = json.loads(run(*ESTIMATE, *on, "--json"))["price"]
    assert price["stale"] is old and price["usd_per_accelerator_hour"] == 2
    shown = run(*PLAN, *on)
    assert (f"Old prices: {accelerator} (quotes to 2026-08-25, {FLAG})" in shown) == old
    assert f"2024-01-26, {FLAG}" in shown, "API list prices have dates too"
    found = json.loads(run(*PLAN, *on, "--json"))
    assert found["plans"][0]["price"]["stale"] is old
    assert {row["api"]: row["stale"] for row in found["break_even"]}["GPT-4 Turbo"] is True
    shown = run("compare", "Qwen/Qwen3-8B", *on)
    row = next(line for line in shown.splitlines() if line.startswith("price of an hour"))
    assert "$2.00" in row and (FLAG in shown.replace("\n", " ")) == old
    assert json.loads(run("compare", "Qwen/Qwen3-8B", *on, "--json"))["rows"][0]["price"]["stale"] is old
    claim = run("claim", "$1 per million output tokens, Qwen3-8B", *on)
    assert (f"price of one accelerator for one hour (quotes to 2026-08-25, {FLAG})" in " ".join(claim.split())) == old
    assert f"stale: {str(old).lower()}" in run("hardware", "show", accelerator, "--catalog", str(own))


def test_a_price_that_you_give_has_no_age(run: Callable[..., str], own: Path) -> None:
    found = json.loads(run(*PLAN, "--on", "a30", "--catalog", str(own), "--price", "a30=3", "--json"))
    assert found["plans"][0]["price"] is None
    assert "Old prices" not in run(*PLAN, "--on", "a30", "--catalog", str(own), "--price", "a30=3")


def test_a_list_price_in_a_claim(run: Callable[..., str]) -> None:
    shown = " ".join(run("claim", "$0.07 per million input tokens, 97.3% below GPT-4 Turbo").split())
    assert f"2024-01-26, {FLAG}" in shown


def study(accelerator: str, mode: str = "rent") -> sizing.Study:
    found = sizing.quick_study("Qwen/Qwen3-8B", input_tokens=500, output_tokens=100, rate=1.0, on=[accelerator])
    return found.model_copy(update={"money": found.money.model_copy(update={"mode": mode})})


def test_owned_hardware_rests_on_the_purchase_price(own: Path) -> None:
    best = sizing.plan(study("h100-sxm", "own")).best
    assert best is not None and best.price is not None and best.price.unit == "accelerator-hour"
    assert best.to_dict()["price"]["usd_per_accelerator"] == best.price.purchase_usd == 30_000
    assert any("to buy one" in text and (FLAG in text) == is_stale(best.price) for text in best.assumptions)


def test_the_power_that_owning_pays_for_is_the_study_s() -> None:
    half = study("h100-sxm", "own")
    own = half.money.own.model_copy(update={"average_power_fraction": 0.4})
    half = half.model_copy(update={"money": half.money.model_copy(update={"own": own})})
    full, low = sizing.plan(study("h100-sxm", "own")).best, sizing.plan(half).best
    assert full is not None and low is not None
    assert full.energy_wh_per_million_tokens is not None and low.energy_wh_per_million_tokens is not None
    assert low.energy_wh_per_million_tokens == pytest.approx(full.energy_wh_per_million_tokens / 2)
    assert (low.usd_per_hour or 0) < (full.usd_per_hour or 0)


@pytest.mark.parametrize("kind", ["html", "md", "json", "xlsx", "pdf"])
def test_reports_say_it_in_every_form(own: Path, kind: str, tmp_path: Path) -> None:
    for package in {"html": ["jinja2"], "pdf": ["weasyprint"], "xlsx": ["xlsxwriter", "openpyxl"]}.get(kind, []):
        pytest.importorskip(package)
    if kind == "pdf" and shutil.which("pdftotext") is None:
        pytest.skip("needs pdftotext")
    from sizing.report import report

    catalog = load_catalog(own)
    for accelerator, old in (("l40s", False), ("a30", True)):
        path = tmp_path / f"{accelerator}.{kind}"
        report(sizing.plan(study(accelerator), catalog), path, date=DAY, catalog=catalog)
        text = text_of(path)
        assert ("Prices that rest on quotes older than 90 days" in text) == old, "summary, costs, plans"
        if old:
            assert text.count("Prices that rest on quotes older than 90 days") >= 3
        if kind == "xlsx":
            assert (f"(2026-08-25, {FLAG})" in text) == old, "the input that can be changed"


def text_of(path: Path) -> str:
    if path.suffix == ".xlsx":
        import openpyxl

        book = openpyxl.load_workbook(path)
        return "\n".join(
            str(cell) for sheet in book for row in sheet.iter_rows(values_only=True) for cell in row if cell
        )
    if path.suffix == ".pdf":
        done = subprocess.run(["pdftotext", "-layout", path, "-"], capture_output=True, text=True, check=True)
        return " ".join(done.stdout.split())
    return path.read_text(encoding="utf-8")


def test_a_report_counts_ages_to_its_own_date(tmp_path: Path) -> None:
    best = sizing.plan(study("h100-sxm"))
    from sizing.report import build

    assert "older than 90 days" not in build(best, date=DAY).sections[0].model_dump_json()
    assert "older than 90 days" in build(best, date=LATER).sections[0].model_dump_json()
    assert best.best is not None
    with as_of(LATER):
        assert all(item.stale for item in break_even(best.best, best.study))
