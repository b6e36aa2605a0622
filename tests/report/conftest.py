from __future__ import annotations

import pytest

from sizing.planning.planner import plan
from sizing.report import build
from sizing.study import parse_study

STUDY = {
    "title": "Qwen3-235B-A22B for 500 users",
    "model": "qwen3-235b-a22b",
    "workload": {"preset": "chat", "arrival": {"kind": "users", "users": 500, "think_s": 30.0}},
    "hardware": ["h100-sxm", "ascend-910b"],
}
DATE = "2026-11-24"


@pytest.fixture(scope="session")
def result():
    return plan(parse_study(STUDY))


@pytest.fixture(scope="session")
def model(result):
    return build(result, "en", DATE)


@pytest.fixture(scope="session")
def model_zh(result):
    return build(result, "zh", DATE)


def with_text(result, text):
    """The result with ``text`` wherever a user's text can stand."""
    import dataclasses

    workload = result.study.workload.model_copy(update={"name": text[:200], "source": text})
    study = result.study.model_copy(update={"title": text, "workload": workload})
    plans = tuple(dataclasses.replace(item, assumptions=(text,)) for item in result.plans)
    return dataclasses.replace(result, study=study, plans=plans, assumptions=(text,))
