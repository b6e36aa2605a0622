"""Plan and estimate wait by one algebra; the simulator judges the first plans."""

from __future__ import annotations

import random

import pytest

import sizing
from sizing.base.arrays import scalar
from sizing.planning.planner import plan
from sizing.study import parse_study

MODELS = ("Qwen/Qwen3-8B", "Qwen/Qwen3-32B", "Qwen/Qwen3-30B-A3B", "meta-llama/Llama-3.1-8B")


def study(model: str, accelerator: str, given: int, wanted: int, arrival: dict, **more):
    bounds = {"pipeline_parallel": [1], **more.pop("constraints", {})}
    workload = {"input": {"kind": "fixed", "value": given}, "output": {"kind": "fixed", "value": wanted}}
    workload |= {"arrival": arrival, **more.pop("workload", {})}
    data = {"model": {"name": model, "weights": ["bf16"]}, "workload": workload, "hardware": [accelerator]}
    return parse_study({**data, "constraints": bounds, **more})


def draws() -> list[tuple[str, str, int, int, int]]:
    rng = random.Random(13)
    return [
        (rng.choice(MODELS), rng.choice(("h100-sxm", "a100-80gb-sxm", "l40s", "ascend-910b2")),
         int(10 ** rng.uniform(1.5, 4)), int(10 ** rng.uniform(0.5, 3.3)), int(10 ** rng.uniform(0, 2.5)))
        for _ in range(12)
    ]  # fmt: skip


def estimate_of(item, model: str, given: int, wanted: int, **load: float):
    return sizing.estimate(
        model, item.accelerator, sizing.Placement(**item.placement), input_tokens=given, output_tokens=wanted,
        engine=item.engine, weights=item.weights, kv_dtype=item.kv_dtype, **load,
    )  # fmt: skip


@pytest.mark.parametrize(("model", "accelerator", "given", "wanted", "amount"), draws())
def test_a_closed_plan_gives_the_figures_of_an_estimate(model, accelerator, given, wanted, amount) -> None:
    answer = plan(study(model, accelerator, given, wanted, {"kind": "concurrency", "concurrency": amount}))
    assert answer.plans, answer.rejected
    for item in answer.plans[:6]:
        found = estimate_of(item, model, given, wanted, concurrency=item.concurrency_per_replica)
        assert item.ttft_s.p50 == pytest.approx(scalar(found.steady.ttft_s), rel=0.01)
        assert item.tpot_s.p50 == pytest.approx(scalar(found.steady.tpot_s), rel=0.01)
        assert item.rate_per_replica == pytest.approx(scalar(found.steady.requests_per_s), rel=0.01)
        assert item.concurrency_per_replica * item.replicas == pytest.approx(amount, rel=1e-6)


@pytest.mark.parametrize(("model", "accelerator", "given", "wanted", "amount"), draws()[:8])
def test_plan_and_estimate_agree_at_an_equal_rate(model, accelerator, given, wanted, amount) -> None:
    answer = plan(study(model, accelerator, given, wanted, {"kind": "rate", "requests_per_s": amount / 10}))
    assert answer.plans, answer.rejected
    for item in answer.plans[:4]:
        found = estimate_of(item, model, given, wanted, rate=item.rate_per_replica)
        assert item.tpot_s.p50 == pytest.approx(scalar(found.steady.tpot_s), rel=0.02)
        assert item.ttft_s.p50 == pytest.approx(scalar(found.steady.ttft_s), rel=0.02)


def test_offline_work_is_a_closed_loop_at_its_best() -> None:
    item = plan(study("Qwen/Qwen3-8B", "h100-sxm", 1000, 200, {"kind": "batch", "requests": 5000})).plans[0]
    found = estimate_of(item, "Qwen/Qwen3-8B", 1000, 200, concurrency=item.concurrency_per_replica)
    assert item.rate_per_replica == pytest.approx(scalar(found.steady.requests_per_s), rel=0.01)


CHAT = {"model": "Qwen/Qwen3-8B", "workload": "chat", "hardware": ["h100-sxm", "l4"]}


def test_the_first_plans_are_simulated_and_say_so() -> None:
    answer = plan(parse_study(CHAT))
    first = [item for item in answer.plans if item.checked is not None]
    assert len(first) >= 3
    assert all(item.checked["verdict"] == "meets" for item in first[:3])
    assert first[0].to_dict()["checked"]["ttft_p95_s"] > 0
    assert any("simulated" in said for said in answer.assumptions)
    assert plan(parse_study(CHAT)).plans[0].checked == first[0].checked  # seeded
    assert all(item.checked is None for item in plan(parse_study(CHAT), simulate=False).plans)


def test_a_plan_that_misses_its_targets_in_the_simulator_stands_last() -> None:
    plain = plan(parse_study(CHAT), simulate=False).plans[0]
    known = plan(parse_study(CHAT)).plans[0].checked
    assert known is not None
    # A target between the closed form and the simulation, where the closed form is the lower.
    for name, closed in (("tpot_p95_s", plain.tpot_p95_s), ("ttft_p95_s", plain.ttft_p95_s)):
        if closed * 1.01 < known[name]:
            bound = (closed + known[name]) / 2
            tight = parse_study({**CHAT, "workload": {"preset": "chat", "targets": {name: bound}}})
            order = [item.checked["verdict"] for item in plan(tight).plans if item.checked]
            assert order == sorted(order, key=lambda verdict: verdict == "misses")
            return
    pytest.skip("the closed form is nowhere below the simulation here")


@pytest.mark.parametrize("accelerator", ["h100-sxm", "a100-80gb-sxm"])
def test_one_token_outputs_have_plans_and_no_decode(accelerator: str) -> None:
    asked = study(
        "Qwen/Qwen3-8B",
        accelerator,
        512,
        1,
        {"kind": "rate", "requests_per_s": 20},
        workload={"targets": {"ttft_p95_s": 1}},
    )
    answer = plan(asked)
    assert answer.plans, answer.rejected
    assert answer.plans[0].tpot_s.p50 == 0.0 and answer.plans[0].tpot_p95_s == 0.0
    assert answer.plans[0].bottleneck.startswith("prefill")
    found = sizing.estimate("Qwen/Qwen3-8B", accelerator, input_tokens=512, output_tokens=1, rate=5.0)
    assert found.bottleneck.startswith("prefill")
