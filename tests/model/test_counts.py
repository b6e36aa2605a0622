"""Reports, and the cache over arrays of tokens."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sizing.base.errors import SizingError, UnknownNameError
from sizing.model.counts import kv_bytes, kv_report, params_report
from sizing.model.sources import load_model


def test_params_are_whole_numbers_and_json() -> None:
    report = params_report(load_model("Qwen3-235B-A22B"))
    assert report["total"] == 235093634560 and report["active"] == 22190763520
    assert report["active_without_input_embedding"] == 21568433664
    assert report["active_without_embeddings"] == 20946103808
    assert all(type(value) is int for value in report["components"].values())  # type: ignore[attr-defined]
    json.dumps(report)


def test_latent_cache_by_hand() -> None:
    report = kv_report(load_model("DeepSeek-V3"), 131072, "bf16")
    assert report["bytes"] == 131072 * 61 * 576 * 2
    assert kv_report(load_model("DeepSeek-V3"), 131072, "fp8")["bytes"] == 131072 * 61 * 576


def test_grouped_cache_by_hand() -> None:
    assert kv_report(load_model("Qwen3-32B"), 131072)["bytes"] == 131072 * 64 * 2 * 8 * 128 * 2


def test_a_window_stops_growing() -> None:
    gpt = load_model("gpt-oss-20b")
    short, long = kv_report(gpt, 100), kv_report(gpt, 10_000)
    layer = 2 * 8 * 64 * 2
    assert short["bytes"] == 24 * layer * 100
    assert long["bytes"] == 12 * layer * 10_000 + 12 * layer * 128


def test_states_are_constant_and_fp32_is_told() -> None:
    arch = load_model("Qwen3.5-9B")
    report = kv_report(arch, 0)
    assert report["bytes"] == report["state_bytes_per_sequence"] == 26738688
    assert report["state_fp32_bytes_per_sequence"] == 26738688 + 24 * 32 * 128 * 128 * 2
    assert report["notes"]


def test_compressed_cache_by_hand() -> None:
    report = kv_report(load_model("deepseek-ai/DeepSeek-V4-Flash"), 1_000_000)
    growth = 21 * (512 / 4 * 2 + 2 * 128 / 4) + 20 * 512 / 128 * 2
    assert report["bytes_per_token_full_attention"] == growth == 6880
    assert report["bytes"] == growth * 1_000_000 + 43 * 512 * 2 * 128


@pytest.mark.parametrize("name", ["Qwen3-32B", "gpt-oss-120b", "Qwen3.5-27B", "DeepSeek-V4-Pro", "DeepSeek-V3.2"])
def test_arrays_are_the_same_formula(name: str) -> None:
    arch = load_model(name)
    tokens = np.array([0.0, 1.0, 127.0, 128.0, 129.0, 5000.0, 131072.0])
    many = np.asarray(kv_bytes(arch, tokens, 2.0))
    assert many.tolist() == [kv_report(arch, int(count))["bytes"] for count in tokens]
    assert (np.diff(many) >= 0).all()


def test_layers_of_the_report_sum_to_its_total() -> None:
    for name in ("gemma-3-27b-it", "nvidia/Nemotron-3-Nano", "GLM-5.2"):
        report = kv_report(load_model(name), 4096, "fp8")
        layers = report["layers"]
        assert isinstance(layers, list)
        assert sum(layer["bytes"] for layer in layers) == report["bytes"]
        json.dumps(report)


def test_bad_input() -> None:
    arch = load_model("Qwen3-0.6B")
    with pytest.raises(UnknownNameError, match="bf16"):
        kv_report(arch, 1, "bf61")
    for bad in (-1, True, 1.5, "8"):
        with pytest.raises(SizingError, match="tokens"):
            kv_report(arch, bad)  # type: ignore[arg-type]
