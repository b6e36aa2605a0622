from __future__ import annotations

import numpy as np
import pytest

from sizing.engine.placement import Placement
from sizing.estimate import batching_of
from sizing.serving import Load, batch_grid, load_curve
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
