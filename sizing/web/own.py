"""Accelerators of somebody's own: one catalog file that the session keeps, merged over the built-in catalog.

The text itself is part of the cache keys (``calc``), so nobody sees another's accelerators, and nothing is written.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import streamlit as st

from sizing.hardware import Catalog, check_file, load_catalog, read_catalog
from sizing.study import parse_yaml
from sizing.web import fields, uploads
from sizing.web.messages import t

TEXT, FINDINGS = "own_hardware", "own_findings"
NAME = "catalog.yaml"
MAX_BYTES = 64_000  # some twenty entries; the session keeps them


def text() -> str:
    """The session's own catalog file; empty where there is none."""
    return str(st.session_state.get(TEXT, ""))


@st.cache_resource(max_entries=20, show_spinner=False)
def _read(content: str) -> Catalog:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / NAME
        path.write_text(content, encoding="utf-8")
        return read_catalog(path)


def catalog_of(content: str) -> Catalog:
    """The built-in catalog with a catalog file merged over it."""
    return _read(content) if content else load_catalog()


def catalog() -> Catalog:
    """The catalog of this session."""
    return catalog_of(text())


def ids(content: str) -> list[str]:
    """The accelerators that a catalog file gives."""
    data = parse_yaml(content, NAME) if content else {}
    return [str(item["id"]) for item in data.get("accelerators") or []]


def bring(data: bytes) -> None:
    """Check a catalog file as ``sizing hardware check`` does; keep it and choose its accelerators if nothing is wrong."""
    from sizing.web import state

    def work() -> str | None:
        content = uploads.as_text(data, NAME, MAX_BYTES)
        parse_yaml(content, NAME)  # bounds and structure, before anything reads it
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / NAME
            path.write_text(content, encoding="utf-8")
            found = check_file(path)
        st.session_state[FINDINGS] = [str(one) for one in found]
        if any(one.level == "error" for one in found):
            return None
        forget()
        st.session_state[TEXT] = content
        names = ids(content)
        chosen = st.session_state["accelerators"]
        fields.put("accelerators", [*chosen, *(name for name in names if name not in chosen)])
        return t("catalog.own_done", names=", ".join(names) or "–")

    state.guarded(work)


def forget() -> None:
    """Back to the built-in catalog."""
    mine = ids(text())
    st.session_state[TEXT] = ""
    known = load_catalog().accelerators
    for name in ("accelerators", "compare_machines"):
        if name in st.session_state:
            kept = [one for one in st.session_state[name] if one not in mine or one in known]
            fields.put(name, kept)
