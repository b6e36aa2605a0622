"""A running page for the tests: Streamlit's AppTest on ``app.py``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("streamlit", reason="the web calculator needs the extra 'web'")

from streamlit.testing.v1 import AppTest

from sizing.study import Study
from sizing.web import share

APP = str(Path(__file__).parents[2] / "app.py")
PAGES = ("plan", "memory", "speed", "cost", "compare", "claim", "evidence", "catalog")


def on_page(app: AppTest, page: str) -> AppTest:
    """Go to a page of the navigation (AppTest's own switch_page knows only files)."""
    from streamlit.util import calc_hash

    app._page_hash = calc_hash("" if page == "plan" else page)
    return app.run()


@pytest.fixture
def open_app() -> Callable[..., Any]:
    """``open_app(page, study=..., language=...)``: the app at a page, run once."""

    def start(page: str = "plan", study: Study | None = None, link: str | None = None, language: str = "") -> AppTest:
        app = AppTest.from_file(APP, default_timeout=900)
        if study is not None:
            link = share.encode(study)
        if link is not None:
            app.query_params["s"] = link
        if language:
            app.query_params["lang"] = language
        return on_page(app, page)

    return start


def metric(app: AppTest, label: str) -> str:
    """The value of a card, as people see it."""
    found: str = next(item.value for item in app.metric if item.label == label)
    return found.replace("\\$", "$")


def field(kind: Any, name: str) -> Any:
    """The input that shows the session's value ``name``: ``field(app.slider, "hit_rate")``."""
    return next(item for item in kind if (item.key or "").split("@")[0] == name)
