"""The calculator: inputs in the sidebar, then one page of the navigation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import streamlit as st

from sizing.base.errors import SizingError
from sizing.model.checkpoints import access
from sizing.study import Study
from sizing.web import collect, inputs, limits, state
from sizing.web.messages import plain, t
from sizing.web.pages import catalog, claim, compare, cost, evidence, memory, plan, speed


@dataclass(frozen=True)
class Entry:
    """A page: its key in the messages, its module and its icon."""

    key: str
    module: ModuleType
    icon: str


PAGES = (
    Entry("plan", plan, ":material/checklist:"),
    Entry("memory", memory, ":material/memory:"),
    Entry("speed", speed, ":material/speed:"),
    Entry("cost", cost, ":material/payments:"),
    Entry("compare", compare, ":material/compare_arrows:"),
    Entry("claim", claim, ":material/fact_check:"),
    Entry("evidence", evidence, ":material/query_stats:"),
    Entry("catalog", catalog, ":material/list_alt:"),
)


def main() -> None:
    """Draw the page. Called on every run of the script."""
    access.serve_visitors()
    state.start()
    inputs.sidebar()
    study: Study | None = None
    problem = ""
    try:
        study = collect.study_of_session()
    except SizingError as error:
        problem = str(error)
    page = st.navigation(
        [
            st.Page(
                _shown(entry, study, problem),
                title=t(f"page.{entry.key}"),
                icon=entry.icon,
                url_path=entry.key,
                default=entry.key == "plan",
            )
            for entry in PAGES
        ],
        position="top",
    )
    if study is not None:
        state.write_link(study)  # after st.navigation, which empties the address on a change of page
    _notices()
    page.run()
    st.caption(t("footer"))


def _shown(entry: Entry, study: Study | None, problem: str) -> Callable[[], None]:
    """The function that draws a page; bad input becomes one line, never a traceback."""

    def draw() -> None:
        if study is None:
            st.title(t(f"page.{entry.key}"), anchor=False)
            st.error(t("error.input", reason=plain(problem)), icon=":material/error:")
            return
        try:
            entry.module.show(study)
        except SizingError as error:
            if not limits.explain(error):
                st.error(t("error.input", reason=plain(str(error))), icon=":material/error:")

    return draw


def _notices() -> None:
    """What the last callback had to say, once."""
    notice = st.session_state.pop("notice", None)
    done = st.session_state.pop("done", None)
    if notice:
        st.error(plain(notice), icon=":material/error:")
    if done:
        st.success(plain(done), icon=":material/check:")
