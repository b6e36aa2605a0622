"""What calibrate takes from a run, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sizing.cli import app
from sizing.errors import SizingError
from sizing.evidence.benchmark_files import read_benchmark
from sizing.evidence.measurement import Latency, Measurement
from sizing.evidence.run_checks import check, in_flight, waits

# A server of 0.5 s to the first token and 50 ms a token, 128 in and 32 out: 2.05 s a request, 10.25 in flight at 5/s.
RUN: dict[str, Any] = {
    "backend": "openai", "endpoint_type": "openai", "model_id": "Qwen/Qwen3-8B", "num_prompts": 1656, "request_rate": 5.0,
    "max_concurrency": None, "max_concurrent_requests": 19, "completed": 1656, "failed": 0, "duration": 331.2,
    "total_input_tokens": 128 * 1656, "total_output_tokens": 32 * 1656, "request_throughput": 5.0,
    "output_throughput": 160.0, "total_token_throughput": 800.0, "mean_ttft_ms": 500.0, "mean_tpot_ms": 50.0,
    "mean_itl_ms": 50.0, "mean_e2el_ms": 2050.0, "engine": "vllm", "engine_version": "0.19.0", "accelerator": "h100-sxm",
    "tensor_parallel_size": "4", "replicas": "2", "weights": "fp8", "kv_dtype": "bf16",
}  # fmt: skip


def calibrate(tmp_path: Path, run: dict[str, Any], *more: str) -> Any:
    file = tmp_path / "run.json"
    file.write_text(json.dumps(run), encoding="utf-8")
    return CliRunner().invoke(app, ["calibrate", str(file), "-o", str(tmp_path / "c.yaml"), "--json", *more])


def test_a_run_by_rate_is_taken_as_it_was(tmp_path: Path) -> None:
    found = calibrate(tmp_path, RUN)
    assert found.exit_code == 0, found.exception
    document = json.loads(found.stdout)
    (row,) = document["runs"]
    assert row["concurrency"] == pytest.approx(10.25)
    assert (row["input_tokens"], row["output_tokens"]) == (128.0, 32.0)
    assert (row["ttft_s"]["measured"], row["tpot_s"]["measured"]) == (0.5, 0.05)
    assert document["accelerator"] == "h100-sxm"
    assert any("outside 0.5 to 2" in text for text in document["warnings"])


def test_labels_of_our_own_scripts(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    file.write_text(json.dumps(RUN))
    run = read_benchmark(file)[0]
    assert (run.engine, run.engine_version, run.tp, run.replicas) == ("vllm", "0.19.0", 4, 2)
    assert (run.precision, run.kv_dtype, run.accelerator) == ("fp8", "bf16", "h100-sxm")
    tagged = {key: value for key, value in RUN.items() if key not in ("weights", "tensor_parallel_size")}
    file.write_text(json.dumps({**tagged, "tag": "weights=int8,tensor_parallel_size=8"}))
    run = read_benchmark(file)[0]
    assert (run.precision, run.tp) == ("int8", 8)


def test_guidellm_labels(tmp_path: Path) -> None:
    data = json.loads((Path(__file__).parents[1] / "data" / "bench" / "guidellm_v2.json").read_text())
    data["config"]["metadata"] = {"labels": {"tensor_parallel_size": "4", "weights": "fp8", "engine": "sglang"}}
    file = tmp_path / "g.json"
    file.write_text(json.dumps(data))
    run = read_benchmark(file)[0]
    assert (run.tp, run.precision, run.engine) == (4, "fp8", "sglang")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"max_concurrency": 4}, "in flight, at most 4"),
        ({"mean_ttft_ms": 5000.0}, "the first token takes"),
        ({"mean_tpot_ms": 0.05}, "units?"),
        ({"output_throughput": 900.0}, "are not 900 tokens/s"),
        ({"mean_tpot_ms": 0.2, "mean_e2el_ms": 506.2}, "beats the memory"),
        ({"accelerator": None}, "names no accelerator"),
        ({"model_id": None}, "names no model"),
        ({"request_throughput": None, "mean_ttft_ms": None, "mean_tpot_ms": None, "mean_e2el_ms": None,
          "request_rate": None}, "tells no concurrency"),
    ],
)  # fmt: skip
def test_refused(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    run = {key: value for key, value in {**RUN, **change}.items() if value is not None}
    found = calibrate(tmp_path, run)
    assert found.exception is not None and says in str(found.exception)


def test_another_accelerator_than_measured_is_refused(tmp_path: Path) -> None:
    found = calibrate(tmp_path, RUN, "--on", "a100-80gb-sxm")
    assert "was measured on h100-sxm" in str(found.exception)


def test_what_the_tool_measured_comes_first() -> None:
    stated = Measurement("sglang", "x", concurrency=256.0, concurrency_measured=11.78, requests_per_s=4.9)
    assert in_flight(stated) == 11.78
    assert in_flight(Measurement("vllm", "x", concurrency=8.0)) == 8.0
    assert in_flight(Measurement("vllm", "x", num_prompts=60, request_rate=6.0)) is None


def test_waiting_is_told() -> None:
    assert waits(Measurement("vllm", "x", num_prompts=60)) == "all prompts were sent at once"
    assert "piled up" in str(waits(Measurement("vllm", "x", num_prompts=60, request_rate=10.0, requests_per_s=4.0)))
    assert waits(Measurement("vllm", "x", num_prompts=60, request_rate=10.0, requests_per_s=9.8)) is None
    with pytest.raises(SizingError, match="contradicts"):
        check(Measurement("vllm", "x", completed=10, num_prompts=5, e2e_s=Latency(mean=1.0)))


def test_evalscope_as_it_writes() -> None:
    """Written by EvalScope 1.14.1 against tools/stream_server.py: 0.5 s to the first token, 50 ms a token, 4 in flight."""
    run = read_benchmark(Path(__file__).parents[1] / "data" / "bench" / "evalscope_1.14.1.json")[0]
    assert (run.tool, run.input_tokens, run.output_tokens, run.request_rate) == ("evalscope", 128.0, 32.0, None)
    assert in_flight(run) == pytest.approx(4.0, rel=0.05)
    assert run.ttft_s.mean == pytest.approx(0.5, rel=0.05) and run.tpot_s.mean == pytest.approx(0.05, rel=0.05)
    check(run)


def test_inference_perf_and_llmperf(tmp_path: Path) -> None:
    file = tmp_path / "r.json"
    file.write_text(json.dumps({
        "load_summary": {"count": 60, "requested_rate": 5.0, "achieved_rate": 5.0},
        "successes": {
            "count": 60,
            "latency": {"request_latency": {"mean": 2.05}, "time_to_first_token": {"mean": 0.5},
                        "time_per_output_token": {"mean": 0.05}},
            "throughput": {"output_tokens_per_sec": 160.0, "requests_per_sec": 5.0},
            "prompt_len": {"mean": 128.0}, "output_len": {"mean": 32.0},
        },
        "failures": {"count": 0},
    }))  # fmt: skip
    run = read_benchmark(file)[0]
    assert (run.tool, in_flight(run), run.request_rate) == ("inference-perf", pytest.approx(10.25), 5.0)
    file.write_text(json.dumps({
        "model": "Qwen/Qwen3-8B", "num_concurrent_requests": 4, "results_ttft_s_mean": 0.5,
        "results_inter_token_latency_s_mean": 0.064, "results_end_to_end_latency_s_mean": 2.05,
        "results_number_output_tokens_mean": 32.0, "results_number_input_tokens_mean": 128.0,
        "results_mean_output_throughput_token_per_s": 62.4, "results_num_completed_requests_per_min": 117.0,
    }))  # fmt: skip
    run = read_benchmark(file)[0]
    assert run.tpot_s.mean == pytest.approx(0.05) and in_flight(run) == pytest.approx(4.0, rel=0.01)
