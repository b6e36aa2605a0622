"""Readers of result files: inference-perf, genai-bench, trtllm-bench, LLMPerf, EvalScope, AISBench."""

from __future__ import annotations

import math

from sizing.base.errors import SizingError
from sizing.evidence.fields import number
from sizing.evidence.measurement import Fields, Latency, Measurement
from sizing.evidence.run_labels import labels_of

_SCALES = {"s": 1.0, "ms": 1e-3}


def _stats(part: Fields | None, name: str, scale: float = 1.0) -> Latency:
    block = part.sub(name) if part else None
    if block is None:
        return Latency()
    mean, p50, p90, p95, p99 = (
        block.number(*keys, scale=scale) for keys in (("mean",), ("median", "p50"), ("p90",), ("p95",), ("p99",))
    )
    return Latency(mean, p50, p90, p95, p99)


# --- inference-perf ---


def read_inference_perf(fields: Fields) -> Measurement:
    """inference-perf ``stage_N_lifecycle_metrics.json`` and ``summary_lifecycle_metrics.json``, 0.2 to 0.7. Seconds.

    The load of a stage stands in ``load_summary``; the summary of all stages has none, and a mean over stages of several
    rates is no run: there what was in flight comes from rate times latency. The model stands in no file.
    """
    load, good = fields.sub("load_summary"), fields.sub("successes")
    if good is None:
        raise fields.lack("successes")
    latency, rates = good.sub("latency"), good.sub("throughput")
    requests = rates.number("requests_per_sec") if rates else None
    output = rates.number("output_tokens_per_sec") if rates else None
    bad = fields.sub("failures")
    completed = good.count("count")
    tpot, itl = _stats(latency, "time_per_output_token"), _stats(latency, "inter_token_latency")
    lengths = {name: _stats(good, name).mean for name in ("prompt_len", "output_len", "prompt_tokens", "output_tokens")}
    return Measurement(
        tool="inference-perf",
        source=fields.source,
        input_tokens=lengths["prompt_len"] or lengths["prompt_tokens"],
        output_tokens=lengths["output_len"] or lengths["output_tokens"],
        concurrency=load.number("concurrency") if load else None,
        request_rate=_first(load, "requested_rate") if load and "concurrency" not in load else None,
        num_prompts=load.count("count") if load else None,
        completed=completed,
        failed=bad.count("count") if bad else None,
        ttft_s=_stats(latency, "time_to_first_token"),
        tpot_s=tpot if tpot else itl,
        itl_s=itl,
        e2e_s=_stats(latency, "request_latency"),
        output_tokens_per_s=output,
        total_tokens_per_s=rates.number("total_tokens_per_sec") if rates else None,
        requests_per_s=requests,
        duration_s=fields.number("benchmark_time_seconds"),
    )


def _first(part: Fields | None, *names: str) -> float | None:
    return part.number(*names) if part else None


# --- genai-bench ---


def read_genai_bench(fields: Fields) -> Measurement:
    """genai-bench: one file of an experiment's folder, ``aggregated_metrics`` with its time unit beside it.

    Its requests/s counts the whole run; model, engine and card stand in ``experiment_metadata.json``, another file.
    """
    part = fields.sub("aggregated_metrics")
    if part is None:
        raise fields.lack("aggregated_metrics")
    unit = fields.text("_time_unit") or "s"
    if unit not in _SCALES:
        raise fields.wrong("_time_unit", "must be s or ms", unit)
    scale = _SCALES[unit]
    stats = part.sub("stats")
    inputs, outputs = _stats(stats, "num_input_tokens").mean, _stats(stats, "num_output_tokens").mean
    requests = part.count("num_requests")
    return Measurement(
        tool="genai-bench",
        source=fields.source,
        input_tokens=inputs,
        output_tokens=outputs,
        concurrency=part.number("num_concurrency"),
        num_prompts=requests,
        completed=part.count("num_completed_requests"),
        failed=part.count("num_error_requests"),
        ttft_s=_stats(stats, "ttft", scale),
        tpot_s=_stats(stats, "tpot", scale),
        e2e_s=_stats(stats, "e2e_latency", scale),
        output_tokens_per_s=part.number("mean_output_throughput_tokens_per_s"),
        total_tokens_per_s=part.number("mean_total_tokens_throughput_tokens_per_s"),
        requests_per_s=part.number("requests_per_second"),
        duration_s=part.number("run_duration"),
    )


# --- trtllm-bench ---


