"""A checkpoint's own quantisation."""

from __future__ import annotations

from typing import Any

import pytest

from sizing.base.errors import ConfigError
from sizing.model.parts import Component, Linear
from sizing.model.quantization import names as quant_names
from sizing.model.quantization.schemes import QuantScheme, from_quantization_config
from sizing.model.sources import load_model

GATE = Linear("gate_proj", 8, 8, Component.DENSE_MLP)
Q = Linear("q_proj", 8, 8, Component.ATTENTION)
HEAD = Linear("lm_head", 8, 8, Component.LM_HEAD)


def scheme_of(name: str) -> QuantScheme:
    scheme = load_model(name).native_quantization
    assert isinstance(scheme, QuantScheme)
    return scheme


def read(**config: Any) -> QuantScheme:
    scheme = from_quantization_config(config)
    assert scheme is not None
    return scheme


def test_none_without_a_config() -> None:
    assert from_quantization_config(None) is None
    assert load_model("Qwen3-32B").native_quantization is None


def test_fp8_blocks() -> None:
    scheme = scheme_of("DeepSeek-V3")
    assert scheme.linear.block == (128, 128) and scheme.experts.compute == "fp8"
    assert scheme.format_of(HEAD).bits == 16
    assert read(quant_method="fp8").linear.block == (None, None)
    assert read(quant_method="fp8", weight_block_size=[64, 32]).linear.block == (64, 32)
    for bad in ([128], [0, 1], "128", [True, 1], [1.5, 2]):
        with pytest.raises(ConfigError, match="weight_block_size"):
            read(quant_method="fp8", weight_block_size=bad)


def test_exclusions_by_layer() -> None:
    scheme = scheme_of("Qwen3.8-2.4T")
    assert scheme.format_of(Q).bits == 16
    assert scheme.experts.bits == 8
    assert Component.SHARED_EXPERTS in scheme.unquantized
    # two layers of 126 in 16 bits: the mean of all
    mean = scheme_of("Meta-Llama-3.1-405B-Instruct-FP8").format_of(GATE)
    assert mean.bits == pytest.approx((124 * 8 + 2 * 16) / 126) and mean.compute == "fp8"


def test_compressed_tensors() -> None:
    kimi = scheme_of("Kimi-K2.5")
    assert kimi.experts.bits == 4 and kimi.experts.block == (1, 32) and kimi.experts.compute == "bf16"
    assert kimi.format_of(Linear("q_a_proj", 8, 8, Component.ATTENTION)).bits == 16
    assert kimi.format_of(GATE).bits == 16 and kimi.vision.bits == 16
    int8 = read(
        quant_method="compressed-tensors",
        ignore=["lm_head"],
        config_groups={
            "group_0": {
                "targets": ["Linear"],
                "weights": {"num_bits": 8, "type": "int", "strategy": "channel"},
                "input_activations": {"num_bits": 8, "type": "int"},
            }
        },
    )
    assert int8.linear.compute == "int8"
    with pytest.raises(ConfigError, match="config_groups"):
        read(quant_method="compressed-tensors")


def test_modelopt() -> None:
    scheme = scheme_of("nvidia/DeepSeek-V3.1-NVFP4")
    assert scheme.experts.name == "nvfp4" and scheme.kv_cache_dtype == "fp8"
    assert scheme.format_of(Linear("kv_b_proj", 8, 8, Component.ATTENTION)).bits == 16
    assert scheme.format_of(Linear("o_proj", 8, 8, Component.ATTENTION)).bits == 4
    mixed = scheme_of("nvidia/Qwen3.6-35B-A3B-NVFP4")
    assert mixed.experts.compute == "bf16" and mixed.experts.bits == 4
    assert mixed.format_of(Q).bits == 8 and mixed.lm_head.bits == 4
    gemma = scheme_of("nvidia/Gemma-4-26B-A4B-NVFP4")
    assert gemma.experts.bits == 4 and gemma.format_of(GATE).bits == 16 and gemma.vision.bits == 16


