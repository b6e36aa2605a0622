"""Readers of flat result objects: vLLM, TensorRT-LLM and SGLang serving benchmarks, InferenceX."""

from __future__ import annotations

import math
import statistics
from typing import Any

from sizing.evidence.fields import engine_name
from sizing.evidence.measurement import LARGEST, Fields, Latency, Measurement
from sizing.evidence.run_labels import labels_of, tag_labels


def _extra(fields: Fields, used: tuple[str, ...]) -> dict[str, str | float | bool]:
    """Scalars that no other field holds: swept server parameters, ``--metadata`` of the user."""
    kept: dict[str, str | float | bool] = {}
    for key, value in fields.data.items():
        if key in used or key.startswith(("mean_", "median_", "std_", "p9", "p5", "total_")):
            continue
        if isinstance(value, str):
            kept[key[:100]] = value[:500]
        elif isinstance(value, bool) or (isinstance(value, int | float) and abs(value) < 1e300):
            kept[key[:100]] = value
        if len(kept) >= 64:
            break
    return kept


def _mean_tokens(fields: Fields, total: str, lens: str, completed: int | None) -> float | None:
    """Mean tokens of a request: the printed total over the completed ones, else the detailed list."""
    tokens = fields.number(total)
    if tokens is not None and completed:
        return tokens / completed
    numbers = _numbers(fields.data.get(lens))
    return statistics.fmean(numbers) if numbers else None


def _numbers(raw: Any) -> list[float]:
    if not isinstance(raw, list):
        return []
    plain = (x for x in raw if isinstance(x, int | float) and not isinstance(x, bool))
    return [float(x) for x in plain if 0 < x <= LARGEST]


def quantiles(values: list[float]) -> Latency:
    """Mean and percentiles of a list, in the unit of the list (linear interpolation, as NumPy's default)."""
    if not values:
        return Latency()
    ordered = sorted(values)

    def at(share: float) -> float:
        place = share * (len(ordered) - 1)
        low = math.floor(place)
        high = min(low + 1, len(ordered) - 1)
        return ordered[low] + (ordered[high] - ordered[low]) * (place - low)

    return Latency(statistics.fmean(ordered), at(0.5), at(0.9), at(0.95), at(0.99))


def _filled(printed: Latency, detailed: list[float]) -> Latency:
    """``printed``, with what it lacks taken from the per-request list [s]."""
    own = quantiles(detailed)
    pairs = ((getattr(printed, name), getattr(own, name)) for name in _STATS)
    return Latency(*(mine if mine is not None else theirs for mine, theirs in pairs))


_STATS = ("mean", "p50", "p90", "p95", "p99")
_USED = (
    *("date", "endpoint_type", "backend", "model_id", "tokenizer_id", "num_prompts", "request_rate"),
    "max_concurrency",
    *("duration", "completed", "failed", "request_throughput", "output_throughput", "total_token_throughput"),
    *("total_throughput", "input_throughput", "concurrency", "accept_length", "acceptance_length"),
)


def read_serving(fields: Fields, tool: str) -> Measurement:
    """vLLM ``bench serve``, the TensorRT-LLM and the SGLang serving benchmarks: the same family,
    milliseconds.

    TPOT is (end to end - TTFT) / (output - 1) of a request, averaged over requests; ITL is per streamed
    chunk.
    """
    completed = fields.count("completed")
    input_tokens = _mean_tokens(fields, "total_input_tokens", "input_lens", completed)
    output_tokens = _mean_tokens(fields, "total_output_tokens", "output_lens", completed)
    e2e_name = "e2e_latency_ms" if "mean_e2e_latency_ms" in fields else "e2el_ms"
    server = fields.data.get("server_info")
    info = Fields(server if isinstance(server, dict) else {}, fields.source, "server_info")
    backend = fields.text("backend", "endpoint_type")
    engine = engine_name(backend or "")
    if engine is None and tool == "tensorrt-llm" and (fields.number("avg_decoded_tokens_per_iter") or 0) > 0:
        engine = "tensorrt-llm"  # only its own server reports iterations; the client is used against others too
    total = fields.number("total_token_throughput", "total_throughput")
    if total is None and (read := fields.number("input_throughput")) is not None:
        total = read + fields.needed("output_throughput")
    model = fields.text("model_id") or fields.data.get("model")
    if not isinstance(model, str):
        served = info.data.get("model_path")
        model = served if isinstance(served, str) else None
    rate = fields.number("request_rate", infinite=True)
    labels = labels_of(fields.data, tag_labels(fields.data.get("tag")), info.data)
    engine = labels.pop("engine", engine)
    ttfts = _numbers(fields.data.get("ttfts"))
    return Measurement(
        tool=tool,
        source=fields.source,
        model=model[:300] if model else None,
        engine=engine,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        concurrency=fields.number("max_concurrency"),
        concurrency_measured=fields.number("concurrency") if tool == "sglang" else None,
        request_rate=rate if rate else None,
        num_prompts=fields.count("num_prompts"),
        completed=completed,
        failed=fields.count("failed"),
        ttft_s=_filled(fields.latency("ttft_ms", 1e-3), ttfts),
        tpot_s=fields.latency("tpot_ms", 1e-3),
        itl_s=fields.latency("itl_ms", 1e-3),
        e2e_s=fields.latency(e2e_name, 1e-3),
        output_tokens_per_s=fields.needed("output_throughput"),
        total_tokens_per_s=total,
        requests_per_s=fields.number("request_throughput"),
        duration_s=fields.number("duration"),
        accept_length=fields.number("accept_length", "acceptance_length", "spec_decode_acceptance_length"),
        extra=_extra(fields, _USED),
        **labels,
    )


