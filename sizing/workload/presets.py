"""Workloads to start from. Each says where its numbers are from; an assumption is called one."""

from __future__ import annotations

from sizing.base.checked import public, required, text
from sizing.base.errors import unknown_name
from sizing.workload.lengths import LengthDistribution
from sizing.workload.workload import BatchArrival, Images, RateArrival, Targets, Workload

_lognormal = LengthDistribution.lognormal

PRESETS: dict[str, Workload] = {
    "chat": Workload(
        name="chat",
        input=_lognormal(mean=1155, p95=4083, maximum=14_050),
        output=_lognormal(mean=211, p95=451, maximum=2000),
        arrival=RateArrival(requests_per_s=5.53),
        targets=Targets(ttft_p95_s=1.0, tpot_p95_s=0.05),
        source="Azure LLM inference trace 2023, conversation: 19,366 requests of one hour, 5.53 requests/s, "
        "interval CV 1.09 (near Poisson), input mean 1155, p95 4083, largest 14050, output mean 211, "
        "p95 451; as lognormals through mean and p95. No cache hits (the trace has none). Targets: "
        "assumption.",
    ),
    "rag": Workload(
        name="rag",
        input=_lognormal(mean=4500, p95=9000, maximum=32_768),
        output=_lognormal(mean=300, p95=700, maximum=4096),
        prefix_cache_hit_rate=0.2,
        targets=Targets(ttft_p95_s=2.0, tpot_p95_s=0.05),
        source="Assumption: six passages of about 500 tokens, about 1,000 of instructions (shared by all "
        "requests, so 20 % of the input is found in the cache) and the question; answers as long as "
        "in chat with citations.",
    ),
    "long-document-128k": Workload(
        name="long-document-128k",
        input=LengthDistribution.uniform(98_304, 126_976),
        output=_lognormal(mean=1000, p95=2000, maximum=4096),
        arrival=RateArrival(requests_per_s=0.05),
        targets=Targets(ttft_p95_s=60.0, tpot_p95_s=0.1),
        source="Assumption: documents that fill 75 to 97 % of a 131,072-token context, each read once (no "
        "cache hits), and a summary of about 1,000 tokens. For comparison, the longest of Mooncake's "
        "conversation trace has 126,195.",
    ),
    "agentic-coding": Workload(
        name="agentic-coding",
        input=_lognormal(median=67_000, sigma=0.87, maximum=1_000_000),
        output=_lognormal(median=400, sigma=1.0, maximum=32_768),
        prefix_cache_hit_rate=0.9,
        arrival=RateArrival(requests_per_s=0.5),
        targets=Targets(ttft_p95_s=5.0, tpot_p95_s=0.05),
        source="vLLM's agentic coding trace (blog on decode context parallelism, 2026-08): input median "
        "about 67k with a tail to 1M (sigma 0.87 puts 1M at the 99.9th percentile), output median "
        "about 400. Assumptions: sigma of the output, and a hit rate of 90 % as each turn appends to "
        "the last (Mooncake's synthetic trace: 64 %). Truncate to the model's context.",
    ),
    "thinking": Workload(
        name="thinking",
        input=_lognormal(mean=600, p95=2000, maximum=16_384),
        output=_lognormal(mean=400, p95=1000, maximum=4096),
        thinking_output_multiplier=8.0,
        targets=Targets(ttft_p95_s=1.0, tpot_p95_s=0.04),
        source="Assumption: questions of 600 tokens, answers of 400, and seven tokens of thought for each of"
        " the answer (3,200 output tokens in all).",
    ),
    "batch-offline": Workload(
        name="batch-offline",
        input=LengthDistribution.fixed(1000),
        output=LengthDistribution.fixed(1000),
        arrival=BatchArrival(requests=100_000),
        source="The 1000/1000 shape of TensorRT-LLM's published maximum-throughput tables; all requests at "
        "once.",
    ),
    "image-chat": Workload(
        name="image-chat",
        input=_lognormal(mean=300, p95=900, maximum=8192),
        output=_lognormal(mean=211, p95=451, maximum=2000),
        images=Images(per_request=1.0, width=1024, height=1024),
        targets=Targets(ttft_p95_s=2.0, tpot_p95_s=0.05),
        source="Assumption: one image of 1024 x 1024 and 300 tokens of text; output as in the Azure 2023 "
        "conversation trace.",
    ),
}  # fmt: skip


@public(name=required(text))
def preset(name: str) -> Workload:
    """The preset of that name (case and underscores don't matter), or UnknownNameError."""
    found = PRESETS.get(name.strip().lower().replace("_", "-"))
    if found is None:
        raise unknown_name("workload", name, PRESETS, key="workload")
    return found
