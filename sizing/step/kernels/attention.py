"""Time of softmax attention: prefill, decode, multi-head latent attention, vision encoders."""

from __future__ import annotations

import numpy as np

from sizing.base.arrays import as_float
from sizing.coefficients.kernels import AttentionCurve, KernelCurves, MachineRates, Seconds, Values, kernel_curves

QUERY_BLOCK = 128.0  # query rows of one work unit in prefill kernels
MIN_QUERY_ROWS = 64.0  # rows that a unit computes even for fewer queries
MIN_GROUP_ROWS = 16.0  # query heads of a KV head are padded to so many rows in decode


def attended_pairs(new_tokens: Values, past_tokens: Values = 0, window: Values | None = None) -> Seconds:
    """Query-key pairs of one sequence under a causal mask: token i of n sees ``min(past + i, window)``
    keys."""
    n, p = as_float(new_tokens), as_float(past_tokens)
    if window is None:
        return as_float(n * p + 0.5 * n * (n + 1.0))
    w = as_float(window)
    w = np.where(w > 0, w, np.inf)
    growing = np.clip(w - p, 0.0, n)
    rest = n - growing
    return as_float(growing * p + 0.5 * growing * (growing + 1.0) + rest * np.where(rest > 0, w, 0.0))


def _supported(dtype: str, machine: MachineRates) -> str:
    """The dtype that attention computes in: bf16 where the hardware lacks FP8 (an FP8 cache is converted on
    the way)."""
    return dtype if machine.flops(dtype) > 0 else "bf16"


def _prefill(
    batch: Values,
    rows: Values,
    pairs: Values,
    longest: Values,
    keys: Values,
    heads: Values,
    kv_heads: Values,
    qk_dim: float,
    v_dim: float,
    kv_bytes: float,
    dtype: str,
    machine: MachineRates,
    c: AttentionCurve,
) -> Seconds:
    """Work of all units plus the tail of the longest one, against the bytes of Q, K, V and output."""
    peak = machine.flops(dtype)
    dims = qk_dim + v_dim + c.softmax_dims
    units = as_float(batch) * heads
    compute = units * pairs + (c.tail * machine.cores * QUERY_BLOCK) * as_float(longest)
    compute = compute * (2.0 * dims / (c.compute * peak))
    bytes_ = units * rows * (2.0 * (qk_dim + v_dim)) + as_float(batch) * keys * kv_heads * ((qk_dim + v_dim) * kv_bytes)
    memory = bytes_ / (c.memory * machine.memory_bandwidth)
    return as_float(np.sqrt(compute * compute + memory * memory) + c.launch_us * 1e-6)


def attention_prefill_seconds(
    batch: Values,
    new_tokens: Values,
    past_tokens: Values,
    heads: Values,
    kv_heads: Values,
    qk_dim: float,
    v_dim: float,
    window: Values | None = None,
    *,
    machine: MachineRates,
    kv_bytes: float = 2.0,
    dtype: str = "bf16",
    curves: KernelCurves | None = None,
    operation: str = "prefill",
) -> Seconds:
    """Seconds of causal attention of one layer for ``batch`` sequences of ``new_tokens`` after
    ``past_tokens``.

    FLOPs are ``2 * batch * heads * pairs * (qk_dim + v_dim + softmax_dims)``; diagonal blocks of 128 rows are
    computed whole, and the longest block's time adds a ``tail`` (FlashAttention's work split). heads and
    kv_heads are those of one rank. ``window`` (tokens; None or 0: full) bounds the keys that a token sees.
    ``dtype`` is that of the product ("bf16" or "fp8", the latter with an FP8 cache on hardware that has it).
    """
    dtype = _supported(dtype, machine)
    c = (curves or kernel_curves(machine.family)).attention(operation, dtype)
    n = np.maximum(as_float(new_tokens), 1.0)
    past = as_float(past_tokens)
    rows = np.maximum(n, MIN_QUERY_ROWS)
    keys = n + past
    longest = keys
    if window is not None:
        w = np.where(as_float(window) > 0, as_float(window), np.inf)
        longest = np.minimum(keys, w + QUERY_BLOCK)
        keys = np.minimum(keys, n + w)
    pairs = attended_pairs(n, past, window) * (rows / n) + rows * (0.5 * QUERY_BLOCK)
    return _prefill(batch, n, pairs, longest, keys, heads, kv_heads, qk_dim, v_dim, kv_bytes, dtype, machine, c)


