"""Little's law, and that what is carried is what was asked, below one request in flight too."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sizing
from sizing.base.arrays import scalar


@pytest.mark.parametrize("rate", [0.5, 0.05, 0.001])
def test_a_rate_below_one_request_in_flight_is_carried_and_priced(rate: float) -> None:
    found = sizing.estimate("Qwen/Qwen3-8B", "h100-sxm", input_tokens=1000, output_tokens=100, rate=rate)
    assert scalar(found.steady.requests_per_s) == pytest.approx(rate, rel=1e-3)
    twice = sizing.estimate("Qwen/Qwen3-8B", "h100-sxm", input_tokens=1000, output_tokens=100, rate=rate / 2)
    low, high = (item.to_dict()["cost"]["usd_per_million_output_tokens"]["p50"] for item in (found, twice))
    assert high == pytest.approx(2 * low, rel=0.05)


def test_one_request_on_eight_ranks_is_one_request() -> None:
    place = sizing.Placement(1, 1, 8, 8)
    one = sizing.estimate(
        "deepseek-ai/DeepSeek-V3", "h200-sxm", place, input_tokens=512, output_tokens=128, concurrency=1
    )
    each = sizing.estimate(
        "deepseek-ai/DeepSeek-V3", "h200-sxm", place, input_tokens=512, output_tokens=128, concurrency=8
    )
    assert scalar(one.steady.requests_per_s) == pytest.approx(scalar(each.steady.requests_per_s) / 8)


@settings(max_examples=30)
@given(
    st.integers(50, 20_000), st.integers(2, 2_000), st.floats(1, 200), st.sampled_from([1, 2, 4]),
    st.sampled_from(["h100-sxm", "a100-80gb-sxm", "ascend-910b2"]),
)  # fmt: skip
def test_in_flight_is_rate_times_time(given_: int, wanted: int, held: float, dp: int, accelerator: str) -> None:
    found = sizing.estimate(
        "Qwen/Qwen3-8B",
        accelerator,
        sizing.Placement(dp=dp),
        input_tokens=given_,
        output_tokens=wanted,
        concurrency=held,
    )
    state = found.steady
    time = scalar(state.ttft_s) + scalar(state.tpot_s) * (wanted - 1)
    assert scalar(state.requests_per_s) * time == pytest.approx(held, rel=1e-6)
