"""What the documentation shows is run: code blocks of the API page, steps of the how-to, the links of the README."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from sizing.cli import main

ROOT = Path(__file__).resolve().parents[1]


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(encoding="utf-8"), flags=re.S)


@pytest.mark.parametrize("page", ["README.md", "docs/python-api.md"])
def test_python_on_the_page_runs(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = blocks(ROOT / page, "python")
    assert found
    for code in found:
        exec(compile(code, page, "exec"), {})
    assert "Interval" in capsys.readouterr().out


def test_the_how_to_adds_an_accelerator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = ROOT / "docs" / "how-to" / "add-an-accelerator.md"
    monkeypatch.chdir(tmp_path)
    Path("x1.yaml").write_text(blocks(page, "yaml")[0], encoding="utf-8")
    commands = [line[2:] for line in blocks(page, "console")[0].splitlines() if line.startswith("$ ")]
    assert len(commands) == 3
    for command in commands:
        with pytest.raises(SystemExit) as ended:
            main(shlex.split(command)[1:])
        assert ended.value.code == 0, capsys.readouterr().err
    assert "example-x1" in capsys.readouterr().out


def test_links_of_the_readme_lead_somewhere() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert (ROOT / target).exists(), target
