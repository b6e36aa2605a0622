"""NVIDIA Dynamo: a DynamoGraphDeployment of a frontend and workers, with or without separate pools."""

from __future__ import annotations

from collections.abc import Sequence

from sizing.base.errors import SizingError
from sizing.deploy import kubernetes, pods, yaml_text
from sizing.deploy.command import Command, header
from sizing.deploy.parsers import REASONING, TOOLS
from sizing.deploy.pods import Object
from sizing.deploy.spec import DeploymentSpec

VERSION = "1.3.1"
IMAGES = {
    "vllm": f"nvcr.io/nvidia/ai-dynamo/vllm-runtime:{VERSION}",
    "sglang": f"nvcr.io/nvidia/ai-dynamo/sglang-runtime:{VERSION}",
}
FRONTEND_FLAGS = {
    "--host", "--port", "--enable-auto-tool-choice", "--nnodes", "--node-rank", "--master-addr",
    "--master-port", "--headless", "--dist-init-addr", "--kv-transfer-config",
}  # fmt: skip
"""Flags that Dynamo's frontend or operator stands for."""
OWN_PARSERS = {"--reasoning-parser": "--dyn-reasoning-parser", "--tool-call-parser": "--dyn-tool-call-parser"}
"""Parsers run in Dynamo itself, under names that are mostly those of vLLM."""
KV_ROLES = {"prefill": "kv_producer", "decode": "kv_consumer"}


def dynamo_files(spec: DeploymentSpec, commands: Sequence[Command]) -> dict[str, str]:
    """``dynamo.yaml``."""
    if spec.engine not in IMAGES or spec.vendor != "nvidia":
        raise SizingError("Dynamo is written for vllm and sglang on nvidia", key="kind", hint="kubernetes or lws")
    pools = spec.disaggregated
    if pools is None:
        workers = [(spec, "serve", spec.replicas)]
    else:
        workers = [
            (spec.of_pool("prefill"), "prefill", pools.prefill_replicas),
            (spec.of_pool("decode"), "decode", pools.decode_replicas),
        ]
    if any(part.parallelism.dp > 1 and part.nodes(part.parallelism) > 1 for part, _, _ in workers):
        raise SizingError("data parallelism over nodes is not written for Dynamo", key="kind", hint="lws or llm-d")
    components = [_frontend(spec)]
    for part, role, count in workers:
        first = next(item for item in commands if item.role == role)
        components.append(worker(part, first, count))
    graph: Object = {
        "apiVersion": "nvidia.com/v1beta1",
        "kind": "DynamoGraphDeployment",
        "metadata": {"name": spec.label, "labels": pods.labels(spec)},
        "spec": {"components": components},
    }
    notes = (
        kubernetes.STORAGE_NOTE,
        f"the image carries its own {spec.engine}: flags are those of {spec.version}",
        "the names of Dynamo's own parsers were not checked",
        *commands[0].notes,
    )
    return {"dynamo.yaml": yaml_text.file(header(spec, "Dynamo", notes), [pods.claim(spec), graph])}


def _frontend(spec: DeploymentSpec) -> Object:
    container = {"name": "main", "image": IMAGES[spec.engine]}
    pod = {"spec": {"containers": [container]}}
    return {"name": "Frontend", "type": "frontend", "replicas": 1, "podTemplate": pod}


def worker(spec: DeploymentSpec, command: Command, replicas: int) -> Object:
    """A component of workers: the engine's own arguments, behind Dynamo's module for that engine."""
    container = pods.container(spec, command, probes=False)
    container["image"] = IMAGES[spec.engine]
    container["command"] = ["python3", "-m", f"dynamo.{spec.engine}"]
    container["args"] = arguments(spec, command)
    container.pop("ports", None)
    item: Object = {
        "name": {"serve": "Worker", "prefill": "PrefillWorker", "decode": "DecodeWorker"}[command.role],
        "type": "worker" if command.role == "serve" else command.role,
        "replicas": replicas,
        "podTemplate": {"spec": {"containers": [container], "volumes": pods.volumes(spec, command)}},
    }
    if command.nodes > 1:
        item["multinode"] = {"nodeCount": command.nodes}
    return item


def arguments(spec: DeploymentSpec, command: Command) -> list[str]:
    """The engine's arguments without the frontend's own, with Dynamo's names for parsers and roles."""
    values = pods.argv(command)[3:]
    if spec.engine == "vllm":
        values = ["--model", spec.model, *values]
    kept: list[str] = []
    skipping = False
    for value in values:
        if value.startswith("--"):
            skipping = value in FRONTEND_FLAGS or value in OWN_PARSERS
        if not skipping:
            kept.append(value)
    for option, table, family in (
        ("--dyn-reasoning-parser", REASONING, spec.reasoning_parser),
        ("--dyn-tool-call-parser", TOOLS, spec.tool_parser),
    ):
        name = table[family][0] if family else None
        if name:
            kept += [option, name]
    if command.role in KV_ROLES and spec.engine == "vllm":
        role = KV_ROLES[command.role]
        kept += ["--disaggregation-mode", command.role]
        kept += ["--kv-transfer-config", f'{{"kv_connector":"NixlConnector","kv_role":"{role}"}}']
    return kept
