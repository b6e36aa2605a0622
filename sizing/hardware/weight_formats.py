"""The spellings of weight formats in checkpoints and engines, to the few names of the catalog's tables."""

from __future__ import annotations

from sizing.base.errors import unknown_name

CATALOG_NAMES = (
    "fp32", "bf16", "fp16", "fp8", "int8", "int8_wo", "int4", "w4a8", "nvfp4", "mxfp4", "mxfp8",
)  # fmt: skip

_SPELLINGS = {
    "fp32": ("float32", "f32", "tf32"),
    "bf16": ("bfloat16", "auto"),
    "fp16": ("float16", "half", "f16"),
    "fp8": (
        "fp8_e4m3", "fp8_block", "fp8_channel", "fp8_tensor", "fp8_w8a8", "w8a8_fp8", "float8", "fp8_e5m2",
        "fp8_static", "fp8_dynamic", "fp8_kv", "fp8_wo", "fp8_block_wo",
    ),
    "int8": ("w8a8", "w8a8_int8", "int8_w8a8", "smoothquant", "int8_channel", "w8a8sc"),
    "int8_wo": ("w8a16", "int8_weight_only", "gptq_int8", "int8_w8a16"),
    "int4": (
        "int4_wo", "awq", "gptq", "int4_awq", "int4_gptq", "w4a16", "w4a16_awq", "awq_marlin", "gptq_marlin",
        "awq_int4", "gptq_int4",
    ),
    "w4a8": ("int4_w4a8", "w4a8_int8", "w4afp8", "w4a8_awq"),
    "nvfp4": ("fp4", "modelopt_fp4", "w4a4_nvfp4", "nvfp4_wo", "w4a8_nvfp4"),
    "mxfp4": ("mx_fp4", "w4a16_mxfp4", "w4a8_mxfp4"),
    "mxfp8": ("mx_fp8",),
}  # fmt: skip

_BY_NAME = {spelling: name for name, spellings in _SPELLINGS.items() for spelling in (name, *spellings)}


def canonical(dtype: str) -> str:
    """The catalog's name of a weight format; raises ``UnknownNameError`` for one that nobody knows."""
    key = dtype.strip().lower().replace("-", "_").replace(" ", "_")
    if key not in _BY_NAME:
        raise unknown_name("weight format", dtype, CATALOG_NAMES, key="weights")
    return _BY_NAME[key]
