"""The steady state of continuous batching: from step times to TTFT, TPOT and throughput.

One replica holds ``concurrency`` requests per attention data-parallel rank. Requests prefill (in chunks of at most the
token budget) and then decode; both share the accelerators. The model, per rank, with N requests, O output tokens,
decode step time ``d`` and prefill time ``m`` (what one prompt adds to the steps that carry it):

* a request decodes for ``O - 1`` steps of ``d``; while it does, the other ``N - 1`` requests prefill once each, and the
  share ``f`` of that time lands on it: ``TPOT = d + f * (N - 1) / (O - 1) * m``. Engines that mix chunks with decode
  have f near 1. Where prefill runs first and alone and all requests have the same length, requests move in waves: all
  prompts are read together, half of that time falls on a request that already decodes, the other half is its TTFT;
* prefill is one server visited by N customers that decode between visits; the mean response follows from the
  Schweitzer approximation of mean-value analysis: ``R^2 + R (Z - m N) - m Z = 0`` with Z the decode duration. Only the
  share ``wait_weight`` of it shows: prefill times are far less variable than the formula's;
* of N requests that take S steps each, ``k = N / S`` end in every step and as many prompts enter: above one, k prompts
  share a step (up to the token budget) and m is a k-th of what they add together;
* requests beyond what the cache (or the engine's limit) holds wait for one to finish: ``(N - running) / X``.

``settle`` is that model on given step times; ``steady_state`` asks a ``StepModel`` for them. All of it broadcasts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sizing.arrays import FloatArray, Num, as_float
from sizing.engine.placement import Placement
from sizing.operations import StepShape
from sizing.serving.terms import INSTANT, Batching, Load, StepTimes, prefill_times
from sizing.step import StepModel


@dataclass(frozen=True, slots=True)
class SteadyState:
    """Means in the steady state; throughputs are those of one whole replica (all its ranks)."""

    ttft_s: FloatArray
    tpot_s: FloatArray
    requests_per_s: FloatArray
    output_tokens_per_s: FloatArray
    total_tokens_per_s: FloatArray
    decode_step_s: FloatArray
    prefill_s: FloatArray  # one prompt, alone on the accelerators
    prefill_share: FloatArray  # of the busy time
    running: FloatArray  # requests in the batch, per rank
    decoding: FloatArray  # of those, in decode
    queue_wait_s: FloatArray  # part of ttft_s: waiting for a place in the batch
    end_to_end_s: FloatArray


def closed_response(service_s: FloatArray, think_s: FloatArray, customers: FloatArray) -> FloatArray:
    """Mean response of one server visited by ``customers`` that think for ``think_s`` between visits (Schweitzer
    MVA)."""
    b = service_s * customers - think_s
    root: FloatArray = (b + np.sqrt(b * b + 4 * service_s * think_s)) / 2
    return np.maximum(root, service_s)


def _between(varied: float, same: float | None, same_lengths: Num) -> FloatArray:
    """A coefficient between its value for varied and for equal lengths."""
    return varied + ((varied if same is None else same) - varied) * as_float(same_lengths)


def settle(times: StepTimes, placement: Placement, load: Load, batching: Batching, rounds: int = 4) -> SteadyState:
    """The means that ``concurrency`` requests per rank settle to, given the step times."""
    n = np.maximum(as_float(load.concurrency), 1.0)
    running = np.minimum(n, np.maximum(as_float(load.running_limit), 1.0))
    output = np.maximum(as_float(load.output_tokens), 1.0)
    pp = as_float(placement.pp)
    steps = np.maximum(output - 1.0, 0.0) / load.tokens_per_step
    per_sequence = (times.decode_s - times.decode_half_s) / (running / 2)  # what one more sequence adds to a step
    service = times.prefill.marginal_s / pp
    share = _between(batching.interference, batching.interference_same, load.same_lengths)
    weight = _between(batching.wait_weight, batching.wait_same, load.same_lengths)
    others = share * np.maximum(running - 1.0, 0.0) * service
    decoding, decode_s = running, times.decode_s
    for _ in range(rounds):
        duration = steps * decode_s
        stretched = duration + others * _overlap(duration, service)
        waiting = (closed_response(service, stretched, running) - service) * weight
        cycle = np.maximum(stretched + times.prefill.in_batch_s + waiting, INSTANT)
        busy = np.maximum(running * stretched / cycle, np.minimum(running, 1.0))
        decoding = 0.5 * (decoding + busy)
        decode_s = np.maximum(times.decode_s + per_sequence * (decoding - running), INSTANT)
    tpot = stretched / np.maximum(output - 1.0, 1.0)
    step_wait = np.where(running > 1, batching.ttft_step_share * decode_s, 0.0)
    first = times.prefill.in_batch_s + waiting + step_wait + batching.fixed_ttft_s
    rate = running / np.maximum(stretched + first, INSTANT)  # requests per second of one rank
    queue = np.maximum(n - running, 0.0) / rate
    total_rate = rate * as_float(placement.dp)
    ttft = first + queue
    return SteadyState(
        ttft_s=ttft,
        tpot_s=tpot,
        requests_per_s=total_rate,
        output_tokens_per_s=total_rate * output,
        total_tokens_per_s=total_rate * (output + load.input_tokens),
        decode_step_s=decode_s,
        prefill_s=times.prefill.alone_s,
        prefill_share=np.minimum(rate * service, 1.0),
        running=running,
        decoding=decoding,
        queue_wait_s=queue,
        end_to_end_s=ttft + stretched,
    )


def steady_state(
    model: StepModel,
    placement: Placement,
    load: Load,
    batching: Batching,
    decode_seconds: Callable[[FloatArray, FloatArray], FloatArray] | None = None,
    rounds: int = 4,
) -> SteadyState:
    """The means that ``concurrency`` requests per rank settle to. See the module's text for the formulas.

    decode_seconds(batch, context) may replace the step model's own decode time (tables of the planner).
    """
    n = np.maximum(as_float(load.concurrency), 1.0)
    running = np.minimum(n, np.maximum(as_float(load.running_limit), 1.0))
    context = as_float(load.input_tokens) + np.maximum(as_float(load.output_tokens), 1.0) / 2
    pp = as_float(placement.pp)

    def decode(batch: FloatArray) -> FloatArray:
        if decode_seconds is not None:
            return decode_seconds(batch, context)
        shape = StepShape(decode_seqs=batch, decode_context=context, tokens_per_decode=load.verified_tokens)
        return model.seconds(shape, placement) + load.draft_s

    micro = running / pp  # a pipeline holds pp micro-batches, each passing all stages
    decode_s = decode(micro)
    prefill = prefill_times(model, placement, load, batching, micro, decode_s)
    return settle(StepTimes(decode_s, decode(micro / 2), prefill), placement, load, batching, rounds)


def _overlap(duration: FloatArray, service: FloatArray) -> FloatArray:
    """Share of the others' prefills that can fall into a decode phase: none when there is no decode phase."""
    return duration / np.maximum(duration + service, INSTANT)
