"""What both arrival processes share: the engine's way of batching, what a replica carries, and what prompts take."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sizing.arrays import FloatArray, Num, as_float
from sizing.engine.placement import Placement
from sizing.operations import StepShape
from sizing.step import StepModel

MIN_CHUNK = 256.0  # tokens that a prompt chunk has at least, however many sequences decode
INSTANT = 1e-12  # seconds; keeps divisions defined


def prompt_room(token_budget: Num, beside: Num) -> FloatArray:
    """Prompt tokens that a step has room for beside ``beside`` decoded ones [tokens]: what they leave of the budget, and
    always a chunk of ``MIN_CHUNK`` (or the whole budget, where that is less)."""
    return np.maximum(as_float(token_budget) - beside, np.minimum(token_budget, MIN_CHUNK))


def split_prompt(tokens: Num, room: Num) -> tuple[FloatArray, FloatArray]:
    """``(number, tokens each)`` of the equal chunks that ``tokens`` prompt tokens take in steps with this room."""
    number = np.ceil(as_float(tokens) / room)
    return number, as_float(tokens) / number


def held_tokens(input_tokens: Num, output_tokens: Num, *, reserves: Num | NDArray[np.bool_] = False) -> FloatArray:
    """Cache tokens that a running request holds in the mean: its prompt and half its output, as it grows from nothing to
    all of it; all of it where the engine reserves the longest output at once."""
    return as_float(input_tokens) + as_float(output_tokens) * np.where(reserves, 1.0, 0.5)


@dataclass(frozen=True, slots=True)
class Batching:
    """How an engine mixes prefill and decode.

    token_budget: tokens of a step at most (max_num_batched_tokens, chunked_prefill_size). mixed: prefill chunks ride
    along with decode in one step; otherwise a prefill runs alone and decode waits. wait_weight: share of the queueing
    formula's waiting that shows in TTFT. interference: share of the other requests' prefill time that lands in a
    request's decode phase when lengths vary; interference_same, wait_same: the two when all requests have the same
    lengths. fixed_ttft_s: constant host cost of a first token. ttft_step_share: share of a step that a new request
    waits for the one in progress. marginal: share of a mixed step's prefill that overlaps with decode's memory
    traffic (1: the prompt costs what it adds to the step, 0: what it costs alone).
    """

    token_budget: Num = 8192.0
    mixed: bool = True
    wait_weight: float = 0.5
    interference: float = 1.0
    fixed_ttft_s: float = 0.0
    ttft_step_share: float = 0.5
    interference_same: float | None = None
    wait_same: float | None = None
    marginal: float = 1.0


@dataclass(frozen=True, slots=True)
class Load:
    """What a replica carries. concurrency: requests per attention data-parallel rank, waiting ones included.

    input_tokens, output_tokens: means of a request. cached_tokens: prompt tokens found in the prefix cache.
    running_limit: requests per rank that the cache (or max_num_seqs) lets run at once. Speculative decoding:
    tokens_per_step are what a sequence gains per decode step (1 without), verified_tokens what is computed for it (1 +
    drafts), draft_s the time to draft them. same_lengths: 1 where all requests have the same lengths, 0 where they
    vary.
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


def chunk_shape(load: Load, batching: Batching, decoding: Num) -> Chunks:
    """The chunks of one prompt beside ``decoding`` sequences.

    Of ``decoding`` sequences that each take S steps, decoding / S end in every step, and as many prompts take their
    places: short outputs at a large batch bring several prompts into one step, up to the token budget.
    """
    new = np.maximum(as_float(load.input_tokens) - load.cached_tokens, 1.0)
    beside = as_float(decoding) * load.verified_tokens if batching.mixed else as_float(0.0)
    budget = prompt_room(batching.token_budget, beside)
    chunks, each = split_prompt(new, budget)
    steps = np.maximum(as_float(load.output_tokens) - 1.0, 1.0) / load.tokens_per_step
    together = np.maximum(np.minimum(as_float(decoding) / steps, budget / new), 1.0)
    return Chunks(chunks, each, as_float(load.cached_tokens) + (new - each) / 2, together)


@dataclass(frozen=True, slots=True)
class PrefillTimes:
    """One prompt: alone, and what it adds to steps that decode as well. Seconds."""

    alone_s: FloatArray
    marginal_s: FloatArray
    in_batch_s: FloatArray  # time that passes from its first chunk to its first token, decode riding along


@dataclass(frozen=True, slots=True)
class StepTimes:
    """What ``settle`` needs of the step model, per rank. Seconds of a pass.

    decode_s, decode_half_s: a decode step of all running requests, and of half of them.
    """

    decode_s: FloatArray
    decode_half_s: FloatArray
    prefill: PrefillTimes


def prefill_times(
    model: StepModel,
    placement: Placement,
    load: Load,
    batching: Batching,
    decoding: Num,
    decode_s: FloatArray,
) -> PrefillTimes:
    """Prefill of one prompt of ``load`` in chunks, beside ``decoding`` sequences whose own step takes ``decode_s``."""
    chunks = chunk_shape(load, batching, decoding)
    one = replace(chunks, together=as_float(1.0))
    single = chunks.number * model.seconds(one.shape(), placement)
    several = single
    if np.any(chunks.together > 1.0):
        several = chunks.number * model.seconds(chunks.shape(), placement)
    if not batching.mixed:
        return PrefillTimes(single, several / chunks.together, several)
    context = as_float(load.input_tokens) + as_float(load.output_tokens) / 2
    mixed = model.seconds(chunks.shape(decoding, context, load.verified_tokens), placement)
    return replace(mixed_prefill(batching, chunks, several, mixed, decode_s), alone_s=single)


def mixed_prefill(
    batching: Batching, chunks: Chunks, alone_s: FloatArray, mixed_s: FloatArray, decode_s: FloatArray
) -> PrefillTimes:
    """The three times from those of a mixed step and of the same prompts without decode."""
    added = np.maximum(chunks.number * (mixed_s - decode_s), 0.0)
    whole = batching.marginal * added + (1.0 - batching.marginal) * alone_s
    return PrefillTimes(alone_s, whole / chunks.together, chunks.number * decode_s + whole)
