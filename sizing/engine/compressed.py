"""How vLLM lays compressed attention (DeepSeek-V4) out in one pool of blocks.

Each layer keeps up to five caches: the last tokens' rows, one row for several tokens, an index key with it, and the
rows and index keys that are still to be compressed (in 32 bits). Layers of one kind share a table of blocks; a block is
as large as the largest kind's pages, and every kind takes whole blocks, so a request costs a fixed part besides its
length: windows and in-flight tokens in blocks of 4, 8 and 64 tokens. Source: vLLM's cache planner, 0.22 and 0.33.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sizing.engine.cache import BlockPlan, CacheGroup
from sizing.model.kv_formats import KVFormat
from sizing.model.parts import CacheKind

ROW_BLOCK = 256  # tokens of a block of compressed rows
WINDOW_BLOCK = 64  # tokens of a block of the window's rows
STATE_BLOCKS = {4: 4, 128: 8}  # tokens of a block of rows to be compressed, by their ratio
OTHER_STATE_BLOCK = 8
FP32 = 4
ROPE = 64  # elements of a row that stay in 16 bits where the rest is FP8
SCALES = 8  # bytes of a packed row's scales
PACKED_PAGE = 576  # pages of packed rows are whole multiples of it [bytes]
PLAIN_PAGE = 512  # and of plain rows of this [bytes]


@dataclass(frozen=True, slots=True)
class _Bucket:
    """Layers that share a table: pages of each [bytes], how many of each, tokens of a block, window (None: all)."""

    pages: tuple[float, ...]
    counts: tuple[int, ...]
    block: int
    window: int | None

    @property
    def balanced(self) -> bool:
        """Whether each page size stands equally often."""
        return len(set(self.counts)) == 1


def compressed_plan(groups: list[CacheGroup], fmt: KVFormat, *, tuples: bool) -> BlockPlan:
    """The pool of a stage of compressed layers. tuples: blocks hold whole tuples of page sizes (before 0.33).

    Worked: V4-Flash (43 windows of 128, 21 layers of ratio 4, 20 of ratio 128) with an FP8 cache has blocks of
    1,051,776 bytes up to 0.32 and 1,002,240 from 0.33 on; a request of 30,000 tokens takes 6,800 of them with 16,384
    tokens in flight, 6.66 GiB.
    """
    buckets = _buckets(groups, fmt)
    repeats = _repeats(buckets)
    members: list[tuple[CacheGroup, int, Any]] = []
    widest: float = 0.0
    for bucket in buckets:
        most = max(bucket.counts)
        parts = -(-most // repeats) if bucket.balanced and repeats else 1
        size = sum(page * -(-count // parts) for page, count in zip(bucket.pages, bucket.counts, strict=True))
        widest = max(widest, size)
        if tuples and repeats and bucket.window is None:
            widest = max(widest, repeats * sum(bucket.pages))
        kind = CacheKind.COMPRESSED if bucket.window is None else CacheKind.SLIDING
        members.append((CacheGroup(kind, most, size / bucket.block, bucket.window, 0.0), parts, bucket.block))
    return BlockPlan(widest, ROW_BLOCK, sum(parts for _, parts, _ in members), tuple(members))


def _buckets(groups: list[CacheGroup], fmt: KVFormat) -> list[_Bucket]:
    """The tables of a stage: compressed rows with their index keys, windows, rows still to be compressed by ratio."""
    packed = fmt.element_bytes < 2
    unit = PACKED_PAGE if packed else PLAIN_PAGE

    def page(size: float) -> float:
        return float(np.ceil(size / unit) * unit)

    def row(elements: int) -> float:
        return (elements - ROPE) * fmt.element_bytes + ROPE * 2 + SCALES if packed else elements * fmt.element_bytes

    rows: list[tuple[float, int]] = []
    windows: dict[tuple[int, float], int] = {}
    states: dict[tuple[int, int], list[tuple[float, int]]] = {}
    for group in groups:
        kept = group.compressed
        if kept is None:
            elements = round(float(np.max(group.bytes_per_token)) / fmt.element_bytes)
            key = group.window or 1, page(WINDOW_BLOCK * row(elements))
            windows[key] = windows.get(key, 0) + group.layers
            continue
        rows.append((page(ROW_BLOCK // kept.ratio * row(kept.row_elements)), group.layers))
        block = STATE_BLOCKS.get(kept.ratio, OTHER_STATE_BLOCK)
        pending = states.setdefault((block, kept.overlap * kept.ratio), [])
        pending.append((page(block * 2 * kept.overlap * kept.row_elements * FP32), group.layers))
        if kept.index_elements:
            rows.append((page(ROW_BLOCK // kept.ratio * (kept.index_elements + 4)), group.layers))
            pending.append((page(block * 2 * kept.overlap * kept.index_elements * FP32), group.layers))
    found = [_bucket(rows, ROW_BLOCK, None)] if rows else []
    found += [_Bucket((size,), (count,), WINDOW_BLOCK, window) for (window, size), count in windows.items()]
    found += [_bucket(pages, block, window) for (block, window), pages in states.items()]
    return found


def _bucket(pages: list[tuple[float, int]], block: int, window: int | None) -> _Bucket:
    sizes: dict[float, int] = {}
    for size, count in pages:
        sizes[size] = sizes.get(size, 0) + count
    return _Bucket(tuple(sizes), tuple(sizes.values()), block, window)


def _repeats(buckets: list[_Bucket]) -> int:
    """Layers of a table's group: what wastes least when every balanced bucket is cut into groups of so many."""
    mixed = [max(item.counts) for item in buckets if item.balanced and len(item.pages) > 1]
    layers = [max(item.counts) for item in buckets if item.balanced]
    if not mixed:
        return 0
    least = max(mixed)
    sizes = range(least, max(*layers, least) + 1)
    return min(sizes, key=lambda size: (sum(-count % size for count in layers), -size))
