"""A few seconds of the fuzzers, the same inputs each time; ``make fuzz`` runs them for half an hour with other ones.

A failure names target and seed: ``pytest tests/fuzz -k TARGET`` repeats it.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sizing.base.errors import SizingError
from tests.fuzz import commands, guard
from tests.fuzz.documents import html_trouble, markdown_trouble, xlsx_trouble
from tests.fuzz.guard import NEVER_NEGATIVE, Finding, finite_trouble, watched
from tests.fuzz.targets import TARGETS

# How many inputs a target gets, so that all take some 15 s: most take a millisecond, a report takes half a second.
INPUTS = {
    "page": 2,
    "report": 2,
    "deploy": 2,
    "plan": 6,
    "hardware": 10,
    "rows": 3,
    "calibrate": 8,
    "command": 40,
    "served": 25,
    "gguf": 20,
}


@pytest.fixture(autouse=True)
def no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow or busy machine is no finding here; ``make fuzz`` measures time."""
    monkeypatch.setattr(guard, "SECONDS", 1e6)
    monkeypatch.setattr(guard, "WALL_SECONDS", 1e6)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inner = tmp_path / "a" / "b" / "c"
    inner.mkdir(parents=True)
    return inner


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_breaks_it(name: str, folder: Path) -> None:
    target = TARGETS[name]
    if name == "gguf":
        pytest.importorskip("gguf")
    if name in ("report", "deploy"):
        pytest.importorskip("jinja2")
    if name in ("share", "page"):
        pytest.importorskip("streamlit")
    corpus = target.seeds()

    @settings(max_examples=INPUTS.get(name, 40), deadline=None, derandomize=True, database=None,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(seed=st.integers(0, 2**31))
    def once(seed: int) -> None:
        rng = random.Random(seed)
        data = target.mutate(rng, rng.choice(corpus))
        found, _ = watched(name, lambda: target.run(data, folder), folder.parents[2], alarm=False)
        assert not found, f"seed {seed}: {found} in {data[:2000]!r}"

    once()


@pytest.mark.parametrize(
    "name", sorted(set(TARGETS) - {"page", "report", "deploy", "plan", "command", "config", "served", "gguf", "rows"})
)
def test_unchanged_seeds_are_right(name: str, folder: Path) -> None:
    """Else mutation starts from what is refused at once, and reaches nothing."""
    target = TARGETS[name]
    if name == "share":
        pytest.importorskip("streamlit")
    for data in target.seeds()[:3]:
        found, end = watched(name, lambda data=data: target.run(data, folder), folder.parents[2], alarm=False)
        assert (found, end) == ([], "ok"), data[:500]


def test_every_option_of_every_command_is_tried() -> None:
    rng = random.Random(1)
    tried = " ".join(" ".join(json.loads(commands.change(rng, data))) for data in commands.seeds() * 60)
    known = commands.commands()
    assert {("hardware", "check"), ("estimate",), ("calibrate",), ("report",)} <= set(known)
    for path, options in known.items():
        for flag, _, _ in options:
            assert flag in tried, (path, flag)


# ---- the guard itself must see what it is there for


def see(tmp_path: Path, run: object) -> list[Finding]:
    assert callable(run)
    return watched("x", run, tmp_path, alarm=False)[0]


def test_the_guard_sees_errors_that_are_none_for_people(tmp_path: Path) -> None:
    def boom() -> list[str]:
        raise ZeroDivisionError

    def fine() -> list[str]:
        raise SizingError("must be above 0", key="--rate")

    def long() -> list[str]:
        error = SizingError("x")
        error.args = ("two\nlines",)
        raise error

    assert [item.kind for item in see(tmp_path, boom)] == ["raises ZeroDivisionError"]
    assert see(tmp_path, fine) == []
    assert [item.kind for item in see(tmp_path, long)] == ["message"]
    assert [item.kind for item in see(tmp_path, lambda: ["total: is NaN"])] == ["result"]


def test_the_guard_sees_writes_outside_processes_and_connections(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()

    def write() -> list[str]:
        (inside / "x").write_text("fine")
        outside.write_text("not fine")
        return []

    def start() -> list[str]:
        subprocess.run([sys.executable, "--version"], check=False)
        return []

    def connect() -> list[str]:
        import socket

        socket.create_connection(("127.0.0.1", 9), timeout=1)
        return []

    assert "writes outside" in [item.kind for item in see(inside, write)]
    assert not outside.exists()
    assert "starts or connects" in [item.kind for item in see(inside, start)]
    assert "starts or connects" in [item.kind for item in see(inside, connect)]


def test_the_guard_sees_slowness_hangs_and_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "SECONDS", 0.02)
    monkeypatch.setattr(guard, "WALL_SECONDS", 0.2)
    monkeypatch.setattr(guard, "MEGABYTES", 50)

    def slow() -> list[str]:
        until = time.process_time() + 0.05
        while time.process_time() < until:
            pass
        return []

    def large() -> list[str]:
        bytearray(int(guard.peak_megabytes() + 200) * 2**20)
        return []

    def waits() -> list[str]:
        time.sleep(60)
        return []

    assert "slow" in [item.kind for item in see(tmp_path, slow)]
    assert "memory" in [item.kind for item in see(tmp_path, large)]
    assert "hang" in [item.kind for item in watched("x", waits, tmp_path)[0]]


def test_numbers_that_are_none() -> None:
    document = {"a": float("nan"), "b": [float("inf")], "c": {"d": -1}, "e": 5, "f": None, "g": "-1"}
    assert len(finite_trouble(document, NEVER_NEGATIVE)) == 3


def test_what_a_page_or_a_sheet_must_not_have() -> None:
    for bad in ("<img src=x>", "[x](javascript:y)", "![a](http://x/y)"):
        assert markdown_trouble(bad)
    assert not markdown_trouble(r"\<img src=x\> \[x\]\(y\) [x](https://a.b)")
    assert (
        html_trouble("<p onclick='x()'>a</p>")
        and html_trouble("<img src=x>")
        and html_trouble("<a href='javascript:x'>a</a>")
    )
    assert html_trouble("<script>1</script><script>2</script>") and not html_trouble("<p title='a'>&lt;script&gt;</p>")
    xlsxwriter = pytest.importorskip("xlsxwriter")
    import io

    made = io.BytesIO()
    book = xlsxwriter.Workbook(made, {"in_memory": True})
    sheet = book.add_worksheet()
    sheet.write_string(0, 0, "=1+1")
    sheet.write_formula(1, 0, '=HYPERLINK("x")')
    book.close()
    assert len(xlsx_trouble(made.getvalue())) == 2
