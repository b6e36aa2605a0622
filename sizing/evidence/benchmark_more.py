"""Readers of EvalScope's, inference-perf's and LLMPerf's result files."""

from __future__ import annotations

import math

from sizing.evidence.measurement import Fields, Latency, Measurement

EVALSCOPE = "Avg TTFT (ms)"
LLMPERF = "results_ttft_s_mean"


def read_evalscope(fields: Fields) -> Measurement:
    """EvalScope ``perf``, ``benchmark_summary.json`` (1.14): names hold the units; latency in seconds, tokens in ms.

    "Input Throughput" is 0.0 there and is not used; a rate of -1 is none.
    """
    raw = fields.data.get("Request Rate (req/s)")
    rate = float(raw) if isinstance(raw, int | float) and not isinstance(raw, bool) and raw > 0 else None
    cap = fields.number("Concurrency", "Number of concurrency")
    return Measurement(
        tool="evalscope",
        source=fields.source,
        input_tokens=fields.number("Avg Input Tokens"),
        output_tokens=fields.number("Avg Output Tokens"),
        concurrency=cap if rate is None and cap else None,
        request_rate=rate,
        num_prompts=fields.count("Total Requests"),
        completed=fields.count("Success Requests"),
        failed=fields.count("Failed Requests"),
        ttft_s=Latency(fields.number(EVALSCOPE, scale=1e-3)),
        tpot_s=Latency(fields.number("Avg TPOT (ms)", scale=1e-3)),
        itl_s=Latency(fields.number("Avg ITL (ms)", scale=1e-3)),
        e2e_s=Latency(fields.number("Avg Latency (s)")),
        output_tokens_per_s=fields.needed("Output Throughput (tok/s)"),
        total_tokens_per_s=fields.number("Total Throughput (tok/s)"),
        requests_per_s=fields.number("Req Throughput (req/s)"),
        duration_s=fields.number("Test Duration (s)"),
    )


def read_inference_perf(fields: Fields) -> Measurement:
    """inference-perf, ``stage_N_lifecycle_metrics.json`` or the summary of all stages: seconds."""
    good = fields.sub("successes") or Fields({}, fields.source, "successes")
    load = fields.sub("load_summary") or Fields({}, fields.source, "load_summary")
    latency, rates = good.sub("latency"), good.sub("throughput")

    def stat(name: str) -> Latency:
        block = latency.sub(name) if latency else None
        if block is None:
            return Latency()
        return Latency(
            block.number("mean"),
            block.number("median", "p50"),
            block.number("p90"),
            block.number("p95"),
            block.number("p99"),
        )

    def mean(name: str) -> float | None:
        block = good.sub(name)
        return block.number("mean") if block else None

    if rates is None:
        raise good.lack("throughput")
    failures = fields.sub("failures")
    cap = load.number("concurrency", "num_workers_concurrency")
    return Measurement(
        tool="inference-perf",
        source=fields.source,
        input_tokens=mean("prompt_len"),
        output_tokens=mean("output_len"),
        concurrency=cap,
        request_rate=load.number("requested_rate"),
        num_prompts=load.count("count"),
        completed=good.count("count"),
        failed=failures.count("count") if failures else None,
        ttft_s=stat("time_to_first_token"),
        tpot_s=stat("time_per_output_token"),
        itl_s=stat("inter_token_latency"),
        e2e_s=stat("request_latency"),
        output_tokens_per_s=rates.needed("output_tokens_per_sec"),
        total_tokens_per_s=rates.number("total_tokens_per_sec"),
        requests_per_s=rates.number("requests_per_sec"),
    )


def read_llmperf(fields: Fields) -> Measurement:
    """LLMPerf, ``*_summary.json``: seconds. Its "inter-token latency" is the whole request over its tokens, so the time
    per output token is taken from the means: (end to end - first token) / (tokens - 1)."""
    first, whole = fields.number(LLMPERF), fields.number("results_end_to_end_latency_s_mean")
    tokens = fields.number("results_number_output_tokens_mean")
    pace = None
    if first is not None and whole is not None and tokens is not None and tokens > 1 and whole > first:
        pace = (whole - first) / (tokens - 1)
    minute = fields.number("results_num_completed_requests_per_min")
    return Measurement(
        tool="llmperf",
        source=fields.source,
        model=fields.text("model"),
        input_tokens=fields.number("results_number_input_tokens_mean", "mean_input_tokens"),
        output_tokens=tokens,
        concurrency=fields.number("num_concurrent_requests"),
        request_rate=math.inf,
        completed=fields.count("results_num_completed_requests"),
        failed=fields.count("results_number_errors"),
        ttft_s=Latency(first, *(fields.number(f"results_ttft_s_quantiles_{q}") for q in ("p50", "p90", "p95", "p99"))),
        tpot_s=Latency(pace),
        e2e_s=Latency(whole),
        output_tokens_per_s=fields.number("results_mean_output_throughput_token_per_s"),
        requests_per_s=minute / 60 if minute is not None else None,
    )
