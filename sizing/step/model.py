"""The time of one forward step: every operation on the machine's curves, plus what the engine adds.

``StepModel`` binds an architecture, a scheme, a machine and an engine's overheads; ``seconds(shape, placement)`` then
gives the latency of a pass for any (array of) step shapes and placements, and ``working(shape, placement)`` the same
pass as a list of timed operations, which the roofline chart and the reports print. All add up by ``total``, THE sum:

``seconds = sum over parts of amount * factor``; amounts are kernel seconds, layers, sequences ... (``Parts``)

The kernels' own times are ``sizing.step.operation_times``; docs/explanation.md works one step through.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from sizing.base.arrays import FloatArray, Num, as_float
from sizing.coefficients.kernels import KernelCurves, MachineRates
from sizing.coefficients.overheads import Overheads
from sizing.engine.placement import Placement
from sizing.engine.shard import PLAIN_LAYOUT, Layout, Shards
from sizing.model.architecture import Architecture
from sizing.model.kv_formats import KVFormat, kv_format
from sizing.model.parts import CacheKind, Component
from sizing.model.quantization.schemes import QuantScheme
from sizing.step.operation_times import kernel_seconds, unfused_seconds
from sizing.step.operations import Operation, StepShape, list_operations

PREFILL_ONLY = frozenset({"prefill_attention", "linear_prefill"})

KIND_GROUP: dict[str, str] = {
    "gemm": "gemm",
    "prefill_attention": "attention",
    "decode_attention": "attention",
    "linear_prefill": "linear",
    "linear_decode": "linear",
    "moe": "experts",
    "all_reduce": "collectives",
    "all_gather": "collectives",
    "all_to_all": "collectives",
    "send": "collectives",
}


@dataclass(frozen=True, slots=True)
class TimedOperation:
    """An operation with its time: ``seconds`` are those of all ``count`` calls of a pass."""

    operation: Operation
    seconds: FloatArray


@dataclass(frozen=True, slots=True)
class StepModel:
    """The step times of one model in one format on one kind of machine under one engine.

    kv, layout, fp8_index_keys: how the engine holds the model, as for the memory ledger (``engine.shard.Shards``).
    """

    arch: Architecture
    scheme: QuantScheme
    machine: MachineRates
    curves: KernelCurves
    overheads: Overheads = field(default_factory=Overheads)
    kv: KVFormat = kv_format("bf16")  # noqa: RUF009
    layout: Layout = PLAIN_LAYOUT
    fp8_index_keys: bool = True

    @property
    def shards(self) -> Shards:
        """What a rank holds of the model, as the memory ledger counts it."""
        return Shards(self.scheme, self.layout, self.kv, self.fp8_index_keys)

    def timed_parts(self, shape: StepShape, placement: Placement) -> list[tuple[Operation, dict[str, FloatArray]]]:
        """Every operation of the pass with its amounts by key, the engine's own work last (see ``Parts``)."""
        found = [(op, self._kernel_amounts(op)) for op in list_operations(self.arch, shape, placement, self.shards)]
        return found + _host_amounts(self.arch, self.machine, shape, placement)

    def _kernel_amounts(self, op: Operation) -> dict[str, FloatArray]:
        amounts = {part_key(op): op.count * kernel_seconds(op, self.machine, self.curves)}
        if op.kind == "gemm":
            amounts["quantisation"] = op.count * unfused_seconds(op, self.machine, self.curves)
        return amounts

    def parts(self, shape: StepShape, placement: Placement) -> Parts:
        """The pass as what ``Overheads`` multiply, added up by key."""
        amounts: dict[str, FloatArray] = {}
        for _, each in self.timed_parts(shape, placement):
            for key, amount in each.items():
                amounts[key] = amounts.get(key, as_float(0.0)) + amount
        return Parts(amounts, prefill_share(shape))

    def working(self, shape: StepShape, placement: Placement) -> list[TimedOperation]:
        """The pass as timed operations, engine overheads as the last lines."""
        share = prefill_share(shape)
        lines = [
            TimedOperation(op, total(amounts, self.overheads, share))
            for op, amounts in self.timed_parts(shape, placement)
        ]
        if self.overheads.launch_s:
            idle = self.seconds(shape, placement) - sum((item.seconds for item in lines), start=as_float(0.0))
            lines.append(TimedOperation(Operation("waiting_for_launches", "host", 1.0), idle))
        return lines

    def seconds(self, shape: StepShape, placement: Placement) -> FloatArray:
        """Latency of one pass [s], broadcast over the arrays in ``shape`` and ``placement``."""
        return self.parts(shape, placement).seconds(self.overheads)


