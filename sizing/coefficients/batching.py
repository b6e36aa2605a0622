"""How an engine mixes prefill and decode: a handful of figures an engine, fitted on whole servers."""

from __future__ import annotations

from dataclasses import dataclass

from sizing.base.arrays import Num


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
