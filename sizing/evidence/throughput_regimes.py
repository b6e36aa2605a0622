"""The arithmetic of each kind of throughput run, on arrays over all questions at once.

One step of ``b`` sequences takes ``d(b)``: the kernels times a multiplier each, ``layer_s`` per layer, ``step_s`` per
step, ``sequence_s`` per sequence. A prompt adds ``m`` to the steps that carry it. The accelerators do one thing at a
time, so ``b`` requests of O output tokens complete in ``O d(b) + b m``; that is the whole model:

* offline: ``b`` is what the cache, max_num_seqs and the number of requests allow; ``R`` requests take
  ``R m + (max(R/b, 1) + tail) O d`` (the tail: the last requests run in a thinning batch);
* closed: ``b`` is the concurrency; static: the batch, prefilled in one piece; single: 1;
* open: the ``b`` whose completion rate is the offered one; under latency limits, the largest ``b`` that meets them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sizing.base.arrays import FloatArray
from sizing.coefficients.overheads import Overheads
from sizing.coefficients.serving import serving_document
from sizing.evidence.throughput_cases import BATCHES, TOKENS, Candidate, Tables
from sizing.serving import held_tokens, prompt_room
from sizing.step.model import total

KIND_CODES = {"offline": 0, "closed": 1, "single": 2, "static": 3, "open": 4}
_TAIL_BATCH = 0.25  # mean batch of the tail, as a share of the full one


@dataclass(frozen=True)
class Regime:
    """Coefficients of one engine (era). Multipliers have no unit, times are seconds.

    gemm, decode_attention, prefill_attention, experts, collectives: on the kernels. prefill: on all that prompt tokens
    add but attention. bridge, bridge_ranks: on collectives through the host's PCIe,
    ``bridge * bridge_ranks^log2(ranks / 4)`` in place of ``collectives``. narrow: on products with weights of 8 bits
    and fewer, beyond gemm. int4_experts: on experts with integer weights of 4 bits. unmeasured: on all kernels of a
    family that nobody measured. layer_s: small kernels and gaps per layer and pass. step_s: host per step. sequence_s:
    host per sequence and step. elementwise: per token and layer, in times of moving one residual row. first_s: fixed
    part of a first token. tail: extra waves at the end of a finite run. occupancy: share of the possible batch that
    runs. reserve: share of the memory model's activations and runtime that the cache goes without. queueing: share of
    the others' prompts that a first token waits for. acceptance: of drafted tokens. slo_share: of the rate that the
    limits would allow at the mean. stable_share: of the largest rate, where the limits allow that.
    """

    gemm: float = 1.0
    decode_attention: float = 1.0
    prefill_attention: float = 1.0
    experts: float = 1.0
    collectives: float = 1.0
    prefill: float = 1.0
    bridge: float = 1.0
    bridge_ranks: float = 1.0
    narrow: float = 1.0
    int4_experts: float = 1.0
    unmeasured: float = 1.0
    layer_s: float = 6e-6
    step_s: float = 5e-4
    sequence_s: float = 3e-6
    elementwise: float = 10.0
    first_s: float = 5e-3
    tail: float = 0.2
    occupancy: float = 0.95
    reserve: float = 1.0
    queueing: float = 0.5
    acceptance: float = 0.6
    slo_share: float = 0.8
    stable_share: float = 0.95


NAMES = tuple(item.name for item in fields(Regime))


@dataclass(frozen=True)
class Questions:
    """One entry per question and candidate placement; NaN where a row states nothing."""

    candidate: NDArray[np.int64]
    kind: NDArray[np.int64]
    concurrency: FloatArray  # of the whole instance
    requests: FloatArray
    rate: FloatArray
    slo_ttft_s: FloatArray
    slo_tpot_s: FloatArray
    cached: FloatArray
    drafts: FloatArray
    accept: FloatArray
    mixed: NDArray[np.bool_]
    reserves: NDArray[np.bool_]


@dataclass(frozen=True)
class Answers:
    """Of the whole instance: requests/s, seconds."""

    requests_per_s: FloatArray
    ttft_s: FloatArray
    tpot_s: FloatArray
    e2e_s: FloatArray
    batch: FloatArray


def _lookup(table: FloatArray, rows: NDArray[np.int64], grid: FloatArray, at: FloatArray) -> FloatArray:
    """``table[row]`` at ``at``, linear between the points of a grid of powers of two, and linear beyond it."""
    at = np.maximum(at, grid[0])
    low = np.clip(np.log2(at).astype(np.int64), 0, grid.size - 2)
    left, right = grid[low], grid[low + 1]
    a, b = table[rows, low], table[rows, low + 1]
    return a + (b - a) * ((at - left) / (right - left))


class Timer:
    """Step times of every question under given coefficients (one ``Regime`` per candidate)."""

    def __init__(self, tables: Tables, candidates: Sequence[Candidate], regimes: Mapping[str, Regime]):
        names = [c.regime for c in candidates]
        every = {name: np.array([getattr(regimes[r], name) for r in names]) for name in NAMES}
        self.every, self.layers = every, tables.layers
        decoding = _overheads(tables, every, np.ones(len(names)))
        steps, pieces = np.zeros((len(names), BATCHES.size)), np.zeros((len(names), TOKENS.size))
        self.decode = steps + total(tables.decode, decoding)
        self.checked = pieces + total(tables.tokens, decoding)  # drafts that are verified
        self.tokens = pieces + total(tables.tokens, _overheads(tables, every, every["prefill"]))
        self.attention = total({"prefill_attention": tables.prefill_attention}, decoding)

    def of(self, name: str, rows: NDArray[np.int64]) -> FloatArray:
        """The coefficient ``name`` of each row's regime, one entry a row."""
        return np.asarray(self.every[name][rows], dtype=np.float64)


