"""What each engine is told, and what it would refuse."""

from __future__ import annotations

import itertools
import json
import shlex
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
import yaml

from sizing.base.errors import PlacementError, SizingError, UnknownNameError
from sizing.deploy import (
    DeploymentSpec,
    Disaggregated,
    Interval,
    Parallelism,
    Rope,
    Speculative,
    Workload,
    deployment_files,
    launch_commands,
)

from .cases import (
    DEEPSEEK_POOLS_SGLANG,
    DEEPSEEK_R1_ASCEND,
    DEEPSEEK_R1_H200,
    DEEPSEEK_R1_MINDIE,
    DEEPSEEK_V3_TWO_NODES,
    QWEN3_30B_TRTLLM,
    QWEN3_32B_128K,
    QWEN3_235B_4,
    QWEN3_235B_8,
    QWEN3_235B_POOLS,
    YARN,
)


def option(spec: DeploymentSpec, name: str, node: int = 0) -> str | None:
    """The value after an option, "" for a flag without one, None where it is absent."""
    argv = [str(value) for value in launch_commands(spec)[node].argv]
    if name not in argv:
        return None
    after = argv[argv.index(name) + 1 :][:1]
    return after[0] if after and not after[0].startswith("--") else ""


def env(spec: DeploymentSpec) -> dict[str, Any]:
    """The environment of the first node."""
    return dict(launch_commands(spec)[0].env)


def test_vllm_yarn_by_version() -> None:
    new = json.loads(option(QWEN3_32B_128K, "--hf-overrides") or "")
    assert new["max_position_embeddings"] == 131072
    assert new["rope_parameters"] == {
        "rope_type": "yarn",
        "rope_theta": 1000000,
        "factor": 4.0,
        "original_max_position_embeddings": 32768,
    }
    old = replace(QWEN3_32B_128K, engine_version="0.11.0")
    assert "rope_scaling" in json.loads(option(old, "--hf-overrides") or "")
    nested = json.loads(option(replace(QWEN3_32B_128K, nested_text_config=True), "--hf-overrides") or "")
    assert set(nested) == {"text_config"}
    assert option(replace(QWEN3_32B_128K, max_model_len=40960, workload=None), "--hf-overrides") is None


def test_sglang_yarn_needs_leave_and_the_longer_maximum() -> None:
    spec = replace(QWEN3_32B_128K, engine="sglang")
    assert env(spec)["SGLANG_ALLOW_OVERWRITE_LONGER_CONTEXT_LEN"] == "1"
    assert json.loads(option(spec, "--json-model-override-args") or "")["max_position_embeddings"] == 131072
    assert option(spec, "--tool-call-parser") == "qwen25"


@pytest.mark.parametrize("engine", ["tensorrt-llm", "mindie"])
def test_engines_without_an_option_get_a_script_that_patches_the_config(engine: str, tmp_path: Any) -> None:
    ascend = {"vendor": "ascend", "accelerator": "ascend-910b3", "weights": "bf16"} if engine == "mindie" else {}
    spec = replace(QWEN3_32B_128K, engine=engine, reasoning_parser=None, tool_parser=None, **ascend)
    script = deployment_files(spec, "command")["patch-rope.py"]
    (tmp_path / "config.json").write_text('{"max_position_embeddings": 40960, "rope_theta": 1000000}')
    for _ in range(2):
        subprocess.run([sys.executable, "-", str(tmp_path)], input=script, text=True, check=True, capture_output=True)
    changed = json.loads((tmp_path / "config.json").read_text())
    assert changed["max_position_embeddings"] == 131072 and changed["rope_theta"] == 1000000
    assert changed["rope_scaling"]["type" if engine == "mindie" else "rope_type"] == "yarn"
    assert json.loads((tmp_path / "config.json.orig").read_text())["max_position_embeddings"] == 40960


