"""Launch files from real plans: planner to deploy, every engine and kind, and what the files say is what was planned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

import sizing
from sizing.base.errors import SizingError
from sizing.cli import main
from sizing.deploy import KINDS, deployment_files
from sizing.deploy.plan_spec import spec_of
from sizing.planning.result import Plan, Result

OFFERS = {
    "vllm": ("h100-sxm", "mi300x"),
    "sglang": ("h100-sxm", "ascend-910b"),
    "tensorrt-llm": ("h100-sxm",),
    "vllm-ascend": ("ascend-910b",),
    "mindie": ("ascend-910b",),
}
POOLS = ("vllm", "sglang")  # what launch files of separate pools are written for
MODELS = ("Qwen/Qwen3-8B", "Qwen/Qwen3-30B-A3B", "deepseek-ai/DeepSeek-R1", "zai-org/GLM-4.5-Air")
WAYS: dict[str, dict[str, Any]] = {
    "one pool": {},
    "pools apart": {"disaggregated": "on"},
    "speculative": {"speculative": "try"},
}
FRACTION = {
    "vllm": "--gpu-memory-utilization {}",
    "vllm-ascend": "--gpu-memory-utilization {}",
    "sglang": "--mem-fraction-static {}",
    "tensorrt-llm": "--kv_cache_free_gpu_memory_fraction {}",
    "mindie": "NPU_MEMORY_FRACTION={}",
}


def answer(model: str, engine: str, **choice: Any) -> Result:
    return sizing.plan(
        sizing.quick_study(model, input_tokens=1000, output_tokens=300, rate=1, on=list(OFFERS[engine]),
                           engine={"names": [engine], **choice}, constraints={"max_nodes": 2, "max_plans": 40})
    )  # fmt: skip


def written(result: Result, plan: Plan, kind: str) -> dict[str, str]:
    """The files of a kind; empty where the kind says that it does not fit the plan, with another that does."""
    try:
        return deployment_files(spec_of(result, plan, date="2026-11-29"), kind)
    except SizingError as error:
        assert error.key == "kind" and error.hint, error
        return {}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("engine", OFFERS)
@pytest.mark.parametrize("model", MODELS)
def test_every_plan_has_its_files(model: str, engine: str, way: str) -> None:
    result = answer(model, engine, **WAYS[way])
    if way == "pools apart" and engine not in POOLS:
        if result.best is not None:
            with pytest.raises(SizingError, match="pools are written for vllm and sglang"):
                deployment_files(spec_of(result), "all")
        return
    assert result.plans or any(item.code in ("no_memory", "does_not_run") for item in result.rejected)
    for plan in result.plans:
        files = {kind: written(result, plan, kind) for kind in KINDS}
        assert files["command"] and files["benchmark"] and files["all"]
        assert files["all"] == {name: text for kind in KINDS if kind != "all" for name, text in files[kind].items()}
        for name, text in files["all"].items():
            if name.endswith(".yaml"):
                assert list(yaml.safe_load_all(text)), name
        fractions = [pool.memory_utilization for pool in plan.pools] or [plan.memory_utilization]
        for fraction in fractions:
            assert FRACTION[engine].format(f"{fraction:g}") in "".join(files["command"].values()), plan.label
        if plan.speculative_tokens:
            assert "mtp" in "".join(files["all"].values()).lower() or engine == "sglang"


def test_the_command_writes_tensorrt_llm(tmp_path: Path) -> None:
    study = sizing.quick_study("Qwen/Qwen3-8B", input_tokens=1000, output_tokens=300, rate=1, on=["h100-sxm"],
                               engine={"names": ["tensorrt-llm"]})  # fmt: skip
    (tmp_path / "study.yaml").write_text(study.to_yaml(), encoding="utf-8")
    for kind in ("command", "compose", "kubernetes", "kserve", "benchmark", "all"):
        with pytest.raises(SystemExit) as done:
            main(["deploy", str(tmp_path / "study.yaml"), "--kind", kind, "-o", str(tmp_path / kind)])
        assert not done.value.code
        assert list((tmp_path / kind).iterdir())


def test_what_no_launch_file_can_say_is_not_planned() -> None:
    tried = answer("deepseek-ai/DeepSeek-R1", "tensorrt-llm", speculative="off")
    assert all(plan.placement["dp"] == 1 or plan.placement["tp"] == 1 for plan in tried.plans)
    piped = answer("Qwen/Qwen3-8B", "mindie")
    assert piped.plans and all(plan.placement["pp"] == 1 for plan in piped.plans)
    drafted = sizing.plan(
        sizing.quick_study("deepseek-ai/DeepSeek-R1", input_tokens=1000, output_tokens=300, rate=1,
                           on=["ascend-910b"], constraints={"max_nodes": 2},
                           engine={"names": ["mindie"], "speculative": "on", "draft_tokens": 3})
    )  # fmt: skip
    assert not drafted.plans and any("drafts at most 2 tokens" in item.reason for item in drafted.rejected)


def test_a_maker_without_launch_files_is_named() -> None:
    result = sizing.plan(sizing.quick_study("Qwen/Qwen3-8B", input_tokens=500, output_tokens=100, rate=1,
                                            on=["gaudi3"], engine={"names": ["vllm"]}))  # fmt: skip
    assert result.best is not None
    with pytest.raises(SizingError, match="Intel"):
        spec_of(result)


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
def test_weights_that_engines_make_at_load_have_their_flag(engine: str) -> None:
    study = sizing.quick_study(
        "Qwen/Qwen3-8B", input_tokens=500, output_tokens=100, rate=0.5, on=["h100-sxm"],
        engine={"names": [engine]}, constraints={"max_nodes": 1, "max_plans": 5},
    )  # fmt: skip
    study = study.model_copy(update={"model": study.model.model_copy(update={"weights": ("bnb_nf4",)})})
    result = sizing.plan(study)
    assert result.best is not None
    text = "".join(deployment_files(spec_of(result, date="2026-11-29"), "compose").values())
    assert "--quantization" in text and "bitsandbytes" in text and "Qwen/Qwen3-8B" in text
    study = study.model_copy(update={"model": study.model.model_copy(update={"weights": ("bnb_int8",)})})
    with pytest.raises(SizingError, match="at load"):
        spec_of(sizing.plan(study), date="2026-11-29")
