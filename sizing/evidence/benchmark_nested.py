"""Readers of nested result documents: GuideLLM, AIPerf and GenAI-Perf, the llm-d benchmark report."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from sizing.base.errors import SizingError
from sizing.evidence.benchmark_flat import quantiles
from sizing.evidence.fields import engine_name, number
from sizing.evidence.measurement import LARGEST, Fields, Latency, Measurement
from sizing.evidence.run_labels import labels_of

_SECONDS = {
    "s": 1.0,
    "sec": 1.0,
    "seconds": 1.0,
    "ms": 1e-3,
    "milliseconds": 1e-3,
    "us": 1e-6,
    "µs": 1e-6,
    "ns": 1e-9,
    "nanoseconds": 1e-9,
    "s/token": 1.0,
    "ms/token": 1e-3,
}


# --- GuideLLM ---


def _stats(metrics: Fields | None, name: str, scale: float = 1.0) -> Latency:
    """``metrics[name].successful`` as a Latency (of whatever unit), else its ``total``."""
    block = metrics.sub(name) if metrics else None
    if block is None:
        return Latency()
    part = block.sub("successful") or block.sub("total")
    if part is None:
        return Latency()
    percentiles = part.sub("percentiles") or Fields({}, part.source)
    return Latency(
        part.number("mean", scale=scale),
        part.number("median", scale=scale) if "median" in part else percentiles.number("p50", scale=scale),
        percentiles.number("p90", scale=scale),
        percentiles.number("p95", scale=scale),
        percentiles.number("p99", scale=scale),
    )


def _rate(metrics: Fields | None, name: str, of: str = "total") -> float | None:
    """Mean of a throughput: over all requests where the tool gives that, as the server did all that work."""
    block = metrics.sub(name) if metrics else None
    part = (block.sub(of) or block.sub("total") or block.sub("successful")) if block else None
    return part.number("mean") if part else None


def _strategy(benchmark: Fields) -> tuple[str, float | None, float | None]:
    """``(kind, rate, concurrency)`` of a benchmark, wherever this version keeps it."""
    for path in (("config", "strategy"), ("args", "strategy"), ("scheduler", "strategy")):
        found = benchmark.reach(*path)
        if found is not None:
            kind = found.text("type_", "type", "kind") or ""
            streams = found.number("streams", "max_concurrency", "concurrency")
            return kind, found.number("rate", "initial_rate"), streams
    return "", None, None


def _label_maps(part: Fields) -> list[dict[str, Any]]:
    """The labels of a report or a benchmark, wherever this version keeps them."""
    found = []
    for path in (("config", "metadata", "labels"), ("metadata", "labels"), ("config", "labels"), ("labels",)):
        here: Any = part.data
        for key in path:
            here = here.get(key) if isinstance(here, dict) else None
        if isinstance(here, dict):
            found.append(here)
    return found


def read_guidellm(fields: Fields) -> Iterator[Measurement]:
    """GuideLLM ``benchmarks.json`` (versions 1 and 2): one measurement per benchmark of the sweep."""
    benchmarks = fields.data.get("benchmarks")
    if not isinstance(benchmarks, list) or not benchmarks:
        raise fields.lack("benchmarks")
    spec = fields.reach("config", "spec", "backend") or fields.sub("args") or fields
    model = spec.text("model") if isinstance(spec.data.get("model"), str) else None
    labels = labels_of(*_label_maps(fields))
    for index, raw in enumerate(benchmarks):
        benchmark = Fields(raw, fields.source, f"benchmarks.{index}")
        metrics = benchmark.sub("metrics")
        if metrics is None:
            raise benchmark.lack("metrics")
        kind, rate, streams = _strategy(benchmark)
        totals = metrics.sub("request_totals")
        done = totals.count("successful") if totals else None
        cap = 1.0 if kind == "synchronous" else streams
        output_rate = _rate(metrics, "output_tokens_per_second")
        ttft = _stats(metrics, "time_to_first_token_ms", 1e-3)
        if output_rate is None and not ttft:
            raise metrics.lack("output_tokens_per_second")
        own = benchmark.reach("config", "backend") or benchmark.reach("worker")
        named = own.data.get("model") if own else None
        yield Measurement(
            tool="guidellm",
            source=f"{fields.source}#{index}",
            model=named if isinstance(named, str) else model,
            input_tokens=_stats(metrics, "prompt_token_count").mean,
            output_tokens=_stats(metrics, "output_token_count").mean,
            concurrency=cap if kind not in {"constant", "poisson"} else None,
            concurrency_measured=_rate(metrics, "request_concurrency"),
            request_rate=rate if rate else (math.inf if kind in {"throughput", "concurrent"} else None),
            num_prompts=totals.count("total") if totals else None,
            completed=done,
            failed=totals.count("errored") if totals else None,
            ttft_s=ttft,
            # GuideLLM's "time per output token" spreads the whole request over its tokens: the inter-token
            # latency is
            # what the other tools call TPOT.
            tpot_s=_stats(metrics, "inter_token_latency_ms", 1e-3),
            itl_s=_stats(metrics, "inter_token_latency_ms", 1e-3),
            e2e_s=_stats(metrics, "request_latency"),
            output_tokens_per_s=output_rate,
            total_tokens_per_s=_rate(metrics, "tokens_per_second"),
            requests_per_s=_rate(metrics, "requests_per_second", "successful"),
            duration_s=benchmark.number("duration"),
            notes=("TPOT is the tool's inter-token latency",),
            extra={"strategy": kind} if kind else {},
            **{**labels, **labels_of(*_label_maps(benchmark))},
        )


# --- AIPerf, GenAI-Perf ---


def _metric(fields: Fields, name: str, default: float = 1e-3) -> Latency:
    """``{"unit": "ms", "avg": ..., "p50": ...}`` as seconds."""
    block = fields.sub(name)
    if block is None:
        return Latency()
    unit = (block.text("unit") or "").lower()
    if unit and unit not in _SECONDS:
        raise block.wrong("unit", "must be a unit of time", unit)
    scale = _SECONDS[unit] if unit else default
    return Latency(*(block.number(key, scale=scale) for key in ("avg", "p50", "p90", "p95", "p99")))


def _average(fields: Fields, *names: str) -> float | None:
    for name in names:
        block = fields.sub(name)
        if block is not None:
            return block.number("avg", "value")
    return None


def _find(tree: object, names: tuple[str, ...], depth: int = 6) -> Any:
    """The first value of one of ``names`` in nested objects, nearest first."""
    level: list[object] = [tree]
    for _ in range(depth):
        following: list[object] = []
        for item in level:
            if isinstance(item, dict):
                for name in names:
                    if item.get(name) is not None:
                        return item[name]
                following += list(item.values())
        level = following
    return None


def _named(raw: object) -> str | None:
    """The first model of ``"x"``, ``["x"]``, ``[{"name": "x"}]`` or ``{"items": [{"name": "x"}]}``."""
    for _ in range(4):
        if isinstance(raw, list):
            raw = raw[0] if raw else None
        elif isinstance(raw, dict):
            raw = raw.get("name") or raw.get("items")
    return raw if isinstance(raw, str) else None


def _phase(config: object) -> tuple[float | None, float | None]:
    """``(rate, concurrency)`` of the last phase that is measured (AIPerf 0.13): warm-ups come before it."""
    phases = config.get("phases") if isinstance(config, dict) else None
    if isinstance(phases, dict):
        phases = phases.get("items") or list(phases.values())
    known = [phase for phase in phases if isinstance(phase, dict)] if isinstance(phases, list) else []
    for phase in reversed(known):
        if "warm" in str(phase.get("name", "")).lower():
            continue
        rate = number(phase.get("rate")) or number(phase.get("request_rate"))
        return rate, number(phase.get("concurrency"))
    return None, None


def read_aiperf(fields: Fields) -> Measurement:
    """AIPerf ``profile_export_aiperf.json`` and GenAI-Perf ``profile_export_genai_perf.json``."""
    config = fields.data.get("input_config")
    model = _named(_find(config, ("model_names", "model", "models")))
    rate, concurrency = _phase(config)
    if rate is None and concurrency is None:
        rate, concurrency = number(_find(config, ("request_rate",))), number(_find(config, ("concurrency",)))
    prompts = number(_find(config, ("request_count", "requests")))
    backend = _find(config, ("backend", "service_kind"))
    seconds = _metric(fields, "benchmark_duration", 1.0).mean
    completed = _average(fields, "request_count")
    output = _average(fields, "output_token_throughput")
    if output is None:
        raise fields.lack("output_token_throughput")
    input_tokens = _average(fields, "input_sequence_length")
    requests = _average(fields, "request_throughput")
    total = _average(fields, "total_token_throughput")
    if total is None and requests is not None and input_tokens is not None:
        total = output + requests * input_tokens
    failed = _average(fields, "error_request_count")
    return Measurement(
        tool="aiperf" if "aiperf_version" in fields or "schema_version" in fields else "genai-perf",
        source=fields.source,
        model=model[:300] if isinstance(model, str) else None,
        engine=engine_name(backend) if isinstance(backend, str) else None,
        input_tokens=input_tokens,
        output_tokens=_average(fields, "output_sequence_length", "output_token_count"),
        concurrency=concurrency if concurrency and math.isfinite(concurrency) else None,
        concurrency_measured=_average(fields, "effective_concurrency"),
        request_rate=rate if rate and rate > 0 else None,
        num_prompts=int(prompts)
        if prompts is not None and completed is not None and completed <= prompts < 1e15
        else None,
        completed=int(completed) if completed is not None and completed < 1e15 else None,
        failed=int(failed) if failed is not None and failed < 1e15 else None,
        ttft_s=_metric(fields, "time_to_first_token"),
        tpot_s=_metric(fields, "inter_token_latency"),
        itl_s=_metric(fields, "inter_chunk_latency"),
        e2e_s=_metric(fields, "request_latency"),
        output_tokens_per_s=output,
        total_tokens_per_s=total,
        requests_per_s=requests,
        duration_s=seconds,
    )


def _record_value(record: Fields, name: str, scale: bool) -> float | None:
    block = record.reach("metrics", name)
    if block is None:
        return None
    unit = (block.text("unit") or "").lower()
    raw = block.data.get("value")
    if isinstance(raw, list):  # one value a token: the request's own mean
        known = [x for x in (number(item) for item in raw) if x is not None and 0 <= x <= LARGEST]
        value = math.fsum(known) / len(known) if known else None
    else:
        value = block.number("value")
    if value is None or not scale:
        return value
    return value * _SECONDS.get(unit, 1e-3)


def read_aiperf_records(records: list[Fields]) -> Measurement:
    """AIPerf ``profile_export.jsonl``: one request a line, added up here. Failed requests are counted, not
    averaged.
    """
    source = records[0].source.rsplit(":", 1)[0]
    names = ("time_to_first_token", "inter_token_latency", "request_latency")
    good = [record for record in records if record.data.get("error") is None]
    if not good:
        raise SizingError("holds no request that succeeded", key=source)

    def collect(name: str, scale: bool = True) -> list[float]:
        return [x for x in (_record_value(record, name, scale) for record in good) if x is not None]

    meta = [record.sub("metadata") or record for record in good]
    starts = [x for x in (m.number("request_start_ns", scale=1e-9) for m in meta) if x is not None]
    ends = [x for x in (m.number("request_end_ns", scale=1e-9) for m in meta) if x is not None]
    duration = max(ends) - min(starts) if starts and ends and max(ends) > min(starts) else None
    inputs, outputs = collect("input_sequence_length", False), collect("output_sequence_length", False)
    ttft, itl, latency = (quantiles(collect(name)) for name in names)
    return Measurement(
        tool="aiperf",
        source=source,
        input_tokens=sum(inputs) / len(inputs) if inputs else None,
        output_tokens=sum(outputs) / len(outputs) if outputs else None,
        num_prompts=len(records),
        completed=len(good),
        failed=len(records) - len(good),
        ttft_s=ttft,
        tpot_s=itl,
        e2e_s=latency,
        output_tokens_per_s=sum(outputs) / duration if duration and outputs else None,
        total_tokens_per_s=sum(outputs + inputs) / duration if duration and outputs and inputs else None,
        requests_per_s=len(good) / duration if duration else None,
        duration_s=duration,
        notes=("added up from one record per request",),
    )


# --- llm-d benchmark report ---


def _report_stat(part: Fields | None, name: str, time: bool) -> Latency:
    block = part.sub(name) if part else None
    if block is None:
        return Latency()
    unit = (block.text("units") or "").lower()
    if time and unit not in _SECONDS:
        raise block.wrong("units", "must be a unit of time", unit)
    scale = _SECONDS[unit] if time else 1.0
    return Latency(*(block.number(key, scale=scale) for key in ("mean", "p50", "p90", "p95", "p99")))


def read_llmd(fields: Fields) -> Measurement:
    """The llm-d benchmark report, versions 0.1 (``metrics``) and 0.2
    (``results.request_performance.aggregate``).
    """
    part = fields.reach("results", "request_performance", "aggregate") or fields.sub("metrics")
    if part is None:
        raise fields.lack("results.request_performance.aggregate")
    requests, latency, rates = part.sub("requests"), part.sub("latency"), part.sub("throughput")

    def rate(*names: str) -> float | None:
        for name in names:
            raw = rates.data.get(name) if rates else None
            if isinstance(raw, dict):
                return Fields(raw, fields.source, f"throughput.{name}").number("mean")
            if rates and raw is not None:
                return rates.number(name)
        return None

    output = rate("output_token_rate", "output_tokens_per_sec")
    if output is None:
        raise part.lack("throughput.output_token_rate")
    model = _find(fields.data.get("scenario"), ("model",))
    if isinstance(model, dict):
        model = model.get("name")
    return Measurement(
        tool="llm-d",
        source=fields.source,
        model=model[:300] if isinstance(model, str) else None,
        input_tokens=_report_stat(requests, "input_length", False).mean,
        output_tokens=_report_stat(requests, "output_length", False).mean,
        num_prompts=requests.count("total") if requests else None,
        failed=requests.count("failures") if requests else None,
        ttft_s=_report_stat(latency, "time_to_first_token", True),
        tpot_s=_report_stat(latency, "time_per_output_token", True),
        itl_s=_report_stat(latency, "inter_token_latency", True),
        e2e_s=_report_stat(latency, "request_latency", True),
        output_tokens_per_s=output,
        total_tokens_per_s=rate("total_token_rate", "total_tokens_per_sec"),
        requests_per_s=rate("request_rate", "requests_per_sec"),
    )
