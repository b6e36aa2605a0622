"""User text stays text: no shell, YAML, Compose or Kubernetes reads it as anything else."""

from __future__ import annotations

import json
import re
import shutil
import stat
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from sizing.base.errors import SizingError
from sizing.deploy import DeploymentSpec, deployment_files, launch_commands
from sizing.deploy.text import Variable, compose, dns_label, file_name, kubernetes, shell

from .cases import CASES, QWEN3_32B_128K, QWEN3_235B_8, QWEN3_235B_POOLS

ATTACKS = [
    "x; touch /tmp/owned",
    "$(touch /tmp/owned)",
    "`touch /tmp/owned`",
    "a'b\"c",
    "${HOME} $HOME $$ $(POD_IP) $$(X)",
    "x\nprivileged: true",
    "x: {y: z}",
    "- item # comment",
    "!!python/object/apply:os.system [id]",
    "--trust-remote-code",
    "..",
    "../../etc/passwd",
    "{{ .Values.x }}",
    "\u2028newline",
    "&anchor *alias",
    "x\\",
    "yes",
    "1e3",
]
lenient = settings(
    deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.function_scoped_fixture]
)
text = st.one_of(st.sampled_from(ATTACKS), st.text(max_size=140))


def build(**changes: Any) -> DeploymentSpec:
    """The spec with changes; hypothesis gives the example up where it is refused."""
    try:
        return replace(QWEN3_235B_8, **changes)
    except SizingError as error:
        assert error.key in changes, error
        reject()


def expand_kubernetes(value: str, known: dict[str, str]) -> str:
    """What Kubernetes makes of ``$(NAME)`` and ``$$``."""
    return re.sub(
        r"\$\$|\$\(([^)]*)\)",
        lambda found: "$" if found[0] == "$$" else known.get(found[1], found[0]),
        value,
    )


def expand_compose(value: str) -> str:
    """What Compose makes of ``$$``; a lone ``$`` would be an error or a variable."""
    assert not re.search(r"\$(?!\$|\{HEAD|\{NODE|\{NETWORK|\{HF_)", value.replace("$$", "")), value
    return value.replace("$$", "$")


@lenient
@given(name=text)
def test_served_name_comes_through_every_form(name: str) -> None:
    spec = build(served_model_name=name)
    files = deployment_files(spec, "all")
    deployment = next(item for item in yaml.safe_load_all(files["kubernetes.yaml"]) if item["kind"] == "Deployment")
    command = deployment["spec"]["template"]["spec"]["containers"][0]["command"]
    assert expand_kubernetes(command[4], {"POD_IP": "10.0.0.1"}) == name
    service = yaml.safe_load(files["compose.yaml"])["services"][spec.label]
    assert expand_compose(service["entrypoint"][4]) == name
    assert service.keys() <= {
        "image", "restart", "ipc", "shm_size", "entrypoint", "environment", "volumes", "ports", "deploy",
        "healthcheck",
    }  # fmt: skip
    assert yaml.safe_load(files["expected.yaml"])["served_model_name"] == name


@lenient
@given(plan=text)
def test_plan_stays_in_its_comment(plan: str) -> None:
    spec = build(plan=plan)
    usual = deployment_files(QWEN3_235B_8, "all")
    for name, content in deployment_files(spec, "all").items():
        assert content.count("\n") == usual[name].count("\n"), name
        assert "\r" not in content
        if name.endswith(".yaml") and name != "expected.yaml":
            assert list(yaml.safe_load_all(content)) == list(yaml.safe_load_all(usual[name]))


@lenient
@given(value=text, field=st.sampled_from(["model", "name", "accelerator", "date", "engine_version"]))
def test_other_fields_take_plain_words_only(value: str, field: str) -> None:
    spec = build(**{field: value})
    assert re.fullmatch(r"[A-Za-z0-9/._+@-]+", getattr(spec, field))
    assert ".." not in getattr(spec, field).split("/")


@lenient
@given(
    value=text,
    field=st.sampled_from(["reasoning_parser", "tool_parser", "all2all_backend", "accelerator_resource"]),
)
def test_names_for_engines_and_resources(value: str, field: str) -> None:
    spec = build(**{field: value})
    assert re.fullmatch(r"[A-Za-z0-9/._-]+", getattr(spec, field))


@given(value=st.text(max_size=80))
def test_labels_are_dns_labels(value: str) -> None:
    assert re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", dns_label(value)) and len(dns_label(value)) <= 40


