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
from dataclasses import dataclass, replace

import numpy as np

from sizing.base.arrays import FloatArray, Num, as_float
from sizing.coefficients.batching import Batching
from sizing.engine.placement import Placement
from sizing.serving.terms import (
    INSTANT,
    Load,
    PrefillTimes,
    StepTimes,
    decode_cap,
    decode_steps,
    new_tokens,
    prefill_times,
    prompt_room,
)
from sizing.step.model import StepModel
from sizing.step.operations import StepShape

DecodeTable = Callable[[FloatArray, FloatArray], FloatArray]
SHORT_OUTPUT = 64.0  # tokens; below, prompts enter steps in groups
LOADS = 2.0 ** (np.arange(21) / 2)
OUTPUTS = np.array([1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0, SHORT_OUTPUT])


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


@dataclass(frozen=True, slots=True)
class Interleaved:
    """How prompts and decode share the time with so many requests in flight; both arrival processes read it. Per rank,
    seconds.

    running: requests in the batch. stretched_s: a request's whole decode, others' prompts included. decoding: requests in
    decode. decode_s: a decode step. service_s: machine time of a prompt. slot_s: that with its share of the steps that carry
    it, where every step is full of prompts. in_batch_s: from a prompt's first chunk to its first token. waiting_s: its wait
    for other prompts in a closed loop. step_wait_s: for the step in progress. fixed_s: of the host.
    """

    running: FloatArray
    stretched_s: FloatArray
    decoding: FloatArray
    decode_s: FloatArray
    service_s: FloatArray
    slot_s: FloatArray
    in_batch_s: FloatArray
    waiting_s: FloatArray
    step_wait_s: FloatArray
    fixed_s: FloatArray

    @property
    def first_s(self) -> FloatArray:
        """Time to the first token in a closed loop, once in the batch."""
        return self.in_batch_s + self.waiting_s + self.step_wait_s + self.fixed_s


def in_flight(load: Load) -> FloatArray:
    """Requests per rank whose times count: those that run, and at least one."""
    return np.minimum(np.maximum(as_float(load.concurrency), 1.0), np.maximum(as_float(load.running_limit), 1.0))


def interleave(times: StepTimes, placement: Placement, load: Load, batching: Batching, rounds: int = 4) -> Interleaved:
    """The fixed point of decode and prefill with ``concurrency`` requests per rank in flight (at least one)."""
    running = in_flight(load)
    batch = running if times.batch is None else times.batch
    pp, steps, prefill = as_float(placement.pp), decode_steps(load), times.prefill
    per_sequence = (times.decode_s - times.decode_half_s) / (batch / 2)  # what one more sequence adds to a step
    service = prefill.marginal_s / pp
    share = _between(batching.interference, batching.interference_same, load.same_lengths)
    weight = _between(batching.wait_weight, batching.wait_same, load.same_lengths)
    apart = np.maximum(running - prefill.together, 0.0)  # requests whose prompts share no step with mine
    decoding, decode_s = batch, times.decode_s
    for _ in range(rounds):
        duration = steps * decode_s
        stretched = duration + share * apart * service * _overlap(duration, service)
        waiting = (closed_response(service, stretched, apart + 1.0) - service) * weight
        cycle = np.maximum(stretched + prefill.in_batch_s + waiting, INSTANT)
        busy = np.minimum(np.maximum(running * stretched / cycle, np.minimum(running, 1.0)), batch)
        decoding = 0.5 * (decoding + busy)
        decode_s = np.maximum(times.decode_s + per_sequence * (decoding - batch), INSTANT)
    others = np.where(steps > 0, np.minimum(running - 1.0, 1.0), 0.0)  # whether someone else decodes
    mix = Interleaved(
        running=running,
        stretched_s=stretched,
        decoding=decoding,
        decode_s=decode_s,
        service_s=service,
        slot_s=service + _carrying(load, batching, batch / pp) * decode_s / pp,
        in_batch_s=prefill.in_batch_s,
        waiting_s=waiting,
        step_wait_s=others * batching.ttft_step_share * decode_s,
        fixed_s=as_float(batching.fixed_ttft_s),
    )
    return _conserved(mix, prefill, load, batching, pp, weight)


