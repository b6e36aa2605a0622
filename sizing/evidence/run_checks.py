"""What one run of a benchmark says of itself: what was in flight, its labels, and whether its figures can all be true."""

from __future__ import annotations

import math
from dataclasses import replace

from sizing.errors import SizingError
from sizing.evidence.measurement import Measurement

SLACK = 1.15  # how far apart figures of one file may lie: ramps, rounding, percentiles for means
SATURATED = 0.9  # of the offered rate came out: below it, requests pile up

_LABELS = {
    "tp": ("tensor_parallel_size", "tp_size", "tensor_parallel", "tp"),
    "pp": ("pipeline_parallel_size", "pp_size", "pp"),
    "dp": ("data_parallel_size", "dp_size", "dp"),
    "ep": ("expert_parallel_size", "ep_size", "ep"),
    "replicas": ("replicas",),
}
_TEXTS = {
    "engine_version": ("engine_version",),
    "precision": ("weights", "quantization"),
    "kv_dtype": ("kv_dtype", "kv_cache_dtype"),
    "accelerator": ("accelerator",),
}


def labelled(run: Measurement) -> Measurement:
    """The run with what its labels state (``--metadata``, ``--label``, ``--tag`` of the tools): sizes, formats, engine.

    What the file itself states stays; "1.0" and "1" are one size, words that are no size are left out.
    """
    labels = {str(key).lower(): value for key, value in run.extra.items()}
    tag = labels.get("tag")
    if isinstance(tag, str) and "=" in tag:
        labels |= {key.strip(): value for key, sign, value in (part.partition("=") for part in tag.split(",")) if sign}
    changed: dict[str, object] = {}
    for name, keys in _LABELS.items():
        if getattr(run, name) is None:
            changed[name] = next((size for key in keys if (size := _size(labels.get(key))) is not None), None)
    for name, keys in _TEXTS.items():
        if getattr(run, name) is None:
            value = next((labels[key] for key in keys if isinstance(labels.get(key), str) and labels[key]), None)
            changed[name] = str(value).strip()[:100] if value is not None else None
    engine = labels.get("engine")
    if run.engine is None and isinstance(engine, str):
        from sizing.evidence.fields import engine_name

        changed["engine"] = engine_name(engine)
    return replace(run, **changed)  # type: ignore[arg-type]


def _size(value: object) -> int | None:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return int(number) if number == number // 1 and 0 < number < 10**6 else None


def end_to_end_s(run: Measurement) -> float | None:
    """Mean time of a request [s]: printed, else first token and the others at their pace; None where neither is known."""
    if run.e2e_s.mean is not None:
        return run.e2e_s.mean
    first, pace, tokens = run.ttft_s.mean, run.tpot_s.mean, run.output_tokens
    return None if first is None or pace is None or tokens is None else first + pace * max(tokens - 1.0, 0.0)


def in_flight(run: Measurement) -> float | None:
    """Requests in flight on average: measured where the file has it, else by Little's law, else the cap of a closed loop.

    Never the number of prompts. None: the file does not tell.

    >>> from sizing.evidence.measurement import Latency
    >>> in_flight(Measurement("vllm", "x", requests_per_s=5.5, e2e_s=Latency(mean=2.0), num_prompts=1656))
    11.0
    """
    found = run.concurrency_measured
    whole = end_to_end_s(run)
    if found is None and run.requests_per_s is not None and whole is not None:
        found = run.requests_per_s * whole
    if found is None and run.output_tokens_per_s and run.output_tokens and whole is not None:
        found = run.output_tokens_per_s / run.output_tokens * whole
    cap = run.concurrency if run.concurrency is not None and math.isfinite(run.concurrency) else None
    if found is None or found <= 0:
        return cap
    return min(found, cap) if cap is not None else found


def waits(run: Measurement) -> str | None:
    """Why the first tokens of a run are mostly waiting, None where they are not."""
    sent = run.num_prompts
    cap = run.concurrency if run.concurrency is not None and math.isfinite(run.concurrency) else None
    if sent is not None and sent > 1 and (cap is None or cap >= sent) and (run.request_rate or math.inf) == math.inf:
        return "all prompts were sent at once"
    rate, done = run.request_rate, run.requests_per_s
    if cap is None and rate is not None and math.isfinite(rate) and done is not None and done < SATURATED * rate:
        return f"{rate:g} requests/s were sent and {done:.3g} came out: they piled up"
    return None


def check(run: Measurement) -> None:
    """Raise SizingError where figures of one run contradict each other."""

    def refuse(text: str) -> None:
        raise SizingError(f"contradicts itself: {text}", key=run.source)

    whole = end_to_end_s(run)
    cap, measured = run.concurrency, run.concurrency_measured
    if cap is not None and measured is not None and measured > cap * SLACK:
        refuse(f"{measured:.3g} requests in flight, at most {cap:g} allowed")
    if cap is not None and run.requests_per_s and run.e2e_s.mean and run.requests_per_s * run.e2e_s.mean > cap * SLACK:
        refuse(
            f"{run.requests_per_s:.3g} requests/s of {run.e2e_s.mean:.3g} s each are "
            f"{run.requests_per_s * run.e2e_s.mean:.3g} in flight, at most {cap:g} were allowed"
        )
    if run.ttft_s.mean and run.e2e_s.mean and run.ttft_s.mean > run.e2e_s.mean * 1.02:
        refuse(f"the first token takes {run.ttft_s.mean:.3g} s, the whole request {run.e2e_s.mean:.3g} s")
    first, pace, tokens = run.ttft_s.mean, run.tpot_s.mean, run.output_tokens
    if run.e2e_s.mean and first and pace and tokens and whole:
        built = first + pace * max(tokens - 1.0, 0.0)
        if max(built / whole, whole / built) > 2.0:
            refuse(
                f"first token and {tokens:.0f} tokens at their pace take {built:.3g} s, the request {whole:.3g} s: units?"
            )
    if run.output_tokens_per_s and run.requests_per_s and tokens:
        rate = run.requests_per_s * tokens
        if max(rate / run.output_tokens_per_s, run.output_tokens_per_s / rate) > 1.5:
            refuse(
                f"{run.requests_per_s:.3g} requests/s of {tokens:.0f} tokens are not {run.output_tokens_per_s:.4g} tokens/s"
            )
    if run.completed is not None and run.num_prompts is not None and run.completed > run.num_prompts:
        refuse(f"{run.completed} requests done of {run.num_prompts} sent")
