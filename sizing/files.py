"""Writing files so that they are there whole or not at all; reading the program's own YAML quickly."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Any

from sizing.errors import SizingError


def write_text(path: Path, text: str) -> None:
    """Write a file in UTF-8, line ends as they are, whole or not at all; see ``write_bytes``."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file beside its place and move it there in one step, an old one replaced whole.

    Raises SizingError where that can't be done; then nothing has changed.
    """
    partial: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=".sizing-", suffix=".tmp", dir=path.parent)
        partial = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        partial.chmod(0o666 & ~mask)  # mkstemp makes files that only their owner reads
        partial.replace(path)
    except BaseException as error:
        if partial is not None:
            with contextlib.suppress(OSError):
                partial.unlink()
        if isinstance(error, OSError):
            raise SizingError(f"can't be written: {error.strerror or error}", key=str(path)) from None
        raise


def load_yaml(text: str) -> Any:
    """One document of the program's own data, by libyaml where PyYAML has it: ten times as fast as without."""
    import yaml

    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
