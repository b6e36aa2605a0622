"""Every command of docs/tutorial.md runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from sizing.cli import main

TUTORIAL = Path(__file__).resolve().parents[1] / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```console( pdf)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands():
    found = []
    for needs, text in BLOCK.findall(TUTORIAL.read_text(encoding="utf-8")):
        found += [(line[2:], needs.strip()) for line in text.splitlines() if line.startswith("$ ")]
    return found


def test_every_command_runs(tmp_path, monkeypatch, capsys):
    pytest.importorskip("jinja2")
    pytest.importorskip("xlsxwriter")
    monkeypatch.chdir(tmp_path)
    assert len(commands()) >= 8
    for command, needs in commands():
        if needs == "pdf":
            pytest.importorskip("weasyprint")
        program, *argv = shlex.split(command)
        assert program == "sizing"
        with pytest.raises(SystemExit) as stop:
            main(argv)
        output = capsys.readouterr()
        assert stop.value.code == 0, f"{command}: {output.err}"
    for name in ("study.yaml", "sizing.html", "sizing.xlsx", "sizing.pdf", "sizing-zh.html", "launch/compose.yaml"):
        assert (tmp_path / name).exists() or list((tmp_path / "launch").glob("compose*.yaml")), name
    assert (tmp_path / "launch" / "expected.yaml").exists()
