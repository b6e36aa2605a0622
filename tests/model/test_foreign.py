"""Configs of other tools: read where the count follows, else refused with what is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sizing.base.errors import ConfigError
from sizing.model.quantization.schemes import QuantScheme
from sizing.model.sources import load_model
from sizing.planning.target import native_scheme
from tests.model.test_gguf_families import header

PARAMS = {"dim": 4096, "n_layers": 32, "head_dim": 128, "hidden_dim": 14336, "n_heads": 32, "n_kv_heads": 8,
          "norm_eps": 1e-5, "vocab_size": 32000, "sliding_window": 4096}  # fmt: skip


def test_mistral_params(tmp_path: Path) -> None:
    (tmp_path / "params.json").write_text(json.dumps(PARAMS))
    assert load_model(tmp_path).total == load_model("mistralai/Mistral-7B-v0.1").total
    (tmp_path / "params.json").write_text(json.dumps({**PARAMS, "moe": {"num_experts": 8, "num_experts_per_tok": 2}}))
    assert load_model(tmp_path).total == load_model("mistralai/Mixtral-8x7B-v0.1").total
    (tmp_path / "params.json").write_text(json.dumps({**PARAMS, "vision_encoder": {"hidden_size": 1024}}))
    with pytest.raises(ConfigError, match="vision_encoder"):
        load_model(tmp_path)


@pytest.mark.parametrize("name", ["genai_config.json", "openvino_model.xml", "model_config.yaml"])
def test_a_folder_of_another_tool_says_what_is_missing(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("{}")
    with pytest.raises(ConfigError, match=r"has no config\.json, and"):
        load_model(tmp_path)


TENSORRT = {
    "architecture": "LlamaForCausalLM", "dtype": "bfloat16", "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 8, "hidden_size": 4096, "intermediate_size": 14336, "vocab_size": 128256, "head_size": 128,
    "max_position_embeddings": 131072, "position_embedding_type": "rope_gpt_neox",
    "quantization": {"quant_algo": "FP8", "kv_cache_quant_algo": "FP8", "exclude_modules": ["lm_head"]},
    "mapping": {"world_size": 2, "tp_size": 2, "pp_size": 1},
}  # fmt: skip


def test_tensorrt_llm_checkpoints(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(TENSORRT))
    found = load_model(tmp_path)
    assert found.total == load_model("meta-llama/Llama-3.1-8B-Instruct").total
    scheme = found.native_quantization
    assert isinstance(scheme, QuantScheme) and scheme.linear.name == "fp8" and scheme.kv_cache_dtype == "fp8"
    moe = {"num_experts": 8, "top_k": 2}
    file.write_text(json.dumps({**TENSORRT, "vocab_size": 32000, "moe": moe}))
    assert load_model(tmp_path).total == load_model("mistralai/Mixtral-8x7B-v0.1").total
    qwen = {"architecture": "QWenForCausalLM", "qwen_type": "qwen2", "num_hidden_layers": 28, "num_attention_heads": 28,
            "num_key_value_heads": 4, "hidden_size": 3584, "intermediate_size": 18944, "vocab_size": 152064}  # fmt: skip
    file.write_text(json.dumps({**TENSORRT, **qwen}))
    assert load_model(tmp_path).total == load_model("Qwen/Qwen2.5-7B").total


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"architecture": "DeepseekForCausalLM"}, "does not say enough"),
        ({"architecture": "QWenForCausalLM", "qwen_type": "qwen"}, "does not say enough"),
        ({"intermediate_size": None}, "intermediate_size: required key is missing"),
    ],
)
def test_what_tensorrt_llm_leaves_out_is_named(tmp_path: Path, change: dict[str, object], match: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps({**TENSORRT, **change}))
    with pytest.raises(ConfigError, match=match):
        load_model(tmp_path)


def test_ollama_manifests(tmp_path: Path) -> None:
    digest = "ab" * 32
    manifest = tmp_path / "manifests/registry.ollama.ai/library/tiny/1b"
    manifest.parent.mkdir(parents=True)
    layer = {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{digest}", "size": 1}
    other = {"mediaType": "application/vnd.ollama.image.template", "digest": "sha256:" + "cd" * 32, "size": 1}
    manifest.write_text(json.dumps({"schemaVersion": 2, "layers": [layer, other]}))
    with pytest.raises(ConfigError, match=r"blobs/sha256-ab.*give the GGUF file itself"):
        load_model(manifest)
    fields = {"general.architecture": "llama", "llama.embedding_length": 64, "llama.block_count": 1,
              "llama.attention.head_count": 4, "llama.attention.head_count_kv": 4, "llama.feed_forward_length": 128,
              "llama.context_length": 512}  # fmt: skip
    (tmp_path / "blobs").mkdir()
    blob = tmp_path / "blobs" / f"sha256-{digest}"
    rest = 4 * 64 * 64 + 3 * 64 * 128 + 3 * 64
    header(blob, fields, {"token_embd.weight": ("F16", (32, 64)), "blk.0.ffn_up.weight": ("Q8_0", (rest // 64, 64))})
    found = load_model(manifest)
    assert found.name == "tiny:1b" and found.total == load_model(blob).total == 32 * 64 + rest
    manifest.write_text(json.dumps({"schemaVersion": 2, "layers": [{**layer, "digest": "sha256:../../etc"}]}))
    with pytest.raises(ConfigError, match="files of weights"):
        load_model(manifest)


OPENVINO = """<?xml version="1.0"?>
<net name="Model" version="11"><layers>
		<layer id="1" name="self.model.embed_tokens.weight" type="Const" version="opset1">
			<data element_type="u8" shape="1024, 256" offset="0" size="262144" />
		<layer id="2" name="self.lm_head.weight" type="Const" version="opset1">
			<data element_type="f16" shape="1024, 256" offset="0" size="524288" />
		<layer id="3" name="Constant_1" type="Const" version="opset1">
			<data element_type="i64" shape="2" offset="0" size="16" />
