"""Engines by name and version: defaults that moved, and figures that their authors state."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sizing.base.errors import SizingError
from sizing.engine.base import GIB, Device, parse_version
from sizing.engine.placement import Placement
from sizing.engine.registry import OLDEST, engine_names, get_engine
from sizing.hardware import load_accelerator
from sizing.model.architecture import Architecture
from sizing.model.quantization.schemes import QuantScheme
from sizing.model.sources import load_model
from sizing.planning.target import runs

H100 = Device(79.19 * GIB, "h100-sxm")
A100 = Device(79.25 * GIB, "a100-80gb-sxm")
B200 = Device(178.36 * GIB, "b200-sxm")
MIB = 2**20


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("v0.19.0 (V1)", (0, 19, 0)),
        ("0.5.23", (0, 5, 23)),
        ("2025-07-01", None),
        ("", None),
        (">=v0.21", (0, 21, 0)),
    ],
)
def test_versions(text: str, version: tuple[int, int, int] | None) -> None:
    assert parse_version(text) == version


def test_names_and_aliases() -> None:
    assert [get_engine(name).name for name in engine_names()] == engine_names()
    assert get_engine("TRTLLM").name == "tensorrt-llm"
    assert get_engine("vllm_ascend").name == "vllm-ascend"
    with pytest.raises(SizingError, match="sglang"):
        get_engine("sglangg")
    with pytest.raises(SizingError, match="--engine-version"):
        get_engine("vllm", "newest")


def test_vllm_defaults_by_version_and_device(qwen2_7b: Architecture) -> None:
    old, new = get_engine("vllm", "0.19.0"), get_engine("vllm", "0.33.0")
    assert old.default_utilization(H100, Placement(), qwen2_7b) == 0.90
    assert new.default_utilization(H100, Placement(), qwen2_7b) == 0.92
    assert (old.default_batched_tokens(H100, 8192), old.default_num_seqs(H100)) == (8192, 1024)
    assert (old.default_batched_tokens(A100, 8192), old.default_num_seqs(A100)) == (2048, 256)
    assert new.default_batched_tokens(B200, 8192) == 16384
    assert get_engine("vllm", "0.8.5").default_num_seqs(H100) == 256


def test_vllm_graphs_are_charged_since_0_21() -> None:
    for version, pool in (("0.19.0", 50.0), ("0.21.0", 48.0)):
        engine = get_engine("vllm", version)
        assert engine.pool_bytes(Device(100.0), 30.0, 8.0, 2.0, 2.0, 0.9) == pytest.approx(pool)


def test_vllm_capture_sizes() -> None:
    sizes = get_engine("vllm").capture_sizes(1024)
    assert len(sizes) == 51
    assert sizes[:5] == (1, 2, 4, 8, 16)
    assert sizes[-1] == 512
    assert max(get_engine("vllm").capture_sizes(8)) == 16


@pytest.mark.parametrize(
    ("mib", "tp", "dp", "name", "fraction"),
    [
        (81559, 1, 1, "qwen2_7b", 0.830),
        (81559, 8, 1, "qwen3_235b", 0.812),
        (81559, 8, 1, "deepseek_v3", 0.799),
        (81559, 1, 8, "deepseek_v3", 0.686),
        (183359, 1, 1, "qwen2_7b", 0.854),
    ],
)
def test_sglang_static_fraction(
    mib: int, tp: int, dp: int, name: str, fraction: float, request: pytest.FixtureRequest
) -> None:
    """The fractions that SGLang 0.5.23 derives for H100 and B200."""
    engine = get_engine("sglang")
    found = engine.default_utilization(
        Device(mib * MIB, "h100"), Placement(tp=tp, dp=dp), request.getfixturevalue(name)
    )
    assert found == pytest.approx(fraction, abs=0.012)


def test_trtllm_takes_a_fraction_of_what_is_left() -> None:
    assert get_engine("trtllm").pool_bytes(Device(100.0), 50.0, 5.0, 5.0, 9.0, 0.9) == pytest.approx(36.0)


def test_who_reserves_the_longest_output() -> None:
    assert {name for name in engine_names() if get_engine(name).reserves_max_output} == {
        "tensorrt-llm",
        "mindie",
        "llama.cpp",
    }


@pytest.mark.parametrize("engine", ["vllm", "sglang", "tensorrt-llm"])
@pytest.mark.parametrize("model", ["moonshotai/Kimi-K2.5", "nvidia/Qwen3.6-35B-A3B-NVFP4"])
def test_checkpoints_in_formats_of_their_own_run(engine: str, model: str) -> None:
    """Formats with other names than an engine's list ("int4" of compressed-tensors, "nvfp4_wo") use its kernels."""
    own = load_model(model).native_quantization
    assert isinstance(own, QuantScheme)
    assert {own.linear.name, own.experts.name} & {"int4", "nvfp4_wo"}
    assert get_engine(engine).unsupported(own, "bf16", "NVIDIA") is None
    assert runs(load_accelerator("h200-sxm"), own) == "weight-only"
    unknown = replace(own, name="x", linear=replace(own.linear, name="x"), experts=replace(own.experts, name="x"))
    assert "no kernels" in str(get_engine(engine).unsupported(unknown, "bf16", "NVIDIA"))


@pytest.mark.parametrize("name", engine_names())
def test_a_version_as_it_is_printed_is_read_again(name: str) -> None:
    latest = get_engine(name)
    assert get_engine(name, latest.version_text).version == latest.version
    assert get_engine(name, OLDEST[name]).version == OLDEST[name]


def test_builds_of_llama_cpp() -> None:
    assert get_engine("llama.cpp", "b6918").version_text == "b6918" == get_engine("ollama", "6918").version_text
    with pytest.raises(SizingError, match="known are b2800 to"):
        get_engine("llama.cpp", "b1200")
    with pytest.raises(SizingError, match="write it as b6918"):
        get_engine("llama.cpp", "newest")
