"""The time of one forward step: every operation on the machine's curves, plus what the engine adds.

``StepModel`` binds an architecture, a scheme, a machine and an engine's overheads; ``seconds(shape, ranks)`` then gives
the latency of a pass for any (array of) step shapes and placements, and ``working(shape, ranks)`` the same pass as a
list of timed operations, which the roofline chart and the reports print. Both run the very same code.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sizing import kernels
from sizing.arrays import FloatArray, Num, as_float
from sizing.kernels import KernelCurves, MachineRates
from sizing.model.architecture import Architecture
from sizing.model.parts import CoreKind
from sizing.model.quantization import QuantScheme
from sizing.operations import Operation, Ranks, StepShape, list_operations


@dataclass(frozen=True, slots=True)
class Overheads:
    """What an engine adds to the operations, fitted on whole servers.

    step_s: host time of a step that is not hidden behind the accelerator [s]. layer_s: small kernels and launch gaps
    per layer and pass [s]. token_layer_s: element-wise work per token and layer beyond that, as a fraction of the time
    to move one residual row through memory (dimensionless). sequence_s: host work per running sequence and step [s].
    gemm, attention, experts, collectives: multipliers on the kernels' own times.
    """

    step_s: float = 0.0
    layer_s: float = 0.0
    elementwise: float = 0.0
    sequence_s: float = 0.0
    gemm: float = 1.0
    attention: float = 1.0
    experts: float = 1.0
    collectives: float = 1.0
    prefill_step_s: float = 0.0

    def multiplier(self, kind: str) -> float:
        return getattr(self, KIND_GROUP[kind]) if kind in KIND_GROUP else 1.0


KIND_GROUP: dict[str, str] = {
    "gemm": "gemm",
    "prefill_attention": "attention",
    "decode_attention": "attention",
    "linear_prefill": "attention",
    "linear_decode": "attention",
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
    """The step times of one model in one format on one kind of machine under one engine."""

    arch: Architecture
    scheme: QuantScheme
    machine: MachineRates
    curves: KernelCurves
    overheads: Overheads = field(default_factory=Overheads)
    kv_bytes: float = 2.0

    def working(self, shape: StepShape, ranks: Ranks) -> list[TimedOperation]:
        """The pass as timed operations, engine overheads as the last lines."""
        timed = [
            TimedOperation(op, self._time(op)) for op in list_operations(self.arch, shape, ranks, self.scheme, self.kv_bytes)
        ]
        return timed + self._overhead_lines(shape, ranks)

    def seconds(self, shape: StepShape, ranks: Ranks) -> FloatArray:
        """Latency of one pass [s], broadcast over the arrays in ``shape`` and ``ranks``."""
        total: FloatArray = as_float(0.0)
        for timed in self.working(shape, ranks):
            total = total + timed.seconds
        return total

    def seconds_by_group(self, shape: StepShape, ranks: Ranks) -> dict[str, FloatArray]:
        """Latency of a pass by kind of operation, WITHOUT the overhead multipliers: what the fit starts from."""
        found: dict[str, FloatArray] = {}
        for op in list_operations(self.arch, shape, ranks, self.scheme, self.kv_bytes):
            group = KIND_GROUP[op.kind]
            found[group] = found.get(group, as_float(0.0)) + op.count * self._kernel(op)
        return found

    def _time(self, op: Operation) -> FloatArray:
        return op.count * self.overheads.multiplier(op.kind) * self._kernel(op)

    def _overhead_lines(self, shape: StepShape, ranks: Ranks) -> list[TimedOperation]:
        layers = float(self.arch.num_layers)
        pp = as_float(ranks.pp)
        over = self.overheads
        prefilling = as_float(shape.prefill_tokens) > 0
        row_s = self.arch.hidden_size * 2.0 / self.machine.memory_bandwidth
        lines = [
            ("layer_overhead", layers * over.layer_s + 0.0 * pp),
            ("elementwise", layers * over.elementwise * row_s * shape.tokens),
            ("host_step", over.step_s * pp + np.where(prefilling, over.prefill_step_s, 0.0)),
            ("host_sequences", over.sequence_s * as_float(shape.decode_seqs)),
        ]
        return [
            TimedOperation(Operation(name, "host", 1.0), as_float(seconds)) for name, seconds in lines
        ]

    def _kernel(self, op: Operation) -> FloatArray:
        """Seconds of one call of an operation on this machine."""
        args = op.args
        machine, curves = self.machine, self.curves
        if op.kind == "gemm":
            return kernels.gemm_seconds(args["m"], args["n"], args["k"], machine=machine, fmt=op.format, curves=curves)
        if op.kind == "moe":
            return kernels.moe_seconds(
                args["tokens"],
                hidden=args["hidden"],
                inter=args["inter"] * args["moe_tp"],
                topk=args["topk"],
                num_experts=args["num_experts"],
                moe_tp=args["moe_tp"],
                moe_ep=args["moe_ep"],
                matrices=args["matrices"],
                machine=machine,
                fmt=op.format,
                curves=curves,
            )
        raise NotImplementedError(op.kind)


def time_by_kind(timed: list[TimedOperation]) -> dict[str, FloatArray]:
    """Seconds of a pass by kind of operation."""
    found: dict[str, FloatArray] = {}
    for item in timed:
        found[item.operation.kind] = found.get(item.operation.kind, as_float(0.0)) + item.seconds
    return found


__all__ = ["CoreKind", "Num", "Overheads", "StepModel", "TimedOperation", "time_by_kind"]
