"""The report model: its shape is golden, its values are the Result's."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import pytest
import yaml

from sizing.base.errors import SizingError, UnknownNameError
from sizing.model.counts import kv_bytes
from sizing.model.sources import load_model
from sizing.planning.planner import plan
from sizing.report import build
from sizing.report.json_form import json_text, schema_text
from sizing.report.text import language_of
from sizing.study import parse_study

GOLDEN = Path(__file__).parent / "golden" / "shape.json"


def shape(model):
    """Sections, blocks, columns and cost lines, without figures."""
    sections = {}
    for section in model.sections:
        blocks = []
        for block in section.blocks:
            item = {"block": block.block}
            if block.block != "text" and getattr(block, "id", ""):
                item["id"] = block.id
            if block.block == "table":
                item["columns"] = [[c.key, c.title, c.unit, c.kind] for c in block.columns]
            if block.block == "chart":
                item |= {"title": block.title, "x": block.x_label, "y": block.y_label}
            if block.block == "figures":
                item["figures"] = [[f.key, f.label, f.unit if f.key != "accelerators" else ""] for f in block.figures]
            blocks.append(item)
        sections[section.id] = {"title": section.title, "blocks": blocks}
    sheet = model.cost_sheet
    return {
        "sections": sections,
        "inputs": [item.name for item in sheet.inputs],
        "formulas": [[item.name, item.formula] for item in sheet.formulas],
    }


def test_golden_shape(model, model_zh, request):
    made = {"en": shape(model), "zh": shape(model_zh)}
    text = json.dumps(made, indent=1, ensure_ascii=False) + "\n"
    if not GOLDEN.exists():
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(text, encoding="utf-8")
    assert json.loads(GOLDEN.read_text(encoding="utf-8")) == json.loads(text)


def test_sections_in_order(model):
    assert [section.id for section in model.sections] == [
        "summary", "workload", "model", "configuration", "memory", "speed", "cost", "alternatives", "risks", "sources",
        "appendix",
    ]  # fmt: skip


def test_values_are_the_results(model, result):
    best = result.best
    speed = {row[0]: row[1:4] for row in model.table("speed").rows}
    assert speed["Output tokens per second, all replicas"] == tuple(best.output_tokens_per_s.to_dict().values())
    assert speed["Time per output token, mean"] == pytest.approx([1e3 * v for v in best.tpot_s.to_dict().values()])
    plans = model.table("plans")
    hour = [column.key for column in plans.columns].index("usd_hour")
    assert [row[hour] for row in plans.rows] == [item.usd_per_hour for item in result.plans]
    memory = model.chart("memory")
    weights = next(series for series in memory.series if series.key == "weights")
    assert weights.y[0] == best.memory_gib["weights"]
    assert sum(series.y[0] for series in memory.series) == pytest.approx(best.memory_gib["usable"])


def test_kv_chart_reaches_128k(model):
    series = next(item for item in model.chart("kv").series if item.key == "bf16")
    assert series.x[-1] >= 131_072
    assert series.y[-1] == pytest.approx(kv_bytes(load_model("qwen3-235b-a22b"), series.x[-1], 2.0) / 2**30, rel=1e-5)


def test_interactivity_falls_as_throughput_rises(model):
    curve = model.chart("speed").series[0]
    assert list(curve.x) == sorted(curve.x, reverse=True)
    assert curve.low and all(low < y < high for low, y, high in zip(curve.low, curve.y, curve.high, strict=True))


def test_cost_sheet_starts_equal_to_the_result(model, result):
    lines = {line.name: line.value for line in model.cost_sheet.formulas}
    assert lines["out_usd_per_hour"] == result.best.usd_per_hour
    assert lines["out_usd_per_million_output"] == result.best.cost["usd_per_million_output_tokens"].p50


def test_both_languages_have_the_same_keys():
    texts = {}
    for language in ("en", "zh"):
        text = (resources.files("sizing.report") / f"messages_{language}.yaml").read_text(encoding="utf-8")
        texts[language] = yaml.safe_load(text)
    assert texts["en"].keys() == texts["zh"].keys()
    for key, text in texts["en"].items():
        fields = sorted(part.split("}")[0] for part in text.split("{")[1:])
        assert fields == sorted(part.split("}")[0] for part in texts["zh"][key].split("{")[1:]), key


def test_published_schema_is_current_and_kept(model):
    published = (resources.files("sizing.report") / "schema.json").read_text(encoding="utf-8")
    assert published == schema_text(), "write it again: sizing.report.json_form.schema_text()"
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.validate(json.loads(json_text(model)), json.loads(published))


def test_json_reads_back(model):
    from sizing.report.model import ReportModel

    assert ReportModel.model_validate_json(json_text(model)) == model


def test_no_plan_still_reports():
    study = parse_study(
        {
            "model": "qwen3-235b-a22b",
            "workload": "chat",
            "hardware": [{"accelerator": "h100-sxm", "max_accelerators": 1}],
        }
    )
    empty = build(plan(study), "en", "2026-11-24")
    assert empty.cost_sheet is None
    assert "No plan" in empty.section("summary").blocks[0].text
    assert empty.table("rejected").rows


def test_owned_hardware_has_its_ledger():
    study = parse_study({"model": "qwen3-32b", "workload": "chat", "hardware": ["h100-sxm"], "money": {"mode": "own"}})
    made = build(plan(study), "en", "2026-11-24")
    assert {row[0] for row in made.table("ownership").rows} >= {"capital", "electricity", "hosting"}
    assert any(line.name == "out_price_hour" for line in made.cost_sheet.formulas)


def test_old_prices_are_flagged(result):
    old = build(result, "en", "2030-01-01").table("prices")
    age = [column.key for column in old.columns].index("age")
    assert all(row[age] == "older than 90 days" for row in old.rows)


def test_dates_and_languages():
    assert language_of("Chinese") == language_of("zh-CN") == "zh"
    with pytest.raises(UnknownNameError):
        language_of("klingon")


def test_bad_date(result):
    with pytest.raises(SizingError, match="not a date"):
        build(result, "en", "tomorrow")
