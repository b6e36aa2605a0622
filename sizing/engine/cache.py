"""What one rank keeps per token and per sequence, and how vLLM's hybrid cache manager lays it out in blocks.

All formulas broadcast over ``placement.tp`` (and ``dp``: a data parallel rank keeps only its own requests,
so nothing divides by it). What of a layer's cache one rank keeps is ``sizing.engine.shard``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sizing.engine.placement import Placement
from sizing.engine.shard import entry_bytes, index_bytes, state_bytes
from sizing.engine.sharding import Stage, stages
from sizing.model.architecture import Architecture
from sizing.model.kv_formats import KVFormat, kv_format
from sizing.model.parts import Cache, CacheKind, Mixer

# A hybrid manager that finds fewer than this times as many layers of one kind as of another pads the lesser
# kind.
PAD_BELOW = 1.5


def token_bytes(cache: Cache, fmt: KVFormat, tp: Any) -> Any:
    """Bytes that one token adds to one layer's cache on one rank, index keys included [bytes]."""
    return entry_bytes(cache, fmt, tp) + cache.indexer_bytes_per_token


@dataclass(frozen=True, slots=True)
class CacheGroup:
    """Layers of one stage that keep the same kind of cache."""

    kind: CacheKind
    layers: int
    bytes_per_token: Any  # of one layer on one rank
    window: int | None
    state_bytes: Any  # of one layer on one rank, per sequence


def cache_groups(
    arch: Architecture,
    placement: Placement,
    fmt: KVFormat,
    stage: Stage,
    *,
    speculative_tokens: int = 0,
    fp8_index_keys: bool = False,
) -> list[CacheGroup]:
    """The kinds of cache that one stage holds, a kind with each of its layers counted.

    With speculative decoding by the model's own module, the last stage holds one more layer of cache.
    """
    held: list[tuple[Mixer, int]] = [
        (group.mixer, count) for group, count in zip(arch.groups, stage.counts, strict=True) if count
    ]
    if speculative_tokens and stage.last:
        held.extend((group.mixer, group.count) for group in arch.mtp_groups)
    made: dict[tuple[object, ...], CacheGroup] = {}
    for mixer, count in held:
        cache = mixer.cache
        if cache.kind is CacheKind.NONE:
            continue
        cache = replace(cache, indexer_bytes_per_token=index_bytes(mixer, fp8=fp8_index_keys))
        if cache.local_window and cache.local_elements_per_token:
            local = replace(
                cache,
                kind=CacheKind.SLIDING,
                window=cache.local_window,
                elements_per_token=cache.local_elements_per_token,
                kv_heads=0,
                indexer_bytes_per_token=0.0,
            )
            _count(made, local, count, fmt, placement.tp, 0)
        _count(made, cache, count, fmt, placement.tp, speculative_tokens)
    return list(made.values())


def _count(
    made: dict[tuple[object, ...], CacheGroup], cache: Cache, count: int, fmt: KVFormat, tp: Any, drafted: int
) -> None:
    """Add ``count`` layers to the group of their kind."""
    key = (
        cache.kind,
        cache.window,
        cache.elements_per_token,
        cache.kv_heads,
        cache.state_elements,
        cache.indexer_bytes_per_token,
    )
    made[key] = CacheGroup(
        cache.kind,
        count + (made[key].layers if key in made else 0),
        token_bytes(cache, fmt, tp),
        cache.window,
        state_bytes(cache, tp, drafted) if cache.kind is CacheKind.STATE else 0.0,
    )


def cache_bytes_per_token_per_rank(
    arch: Architecture,
    placement: Placement,
    kv_dtype: str | KVFormat = "bf16",
    *,
    speculative_tokens: int = 0,
) -> Any:
    """Bytes that one token adds on one rank of the stage with the most cache, windows not full [bytes]."""
    fmt = kv_format(kv_dtype)
    loads = []
    for stage in stages(arch, int(np.max(placement.pp))):
        groups = cache_groups(arch, placement, fmt, stage, speculative_tokens=speculative_tokens)
        growing = [group.layers * group.bytes_per_token for group in groups if group.kind is not CacheKind.STATE]
        loads.append(np.asarray(sum(growing)) + 0.0)
    return np.max(np.broadcast_arrays(*loads), axis=0)


def sequence_bytes(groups: list[CacheGroup], tokens: Any) -> Any:
    """Bytes that one sequence of ``tokens`` keeps, unrounded: windows stop growing, states are constant
    [bytes].
    """
    total: Any = 0.0
    for group in groups:
        if group.kind is CacheKind.STATE:
            total = total + group.layers * group.state_bytes
        kept = tokens if group.window is None else np.minimum(tokens, group.window)
        total = total + group.layers * group.bytes_per_token * kept
    return total


