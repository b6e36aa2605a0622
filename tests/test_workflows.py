"""The workflows ask for what exists: targets of the Makefile, the Pythons that the package names, one check of the wheel."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PYTHONS = {name.rsplit(" ", 1)[1] for name in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", name)}


def jobs(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text(encoding="utf-8"))["jobs"]
    return loaded


def test_every_supported_python_is_tested() -> None:
    assert set(jobs("ci.yml")["test"]["strategy"]["matrix"]["python"]) == PYTHONS
    release = jobs("release.yml")
    built = {
        step["with"]["python-version"] for step in release["build"]["steps"] if "setup-python" in step.get("uses", "")
    }
    assert set(release["other-pythons"]["strategy"]["matrix"]["python"]) | built == PYTHONS
    low, high = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", PROJECT["requires-python"]).groups()  # type: ignore[union-attr]
    assert {f"3.{minor}" for minor in range(int(low), int(high))} == PYTHONS


def test_targets_and_files_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))
    phony = set(re.search(r"^\.PHONY: (.*)$", makefile, flags=re.MULTILINE)[1].split())  # type: ignore[index]
    assert phony == targets
    seen = set()
    for name in ("ci.yml", "release.yml", "versions.yml"):
        for job in jobs(name).values():
            for step in job["steps"]:
                for target in re.findall(r"\bmake ([a-z-]+)", step.get("run", "")):
                    assert target in targets, target
                    seen.add(target)
                for path in re.findall(r"python (tools/\S+)", step.get("run", "")):
                    assert (ROOT / path).is_file(), path
    assert seen == {"test", "docs", "wheel-check", "bounds"}
    for target in re.findall(r"`make ([a-z-]+)`", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")):
        assert target in targets, target


def test_only_the_job_that_publishes_may() -> None:
    found = jobs("release.yml")
    assert {name for name, job in found.items() if "id-token" in job.get("permissions", {})} == {"publish"}
    assert set(found["publish"]["needs"]) == {"build", "other-pythons"}


def test_what_is_installed_was_tested() -> None:
    """Every direct dependency is pinned, within its bounds."""
    from packaging.requirements import Requirement

    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {name.lower().replace("_", "-"): version for name, version in
              (line.split("==") for line in lines if line and not line.startswith("#"))}  # fmt: skip
    extras = [text for group in PROJECT["optional-dependencies"].values() for text in group]
    for text in [*PROJECT["dependencies"], *extras]:
        needed = Requirement(text)
        if needed.name != PROJECT["name"]:
            assert needed.specifier.contains(pinned[needed.name.lower().replace("_", "-")]), text
    for name in ("Makefile", "Containerfile"):
        assert "-c " in (ROOT / name).read_text(encoding="utf-8") and "constraints.txt" in (ROOT / name).read_text()
