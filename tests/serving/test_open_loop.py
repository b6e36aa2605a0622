"""The load curve: random arrivals find the closed loop of one more, users and closed loops by the same rule."""

from __future__ import annotations

import numpy as np
import pytest

from sizing.coefficients.batching import Batching
from sizing.engine.placement import Placement
from sizing.planning.estimate import batching_of
from sizing.planning.target import resolve_target
from sizing.serving import Load, batch_grid, curve_of, load_curve, steady_state
from sizing.serving.closed_loop import interleave
from sizing.serving.tails import full_batch, lengths_of
from sizing.serving.terms import PrefillTimes, StepTimes, varied_held_tokens

LOAD = Load(concurrency=1.0, input_tokens=2000, output_tokens=500)


@pytest.fixture(scope="module")
def target():
    return resolve_target("Qwen/Qwen3-32B", "h100-sxm")


@pytest.fixture(scope="module")
def curve(target):
    return load_curve(target.step, Placement(2), LOAD, batching_of(target, 8192), batch_grid(128.0, 40))


def test_grid() -> None:
    grid = batch_grid(np.array([8.0, 64.0]), 5)
    assert grid.shape == (2, 5)
    assert np.allclose(grid[:, 0], 0.25) and np.allclose(grid[:, -1], [8, 64])
    assert np.allclose(np.diff(np.log(grid[1])), np.log(256) / 4)  # equal ratios


def test_rate_and_times_rise_with_the_load(curve) -> None:
    assert np.all(np.diff(curve.requests_per_s) > 0)
    assert np.all(np.diff(curve.tpot_s) >= 0)
    assert np.all(curve.ttft_p95_s >= curve.ttft_s)
    assert np.all(curve.tpot_p95_s >= curve.tpot_s)
    assert np.all((curve.prefill_share >= 0) & (curve.prefill_share < 1))


def test_little_s_law(curve) -> None:
    held = curve.requests_per_s * curve.end_to_end_s(500)
    assert np.allclose(held, curve.concurrency, rtol=1e-9)


def test_one_server_is_m_m_1() -> None:
    """Prompts of 0.1 s without decode: four in flight leave at 4 / (5 x 0.1 s), whose waits all show."""
    prefill = PrefillTimes(np.array(0.1), np.array(0.1), np.array(0.1))
    times = StepTimes(np.array(1e-9), np.array(0.5e-9), prefill, np.array(5.0))
    load = Load(concurrency=5.0, input_tokens=8192.0, output_tokens=1.0)
    batching = Batching(wait_weight=1.0, ttft_step_share=0.0)
    mix = interleave(times, Placement(), load, batching)
    found = curve_of(times, mix, Placement(), load, 4.0)
    assert float(found.requests_per_s) == pytest.approx(8.0)
    assert float(found.ttft_s) == pytest.approx(0.5)
    assert float(found.busy) == pytest.approx(0.8)


def test_a_closed_loop_is_the_steady_state_and_users_lie_between(target) -> None:
    batching, place, held = batching_of(target, 8192), Placement(2), np.array([1.0, 7.0, 40.0])
    closed = load_curve(target.step, place, LOAD, batching, held, think_s=0.0)
    steady = steady_state(target.step, place, Load(held, 2000, 500), batching)
    for name in ("ttft_s", "tpot_s", "requests_per_s"):
        assert np.allclose(getattr(closed, name), getattr(steady, name), rtol=1e-12)
    quick = load_curve(target.step, place, LOAD, batching, held, think_s=1e-6)
    slow = load_curve(target.step, place, LOAD, batching, held, think_s=1e9)
    random = load_curve(target.step, place, LOAD, batching, held)
    more = steady_state(target.step, place, Load(held + 1, 2000, 500), batching)
    assert np.allclose(quick.requests_per_s, more.requests_per_s, rtol=1e-6)  # each finds the loop of held + 1
    assert np.allclose(slow.requests_per_s, random.requests_per_s, rtol=1e-6)
    assert np.allclose(random.requests_per_s, held * more.requests_per_s / (held + 1), rtol=1e-12)


def test_a_full_batch_waits() -> None:
    found = full_batch(80.0, 10.0, 100.0, 1.0, lengths_of(np.array([10.0]), np.array([10.0])))
    assert float(found.share) == pytest.approx(0.0146, rel=0.01)  # b = 2.236: phi / (phi + b Phi)
    assert float(found.late_s) == pytest.approx(0.5)
    assert float(full_batch(80.0, 10.0, np.inf, 1.0, lengths_of(np.array([10.0]), np.array([10.0]))).wait_s) < 1e-9


def test_long_answers_count_by_the_time_they_stay() -> None:
    assert varied_held_tokens(np.array([100.0, 100.0]), np.array([11.0, 1001.0])) == pytest.approx(
        (10 * 105.5 + 1000 * 600.5) / 1010
    )
    assert varied_held_tokens(1000.0, 200.0) == 1100.0
    assert varied_held_tokens(1000.0, 200.0, reserves=True) == 1200.0
    assert varied_held_tokens(np.array([100.0, 300.0]), np.array([1.0, 1.0])) == pytest.approx(250.5)