def _carrying(load: Load, batching: Batching, micro: FloatArray) -> FloatArray:
    """Steps that a prompt takes of those that are full of prompts: they decode along, where the engine mixes."""
    if not batching.mixed:
        return as_float(0.0)
    room = prompt_room(batching.token_budget, micro * load.verified_tokens)
    return np.where(decode_steps(load) > 0, new_tokens(load) / room, 0.0)


def _conserved(
    mix: Interleaved, prefill: PrefillTimes, load: Load, batching: Batching, pp: FloatArray, weight: FloatArray
) -> Interleaved:
    """Short outputs: the work of all requests must find its place in a cycle.

    The fit is of decode phases that are long beside a prompt. As they shrink, prompts fall into nobody's decode, and
    the weighted wait shows only a part of them. Two floors of a cycle, which long outputs never touch: (1) prompts
    follow each other, ``N slot_s``; what is missing goes to decode by the share that overlaps, else to the wait. (2)
    Requests with so few steps move together: ``k = min(N, room / prompt)`` prompts are read at once, and the others
    wait; it counts by the share that does not overlap.
    """
    steps = decode_steps(load)
    duration = steps * mix.decode_s
    overlap = _overlap(duration, mix.service_s)
    varied = 1.0 - as_float(load.same_lengths)
    cycle = mix.stretched_s + mix.first_s
    missing = np.maximum(mix.running * mix.slot_s - cycle, 0.0) * varied
    micro = mix.running / pp
    room = prompt_room(batching.token_budget, np.where(steps > 0, mix.decoding / pp * load.verified_tokens, 0.0))
    group = np.maximum(np.minimum(micro, room / new_tokens(load)), prefill.together)
    more = (group - prefill.together) * prefill.marginal_s
    behind = weight * np.maximum(mix.running - group, 0.0) * mix.service_s
    together = duration + mix.in_batch_s + more + behind + mix.step_wait_s + mix.fixed_s
    missing_too = (1.0 - overlap) * np.maximum(together - cycle - missing, 0.0) * varied
    return replace(
        mix,
        stretched_s=mix.stretched_s + missing * overlap,
        waiting_s=mix.waiting_s + missing * (1.0 - overlap) + missing_too,
    )


def settle(times: StepTimes, placement: Placement, load: Load, batching: Batching, rounds: int = 4) -> SteadyState:
    """The means that ``concurrency`` requests per rank settle to, given the step times.

    Below one request in flight its times are those of one alone, and it is there for that share of the time only.
    """
    return closed_state(interleave(times, placement, load, batching, rounds), times, placement, load)


def closed_state(mix: Interleaved, times: StepTimes, placement: Placement, load: Load) -> SteadyState:
    """The steady state of a closed loop whose phases are known."""
    asked = as_float(load.concurrency)
    rate = mix.running / np.maximum(mix.stretched_s + mix.first_s, INSTANT)  # requests per second of one rank
    queue = np.maximum(asked - mix.running, 0.0) / rate
    return state_of(mix, times, placement, load, rate * np.minimum(asked, 1.0), mix.first_s + queue, queue)


def state_of(
    mix: Interleaved,
    times: StepTimes,
    placement: Placement,
    load: Load,
    rate: FloatArray,
    ttft: FloatArray,
    queue: FloatArray,
) -> SteadyState:
    """The answer of both loops: ``rate`` requests/s of one rank, whose requests wait ``ttft`` [s], ``queue`` of it for a
    place in the batch."""
    output = np.maximum(as_float(load.output_tokens), 1.0)
    total = rate * as_float(placement.dp)
    there = np.minimum(as_float(load.concurrency), 1.0)
    share = np.minimum(rate / np.maximum(there, INSTANT) * mix.service_s, 1.0)
    return SteadyState(
        ttft_s=ttft,
        tpot_s=mix.stretched_s / np.maximum(output - 1.0, 1.0),
        requests_per_s=total,
        output_tokens_per_s=total * output,
        total_tokens_per_s=total * (output + load.input_tokens),
        decode_step_s=mix.decode_s,
        prefill_s=times.prefill.alone_s,
        prefill_share=np.where(decode_steps(load) > 0, share, 1.0),
        running=np.minimum(mix.running, load.concurrency),
        decoding=mix.decoding,
        queue_wait_s=queue,
        end_to_end_s=ttft + mix.stretched_s,
    )


