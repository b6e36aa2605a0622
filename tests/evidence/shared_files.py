"""Where the researched material is, for tests marked ``shared``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def shared(*parts: str) -> Path:
    """A file of the material beside the project; skips the test when it is absent."""
    places = [Path(os.environ["SIZING_SHARED"])] if "SIZING_SHARED" in os.environ else []
    places += [ROOT.parent / "shared", ROOT.parent.parent / "shared"]
    for place in places:
        path = place.joinpath(*parts)
        if path.exists():
            return path
    pytest.skip(f"{'/'.join(parts)} is not here")
