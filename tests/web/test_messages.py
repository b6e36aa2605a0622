"""Both languages say everything, and no page asks for a text that is not there."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest

pytest.importorskip("streamlit", reason="the web calculator needs the extra 'web'")

import sizing.web
from sizing.web import messages
from sizing.web.main import PAGES
from sizing.workload import PRESETS

LENGTHS = ("fixed", "lognormal", "uniform", "empirical", "value", "mean", "median", "p95", "sigma", "low", "high")
FOLDER = Path(sizing.web.__file__).parent
SOURCES = [path.read_text(encoding="utf-8") for path in FOLDER.rglob("*.py")]


def test_both_languages_have_every_text() -> None:
    for key, texts in messages.catalog().items():
        assert isinstance(key, str), key
        assert set(texts) == set(messages.LANGUAGES), key
        for text in texts.values():
            assert isinstance(text, str) and text.strip(), key


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_both_languages_fill_in_the_same_figures() -> None:
    for key, texts in messages.catalog().items():
        assert fields(texts["en"]) == fields(texts["zh"]), key


def test_every_key_that_a_page_names_exists() -> None:
    named = {key for source in SOURCES for key in re.findall(r"""\bt\(\s*"([a-z0-9_.\-]+)\"""", source)}
    assert len(named) > 100
    assert named <= set(messages.catalog())


def test_every_family_of_keys_is_complete() -> None:
    keys = set(messages.catalog())
    wanted = {f"page.{page.key}" for page in PAGES} | {f"preset.{name}" for name in (*PRESETS, "custom")}
    wanted |= {f"arrival.{kind}" for kind in ("rate", "users", "concurrency", "batch")}
    wanted |= {f"lengths.{name}" for name in LENGTHS}
    assert wanted <= keys


def test_no_text_is_left_unused() -> None:
    every = "\n".join(SOURCES)
    prefixes = set(re.findall(r"""f["']([a-z_.]+)\{""", every))
    prefixes |= {f"{name}." for name in re.findall(r"""known\(["']([a-z.]+)["']""", every)}
    for key in messages.catalog():
        assert f'"{key}"' in every or f"'{key}'" in every or any(key.startswith(prefix) for prefix in prefixes), key


def test_chinese_is_chinese() -> None:
    same = [key for key, texts in messages.catalog().items() if texts["en"] == texts["zh"]]
    assert len(same) < 20, same


def test_text_from_outside_is_shown_and_not_obeyed() -> None:
    assert "<" not in messages.plain("<script>").replace("\\<", "")
    assert messages.plain("**b** $x$ [a](b)") == r"\*\*b\*\* \$x\$ \[a\]\(b\)"


def test_no_page_lets_html_through() -> None:
    assert not any("unsafe_allow_html" in source or "st.html" in source for source in SOURCES)
