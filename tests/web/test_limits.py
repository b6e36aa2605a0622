"""What one visitor's answer may take of the server, and how it is stopped."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("streamlit", reason="the web calculator needs the extra 'web'")

from streamlit.runtime.scriptrunner_utils.exceptions import StopException

from sizing.base.budget import BudgetError, spend
from sizing.base.errors import SizingError
from sizing.model.sources import _catalog_file, catalog_models
from sizing.study import parse_study
from sizing.web import calc, document, limits, share, sharing
from sizing.web.messages import catalog as messages
from tests.web.conftest import field, on_page
from tests.web.test_share import packed

Open = Callable[..., Any]


@pytest.fixture(autouse=True)
def _own_slots(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in limits.USUAL:
        monkeypatch.delenv(name, raising=False)
    limits._slots.cache_clear()
    yield
    limits._slots.cache_clear()


def wide(title: str) -> str:
    """A link to a wide search; the title makes it another one for the cache."""
    data = {"title": title, "model": "deepseek-ai/DeepSeek-V3", "workload": "chat", "hardware": ["h100-sxm", "h200-sxm"],
            "constraints": {"max_nodes": 64}}  # fmt: skip
    return packed(json.dumps(data).encode())


def test_usual_answers_are_far_from_the_bounds() -> None:
    with limits.searching() as budget:
        from sizing.planning.planner import plan

        plan(
            parse_study(
                {"model": "Qwen/Qwen3-235B-A22B", "workload": "chat", "hardware": ["h100-sxm", "a100-80gb-sxm"]}
            )
        )
    assert 0 < budget.spent * 10 < limits.USUAL["SIZING_PAGE_CANDIDATES"]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_link_beyond_the_bound_is_a_line_and_stays_given_up(
    open_app: Open, monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    monkeypatch.setenv("SIZING_PAGE_CANDIDATES", "50000")
    app = open_app("plan", link=wide(f"bound {language}"), language=language)
    said = messages()["search.candidates"][language].format(most="50,000")
    assert not app.exception and not app.error
    assert [item.value for item in app.warning] == [said]
    if language == "zh":
        return  # the tests' browser asks for the options' labels outside of a session, in English
    searches: list[int] = []
    monkeypatch.setattr(calc, "plan", lambda *_: searches.append(1))
    on_page(app, "cost")
    assert [item.value for item in app.warning] == [said]
    assert not searches, "what was given up is not begun again on every run"
    monkeypatch.undo()
    monkeypatch.setenv("SIZING_PAGE_CANDIDATES", "5000000")
    app.button(key="search_again").click().run()
    assert not app.exception and not app.warning and app.metric


def test_every_search_of_the_page_has_the_bound(open_app: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIZING_PAGE_CANDIDATES", "5")
    study = parse_study({"title": "all", "model": "Qwen/Qwen3-8B", "workload": "chat", "hardware": ["h100-sxm"]})
    for search in (
        lambda: calc._result(calc._key(study)),
        lambda: calc._comparison(("Qwen/Qwen3-8B",), ("h100-sxm",), 1001.0, 1001.0, 0.05, ""),
        lambda: calc._examination("$0.071 per million input tokens, Qwen3-8B, H100"),
    ):
        with pytest.raises(BudgetError):
            search()
    monkeypatch.delenv("SIZING_PAGE_CANDIDATES")
    key = calc._key(study)
    calc._result(key)
    monkeypatch.setenv("SIZING_PAGE_CANDIDATES", "5")
    with pytest.raises(BudgetError):
        calc._priced_as(key, 0, "own")
    for page in ("claim", "compare"):
        app = open_app(page, study=study)
        if page == "claim":
            field(app.text_input, "claim").set_value("$0.072 per million input tokens, Qwen3-8B, H100").run()
        else:
            field(app.multiselect, "compare_machines").set_value(["l40s", "h200-sxm"]).run()
        assert not app.exception and len(app.warning) == 1


def test_stop_ends_it_and_again_begins_it(open_app: Open) -> None:
    """The button's callback, as it runs at the head of the run that replaces the stopped one."""
    app = open_app("plan")
    marks = app.session_state[limits.ANSWERED]
    app.session_state[limits.GIVEN_UP] = (marks[-1], BudgetError("cancelled"))
    app.run()
    assert [item.value for item in app.warning] == [messages()["search.cancelled"]["en"]]
    assert not app.metric
    app.button(key="search_again").click().run()
    assert not app.warning and app.metric


