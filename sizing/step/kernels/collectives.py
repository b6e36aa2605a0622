"""Time of collectives: all-reduce, all-gather, reduce-scatter, all-to-all, expert dispatch, point to point.

``size_bytes`` is the whole logical buffer: the vector that every rank holds (all-reduce), the gathered result
(all-gather), the input of a rank (reduce-scatter, all-to-all). Ranks beyond ``machine.node_size`` span nodes.
"""

from __future__ import annotations

import numpy as np

from sizing.base.arrays import as_float
from sizing.coefficients.kernels import CollectiveCurve, KernelCurves, MachineRates, Seconds, Values, kernel_curves


def _split(ranks: Seconds, machine: MachineRates) -> tuple[Seconds, Seconds]:
    """Ranks inside a node and number of nodes."""
    local = np.minimum(ranks, float(machine.node_size))
    return local, np.maximum(ranks / machine.node_size, 1.0)


def _link_rate(local: Seconds, rate: Seconds | float, machine: MachineRates, c: CollectiveCurve) -> Seconds:
    """Bytes/s that one rank sends while all do: its link, or its share of the host bridge when more than two
    share."""
    own = machine.link_bandwidth * rate
    if c.shared_rate <= 0.0:
        return as_float(own + 0.0 * local)
    shared = machine.link_bandwidth * c.shared_rate / local
    return np.asarray(np.where(local > 2.0, np.minimum(own, shared), own), np.float64)


def _across(
    inside: Seconds, wire_per_rank: Seconds, nodes: Seconds, machine: MachineRates, c: CollectiveCurve
) -> Seconds:
    """Add the network part of a hierarchical collective: latency per doubling of nodes, transfers that
    overlap."""
    network = wire_per_rank / (machine.node_bandwidth * c.inter_rate)
    spans = nodes > 1.0
    # overlapping transfers: the longer one dominates, the other shows in part
    overlapped = np.sqrt(inside * inside + network * network) + np.log2(nodes) * (c.inter_us * 1e-6)
    return as_float(np.where(spans, overlapped, inside))


def all_reduce_seconds(
    size_bytes: Values,
    ranks: Values,
    *,
    machine: MachineRates,
    curves: KernelCurves | None = None,
) -> Seconds:
    """Seconds to sum a vector of ``size_bytes`` over ``ranks`` accelerators: the faster of two algorithms.

    One-shot: every rank reads every other's vector, ``(r - 1) S`` bytes. Two-shot and ring: reduce-scatter
    and all-gather, ``2 (r - 1)/r S`` bytes, at a rate that grows by ``rank_gain`` with each doubling of
    ranks. Across nodes: rings inside nodes, then ``2 (N - 1)/N S / node_size`` bytes per accelerator over the
    network.
    """
    c = (curves or kernel_curves(machine.family)).collective(machine.fabric)
    size, r = as_float(size_bytes), as_float(ranks)
    local, nodes = _split(r, machine)
    one = (c.one_shot_us + c.one_shot_rank_us * local) * 1e-6 + (local - 1.0) * size / _link_rate(
        local, c.one_shot_rate, machine, c
    )
    gain = c.two_shot_rate * (1.0 + c.rank_gain * np.log2(np.maximum(local, 2.0) / 2.0))
    two = (c.two_shot_us + c.two_shot_rank_us * local) * 1e-6 + 2.0 * (1.0 - 1.0 / local) * size / _link_rate(
        local, gain, machine, c
    )
    inside = np.minimum(one, two)
    seconds = _across(inside, 2.0 * (1.0 - 1.0 / nodes) * size / local, nodes, machine, c)
    return as_float(np.where(r > 1.0, seconds, 0.0))


def _half(size_bytes: Values, ranks: Values, machine: MachineRates, curves: KernelCurves | None) -> Seconds:
    c = (curves or kernel_curves(machine.family)).collective(machine.fabric)
    size, r = as_float(size_bytes), as_float(ranks)
    local, nodes = _split(r, machine)
    gain = c.gather_rate * (1.0 + c.rank_gain * np.log2(np.maximum(local, 2.0) / 2.0))
    inside = (c.gather_us + c.gather_rank_us * local) * 1e-6 + (1.0 - 1.0 / local) * size / _link_rate(
        local, gain, machine, c
    )
    seconds = _across(inside, (1.0 - 1.0 / nodes) * size / local, nodes, machine, c)
    return as_float(np.where(r > 1.0, seconds, 0.0))


