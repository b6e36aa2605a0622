"""Claims in people's own words, English and Chinese: what is read of each, the verdict, and that nothing is left over."""

from __future__ import annotations

import re
from typing import Any

import pytest

from sizing.base.errors import SizingError
from sizing.claims import EXAMPLES, examine, parse_claim
from sizing.claims.training import training_flop_per_token
from sizing.model.sources import load_model

T, B, CNY = 1e12, 1e9, 0.141285  # USD of a CNY: the catalog's rate of 2025-11-27
HOLDS, ONLY_IF, UNKNOWN = "holds", "holds only if", "cannot be judged"
NOT_REACHED, WRONG = "no batch reaches it", "does not hold"

#: text, what is read of it (None: whatever), the verdict
ENGLISH: tuple[tuple[str, dict[str, Any], str], ...] = (
    (
        "Inference cost per million tokens is just $0.07—97% lower than GPT-4 Turbo",
        {"usd_per_million": 0.07, "below": 0.97, "than": "GPT-4 Turbo"},
        ONLY_IF,
    ),
    (
        "1.2 trillion total parameters ... only 78B (6.5%) active",
        {"total": 1.2 * T, "active": 78 * B, "active_share": 0.065},
        HOLDS,
    ),
    (
        "1.2 trillion total parameters, 78B (9%) active",
        {"total": 1.2 * T, "active": 78 * B, "active_share": 0.09},
        WRONG,
    ),
    (
        "Trained on Huawei Ascend 910B clusters with 82% chip utilization",
        {"accelerator": "Ascend-910B", "training_utilisation": 0.82},
        ONLY_IF,
    ),
    ("36 trillion tokens", {"training_tokens": 36 * T}, UNKNOWN),
    ("context of 128K", {"context": 131072}, UNKNOWN),
    ("a 128K-token context window", {"context": 131072}, UNKNOWN),
    ("Qwen3-32B supports 1M tokens of context", {"model": "Qwen3-32B", "context": 1_000_000}, WRONG),
    ("5.2PB", {"training_bytes": 5.2e15}, UNKNOWN),
    ("5.2 petabytes of training data", {"training_bytes": 5.2e15}, UNKNOWN),
    (
        "DeepSeek V3: 2.788M H800 hours, 14.8T tokens, $5.576M",
        {
            "model": "DeepSeek-V3",
            "accelerator": "H800",
            "gpu_hours": 2.788e6,
            "training_tokens": 14.8 * T,
            "training_usd": 5.576e6,
        },
        HOLDS,
    ),
    (
        "DeepSeek-V3 was trained on 14.8 trillion tokens in 2.788 million H800 GPU hours for $5.576 million",
        {"model": "DeepSeek-V3", "gpu_hours": 2.788e6, "training_tokens": 14.8 * T, "training_usd": 5.576e6},
        HOLDS,
    ),
    (
        "DeepSeek-V3: 14.8T tokens on 2048 H800s in 54 days",
        {"gpu_hours": 2048 * 54 * 24.0, "training_tokens": 14.8 * T},
        HOLDS,
    ),
    ("DeepSeek V3: 14.8T tokens, 100K H800 hours", {"gpu_hours": 1e5}, WRONG),
    ("Qwen3-8B trained on 36T tokens with 1.8e24 FLOPs", {"training_flop": 1.8e24, "training_tokens": 36 * T}, HOLDS),
    ("Qwen3-8B trained on 36T tokens with 3×10²⁵ FLOP", {"training_flop": 3e25}, WRONG),
    ("DeepSeek-V3 reached 40% MFU on H800", {"training_utilisation": 0.4, "model": "DeepSeek-V3"}, UNKNOWN),
    ("7 cents per million tokens", {"usd_per_million": 0.07}, UNKNOWN),
    ("¥0.5 per million tokens", {"usd_per_million": 0.5 * CNY}, UNKNOWN),
    ("0.002 USD per 1K tokens", {"usd_per_million": 2.0}, UNKNOWN),
    (
        "$0.55 input / $2.19 output per million tokens for DeepSeek-R1 on H200",
        {"usd_per_million": 0.55, "kind": "input", "other_usd_per_million": 2.19, "other_kind": "output"},
        None,
    ),
    (
        "R2 costs $0.07 per million tokens on Ascend 910B",
        {"usd_per_million": 0.07, "accelerator": "Ascend-910B"},
        NOT_REACHED,
    ),
    ("Qwen3-8B at $1,000 per million output tokens", {"usd_per_million": 1000.0, "kind": "output"}, HOLDS),
    ("a tenth of the price of GPT-4o", {"below": 0.9, "than": "GPT-4o"}, UNKNOWN),
    ("$0.25 per million input tokens, 10x cheaper than GPT-4o", {"below": 0.9, "usd_per_million": 0.25}, HOLDS),
    ("$15 per million output tokens, 50% more expensive than GPT-4o", {"above": 0.5, "than": "GPT-4o"}, HOLDS),
    ("Qwen3-235B-A22B runs on 8 x H100", {"model": "Qwen3-235B-A22B", "accelerators": 8, "runs": True}, HOLDS),
    ("DeepSeek-R1 runs on one RTX 4090", {"accelerators": 1, "accelerator": "RTX-4090"}, WRONG),
    (
        "Qwen3-32B runs on one RTX 4090 in 4 bits at 20 tokens/s",
        {"weight_bits": 4, "tokens_per_s": 20.0, "accelerators": 1},
        HOLDS,
    ),
    (
        "Qwen3-32B runs on one RTX 4090 in 4 bits at 5,000 tokens per second per user",
        {"weight_bits": 4, "tokens_per_s": 5000.0, "per": "request"},
        NOT_REACHED,
    ),
    ("Qwen3-32B runs on a single 4090", {"accelerators": 1}, ONLY_IF),
    ("Llama 3.3 70B fits on a single H100", {"model": "Llama-3.3-70B", "accelerators": 1}, ONLY_IF),
    ("Llama 3.3 70B at 2,500 tokens/s per GPU on B200", {"tokens_per_s": 2500.0, "per": "accelerator"}, ONLY_IF),
    ("H200 is 1.9 times faster than H100 on Llama-3.3-70B", {"faster": 1.9, "faster_than": "H100"}, NOT_REACHED),
    ("H200 is 40% faster than H100", {"faster": 1.4, "faster_than": "H100"}, ONLY_IF),
    ("Qwen3-30B-A3B is 3 times faster than Qwen3-32B on H100", {"faster": 3.0, "faster_than": "Qwen3-32B"}, ONLY_IF),
    ("TTFT of 200 ms for Qwen3-32B on 2 H100", {"ttft_s": 0.2, "accelerators": 2}, HOLDS),
    ("Qwen3-32B on 2 x H100: 0.1 ms per token", {"tpot_s": 0.0001}, NOT_REACHED),
    ("gpt-oss-120b serves 500 concurrent users on 8xH100", {"concurrency": 500.0, "accelerators": 8}, HOLDS),
    ("DeepSeek-R1 needs 80 GB of VRAM", {"memory_bytes": 80e9}, WRONG),
    ("Qwen3-32B needs 24 GB of VRAM", {"memory_bytes": 24e9}, ONLY_IF),
    ("Qwen3-8B needs 24GB of memory", {"memory_bytes": 24e9}, HOLDS),
    ("Qwen3-32B takes 0.000001 Wh per query on H100", {"wh_per_request": 1e-6}, NOT_REACHED),
    ("8-bit quantization cuts size by 83%", {"size_bits": 8.0, "size_cut": 0.83}, WRONG),
    ("Ascend 910B has 91% of an A100 cluster", {"performance": 0.91, "of": "A100"}, UNKNOWN),
    (
        "Qwen3-235B-A22B has 235 billion parameters, of which 22 billion are active",
        {"total": 235 * B, "active": 22 * B},
        HOLDS,
    ),
)

