"""The explanation recomputed, the how-tos performed step by step on a copy of the source, the links followed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tools.docs_pages import GENERATED

ROOT = Path(__file__).resolve().parents[1]
FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[tuple[str, dict[str, str], str]]:
    """(language, options, text) of the fenced blocks of a page, in order."""
    found = []
    for language, options, text in FENCE.findall(page.read_text(encoding="utf-8")):
        named = {key: quoted or plain for key, quoted, plain in re.findall(r'(\w+)=(?:"([^"]*)"|(\S+))', options)}
        found.append((language, named, text))
    return found


def test_worked_examples_of_the_explanation() -> None:
    name = "docs/explanation.md"
    code = "\n".join(text for language, _, text in blocks(ROOT / name) if language == "python")
    assert code
    exec(compile(code, name, "exec"), {})


def test_a_model_family_is_added_step_by_step(tmp_path: Path) -> None:
    name = "add-a-model-family"
    source, work = tmp_path / "source", tmp_path / "work"
    work.mkdir()
    for part in ("sizing", "hardware_catalog"):
        shutil.copytree(ROOT / part, source / part, ignore=shutil.ignore_patterns("__pycache__"))
    env = {**os.environ, "PYTHONPATH": str(source), "HF_HUB_OFFLINE": "1"}
    commands = 0
    for language, options, text in blocks(ROOT / "docs" / "how-to" / f"{name}.md"):
        if "file" in options:
            path = work / options["file"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        elif "insert" in options:
            path = source / options["insert"]
            before = path.read_text()
            assert before.count(options["after"] + "\n") == 1
            path.write_text(before.replace(options["after"] + "\n", options["after"] + "\n" + text))
        elif language == "console":
            for step in re.split(r"^\$ sizing ", text, flags=re.MULTILINE)[1:]:
                line, *wanted = step.splitlines()
                done = subprocess.run(
                    [sys.executable, "-m", "sizing", *line.split()], capture_output=True, text=True, cwd=work, env=env
                )
                assert done.returncode == 0, done.stderr
                assert all(any(way in done.stdout for way in part.split(" or ")) for part in wanted), done.stdout
                commands += 1
    assert commands >= 2


def test_links_lead_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                path = (page.parent / target).resolve()
                generated = (
                    path.is_relative_to(ROOT / "docs") and path.relative_to(ROOT / "docs").as_posix() in GENERATED
                )
                assert generated or path.exists(), f"{page.name}: {target}"
