import numpy as np
import pytest

from sizing.base.errors import SizingError, UnknownNameError
from sizing.workload import (
    PRESETS,
    BatchArrival,
    ConcurrencyArrival,
    DailyCurve,
    JointLengths,
    LengthDistribution,
    RateArrival,
    UsersArrival,
    Workload,
    preset,
)


def fixed(**more):
    return Workload(input=LengthDistribution.fixed(100), output=LengthDistribution.fixed(10), **more)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_generate_and_say_their_source(name):
    workload = preset(name.upper().replace("-", "_"))
    assert len(workload.source) > 40
    tokens = (lambda width, height: width * height // 784) if workload.images else None
    requests = workload.generate(500, seed=3, image_tokens=tokens)
    assert len(requests) == 500 and np.all(requests.cached_tokens < requests.input_tokens)
    assert Workload.model_validate_json(workload.model_dump_json()) == workload


def test_unknown_preset_suggests():
    with pytest.raises(UnknownNameError, match="agentic-coding"):
        preset("agentic-codin")


@pytest.mark.parametrize("burstiness", [0.25, 1.0, 4.0])
def test_arrivals_have_the_rate_and_burstiness(burstiness):
    workload = fixed(arrival=RateArrival(requests_per_s=5, burstiness=burstiness))
    gaps = np.diff(workload.generate(40_000, seed=1).arrival_s)
    assert gaps.mean() == pytest.approx(0.2, rel=0.03)
    assert gaps.var() / gaps.mean() ** 2 == pytest.approx(1 / burstiness, rel=0.07)


def test_same_seed_same_requests():
    a, b, c = (preset("chat").generate(100, seed=s) for s in (1, 1, 2))
    assert np.array_equal(a.arrival_s, b.arrival_s) and np.array_equal(a.output_tokens, b.output_tokens)
    assert not np.array_equal(a.arrival_s, c.arrival_s)


def test_daily_curve():
    curve = DailyCurve(weights=(1.0,) * 12 + (3.0,) * 12)
    assert curve.peak_to_mean == 1.5 and curve.utilization == pytest.approx(2 / 3)
    workload = fixed(arrival=RateArrival(requests_per_s=4, rate_is="mean"), daily=curve)
    assert workload.peak_requests_per_s == pytest.approx(6)
    assert workload.mean_requests_per_s == pytest.approx(4)
    workload = fixed(arrival=RateArrival(requests_per_s=6), daily=curve)
    assert workload.mean_requests_per_s == pytest.approx(4)
    for bad in ((1.0,) * 23, (0.0,) * 24, (-1.0,) + (1.0,) * 23):
        with pytest.raises(SizingError):
            DailyCurve(weights=bad)


def test_closed_loops_and_batch():
    users = fixed(arrival=UsersArrival(users=7, think_s=3.0)).generate(5000)
    assert users.users == 7 and users.think_s.mean() == pytest.approx(3, rel=0.1)
    assert fixed(arrival=ConcurrencyArrival(concurrency=9)).generate(10).users == 9
    batch = fixed().with_arrival(BatchArrival(requests=5))
    assert np.all(batch.generate(5).arrival_s == 0) and batch.peak_requests_per_s is None


def test_thinking_images_and_cache():
    workload = preset("image-chat").model_copy(update={"thinking_output_multiplier": 4.0, "prefix_cache_hit_rate": 0.5})
    with pytest.raises(SizingError, match="image"):
        workload.generate(10)
    plain = preset("image-chat").generate(100, seed=1, image_tokens=lambda w, h: 0)
    more = workload.generate(100, seed=1, image_tokens=lambda w, h: w + h)
    assert np.array_equal(more.input_tokens, plain.input_tokens + 2048)
    assert np.array_equal(more.output_tokens, plain.output_tokens * 4)
    assert np.array_equal(more.cached_tokens, more.input_tokens // 2)
    assert workload.mean_output_tokens() == pytest.approx(4 * 211, rel=0.01)


def test_length_grid_is_uncorrelated_and_keeps_means():
    inputs, outputs = preset("chat").length_grid(1024)
    assert abs(np.corrcoef(inputs, outputs)[0, 1]) < 0.05
    assert outputs.mean() == pytest.approx(preset("chat").mean_output_tokens(), rel=0.02)


def test_joint_lengths_keep_pairs():
    workload = fixed(joint=JointLengths(pairs=((10, 1), (20, 2), (30, 3))))
    for inputs, outputs in (workload.length_grid(2), workload.length_grid(10)):
        assert np.array_equal(inputs, outputs * 10)
    requests = workload.generate(50)
    assert np.array_equal(requests.input_tokens, requests.output_tokens * 10)
    assert workload.mean_output_tokens() == 2


def test_bad_workloads_are_refused():
    for bad in ({"prefix_cache_hit_rate": 1.5}, {"thinking_output_multiplier": 0.5}, {"colour": 1},
                {"arrival": {"kind": "rate", "requests_per_s": 0}}):  # fmt: skip
        with pytest.raises(SizingError):
            fixed(**bad)
    with pytest.raises(SizingError):
        fixed().generate(0)
