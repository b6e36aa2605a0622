"""vLLM-Ascend: vLLM's command with what Atlas servers need."""

from __future__ import annotations

import re

from sizing.base.errors import SizingError
from sizing.deploy import flags, vllm
from sizing.deploy.command import INTERFACE, NODE, Command, compact_json
from sizing.deploy.spec import DeploymentSpec
from sizing.deploy.text import Token

IMAGE = "quay.io/ascend/vllm-ascend:v{version}{suffix}"
MAX_VERIFIED_TOKENS = 16
_SIZES = (1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256)


def commands(spec: DeploymentSpec, role: str = "serve") -> list[Command]:
    """The command of each node of one replica."""
    vllm.check_plan(spec)
    check_plan(spec)
    image = IMAGE.format(version=spec.version, suffix="-a3" if generation(spec.accelerator) == "a3" else "")
    extra: list[Token] = []
    if spec.weights in ("int8_w8a8", "w4a8"):
        extra += ["--quantization", "ascend"]
    extra += ["--compilation-config", compact_json(compilation(spec))]
    notes = ("The version must equal vLLM's; weights quantised for Ascend come from ModelSlim.",)
    nodes = range(spec.nodes(spec.parallelism))
    return [vllm.node_command(spec, role, node, image, environment(spec), tuple(extra), notes) for node in nodes]


def generation(accelerator: str) -> str:
    """``a3`` for 910C (two dies a module), else ``a2``."""
    return "a3" if re.search(r"910c|a3\b", accelerator.lower()) else "a2"


def compilation(spec: DeploymentSpec) -> dict[str, object]:
    """Graphs for decode only; with drafts their sizes are multiples of the tokens that a request verifies."""
    config: dict[str, object] = {"cudagraph_mode": "FULL_DECODE_ONLY"}
    if spec.speculative:
        tokens = spec.speculative.tokens + 1
        config["cudagraph_capture_sizes"] = [tokens * size for size in _SIZES if size <= spec.max_num_seqs]
    return config


def environment(spec: DeploymentSpec) -> list[tuple[str, Token]]:
    """Environment variables that the plan needs."""
    env: list[tuple[str, Token]] = [
        ("VLLM_ENGINE_READY_TIMEOUT_S", "3600"),
        ("PYTORCH_NPU_ALLOC_CONF", "expandable_segments:True"),
        ("HCCL_OP_EXPANSION_MODE", "AIV"),
        ("HCCL_BUFFSIZE", "1024" if spec.parallelism.ep > 1 else "512"),
        ("OMP_PROC_BIND", "false"),
        ("OMP_NUM_THREADS", "1"),
        ("TASK_QUEUE_ENABLE", "1"),
    ]
    if spec.nodes(spec.parallelism) > 1:
        env += [("HCCL_IF_IP", NODE), ("VLLM_HOST_IP", NODE)]
        env += [(f"{name}_SOCKET_IFNAME", INTERFACE) for name in ("GLOO", "TP", "HCCL")]
    return env


def check_plan(spec: DeploymentSpec) -> None:
    """Refuse what the platform cannot run."""
    if spec.weights not in ("bf16", "fp16", "int8_w8a8", "w4a8"):
        raise SizingError(
            f"910B and 910C do not run {spec.weights} weights", key="weights", hint="bf16, int8_w8a8 or w4a8"
        )
    if spec.kv_dtype not in ("auto", "bf16", "fp16"):
        raise SizingError(f"{spec.kv_dtype} is not known to work on 910B and 910C", key="kv_dtype", hint="auto")
    if spec.speculative and spec.speculative.tokens + 1 > MAX_VERIFIED_TOKENS:
        raise SizingError(f"at most {MAX_VERIFIED_TOKENS - 1} draft tokens", key="speculative")
    flags.require("vllm-ascend", spec.version, "--compilation-config", "graph mode")