def part_key(op: Operation) -> str:
    """The key under which an operation's kernel time is added up."""
    group = KIND_GROUP[op.kind]
    if op.kind in PREFILL_ONLY:
        return f"prefill_{group}"
    if group == "gemm" and op.format.bits >= 16:
        return "gemm16"
    if group == "experts":
        return "experts_mxfp4" if op.format.name == "mxfp4" else "experts_fp8" if op.format.compute == "fp8" else group
    return group


def _host_amounts(
    arch: Architecture, machine: MachineRates, shape: StepShape, placement: Placement
) -> list[tuple[Operation, dict[str, FloatArray]]]:
    """What the engine adds to a pass, as lines of the working: how often each of its terms counts."""
    layers = float(arch.num_layers)
    pp = as_float(placement.pp)
    experts = float(sum(group.count for group in arch.groups if group.feed_forward.experts is not None))
    joined = (as_float(placement.tp) * placement.dp) > 1
    row_s = arch.hidden_size * 2.0 / machine.memory_bandwidth
    lines: dict[str, dict[str, Num]] = {
        "layer_overhead": {
            "layer_s": layers,
            "moe_layer_s": experts,
            "linear_layer_s": recurrent_layers(arch),
            "norm_s": mixer_norms(arch),
            "index_layer_s": float(sum(g.count for g in arch.groups if g.mixer.core.index_heads)),
        },
        "synchronisation": {"sync_s": np.where(joined, layers, 0.0), "moe_sync_s": np.where(joined, experts, 0.0)},
        "elementwise": {"elementwise": layers * row_s * shape.tokens},
        "host_step": {"step_s": pp, "prefill_step_s": as_float(as_float(shape.prefill_tokens) > 0)},
        "host_sequences": {"sequence_s": as_float(shape.decode_seqs)},
    }
    return [
        (Operation(name, "host", 1.0), {key: as_float(value) for key, value in amounts.items()})
        for name, amounts in lines.items()
    ]


def prefill_share(shape: StepShape) -> FloatArray:
    """Share of a step's tokens that are prompt tokens."""
    return as_float(shape.prefill_tokens) / np.maximum(shape.tokens, 1e-9)


def recurrent_layers(arch: Architecture) -> float:
    """Layers whose mixer keeps a constant state."""
    return float(sum(group.count for group in arch.groups if group.mixer.cache.kind is CacheKind.STATE))


def mixer_norms(arch: Architecture) -> float:
    """Norms inside the token mixers of all layers (of queries and keys, of latents)."""
    return float(
        sum(
            group.count * sum(vector.component is Component.NORMS for vector in group.mixer.vectors)
            for group in arch.groups
        )
    )


def time_by_kind(timed: list[TimedOperation]) -> dict[str, FloatArray]:
    """Seconds of a pass by kind of operation."""
    found: dict[str, FloatArray] = {}
    for item in timed:
        found[item.operation.kind] = found.get(item.operation.kind, as_float(0.0)) + item.seconds
    return found


def total(amounts: Mapping[str, FloatArray], over: Overheads, share: Num = 0.0) -> FloatArray:
    """THE sum of a step: each amount times what one unit of it takes under these overheads [s].

    >>> over = Overheads(gemm=1.25, prefill_gemm=1.25, layer_s=10e-6)
    >>> float(total({"gemm": as_float(0.008), "layer_s": as_float(64.0)}, over))  # 8 ms of products, 64 layers
    0.01064
    """
    found = as_float(0.0)
    for key, amount in amounts.items():
        found = found + over.factor(key, share) * amount
    return as_float(found)


@dataclass(frozen=True, slots=True)
class Parts:
    """A pass as what ``Overheads`` multiply, by key: many coefficients are tried, or many rows of different models timed
    at once, without asking the kernels again.

    amounts: kernel seconds of the pass under "gemm", "gemm16" (16-bit products), "experts", "experts_mxfp4", "experts_fp8",
    "collectives", "attention", "prefill_attention", "linear", "prefill_linear" and "quantisation"; how often the
    engine's own terms count under the names of their fields ("layer_s": layers; "sync_s": layers whose ranks are
    joined; "elementwise": seconds to move the residual rows once a layer ...).
    share: of prompt tokens.
    """

    amounts: Mapping[str, FloatArray]
    share: FloatArray

    def seconds(self, over: Overheads) -> FloatArray:
        """Latency of the pass under these overheads, whose fields may be arrays [s]."""
        launches = as_float(self.amounts.get("layer_s", as_float(0.0))) * over.launch_s
        return np.maximum(total(self.amounts, over, self.share), launches)
