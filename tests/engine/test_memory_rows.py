"""Rows of measured memory: cells as they come, predictions for all, errors against the measurements."""

from __future__ import annotations

import csv
import gzip
import io
import os
from pathlib import Path

import pytest

from sizing.engine.placement import Placement
from sizing.evidence.memory_rows import (
    MemoryRow,
    engine_of,
    model_names,
    placement_of,
    read_rows,
    scheme_of,
    total_gib_of,
)
from sizing.evidence.validate_memory import COLUMNS, error_table, predict_row, validate_memory

SHARED = Path(os.environ.get("SIZING_SHARED", Path(__file__).parents[2].parent / "shared"))
ROWS = SHARED / "measurements" / "memory" / "memory.csv"


def row(**cells: str) -> MemoryRow:
    given = {"id": "r1", "engine": "vllm", "engine_version": "v0.19.0 (V1)",
             "model": "Qwen/Qwen2.5-7B-Instruct",
             "weight_dtype": "bfloat16", "kv_dtype": "auto", "gpu": "h100-80gb", "n_gpus": "1",
             "tp": "1", "pp": "1",
             "dp_ep": "dp1", "gpu_memory_utilization": "0.95", "max_model_len": "8192"}  # fmt: skip
    return MemoryRow({**given, **cells})


def test_engines_and_versions() -> None:
    assert engine_of(row()).version == (0, 19, 0)
    assert engine_of(row(engine="sglang (ascend npu)", engine_version="")).name == "sglang"
    assert engine_of(row(engine_version="V0 2025-02-14")).version == (0, 7, 2)
    assert engine_of(row(engine_version="v0.8.5 (V0)")).version == (0, 7, 3)
    assert engine_of(row(engine="tensorrt-llm", engine_version="")).name == "tensorrt-llm"


@pytest.mark.parametrize(
    ("tp", "text", "placement"),
    [
        ("16", "dp4/ep16/dp-attention", Placement(4, 1, 4, 16)),
        ("8", "dp1/ep1", Placement(8)),
        ("4", "dp1/ep4", Placement(4, 1, 1, 4)),
        ("2", "ep on", Placement(2, 1, 1, 2)),
        ("8.0", "", Placement(8)),
    ],
)
def test_placements(tp: str, text: str, placement: Placement) -> None:
    assert placement_of(row(tp=tp, n_gpus=tp, dp_ep=text)) == placement


def test_totals() -> None:
    assert total_gib_of(row(notes="init free 78.68 of 79.19 GiB")) == 79.19
    assert total_gib_of(row(gpu="H100_80GB")) == pytest.approx(79.19)
    assert total_gib_of(row(gpu="", notes="budget implies 80 GB cards")) == pytest.approx(78.8)
    assert total_gib_of(row(gpu="", notes="")) is None


def test_schemes_and_names() -> None:
    assert scheme_of(row(weight_dtype="bfloat16 / modelslim w4a8"), None).experts.bits == 4
    assert scheme_of(row(weight_dtype="bfloat16 / compressed-tensors", model="x/y-quantized.w8a8"), None).name == "int8"
    assert scheme_of(row(weight_dtype=""), None).name == "bf16"
    assert "Qwen3-8B" in list(model_names(row(model="scb/typhoon", notes="Qwen3-8B class; GPU not stated")))


def test_a_row_without_measurements_is_predicted() -> None:
    found = predict_row(row())
    assert found.figures["kv_cache_tokens"] == pytest.approx(1_096_000, rel=0.005)


@pytest.mark.parametrize(
    "cells",
    [
        {"model": "no/such-model-anywhere"},
        {"tp": "", "n_gpus": ""},
        {"engine": ""},
        {"kv_dtype": "fp7"},
        {"engine": "??"},
    ],
)
def test_bad_rows_say_why(cells: dict[str, str]) -> None:
    found = predict_row(row(**cells))
    assert found.note
    assert not found.figures
    assert len(found.cells()) == len(COLUMNS)


def test_unknown_accelerator_gets_weights_only() -> None:
    found = predict_row(row(gpu="", notes=""))
    assert found.figures["weights_gib_per_gpu"] == pytest.approx(14.25, abs=0.05)
    assert "kv_cache_tokens" not in found.figures


def test_gzipped_files_and_output(tmp_path: Path) -> None:
    cells = row().cells
    text = io.StringIO()
    writer = csv.DictWriter(text, list(cells))
    writer.writeheader()
    writer.writerow(cells)
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(gzip.compress(text.getvalue().encode()))
    out = io.StringIO()
    predictions = validate_memory(path, out)
    written = list(csv.DictReader(io.StringIO(out.getvalue())))
    assert tuple(written[0]) == COLUMNS
    assert written[0]["id"] == predictions[0].id == "r1"


@pytest.mark.shared
@pytest.mark.skipif(not ROWS.exists(), reason="the measurements are not beside the project")
def test_errors_against_measurements() -> None:
    rows = read_rows(ROWS)
    predictions = validate_memory(ROWS)
    table = {line.figure: line for line in error_table(rows, predictions)}
    assert table["weights_gib_per_gpu"].median_relative < 0.01
    assert table["kv_cache_tokens"].median_relative < 0.05
    assert table["kv_cache_tokens"].p90_relative < 0.15
    answered = [item for item in predictions if item.figures]
    assert len(answered) >= 0.85 * len(rows)
    assert all(item.note for item in predictions if not item.figures)
