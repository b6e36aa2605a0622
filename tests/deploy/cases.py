"""Reference plans whose files are kept as golden ones."""

from __future__ import annotations

from dataclasses import replace

from sizing.deploy import (
    DeploymentSpec,
    Disaggregated,
    Expected,
    Interval,
    Parallelism,
    Rope,
    Speculative,
    Workload,
)

EXPECTED = Expected(
    ttft_ms=Interval(310.0, 420.0, 700.0),
    tpot_ms=Interval(21.0, 25.5, 33.0),
    output_tokens_per_s=Interval(900.0, 1200.0, 1450.0),
)
YARN = Rope(factor=4.0, original_max_position_embeddings=32768, rope_theta=1_000_000.0)

QWEN3_235B_8 = DeploymentSpec(
    plan="Qwen3-235B-A22B FP8 on 8 x H100",
    date="2026-11-24",
    model="Qwen/Qwen3-235B-A22B-FP8",
    engine="vllm",
    parallelism=Parallelism(tp=8, ep=8),
    weights="fp8_block",
    accelerator="h100-sxm",
    max_model_len=32768,
    max_num_seqs=128,
    max_num_batched_tokens=8192,
    memory_utilization=0.9,
    native_context=40960,
    kv_dtype="fp8",
    moe=True,
    moe_intermediate_size=1536,
    reasoning_parser="qwen3",
    tool_parser="hermes",
    workload=Workload(2048, 512, concurrency=64),
    expected=EXPECTED,
    served_model_name="qwen3-235b",
)
QWEN3_235B_4 = replace(
    QWEN3_235B_8,
    plan="Qwen3-235B-A22B FP8 on 4 x H100",
    parallelism=Parallelism(tp=4),
    max_num_seqs=64,
    replicas=2,
    workload=Workload(2048, 512, request_rate=2.5, shared_prefix_tokens=512),
)
QWEN3_32B_128K = DeploymentSpec(
    plan="Qwen3-32B AWQ at 128K on one A100 80GB",
    date="2026-11-24",
    model="Qwen/Qwen3-32B-AWQ",
    engine="vllm",
    parallelism=Parallelism(),
    weights="awq",
    accelerator="a100-80gb-sxm",
    max_model_len=131072,
    max_num_seqs=16,
    max_num_batched_tokens=4096,
    memory_utilization=0.92,
    native_context=40960,
    rope=YARN,
    reasoning_parser="qwen3",
    tool_parser="hermes",
    workload=Workload(100_000, 1000, concurrency=1),
    expected=EXPECTED,
)
DEEPSEEK_R1_H200 = DeploymentSpec(
    plan="DeepSeek-R1 FP8 on 8 x H200",
    date="2026-11-24",
    model="deepseek-ai/DeepSeek-R1",
    engine="sglang",
    parallelism=Parallelism(tp=1, dp=8, ep=8),
    weights="fp8_block",
    accelerator="h200-sxm",
    max_model_len=65536,
    max_num_seqs=32,
    max_num_batched_tokens=4096,
    memory_utilization=0.85,
    native_context=163840,
    moe=True,
    moe_intermediate_size=2048,
    speculative=Speculative("mtp", 3),
    reasoning_parser="deepseek-r1",
    workload=Workload(4096, 1024, concurrency=256),
    expected=EXPECTED,
)
DEEPSEEK_R1_ASCEND = DeploymentSpec(
    plan="DeepSeek-R1 W8A8 on 2 x Atlas 800I A2",
    date="2026-11-24",
    model="vllm-ascend/DeepSeek-R1-W8A8",
    engine="vllm-ascend",
    parallelism=Parallelism(tp=4, dp=4, ep=16),
    weights="int8_w8a8",
    accelerator="ascend-910b3",
    vendor="ascend",
    max_model_len=16384,
    max_num_seqs=16,
    max_num_batched_tokens=4096,
    memory_utilization=0.92,
    native_context=163840,
    moe=True,
    moe_intermediate_size=2048,
    speculative=Speculative("mtp", 1),
    reasoning_parser="deepseek-r1",
    workload=Workload(3500, 1500, concurrency=64),
    expected=EXPECTED,
)
DEEPSEEK_R1_MINDIE = replace(
    DEEPSEEK_R1_ASCEND,
    plan="DeepSeek-R1 W8A8 on 2 x Atlas 800I A2 (MindIE)",
    engine="mindie",
    parallelism=Parallelism(tp=8, dp=2, ep=16),
    reasoning_parser=None,
    served_model_name="deepseek-r1",
)
QWEN3_30B_TRTLLM = DeploymentSpec(
    plan="Qwen3-30B-A3B NVFP4 on one B200",
    date="2026-11-24",
    model="nvidia/Qwen3-30B-A3B-FP4",
    engine="tensorrt-llm",
    parallelism=Parallelism(),
    weights="nvfp4",
    accelerator="b200-sxm",
    max_model_len=40960,
    max_num_seqs=256,
    max_num_batched_tokens=8192,
    memory_utilization=0.9,
    native_context=40960,
    kv_dtype="fp8",
    moe=True,
    moe_intermediate_size=768,
    reasoning_parser="qwen3",
    replicas=8,
    workload=Workload(1024, 1024, concurrency=512),
    expected=EXPECTED,
)
QWEN3_235B_POOLS = replace(
    QWEN3_235B_8,
    plan="Qwen3-235B-A22B FP8, prefill and decode apart",
    disaggregated=Disaggregated(Parallelism(tp=4), Parallelism(tp=8, ep=8), prefill_replicas=3),
)
DEEPSEEK_V3_TWO_NODES = replace(
    DEEPSEEK_R1_H200,
    plan="DeepSeek-V3 FP8 on 2 x 8 x H100",
    model="deepseek-ai/DeepSeek-V3",
    engine="vllm",
    parallelism=Parallelism(tp=8, pp=2),
    accelerator="h100-sxm",
    speculative=None,
    reasoning_parser=None,
)
DEEPSEEK_POOLS_SGLANG = replace(
    DEEPSEEK_R1_H200,
    plan="DeepSeek-R1 FP8, prefill and decode apart",
    disaggregated=Disaggregated(Parallelism(tp=8, ep=8), Parallelism(tp=1, dp=16, ep=16)),
    transfer="mooncake",
)
CASES = {
    "qwen3-235b-fp8-8xh100-vllm": QWEN3_235B_8,
    "qwen3-235b-fp8-4xh100-vllm": QWEN3_235B_4,
    "qwen3-32b-awq-128k-a100-vllm": QWEN3_32B_128K,
    "deepseek-r1-fp8-8xh200-sglang": DEEPSEEK_R1_H200,
    "deepseek-r1-w8a8-2xatlas-vllm-ascend": DEEPSEEK_R1_ASCEND,
    "deepseek-r1-w8a8-2xatlas-mindie": DEEPSEEK_R1_MINDIE,
    "qwen3-30b-nvfp4-b200-tensorrt-llm": QWEN3_30B_TRTLLM,
    "qwen3-235b-fp8-pools-vllm": QWEN3_235B_POOLS,
    "deepseek-v3-fp8-2x8xh100-vllm": DEEPSEEK_V3_TWO_NODES,
    "deepseek-r1-fp8-pools-sglang": DEEPSEEK_POOLS_SGLANG,
}