def test_fp8_blocks_want_expert_parallelism() -> None:
    cut = {"parallelism": Parallelism(tp=8)}
    for spec in (
        replace(QWEN3_235B_8, engine_version="0.23.0", **cut),
        replace(QWEN3_235B_8, engine="sglang", **cut),
    ):
        with pytest.raises(PlacementError) as caught:
            launch_commands(spec)
        assert caught.value.rule == "fp8_block" and "ep = 8" in str(caught.value)
    assert option(replace(QWEN3_235B_8, **cut), "--enable-expert-parallel") is None
    assert option(QWEN3_235B_8, "--enable-expert-parallel") == ""
    assert launch_commands(replace(QWEN3_235B_4, engine_version="0.23.0"))


def test_vllm_over_two_nodes() -> None:
    first, second = launch_commands(DEEPSEEK_V3_TWO_NODES)
    assert "--headless" not in first.argv and "--headless" in second.argv
    assert option(DEEPSEEK_V3_TWO_NODES, "--node-rank", 1) == "1"
    ray = launch_commands(replace(DEEPSEEK_V3_TWO_NODES, engine_version="0.11.0"))
    assert ray[0].before[0][:3] == ("ray", "start", "--head") and ray[0].argv[-1] == "ray"
    assert ray[1].argv[:2] == ("ray", "start")
    for kind in ("compose", "lws"):
        with pytest.raises(SizingError, match="Ray"):
            deployment_files(replace(DEEPSEEK_V3_TWO_NODES, engine_version="0.11.0"), kind)


def test_vllm_data_parallel_over_three_nodes_ranks_its_workers() -> None:
    spec = replace(DEEPSEEK_V3_TWO_NODES, parallelism=Parallelism(tp=4, dp=6, ep=24), weights="bf16")
    commands = launch_commands(spec)
    starts = [option(spec, "--data-parallel-start-rank", node) for node in range(3)]
    assert len(commands) == 3 and starts == [None, "2", "4"]
    items = list(yaml.safe_load_all(deployment_files(spec, "lws")["lws.yaml"]))
    group = next(item for item in items if item["kind"] == "LeaderWorkerSet")["spec"]["leaderWorkerTemplate"]
    command = group["workerTemplate"]["spec"]["containers"][0]["command"]
    assert command[:4] == [
        "sh", "-c", 'exec "$$@" --data-parallel-start-rank "$$((LWS_WORKER_INDEX * 2))"', "sh",
    ]  # fmt: skip
    assert "--headless" in command and command.count("--data-parallel-start-rank") == 0
    ranked = replace(DEEPSEEK_V3_TWO_NODES, parallelism=Parallelism(tp=8, pp=3))
    items = list(yaml.safe_load_all(deployment_files(ranked, "lws")["lws.yaml"]))
    group = next(item for item in items if item["kind"] == "LeaderWorkerSet")["spec"]["leaderWorkerTemplate"]
    command = group["workerTemplate"]["spec"]["containers"][0]["command"]
    assert command[command.index("--node-rank") + 1] == "$(LWS_WORKER_INDEX)"


def test_vllm_all_to_all_is_a_flag_or_a_variable() -> None:
    spec = replace(QWEN3_235B_8, all2all_backend="deepep_low_latency")
    assert option(spec, "--all2all-backend") == "deepep_low_latency"
    old = replace(spec, engine_version="0.11.0", tool_parser=None, reasoning_parser=None)
    assert option(old, "--all2all-backend") is None
    assert env(old)["VLLM_ALL2ALL_BACKEND"] == "deepep_low_latency"


def test_vllm_oldest_enables_reasoning_apart() -> None:
    spec = replace(QWEN3_32B_128K, engine_version="0.8.5", reasoning_parser="deepseek-r1", tool_parser=None)
    assert option(spec, "--enable-reasoning") == "" and option(spec, "--reasoning-parser") == "deepseek_r1"
    with pytest.raises(SizingError, match="no known reasoning parser"):
        launch_commands(replace(spec, reasoning_parser="glm45"))


