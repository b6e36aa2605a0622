"""What one rank keeps per token and per sequence, and how vLLM's hybrid cache manager lays it out in blocks.

All formulas broadcast over ``placement.tp`` (and ``dp``: a data parallel rank keeps only its own requests,
so nothing divides by it). What of a layer's cache one rank keeps is ``sizing.engine.shard``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
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
    checkpoint_tokens: int | None = None  # a state can be exported at multiples of so many tokens of a prompt
    compressed: CompressedRows | None = None


@dataclass(frozen=True, slots=True)
class CompressedRows:
    """What a layer of compressed attention keeps: one row of ``row_elements`` for ``ratio`` tokens, an index key of
    ``index_elements`` with it (0: none), and rows of the tokens that are still to be compressed, ``overlap`` ratios of them.
    """

    row_elements: int
    ratio: int
    index_elements: int
    overlap: int


def cache_groups(
    arch: Architecture,
    placement: Placement,
    fmt: KVFormat,
    stage: Stage,
    *,
    speculative_tokens: int = 0,
    fp8_index_keys: bool = False,
    fp32_states: bool = False,
) -> list[CacheGroup]:
    """The kinds of cache that one stage holds, a kind with each of its layers counted.

    With speculative decoding by the model's own module, the last stage holds one more layer of cache. fp32_states: the
    engine keeps recurrent states in 32 bits.
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
            _count(made, local, count, token_bytes(local, fmt, placement.tp), 0.0)
        state: Any = 0.0
        if cache.kind is CacheKind.STATE:
            state = state_bytes(cache, placement.tp, speculative_tokens, fp32=fp32_states)
        _count(made, cache, count, token_bytes(cache, fmt, placement.tp), state, _rows(mixer))
    return list(made.values())


def _rows(mixer: Mixer) -> CompressedRows | None:
    """The rows of a layer of compressed attention; None for any other."""
    core = mixer.core
    if mixer.cache.kind is not CacheKind.COMPRESSED:
        return None
    overlap = 2 if core.index_dim else 1  # sparse layers compress overlapping groups of tokens
    return CompressedRows(int(mixer.cache.local_elements_per_token), core.compress_ratio, core.index_dim, overlap)


def _count(
    made: dict[tuple[object, ...], CacheGroup],
    cache: Cache,
    count: int,
    per_token: Any,
    state: Any,
    rows: CompressedRows | None = None,
) -> None:
    """Add ``count`` layers to the group of their kind."""
    key = (
        cache.kind,
        cache.window,
        cache.elements_per_token,
        cache.kv_heads,
        cache.state_elements,
        cache.conv_elements,
        cache.indexer_bytes_per_token,
    )
    made[key] = CacheGroup(
        cache.kind,
        count + (made[key].layers if key in made else 0),
        per_token,
        cache.window,
        state,
        cache.checkpoint_tokens,
        rows,
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
    slot_bytes: Any = 0.0  # of one sequence's states in a pool of their own (SGLang)

    @property
    def is_compressed(self) -> bool:
        """Whether layers of compressed attention stand in the blocks."""
        return any(group.kind is CacheKind.COMPRESSED for group, _, _ in self.members)

    @property
    def has_states(self) -> bool:
        """Whether recurrent states stand in the blocks."""
        return any(group.kind is CacheKind.STATE for group, _, _ in self.members)

    @property
    def exports_states(self) -> bool:
        """Whether every recurrent layer can export its state inside a prompt."""
        return exports_states([group for group, _, _ in self.members])

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

    def held_blocks(self, tokens: Any, states_held: int) -> Any:
        """Blocks that one request of ``tokens`` tokens keeps once its prompt is read.

        Full attention: ceil(tokens / block). Window: the blocks that its last ``window - 1`` tokens touch. Recurrent
        state: ``states_held`` blocks.
        """
        total: Any = 0.0
        for group, count, block in self.members:
            if group.kind is CacheKind.STATE:
                blocks: Any = states_held
            else:
                blocks = np.ceil(tokens / block)
                if group.window is not None:
                    blocks = blocks - np.floor(np.maximum(tokens - group.window + 1, 0) / block)
            total = total + count * blocks
        return total


def exports_states(groups: Sequence[CacheGroup]) -> bool:
    """Whether there are recurrent layers and each can export its state inside a prompt."""
    states = [group for group in groups if group.kind is CacheKind.STATE]
    return bool(states) and all(group.checkpoint_tokens for group in states)


def block_plan(
    groups: list[CacheGroup],
    block: int,
    *,
    hybrid: bool = True,
    mla_alignment: int = 128,
    checkpoints: bool = False,
) -> BlockPlan:
    """How a pool of blocks serves these kinds of layers (vLLM's hybrid manager).

    Kinds are cut into groups of equally many layers, all with the same bytes a block: blocks of kinds with
    smaller entries hold more tokens, or are padded; attention blocks grow until a recurrent state fits in
    one. Without ``hybrid`` every window counts as full attention. checkpoints: blocks end where states can be exported.
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
        if checkpoints and exports_states(states):
            step = math.lcm(step, *(group.checkpoint_tokens or 1 for group in states))
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
