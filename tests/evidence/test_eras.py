"""Eras of engines and eager mode: what a version and a flag do to speeds."""

from __future__ import annotations

import numpy as np
import pytest

from sizing.base.errors import SizingError
from sizing.coefficients.serving import mixes_prefill, serving_coefficients
from sizing.engine.placement import Placement
from sizing.engine.registry import get_engine
from sizing.evidence.predict_serving import predict_rows
from sizing.evidence.rows_serving import read_serving_rows
from sizing.planning.estimate import estimate
from tests.evidence.shared_files import shared


@pytest.mark.parametrize("version", ["0.0.1", "99.9", "1.0"])
def test_versions_beyond_the_known_range_are_refused(version: str) -> None:
    with pytest.raises(SizingError, match="nothing is known of vllm"):
        get_engine("vllm", version)


def test_an_old_engine_joins_its_ranks_slowly_and_reads_prompts_alone() -> None:
    old, new = (serving_coefficients("vllm", "hopper", version=version).overheads for version in ((0, 6, 0), (0, 18)))
    assert old.sync_s > 3 * new.sync_s and old.step_s > new.step_s
    assert not mixes_prefill("vllm", (0, 6, 0)) and mixes_prefill("vllm", (0, 18, 0))


def test_eager_steps_take_what_the_host_needs() -> None:
    """Qwen3-235B: 94 layers of 553 microseconds are 52 ms, at one request as at eight."""
    times = [
        estimate("qwen3-235b-a22b", "h200-sxm", Placement(tp=4), input_tokens=100, output_tokens=500, weights="fp8",
                 concurrency=n, enforce_eager=True).to_dict()["latency"]["tpot_s"]["p50"]
        for n in (1, 8)
    ]  # fmt: skip
    assert times == pytest.approx([0.052, 0.052], rel=0.02)


@pytest.mark.shared
def test_vllm_before_0_8_under_open_loop() -> None:
    rows = list(read_serving_rows(shared("measurements", "serving", "open_loop_vllm_0.6.csv")))
    made = predict_rows(rows)
    error = np.abs(made.tpot_p50 / np.array([row.tpot_s or np.nan for row in rows]) - 1)
    assert np.median(error) < 0.05