def test_sglang_divides_what_it_is_told_by_its_groups() -> None:
    assert option(DEEPSEEK_R1_H200, "--tp-size") == "8" and option(DEEPSEEK_R1_H200, "--attn-dp-size") == "8"
    assert option(DEEPSEEK_R1_H200, "--chunked-prefill-size") == "32768"
    assert option(DEEPSEEK_R1_H200, "--max-running-requests") == "256"
    assert option(DEEPSEEK_R1_H200, "--speculative-num-draft-tokens") == "4"
    old = replace(DEEPSEEK_R1_H200, engine_version="0.5.9")
    assert option(old, "--dp-size") == "8" and option(old, "--enable-dp-attention") == ""
    dense = replace(QWEN3_32B_128K, engine="sglang", parallelism=Parallelism(tp=2, dp=4))
    assert option(dense, "--tp-size") == "2" and option(dense, "--dp-size") == "4"


def test_ascend_graphs_are_multiples_of_verified_tokens() -> None:
    config = json.loads(option(DEEPSEEK_R1_ASCEND, "--compilation-config") or "")
    assert all(size % 2 == 0 for size in config["cudagraph_capture_sizes"])
    assert option(DEEPSEEK_R1_ASCEND, "--quantization") == "ascend"
    assert launch_commands(replace(DEEPSEEK_R1_ASCEND, accelerator="ascend-910c"))[0].image.endswith("-a3")


def test_mindie_config_keeps_its_rules() -> None:
    files = deployment_files(DEEPSEEK_R1_MINDIE, "command")
    backend = json.loads(files["mindie-config.json"])["BackendConfig"]
    deploy, schedule = backend["ModelDeployConfig"], backend["ScheduleConfig"]
    model = deploy["ModelConfig"][0]
    assert model["tp"] * model["dp"] == model["worldSize"] == model["moe_tp"] * model["moe_ep"] == 16
    assert schedule["maxPrefillTokens"] >= deploy["maxInputTokenLen"]
    assert schedule["maxIterTimes"] >= 1500 and deploy["maxInputTokenLen"] >= 3500
    assert json.loads(model["plugin_params"])["num_speculative_tokens"] == 1
    ranks = [
        device["rank_id"]
        for server in json.loads(files["ranktable.json"])["server_list"]
        for device in server["device"]
    ]
    assert ranks == [str(rank) for rank in range(16)]
    old = replace(DEEPSEEK_R1_MINDIE, engine_version="2.1.0")
    assert launch_commands(old)[0].argv == ("./bin/mindieservice_daemon",)


def test_trtllm_config() -> None:
    wide = replace(QWEN3_30B_TRTLLM, parallelism=Parallelism(dp=8, ep=8), replicas=1, speculative=Speculative("mtp", 1))
    config = yaml.safe_load(deployment_files(wide, "command")["trtllm-config.yaml"])
    assert config["enable_attention_dp"] and config["speculative_config"]["num_nextn_predict_layers"] == 1
    assert option(wide, "--tp_size") == "8" and option(wide, "--ep_size") == "8"
    two = replace(QWEN3_30B_TRTLLM, parallelism=Parallelism(tp=16), moe_intermediate_size=None)
    assert launch_commands(two)[0].argv[0] == "mpirun" and len(launch_commands(two)) == 1


def test_pools() -> None:
    roles = [command.role for command in launch_commands(DEEPSEEK_POOLS_SGLANG)]
    assert roles == ["prefill", "decode", "decode", "router"]
    assert option(QWEN3_235B_POOLS, "--kv-transfer-config") is not None
    graph = list(yaml.safe_load_all(deployment_files(QWEN3_235B_POOLS, "dynamo")["dynamo.yaml"]))[1]
    names = [(item["name"], item["replicas"]) for item in graph["spec"]["components"]]
    assert names == [("Frontend", 1), ("PrefillWorker", 3), ("DecodeWorker", 1)]
    for item in graph["spec"]["components"][1:]:
        args = item["podTemplate"]["spec"]["containers"][0]["args"]
        assert not {"--host", "--port", "--reasoning-parser"} & set(args)
        assert json.loads(args[args.index("--kv-transfer-config") + 1])["kv_role"] in (
            "kv_producer",
            "kv_consumer",
        )


def test_compose_gives_each_replica_its_own_accelerators() -> None:
    services = yaml.safe_load(deployment_files(QWEN3_30B_TRTLLM, "compose")["compose.yaml"])["services"]
    devices = [item["deploy"]["resources"]["reservations"]["devices"][0]["device_ids"] for item in services.values()]
    assert devices == [[str(number)] for number in range(8)]
    assert [item["ports"][0] for item in services.values()] == [f"{8000 + number}:8000" for number in range(8)]


