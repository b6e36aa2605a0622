"""What a search starts from: a workload as numbers, the legal placements of a target, and what their memory holds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sizing.base.arrays import FloatArray, as_float
from sizing.coefficients.batching import Batching
from sizing.engine.base import GIB
from sizing.engine.base import Load as EngineLoad
from sizing.engine.layouts import Space, as_arrays, legal_placements
from sizing.engine.placement import Placement
from sizing.memory.fit import found_fraction
from sizing.memory.terms import MemoryTerms, memory_terms, resolve_load
from sizing.planning.estimate import batching_of, gained_tokens
from sizing.planning.target import Target
from sizing.serving import RANDOM, Lengths, Load, LoadCurve, held_tokens, lengths_of, varied_held_tokens
from sizing.study import EngineChoice, Study
from sizing.workload import BatchArrival, ConcurrencyArrival, UsersArrival, Workload

NO_VARIATION = Lengths()


#: At most this share of the requests may be longer than the model's context: they are refused, and it is said.
MOST_REFUSED = 0.01


def served_context(
    workload: Workload, target: Target, context: int | None, image_tokens: Any = None
) -> tuple[int, float]:
    """The context to serve [tokens], and the share of requests that are longer than it.

    The context asked for, else the workload's longest request; no more than the model's own context, or its extended
    one, where that cuts off at most ``MOST_REFUSED`` of the requests.
    """
    longest = workload.longest_request(image_tokens=image_tokens)
    served = context or longest
    if context is None:
        for limit in (target.arch.native_context, target.arch.extended_context):
            if limit and limit < longest:
                share = workload.share_beyond(limit, image_tokens=image_tokens)
                if share <= MOST_REFUSED:
                    served = limit
                    break
    if served >= longest:
        return served, 0.0
    return served, workload.share_beyond(served, image_tokens=image_tokens)


@dataclass(frozen=True, slots=True)
class Demand:
    """The workload as numbers. kind: "rate", "concurrency", "users" or "batch"; amount in its unit at the peak."""

    kind: str
    amount: float
    think_s: float
    input_tokens: float
    output_tokens: float
    cached_tokens: float
    input_scv: float
    context: int
    held_tokens: float | None = None  # cache tokens of a running request in the mean; None: of the mean lengths
    held_all: float | None = None  # the same where the engine reserves the whole output
    lengths: Lengths = NO_VARIATION
    refused: float = 0.0  # share of the requests that are longer than the context

    @property
    def arrival_think_s(self) -> float:
        """Seconds between two requests of who sends them: none in a closed loop, infinitely many at random."""
        return {"rate": RANDOM, "users": self.think_s}.get(self.kind, 0.0)

    def held(self, reserves: bool) -> float:
        """Cache tokens that a running request holds in the mean: ``varied_held_tokens`` of the workload's lengths."""
        known = self.held_all if reserves else self.held_tokens
        return float(held_tokens(self.input_tokens, self.output_tokens, reserves=reserves)) if known is None else known

    @classmethod
    def of(cls, workload: Workload, target: Target, context: int | None) -> Demand:
        """The demand of a workload on a model; images count with the model's own tokens."""
        vision = target.arch.vision
        tokens_of = vision.image_tokens if vision is not None else None
        inputs = workload.mean_input_tokens(image_tokens=tokens_of)
        outputs = workload.mean_output_tokens()
        arrival = workload.arrival
        kind, amount, think = "rate", workload.peak_requests_per_s or 0.0, 0.0
        if isinstance(arrival, UsersArrival):
            kind, amount, think = "users", float(arrival.users), arrival.think_s
        elif isinstance(arrival, ConcurrencyArrival):
            kind, amount = "concurrency", float(arrival.concurrency)
        elif isinstance(arrival, BatchArrival):
            kind, amount = "batch", float(arrival.requests)
        most_in, _ = workload.length_grid(64, image_tokens=tokens_of)
        longest, refused = served_context(workload, target, context, tokens_of)
        some_in, some_out = (as_float(part) for part in workload.length_grid(4096, image_tokens=tokens_of))
        return cls(
            kind=kind,
            amount=amount,
            think_s=think,
            input_tokens=inputs,
            output_tokens=outputs,
            cached_tokens=inputs * workload.prefix_cache_hit_rate,
            input_scv=workload.input.scv if workload.joint is None else _scv(most_in),
            context=longest,
            refused=refused,
            held_tokens=varied_held_tokens(some_in, some_out),
            held_all=varied_held_tokens(some_in, some_out, reserves=True),
            lengths=lengths_of(some_in, some_out),
        )

    @classmethod
    def fixed(cls, input_tokens: float, output_tokens: float, context: int | None = None) -> Demand:
        """Requests of one shape, as many as go: for capacities."""
        longest = context or int(np.ceil(input_tokens + output_tokens))
        return cls("rate", 1.0, 0.0, float(input_tokens), float(output_tokens), 0.0, 0.0, longest)

    def said(self) -> list[str]:
        """What to say of requests that are longer than the context."""
        if not self.refused:
            return []
        return [
            f"{self.refused:.2%} of the requests are longer than the context of {self.context:,} tokens; engines refuse them"
        ]

    def carried(self, curve: LoadCurve) -> FloatArray:
        """How much of the demand one replica carries at each point of its curve."""
        if self.kind == "concurrency":
            return curve.concurrency
        if self.kind == "users":
            return curve.requests_per_s * (self.think_s + curve.end_to_end_s(self.output_tokens))
        return curve.requests_per_s


