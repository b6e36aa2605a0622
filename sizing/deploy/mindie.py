"""MindIE: its config.json, the rank table of several nodes, and the command that starts the server."""

from __future__ import annotations

import json
from typing import Any

from sizing.base.errors import PlacementError, SizingError
from sizing.deploy import flags
from sizing.deploy.command import NODE, Command, config_path
from sizing.deploy.rope import PATCH_NAME, patch_script
from sizing.deploy.spec import DeploymentSpec
from sizing.deploy.text import Token
from sizing.deploy.vllm_ascend import generation

IMAGE = "swr.cn-south-1.myhuaweicloud.com/ascendhub/mindie:{version}-800I-{generation}-py311-openeuler24.03-lts"
CONFIG = "mindie-config.json"
RANKS = "ranktable.json"
WEIGHTS_PATH = "/models"
BLOCK = 128


def commands(spec: DeploymentSpec, role: str = "serve") -> list[Command]:
    """The command of each node of one replica."""
    check_plan(spec)
    if role != "serve":
        raise SizingError("prefill and decode pools of MindIE are set up by MindIE Motor", key="disaggregated")
    nodes = spec.nodes(spec.parallelism)
    files = [(CONFIG, json.dumps(config(spec), indent=4) + "\n")]
    env: list[tuple[str, Token]] = [
        ("MIES_CONFIG_JSON_PATH", config_path(CONFIG)),
        ("NPU_MEMORY_FRACTION", str(spec.memory_utilization)),
        ("PYTORCH_NPU_ALLOC_CONF", "expandable_segments:True"),
        ("ATB_WORKSPACE_MEM_ALLOC_ALG_TYPE", "3"),
        ("MINDIE_ASYNC_SCHEDULING_ENABLE", "1"),
    ]
    notes = [
        f"The weights are expected under {model_path(spec)} on each node.",
        f"{CONFIG} is read from MIES_CONFIG_JSON_PATH, mode 640. TLS is off: keep the ports private.",
        "Whether maxBatchSize counts one data-parallel group or all of them was not found in the documents.",
    ]
    if nodes > 1:
        files.append((RANKS, json.dumps(rank_table(spec), indent=4) + "\n"))
        table = config_path(RANKS)
        env += [("RANKTABLEFILE", table), ("RANK_TABLE_FILE", table), ("MIES_CONTAINER_IP", NODE)]
        env += [("WORLD_SIZE", str(spec.parallelism.accelerators)), ("HCCL_DETERMINISTIC", "true")]
        notes.append(f"Put the nodes' addresses and, from hccn_tool -i N -ip -g, the NPUs' into {RANKS} (mode 640).")
    if spec.needs_rope:
        files.append((PATCH_NAME, patch_script(spec, "type")))
        notes.append(f"Before the first start: python3 {PATCH_NAME} {model_path(spec)}")
    server = "mindie_llm_server" if flags.numbers(spec.version) >= (2, 3) else "./bin/mindieservice_daemon"
    return [
        Command(
            role=role,
            node=node,
            nodes=nodes,
            image=IMAGE.format(version=spec.version, generation=generation(spec.accelerator).upper()),
            port=spec.serving_port,
            argv=(server,),
            env=tuple(env),
            files=tuple(files),
            notes=tuple(notes),
            accelerators=spec.per_node(spec.parallelism),
            health="/v1/models",
        )
        for node in range(nodes)
    ]


def model_path(spec: DeploymentSpec) -> str:
    """Directory of the weights: the model itself if it is a path."""
    return spec.model if spec.model.startswith("/") else f"{WEIGHTS_PATH}/{spec.model.rsplit('/', 1)[-1]}"


def config(spec: DeploymentSpec) -> dict[str, Any]:
    """The content of config.json: what the plan sets and what a private network without TLS needs."""
    per_node, nodes = spec.per_node(spec.parallelism), spec.nodes(spec.parallelism)
    return {
        "Version": "1.0.0",
        "ServerConfig": {
            "ipAddress": "0.0.0.0",
            "managementIpAddress": "127.0.0.2",
            "port": spec.serving_port,
            "managementPort": spec.serving_port + 1,
            "metricsPort": spec.serving_port + 2,
            "allowAllZeroIpListening": True,
            "maxLinkNum": min(1000, max(300, spec.max_num_seqs * spec.parallelism.dp)),
            "httpsEnabled": False,
            "fullTextEnabled": False,
            "inferMode": "standard",
            "interCommTLSEnabled": False,
            "interCommPort": 1121,
            "openAiSupport": "vllm",
            "tokenTimeout": 600,
            "e2eTimeout": 3600,
            "distDPServerEnabled": False,
        },
        "BackendConfig": {
            "backendName": "mindieservice_llm_engine",
            "modelInstanceNumber": 1,
            "npuDeviceIds": [list(range(per_node))],
            "tokenizerProcessNumber": 8,
            "multiNodesInferEnabled": nodes > 1,
            "multiNodesInferPort": 1120,
            "interNodeTLSEnabled": False,
            "ModelDeployConfig": {
                "maxSeqLen": spec.max_model_len,
                "maxInputTokenLen": longest_input(spec),
                "truncation": 0,
                "ModelConfig": [model_config(spec)],
            },
            "ScheduleConfig": schedule(spec),
        },
        "LogConfig": {"dynamicLogLevel": "", "dynamicLogLevelValidHours": 2, "dynamicLogLevelValidTime": ""},
    }


