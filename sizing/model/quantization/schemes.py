"""Bytes per weight, scales and zero points included, and which parts a scheme leaves in 16 bits.

A ``WeightFormat`` says how one matrix is stored and computed; a ``QuantScheme`` says which format each part
of a model has. ``scheme("fp8")`` gives the usual schemes by name; a model's own ``quantization_config``
gives one too (``from_quantization_config``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from sizing.base.errors import SizingError, unknown_name
from sizing.model.parts import Component, Linear


@dataclass(frozen=True, slots=True)
class WeightFormat:
    """How one matrix ``[out_features, in_features]`` is stored.

    bits: bits of one weight. block: ``(rows, columns)`` of weights that share one scale; ``None`` in a
    place means the whole extent (``(1, None)`` is a scale per output channel, ``(None, None)`` one per
    tensor). scale_bytes: bytes of one scale, zero_bits: bits of one zero point (0: none), compute: the
    dtype of the multiplication ("bf16", "fp8", "int8", "fp4"): it picks the peak rate; weight-only formats
    compute in bf16. kind: the hardware catalog's word for what must run ("int4", "fp8"); None: plain code
    unpacks the weights to 16 bits anywhere. parts: where layers differ, each format and its share of them; the other
    fields are then their mean (bits) or those of the largest share.
    """

    name: str
    bits: float
    compute: str = "bf16"
    block: tuple[int | None, int | None] | None = None
    scale_bytes: float = 0.0
    zero_bits: float = 0.0
    kind: str | None = None
    parts: tuple[tuple[float, WeightFormat], ...] = ()

    @property
    def effective_bits(self) -> float:
        """Bits of one weight, scales and zero points included, on a matrix that whole blocks fill."""
        if self.parts:
            return sum(share * part.effective_bits for share, part in self.parts)
        if self.block is None:
            return self.bits
        rows, columns = self.block
        group = (rows or math.inf) * (columns or math.inf)
        return self.bits + (8 * self.scale_bytes + self.zero_bits) / group

    def scales(self, out_features: int, in_features: int) -> int:
        """How many scales a matrix of this shape has."""
        if self.block is None:
            return 0
        rows = out_features if self.block[0] is None else self.block[0]
        columns = in_features if self.block[1] is None else self.block[1]
        return math.ceil(out_features / rows) * math.ceil(in_features / columns)

    def bytes(self, out_features: int, in_features: int) -> float:
        """Stored bytes of a matrix of this shape, scales and zeros included [bytes]."""
        if self.parts:
            return sum(share * part.bytes(out_features, in_features) for share, part in self.parts)
        scales = self.scales(out_features, in_features)
        return out_features * in_features * self.bits / 8 + scales * (self.scale_bytes + self.zero_bits / 8)


def mean_format(shares: Mapping[WeightFormat, float]) -> WeightFormat:
    """The format that stands for a matrix whose layers differ: its bytes are the mean over these shares.

    >>> mean_format({WeightFormat("int4", 4): 3, WeightFormat("bf16", 16): 1}).bytes(8, 8)
    56.0
    """
    total = sum(shares.values())
    if len(shares) == 1:
        return next(iter(shares))
    largest = max(shares, key=lambda fmt: shares[fmt])
    parts = tuple((share / total, fmt) for fmt, share in shares.items())
    return replace(largest, bits=sum(share * fmt.bits for share, fmt in parts), block=None, parts=parts)


BF16 = WeightFormat("bf16", 16, kind="bf16")
FP16 = WeightFormat("fp16", 16, kind="fp16")
FP32 = WeightFormat("fp32", 32, compute="fp32", kind="fp32")
FP8_TENSOR = WeightFormat("fp8", 8, compute="fp8", block=(None, None), scale_bytes=4, kind="fp8")
FP8_CHANNEL = replace(FP8_TENSOR, name="fp8_channel", block=(1, None))
FP8_BLOCK = replace(FP8_TENSOR, name="fp8_block", block=(128, 128))
MXFP8 = WeightFormat("mxfp8", 8, compute="fp8", block=(1, 32), scale_bytes=1, kind="mxfp8")
INT8_CHANNEL = WeightFormat("int8", 8, compute="int8", block=(1, None), scale_bytes=4, kind="int8")
INT8_WEIGHT_ONLY = WeightFormat("int8_wo", 8, block=(1, None), scale_bytes=2, kind="int8_wo")
W4A8 = WeightFormat("w4a8", 4, compute="int8", block=(1, 128), scale_bytes=2, kind="w4a8")
MXFP4 = WeightFormat("mxfp4", 4, block=(1, 32), scale_bytes=1, kind="mxfp4")
NVFP4 = WeightFormat("nvfp4", 4, compute="fp4", block=(1, 16), scale_bytes=1, kind="nvfp4")

GROUPED_BITS = (2, 3, 4, 5, 6, 7, 8)  # widths that the integer quantisers write


def grouped_int(family: str, bits: int, group: int | None = 128, *, zeros: bool = True) -> WeightFormat:
    """Integer weights in groups along the input, as GPTQ, AWQ and compressed-tensors store them: an FP16
    scale a group, and a zero point of the weights' own width. ``group`` None: one a row; ``family`` "": the
    bare name.
    """
    return WeightFormat(
        f"int{bits}_{family}" if family else f"int{bits}",
        bits,
        block=(1, group),
        scale_bytes=2,
        zero_bits=bits if zeros else 0,
        kind="int8_wo" if bits == 8 else "int4",
    )


INT4_AWQ = grouped_int("awq", 4)
INT4_GPTQ = grouped_int("gptq", 4)
# bitsandbytes: blocks of 64 with an FP32 maximum each; double quantisation keeps the maxima in 8 bits, 256 to an FP32.
BNB_NF4 = WeightFormat("bnb_nf4", 4, block=(1, 64), scale_bytes=4, kind="int4")
BNB_NF4_DOUBLE = replace(BNB_NF4, name="bnb_nf4_dq", scale_bytes=1 + 4 / 256)
BNB_FP4 = replace(BNB_NF4, name="bnb_fp4")
BNB_FP4_DOUBLE = replace(BNB_NF4_DOUBLE, name="bnb_fp4_dq")
BNB_INT8 = replace(INT8_WEIGHT_ONLY, name="bnb_int8", scale_bytes=4)
EETQ = replace(INT8_WEIGHT_ONLY, name="eetq")  # INT8, an FP16 scale a row
TORCHAO_INT4 = WeightFormat("torchao_int4", 4, block=(1, 128), scale_bytes=2, zero_bits=16, kind="int4")
TORCHAO_INT8 = replace(INT8_WEIGHT_ONLY, name="torchao_int8")
HQQ_INT4 = WeightFormat("hqq_int4", 4, block=(1, 64), scale_bytes=2, zero_bits=16, kind="int4")


def mlx(bits: int, group: int = 64) -> WeightFormat:
    """MLX's affine format: a 16-bit scale and a 16-bit bias a group; 4 bits in groups of 64 are 4.5."""
    return WeightFormat(f"mlx_{bits}bit", bits, block=(1, group), scale_bytes=2, zero_bits=16)


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
    embedding: WeightFormat | None = None  # None: as ``other``
    by_component: tuple[tuple[Component, WeightFormat], ...] = ()  # components sized by their files; before all else
    named_first: bool = False  # ``by_name`` holds for matrices too that checkpoints usually leave in 16 bits
    mix: str | None = None  # a mix of GGUF types, whose bits depend on the model: ``gguf_mix.mix_scheme`` has them

    @property
    def embedding_format(self) -> WeightFormat:
        """The format of the input embedding."""
        return self.other if self.embedding is None else self.embedding

    def format_of(self, linear: Linear) -> WeightFormat:
        """The format that this scheme gives a matrix."""
        for component, fmt in self.by_component:
            if component is linear.component:
                return fmt
        if self.named_first:
            for name, fmt in self.by_name:
                if name == linear.name:
                    return fmt
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


