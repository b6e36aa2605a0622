"""The time of one call of each kind of operation on a machine: from what an operation holds to what its kernel takes.

One small function a kind reads ``Operation.args`` and asks the closed forms of ``sizing.step.kernels``; engines'
overheads and
multipliers are no concern of theirs (``sizing.step.model``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from sizing.base.arrays import FloatArray, as_float, scalar
from sizing.coefficients.kernels import KernelCurves, MachineRates
from sizing.model.parts import CoreKind
from sizing.model.quantization.schemes import WeightFormat
from sizing.step import kernels
from sizing.step.operations import Operation

#: Standard deviation of the logarithm of an expert's popularity (``kernels.experts_touched``): one value for all models,
#: set and not fitted. The ``experts`` multipliers of serving.yaml were fitted with it in place, so the two change together.
ROUTING_SKEW = 0.8
#: Share of the peak (prefill, FP8 where there is any) and of the bandwidth (decode) that scoring the keys of sparse
#: attention's index reaches. Assumed: no measured kernel covers it.
INDEX_EFFICIENCY = 0.5
#: Weight format -> the name under which the kernel curves know it; others go by their bits (``kernel_format``).
KERNEL_FORMATS: dict[str, str] = {
    "bf16": "bf16",
    "fp16": "bf16",
    "fp32": "bf16",
    "fp8": "fp8",
    "fp8_channel": "fp8",
    "fp8_block": "fp8_block",
    "mxfp8": "fp8",
    "int8": "int8",
    "int8_wo": "int8_wo",
    "int4_awq": "int4_wo",
    "int4_gptq": "int4_wo",
    "w4a8": "int8",
    "mxfp4": "mxfp4",
    "nvfp4": "nvfp4",
}


def kernel_seconds(op: Operation, machine: MachineRates, curves: KernelCurves) -> FloatArray:
    """Seconds of one call of an operation (not of all ``op.count``), without quantising a product's activations."""
    return KERNELS[op.kind](op, machine, curves)


def unfused_seconds(op: Operation, machine: MachineRates, curves: KernelCurves) -> FloatArray:
    """Seconds of quantising the activations of one product (``op.kind`` "gemm") in a kernel of its own."""
    return kernels.quantisation_seconds(
        op.args["m"], op.args["k"], machine=machine, fmt=kernel_format(op.format), curves=curves
    )


def _gemm(op: Operation, machine: MachineRates, curves: KernelCurves) -> FloatArray:
    args = op.args
    return kernels.gemm_seconds(
        args["m"],
        args["n"],
        args["k"],
        machine=machine,
        fmt=kernel_format(op.format),
        curves=curves,
        quantise=False,
        weight_bytes=op.weight_bytes,
    )


def _moe(op: Operation, machine: MachineRates, curves: KernelCurves) -> FloatArray:
    a = op.args
    return kernels.moe_seconds(
        a["tokens"],
        a["hidden"],
        a["inter"],
        a["topk"],
        a["num_experts"],
        1.0,  # "inter" is the rank's own part
        a["moe_ep"],
        ROUTING_SKEW,
        machine=machine,
        fmt=kernel_format(op.format),
        matrices=float(op.args["matrices"]),
        local=a["local"],
        expert_bytes=a["expert_bytes"],
        curves=curves,
    )


def _prefill_attention(op: Operation, machine: MachineRates, curves: KernelCurves) -> FloatArray:
    a, core = op.args, op.core
    assert core is not None
    index = as_float(a["index_flops"]) / (machine.flops("fp8") or machine.bf16_flops) / INDEX_EFFICIENCY
    kv_bytes = float(scalar(a["kv_bytes"]))
    whole = core.compress_ratio <= 1 and not core.window
    seconds = as_float(np.inf)
    if core.kind is CoreKind.MLA and whole:  # expanded to full heads
        seconds = kernels.mla_prefill_seconds(
            a["seqs"],
            a["new_tokens"],
            a["past"],
            a["heads"],
            machine=machine,
            qk_dim=float(core.qk_head_dim),
            v_dim=float(core.v_head_dim),
            curves=curves,
        )
    if core.kind is CoreKind.MLA and (core.topk_tokens or not whole):  # on the latents, of the entries that are seen
        sparse = kernels.attention_prefill_seconds(
            a["seqs"],
            a["new_tokens"],
            a["past"],
            a["heads"],
            1.0,
            float(core.latent_dim),
            float(core.latent_v_dim),
            a["keys"],
            machine=machine,
            kv_bytes=kv_bytes,
            curves=curves,
            operation="mla_prefill",
        )
        seconds = np.minimum(seconds, sparse)
    if core.kind is CoreKind.MLA:
        return index + seconds
    return index + kernels.attention_prefill_seconds(
        a["seqs"],
        a["new_tokens"],
        a["past"],
        a["heads"],
        a["kv_heads"],
        float(core.qk_head_dim),
        float(core.v_head_dim),
        a["keys"] if core.topk_tokens else core.window,
        machine=machine,
        kv_bytes=kv_bytes,
        curves=curves,
    )


