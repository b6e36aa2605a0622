"""What repositories' names say of their weights: the rightmost word wins, or the name is asked about."""

from __future__ import annotations

import pytest

from sizing.base.errors import SizingError
from sizing.model.sources import load_model
from sizing.planning.target import native_scheme

STATED = {
    "Qwen/Qwen2.5-7B-Instruct-GPTQ-Int8": "int8_gptq",
    "Qwen/Qwen2.5-7B-Instruct-GPTQ-Int4": "int4_gptq",
    "Qwen/Qwen2.5-7B-Instruct-AWQ": "int4_awq",
    "cyankiwi/Qwen2.5-7B-Instruct-AWQ-8bit": "int8_awq",
    "Qwen2.5-7B-Instruct-FP8-NVFP4": "nvfp4",
    "mlx-community/Qwen2.5-7B-Instruct-4bit": "mlx_4bit",
    "mlx-community/Qwen2.5-7B-Instruct-8bit": "mlx_8bit",
    "lmstudio-community/Qwen2.5-7B-Instruct-MLX-6bit": "mlx_6bit",
    "unsloth/Qwen2.5-7B-Instruct-bnb-4bit": "bnb_nf4_dq",
    "Qwen2.5-7B-Instruct-bnb-8bit": "bnb_int8",
    "Qwen2.5-7B-Instruct-HQQ-4bit": "hqq_int4",
    "RedHatAI/Qwen2.5-7B-Instruct-FP8-dynamic": "fp8_channel",
    "RedHatAI/Qwen2.5-7B-Instruct-quantized.w4a16": "int4_gptq",
    "RedHatAI/Qwen2.5-7B-Instruct-quantized.w8a8": "int8",
    "RedHatAI/Qwen2.5-7B-Instruct-quantized.w8a16": "int8_wo",
    "nvidia/Qwen2.5-7B-Instruct-NVFP4": "nvfp4",
    "Qwen2.5-7B-Instruct-Q4_K_M": "q4_k_m",
    "bartowski/Qwen2.5-7B-Instruct-GGUF:Q6_K": "q6_k",
    "Qwen2.5-7B-Instruct-IQ4_XS-GGUF": "iq4_xs",
    "turboderp/Qwen2.5-7B-Instruct-exl3-4.25bpw": "bits4.25",
}
OPEN = {
    "Qwen/Qwen2.5-7B-Instruct-GGUF": "mix",
    "Qwen2.5-7B-Instruct-4bit": "method",
    "Qwen2.5-7B-Instruct-W4A4": "4-bit",
    "unsloth/Qwen2.5-7B-Instruct-UD-Q4_K_XL": "maker",
}


@pytest.mark.parametrize("name", STATED)
def test_a_name_means_what_it_says(name: str) -> None:
    assert native_scheme(load_model(name, allow_hub=False)).name == STATED[name]


@pytest.mark.parametrize("name", OPEN)
def test_an_open_name_is_asked_about(name: str) -> None:
    with pytest.raises(SizingError, match=OPEN[name]):
        native_scheme(load_model(name, allow_hub=False))
