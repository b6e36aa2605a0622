"""Shared fixtures: the built-in catalog, and a writer of a user's own file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sizing.hardware.loader import Catalog, load_catalog


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return load_catalog()


@pytest.fixture
def own_file(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "mine.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write