def model_config(spec: DeploymentSpec) -> dict[str, Any]:
    """One entry of ``ModelConfig``."""
    layout = spec.parallelism
    entry: dict[str, Any] = {
        "modelInstanceType": "Standard",
        "modelName": spec.served_name,
        "modelWeightPath": model_path(spec),
        "worldSize": layout.accelerators,
        "cpuMemSize": 0,
        "npuMemSize": -1,
        "backendType": "atb",
        "trustRemoteCode": spec.trust_remote_code,
        "tp": layout.tp,
        "dp": layout.dp,
    }
    if spec.moe:
        entry |= {"moe_tp": layout.accelerators // layout.ep, "moe_ep": layout.ep}
    if spec.speculative:
        drafted = {"plugin_type": "mtp", "num_speculative_tokens": spec.speculative.tokens}
        entry["plugin_params"] = json.dumps(drafted)
    return entry


def longest_output(spec: DeploymentSpec) -> int:
    """Tokens that an answer may have (``maxIterTimes``): twice the workload's, within half of the context."""
    wanted = 2 * spec.workload.output_tokens if spec.workload else 2048
    least = spec.workload.output_tokens if spec.workload else 1
    return max(least, min(wanted, max(1, spec.max_model_len // 2)))


def longest_input(spec: DeploymentSpec) -> int:
    """Tokens that one prompt may have: what the longest answer leaves."""
    return max(1, spec.max_model_len - longest_output(spec))


def schedule(spec: DeploymentSpec) -> dict[str, Any]:
    """``ScheduleConfig``: prefill and decode apart; a prefill batch must hold the longest prompt."""
    return {
        "templateType": "Standard",
        "templateName": "Standard_LLM",
        "cacheBlockSize": BLOCK,
        "maxPrefillBatchSize": min(50, spec.max_num_seqs),
        "maxPrefillTokens": max(spec.max_num_batched_tokens, longest_input(spec)),
        "prefillTimeMsPerReq": 150,
        "prefillPolicyType": 0,
        "decodeTimeMsPerReq": 50,
        "decodePolicyType": 0,
        "maxBatchSize": spec.max_num_seqs,
        "maxIterTimes": longest_output(spec),
        "maxPreemptCount": 0,
        "supportSelectBatch": False,
        "maxQueueDelayMicroseconds": 5000,
    }


def rank_table(spec: DeploymentSpec) -> dict[str, Any]:
    """The rank table of several nodes, with addresses to fill in."""
    per_node, nodes = spec.per_node(spec.parallelism), spec.nodes(spec.parallelism)
    servers = []
    for node in range(nodes):
        devices = [
            {
                "device_id": str(device),
                "device_ip": f"NODE{node}_NPU{device}_ADDRESS",
                "rank_id": str(node * per_node + device),
            }
            for device in range(per_node)
        ]
        address = f"NODE{node}_ADDRESS"
        servers.append({"server_id": address, "container_ip": address, "device": devices})
    return {"version": "1.0", "server_count": str(nodes), "server_list": servers, "status": "completed"}


def check_plan(spec: DeploymentSpec) -> None:
    """Refuse what MindIE's documents rule out."""
    layout = spec.parallelism
    if layout.pp > 1:
        raise PlacementError("no pipeline parallelism is known for MindIE", rule="pp_unsupported", key="pp")
    if spec.weights not in ("bf16", "fp16", "int8_w8a8", "w8a16", "w4a8"):
        raise SizingError(f"MindIE does not run {spec.weights} weights", key="weights", hint="bf16, int8_w8a8 or w4a8")
    if spec.kv_dtype not in ("auto", "bf16", "fp16"):
        raise SizingError("its cache follows the weights' own description", key="kv_dtype", hint="auto")
    if spec.speculative and (spec.speculative.method != "mtp" or spec.speculative.tokens > 2):
        raise SizingError("MindIE drafts with mtp, 1 or 2 tokens", key="speculative")
    if spec.speculative and spec.weights not in ("int8_w8a8", "w4a8"):
        raise SizingError("MindIE has MTP for W8A8 and W4A8 weights only", key="speculative")
    if spec.reasoning_parser or spec.tool_parser:
        raise SizingError("MindIE's parsers are not known here", key="reasoning_parser", hint="leave it out")
