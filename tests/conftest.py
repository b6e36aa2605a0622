"""No test asks a model hub: names that are in no catalog are refused at once. No property test is judged by the clock."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from sizing.hardware.loader import Catalog, load_catalog
from sizing.model.checkpoints import access

os.environ["HF_HUB_OFFLINE"] = "1"
# A busy machine may take its time over an answer of the page; a test of the bound sets its own.
os.environ.setdefault("SIZING_PAGE_SECONDS", "100000")

# Machines that run the tests are shared: an example that waits for a core is no failure.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def _own_user() -> Iterator[None]:
    """A page that ran in this process closed it for visitors; the next test is its own user again."""
    yield
    access.set_access(access.OWN_USER)


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