def step_times(
    model: StepModel, placement: Placement, load: Load, batching: Batching, table: DecodeTable | None = None
) -> StepTimes:
    """What the step model says of ``concurrency`` requests per rank in flight. table: see ``steady_state``."""
    running = in_flight(load)
    pp, context = as_float(placement.pp), load.decode_context

    def decode(batch: FloatArray) -> FloatArray:
        if table is not None:
            return table(batch, context)
        shape = StepShape(decode_seqs=batch, decode_context=context, tokens_per_decode=load.verified_tokens)
        return model.seconds(shape, placement) + load.draft_s

    # A pipeline holds pp micro-batches, each passing all stages.
    micro = np.minimum(running / pp, decode_cap(load, batching))
    decode_s = decode(micro)
    prefill = prefill_times(model, placement, load, batching, micro, decode_s, running / pp)
    return StepTimes(decode_s, decode(micro / 2), prefill, micro * pp)


def interleaved(
    model: StepModel,
    placement: Placement,
    load: Load,
    batching: Batching,
    table: DecodeTable | None = None,
    rounds: int = 4,
) -> tuple[Interleaved, StepTimes]:
    """``interleave`` on the step model's times, and these.

    Where outputs are short, prompts enter steps in groups whose size jumps with the load and the output. A load or an output
    that is less by one can then take longer, by some per cent; so decode and first token are at least those of the lesser
    loads, and the whole cycle at least that of the lesser outputs (``LOADS``, ``OUTPUTS``).
    """
    times = step_times(model, placement, load, batching, table)
    mix = interleave(times, placement, load, batching, rounds)
    if not np.any(as_float(load.output_tokens) < SHORT_OUTPUT):
        return mix, times
    axes = (1,) * np.ndim(mix.first_s)
    lesser = replace(
        load,
        concurrency=np.minimum(LOADS.reshape(-1, 1, *axes), load.concurrency),
        output_tokens=np.minimum(OUTPUTS.reshape(-1, *axes), load.output_tokens),
    )
    less = interleave(step_times(model, placement, lesser, batching, table), placement, lesser, batching, rounds)
    # Axis 0: loads, rising to the one asked; axis 1: outputs, likewise.
    first, stretched = (
        np.maximum.accumulate(part, axis=0) for part in np.broadcast_arrays(less.first_s, less.stretched_s)
    )
    cycle = np.max(first + stretched, axis=1)
    first, stretched = np.max(cycle - stretched[:, -1], axis=0), np.maximum(stretched[-1, -1], mix.stretched_s)
    first = np.maximum(first, mix.first_s)
    # No load carries fewer requests than a lesser one: the engine could run as few.
    each = np.min((cycle / less.running[:, -1]), axis=0)
    fewer = np.minimum(each * mix.running / np.maximum(first + stretched, INSTANT), 1.0)
    first, stretched = first * fewer, stretched * fewer
    short = as_float(load.output_tokens) < SHORT_OUTPUT
    held = replace(mix, stretched_s=stretched, waiting_s=mix.waiting_s + first - mix.first_s)
    return replace(
        mix,
        stretched_s=np.where(short, held.stretched_s, mix.stretched_s),
        waiting_s=np.where(short, held.waiting_s, mix.waiting_s),
    ), times


def steady_state(
    model: StepModel,
    placement: Placement,
    load: Load,
    batching: Batching,
    table: DecodeTable | None = None,
    rounds: int = 4,
) -> SteadyState:
    """The means that ``concurrency`` requests per rank settle to. See the module's text for the formulas.

    table(batch, context) may replace the step model's own decode time [s].
    """
    mix, times = interleaved(model, placement, load, batching, table, rounds)
    return closed_state(mix, times, placement, load)


def _overlap(duration: FloatArray, service: FloatArray) -> FloatArray:
    """Share of the others' prefills that can fall into a decode phase: none when there is no decode phase."""
    return duration / np.maximum(duration + service, INSTANT)