def test_the_button_stands_there_while_it_is_worked_out_and_gives_it_up(
    open_app: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    import streamlit as st

    made: list[dict[str, Any]] = []
    usual = st.delta_generator.DeltaGenerator.button

    def button(self: Any, label: str, **more: Any) -> bool:
        made.append({"label": label, **more})
        return bool(usual(self, label, **more))

    monkeypatch.setattr(st.delta_generator.DeltaGenerator, "button", button)
    study = parse_study({"title": "new", "model": "Qwen/Qwen3-8B", "workload": "chat", "hardware": ["l40s"]})
    app = open_app("plan", study=study)
    one = next(item for item in made if item["label"] == "Stop")
    assert one["on_click"] is limits.give_up and one["args"][1] == "cancelled"
    assert all(item.label != "Stop" for item in app.button)  # gone with the answer
    made.clear()
    app.run()
    assert all(item["label"] != "Stop" for item in made)  # and not there for what is known


def test_a_run_that_streamlit_has_replaced_ends_its_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stops a run is Streamlit's own exception, raised where the session is asked: no handler of ours takes it."""

    class Session:
        asked = 0

        def __contains__(self, _: object) -> bool:
            Session.asked += 1
            if Session.asked > 25:
                raise StopException
            return False

    monkeypatch.setattr(limits, "get_script_run_ctx", lambda **_: object())
    monkeypatch.setattr(limits.st, "session_state", Session())
    study = parse_study({"title": "old", "model": "Qwen/Qwen3-8B", "workload": "chat", "hardware": ["h100-sxm"]})
    from sizing.planning.planner import plan

    with pytest.raises(StopException), limits.searching():
        plan(study)
    assert Session.asked == 26
    assert limits._slots().acquire(blocking=False)  # its place is free again
    limits._slots().release()


def test_a_few_at_once_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIZING_PAGE_SEARCHES", "2")
    monkeypatch.setattr(limits, "WAIT_S", 0.0)
    monkeypatch.setattr(limits, "LOOK_S", 0.001)
    inside, leave = threading.Semaphore(0), threading.Event()

    def search() -> None:
        with limits.searching():
            inside.release()
            leave.wait()

    threads = [threading.Thread(target=search) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in threads:
        inside.acquire()
    with pytest.raises(limits.BusyError, match="2 other answers"), limits.searching():
        pass
    leave.set()
    for thread in threads:
        thread.join()
    with limits.searching():
        spend(1)


@pytest.mark.parametrize("text", ["0", "-1", "x", "1.5", "9" * 30, "1e3"])
def test_a_bad_setting_is_a_line(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("SIZING_PAGE_SECONDS", text)
    with pytest.raises(SizingError, match="SIZING_PAGE_SECONDS: must be a whole number"):
        limits.setting("SIZING_PAGE_SECONDS")


def test_a_config_of_many_keys_is_written_once_a_run(open_app: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted, not timed: one run of the page makes the document of a Study once, and no text that nobody asked for."""
    entry = next(one for one in catalog_models() if one.name == "Qwen/Qwen3-8B")
    config = json.loads(_catalog_file(entry.file).read_text())
    app = open_app("plan")
    app.session_state["config"] = {**config, **{f"unknown_{number}": number for number in range(60_000)}}
    app.run()
    made: list[str] = []
    usual = document.data_of
    monkeypatch.setattr(document, "data_of", lambda study: made.append("document") or usual(study))
    monkeypatch.setattr(sharing, "python_snippet", lambda study: made.append("python") or "")
    monkeypatch.setattr(sharing, "yaml_of", lambda study: made.append("yaml") or "")
    app.run()
    assert not app.exception and not app.error
    assert made == ["document"]
    assert len(app.query_params["s"][0]) < share.MAX_LINK
