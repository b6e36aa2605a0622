"""What benchmark files state of the server beside the figures: labels of ours, of users, of servers.

Our own scripts label every result (``sizing.deploy.benchmark.labels``); vLLM keeps such labels beside the figures, SGLang
in ``tag``, GuideLLM in ``config.metadata.labels``. Servers state some of it themselves (SGLang's ``server_info``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sizing.evidence.fields import engine_name

SIZES = {
    "tp": ("tensor_parallel_size", "tp_size", "tensor_parallel", "tp"),
    "pp": ("pipeline_parallel_size", "pp_size", "pipeline_parallel", "pp"),
    "dp": ("data_parallel_size", "dp_size", "data_parallel", "dp"),
    "ep": ("expert_parallel_size", "ep_size", "moe_ep_size", "ep"),
    "replicas": ("replicas",),
    "accelerators": ("accelerators", "n_accelerators", "num_gpus"),
    "draft_tokens": ("num_speculative_tokens", "draft_tokens"),
}
WORDS = {
    "accelerator": ("accelerator", "gpu_type"),
    "weights": ("weights", "weight_dtype"),
    "kv_dtype": ("kv_dtype", "kv_cache_dtype"),
    "engine_version": ("engine_version",),
}
_UNSAID = {"", "auto", "none", "null", "default", "unknown"}
_KV = {"fp8_e4m3": "fp8", "fp8_e5m2": "fp8", "bfloat16": "bf16", "float16": "fp16"}
MOST_LABELS = 64


def labels_of(*found: Mapping[str, Any] | None) -> dict[str, Any]:
    """The fields of a Measurement that these mappings state, earlier mappings first.

    >>> labels_of({"tensor_parallel_size": "4", "weights": "fp8", "engine": "vLLM"})
    {'tp': 4, 'weights': 'fp8', 'engine': 'vllm'}
    """
    said: dict[str, Any] = {}
    for labels in found:
        if not labels:
            continue
        for name, keys in SIZES.items():
            size = next((size for key in keys if (size := _size(labels.get(key))) is not None), None)
            if size is not None:
                said.setdefault(name, size)
        for name, keys in WORDS.items():
            word = next((word for key in keys if (word := _word(labels.get(key))) is not None), None)
            if word is not None:
                said.setdefault(name, _KV.get(word, word) if name == "kv_dtype" else word)
        engine = labels.get("engine")
        known = engine_name(engine) if isinstance(engine, str) else None
        if known is not None:
            said.setdefault("engine", known)
    return said


def tag_labels(tag: object) -> dict[str, str]:
    """``"tp=4,weights=fp8"`` as a mapping; {} for a tag of another kind."""
    if not isinstance(tag, str) or "=" not in tag:
        return {}
    pairs = [part.partition("=") for part in tag[:4000].split(",")[:MOST_LABELS]]
    return {key.strip(): value.strip() for key, sign, value in pairs if sign and key.strip()}


def _size(raw: object) -> int | None:
    """A parallel size from free-form metadata: a whole number from 1, as text or not; else not stated."""
    if isinstance(raw, str) and raw.strip().isdigit() and len(raw) < 9:
        raw = int(raw)
    if isinstance(raw, float) and raw.is_integer():
        raw = int(raw)
    return raw if isinstance(raw, int) and not isinstance(raw, bool) and 0 < raw < 10**6 else None


def _word(raw: object) -> str | None:
    if not isinstance(raw, str) or len(raw) > 100 or raw.strip().lower() in _UNSAID:
        return None
    return raw.strip()
