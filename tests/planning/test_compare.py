"""Models side by side."""

from __future__ import annotations

import json

import pytest

from sizing.base.errors import SizingError
from sizing.cli import main
from sizing.planning.compare import compare

REFERENCE = ["Qwen3-235B-A22B", "Qwen3-32B", "DeepSeek-R1", "r2"]


def test_reference_models_on_two_machines():
    found = compare(REFERENCE, ["h200-sxm", "ascend-910b"])
    assert len(found.rows) == 8
    first = found.rows[0]
    assert all(ratio == pytest.approx(1.0) for ratio in first.ratios.values())
    by_name = {(row.model.rsplit("/", 1)[-1], row.accelerator): row for row in found.rows}
    qwen = by_name["Qwen3-32B", "h200-sxm"]
    assert qwen.kv_bytes_per_token == 64 * 2 * 8 * 128 * 2
    assert qwen.kv_gib[131_072] == pytest.approx(32.0)
    deepseek = by_name["DeepSeek-R1", "h200-sxm"]
    assert deepseek.kv_bytes_per_token == 61 * 576 * 2
    assert deepseek.ratios["total"] == pytest.approx(671.0 / 235.1, rel=0.01)
    assert [row.hypothetical for row in found.rows] == [False] * 6 + [True] * 2
    assert all(row.tpot_s <= 0.05 for row in found.rows if row.meets_tpot)


def test_a_pair_that_does_not_run_says_why():
    row = compare(["DeepSeek-R1"], ["ascend-910b2"], weights="fp8").rows[0]
    assert row.placement is None
    assert "fp8" in row.reason


def test_the_given_price_scales_the_cost():
    one = compare(["Qwen3-8B"], ["h100"], price={"": 1.0}).rows[0]
    two = compare(["Qwen3-8B"], ["h100"], price={"": 2.0}).rows[0]
    assert two.usd_per_million_output_tokens == pytest.approx(2 * one.usd_per_million_output_tokens)


def test_too_many_pairs_are_refused():
    with pytest.raises(SizingError, match="pairs"):
        compare(["Qwen3-8B"] * 61, ["h100"])


def test_command(capsys):
    with pytest.raises(SystemExit) as done:
        main(["compare", "Qwen3-8B", "Qwen3-32B", "--on", "h100,a100", "--json"])
    assert done.value.code == 0
    assert len(json.loads(capsys.readouterr().out)["rows"]) == 4
    with pytest.raises(SystemExit):
        main(["compare", "Qwen3-8B", "--on", "h100"])
    assert "parameters" in capsys.readouterr().out
