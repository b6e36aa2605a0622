"""Bytes on one rank, over arrays of parallel sizes: the formula behind every ledger."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from sizing.base.errors import SizingError
from sizing.coefficients.memory import constant
from sizing.engine.base import Device, Engine, Load
from sizing.engine.cache import BlockPlan, cache_groups
from sizing.engine.loading import load_extras
from sizing.engine.placement import Placement
from sizing.engine.sharding import Stage, distinct_stages, stage_components
from sizing.memory.fit import ROUNDING, most_fraction
from sizing.model.architecture import Architecture
from sizing.model.kv_formats import KVFormat, kv_format
from sizing.model.quantization.schemes import QuantScheme

MAX_COUNT = 100_000_000  # tokens or sequences beyond this are a mistake


FALLBACK_CONTEXT = 4096  # tokens, for a config that states none


@dataclass(frozen=True, slots=True)
class MemoryTerms:
    """Bytes on one rank of the pipeline stage that decides the pool; numbers or arrays of one shape.

    pool may be negative: then the rest does not fit. pool_tokens and max_concurrency are of one data
    parallel rank. stage is the deciding stage's index. concurrency_at_mean: requests that run at once at the mean
    length that was asked for, on the same stage; 0 where none was. left: bytes of the memory that no line takes; negative
    where the lines are more than the memory. utilization: the memory fraction that the pool is computed with. running:
    concurrency_at_mean at the full context, where max_concurrency is the log's worst case. max_num_seqs: the flag with which
    the engine starts; most_seqs: the highest that its states allow.
    """

    weights: Any
    activation: Any
    runtime: Any
    graphs: Any
    pool: Any
    pool_tokens: Any
    max_concurrency: Any
    stage: Any
    concurrency_at_mean: Any = 0.0
    running: Any = 0.0
    max_num_seqs: Any = 1.0
    most_seqs: Any = np.inf
    left: Any = 0.0
    utilization: Any = 0.0

    @property
    def fits(self) -> Any:
        """Whether the pool holds one request of the full context, as engines demand at start-up, and the memory
        all the lines.
        """
        holds = (np.asarray(self.max_concurrency) >= 1.0) & (np.asarray(self.left) >= -ROUNDING)
        return holds & (np.asarray(self.max_num_seqs) >= 1.0) & (np.asarray(self.max_num_seqs) <= self.most_seqs)


def resolve_load(
    engine: Engine,
    device: Device,
    arch: Architecture,
    placement: Placement,
    *,
    context: int | None = None,
    max_num_seqs: int | None = None,
    max_num_batched_tokens: int | None = None,
    utilization: float | None = None,
    speculative_tokens: int = 0,
    enforce_eager: bool = False,
    prefix_caching: bool = True,
) -> Load:
    """The flags with the engine's own defaults, by version and device, where none is given.

    Raises SizingError for a utilization outside (0, 1] or counts below 1 or beyond all sense.
    """
    length = (context if context is not None else 0) or arch.max_position_embeddings or FALLBACK_CONTEXT
    for key, value in (("--context", context), ("--max-num-seqs", max_num_seqs),
                       ("--max-num-batched-tokens", max_num_batched_tokens)):  # fmt: skip
        if value is not None and not 1 <= value <= MAX_COUNT:
            raise SizingError(f"must be from 1 to {MAX_COUNT:,}, not {value}", key=key)
    if utilization is not None and not 0.0 < utilization <= 1.0:
        raise SizingError(f"must be above 0 and at most 1, not {utilization}", key="--memory-utilization")
    tokens = max_num_batched_tokens or engine.default_batched_tokens(device, length)
    seqs = max_num_seqs or engine.default_num_seqs(device)
    fraction: Any = utilization
    if utilization is None:
        fraction = engine.default_utilization(device, placement, arch)
        fraction = float(fraction) if np.ndim(fraction) == 0 else fraction
    return Load(
        utilization=fraction,
        max_num_seqs=min(seqs, tokens) if engine.caps_seqs_by_tokens else seqs,
        max_num_batched_tokens=tokens,
        context=length,
        enforce_eager=enforce_eager,
        speculative_tokens=speculative_tokens,
        prefix_caching=prefix_caching,
        automatic=utilization is None,
        automatic_seqs=max_num_seqs is None,
    )


def rank_weights(
    arch: Architecture,
    scheme: QuantScheme,
    placement: Placement,
    stage: Stage,
    engine: Engine,
    *,
    speculative: bool = False,
) -> Any:
    """Bytes that loading takes on one rank: sharded weights, rotary tables, MLA's absorbed copies [bytes]."""
    parts = stage_components(arch, scheme, placement, stage, layout=engine.layout, speculative=speculative)
    extras = load_extras(arch, scheme, placement, stage, engine.layout) if engine.pytorch else {}
    return sum(parts.values()) + sum(extras.values()) + engine.load_overhead_bytes(placement)