def _scv(values: Any) -> float:
    mean = float(np.mean(values))
    return float(np.var(values)) / mean**2 if mean > 0 else 0.0


@dataclass(frozen=True)
class Ground:
    """All legal placements of one target with their memory. Arrays have one entry a placement.

    limit: requests that run at once on one data-parallel rank, at their mean length. fallen: how many placements broke
    which rule, with an example's message.
    """

    target: Target
    demand: Demand
    placements: list[Placement]
    flat: Placement
    terms: MemoryTerms
    engine_load: EngineLoad
    limit: FloatArray
    fits: FloatArray
    load: Load
    batching: Batching
    fallen: Counter[tuple[str, str]]
    drafts: int = 0

    def load_of(self, chosen: Any) -> Load:
        """The load of these placements' rows, each with its own room; the last axis is the load."""
        return replace(self.load, running_limit=self.limit[chosen].reshape(-1, 1))

    def rows(self, chosen: Any, trailing: int = 1) -> Placement:
        """The placements of these rows as one Placement of arrays, with trailing axes for the load."""
        shape = (-1,) + (1,) * trailing
        return Placement(*(getattr(self.flat, axis)[chosen].reshape(shape) for axis in ("tp", "pp", "dp", "ep")))


def space_of(study: Study, target: Target) -> Space:
    """The bounds of the search on one target."""
    c = study.constraints
    return Space(
        node_size=target.node_size,
        max_nodes=c.max_nodes,
        max_accelerators=1 if target.accelerator.works_alone else c.max_accelerators,
        tensor_parallel=c.tensor_parallel,
        pipeline_parallel=c.pipeline_parallel,
        data_parallel=c.data_parallel,
        expert_parallel=c.expert_parallel,
        host_size=target.host_size,
        alone=target.accelerator.works_alone,
    )


def survey(target: Target, demand: Demand, space: Space, engine: EngineChoice, *, drafts: int = 0) -> Ground | None:
    """The legal placements of a target and what each holds; None where no placement is legal."""
    if target.accelerator.works_alone:
        space = replace(space, max_accelerators=1)
    legal, fallen = legal_placements(target.arch, target.scheme, target.engine, space)
    if not legal:
        return None
    flat = as_arrays(legal)
    flags = resolve_load(
        target.engine,
        target.device,
        target.arch,
        flat,
        context=demand.context,
        max_num_seqs=engine.max_num_seqs,
        max_num_batched_tokens=engine.max_num_batched_tokens,
        utilization=engine.memory_utilization,
        speculative_tokens=drafts,
        enforce_eager=engine.enforce_eager,
    )
    held = demand.held(target.engine.reserves_max_output)
    terms = memory_terms(
        target.arch,
        target.device,
        flat,
        target.engine,
        target.scheme,
        flags,
        kv_dtype=target.kv,
        mean_context=max(1, int(np.ceil(held))),
    )
    found = replace(flags, utilization=terms.utilization, automatic=False)
    fits = np.asarray(terms.fits)
    limit = np.where(fits, np.minimum(as_float(terms.concurrency_at_mean), as_float(terms.max_num_seqs)), 1.0)
    return Ground(
        target=target,
        demand=demand,
        placements=legal,
        flat=flat,
        terms=terms,
        engine_load=found,
        limit=np.maximum(limit, 1.0),
        fits=fits,
        load=Load(
            concurrency=1.0,
            input_tokens=demand.input_tokens,
            output_tokens=demand.output_tokens,
            cached_tokens=demand.cached_tokens,
            held=demand.held(reserves=False),
            tokens_per_step=gained_tokens(drafts, engine.acceptance_rate),
            verified_tokens=1.0 + drafts,
        ),
        batching=batching_of(target, flags.max_num_batched_tokens),
        fallen=fallen,
        drafts=drafts,
    )


def memory_gib(target: Target, terms: MemoryTerms, row: int) -> dict[str, float]:
    """What one accelerator of a placement holds, part by part [GiB]."""
    parts = {"weights": "weights", "activation": "activation", "runtime": "runtime", "graphs": "graphs",
             "kv_pool": "pool"}  # fmt: skip
    usable = {"usable": target.accelerator.usable_bytes / GIB}
    return usable | {name: float(getattr(terms, term)[row]) / GIB for name, term in parts.items()}


def fraction_notes(study: Study, target: Target, place: Placement, used: float, context: int) -> list[str]:
    """What to say of the memory fraction: nothing where it is the engine's default, or was given."""
    if study.engine.memory_utilization is not None:
        return []
    default = float(target.engine.default_utilization(target.device, place, target.arch))
    return [] if used == default else [found_fraction(target.engine, default, used, context)]
