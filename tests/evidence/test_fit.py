"""A calibration that can't be fooled: what was in flight, what contradicts itself, what beats the roofline."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

import sizing
from sizing.coefficients.calibration import load_calibration
from sizing.evidence.in_flight import CAP, LITTLE, STATED

IN, OUT = 1000, 200


def run(**changes: Any) -> dict[str, Any]:
    """A file of vllm bench serve: Qwen3-8B on one H100, 8 clients, 100 requests."""
    found = {
        "backend": "vllm", "model_id": "Qwen/Qwen3-8B", "tensor_parallel_size": "1", "num_prompts": 100,
        "max_concurrency": 8, "request_rate": "inf", "completed": 100, "total_input_tokens": 100 * IN,
        "total_output_tokens": 100 * OUT, "mean_ttft_ms": 60.0, "mean_tpot_ms": 8.0, "mean_e2el_ms": 1652.0,
        "request_throughput": 4.84, "output_throughput": 968.0, "duration": 20.66,
    }  # fmt: skip
    return {key: value for key, value in {**found, **changes}.items() if value is not None}


def at_rate(rate: float, done: float, e2e_s: float, **changes: Any) -> dict[str, Any]:
    """The same driven by a rate: no cap, and more prompts than ever were in flight."""
    timed = {"request_throughput": done, "output_throughput": done * OUT, "duration": 1656 / done}
    tokens = {
        "num_prompts": 1656,
        "completed": 1656,
        "total_input_tokens": 1656 * IN,
        "total_output_tokens": 1656 * OUT,
    }
    return run(max_concurrency=None, request_rate=rate, mean_e2el_ms=1e3 * e2e_s, **tokens, **timed, **changes)


def fit(folder: Path, *documents: dict[str, Any], **stated: Any) -> sizing.Fitted:
    paths = []
    for index, document in enumerate(documents):
        paths.append(folder / f"run{index}.json")
        paths[-1].write_text(json.dumps(document))
    return sizing.calibrate(paths, stated.pop("on", "h100-sxm"), **stated)


@pytest.mark.parametrize(
    ("document", "held", "source"),
    [
        (run(), 4.84 * 1.652, LITTLE),
        (at_rate(6.0, 5.9, 1.75), 5.9 * 1.75, LITTLE),
        (run(mean_e2el_ms=None), 4.84 * (0.060 + 0.008 * 199), LITTLE),
        ({**run(max_concurrency=256, concurrency=7.9), "mean_e2e_latency_ms": 1652.0}, 7.9, STATED),
    ],
)
def test_what_was_in_flight_is_measured(tmp_path: Path, document: dict[str, Any], held: float, source: str) -> None:
    found = fit(tmp_path, document).runs[0]
    assert found.concurrency == pytest.approx(held, rel=0.01)
    assert found.concurrency_from == source


def test_a_cap_is_taken_only_where_nothing_was_measured(tmp_path: Path) -> None:
    bare = run(mean_ttft_ms=None, mean_e2el_ms=None)
    found = fit(tmp_path, bare).runs[0]
    assert (found.concurrency, found.concurrency_from) == (8.0, CAP)


@pytest.mark.parametrize(
    ("document", "stated", "says"),
    [
        (run(max_concurrency=None, mean_ttft_ms=None, mean_e2el_ms=None), {}, "--concurrency"),
        (run(model_id=None), {}, "--model"),
        (run(model_id="served-name-of-ours"), {}, "--model"),
        (run(total_input_tokens=None), {}, "--input"),
        (run(mean_tpot_ms=1.5, mean_e2el_ms=None), {}, "beats the roofline"),
        (run(mean_ttft_ms=2.0), {}, "beats the roofline"),
        (run(mean_ttft_ms=2000.0), {}, "contradicts itself"),
        (run(output_throughput=400.0), {}, "contradicts itself"),
        (run(mean_e2el_ms=5000.0), {}, "contradicts itself"),
        (run(median_tpot_ms=9.0, p99_tpot_ms=8.0), {}, "contradicts itself"),
        (run(completed=101, num_prompts=100), {}, "contradicts itself"),
        (run(duration=200.0), {}, "contradicts itself"),
        (run(), {"tpp": 2}, "did you mean"),
        (run(), {"tp": 0}, "at least 1"),
    ],
)
def test_refusals_say_why(tmp_path: Path, document: dict[str, Any], stated: dict[str, Any], says: str) -> None:
    with pytest.raises(sizing.SizingError, match=says.replace("-", r"\-")) as caught:
        fit(tmp_path, document, **stated)
    assert "\n" not in str(caught.value)


def test_several_engines_are_refused(tmp_path: Path) -> None:
    with pytest.raises(sizing.SizingError, match="calibrate each by itself"):
        fit(tmp_path, run(), run(backend="sglang"))


def test_an_odd_factor_and_few_runs_are_warned_of(tmp_path: Path) -> None:
    slow = at_rate(1.0, 1.0, 60.0, mean_tpot_ms=300.0)
    found = fit(tmp_path, *[slow] * 4)
    assert found.decode.factor > 2
    assert any("outside 0.5 to 2" in text for text in found.warnings)
    assert any("fewer than three" in text for text in fit(tmp_path, run()).warnings)


def test_waiting_is_no_prefill(tmp_path: Path) -> None:
    timed = {"mean_e2el_ms": 1473.0, "request_throughput": 0.68, "output_throughput": 136.0, "duration": 147.0}
    alone = run(max_concurrency=1, mean_ttft_ms=40.0, mean_tpot_ms=7.2, **timed)
    assert fit(tmp_path, alone).prefill.runs == 1
    behind = at_rate(20.0, 10.0, 30.0, mean_ttft_ms=20000.0, mean_tpot_ms=50.0)
    assert fit(tmp_path, behind).prefill.runs == 0
    burst = run(max_concurrency=None, num_prompts=100)
    assert fit(tmp_path, burst).prefill.runs == 0


def test_labels_win_over_defaults_and_flags_over_labels(tmp_path: Path) -> None:
    labelled = run(tensor_parallel_size="2", weights="fp8", kv_dtype="fp8", engine_version="0.19")
    found = fit(tmp_path, labelled)
    one = found.runs[0].to_dict()
    assert (one["placement"]["tp"], one["weights"], one["kv_dtype"]) == (2, "fp8", "fp8")
    assert one["engine_version"].startswith("0.19")
    other = fit(tmp_path, labelled, weights="bf16")
    assert other.runs[0].target.scheme.name == "bf16"
    assert any("states weights fp8" in text for text in other.warnings)
    unsaid = fit(tmp_path, run(tensor_parallel_size=None))
    assert any("states no placement" in text for text in unsaid.assumptions)


def test_it_is_used_and_written(tmp_path: Path) -> None:
    found = fit(tmp_path, run(), run(), run())
    found.write(tmp_path / "own.yaml")
    back = load_calibration(tmp_path / "own.yaml")
    assert (back.decode, back.prefill) == (found.decode, found.prefill)
    asked = {"input_tokens": IN, "output_tokens": OUT, "concurrency": 8}
    before, after = (sizing.estimate("qwen3-8b", "h100-sxm", calibration=c, **asked) for c in (None, found))
    assert abs(math.log(after.latency.tpot_s.p50 / 0.008)) < abs(math.log(before.latency.tpot_s.p50 / 0.008))
    assert "runs" in str(found) and len(str(found).splitlines()) <= 20


def test_a_measured_trace_is_met_after_calibration(tmp_path: Path) -> None:
    """The trace's times are those of a server 20% slower in decode and 30% in prefill than the model."""
    rows = [(0.4 * i, 600 + 40 * (i % 7), 100 + 20 * (i % 5)) for i in range(60)]
    file = tmp_path / "t.csv"
    file.write_text("arrival_s,input_tokens,output_tokens\n" + "".join(f"{a},{b},{c}\n" for a, b, c in rows))
    slow = sizing.Calibration("vllm", "h100-sxm", sizing_shift(1.2), sizing_shift(1.3))
    served = sizing.replay(file, "qwen3-8b", "h100-sxm", calibration=slow).result
    file.write_text(
        "arrival_s,input_tokens,output_tokens,measured_ttft_s,measured_tpot_s\n"
        + "".join(f"{a},{b},{c},{t},{p}\n" for (a, b, c), t, p in zip(rows, served.ttft_s, served.tpot_s, strict=True))
    )
    found = sizing.calibrate(file, "h100-sxm", model="qwen3-8b")
    compared = sizing.replay(file, "qwen3-8b", "h100-sxm", calibration=found).to_dict()["compared"]
    assert abs(compared["tpot_s"]["error"]) < 0.05  # the prior keeps a part of the shift
    assert abs(compared["ttft_s"]["error"]) < 0.05


def sizing_shift(factor: float) -> Any:
    from sizing.coefficients.calibration import Shift

    return Shift(factor, 0.05, 1)