@lru_cache(maxsize=2048)
def _known_weights(
    arch: Architecture,
    scheme: QuantScheme,
    sizes: tuple[tuple[int, ...], ...],
    pp: int,
    stage: Stage,
    engine: Engine,
    speculative: bool,
) -> Any:
    """``rank_weights``, kept: they are the same on every accelerator. sizes: all the tp, dp and ep of one pp."""
    placement = Placement(np.array(sizes[0]), pp, np.array(sizes[1]), np.array(sizes[2]))
    return rank_weights(arch, scheme, placement, stage, engine, speculative=speculative)


@dataclass(frozen=True, slots=True)
class _Stage:
    """One pipeline stage's terms without its pool [bytes], and how a pool is cut; None where it caches nothing."""

    index: int
    weights: Any
    activation: Any
    runtime: Any
    graphs: Any
    blocks: BlockPlan | None

    def most_fraction(self, engine: Engine, device: Device) -> Any:
        """The highest memory fraction at which this stage goes into the memory."""
        return most_fraction(engine, device, self.weights, self.activation, self.runtime, self.graphs)

    def _sure_seqs(self, engine: Engine, pool: Any, load: Load) -> Any:
        """The running requests that the pool has states for even where activations and graphs take the margin more."""
        if self.blocks is None:
            return np.full(np.shape(pool), np.inf)
        margin = constant("search_margin", "activation") * self.activation
        margin = margin + constant("search_margin", "graphs") * self.graphs
        return engine.most_seqs(pool - margin, self.blocks, load)

    def filled(self, engine: Engine, device: Device, load: Load, mean_context: int | None) -> MemoryTerms:
        """The terms with the pool of this load's memory fraction."""
        fixed = (self.weights, self.activation, self.runtime, self.graphs)
        pool = engine.pool_bytes(device, *fixed, load.utilization)
        most: Any = np.full(np.shape(pool), np.inf)
        free = pool
        if self.blocks is not None:
            pool = np.minimum(free, engine.asked_bytes(self.blocks, load))
        if self.blocks is None:
            tokens = concurrency = running = np.where(pool > 0, np.inf, 0.0)
            at_mean: Any = tokens
        else:
            tokens = engine.pool_tokens(pool, self.blocks, load)
            concurrency = engine.concurrency(pool, self.blocks, load, load.context)
            running = engine.running(pool, self.blocks, load, load.context)
            at_mean = 0.0 if mean_context is None else engine.running(pool, self.blocks, load, mean_context)
            most = engine.most_seqs(free, self.blocks, load)
        lowers = load.automatic_seqs or engine.lowers_seqs
        seqs = (
            np.minimum(load.max_num_seqs, self._sure_seqs(engine, free, load))
            if lowers
            else np.full(np.shape(pool), float(load.max_num_seqs))
        )
        left = device.total_bytes - self.weights - self.activation - self.runtime - self.graphs - pool
        return MemoryTerms(*fixed, pool, tokens, concurrency, self.index, at_mean, running, seqs, most, left,
                           load.utilization)  # fmt: skip