MORE: tuple[tuple[str, dict[str, Any], str], ...] = (
    (
        "Output tokens cost $0.27 per million, input $0.07",
        {"usd_per_million": 0.27, "other_usd_per_million": 0.07},
        UNKNOWN,
    ),
    ("an H800 costs $2 per hour", {"usd_per_hour": 2.0, "accelerator": "H800"}, HOLDS),
    ("an H100 costs $0.05 per hour", {"usd_per_hour": 0.05}, WRONG),
    ("DeepSeek-V3 KV cache is 70 KB per token", {"cache_bytes_per_token": 70e3}, HOLDS),
    ("DeepSeek-V3 128k", {"context": 131072}, HOLDS),
    ("8 GPUs are enough for Qwen3-235B-A22B", {"accelerators": 8}, HOLDS),
    ("10,000 requests per second on 8 H100 with Qwen3-8B", {"requests_per_s": 1e4}, NOT_REACHED),
    ("1 billion tokens per day on 8 H100 with Qwen3-32B", {"rate_kind": "blend"}, ONLY_IF),
    ("a 32B model in 16 GB", {"total": 32 * B, "memory_bytes": 16e9}, ONLY_IF),
    ("97% cost savings versus GPT-4 Turbo", {"below": 0.97, "than": "GPT-4 Turbo"}, UNKNOWN),
    ("Llama 3.1 405B took 30.84M H100 GPU hours for 15T tokens", {"gpu_hours": 30.84e6}, HOLDS),
    ("Llama-3.1-405B: 15.6T tokens on 16K H100 in 54 days", {"accelerators": 16_000}, HOLDS),
    ("训练成本下降97%", {"below": 0.97}, UNKNOWN),
    ("FP16算力达到512P", {"training_flops": 512e15}, UNKNOWN),
    ("百万tokens输入1元,输出4元,缓存命中0.2元", {"usd_per_million": CNY, "other_usd_per_million": 4 * CNY}, UNKNOWN),
    ("int4量化后显存占用减少75%", {"size_bits": 4.0, "size_cut": 0.75}, HOLDS),
    ("用10万张H100训练", {"accelerators": 100_000}, UNKNOWN),
    ("DeepSeek-V3 每token缓存70KB", {"cache_bytes_per_token": 70e3}, HOLDS),
    ("双机16卡910B部署DeepSeek-R1 W8A8", {"accelerators": 16, "weights": "w8a8"}, HOLDS),
    ("H800 每卡每小时2美元", {"usd_per_hour": 2.0}, HOLDS),
)

