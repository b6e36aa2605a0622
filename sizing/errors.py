"""Errors that are meant for people: one line that names the key, what is wrong and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SizingError(ValueError):
    """Bad input. The message is shown to the user as it is; the command line exits with 2.

    ``key`` names the flag, config key or file that is at fault, ``hint`` what would be right.
    """

    def __init__(self, message: str, *, key: str | None = None, hint: str | None = None) -> None:
        self.key = key
        self.hint = hint
        self.message = message
        text = f"{key}: {message}" if key else message
        if hint:
            text = f"{text} ({hint})"
        super().__init__(text)


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
    """The known names most like ``name``, best first (case-insensitive)."""
    by_lower: dict[str, str] = {}
    for item in known:
        by_lower.setdefault(item.lower(), item)
        by_lower.setdefault(item.lower().rsplit("/", 1)[-1], item)
    found = difflib.get_close_matches(name.lower(), list(by_lower), n=count * 2, cutoff=0.5)
    return list(dict.fromkeys(by_lower[match] for match in found))[:count]


def unknown_name(
    kind: str, name: str, known: Iterable[str], *, key: str | None = None, otherwise: str | None = None
) -> UnknownNameError:
    """An UnknownNameError whose hint is the nearest known names, or ``otherwise`` where none is near."""
    shown = name if len(name) <= 120 else name[:117] + "..."
    close = nearest(name[:200], known)
    hint = "did you mean " + " or ".join(close) + "?" if close else otherwise
    return UnknownNameError(f"unknown {kind} {shown!r}", key=key, hint=hint)
