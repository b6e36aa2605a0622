"""KServe: an InferenceService for any engine on one node, and an LLMInferenceService for vLLM."""

from __future__ import annotations

from collections.abc import Sequence

from sizing.base.errors import SizingError
from sizing.deploy import pods, yaml_text
from sizing.deploy.command import Command, header
from sizing.deploy.kubernetes import STORAGE_NOTE
from sizing.deploy.pods import Object
from sizing.deploy.spec import DeploymentSpec, Parallelism
from sizing.deploy.text import Token, kubernetes, shell_line

OWN_FLAGS = {
    "--served-model-name", "--host", "--port", "--tensor-parallel-size", "--pipeline-parallel-size",
    "--data-parallel-size", "--data-parallel-size-local", "--data-parallel-address",
    "--data-parallel-rpc-port", "--data-parallel-start-rank", "--enable-expert-parallel",
    "--nnodes", "--node-rank", "--master-addr", "--master-port", "--headless",
}  # fmt: skip
"""Flags that the controller sets itself, from ``spec.parallelism`` and ``spec.model``."""


def kserve_files(spec: DeploymentSpec, commands: Sequence[Command]) -> dict[str, str]:
    """``kserve-inferenceservice.yaml`` for one node, ``kserve-llminferenceservice.yaml`` for vLLM."""
    files: dict[str, str] = {}
    notes = (STORAGE_NOTE, *commands[0].notes)
    if not spec.disaggregated and commands[0].nodes == 1:
        objects = [pods.claim(spec), *pods.config_map(spec, commands), inference_service(spec, commands[0])]
        comment = header(spec, "KServe InferenceService", notes)
        files["kserve-inferenceservice.yaml"] = yaml_text.file(comment, objects)
    if spec.engine == "vllm" and not spec.model.startswith("/"):
        more = (
            *notes,
            "serving.kserve.io/v1alpha1 for KServe before 0.17",
            "the image must hold the vLLM named above",
        )
        comment = header(spec, "KServe LLMInferenceService", more)
        files["kserve-llminferenceservice.yaml"] = yaml_text.file(comment, [llm_inference_service(spec, commands)])
    if not files:
        raise SizingError("KServe has no form for this engine over several nodes", key="kind", hint="lws or command")
    return files


def inference_service(spec: DeploymentSpec, command: Command) -> Object:
    """An InferenceService whose predictor is the engine's own container: its arguments are the plan's."""
    predictor: Object = pods.pod_spec(spec, command, name="kserve-container", probes=True)
    predictor["minReplicas"] = predictor["maxReplicas"] = spec.replicas
    predictor["timeout"] = 3600
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": spec.label,
            "labels": pods.labels(spec),
            "annotations": {"serving.kserve.io/deploymentMode": "RawDeployment"},
        },
        "spec": {"predictor": predictor},
    }


def llm_inference_service(spec: DeploymentSpec, commands: Sequence[Command]) -> Object:
    """An LLMInferenceService; of separate pools its ``spec`` is decode and ``spec.prefill`` the other."""
    pools = spec.disaggregated
    role = "decode" if pools else "serve"
    layout = pools.decode if pools else spec.parallelism
    content: Object = {
        "model": {"uri": f"hf://{spec.model}", "name": spec.served_name},
        **_pool(spec, [item for item in commands if item.role == role], layout),
        "router": {"route": {}, "gateway": {}, "scheduler": {}},
    }
    content["replicas"] = pools.decode_replicas if pools else spec.replicas
    if pools:
        prefill = [item for item in commands if item.role == "prefill"]
        content["prefill"] = {"replicas": pools.prefill_replicas, **_pool(spec, prefill, pools.prefill)}
    return {
        "apiVersion": "serving.kserve.io/v1alpha2",
        "kind": "LLMInferenceService",
        "metadata": {"name": spec.label, "labels": pods.labels(spec)},
        "spec": content,
    }


def _pool(spec: DeploymentSpec, commands: Sequence[Command], layout: Parallelism) -> Object:
    sizes: Object = {"tensor": layout.tp}
    if layout.pp > 1:
        sizes["pipeline"] = layout.pp
    if layout.dp > 1:
        sizes |= {"data": layout.dp, "dataLocal": layout.dp // commands[0].nodes}
    if layout.ep > 1:
        sizes["expert"] = True
    content: Object = {"parallelism": sizes, "template": {"containers": [_container(spec, commands[0])]}}
    if commands[0].nodes > 1:
        content["worker"] = {"containers": [_container(spec, commands[0])]}
    return content


def _container(spec: DeploymentSpec, command: Command) -> Object:
    """The ``vllm serve`` line is the controller's; a shell reads the additional arguments: quoted for it."""
    line = kubernetes(shell_line(additional_arguments(command)))
    known = {"VLLM_ENGINE_READY_TIMEOUT_S"}
    env = [item for item in pods.environment(command) if item["name"] in known]
    return {
        "name": "main",
        "image": command.image,
        "env": [{"name": "VLLM_ADDITIONAL_ARGS", "value": line}, *env],
        "resources": pods.resources(spec, command),
    }


def additional_arguments(command: Command) -> list[Token]:
    """The command's arguments without those that the controller sets."""
    kept: list[Token] = []
    skipping = False
    for value in command.argv[3:]:
        if isinstance(value, str) and value.startswith("--"):
            skipping = value in OWN_FLAGS
        if not skipping:
            kept.append(value)
    return kept
