"""Engines by name and version."""

from __future__ import annotations

from collections.abc import Callable

from sizing.base.errors import SizingError, unknown_name
from sizing.engine import llama_cpp, mindie, sglang, tensorrt_llm, vllm, vllm_ascend
from sizing.engine.base import Engine, Version, parse_version

_MAKERS: dict[str, tuple[Callable[[Version], Engine], Version]] = {
    "vllm": (
        lambda version: vllm.Vllm(version=version, repairs_expert_blocks=version >= (0, 33, 0)),
        vllm.LATEST,
    ),
    "sglang": (lambda version: sglang.Sglang(version=version), sglang.LATEST),
    "tensorrt-llm": (lambda version: tensorrt_llm.TensorRTLLM(version=version), tensorrt_llm.LATEST),
    "vllm-ascend": (lambda version: vllm_ascend.VllmAscend(version=version), vllm_ascend.LATEST),
    "mindie": (lambda version: mindie.MindIE(version=version), mindie.LATEST),
    "llama.cpp": (lambda version: llama_cpp.LlamaCpp(version=version), llama_cpp.LATEST),
}
#: The oldest version of each engine of which anything is known here (rows of throughput or start-up logs).
OLDEST: dict[str, Version] = {
    "vllm": (0, 2, 0),
    "sglang": (0, 1, 0),
    "tensorrt-llm": (0, 5, 0),
    "vllm-ascend": (0, 7, 0),
    "mindie": (1, 0, 0),
    "llama.cpp": llama_cpp.OLDEST,
}
#: How versions are written, where that is not 0.19: the reader and an example.
_WRITTEN: dict[str, tuple[Callable[[str], Version | None], str]] = {"llama.cpp": (llama_cpp.parse_build, "b6918")}
AHEAD = 10  # minor versions beyond the latest known one that are taken to be like it
ALIASES: dict[str, str] = {
    "trtllm": "tensorrt-llm",
    "trt-llm": "tensorrt-llm",
    "trt": "tensorrt-llm",
    "tensorrt": "tensorrt-llm",
    "tensorrtllm": "tensorrt-llm",
    "mindie-llm": "mindie",
    "vllmascend": "vllm-ascend",
    "vllm-npu": "vllm-ascend",
    "llamacpp": "llama.cpp",
    "llama-cpp": "llama.cpp",
    "llama-server": "llama.cpp",
    "ollama": "llama.cpp",
    "lmstudio": "llama.cpp",
    "lm-studio": "llama.cpp",
}


def engine_names() -> list[str]:
    """The engines' own names."""
    return list(_MAKERS)


def get_engine(name: str, version: str | Version | None = None) -> Engine:
    """The engine of this name (aliases, case and underscores do not matter) at a version, else at its latest.

    Raises UnknownNameError for an unknown name, SizingError for a version that is not like ``0.19`` or
    ``v0.19.0``, and for one beyond the known range.

    >>> get_engine("vllm", "0.19").version_text
    '0.19.0'
    """
    key = name.strip().lower().replace("_", "-").replace(" ", "-")
    key = ALIASES.get(key, key)
    if key not in _MAKERS:
        raise unknown_name("engine", name, [*_MAKERS, *ALIASES], key="--engine")
    make, latest = _MAKERS[key]
    if version is None:
        return make(latest)
    read, example = _WRITTEN.get(key, (parse_version, "0.19 or v0.19.0"))
    found = read(version) if isinstance(version, str) else version
    if found is None:
        raise SizingError(
            f"{version!r} is not a version of {key}",
            key="--engine-version",
            hint=f"write it as {example}",
        )
    if found < OLDEST[key] or found[:2] > (latest[0], latest[1] + AHEAD):
        known, newest = (make(which).version_text for which in (OLDEST[key], latest))
        raise SizingError(
            f"nothing is known of {key} {make(found).version_text}",
            key="--engine-version",
            hint=f"known are {known} to {newest}",
        )
    return make(found)
