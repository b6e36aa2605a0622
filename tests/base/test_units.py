from __future__ import annotations

import math

import pytest

from sizing.base.units import count, digits, gib, seconds, usd, whole_or_digits


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (gib(86973087744), "81.0 GiB"),
        (gib(2**30 * 1234), "1,234 GiB"),
        (digits(0), "0"),
        (digits(1234567), "1,234,567"),
        (digits(0.012345), "0.0123"),
        (digits(1e-12), "1e-12"),
        (digits(math.nan), "–"),
        (digits(9.999), "10.00"),
        (seconds(0.5), "500 ms"),
        (seconds(2.5e-5), "25.0 µs"),
        (seconds(12.3456), "12.3 s"),
        (seconds(math.inf), "–"),
        (count(235093634560), "235B"),
        (count(1.2e12), "1.20T"),
        (count(512), "512"),
        (usd(0.0312), "$0.0312"),
        (usd(12.345), "$12.35"),
        (usd(123456.7), "$123,457"),
        (usd(math.nan), "–"),
    ],
)
def test_numbers_for_people(text: str, wanted: str) -> None:
    assert text == wanted


def test_a_number_of_things() -> None:
    shown = [whole_or_digits(value) for value in (1.0, 32.0, 16384.0, 34.44, 0.25, math.nan)]
    assert shown == ["1", "32", "16,384", "34.4", "0.250", "–"]
