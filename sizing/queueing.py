"""Closed form of what requests feel under load: TTFT and TPOT percentiles of a replica, on arrays.

A replica's steps are described by a few numbers (:class:`ReplicaService`), the demand by rate and moments
(:class:`Demand`); everything broadcasts. Notation: rate r, prompt tokens to compute p, output tokens O,
decode step h(B) = fixed + B * per_sequence, prefill seconds per token d, token budget of a step N.

**Cycle.** Prompts arrive as a Poisson stream of work X = d*p. With mixed steps every step is one cycle: what
has come in during a step is computed in the next one. That is a gated queue whose switchover is the decode
step: mean step E[C] = h/(1-rho), Var[C] = r E[X^2] E[C]/(1-rho^2), rho = r E[X]. With prefill first, prompts
have non-preemptive priority over decode steps: a queue with vacations h. A token takes h/(1-rho) on average
in both, so B = r ((O-1) h(B) + behind)/(1-rho), behind as under TPOT: a linear equation (Little's law).

**Chunks and batches.** A prompt longer than the budget left (N - B) has floor(p/(N-B)) steps more, h seconds
each (mixed) or the prefill step's fixed time each (prefill first), which are part of X. In prefill first a
batch's fixed time is shared by those that came during the step before: with x = r * (mean step seen), a
request pays (1-exp(-x))/x of it.

**TTFT** = slot wait + wait V + own prefill. V has the Pollaczek-Khinchine wait r E[X^2]/(2(1-rho)) (second
moment 2W^2 + r E[X^3]/(3(1-rho))), the residual of the step in progress and, as a batch's requests end
together, the prompts behind in the same batch; it is taken as gamma-distributed
with these two moments (the queue; the rest at its mean), for
intervals that are not Poisson scaled by (ca^2 + cs^2)/(1 + cs^2) (Allen-Cunneen). Own prefill has the
distribution of the prompts. The slot wait is that of a birth-death chain in the number of requests n with the
completion rate n/S(n) of a closed loop of n requests (flow-equivalent server), S(n) = O h(n) + n d p:
processor sharing, insensitive to the distribution of O. Arrivals that find all slots taken wait
exponentially, scaled by (ca^2 + cs^2)/2 (Allen-Cunneen). Where the cache sets the slots their number is
itself random; the chain is averaged over it.

**TPOT** has the mean h(B seen)/(1-rho) plus, over the O-1 steps, the prompts that came while the request
itself was in prefill, rho * sojourn/(1-rho). In mixed steps rho is r*d*p here: chunks' further steps also
decode. Its variance is that of B over a request's life, of the prefill that falls among its O-1 steps,
r h E[X^2]/((1-rho)^3 (O-1)), and of those prompts; a gamma per output length, mixed over output lengths.

Validity (tests/test_queueing.py, chat, retrieval and long answers, both schedulings, up to 80 % of the
capacity): capacity within 4 %, means within 16 %, TTFT p50 and p95 within 20 %, TPOT p95 within 10 %; p99 is
up to 26 % low. Where the cache rather than max_num_seqs sets few slots (some 25), TTFT p95 is right up to 70
% of the capacity and 40 % low at 80 %: simulate those. Not for closed loops, on/off arrivals, or a cache in
which requests are preempted again and again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from sizing.errors import SizingError
from sizing.normal import gamma_quantile, lognormal_grid

Array = npt.NDArray[np.float64]
ArrayLike = float | npt.NDArray[np.float64]

_GRID = (np.arange(32) + 0.5) / 32
_TAIL = (np.arange(128) + 0.5) / 128
_LIFE = 0.74  # share of Var[B] left after averaging over a request's life: 2/e for an exponential correlation


@dataclass(frozen=True)
class ReplicaService:
    """One replica. Seconds, tokens; fields are scalars or arrays that broadcast.

    ``decode_fixed_s``, ``decode_per_sequence_s``: a decode step is the first + sequences * the second, at the
    workload's mean context, around the expected batch. ``prefill_s_per_token``: what a prompt token adds to a
    step. ``prefill_fixed_s``: the fixed time of a step with prompts only (prefill first). ``token_budget``:
    of a step. ``slots``: requests at once: the lesser of max_num_seqs and cache tokens over the mean tokens
    of a request; where the cache is the limit ``slots_scv`` is the squared coefficient of variation of a
    request's tokens in it, as large requests at once leave fewer slots.
    """

    decode_fixed_s: ArrayLike
    decode_per_sequence_s: ArrayLike
    prefill_s_per_token: ArrayLike
    token_budget: ArrayLike
    slots: ArrayLike
    slots_scv: ArrayLike = 0.0
    prefill_fixed_s: ArrayLike = 0.0
    scheduling: Literal["mixed", "prefill_first"] = "mixed"


@dataclass(frozen=True)
class Demand:
    """What one replica is asked: ``requests_per_s``; prompt tokens to compute (cached ones left out) and
    output tokens with means and squared coefficients of variation (taken as lognormal); ``interval_scv`` 1 is
    Poisson.

    ``prefill_tokens_grid``: equally likely prompt lengths on the last axis instead of the lognormal.
    """

    requests_per_s: ArrayLike
    prefill_tokens_mean: ArrayLike
    output_tokens_mean: ArrayLike
    prefill_tokens_scv: ArrayLike = 0.0
    output_tokens_scv: ArrayLike = 0.0
    interval_scv: ArrayLike = 1.0
    prefill_tokens_grid: Array | None = None


@dataclass(frozen=True)
class LatencyEstimate:
    """Percentiles by level (``{95: array}``), seconds; infinite where the rate is above the capacity.

    ``capacity_requests_per_s``: the largest rate with all slots (or the whole token budget) in use;
    ``requests_per_s``: the rate served; ``load``: asked over capacity; ``running``: mean decoding sequences;
    ``prefill_load``: rho; ``slot_wait_probability``: share of requests that wait for a slot.
    """

    ttft_s: dict[float, Array]
    tpot_s: dict[float, Array]
    ttft_mean_s: Array
    tpot_mean_s: Array
    requests_per_s: Array
    capacity_requests_per_s: Array
    load: Array
    running: Array
    prefill_load: Array
    slot_wait_probability: Array


def _positive(name: str, value: Any, *, zero: bool = False) -> Array:
    found = np.asarray(value, dtype=np.float64)
    if not np.all(np.isfinite(found)) or np.any(found < 0) or (not zero and np.any(found == 0)):
        raise SizingError("must be finite and " + ("at least 0" if zero else "above 0"), key=name)
    return found


@dataclass(frozen=True)
class _Inputs:
    """Checked and broadcast to one shape; ``tokens`` has one axis more."""

    rate: Array
    output: Array
    output_scv: Array
    interval_scv: Array
    fixed: Array
    slope: Array
    per_token: Array
    batch_fixed: Array
    budget: Array
    slots: Array
    slots_scv: Array
    tokens: Array
    cubes: tuple[Array, Array]  # E[p^2], E[p^3] corrected for what the grid's tail leaves out
    mixed: bool


def _inputs(service: ReplicaService, demand: Demand) -> _Inputs:
    if service.scheduling not in ("mixed", "prefill_first"):
        raise SizingError(f"unknown {service.scheduling!r}", key="scheduling", hint="mixed or prefill_first")
    named = {
        "rate": _positive("requests_per_s", demand.requests_per_s),
        "output": np.maximum(_positive("output_tokens_mean", demand.output_tokens_mean), 1.0),
        "output_scv": _positive("output_tokens_scv", demand.output_tokens_scv, zero=True),
        "interval_scv": _positive("interval_scv", demand.interval_scv, zero=True),
        "fixed": _positive("decode_fixed_s", service.decode_fixed_s),
        "slope": _positive("decode_per_sequence_s", service.decode_per_sequence_s, zero=True),
        "per_token": _positive("prefill_s_per_token", service.prefill_s_per_token),
        "batch_fixed": _positive("prefill_fixed_s", service.prefill_fixed_s, zero=True),
        "budget": _positive("token_budget", service.token_budget),
        "slots_scv": _positive("slots_scv", service.slots_scv, zero=True),
        "slots": np.maximum(np.floor(_positive("slots", service.slots)), 1.0),
    }
    mean = _positive("prefill_tokens_mean", demand.prefill_tokens_mean)
    scv = _positive("prefill_tokens_scv", demand.prefill_tokens_scv, zero=True)
    if demand.prefill_tokens_grid is not None:
        tokens = _positive("prefill_tokens_grid", demand.prefill_tokens_grid)
        second, third = (tokens**2).mean(axis=-1), (tokens**3).mean(axis=-1)
    else:
        tokens = lognormal_grid(mean, scv, 64)
        second, third = mean**2 * (1 + scv), mean**3 * (1 + scv) ** 3
    shape = np.broadcast_shapes(tokens.shape[:-1], *(value.shape for value in named.values()))
    flat = {key: np.broadcast_to(value, shape) for key, value in named.items()}
    moments = (np.broadcast_to(second, shape), np.broadcast_to(third, shape))
    return _Inputs(
        **flat,
        tokens=np.broadcast_to(tokens, (*shape, tokens.shape[-1])),
        cubes=moments,
        mixed=service.scheduling == "mixed",
    )


@dataclass(frozen=True)
class _Prefill:
    """Prefill at a given number of decoding sequences: own work by prompt (last axis), load, moments."""

    step: Array  # h, seconds
    own: Array  # X by prompt: seconds that a request keeps the others waiting
    overhead: Array  # seconds of fixed time that a request has of its own on top, not part of X
    load: Array  # rho of the prefill queue
    share: Array  # rho of decoding: time taken from a decode step's own
    first: Array  # E[X], E[X^2], E[X^3]
    second: Array
    third: Array
    chunks: Array  # mean steps of a prompt


def _prefill(x: _Inputs, rate: Array, running: Array) -> _Prefill:
    step = x.fixed + x.slope * running
    mean_tokens = x.tokens.mean(axis=-1)
    if x.mixed:
        room = np.maximum(x.budget - running, 1.0)
        fixed, share = step, np.zeros_like(step)
    else:
        room = x.budget
        fixed = x.batch_fixed
        load = np.clip(rate * (x.per_token * mean_tokens + fixed), 0, 0.95)
        alone = fixed + x.per_token * mean_tokens
        seen = np.maximum(rate * ((1 - load) * step + load * alone), 1e-9)
        share = -np.expm1(-seen) / seen
    extra = np.maximum(np.ceil(x.tokens / room[..., None]) - 1, 0)
    own = x.per_token[..., None] * x.tokens + fixed[..., None] * (extra + share[..., None])
    # Moments from the grid, with the tail that a lognormal has beyond it.
    second = (own**2).mean(axis=-1) * x.cubes[0] / (x.tokens**2).mean(axis=-1)
    third = (own**3).mean(axis=-1) * x.cubes[1] / (x.tokens**3).mean(axis=-1)
    first = own.mean(axis=-1)
    overhead = fixed * (1 - share)
    taken = rate * x.per_token * mean_tokens if x.mixed else rate * first
    return _Prefill(step, own, overhead, rate * first, taken, first, second, third, 1 + extra.mean(axis=-1))


def _running(x: _Inputs, rate: Array, share: Array, behind: Array) -> Array:
    """B = r ((O-1) h(B) + behind)/(1-rho), at most the slots."""
    need = rate * np.maximum(x.output - 1, 0)
    free = 1 - share - need * x.slope
    with np.errstate(divide="ignore", invalid="ignore"):
        found = (need * x.fixed + rate * behind) / np.maximum(free, 1e-12)
        return np.where(free > 0, np.minimum(found, x.slots), x.slots)


def _capacity(x: _Inputs) -> Array:
    """Largest rate: all slots decode (or the whole budget is used), every request takes O steps and its
    prefill.
    """
    mean_tokens = x.tokens.mean(axis=-1)
    batch = x.slots
    if x.mixed:
        batch = np.minimum(batch, x.budget * x.output / (mean_tokens + x.output))
    batch = np.maximum(batch, 1.0)
    step = x.fixed + x.slope * batch
    rate = batch / (x.output * step + batch * x.per_token * mean_tokens)
    for _ in range(20):  # the prefill's fixed time depends on the rate
        found = _prefill(x, rate, batch)
        # In mixed steps a full budget's overhead is the decode step itself, which O*h has already.
        own = x.per_token * mean_tokens if x.mixed else found.first
        rate = 0.5 * rate + 0.5 * batch / (x.output * step + batch * own)
    return np.asarray(rate)


@dataclass(frozen=True)
class _Wait:
    """V: the prefill queue (mean, variance) and the rest: residual step and batch mates; seconds."""

    queue: Array
    queue_variance: Array
    residual: Array
    behind: Array


def _wait(x: _Inputs, rate: Array, p: _Prefill) -> _Wait:
    """Prefill queue, residual of the step in progress, batch mates behind."""
    rho = np.minimum(p.load, 0.999)
    spread = p.second / np.maximum(p.first**2, 1e-300)
    bursty = np.maximum((x.interval_scv + spread - 1) / np.maximum(spread, 1e-12), 0.02)
    queue = rate * p.second / (2 * (1 - rho)) * bursty
    variance = queue**2 + rate * p.third / (3 * (1 - rho)) * bursty
    if x.mixed:
        gate = 1 / p.chunks
        cycle = p.step / (1 - rho)
        residual = p.step / 2 + cycle * rho * gate
        seen = cycle + rate * p.second / (1 - rho**2)
        most = x.per_token * np.maximum(x.budget - 1, 1.0) / 2
        return _Wait(queue, variance, residual, np.minimum(rho / 2 * seen * gate, most))
    seen = (1 - rho) * p.step + rho * (p.second / np.maximum(p.first, 1e-300))
    mates = rate * seen * x.per_token * x.tokens.mean(axis=-1) / 2
    return _Wait(queue, variance, p.step / 2, np.minimum(mates, x.per_token * x.budget / 2))


@dataclass(frozen=True)
class _Slots:
    """The birth-death chain of requests at once."""

    seen_mean: Array  # B that a request sees, itself included
    variance: Array
    wait_probability: Array
    wait_mean: Array  # seconds, of those that wait


def _slots(x: _Inputs, rate: Array, work: Array) -> _Slots:
    """The chain, averaged over what the cache holds at the time (three-point Gauss-Hermite)."""
    if not np.any(x.slots_scv):
        return _chain(x, rate, work)
    spread = np.sqrt(3 * x.slots_scv * x.slots)
    parts = [
        _chain(replace(x, slots=np.maximum(np.floor(x.slots + z * spread), 1.0)), rate, work) for z in (-1.0, 0.0, 1.0)
    ]
    weights = (1 / 6, 2 / 3, 1 / 6)

    def mean(values: list[Array]) -> Array:
        return np.asarray(sum(w * value for w, value in zip(weights, values, strict=True)))

    probability = mean([part.wait_probability for part in parts])
    wait = mean([part.wait_probability * part.wait_mean for part in parts])
    return _Slots(
        mean([part.seen_mean for part in parts]),
        mean([part.variance for part in parts]),
        probability,
        wait / np.maximum(probability, 1e-300),
    )


def _chain(x: _Inputs, rate: Array, work: Array) -> _Slots:
    """S(n) = O h(n) + n * work: what n requests in a closed loop take each, with ``work`` seconds of
    prefill.
    """
    most = int(min(x.slots.max(), 4096))
    n = np.arange(1, most + 1, dtype=np.float64)
    scale = np.maximum(x.slots / most, 1.0)[..., None]  # thousands of slots: in coarser units
    units = n * scale
    step = x.fixed[..., None] + x.slope[..., None] * units
    service = x.output[..., None] * step + units * work[..., None]
    inside = units <= x.slots[..., None] + 1e-9
    with np.errstate(divide="ignore"):
        log = np.cumsum(np.log(rate[..., None] * service / units) * scale, axis=-1)
    log = np.where(inside, log, -np.inf)
    top = np.maximum(log.max(axis=-1, keepdims=True), 0.0)
    weight = np.exp(log - top)
    last = inside.sum(axis=-1, keepdims=True) - 1
    at_last = np.take_along_axis(weight, last, axis=-1)[..., 0]
    service_last = np.take_along_axis(service, last, axis=-1)[..., 0]
    ratio = rate * service_last / x.slots
    safe = np.minimum(ratio, 0.999)
    waiting = at_last * safe / (1 - safe) / scale[..., 0]
    whole = np.exp(-top[..., 0]) / scale[..., 0] + weight.sum(axis=-1) + waiting
    first = ((weight * units).sum(axis=-1) + waiting * x.slots) / whole
    second = ((weight * units**2).sum(axis=-1) + waiting * x.slots**2) / whole
    # Arrivals see time averages (PASTA): those that find all slots taken wait.
    probability = np.clip((waiting + at_last / scale[..., 0]) / whole, 0, 1)
    bursty = (x.interval_scv + x.output_scv) / 2
    wait = service_last / x.slots / (1 - safe) * np.maximum(bursty, 0.05)
    return _Slots(
        np.minimum(second / np.maximum(first, 1e-12), x.slots),
        np.maximum(second - first**2, 0),
        probability,
        wait,
    )


def _percentiles(values: Array, weights: Array | None, levels: tuple[float, ...]) -> dict[float, Array]:
    """Percentiles along the last axis; ``weights`` (same shape) or equal."""
    if weights is None:
        found = np.percentile(values, levels, axis=-1)
        return {level: np.asarray(found[i]) for i, level in enumerate(levels)}
    order = np.argsort(values, axis=-1)
    ordered = np.take_along_axis(values, order, axis=-1)
    share = np.cumsum(np.take_along_axis(weights, order, axis=-1), axis=-1)
    share /= share[..., -1:]
    result = {}
    for level in levels:
        place = np.minimum((share < level / 100).sum(axis=-1), values.shape[-1] - 1)
        result[level] = np.take_along_axis(ordered, place[..., None], axis=-1)[..., 0]
    return result


def _add_slot_wait(ttft: Array, slots: _Slots, levels: tuple[float, ...]) -> dict[float, Array]:
    """TTFT without slot wait (sorted grid on the last axis) plus 0 or an exponential wait."""
    grid = -np.log1p(-_GRID)
    waits = np.concatenate([[0.0], grid / grid.mean()]) * slots.wait_mean[..., None]
    probability = slots.wait_probability[..., None]
    shares = np.concatenate(
        [1 - probability, np.broadcast_to(probability / len(grid), (*ttft.shape[:-1], len(grid)))], axis=-1
    )
    total = (ttft[..., :, None] + waits[..., None, :]).reshape(*ttft.shape[:-1], -1)
    weights = np.broadcast_to(shares[..., None, :], (*ttft.shape, shares.shape[-1])).reshape(total.shape)
    return _percentiles(total, weights, levels)


def estimate_latency(
    service: ReplicaService, demand: Demand, *, levels: tuple[float, ...] = (50, 90, 95, 99)
) -> LatencyEstimate:
    """TTFT and TPOT percentiles (seconds) and capacity (requests/s) of one replica; broadcasts.

    For R replicas behind a balancing router give a R-th of the rate. Formulas and validity: the module's
    docstring. Raises SizingError for inputs that are not positive and finite.
    """
    x = _inputs(service, demand)
    capacity = _capacity(x)
    stable = x.rate < capacity
    rate = np.minimum(x.rate, 0.999 * capacity)
    running = np.zeros_like(rate)
    behind = np.zeros_like(rate)
    prefill = _prefill(x, rate, running)
    for _ in range(40):
        running = 0.5 * running + 0.5 * _running(x, rate, np.minimum(prefill.share, 0.999), behind)
        prefill = _prefill(x, rate, running)
        wait = _wait(x, rate, prefill)
        own_mean = prefill.first + (prefill.step if x.mixed else prefill.overhead)
        behind = np.minimum(prefill.share, 0.999) * (wait.queue + wait.behind + own_mean)
    share = np.minimum(prefill.share, 0.999)
    own = prefill.own + (prefill.step if x.mixed else prefill.overhead)[..., None]
    prefill_s = wait.queue + wait.residual + wait.behind + own_mean
    work = x.per_token * x.tokens.mean(axis=-1) if x.mixed else prefill.first
    slots = _slots(x, rate, work)

    queue = gamma_quantile(_GRID, wait.queue[..., None], wait.queue_variance[..., None])
    queue = queue * (wait.queue / np.maximum(queue.mean(axis=-1), 1e-300))[..., None]
    queue = queue + (wait.residual + wait.behind)[..., None]
    total = np.sort((own[..., :, None] + queue[..., None, :]).reshape(*rate.shape, -1), axis=-1)
    grid = np.quantile(total, _TAIL, axis=-1)
    ttft = _add_slot_wait(np.moveaxis(grid, 0, -1), slots, levels)
    plain = _percentiles(total, None, levels)
    for level in levels:  # the coarse grid is only for those that wait; without it, the full one
        ttft[level] = np.where(slots.wait_probability < 1e-4, plain[level], ttft[level])

    seen = np.minimum(slots.seen_mean, np.maximum(running + 1, 1))
    step = x.fixed + x.slope * seen
    free = 1 - share
    made = np.maximum(lognormal_grid(x.output, x.output_scv) - 1, 1.0)
    tpot = (step / free)[..., None] + (behind / free)[..., None] / made
    among = (rate * step * prefill.second / free**3)[..., None] / made
    # What came while the request was in prefill is computed before its first tokens, and delays them by
    # chance.
    sojourn = wait.queue + wait.behind + own_mean
    sojourn_var = wait.queue_variance + own.var(axis=-1)
    chance = rate * prefill.second * (sojourn + behind / free) + share**2 * sojourn_var
    start = (chance / free**2)[..., None] / made**2
    batch = (_LIFE * slots.variance * (x.slope / free) ** 2)[..., None]
    spread = gamma_quantile(_GRID, tpot[..., None], (among + start + batch)[..., None])
    tpots = _percentiles(spread.reshape(*rate.shape, -1), None, levels)
    return LatencyEstimate(
        ttft_s={level: np.where(stable, value, np.inf) for level, value in ttft.items()},
        tpot_s=tpots,
        ttft_mean_s=np.where(stable, prefill_s + slots.wait_probability * slots.wait_mean, np.inf),
        tpot_mean_s=tpot.mean(axis=-1),
        requests_per_s=np.minimum(x.rate, capacity),
        capacity_requests_per_s=capacity,
        load=x.rate / capacity,
        running=running,
        prefill_load=prefill.load,
        slot_wait_probability=slots.wait_probability,
    )