@dataclass(frozen=True, slots=True)
class BlockPlan:
    """A pool of equal blocks: bytes of a block, tokens of a block, groups that share the pool."""

    block_bytes: Any
    block_tokens: Any
    groups: int
    members: tuple[tuple[CacheGroup, int, Any], ...]  # (kind, groups of the kind, tokens of one of its blocks)

    def request_blocks(self, tokens: Any, in_flight_tokens: Any, states_per_request: int) -> Any:
        """Blocks that the scheduler sets aside for one request of ``tokens`` tokens.

        Full attention: ceil(tokens / block). Window: ceil(min(window - 1 + in-flight, tokens) / block) + 1.
        Recurrent state: ``states_per_request`` blocks.
        """
        total: Any = 0.0
        for group, count, block in self.members:
            if group.kind is CacheKind.STATE:
                blocks: Any = states_per_request
            elif group.window is not None:
                reach = np.minimum(group.window - 1 + in_flight_tokens, tokens)
                blocks = np.ceil(reach / block) + 1
            else:
                blocks = np.ceil(tokens / block)
            total = total + count * blocks
        return total


def block_plan(groups: list[CacheGroup], block: int, *, hybrid: bool = True, mla_alignment: int = 128) -> BlockPlan:
    """How a pool of blocks serves these kinds of layers (vLLM's hybrid manager).

    Kinds are cut into groups of equally many layers, all with the same bytes a block: blocks of kinds with
    smaller entries hold more tokens, or are padded; attention blocks grow until a recurrent state fits in
    one. Without ``hybrid`` every window counts as full attention.
    """
    attention = [group for group in groups if group.kind is not CacheKind.STATE]
    states = [group for group in groups if group.kind is CacheKind.STATE]
    windows = {group.window for group in attention}
    if not states and (len(windows) == 1 or not hybrid):
        size = sum(group.layers * group.bytes_per_token for group in attention)
        whole = CacheGroup(
            CacheKind.FULL,
            sum(group.layers for group in attention),
            size,
            windows.pop() if hybrid and len(windows) == 1 else None,
            0.0,
        )
        return BlockPlan(block * size, block, 1, ((whole, 1, block),))
    if any(group.kind is CacheKind.COMPRESSED for group in groups):
        return _compressed_plan(groups, block)
    counts = [group.layers for group in groups]
    per_group = max(counts) if max(counts) < PAD_BELOW * min(counts) else min(counts)
    widest: Any = 0.0
    for group in attention:
        widest = np.maximum(widest, group.bytes_per_token)
    base: Any = block
    if states:
        state = states[0].state_bytes
        for group in states[1:]:
            state = np.maximum(state, group.state_bytes)
        mla = any(group.kind is CacheKind.MLA for group in attention)
        step = max(block, mla_alignment) if mla else block
        if attention:
            base = np.maximum(block, np.ceil(np.ceil(state / widest) / step) * step)
            page = base * widest
        else:
            page = state
    else:
        page = base * widest
    members = []
    total = 0
    for group in groups:
        share = -(-group.layers // per_group)
        tokens = base
        if group.kind is not CacheKind.STATE:
            ratio = widest / group.bytes_per_token
            tokens = base * np.where(ratio == np.floor(ratio), ratio, 1)
        members.append((group, share, tokens))
        total += share
    return BlockPlan(per_group * page, base, total, tuple(members))


def _compressed_plan(groups: list[CacheGroup], block: int) -> BlockPlan:
    """Compressed layers: growth by token in blocks; windows as a fixed part of each request, in the same
    blocks.
    """
    growing: Any = 0.0
    fixed: Any = 0.0
    for group in groups:
        if group.kind is CacheKind.STATE:
            fixed = fixed + group.layers * group.state_bytes
        elif group.window is not None:
            fixed = fixed + group.layers * group.bytes_per_token * group.window
        else:
            growing = growing + group.layers * group.bytes_per_token
    whole = CacheGroup(CacheKind.COMPRESSED, 1, growing, None, 0.0)
    windows = CacheGroup(CacheKind.SLIDING, 1, growing, 1, 0.0)
    held = np.ceil(fixed / np.maximum(growing * block, 1.0))
    return BlockPlan(block * growing, block, 1, ((whole, 1, block), (windows, held, np.inf)))
