from __future__ import annotations

import math

import numpy as np
import pytest

from sizing.engine.placement import Placement
from sizing.estimate import batching_of
from sizing.serving import Batching, Load, batch_grid, load_curve
from sizing.serving.open_loop import PhaseTimes, curve_of
from sizing.target import resolve_target


@pytest.fixture(scope="module")
def curve():
    target = resolve_target("Qwen/Qwen3-32B", "h100-sxm")
    load = Load(concurrency=1.0, input_tokens=2000, output_tokens=500)
    return load_curve(target.step, Placement(2), load, batching_of(target, 8192), batch_grid(128.0, 40))


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
    assert np.allclose(held, curve.concurrency, rtol=0.02)


def test_decoding_sequences_are_rate_times_decode_time(curve) -> None:
    decoding = curve.requests_per_s * 499 * curve.tpot_s
    assert np.allclose(decoding, curve.batch, rtol=0.02)


def hand_curve(**more):
    """4 sequences on one rank: steps of 20 ms, 101 tokens out, a prompt that adds 80 ms and takes 120 ms among steps."""
    times = PhaseTimes(*(np.array([value]) for value in (0.020, 0.100, 0.080, 0.120)))
    load = Load(concurrency=1.0, input_tokens=1000.0, output_tokens=101.0, **more.pop("load", {}))
    batching = Batching(fixed_ttft_s=0.005)
    return curve_of(times, more.pop("place", Placement()), load, batching, np.array([4.0]), **more)


def test_a_curve_by_hand() -> None:
    """r = 4 / (100 x 0.020 + 4 x 0.080) = 4 / 2.32; rho = 0.080 r = 0.32 / 2.32, so 1 - rho = 2 / 2.32."""
    found = hand_curve()
    rate, rho = 4 / 2.32, 0.32 / 2.32
    queue = rate * 0.080**2 / 2 / (2 / 2.32)  # Pollaczek-Khinchine of equal prompts: 6.4 ms
    wait = queue + (0.5 + rho) * 0.020  # half a step in progress, and as much again of the steps that prompts fill
    first = 0.120 + 0.005
    assert queue == pytest.approx(0.0064)
    assert float(found.requests_per_s[0]) == pytest.approx(rate)
    assert float(found.prefill_share[0]) == pytest.approx(rho)
    assert float(found.tpot_s[0]) == pytest.approx(0.020 * 2.32 / 2)
    assert float(found.ttft_s[0]) == pytest.approx(first + wait)
    assert float(found.ttft_p95_s[0]) == pytest.approx(first + math.log(20) * wait, rel=1e-4)
    assert float(found.decode_step_s[0]) == 0.020 and float(found.prefill_s[0]) == 0.100
    # prompts that fall among a request's steps, Poisson: 1.645 deviations of their number, a token's share of each
    spread = 0.080 * math.sqrt(rate * 0.020 / 100 / (2 / 2.32) ** 3)
    assert float(found.tpot_p95_s[0]) == pytest.approx(0.0232 + 1.645 * spread)
    assert float(found.concurrency[0]) == pytest.approx(rate * (first + wait + 100 * 0.0232))
    assert float(found.end_to_end_s(101.0)[0]) == pytest.approx(first + wait + 2.32)


def test_prompts_of_varied_lengths_wait_longer() -> None:
    """A squared coefficient of variation of 2 makes the queue three times as long, and spreads the prompt's own time."""
    same, varied = hand_curve(), hand_curve(input_scv=2.0)
    assert float(varied.requests_per_s[0]) == float(same.requests_per_s[0])
    assert float(varied.ttft_s[0] - same.ttft_s[0]) == pytest.approx(2 * 0.0064)
    wait = float(varied.ttft_s[0]) - 0.125
    p95 = 0.125 * (1 + 1.645 * math.sqrt(2)) + math.log(20) * wait
    assert float(varied.ttft_p95_s[0]) == pytest.approx(p95, rel=1e-4)
    one, other = (float(found.tpot_p95_s[0] - found.tpot_s[0]) for found in (same, varied))
    assert other == pytest.approx(one * math.sqrt(3))


def test_ranks_stages_and_drafts_by_hand() -> None:
    """Each of 3 ranks carries the same; 2 stages work on two prompts at once; 2.5 tokens a step need 40 steps."""
    ranks = hand_curve(place=Placement(dp=3))
    assert float(ranks.requests_per_s[0]) == pytest.approx(3 * 4 / 2.32)
    assert float(ranks.concurrency[0]) == pytest.approx(3 * float(hand_curve().concurrency[0]))
    staged = hand_curve(place=Placement(pp=2))
    assert float(staged.requests_per_s[0]) == pytest.approx(4 / (2 + 4 * 0.040))
    drafted = hand_curve(load={"tokens_per_step": 2.5})
    rate = 4 / (40 * 0.020 + 4 * 0.080)
    assert float(drafted.requests_per_s[0]) == pytest.approx(rate)
    assert float(drafted.tpot_s[0]) == pytest.approx(0.020 / 2.5 / (1 - 0.080 * rate))
