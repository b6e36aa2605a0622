"""Time of a dense matrix product."""

from __future__ import annotations

import numpy as np

from sizing.base.arrays import as_float
from sizing.coefficients.kernels import (
    FORMATS,
    KernelCurves,
    MachineRates,
    Seconds,
    Values,
    effective_format,
    kernel_curves,
)

TILE = 128.0  # rows and columns of an output tile, for the wave tail


def gemm_seconds(
    m: Values,
    n: Values,
    k: Values,
    *,
    machine: MachineRates,
    fmt: str = "bf16",
    curves: KernelCurves | None = None,
    quantise: bool = True,
    weight_bytes: Values | None = None,
) -> Seconds:
    """Seconds of ``[m, k] x [k, n]`` with 16-bit input and output and weights in ``fmt``, launched from a
    graph.

    ``launch + sqrt(compute^2 + memory^2) + quantisation`` where

    - compute = ``2 k (max(m, least rows) n + tail * cores * 128^2) / (efficiency * peak)``: the tail is the mean part
      of a wave of 128x128 tiles in which cores idle or fill their pipelines, whatever the number of tiles;
    - memory = bytes of weights, activations and output over ``efficiency * bandwidth``. Weights are taken to
      come from memory: in a model other layers evict them from L2, though a benchmark's repeated small GEMM
      may hit it;
    - quantisation = ``quant_bytes * m * k`` over the same bandwidth, for formats that quantise activations on
      the way.

    quantise: whether to count the quantisation (``quantisation_seconds``; its launch is part of the sum).
    weight_bytes: of the whole matrix as it is held, scales included; None: those of the format [bytes].

    m, n, k broadcast. A format that the hardware lacks runs weight-only (``effective_format``).
    """
    run = effective_format(fmt, machine)
    traits = FORMATS[run]
    known = curves or kernel_curves(machine.family)
    c = known.gemm(run)
    launch_us = min(c.launch_us, known.gemm("bf16").launch_us) if traits.quantises else c.launch_us
    m, n, k = as_float(m), as_float(n), as_float(k)
    bandwidth = c.memory * machine.memory_bandwidth
    tile_rows = TILE if machine.least_rows > 1 else np.minimum(m, TILE)
    compute = (np.maximum(m, machine.least_rows) * n + c.tail * machine.cores * TILE * tile_rows) * k
    compute *= 2.0 / (c.compute * machine.flops(traits.compute))
    weights = n * k * traits.weight_bytes if weight_bytes is None else as_float(weight_bytes)
    memory = (weights + m * (k * traits.activation_bytes + 2.0 * n)) / bandwidth
    seconds = np.sqrt(compute * compute + memory * memory) + launch_us * 1e-6
    if quantise:
        seconds = seconds + quantisation_seconds(m, k, machine=machine, fmt=fmt, curves=curves)
    return as_float(seconds)


def quantisation_seconds(
    m: Values, k: Values, *, machine: MachineRates, fmt: str = "bf16", curves: KernelCurves | None = None
) -> Seconds:
    """Seconds that the activations ``[m, k]`` of one product take to be quantised by a kernel of its own.

    ``quant_bytes * m * k`` over the product's memory bandwidth, plus what the format's launch exceeds that of the
    16-bit product: a second kernel. Engines fuse much of this into the norm or activation before it. 0 for formats
    that don't quantise activations.
    """
    run = effective_format(fmt, machine)
    known = curves or kernel_curves(machine.family)
    c = known.gemm(run)
    if not FORMATS[run].quantises:
        return as_float(0.0)
    extra = max(c.launch_us - known.gemm("bf16").launch_us, 0.0)
    bandwidth = c.memory * machine.memory_bandwidth
    return as_float(as_float(m) * as_float(k) * (c.quant_bytes / bandwidth) + extra * 1e-6)
