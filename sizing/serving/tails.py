"""Percentiles of TTFT and TPOT, of all arrivals: the one place that knows how far the late ones lie from the mean.

A first token is late for three reasons: its own prompt is long, other prompts and a step stand before it, and the batch has
no room. A request's tokens are slow for two: other prompts fall among them (the fewer tokens, the less that evens out), and
the batch is larger than in the mean. Independent parts add in quadrature.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sizing.base.arrays import FloatArray, Num, as_float
from sizing.serving.closed_loop import Interleaved
from sizing.serving.terms import INSTANT, Load, StepTimes

Z95 = 1.645  # 95th percentile of a standard normal
EXPONENTIAL_95 = 2.996  # ln 20: 95th percentile of an exponential, in means
SKEWED_95 = 1.9  # 95th percentile in deviations of a sum of few waits: a normal has 1.645, an exponential 2.0
LATE = 0.05  # share of the requests beyond the 95th percentile
OVER_A_LIFE = 0.74  # variance of a load's mean over a request's life, in its variance: 2 / e for lives of equal length


@dataclass(frozen=True, slots=True)
class Lengths:
    """How requests vary.

    input_scv, held_scv: squared coefficients of variation of the prompt, and of the cache that a running request holds.
    input_p95: 95th percentile of the prompt over its mean. brief: mean of 1 / (output - 1), in 1 / its mean.
    """

    input_scv: float = 0.0
    input_p95: float = 1.0
    held_scv: float = 0.0
    brief: float = 1.0


def lengths_of(input_tokens: Num, output_tokens: Num) -> Lengths:
    """The variation of requests of these (equally likely) lengths [tokens]."""
    given, made = as_float(input_tokens), np.maximum(as_float(output_tokens) - 1.0, 0.0)
    stay = made if np.any(made > 0) else given
    held = given + made / 2
    mean = np.average(held, weights=stay)
    several = made[made > 0]
    return Lengths(
        input_scv=float(np.var(given) / np.mean(given) ** 2),
        input_p95=float(np.percentile(given, 95) / np.mean(given)),
        held_scv=float(np.average((held - mean) ** 2, weights=stay) / mean**2),
        brief=float(np.mean(1.0 / several) * np.mean(several)) if several.size else 1.0,
    )


@dataclass(frozen=True, slots=True)
class FullBatch:
    """Arrivals that find no room in the batch: their share, their mean wait [s] and that of all arrivals."""

    share: FloatArray
    late_s: FloatArray

    @property
    def wait_s(self) -> FloatArray:
        """Mean wait for room, of all arrivals [s]."""
        return self.share * self.late_s


def full_batch(running: Num, stay_s: Num, limit: Num, chance: Num, lengths: Lengths) -> FullBatch:
    """How often ``running`` requests in the mean fill a batch of ``limit``, and how long one waits then.

    The queue of many servers in Halfin and Whitt's limit: with ``b`` deviations of what runs between mean and limit,
    ``share = 1 / (1 + b Phi(b) / phi(b))``; who waits does so for ``stay / (limit - running)`` in the mean. Sizes that vary
    widen the deviation: ``sqrt(running (1 + scv))``. chance: 0 where the number in flight is fixed. Example: 80 running of
    100: b = 2.24, one arrival in 68 waits.
    """
    mean, most = as_float(running), as_float(limit)
    free = np.maximum(most - mean, 1e-3 * np.maximum(most, 1.0))
    free = np.where(np.isfinite(free), free, np.maximum(mean, 1.0) * 1e6)
    spread = np.sqrt(np.maximum(mean, INSTANT) * (1.0 + lengths.held_scv))
    b = np.minimum(free / spread, 8.0)
    density = np.exp(-b * b / 2) / np.sqrt(2 * np.pi)
    share = chance * density / (density + b * _below(b))
    return FullBatch(share, as_float(stay_s) / free)


def _below(b: FloatArray) -> FloatArray:
    """The normal distribution at b >= 0, by Abramowitz and Stegun 26.2.17 (error below 1e-7)."""
    t = 1.0 / (1.0 + 0.2316419 * b)
    poly = t * (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
    return np.asarray(1.0 - np.exp(-b * b / 2) / np.sqrt(2 * np.pi) * poly)


def first_token_tail(
    mix: Interleaved, own_s: Num, full: FullBatch, rate: FloatArray, chance: Num, lengths: Lengths
) -> FloatArray:
    """95th percentile of TTFT [s].

    The own prompt takes ``own_s`` where its length is the 95th percentile's; the queue of prompts is an exponential of
    Pollaczek and Khinchine's mean, of those that wait at all (the load ``rho``, in steps full of prompts); a step in
    progress is evenly spread; room in the batch: ``full_batch``.
    """
    rho = np.minimum(rate * mix.slot_s, 0.95)
    behind = mix.slot_s * (1.0 + lengths.input_scv) / 2.0 / (1.0 - rho)  # mean wait of those that wait
    queue = behind * np.log(np.maximum(rho / LATE, 1.0)) * (as_float(chance) > 0)
    own = np.maximum(as_float(own_s) - mix.in_batch_s, 0.0)
    mean = np.where(as_float(chance) > 0, np.maximum(rho * behind, mix.waiting_s), mix.waiting_s)
    # In a closed loop so many prompts stand before mine: their number varies as Poisson's, and each by its length.
    closed = Z95 * np.sqrt(mean * mix.service_s * (1.0 + lengths.input_scv))
    late = np.where(as_float(chance) > 0, queue - mean, np.minimum(closed, (EXPONENTIAL_95 - 1.0) * mean))
    step = 0.9 * mix.step_wait_s
    room = full.late_s * np.log(np.maximum(full.share / LATE, 1.0))
    first = mix.first_s + mean - mix.waiting_s
    return np.asarray(first + np.sqrt(own**2 + np.maximum(late, 0.0) ** 2 + step**2 + room**2))


def token_tail(
    mix: Interleaved,
    times: StepTimes,
    rate: FloatArray,
    chance: Num,
    load: Load,
    lengths: Lengths,
) -> FloatArray:
    """95th percentile of TPOT [s].

    Prompts fall among a request's steps, Poisson in number and each of its own length, and make room for more of them: with
    the load rho of prompts, the variance of a time that they stretch is that of their work over ``(1 - rho)^2``. The batch
    varies by ``decoding / elasticity``, the elasticity of the rate that it carries.
    """
    made = np.maximum(as_float(load.output_tokens) - 1.0, 1.0)
    tpot, random = mix.stretched_s / made, as_float(chance)
    free = 1.0 - np.minimum(rate * mix.service_s, 0.95)
    prompts = rate * mix.service_s**2 * (1.0 + lengths.input_scv) * lengths.brief * tpot / made / free**2
    batch = mix.running if times.batch is None else times.batch
    each = (times.decode_s - times.decode_half_s) / np.maximum(batch / 2, INSTANT)  # of one more sequence in a step
    grows = np.minimum(each * mix.decoding / np.maximum(mix.decode_s, INSTANT), 0.95)
    slope = each * tpot / np.maximum(mix.decode_s, INSTANT)
    crowd = OVER_A_LIFE * random * mix.decoding / (free * (1.0 - grows)) * slope**2
    shared = mix.decode_s / load.tokens_per_step / free  # all prompts fall into someone's decode
    mean = np.where(random > 0, np.maximum(tpot, shared), tpot)
    return mean + SKEWED_95 * np.sqrt(np.maximum(prompts + crowd, 0.0))
