"""The wheel: the catalogs are inside, it runs alone from another folder, the source distribution holds what tests need."""

from __future__ import annotations

import json
import tarfile
import zipfile
from pathlib import Path

import pytest

from tools import wheel_check

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return wheel_check.build(tmp_path_factory.mktemp("dist"))


def test_the_catalogs_are_inside(built: tuple[Path, Path]) -> None:
    names = zipfile.ZipFile(built[1]).namelist()
    inside = {name for name in names if name.startswith("sizing/hardware/catalog/")}
    assert {Path(name).name for name in inside} == {path.name for path in (ROOT / "hardware_catalog").glob("*.yaml")}
    models = {Path(name).name for name in names if name.startswith("sizing/model/catalog/")}
    assert models >= {path.name for path in (ROOT / "sizing/model/catalog").glob("*.json")}
    assert zipfile.ZipFile(built[1]).read("sizing/evidence/validation.md") == (ROOT / "docs/validation.md").read_bytes()
    assert "sizing/coefficients/serving.yaml" in names and "sizing/py.typed" in names
    assert not [name for name in names if name.startswith(("tests/", "docs/", "tools/"))]


def test_the_source_has_what_its_tests_and_pages_need(built: tuple[Path, Path]) -> None:
    with tarfile.open(built[0]) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    for name in ("mkdocs.yml", "Makefile", "CONTRIBUTING.md", "tools/docs_pages.py", "tests/test_wheel.py", "app.py"):
        assert name in names, name


def test_it_runs_alone(built: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wheel_check.check(built[1], tmp_path)
    assert "installs alone" in capsys.readouterr().out
    home = tmp_path / "venv" / "bin"
    found = json.loads(
        wheel_check.run(
            [home / "sizing", "plan", "Qwen/Qwen3-235B-A22B", "--input", "4096", "--output", "1024", "--rate", "2",
             "--on", "h100-sxm,a100-80gb-sxm,ascend-910b", "--json"],
            cwd=tmp_path / "elsewhere", env={"PATH": ""},
        )
    )  # fmt: skip
    assert found["plans"]


def test_what_is_wrong_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong:
        home = sizing = python = tmp_path

        def __init__(self, wheel: Path, folder: Path) -> None: ...

        def ask(self, *command: str | Path) -> str:
            return "sizing 0.0.0\n"

    monkeypatch.setattr(wheel_check, "Installed", Wrong)
    monkeypatch.setattr(wheel_check, "metadata", lambda wheel: {"Version": "9.9.9"})
    with pytest.raises(SystemExit, match=r"says 'sizing 0.0.0', the wheel is 9.9.9"):
        wheel_check.check(tmp_path, tmp_path)
