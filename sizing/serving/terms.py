"""What both arrival processes share: the engine's way of batching, what a replica carries, and what prompts take."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sizing.base.arrays import FloatArray, Num, as_float
from sizing.coefficients.batching import Batching
from sizing.engine.placement import Placement
from sizing.step.model import StepModel
from sizing.step.operations import StepShape

MIN_CHUNK = 256.0  # tokens that a prompt chunk has at least, however many sequences decode
INSTANT = 1e-12  # seconds; keeps divisions defined


def prompt_room(token_budget: Num, beside: Num) -> FloatArray:
    """Prompt tokens that a step has room for beside ``beside`` decoded ones [tokens]: what they leave of the budget, and
    always a chunk of ``MIN_CHUNK`` (or the whole budget, where that is less)."""
    return np.maximum(as_float(token_budget) - beside, np.minimum(token_budget, MIN_CHUNK))


def split_prompt(tokens: Num, room: Num, most_room: Num | None = None) -> tuple[FloatArray, FloatArray]:
    """``(number, tokens each)`` of the equal chunks that ``tokens`` prompt tokens take in steps with this room.

    most_room: that of a step with one sequence beside. What more sequences push out of a step shares the next one with
    other prompts: it counts as the part of a step that it takes, not as one step more.
    """
    number = np.ceil(as_float(tokens) / (room if most_room is None else most_room))
    number = np.maximum(number, as_float(tokens) / room)
    return number, as_float(tokens) / number


def held_tokens(input_tokens: Num, output_tokens: Num, *, reserves: Num | NDArray[np.bool_] = False) -> FloatArray:
    """Cache tokens that a running request holds in the mean: its prompt and half its output, as it grows from nothing to
    all of it; all of it where the engine reserves the longest output at once."""
    return as_float(input_tokens) + as_float(output_tokens) * np.where(reserves, 1.0, 0.5)


def varied_held_tokens(input_tokens: Num, output_tokens: Num, *, reserves: bool = False) -> float:
    """Cache tokens that a running request holds in the mean, of requests of these (equally likely) lengths.

    A look at a running batch meets long answers more often than short ones, as they stay longer: each request counts by its
    decode steps (where no request has any, by its prompt). Example: prompts of 100 tokens with answers of 10 or 1,000 hold
    100 + (10 x 5 + 1000 x 500) / 1010 = 595 in the mean, not 100 + 505 / 2 = 353.
    """
    held = held_tokens(input_tokens, output_tokens, reserves=reserves)
    stay = np.maximum(as_float(output_tokens) - 1.0, 0.0)
    if not np.any(stay > 0):
        stay = as_float(input_tokens)
    return float(np.average(np.broadcast_to(held, stay.shape), weights=stay)) if stay.ndim else float(held)


@dataclass(frozen=True, slots=True)
class Load:
    """What a replica carries. concurrency: requests per attention data-parallel rank, waiting ones included.

    input_tokens, output_tokens: means of a request. cached_tokens: prompt tokens found in the prefix cache.
    running_limit: requests per rank that the cache (or max_num_seqs) lets run at once. Speculative decoding:
    tokens_per_step are what a sequence gains per decode step (1 without), verified_tokens what is computed for it (1 +
    drafts), draft_s the time to draft them. same_lengths: 1 where all requests have the same lengths, 0 where they
    vary. held: cache tokens that a running request holds in the mean, which decode reads (``held_tokens``); None: those of
    requests of the mean lengths.
    """

    concurrency: Num
    input_tokens: Num
    output_tokens: Num
    cached_tokens: Num = 0.0
    running_limit: Num = np.inf
    tokens_per_step: Num = 1.0
    verified_tokens: Num = 1.0
    draft_s: Num = 0.0
    same_lengths: Num = 0.0
    held: Num | None = None

    @property
    def decode_context(self) -> FloatArray:
        """Tokens that a decoding sequence attends to in the mean."""
        if self.held is not None:
            return as_float(self.held)
        return held_tokens(self.input_tokens, np.maximum(as_float(self.output_tokens), 1.0))


@dataclass(frozen=True, slots=True)
class Chunks:
    """How prompts enter steps: ``number`` steps of ``tokens`` tokens a prompt, ``past`` tokens before them in the mean;
    ``together`` prompts share a step."""

    number: FloatArray
    tokens: FloatArray
    past: FloatArray
    together: FloatArray

    def shape(self, decoding: Num = 0.0, context: Num = 0.0, tokens_per_decode: Num = 1.0) -> StepShape:
        """A step with the prompts' chunks beside ``decoding`` sequences."""
        return StepShape(
            decode_seqs=decoding,
            decode_context=context,
            prefill_tokens=self.tokens * self.together,
            prefill_seqs=self.together,
            prefill_past=self.past,
            tokens_per_decode=tokens_per_decode,
        )


