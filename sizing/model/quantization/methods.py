"""The formats that single rules of a quantization_config state, by method; ``quant_config`` assembles them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sizing.base.errors import ConfigError
from sizing.model.keys import describe
from sizing.model.quantization.names import KEY, MAX_PATTERNS
from sizing.model.quantization.schemes import (
    FP8_BLOCK,
    FP8_CHANNEL,
    FP8_TENSOR,
    GROUPED_BITS,
    INT8_CHANNEL,
    INT8_WEIGHT_ONLY,
    MXFP4,
    MXFP8,
    NVFP4,
    W4A8,
    WeightFormat,
    grouped_int,
    mlx,
)

NVFP4_WEIGHT_ONLY = replace(NVFP4, name="nvfp4_wo", compute="bf16")
FP8_WEIGHT_ONLY = replace(FP8_CHANNEL, name="fp8_wo", compute="bf16")


def cache_format(stated: object) -> str | None:
    """The KV dtype that a checkpoint states, in either spelling: a name such as "NVFP4", or bits and a type."""
    if isinstance(stated, str):
        name = stated.upper()
        return (
            "nvfp4" if "FP4" in name else "fp8" if "FP8" in name else "int8" if "INT8" in name or name == "C8" else None
        )
    if not isinstance(stated, Mapping):
        return None
    bits, kind = stated.get("num_bits"), stated.get("type", "float")
    if bits == 8:
        return "int8" if kind == "int" else "fp8"
    return "nvfp4" if bits == 4 and kind == "float" else "int4" if bits == 4 else None


def listed(value: object) -> list[str]:
    """A list of module names, [] for None; ConfigError for anything else."""
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > MAX_PATTERNS or not all(isinstance(v, str) for v in value):
        raise ConfigError(f"must be a list of names, not {describe(value)}", key=KEY)
    return [str(item) for item in value]


def whole(config: Mapping[str, object], keys: tuple[str, ...], default: int, minimum: int = 1) -> int:
    """The first of the keys that is stated, as a whole number; ConfigError for one that is none."""
    for key in keys:
        value = config.get(key)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= 2**20:
            raise ConfigError(f"must be a whole number, not {describe(value)}", key=f"{KEY}.{key}")
        return value
    return default


def pair(block: object) -> tuple[int, int]:
    """The rows and columns of a block; ConfigError for anything but two whole numbers."""
    if (
        not isinstance(block, list)
        or len(block) != 2
        or any(isinstance(side, bool) or not isinstance(side, int) or not 1 <= side <= 2**20 for side in block)
    ):
        raise ConfigError(f"must be two whole numbers, not {str(block)[:60]}", key=f"{KEY}.weight_block_size")
    return block[0], block[1]


def grouped_format(config: Mapping[str, object], *, gptq: bool) -> WeightFormat:
    """The format of one rule of GPTQ, AWQ or AutoRound: integers in groups, or what ``data_type`` names."""
    bits = whole(config, ("bits", "w_bit"), 4)
    group = whole(config, ("group_size", "q_group_size"), 128, minimum=-1)
    kind = str(config.get("data_type") or "int").lower().replace("-", "_")
    floats = {("mx_fp", 4): MXFP4, ("mx_fp4", 4): MXFP4, ("mx_fp", 8): MXFP8, ("mx_fp8", 8): MXFP8,
              ("nv_fp", 4): NVFP4, ("nv_fp4", 4): NVFP4, ("nv_fp4_with_static_gs", 4): NVFP4}  # fmt: skip
    if (kind, bits) in floats:
        fmt = floats[kind, bits]
        if fmt.block is not None and group not in (fmt.block[1], 128):
            raise ConfigError(f"{group} is no group of {fmt.name}", key=f"{KEY}.group_size")
        return fmt
    if kind in ("fp", "fp8", "fp8_e4m3", "float8_e4m3fn") and bits == 8:
        return FP8_CHANNEL if group == -1 else FP8_TENSOR
    if kind != "int" or bits not in GROUPED_BITS:
        raise ConfigError(f"weights of {bits} bits of type {describe(kind)} are not supported", key=f"{KEY}.bits")
    zeros = gptq or config.get("zero_point") is not False
    return grouped_int("gptq" if gptq else "awq", bits, group if group > 0 else None, zeros=zeros)


def mlx_format(config: Mapping[str, object]) -> WeightFormat:
    """The format of one rule of MLX: affine integers, or the float format that ``mode`` names."""
    bits, group = whole(config, ("bits",), 4), whole(config, ("group_size",), 64)
    mode = config.get("mode") or "affine"
    floats = {("mxfp4", 4): MXFP4, ("mxfp8", 8): MXFP8, ("nvfp4", 4): NVFP4_WEIGHT_ONLY}
    if (mode, bits) in floats:
        return floats[str(mode), bits]
    if mode != "affine" or bits not in (2, 3, 4, 5, 6, 8):
        raise ConfigError(f"{bits} bits in mode {describe(mode)} are not supported", key=f"{KEY}.mode")
    return mlx(bits, group)


def group_format(group: Mapping[str, object], key: str) -> WeightFormat:
    """The format of one group of compressed-tensors' ``config_groups``."""
    weights = group.get("weights")
    if not isinstance(weights, Mapping):
        raise ConfigError("required key is missing", key=f"{key}.weights")
    bits = whole(weights, ("num_bits",), 8)
    kind = weights.get("type", "int")
    strategy = weights.get("strategy")
    if strategy not in (None, "tensor", "channel", "group", "block", "tensor_group"):
        raise ConfigError(f"{describe(strategy)} is not supported", key=f"{key}.weights.strategy")
    size = whole(weights, ("group_size",), 0, minimum=-1)
    inputs = group.get("input_activations")
    weight_only = not isinstance(inputs, Mapping)
    found = None
    if kind == "float":
        found = _float_format(bits, size, strategy, weights.get("block_structure"), weight_only=weight_only)
    elif kind == "int" and bits in GROUPED_BITS:
        zero = 0 if weights.get("symmetric", True) else bits
        block = (1, size if size > 0 else None)
        if bits == 8 and not weight_only:
            found = INT8_CHANNEL
        elif bits == 8 and size <= 0:
            found = INT8_WEIGHT_ONLY
        elif weight_only:
            found = grouped_int("", bits, block[1], zeros=bool(zero))
        elif bits == 4:
            found = replace(W4A8, block=block, zero_bits=zero)
    if found is None:
        raise ConfigError(f"weights of {bits} bits of type {describe(kind)} are not supported", key=key)
    return found


def _float_format(
    bits: int, size: int, strategy: object, structure: object, *, weight_only: bool
) -> WeightFormat | None:
    """FP8 by tensor, channel, block or group of 32, and FP4 in groups of 32 (MXFP4) or 16 (NVFP4)."""
    if bits == 8 and strategy == "group":
        return None if size != 32 else replace(MXFP8, name="mxfp8_wo", compute="bf16") if weight_only else MXFP8
    if bits == 8:
        base = FP8_CHANNEL if strategy == "channel" else FP8_TENSOR
        if strategy == "block" or isinstance(structure, list):
            base = replace(FP8_BLOCK, block=pair(structure))
        return replace(base, name="fp8_wo", compute="bf16") if weight_only else base
    if bits == 4 and size == 32:
        return MXFP4 if weight_only else replace(MXFP4, compute="fp4")
    if bits == 4 and size in (0, 16):
        return NVFP4_WEIGHT_ONLY if weight_only else NVFP4
    return None
