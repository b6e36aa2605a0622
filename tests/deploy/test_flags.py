"""Each generated command uses only flags that its version has."""

from __future__ import annotations

import importlib.util
import itertools
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from sizing.base.errors import SizingError
from sizing.deploy import DeploymentSpec, Parallelism, Speculative, flags, launch_commands
from sizing.deploy.benchmark import benchmark_files

from .cases import (
    CASES,
    DEEPSEEK_R1_ASCEND,
    DEEPSEEK_R1_H200,
    DEEPSEEK_V3_TWO_NODES,
    QWEN3_32B_128K,
    QWEN3_235B_8,
    QWEN3_235B_POOLS,
)

ROOT = Path(__file__).parents[2]
VLLM = flags.table("vllm")["versions"]
SGLANG = flags.table("sglang")["versions"]
BETWEEN = ["0.9.2", "0.10.1", "0.12.0", "0.14.1", "0.28.0"]
GUIDELLM = {"--backend", "--tokenizer", "--profile", "--constraint", "--data", "--output", "--label"}
VARIANTS = [
    QWEN3_235B_8,
    QWEN3_32B_128K,
    DEEPSEEK_V3_TWO_NODES,
    QWEN3_235B_POOLS,
    replace(DEEPSEEK_V3_TWO_NODES, parallelism=Parallelism(tp=4, dp=4, ep=16)),
    replace(QWEN3_235B_8, speculative=Speculative("mtp", 2), all2all_backend="deepep_low_latency"),
    replace(QWEN3_235B_8, speculative=Speculative("eagle3", 3, "x/draft"), trust_remote_code=True),
    replace(QWEN3_235B_8, speculative=Speculative("ngram", 4), weights="fp8", quantize_online=True),
]


def known_flags(engine: str, version: str) -> set[str]:
    """Flags of one version that was read."""
    index = flags.table(engine)["versions"].index(version)
    return {name for name, marks in flags.table(engine)["serve"].items() if marks[index] == "Y"}


def used(spec: DeploymentSpec) -> set[str]:
    """Flags of all commands that are the engine's own."""
    values = [value for command in launch_commands(spec) if command.role != "router" for value in command.argv]
    return {value for value in values if isinstance(value, str) and value.startswith("--")}


@pytest.mark.parametrize(("spec", "version"), list(itertools.product(VARIANTS, [*VLLM, *BETWEEN])))
def test_vllm_of_any_version_gets_its_own_flags(spec: DeploymentSpec, version: str) -> None:
    try:
        chosen = replace(spec, engine_version=version)
        found = used(chosen)
    except SizingError as error:
        assert error.key in ("engine_version", "reasoning_parser", "tool_parser", "ep"), error
        assert version != VLLM[-1]
        return
    if version in VLLM:
        assert found - {"--address", "--block"} <= known_flags("vllm", version)


@pytest.mark.parametrize("version", [*SGLANG, "0.5.0", "0.5.12"])
def test_sglang_of_any_version_gets_its_own_flags(version: str) -> None:
    dense = replace(QWEN3_32B_128K, engine="sglang", engine_version=version, reasoning_parser=None, tool_parser=None)
    for spec in (replace(DEEPSEEK_R1_H200, engine_version=version), dense):
        found = used(spec)
        if version in SGLANG:
            assert found <= known_flags("sglang", version)
    old = "--enable-dp-attention" in used(replace(DEEPSEEK_R1_H200, engine_version=version))
    assert old == (version != SGLANG[-1])


def test_ascend_gets_no_flag_of_a_vllm_that_it_does_not_follow() -> None:
    assert flags.numbers(DEEPSEEK_R1_ASCEND.version) == (0, 23, 0)
    assert used(DEEPSEEK_R1_ASCEND) <= known_flags("vllm", "0.23.0")
    with pytest.raises(SizingError, match="newer"):
        replace(DEEPSEEK_R1_ASCEND, engine_version="0.33.0")


def test_an_unknown_flag_is_a_bug() -> None:
    with pytest.raises(flags.UnknownFlagError, match="--rope-scaling"):
        flags.check("vllm", "0.33.0", ["vllm", "serve", "m", "--rope-scaling", "{}"])
    with pytest.raises(flags.UnknownFlagError):
        flags.check("vllm", "0.12.0", ["--rope-scaling={}"])
    flags.check("vllm", "0.11.0", ["--rope-scaling", "{}"])
    flags.check("mindie", "2.3.0", ["--anything"])


