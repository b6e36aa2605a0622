"""How much of the server one visitor's answer may take, how many are worked out at once, and how one is stopped.

A run of the script that Streamlit has replaced (an input changed, the tab was closed) ends its search at the search's
next step: the budget asks the session, and Streamlit ends the run where a session is asked in vain.
"""

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, TypeVar

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from sizing.base.budget import Budget, BudgetError
from sizing.base.errors import SizingError
from sizing.web.messages import t

#: Settings of the operator in the environment, with what holds where there is none.
USUAL = {"SIZING_PAGE_CANDIDATES": 4_000_000, "SIZING_PAGE_SECONDS": 30, "SIZING_PAGE_SEARCHES": 2}
WAIT_S = 30.0  # for other visitors' searches to end
LOOK_S = 0.1  # between two looks at whether somebody still waits
GIVEN_UP, ANSWERED = "given_up", "answered"
MOST_ANSWERED = 200
Answer = TypeVar("Answer")


class BusyError(SizingError):
    """As many searches as may be run at once."""

    def __init__(self, most: int) -> None:
        self.most = most
        super().__init__(f"{most} other answers are being worked out", key="search", hint="try again in a moment")


def setting(name: str) -> int:
    """A whole number of at least 1 from the environment, or the usual one. Raises SizingError for anything else."""
    text = os.environ.get(name, "").strip()
    if not text:
        return USUAL[name]
    if not text.isdecimal() or len(text) > 12 or int(text) < 1:
        raise SizingError(f"must be a whole number of at least 1, not {text!r}", key=name)
    return int(text)


@functools.cache
def _slots() -> threading.BoundedSemaphore:
    return threading.BoundedSemaphore(setting("SIZING_PAGE_SEARCHES"))


def abandoned() -> bool:
    """Never true: where nobody waits for this run of the script any more, Streamlit ends it here by its own exception."""
    if get_script_run_ctx(suppress_warning=True) is not None:
        _ = GIVEN_UP in st.session_state  # a point at which Streamlit may end the run
    return False


@contextmanager
def searching() -> Iterator[Budget]:
    """A search of the page: one of a few at once, within its budget. Holds no lock of the cache: enter it innermost."""
    slots, until = _slots(), time.monotonic() + WAIT_S
    while not slots.acquire(timeout=LOOK_S):
        abandoned()
        if time.monotonic() > until:
            raise BusyError(setting("SIZING_PAGE_SEARCHES"))
    try:
        with Budget(
            max_candidates=setting("SIZING_PAGE_CANDIDATES"),
            seconds=setting("SIZING_PAGE_SECONDS"),
            cancelled=abandoned,
        ) as budget:
            yield budget
    finally:
        slots.release()


def asked(answer: Callable[..., Answer], *key: object) -> Answer:
    """``answer(*key)`` with a button that stops it while it is worked out. What was given up stays so until asked anew."""
    state = st.session_state
    mark = hash((getattr(answer, "__name__", ""), *key))
    given_up: tuple[int, BudgetError] | None = state.get(GIVEN_UP)
    if given_up is not None and given_up[0] == mark:
        raise given_up[1]
    if mark in state.get(ANSWERED, ()):
        return answer(*key)
    place = st.empty()
    place.button(
        t("search.stop"),
        key=f"stop_{mark}",
        on_click=give_up,
        args=(mark, "cancelled", 0.0),
        icon=":material/stop_circle:",
    )
    try:
        found = answer(*key)
    except BudgetError as error:
        give_up(mark, error.exceeded, error.most)
        raise
    finally:
        place.empty()
    state[ANSWERED] = [*state.get(ANSWERED, ())[-MOST_ANSWERED:], mark]
    return found


def give_up(mark: int, exceeded: Literal["candidates", "seconds", "cancelled"], most: float) -> None:
    """Remember that an answer was given up, so that the next run of the script does not begin it again."""
    st.session_state[GIVEN_UP] = (mark, BudgetError(exceeded, most))


def ask_anew() -> None:
    """Callback: forget what was given up."""
    st.session_state.pop(GIVEN_UP, None)


def explain(error: SizingError) -> bool:
    """Say in the session's language why a search was given up, with a way to begin anew; False for other errors."""
    if isinstance(error, BusyError):
        text = t("search.busy", most=error.most)
    elif isinstance(error, BudgetError):
        text = t(f"search.{error.exceeded}", most=f"{error.most:,.0f}")
    else:
        return False
    st.warning(text, icon=":material/timer:")
    st.button(t("search.again"), key="search_again", on_click=ask_anew, icon=":material/refresh:")
    return True