CHINESE: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("每百万 token 0.07 美元", {"usd_per_million": 0.07}, UNKNOWN),
    (
        "推理成本每百万token仅0.07美元，比GPT-4 Turbo低97%",
        {"usd_per_million": 0.07, "below": 0.97, "than": "GPT-4 Turbo"},
        ONLY_IF,
    ),
    ("每百万token 7美分，相比GPT-4 Turbo下降了97%", {"usd_per_million": 0.07, "below": 0.97}, ONLY_IF),
    (
        "输入0.5元/百万tokens，输出8元/百万tokens",
        {"usd_per_million": 0.5 * CNY, "kind": "input", "other_usd_per_million": 8 * CNY, "other_kind": "output"},
        UNKNOWN,
    ),
    (
        "DeepSeek R2 在昇腾910B上每百万token 0.07美元",
        {"usd_per_million": 0.07, "accelerator": "Ascend-910B"},
        NOT_REACHED,
    ),
    ("成本仅为GPT-4 Turbo的3%", {"below": 0.97, "than": "GPT-4 Turbo"}, UNKNOWN),
    ("价格是GPT-4o的三十分之一", {"below": 1 - 1 / 30, "than": "GPT-4o"}, UNKNOWN),
    ("比GPT-4o便宜十倍", {"below": 0.9, "than": "GPT-4o"}, UNKNOWN),
    ("比GPT-4o贵50%", {"above": 0.5, "than": "GPT-4o"}, UNKNOWN),
    ("总参数1.2万亿，激活参数780亿（6.5%）", {"total": 1.2 * T, "active": 78 * B, "active_share": 0.065}, HOLDS),
    ("Qwen3-235B-A22B 总参数2350亿，激活220亿", {"total": 235 * B, "active": 22 * B}, HOLDS),
    (
        "DeepSeek V3 用278.8万H800 GPU小时训练14.8万亿token，花费557.6万美元",
        {"gpu_hours": 2.788e6, "training_tokens": 14.8 * T, "training_usd": 5.576e6},
        HOLDS,
    ),
    (
        "DeepSeek-V3 在2048张H800上训练54天，共14.8万亿token",
        {"gpu_hours": 2048 * 54 * 24.0, "accelerators": 2048},
        HOLDS,
    ),
    (
        "采用华为昇腾910B集群训练，芯片利用率高达82%",
        {"accelerator": "Ascend-910B", "training_utilisation": 0.82},
        ONLY_IF,
    ),
    ("昇腾910B集群算力512 PFLOPS，利用率82%", {"training_flops": 512e15, "training_utilisation": 0.82}, ONLY_IF),
    ("36万亿token", {"training_tokens": 36 * T}, UNKNOWN),
    ("5.2PB训练数据", {"training_bytes": 5.2e15}, UNKNOWN),
    ("128K上下文", {"context": 131072}, UNKNOWN),
    ("Qwen3-32B 支持一百万token上下文", {"context": 1_000_000}, WRONG),
    ("DeepSeek-R1 上下文长度达到12.8万", {"context": 128_000}, HOLDS),
    ("Qwen3-235B-A22B 在8张H100上运行", {"accelerators": 8, "accelerator": "H100", "runs": True}, HOLDS),
    (
        "Qwen3-32B 单张4090 4比特量化运行，每秒20个token",
        {"weight_bits": 4, "tokens_per_s": 20.0, "accelerators": 1},
        HOLDS,
    ),
    ("DeepSeek-R1 满血版 2台8卡H20部署", {"accelerators": 16, "accelerator": "H20"}, HOLDS),
    ("单卡H100跑Qwen3-32B", {"accelerators": 1, "model": "Qwen3-32B"}, HOLDS),
    ("H200比H100快90%", {"faster": 1.9, "faster_than": "H100"}, WRONG),
    ("Qwen3-30B-A3B比Qwen3-32B快五倍", {"faster": 5.0, "faster_than": "Qwen3-32B"}, NOT_REACHED),
    ("H200的推理速度是H100的1.4倍", {"faster": 1.4, "faster_than": "H100"}, ONLY_IF),
    ("Qwen3-32B在2张H100上首字延迟0.2秒", {"ttft_s": 0.2, "accelerators": 2}, HOLDS),
    ("每个token延迟20毫秒", {"tpot_s": 0.02}, UNKNOWN),
    ("Qwen3-32B在8卡H100上支持500并发", {"concurrency": 500.0, "accelerators": 8}, HOLDS),
    ("Llama-3.3-70B 在B200上单卡吞吐2500 tokens/s", {"tokens_per_s": 2500.0, "per": "accelerator"}, ONLY_IF),
    ("DeepSeek-R1需要80GB显存", {"memory_bytes": 80e9}, WRONG),
    ("8位量化体积缩小83%", {"size_bits": 8.0, "size_cut": 0.83}, WRONG),
    ("昇腾910B性能达到A100的91%", {"performance": 0.91, "of": "A100", "accelerator": "Ascend-910B"}, UNKNOWN),
    ("每百万token耗电2度", {"wh_per_million": 2000.0}, UNKNOWN),
)


