"""The documentation site: its navigation is whole, the generated pages say what the code says, it builds strictly."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

import sizing
from sizing.cli import app
from sizing.hardware import load_catalog
from sizing.study import Study
from tools.docs_pages import GENERATED

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"


def entries(part: Any) -> Iterator[str]:
    """The pages of a navigation, in order."""
    for item in part:
        if isinstance(item, str):
            yield item
        else:
            for inside in item.values():
                yield from [inside] if isinstance(inside, str) else entries(inside)


@pytest.fixture(scope="module")
def nav() -> list[str]:
    return list(entries(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]))


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return {name: make() for name, make in GENERATED.items()}


def test_every_page_is_in_the_navigation_once_and_nothing_else(nav: list[str]) -> None:
    written = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert not written & set(GENERATED), "a generated page is made when the site is built, and is in no commit"
    assert set(nav) == written | set(GENERATED)
    assert len(nav) == len(set(nav))


def test_every_command_and_option_is_on_the_page(pages: dict[str, str]) -> None:
    text = pages["reference/cli.md"]
    group = typer.main.get_command(app)
    seen = 0
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        assert f"## `sizing {name}`" in text
        section = text.split(f"## `sizing {name}`", 1)[1]
        for option in command.params:
            if option.param_type_name == "option":
                assert f"`{option.opts[0]}" in section or f", {option.opts[0]}" in section, (name, option.opts)
                seen += 1
    assert seen > 100
    assert "`--version`" in text and "Exit codes: 0 answered, 2 wrong input" in text


def test_every_public_name_is_on_the_page(pages: dict[str, str]) -> None:
    targets = re.findall(r"^::: (\S+)$", pages["reference/python.md"], flags=re.MULTILINE)
    assert {target.rsplit(".", 1)[1] for target in targets} >= set(sizing.__all__)
    for target in targets:
        module, name = target.rsplit(".", 1)
        assert getattr(sys.modules.get(module) or importlib.import_module(module), name).__doc__, target


def test_every_key_of_a_study_is_on_the_page(pages: dict[str, str]) -> None:
    text = pages["reference/study.md"]
    schema = Study.model_json_schema()
    for name, part in {"Study": schema, **schema["$defs"]}.items():
        section = re.split(r"^## ", text.split(f"\n## {name}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
        for key in part.get("properties", {}):
            assert f"| `{key}` |" in section, (name, key)
    assert "| `years` | number, at most 30, above 0 | none |" in text
    headings = {name.lower() for name in re.findall(r"^## (\w+)$", text, flags=re.MULTILINE)}
    assert set(re.findall(r"\]\(#(\w+)\)", text)) <= headings


def test_every_accelerator_is_on_the_page_with_its_sources(pages: dict[str, str]) -> None:
    text = pages["reference/hardware.md"]
    for item in load_catalog().accelerators.values():
        if item.parent is not None:
            assert f"\n| {item.id} | [{item.parent}]" in text
            continue
        section = text.split(f"\n### {item.id} ", 1)[1].split("\n### ", 1)[0].split("\n## ", 1)[0]
        assert section.count("\n| ") - 1 == len(item.sources), item.id
        for source in item.sources:
            assert source.ref.split()[0].strip("<>;,").split("|")[0] in section, (item.id, source.ref)
        assert f"Sources differ on {item.disputes[0].field}" in section if item.disputes else True
    assert "older than 90 days" in text


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    if importlib.util.find_spec("mkdocs") is None or importlib.util.find_spec("mkdocstrings") is None:
        pytest.skip("needs the extra 'docs'")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    page = (tmp_path / "site" / "reference" / "python.html").read_text(encoding="utf-8")
    assert 'id="sizing.planning.planner.plan"' in page and "Raises SizingError" in page


def test_how_to_reproduce_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shlex

    from sizing.cli import main
    from tests.test_how_to import blocks

    pytest.importorskip("jinja2")
    monkeypatch.chdir(tmp_path)
    commands = []
    for language, options, text in blocks(DOCS / "how-to" / "reproduce-a-report.md"):
        if "file" in options:
            Path(options["file"]).write_text(text, encoding="utf-8")
        elif language == "console":
            commands += [line[2:] for line in text.splitlines() if line.startswith("$ ")]
    assert len(commands) == 3
    for command in commands:
        with pytest.raises(SystemExit) as ended:
            main(shlex.split(command)[1:])
        assert ended.value.code == 0
    assert Path("first.json").read_bytes() == Path("second.json").read_bytes()
