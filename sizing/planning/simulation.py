"""A planned replica in the simulator: one data-parallel rank under random arrivals, on the step model itself.

The planner's closed form (``sizing.serving.open_loop``) says what means and 95th percentiles a load gives; the
discrete-event simulation serves request after request with the same step times, scheduler limits and cache, and so
shows how far the closed form's queueing is to be trusted for this very workload.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sizing.base.arrays import as_float
from sizing.base.errors import SizingError
from sizing.coefficients.batching import Batching
from sizing.engine.base import Load as EngineLoad
from sizing.engine.placement import Placement
from sizing.planning.target import Target
from sizing.serving.simulate import ClusterConfig, SchedulerConfig, SimulationResult, simulate
from sizing.serving.simulate.run import Progress, ShouldStop
from sizing.step.model import StepModel
from sizing.step.operations import StepShape
from sizing.workload import RateArrival, Workload
from sizing.workload.requests import Requests

BLOCK_TOKENS = 16


@dataclass(frozen=True, slots=True)
class ModelStepTimes:
    """The step model as ``sizing.serving.simulate.StepTimes``, prompts in a mixed step priced as the closed form
    prices them."""

    step: StepModel
    placement: Placement
    batching: Batching

    def step_seconds(
        self, decode_seqs: Any, decode_context_mean: Any, prefill_tokens: Any, prefill_context_mean: Any
    ) -> Any:
        """Seconds of a step; see ``sizing.serving.simulate.StepTimes``."""
        seqs, tokens = as_float(decode_seqs), as_float(prefill_tokens)
        past = np.maximum(as_float(prefill_context_mean) - tokens / 2, 0.0)
        decode = self.step.seconds(StepShape(decode_seqs=seqs, decode_context=decode_context_mean), self.placement)
        if not np.any(tokens > 0):
            return decode
        alone = self.step.seconds(StepShape(prefill_tokens=tokens, prefill_past=past), self.placement)
        mixed = self.step.seconds(
            StepShape(decode_seqs=seqs, decode_context=decode_context_mean, prefill_tokens=tokens, prefill_past=past),
            self.placement,
        )
        share = self.batching.marginal
        added = share * np.maximum(mixed - decode, 0.0) + (1.0 - share) * alone
        return np.where(tokens > 0, np.where(seqs > 0, decode + added, alone), decode)


def simulate_rank(
    target: Target,
    placement: Placement,
    flags: EngineLoad,
    batching: Batching,
    cache_tokens: float,
    workload: Workload,
    requests_per_s: float,
    *,
    requests: int = 2000,
    seed: int = 0,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> SimulationResult:
    """Serve ``requests`` random requests of a workload on one data-parallel rank at ``requests_per_s`` (Poisson).

    cache_tokens: what the rank's cache holds. The result has the fitted terms that no scheduler shows: the engine's fixed
    time before a first token, and the wait for a step in progress beyond the half of it that is simulated.
    Raises SizingError for pipelines, whose stages work on several steps at once.
    """
    vision = target.arch.vision
    arriving = workload.with_arrival(RateArrival(requests_per_s=requests_per_s)).generate(
        requests, seed=seed, image_tokens=vision.image_tokens if vision is not None else None
    )
    return serve(target, placement, flags, batching, cache_tokens, arriving, progress, should_stop)


def serve(
    target: Target,
    placement: Placement,
    flags: EngineLoad,
    batching: Batching,
    cache_tokens: float,
    arriving: Requests,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
    *,
    ranks: int = 1,
    prefix_caching: bool = False,
) -> SimulationResult:
    """Serve these very requests on ``ranks`` data-parallel ranks; see ``simulate_rank``.

    prefix_caching: a preempted request finds again those of its blocks that nobody has taken.
    """
    if placement.pp != 1:
        raise SizingError("the simulator has no pipeline stages", key="pp", hint="a placement with pp 1")
    scheduler = SchedulerConfig(
        scheduling="mixed" if batching.mixed else "prefill_first",
        max_num_seqs=flags.max_num_seqs,
        max_num_batched_tokens=flags.max_num_batched_tokens,
        block_size=BLOCK_TOKENS,
        cache_blocks=max(1, int(cache_tokens) // BLOCK_TOKENS),
        reserve_output_share=1.0 if prefix_caching and target.engine.reserves_max_output else 0.0,
        prefix_caching=prefix_caching,
    )
    steps = ModelStepTimes(target.step, placement, batching)
    cluster = ClusterConfig(scheduler=scheduler, replicas=ranks)
    found = simulate(arriving, cluster, steps, progress=progress, should_stop=should_stop)
    more = batching.fixed_ttft_s
    if found.mean_running > 0:
        context = float(np.mean(arriving.input_tokens + arriving.output_tokens / 2))
        beyond = max(batching.ttft_step_share - 0.5, 0.0) * min(found.mean_running, 1.0)
        more += beyond * float(steps.step_seconds(max(found.mean_running, 1.0), context, 0.0, 0.0))
    return replace(found, ttft_s=found.ttft_s + more, e2e_s=found.e2e_s + more)
