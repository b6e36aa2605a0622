"""The public API: light to import, complete, and the same figures as the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import sizing
from sizing.cli import main

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("streamlit", "pandas", "plotly", "typer", "rich", "weasyprint", "xlsxwriter", "huggingface_hub", "distributed")


def python(code: str) -> str:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True).stdout


def test_import_loads_nothing_heavy() -> None:
    code = "import sys, sizing; sizing.plan, sizing.estimate, sizing.load_study; print(*sys.modules)"
    assert not set(HEAVY) & {name.split(".")[0] for name in python(code).split()}


def test_import_alone_loads_no_library() -> None:
    code = "import sys; before = set(sys.modules); import sizing; print(*(set(sys.modules) - before))"
    loaded = {name.split(".")[0] for name in python(code).split()}
    assert loaded & {"numpy", "pydantic", "yaml", "typer", "rich", *HEAVY} == set()
    assert "sizing" in loaded


def test_public_names() -> None:
    assert set(sizing.__all__) == set(sizing._WHERE)
    for name in sizing.__all__:
        assert getattr(sizing, name).__doc__, name
    with pytest.raises(AttributeError):
        sizing.nonsense  # noqa: B018


def test_estimate_stays_a_function_whatever_is_imported_first() -> None:
    code = (
        "import sizing; sizing.plan; import sizing.planning.estimate; from sizing import estimate; print(callable({}))"
    )
    for name in ("sizing.estimate", "estimate"):
        assert python(code.format(name)) == "True\n"


def test_the_command_line_gives_the_same_figures(capsys: pytest.CaptureFixture[str]) -> None:
    own = sizing.estimate(
        "Qwen/Qwen3-32B", "h100-sxm", sizing.Placement(tp=2), input_tokens=1000, output_tokens=200, concurrency=8
    )
    with pytest.raises(SystemExit):
        main(["estimate", "Qwen/Qwen3-32B", "--on", "h100-sxm", "--tp", "2", "--input", "1000", "--output", "200",
              "--concurrency", "8", "--json"])  # fmt: skip
    shown = json.loads(capsys.readouterr().out)
    assert shown["throughput"]["output_tokens_per_s"]["p50"] == own.throughput["output_tokens_per_s"].p50
    assert shown["latency"]["ttft_s"]["p90"] == own.latency["ttft_s"].p90
    answer = sizing.plan(
        sizing.quick_study("Qwen/Qwen3-8B", input_tokens=1000, output_tokens=200, rate=2, on=["h100-sxm"],
                           workload={"targets": {"headroom": 0.1}})
    )  # fmt: skip
    with pytest.raises(SystemExit):
        main(
            ["plan", "Qwen/Qwen3-8B", "--input", "1000", "--output", "200", "--rate", "2", "--on", "h100-sxm", "--json"]
        )
    shown = json.loads(capsys.readouterr().out)["plans"][0]
    assert answer.best is not None
    assert shown["usd_per_hour"] == answer.best.usd_per_hour and shown["tpot_s"] == answer.best.tpot_s.p50


def test_a_model_of_any_form(tmp_path: Path) -> None:
    arch = sizing.load_model("Qwen/Qwen3-8B")
    figures = [
        sizing.estimate(form, "l40s", input_tokens=500, output_tokens=100, concurrency=1).latency["tpot_s"].p50
        for form in ("Qwen/Qwen3-8B", arch)
    ]
    assert figures[0] == figures[1]