def read_trtllm_bench(fields: Fields) -> Measurement:
    """``trtllm-bench --report_json``: engine, world, requests and performance in sections; milliseconds in the names."""
    engine, world = fields.sub("engine"), fields.sub("world_info")
    asked, speed = fields.sub("request_info"), fields.sub("performance")
    if speed is None or asked is None:
        raise fields.lack("performance")
    stream = fields.sub("streaming_metrics")
    stated = {} if engine is None else {
        "weights": _quantisation(engine), "kv_cache_dtype": engine.data.get("kv_cache_dtype"),
        "engine_version": engine.data.get("version"),
    }  # fmt: skip
    labels = labels_of(stated, world.data if world else None)
    model = engine.data.get("model") if engine else None
    labels.setdefault("engine", "tensorrt-llm")
    return Measurement(
        tool="trtllm-bench",
        source=fields.source,
        model=model[:300] if isinstance(model, str) else None,
        input_tokens=asked.number("avg_input_length"),
        output_tokens=asked.number("avg_output_length"),
        concurrency_measured=asked.number("avg_num_concurrent_requests"),
        num_prompts=asked.count("num_requests"),
        ttft_s=Latency(stream.number("avg_ttft_ms", scale=1e-3)) if stream else Latency(),
        tpot_s=Latency(stream.number("avg_tpot_ms", scale=1e-3)) if stream else Latency(),
        e2e_s=Latency(speed.number("avg_request_latency_ms", scale=1e-3)),
        output_tokens_per_s=speed.number("system_output_throughput_tok_s"),
        total_tokens_per_s=speed.number("system_total_throughput_tok_s"),
        requests_per_s=speed.number("request_throughput_req_s"),
        duration_s=speed.number("total_latency_ms", scale=1e-3),
        **labels,
    )


_TRT_WEIGHTS = {"fp8": "fp8", "fp8_block_scales": "fp8_block", "nvfp4": "nvfp4", "w4a16_awq": "int4_awq"}


def _quantisation(engine: Fields) -> str | None:
    raw = engine.data.get("quantization")
    return _TRT_WEIGHTS.get(raw.lower(), raw) if isinstance(raw, str) else None


# --- LLMPerf ---


def read_llmperf(fields: Fields) -> Measurement:
    """LLMPerf ``*_summary.json``: seconds; its inter-token latency is the whole answer's time over its tokens.

    So TPOT is (end to end - TTFT) / (tokens - 1) of the means.
    """

    def stats(name: str) -> Latency:
        found = []
        for stat in ("mean", "quantiles_p50", "quantiles_p90", "quantiles_p95", "quantiles_p99"):
            nested = fields.sub(f"results_{name}") if isinstance(fields.data.get(f"results_{name}"), dict) else None
            value = fields.number(f"results_{name}_{stat}")
            if value is None and nested is not None:
                part = nested.sub("quantiles") if stat.startswith("quantiles") else nested
                value = part.number(stat.removeprefix("quantiles_")) if part else None
            found.append(value)
        return Latency(*found)

    first, whole = stats("ttft_s"), stats("end_to_end_latency_s")
    outputs = stats("number_output_tokens").mean
    per_minute = fields.number("results_num_completed_requests_per_min")
    tpot = None
    if first.mean is not None and whole.mean is not None and outputs is not None and outputs > 1:
        tpot = max(whole.mean - first.mean, 0.0) / (outputs - 1.0)
    model = fields.text("model")
    return Measurement(
        tool="llmperf",
        source=fields.source,
        model=model,
        input_tokens=stats("number_input_tokens").mean,
        output_tokens=outputs,
        concurrency=fields.number("num_concurrent_requests"),
        num_prompts=fields.count("results_num_requests_started"),
        completed=fields.count("results_num_completed_requests"),
        failed=fields.count("results_number_errors"),
        ttft_s=first,
        tpot_s=Latency(tpot),
        e2e_s=whole,
        output_tokens_per_s=fields.number("results_mean_output_throughput_token_per_s"),
        requests_per_s=per_minute / 60.0 if per_minute is not None else None,
        notes=("TPOT from end-to-end time, TTFT and tokens: the tool's inter-token latency holds the first token",),
    )


# --- EvalScope ---


