"""Short outputs: more memory is never slower, more load never less, one more token never more requests."""

from __future__ import annotations

import random

import numpy as np
import pytest

import sizing
from sizing.base.arrays import scalar
from sizing.hardware import load_catalog


def draws(seed: int, count: int) -> list[tuple[int, int]]:
    rng = random.Random(seed)
    return [(int(10 ** rng.uniform(1.5, 3.7)), rng.randint(1, 60)) for _ in range(count)]


def rate_of(given: int, wanted: int, accelerator: str = "a100-40gb-sxm", **more: float) -> float:
    found = sizing.estimate("Qwen/Qwen3-8B", accelerator, input_tokens=given, output_tokens=wanted, **more)
    return scalar(found.steady.requests_per_s)


@pytest.mark.parametrize(("given", "wanted"), draws(1, 8))
def test_more_memory_is_never_slower(given: int, wanted: int) -> None:
    card = load_catalog().resolve("a100-80gb-sxm")[0]
    memory = card.memory.model_copy(update={"usable_gib": card.usable_bytes / 2**30 / 2})
    half = card.model_copy(update={"memory": memory})
    rates = [
        scalar(sizing.estimate("Qwen/Qwen3-8B", one, input_tokens=given, output_tokens=wanted).steady.requests_per_s)
        for one in (half, card)
    ]
    assert rates[1] >= rates[0] * (1 - 1e-6)


@pytest.mark.parametrize(("given", "wanted"), draws(2, 8))
def test_more_load_never_carries_less_nor_answers_sooner(given: int, wanted: int) -> None:
    found = [
        sizing.estimate(
            "Qwen/Qwen3-8B", "h100-sxm", input_tokens=given, output_tokens=wanted, concurrency=float(n)
        ).steady
        for n in (1, 2, 5, 16, 50, 120)
    ]
    assert np.all(np.diff([scalar(one.requests_per_s) for one in found]) >= -1e-6)
    assert np.all(np.diff([scalar(one.end_to_end_s) for one in found]) >= -1e-9)


@pytest.mark.parametrize(("given", "wanted"), draws(3, 8))
def test_more_requests_a_second_never_answer_sooner(given: int, wanted: int) -> None:
    most = rate_of(given, wanted)
    found = [
        sizing.estimate(
            "Qwen/Qwen3-8B", "a100-40gb-sxm", input_tokens=given, output_tokens=wanted, rate=most * share
        ).steady
        for share in (0.05, 0.2, 0.4, 0.6, 0.8)
    ]
    for name in ("ttft_s", "end_to_end_s"):
        values = [scalar(getattr(one, name)) for one in found]
        assert np.all(np.diff(values) >= -0.001 * np.array(values[:-1])), name


@pytest.mark.parametrize(("given", "wanted"), draws(4, 8))
def test_one_more_token_is_never_more_requests(given: int, wanted: int) -> None:
    for load in ({}, {"concurrency": 40.0}):
        assert rate_of(given, wanted + 1, **load) <= rate_of(given, wanted, **load) * (1 + 1e-6)
