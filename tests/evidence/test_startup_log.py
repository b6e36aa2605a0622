"""Start-up logs of several engines and versions beside the ledger."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sizing.base.errors import SizingError
from sizing.cli import main
from sizing.engine.placement import Placement
from sizing.evidence.startup_log import compare_with, parse_startup_log
from sizing.memory.ledger import memory_ledger
from sizing.planning.target import resolve_target

VLLM_19 = """
(APIServer pid=1) INFO [utils.py:233] vLLM API server version 0.19.0
(EngineCore pid=9) INFO [core.py:105] Initializing a V1 LLM engine (v0.19.0) with config: model='Qwen/Qwen2.5-7B-Instruct', \
dtype=torch.bfloat16, max_seq_len=8192, tensor_parallel_size=1, pipeline_parallel_size=1
non-default args: {'gpu_memory_utilization': 0.95, 'max_model_len': 8192}
(Worker pid=9) INFO [gpu_model_runner.py:4] Model loading took 14.25 GiB memory and 2.1 seconds
(Worker pid=9) DEBUG [gpu_worker.py:3] Total non KV cache memory: 16.70GiB; torch peak memory increase: 2.20GiB; \
non-torch forward increase memory: 0.25GiB; weights memory: 14.25GiB.
(Worker pid=9) INFO [gpu_worker.py:4] Available KV cache memory: 58.53 GiB
(EngineCore pid=9) INFO [kv_cache_utils.py:1] GPU KV cache size: 1,096,000 tokens
(EngineCore pid=9) INFO [kv_cache_utils.py:2] Maximum concurrency for 8,192 tokens per request: 133.79x
(Worker pid=9) INFO Graph capturing finished in 20 secs, took 0.62 GiB
"""
VLLM_OLD = """
INFO model_runner.py:1096] Loading model weights took 14.9888 GB
INFO worker] model weights take 14.99GiB; non_torch_memory takes 0.35GiB; PyTorch activation peak memory takes 1.72GiB; \
the rest of the memory reserved for KV Cache is 3.81GiB.
"""
ASCEND = """
INFO [__init__.py] Platform plugin ascend is activated, vllm_ascend 0.11.0
INFO [model_runner_v1.py] Loading model weights took 16.5326 GB
INFO [worker_v1.py:186] Available memory: 39442891776, total memory: 65452113920
INFO [kv_cache_utils.py:868] NPU KV cache size: 267,392 tokens
INFO Maximum concurrency for 4,096 tokens per request: 65.28x
"""
SGLANG = """
[2026-05-01 10:00:00] server_args=ServerArgs(model_path='Qwen/Qwen3-32B', tp_size=2, mem_fraction_static=0.83)
[10:00:20 TP0] Load weight end. type=Qwen3ForCausalLM, dtype=torch.bfloat16, avail mem=46.90 GB, mem usage=30.80 GB.
[2026-05-01 10:00:21 TP0] KV Cache is allocated. #tokens: 266000, K size: 16.24 GB, V size: 16.24 GB
[2026-05-01 10:00:40 TP0] Capture cuda graph end. Time elapsed: 9.1 s. mem usage=1.40 GB. avail mem=11.0 GB.
[10:00:41 TP0] max_total_num_tokens=266000, chunked_prefill_size=8192, max_running_requests=2048, context_len=40960
"""


@pytest.mark.parametrize(
    ("text", "engine", "version", "figures"),
    [
        (VLLM_19, "vllm", "0.19.0", {"weights_gib": 14.25, "activation_gib": 2.2, "runtime_gib": 0.25, "graphs_gib": 0.62,
                                     "kv_pool_gib": 58.53, "kv_pool_tokens": 1_096_000, "max_concurrency": 133.79}),
        (VLLM_OLD, "vllm", None, {"weights_gib": 14.9888, "activation_gib": 1.72, "runtime_gib": 0.35, "kv_pool_gib": 3.81}),
        (ASCEND, "vllm-ascend", None, {"weights_gib": 16.5326, "kv_pool_gib": 39442891776 / 2**30,
                                       "kv_pool_tokens": 267_392, "max_concurrency": 65.28}),
        (SGLANG, "sglang", None, {"weights_gib": 30.8, "graphs_gib": 1.4, "kv_pool_gib": 32.48, "kv_pool_tokens": 266_000}),
    ],
)  # fmt: skip
def test_what_logs_state(text: str, engine: str, version: str | None, figures: dict[str, float]) -> None:
    found = parse_startup_log(text)
    assert (found.engine, found.version) == (engine, version)
    assert found.figures == pytest.approx(figures)


def test_flags_of_the_start() -> None:
    assert parse_startup_log(VLLM_19).flags == {"context": 8192, "tp": 1, "utilization": 0.95}
    assert parse_startup_log(SGLANG).flags == {
        "context": 40_960,
        "tp": 2,
        "utilization": 0.83,
        "max_num_batched_tokens": 8192,
    }


def test_the_largest_difference_comes_first() -> None:
    log = parse_startup_log(VLLM_19)
    aim = resolve_target("Qwen/Qwen2.5-7B-Instruct", "h100-sxm", engine_version="0.19.0")
    ledger = memory_ledger(
        aim.arch, aim.device, Placement(), aim.engine, aim.scheme, context=8192, memory_utilization=0.95
    )
    lines = compare_with(log, ledger)
    sizes = [abs(item.predicted - item.logged) for item in lines if item.name.endswith("_gib")]
    assert sizes == sorted(sizes, reverse=True)
    by_name = {item.name: item for item in lines}
    assert abs(by_name["weights_gib"].difference) < 0.01
    assert abs(by_name["kv_pool_tokens"].difference) < 0.01


def test_a_text_that_is_no_log() -> None:
    with pytest.raises(SizingError, match="no line of a start-up"):
        parse_startup_log("hello")


def test_the_command_reads_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "vllm.log"
    path.write_text(VLLM_19)
    given = ["memory", "Qwen/Qwen2.5-7B-Instruct", "--on", "h100-sxm", "--log", str(path)]
    for form in ([*given, "--json"], given):
        with pytest.raises(SystemExit) as stop:
            main(form)
        assert not stop.value.code
        if form is given:
            break
        document = json.loads(capsys.readouterr().out)
    assert "largest difference first" in capsys.readouterr().out
    assert document["engine_version"] == "0.19.0"
    assert document["memory_utilization"] == 0.95
    assert {item["name"] for item in document["log"]["lines"]} >= {"weights_gib", "kv_pool_gib", "kv_pool_tokens"}
