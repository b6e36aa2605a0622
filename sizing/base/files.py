"""Files of people: read within a bound, written whole or not at all. The program's own YAML, read quickly."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from sizing.base.errors import SizingError

MAX_LINE = 4_000_000  # characters of one line of a table


def read_bytes(path: Path, limit: int, *, error: type[SizingError] = SizingError) -> bytes:
    """The bytes of a file, pipe or device, at most ``limit``; never more is held, whatever the file says of its size.

    Raises ``error`` for a file that is missing, cannot be read or is larger.
    """
    try:
        with path.open("rb") as stream:
            raw = stream.read(limit + 1)
    except FileNotFoundError:
        raise error("no such file", key=str(path)) from None
    except OSError as problem:
        raise error(f"can't be read: {problem.strerror or problem}", key=str(path)) from None
    except ValueError:  # a null byte in the name
        raise error("is not a valid path", key=str(path)) from None
    if len(raw) > limit:
        raise error(f"larger than {limit:,} bytes, the most that is read", key=str(path))
    return raw


def read_text(path: Path, limit: int, *, error: type[SizingError] = SizingError) -> str:
    """The UTF-8 text of a file (a byte order mark is left out); see ``read_bytes``."""
    try:
        return read_bytes(path, limit, error=error).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise error("can't be read: is not UTF-8 text", key=str(path)) from None


def check_values(text: str, most: int, key: str, *, error: type[SizingError] = SizingError) -> None:
    """Refuse a JSON text of more than ``most`` values before it is parsed: each would take some 100 bytes of memory."""
    if sum(text.count(mark) for mark in ",:[{") > most:
        raise error(f"has more than {most:,} values", key=key)


def bounded_lines(stream: IO[str], name: str) -> Iterator[str]:
    """The lines of a stream; SizingError for one that is longer than ``MAX_LINE``."""
    number = 0
    while line := stream.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            raise SizingError(f"is longer than {MAX_LINE:,} characters", key=f"{name} line {number}")
        yield line


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file beside its place and move it there in one step, an old one replaced whole.

    A link is followed and stays a link; a device or a pipe is written to, never replaced; a file that may not be
    written is not replaced either. Raises SizingError that names the file.
    """
    try:
        real = Path(os.path.realpath(path))
        if real.is_symlink():
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        if real.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if real.exists() and not os.access(real, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        if real.exists() and not real.is_file():
            real.write_bytes(data)
        else:
            _replace(real, data)
    except (OSError, ValueError) as error:
        if isinstance(error, SizingError):
            raise
        raise SizingError(f"can't be written: {getattr(error, 'strerror', None) or error}", key=str(path)) from None


def _replace(path: Path, data: bytes) -> None:
    mask = os.umask(0)
    os.umask(mask)
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~mask
    handle, name = tempfile.mkstemp(prefix=".sizing-", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file, UTF-8, lines as they are; see ``write_bytes``."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def load_yaml(text: str) -> Any:
    """One document of the program's own data, by libyaml where PyYAML has it: ten times as fast as without."""
    import yaml

    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