@pytest.mark.parametrize("version", ["0.7.3", "0.34.0", "1.0.0"])
def test_versions_that_were_not_read_are_refused(version: str) -> None:
    with pytest.raises(SizingError) as caught:
        replace(QWEN3_235B_8, engine_version=version)
    assert caught.value.key == "engine_version"


@pytest.mark.parametrize("engine", sorted(set(flags.TABLES.values())))
def test_tables_are_whole(engine: str) -> None:
    table = yaml.safe_load((ROOT / "sizing/deploy" / engine).read_text(encoding="utf-8"))
    width = len(table["versions"])
    assert [flags.numbers(item) for item in table["versions"]] == sorted(map(flags.numbers, table["versions"]))
    for section in set(table) - {"engine", "versions"}:
        for name, marks in table[section].items():
            assert len(marks) == width and set(marks) <= {"Y", "."}, name
    assert {"serve", "reasoning_parsers", "tool_parsers"} <= set(table)


def test_benchmarks_use_known_flags() -> None:
    for spec in CASES.values():
        files = benchmark_files(spec)
        assert set(files) == {"benchmark.sh", "benchmark-guidellm.sh", "expected.yaml"}
        options = re.findall(r"^  (--[a-z-]+)", files["benchmark-guidellm.sh"], re.MULTILINE)
        assert set(options) == GUIDELLM


@pytest.mark.slow
def test_installed_guidellm_reads_its_command(tmp_path: Path) -> None:
    if shutil.which("guidellm") is None:
        pytest.skip("guidellm is not installed")
    script = benchmark_files(QWEN3_235B_8)["benchmark-guidellm.sh"]
    done = subprocess.run(
        ["bash", "-s"],
        input=script,
        text=True,
        capture_output=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "BASE_URL": "http://127.0.0.1:9"},
    )
    assert "Could not connect to the server" in done.stderr, done.stderr[-2000:]


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["vllm", "sglang"])
def test_tables_match_the_wheels(engine: str) -> None:
    folder = os.environ.get("SIZING_ENGINE_WHEELS")
    if not folder:
        pytest.skip("SIZING_ENGINE_WHEELS names no folder of wheels")
    by_version = {path.name.split("-")[1]: path for path in Path(folder).rglob(f"{engine}-*.whl")}
    missing = set(flags.table(engine)["versions"]) - set(by_version)
    if missing:
        pytest.skip(f"no wheel of {engine} {sorted(missing)}")
    wheels = [str(by_version[version]) for version in flags.table(engine)["versions"]]
    tool = ROOT / "tools/engine_flags.py"
    done = subprocess.run([sys.executable, str(tool), engine, *wheels], capture_output=True, text=True, check=True)
    assert done.stdout == (ROOT / "sizing/deploy" / flags.TABLES[engine]).read_text(encoding="utf-8")


@pytest.mark.slow
def test_installed_vllm_reads_the_commands() -> None:
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vllm is not installed")
    from vllm import __version__  # type: ignore[import-not-found]
    from vllm.entrypoints.openai.cli_args import make_arg_parser  # type: ignore[import-not-found]
    from vllm.utils.argparse_utils import FlexibleArgumentParser  # type: ignore[import-not-found]

    reader = make_arg_parser(FlexibleArgumentParser())
    for spec in VARIANTS[:2]:
        command = launch_commands(replace(spec, engine_version=__version__))[0]
        reader.parse_args([str(value) for value in command.argv[2:]])


@pytest.mark.slow
def test_installed_sglang_reads_the_commands() -> None:
    if importlib.util.find_spec("sglang") is None:
        pytest.skip("sglang is not installed")
    import argparse

    from sglang import __version__  # type: ignore[import-not-found]
    from sglang.srt.server_args import ServerArgs  # type: ignore[import-not-found]

    reader = argparse.ArgumentParser()
    ServerArgs.add_cli_args(reader)
    command = launch_commands(replace(DEEPSEEK_R1_H200, engine_version=__version__))[0]
    reader.parse_args([str(value) for value in command.argv[3:]])
