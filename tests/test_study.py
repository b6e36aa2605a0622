"""The study document: round trips, short forms, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sizing.base.errors import SizingError
from sizing.study import Study, load_study, parse_study, parse_yaml, quick_study

FULL = """
version: 1
title: a chat service
model: {name: Qwen/Qwen3-32B, weights: [fp8], context: 16384}
workload:
  name: chat
  input: {kind: fixed, value: 2000}
  output: {kind: fixed, value: 300}
  arrival: {kind: users, users: 200, think_s: 20}
  prefix_cache_hit_rate: 0.3
  targets: {ttft_p95_s: 2, tpot_p95_s: 0.05, headroom: 0.2, spare_replicas: 1}
hardware:
  - {accelerator: h100-sxm, usd_per_hour: 2.5, max_accelerators: 64}
  - l40s
engine: {names: [vllm], speculative: off}
money: {mode: own, own: {years: 3}}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "study.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_round_trip(tmp_path: Path) -> None:
    study = load_study(write(tmp_path, FULL.replace("speculative: off", "speculative: 'off'")))
    again = load_study(write(tmp_path, study.to_yaml()))
    assert again == study and again.key == study.key
    (tmp_path / "study.json").write_text(study.to_json())
    assert load_study(tmp_path / "study.json") == study
    assert study.workload.targets.spare_replicas == 1
    assert study.hardware[1].accelerator == "l40s"


@pytest.mark.parametrize(
    "arrival",
    [
        {"kind": "rate", "requests_per_s": 1.0},
        {"kind": "rate", "requests_per_s": 3.0, "burstiness": 0.5, "rate_is": "mean"},
        {"kind": "users", "users": 5, "think_s": 3},
        {"kind": "concurrency", "concurrency": 5},
        {"kind": "batch", "requests": 1000},
    ],
)
def test_every_kind_of_arrival_survives_a_round_trip(arrival: dict[str, object]) -> None:
    study = parse_study({**BASE, "workload": {"preset": "chat", "arrival": arrival}})
    assert parse_study(parse_yaml(study.to_yaml())) == study
    assert parse_study(json.loads(study.to_json())) == study


def test_the_key_follows_the_content() -> None:
    one = quick_study("m", input_tokens=10, output_tokens=5, rate=1, on=["a"])
    assert one.key == quick_study("m", input_tokens=10, output_tokens=5, rate=1, on=["a"]).key
    assert one.key != quick_study("m", input_tokens=10, output_tokens=6, rate=1, on=["a"]).key


def test_short_forms() -> None:
    study = parse_study({"model": "Qwen/Qwen3-8B", "workload": "chat", "hardware": ["h100-sxm"]})
    assert study.model.name == "Qwen/Qwen3-8B" and study.workload.name
    other = parse_study(
        {"model": "m", "workload": {"preset": "chat", "prefix_cache_hit_rate": 0.25}, "hardware": ["h100-sxm"]}
    )
    assert other.workload.prefix_cache_hit_rate == 0.25
    assert other.workload.input == study.workload.input


@pytest.mark.parametrize(("word", "is_read_as"), [("on", "on"), ("off", "off"), ("'on'", "on"), ("try", "try")])
def test_a_switch_needs_no_quotes(tmp_path: Path, word: str, is_read_as: str) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(f"model: m\nworkload: chat\nhardware: [h100-sxm]\nengine: {{disaggregated: {word}}}\n")
    assert load_study(file).engine.disaggregated == is_read_as


BASE = {"model": "m", "workload": "chat", "hardware": ["h100-sxm"]}


@pytest.mark.parametrize(
    ("change", "key", "says"),
    [
        ({"modle": 1}, "modle", "model"),
        ({"engine": {"nams": []}}, "engine.nams", "names"),
        ({"version": 2}, "version", "1"),
        ({"hardware": []}, "hardware", "at least 1"),
        ({"hardware": [{"accelerator": "a", "usd_per_hour": float("nan")}]}, "usd_per_hour", "finite"),
        ({"hardware": [{"accelerator": "a", "usd_per_hour": -1}]}, "usd_per_hour", "greater than or equal to 0"),
        ({"hardware": [7]}, "hardware", ""),
        ({"model": {"name": ""}}, "model.name", "at least 1"),
        ({"model": {"name": "m", "context": 0}}, "model.context", "greater"),
        ({"workload": "chatt"}, "workload", "chat"),
        ({"workload": {"preset": "chat", "targets": {"headroom": 1}}}, "headroom", "less than 1"),
        ({"constraints": {"max_nodes": 65}}, "max_nodes", "64"),
        ({"engine": {"draft_tokens": "many"}}, "draft_tokens", "integer"),
        ({"engine": {"speculative": 1}}, "engine.speculative", "'try'"),
        ({"engine": 3}, "engine", "mapping of keys, not 3"),
        ({"workload": {"preset": "chat", "input": 500}}, "workload.input", "{kind: fixed, value: 1000}"),
        ({"money": {"own": {"years": 0}}}, "years", "greater than 0"),
    ],
)
def test_a_wrong_key_or_value_is_named(change: dict[str, object], key: str, says: str) -> None:
    with pytest.raises(SizingError) as caught:
        parse_study({**BASE, **change})
    assert key in str(caught.value) and says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [None, [], "text", 5, {}])
def test_what_is_no_study(data: object) -> None:
    with pytest.raises(SizingError):
        parse_study(data)


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(8)
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (BOMB, "aliases"),
        ("a: !!python/object/apply:os.system ['true']", "not valid YAML"),
        ("a: !own b", "not valid YAML"),
        ("[" * 100 + "]" * 100, "nested"),
        ("a: [1", "line"),
        ("a: b: c", "line 1"),
        ("\tx: 1", "line 1"),
        ("x: " + "y" * 1_000_001, "larger"),
        ("a: 2024-13-45", "not valid"),
    ],
)
def test_yaml_that_is_refused(text: str, says: str) -> None:
    with pytest.raises(SizingError, match=says):
        parse_yaml(text)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SizingError, match="no such file"):
        load_study(tmp_path / "none.yaml")
    with pytest.raises(SizingError, match="read"):
        load_study(tmp_path)
    (tmp_path / "bad.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SizingError, match="read"):
        load_study(tmp_path / "bad.yaml")
    (tmp_path / "big.yaml").write_text("#" * 1_000_001)
    with pytest.raises(SizingError, match="larger"):
        load_study(tmp_path / "big.yaml")


def test_the_json_schema_knows_every_part() -> None:
    schema = Study.json_schema()
    json.dumps(schema)
    assert {"model", "workload", "hardware", "engine", "constraints", "money"} <= set(schema["properties"])
