"""The steady state against worked examples and properties."""

from __future__ import annotations

import numpy as np
import pytest

from sizing.base.arrays import as_float
from sizing.coefficients.batching import Batching
from sizing.engine.placement import Placement
from sizing.serving import Load, PrefillTimes, StepTimes, chunk_shape, closed_response, settle, steady_state
from tests.step.test_model import step_model

ONE = Placement()


def times(decode: float, prefill: float) -> StepTimes:
    p = as_float(prefill)
    return StepTimes(as_float(decode), as_float(decode), PrefillTimes(p, p, p))


def test_one_request_alone() -> None:
    state = settle(times(0.01, 0.1), ONE, Load(1.0, 1000.0, 101.0), Batching(fixed_ttft_s=0.02))
    assert float(state.ttft_s) == pytest.approx(0.12, rel=0.02)
    assert float(state.tpot_s) == pytest.approx(0.01)
    assert float(state.requests_per_s) == pytest.approx(1 / (0.12 + 1.0), rel=0.02)


def test_the_others_prefill_stretches_decode() -> None:
    """11 requests of 1001 tokens, 10 ms a step, 50 ms a prompt: 10 + 10 * 50 / 1000 = 10.5 ms."""
    state = settle(times(0.01, 0.05), ONE, Load(11.0, 1000.0, 1001.0), Batching())
    assert float(state.tpot_s) == pytest.approx(0.0105, rel=0.01)


def test_requests_beyond_the_cache_wait() -> None:
    state = settle(times(0.01, 0.01), ONE, Load(20.0, 100.0, 101.0, running_limit=10.0), Batching())
    assert float(state.running) == 10.0
    assert float(state.queue_wait_s) == pytest.approx(10.0 / float(state.requests_per_s))


def test_closed_network_of_one_customer_has_no_queue() -> None:
    assert float(closed_response(as_float(0.1), as_float(1.0), as_float(1.0))) < 0.1101


def test_monotone_in_concurrency_and_context() -> None:
    model, n = step_model(), np.arange(1.0, 129.0)
    for batching in (Batching(), Batching(mixed=False)):
        state = steady_state(model, Placement(tp=4), Load(n, 1024.0, 1024.0), batching)
        assert np.all(np.diff(state.tpot_s) > -1e-9)
        assert np.all(np.diff(state.ttft_s) > -1e-9)
        assert np.all(np.diff(state.output_tokens_per_s) > 0)
    longer = steady_state(model, Placement(tp=4), Load(32.0, n * 256, 512.0), Batching())
    assert np.all(np.diff(longer.ttft_s) > 0)


def test_accepted_drafts_lower_tpot() -> None:
    model = step_model()
    plain = steady_state(model, Placement(tp=4), Load(4.0, 1024.0, 512.0), Batching())
    drafted = Load(4.0, 1024.0, 512.0, tokens_per_step=1.8, verified_tokens=2.0)
    assert float(steady_state(model, Placement(tp=4), drafted, Batching()).tpot_s) < 0.7 * float(plain.tpot_s)


def test_short_outputs_bring_several_prompts_into_a_step() -> None:
    """512 sequences of 128 steps: four end in every step; the budget of 8,192 tokens holds no more of 4,096 than one."""
    batching = Batching(token_budget=8192.0)
    short = chunk_shape(Load(512.0, 256.0, 129.0), batching, 512.0)
    assert float(short.together) == pytest.approx(4.0)
    assert float(chunk_shape(Load(512.0, 4096.0, 129.0), batching, 512.0).together) == pytest.approx(
        (8192 - 512) / 4096
    )
    assert float(chunk_shape(Load(64.0, 256.0, 1025.0), batching, 64.0).together) == 1.0
    assert float(short.shape().prefill_tokens) == pytest.approx(4 * 256)


def test_prompts_that_share_a_step_cost_less_each() -> None:
    model, place = step_model("meta-llama/Llama-3.1-8B"), Placement()
    rates = [
        float(steady_state(model, place, Load(n, 128.0, 128.0), Batching()).output_tokens_per_s)
        for n in (128.0, 1024.0)
    ]
    assert rates[1] > 1.3 * rates[0]
