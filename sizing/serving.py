"""The steady state of continuous batching: from step times to TTFT, TPOT and throughput.

One replica holds ``concurrency`` requests per attention data-parallel rank. Requests prefill (in chunks of at most the
token budget) and then decode; both share the accelerators. The model, per rank, with N requests, S new prompt tokens,
O output tokens, decode step time ``d`` and marginal prefill time ``m`` (what one prompt adds to the steps that carry it):

* each request decodes for ``O - 1`` steps of ``d``; while it does, other requests prefill: prefill takes the share
  ``rho = X * m`` of the time, so decode stretches to ``d / (1 - rho)`` a step where prefill runs ahead of decode;
* the prefill "server" and the decoding "crowd" are a closed network of N customers; its response time follows from the
  Schweitzer approximation of mean-value analysis: ``R^2 + R (Z - m N) - m Z = 0`` with Z the decode duration;
* requests beyond what the cache holds wait for one to finish: ``(N - running) / X``.

Everything broadcasts over arrays of workloads and placements.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sizing.arrays import FloatArray, Num, as_float
from sizing.engine.placement import Placement
from sizing.operations import StepShape
from sizing.step import StepModel


@dataclass(frozen=True, slots=True)
class Batching:
    """How an engine mixes prefill and decode.

    token_budget: tokens of a step at most (max_num_batched_tokens, chunked_prefill_size). mixed: prefill chunks ride
    along with decode in one step; otherwise a prefill runs alone and decode waits. wait_weight: share of the queueing
    formula's waiting that shows in TTFT (1: exponential service; 0.5: deterministic). interference: share of the other
    requests' prefill time that lands in a request's decode phase. fixed_ttft_s: constant host cost of a first token.
    """

    token_budget: float = 8192.0
    mixed: bool = True
    wait_weight: float = 0.5
    interference: float = 1.0
    fixed_ttft_s: float = 0.0
    ttft_step_share: float = 0.5


@dataclass(frozen=True, slots=True)
class Load:
    """What a replica carries. concurrency: requests per attention data-parallel rank, waiting ones included.

    input_tokens, output_tokens: means of a request. cached_tokens: prompt tokens found in the prefix cache.
    running_limit: requests per rank that the cache (or max_num_seqs) lets run at once. tokens_per_step: tokens that a
    sequence gains per decode step (1 without speculation), verified_tokens: tokens computed for it (1 + drafts).
    """

    concurrency: Num
    input_tokens: Num
    output_tokens: Num
    cached_tokens: Num = 0.0
    running_limit: Num = np.inf
    tokens_per_step: Num = 1.0
    verified_tokens: Num = 1.0
    draft_s: Num = 0.0


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
    marginal_prefill_s: FloatArray  # what one prompt adds to the steps that carry it
    prefill_share: FloatArray  # of the busy time
    running: FloatArray  # requests in the batch, per rank
    decoding: FloatArray  # of those, in decode
    queue_wait_s: FloatArray  # part of ttft_s: waiting for a place in the batch
    end_to_end_s: FloatArray


@dataclass(frozen=True, slots=True)
class PrefillTimes:
    """One prompt: alone, and what it adds to steps that decode as well. Seconds."""

    alone_s: FloatArray
    marginal_s: FloatArray
    in_batch_s: FloatArray  # time that passes from its first chunk to its first token, decode riding along


def prefill_times(
    model: StepModel,
    placement: Placement,
    load: Load,
    batching: Batching,
    decoding: Num,
    decode_s: FloatArray,
) -> PrefillTimes:
    """Prefill of one prompt of ``load`` in chunks, beside ``decoding`` sequences whose own step takes ``decode_s``."""
    new = np.maximum(as_float(load.input_tokens) - load.cached_tokens, 1.0)
    budget = np.maximum(batching.token_budget - (as_float(decoding) if batching.mixed else 0.0), 256.0)
    chunks = np.ceil(new / budget)
    each = new / chunks
    past = as_float(load.cached_tokens) + (new - each) / 2  # mean past of a chunk
    alone = chunks * model.seconds(StepShape(prefill_tokens=each, prefill_past=past), placement)
    if not batching.mixed:
        return PrefillTimes(alone, alone, alone)
    mixed = model.seconds(
        StepShape(
            decode_seqs=decoding,
            decode_context=as_float(load.input_tokens) + as_float(load.output_tokens) / 2,
            prefill_tokens=each,
            prefill_past=past,
            tokens_per_decode=load.verified_tokens,
        ),
        placement,
    )
    return PrefillTimes(alone, np.maximum(chunks * (mixed - decode_s), 0.0), chunks * mixed)


def closed_response(service_s: FloatArray, think_s: FloatArray, customers: FloatArray) -> FloatArray:
    """Mean response of one server visited by ``customers`` that think for ``think_s`` between visits (Schweitzer MVA)."""
    b = service_s * customers - think_s
    root: FloatArray = (b + np.sqrt(b * b + 4 * service_s * think_s)) / 2
    return np.maximum(root, service_s)


def steady_state(
    model: StepModel,
    placement: Placement,
    load: Load,
    batching: Batching,
    decode_seconds: Callable[[FloatArray, FloatArray], FloatArray] | None = None,
    rounds: int = 3,
) -> SteadyState:
    """The means that ``concurrency`` requests per rank settle to. See the module's text for the formulas.

    decode_seconds(batch, context) may replace the step model's own decode time (tables of the planner).
    """
    n = np.maximum(as_float(load.concurrency), 1.0)
    running = np.minimum(n, np.maximum(as_float(load.running_limit), 1.0))
    output = np.maximum(as_float(load.output_tokens), 1.0)
    context = as_float(load.input_tokens) + output / 2
    pp = as_float(placement.pp)
    steps = np.maximum(output - 1.0, 0.0) / load.tokens_per_step

    def decode(batch: FloatArray) -> FloatArray:
        micro = batch / pp  # a pipeline holds pp micro-batches, each passing all stages
        if decode_seconds is not None:
            return decode_seconds(micro, context)
        shape = StepShape(decode_seqs=micro, decode_context=context, tokens_per_decode=load.verified_tokens)
        return model.seconds(shape, placement) + load.draft_s

    decoding = running
    decode_s = decode(decoding)
    times = prefill_times(model, placement, load, batching, decoding / pp, decode_s)
    rho: FloatArray = as_float(0.0)
    for _ in range(rounds):
        service = times.marginal_s / pp
        duration = steps * decode_s
        # Prefill of the others that falls into this request's decode phase stretches it.
        stretched = duration + batching.interference * np.maximum(running - 1, 0.0) * service * np.where(
            duration > 0, 1.0, 0.0
        ) * _overlap(duration, service, running)
        response = closed_response(service, stretched, running)
        cycle = stretched + times.in_batch_s + (response - service) * batching.wait_weight
        rho = np.minimum(running * service / np.maximum(cycle, 1e-12), 1.0)
        new_decoding = np.maximum(running * stretched / np.maximum(cycle, 1e-12), np.minimum(running, 1.0))
        decoding = 0.5 * (decoding + new_decoding)
        decode_s = decode(decoding)
    duration = steps * decode_s
    service = times.marginal_s / pp
    stretched = duration + batching.interference * np.maximum(running - 1, 0.0) * service * _overlap(
        duration, service, running
    )
    tpot = stretched / np.maximum(output - 1.0, 1.0)
    response = closed_response(service, stretched, running)
    waiting = (response - service) * batching.wait_weight
    step_wait = np.where(running > 1, batching.ttft_step_share * tpot, 0.0)
    first = times.in_batch_s + waiting + step_wait + batching.fixed_ttft_s
    cycle = stretched + times.in_batch_s + waiting
    rate = running / np.maximum(cycle, 1e-12)  # requests per second of one rank
    queue = np.maximum(n - running, 0.0) / rate
    ttft = first + queue
    dp = as_float(placement.dp)
    total_rate = rate * dp
    return SteadyState(
        ttft_s=ttft,
        tpot_s=tpot,
        requests_per_s=total_rate,
        output_tokens_per_s=total_rate * output,
        total_tokens_per_s=total_rate * (output + load.input_tokens),
        decode_step_s=decode_s,
        prefill_s=times.alone_s,
        marginal_prefill_s=times.marginal_s,
        prefill_share=rho,
        running=running,
        decoding=decoding,
        queue_wait_s=queue,
        end_to_end_s=ttft + tpot * np.maximum(output - 1.0, 0.0),
    )


def _overlap(duration: FloatArray, service: FloatArray, running: FloatArray) -> FloatArray:
    """Share of the other requests' prefills that fall into a request's decode phase: decode time over the whole cycle."""
    return duration / np.maximum(duration + service * np.minimum(running, 2.0), 1e-12)