@given(value=st.text(alphabet="$()AB{}x", max_size=12), before=st.text(alphabet="$(x", max_size=4))
def test_kubernetes_and_compose_expand_variables_only(value: str, before: str) -> None:
    known = {"A": "!", "AB": "!", "": "!", "POD_IP": "10.0.0.1"}
    assert expand_kubernetes(kubernetes(value), known) == value
    assert expand_kubernetes(kubernetes(Variable("POD_IP", before, value)), known) == f"{before}10.0.0.1{value}"
    assert compose(value).replace("$$", "\0").count("$") == 0
    assert compose(value).replace("$$", "$") == value


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@settings(lenient, max_examples=40)
@given(name=text)
def test_bash_hands_the_very_arguments_on(name: str, tmp_path: Path) -> None:
    spec = build(served_model_name=name)
    assert run_script(deployment_files(spec, "command")["serve.sh"], tmp_path, {}) == [
        str(value) for value in launch_commands(spec)[0].argv[1:]
    ]


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize("case", CASES)
def test_each_script_runs_its_command(case: str, tmp_path: Path) -> None:
    known = {
        name: f"{name.lower()} 'x' $(y)"
        for name in ("HEAD_ADDRESS", "NODE_ADDRESS", "NETWORK_INTERFACE", "PREFILL_URL", "DECODE_URL")
    }
    known["CONFIG_DIR"] = "/some where"
    files = deployment_files(CASES[case], "command")
    for command in launch_commands(CASES[case]):
        wanted = [
            value.before + known[value.name] + value.after if isinstance(value, Variable) else value
            for value in command.argv[1:]
        ]
        assert run_script(files[f"{command.file_stem}.sh"], tmp_path, known) == wanted


def run_script(script: str, folder: Path, variables: dict[str, str]) -> list[str]:
    """Run a script with stand-ins for the engines, which print their arguments."""
    for name in ("vllm", "python3", "trtllm-serve", "mindie_llm_server", "mpirun", "ray"):
        stub = folder / name
        stub.write_text('#!/bin/sh\nfor value in "$@"; do printf "%s\\0" "$value"; done\n')
        stub.chmod(stub.stat().st_mode | stat.S_IXUSR)
    done = subprocess.run(
        ["bash", "-s"],
        input=script.encode(),
        capture_output=True,
        check=True,
        env={"PATH": f"{folder}:/usr/bin:/bin", "LC_ALL": "C.UTF-8", **variables},
    )
    return done.stdout.decode().split("\0")[:-1]


def test_a_variable_that_is_not_set_stops_the_script(tmp_path: Path) -> None:
    script = deployment_files(CASES["deepseek-v3-fp8-2x8xh100-vllm"], "command")["serve-node1.sh"]
    with pytest.raises(subprocess.CalledProcessError):
        run_script(script, tmp_path, {})


def test_additional_arguments_of_kserve_are_quoted_for_its_shell() -> None:
    files = deployment_files(QWEN3_32B_128K, "kserve")
    item = next(iter(yaml.safe_load_all(files["kserve-llminferenceservice.yaml"])))
    line = item["spec"]["template"]["containers"][0]["env"][0]["value"]
    done = subprocess.run(["bash", "-c", f'printf "%s\\0" {line}'], capture_output=True, check=True)
    values = done.stdout.decode().split("\0")
    overrides = json.loads(values[values.index("--hf-overrides") + 1])
    assert overrides["max_position_embeddings"] == 131072
    assert "--tensor-parallel-size" not in values and "--port" not in values


def test_shell_expands_variables_only() -> None:
    assert shell("$(x)") == "'$(x)'"
    assert shell(Variable("A", "b c", ":1")) == "'b c'\"${A}\":1"


@pytest.mark.parametrize("name", ["../x.yaml", "a/b.sh", "X.sh", ".sh", "x", "x.sh\n"])
def test_unsafe_file_names_are_a_bug(name: str) -> None:
    with pytest.raises(AssertionError):
        file_name(name)


def test_pools_keep_their_names_apart() -> None:
    items = list(yaml.safe_load_all(deployment_files(QWEN3_235B_POOLS, "llm-d")["llm-d.yaml"]))
    names = [(item["kind"], item["metadata"]["name"]) for item in items]
    assert len(set(names)) == len(names)
