"""The tensor types of GGUF files: how many bytes a block of weights takes, and what a row that no block fills becomes.

Source: the type table of ggml and the fall-backs of llama.cpp's quantiser (October 2026).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GgufType:
    """One tensor type: ``bytes`` of a block of ``weights`` weights, and its number in the file."""

    name: str
    number: int
    weights: int
    bytes: int

    @property
    def bits(self) -> float:
        """Bits of one weight, scales included.

        >>> TYPES["Q4_K"].bits
        4.5
        """
        return 8 * self.bytes / self.weights


_ALL = (
    ("F32", 0, 1, 4), ("F16", 1, 1, 2), ("Q4_0", 2, 32, 18), ("Q4_1", 3, 32, 20), ("Q5_0", 6, 32, 22), ("Q5_1", 7, 32, 24),
    ("Q8_0", 8, 32, 34), ("Q8_1", 9, 32, 40), ("Q2_K", 10, 256, 84), ("Q3_K", 11, 256, 110), ("Q4_K", 12, 256, 144),
    ("Q5_K", 13, 256, 176), ("Q6_K", 14, 256, 210), ("Q8_K", 15, 256, 292), ("IQ2_XXS", 16, 256, 66),
    ("IQ2_XS", 17, 256, 74), ("IQ3_XXS", 18, 256, 98), ("IQ1_S", 19, 256, 50), ("IQ4_NL", 20, 32, 18),
    ("IQ3_S", 21, 256, 110), ("IQ2_S", 22, 256, 82), ("IQ4_XS", 23, 256, 136), ("I8", 24, 1, 1),
    ("I16", 25, 1, 2), ("I32", 26, 1, 4), ("I64", 27, 1, 8), ("F64", 28, 1, 8),
    ("IQ1_M", 29, 256, 56), ("BF16", 30, 1, 2), ("TQ1_0", 34, 256, 54), ("TQ2_0", 35, 256, 66), ("MXFP4", 39, 32, 17),
    ("NVFP4", 40, 64, 36), ("Q1_0", 41, 128, 18),
)  # fmt: skip
TYPES: dict[str, GgufType] = {row[0]: GgufType(*row) for row in _ALL}
BY_NUMBER: dict[int, GgufType] = {item.number: item for item in TYPES.values()}

_FALLBACK = {
    **dict.fromkeys(("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ4_XS"), "IQ4_NL"),
    **dict.fromkeys(("Q2_K", "Q3_K", "TQ1_0", "TQ2_0"), "Q4_0"),
    "Q4_K": "Q5_0",
    "Q5_K": "Q5_1",
    "Q6_K": "Q8_0",
}


def fitting(name: str, columns: int) -> str:
    """The type that a matrix with rows of ``columns`` weights gets where type ``name`` is asked for.

    >>> fitting("Q4_K", 4096), fitting("Q4_K", 2880), fitting("Q4_K", 100)
    ('Q4_K', 'Q5_0', 'F16')
    """
    if columns % TYPES[name].weights == 0:
        return name
    other = _FALLBACK.get(name, "F16")
    return other if columns % TYPES[other].weights == 0 else "F16"
