"""All texts of the pages, English and Simplified Chinese, from one catalog: ``messages.yaml``."""

from __future__ import annotations

from functools import cache
from importlib import resources

import streamlit as st

from sizing.base.files import load_yaml

LANGUAGES = {"en": "English", "zh": "简体中文"}


@cache
def catalog() -> dict[str, dict[str, str]]:
    """Key -> language -> text."""
    text = (resources.files("sizing.web") / "messages.yaml").read_text(encoding="utf-8")
    loaded: dict[str, dict[str, str]] = load_yaml(text)
    return loaded


def language() -> str:
    """The language of this session."""
    chosen = st.session_state.get("language", "en")
    return chosen if chosen in LANGUAGES else "en"


def t(key: str, **values: object) -> str:
    """The text of a key in the session's language, ``{name}`` filled in. An unknown key is an error, not a blank."""
    text = catalog()[key][language()]
    return text.format(**values) if values else text


def known(prefix: str, text: str) -> str:
    """The text of ``prefix.text`` where the catalog has it, else the text itself (figures' own names)."""
    entry = catalog().get(f"{prefix}.{text}")
    return entry[language()] if entry else text


def plain(text: str) -> str:
    """Text from outside made safe for Markdown: its marks and dollar signs are shown, not obeyed."""
    table = {ord(mark): f"\\{mark}" for mark in "\\`*_{}[]()#+!|<>$~:"}
    return " ".join(text.split()).translate(table)
