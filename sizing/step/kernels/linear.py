"""Time of recurrent token mixers: gated delta net, KDA, lightning attention, Mamba-2."""

from __future__ import annotations

import numpy as np

from sizing.base.arrays import as_float
from sizing.coefficients.kernels import KernelCurves, MachineRates, Seconds, Values, kernel_curves

CHUNK = 64.0  # tokens of one chunk of the parallel form


def linear_context_seconds(
    batch: Values,
    new_tokens: Values,
    k_heads: Values,
    v_heads: Values,
    k_dim: float,
    v_dim: float,
    *,
    machine: MachineRates,
    curves: KernelCurves | None = None,
) -> Seconds:
    """Seconds of convolution and chunked state update over ``batch`` sequences of ``new_tokens``, one layer.

    Bytes: the convolution reads and writes ``2 k_heads k_dim + v_heads v_dim`` channels; the update reads
    them, writes the output, and passes one state ``k_dim x v_dim`` per head and chunk through memory. FLOPs
    per token and value head: ``6 k_dim v_dim`` for state and output, ``6 * 64 (k_dim + v_dim)`` inside
    chunks. One sequence walks its chunks one after the other, ``chunk_us`` each. For Mamba-2: k_heads =
    groups, k_dim = d_state, v_heads = heads, v_dim = head_dim.
    """
    c = (curves or kernel_curves(machine.family)).linear("linear_context")
    n = as_float(new_tokens)
    v_heads = as_float(v_heads)
    tokens = as_float(batch) * n
    values = v_heads * v_dim
    channels = 2.0 * k_dim * as_float(k_heads) + values
    per_token = 6.0 * channels + 2.0 * values + (2.0 * 2.0 * k_dim / CHUNK) * values
    memory = tokens * per_token / (c.memory * machine.memory_bandwidth)
    flops = v_heads * (6.0 * k_dim * v_dim + 6.0 * CHUNK * (k_dim + v_dim))
    compute = tokens * flops / (c.compute * machine.bf16_flops)
    chain = n * (c.chunk_us * 1e-6 / CHUNK)
    seconds = np.sqrt(compute * compute + memory * memory + chain * chain) + c.launch_us * 1e-6
    return as_float(seconds)


def linear_generation_seconds(
    batch: Values,
    k_heads: Values,
    v_heads: Values,
    k_dim: float,
    v_dim: float,
    *,
    machine: MachineRates,
    state_bytes: float = 4.0,
    curves: KernelCurves | None = None,
) -> Seconds:
    """Seconds of one decode token: each sequence's state ``v_heads x k_dim x v_dim`` is read and written
    once."""
    c = (curves or kernel_curves(machine.family)).linear("linear_generation")
    values = as_float(v_heads) * v_dim
    per_sequence = values * (2.0 * k_dim * state_bytes) + 8.0 * (values + 2.0 * k_dim * np.asarray(k_heads))
    memory = as_float(batch) * per_sequence / (c.memory * machine.memory_bandwidth)
    return as_float(memory + c.launch_us * 1e-6)
