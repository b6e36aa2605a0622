"""The wheel in an environment of its own: the catalogs are inside, the command runs from another folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return next(folder.glob("*.whl"))


def test_the_catalogs_are_inside(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    inside = {name for name in names if name.startswith("sizing/hardware/catalog/")}
    assert {Path(name).name for name in inside} == {path.name for path in (ROOT / "hardware_catalog").glob("*.yaml")}
    models = {Path(name).name for name in names if name.startswith("sizing/model/catalog/")}
    assert models >= {path.name for path in (ROOT / "sizing/model/catalog").glob("*.json")}
    assert zipfile.ZipFile(wheel).read("sizing/evidence/validation.md") == (ROOT / "docs/validation.md").read_bytes()
    assert "sizing/evidence/serving.yaml" in names and "sizing/py.typed" in names
    assert not [name for name in names if name.startswith(("tests/", "docs/"))]


def test_it_runs_alone(wheel: Path, tmp_path: Path) -> None:
    home = tmp_path / "empty"
    venv.create(home, with_pip=True)
    done = subprocess.run([home / "bin" / "pip", "install", "-q", str(wheel)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    env = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "COV"))}

    def run(*argv: str) -> str:
        command = [str(home / "bin" / "sizing"), *argv]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=env)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "Qwen/Qwen3-235B-A22B" in run("models", "qwen3-235b")
    found = json.loads(
        run("plan", "Qwen/Qwen3-235B-A22B", "--input", "4096", "--output", "1024", "--rate", "2",
            "--on", "h100-sxm,a100-80gb-sxm,ascend-910b", "--json")
    )  # fmt: skip
    assert found["plans"]
    where = subprocess.run(
        [home / "bin" / "python", "-c", "import sizing; print(sizing.__file__)"],
        capture_output=True, text=True, cwd=tmp_path, env=env,
    ).stdout  # fmt: skip
    assert str(home) in where
