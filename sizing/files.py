"""Writing files so that they are there whole or not at all."""

from __future__ import annotations

from pathlib import Path

from sizing.errors import SizingError


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text(text, encoding="utf-8", newline="")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise SizingError(f"can't be written: {error.strerror or error}", key=str(path)) from None
