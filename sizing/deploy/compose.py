"""Docker Compose: one file for each node, one service for each replica that the node holds."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from typing import Any

from sizing.base.errors import SizingError
from sizing.deploy import mindie, yaml_text
from sizing.deploy.command import CONFIG_DIR, Command, header
from sizing.deploy.scripts import changes, readme
from sizing.deploy.spec import DeploymentSpec
from sizing.deploy.text import Token, compose, file_name, substitute

MOUNT = "/etc/sizing"
CACHE = "/root/.cache/huggingface"
ASCEND_DEVICES = ("/dev/davinci_manager", "/dev/devmm_svm", "/dev/hisi_hdc")
ASCEND_MOUNTS = (
    "/usr/local/dcmi",
    "/usr/local/bin/npu-smi",
    "/usr/local/Ascend/driver/lib64",
    "/usr/local/Ascend/driver/version.info",
    "/etc/ascend_install.info",
)


def compose_files(spec: DeploymentSpec, commands: Sequence[Command]) -> dict[str, str]:
    """``compose.yaml`` (or ``compose-node0.yaml`` ...) and the files that the services read."""
    if spec.disaggregated:
        raise SizingError("Compose has no router for pools", key="kind", hint="command, llm-d or dynamo")
    files: dict[str, str] = {}
    for command in commands:
        name = "compose.yaml" if command.nodes == 1 else f"compose-node{command.node}.yaml"
        files[file_name(name)] = _file(spec, command)
        files.update({file_name(config): content for config, content in command.files})
    if any(name.endswith(".json") for name in files):
        files["readme.txt"] = readme(spec, commands)
    return files


def _file(spec: DeploymentSpec, command: Command) -> str:
    fit = 1 if command.nodes > 1 else max(1, spec.accelerators_per_node // command.accelerators)
    here = min(fit, spec.replicas)
    services = {
        (spec.label if here == 1 else f"{spec.label}-{index}"): service(spec, command, index) for index in range(here)
    }
    notes = list(changes(spec, command))
    if here > 1:
        notes.append(f"{here} of {spec.replicas} replicas on this node, at ports from {command.port} upwards")
    return yaml_text.file(header(spec, "Docker Compose", tuple(notes)), [{"services": services}])


def service(spec: DeploymentSpec, command: Command, index: int) -> dict[str, Any]:
    """One service; the ``index``-th replica takes the next accelerators and, outside, the next port."""
    first = index * command.accelerators
    devices = [str(number) for number in range(first, first + command.accelerators)]
    known: dict[str, Token] = {CONFIG_DIR: MOUNT}
    content: dict[str, Any] = {
        "image": command.image,
        "restart": "unless-stopped",
        "ipc": "host",
        "shm_size": "16gb",
        "entrypoint": [compose(substitute(value, known)) for value in command.argv],
        "environment": {
            **{name: compose(substitute(value, known)) for name, value in command.env},
            "HF_TOKEN": "${HF_TOKEN:-}",
        },
        "volumes": _volumes(spec, command),
    }
    if command.before:
        raise SizingError("this version starts Ray first: use the scripts", key="kind", hint="command")
    if command.nodes > 1:
        content["network_mode"] = "host"
    else:
        content["ports"] = [f"{command.port + index}:{command.port}"]
    if spec.vendor == "nvidia":
        wanted = {"driver": "nvidia", "device_ids": devices, "capabilities": ["gpu"]}
        content["deploy"] = {"resources": {"reservations": {"devices": [wanted]}}}
    elif spec.vendor == "amd":
        content["devices"] = ["/dev/kfd:/dev/kfd", "/dev/dri:/dev/dri"]
        content["group_add"] = ["video"]
        content["environment"]["HIP_VISIBLE_DEVICES"] = ",".join(devices)
    else:
        paths = [f"/dev/davinci{number}" for number in devices] + list(ASCEND_DEVICES)
        content["devices"] = [f"{path}:{path}" for path in paths]
        content["volumes"] += [f"{path}:{path}:ro" for path in ASCEND_MOUNTS]
    if command.serves:
        test = (
            f"python3 -c \"import urllib.request as r; r.urlopen('http://localhost:{command.port}{command.health}')\""
        )
        content["healthcheck"] = {
            "test": ["CMD-SHELL", test],
            "interval": "30s",
            "timeout": "10s",
            "retries": 3,
            "start_period": "3600s",
        }
    return content


def _volumes(spec: DeploymentSpec, command: Command) -> list[str]:
    directory = model_directory(spec)
    volumes = [f"{directory}:{directory}:ro"] if directory else [f"${{HF_HOME:-~/.cache/huggingface}}:{CACHE}"]
    return volumes + [f"./{name}:{MOUNT}/{name}:ro" for name, _ in command.files]


def model_directory(spec: DeploymentSpec) -> str | None:
    """The directory that holds the weights where they are not downloaded by the engine."""
    if spec.engine == "mindie" and not spec.model.startswith("/"):
        return mindie.WEIGHTS_PATH
    if not spec.model.startswith("/"):
        return None
    parent = posixpath.dirname(spec.model)
    return spec.model if parent == "/" else parent
