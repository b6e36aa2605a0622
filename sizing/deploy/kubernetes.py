"""Plain Kubernetes (Deployment and Service) and LeaderWorkerSet."""

from __future__ import annotations

from collections.abc import Sequence

from sizing.base.errors import SizingError
from sizing.deploy import pods, yaml_text
from sizing.deploy.command import Command, header
from sizing.deploy.pods import Object
from sizing.deploy.spec import DeploymentSpec
from sizing.deploy.text import kubernetes

STORAGE_NOTE = "the claim's size and class; it must be ReadWriteMany, or hold the weights on each node"
LWS_NAME = "leaderworkerset.sigs.k8s.io/name"


def kubernetes_files(spec: DeploymentSpec, commands: Sequence[Command]) -> dict[str, str]:
    """``kubernetes.yaml``: a Deployment of replicas that each fit one node, a Service, and what they need."""
    if spec.disaggregated or commands[0].nodes > 1:
        raise SizingError("a Deployment holds replicas of one node", key="kind", hint="lws, llm-d or dynamo")
    objects = [pods.claim(spec), *pods.config_map(spec, commands), deployment(spec, commands[0])]
    objects.append(pods.service(spec, commands[0].port, pods.labels(spec)))
    notes = (STORAGE_NOTE, "secret hf-token (key token) for gated models", *commands[0].notes)
    return {"kubernetes.yaml": yaml_text.file(header(spec, "Kubernetes", notes), objects)}


def deployment(spec: DeploymentSpec, command: Command, role: str = "serve", replicas: int | None = None) -> Object:
    """A Deployment of one pool."""
    chosen = pods.labels(spec, role)
    name = spec.label if role == "serve" else f"{spec.label}-{role}"
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": chosen},
        "spec": {
            "replicas": spec.replicas if replicas is None else replicas,
            "selector": {"matchLabels": chosen},
            "strategy": {"type": "Recreate"},
            "template": {"metadata": {"labels": dict(chosen)}, "spec": pods.pod_spec(spec, command)},
        },
    }


def lws_files(spec: DeploymentSpec, commands: Sequence[Command]) -> dict[str, str]:
    """``lws.yaml``: a LeaderWorkerSet whose groups are replicas of several nodes, and a Service."""
    if spec.engine == "mindie" and commands[0].nodes > 1:
        raise SizingError(
            "MindIE over several nodes wants a rank table of fixed addresses",
            key="kind",
            hint="command, or MindIE Motor's own deployer",
        )
    if spec.disaggregated or commands[0].nodes == 1 or len(commands) == 1:
        raise SizingError(
            "a LeaderWorkerSet holds replicas of several nodes that each start themselves",
            key="kind",
            hint="kubernetes for one node",
        )
    objects = [pods.claim(spec), *pods.config_map(spec, commands), leader_worker_set(spec, commands)]
    selector = {LWS_NAME: spec.label, "role": "leader"}
    objects.append(pods.service(spec, commands[0].port, selector, f"{spec.label}-leader"))
    notes = (
        STORAGE_NOTE,
        "eth0, where the pods' network between nodes has another name; add the cluster's RDMA resource",
        *commands[0].notes,
    )
    return {"lws.yaml": yaml_text.file(header(spec, "LeaderWorkerSet", notes), objects)}


def leader_worker_set(
    spec: DeploymentSpec, commands: Sequence[Command], role: str = "serve", replicas: int | None = None
) -> Object:
    """A LeaderWorkerSet: the leader runs node 0's command, each worker its own by LWS_WORKER_INDEX."""
    leader, worker = commands[0], commands[1]
    name = spec.label if role == "serve" else f"{spec.label}-{role}"
    chosen = pods.labels(spec, role)
    worker_pod = pods.pod_spec(spec, worker)
    worker_pod["containers"][0]["command"] = worker_argv(spec, commands)
    return {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "metadata": {"name": name, "labels": chosen},
        "spec": {
            "replicas": spec.replicas if replicas is None else replicas,
            "leaderWorkerTemplate": {
                "size": leader.nodes,
                "restartPolicy": "RecreateGroupOnPodRestart",
                "leaderTemplate": {
                    "metadata": {"labels": {**chosen, "role": "leader"}},
                    "spec": pods.pod_spec(spec, leader),
                },
                "workerTemplate": {"metadata": {"labels": {**chosen, "role": "worker"}}, "spec": worker_pod},
            },
        },
    }


def worker_argv(spec: DeploymentSpec, commands: Sequence[Command]) -> list[str]:
    """The command of any worker. Where the commands differ by node, the rank comes from LWS_WORKER_INDEX."""
    first = pods.argv(commands[1])
    if len(commands) == 2:
        return first
    second = pods.argv(commands[2])
    changing = [index for index, (one, two) in enumerate(zip(first, second, strict=True)) if one != two]
    for index in changing:
        step = int(second[index]) - int(first[index])
        if step == 1 and first[index] == "1":
            first[index] = "$(LWS_WORKER_INDEX)"
            continue
        # Kubernetes cannot multiply: a shell does, and hands all other arguments on as they are.
        option = first[index - 1]
        rest = first[: index - 1] + first[index + 1 :]
        line = f'exec "$@" {option} "$((LWS_WORKER_INDEX * {step}))"'
        return ["sh", "-c", kubernetes(line), "sh", *rest]
    return first