def test_experts_in_fp4_beside_fp8() -> None:
    flash = scheme_of("deepseek-ai/DeepSeek-V4-Flash")
    assert flash.experts.name == "mxfp4" and flash.linear.name == "fp8_block"
    nvidia = scheme_of("nvidia/DeepSeek-V4-Flash-NVFP4")
    assert nvidia.experts.name == "nvfp4" and nvidia.format_of(Q).bits == 8


def test_mxfp4_is_of_the_experts() -> None:
    scheme = scheme_of("gpt-oss-120b")
    assert scheme.experts.name == "mxfp4" and scheme.linear.bits == 16


def test_awq_gptq_bitsandbytes() -> None:
    awq = read(quant_method="awq", bits=4, group_size=64, zero_point=True)
    assert (awq.linear.bits, awq.linear.block, awq.linear.zero_bits) == (4, (1, 64), 4)
    gptq = read(quant_method="gptq", bits=8, group_size=-1, lm_head=True)
    assert (gptq.linear.bits, gptq.linear.block, gptq.lm_head.bits) == (8, (1, None), 8)
    assert read(quant_method="bitsandbytes", load_in_4bit=True).linear.bits == 4
    with pytest.raises(ConfigError, match="bits"):
        read(quant_method="gptq", bits="four")


@pytest.mark.parametrize(
    "config",
    [
        {"quant_method": "unheard_of"},
        {"quant_method": 7},
        {},
        {"quant_method": "fp8", "modules_to_not_convert": "lm_head"},
        {"quant_method": "fp8", "modules_to_not_convert": [1]},
        {"quant_method": "modelopt", "quant_algo": "INT3"},
        {"quant_method": "bitsandbytes"},
    ],
)
def test_what_is_not_understood_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        from_quantization_config(config)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("pattern", ["re:((", "re:(a+)+$", "re:(.*)*x", "re:" + ".*" * 50 + "x", "re:" + "a" * 999])
def test_a_hostile_pattern_is_refused_at_once(pattern: str) -> None:
    group = {"targets": ["Linear"], "weights": {"num_bits": 8, "type": "float"}, "input_activations": {}}
    with pytest.raises(ConfigError):
        read(quant_method="compressed-tensors", ignore=[pattern], config_groups={"group_0": group})


@pytest.mark.parametrize("make", ["name_{}.x", "model.layers.{}.other_{}"])
def test_many_plain_exclusions_are_looked_up_and_not_gone_through(make: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    usual = quant_names.matches
    monkeypatch.setattr(
        quant_names, "matches", lambda pattern, *rest, **more: asked.append(pattern) or usual(pattern, *rest, **more)
    )
    layers = {"q_proj": frozenset(range(4)), "down_proj": frozenset(range(4))}
    found = quant_names.Named([make.format(n, n) for n in range(60_000)] + ["self_attn", "lm_head"], layers)
    assert found.layers_of("q_proj") == (frozenset(range(4)),) and found.layers_of("down_proj") == (frozenset(),)
    assert found.top("lm_head") and not found.towers()
    assert not asked


def test_plain_patterns_name_what_they_always_did() -> None:
    names = [module for modules in quant_names.MODULES.values() for module in modules]
    patterns = {part for name in names for part in (*name.split("."), name, f"{name}.weight", name[1:], f".{name}", "")}
    found = quant_names.Patterns(patterns)
    for name in names:
        assert set(found.naming([name])) == {
            one for one in patterns if quant_names.matches(one, name, below_layer=True)
        }


@pytest.mark.parametrize("make", ["re:.*x{}", "*x{}", "x{}?"])
def test_more_expressions_than_any_checkpoint_has_are_refused(make: str) -> None:
    with pytest.raises(ConfigError, match="globs and regular expressions"):
        quant_names.Named([make.format(n) for n in range(1001)], {})
