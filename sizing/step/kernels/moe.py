"""Time of a block of routed experts on one rank, and what routing makes of a batch."""

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

TILE = 128.0

# Three-point Gauss-Hermite rule: expectation over a normal variable.
_NODES = (-(3.0**0.5), 0.0, 3.0**0.5)
_WEIGHTS = (1.0 / 6.0, 2.0 / 3.0, 1.0 / 6.0)


def experts_touched(tokens: Values, topk: Values, num_experts: Values, skew: float = 0.0) -> Seconds:
    """Expected number of distinct experts, of all, that ``tokens`` tokens reach.

    Uniform routing: ``E (1 - (1 - k/E)^n)``. With ``skew`` s, the standard deviation of the logarithm of an
    expert's popularity, popularities are lognormal with mean ``k/E`` and the expectation is a three-point
    Gauss-Hermite rule.
    """
    n, e = as_float(tokens), as_float(num_experts)
    share = np.minimum(as_float(topk) / e, 1.0 - 1e-12)
    if skew <= 0.0:
        return np.asarray(-e * np.expm1(n * np.log1p(-share)), np.float64)
    popularity = [np.exp(skew * z - 0.5 * skew * skew) for z in _NODES]
    norm = sum(w * p for w, p in zip(_WEIGHTS, popularity, strict=True))
    missed: Seconds = np.zeros(np.broadcast_shapes(n.shape, e.shape, share.shape))
    for weight, p in zip(_WEIGHTS, popularity, strict=True):
        missed = missed + weight * np.exp(n * np.log1p(-np.minimum(share * (p / norm), 1.0 - 1e-12)))
    return as_float(e * (1.0 - missed))


def rank_imbalance(tokens: Values, topk: Values, num_experts: Values, moe_ep: Values, skew: float = 0.0) -> Seconds:
    """Rows of the busiest expert-parallel rank over the mean rank's (1 without expert parallelism).

    The largest of ep sums of ``E/ep`` loads: ``1 + cv sqrt(2 ln ep)``, with cv^2 of popularity ``(e^{s^2} -
    1) ep/E`` plus that of chance, ``ep / (n k)``; bounded by ep and by what a token can send to one rank.
    """
    n, k = as_float(tokens), as_float(topk)
    ep, e = as_float(moe_ep), as_float(num_experts)
    variance = ep * (np.expm1(skew * skew) / e + 1.0 / np.maximum(n * k, 1.0))
    worst = 1.0 + np.sqrt(variance * (2.0 * np.log(ep)))
    bound = ep * np.minimum(1.0, np.maximum(e / ep, 1.0) / k)
    return np.asarray(np.maximum(np.minimum(worst, bound), 1.0), np.float64)


def grouped_gemm_seconds(
    rows: Values,
    touched: Values,
    hidden: Values,
    inter: Values,
    *,
    machine: MachineRates,
    fmt: str = "bf16",
    matrices: float = 3.0,
    expert_bytes: Values | None = None,
    curves: KernelCurves | None = None,
) -> Seconds:
    """Seconds of the expert products of one rank: ``rows`` token-expert pairs over ``touched`` experts.

    ``launch + sqrt(compute^2 + memory^2) + traffic``: compute = ``2 matrices hidden inter (rows + pad *
    touched)`` and the tail of a wave of tiles; memory = weights of the touched experts; traffic = permuting,
    quantising and combining rows. ``inter`` is the rank's part of an expert's intermediate size; ``matrices``
    is 3 for gated experts, else 2. ``expert_bytes``: of one expert's part as it is held, scales and padding included;
    None: those of the format [bytes].
    """
    run = effective_format(fmt, machine)
    traits = FORMATS[run]
    c = (curves or kernel_curves(machine.family)).moe(run)
    rows, touched = as_float(rows), as_float(touched)
    hidden = as_float(hidden)
    expert = matrices * hidden * as_float(inter)
    bandwidth = c.memory * machine.memory_bandwidth
    tile_rows, pad = as_float(TILE), as_float(c.pad_tokens)
    if machine.least_rows <= 1:  # no tile is taller than the rows of an expert
        tile_rows = np.minimum(rows / np.maximum(touched, 1e-9), TILE)
        pad = np.minimum(pad, tile_rows)
    compute = (rows + pad * touched) * expert + (2.0 * c.tail * machine.cores * TILE * tile_rows) * (hidden + inter)
    compute *= 2.0 / (c.compute * machine.flops(traits.compute))
    memory = touched * (expert * traits.weight_bytes if expert_bytes is None else as_float(expert_bytes)) / bandwidth
    traffic = rows * hidden * (c.traffic_bytes / bandwidth)
    return as_float(np.sqrt(compute * compute + memory * memory) + traffic + c.launch_us * 1e-6)


def moe_seconds(
    tokens: Values,
    hidden: Values,
    inter: Values,
    topk: Values,
    num_experts: Values,
    moe_tp: Values = 1,
    moe_ep: Values = 1,
    skew: float = 0.0,
    *,
    machine: MachineRates,
    fmt: str = "bf16",
    matrices: float = 3.0,
    local: Values | None = None,
    expert_bytes: Values | None = None,
    curves: KernelCurves | None = None,
) -> Seconds:
    """Seconds of the routed experts of one layer on its busiest rank, for ``tokens`` tokens of the whole
    group.

    ``tokens`` are those of all ranks that share the experts (attention data-parallel ranks together). Experts
    are split ``moe_tp`` ways within and ``moe_ep`` ways among themselves. ``skew``: see ``experts_touched``;
    dispatch and reduction between ranks are collectives and are not counted here. ``local``: experts that the rank
    holds; None: ``num_experts / moe_ep``. ``expert_bytes``: see ``grouped_gemm_seconds``.
    """
    n = as_float(tokens)
    ep = as_float(moe_ep)
    rows = n * topk / ep * rank_imbalance(n, topk, num_experts, ep, skew)
    share = 1.0 / ep if local is None else as_float(local) / num_experts
    touched = np.minimum(experts_touched(n, topk, num_experts, skew) * share, np.maximum(rows, 1e-9))
    return grouped_gemm_seconds(
        rows,
        touched,
        hidden,
        as_float(inter) / moe_tp,
        machine=machine,
        fmt=fmt,
        matrices=matrices,
        expert_bytes=expert_bytes,
        curves=curves,
    )