def test_benchmark_measures_the_plan() -> None:
    line = deployment_files(QWEN3_235B_4, "benchmark")["benchmark.sh"].split("exec ", 1)[1]
    argv = shlex.split(line.replace("\\\n", " "))
    values = dict(itertools.pairwise(argv))
    assert values["--random-input-len"] == "1536" and values["--random-prefix-len"] == "512"
    assert values["--request-rate"] == "2.5" and values["--num-prompts"] == "750"
    assert "tensor_parallel_size=4" in argv
    expected = yaml.safe_load(deployment_files(QWEN3_235B_4, "benchmark")["expected.yaml"])
    assert expected["expected"]["ttft_ms"] == {"p10": 310.0, "p50": 420.0, "p90": 700.0}
    assert expected["results"][0]["fields"]["tpot_ms"] == "mean_tpot_ms"
    shared = replace(DEEPSEEK_R1_H200, workload=Workload(4096, 1024, concurrency=8, shared_prefix_tokens=1024))
    assert "generated-shared-prefix" in deployment_files(shared, "benchmark")["benchmark.sh"]


REFUSED: list[tuple[DeploymentSpec, dict[str, Any], str]] = [
    (QWEN3_235B_8, {"parallelism": Parallelism(tp=8, ep=4)}, "ep"),
    (QWEN3_235B_8, {"kv_dtype": "int8"}, "kv_dtype"),
    (QWEN3_235B_8, {"reasoning_parser": "qwen9"}, "reasoning_parser"),
    (QWEN3_235B_8, {"engine_version": "0.8.5", "speculative": Speculative("mtp", 1)}, "engine_version"),
    (QWEN3_235B_POOLS, {"transfer": "mooncake"}, "transfer"),
    (QWEN3_235B_8, {"parallelism": Parallelism(tp=16, dp=2)}, "dp"),
    (DEEPSEEK_R1_H200, {"kv_dtype": "nvfp4"}, "kv_dtype"),
    (DEEPSEEK_R1_H200, {"engine_version": "0.4.6", "parallelism": Parallelism(pp=2)}, "engine_version"),
    (DEEPSEEK_R1_ASCEND, {"weights": "fp8_block"}, "weights"),
    (DEEPSEEK_R1_ASCEND, {"kv_dtype": "fp8"}, "kv_dtype"),
    (DEEPSEEK_R1_ASCEND, {"speculative": Speculative("mtp", 16)}, "speculative"),
    (DEEPSEEK_R1_MINDIE, {"parallelism": Parallelism(tp=8, pp=2)}, "pp"),
    (DEEPSEEK_R1_MINDIE, {"weights": "fp8"}, "weights"),
    (DEEPSEEK_R1_MINDIE, {"weights": "bf16"}, "speculative"),
    (DEEPSEEK_R1_MINDIE, {"speculative": Speculative("mtp", 3)}, "speculative"),
    (DEEPSEEK_R1_MINDIE, {"reasoning_parser": "deepseek-r1"}, "reasoning_parser"),
    (DEEPSEEK_R1_MINDIE, {"disaggregated": Disaggregated(Parallelism(), Parallelism())}, "disaggregated"),
    (QWEN3_30B_TRTLLM, {"parallelism": Parallelism(tp=2, dp=2)}, "dp"),
    (QWEN3_30B_TRTLLM, {"speculative": Speculative("ngram", 2)}, "speculative"),
    (QWEN3_30B_TRTLLM, {"kv_dtype": "int8"}, "kv_dtype"),
    (QWEN3_30B_TRTLLM, {"served_model_name": "other"}, "served_model_name"),
    (QWEN3_30B_TRTLLM, {"tool_parser": "hermes"}, "tool_parser"),
]


@pytest.mark.parametrize(("spec", "changes", "key"), REFUSED)
def test_what_an_engine_would_refuse(spec: DeploymentSpec, changes: dict[str, Any], key: str) -> None:
    with pytest.raises(SizingError) as caught:
        launch_commands(replace(spec, **changes))
    assert caught.value.key == key


