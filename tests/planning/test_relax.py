"""Where no plan meets a study, the least changes that help are named and do help."""

from __future__ import annotations

import json

import pytest

import sizing
from sizing.cli import main
from sizing.planning.relax import relaxations


def test_a_model_too_large_for_one_server_gets_ways_on() -> None:
    study = sizing.quick_study("deepseek-v3", input_tokens=1000, output_tokens=200, rate=1, on=["l40s"])
    assert not sizing.plan(study, simulate=False).plans
    ways = relaxations(study)
    assert ways and len(ways) <= 3
    for item in ways:
        assert item.flags.startswith(("--max-nodes ", "--ttft-p95 ", "--tpot-p95 ", "--on "))
        assert sizing.plan(item.study, simulate=False).plans[0].label == item.plan.label
    costs = [item.plan.usd_per_hour or 0.0 for item in ways]
    assert costs == sorted(costs)


def test_a_target_out_of_reach_is_loosened_to_what_can_be_had() -> None:
    study = sizing.quick_study(
        "qwen3-8b", input_tokens=1000, output_tokens=200, rate=1, on=["l40s"],
        workload={"targets": {"tpot_p95_s": 0.0005, "ttft_p95_s": 1.0}},
    )  # fmt: skip
    assert not sizing.plan(study, simulate=False).plans
    found = next(item for item in relaxations(study) if "--tpot-p95" in item.flags)
    limit = float(found.flags.split("--tpot-p95 ")[1].split()[0])
    assert found.plan.tpot_p95_s <= limit and "--ttft-p95" not in found.flags


def test_the_command_line_prints_the_flags(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["plan", "deepseek-v3", "--input", "1000", "--output", "200", "--rate", "1", "--on", "l40s"]
    with pytest.raises(SystemExit):
        main([*asked, "--json"])
    document = json.loads(capsys.readouterr().out)
    assert not document["plans"] and document["relaxations"]
    flags = document["relaxations"][0]["flags"].split()
    again = asked[:-2] + flags if flags[0] == "--on" else [*asked, *flags]
    with pytest.raises(SystemExit):
        main([*again, "--json", "--no-simulation"])
    assert json.loads(capsys.readouterr().out)["plans"]
