"""Every page: it draws without an exception, and its figures are the API's, to the digit."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml

pytest.importorskip("streamlit", reason="the web calculator needs the extra 'web'")

from sizing.base.units import digits, gib, seconds, usd
from sizing.claims import Claim, examine, parse_claim
from sizing.hardware import check_file, load_catalog
from sizing.planning.breakeven import break_even
from sizing.planning.compare import compare
from sizing.planning.planner import plan
from sizing.study import parse_study
from sizing.web import share
from sizing.web.document import yaml_of
from sizing.web.messages import plain
from sizing.web.pages.catalog import entry_yaml
from sizing.web.pages.claim import EXAMPLES, EXAMPLES_ZH
from sizing.web.pages.evidence import validation_file
from sizing.web.state import default_study
from tests.web.conftest import PAGES, field, metric, on_page
from tests.web.test_share import BOMB, QWEN

Open = Callable[..., Any]
SMALL = parse_study({"model": "Qwen/Qwen3-8B", "workload": "rag", "hardware": ["h100-sxm", "l40s"]})


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("page", PAGES)
def test_page_draws(open_app: Open, page: str, language: str) -> None:
    app = open_app(page, language=language)
    assert not app.exception
    assert len(app.title) == 1
    assert not app.error or page == "claim"


@pytest.mark.parametrize("study", [default_study(), SMALL], ids=["default", "small"])
def test_plan_is_the_apis(open_app: Open, study: Any) -> None:
    best = plan(study).best
    assert best is not None
    app = open_app("plan", study=study)
    assert metric(app, "Accelerators") == str(best.accelerators)
    assert metric(app, "Cost per month") == usd(best.usd_per_month or 0)
    assert metric(app, "Per million tokens, in and out") == usd(best.cost["usd_per_million_tokens"].p50)
    assert metric(app, "Per request") == usd(best.cost["usd_per_request"].p50)
    assert metric(app, "TTFT") == seconds(best.ttft_s.p50)
    assert metric(app, "TPOT") == seconds(best.tpot_s.p50)


def test_table_of_plans_is_the_apis(open_app: Open) -> None:
    result = plan(SMALL)
    frame = next(item.value for item in open_app("plan", study=SMALL).dataframe if "month" in item.value.columns)
    assert list(frame["month"]) == [item.usd_per_month for item in result.plans]
    assert list(frame["tpot95"]) == [item.tpot_p95_s * 1e3 for item in result.plans]


def test_rejections_have_their_reasons(open_app: Open) -> None:
    result = plan(default_study())
    frame = next(item.value for item in open_app("plan").dataframe if "reason" in item.value.columns)
    assert list(frame["reason"]) == [item.reason for item in result.rejected]


def test_nothing_feasible_says_why(open_app: Open) -> None:
    study = parse_study({**default_study().model_dump(mode="json"), "hardware": ["t4"]})
    app = open_app("plan", study=study)
    assert not app.exception
    assert app.warning
    assert any("reason" in item.value.columns for item in app.dataframe)


def test_memory_is_the_apis(open_app: Open) -> None:
    best = plan(default_study()).plans[0]
    app = open_app("memory")
    assert metric(app, "Weights on one accelerator") == gib(best.memory_gib["weights"] * 2**30)
    assert metric(app, "Left for the KV cache") == gib(best.memory_gib["kv_pool"] * 2**30)


def test_speed_is_the_apis(open_app: Open) -> None:
    best = plan(default_study()).plans[0]
    app = open_app("speed")
    assert metric(app, "Output of the deployment") == f"{digits(best.output_tokens_per_s.p50)} tokens/s"
    assert not app.warning


def test_cost_is_the_apis(open_app: Open) -> None:
    study = default_study()
    best = plan(study).plans[0]
    app = open_app("cost")
    assert metric(app, "Per request") == usd(best.cost["usd_per_request"].p50)
    frame = next(item.value for item in app.dataframe if "api" in item.value.columns)
    assert list(frame["month"]) == [one.api_usd_per_month for one in break_even(best, study)]


def test_compare_is_the_apis(open_app: Open) -> None:
    app = open_app("compare")
    models, machines = field(app.multiselect, "compare_models").value, field(app.multiselect, "compare_machines").value
    work = default_study().workload
    found = compare(models, machines, input_tokens=round(work.input.mean_tokens),
                    output_tokens=round(work.output.mean_tokens), most_tpot_s=0.05)  # fmt: skip
    frame = next(item.value for item in app.dataframe if "machine" in item.value.columns)
    assert list(frame["rate"]) == [row.output_tokens_per_s_per_accelerator for row in found.rows]


@pytest.mark.parametrize("text", EXAMPLES)
def test_claims_are_the_apis(open_app: Open, text: str) -> None:
    app = open_app("claim")
    field(app.text_input, "claim").set_value(text).run()
    assert not app.exception
    boxes = [item.value for kind in (app.success, app.warning, app.info, app.error) for item in kind]
    found = examine(parse_claim(text))
    assert any(box.startswith(f"**{found.verdict}**: ") and box.endswith(plain(found.sentence)) for box in boxes)


def test_chinese_claims_are_answered_in_chinese(open_app: Open) -> None:
    app = open_app("claim", language="zh")
    assert not app.exception
    boxes = [item.value for kind in (app.success, app.warning, app.info, app.error) for item in kind]
    assert any(box.endswith(plain(examine(parse_claim(EXAMPLES_ZH[0])).sentence_zh)) for box in boxes)


def test_a_form_needs_no_words(open_app: Open) -> None:
    app = open_app("claim")
    field(app.selectbox, "claim_model").set_value("Qwen/Qwen3-32B").run()
    field(app.selectbox, "claim_machine").set_value("h100-sxm").run()
    field(app.number_input, "claim_price").set_value(1.0).run()
    field(app.selectbox, "claim_kind").set_value("output").run()
    assert not app.exception
    found = examine(Claim(model="Qwen/Qwen3-32B", accelerator="h100-sxm", usd_per_million=1.0, kind="output"))
    boxes = [item.value for kind in (app.success, app.warning, app.info, app.error) for item in kind]
    assert any(box.endswith(plain(found.sentence)) for box in boxes)


def test_a_claim_of_nothing_is_a_message(open_app: Open) -> None:
    app = open_app("claim")
    field(app.text_input, "claim").set_value("<script>alert(1)</script> is fast").run()
    assert not app.exception
    assert app.error


def test_evidence_shows_why(open_app: Open) -> None:
    app = open_app("evidence")
    best = plan(default_study()).plans[0]
    assert best.confidence
    assert len([item for item in app.markdown if item.value.startswith("- ")]) >= len(best.confidence)
    assert app.info or validation_file() is not None


def test_every_table_of_errors_by_partition_is_drawn(open_app: Open) -> None:
    file = validation_file()
    assert file is not None
    tables = file.read_text(encoding="utf-8").count("| median error | mean error |")
    app = open_app("evidence")
    charts = [json.loads(item.proto.spec) for item in app.main if item.type == "plotly_chart"]
    errors = [one for one in charts if any("median error" in str(trace.get("name")) for trace in one["data"])]
    assert tables == len(errors) > 5


def test_catalog_lists_everything(open_app: Open) -> None:
    app = open_app("catalog")
    assert len(app.dataframe[0].value) == len(load_catalog().accelerators)


def test_changing_the_model_changes_the_answer(open_app: Open) -> None:
    app = open_app("plan")
    before = metric(app, "Accelerators")
    field(app.selectbox, "model").set_value("Qwen/Qwen3-8B").run()
    assert not app.exception
    study = parse_study({**default_study().model_dump(mode="json"), "model": "Qwen/Qwen3-8B"})
    assert metric(app, "Accelerators") == str(plan(study).plans[0].accelerators) != before


def test_changing_the_context_changes_the_memory(open_app: Open) -> None:
    app = open_app("memory")
    before = metric(app, "Requests that fit at once")
    field(app.select_slider, "context").set_value(32_768).run()
    assert not app.exception
    assert metric(app, "Requests that fit at once") != before


def test_fields_make_the_study_that_they_say(open_app: Open) -> None:
    app = open_app("plan")
    field(app.selectbox, "preset").set_value("rag").run()
    field(app.number_input, "tpot_ms").set_value(40.0).run()
    field(app.slider, "headroom").set_value(20.0).run()
    study = default_study().model_dump(mode="json")
    study["workload"] = {"preset": "rag", "targets": {"ttft_p95_s": 2.0, "tpot_p95_s": 0.04, "headroom": 0.2}}
    assert app.session_state["preset"] == "custom"
    assert metric(app, "Cost per month") == usd(plan(parse_study(study)).plans[0].usd_per_month or 0)


def test_a_field_edited_and_set_back_is_the_same_study(open_app: Open) -> None:
    app = open_app("plan")
    link = app.query_params["s"]
    field(app.number_input, "rate").set_value(9.0).run()
    assert app.query_params["s"] != link
    assert not app.exception


def test_share_link_restores_everything(open_app: Open) -> None:
    study = parse_study(
        {
            "model": {"name": "mine", "config": QWEN, "context": 20_000, "weights": ["bf16"]},
            "workload": {"preset": "chat", "arrival": {"kind": "users", "users": 500, "think_s": 12.5}},
            "hardware": [{"accelerator": "h100-sxm", "usd_per_hour": 2.5, "max_accelerators": 64}, "l40s"],
            "constraints": {"max_nodes": 2, "max_plans": 7},
        }
    )
    app = open_app("plan", study=study)
    assert not app.exception and not app.error
    assert app.query_params["s"] == open_app("speed", study=study).query_params["s"]
    assert metric(app, "Cost per month") == usd(plan(study).plans[0].usd_per_month or 0)
    again = open_app("plan", link=app.query_params["s"])
    assert again.query_params["s"] == app.query_params["s"]
    assert again.session_state["users"] == 500


@pytest.mark.parametrize("link", ["rubbish", "1.AAAA", "9.AAAA"])
def test_a_bad_link_is_a_message_and_the_default(open_app: Open, link: str) -> None:
    app = open_app("plan", link=link)
    assert not app.exception
    assert app.error
    assert metric(app, "Accelerators") == str(plan(default_study()).plans[0].accelerators)


def test_inputs_survive_a_change_of_page(open_app: Open) -> None:
    app = open_app("plan", study=SMALL)
    field(app.number_input, "rate").set_value(7.0).run()
    for page in PAGES[1:]:
        on_page(app, page)
        assert not app.exception
    assert app.session_state["rate"] == 7.0
    assert app.session_state["model"] == "Qwen/Qwen3-8B"


def test_a_browser_that_says_nothing_of_its_inputs_loses_none(open_app: Open) -> None:
    """What a click on another page looks like before the browser has drawn the inputs."""
    from streamlit.proto.WidgetStates_pb2 import WidgetStates
    from streamlit.util import calc_hash

    app = open_app("plan", study=SMALL)
    field(app.number_input, "rate").set_value(7.0).run()
    link = app.query_params["s"]
    for page in PAGES[1:]:
        app._page_hash = calc_hash(page)
        app._run(WidgetStates())
        assert not app.exception and not (app.error and page != "claim")
        assert app.query_params["s"] == link, page
        assert field(app.number_input, "rate").proto.default == field(app.number_input, "rate").value == 7.0
        assert field(app.multiselect, "accelerators").value == ["h100-sxm", "l40s"]


def test_the_plan_that_was_chosen_stays_when_its_label_changes(open_app: Open) -> None:
    from streamlit.proto.WidgetStates_pb2 import WidgetState, WidgetStates

    app = open_app("speed", study=SMALL)
    before = field(app.selectbox, "shown_plan")
    before.set_value(1).run()
    field(app.number_input, "rate").set_value(40.0).run()
    assert field(app.selectbox, "shown_plan").options[1] != before.options[1]
    app._run(WidgetStates(widgets=[WidgetState(id=before.proto.id, string_value=before.options[1])]))  # as browsers do
    assert not app.exception
    assert field(app.selectbox, "shown_plan").value == app.session_state["shown_plan"] == 1


def test_an_edited_price_is_kept_and_a_new_term_has_its_own(open_app: Open) -> None:
    from streamlit.proto.WidgetStates_pb2 import WidgetState, WidgetStates

    def edit(**row: Any) -> Any:
        key = next(
            item.proto.id for item in app.sidebar if "offers@" in getattr(getattr(item, "proto", None), "id", "")
        )
        edits = json.dumps({"edited_rows": {"0": row}, "added_rows": [], "deleted_rows": []})
        app._run(WidgetStates(widgets=[WidgetState(id=key, string_value=edits)]))
        assert not app.exception and not app.error
        return share.decode(app.query_params["s"]).hardware[0]

    app = open_app("plan", study=SMALL)
    assert edit(price=1.25).usd_per_hour == 1.25
    assert edit(limit=64).max_accelerators == 64
    assert share.decode(on_page(app, "cost").query_params["s"]).hardware[0].usd_per_hour == 1.25
    offer = edit(term="reserved")
    assert (offer.term, offer.usd_per_hour, offer.max_accelerators) == ("reserved", None, 64)


def test_the_file_that_streamlit_runs_lies_beside_no_folder_of_pages() -> None:
    """Streamlit would take it for the pages of an older kind of app and rename every input after the first run."""
    from pathlib import Path

    from sizing.web.launch import arguments

    file = Path(arguments(1, "localhost", True)[1])
    assert file.is_file() and not (file.parent / "pages").exists()


def test_chinese_and_back(open_app: Open) -> None:
    app = open_app("plan")
    field(app.button_group, "language").set_value("zh").run()
    assert app.title[0].value == "部署方案"
    assert app.query_params["lang"] == "zh"


def test_upload_of_a_config(open_app: Open) -> None:
    app = open_app("plan")
    app.text_input(key="config_name").set_value("<img src=x onerror=alert(1)>").run()
    app.text_area(key="config_text").set_value(json.dumps(QWEN)).run()
    app.button(key="config_use").click().run()
    assert not app.exception and not app.error
    assert app.session_state["config"] == QWEN
    assert "<img" not in app.success[-1].value.replace("\\<", "")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"model_type": "nobody"}', '{"a":' * 50 + "1" + "}" * 50, "<b>x</b>"])
def test_bad_configs_change_nothing(open_app: Open, text: str) -> None:
    app = open_app("plan")
    link = app.query_params["s"]
    app.text_area(key="config_text").set_value(text).run()
    app.button(key="config_use").click().run()
    assert not app.exception
    assert app.error
    assert app.query_params["s"] == link


@pytest.mark.parametrize("data", [b"", b"\xff", b"a: [", BOMB.encode(), b"[" * 5000, b"model: x", b"x" * 1_100_000])
def test_bad_studies_change_nothing(open_app: Open, data: bytes) -> None:
    app = open_app("plan")
    link = app.query_params["s"]
    app.file_uploader(key="study_file").set_value(("study.yaml", data, "application/yaml")).run()
    assert not app.exception
    assert app.error
    assert app.query_params["s"] == link


def test_study_file_is_loaded(open_app: Open) -> None:
    app = open_app("plan")
    app.file_uploader(key="study_file").set_value(("study.yaml", yaml_of(SMALL).encode(), "application/yaml")).run()
    assert not app.exception and not app.error
    assert app.session_state["model"] == "Qwen/Qwen3-8B"
    assert metric(app, "Accelerators") == str(plan(SMALL).plans[0].accelerators)


@pytest.mark.parametrize("name", ["/etc/passwd", "no/such-model-anywhere", "../x", ""])
def test_bad_names_change_nothing(open_app: Open, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    app = open_app("plan")
    link = app.query_params["s"]
    app.text_input(key="hub_id").set_value(name).run()
    app.button(key="hub_use").click().run()
    assert not app.exception
    assert app.error
    assert app.query_params["s"] == link


def test_old_prices_are_flagged_on_every_page_that_shows_them(open_app: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    flag = "older than 90 days"
    for epoch, old in (("1796000000", False), ("1850000000", True)):  # 2026-11-29 and 2028-08-16
        monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
        for page, column in (("catalog", "dated"), ("cost", "dated"), ("compare", "dated")):
            app = open_app(page, study=SMALL)
            assert not app.exception
            said = [item.value for item in app.caption if "old quotes" in item.value]
            assert bool(said) == old, "the sidebar, so the plan page too"
            frame = next(item.value for item in app.dataframe if column in item.value.columns)
            cells = [str(cell) for cell in frame[column]]
            rented = cells[:1] if page == "cost" else [c for c in cells if c.startswith(("2026-09", "2026-1"))]
            assert rented and all((flag in cell) == old for cell in rented), page
        app = open_app("cost", study=SMALL)
        caption = next(item.value for item in app.caption if "rests on quotes to" in item.value)
        assert (flag in caption) == old
        dates = next(item.value for item in app.dataframe if "now" in item.value.columns)["date"]
        assert any(flag in str(cell) for cell in dates), "GPT-4 Turbo's list is old on both days"
        lists = next(item.value for item in open_app("catalog").dataframe if "provider" in item.value.columns)["date"]
        assert any(flag in str(cell) for cell in lists)


def _own(app: Any, text: str) -> Any:
    app.text_area(key="catalog_text").set_value(text).run()
    return app.button(key="catalog_use").click().run()


def own_file(**changes: Any) -> str:
    data = yaml.safe_load(entry_yaml(load_catalog().accelerators["l40s"]))
    data["accelerators"][0] |= {"id": "my-chip", "name": "My chip", "aliases": [], **changes}
    return str(yaml.safe_dump(data))


def test_an_accelerator_of_ones_own_is_offered_and_planned(open_app: Open, tmp_path: Any) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(own_file(memory_bandwidth_gb_s=2000.0))
    app = open_app("catalog", study=SMALL)
    rows = len(app.dataframe[0].value)
    _own(app, file.read_text())
    assert not app.exception and not app.error
    assert len(app.dataframe[0].value) == rows + 1
    assert app.session_state["accelerators"] == ["h100-sxm", "l40s", "my-chip"]
    on_page(app, "plan")
    assert not app.exception and not app.error
    study = share.decode(app.query_params["s"])
    assert metric(app, "Cost per month") == usd(plan(study, load_catalog(file)).plans[0].usd_per_month or 0)
    for page in ("memory", "speed", "cost", "compare", "evidence"):
        on_page(app, page)
        assert not app.exception and not app.error, page
    assert "My chip" in field(app.multiselect, "accelerators").options
    on_page(app, "catalog")
    app.button(key="catalog_forget").click().run()
    assert app.session_state["accelerators"] == ["h100-sxm", "l40s"]
    assert len(app.dataframe[0].value) == rows
    assert "my-chip" not in open_app("plan").session_state["accelerators"]


def test_a_bad_file_says_what_the_check_says_and_changes_nothing(open_app: Open, tmp_path: Any) -> None:
    file = tmp_path / "catalog.yaml"
    file.write_text(own_file(memory_bandwidth_gb_s="fast"))
    app = _own(open_app("catalog", study=SMALL), file.read_text())
    assert not app.exception
    assert [item.value for item in app.warning] == [plain(str(one)) for one in check_file(file)] != []
    assert app.session_state["accelerators"] == ["h100-sxm", "l40s"]
    for text in ("", "[", "- 1", BOMB, "accelerators: 3", "nonsense: 1", "#" * 70_000):
        _own(app, text)
        assert not app.exception
        assert app.error or app.warning or not text
        assert app.session_state["accelerators"] == ["h100-sxm", "l40s"]


def test_the_simulation_is_asked_for_and_goes_with_its_plan(open_app: Open) -> None:
    app = open_app("speed", study=SMALL)
    assert not any("sim95" in item.value.columns for item in app.dataframe)
    app.button(key="simulate").click().run()
    assert not app.exception and not app.error
    best = plan(SMALL).plans[0]
    rows = next(item.value for item in app.dataframe if "sim95" in item.value.columns)
    assert list(rows["closed"]) == [best.ttft_s.p50, best.tpot_s.p50 * 1e3, best.end_to_end_s]
    assert (rows["sim95"] > rows["sim"]).all()
    field(app.number_input, "rate").set_value(2.0).run()
    assert not any("sim95" in item.value.columns for item in app.dataframe)