def _decode_attention(op: Operation, machine: MachineRates, curves: KernelCurves) -> FloatArray:
    a, core = op.args, op.core
    assert core is not None
    index = as_float(a["index_bytes"]) / machine.memory_bandwidth / INDEX_EFFICIENCY
    seqs = as_float(a["seqs"]) + 0.0
    kv_bytes = float(scalar(a["kv_bytes"]))
    if core.kind is CoreKind.MLA:
        return index + kernels.mla_decode_seconds(
            seqs,
            a["context"],
            as_float(a["heads"]) * a["queries"],
            machine=machine,
            kv_bytes=kv_bytes,
            latent_dim=float(core.latent_dim),
            latent_v_dim=float(core.latent_v_dim),
            curves=curves,
        )
    return index + kernels.attention_decode_seconds(
        seqs,
        a["context"],
        as_float(a["heads"]) * a["queries"],
        a["kv_heads"],
        float(core.qk_head_dim),
        machine=machine,
        kv_bytes=kv_bytes,
        v_dim=float(core.v_head_dim),
        curves=curves,
    )


def _linear_prefill(op: Operation, machine: MachineRates, curves: KernelCurves) -> FloatArray:
    a, core = op.args, op.core
    assert core is not None
    return kernels.linear_context_seconds(
        a["seqs"],
        a["new_tokens"],
        a["kv_heads"],
        a["heads"],
        float(core.qk_head_dim),
        float(core.v_head_dim),
        machine=machine,
        curves=curves,
    )


def _linear_decode(op: Operation, machine: MachineRates, curves: KernelCurves) -> FloatArray:
    a, core = op.args, op.core
    assert core is not None
    return kernels.linear_generation_seconds(
        a["seqs"],
        a["kv_heads"],
        a["heads"],
        float(core.qk_head_dim),
        float(core.v_head_dim),
        machine=machine,
        curves=curves,
    )


def _all_reduce(op: Operation, machine: MachineRates, curves: KernelCurves) -> FloatArray:
    return kernels.all_reduce_seconds(op.message_bytes, op.args["ranks"], machine=machine, curves=curves)


def _all_gather(op: Operation, machine: MachineRates, curves: KernelCurves) -> FloatArray:
    return kernels.all_gather_seconds(op.message_bytes, op.args["ranks"], machine=machine, curves=curves)


def _all_to_all(op: Operation, machine: MachineRates, curves: KernelCurves) -> FloatArray:
    """Dispatch and combine: gather everyone's tokens and scatter the sums, or exchange tokens where that is faster."""
    a = op.args
    gathered = kernels.all_gather_seconds(
        a["gathered"], a["ranks"], machine=machine, curves=curves
    ) + kernels.reduce_scatter_seconds(a["gathered"], a["ranks"], machine=machine, curves=curves)
    exchanged: FloatArray = as_float(0.0)
    for element_bytes in (1.03, 2.0):  # FP8 out, 16 bits back
        ways = [
            kernels.expert_exchange_seconds(
                a["tokens"],
                a["hidden"],
                a["topk"],
                a["ranks"],
                machine=machine,
                element_bytes=element_bytes,
                low_latency=low_latency,
                curves=curves,
            )
            for low_latency in (True, False)
        ]
        exchanged = exchanged + np.minimum(*ways)
    return np.where(as_float(a["whole_experts"]) > 0, np.minimum(gathered, exchanged), gathered)


def _send(op: Operation, machine: MachineRates, curves: KernelCurves) -> FloatArray:
    hops = as_float(op.args["hops"])
    one = as_float(op.message_bytes) / np.maximum(hops, 1.0)
    return hops * kernels.point_to_point_seconds(one, machine=machine, curves=curves)


Timer: TypeAlias = Callable[[Operation, MachineRates, KernelCurves], FloatArray]
KERNELS: dict[str, Timer] = {
    "gemm": _gemm,
    "moe": _moe,
    "prefill_attention": _prefill_attention,
    "decode_attention": _decode_attention,
    "linear_prefill": _linear_prefill,
    "linear_decode": _linear_decode,
    "all_reduce": _all_reduce,
    "all_gather": _all_gather,
    "all_to_all": _all_to_all,
    "send": _send,
}


def kernel_format(fmt: WeightFormat) -> str:
    """The name under which the kernel curves know a weight format."""
    if fmt.name in KERNEL_FORMATS:
        return KERNEL_FORMATS[fmt.name]
    return "int4_wo" if fmt.bits < 6 else "int8_wo" if fmt.bits < 12 else "bf16"
