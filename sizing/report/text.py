"""The words of a report: one message catalog a language, and the core's English put into the report's own."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import resources
from typing import Any, cast

from sizing.base.errors import unknown_name
from sizing.base.files import load_yaml
from sizing.base.units import digits
from sizing.report.model import Language

LANGUAGES: tuple[Language, ...] = ("en", "zh")
SPELLINGS = {"english": "en", "chinese": "zh", "zh-cn": "zh", "zh_cn": "zh", "zh-hans": "zh", "cn": "zh", "en-us": "en"}


@lru_cache(maxsize=8)
def _yaml(name: str) -> Any:
    text = (resources.files("sizing.report") / name).read_text(encoding="utf-8")
    return load_yaml(text)


@lru_cache(maxsize=1)
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    entries = cast(list[list[str]], _yaml("phrases_zh.yaml")["patterns"])
    return [(re.compile(pattern, re.DOTALL), target) for pattern, target in entries]


def language_of(name: str) -> Language:
    """``en`` or ``zh`` for any usual spelling; UnknownNameError otherwise."""
    key = name.strip().lower()
    key = SPELLINGS.get(key, key)
    for known in LANGUAGES:
        if key == known:
            return known
    raise unknown_name("language", name, list(LANGUAGES), key="language")


class Messages:
    """Texts of one language: ``m("key", name=value)``."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self._texts = cast(dict[str, str], _yaml(f"messages_{language}.yaml"))

    def __call__(self, key: str, **values: object) -> str:
        """The text of a key with its values filled in; KeyError for a key that is in no catalog."""
        return self._texts[key].format(**values) if values else self._texts[key]

    def has(self, key: str) -> bool:
        """Whether the catalog has this key."""
        return key in self._texts

    def word(self, group: str, name: str) -> str:
        """The text of ``group.name``, or the name itself where the catalog has none."""
        return self._texts.get(f"{group}.{name}", self.phrase(name))

    def phrase(self, english: str) -> str:
        """What the core says in English, in this language as far as its catalog of phrases goes."""
        if self.language == "en" or not english:
            return english
        phrases = cast(dict[str, str], _yaml("phrases_zh.yaml")["phrases"])
        if english in phrases:
            return phrases[english]
        for pattern, target in _patterns():
            found = pattern.fullmatch(english)
            if found is not None:
                parts = {name: phrases.get(text, text) for name, text in found.groupdict(default="").items()}
                return target.format(**parts)
        return english


def show(value: object, kind: str = "number") -> str:
    """A cell for people: sensible digits, thousands separated, a dash for what is not known."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    if isinstance(value, int) and kind == "number":
        return f"{value:,}"
    number = float(cast(float, value))
    if kind == "percent":
        return f"{number:.0%}" if abs(number) >= 0.1 or number == 0 else f"{number:.1%}"
    if kind == "money":
        if abs(number) >= 1000:
            return f"{number:,.0f}"
        return f"{number:,.2f}" if abs(number) >= 1 or number == 0 else digits(number)
    if number == int(number) and abs(number) < 1e15:
        return f"{int(number):,}"
    return digits(number, 3) if abs(number) < 1000 else f"{number:,.0f}"