def all_gather_seconds(
    size_bytes: Values, ranks: Values, *, machine: MachineRates, curves: KernelCurves | None = None
) -> Seconds:
    """Seconds until every rank holds the gathered ``size_bytes``: ``(r - 1)/r S`` bytes on each link."""
    return _half(size_bytes, ranks, machine, curves)


def reduce_scatter_seconds(
    size_bytes: Values, ranks: Values, *, machine: MachineRates, curves: KernelCurves | None = None
) -> Seconds:
    """Seconds to sum vectors of ``size_bytes`` and leave ``1/r`` of the sum on each rank."""
    return _half(size_bytes, ranks, machine, curves)


def all_to_all_seconds(
    size_bytes: Values, ranks: Values, *, machine: MachineRates, curves: KernelCurves | None = None
) -> Seconds:
    """Seconds to exchange equal parts of each rank's ``size_bytes`` with all ranks (NCCL)."""
    c = (curves or kernel_curves(machine.family)).collective(machine.fabric)
    size, r = as_float(size_bytes), as_float(ranks)
    local, nodes = _split(r, machine)
    inside = (c.exchange_us + c.exchange_rank_us * local) * 1e-6 + (local - 1.0) / r * size / _link_rate(
        local, c.exchange_rate, machine, c
    )
    seconds = _across(inside, (1.0 - 1.0 / nodes) * size, nodes, machine, c)
    return as_float(np.where(r > 1.0, seconds, 0.0))


def expert_exchange_seconds(
    tokens: Values,
    hidden: Values,
    topk: Values,
    ranks: Values,
    *,
    machine: MachineRates,
    element_bytes: float = 2.0,
    low_latency: bool = True,
    curves: KernelCurves | None = None,
) -> Seconds:
    """Seconds of one dispatch or one combine of ``tokens`` tokens per rank among ``ranks`` expert-parallel
    ranks.

    Low-latency kernels send a token to every expert, ``topk`` copies. Normal kernels send one copy to each
    rank that holds any of them, ``r (1 - (1 - 1/r)^k)``. ``element_bytes``: 1.03 for FP8 with scales
    (dispatch), 2 for bf16.
    """
    c = (curves or kernel_curves(machine.family)).dispatch()
    n, r = as_float(tokens), as_float(ranks)
    k = as_float(topk)
    local, nodes = _split(r, machine)
    share = np.minimum(1.0 / np.maximum(r, 1.0), 1.0 - 1e-12)
    copies = k if low_latency else np.maximum(-r * np.expm1(k * np.log1p(-share)), 1.0)
    sent = n * hidden * element_bytes * copies
    base, rate = (c.low_latency_us, c.low_latency_rate) if low_latency else (c.normal_us, c.normal_rate)
    inside = sent * ((local - 1.0) / np.maximum(r, 1.0)) / (machine.link_bandwidth * rate)
    # across nodes a normal kernel sends one copy to each node and forwards it there
    if low_latency:
        crossing = sent * (1.0 - 1.0 / nodes)
    else:
        crossing = (
            n
            * hidden
            * element_bytes
            * np.maximum(nodes - 1.0, 0.0)
            * -np.expm1(k * np.log1p(-np.minimum(1.0 / nodes, 1.0 - 1e-12)))
        )
    network = crossing / (machine.node_bandwidth * c.inter_rate)
    seconds = base * 1e-6 + np.log2(nodes) * (c.inter_us * 1e-6) + np.sqrt(inside * inside + network * network)
    return as_float(np.where(r > 1.0, seconds, 0.0))


def point_to_point_seconds(
    size_bytes: Values,
    *,
    machine: MachineRates,
    across_nodes: bool = False,
    curves: KernelCurves | None = None,
) -> Seconds:
    """Seconds to send ``size_bytes`` to one neighbour (pipeline stages, cache transfer)."""
    c = (curves or kernel_curves(machine.family)).collective(machine.fabric)
    size = as_float(size_bytes)
    latency = c.gather_us + 2.0 * c.gather_rank_us + (c.inter_us if across_nodes else 0.0)
    rate = machine.node_bandwidth * c.inter_rate if across_nodes else machine.link_bandwidth * c.gather_rate
    return as_float(size / rate + latency * 1e-6)
