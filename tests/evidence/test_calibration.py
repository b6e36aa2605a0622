"""Calibration: what shifts, by how much, and what a run may teach."""

from __future__ import annotations

import json
import math
from dataclasses import fields

import pytest
from typer.testing import CliRunner

from sizing.cli import app
from sizing.coefficients.calibration import DECODE_FIELDS, FIRST_TOKEN_SIGMA, PREFILL_FIELDS
from sizing.coefficients.overheads import Overheads
from sizing.evidence.shifts import posterior

OWN_FACTORS = {"experts_mxfp4", "experts_fp8", "prefill_gemm16"}  # on top of others that shift


def test_every_time_is_shifted_once() -> None:
    names = {item.name for item in fields(Overheads)}
    assert set(DECODE_FIELDS) | set(PREFILL_FIELDS) | OWN_FACTORS == names
    assert not set(DECODE_FIELDS) & set(PREFILL_FIELDS)


def test_a_first_token_moves_the_shift_less_than_a_decode_step() -> None:
    decode, prefill = posterior([math.log(3.0)], 0.5), posterior([math.log(3.0)], 0.5, FIRST_TOKEN_SIGMA)
    assert 1.0 < prefill.factor < decode.factor < 3.0
    assert prefill.sigma > decode.sigma


@pytest.mark.parametrize(("prompts", "taught"), [(16, 0), (160, 1)])
def test_prompts_sent_at_once_teach_nothing_of_ttft(tmp_path, prompts: int, taught: int) -> None:
    result = {
        "backend": "vllm", "model_id": "Qwen/Qwen3-8B", "num_prompts": prompts, "max_concurrency": 16,
        "request_rate": "inf", "completed": prompts, "total_input_tokens": 1000 * prompts,
        "total_output_tokens": 200 * prompts, "duration": 60.0, "output_throughput": 200 * prompts / 60.0,
        "mean_ttft_ms": 900.0, "mean_tpot_ms": 9.0,
    }  # fmt: skip
    file = tmp_path / "run.json"
    file.write_text(json.dumps(result), encoding="utf-8")
    out = tmp_path / "calibration.yaml"
    found = CliRunner().invoke(app, ["calibrate", str(file), "--on", "h100-sxm", "-o", str(out), "--json"])
    assert found.exit_code == 0, found.output
    document = json.loads(found.stdout)
    assert document["decode"]["runs"] == 1
    assert document["prefill"]["runs"] == taught
