"""Files of load generators against a server of known delays: 0.3 s to the first token, 50 ms a token, 128 in and 32 out.

Recorded from the tools themselves (vllm 0.33.0, EvalScope 1.14.1, inference-perf 0.7.0, genai-bench 0.0.5; long lists cut);
those of AISBench 3.1, LLMPerf and trtllm-bench have the keys of the tools' own writers and the figures of such a server.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

import sizing
from sizing.evidence.benchmark_files import read_benchmark
from sizing.evidence.in_flight import check_run, in_flight

SHARED = Path(os.environ.get("SIZING_SHARED", Path(__file__).resolve().parents[3] / "shared"))
DATA = Path(__file__).resolve().parents[1] / "data" / "bench"
TTFT, TPOT, IN, OUT = 0.3, 0.05, 128, 32
CLOSED, AT_RATE = 4.0, 5.065 * 1.856  # in flight: four clients; six a second for ten seconds, and the last answer
FILES = {
    "vllm_rate.json": ("vllm", AT_RATE),
    "evalscope/benchmark_summary.json": ("evalscope", CLOSED),
    "inference_perf/stage_0_lifecycle_metrics.json": ("inference-perf", AT_RATE),
    "aisbench/gsm8k.json": ("aisbench", CLOSED),
    "aisbench/gsm8k.csv": ("aisbench", CLOSED),
    "llmperf_summary.json": ("llmperf", CLOSED),
    "trtllm_bench_report.json": ("trtllm-bench", CLOSED),
}
NAMELESS = {"aisbench/gsm8k.json", "aisbench/gsm8k.csv"}


@pytest.mark.parametrize("name", FILES)
def test_known_delays_come_back(name: str) -> None:
    (run,) = read_benchmark(DATA / name)
    tool, held = FILES[name]
    check_run(run)
    assert run.tool == tool
    assert (run.input_tokens, run.output_tokens) == (IN, OUT)
    assert run.ttft_s.mean == pytest.approx(TTFT, rel=0.07)  # the client's own share of a loaded machine is in it
    assert run.tpot_s.mean == pytest.approx(TPOT, rel=0.05)
    assert in_flight(run).requests == pytest.approx(held, rel=0.05)
    assert run.model == (None if name in NAMELESS else "Qwen/Qwen3-8B")


@pytest.mark.parametrize("name", FILES)
def test_they_go_through_calibrate(name: str) -> None:
    stated: dict[str, Any] = {"model": "Qwen/Qwen3-8B"} if name in NAMELESS else {}
    found = sizing.calibrate(DATA / name, "h100-sxm", **stated).runs[0]
    assert found.concurrency == pytest.approx(FILES[name][1], rel=0.05)
    assert found.measured["tpot_s"] == pytest.approx(TPOT, rel=0.05)


def test_genai_bench_and_the_file_beside_it() -> None:
    """Its synthetic prompts were 109 tokens long, and its first requests late: as the file says."""
    (run,) = read_benchmark(DATA / "genai_bench" / "D128_32_text-to-text_num_concurrency_4_time_20s.json")
    assert (run.model, run.engine, run.accelerator, run.accelerators) == ("Qwen/Qwen3-8B", "vllm", "H100", 4)
    assert in_flight(run).requests == pytest.approx(1.9279 * 1.8937, rel=0.01)
    assert run.tpot_s.mean == pytest.approx(TPOT, rel=0.05)
    with pytest.raises(sizing.SizingError, match="--tp"):
        sizing.calibrate(DATA / "genai_bench" / "D128_32_text-to-text_num_concurrency_4_time_20s.json", "h100-sxm")


def test_labels_of_our_scripts_count() -> None:
    one = sizing.calibrate(DATA / "vllm_rate.json", "h100-sxm").runs[0].to_dict()
    assert (one["placement"]["tp"], one["weights"], one["kv_dtype"], one["engine"]) == (4, "fp8", "fp8", "vllm")


def test_guidellm_labels(tmp_path: Path) -> None:
    document = json.loads((DATA / "guidellm_v2.json").read_text())
    document.setdefault("config", {})["metadata"] = {
        "labels": {"engine": "vllm", "tensor_parallel_size": "4", "weights": "fp8", "kv_dtype": "fp8", "replicas": "2"}
    }
    (tmp_path / "g.json").write_text(json.dumps(document))
    for run in read_benchmark(tmp_path / "g.json"):
        assert (run.tp, run.weights, run.kv_dtype, run.replicas, run.engine) == (4, "fp8", "fp8", 2, "vllm")


def test_sglang_tag(tmp_path: Path) -> None:
    line = json.loads((DATA / "sglang.jsonl").read_text().splitlines()[1])
    (tmp_path / "s.jsonl").write_text(json.dumps({**line, "tag": "engine=sglang,tensor_parallel_size=2,weights=fp8"}))
    (run,) = read_benchmark(tmp_path / "s.jsonl")
    assert (run.tp, run.weights, run.engine) == (2, "fp8", "sglang")


def metric(value: float, unit: str) -> dict[str, Any]:
    return {"unit": unit, "avg": value}


@pytest.mark.parametrize(
    ("phase", "rate", "cap"),
    [
        ({"type": "concurrency", "concurrency": 4, "requests": 40}, None, 4.0),
        ({"type": "poisson", "rate": 6.0, "requests": 60}, 6.0, None),
    ],
)
def test_aiperf_of_2026(tmp_path: Path, phase: dict[str, Any], rate: float | None, cap: float | None) -> None:
    document = {
        "schema_version": "1.4", "aiperf_version": "0.13.0",
        "input_config": {
            "models": {"items": [{"name": "Qwen/Qwen3-8B"}]},
            "phases": [{"name": "warmup", "type": "concurrency", "concurrency": 1}, {"name": "profiling", **phase}],
        },
        "request_count": metric(40, "requests"), "effective_concurrency": metric(3.96, "requests"),
        "request_throughput": metric(2.14, "requests/sec"), "request_latency": metric(1852.0, "ms"),
        "time_to_first_token": metric(302.0, "ms"), "inter_token_latency": metric(50.0, "ms"),
        "output_token_throughput": metric(68.5, "tokens/sec"), "input_sequence_length": metric(128, "tokens"),
        "output_sequence_length": metric(32, "tokens"),
    }  # fmt: skip
    (tmp_path / "a.json").write_text(json.dumps(document))
    (run,) = read_benchmark(tmp_path / "a.json")
    assert (run.model, run.request_rate, run.concurrency) == ("Qwen/Qwen3-8B", rate, cap)
    assert in_flight(run).requests == pytest.approx(3.96)


def test_aiperf_lines_without_errors(tmp_path: Path) -> None:
    line = {
        "metadata": {"session_num": 0, "request_start_ns": 1_000_000_000, "request_end_ns": 2_852_000_000},
        "metrics": {
            "time_to_first_token": {"value": 302.0, "unit": "ms"}, "request_latency": {"value": 1852.0, "unit": "ms"},
            "inter_token_latency": {"value": [50.0] * 31, "unit": "ms"},
            "input_sequence_length": {"value": 128, "unit": "tokens"},
            "output_sequence_length": {"value": 32, "unit": "tokens"},
        },
    }  # fmt: skip
    (tmp_path / "p.jsonl").write_text("\n".join(json.dumps(line) for _ in range(3)))
    (run,) = read_benchmark(tmp_path / "p.jsonl")
    assert (run.input_tokens, run.output_tokens, run.completed) == (128, 32, 3)
    assert run.tpot_s.mean == pytest.approx(TPOT, rel=0.01)
    assert in_flight(run).requests == pytest.approx(3.0, rel=0.01)


def test_a_run_that_mostly_failed_is_refused(tmp_path: Path) -> None:
    document = json.loads((DATA / "evalscope" / "benchmark_summary.json").read_text())
    (tmp_path / "e.json").write_text(json.dumps({**document, "Success Requests": 5, "Failed Requests": 30}))
    with pytest.raises(sizing.SizingError, match="failed"):
        sizing.calibrate(tmp_path / "e.json", "h100-sxm", model="Qwen/Qwen3-8B")


def test_units_that_nobody_knows_are_refused(tmp_path: Path) -> None:
    document = json.loads((DATA / "aisbench" / "gsm8k.json").read_text())
    (tmp_path / "x.json").write_text(json.dumps({**document, "Benchmark Duration": {"total": "18 fortnights"}}))
    with pytest.raises(sizing.SizingError, match="must be a number in ms"):
        read_benchmark(tmp_path / "x.json")


def test_a_published_burst_is_simulated() -> None:
    """300 requests at 10.3 a second, over before the first answers end: the steady state's TTFT is another run's."""
    from sizing.evidence.predict_throughput import predict
    from sizing.evidence.rows_throughput import read_throughput_rows
    from sizing.evidence.simulated_bursts import NOTE

    file = SHARED / "measurements" / "throughput" / "burst_vllm_0.19.csv"
    if not file.is_file():
        pytest.skip("needs the shared measurements")
    rows = read_throughput_rows(file)
    assert all(row.hints.option("max_num_seqs") in (128, 256) for row in rows)
    for row, found in zip(rows, predict(rows), strict=True):
        assert NOTE in found.note
        assert row.value and found.p50 and abs(found.p50 / row.value - 1) < 0.35
