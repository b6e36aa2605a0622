"""The example studies, their reproduction byte for byte, and the schema in step with the program."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from sizing.planning.planner import plan
from sizing.study import load_study, parse_study

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))


def document(path):
    answer = plan(load_study(path))
    return answer, json.dumps(answer.to_dict(), sort_keys=True, default=str)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_has_a_plan_and_repeats(path):
    answer, text = document(path)
    assert answer.best is not None
    assert document(path)[1] == text
    study = load_study(path)
    assert parse_study(study.model_dump(mode="json")) == study


def test_bytes_are_the_same_in_another_process():
    path = ROOT / "examples" / "deepseek-r1-8xh200.yaml"
    texts = set()
    for seed in ("1", "2"):
        env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "sizing", "plan", str(path), "--json"]
        texts.add(subprocess.run(command, env=env, capture_output=True, check=True).stdout)
    assert len(texts) == 1


def test_schema_file_is_what_the_program_says():
    made = runpy.run_path(str(ROOT / "benchmarks" / "make_schema.py"))["render"]()
    assert (ROOT / "docs" / "study.schema.json").read_text(encoding="utf-8") == made, "run benchmarks/make_schema.py"


def test_long_context_needs_awq_on_one_a100():
    answer = plan(load_study(ROOT / "examples" / "qwen3-32b-128k-a100.yaml"))
    assert {item.weights for item in answer.plans} == {"int4_awq"}
    assert any(item.code == "no_memory" and "bf16" in item.candidate for item in answer.rejected)


def test_rumour_is_marked():
    answer = plan(load_study(ROOT / "examples" / "r2-rumour.yaml"))
    assert answer.model["hypothetical"]
    assert any("HYPOTHETICAL" in text for text in answer.assumptions)
