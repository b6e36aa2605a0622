"""A planned rank in the simulator: same step times as the closed form, and near to what it says at a moderate load."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sizing.base.errors import SizingError
from sizing.engine.placement import Placement
from sizing.memory.ledger import memory_ledger
from sizing.planning.estimate import batching_of
from sizing.planning.planner import plan, study_model
from sizing.planning.simulation import ModelStepTimes, simulate_rank
from sizing.planning.target import resolve_target
from sizing.step.operations import StepShape
from sizing.study import parse_study

STUDY = parse_study({"model": "Qwen/Qwen3-8B", "workload": "chat", "hardware": ["h100-sxm"]})


@pytest.fixture(scope="module")
def rank():
    item = plan(STUDY).plans[0]
    target = resolve_target(
        study_model(STUDY), item.accelerator, engine=item.engine, weights=item.weights, kv_dtype=item.kv_dtype
    )
    place = Placement(**item.placement)
    ledger = memory_ledger(
        target.arch, target.accelerator.usable_bytes, place, target.engine, target.scheme,
        device_name=target.accelerator.id, kv_dtype=target.kv,
    )  # fmt: skip
    return item, target, place, ledger, batching_of(target, ledger.load.max_num_batched_tokens)


def test_step_times_are_the_step_models(rank):
    _, target, place, _, batching = rank
    steps = ModelStepTimes(target.step, place, replace(batching, marginal=1.0))
    decode = target.step.seconds(StepShape(decode_seqs=8.0, decode_context=1000.0), place)
    alone = target.step.seconds(StepShape(prefill_tokens=512.0, prefill_past=100.0), place)
    mixed = target.step.seconds(
        StepShape(decode_seqs=8.0, decode_context=1000.0, prefill_tokens=512.0, prefill_past=100.0), place
    )
    found = steps.step_seconds(np.array([8.0, 0.0, 8.0]), 1000.0, np.array([0.0, 512.0, 512.0]), 100.0 + 256.0)
    assert found == pytest.approx([decode, alone, mixed], rel=1e-9)
    assert steps.step_seconds(8.0, 1000.0, 0.0, 0.0) == pytest.approx(decode, rel=1e-12)


def test_simulation_is_near_the_closed_form(rank):
    item, target, place, ledger, batching = rank
    rate = item.rate_per_replica / place.dp
    found = simulate_rank(
        target, place, ledger.load, batching, ledger.kv_pool_tokens, STUDY.workload, rate, requests=3000
    )
    assert found.completed == 3000
    assert found.mean("tpot_s") == pytest.approx(item.tpot_s.p50, rel=0.25)
    assert found.mean("e2e_s") == pytest.approx(item.end_to_end_s, rel=0.25)
    assert found.mean_running == pytest.approx(item.batch_per_rank, rel=0.25)
    busier = simulate_rank(
        target, place, ledger.load, batching, ledger.kv_pool_tokens, STUDY.workload, 1.5 * rate, requests=3000
    )
    assert busier.mean("tpot_s") > found.mean("tpot_s")


def test_pipelines_are_refused(rank):
    _, target, _, ledger, batching = rank
    with pytest.raises(SizingError, match="pipeline"):
        simulate_rank(target, Placement(pp=2), ledger.load, batching, 100_000, STUDY.workload, 1.0)
