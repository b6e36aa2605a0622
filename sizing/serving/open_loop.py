"""What one replica does as its load grows: rate, TTFT and TPOT against the requests in flight, of every kind of arrival.

The closed loop (``closed_loop``, whose terms are fitted) says what N requests per rank settle to. Who arrives at random
while N others are in flight finds what a closed loop of ``N + 1`` has: the arrival theorem. Who arrives in a closed loop
without thinking finds ``N - 1`` others, and users who think for Z seconds between requests lie between. With R the time of a
whole request, one rule has all three:

``found = N + w``, ``w = Z / (R + Z)``: 1 for random arrivals (Z infinite), 0 without thinking; ``rate = N / R(found)``.

For one server of service time s, R(found) is (N + 1) s and the load rate x s is N / (N + 1): the queue M/M/1. Example:
s = 0.1 s, four in flight: 4 / (5 x 0.1 s) = 8 requests/s, each of which takes 0.5 s.

The batch has room for ``limit`` requests (the cache's, or the engine's own limit), and random arrivals find it full now and
then (``tails.full_batch``). All arrays; the last axis is the load. Percentiles: ``tails``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sizing.base.arrays import FloatArray, Num, as_float
from sizing.coefficients.batching import Batching
from sizing.engine.placement import Placement
from sizing.serving.closed_loop import (
    Interleaved,
    SteadyState,
    interleave,
    interleaved,
    state_of,
    step_times,
)
from sizing.serving.closed_loop import in_flight as in_flight_of
from sizing.serving.grids import FineGrid
from sizing.serving.tails import Lengths, first_token_tail, full_batch, token_tail
from sizing.serving.terms import INSTANT, Load, PrefillTimes, StepTimes, decode_steps, prefill_times
from sizing.step.model import StepModel

RANDOM = np.inf  # seconds of thinking between requests that come at random
MOST_IN_FLIGHT = 0.97  # of the requests that the batch has room for, where they come at random


@dataclass(frozen=True, slots=True)
class LoadCurve:
    """Points of rising load of one replica (all its data-parallel ranks); seconds and requests/s.

    in_flight: requests per rank, in prefill or decode. full_share: of the arrivals, those that find no room in the batch.
    """

    batch: FloatArray  # decoding sequences per rank
    requests_per_s: FloatArray
    ttft_s: FloatArray
    ttft_p95_s: FloatArray
    tpot_s: FloatArray
    tpot_p95_s: FloatArray
    decode_step_s: FloatArray
    prefill_s: FloatArray
    prefill_share: FloatArray  # of the busy time
    busy: FloatArray  # share of the time in which a prompt is read
    concurrency: FloatArray  # requests held by the whole replica, waiting ones included
    in_flight: FloatArray
    full_share: FloatArray

    def end_to_end_s(self, output_tokens: float) -> FloatArray:
        """Mean time of a whole request."""
        return self.ttft_s + self.tpot_s * max(output_tokens - 1.0, 0.0)


def curve_of(
    times: StepTimes,
    mix: Interleaved,
    placement: Placement,
    load: Load,
    in_flight: Num,
    *,
    think_s: float = RANDOM,
    lengths: Lengths | None = None,
    own_s: Num | None = None,
) -> LoadCurve:
    """The curve that step times and the closed loop that arrivals find give; see the module's text for the formulas.

    load: that loop's. in_flight: requests per rank. think_s: between two requests of a user; 0: a closed loop, infinite:
    random arrivals. lengths: how they vary; None: not at all. own_s: time to the first token of a prompt
    whose length is the 95th percentile (``long_prompt``); None: of the mean.
    """
    lengths = lengths or Lengths()
    whole = np.maximum(mix.stretched_s + mix.first_s, INSTANT)
    chance = as_float(1.0 if np.isinf(think_s) else think_s / (whole + think_s))
    asked = as_float(in_flight)
    # Users find less than random arrivals do: so many are in flight when a loop of that size is found.
    held = np.minimum(asked + (1.0 - chance), load.running_limit) if 0 < think_s < RANDOM else asked
    there = np.ones(whole.shape) if think_s > 0 else np.minimum(asked, 1.0)
    running = held if think_s > 0 else np.minimum(np.maximum(asked, 1.0), np.maximum(as_float(load.running_limit), 1.0))
    rate = running / whole * there  # requests/s of one rank
    full = full_batch(held, whole, load.running_limit, chance, lengths)
    queue = full.wait_s if think_s > 0 else np.maximum(asked - running, 0.0) * whole / running
    made = np.maximum(as_float(load.output_tokens) - 1.0, 1.0)
    busy = np.minimum(rate / np.maximum(there, INSTANT) * mix.service_s, 1.0)
    alone = decode_steps(load) <= 0
    first = first_token_tail(mix, mix.in_batch_s if own_s is None else own_s, full, rate, chance, lengths)
    return LoadCurve(
        batch=np.minimum(rate * mix.stretched_s, running),
        requests_per_s=rate * as_float(placement.dp),
        ttft_s=mix.first_s + queue,
        ttft_p95_s=first + (0.0 if think_s > 0 else queue),
        tpot_s=np.where(alone, 0.0, mix.stretched_s / made),
        tpot_p95_s=np.where(alone, 0.0, token_tail(mix, times, rate, chance, load, lengths)),
        decode_step_s=mix.decode_s,
        prefill_s=np.broadcast_to(times.prefill.alone_s, rate.shape),
        prefill_share=np.where(alone, 1.0, busy),
        busy=busy,
        concurrency=(held + (rate * queue if think_s > 0 else 0.0)) * as_float(placement.dp),
        in_flight=np.broadcast_to(held, rate.shape),
        full_share=np.broadcast_to(full.share, rate.shape),
    )


def found_in_flight(load: Load, in_flight: Num, think_s: float = RANDOM) -> FloatArray:
    """Requests per rank that an arrival finds, itself included, with ``in_flight`` in the mean (with users: the most that it
    may be): no more than the batch has room for."""
    found = as_float(in_flight) + (1.0 if think_s > 0 else 0.0)
    return np.minimum(found, np.maximum(as_float(load.running_limit), 1.0)) if think_s > 0 else found


def long_prompt(
    step: StepModel, placement: Placement, load: Load, batching: Batching, times: StepTimes, lengths: Lengths | None
) -> FloatArray:
    """Seconds from the first chunk to the first token of a prompt whose length is the 95th percentile."""
    longer = 1.0 if lengths is None else lengths.input_p95
    if longer <= 1.0:
        return times.prefill.in_batch_s
    longest = replace(
        load,
        input_tokens=as_float(load.input_tokens) * longer,
        cached_tokens=as_float(load.cached_tokens) * longer,
        held=load.decode_context,
    )
    micro = in_flight_of(load) if times.batch is None else times.batch
    micro = micro / as_float(placement.pp)
    return prefill_times(step, placement, longest, batching, micro, times.decode_s, 1.0).in_batch_s


def load_curve(
    step: StepModel,
    placement: Placement,
    load: Load,
    batching: Batching,
    in_flight: FloatArray,
    *,
    think_s: float = RANDOM,
    lengths: Lengths | None = None,
) -> LoadCurve:
    """The curve over ``in_flight`` requests per rank (last axis; placements before it), from the step model itself."""
    found = replace(load, concurrency=found_in_flight(load, in_flight, think_s))
    mix, times = interleaved(step, placement, found, batching)
    own = long_prompt(step, placement, found, batching, times, lengths)
    return curve_of(times, mix, placement, found, in_flight, think_s=think_s, lengths=lengths, own_s=own)


def tabulated_curve(
    step: StepModel,
    placement: Placement,
    load: Load,
    batching: Batching,
    nodes: FloatArray,
    factor: int,
    *,
    think_s: float = RANDOM,
    lengths: Lengths | None = None,
) -> LoadCurve:
    """``load_curve`` at ``factor`` points between the nodes (last axis, rising), from step times at the nodes alone."""
    fine = FineGrid.between(nodes, factor)
    table = step_times(step, placement, replace(load, concurrency=found_in_flight(load, nodes, think_s)), batching)
    shape = nodes.shape

    def spread(values: Num) -> FloatArray:
        return fine.spread(np.broadcast_to(as_float(values), shape))

    prefill = PrefillTimes(*(spread(getattr(table.prefill, name)) for name in PrefillTimes.__dataclass_fields__))
    batch = None if table.batch is None else spread(table.batch)
    times = StepTimes(spread(table.decode_s), spread(table.decode_half_s), prefill, batch)
    found = replace(load, concurrency=found_in_flight(load, fine.points, think_s))
    mix = interleave(times, placement, found, batching)
    own = spread(long_prompt(step, placement, replace(load, concurrency=nodes), batching, table, lengths))
    return curve_of(times, mix, placement, found, fine.points, think_s=think_s, lengths=lengths, own_s=own)


def open_state(step: StepModel, placement: Placement, load: Load, batching: Batching, in_flight: Num) -> SteadyState:
    """The means with ``in_flight`` requests per rank and random arrivals: ``steady_state`` of an open loop."""
    found = replace(load, concurrency=found_in_flight(load, in_flight))
    mix, times = interleaved(step, placement, found, batching)
    curve = curve_of(times, mix, placement, found, in_flight)
    held = replace(load, concurrency=curve.concurrency / as_float(placement.dp))
    rate = curve.requests_per_s / as_float(placement.dp)
    state = state_of(mix, times, placement, held, rate, curve.ttft_s, curve.ttft_s - mix.first_s)
    return replace(
        state, prefill_share=curve.prefill_share, decoding=np.maximum(curve.batch, np.minimum(1.0, mix.decoding))
    )