@pytest.mark.parametrize(
    ("text", "read", "verdict"), ENGLISH + CHINESE + MORE, ids=[case[0] for case in ENGLISH + CHINESE + MORE]
)
def test_a_claim_is_read_and_judged(text: str, read: dict[str, Any], verdict: str | None) -> None:
    claim = parse_claim(text)
    for name, value in read.items():
        assert getattr(claim, name) == (pytest.approx(value) if isinstance(value, float) else value), name
    assert claim.unparsed == ()
    found = examine(claim)
    if verdict is not None:
        assert found.verdict == verdict, found.sentence
    assert found.sentence.lower().startswith(found.verdict)
    assert not re.search(r"\bnan\b|\binf\b|None", found.sentence)


@pytest.mark.parametrize("text", [case[0] for case in CHINESE])
def test_the_sentence_has_chinese(text: str) -> None:
    said = re.sub(r'"[^"]*"', "", examine(parse_claim(text)).sentence_zh)
    english = r"\b(?:the|is|are|of|at|on|it|would|than|with|and|for)\b"
    assert not re.search(english, said), said


@pytest.mark.parametrize("text", EXAMPLES)
def test_the_examples_are_understood(text: str) -> None:
    claim = parse_claim(text)
    assert claim.unparsed == ()
    assert examine(claim).findings


def test_what_is_not_understood_is_named_and_examples_are_shown() -> None:
    with pytest.raises(SizingError) as failed:
        examine(parse_claim("it dreams in colour"))
    assert "dreams" in str(failed.value)
    assert EXAMPLES[0] in str(failed.value)
    assert "dreams in" not in parse_claim("Qwen3-32B, 128K context, dreams well").unparsed
    assert parse_claim("Qwen3-32B, 128K context, dreams well").unparsed == ("dreams well",)


def test_deepseek_v3_comes_out_at_its_published_utilisation() -> None:
    """Its hardware paper of 2025 (arXiv 2505.09343): 250 GFLOP a token, and 38.94% of the BF16 peak with causal attention
    counted, of the 2.664M hours of pre-training; 2.788M hours are those of the whole project."""
    assert training_flop_per_token(load_model("DeepSeek-V3")) == pytest.approx(250e9, rel=0.005)
    for hours, share in (("2.664M", 0.3894), ("2.788M", 0.3894 * 2.664 / 2.788)):
        found = examine(parse_claim(f"DeepSeek V3: {hours} H800 hours, 14.8T tokens")).findings[0]
        lines = {line.name: line.value for line in found.lines}
        assert lines["utilisation, by the architecture"] == pytest.approx(share, rel=0.005)
        assert found.verdict == HOLDS
    whole = examine(parse_claim("DeepSeek V3: 2.788M H800 hours, 14.8T tokens, $5.576M")).findings[0]
    assert {line.name: line.value for line in whole.lines}["an hour costs"] == pytest.approx(2.0)


def test_a_fit_agrees_with_the_memory_ledger() -> None:
    """The answer to "runs on" is the product's own: one fewer accelerator than the least that holds it does not."""
    verdicts = [examine(parse_claim(f"DeepSeek-R1 runs on {number} x H200 in fp8")).verdict for number in (2, 4, 8)]
    assert verdicts == [WRONG, WRONG, HOLDS]