def _overheads(tables: Tables, every: Mapping[str, FloatArray], prefill: FloatArray) -> Overheads:
    """Every candidate's regime as what ``step.total`` multiplies; the kernels of prompts by ``prefill`` besides.

    What no regime states (norms, recurrent mixers, quantisation, MXFP4 experts) is as the fit of whole servers has it.
    """
    known = serving_document()["shared"]
    other = prefill * np.where(tables.unmeasured, every["unmeasured"], 1.0)
    bridge = every["bridge"] * every["bridge_ranks"] ** np.log2(np.maximum(tables.ranks, 2.0) / 4.0)
    gemm = other * every["gemm"] * np.where(tables.narrow, every["narrow"], tables.strain)
    experts = other * every["experts"] * np.where(tables.int4_experts, every["int4_experts"], 1.0)
    collectives = other * np.where(tables.pcie, bridge, every["collectives"])
    values = {
        "gemm": gemm, "prefill_gemm": gemm, "quantisation": known["quantisation"] * gemm,
        "experts": experts, "prefill_experts": experts, "collectives": collectives, "prefill_collectives": collectives,
        "attention": other * every["decode_attention"], "prefill_attention": other * every["prefill_attention"],
        "linear": other, "prefill_linear": other,
        **{name: every[name] for name in ("layer_s", "step_s", "sequence_s", "elementwise")},
    }  # fmt: skip
    columns: dict[str, Any] = {name: np.asarray(value)[:, None] for name, value in values.items()}
    return Overheads(
        **columns,
        norm_s=known["norm_us"] * 1e-6,
        linear_layer_s=known["linear_layer_us"] * 1e-6,
        experts_mxfp4=known["experts_mxfp4"],
    )