def chunk_shape(load: Load, batching: Batching, decoding: Num, in_flight: Num | None = None) -> Chunks:
    """The chunks of one prompt beside ``decoding`` sequences (of ``in_flight`` requests; None: all of them decode).

    Of N requests in flight that each take S steps, N / S end in every step, and as many prompts take their places: short
    outputs at a large batch bring several prompts into one step, up to the token budget.
    """
    new = new_tokens(load)
    beside = as_float(decoding) * load.verified_tokens if batching.mixed else as_float(0.0)
    beside = np.where(decode_steps(load) > 0, beside, 0.0)
    budget = prompt_room(batching.token_budget, beside)
    chunks, each = split_prompt(
        new, budget, prompt_room(batching.token_budget, np.minimum(beside, load.verified_tokens))
    )
    steps = np.maximum(as_float(load.output_tokens) - 1.0, 1.0) / load.tokens_per_step
    entering = as_float(decoding if in_flight is None else in_flight) / steps
    together = np.maximum(np.minimum(entering, budget / new), 1.0)
    return Chunks(chunks, each, as_float(load.cached_tokens) + (new - each) / 2, together)


def new_tokens(load: Load) -> FloatArray:
    """Prompt tokens that a request has to compute: all but the cached ones, at least one."""
    return np.maximum(as_float(load.input_tokens) - load.cached_tokens, 1.0)


def decode_steps(load: Load) -> FloatArray:
    """Decode steps of a request: its output but the first token, which prefill makes, over the tokens of a step."""
    return np.maximum(as_float(load.output_tokens) - 1.0, 0.0) / load.tokens_per_step


def decode_cap(load: Load, batching: Batching) -> FloatArray:
    """Sequences that can decode in one (micro-)batch, however many wait: where prompts ride in decode steps, at most
    ``k = room / prompt`` enter in a step and each stays for S steps, so ``B <= S k`` with ``room = budget - B v``.

    Binds for short outputs of long prompts: more requests in flight then wait for their prefill and do not decode.
    """
    if not batching.mixed:
        return as_float(np.inf)
    steps = decode_steps(load)
    most = steps * batching.token_budget / (new_tokens(load) + as_float(load.verified_tokens) * steps)
    return np.maximum(most, 1.0)


@dataclass(frozen=True, slots=True)
class PrefillTimes:
    """One prompt: alone, and what it adds to steps that decode as well. Seconds."""

    alone_s: FloatArray
    marginal_s: FloatArray
    in_batch_s: FloatArray  # time that passes from its first chunk to its first token, decode riding along
    together: Num = 1.0  # prompts that share a step


@dataclass(frozen=True, slots=True)
class StepTimes:
    """What ``settle`` needs of the step model, per rank. Seconds of a pass.

    decode_s, decode_half_s: a decode step of ``batch`` requests, and of half of them. batch: per rank; None: all that run.
    """

    decode_s: FloatArray
    decode_half_s: FloatArray
    prefill: PrefillTimes
    batch: FloatArray | None = None


def prefill_times(
    model: StepModel,
    placement: Placement,
    load: Load,
    batching: Batching,
    decoding: Num,
    decode_s: FloatArray,
    in_flight: Num | None = None,
) -> PrefillTimes:
    """Prefill of one prompt of ``load`` in chunks, beside ``decoding`` sequences whose own step takes ``decode_s``."""
    chunks = chunk_shape(load, batching, decoding, in_flight)
    one = replace(chunks, together=as_float(1.0))
    single = chunks.number * model.seconds(one.shape(), placement)
    several = single
    if np.any(chunks.together > 1.0):
        several = chunks.number * model.seconds(chunks.shape(), placement)
    apart = PrefillTimes(single, several / chunks.together, several, chunks.together)
    decodes = decode_steps(load) > 0
    if not (batching.mixed and np.any(decodes)):
        return apart
    mixed = model.seconds(chunks.shape(decoding, load.decode_context, load.verified_tokens), placement)
    riding = mixed_prefill(batching, chunks, several, mixed, decode_s)
    return PrefillTimes(
        single,
        np.where(decodes, riding.marginal_s, apart.marginal_s),
        np.where(decodes, riding.in_batch_s, apart.in_batch_s),
        chunks.together,
    )


def mixed_prefill(
    batching: Batching, chunks: Chunks, alone_s: FloatArray, mixed_s: FloatArray, decode_s: FloatArray
) -> PrefillTimes:
    """The three times from those of a mixed step and of the same prompts without decode."""
    added = np.maximum(chunks.number * (mixed_s - decode_s), 0.0)
    whole = batching.marginal * added + (1.0 - batching.marginal) * alone_s
    return PrefillTimes(alone_s, whole / chunks.together, chunks.number * decode_s + whole, chunks.together)
