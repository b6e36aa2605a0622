"""The formats that a KV cache is kept in: one table that every command, report, page and launch file reads.

``token_bytes`` is the one formula of what a token adds to a layer. Sources: vLLM 0.33's ``--kv-cache-dtype`` and its
cache specifications, SGLang's ``--kv-cache-dtype``, TensorRT-LLM's ``kv_cache_config.dtype``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sizing.base.errors import UnknownNameError
from sizing.model.parts import Cache, CacheKind

MLA_ROW_ELEMENTS = 576  # 512 latent and 64 rotary elements: the row that packed formats are stated for


@dataclass(frozen=True, slots=True)
class KVFormat:
    """How a cache entry is stored.

    name: the engines' word for it.
    element_bytes: one element, with the scales of its block of elements [bytes].
    head_scale_bytes: one scale for each token and KV head, of K and of V alike [bytes].
    mla_row_bytes: a packed row of 512 latent and 64 rotary elements, scales included; None: no packing [bytes].
    source: where the layout is stated.
    """

    name: str
    element_bytes: float
    head_scale_bytes: float = 0.0
    mla_row_bytes: float | None = None
    source: str = ""


_NVFP4 = 0.5 + 1 / 16  # a 4-bit value, and one FP8 scale for 16 of them
_ALL = (
    KVFormat("bf16", 2.0, source="16 bits: bfloat16 or float16"),
    KVFormat("fp32", 4.0, source="32 bits"),
    KVFormat("fp8", 1.0, source="E4M3 or E5M2, one scale a layer (vLLM, SGLang, TensorRT-LLM)"),
    KVFormat("int8", 1.0, source="one scale a layer or channel (TensorRT-LLM, MindIE)"),
    KVFormat("int4", 0.5, source="one scale a layer or channel"),
    KVFormat("nvfp4", _NVFP4, source="E2M1 with one FP8 scale for 16 values: head/2 + head/16 bytes (vLLM 0.33)"),
    KVFormat("fp8_ds_mla", 1.0, mla_row_bytes=656.0, source="512 FP8, four FP32 scales, 64 BF16 (vLLM, FlashMLA)"),
    KVFormat("nvfp4_ds_mla", _NVFP4, mla_row_bytes=352.0, source="vLLM 0.33"),
    KVFormat("fp8_per_token_head", 1.0, 4.0, source="one FP32 scale a token and KV head, of K and of V (vLLM 0.33)"),
    KVFormat("int8_per_token_head", 1.0, 4.0, source="one FP32 scale a token and KV head, of K and of V (vLLM 0.33)"),
    KVFormat("int4_per_token_head", 0.5, 4.0, source="one FP32 scale a token and KV head, of K and of V (vLLM 0.33)"),
    KVFormat("q8_0", 34 / 32, source="blocks of 32 with an FP16 scale (llama.cpp)"),
    KVFormat("q5_1", 24 / 32, source="blocks of 32 with an FP16 scale and minimum (llama.cpp)"),
    KVFormat("q5_0", 22 / 32, source="blocks of 32 with an FP16 scale (llama.cpp)"),
    KVFormat("q4_1", 20 / 32, source="blocks of 32 with an FP16 scale and minimum (llama.cpp)"),
    KVFormat("q4_0", 18 / 32, source="blocks of 32 with an FP16 scale (llama.cpp)"),
    KVFormat("iq4_nl", 18 / 32, source="blocks of 32 with an FP16 scale (llama.cpp)"),
)
KV_FORMATS: dict[str, KVFormat] = {item.name: item for item in _ALL}
#: Other spellings: of engines' flags, of PyTorch, of checkpoints. FP4 caches have a scale for each 16 values.
KV_ALIASES: dict[str, str] = {
    "auto": "bf16",
    "bfloat16": "bf16",
    "float16": "bf16",
    "fp16": "bf16",
    "half": "bf16",
    "float32": "fp32",
    "fp8_e4m3": "fp8",
    "fp8_e5m2": "fp8",
    "fp8_inc": "fp8",
    "fp4": "nvfp4",
    "fp4_e2m1": "nvfp4",
}


def kv_format(name: str | KVFormat) -> KVFormat:
    """The KV dtype of this name (``"auto"`` is 16 bits); raises UnknownNameError, which lists the known ones.

    >>> kv_format("fp8_e4m3").name, kv_format("NVFP4").element_bytes
    ('fp8', 0.5625)
    """
    if isinstance(name, KVFormat):
        return name
    key = name.strip().lower().replace("-", "_")
    key = KV_ALIASES.get(key, key)
    if key not in KV_FORMATS:
        known = ", ".join((*KV_FORMATS, *KV_ALIASES))
        raise UnknownNameError(f"unknown KV cache dtype {name[:40]!r}", key="--kv-dtype", hint=f"one of {known}")
    return KV_FORMATS[key]


def token_bytes(cache: Cache, fmt: KVFormat, kv_heads: Any = None) -> Any:
    """What one token adds to one layer's cache, without index keys [bytes]; broadcasts over ``kv_heads``.

    ``kv_heads``: the heads that are held (all of them by default). Heads x (elements of a head x element + two
    scales); a packed row for latents; elements x element otherwise.

    >>> token_bytes(Cache(CacheKind.MLA, 576), kv_format("fp4"))  # DeepSeek-V3: x 61 layers = 19,764 bytes a token
    324.0
    """
    if cache.kind in (CacheKind.FULL, CacheKind.SLIDING) and cache.kv_heads:
        held = cache.kv_heads if kv_heads is None else kv_heads
        return held * (cache.elements_per_token / cache.kv_heads * fmt.element_bytes + 2 * fmt.head_scale_bytes)
    if cache.kind is CacheKind.MLA and fmt.mla_row_bytes is not None:
        return fmt.mla_row_bytes * cache.elements_per_token / MLA_ROW_ELEMENTS
    return cache.elements_per_token * fmt.element_bytes
