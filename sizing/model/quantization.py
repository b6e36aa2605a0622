"""Bytes per weight, scales and zero points included, and which parts a scheme leaves in 16 bits.

A ``WeightFormat`` says how one matrix is stored and computed; a ``QuantScheme`` says which format each part
of a model has. ``scheme("fp8")`` gives the usual schemes by name; a model's own ``quantization_config``
gives one too (``from_quantization_config``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from sizing.errors import SizingError, unknown_name
from sizing.model.parts import Component, Linear


@dataclass(frozen=True, slots=True)
class WeightFormat:
    """How one matrix ``[out_features, in_features]`` is stored.

    bits: bits of one weight. block: ``(rows, columns)`` of weights that share one scale; ``None`` in a
    place means the whole extent (``(1, None)`` is a scale per output channel, ``(None, None)`` one per
    tensor). scale_bytes: bytes of one scale, zero_bits: bits of one zero point (0: none), compute: the
    dtype of the multiplication ("bf16", "fp8", "int8", "fp4"): it picks the peak rate; weight-only formats
    compute in bf16.
    """

    name: str
    bits: float
    compute: str = "bf16"
    block: tuple[int | None, int | None] | None = None
    scale_bytes: float = 0.0
    zero_bits: float = 0.0

    def scales(self, out_features: int, in_features: int) -> int:
        """How many scales a matrix of this shape has."""
        if self.block is None:
            return 0
        rows = out_features if self.block[0] is None else self.block[0]
        columns = in_features if self.block[1] is None else self.block[1]
        return math.ceil(out_features / rows) * math.ceil(in_features / columns)

    def bytes(self, out_features: int, in_features: int) -> float:
        """Stored bytes of a matrix of this shape, scales and zeros included [bytes]."""
        scales = self.scales(out_features, in_features)
        return out_features * in_features * self.bits / 8 + scales * (self.scale_bytes + self.zero_bits / 8)


BF16 = WeightFormat("bf16", 16)
FP16 = WeightFormat("fp16", 16)
FP32 = WeightFormat("fp32", 32, compute="fp32")
FP8_TENSOR = WeightFormat("fp8", 8, compute="fp8", block=(None, None), scale_bytes=4)
FP8_CHANNEL = WeightFormat("fp8_channel", 8, compute="fp8", block=(1, None), scale_bytes=4)
FP8_BLOCK = WeightFormat("fp8_block", 8, compute="fp8", block=(128, 128), scale_bytes=4)
INT8_CHANNEL = WeightFormat("int8", 8, compute="int8", block=(1, None), scale_bytes=4)
INT8_WEIGHT_ONLY = WeightFormat("int8_wo", 8, block=(1, None), scale_bytes=2)
INT4_AWQ = WeightFormat("int4_awq", 4, block=(1, 128), scale_bytes=2, zero_bits=4)
INT4_GPTQ = WeightFormat("int4_gptq", 4, block=(1, 128), scale_bytes=2, zero_bits=4)
W4A8 = WeightFormat("w4a8", 4, compute="int8", block=(1, 128), scale_bytes=2)
MXFP4 = WeightFormat("mxfp4", 4, block=(1, 32), scale_bytes=1)
NVFP4 = WeightFormat("nvfp4", 4, compute="fp4", block=(1, 16), scale_bytes=1)


@dataclass(frozen=True, slots=True)
class QuantScheme:
    """Formats of a whole model: linear layers, routed experts, and the parts that usually stay in 16 bits."""

    name: str
    linear: WeightFormat
    experts: WeightFormat
    other: WeightFormat = BF16  # embedding, routers, norms, what a Linear marks as not quantizable
    lm_head: WeightFormat = BF16
    vision: WeightFormat = BF16
    unquantized: frozenset[Component] = frozenset()  # components that stay in ``other``
    by_name: tuple[tuple[str, WeightFormat], ...] = ()  # matrices (Linear.name) with a format of their own
    kv_cache_dtype: str | None = None  # the KV dtype that the checkpoint's config asks for

    def format_of(self, linear: Linear) -> WeightFormat:
        """The format that this scheme gives a matrix."""
        if linear.component is Component.LM_HEAD:
            return self.lm_head
        if linear.component is Component.VISION:
            return self.vision
        if not linear.quantizable or linear.component in self.unquantized:
            return self.other
        for name, fmt in self.by_name:
            if name == linear.name:
                return fmt
        if linear.component is Component.ROUTER:
            return self.other
        return self.linear


def _uniform(name: str, fmt: WeightFormat) -> QuantScheme:
    return QuantScheme(name, linear=fmt, experts=fmt)


SCHEMES: dict[str, QuantScheme] = {
    "bf16": _uniform("bf16", BF16),
    "fp16": _uniform("fp16", replace(FP16)),
    "fp8": _uniform("fp8", FP8_TENSOR),
    "fp8_channel": _uniform("fp8_channel", FP8_CHANNEL),
    "fp8_block": _uniform("fp8_block", FP8_BLOCK),
    "int8": _uniform("int8", INT8_CHANNEL),
    "int8_wo": _uniform("int8_wo", INT8_WEIGHT_ONLY),
    "int4_awq": _uniform("int4_awq", INT4_AWQ),
    "int4_gptq": _uniform("int4_gptq", INT4_GPTQ),
    "w4a8": QuantScheme("w4a8", linear=INT8_CHANNEL, experts=W4A8),
    # gpt-oss style: experts in MXFP4, everything else in 16 bits.
    "mxfp4": QuantScheme("mxfp4", linear=BF16, experts=MXFP4),
    "nvfp4": _uniform("nvfp4", NVFP4),
}

ALIASES: dict[str, str] = {
    "bfloat16": "bf16",
    "float16": "fp16",
    "half": "fp16",
    "fp8_e4m3": "fp8",
    "fp8_tensor": "fp8",
    "w8a8": "int8",
    "w8a8_int8": "int8",
    "awq": "int4_awq",
    "gptq": "int4_gptq",
    "int4": "int4_awq",
    "w4a16": "int4_gptq",
    "fp4": "nvfp4",
}


def scheme(name: str) -> QuantScheme:
    """The scheme of this name; ``"bits4.5"`` or ``"4.5"`` is a GGUF-style plain number of bits per weight.

    Raises UnknownNameError for any other name.
    """
    key = name.strip().lower().replace("-", "_")
    key = ALIASES.get(key, key)
    if key in SCHEMES:
        return SCHEMES[key]
    number = key.removeprefix("bits")
    try:
        bits = float(number)
    except ValueError:
        raise unknown_name("weight dtype", name, [*SCHEMES, *ALIASES], key="--weights") from None
    if not 1.0 <= bits <= 32.0:
        raise SizingError(f"{name!r} is not between 1 and 32 bits per weight", key="--weights")
    fmt = WeightFormat(f"bits{bits:g}", bits)
    return QuantScheme(fmt.name, linear=fmt, experts=fmt, other=fmt, lm_head=fmt, vision=fmt)


def from_quantization_config(
    config: Mapping[str, object] | None,
    hf_quant_config: Mapping[str, object] | None = None,
    *,
    layers: Mapping[str, frozenset[int]] | None = None,
    expert_dtype: str | None = None,
) -> QuantScheme | None:
    """The scheme that a model's own ``quantization_config`` (or ModelOpt's hf_quant_config.json) states;
    None without.

    layers: which layers hold a matrix of a name, so that exclusions by layer number are weighed exactly.
    Raises ConfigError for a method that is not known.
    """
    from sizing.model.quant_config import read_quantization

    return read_quantization(config, hf_quant_config, layers=layers or {}, expert_dtype=expert_dtype)
