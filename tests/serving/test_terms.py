"""Prompts in chunks: what a step has room for, and how many equal parts a prompt takes."""

from __future__ import annotations

import numpy as np
import pytest

from sizing.serving import prompt_room, split_prompt
from sizing.serving.closed_loop import Interleaved
from sizing.serving.tails import FullBatch, Lengths, first_token_tail
from sizing.serving.terms import MIN_CHUNK


def test_room_is_what_the_decoded_leave_and_never_less_than_a_chunk() -> None:
    assert prompt_room(8192, 192) == 8000
    assert prompt_room(2048, 2000) == MIN_CHUNK
    assert prompt_room(128, 100) == 128  # the whole budget, where that is less than a chunk


@pytest.mark.parametrize(
    ("tokens", "room", "most", "number"),
    [
        (5000, 2048, None, 3),  # 2.44 steps are three
        (2048, 2048, None, 1),
        (1000, 2048, None, 1),
        (8192, 1792, 2048, 8192 / 1792),  # four alone; what 256 others push out shares the next step
        (5000, 1792, 2048, 3),
    ],
)
def test_a_prompt_in_equal_chunks(tokens: int, room: int, most: int | None, number: float) -> None:
    found, each = split_prompt(tokens, room, most)
    assert float(found) == pytest.approx(number)
    assert float(each) == pytest.approx(tokens / number)


def test_late_first_tokens_of_a_single_queue() -> None:
    """M/M/1 at half load: a wait of 2 slots among those that wait; the 95th percentile of all is 2 ln(0.5 / 0.05) slots."""
    zero, slot = np.zeros(1), np.full(1, 0.1)
    mix = Interleaved(
        running=np.ones(1), stretched_s=zero, decoding=zero, decode_s=zero, service_s=slot, slot_s=slot, in_batch_s=slot,
        waiting_s=zero, step_wait_s=zero, fixed_s=zero,
    )  # fmt: skip
    found = first_token_tail(mix, slot, FullBatch(zero, zero), np.full(1, 5.0), np.ones(1), Lengths(input_scv=1.0))
    assert found == pytest.approx(0.1 + 0.2 * np.log(10))


def test_late_first_tokens_of_a_closed_loop() -> None:
    """The wait's 95th percentile is ln 20 means of an exponential, so 1.996 beyond the mean of 10 ms."""
    zero, slot = np.zeros(1), np.full(1, 0.1)
    mix = Interleaved(
        running=np.ones(1), stretched_s=zero, decoding=zero, decode_s=zero, service_s=slot, slot_s=slot, in_batch_s=slot,
        waiting_s=np.full(1, 0.01), step_wait_s=zero, fixed_s=zero,
    )  # fmt: skip
    found = first_token_tail(mix, slot, FullBatch(zero, zero), np.full(1, 5.0), zero, Lengths(input_scv=1.0))
    assert found == pytest.approx(0.11 + 1.996 * 0.01)