def read_evalscope(fields: Fields) -> Measurement:
    """EvalScope ``benchmark_summary.json``, 1.0 to 1.14; names bear their units: TTFT, TPOT in ms, latency in s.

    Older versions name the same figures in words, all in seconds.
    """
    offered = next(
        (fields.data[key] for key in ("Request Rate (req/s)", "Request rate (req/s)") if key in fields), None
    )
    rate = number(offered)  # -1: as fast as the clients can
    concurrency = fields.number("Concurrency", "Number of concurrency")
    output = fields.number("Output Throughput (tok/s)", "Output token throughput (tok/s)")
    total = fields.number("Total Throughput (tok/s)", "Total token throughput (tok/s)")

    def mean(new: str, old: str) -> Latency:
        value = fields.number(new, scale=1e-3)
        return Latency(value if value is not None else fields.number(old))

    itl = mean("Avg ITL (ms)", "Average inter-token latency (s)")
    tpot = mean("Avg TPOT (ms)", "Average time per output token (s)")
    return Measurement(
        tool="evalscope",
        source=fields.source,
        input_tokens=fields.number("Avg Input Tokens", "Average input tokens per request"),
        output_tokens=fields.number("Avg Output Tokens", "Average output tokens per request"),
        concurrency=concurrency if concurrency and concurrency > 0 else None,
        request_rate=rate if rate and rate > 0 and math.isfinite(rate) else None,
        num_prompts=fields.count("Total Requests", "Total requests"),
        completed=fields.count("Success Requests", "Succeed requests"),
        failed=fields.count("Failed Requests", "Failed requests"),
        ttft_s=mean("Avg TTFT (ms)", "Average time to first token (s)"),
        tpot_s=tpot if tpot else itl,
        itl_s=itl,
        e2e_s=Latency(fields.number("Avg Latency (s)", "Average latency (s)")),
        output_tokens_per_s=output,
        total_tokens_per_s=total,
        requests_per_s=fields.number("Req Throughput (req/s)", "Request throughput (req/s)"),
        duration_s=fields.number("Test Duration (s)", "Time taken for tests (s)"),
    )


# --- AISBench ---

_UNITS = {"ms": 1e-3, "s": 1.0, "token/s": 1.0, "req/s": 1.0, "": 1.0}


def quantity(text: object, source: str, key: str) -> float | None:
    """``"1234.5 ms"`` in seconds, ``"50.1 token/s"`` as it is; raises SizingError for a unit that is not known."""
    if isinstance(text, bool) or text is None:
        return None
    if isinstance(text, int | float):
        return float(text) if math.isfinite(text) and text >= 0 else None
    digits, _, unit = str(text).strip().partition(" ")
    try:
        value = float(digits)
    except ValueError:
        raise SizingError(f"{key}: must be a number with its unit, got {str(text)[:40]!r}", key=source) from None
    if unit.strip() not in _UNITS or not math.isfinite(value) or value < 0:
        raise SizingError(f"{key}: must be a number in ms, token/s or req/s, got {str(text)[:40]!r}", key=source)
    return value * _UNITS[unit.strip()]


def read_aisbench(fields: Fields, rows: dict[str, dict[str, str]] | None = None) -> Measurement:
    """AISBench ``performances/MODEL/DATASET.json`` (figures with units, by stage) and the CSV beside it, ``rows``.

    ``Concurrency`` is measured: the sum of all latencies over the duration. Without the CSV, times follow from it.
    """

    def total(*names: str) -> float | None:
        for name in names:
            raw = fields.data.get(name)
            if isinstance(raw, dict) and raw:
                stage = raw.get("total", next(iter(raw.values())))
                return quantity(stage, fields.source, name)
            if raw is not None:
                return quantity(raw, fields.source, name)
        return None

    def stats(name: str) -> Latency:
        row = (rows or {}).get(name, {})
        return Latency(*(
            quantity(row.get(key), fields.source, name) for key in ("Average", "Median", "P90", "P95", "P99")
        ))  # fmt: skip

    done, held = total("Success Requests"), total("Concurrency")
    rate = total("Request Throughput")
    inputs, outputs = total("Total Input Tokens"), total("Total Generated Tokens", "Total Output Tokens")
    given, wanted = (x / done if x and done else None for x in (inputs, outputs))
    first, tpot, whole = stats("TTFT"), stats("TPOT"), stats("E2EL")
    reading = total("Prefill Token Throughput")
    if not whole and held and rate:
        whole = Latency(held / rate)
    if not first and given and reading:
        first = Latency(given / reading)
    if not tpot and first.mean is not None and whole.mean is not None and wanted and wanted > 1:
        tpot = Latency(max(whole.mean - first.mean, 0.0) / (wanted - 1.0))
    prompts, failed = total("Total Requests"), total("Failed Requests")
    return Measurement(
        tool="aisbench",
        source=fields.source,
        input_tokens=given,
        output_tokens=wanted,
        concurrency=total("Max Concurrency"),
        concurrency_measured=held,
        num_prompts=int(prompts) if prompts is not None else None,
        completed=int(done) if done is not None else None,
        failed=int(failed) if failed is not None else None,
        ttft_s=first,
        tpot_s=tpot,
        itl_s=stats("ITL"),
        e2e_s=whole,
        output_tokens_per_s=total("Output Token Throughput"),
        total_tokens_per_s=total("Total Token Throughput"),
        requests_per_s=rate,
        duration_s=total("Benchmark Duration"),
    )
