"""GGUF files, written by the gguf package itself."""

from __future__ import annotations

import contextlib
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sizing.base.errors import ConfigError
from sizing.model.checkpoints.gguf_file import load_gguf
from sizing.model.config import parse_config
from sizing.model.quantization.schemes import QuantScheme
from sizing.model.sources import load_model

gguf = pytest.importorskip("gguf")

BLOCK = {
    "attn_norm.weight": "norm",
    "ffn_norm.weight": "norm",
    "attn_q.weight": (64, 64),
    "attn_k.weight": (32, 64),
    "attn_v.weight": (32, 64),
    "attn_output.weight": (64, 64),
    "ffn_gate.weight": (128, 64),
    "ffn_up.weight": (128, 64),
    "ffn_down.weight": (64, 128),
}
EXTRA: dict[str, dict[str, Any]] = {
    "llama": {},
    "qwen2": {"attn_q.bias": (64,), "attn_k.bias": (32,), "attn_v.bias": (32,)},
    "qwen3": {"attn_q_norm.weight": (16,), "attn_k_norm.weight": (16,)},
    "gemma": {},
    "gemma2": {"post_attention_norm.weight": "norm", "post_ffw_norm.weight": "norm"},
    "gemma3": {
        "post_attention_norm.weight": "norm",
        "post_ffw_norm.weight": "norm",
        "attn_q_norm.weight": (16,),
        "attn_k_norm.weight": (16,),
    },
}


