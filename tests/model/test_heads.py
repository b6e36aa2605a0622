"""Heads by class: sequence and token classifiers, question answering, reward models, bare models.

``tests/data/heads.json``: small configs of 30 families and the parameters that transformers 5.24.0 counts on the meta device
for each class (AutoModelFor...from_config, sum of ``numel`` over ``parameters()``; num_labels 3).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sizing.base.errors import ConfigError
from sizing.model.config import parse_config
from sizing.model.counts import params_report
from tests.model.test_config import LLAMA

CASES = json.loads((Path(__file__).parents[1] / "data" / "heads.json").read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["config"]["model_type"])
def test_every_class_counts_what_the_modelling_code_builds(case: dict[str, Any]) -> None:
    found = {name: parse_config({**case["config"], "architectures": [name]}).total for name in case["totals"]}
    assert found == case["totals"]


def classifier(name: str, **keys: Any) -> int:
    arch = parse_config({**LLAMA, "architectures": [name], **keys})
    return arch.total - parse_config({**LLAMA, "architectures": ["LlamaModel"]}).total


def test_labels_come_from_id2label_then_num_labels_then_two() -> None:
    hidden = LLAMA["hidden_size"]
    name = "LlamaForSequenceClassification"
    assert classifier(name) == 2 * hidden
    assert classifier(name, num_labels=1) == hidden
    assert classifier(name, id2label={"0": "LABEL_0"}) == hidden
    assert classifier(name, num_labels=9, id2label={str(i): "x" for i in range(5)}) == 5 * hidden
    assert classifier("LlamaForTokenClassification", num_labels=7) == 7 * (hidden + 1)
    assert classifier("LlamaForQuestionAnswering", num_labels=7) == 2 * (hidden + 1)


def test_reward_models() -> None:
    hidden = LLAMA["hidden_size"]
    between = hidden * hidden + hidden
    assert classifier("Qwen2ForRewardModel") == between + hidden + 1
    assert classifier("Qwen2ForProcessRewardModel", num_labels=2) == between + 2 * (hidden + 1)
    assert classifier("InternLM2ForRewardModel") == hidden
    with pytest.raises(ConfigError, match="OddForRewardModel"):
        classifier("OddForRewardModel")


@pytest.mark.parametrize("bad", [0, -1, 1.5, "3", True, 10**9])
def test_labels_that_are_none_are_refused(bad: object) -> None:
    with pytest.raises(ConfigError, match="num_labels"):
        classifier("LlamaForSequenceClassification", num_labels=bad)


def test_the_report_shows_the_head_of_its_own() -> None:
    config = {**LLAMA, "architectures": ["LlamaForSequenceClassification"], "num_labels": 3}
    arch = parse_config(config)
    report = params_report(arch)
    assert isinstance(components := report["components"], dict)
    assert components["lm_head"] == 3 * LLAMA["hidden_size"]
    assert report["active_without_embeddings"] == arch.total - arch.embedding - components["lm_head"]
