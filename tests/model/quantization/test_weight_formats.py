"""The table of weight formats, and checkpoints whose format is or is not understood."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from sizing.base.errors import SizingError
from sizing.engine.placement import Placement
from sizing.engine.sharding import stage_components, stages
from sizing.model.architecture import Architecture
from sizing.model.config import parse_config
from sizing.model.quantization.schemes import ALIASES, SCHEMES, QuantScheme, scheme
from sizing.model.sources import catalog_models, load_directory, load_model
from sizing.planning.target import native_scheme, resolve_target

LLAMA: dict[str, Any] = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 256, "intermediate_size": 768,
    "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 1024,
    "max_position_embeddings": 4096, "tie_word_embeddings": False, "torch_dtype": "bfloat16",
}  # fmt: skip


def with_format(**quantization: Any) -> Architecture:
    return parse_config({**LLAMA, "quantization_config": quantization}, name="tiny")


def native(**quantization: Any) -> QuantScheme:
    found = with_format(**quantization).native_quantization
    assert isinstance(found, QuantScheme)
    return found


@pytest.mark.parametrize(
    ("name", "bits"),
    [  # weights, scales and zeros by each tool's layout
        ("gptq_int8", 8 + (16 + 8) / 128),
        ("GPTQ-Int4", 4 + (16 + 4) / 128),
        ("gptq-3bit", 3 + (16 + 3) / 128),
        ("gptq_2bit", 2 + (16 + 2) / 128),
        ("awq", 4 + (16 + 4) / 128),
        ("nf4", 4 + 32 / 64),
        ("bnb_nf4_dq", 4 + (8 + 32 / 256) / 64),  # 4.127
        ("bitsandbytes_fp4", 4.5),
        ("mlx_4bit", 4.5),
        ("mlx-8bit", 8.5),
        ("mxfp8", 8.25),
        ("mxfp4", 4.25),
        ("nvfp4", 4.5),
        ("hqq", 4.5),
        ("float32", 32),
        ("float16", 16),
    ],
)
def test_effective_bits_of_known_names(name: str, bits: float) -> None:
    assert scheme(name).experts.effective_bits == pytest.approx(bits)


def test_every_alias_resolves_and_no_alias_hides_a_format() -> None:
    assert not set(ALIASES) & set(SCHEMES)
    assert all(scheme(alias) is SCHEMES[name] for alias, name in ALIASES.items())
    assert all(key == made.name for key, made in SCHEMES.items())


@pytest.mark.parametrize("name", sorted({*SCHEMES} - {"mxfp8"}))
def test_every_format_is_sized_on_hopper(name: str) -> None:
    assert resolve_target("Qwen3-8B", "h100-sxm", weights=name).scheme.name == name


@pytest.mark.parametrize(
    ("quantization", "found"),
    [
        ({"quant_method": "vptq"}, "vptq"),
        ({"quant_method": "aqlm", "nbits_per_codebook": 16}, "aqlm"),
        ({"quant_method": "quip#"}, "quip#"),
        ({"quant_method": "exl3"}, "bits"),
        ({"quant_method": "quark"}, "quark"),
        ({"quant_method": "ascend"}, "quant_model_description"),
        ({"quant_method": "fp8", "weight_block_size": [0, 128]}, r"\[0, 128\]"),
        ({"quant_method": "gptq", "bits": 9}, "9 bits"),
        ({"quant_method": "gptq", "bits": 4, "group_size": -7}, "-7"),
        ({"quant_method": "auto-round", "bits": 4, "data_type": "weird"}, "weird"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf5"}, "nf5"),
        ({"quant_method": "torchao", "quant_type": {"default": {"_type": "IntxNewConfig"}}}, "Intx"),
        ({"bits": 4, "group_size": 64, "mode": "new"}, "new"),
        ({"something": "else"}, "quant_method"),
    ],
)
def test_a_format_that_is_not_understood_is_refused_until_one_is_named(
    quantization: dict[str, Any], found: str
) -> None:
    arch = with_format(**quantization)
    assert arch.total == parse_config(LLAMA).total  # counts stand
    with pytest.raises(SizingError, match=found) as caught:
        resolve_target(arch, "h100-sxm")
    assert caught.value.key == "--weights"
    assert resolve_target(arch, "h100-sxm", weights="bits2.2").scheme.name == "bits2.2"


def test_a_dtype_without_a_quantisation_is_refused() -> None:
    arch = parse_config({**LLAMA, "torch_dtype": "float8_e4m3fn"}, name="tiny")
    with pytest.raises(SizingError, match="float8_e4m3fn"):
        resolve_target(arch, "h100-sxm")


@pytest.mark.parametrize(
    ("quantization", "name", "bits"),
    [
        ({"quant_method": "gptq", "bits": 8, "group_size": 128}, "int8_gptq", 8.1875),
        ({"quant_method": "auto-round", "bits": 4, "group_size": 32, "data_type": "mx_fp"}, "mxfp4", 4.25),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}, "bnb_nf4", 4.5),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "bnb_int8", 8.0),
        ({"quant_method": "eetq"}, "eetq", 8.0),
        ({"quant_method": "torchao", "quant_type": {"default": {"_type": "Int4WeightOnlyConfig",
          "_data": {"group_size": 64}}}}, "torchao_int4", 4.5),
        ({"quant_method": "hqq", "quant_config": {"weight_quant_params": {"nbits": 4, "group_size": 64}}},
         "hqq_int4", 4.5),
        ({"bits": 4, "group_size": 64}, "mlx_4bit", 4.5),
        ({"quant_method": "compressed-tensors", "ignore": ["lm_head"], "config_groups": {"g": {"targets": ["Linear"],
          "weights": {"num_bits": 3, "type": "int", "strategy": "group", "group_size": 128}}}}, "int3", 3.125),
    ],
)  # fmt: skip
def test_understood_formats_are_sized(quantization: dict[str, Any], name: str, bits: float) -> None:
    arch = with_format(**quantization)
    target = resolve_target(arch, "h100-sxm")
    assert target.scheme.name == name
    assert f"weights {name}: the checkpoint's own format" in target.assumptions
    assert target.scheme.linear.effective_bits == pytest.approx(bits, abs=0.01)


def test_heads_that_are_quantised() -> None:
    rule = {"targets": ["Linear"], "weights": {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 128}}
    bare = native(quant_method="compressed-tensors", ignore=[], config_groups={"g": rule})
    kept = native(quant_method="compressed-tensors", ignore=["lm_head"], config_groups={"g": rule})
    assert bare.lm_head.bits == 4 and kept.lm_head.bits == 16
    dynamic = {"lm_head": {"bits": 8, "group_size": 32}, "-:.*down_proj.*": {}, "+:.*up_proj.*": {"bits": 8}}
    gptq = native(quant_method="gptq", bits=4, group_size=128, lm_head=True, dynamic=dynamic)
    assert gptq.lm_head.bits == 8 and gptq.lm_head.block == (1, 32)
    by_name = dict(gptq.by_name)
    assert by_name["down_proj"].bits == 16 and by_name["up_proj"].bits == 8 and gptq.linear.bits == 4
    mlx = native(**{"bits": 4, "group_size": 64, "lm_head": {"bits": 8}, "model.embed_tokens": {"bits": 6}})
    assert (mlx.linear.bits, mlx.lm_head.bits, mlx.other.bits) == (4, 8, 6)


def test_mlx_under_its_older_key() -> None:
    arch = parse_config({**LLAMA, "quantization": {"bits": 4, "group_size": 64}}, name="tiny")
    assert resolve_target(arch, "h100-sxm").scheme.name == "mlx_4bit"


def test_float32_is_served_in_16_bits_unless_named() -> None:
    gemma = load_model("gemma-2-2b")
    usual = resolve_target(gemma, "h100-sxm")
    assert usual.scheme.linear.bits == 16
    assert any("float32" in text and "--weights float32" in text for text in usual.assumptions)
    assert not any("own format" in text for text in usual.assumptions)
    stored = resolve_target(gemma, "h100-sxm", weights="float32")
    assert {stored.scheme.linear.bits, stored.scheme.other.bits, stored.scheme.lm_head.bits} == {32}
    assert stored.kv.element_bytes == 4


def test_a_config_that_states_nothing_is_said_to_be_assumed() -> None:
    bare = {key: value for key, value in LLAMA.items() if key != "torch_dtype"}
    said = resolve_target(parse_config(bare, name="tiny"), "h100-sxm").assumptions
    assert any(text.startswith("weights bf16: assumed") for text in said)


def test_packed_tensors_without_a_config_are_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    size = 768 * 256
    tensor = {"dtype": "I8", "shape": [768, 256], "data_offsets": [0, size]}
    header = json.dumps({"model.layers.0.mlp.up_proj.weight": tensor}).encode()
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(size))
    with pytest.raises(SizingError, match="196608 bytes in I8") as caught:
        resolve_target(load_directory(tmp_path), "h100-sxm")
    assert caught.value.key == "--weights"


@pytest.mark.parametrize(
    ("name", "fmt", "gigabytes"),
    [  # published sizes: Kimi K3 1.56 TB; the others are FP8, one byte a weight and a little for scales and 16-bit parts
        ("MiniMax-M2", "fp8_block", 230.0),
        ("GLM-5.3-Flash", "fp8_block", 315.9),
        ("Kimi-K3", "mxfp4", 1559.5),
        ("GLM-4.7-FP8", "fp8_channel", 354.9),
    ],
)
def test_catalog_entries_have_the_format_they_are_published_in(name: str, fmt: str, gigabytes: float) -> None:
    arch = load_model(name)
    made = native_scheme(arch)
    assert made.name == fmt
    sizes = stage_components(arch, made, Placement(), stages(arch, 1)[0])
    assert sum(float(size) for size in sizes.values()) / 1e9 == pytest.approx(gigabytes, rel=1e-3)


def test_a_catalog_entry_whose_format_was_not_found_is_refused() -> None:
    with pytest.raises(SizingError, match="NVFP4") as caught:
        resolve_target("NVIDIA-Nemotron-3.5-Lightning-30B-A3B-NVFP4", "b200-sxm")
    assert caught.value.key == "--weights"
    assert resolve_target("NVIDIA-Nemotron-3.5-Lightning-30B-A3B-NVFP4", "b200-sxm", weights="nvfp4")


def test_no_catalog_name_of_a_quantised_checkpoint_is_sized_in_16_bits() -> None:
    words = ("fp8", "fp4", "int4", "int8", "awq", "gptq", "w8a8", "w4a16")
    for entry in catalog_models():
        if any(word in entry.name.lower() for word in words) and "refused for now" not in entry.note:
            arch = load_model(entry.name)
            assert arch.native_quantization is not None or arch.quantization_problem is not None, entry.name


def test_a_name_with_its_organisation_is_what_it_is_without() -> None:
    assert native_scheme(load_model("zai-org/GLM-5.3")) == native_scheme(load_model("GLM-5.3"))
    assert native_scheme(load_model("zai-org/GLM-5.3-BF16")).name == "bf16"
    assert native_scheme(load_model("zai-org/GLM-5.3-Flash-BF16")).name == "bf16"
