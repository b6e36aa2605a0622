"""The benchmarks' own parts: what they count, what the page says, and that the commands which they time exist."""

from __future__ import annotations

import csv
import shlex
import sys
from pathlib import Path

import pytest
import typer.main

from benchmarks import run
from sizing.cli import app

ROOT = Path(__file__).resolve().parents[1]


def test_every_command_is_timed_or_needs_no_time() -> None:
    timed = {shlex.split(command)[0] for command in run.COMMANDS} - {"--help"}
    known = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    assert timed <= known
    assert known - timed == {"calibrate", "replay", "app", "prices"}, (
        "two need files of one's own, one never ends, one reads what hardware reads"
    )


def test_the_commands_of_before_are_those_of_now() -> None:
    with run.BEFORE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["command"] for row in rows] == list(run.COMMANDS)
    assert all(0 < float(row["seconds"]) < 60 and row["commit"] for row in rows)


def test_a_command_is_timed_and_one_that_fails_stops_it(tmp_path: Path) -> None:
    seconds = run.cold("kv qwen3-8b", str(tmp_path), None, runs=1)
    assert seconds is not None and seconds > 0
    assert run.cold("validate {rows}/x.csv", str(tmp_path), None) is None
    with pytest.raises(SystemExit, match="sizing kv nonsense"):
        run.cold("kv nonsense", str(tmp_path), None, runs=1)


def test_the_page_has_every_part_and_each_script_exists() -> None:
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    for name, (title, note, _) in run.PARTS.items():
        assert f"\n## {title}\n\n{note}\n" in page, "run: make benchmarks"
        assert name in ("core", "commands") or (ROOT / "benchmarks" / f"{name}.py").is_file()


def test_part_of_the_page_is_not_written(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for argv, said in (("--write --only core", "--write needs all parts"), ("--only cor", "unknown part 'cor'")):
        monkeypatch.setattr(sys, "argv", ["run.py", *argv.split()])
        with pytest.raises(SystemExit) as ended:
            run.main()
        assert ended.value.code == 2 and said in capsys.readouterr().err
