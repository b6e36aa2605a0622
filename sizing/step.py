"""The time of one forward step: every operation on the machine's curves, plus what the engine adds.

``StepModel`` binds an architecture, a scheme, a machine and an engine's overheads; ``seconds(shape, placement)`` then
gives the latency of a pass for any (array of) step shapes and placements, and ``working(shape, placement)`` the same
pass as a list of timed operations, which the roofline chart and the reports print. Both run the very same code:

``seconds = sum over operations of count * (multiplier * kernel + quantisation * unfused) + overhead lines``

The kernels' own times are ``sizing.operation_times``; docs/explanation.md works one step through.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sizing.arrays import FloatArray, Num, as_float
from sizing.engine.placement import Placement
from sizing.kernels import KernelCurves, MachineRates
from sizing.model.architecture import Architecture
from sizing.model.parts import CacheKind, Component
from sizing.model.quantization import QuantScheme, WeightFormat
from sizing.operation_times import kernel_seconds, unfused_seconds
from sizing.operations import Operation, StepShape, list_operations


@dataclass(frozen=True, slots=True)
class Overheads:
    """What an engine adds to the operations, fitted on whole servers.

    step_s: host time of a step that is not hidden behind the accelerator [s]. layer_s: small kernels and launch gaps
    per layer and pass [s]. moe_layer_s: the same for routing, per layer with experts [s]. sync_s: what each of a
    layer's joins costs beyond the collective itself where several ranks run [s per layer]. elementwise: element-wise
    work per token and layer, as multiples of the time to move one residual row through memory. sequence_s: host work
    per running sequence and step [s]. prefill_step_s: host time that a step with prompt tokens adds [s].
    gemm, attention, experts, collectives: multipliers on the kernels' own times in decode; prefill_*: in prefill (a
    mixed step weighs the two by tokens). prefill_gemm16: on top of prefill_gemm for 16-bit products, which draw the
    most power and clock down under steady load. quantisation: share of the time to quantise activations that is left
    where engines fuse it into other kernels. linear_layer_s: small kernels around a recurrent mixer (convolution,
    gates), per such layer and pass [s]. norm_s: each norm inside a token mixer (of queries, keys, latents) [s].
    experts_mxfp4: on top of experts and prefill_experts for MXFP4 experts, whose servers (all of gpt-oss) touch fewer
    experts than ``operation_times.ROUTING_SKEW`` makes of their batches. Fields may be arrays (rows of a fit).
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
    moe_layer_s: float = 0.0
    sync_s: float = 0.0
    prefill_gemm: float = 1.0
    prefill_gemm16: float = 1.0
    prefill_attention: float = 1.0
    prefill_experts: float = 1.0
    prefill_collectives: float = 1.0
    linear: float = 1.0
    prefill_linear: float = 1.0
    quantisation: float = 1.0
    linear_layer_s: float = 0.0
    norm_s: float = 0.0
    experts_mxfp4: float = 1.0

    def multiplier(self, kind: str, prefill_share: Num = 0.0, fmt: WeightFormat | None = None) -> Num:
        """The factor on an operation's kernel time in a step of which ``prefill_share`` of the tokens are prompts."""
        group = KIND_GROUP.get(kind)
        if group is None:
            return 1.0
        decode, prefill = float(getattr(self, group)), float(getattr(self, f"prefill_{group}"))
        if group == "gemm" and (fmt is None or fmt.bits >= 16):
            prefill *= self.prefill_gemm16
        if group == "experts" and fmt is not None and fmt.name == "mxfp4":
            decode, prefill = decode * self.experts_mxfp4, prefill * self.experts_mxfp4
        if kind in PREFILL_ONLY:
            return prefill
        if kind in DECODE_ONLY or decode == prefill:
            return decode
        return decode + (prefill - decode) * as_float(prefill_share)