def _uniform(fmt: WeightFormat) -> QuantScheme:
    return QuantScheme(fmt.name, linear=fmt, experts=fmt)


def everywhere(fmt: WeightFormat) -> QuantScheme:
    """Every matrix in one format: the head, the embedding and the towers too."""
    return QuantScheme(fmt.name, linear=fmt, experts=fmt, other=fmt, lm_head=fmt, vision=fmt)


_UNIFORM = (
    BF16, FP16, FP8_TENSOR, FP8_CHANNEL, FP8_BLOCK, MXFP8, INT8_CHANNEL, INT8_WEIGHT_ONLY, NVFP4,
    *(grouped_int("gptq", bits) for bits in (2, 3, 4, 8)), INT4_AWQ, grouped_int("awq", 8),
    BNB_NF4, BNB_NF4_DOUBLE, BNB_FP4, BNB_FP4_DOUBLE, BNB_INT8, EETQ, TORCHAO_INT4, TORCHAO_INT8, HQQ_INT4,
)  # fmt: skip

# Mixes of GGUF types, and the bits of Llama-3.1-8B in each: what a mix comes to without a model (see ``gguf_mix``).
GGUF_MIXES: dict[str, float] = {
    "q4_0": 4.64, "q4_1": 5.1, "q5_0": 5.57, "q5_1": 6.04, "q8_0": 8.5, "q2_k": 3.16, "q2_k_s": 2.97, "q3_k_s": 3.64,
    "q3_k_m": 4.0, "q3_k_l": 4.3, "q4_k_s": 4.67, "q4_k_m": 4.89, "q5_k_s": 5.57, "q5_k_m": 5.7, "q6_k": 6.56,
    "iq1_s": 2.0, "iq1_m": 2.15, "iq2_xxs": 2.38, "iq2_xs": 2.59, "iq2_s": 2.74, "iq2_m": 2.93, "iq3_xxs": 3.37,
    "iq3_xs": 3.5, "iq3_s": 3.66, "iq3_m": 3.76, "iq4_nl": 4.68, "iq4_xs": 4.46, "tq1_0": 2.19, "tq2_0": 2.52,
    "mxfp4_moe": 8.5,
}  # fmt: skip

