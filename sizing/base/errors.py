"""Errors that are meant for people: one line that names the key, what is wrong and what would be right."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable

MOST_KEY = 300  # characters of an error's parts
MOST_MESSAGE = 800
MOST_HINT = 400


def printable(text: str) -> str:
    """``text`` with what a terminal or a page would obey and not show (controls, direction marks) escaped."""
    if text.isprintable():
        return text
    return "".join(
        mark if mark.isprintable() or unicodedata.category(mark) == "Zs" else mark.encode("unicode_escape").decode()
        for mark in text
    )


def one_line(text: str, most: int = MOST_MESSAGE) -> str:
    """``text`` as one printable line, its middle cut out beyond ``most`` characters."""
    line = printable(" ".join(text[: 20 * most].split()))
    return line if len(line) <= most else f"{line[: most - most // 3 - 3]}...{line[-(most // 3) :]}"


class SizingError(ValueError):
    """Bad input. The message is shown to the user, as one printable line; the command line exits with 2.

    ``key`` names the flag, config key or file that is at fault, ``hint`` what would be right. What they quote may be
    anything: it is made printable and cut here, so no caller needs to.
    """

    def __init__(self, message: str, *, key: str | None = None, hint: str | None = None) -> None:
        self.key = one_line(key, MOST_KEY) if key else key
        self.hint = one_line(hint, MOST_HINT) if hint else hint
        self.message = one_line(message)
        text = f"{self.key}: {self.message}" if self.key else self.message
        super().__init__(f"{text} ({self.hint})" if self.hint else text)


class UnknownNameError(SizingError):
    """A name that is in no catalog; suggests the nearest ones."""


class ConfigError(SizingError):
    """A config.json lacks a key, has a strange value, or is of an architecture that is not supported."""


class PlacementError(SizingError):
    """A placement that the engine would refuse; ``rule`` is the rule's stable name."""

    def __init__(self, message: str, *, rule: str, key: str | None = None, hint: str | None = None) -> None:
        self.rule = rule
        super().__init__(message, key=key, hint=hint)


def nearest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """The known names most like ``name``, best first (case-insensitive); names that go on from it come first.

    >>> nearest("h10", ["a10", "h100-sxm", "l40s"])
    ['h100-sxm', 'a10']
    """
    by_lower: dict[str, str] = {}
    for item in known:
        by_lower.setdefault(item.lower(), item)
        by_lower.setdefault(item.lower().rsplit("/", 1)[-1], item)
    typed = name.lower()
    longer = sorted((item for item in by_lower if len(typed) > 1 and item.startswith(typed)), key=len)[:count]
    found = longer + difflib.get_close_matches(typed, list(by_lower), n=count * 2, cutoff=0.5)
    return list(dict.fromkeys(by_lower[match] for match in found))[:count]


def unknown_name(
    kind: str, name: str, known: Iterable[str], *, key: str | None = None, otherwise: str | None = None
) -> UnknownNameError:
    """An UnknownNameError whose hint is the nearest known names, or ``otherwise`` where none is near."""
    shown = name if len(name) <= 120 else name[:117] + "..."
    close = nearest(name[:200], known)
    hint = "did you mean " + " or ".join(close) + "?" if close else otherwise
    return UnknownNameError(f"unknown {kind} {shown!r}", key=key, hint=hint)
