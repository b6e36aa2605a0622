"""A plan carries the target that it was computed on, and every face reads that one."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

import sizing
from sizing.base.errors import SizingError
from sizing.planning.materials import bill_of_materials
from sizing.report.assemble import report_model
from sizing.study import parse_study

STUDY = parse_study(
    {
        "model": {"name": "Qwen/Qwen3-8B", "weights": ["q4_k_m"]},
        "workload": {"preset": "chat", "arrival": {"kind": "rate", "requests_per_s": 0.1}},
        "hardware": ["rtx-4090"],
        "engine": {"names": ["llama.cpp"]},
    }
)


def test_a_mix_stays_the_mix_in_every_face() -> None:
    answer = sizing.plan(STUDY)
    best = answer.best
    assert best is not None and best.target is not None
    assert best.resolved.scheme.name == best.weights == "q4_k_m"
    weights = next(line for line in bill_of_materials(best, STUDY).lines if line.name == "weights")
    assert weights.formula.endswith("in q4_k_m") and weights.quantity < 0.006  # TB; 16.4 GB in 16 bits
    assert report_model(answer)
    assert "target" not in best.to_dict() and json.dumps(best.to_dict())


def test_workers_send_no_target_back() -> None:
    with ThreadPoolExecutor(2) as pool:
        apart = sizing.plan(STUDY, executor=pool)
    assert apart.best == sizing.plan(STUDY).best
    assert all(item.target is not None for item in apart.plans)


def test_a_plan_of_elsewhere_is_refused_in_words() -> None:
    best = sizing.plan(STUDY).best
    assert best is not None
    with pytest.raises(SizingError, match=r"sizing\.plan"):
        _ = replace(best, target=None).resolved
