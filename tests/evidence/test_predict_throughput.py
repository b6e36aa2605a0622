"""Predictions of throughput rows: units, directions, robustness; accuracy where the measurements are at hand."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import numpy as np
import pytest
from shared_files import shared

from sizing.evidence.predict_throughput import COLUMNS, coefficients, predict, prepare, write_predictions
from sizing.evidence.rows_throughput import ThroughputRow, parse_throughput_row, read_throughput_rows
from sizing.evidence.throughput_docs import markdown

BASE = {
    "id": "own-1", "engine": "tensorrt-llm", "engine_version": "0.17.0", "model": "meta-llama/Llama-3.1-8B",
    "weight_dtype": "fp8", "accelerator": "h100-sxm-80gb", "n_accelerators": "1", "tp": "1", "input_tokens": "1000",
    "output_tokens": "1000", "mode": "offline-max-throughput", "metric": "output_tok_s_total", "value": "",
    "notes": "trtllm-bench",
}  # fmt: skip


def row(**cells: str) -> ThroughputRow:
    return parse_throughput_row({**BASE, **cells})


def value(**cells: str) -> float:
    found = predict([row(**cells)])[0]
    assert found.p50 is not None, found.note
    assert found.p10 is not None and found.p90 is not None and found.p10 < found.p50 < found.p90
    return found.p50


def test_more_output_per_request_is_fewer_requests() -> None:
    assert value(metric="req_s") * 1000 == pytest.approx(value())
    assert value(metric="total_tok_s") == pytest.approx(2 * value())
    assert value(output_tokens="4000", metric="req_s") < value(metric="req_s")


def test_per_gpu_is_a_share_of_the_whole() -> None:
    both = {"n_accelerators": "4", "tp": "4", "model": "meta-llama/Llama-3.1-70B"}
    assert value(**both) == pytest.approx(4 * value(metric="output_tok_s_per_gpu", **both))


def test_latencies_come_in_the_unit_of_the_metric() -> None:
    one = {"engine": "vllm", "engine_version": "0.11.0", "mode": "single-stream", "notes": ""}
    assert value(metric="tpot_ms", **one) == pytest.approx(1000 * value(metric="tpot_s_median", **one))


def test_single_stream_is_slower_on_less_bandwidth_and_with_longer_prompts() -> None:
    one = {"engine": "vllm", "engine_version": "0.11.0", "mode": "single-stream", "weight_dtype": "bf16", "notes": ""}
    assert value(accelerator="a100-sxm-80gb", **one) < value(**one) < value(accelerator="h200-sxm-141gb", **one)
    assert value(input_tokens="60000", **one) < value(input_tokens="100", **one)


def test_throughput_rises_with_concurrency() -> None:
    closed = {"engine": "vllm", "engine_version": "0.11.0", "mode": "fixed-concurrency", "notes": ""}
    found = [value(concurrency_or_batch=str(n), **closed) for n in (1, 4, 16, 64, 256)]
    assert found == sorted(found)


def test_an_offered_rate_below_saturation_is_met() -> None:
    low = {"mode": "server-slo", "metric": "req_s", "notes": "request rate QPS=2"}
    assert value(**low) == pytest.approx(2.0, rel=0.05)


def test_placement_is_chosen_and_said_where_none_is_stated() -> None:
    found = predict([row(n_accelerators="8", tp="", notes="MLPerf v5.1 closed")])[0]
    assert "placement not stated" in found.note and "taken:" in found.note


def test_rows_that_cannot_be_predicted_say_why() -> None:
    unknown, memory, odd = predict(
        [row(model="nobody/never-heard-of"), row(metric="gpu_memory_gb"), row(metric="frames_per_s")]
    )
    for item in (unknown, memory, odd):
        assert item.p50 is None and item.note
    assert predict([]) == []


@pytest.mark.parametrize("cells", [
    {"input_tokens": "0"}, {"output_tokens": "0"}, {"n_accelerators": "100000"}, {"tp": "3"}, {"input_tokens": "1e9"},
    {"concurrency_or_batch": "1e8", "mode": "fixed-concurrency"}, {"engine_version": "banana"}, {"pp": "7"},
])  # fmt: skip
def test_odd_rows_never_raise(cells: dict[str, str]) -> None:
    found = predict([row(**cells)])[0]
    assert found.p50 is None or (math.isfinite(found.p50) and found.p50 > 0)


def test_the_file_that_is_written(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, BASE)
        writer.writeheader()
        writer.writerows([BASE, {**BASE, "id": "own-2", "model": "nobody/nothing"}])
    out = io.StringIO()
    write_predictions(path, out)
    lines = list(csv.DictReader(io.StringIO(out.getvalue())))
    assert tuple(lines[0]) == COLUMNS and [line["id"] for line in lines] == ["own-1", "own-2"]
    assert float(lines[0]["value_p50"]) > 0 and lines[1]["value_p50"] == ""
    assert "Rows set aside" in markdown(read_throughput_rows(path), predict(read_throughput_rows(path)))


def test_coefficients_are_physical() -> None:
    for regime in coefficients().regimes.values():
        assert 0.5 < regime.gemm < 2.5 and 0 < regime.layer_s < 1e-2 and 0 < regime.step_s < 1 and regime.occupancy <= 1


@pytest.mark.shared
def test_accuracy_on_the_published_figures() -> None:
    rows = read_throughput_rows(shared("measurements", "throughput", "throughput.csv.gz"))
    found = predict(rows)
    miss = np.array(
        [np.nan if f.p50 is None or not r.value else f.p50 / r.value - 1 for f, r in zip(found, rows, strict=True)]
    )

    def median(keep: list[bool]) -> float:
        return float(np.nanmedian(np.abs(miss[np.array(keep)])))

    assert median([r.engine == "tensorrt-llm" and r.kind == "offline" for r in rows]) < 0.12
    assert median([r.kind == "single" and r.hints.in_process and (r.input_tokens or 0) > 2000 for r in rows]) < 0.10
    assert median([r.accelerator == "ascend-910b" for r in rows]) < 0.20
    assert sum(f.p50 is not None for f in found) > 6000


@pytest.mark.shared
def test_rows_with_one_configuration_share_a_case() -> None:
    rows = read_throughput_rows(shared("measurements", "throughput", "throughput.csv.gz"))
    assert len(prepare(rows).book.candidates) < len(rows)
