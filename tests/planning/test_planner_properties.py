"""What must hold of any plan: more choice, looser targets and less work never make it dearer."""

from __future__ import annotations

from typing import Any

import pytest

from sizing.planning.planner import plan
from sizing.planning.result import Result
from sizing.study import parse_study


def answer(on: list[str], rate: float = 2.0, model: str = "Qwen/Qwen3-32B", **targets: Any) -> Result:
    return plan(
        parse_study(
            {
                "model": model,
                "workload": {
                    "input": {"kind": "fixed", "value": 2048},
                    "output": {"kind": "fixed", "value": 512},
                    "arrival": {"kind": "rate", "requests_per_s": rate},
                    "targets": targets,
                },
                "hardware": on,
            }
        )
    )


def dollars(result: Result) -> float:
    assert result.best is not None and result.best.usd_per_hour is not None
    return result.best.usd_per_hour


@pytest.mark.parametrize("more", ["h100-sxm", "l40s", "mi300x", "ascend-910b"])
def test_an_offer_more_is_never_dearer(more: str) -> None:
    assert dollars(answer(["a100-80gb-sxm", more])) <= dollars(answer(["a100-80gb-sxm"])) + 1e-9


@pytest.mark.parametrize("target", ["ttft_p95_s", "tpot_p95_s"])
def test_a_looser_target_is_never_dearer(target: str) -> None:
    tight, loose = {"ttft_p95_s": (1.0, 4.0), "tpot_p95_s": (0.03, 0.09)}[target]
    on = ["h100-sxm", "a100-80gb-sxm"]
    assert dollars(answer(on, **{target: loose})) <= dollars(answer(on, **{target: tight})) + 1e-9


@pytest.mark.parametrize("rate", [0.5, 2.0, 8.0])
def test_twice_the_rate_never_needs_fewer_accelerators(rate: float) -> None:
    one, two = answer(["h100-sxm"], rate), answer(["h100-sxm"], 2 * rate)
    assert one.best is not None and two.best is not None
    assert two.best.accelerators >= one.best.accelerators
    assert dollars(two) >= dollars(one) - 1e-9


def test_every_loser_has_a_reason() -> None:
    result = answer(["h100-sxm", "t4"], ttft_p95_s=0.05)
    assert result.rejected
    assert all(item.code and item.reason and item.candidate for item in result.rejected)


def test_the_same_study_gives_the_same_bytes() -> None:
    import json

    from sizing.cli.output import plain

    one, two = (json.dumps(plain(answer(["h100-sxm"]).to_dict())) for _ in range(2))
    assert one == two
