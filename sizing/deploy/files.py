"""All files of a plan, by kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sizing.base.errors import SizingError, unknown_name
from sizing.deploy.benchmark import benchmark_files
from sizing.deploy.command import Command
from sizing.deploy.compose import compose_files
from sizing.deploy.dynamo import dynamo_files
from sizing.deploy.kserve import kserve_files
from sizing.deploy.kubernetes import kubernetes_files, lws_files
from sizing.deploy.launch import launch_commands
from sizing.deploy.llmd import llmd_files
from sizing.deploy.scripts import script_files
from sizing.deploy.spec import DeploymentSpec

Maker = Callable[[DeploymentSpec, Sequence[Command]], dict[str, str]]
MAKERS: Mapping[str, Maker] = {
    "command": script_files,
    "compose": compose_files,
    "kubernetes": kubernetes_files,
    "lws": lws_files,
    "kserve": kserve_files,
    "llm-d": llmd_files,
    "dynamo": dynamo_files,
    "benchmark": lambda spec, commands: benchmark_files(spec),
}
KINDS = (*MAKERS, "all")


def deployment_files(spec: DeploymentSpec, kind: str) -> dict[str, str]:
    """Files of one kind (one of ``KINDS``): name -> content. The same spec always gives the same text.

    ``all`` gives every kind that fits the plan. SizingError where the kind does not fit, or the engine would
    refuse the plan.
    """
    if kind not in KINDS:
        raise unknown_name("kind of deployment file", kind, KINDS, key="kind")
    commands = launch_commands(spec)
    if kind != "all":
        return MAKERS[kind](spec, commands)
    files: dict[str, str] = {}
    for make in MAKERS.values():
        try:
            files.update(make(spec, commands))
        except SizingError as error:
            if error.key not in ("kind", "workload"):
                raise
    return files
