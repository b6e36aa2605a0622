"""What commands print: one JSON document on stdout, or tables; messages go to stderr."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from sizing.base.errors import printable

#: Of all documents of ``--json``: raised when a key is renamed, removed or changes its meaning; new keys don't raise it.
JSON_VERSION = 1


def plain(value: Any) -> Any:
    """``value`` with NumPy numbers and arrays, tuples and sets made JSON; infinities and NaN become null."""
    np = sys.modules.get("numpy")  # where nothing has loaded it, no value is of it
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if np is not None and isinstance(value, np.ndarray):
        return plain(value.tolist())
    if np is not None and isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if hasattr(value, "model_dump"):
        return plain(value.model_dump(mode="json"))
    return value


def print_json(document: dict[str, Any]) -> None:
    """One JSON document on stdout and nothing else; ``json_version`` says which contract its keys keep."""
    versioned = {"json_version": JSON_VERSION, **plain(document)}
    wide = (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")  # else escapes, which JSON has too
    sys.stdout.write(json.dumps(versioned, indent=2, ensure_ascii=not wide, allow_nan=False) + "\n")


def message(text: str) -> None:
    """A note for the person, on stderr."""
    print(printable(text), file=sys.stderr)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Sequence[int] = ()) -> None:
    """A table on stdout; ``right`` are the columns set flush right. User text is never read as markup."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False, markup=False)
    view = Table(title=printable(title) or None, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for index, name in enumerate(columns):
        view.add_column(name, justify="right" if index in right else "left", overflow="fold")
    for row in rows:
        view.add_row(*(printable(str(cell)) for cell in row))
    console.print(view)


def line(text: str = "") -> None:
    """Text on stdout; what a terminal would obey in it is escaped."""
    sys.stdout.write("\n".join(map(printable, text.split("\n"))) + "\n")


def assumptions_lines(items: list[str]) -> None:
    if items:
        line("")
        line("Assumptions")
        for item in items:
            line(f"  - {item}")
