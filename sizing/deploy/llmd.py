"""llm-d: prefill and decode pools of vLLM behind its scheduler, or one pool behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sizing.base.errors import SizingError
from sizing.deploy import kubernetes, pods, yaml_text
from sizing.deploy.command import Command, header
from sizing.deploy.pods import Object
from sizing.deploy.spec import DeploymentSpec

SIDECAR = "ghcr.io/llm-d/llm-d-routing-sidecar:v0.8.0"
SIDECAR_PORT = 8000
ENGINE_PORT = 8200


def llmd_files(spec: DeploymentSpec, commands: Sequence[Command]) -> dict[str, str]:
    """``llm-d.yaml``: the pools, labelled as llm-d's scheduler selects them, and the InferencePool."""
    if spec.engine != "vllm" or spec.vendor != "nvidia":
        raise SizingError("llm-d is written for vllm on nvidia", key="kind", hint="kubernetes, lws or dynamo")
    objects: list[Object] = [pods.claim(spec)]
    if spec.disaggregated is None:
        objects.append(_pool(spec, list(commands), "serve", spec.replicas))
    else:
        pools = spec.disaggregated
        for role, count in (("prefill", pools.prefill_replicas), ("decode", pools.decode_replicas)):
            mine = [item for item in commands if item.role == role]
            if role == "decode":
                mine = [_moved(item) for item in mine]
            objects.append(_pool(spec.of_pool(role), mine, role, count))
    objects.append(inference_pool(spec))
    notes = (
        kubernetes.STORAGE_NOTE,
        "install llm-d's scheduler (endpoint picker) first, as the service named in endpointPickerRef",
        "the routing sidecar's tag, for the release of llm-d in use; the pods' RDMA resource",
        *commands[0].notes,
    )
    return {"llm-d.yaml": yaml_text.file(header(spec, "llm-d", notes), objects)}


def _moved(command: Command) -> Command:
    """The decode engine at the port behind the sidecar, which takes its place in front."""
    at = command.argv.index("--port") + 1
    argv = (*command.argv[:at], str(ENGINE_PORT), *command.argv[at + 1 :])
    return replace(command, argv=argv, port=ENGINE_PORT)


def _pool(spec: DeploymentSpec, commands: list[Command], role: str, replicas: int) -> Object:
    if commands[0].nodes == 1:
        item = kubernetes.deployment(spec, commands[0], role, replicas)
        templates = [item["spec"]["template"]]
    else:
        item = kubernetes.leader_worker_set(spec, commands, role, replicas)
        group = item["spec"]["leaderWorkerTemplate"]
        templates = [group["leaderTemplate"], group["workerTemplate"]]
    serving = templates[0]
    named = {"llm-d.ai/inference-serving": "true", "llm-d.ai/model": spec.label}
    if role != "serve":
        named["llm-d.ai/role"] = role
    serving["metadata"]["labels"] |= named
    if role == "decode":
        serving["spec"]["initContainers"] = [sidecar()]
    return item


def sidecar() -> Object:
    """The proxy that asks a prefill pod first. It is a container that starts before the engine and stays."""
    return {
        "name": "routing-proxy",
        "image": SIDECAR,
        "args": [f"--port={SIDECAR_PORT}", f"--vllm-port={ENGINE_PORT}", "--connector=nixlv2"],
        "ports": [{"containerPort": SIDECAR_PORT}],
        "restartPolicy": "Always",
    }


def inference_pool(spec: DeploymentSpec) -> Object:
    """The pool that the scheduler picks from."""
    port = SIDECAR_PORT if spec.disaggregated else spec.serving_port
    return {
        "apiVersion": "inference.networking.k8s.io/v1",
        "kind": "InferencePool",
        "metadata": {"name": spec.label, "labels": pods.labels(spec)},
        "spec": {
            "selector": {"matchLabels": {"llm-d.ai/inference-serving": "true", "llm-d.ai/model": spec.label}},
            "targetPorts": [{"number": port}],
            "endpointPickerRef": {"name": f"{spec.label}-epp", "port": {"number": 9002}},
        },
    }