def mla_prefill_seconds(
    batch: Values,
    new_tokens: Values,
    past_tokens: Values,
    heads: Values,
    *,
    machine: MachineRates,
    qk_dim: float = 192.0,
    v_dim: float = 128.0,
    dtype: str = "bf16",
    curves: KernelCurves | None = None,
) -> Seconds:
    """Seconds of latent attention's prefill in its expanded form: multi-head, ``qk_nope + qk_rope`` and ``v``
    dims.

    The products that expand the latent into keys and values are GEMMs and are not counted here.
    """
    return attention_prefill_seconds(
        batch,
        new_tokens,
        past_tokens,
        heads,
        heads,
        qk_dim,
        v_dim,
        machine=machine,
        dtype=dtype,
        curves=curves,
        operation="mla_prefill",
    )


def encoder_attention_seconds(
    batch: Values,
    tokens: Values,
    heads: Values,
    head_dim: float,
    *,
    machine: MachineRates,
    curves: KernelCurves | None = None,
) -> Seconds:
    """Seconds of full (not causal) self-attention of ``batch`` images or windows of ``tokens`` patches, one
    layer."""
    c = (curves or kernel_curves(machine.family)).attention("encoder", "bf16")
    n = np.maximum(as_float(tokens), 1.0)
    rows = np.maximum(n, MIN_QUERY_ROWS)
    pairs = rows * (n + 0.5 * QUERY_BLOCK)
    return _prefill(batch, n, pairs, n, n, heads, heads, head_dim, head_dim, 2.0, "bf16", machine, c)


def _decode(
    batch: Values,
    context: Values,
    heads: Values,
    kv_heads: Values,
    qk_dim: float,
    v_dim: float,
    elements: float,
    kv_bytes: float,
    dtype: str,
    machine: MachineRates,
    c: AttentionCurve,
) -> Seconds:
    """``elements`` are those that one token keeps per KV head (K and V, or the shared latent)."""
    peak = machine.flops(dtype)
    batch, context = as_float(batch), as_float(context)
    group = np.maximum(as_float(heads) / kv_heads, MIN_GROUP_ROWS)
    units = batch * kv_heads
    span = context * (elements * kv_bytes)  # bytes of one unit
    padding = units * (c.pad_tokens * elements * kv_bytes)
    total = units * span + padding + batch * heads * (2.0 * (qk_dim + v_dim))
    memory = (total + c.tail * machine.cores * span) / (c.memory * machine.memory_bandwidth)
    compute = units * group * context * (2.0 * (qk_dim + v_dim) / (c.compute * peak))
    return as_float(np.sqrt(compute * compute + memory * memory) + c.launch_us * 1e-6)


def attention_decode_seconds(
    batch: Values,
    context: Values,
    heads: Values,
    kv_heads: Values,
    head_dim: float,
    window: Values | None = None,
    *,
    machine: MachineRates,
    kv_bytes: float = 2.0,
    v_dim: float | None = None,
    dtype: str = "bf16",
    curves: KernelCurves | None = None,
) -> Seconds:
    """Seconds of one decode token for each of ``batch`` sequences with ``context`` tokens in the cache, one
    layer.

    ``launch + sqrt(memory^2 + compute^2)``: memory is the cache read (``context * kv_heads * (k_dim + v_dim)
    * kv_bytes`` a sequence, up to the window) plus a tail for the longest unsplit unit, compute is padded to
    16 query rows per KV head. heads and kv_heads are those of one rank. For ragged batches pass the mean
    context.
    """
    dtype = _supported(dtype, machine)
    c = (curves or kernel_curves(machine.family)).attention("decode", dtype)
    seen = as_float(context)
    if window is not None:
        w = as_float(window)
        seen = np.where(w > 0, np.minimum(seen, w), seen)
    v = head_dim if v_dim is None else v_dim
    return _decode(batch, seen, heads, kv_heads, head_dim, v, head_dim + v, kv_bytes, dtype, machine, c)


def mla_decode_seconds(
    batch: Values,
    context: Values,
    heads: Values,
    *,
    machine: MachineRates,
    kv_bytes: float = 2.0,
    latent_dim: float = 576.0,
    latent_v_dim: float = 512.0,
    dtype: str = "bf16",
    curves: KernelCurves | None = None,
) -> Seconds:
    """Seconds of one decode token over the latent cache: all heads of the rank share one latent per token.

    The cache read is ``context * latent_dim * kv_bytes`` a sequence, not divided by tensor parallelism; FLOPs
    are ``2 * heads * context * (latent_dim + latent_v_dim)``. Absorbing projections are GEMMs and are not
    counted here. For sparse attention pass ``min(context, topk_tokens)``.
    """
    dtype = _supported(dtype, machine)
    c = (curves or kernel_curves(machine.family)).attention("mla_decode", dtype)
    return _decode(batch, context, heads, 1.0, latent_dim, latent_v_dim, latent_dim, kv_bytes, dtype, machine, c)
