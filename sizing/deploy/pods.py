"""Containers and pods: what all Kubernetes forms share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sizing.base.errors import SizingError
from sizing.deploy.command import CONFIG_DIR, Command
from sizing.deploy.compose import ASCEND_MOUNTS, MOUNT, model_directory
from sizing.deploy.spec import DeploymentSpec
from sizing.deploy.text import Token, Variable, kubernetes, substitute

Object = dict[str, Any]
CACHE = "/cache/huggingface"
LWS_VARIABLES: Mapping[str, Token] = {
    "HEAD_ADDRESS": Variable("LWS_LEADER_ADDRESS"),
    "NODE_ADDRESS": Variable("POD_IP"),
    "NETWORK_INTERFACE": "eth0",
}
READY_SECONDS = 3600


def argv(command: Command) -> list[str]:
    """The command for a pod."""
    if command.before:
        raise SizingError("this version starts Ray first: use a newer one", key="engine_version")
    known = {**LWS_VARIABLES, CONFIG_DIR: MOUNT}
    if command.nodes == 1:
        known["HEAD_ADDRESS"] = Variable("POD_IP")
    return [kubernetes(substitute(value, known)) for value in command.argv]


def environment(command: Command) -> list[Object]:
    """Variables of a container. POD_IP comes first, for those after it may use it."""
    known = {**LWS_VARIABLES, CONFIG_DIR: MOUNT}
    env: list[Object] = [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]
    env += [{"name": name, "value": kubernetes(substitute(value, known))} for name, value in command.env]
    token = {"name": "hf-token", "key": "token", "optional": True}
    env += [{"name": "HF_HOME", "value": CACHE}, {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": token}}]
    return env


def resources(spec: DeploymentSpec, command: Command) -> Object:
    """Accelerators of one pod; requests and limits of an extended resource must be equal."""
    return {
        "limits": {spec.resource: str(command.accelerators)},
        "requests": {spec.resource: str(command.accelerators)},
    }


def container(spec: DeploymentSpec, command: Command, name: str = "main", probes: bool = True) -> Object:
    """The container that runs a command."""
    content: Object = {
        "name": name,
        "image": command.image,
        "command": argv(command),
        "env": environment(command),
        "resources": resources(spec, command),
        "volumeMounts": mounts(spec, command),
    }
    if command.serves:
        content["ports"] = [{"name": "http", "containerPort": command.port}]
        if probes:
            check = {"httpGet": {"path": command.health, "port": "http"}}
            content["startupProbe"] = {**check, "periodSeconds": 10, "failureThreshold": READY_SECONDS // 10}
            content["readinessProbe"] = {**check, "periodSeconds": 10, "failureThreshold": 3}
            content["livenessProbe"] = {**check, "periodSeconds": 30, "failureThreshold": 6}
    if spec.nodes(spec.parallelism) > 1 and spec.vendor == "nvidia":
        content["securityContext"] = {"capabilities": {"add": ["IPC_LOCK"]}}
    return content


def mounts(spec: DeploymentSpec, command: Command) -> list[Object]:
    """Where a container finds shared memory, weights, and the files of its command."""
    found = [{"name": "shm", "mountPath": "/dev/shm"}]
    found.append({"name": "models", "mountPath": model_directory(spec) or CACHE})
    if command.files:
        found.append({"name": "config", "mountPath": MOUNT})
    if spec.vendor == "ascend":
        found += [
            {"name": f"ascend-{index}", "mountPath": path, "readOnly": True}  # type: ignore[dict-item]
            for index, path in enumerate(ASCEND_MOUNTS)
        ]
    return found


def volumes(spec: DeploymentSpec, command: Command) -> list[Object]:
    """The volumes of ``mounts``."""
    claim = {"claimName": f"{spec.label}-models"}
    found: list[Object] = [
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "16Gi"}},
        {"name": "models", "persistentVolumeClaim": claim},
    ]
    if command.files:
        found.append({"name": "config", "configMap": {"name": f"{spec.label}-config", "defaultMode": 0o440}})
    if spec.vendor == "ascend":
        found += [{"name": f"ascend-{index}", "hostPath": {"path": path}} for index, path in enumerate(ASCEND_MOUNTS)]
    return found


def pod_spec(spec: DeploymentSpec, command: Command, name: str = "main", probes: bool = True) -> Object:
    """The spec of the pod that runs a command."""
    content: Object = {
        "containers": [container(spec, command, name, probes)],
        "volumes": volumes(spec, command),
        "terminationGracePeriodSeconds": 120,
        # A service named vllm would else set VLLM_PORT, which vLLM reads as its own.
        "enableServiceLinks": False,
    }
    if spec.vendor == "nvidia":
        content["tolerations"] = [{"key": spec.resource, "operator": "Exists", "effect": "NoSchedule"}]
    return content


def labels(spec: DeploymentSpec, role: str = "serve") -> dict[str, str]:
    """Labels of a pool's objects."""
    name = {"app.kubernetes.io/name": spec.label, "app.kubernetes.io/managed-by": "sizing"}
    return name if role == "serve" else {**name, "app.kubernetes.io/component": role}


def config_map(spec: DeploymentSpec, commands: Sequence[Command]) -> list[Object]:
    """The files that the commands read."""
    data = {name: content for command in commands for name, content in command.files}
    if not data:
        return []
    metadata = {"name": f"{spec.label}-config", "labels": labels(spec)}
    return [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}]


def claim(spec: DeploymentSpec) -> Object:
    """The volume that holds the weights for all pods."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": f"{spec.label}-models", "labels": labels(spec)},
        "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Ti"}}},
    }


def service(spec: DeploymentSpec, port: int, selector: Mapping[str, str], name: str | None = None) -> Object:
    """The service in front of pods."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name or spec.label, "labels": labels(spec)},
        "spec": {"selector": dict(selector), "ports": [{"name": "http", "port": port, "targetPort": port}]},
    }
