"""What one replica does as its load grows: rate, TTFT and TPOT against the number of decoding sequences.

Requests arrive at random (Poisson); per data-parallel rank, with B sequences decoding, decode step ``h(B)``, marginal
prefill time ``m`` of a prompt and O output tokens, the rate that keeps B sequences decoding is

``r = B / ((O-1) h(B) / a + B m)``, a = tokens gained per step, and prefill takes the share ``rho = r m`` of the time.

A token then takes ``h / (1 - rho)`` (mixed steps stretch decode; prefill first interrupts it). A prompt waits for the
prompts before it (Pollaczek-Khinchine, ``r m^2 (1 + c^2) / (2 (1 - rho))``) and for the step in progress; the wait's
95th percentile is that of an exponential of the same mean. All arrays; the last axis is the load.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sizing.arrays import FloatArray, as_float
from sizing.engine.placement import Placement
from sizing.operations import StepShape
from sizing.serving.grids import FineGrid
from sizing.serving.terms import Batching, Load, prefill_times
from sizing.step import StepModel

Z95 = 1.645  # 95th percentile of a standard normal
EXPONENTIAL_95 = 2.996  # ln 20: 95th percentile of an exponential, in means


@dataclass(frozen=True, slots=True)
class LoadCurve:
    """Points of rising load of one replica (all its data-parallel ranks); seconds and requests/s."""

    batch: FloatArray  # decoding sequences per rank
    requests_per_s: FloatArray
    ttft_s: FloatArray
    ttft_p95_s: FloatArray
    tpot_s: FloatArray
    tpot_p95_s: FloatArray
    decode_step_s: FloatArray
    prefill_s: FloatArray
    prefill_share: FloatArray
    concurrency: FloatArray  # requests held by the whole replica, in prefill or decode

    def end_to_end_s(self, output_tokens: float) -> FloatArray:
        """Mean time of a whole request."""
        return self.ttft_s + self.tpot_s * max(output_tokens - 1.0, 0.0)


@dataclass(frozen=True, slots=True)
class PhaseTimes:
    """What steps take at each point of load [s]: a decode step, a prompt alone, a prompt's addition to the steps that
    carry it, and the time that passes from its first chunk to its first token."""

    decode_s: FloatArray
    alone_s: FloatArray
    marginal_s: FloatArray
    in_batch_s: FloatArray


def phase_times(step: StepModel, placement: Placement, load: Load, batching: Batching, batch: FloatArray) -> PhaseTimes:
    """The times of both phases over ``batch`` (decoding sequences per rank), from the step model itself."""
    output = np.maximum(as_float(load.output_tokens), 1.0)
    context = as_float(load.input_tokens) + output / 2
    micro = np.maximum(batch / as_float(placement.pp), 1e-3)
    decode = step.seconds(
        StepShape(decode_seqs=micro, decode_context=context, tokens_per_decode=load.verified_tokens), placement
    ) + as_float(load.draft_s)
    times = prefill_times(step, placement, load, batching, micro, decode)
    return PhaseTimes(
        decode_s=decode,
        alone_s=np.broadcast_to(times.alone_s, decode.shape),
        marginal_s=np.broadcast_to(times.marginal_s, decode.shape),
        in_batch_s=np.broadcast_to(times.in_batch_s, decode.shape),
    )


def curve_of(
    times: PhaseTimes,
    placement: Placement,
    load: Load,
    batching: Batching,
    batch: FloatArray,
    *,
    input_scv: float = 0.0,
) -> LoadCurve:
    """The curve that step times of both phases give; see the module's text for the formulas."""
    output = np.maximum(as_float(load.output_tokens), 1.0)
    steps = np.maximum(output - 1.0, 0.0) / load.tokens_per_step
    pp, dp = as_float(placement.pp), as_float(placement.dp)
    decode = times.decode_s
    service = np.maximum(times.marginal_s / pp, 1e-9)
    rate = batch / np.maximum(steps * decode + batch * service, 1e-12)
    rho = np.minimum(rate * service, 0.9999)
    free = 1.0 - rho
    tpot = decode / load.tokens_per_step / free
    queue = rate * service**2 * ((1.0 + input_scv) / 2.0) / free
    wait = queue + (0.5 + rho) * decode
    first = times.in_batch_s + batching.fixed_ttft_s
    made = np.maximum(output - 1.0, 1.0)
    # Prefills that fall among a request's steps: Poisson in number, each as long as a prompt.
    spread = service * np.sqrt(rate * decode * ((1.0 + input_scv) / made) / (free * free * free))
    held = rate * (first + wait + tpot * made)
    return LoadCurve(
        batch=np.broadcast_to(batch, rate.shape),
        requests_per_s=rate * dp,
        ttft_s=first + wait,
        ttft_p95_s=first * (1.0 + Z95 * np.sqrt(input_scv)) + EXPONENTIAL_95 * wait,
        tpot_s=tpot,
        tpot_p95_s=tpot + Z95 * spread,
        decode_step_s=decode,
        prefill_s=times.alone_s,
        prefill_share=rho,
        concurrency=held * dp,
    )


def load_curve(
    step: StepModel,
    placement: Placement,
    load: Load,
    batching: Batching,
    batch: FloatArray,
    *,
    input_scv: float = 0.0,
) -> LoadCurve:
    """The curve over ``batch`` (decoding sequences per rank; last axis is the load; placements broadcast before it).

    input_scv: squared coefficient of variation of the prompt lengths (0: all equal).
    """
    times = phase_times(step, placement, load, batching, batch)
    return curve_of(times, placement, load, batching, batch, input_scv=input_scv)


def refined(times: PhaseTimes, batch: FloatArray, factor: int) -> tuple[PhaseTimes, FloatArray]:
    """Times tabulated at the nodes ``batch`` (last axis, rising), between them too; and the batches of these points."""
    fine = FineGrid.between(batch, factor)
    names = PhaseTimes.__dataclass_fields__
    return PhaseTimes(**{name: fine.spread(getattr(times, name)) for name in names}), fine.points