LAYERS
</layers></net>"""


def test_openvino_is_sized_by_its_constants(tmp_path: Path) -> None:
    """Names, types and shapes as OpenVINO 2026.4 and NNCF write them for 4 bits in groups of 64."""
    shapes = {"self_attn.q_proj": (256, 256), "self_attn.k_proj": (128, 256), "self_attn.v_proj": (128, 256),
              "self_attn.o_proj": (256, 256), "mlp.gate_proj": (768, 256), "mlp.up_proj": (768, 256),
              "mlp.down_proj": (256, 768)}  # fmt: skip
    rows: list[str] = []
    for name, (out, into) in shapes.items():
        whole = f"self.model.layers.0.{name}.weight"
        for tail, kind, last, size in (("", "i4", 64, out * into // 2), ("/scale", "f16", 1, out * into // 64 * 2)):
            data = f'<data element_type="{kind}" shape="{out}, {into // 64}, {last}" offset="0" size="{size}" />'
            rows.append(f'\t\t<layer id="9" name="{whole}{tail}" type="Const" version="opset1">\n\t\t\t{data}')
    (tmp_path / "openvino_model.xml").write_text(OPENVINO.replace("LAYERS", "\n".join(rows)))
    with pytest.raises(ConfigError, match=r"has no config\.json"):
        load_model(tmp_path)
    config = {"model_type": "llama", "hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 1,
              "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64, "vocab_size": 1024,
              "tie_word_embeddings": False, "torch_dtype": "bfloat16"}  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    found = load_model(tmp_path)
    scheme = native_scheme(found)
    assert scheme.embedding_format.bits == 8 and scheme.lm_head.bits == 16
    assert dict(scheme.by_component)
    assert {round(fmt.bits, 3) for _, fmt in scheme.by_component} == {4.25}