# The table of weight formats: every name that people give resolves to one of these.
SCHEMES: dict[str, QuantScheme] = {
    **{fmt.name: _uniform(fmt) for fmt in _UNIFORM},
    "fp32": everywhere(FP32),
    "w4a8": QuantScheme("w4a8", linear=INT8_CHANNEL, experts=W4A8),
    # gpt-oss style: experts in MXFP4, everything else in 16 bits.
    "mxfp4": QuantScheme("mxfp4", linear=BF16, experts=MXFP4),
    **{f"mlx_{bits}bit": everywhere(mlx(bits)) for bits in (2, 3, 4, 5, 6, 8)},
    **{
        name: replace(everywhere(WeightFormat(f"gguf_{name}", bits)), name=name, mix=name)
        for name, bits in GGUF_MIXES.items()
    },
}

_SPELLINGS: dict[str, tuple[str, ...]] = {
    "bf16": ("bfloat16",),
    "fp16": ("float16", "half", "f16"),
    "fp32": ("float32", "float", "f32"),
    "fp8": ("fp8_e4m3", "fp8_tensor", "fp8_static", "w8a8_fp8", "float8", "fp8_per_tensor", "torchao_fp8", "fp8_wo"),
    "fp8_channel": ("fp8_dynamic", "fp8_per_channel", "fbgemm_fp8", "ptpc_fp8"),
    "fp8_block": ("fp8_blockwise", "deepseek_fp8"),
    "mxfp8": ("mx_fp8",),
    "int8": ("w8a8", "w8a8_int8", "int8_w8a8", "smoothquant"),
    "int8_wo": ("w8a16", "int8_weight_only", "int8_w8a16"),
    "int8_gptq": ("gptq_int8", "gptq_8bit", "gptq8", "gptq_8"),
    "int4_gptq": ("gptq", "w4a16", "gptq_int4", "gptq_4bit", "gptq4", "gptq_4", "autoround", "gptq_marlin"),
    "int3_gptq": ("gptq_int3", "gptq_3bit", "gptq3", "gptq_3", "w3a16"),
    "int2_gptq": ("gptq_int2", "gptq_2bit", "gptq2", "gptq_2", "w2a16"),
    "int4_awq": ("awq", "int4", "awq_int4", "awq_4bit", "w4a16_awq", "awq_marlin"),
    "int8_awq": ("awq_int8", "awq_8bit"),
    "nvfp4": ("fp4", "modelopt_fp4", "w4a4_nvfp4"),
    "mxfp4": ("mx_fp4",),
    "bnb_nf4": ("nf4", "bnb", "bnb4", "bnb_4bit", "bitsandbytes", "bitsandbytes_nf4", "bitsandbytes_4bit"),
    "bnb_nf4_dq": ("nf4_dq", "nf4_double_quant", "bitsandbytes_nf4_double_quant"),
    "bnb_fp4": ("bitsandbytes_fp4",),
    "bnb_fp4_dq": ("fp4_dq",),
    "bnb_int8": ("bnb8", "bnb_8bit", "llm_int8", "bitsandbytes_int8", "bitsandbytes_8bit"),
    "torchao_int4": ("int4_weight_only", "int4wo"),
    "torchao_int8": ("int8wo",),
    "hqq_int4": ("hqq", "hqq4", "hqq_4bit"),
    **{f"mlx_{bits}bit": (f"mlx{bits}", f"mlx_int{bits}") for bits in (2, 3, 4, 5, 6, 8)},
}  # fmt: skip

ALIASES: dict[str, str] = {spelling: name for name, spellings in _SPELLINGS.items() for spelling in spellings}


def scheme(name: str) -> QuantScheme:
    """The scheme of this name; ``"bits4.5"`` or ``"4.5"`` is a GGUF-style plain number of bits per weight.

    Raises UnknownNameError for any other name.
    """
    key = name.strip().lower().replace("-", "_").replace(" ", "_")
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
    return everywhere(WeightFormat(f"bits{bits:g}", bits))


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
    from sizing.model.quantization.config import read_quantization

    return read_quantization(config, hf_quant_config, layers=layers or {}, expert_dtype=expert_dtype)
