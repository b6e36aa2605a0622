"""Families of reasoning and tool-call formats, and what each engine calls them."""

from __future__ import annotations

from sizing.base.errors import SizingError, unknown_name
from sizing.deploy import flags

# family -> (vLLM, SGLang, TensorRT-LLM); None: the engine has none that is known here.
REASONING: dict[str, tuple[str | None, str | None, str | None]] = {
    "qwen3": ("qwen3", "qwen3", "qwen3"),
    "qwen3-thinking": ("qwen3", "qwen3-thinking", "qwen3"),
    "deepseek-r1": ("deepseek_r1", "deepseek-r1", "deepseek-r1"),
    "deepseek-v3": ("deepseek_v3", "deepseek-v3", None),
    "glm45": ("glm45", "glm45", None),
    "kimi-k2": ("kimi_k2", "kimi_k2", None),
    "gpt-oss": ("openai_gptoss", "gpt-oss", None),
    "minimax-m2": ("minimax_m2", "minimax", None),
    "mistral": ("mistral", "mistral", None),
    "step3": ("step3", "step3", None),
}
TOOLS: dict[str, tuple[str | None, str | None, str | None]] = {
    "hermes": ("hermes", "qwen25", None),
    "qwen3-coder": ("qwen3_coder", "qwen3_coder", None),
    "deepseek-v3": ("deepseek_v3", "deepseekv3", None),
    "deepseek-v31": ("deepseek_v31", "deepseekv31", None),
    "llama3": ("llama3_json", "llama3", None),
    "mistral": ("mistral", "mistral", None),
    "glm45": ("glm45", "glm45", None),
    "kimi-k2": ("kimi_k2", "kimi_k2", None),
    "gpt-oss": ("openai", "gpt-oss", None),
    "minimax-m2": ("minimax_m2", "minimax-m2", None),
}
_COLUMN = {"vllm": 0, "vllm-ascend": 0, "sglang": 1, "tensorrt-llm": 2}


def parser(engine: str, version: str, kind: str, family: str | None) -> str | None:
    """The engine's name for a family of ``kind`` "reasoning" or "tool"; None where no family was asked for.

    SizingError where the family is unknown, or this version of the engine has no parser for it.
    """
    if family is None:
        return None
    known = REASONING if kind == "reasoning" else TOOLS
    if family not in known:
        raise unknown_name(f"{kind} parser", family, known, key=f"{kind}_parser")
    name = _name(engine, version, kind, family)
    if name is None:
        raise SizingError(
            f"{engine} {version} has no known {kind} parser for {family}",
            key=f"{kind}_parser",
            hint="leave it out, or use a newer version",
        )
    return name


def has_parser(engine: str, version: str | None, kind: str, family: str | None) -> bool:
    """Whether this version of an engine (None: its latest) has a parser of ``kind`` for a known family."""
    known = REASONING if kind == "reasoning" else TOOLS
    return family in known and _name(engine, flags.resolve(engine, version), kind, str(family)) is not None


def _name(engine: str, version: str, kind: str, family: str) -> str | None:
    known = REASONING if kind == "reasoning" else TOOLS
    name = known[family][_COLUMN[engine]] if engine in _COLUMN else None
    return name if name and flags.has(engine, version, name, f"{kind}_parsers") else None
