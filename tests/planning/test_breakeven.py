"""Own or API."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sizing.base.errors import SizingError
from sizing.planning.breakeven import REFERENCE, SECONDS_PER_MONTH, break_even, list_price
from sizing.planning.planner import plan
from sizing.study import parse_study


@pytest.fixture(scope="module")
def answer():
    study = parse_study({"model": "Qwen3-32B", "workload": "chat", "hardware": ["h100-sxm"]})
    return study, plan(study).best


def test_reference_lists_are_all_known(answer):
    study, best = answer
    assert [item.api for item in break_even(best, study)] == list(REFERENCE)


def test_volume_is_the_month_over_the_request(answer):
    study, best = answer
    item = next(item for item in break_even(best, study) if item.api == "GPT-4 Turbo")
    request = (study.workload.mean_input_tokens() * 10 + study.workload.mean_output_tokens() * 30) / 1e6
    assert item.api_usd_per_request == pytest.approx(request)
    assert item.requests_per_month == pytest.approx(best.usd_per_month / request)
    tokens = study.workload.mean_input_tokens() + study.workload.mean_output_tokens()
    assert item.tokens_per_month == pytest.approx(item.requests_per_month * tokens)
    assert item.share_of_capacity < 1
    assert item.capacity_requests_per_month == pytest.approx(
        best.max_rate_per_replica * best.replicas * SECONDS_PER_MONTH
    )


def test_dear_plan_never_breaks_even(answer):
    study, best = answer
    dear = replace(best, usd_per_month=best.usd_per_month * 1000)
    item = next(item for item in break_even(dear, study) if item.api == "GPT-4o mini")
    assert item.verdict == "never"
    assert item.requests_per_month is None
    assert "full capacity" in item.reason


def test_study_names_the_lists(answer):
    study, best = answer
    named = study.model_copy(update={"money": study.money.model_copy(update={"api": ("gpt-4o", "qwen-flash")})})
    gpt, qwen = break_even(best, named)
    assert gpt.api == "GPT-4o"
    assert qwen.usd_per_million_input == pytest.approx(0.15 * 0.141285)


def test_no_price_no_break_even(answer):
    study, best = answer
    assert break_even(replace(best, usd_per_month=None), study) == []


def test_unknown_list():
    with pytest.raises(SizingError, match="did you mean"):
        list_price("GPT-4 Trubo")


def test_spares_carry_nothing():
    """Capacity is what the replicas in use carry, every hour of a month of 730; the spares are paid for all the same."""
    study = parse_study(
        {
            "model": "Qwen3-8B",
            "workload": {"preset": "chat", "targets": {"ttft_p95_s": 2, "tpot_p95_s": 0.06, "spare_replicas": 2}},
            "hardware": ["l40s"],
        }
    )
    best = plan(study).best
    assert best.spare_replicas == 2 and best.replicas > 2
    assert best.usd_per_hour == pytest.approx(best.replicas * sum_of(best.placement) * best.usd_per_accelerator_hour)
    carried = (best.replicas - 2) * best.max_rate_per_replica * 730 * 3600
    for item in break_even(best, study):
        assert item.capacity_requests_per_month == pytest.approx(carried)
        assert item.usd_per_request_at_capacity == pytest.approx(best.usd_per_hour * 730 / carried)


def sum_of(placement):
    return placement["tp"] * placement["pp"] * placement["dp"]