def write(path: Path, arch: str, *, tied: bool = False, quantized: bool = True, drop: str | None = None) -> None:
    writer = gguf.GGUFWriter(path, arch)
    writer.add_block_count(2)
    writer.add_embedding_length(64)
    writer.add_feed_forward_length(128)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_context_length(4096)
    writer.add_key_length(16)
    writer.add_value_length(16)
    writer.add_sliding_window(32)

    def add(name: str, shape: Any) -> None:
        values = np.zeros((64,) if shape == "norm" else shape, dtype=np.float32)
        if quantized and values.ndim == 2:
            packed = gguf.quants.quantize(values, gguf.GGMLQuantizationType.Q8_0)
            writer.add_tensor(name, packed, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
        else:
            writer.add_tensor(name, values)

    add("token_embd.weight", (100, 64))
    add("output_norm.weight", "norm")
    if not tied:
        add("output.weight", (100, 64))
    for layer in range(2):
        for name, shape in {**BLOCK, **EXTRA[arch]}.items():
            if name != drop:
                add(f"blk.{layer}.{name}", shape)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.parametrize("arch", EXTRA)
def test_families_by_their_metadata(tmp_path: Path, arch: str) -> None:
    file = tmp_path / "tiny.gguf"
    write(file, arch, tied=arch.startswith("gemma"), quantized=False)
    found = load_model(file)
    assert found.name == "tiny" and found.num_layers == 2 and found.max_position_embeddings == 4096
    assert found.stored_bytes == 4 * found.total
    assert dict(found.stored_dtypes) == {"F32": 4 * found.total}


def test_quantized_bytes_are_exact(tmp_path: Path) -> None:
    file = tmp_path / "tiny-q8.gguf"
    write(file, "llama")
    found = load_gguf(file)
    config = {
        "model_type": "llama",
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 128,
        "vocab_size": 100,
        "tie_word_embeddings": False,
    }
    assert found.total == parse_config(config).total
    norms = 5 * 64
    assert found.stored_bytes == (found.total - norms) * 34 // 32 + norms * 4
    scheme = found.native_quantization
    assert isinstance(scheme, QuantScheme)
    assert scheme.linear.bits == 8.5 and scheme.lm_head.bits == 8.5 and scheme.linear.name == "gguf_q8_0"


def test_a_directory_with_one_file(tmp_path: Path) -> None:
    write(tmp_path / "tiny.gguf", "qwen3", tied=True)
    assert load_model(tmp_path).tie_word_embeddings


def test_tensors_that_do_not_add_up_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "tiny.gguf"
    write(file, "llama", drop="ffn_up.weight")
    with pytest.raises(ConfigError, match="tensors hold"):
        load_gguf(file)


def test_another_family_and_no_file_at_all(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "a.gguf", "bert")
    writer.add_tensor("token_embd.weight", np.zeros((2, 2), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ConfigError, match=r"general\.architecture"):
        load_gguf(tmp_path / "a.gguf")
    with pytest.raises(ConfigError):
        load_gguf(tmp_path / "none.gguf")


def test_the_package_is_not_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "tiny.gguf"
    write(file, "llama")
    monkeypatch.setitem(sys.modules, "gguf", None)
    assert load_gguf(file).num_layers == 2


def test_an_endless_array_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.gguf"
    key = b"a.b"
    array = struct.pack("<II", 9, 0) + struct.pack("<Q", 2**60)
    file.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", len(key)) + key + array)
    with pytest.raises(ConfigError):
        load_gguf(file)


@settings(max_examples=60, deadline=None)
@given(raw=st.binary(max_size=200), magic=st.booleans())
def test_any_bytes_are_refused(tmp_path_factory: pytest.TempPathFactory, raw: bytes, magic: bool) -> None:
    file = tmp_path_factory.mktemp("gguf") / "x.gguf"
    file.write_bytes((b"GGUF\x03\x00\x00\x00" if magic else b"") + raw)
    with contextlib.suppress(ConfigError):
        load_gguf(file)


def put(
    path: Path,
    arch: str,
    fields: dict[str, int],
    tensors: dict[str, tuple[int, ...]],
    split: tuple[int, int] | None = None,
) -> None:
    """A file of 32-bit zeros of these shapes."""
    writer = gguf.GGUFWriter(path, arch)
    for name, value in fields.items():
        writer.add_uint32(f"{arch}.{name}", value)
    if split is not None:
        writer.add_uint16("split.no", split[0])
        writer.add_uint16("split.count", split[1])
    for name, shape in tensors.items():
        writer.add_tensor(name, np.zeros(shape, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_file_in_parts_is_read_whole_from_any_part(tmp_path: Path) -> None:
    fields = {"block_count": 1, "embedding_length": 64, "feed_forward_length": 128, "attention.head_count": 4,
              "attention.head_count_kv": 2, "context_length": 4096, "attention.key_length": 16,
              "attention.value_length": 16}  # fmt: skip
    block = {f"blk.0.{name}": (64,) if shape == "norm" else shape for name, shape in BLOCK.items()}
    rest = {"token_embd.weight": (100, 64), "output_norm.weight": (64,), "output.weight": (100, 64)}
    first, second = tmp_path / "big-00001-of-00002.gguf", tmp_path / "big-00002-of-00002.gguf"
    put(first, "llama", fields, rest, (0, 2))
    with pytest.raises(ConfigError, match="not beside it"):
        load_gguf(first)
    put(second, "llama", {}, block, (1, 2))
    assert load_gguf(second).stored_bytes == 4 * load_gguf(first).total
    first.rename(tmp_path / "other.gguf")
    with pytest.raises(ConfigError, match="one part of 2"):
        load_gguf(tmp_path / "other.gguf")


def test_latent_attention_and_experts(tmp_path: Path) -> None:
    fields = {"block_count": 1, "embedding_length": 64, "feed_forward_length": 128, "attention.head_count": 4,
              "attention.head_count_kv": 1, "context_length": 4096, "attention.kv_lora_rank": 32,
              "attention.q_lora_rank": 24,
              "attention.key_length": 40, "attention.value_length": 32, "attention.key_length_mla": 24,
              "attention.value_length_mla": 16, "rope.dimension_count": 8, "leading_dense_block_count": 0,
              "expert_count": 4,
              "expert_used_count": 2, "expert_feed_forward_length": 32, "expert_shared_count": 1}  # fmt: skip
    tensors = {
        "token_embd.weight": (100, 64), "output_norm.weight": (64,), "output.weight": (100, 64),
        "blk.0.attn_norm.weight": (64,),
        "blk.0.ffn_norm.weight": (64,), "blk.0.attn_q_a.weight": (24, 64), "blk.0.attn_q_a_norm.weight": (24,),
        "blk.0.attn_q_b.weight": (96, 24), "blk.0.attn_kv_a_mqa.weight": (40, 64), "blk.0.attn_kv_a_norm.weight": (32,),
        "blk.0.attn_k_b.weight": (4, 32, 16), "blk.0.attn_v_b.weight": (4, 16, 32),
        "blk.0.attn_output.weight": (64, 64),
        "blk.0.ffn_gate_inp.weight": (4, 64), "blk.0.exp_probs_b.bias": (4,), "blk.0.ffn_gate_exps.weight": (4, 32, 64),
        "blk.0.ffn_up_exps.weight": (4, 32, 64), "blk.0.ffn_down_exps.weight": (4, 64, 32),
        "blk.0.ffn_gate_shexp.weight": (32, 64), "blk.0.ffn_up_shexp.weight": (32, 64),
        "blk.0.ffn_down_shexp.weight": (64, 32),
    }  # fmt: skip
    put(tmp_path / "mla.gguf", "deepseek2", fields, tensors)
    found = load_gguf(tmp_path / "mla.gguf")
    assert found.model_type == "deepseek_v3" and found.is_mla and found.stored_bytes == 4 * (found.total + 4)


def test_gpt_oss(tmp_path: Path) -> None:
    fields = {"block_count": 1, "embedding_length": 64, "feed_forward_length": 32, "attention.head_count": 4,
              "attention.head_count_kv": 2, "context_length": 4096, "attention.key_length": 16,
              "attention.value_length": 16,
              "attention.sliding_window": 128, "expert_count": 4, "expert_used_count": 2,
              "expert_feed_forward_length": 32}  # fmt: skip
    tensors = {
        "token_embd.weight": (100, 64), "output_norm.weight": (64,), "output.weight": (100, 64),
        "blk.0.attn_norm.weight": (64,),
        "blk.0.post_attention_norm.weight": (64,), "blk.0.attn_q.weight": (64, 64), "blk.0.attn_q.bias": (64,),
        "blk.0.attn_k.weight": (32, 64), "blk.0.attn_k.bias": (32,), "blk.0.attn_v.weight": (32, 64),
        "blk.0.attn_v.bias": (32,),
        "blk.0.attn_output.weight": (64, 64), "blk.0.attn_output.bias": (64,), "blk.0.attn_sinks.weight": (4,),
        "blk.0.ffn_gate_inp.weight": (4, 64), "blk.0.ffn_gate_inp.bias": (4,),
        "blk.0.ffn_gate_exps.weight": (4, 32, 64),
        "blk.0.ffn_gate_exps.bias": (4, 32), "blk.0.ffn_up_exps.weight": (4, 32, 64), "blk.0.ffn_up_exps.bias": (4, 32),
        "blk.0.ffn_down_exps.weight": (4, 64, 32), "blk.0.ffn_down_exps.bias": (4, 64),
    }  # fmt: skip
    put(tmp_path / "oss.gguf", "gpt-oss", fields, tensors)
    found = load_gguf(tmp_path / "oss.gguf")
    assert found.model_type == "gpt_oss" and found.stored_bytes == 4 * found.total
