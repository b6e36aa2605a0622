"""Predictions of measured servers: every row answered, intervals in order, accuracy no worse than recorded."""

from __future__ import annotations

import io

import numpy as np
import pytest
from shared_files import shared

from sizing.base.errors import SizingError
from sizing.coefficients.intervals import spread
from sizing.coefficients.serving import mixes_prefill, serving_coefficients, serving_document
from sizing.evidence.predict_serving import COLUMNS, predict_rows, write_predictions
from sizing.evidence.rows_serving import parse_serving_row, read_serving_rows
from sizing.evidence.table import Predictions, errors

CELLS = {
    "row": "r1", "backend": "vllm", "backend_version": "0.12.0", "model_path": "Qwen/Qwen3-32B", "system": "h100_sxm",
    "isl": "1024", "osl": "1024", "tp_size": "4", "batch_size": "16", "precision": "bf16", "mode": "agg",
}  # fmt: skip


def test_a_row_without_measurements_is_answered() -> None:
    made = predict_rows([parse_serving_row(CELLS)])
    assert made.tpot_p10[0] < made.tpot_p50[0] < made.tpot_p90[0]
    assert made.ttft_p10[0] < made.ttft_p50[0] < made.ttft_p90[0]


def test_a_row_of_an_unknown_model_says_why() -> None:
    rows = [parse_serving_row({**CELLS, "model_path": "nobody/nothing-1B"}), parse_serving_row(CELLS)]
    made, out = predict_rows(rows), io.StringIO()
    write_predictions(rows, made, out)
    lines = out.getvalue().splitlines()
    assert lines[0] == ",".join(COLUMNS)
    assert lines[1].startswith("r1,,,,,,,") and "nothing-1B" in lines[1]
    assert np.isfinite(made.tpot_p50[1])


def test_more_requests_are_slower() -> None:
    rows = [parse_serving_row({**CELLS, "batch_size": str(n)}) for n in (1, 2, 4, 8, 16, 32, 64, 128)]
    made = predict_rows(rows)
    assert np.all(np.diff(made.tpot_p50) > 0) and np.all(np.diff(made.ttft_p50) > 0)


def test_unknown_ground_widens() -> None:
    near = spread("tpot", engine="vllm", family="hopper")
    far = spread("tpot", engine="mindie", family="ascend", dtype="int8")
    assert far.low < near.low < 1 < near.high < far.high
    assert "vllm-ascend" in serving_coefficients("mindie", "ascend").origin
    own = spread("tpot", engine="vllm-ascend", family="ascend-910b", dtype="int8")
    assert far.low < own.low < near.low < near.high < own.high < far.high
    with pytest.raises(SizingError):
        spread("speed", engine="vllm", family="hopper")


def test_ascend_hosts_are_slower_than_the_stand_in() -> None:
    own, other = (serving_coefficients(name, "ascend-910b").overheads for name in ("vllm-ascend", "sglang"))
    assert own.layer_s > 5 * serving_coefficients("vllm", "hopper").overheads.layer_s
    assert other.layer_s == own.layer_s  # one host regime for all engines
    eager = serving_coefficients("vllm-ascend", "ascend-910b", eager=True).overheads
    assert eager.layer_s > 2 * own.layer_s
    assert serving_coefficients("vllm-ascend", "ascend-910b", version=(0, 9, 1)).overheads.layer_s == eager.layer_s
    assert "rows of its servers" in serving_coefficients("vllm-ascend", "ascend-910b").origin


@pytest.mark.shared
def test_accuracy_is_no_worse_than_recorded() -> None:
    rows = read_serving_rows(shared("measurements", "serving", "serving.csv.gz"))
    made = predict_rows(rows)
    assert np.isfinite(made.tpot_p50).all() and np.isfinite(made.ttft_p50).all()
    agg = np.array([row.mode == "agg" for row in rows])
    for name, recorded in serving_document()["accuracy"]["file_2026_11_29"].items():
        measured = [getattr(row, f"{name}_s") or np.nan for row in rows]
        bands = [getattr(made, f"{name}_{part}") for part in ("p50", "p10", "p90")]
        found = errors(Predictions.of(measured, *bands), where=agg)
        assert found.median <= recorded["median"] + 0.01
        assert found.p90 <= recorded["p90"] + 0.03
        assert 0.7 <= found.coverage <= 0.95


def test_who_reads_prompts_alone() -> None:
    assert [
        name for name in ("vllm", "sglang", "tensorrt-llm", "vllm-ascend", "mindie") if not mixes_prefill(name)
    ] == [
        "sglang",
        "mindie",
    ]
