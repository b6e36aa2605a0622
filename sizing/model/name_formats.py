"""The weight format that a repository's name states: the rightmost word wins, and a method's word takes a width.

``GPTQ-Int8`` is 8 bits of GPTQ, ``FP8-dynamic`` FP8 by channel, ``4bit`` of MLX 4.5 bits with scales; a name that leaves
the format open (``GGUF`` without a mix) is answered with what is missing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sizing.model.quantization.schemes import GGUF_MIXES, GROUPED_BITS, SCHEMES

# Words that state a whole format by themselves.
_FORMATS = {
    "fp8": "fp8", "fp4": "nvfp4", "nvfp4": "nvfp4", "mxfp4": "mxfp4", "mxfp8": "mxfp8", "int8": "int8", "w8a8": "int8",
    "w8a8c8": "int8", "w8a8sc": "int8", "w8a16": "int8_wo", "w4a16": "int4_gptq", "int4": "int4_gptq", "w4a8": "w4a8",
    "w4a8c8": "w4a8", "bf16": "bf16", "fp16": "fp16", "f16": "fp16", "f32": "fp32", "fp32": "fp32",
    "nf4": "bnb_nf4", "eetq": "eetq",
}  # fmt: skip
_METHODS = ("gptq", "awq", "autoround", "bnb", "mlx", "hqq", "torchao")
_OPEN = {"gguf": "a GGUF file has one of many mixes", "w4a4": "several formats have 4-bit weights and activations",
         "exl2": "an ExLlama file has bits of its own", "exl3": "an ExLlama file has bits of its own",
         "int4mix": "its mix of widths is its own"}  # fmt: skip
_WIDTH = re.compile(r"(?:int|w)?(\d)(?:-?bits?|a16)?")
_BPW = re.compile(r"(\d(?:\.\d+)?)bpw")
_MIX = re.compile(
    r"[-.:](ud-)?(iq[1-4]-(?:xxs|xs|nl|s|m)|q[2-8]-k(?:-(?:s|m|l|xl))?|q[458]-[01]|tq[12]-0|mxfp4-moe)(?![a-z0-9])"
)
_SHORT = {"q3_k": "q3_k_m", "q4_k": "q4_k_m", "q5_k": "q5_k_m"}  # as llama.cpp's quantiser takes them
_MLX_OWNER = "mlx-community/"

#: Words at a name's end that say nothing of the build.
WORDS = frozenset((*_FORMATS, *_METHODS, *_OPEN, "gptqmodel", "dwq", *(f"{bits}bit" for bits in GROUPED_BITS),
                   *(f"int{bits}" for bits in GROUPED_BITS), "w3a16", "w2a16"))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stated:
    """format: a name of ``quantization.scheme``, None where the name states none. problem: what it leaves open."""

    format: str | None = None
    problem: str | None = None


def is_word(word: str) -> bool:
    """Whether a word of a name speaks of the weights' format."""
    return word in WORDS or _BPW.fullmatch(word) is not None


def without_mix(name: str) -> tuple[str, str | None]:
    """A lower-case name without the mix of GGUF types that it states, and the mix.

    >>> without_mix("qwen2.5-7b-instruct-q4-k-m")
    ('qwen2.5-7b-instruct', 'q4_k_m')
    """
    found = _MIX.search(name)
    if found is None:
        return name, None
    mix = found.group(2).replace("-", "_")
    rest = (name[: found.start()] + name[found.end() :]).removesuffix(".gguf")
    return rest, ("ud_" if found.group(1) else "") + _SHORT.get(mix, mix)


def stated_format(name: str, words: list[str], mix: str | None) -> Stated:
    """What the words at a name's end state, ``words`` from right to left, ``mix`` as ``without_mix`` gives it.

    >>> stated_format("qwen2.5-7b-instruct-gptq-int8", ["int8", "gptq", "instruct"], None).format
    'int8_gptq'
    """
    if mix is not None:
        if mix in GGUF_MIXES:
            return Stated(mix)
        return Stated(problem=f"the mix {mix.upper()} has bits that its maker chooses for each model")
    said = [word for word in words if is_word(word)]
    if not said:
        return Stated()
    for word in said:
        if bits := _BPW.fullmatch(word):
            return Stated(f"bits{float(bits.group(1)):g}")
    if said[0] in _OPEN:
        return Stated(problem=f"the name says {said[0].upper()} alone: {_OPEN[said[0]]}")
    method = next((word for word in said if word in _METHODS or word == "gptqmodel"), None)
    width = next((int(found.group(1)) for word in said if (found := _WIDTH.fullmatch(word))), None)
    if said[0].endswith("bit") and method is None and name.startswith(_MLX_OWNER):
        method = "mlx"
    if method is not None and (said[0] == method or width is not None or said[0] == "dwq"):
        return _of_method(method, width)
    main = said[0]
    if main == "fp8":
        before = words[: words.index(main)]
        return Stated("fp8_channel" if "dynamic" in before else "fp8_block" if "block" in before else "fp8")
    if main in _FORMATS:
        return Stated(_FORMATS[main])
    if width is not None and main.endswith("a16"):
        return Stated(f"int{width}_gptq")
    return Stated(
        problem=f"the name says {main} and no method: MLX, bitsandbytes, GPTQ and AWQ store it in different sizes"
    )


def _of_method(method: str, width: int | None) -> Stated:
    """The format of a method's word and the width beside it, where there is one."""
    bits = width or 4
    names = {
        "gptq": f"int{bits}_gptq",
        "gptqmodel": f"int{bits}_gptq",
        "autoround": f"int{bits}_gptq",
        "awq": f"int{bits}_awq",
        "bnb": {4: "bnb_nf4_dq", 8: "bnb_int8"}.get(bits, ""),
        "mlx": f"mlx_{bits}bit",
        "hqq": f"hqq_int{bits}",
        "torchao": f"torchao_int{bits}",
    }
    if method in ("mlx", "torchao") and width is None:
        return Stated(problem=f"the name says {method} and no width")
    found = names[method]
    return Stated(found) if found in SCHEMES else Stated(problem=f"{method} of {bits} bits is not known")