@dataclass(frozen=True)
class _View:
    """A timer seen from the questions: plain arrays of one length."""

    timer: Timer
    rows: NDArray[np.int64]
    given: FloatArray
    wanted: FloatArray
    budget: FloatArray
    pp: FloatArray
    questions: Questions

    def decode(self, batch: FloatArray) -> FloatArray:
        """Seconds of a step of ``batch`` sequences per rank, drafts verified along."""
        t, rows, q = self.timer, self.rows, self.questions
        b = batch / self.pp
        base = _lookup(t.decode, rows, BATCHES, b)
        checked = b * (1.0 + q.drafts)
        more = _lookup(t.checked, rows, TOKENS, checked) - _lookup(t.checked, rows, TOKENS, b)
        return base + np.where(q.drafts > 0, more + q.drafts * base / t.layers[rows], 0.0)

    def prefill(self, batch: FloatArray, piece: FloatArray, attention: int) -> FloatArray:
        """Seconds that one prompt adds in steps of ``piece`` prompt tokens beside ``batch`` decoding sequences."""
        t, rows, q = self.timer, self.rows, self.questions
        beside = np.where(q.mixed, batch / self.pp, 0.0)
        with_it = _lookup(t.tokens, rows, TOKENS, beside + piece)
        without = np.where(beside > 0, _lookup(t.tokens, rows, TOKENS, beside), 0.0)
        each = np.maximum(with_it - without, 0.0)
        return np.asarray((each * self.given / piece + t.attention[rows, attention]) * (1.0 - q.cached))