INVALID: list[tuple[dict[str, Any], str]] = [
    ({"plan": "a\nb"}, "plan"),
    ({"date": "today"}, "date"),
    ({"model": "../x"}, "model"),
    ({"model": "/models/../x"}, "model"),
    ({"engine": "tgi"}, "engine"),
    ({"weights": "int3"}, "weights"),
    ({"vendor": "ascend"}, "vendor"),
    ({"max_model_len": 0}, "max_model_len"),
    ({"max_model_len": 65536}, "max_model_len"),
    ({"max_model_len": 200_000, "rope": YARN}, "max_model_len"),
    ({"max_model_len": 2048}, "max_model_len"),
    ({"max_num_seqs": True}, "max_num_seqs"),
    ({"memory_utilization": 1.5}, "memory_utilization"),
    ({"memory_utilization": float("nan")}, "memory_utilization"),
    ({"port": 80}, "port"),
    ({"name": "Bad_Name"}, "name"),
    ({"accelerator_resource": "gpu"}, "accelerator_resource"),
    ({"quantize_online": True}, "quantize_online"),
    ({"parallelism": Parallelism(tp=12)}, "parallelism"),
    ({"moe": False}, "ep"),
]


@pytest.mark.parametrize(("changes", "key"), INVALID)
def test_fields_are_checked(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(SizingError) as caught:
        replace(QWEN3_235B_8, **changes)
    assert caught.value.key == key


def test_parts_are_checked() -> None:
    for make in (
        lambda: Interval(2, 1, 3),
        lambda: Interval(float("nan"), 1, 3),
        lambda: Parallelism(tp=0),
        lambda: Parallelism(tp=4, ep=3),
        lambda: Rope(0.5, 1, 1),
        lambda: Rope(4, 32768, 0),
        lambda: Speculative("medusa", 1),
        lambda: Speculative("eagle3", 1),
        lambda: Speculative("mtp", 65),
        lambda: Speculative("eagle3", 1, "$(x)"),
        lambda: Disaggregated(Parallelism(), Parallelism(), prefill_replicas=0),
        lambda: Workload(1, 1),
        lambda: Workload(1, 1, concurrency=0),
        lambda: Workload(1, 1, request_rate=float("inf")),
        lambda: Workload(8, 1, concurrency=1, shared_prefix_tokens=8),
    ):
        with pytest.raises(SizingError):
            make()


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        (DEEPSEEK_V3_TWO_NODES, "kubernetes"),
        (QWEN3_235B_8, "lws"),
        (DEEPSEEK_R1_MINDIE, "lws"),
        (DEEPSEEK_R1_ASCEND, "kserve"),
        (DEEPSEEK_R1_H200, "llm-d"),
        (QWEN3_30B_TRTLLM, "dynamo"),
        (QWEN3_235B_POOLS, "compose"),
        (replace(QWEN3_235B_8, workload=None), "benchmark"),
    ],
)
def test_kinds_that_do_not_fit_say_so(spec: DeploymentSpec, kind: str) -> None:
    with pytest.raises(SizingError) as caught:
        deployment_files(spec, kind)
    assert caught.value.key in ("kind", "workload")


def test_unknown_kind_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="kubernetes"):
        deployment_files(QWEN3_235B_8, "kubernets")


def test_local_weights_are_mounted_where_they_are() -> None:
    spec = replace(QWEN3_235B_8, model="/data/models/qwen")
    service = yaml.safe_load(deployment_files(spec, "compose")["compose.yaml"])["services"]["qwen"]
    assert "/data/models:/data/models:ro" in service["volumes"]
    assert "kserve-llminferenceservice.yaml" not in deployment_files(spec, "kserve")


def test_amd_compose() -> None:
    spec = replace(QWEN3_235B_8, vendor="amd", accelerator="mi300x")
    service = yaml.safe_load(deployment_files(spec, "compose")["compose.yaml"])["services"]["qwen3-235b-a22b-fp8"]
    assert service["environment"]["HIP_VISIBLE_DEVICES"] == "0,1,2,3,4,5,6,7"
