"""The worked numbers in docstrings are what the formulas give."""

from __future__ import annotations

import doctest
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
WORKED = [path for path in sorted((ROOT / "sizing").rglob("*.py")) if ">>> " in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("path", WORKED, ids=lambda path: path.stem)
def test_worked_numbers(path: Path) -> None:
    result = doctest.testmod(import_module(".".join(path.relative_to(ROOT).with_suffix("").parts)))
    assert result.attempted and not result.failed
