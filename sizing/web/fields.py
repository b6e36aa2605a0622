"""Inputs whose value lives in the session, not in the widget.

Streamlit and the browser each keep a widget's value and each may lose it: on a change of page the server drops what the
browser did not send along, and the browser drops what it has not drawn yet, so a quick second click used to draw inputs
anew at their least values. Here ``st.session_state[name]`` is the value, under a name that no widget bears; the widget's
own key is ``name@version`` and its default is always the value. Whoever has lost it is told again. A change from outside
(an upload, a preset) gives the widget a new version, which starts at the new value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

VERSIONS = "versions"


def key_of(name: str) -> str:
    """The key of the widget that shows ``name`` now."""
    return f"{name}@{st.session_state.get(VERSIONS, {}).get(name, 0)}"


def put(name: str, value: Any) -> None:
    """Set a value from outside its widget."""
    state = st.session_state
    if name in state and state[name] == value:
        return
    state[name] = value
    _renew(name)


def _renew(name: str) -> None:
    """The widget begins anew, at the value."""
    state = st.session_state
    state[VERSIONS] = {**state.get(VERSIONS, {}), name: state.get(VERSIONS, {}).get(name, 0) + 1}


def _taken(name: str, key: str, then: Callable[[], None] | None, options: Sequence[Any] | None) -> None:
    """The widget's callback: runs before the script does, so a run that is cut short loses nothing."""
    value = st.session_state[key]
    if options is not None and value is not None and value not in options:
        _renew(name)  # the browser still says a label of before: the options have other labels now
        return
    st.session_state[name] = value
    if then is not None:
        then()


def _settings(name: str, then: Callable[[], None] | None, options: Sequence[Any] | None = None) -> dict[str, Any]:
    key = key_of(name)
    return {"key": key, "on_change": _taken, "args": (name, key, then, options)}


def _kept(name: str, value: Any) -> Any:
    st.session_state[name] = value
    return value


def number(
    label: str, name: str, low: float, high: float, *, then: Callable[[], None] | None = None, **more: Any
) -> float | None:
    """A number between two bounds, of the bounds' type; the bounds give way to a value that a study brought."""
    value = st.session_state[name]
    if value is not None:
        value = type(low)(value)
        low, high = min(low, value), max(high, value)
    found: float | None = _kept(name, st.number_input(label, low, high, value=value, **_settings(name, then), **more))
    return found


def slider(
    label: str, name: str, low: float, high: float, *, then: Callable[[], None] | None = None, **more: Any
) -> float:
    """A number on a slider."""
    found: float = _kept(
        name, st.slider(label, low, high, value=type(low)(st.session_state[name]), **_settings(name, then), **more)
    )
    return found


def choice(
    label: str, name: str, options: Sequence[Any], *, then: Callable[[], None] | None = None, **more: Any
) -> Any:
    """One of several; none is chosen where the value is not among them."""
    value = st.session_state[name]
    at = list(options).index(value) if value in options else None
    found = st.selectbox(label, options, index=at, **_settings(name, then, options), **more)
    return _kept(name, found if found is None or found in options else value)


def steps(label: str, name: str, options: Sequence[Any], *, then: Callable[[], None] | None = None, **more: Any) -> Any:
    """One of several in their order, on a slider."""
    return _kept(name, st.select_slider(label, options, value=st.session_state[name], **_settings(name, then), **more))


def several(
    label: str, name: str, options: Sequence[Any], *, then: Callable[[], None] | None = None, **more: Any
) -> list[Any]:
    """Any of several, in the order in which they were chosen."""
    value = [one for one in st.session_state[name] if one in options]
    found: list[Any] = _kept(name, list(st.multiselect(label, options, default=value, **_settings(name, then), **more)))
    return found


def switch(
    label: str, name: str, options: Sequence[Any], *, then: Callable[[], None] | None = None, **more: Any
) -> Any:
    """One of a few, all in sight."""
    return _kept(
        name,
        st.segmented_control(
            label, options, default=st.session_state[name], required=True, **_settings(name, then), **more
        ),
    )


def line(label: str, name: str, *, then: Callable[[], None] | None = None, **more: Any) -> str:
    """A line of text."""
    found: str = _kept(name, st.text_input(label, value=st.session_state[name], **_settings(name, then), **more))
    return found
