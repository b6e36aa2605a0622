"""Traces replayed: the contract of the command, the forms of traces, and two measured servers."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sizing.cli import app
from sizing.serving.simulate import AffineStepTimes, ClusterConfig, SchedulerConfig, simulate
from sizing.workload import BatchArrival, preset
from sizing.workload.measured import read_replay

SHARED = (
    Path(os.environ.get("SIZING_SHARED", Path(__file__).resolve().parents[3] / "shared")) / "measurements" / "replay"
)
STATS = {"mean", "p50", "p90", "p95", "p99"}


def ask(path: Path, *more: str) -> dict:
    given = ["replay", str(path), "--model", "Qwen/Qwen3-8B", "--on", "h100-sxm", "--json", *more]
    found = CliRunner().invoke(app, given)
    assert found.exit_code == 0, found.exception
    return json.loads(found.stdout)


def test_the_contract(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text(
        "arrival_s,input_tokens,output_tokens,measured_ttft_s,measured_tpot_ms\n0,1000,100,0.04,8\n0.5,500,50,0.03,7\n"
    )
    found = ask(file, "--tp", "1", "--max-num-seqs", "64", "--max-num-batched-tokens", "2048", "--compare")
    assert (found["requests"], found["completed"], found["preemptions"]) == (2, 2, 0)
    for name in ("ttft_s", "tpot_s", "e2e_s"):
        assert set(found[name]) == STATS
    assert found["output_tokens_per_s"] > 0
    assert found["compared"]["tpot_s"]["measured"]["mean"] == pytest.approx(0.0075)
    assert sum(row["arrived"] for row in found["timeline"]) == 2


def test_forms_of_one_trace(tmp_path: Path) -> None:
    forms = {
        "azure.csv": "TIMESTAMP,ContextTokens,GeneratedTokens\n"
        "2023-11-16 18:15:46.68,100,20\n2023-11-16 18:15:47.68,200,10\n",
        "plain.csv": "arrival_s,input_tokens,output_tokens\n0,100,20\n1,200,10\n",
        "lines.jsonl": '{"arrival_ms": 0, "prompt_tokens": 100, "completion_tokens": 20}\n'
        '{"arrival_ms": 1000, "prompt_tokens": 200, "completion_tokens": 10}\n',
        "mooncake.jsonl": '{"timestamp": 0, "input_length": 100, "output_length": 20, "hash_ids": [1]}\n'
        '{"timestamp": 1000, "input_length": 200, "output_length": 10, "hash_ids": [2]}\n',
    }
    answers = []
    for name, text in forms.items():
        (tmp_path / name).write_text(text)
        found = ask(tmp_path / name)
        answers.append([*found["ttft_s"].values(), *found["tpot_s"].values()])
    assert all(item == pytest.approx(answers[0]) for item in answers)


def test_blocks_of_a_trace_are_found_in_the_cache(tmp_path: Path) -> None:
    line = {"input_length": 5120, "output_length": 10, "hash_ids": list(range(10))}
    file = tmp_path / "m.jsonl"
    file.write_text("\n".join(json.dumps({"timestamp": 5000 * i, **line}) for i in range(4)))
    found = ask(file)
    assert found["prefix_cache_hit_rate"] == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("text", "flags", "says"),
    [
        ("arrival_s,input_tokens,output_tokens\n0,10,5\n", ["--compare"], "no measured times"),
        ("arrival_s,input_tokens\n0,10\n", [], "no column for output"),
        ("arrival_s,input_tokens,output_tokens\n0,10,5\n", ["--pp", "2"], "pipeline"),
        ("arrival_s,input_tokens,output_tokens\n0,9000000,5\n", [], "longer than the context"),
    ],
)
def test_refusals(tmp_path: Path, text: str, flags: list[str], says: str) -> None:
    file = tmp_path / "t.csv"
    file.write_text(text)
    found = CliRunner().invoke(app, ["replay", str(file), "--model", "Qwen/Qwen3-8B", "--on", "h100-sxm", *flags])
    assert found.exception is not None and says in str(found.exception)


def test_a_preempted_request_finds_its_blocks_again() -> None:
    requests = preset("chat")
    from sizing.workload import Workload

    arriving = Workload.model_validate(requests).with_arrival(BatchArrival(requests=200)).generate(200, seed=1)
    most = int((arriving.input_tokens + arriving.output_tokens).max())
    base = SchedulerConfig(max_num_seqs=64, max_num_batched_tokens=2048, cache_blocks=max(600, most // 8))
    runs = [
        simulate(arriving, ClusterConfig(scheduler=base.model_copy(update={"prefix_caching": on})), AffineStepTimes())
        for on in (False, True)
    ]
    assert runs[0].preemptions > 0 and runs[1].completed == runs[0].completed == 200
    assert runs[1].recomputed_tokens < 0.9 * runs[0].recomputed_tokens
    assert runs[1].makespan_s < runs[0].makespan_s


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the shared measurements")
@pytest.mark.parametrize(
    ("name", "machine", "tpot", "ttft"),
    [("RTXPRO6000_Llama-3.1-8B", "rtx-pro-6000", 0.05, 0.1), ("RTX4090_Llama-3.1-8B", "rtx-4090", 0.25, 0.2)],
)
def test_measured_traces(name: str, machine: str, tpot: float, ttft: float) -> None:
    given = ["replay", str(SHARED / f"{name}.csv"), "--model", "Llama-3.1-8B", "--on", machine, "--tp", "1"]
    given += ["--engine", "vllm", "--engine-version", "0.19", "--max-num-seqs", "128"]
    found = CliRunner().invoke(app, [*given, "--max-num-batched-tokens", "2048", "--json"])
    document = json.loads(found.stdout)
    assert document["requests"] == len(read_replay(SHARED / f"{name}.csv")) == 300
    assert abs(document["compared"]["tpot_s"]["error"]) < tpot
    assert abs(document["compared"]["ttft_s"]["error"]) < ttft


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the shared measurements")
@pytest.mark.parametrize(
    ("name", "machine"), [("RTXPRO6000_Llama-3.1-8B", "rtx-pro-6000"), ("RTX4090_Llama-3.1-8B", "rtx-4090")]
)
def test_a_calibrated_replay_is_within_three_percent(tmp_path: Path, name: str, machine: str) -> None:
    file, out = str(SHARED / f"{name}.csv"), str(tmp_path / "c.yaml")
    common = ["--model", "Llama-3.1-8B", "--on", machine, "--tp", "1", "--engine", "vllm", "--engine-version", "0.19"]
    common += ["--max-num-seqs", "128", "--max-num-batched-tokens", "2048", "--json"]
    assert CliRunner().invoke(app, ["calibrate", file, "-o", out, *common]).exit_code == 0
    document = json.loads(CliRunner().invoke(app, ["replay", file, "--calibration", out, *common]).stdout)
    assert abs(document["compared"]["tpot_s"]["error"]) < 0.03
    assert abs(document["compared"]["ttft_s"]["error"]) < 0.03
