"""Prompts in chunks: what a step has room for, and how many equal parts a prompt takes."""

from __future__ import annotations

import pytest

from sizing.serving import prompt_room, split_prompt
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
