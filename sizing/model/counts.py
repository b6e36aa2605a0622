"""Reports of parameters and of the cache of one sequence; the cache formula broadcasts over arrays of
tokens.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sizing.base.errors import SizingError
from sizing.model.architecture import BF16_BYTES, Architecture, LayerGroup
from sizing.model.kv_formats import KVFormat, kv_format, token_bytes
from sizing.model.parts import Cache, CacheKind


def params_report(arch: Architecture) -> dict[str, object]:
    """Exact counts: total, active in the three conventions, MTP modules apart, and by component."""
    report: dict[str, object] = {
        "model": arch.name,
        "total": arch.total,
        "active": arch.active,
        "active_without_input_embedding": arch.active_without_input_embedding,
        "active_without_embeddings": arch.active_without_embeddings,
        "mtp": arch.mtp,
        "components": arch.components(),
    }
    return {**report, **stored_report(arch)}


def stored_report(arch: Architecture) -> dict[str, object]:
    """The bytes of a local checkpoint's files, in all and by component; empty without files."""
    if arch.stored_bytes is None:
        return {}
    return {"weights_stored_bytes": arch.stored_bytes, "weights_stored_components": dict(arch.stored_components)}


def cache_bytes_per_token(cache: Cache, fmt: KVFormat) -> float:
    """What one more token adds to one layer for ever: 0 for windows and states [bytes/token]."""
    if cache.kind is CacheKind.SLIDING:
        return 0.0
    return float(token_bytes(cache, fmt)) + cache.indexer_bytes_per_token


def window_bytes_per_token(cache: Cache, fmt: KVFormat) -> float:
    """What one token adds to one layer until the window is full [bytes/token]."""
    if cache.kind is CacheKind.SLIDING:
        return float(token_bytes(cache, fmt))
    return cache.local_elements_per_token * fmt.element_bytes


def state_bytes(cache: Cache, *, fp32: bool = False) -> float:
    """The constant state of one sequence in one layer: in 16 bits, or with its recurrent part as stated in
    fp32 [bytes].
    """
    extra = cache.state_fp32_elements * BF16_BYTES if fp32 else 0
    return cache.state_elements * BF16_BYTES + extra


def kv_bytes(
    arch: Architecture, tokens: NDArray[np.float64] | float, kv_dtype: str | KVFormat | float = "bf16"
) -> NDArray[np.float64] | float:
    """Cache of one sequence of ``tokens``, all layers, unsharded and without block rounding [bytes].

    sum over layers of ``growth * tokens + window * min(tokens, window) + state``; broadcasts over arrays of
    tokens. ``kv_dtype``: a name or format of ``kv_formats``, or plain bytes of an element. Raises UnknownNameError.
    """
    fmt = KVFormat("", kv_dtype) if isinstance(kv_dtype, int | float) else kv_format(kv_dtype)
    total: NDArray[np.float64] | float = 0.0
    for group in arch.groups:
        total = total + group.count * _group_bytes(group, tokens, fmt)
    return total


def _group_bytes(group: LayerGroup, tokens: NDArray[np.float64] | float, fmt: KVFormat) -> NDArray[np.float64] | float:
    cache = group.mixer.cache
    grown = cache_bytes_per_token(cache, fmt) * tokens
    window = cache.window if cache.kind is CacheKind.SLIDING else cache.local_window
    held: NDArray[np.float64] | float = 0.0
    if window is not None:
        seen = np.minimum(tokens, window) if isinstance(tokens, np.ndarray) else min(tokens, window)
        held = window_bytes_per_token(cache, fmt) * seen
    return grown + held + state_bytes(cache)


def kv_report(arch: Architecture, tokens: int, kv_dtype: str = "bf16") -> dict[str, object]:
    """The cache of one sequence of ``tokens``, unsharded, layer kind by layer kind.

    The constant state is given at 16 bits; ``state_fp32_bytes_per_sequence`` is what engines hold when the
    config asks for an fp32 recurrent state. Index keys of sparse attention count in the full-attention
    figure of compressed layers and apart, as ``indexer_bytes_per_token``, elsewhere.
    """
    if isinstance(tokens, bool) or not isinstance(tokens, int) or tokens < 0:
        raise SizingError(f"must be a whole number of tokens, not {tokens!r}", key="--tokens")
    fmt = kv_format(kv_dtype)
    full = sliding = state = fp32 = index = 0.0
    windows: set[int] = set()
    layers: list[dict[str, object]] = []
    for group in arch.groups:
        cache = group.mixer.cache
        grown = cache_bytes_per_token(cache, fmt)
        held = window_bytes_per_token(cache, fmt)
        if cache.kind is CacheKind.COMPRESSED:
            full += group.count * grown
        else:
            full += group.count * (grown - cache.indexer_bytes_per_token)
            index += group.count * cache.indexer_bytes_per_token
        sliding += group.count * held
        state += group.count * state_bytes(cache)
        fp32 += group.count * state_bytes(cache, fp32=True)
        window = cache.window if cache.kind is CacheKind.SLIDING else cache.local_window
        if window is not None:
            windows.add(window)
        layers.append(
            {
                "group": group.name,
                "layers": group.count,
                "kind": cache.kind.value,
                "bytes_per_token": _whole(grown),
                "window": window,
                "window_bytes_per_token": _whole(held),
                "state_bytes": _whole(state_bytes(cache)),
                "bytes": _whole(group.count * float(_group_bytes(group, float(tokens), fmt))),
            }
        )
    report: dict[str, object] = {
        "model": arch.name,
        "tokens": tokens,
        "kv_dtype": kv_dtype,
        "bytes": _whole(float(kv_bytes(arch, float(tokens), fmt))),
        "bytes_per_token_full_attention": _whole(full),
        "bytes_per_token_sliding_window": _whole(sliding),
        "sliding_window": max(windows) if windows else None,
        "indexer_bytes_per_token": _whole(index),
        "state_bytes_per_sequence": _whole(state),
        "state_fp32_bytes_per_sequence": _whole(fp32),
        "layers": layers,
        "notes": [],
    }
    if fp32 != state:
        report["notes"] = ["the state is counted at 16 bits; its recurrent part is kept in fp32 by this config"]
    return report


def _whole(value: float) -> int | float:
    """Bytes as an int where they are whole."""
    return int(value) if value == int(value) else value
