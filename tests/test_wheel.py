"""The built wheel alone: installed into an empty environment, run from another folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    made = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)],
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr[-2000:]
    return next(out.glob("*.whl"))


def test_catalogs_are_inside(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert any(name.startswith("sizing/hardware/catalog/nvidia") for name in names)
    assert "sizing/model/catalog/catalog.yaml" in names
    assert "sizing/evidence/serving.yaml" in names
    assert not any(name.startswith("tests/") for name in names)


def test_an_empty_environment_plans_from_another_folder(wheel: Path, tmp_path: Path) -> None:
    """Only the core's own dependencies: no Streamlit, no pandas."""
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "env")], check=True)
    python = tmp_path / "env" / "bin" / "python"
    installed = subprocess.run(
        [str(python), "-m", "pip", "install", "-q", str(wheel)], capture_output=True, text=True, cwd=tmp_path
    )
    assert installed.returncode == 0, installed.stderr[-2000:]
    clean = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "SIZING_SHARED")}
    command = [str(tmp_path / "env" / "bin" / "sizing"), "plan", "Qwen/Qwen3-235B-A22B", "--input", "4096"]
    command += ["--output", "1024", "--rate", "2", "--on", "h100-sxm,a100-80gb-sxm,ascend-910b", "--json"]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=clean)
    assert ran.returncode == 0, ran.stderr
    answer = json.loads(ran.stdout)
    assert {plan["accelerator"] for plan in answer["plans"]} == {"h100-sxm", "a100-80gb-sxm", "ascend-910b2"}
