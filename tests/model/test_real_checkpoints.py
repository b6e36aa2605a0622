"""What real quantisers write: the headers of their files, and each row of formats by its config keys.

``tests/data/formats.json`` holds what ``make formats`` let the tools write for a Llama of four layers, without the weights.
"""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

import pytest

from sizing.base.errors import SizingError
from sizing.engine.placement import Placement
from sizing.engine.sharding import weight_bytes
from sizing.model.architecture import Architecture
from sizing.model.checkpoints.safetensors import _BITS
from sizing.model.config import parse_config
from sizing.model.quantization.schemes import QuantScheme
from sizing.model.sources import load_model
from sizing.planning.target import native_scheme

LLAMA: dict[str, Any] = {
    "model_type": "llama", "hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 4, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 64, "vocab_size": 1024, "tie_word_embeddings": False, "torch_dtype": "bfloat16",
}  # fmt: skip
WRITTEN = json.loads((Path(__file__).parents[1] / "data" / "formats.json").read_text(encoding="utf-8"))["checkpoints"]
REFUSED = {"hqq4": "qmodel.pt"}  # torch's own file, whose bits no text says
OTHER_FORM = ("ct_w4a8", "ms_w4a16")  # 4 bits in 8-bit entries, packed at load: both are said


def sized(arch: Architecture) -> float:
    return sum(line.bytes for line in weight_bytes(arch, Placement(), native_scheme(arch)))


def written(folder: Path, entry: dict[str, Any]) -> int:
    """The folder that a tool wrote, its weights all zero; the bytes of its tensors."""
    quant = entry["quantization_config"]
    (folder / "config.json").write_text(json.dumps({**LLAMA, **({"quantization_config": quant} if quant else {})}))
    if entry["hf_quant_config"]:
        (folder / "hf_quant_config.json").write_text(json.dumps(entry["hf_quant_config"]))
    beside = entry["beside"] or {}
    if beside.get("quant_method") == "quanto":
        (folder / "quanto_qmap.json").write_text(json.dumps(beside["qmap"]))
    elif beside.get("quant_method") == "msmodelslim":
        (folder / "quant_model_description_w8a8.json").write_text(json.dumps(beside["description"]))
    elif beside:
        (folder / "qmodel.pt").write_bytes(b"\0")
    header: dict[str, Any] = {}
    at = 0
    for name, (dtype, shape) in entry["tensors"].items():
        for layer in range(4) if "*" in name else (0,):
            size = math.ceil(math.prod(shape) * _BITS[dtype] / 8)
            header[name.replace("*", str(layer))] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
            at += size
    if header:
        raw = json.dumps(header).encode()
        (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(raw)) + raw + bytes(at))
    return at


@pytest.mark.parametrize("name", WRITTEN)
def test_what_a_tool_wrote_is_sized_right(tmp_path: Path, name: str) -> None:
    stored = written(tmp_path, WRITTEN[name])
    arch = load_model(tmp_path)
    if name in REFUSED:
        with pytest.raises(SizingError, match=REFUSED[name]):
            native_scheme(arch)
        return
    assert arch.stored_bytes == stored
    if name.startswith("ms_"):  # float32 leftovers are served in 16 bits: the embedding, the head, the norms
        assert arch.stored_note is not None
        stored -= 2 * (2 * 1024 * 256 + 9 * 256)
    if name in OTHER_FORM:
        assert "stored in 8 bits, packed at load" in str(arch.stored_note)
        assert 0.5 * stored < sized(arch) < 0.75 * stored
        return
    assert sized(arch) == pytest.approx(stored, rel=0.01)


@pytest.mark.parametrize("name", [name for name in WRITTEN if WRITTEN[name]["quantization_config"]])
def test_the_config_alone_is_sized_right(tmp_path: Path, name: str) -> None:
    entry = WRITTEN[name]
    arch = parse_config(
        {**LLAMA, "quantization_config": entry["quantization_config"]}, hf_quant_config=entry["hf_quant_config"]
    )
    stored = written(tmp_path, entry)
    if name in OTHER_FORM:
        assert 0.5 * stored < sized(arch) < 0.75 * stored
        return
    assert sized(arch) == pytest.approx(stored, rel=0.02)


def ct(bits: int, *, kind: str = "int", group: int | None = 128, **more: Any) -> dict[str, Any]:
    weights = {"num_bits": bits, "type": kind, "group_size": group, "strategy": "group" if group else "channel"}
    return {
        "quant_method": "compressed-tensors",
        "ignore": ["lm_head"],
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}},
        **more,
    }


GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 128}
ROUND = {"quant_method": "auto-round", "bits": 4, "group_size": 128, "data_type": "int"}
QUARK = {"dtype": "fp8_e4m3", "qscheme": "per_channel"}
FOUR, EIGHT = 4 + 20 / 128, 8 + 24 / 128
MIXED = {"model.layers.0.mlp.up_proj": {"bits": 8}, "model.layers.1.mlp.up_proj": {"bits": 16}}

# A row: the config's keys, the matrix that is asked about, its bits with scales.
ROWS: dict[str, tuple[dict[str, Any], str, float]] = {
    **{f"compressed-tensors of {bits} bits": (ct(bits), "up_proj", bits + 16 / 128) for bits in (2, 3, 5, 6, 7)},
    "GPTQModel's head": ({**GPTQ, "dynamic": {"lm_head": {"bits": 8, "group_size": 32}}}, "lm_head", 8 + 24 / 32),
    "GPTQModel by layer": ({**GPTQ, "dynamic": {r"-:.*\.0\..*up_proj": {}}}, "up_proj", (3 * FOUR + 16) / 4),
    "GPTQModel, the first that matches": (
        {**GPTQ, "dynamic": {r"+:.*\.0\..*": {"bits": 8}, r"-:.*": {}}}, "up_proj", (EIGHT + 3 * 16) / 4),
    "AutoRound by layer": ({**ROUND, "extra_config": MIXED}, "up_proj", (EIGHT + 16 + 2 * FOUR) / 4),
    "AutoRound by expression": ({**ROUND, "extra_config": {r"layers\.[01]\.mlp": {"bits": 8}}},
                                "up_proj", (EIGHT + FOUR) / 2),
    "AutoRound's MXFP4": ({**ROUND, "data_type": "mx_fp", "group_size": 32}, "up_proj", 4.25),
    "AutoRound's NVFP4": ({**ROUND, "data_type": "nv_fp", "group_size": 16}, "up_proj", 4.5),
    "AutoRound's FP8": ({**ROUND, "bits": 8, "data_type": "fp", "group_size": -1}, "up_proj", 8.0),
    "EXL2": ({"quant_method": "exl2", "bits": 4.65, "head_bits": 6}, "up_proj", 4.65),
    "EXL2's head": ({"quant_method": "exl2", "bits": 4.65, "head_bits": 6}, "lm_head", 6),
    "EXL3": ({"quant_method": "exl3", "bits": 3.0, "head_bits": 6, "version": "0.0.6"}, "o_proj", 3.0),
    "HQQ": (
        {"quant_method": "hqq", "quant_config": {"weight_quant_params": {"nbits": 4, "group_size": 64}}}, "up_proj", 4.5),
    "HQQ by matrix": (
        {"quant_method": "hqq", "quant_config": {"mlp.up_proj": {"weight_quant_params": {"nbits": 2, "group_size": 32}}}},
        "up_proj", 3.0),
    "HQQ, a matrix left out": (
        {"quant_method": "hqq", "quant_config": {"mlp.up_proj": {"weight_quant_params": {"nbits": 2, "group_size": 32}}}},
        "q_proj", 16),
    "quanto": ({"quant_method": "quanto", "weights": "int4"}, "up_proj", 4.25),
    "Quark by layer": (
        {"quant_method": "quark", "exclude": ["lm_head"], "global_quant_config": {"weight": QUARK},
         "layer_quant_config": {"*.layers.0.*": {"weight": {"dtype": "fp4", "qscheme": "per_group", "group_size": 32}}}},
        "up_proj", (4.25 + 3 * 8.0) / 4),
    "Quark, 4 bits of FP8": (
        {"quant_method": "quark", "global_quant_config": {
            "weight": [QUARK, {"dtype": "int4", "qscheme": "per_channel"}], "input_tensors": QUARK}}, "up_proj", 4.0),
    "MLX mixed": ({"bits": 4, "group_size": 64, "model.layers.0.mlp.up_proj": {"bits": 8, "group_size": 64}},
                  "up_proj", (8.5 + 3 * 4.5) / 4),
    "ModelOpt, mixed": (
        {"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION", "quantized_layers": {
            **{f"model.layers.{n}.mlp.up_proj": {"quant_algo": "NVFP4", "group_size": 16} for n in range(2)},
            "model.layers.2.mlp.up_proj": {"quant_algo": "FP8"}}}, "up_proj", (2 * 4.5 + 8 + 16) / 4),
    "ModelOpt, some layers left out": (
        {"quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": ["lm_head", "model.layers.0.mlp*"]},
        "up_proj", (3 * 4.5 + 16) / 4),
    "an expression that names layers": (ct(4, ignore=["lm_head", r"re:.*layers\.[0-2]\.mlp.*"]),
                                        "up_proj", (4.125 + 3 * 16) / 4),
    "two groups of compressed-tensors": (
        {"quant_method": "compressed-tensors", "ignore": ["lm_head"], "config_groups": {
            "a": {"targets": ["re:.*self_attn.*"], "weights": {"num_bits": 8, "type": "float", "strategy": "channel"}},
            "b": {"targets": ["re:.*mlp.*"], "weights": {"num_bits": 4, "type": "float", "group_size": 16,
                                                         "strategy": "tensor_group"}}}}, "up_proj", 4.5),
    "a group that names attention alone": (
        {"quant_method": "compressed-tensors", "config_groups": {
            "a": {"targets": ["re:.*self_attn.*"], "weights": {"num_bits": 8, "type": "float", "strategy": "channel"}}}},
        "up_proj", 16),
    "bitsandbytes, a matrix left out": (
        {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4",
         "llm_int8_skip_modules": ["lm_head", "up_proj"]}, "up_proj", 16),
    "FP8, layers left out": (
        {"quant_method": "fp8", "weight_block_size": [128, 128],
         "modules_to_not_convert": ["model.layers.0", "model.layers.3.mlp"]}, "up_proj", (2 * (8 + 32 / 128**2) + 32) / 4),
}  # fmt: skip


