"""Take the page elsewhere: link, study.yaml, Python, command line, reports."""

from __future__ import annotations

import importlib
import pprint
import textwrap
from collections.abc import Callable
from functools import partial

import streamlit as st

from sizing.planning.result import Result
from sizing.study import Study
from sizing.web import own
from sizing.web import share as links
from sizing.web.document import data_of, json_of, yaml_of
from sizing.web.messages import t

REPORTS = {
    "html": "text/html",
    "pdf": "application/pdf",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "md": "text/markdown",
    "json": "application/json",
}
MOST_SHOWN = 100_000  # characters of a study; a longer one is downloaded
COMMAND = "sizing plan study.yaml --json"


def python_snippet(study: Study) -> str:
    """Python that gives this very page's answer, the Study inside it."""
    data = pprint.pformat(data_of(study), width=100, sort_dicts=False)
    return (
        "from sizing import plan\nfrom sizing.study import parse_study\n\n"
        f"study = parse_study(\n{textwrap.indent(data, '    ')}\n)\n"
        "result = plan(study)\nprint(result.best.label, result.best.usd_per_month)\n"
    )


def share(study: Study, result: Result) -> None:
    """The section at a page's end."""
    st.subheader(t("share.title"), anchor=False)
    st.caption(t("share.help", length=len(links.encode(study))))
    if own.text():
        st.info(t("share.own"), icon=":material/memory:")
    one, two = st.columns(2)
    with one:
        st.download_button(
            t("share.yaml"),
            partial(yaml_of, study),
            "study.yaml",
            "application/yaml",
            key="download_study",
            on_click="ignore",
            icon=":material/download:",
            width="stretch",
        )
    with two:
        st.download_button(
            t("share.python"),
            partial(python_snippet, study),
            "sizing_study.py",
            "text/x-python",
            key="download_python",
            on_click="ignore",
            icon=":material/code:",
            width="stretch",
        )
    if len(json_of(study)) <= MOST_SHOWN:
        _code(study)
    _reports(study, result)


def _code(study: Study) -> None:
    """The texts themselves, to read and to copy."""
    with st.expander(t("share.code")):
        st.markdown(t("share.cli"))
        st.code(COMMAND, language="bash")
        st.markdown(t("share.python_run"))
        st.code(python_snippet(study), language="python")
        st.markdown("`study.yaml`")
        st.code(yaml_of(study), language="yaml")


def _maker() -> Callable[..., bytes] | None:
    """``report_bytes`` of the installed package, None where there is none."""
    try:
        return getattr(importlib.import_module("sizing.report"), "report_bytes", None)
    except ImportError:
        return None


def _reports(study: Study, result: Result) -> None:
    """One button a kind of report; bytes are made when asked for."""
    make = _maker()
    if make is None or result.best is None:
        return
    st.markdown(f"**{t('share.reports')}**")
    for column, (kind, mime) in zip(st.columns(len(REPORTS)), REPORTS.items(), strict=True):
        with column:
            st.download_button(
                kind.upper(),
                partial(make, result, kind, catalog=own.catalog()),
                f"sizing-report.{kind}",
                mime,
                key=f"report_{kind}",
                on_click="ignore",
                width="stretch",
            )
