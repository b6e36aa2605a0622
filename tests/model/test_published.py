"""Totals of published checkpoints (safetensors entries) against the catalog, and what else each one stores."""

from __future__ import annotations

import pytest

from sizing.model.sources import load_model

# name, entries of the published checkpoint, MTP modules stored, buffers and unused weights stored
PUBLISHED = [
    ("zai-org/GLM-4.5V", 107710933120, False, 45 * 128),  # correction biases of the router
    ("zai-org/GLM-4.1V-9B-Thinking", 10292777472, False, 0),
    ("MiniMaxAI/MiniMax-M3", 427040140160, False, 57 * 128),
    ("zai-org/GLM-5.3-Flash", 321323031390, True, 42 * 288),
    ("stepfun-ai/Step-3.5-Flash", 199384301376, True, 42 * 288),
    ("stepfun-ai/Step-3.7-Flash", 201365316160, True, 42 * 288),
    ("tencent/Hy3", 298786155776, True, 79 * 192),
    ("Qwen/Qwen3.8-27B", 27781427952, True, 0),
    ("moonshotai/Kimi-VL-A3B-Instruct", 16407657776, False, 26 * 64 + 27 * 64),  # and rotary frequencies
    ("meituan-longcat/LongCat-Flash-Chat", 561862880256, True, 28 * 768 + 131072 * 6144),  # a second embedding
    ("baidu/ERNIE-4.5-VL-28B-A3B-PT", 29399294336, False, 0),
    ("deepseek-ai/DeepSeek-OCR", 3336106240, False, 0),
    ("deepseek-ai/deepseek-vl2-tiny", 3370501440, False, 0),
    ("meta-llama/Llama-3.2-11B-Vision-Instruct", 10670220835, False, 0),
    ("ibm-granite/granite-vision-3.2-2b", 2975396928, False, 0),
    ("google/gemma-4-E2B-it", 5123178051, False, 18880512 + 35),  # keys and values of sharing layers, scalars
    ("google/gemma-4-E4B-it", 7996156490, False, 55055616 + 42),
    ("google/gemma-3n-E2B-it", 5439438272, False, 20974080),
    ("google/gemma-3n-E4B-it", 7849978192, False, 31461120),
    ("tiiuae/Falcon-H1-34B-Instruct", 33642516224, False, 0),
    ("tiiuae/Falcon-H1-7B-Instruct", 7585654880, False, 0),
    ("tiiuae/falcon-mamba-7b", 7272665088, False, 0),
    ("state-spaces/mamba-2.8b-hf", 2768345600, False, 0),
    ("databricks/dbrx-instruct", 131596523520, False, 0),
    ("mosaicml/mpt-7b", 6649286656, False, 0),
    ("bigscience/bloom", 176247271424, False, 0),
    ("EleutherAI/gpt-j-6b", 6050882784, False, 0),
    ("EleutherAI/gpt-neox-20b", 20739117584, False, 44 * (2048**2 + 12)),  # masks and rotary frequencies
    ("stabilityai/stablelm-3b-4e1t", 2795443200, False, 0),
    ("stabilityai/stablelm-2-12b", 12143185920, False, 0),
    ("stabilityai/stablelm-2-1_6b", 1644515328, False, 0),
    ("bigcode/starcoderbase-1b", 1137207296, False, 0),
    ("Qwen/Qwen-7B", 7721324544, False, 0),
    ("google/gemma-4-12B-it", 11959730224, False, 48),  # one scalar a layer
    ("deepseek-ai/DeepSeek-OCR-2", 3389119360, False, 0),
    ("microsoft/Phi-3.5-vision-instruct", 4146621440, False, 0),
    ("microsoft/Phi-4-multimodal-instruct", 5574460384, False, 2 * 80),  # mean and deviation of the features
    ("moonshotai/Kimi-K3", 2779931837184, False, 92 * 896 + 69 * 32),  # and A_log padded from 96 to 128 heads
    ("inclusionAI/Ling-mini-2.0", 16255643392, False, 19 * 256),
    ("fla-hub/rwkv7-2.9B-world", 2947735040, False, 0),
    ("deepseek-ai/deepseek-moe-16b-chat", 16375728128, False, 0),
    ("openbmb/MiniCPM4-8B", 8185253888, False, 0),
]


@pytest.mark.parametrize(("name", "entries", "with_mtp", "extra"), PUBLISHED, ids=[row[0] for row in PUBLISHED])
def test_the_published_total(name: str, entries: int, with_mtp: bool, extra: int) -> None:
    arch = load_model(name, allow_hub=False)
    assert arch.total + extra + (arch.mtp if with_mtp else 0) == entries
    assert sum(arch.components().values()) == arch.total
    assert 0 < arch.active <= arch.total
