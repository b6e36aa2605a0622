"""The planner: the best plan is what a single estimate says, and every loser has a reason."""

from __future__ import annotations

import pytest

from sizing.base.errors import SizingError, UnknownNameError
from sizing.engine.placement import Placement
from sizing.planning.estimate import estimate, gained_tokens
from sizing.planning.planner import pareto_front, plan
from sizing.report.text import Messages
from sizing.study import Study, parse_study, quick_study


def study(rate: float = 2.0, on: tuple[str, ...] = ("h100-sxm",), model: str = "Qwen/Qwen3-32B", **parts) -> Study:
    return quick_study(model, input_tokens=2000, output_tokens=500, rate=rate, on=on, **parts)


@pytest.fixture(scope="module")
def answer():
    return plan(study(on=("h100-sxm", "a100-80gb-sxm", "l40s")))


def test_plans_carry_the_demand(answer) -> None:
    assert answer.plans
    for item in answer.plans:
        assert item.requests_per_s == pytest.approx(2.0, rel=0.03)
        assert item.rate_per_replica <= item.max_rate_per_replica * 1.01
        assert 0 < item.utilization <= 1
        assert item.accelerators % item.replicas == 0
        assert sum(v for k, v in item.memory_gib.items() if k != "usable") <= item.memory_gib["usable"] * 1.001
        assert item.ttft_p95_s >= item.ttft_s.p50 * 0.999
        assert item.bottleneck and item.binding


def test_best_first_and_pareto(answer) -> None:
    costs = [item.usd_per_hour for item in answer.plans]
    assert costs == sorted(costs)
    front = answer.pareto
    assert [p.tpot_s.p50 for p in front] == sorted((p.tpot_s.p50 for p in front), reverse=True)
    dollars = [round(p.cost["usd_per_million_tokens"].p50, 9) for p in front]
    assert dollars == sorted(dollars)
    for item in answer.plans:
        assert not all(
            item.cost["usd_per_million_output_tokens"].p50 < p.cost["usd_per_million_output_tokens"].p50
            and item.tpot_s.p50 < p.tpot_s.p50
            for p in front
        )
    assert pareto_front([]) == []


def test_the_plan_and_the_estimate_agree(answer) -> None:
    """Two forms of the steady state (open and closed): the same machine, step times and cost, within some percent."""
    best = answer.best
    one = estimate(
        "Qwen/Qwen3-32B", best.accelerator, Placement(**best.placement), input_tokens=2000, output_tokens=500,
        rate=best.rate_per_replica, weights=best.weights, kv_dtype=best.kv_dtype, engine=best.engine,
    )  # fmt: skip
    assert one.latency["tpot_s"].p50 == pytest.approx(best.tpot_s.p50, rel=0.15)
    assert one.memory.weights_bytes / 2**30 == pytest.approx(best.memory_gib["weights"])
    assert one.usd_per_hour == pytest.approx(best.usd_per_hour / best.replicas)
    assert one.cost is not None
    total = best.cost["usd_per_million_tokens"].p50
    assert float(one.cost.usd_per_million_tokens) == pytest.approx(total, rel=0.05)


def test_dearer_price_never_a_cheaper_plan() -> None:
    data = study().model_dump()
    offers = [[{"accelerator": "h100-sxm", "usd_per_hour": usd}] for usd in (1.0, 2.0, 4.0)]
    found = [plan(parse_study({**data, "hardware": offer})).best.usd_per_hour for offer in offers]
    assert found == sorted(found) and found[2] == pytest.approx(4 * found[0])


def test_more_demand_never_costs_less() -> None:
    costs = [plan(study(rate)).best.usd_per_hour for rate in (0.1, 1, 10, 100)]
    assert costs == sorted(costs)


def test_tighter_targets_never_cost_less() -> None:
    costs = [
        plan(study(10.0, workload={"targets": {"tpot_p95_s": bound}})).best.usd_per_hour for bound in (0.2, 0.05, 0.025)
    ]
    assert costs == sorted(costs)


def test_targets_that_nothing_meets_are_told() -> None:
    found = plan(study(workload={"targets": {"tpot_p95_s": 1e-4}}))
    assert found.best is None
    assert "tpot_target" in {item.code for item in found.rejected}
    found = plan(study(workload={"targets": {"ttft_p95_s": 1e-4}}))
    assert "ttft_target" in {item.code for item in found.rejected}


def test_reasons() -> None:
    found = plan(study(on=("h100-sxm",), model="deepseek-ai/DeepSeek-V3"))
    assert found.best is None and {item.code for item in found.rejected} >= {"no_memory"}
    few = {**study(200.0).model_dump(), "hardware": [{"accelerator": "h100-sxm", "max_accelerators": 2}]}
    assert "too_many_accelerators" in {item.code for item in plan(parse_study(few)).rejected}
    fp8 = {
        **study().model_dump(),
        "model": {"name": "Qwen/Qwen3-32B", "weights": ["nvfp4"]},
        "hardware": ["ascend-910b2"],
    }
    assert {item.code for item in plan(parse_study(fp8)).rejected} == {"does_not_run"}


def test_spares_and_headroom() -> None:
    base = plan(study(20.0)).best
    spare = plan(study(20.0, workload={"targets": {"spare_replicas": 1}})).best
    assert spare.accelerators > base.accelerators and spare.spare_replicas == 1
    roomy = plan(study(20.0, workload={"targets": {"headroom": 0.5}})).best
    assert roomy.accelerators >= base.accelerators and roomy.utilization <= 0.5


def test_the_winner_says_what_its_cost_hangs_on(answer) -> None:
    found = answer.best.sensitivities
    assert found["price +10%"] == pytest.approx(0.1)
    assert found["memory bandwidth +10%"] <= 0 and found["compute +10%"] <= 0 and found["context +10%"] > 0


