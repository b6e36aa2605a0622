"""The bytes of the files decide where the config does not explain them."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from sizing.model.architecture import Architecture
from sizing.model.quantization.schemes import QuantScheme
from sizing.model.sources import load_model
from sizing.planning.target import native_scheme

WIDTHS = {"BF16": 2.0, "F32": 4.0, "U8": 1.0, "I8": 1.0, "I32": 4.0, "F8_E4M3": 1.0}
CONFIG: dict[str, Any] = {
    "model_type": "llama", "hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 64, "vocab_size": 1024, "tie_word_embeddings": False, "torch_dtype": "bfloat16",
}  # fmt: skip
SHAPES = {
    "self_attn.q_proj": (256, 256), "self_attn.k_proj": (128, 256), "self_attn.v_proj": (128, 256),
    "self_attn.o_proj": (256, 256),
    "mlp.gate_proj": (768, 256), "mlp.up_proj": (768, 256), "mlp.down_proj": (256, 768),
}  # fmt: skip


def checkpoint(
    folder: Path, tensors: dict[str, tuple[str, tuple[int, ...]]], quant: dict[str, Any] | None = None
) -> Architecture:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({**CONFIG, **({"quantization_config": quant} if quant else {})}))
    header: dict[str, Any] = {}
    at = 0
    for name, (dtype, shape) in tensors.items():
        size = int(WIDTHS[dtype])
        for side in shape:
            size *= side
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    raw = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(raw)) + raw + b"\0" * at)
    return load_model(folder)


def model(dtype: str, scale: str | None = None, divide: int = 1) -> dict[str, tuple[str, tuple[int, ...]]]:
    """A Llama of two layers whose matrices are stored in ``dtype``, ``divide`` weights an entry."""
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {
        "model.embed_tokens.weight": ("BF16", (1024, 256)),
        "lm_head.weight": ("BF16", (1024, 256)),
        "model.norm.weight": ("BF16", (256,)),
    }
    for layer in range(2):
        prefix = f"model.layers.{layer}."
        tensors[f"{prefix}input_layernorm.weight"] = ("BF16", (256,))
        tensors[f"{prefix}post_attention_layernorm.weight"] = ("BF16", (256,))
        for name, (rows, columns) in SHAPES.items():
            tensors[f"{prefix}{name}.weight"] = (dtype, (rows, columns // divide))
            if scale is not None:
                tensors[f"{prefix}{name}.weight_scale"] = (scale, (rows, 1))
    return tensors


def bits(arch: Architecture, name: str) -> float:
    scheme = native_scheme(arch)
    return next(scheme.format_of(linear).bits for group in arch.groups for linear in (*group.mixer.linears,
                *group.feed_forward.linears) if linear.name == name)  # fmt: skip


def test_a_plain_checkpoint_stays_as_it_is(tmp_path: Path) -> None:
    arch = checkpoint(tmp_path / "plain", model("BF16"))
    assert arch.native_quantization is None and arch.stored_note is None
    assert dict(arch.stored_components)["attention"] == 2 * 2 * (2 * 256 * 256 + 2 * 128 * 256)


def test_a_format_that_no_config_explains_is_sized_by_the_bytes(tmp_path: Path) -> None:
    arch = checkpoint(tmp_path / "packed", model("U8", "F32", divide=2))
    assert arch.stored_note is not None and arch.notes[0] == arch.stored_note
    assert arch.quantization_problem is None
    assert bits(arch, "q_proj") == pytest.approx(4 + 32 / 256, abs=0.2)
    assert isinstance(arch.native_quantization, QuantScheme) and arch.native_quantization.lm_head.bits == 16


def test_a_quantised_head_that_the_config_does_not_name(tmp_path: Path) -> None:
    tensors = {**model("F8_E4M3", "BF16"), "lm_head.weight": ("F8_E4M3", (1024, 256))}
    arch = checkpoint(tmp_path / "head", tensors, {"quant_method": "fp8"})
    assert "lm_head" in str(arch.stored_note)
    assert native_scheme(arch).lm_head.bits == pytest.approx(8)


def test_four_bits_in_eight_bit_entries_are_packed_at_load(tmp_path: Path) -> None:
    quant = {
        "quant_method": "compressed-tensors", "format": "int-quantized", "ignore": ["lm_head"],
        "config_groups": {"group_0": {"targets": ["Linear"],
            "weights": {"num_bits": 4, "type": "int", "strategy": "channel", "symmetric": True},
            "input_activations": {"num_bits": 8, "type": "int"}}},
    }  # fmt: skip
    arch = checkpoint(tmp_path / "w4a8", model("I8", "BF16"), quant)
    assert "packed at load" in str(arch.stored_note)
    assert bits(arch, "up_proj") == 4