def answer(
    questions: Questions, candidates: Sequence[Candidate], tables: Tables, regimes: Mapping[str, Regime]
) -> Answers:
    """Rates and latencies of every question. All arrays have the questions' length."""
    q, rows = questions, questions.candidate
    timer = Timer(tables, candidates, regimes)

    def column(name: str) -> FloatArray:
        return np.array([getattr(c, name) for c in candidates], dtype=np.float64)[rows]

    def placed(name: str) -> FloatArray:
        return np.array([getattr(c.placement, name) for c in candidates], dtype=np.float64)[rows]

    given, wanted = column("input_tokens"), column("output_tokens")
    ranks = placed("dp") * column("replicas")
    view = _View(timer, rows, given, wanted, column("budget"), placed("pp"), q)
    gain = 1.0 + q.drafts * np.where(np.isnan(q.accept), timer.of("acceptance", rows), q.accept)
    steps = np.maximum(wanted - 1.0, 0.0) / gain

    held = held_tokens(given * (1.0 - 0.5 * q.cached), wanted, reserves=q.reserves)
    pool = column("pool_tokens") + (1.0 - timer.of("reserve", rows)) * column("spare_tokens")
    possible = np.minimum(column("limit"), pool / held) * timer.of("occupancy", rows)
    possible = np.maximum(possible, 1.0)
    offline, static = q.kind == 0, q.kind == 3
    requests = q.requests / ranks
    asked = np.where(np.isnan(q.concurrency), np.inf, np.maximum(q.concurrency / ranks, 1.0))
    asked = np.where(q.kind == 2, 1.0, asked)
    ceiling = np.minimum(possible, np.where(np.isnan(requests), np.inf, np.maximum(requests, 1.0)))
    batch = np.where(static, asked, np.minimum(ceiling, asked))

    def piece_of(b: FloatArray) -> FloatArray:
        whole = np.minimum(b * given, TOKENS[-1])  # a static batch reads all its prompts at once
        many = np.where(static, whole, prompt_room(view.budget, np.where(q.mixed, b / view.pp, 0.0)))
        # few requests, or few at a time: no more prompt tokens at once than there are
        return np.maximum(np.minimum(many, np.maximum(b, 1.0) * given), 1.0)

    def cycle(b: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """``(decode step, prompt, all of a request's time)`` with ``b`` per rank."""
        d, m = view.decode(b), view.prefill(b, piece_of(b), 1) / view.pp
        return d, m, steps * d + b * m + timer.of("first_s", rows)

    if np.any(q.kind == 4):
        batch = np.where(q.kind == 4, _open_batch(view, cycle, ceiling, ranks), batch)
    d, m, whole = cycle(batch)
    rate = batch / whole
    one = np.minimum(view.budget, given)
    chunk = given / np.ceil(given / np.maximum(one, 1.0))
    alone = view.prefill(np.maximum(batch - 1.0, 0.0), np.maximum(chunk, 1.0), 0) + timer.of("first_s", rows)
    beside = np.where(q.mixed & (batch > 1), np.ceil(given / view.budget) * d, 0.5 * np.where(batch > 1, d, 0.0))

    # A finite run of all requests at once.
    saturated = offline | ((q.kind == 4) & (batch >= ceiling * 0.999) & np.isnan(q.slo_tpot_s))
    count = np.where(np.isnan(requests), np.inf, requests)
    with np.errstate(invalid="ignore", over="ignore"):
        small = view.decode(np.maximum(batch * _TAIL_BATCH, 1.0))
        tail = timer.of("tail", rows) * steps * small
        finite = count * m + np.maximum(count / batch, 1.0) * steps * d + tail + timer.of("first_s", rows)
        rate = np.where(saturated & np.isfinite(count), count / finite, rate)
        behind = np.maximum(count - batch, 0.0)
        queued = np.where(np.isfinite(count), count * m / 2 + behind**2 / (2 * batch * count) * steps * d, 0.0 * count)
    queued = np.where(np.isfinite(queued), queued, 0.0)
    # requests that arrive at a rate above the capacity queue for the difference only
    surplus = np.clip(1.0 - rate * ranks / np.where(np.isnan(q.rate), np.inf, np.maximum(q.rate, 1e-9)), 0.0, 1.0)
    queued = np.where(q.kind == 4, queued * surplus, queued)
    waiting = timer.of("queueing", rows) * np.maximum(batch - 1.0, 0.0) * m
    over = np.maximum(np.where(np.isfinite(asked), asked, batch) - batch, 0.0) / np.maximum(rate, 1e-12)
    ttft = np.where(saturated, alone + queued, np.where(static, batch * m, alone + beside + waiting + over))
    tpot = np.where(
        saturated,
        d / gain + np.minimum(batch, count) * m / 2 / np.maximum(wanted - 1.0, 1.0),
        np.maximum((whole - (ttft - over)) / np.maximum(wanted - 1.0, 1.0), d / gain),
    )
    is_open = (q.kind == 4) & ~saturated & np.isnan(q.slo_tpot_s)
    busy = np.minimum(rate * m, 0.95)
    tpot = np.where(is_open, d / gain / (1 - busy), tpot)
    ttft = np.where(is_open, alone + beside + busy * m / (2 * (1 - busy)), ttft)
    e2e = ttft + tpot * np.maximum(wanted - 1.0, 0.0)
    one_at_a_time = (q.kind == 2) | ((q.kind == 1) & (batch <= 1.0))
    ttft = np.where(one_at_a_time, alone, ttft)
    tpot = np.where(one_at_a_time, d / gain, tpot)
    e2e = np.where(one_at_a_time, alone + steps * d, e2e)
    rate = np.where(one_at_a_time, 1.0 / e2e, rate)
    e2e = np.where(static, batch * m + steps * d + timer.of("first_s", rows), e2e)
    rate = np.where(static, batch / e2e, rate)
    total = rate * ranks
    # an offered rate that is met: the run lasts until the last request is done
    lasting = np.where(np.isnan(q.requests), 1.0, q.requests / (q.requests / np.maximum(q.rate, 1e-9) + e2e) / q.rate)
    total = np.where(is_open, q.rate * lasting, total)
    free = batch >= 0.98 * ceiling
    share = np.where(free, timer.of("stable_share", rows), timer.of("slo_share", rows))
    total = np.where(~np.isnan(q.slo_tpot_s), total * share, total)
    return Answers(total, ttft, tpot, e2e, batch)


def _open_batch(
    view: _View,
    cycle: Callable[[FloatArray], tuple[FloatArray, FloatArray, FloatArray]],
    ceiling: FloatArray,
    ranks: FloatArray,
) -> FloatArray:
    """The batch whose completion rate is the offered one, or the largest that meets the limits; by bisection."""
    q = view.questions
    low, high = np.zeros_like(ceiling), np.log(np.maximum(ceiling, 1.0))
    wanted = np.maximum(view.wanted - 1.0, 1.0)
    for _ in range(14):
        middle = (low + high) / 2
        b = np.exp(middle)
        _, m, whole = cycle(b)
        slow = (whole - b * m * 0.5) / wanted > q.slo_tpot_s
        enough = np.where(np.isnan(q.rate), slow, b / whole * ranks >= q.rate)
        high, low = np.where(enough, middle, high), np.where(enough, low, middle)
    return np.asarray(np.exp(high))
