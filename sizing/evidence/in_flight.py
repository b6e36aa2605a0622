"""What a benchmark run says of its load: requests in flight as measured, and whether the file contradicts itself.

What was in flight is measured: stated by the tool, or by Little's law (requests/s times the mean time of a request). The
number of prompts is no concurrency, and a cap is one only where nothing was measured.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

from sizing.base.errors import SizingError
from sizing.evidence.measurement import Latency, Measurement

STATED, LITTLE, CAP = "stated by the tool", "requests/s times end-to-end time", "the client's cap"
AGREE = 1.5  # two measures of what was in flight may differ by ramps at both ends, not by more
ABOVE_CAP = 1.1
RATES_AGREE = 1.15
HELD_BACK = 1.08  # time of the run over what arrivals and one answer take; above, a queue grew
MOST_IN_FLIGHT = 1e7
MOST_FAILED = 0.1  # of all requests; beyond, the times are those of another load


@dataclass(frozen=True, slots=True)
class InFlight:
    """Mean requests in flight over all replicas, and where the figure comes from."""

    requests: float
    source: str


def end_to_end_s(run: Measurement) -> float | None:
    """Mean time of a request [s]: printed, else of its first token and the rest of its tokens."""
    if run.e2e_s.mean is not None:
        return run.e2e_s.mean
    first, each, tokens = run.ttft_s.mean, run.tpot_s.mean, run.output_tokens
    if first is None or each is None or tokens is None:
        return None
    return first + each * max(tokens - 1.0, 0.0)


def requests_per_s(run: Measurement) -> float | None:
    """Requests that ended per second: printed, else those that ended over the duration."""
    if run.requests_per_s:
        return run.requests_per_s
    if run.completed and run.duration_s:
        return run.completed / run.duration_s
    if run.output_tokens_per_s and run.output_tokens:
        return run.output_tokens_per_s / run.output_tokens
    return None


def at_once(run: Measurement) -> bool:
    """Whether all prompts were sent at the start: no rate, and no cap below their number."""
    if run.request_rate is not None and math.isfinite(run.request_rate):
        return False
    prompts = run.num_prompts
    if prompts is None or prompts < 2:
        return False
    cap = run.concurrency
    return (cap is None and run.concurrency_measured is None) or (cap is not None and cap >= prompts)


def held_back(run: Measurement) -> bool:
    """Whether more was sent than came out, so that first tokens waited in a queue that grew.

    A short run ends later than its last arrival by one answer; that alone is no queue.
    """
    done, each, offered = requests_per_s(run), end_to_end_s(run), run.request_rate
    if not offered or not done or not math.isfinite(offered):
        return False
    if run.num_prompts and each is not None:
        lasting = (run.completed or run.num_prompts) / done
        return lasting > HELD_BACK * (run.num_prompts / offered + each)
    return offered > HELD_BACK * done


def in_flight(run: Measurement) -> InFlight:
    """Mean requests in flight; raises SizingError where the file does not say, or says two things.

    >>> run = Measurement("vllm", "x.json", requests_per_s=6.0, num_prompts=60, request_rate=6.0,
    ...                   ttft_s=Latency(mean=0.5), tpot_s=Latency(mean=0.05), output_tokens=25.0)
    >>> round(in_flight(run).requests, 2)
    10.2
    """
    rate, each = requests_per_s(run), end_to_end_s(run)
    little = rate * each if rate and each else None
    stated = run.concurrency_measured if run.concurrency_measured else None
    cap = run.concurrency if run.concurrency and math.isfinite(run.concurrency) else None
    if stated and little and not 1 / AGREE < stated / little < AGREE:
        raise _contradiction(
            run, f"states {stated:.4g} requests in flight, but {rate:.4g} requests/s of {each:.4g} s make {little:.4g}"
        )
    found = stated or little
    if found is not None and cap is not None and found > ABOVE_CAP * cap + 0.5:
        raise _contradiction(run, f"states a cap of {cap:.4g} requests in flight, but its times make {found:.4g}")
    if found is not None:
        return InFlight(min(max(found, 1.0), MOST_IN_FLIGHT), STATED if stated else LITTLE)
    if cap is not None:
        return InFlight(min(max(min(cap, run.num_prompts or cap), 1.0), MOST_IN_FLIGHT), CAP)
    raise SizingError(
        "does not say how many requests were in flight", key=run.source,
        hint="it needs a concurrency, or requests/s with end-to-end times; or give --concurrency",
    )  # fmt: skip


def check_run(run: Measurement) -> None:
    """Raise SizingError where the figures of one run can't all be true."""
    for name in ("ttft_s", "tpot_s", "itl_s", "e2e_s"):
        _in_order(run, name)
    first, whole = run.ttft_s.mean, run.e2e_s.mean
    if first is not None and whole is not None and first > whole * 1.001:
        raise _contradiction(run, f"a mean first token of {first:.4g} s comes after the whole answer, {whole:.4g} s")
    if run.failed and run.failed > MOST_FAILED * (run.failed + (run.completed or 0)):
        raise SizingError(
            f"had {run.failed:,} requests that failed and {run.completed or 0:,} that completed: its times say "
            "nothing of that load", key=run.source,
        )  # fmt: skip
    if run.completed is not None and run.num_prompts is not None and run.completed > run.num_prompts:
        raise _contradiction(run, f"{run.completed:,} of {run.num_prompts:,} prompts completed")
    rate, tokens, speed = run.requests_per_s, run.output_tokens, run.output_tokens_per_s
    if rate and tokens and speed and not run.failed and not _near(rate * tokens, speed):
        raise _contradiction(
            run,
            f"{rate:.4g} requests/s of {tokens:.4g} output tokens make {rate * tokens:.4g}, not {speed:.4g} tokens/s",
        )
    if rate and run.completed and run.duration_s and not _near(run.completed / run.duration_s, rate):
        raise _contradiction(run, f"{run.completed:,} requests in {run.duration_s:.4g} s are not {rate:.4g} requests/s")


def _near(one: float, other: float) -> bool:
    return 1 / RATES_AGREE < one / other < RATES_AGREE


def _in_order(run: Measurement, name: str) -> None:
    found: Latency = getattr(run, name)
    known = [(key, value) for key in ("p50", "p90", "p95", "p99") if (value := getattr(found, key)) is not None]
    for (low, below), (high, above) in itertools.pairwise(known):
        if below > above * 1.001:
            raise _contradiction(run, f"{name} has a {low} of {below:.4g} s above its {high} of {above:.4g} s")


def _contradiction(run: Measurement, what: str) -> SizingError:
    return SizingError(f"contradicts itself: {what}", key=run.source)