def _stage(
    arch: Architecture,
    device: Device,
    placement: Placement,
    engine: Engine,
    scheme: QuantScheme,
    fmt: KVFormat,
    load: Load,
    stage: Stage,
    extra_weights: float,
) -> _Stage:
    """What does not depend on the memory fraction."""
    drafted = load.speculative_tokens
    own_module = bool(drafted and arch.mtp_groups)
    sizes = tuple(tuple(np.atleast_1d(size).tolist()) for size in (placement.tp, placement.dp, placement.ep))
    weights = _known_weights(arch, scheme, sizes, placement.pp, stage, engine, own_module) + extra_weights
    if own_module:
        weights = weights + engine.draft_bytes(arch, placement)
    groups = cache_groups(
        arch,
        placement,
        fmt,
        stage,
        speculative_tokens=drafted,
        fp8_index_keys=engine.fp8_index_keys(device),
        fp32_states=engine.fp32_states,
    )
    return _Stage(
        stage.index,
        weights,
        engine.activation_bytes(arch, scheme, placement, load, last_stage=stage.last),
        engine.runtime_bytes(placement, device),
        engine.graph_bytes(arch, placement, load, device),
        engine.plan(groups, load, fmt) if groups else None,
    )


def _deciding(stages: list[MemoryTerms], shape: tuple[int, ...]) -> dict[str, Any]:
    """The terms of the stage that decides: one whose lines are more than the memory, else the least concurrency."""
    best: dict[str, Any] | None = None
    for terms in stages:
        made = {name: np.broadcast_to(getattr(terms, name), shape) for name in MemoryTerms.__dataclass_fields__}
        if best is None:
            best = made
            continue
        over, known_over = made["left"] < -ROUNDING, best["left"] < -ROUNDING
        worse = made["max_concurrency"] < best["max_concurrency"]
        worse |= (made["max_concurrency"] == best["max_concurrency"]) & (made["pool"] < best["pool"])
        worse = np.where(over == known_over, worse, over)
        best = {name: np.where(worse, made[name], best[name]) for name in best}
    assert best is not None
    return best


def _searched(
    engine: Engine, device: Device, load: Load, stages: list[_Stage], mean_context: int | None, shape: tuple[int, ...]
) -> dict[str, Any]:
    """The deciding stage's terms, and where the engine's default fraction cannot work those of one that can.

    A higher fraction leaves a larger pool and less beside it: the highest at which everything goes in works, or none.
    """
    found = _deciding([stage.filled(engine, device, load, mean_context) for stage in stages], shape)
    works = MemoryTerms(**found).fits
    if not load.automatic or works.all():
        return found
    most = np.min([np.broadcast_to(stage.most_fraction(engine, device), shape) for stage in stages], axis=0)
    another = ~works & (most > 0)
    moved = replace(load, utilization=np.where(another, most, load.utilization))
    other = _deciding([stage.filled(engine, device, moved, mean_context) for stage in stages], shape)
    better = another & (MemoryTerms(**other).fits | (found["left"] < -ROUNDING))
    return {name: np.where(better, other[name], found[name]) for name in found}


def memory_terms(
    arch: Architecture,
    device: Device,
    placement: Placement,
    engine: Engine,
    scheme: QuantScheme,
    load: Load,
    *,
    kv_dtype: str | KVFormat = "bf16",
    extra_weights: float = 0.0,
    mean_context: int | None = None,
) -> MemoryTerms:
    """All terms for one placement or for arrays of them (``tp``, ``pp``, ``dp``, ``ep`` broadcast).

    Of a pipeline the stage with the least concurrency decides, as engines take the least pool of all ranks.
    ``extra_weights`` are bytes of a draft model on every rank. ``mean_context``: also how many requests of this many
    tokens run at once. Where ``load.automatic`` and the engine's default memory fraction cannot work, the highest one
    that does is used: ``utilization`` of the answer.
    """
    fmt = kv_format(kv_dtype)
    sizes = np.broadcast_arrays(placement.tp, placement.pp, placement.dp, placement.ep, load.utilization)
    tp, pp, dp, ep, fraction = (np.atleast_1d(size) for size in sizes)
    result = {name: np.zeros(tp.shape) for name in MemoryTerms.__dataclass_fields__}
    for stages_count in np.unique(pp):
        here = pp == stages_count
        part = Placement(tp[here], int(stages_count), dp[here], ep[here])
        flags = replace(load, utilization=fraction[here])
        stages = [
            _stage(arch, device, part, engine, scheme, fmt, flags, stage, extra_weights)
            for stage in distinct_stages(arch, int(stages_count))
        ]
        for name, values in _searched(engine, device, flags, stages, mean_context, part.tp.shape).items():
            result[name][here] = values
    shape = sizes[0].shape
    return MemoryTerms(**{name: value.reshape(shape) for name, value in result.items()})
