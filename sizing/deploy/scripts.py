"""Shell scripts: one for each node."""

from __future__ import annotations

from collections.abc import Sequence

from sizing.deploy.command import CONFIG_DIR, Command, header
from sizing.deploy.spec import DeploymentSpec
from sizing.deploy.text import Token, file_name, shell, shell_line

MEANING = {
    "HEAD_ADDRESS": "address of the first node",
    "NODE_ADDRESS": "address of this node",
    "NETWORK_INTERFACE": "network interface between the nodes, such as eth0",
    "HOSTS": "hosts and slots of mpirun",
    "PREFILL_URL": "URL of a prefill server",
    "DECODE_URL": "URL of a decode server",
}


def script_files(spec: DeploymentSpec, commands: Sequence[Command]) -> dict[str, str]:
    """``serve.sh`` (or ``serve-node0.sh`` ...) and the files that the commands read."""
    files: dict[str, str] = {}
    for command in commands:
        files[file_name(f"{command.file_stem}.sh")] = script(spec, command)
        files.update({file_name(name): content for name, content in command.files})
    if any(name.endswith(".json") for name in files):
        files["readme.txt"] = readme(spec, commands)
    return files


def script(spec: DeploymentSpec, command: Command) -> str:
    """The script of one node."""
    where = f"node {command.node} of {command.nodes}" if command.nodes > 1 else "one node"
    lines = [
        "#!/usr/bin/env bash",
        header(spec, f"Launch {command.role} on {where}", changes(spec, command)).rstrip(),
    ]
    lines += [f"# Image: {command.image}", "set -euo pipefail"]
    for name in command.variables():
        if name == CONFIG_DIR:
            lines.append(f'{name}="${{{name}:-$(cd "$(dirname "${{BASH_SOURCE[0]}}")" && pwd)}}"')
        else:
            lines.append(f': "${{{name}:?{MEANING.get(name, "needed")}}}"')
    lines += [f"export {name}={shell(value)}" for name, value in command.env]
    lines += [shell_line(argv) for argv in command.before]
    lines.append("exec " + " \\\n  ".join(shell_line(group) for group in grouped(command.argv)))
    return "\n".join(lines) + "\n"


def grouped(argv: Sequence[Token]) -> list[list[Token]]:
    """The command split so that each option stands with its values."""
    groups: list[list[Token]] = [[]]
    for value in argv:
        if isinstance(value, str) and value.startswith("--") and groups[-1]:
            groups.append([])
        groups[-1].append(value)
    return groups


def changes(spec: DeploymentSpec, command: Command) -> tuple[str, ...]:
    """What the person who starts it must set or know."""
    needed = [f"{name}: {MEANING[name]}" for name in command.variables() if name in MEANING]
    if spec.replicas > 1 and not spec.disaggregated:
        needed.append(f"this is one of {spec.replicas} replicas; put a load balancer before them")
    return (*needed, *command.notes)


def readme(spec: DeploymentSpec, commands: Sequence[Command]) -> str:
    """What the JSON files cannot say themselves, for they have no comments."""
    names = sorted({name for command in commands for name, _ in command.files if name.endswith(".json")})
    notes = tuple(dict.fromkeys(note for command in commands for note in changes(spec, command)))
    return header(spec, f"About {', '.join(names)}", notes)
