"""GGUF headers of the catalog's architectures: metadata give the build, or a config.json beside the file does."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

import pytest

from sizing.base.errors import ConfigError
from sizing.engine.placement import Placement
from sizing.engine.sharding import weight_bytes
from sizing.model import sources
from sizing.model.architecture import Architecture
from sizing.model.checkpoints.gguf_file import FAMILIES, load_gguf
from sizing.model.checkpoints.gguf_header import read_gguf
from sizing.model.checkpoints.gguf_types import TYPES
from sizing.model.sources import catalog_models, load_model
from sizing.planning.target import native_scheme

CATALOG = Path(sources.__file__).parent / "catalog"
GGUF_NAMES = {
    **{model_type: name for name, model_type in reversed(FAMILIES.items())},
    "qwen2_vl": "qwen2vl", "qwen2_5_vl": "qwen2vl", "qwen3_vl": "qwen3vl", "qwen3_vl_moe": "qwen3vlmoe",
    "gemma3": "gemma3", "mixtral": "llama", "mistral3": "mistral3", "ministral3": "mistral3",
}  # fmt: skip
LATENT = ("deepseek2",)  # whose keys are tested in test_gguf


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def header(file: Path, fields: dict[str, Any], tensors: dict[str, tuple[str, tuple[int, ...]]]) -> None:
    """A file of metadata and tensor names, types and shapes, without the weights."""
    out = [b"GGUF", struct.pack("<IQQ", 3, len(tensors), len(fields))]
    for name, value in fields.items():
        kind = struct.pack("<I", 8) + text(value) if isinstance(value, str) else struct.pack("<II", 4, value)
        out += [text(name), kind]
    for name, (dtype, shape) in tensors.items():
        sides = b"".join(struct.pack("<Q", side) for side in reversed(shape))
        out += [text(name), struct.pack("<I", len(shape)), sides, struct.pack("<IQ", TYPES[dtype].number, 0)]
    file.write_bytes(b"".join(out))


def one_of_each() -> list[str]:
    """A model of each family that is read by its metadata alone."""
    chosen: dict[str, str] = {}
    for entry in catalog_models():
        config = json.loads((CATALOG / entry.file).read_text(encoding="utf-8"))
        name = GGUF_NAMES.get(config["model_type"])
        if name is not None and name not in LATENT:
            chosen.setdefault(config["model_type"], entry.name)
    return sorted(chosen.values())


def metadata(arch: Architecture, config: dict[str, Any]) -> dict[str, Any]:
    name = GGUF_NAMES[arch.model_type]
    heads = config["num_attention_heads"]
    experts = next(
        (config[key] for key in ("num_experts", "num_local_experts", "n_routed_experts") if config.get(key)), None
    )
    width = config.get("moe_intermediate_size") or config.get("intermediate_size")
    found = {
        "embedding_length": arch.hidden_size, "block_count": arch.num_layers, "attention.head_count": heads,
        "attention.head_count_kv": config.get("num_key_value_heads") or heads, "context_length": 4096,
        "feed_forward_length": config.get("intermediate_size"), "expert_count": experts,
        "attention.key_length": config.get("head_dim") or arch.hidden_size // heads,
        "attention.sliding_window": config.get("sliding_window"), "expert_feed_forward_length": width if experts else None,
        "expert_used_count": config.get("num_experts_per_tok"),
        "leading_dense_block_count": config.get("first_k_dense_replace"),
        "expert_shared_count": config.get("n_shared_experts") or config.get("num_shared_experts"),
        "expert_shared_feed_forward_length": config.get("shared_expert_intermediate_size"),
    }  # fmt: skip
    return {"general.architecture": name, **{f"{name}.{key}": value for key, value in found.items() if value}}


@pytest.mark.parametrize("name", one_of_each())
def test_metadata_give_the_build_of_the_catalog(tmp_path: Path, name: str) -> None:
    arch = load_model(name)
    entry = next(item for item in catalog_models() if item.name == name)
    config = json.loads((CATALOG / entry.file).read_text(encoding="utf-8"))
    config = {**config, **config.get("text_config", {})}
    shape = (arch.vocab_size, arch.hidden_size)
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {"token_embd.weight": ("F16", shape)}
    if not arch.tie_word_embeddings:
        tensors["output.weight"] = ("F16", shape)
    mixer = arch.groups[0].mixer
    query = next(item for item in mixer.linears if item.name == "q_proj")
    if query.bias:
        tensors["blk.0.attn_q.bias"] = ("F32", (query.out_features,))
    if any("q_norm" in vector.name for vector in mixer.vectors):
        tensors["blk.0.attn_q_norm.weight"] = ("F32", (1,))
    total = arch.total - (arch.vision.params if arch.vision is not None else 0)
    left = total - sum(math.prod(sides) for _, sides in tensors.values())
    tensors["blk.0.ffn_up.weight"] = ("F16", (1, left))
    file = tmp_path / "model.gguf"
    header(file, metadata(arch, config), tensors)
    found = load_gguf(file)
    assert found.total == total and found.num_layers == arch.num_layers
    assert [group.mixer.cache for group in found.groups] == [group.mixer.cache for group in arch.groups]


HYBRID: dict[str, Any] = {
    "model_type": "qwen3_next", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 4, "vocab_size": 128,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "full_attention_interval": 4,
    "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 16, "linear_value_head_dim": 16,
    "linear_conv_kernel_dim": 4, "num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 32,
    "shared_expert_intermediate_size": 32, "decoder_sparse_step": 1, "mlp_only_layers": [], "tie_word_embeddings": False,
    "max_position_embeddings": 4096,
}  # fmt: skip


def hybrid_tensors() -> dict[str, tuple[str, tuple[int, ...]]]:
    """A hybrid as llama.cpp names its tensors: three layers with a state, one of attention, experts in all."""
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {
        "token_embd.weight": ("Q4_0", (128, 64)), "output.weight": ("Q8_0", (128, 64)), "output_norm.weight": ("F32", (64,)),
    }  # fmt: skip
    for layer in range(4):
        at = f"blk.{layer}."
        if layer < 3:
            tensors |= {
                f"{at}attn_qkv.weight": ("Q8_0", (128, 64)), f"{at}attn_gate.weight": ("Q8_0", (64, 64)),
                f"{at}ssm_ba.weight": ("F16", (8, 64)), f"{at}ssm_conv1d.weight": ("F32", (128, 4)),
                f"{at}ssm_a": ("F32", (4,)), f"{at}ssm_dt.bias": ("F32", (4,)), f"{at}ssm_norm.weight": ("F32", (16,)),
                f"{at}ssm_out.weight": ("Q8_0", (64, 64)),
            }  # fmt: skip
        else:
            tensors |= {
                f"{at}attn_q.weight": ("Q4_0", (128, 64)), f"{at}attn_k.weight": ("Q4_0", (32, 64)),
                f"{at}attn_v.weight": ("Q4_0", (32, 64)), f"{at}attn_output.weight": ("Q4_0", (64, 64)),
                f"{at}attn_q_norm.weight": ("F32", (16,)), f"{at}attn_k_norm.weight": ("F32", (16,)),
            }  # fmt: skip
        tensors |= {
            f"{at}attn_norm.weight": ("F32", (64,)), f"{at}post_attention_norm.weight": ("F32", (64,)),
            f"{at}ffn_gate_inp.weight": ("F32", (8, 64)), f"{at}ffn_gate_inp_shexp.weight": ("F32", (1, 64)),
            f"{at}ffn_gate_exps.weight": ("Q4_0", (8, 32, 64)), f"{at}ffn_up_exps.weight": ("Q4_0", (8, 32, 64)),
            f"{at}ffn_down_exps.weight": ("Q4_0", (8, 64, 32)), f"{at}ffn_gate_shexp.weight": ("Q8_0", (32, 64)),
            f"{at}ffn_up_shexp.weight": ("Q8_0", (32, 64)), f"{at}ffn_down_shexp.weight": ("Q8_0", (64, 32)),
        }  # fmt: skip
    return tensors


def test_a_family_beyond_the_metadata_takes_the_config_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "hybrid.gguf"
    header(file, {"general.architecture": "qwen3next"}, hybrid_tensors())
    with pytest.raises(ConfigError, match=r"put the model's config\.json beside it"):
        load_gguf(file)
    (tmp_path / "config.json").write_text(json.dumps(HYBRID))
    for where in (file, tmp_path):
        found = load_model(where)
        sizes = {line.name: line.bytes for line in weight_bytes(found, Placement(), native_scheme(found))}
        assert sizes["routed_experts"] == 4 * 3 * 8 * 32 * 64 * 4.5 / 8
        assert sizes["shared_experts"] == pytest.approx(4 * (3 * 32 * 64 * 8.5 / 8 + 64 * 4))
        assert sizes["lm_head"] == 128 * 64 * 8.5 / 8 and sizes["embedding"] == 128 * 64 * 4.5 / 8
        assert sizes["linear_attn"] >= 3 * (256 * 64 * 8.5 / 8 + 8 * 64 * 2)
    assert found.stored_bytes == sum(item.bytes for item in read_gguf(file)[1])


def test_a_config_that_is_of_another_model_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "hybrid.gguf"
    header(file, {"general.architecture": "qwen3next"}, hybrid_tensors())
    (tmp_path / "config.json").write_text(json.dumps({**HYBRID, "num_experts": 16}))
    with pytest.raises(ConfigError, match=r"where config\.json gives"):
        load_gguf(file)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"GGML" + bytes(20), "begin with GGUF"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "version 1"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "version"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**40, 0), "tensors"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1, 0), "too early"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + text("x") + struct.pack("<IQIQ", 1, 4, 99, 0), "unknown type 99"),
    ],
)
def test_what_is_no_header_is_refused(tmp_path: Path, raw: bytes, why: str) -> None:
    file = tmp_path / "x.gguf"
    file.write_bytes(raw)
    with pytest.raises(ConfigError, match=why):
        load_gguf(file)