PREFILL_ONLY = frozenset({"prefill_attention", "linear_prefill"})
DECODE_ONLY = frozenset({"decode_attention", "linear_decode"})

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
    """The step times of one model in one format on one kind of machine under one engine."""

    arch: Architecture
    scheme: QuantScheme
    machine: MachineRates
    curves: KernelCurves
    overheads: Overheads = field(default_factory=Overheads)
    kv_bytes: float = 2.0

    def working(self, shape: StepShape, placement: Placement) -> list[TimedOperation]:
        """The pass as timed operations, engine overheads as the last lines."""
        share = prefill_share(shape)
        timed = [
            TimedOperation(op, self._time(op, share))
            for op in list_operations(self.arch, shape, placement, self.scheme, self.kv_bytes)
        ]
        return timed + self._overhead_lines(shape, placement)

    def seconds(self, shape: StepShape, placement: Placement) -> FloatArray:
        """Latency of one pass [s], broadcast over the arrays in ``shape`` and ``placement``."""
        total: FloatArray = as_float(0.0)
        for timed in self.working(shape, placement):
            total = total + timed.seconds
        return total

    def seconds_by_multiplier(self, shape: StepShape, placement: Placement) -> dict[str, FloatArray]:
        """Kernel time of a pass by the multiplier that it falls under: ``seconds`` is linear in the multipliers.

        Keys: those of ``Overheads`` for attention and recurrent mixers ("attention", "prefill_attention", "linear",
        "prefill_linear"); "gemm", "gemm16", "experts", "experts_mxfp4", "collectives" for what prompt and decoded tokens
        share; "quantisation" for that of the products' activations. Seconds, broadcast over shapes and placements.
        """
        found: dict[str, FloatArray] = {}
        for op in list_operations(self.arch, shape, placement, self.scheme, self.kv_bytes):
            group = KIND_GROUP[op.kind]
            if op.kind in PREFILL_ONLY:
                group = f"prefill_{group}"
            elif group == "gemm" and op.format.bits >= 16:
                group = "gemm16"
            elif group == "experts" and op.format.name == "mxfp4":
                group = "experts_mxfp4"
            found[group] = found.get(group, as_float(0.0)) + op.count * kernel_seconds(op, self.machine, self.curves)
            if op.kind == "gemm":
                found["quantisation"] = found.get("quantisation", as_float(0.0)) + op.count * unfused_seconds(
                    op, self.machine, self.curves
                )
        return found

    def _time(self, op: Operation, share: Num) -> FloatArray:
        factor = self.overheads.multiplier(op.kind, share, op.format)
        seconds = factor * kernel_seconds(op, self.machine, self.curves)
        if op.kind == "gemm":
            seconds = seconds + self.overheads.quantisation * unfused_seconds(op, self.machine, self.curves)
        return as_float(op.count * seconds)

    def _overhead_lines(self, shape: StepShape, placement: Placement) -> list[TimedOperation]:
        layers = float(self.arch.num_layers)
        pp = as_float(placement.pp)
        over = self.overheads
        prefilling = as_float(shape.prefill_tokens) > 0
        row_s = self.arch.hidden_size * 2.0 / self.machine.memory_bandwidth
        experts = float(sum(group.count for group in self.arch.groups if group.feed_forward.experts is not None))
        joined = (as_float(placement.tp) * placement.dp) > 1
        small = layers * over.layer_s + experts * over.moe_layer_s + recurrent_layers(self.arch) * over.linear_layer_s
        small += mixer_norms(self.arch) * over.norm_s
        lines = [
            ("layer_overhead", small + 0.0 * pp),
            ("synchronisation", np.where(joined, layers * over.sync_s, 0.0)),
            ("elementwise", layers * over.elementwise * row_s * shape.tokens),
            ("host_step", over.step_s * pp + np.where(prefilling, over.prefill_step_s, 0.0)),
            ("host_sequences", over.sequence_s * as_float(shape.decode_seqs)),
        ]
        return [TimedOperation(Operation(name, "host", 1.0), as_float(seconds)) for name, seconds in lines]


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


@dataclass(frozen=True, slots=True)
class PassParts:
    """A pass as what ``Overheads`` multiply and add: ``seconds(overheads)`` equals ``StepModel.seconds``.

    Lets many coefficients be tried, or many rows of different models be timed at once, without asking the kernels
    again. kernels: seconds by key of ``StepModel.seconds_by_multiplier``. share: of prompt tokens. row_s: seconds to
    move one residual row through memory, times layers. joined: layers whose ranks are joined (0 on one accelerator).
    """

    kernels: dict[str, FloatArray]
    share: FloatArray
    tokens: FloatArray
    sequences: FloatArray
    prefilling: FloatArray
    layers: FloatArray
    moe_layers: FloatArray
    joined: FloatArray
    row_s: FloatArray
    pp: FloatArray
    linear_layers: FloatArray
    norms: FloatArray

    @classmethod
    def of(cls, model: StepModel, shape: StepShape, placement: Placement) -> PassParts:
        """The parts of one model's pass."""
        layers = float(model.arch.num_layers)
        moe = float(sum(group.count for group in model.arch.groups if group.feed_forward.experts is not None))
        return cls(
            model.seconds_by_multiplier(shape, placement),
            prefill_share(shape),
            shape.tokens,
            as_float(shape.decode_seqs),
            as_float(as_float(shape.prefill_tokens) > 0),
            as_float(layers),
            as_float(moe),
            np.where(as_float(placement.tp) * placement.dp > 1, layers, 0.0),
            as_float(layers * model.arch.hidden_size * 2.0 / model.machine.memory_bandwidth),
            as_float(placement.pp),
            as_float(recurrent_layers(model.arch)),
            as_float(mixer_norms(model.arch)),
        )

    def seconds(self, over: Overheads) -> FloatArray:
        """Latency of the pass under these overheads, whose fields may be arrays [s]."""
        total = (
            self.layers * over.layer_s
            + self.moe_layers * over.moe_layer_s
            + self.linear_layers * over.linear_layer_s
            + self.norms * over.norm_s
            + self.joined * over.sync_s
            + self.row_s * over.elementwise * self.tokens
            + self.pp * over.step_s
            + self.prefilling * over.prefill_step_s
            + self.sequences * over.sequence_s
        )
        for key, seconds in self.kernels.items():
            if key.startswith("prefill_") or key in ("attention", "linear", "quantisation"):
                total = total + getattr(over, key) * seconds
                continue
            group = {"gemm16": "gemm", "experts_mxfp4": "experts"}.get(key, key)
            decode, prefill = getattr(over, group), getattr(over, f"prefill_{group}")
            if key == "gemm16":
                prefill = prefill * over.prefill_gemm16
            if key == "experts_mxfp4":
                decode, prefill = decode * over.experts_mxfp4, prefill * over.experts_mxfp4
            total = total + (decode + (prefill - decode) * self.share) * seconds
        return as_float(total)
