"""What the simulated engine is allowed to do: scheduling policy, limits, cache, replicas and pools."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Scheduling = Literal["mixed", "prefill_first"]


class SchedulerConfig(BaseModel):
    """One replica's scheduler.

    ``scheduling``: ``mixed`` puts chunks of prompts into the decode steps (vLLM V1, TensorRT-LLM in-flight
    batching, SGLang with ``--enable-mixed-chunk``); ``prefill_first`` runs prompts in batches of their own
    while decoding waits (SGLang and MindIE by default). ``max_num_batched_tokens`` is the token budget of a
    step (vLLM, TRT-LLM ``max_num_tokens``, SGLang ``chunked_prefill_size``).

    ``reserve_output_share``: the share of the output still to come that admission sets aside in the cache: 0
    is vLLM's optimism (preemption by recomputation when blocks run out), 1 is TensorRT-LLM's
    GUARANTEED_NO_EVICT, SGLang's ``new_token_ratio`` lies between (0.7 falling to about 0.1).
    ``reserve_output_tokens`` is what the client asks for (``max_tokens``) where that is more than what it
    gets. ``prefix_caching``: a preempted request finds again those of its blocks that no other has taken meanwhile.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    scheduling: Scheduling = "mixed"
    max_num_seqs: int = Field(256, ge=1, le=65_536)
    max_num_batched_tokens: int = Field(8192, ge=1, le=4_194_304)
    block_size: int = Field(16, ge=1, le=65_536, description="tokens per cache block")
    cache_blocks: int = Field(..., ge=1, description="blocks in one replica's cache pool")
    reserve_output_share: float = Field(0.0, ge=0.0, le=1.0)
    reserve_output_tokens: int = Field(0, ge=0)
    prefix_caching: bool = False

    @property
    def cache_tokens(self) -> int:
        """Tokens that the cache pool holds."""
        return self.block_size * self.cache_blocks


class Disaggregation(BaseModel):
    """A prefill pool in front of the decode pool.

    ``transfer_seconds = transfer_fixed_s + prompt tokens * transfer_s_per_token``: cache bytes of a token
    over the bandwidth between the pools. The first token comes from the decode pool, which computes the
    prompt's last token again (vLLM with a NixlConnector). A prompt's blocks in the prefill pool are free once
    it is computed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    prefill_scheduler: SchedulerConfig
    prefill_replicas: int = Field(1, ge=1, le=10_000)
    transfer_fixed_s: float = Field(0.0, ge=0.0)
    transfer_s_per_token: float = Field(0.0, ge=0.0)


class ClusterConfig(BaseModel):
    """``replicas`` equal replicas behind a router.

    ``least_loaded`` sends a request to the replica with the fewest unfinished requests at that moment
    (counted at the end of the step in progress); ``round_robin`` deals them out. In a closed loop users stay
    with their replica.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    scheduler: SchedulerConfig
    replicas: int = Field(1, ge=1, le=10_000)
    router: Literal["least_loaded", "round_robin"] = "least_loaded"
    disaggregation: Disaggregation | None = None