_NOMINAL = "lengths are drawn from 0.8 to 1 of the nominal ones: means are 0.9 of those"
_LENGTH_SHARE = 0.9  # the client draws lengths uniformly from [0.8, 1] of isl and osl


def read_inferencex(fields: Fields) -> Measurement:
    """InferenceX (InferenceMAX): a flat ``agg_*.json`` or a row of its API (figures under ``metrics``).
    Seconds.

    ``tput_per_gpu`` counts input and output over all accelerators; in a disaggregated run
    ``output_tput_per_gpu`` is over the decoding ones only.
    """
    inner = fields.sub("metrics") or fields
    isl, osl = fields.number("isl"), fields.number("osl")
    disagg = fields.data.get("disagg") is True
    tp, dcp = fields.count("tp", "decode_tp"), fields.count("pp") or 1
    prefill, decode = fields.count("num_prefill_gpu"), fields.count("num_decode_gpu")
    gpus = (prefill or 0) + (decode or 0) if disagg and prefill and decode else (tp or decode or 0) * dcp
    total, output = inner.number("tput_per_gpu"), inner.number("output_tput_per_gpu")
    if total is None and output is None:
        raise fields.lack("tput_per_gpu")
    writers = (decode or gpus) if disagg else gpus
    notes = [_NOMINAL] if isl or osl else []
    notes += ["prefill and decode run on separate accelerators"] if disagg else []
    spec = next((x for k in ("spec_decoding", "spec_method") if isinstance(x := fields.data.get(k), str)), "none")
    if spec.lower() not in {"", "none", "off"}:
        notes.append(f"speculative decoding: {spec[:40]}")
    conc = fields.number("conc")
    return Measurement(
        tool="inferencex",
        source=fields.source,
        model=fields.text("model", "infmax_model_prefix"),
        engine=engine_name(fields.text("framework") or ""),
        accelerator=fields.text("hw", "hardware"),
        precision=fields.text("precision"),
        input_tokens=isl * _LENGTH_SHARE if isl else None,
        output_tokens=osl * _LENGTH_SHARE if osl else None,
        concurrency=conc,
        request_rate=math.inf,
        num_prompts=int(conc * 10) if conc and conc < 1e9 else None,
        ttft_s=inner.latency("ttft", 1.0),
        tpot_s=inner.latency("tpot", 1.0),
        itl_s=inner.latency("itl", 1.0),
        e2e_s=inner.latency("e2el", 1.0),
        output_tokens_per_s=output * writers if output is not None and writers else None,
        total_tokens_per_s=total * gpus if total is not None and gpus else None,
        tp=None if disagg else tp,
        pp=fields.count("pp"),
        ep=None if disagg else fields.count("ep", "decode_ep"),
        dp=tp if fields.data.get("dp_attention") in (True, "true", "True") else None,
        accelerators=gpus or None,
        notes=tuple(notes),
        extra=_extra(fields, ("hw", "hardware", "model", "framework", "precision", "isl", "osl", "conc")),
    )