@pytest.mark.parametrize(
    "arrival",
    [{"kind": "users", "users": 100, "think_s": 10}, {"kind": "concurrency", "concurrency": 64},
     {"kind": "batch", "requests": 100_000}],
)  # fmt: skip
def test_other_kinds_of_arrival(arrival) -> None:
    data = study().model_dump()
    data["workload"]["arrival"] = arrival
    best = plan(parse_study(data)).best
    assert best is not None and best.requests_per_s > 0


def test_owning() -> None:
    data = {**study().model_dump(), "money": {"mode": "own", "own": {"server_usd": 300_000}}}
    best = plan(parse_study(data)).best
    assert best is not None and 1.0 < best.usd_per_accelerator_hour < 4.0
    assert any("owning, capital" in text for text in best.assumptions)


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"hardware": ["h1000"]}, "h1000"),
        ({"engine": {"names": ["vlm"]}}, "vlm"),
        ({"model": {"name": "Qwen/Qwen3-32B", "weights": ["fp88"]}}, "fp88"),
        ({"model": {"name": "Qwen/Qwen3-32B", "kv_dtype": ["bf61"]}}, "bf61"),
        ({"model": {"name": "Qwen/Qwen3-23B"}}, "Qwen3-23B"),
    ],
)
def test_unknown_names_are_errors_and_no_reasons(change, wrong: str) -> None:
    with pytest.raises(UnknownNameError, match=wrong):
        plan(parse_study({**study().model_dump(), **change}))


def test_beyond_the_context() -> None:
    data = {**study().model_dump(), "model": {"name": "Qwen/Qwen3-32B", "context": 200_000}}
    with pytest.raises(SizingError, match="131,072"):
        plan(parse_study(data))


def test_an_inline_config() -> None:
    config = {
        "model_type": "llama", "hidden_size": 2048, "num_hidden_layers": 16, "num_attention_heads": 16,
        "num_key_value_heads": 8, "intermediate_size": 8192, "vocab_size": 32000, "max_position_embeddings": 8192,
    }  # fmt: skip
    found = plan(parse_study({**study().model_dump(), "model": {"name": "mine", "config": config}}))
    assert found.model["model"] == "mine" and found.best is not None


def test_a_target_that_is_not_planned_with_is_said() -> None:
    data = study().model_dump()
    data["workload"]["targets"]["goodput_share"] = 0.9
    said = [text for text in plan(parse_study(data)).assumptions if "goodput_share" in text]
    assert said and not any("goodput_share" in text for text in plan(study()).assumptions)
    assert "goodput_share" in Messages("zh").phrase(said[0]) and Messages("zh").phrase(said[0]) != said[0]


def test_a_plan_with_images_says_what_they_add() -> None:
    study = parse_study(
        {
            "model": "Qwen/Qwen2.5-VL-7B-Instruct",
            "workload": {
                "input": {"kind": "fixed", "value": 500},
                "output": {"kind": "fixed", "value": 100},
                "images": {"per_request": 2, "width": 1008, "height": 1008},
                "arrival": {"kind": "rate", "requests_per_s": 1},
            },
            "hardware": ["h100-sxm"],
        }
    )
    # patches of 14 pixels, merged two by two: 36 x 36 tokens an image
    assert any(text.startswith("images add 2,592 tokens") for text in plan(study).assumptions)


def test_tokens_of_a_step_with_drafts() -> None:
    """1 + rate x drafts: the rate is the share of all drafted tokens that are accepted, as engines report it."""
    for rate, drafts, gained in (
        (0.8, 0, 1.0),
        (0.5, 2, 2.0),
        (0.7, 1, 1.7),
        (0.0, 3, 1.0),
        (1.0, 3, 4.0),
        (1.0, 1, 2.0),
    ):
        assert gained_tokens(drafts, rate) == pytest.approx(gained)


def test_what_the_day_pays() -> None:
    """A day of 12 busy and 12 idle hours: half the requests pay for the same hours, and each takes twice the energy."""
    data = study().model_dump()
    flat = plan(parse_study(data)).best
    data["workload"]["daily"] = {"weights": [1.0] * 12 + [0.0] * 12}
    half = plan(parse_study(data)).best
    assert flat is not None and half is not None and half.usd_per_hour == flat.usd_per_hour
    for item, share in ((flat, 1.0), (half, 0.5)):
        requests = item.requests_per_s * share * 3600
        assert item.cost["usd_per_request"].p50 * requests == pytest.approx(item.usd_per_hour)
        assert item.cost["usd_per_million_tokens"].p50 * requests * 2500 / 1e6 == pytest.approx(item.usd_per_hour)
        assert item.usd_per_month == pytest.approx(item.usd_per_hour * 730)
        drawn = item.energy_wh_per_million_tokens * requests * 2500 / 1e6  # Wh an hour: the watts at the meter
        assert 300 < drawn / item.accelerators < 1500
        assert item.carbon_g_per_million_tokens == pytest.approx(item.energy_wh_per_million_tokens * 0.4)
    assert half.energy_wh_per_million_tokens == pytest.approx(2 * flat.energy_wh_per_million_tokens)


def test_users_carried_and_at_most() -> None:
    """Each replica has its share of the users; at most it carries as many requests more as it could have more users."""
    data = study().model_dump()
    data["workload"]["arrival"] = {"kind": "users", "users": 100, "think_s": 20}
    for item in plan(parse_study(data)).plans:
        assert item.requests_per_s == pytest.approx(item.rate_per_replica * (item.replicas - item.spare_replicas))
        assert item.max_rate_per_replica * item.utilization == pytest.approx(item.rate_per_replica)
        assert item.requests_per_s * (20 + item.end_to_end_s) == pytest.approx(100, rel=0.05)