@pytest.mark.parametrize("row", ROWS)
def test_each_row_of_formats_by_its_keys(row: str) -> None:
    quant, matrix, bits = ROWS[row]
    scheme = parse_config({**LLAMA, "quantization_config": quant}).native_quantization
    assert isinstance(scheme, QuantScheme)
    arch = parse_config(LLAMA)
    linears = {linear.name: linear for linear in (*arch.groups[0].mixer.linears, *arch.groups[0].feed_forward.linears)}
    fmt = scheme.lm_head if matrix == "lm_head" else scheme.format_of(linears[matrix])
    assert fmt.effective_bits == pytest.approx(bits, abs=0.001)
    if matrix != "lm_head":
        rows, columns = linears[matrix].out_features, linears[matrix].in_features
        assert fmt.bytes(rows, columns) == pytest.approx(bits * rows * columns / 8, rel=0.02)


@pytest.mark.parametrize(
    ("quant", "kv"),
    [
        ({"quant_method": "modelopt", "quant_algo": "NVFP4", "kv_cache_scheme": "NVFP4"}, "nvfp4"),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4", "kv_cache_quant_algo": "NVFP4"}, "nvfp4"),
        ({"quant_method": "modelopt", "quant_algo": "FP8", "kv_cache_quant_algo": "FP8"}, "fp8"),
        ({"quant_method": "modelopt", "quant_algo": "FP8", "kv_cache_scheme": {"num_bits": 8, "type": "float"}}, "fp8"),
        ({"quant_method": "modelopt", "quant_algo": None, "kv_cache_scheme": "FP8"}, "fp8"),
        (ct(4, kv_cache_scheme={"num_bits": 8, "type": "float"}), "fp8"),
        (ct(4, kv_cache_scheme={"num_bits": 4, "type": "float"}), "nvfp4"),
        (ct(4, kv_cache_scheme={"num_bits": 8, "type": "int"}), "int8"),
        ({"quant_method": "quark", "global_quant_config": {"weight": QUARK},
          "kv_cache_quant_config": {"*k_proj": {"output_tensors": {"dtype": "fp8_e4m3"}}}}, "fp8"),
        (ct(4), None),
    ],
)  # fmt: skip
def test_cache_formats_in_either_spelling(quant: dict[str, Any], kv: str | None) -> None:
    scheme = parse_config({**LLAMA, "quantization_config": quant}).native_quantization
    assert isinstance(scheme, QuantScheme) and scheme.kv_cache_dtype == kv


def test_hybrids_keep_what_is_left_out_in_16_bits() -> None:
    """NVIDIA's build has its mixers in FP8: 22 GB on disk. With 16-bit mixers, as others publish it, 2.6 GiB a card more."""
    own = load_model("nvidia/Qwen3.6-27B-NVFP4")
    assert sized(own) / 2**30 == pytest.approx(19.8, abs=0.3)
    scheme = own.native_quantization
    assert isinstance(scheme, QuantScheme)
    mixer = next(
        group.mixer for group in own.groups if any(item.name == "in_proj_qkvz" for item in group.mixer.linears)
    )
    assert {scheme.format_of(item).bits for item in mixer.linears if item.quantizable} == {8}
    bare = load_model("Qwen3.6-27B")
    assert bare.native_quantization is None
