"""Deployment files that start: commands and manifests of a chosen plan, and the benchmark that checks it."""

from sizing.deploy.command import Command
from sizing.deploy.files import KINDS, deployment_files
from sizing.deploy.launch import launch_commands
from sizing.deploy.spec import (
    DeploymentSpec,
    Disaggregated,
    Expected,
    Interval,
    Parallelism,
    Rope,
    Speculative,
    Workload,
)

__all__ = [
    "KINDS",
    "Command",
    "DeploymentSpec",
    "Disaggregated",
    "Expected",
    "Interval",
    "Parallelism",
    "Rope",
    "Speculative",
    "Workload",
    "deployment_files",
    "launch_commands",
]
