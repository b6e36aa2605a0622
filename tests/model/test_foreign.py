"""Configs of other tools: read where the count follows, else refused with what is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sizing.errors import ConfigError
from sizing.model.sources import load_model

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
