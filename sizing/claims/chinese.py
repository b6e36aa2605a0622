"""What an examination says, in Chinese: verdicts, statements and reasons, piece by piece."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import resources
from typing import Any, cast

from sizing.base.files import load_yaml

_MARKS = {"; ": "；", ": ": "："}
MOST_PATTERNS_DEEP = 3


@lru_cache(maxsize=1)
def _book() -> tuple[dict[str, str], tuple[tuple[re.Pattern[str], str], ...]]:
    text = (resources.files("sizing.claims") / "chinese.yaml").read_text(encoding="utf-8")
    book = cast(dict[str, Any], load_yaml(text))
    patterns = tuple((re.compile(pattern), target) for pattern, target in book["patterns"])
    return cast(dict[str, str], book["words"]), patterns


def in_chinese(text: str) -> str:
    """A statement or reason in Chinese; a piece that has no Chinese stays as it is.

    >>> in_chinese("no price is claimed to compare; the percentage fits GPT-4o, input")
    '没有给出可比较的价格；该百分比符合 GPT-4o, input'
    """
    quoted = re.split(r'("[^"]*")', text)
    marked = "".join(
        part if index % 2 else part.replace("; ", "\x00;").replace(": ", "\x00:") for index, part in enumerate(quoted)
    )
    pieces = re.split(r"(\x00[;:])", marked)
    said = [
        _MARKS[piece[1] + " "] if piece.startswith("\x00") else (_piece(piece) or piece) for piece in pieces if piece
    ]
    return "".join(said)


def _piece(text: str, depth: int = 0) -> str | None:
    words, patterns = _book()
    if text in words:
        return words[text]
    if depth > MOST_PATTERNS_DEEP:
        return None
    for pattern, target in patterns:
        found = pattern.fullmatch(text)
        if found is not None:
            parts = {name: words.get(part, part) for name, part in found.groupdict(default="").items()}
            for name in ("rest",):
                if name in parts:
                    parts[name] = _piece(parts[name], depth + 1) or parts[name]
            return re.sub(r"（[^（）]*?\s+）", "", re.sub(r"  +", " ", target.format(**parts))).strip()
    return None
