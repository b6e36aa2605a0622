"""A claim read from a sentence. What is not understood is kept and said, never guessed."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from sizing.claims.claim import Claim
from sizing.errors import SizingError
from sizing.hardware import load_catalog
from sizing.model.sources import find_in_catalog

MAX_TEXT = 2000
_SCALE = {"k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}
_N = r"(\d+(?:[.,]\d+)*)"
_FILLER_TEXT = """
a an and are as at by costs cost for from has have in is it its just of on only or over per runs run served serving
than the that to trained training tokens token parameters params total active with weights model inference context
price window supports price priced hybrid moe
"""
_FILLER = frozenset(_FILLER_TEXT.split())


def _number(text: str) -> float:
    if "," in text and not re.fullmatch(r"\d{1,3}(,\d{3})+(\.\d+)?", text):
        raise SizingError(f"{text!r} is not a number", key="claim", hint="write 1,200 or 1.2")
    return float(text.replace(",", ""))


def _size(number: str, letter: str) -> float:
    return _number(number) * _SCALE[letter.lower()]


def _kind(text: str | None) -> str | None:
    return None if text is None else {"in": "input", "out": "output"}.get(text.lower(), text.lower())


def _sizes(match: re.Match[str]) -> dict[str, Any]:
    return {"total": _size(match[1], match[2]), "active": _size(match[3], match[4])}


def _flops(match: re.Match[str]) -> dict[str, Any]:
    return {"training_flops": _number(match[1]) * {"P": 1e15, "E": 1e18}[match[2].upper()]}


_END = r"(?=\s*(?:[,;:]|\.\s|\.?$)|\s+(?:and|at|by|for|in|on|with)\b)"
_BELOW = (
    r"(?:below|under|(?:cheaper|lower|less)(?:\s+\w+){0,2}?\s+than|"
    r"(?:\w+\s+)?(?:reductions?|savings?|cuts?)\s+(?:against|over|versus|vs\.?|compared\s+(?:to|with)))"
)
_Reader = tuple[str, Callable[[re.Match[str]], dict[str, Any]]]
_READERS: tuple[_Reader, ...] = (
    (rf"{_N}\s*(T|B)\s*/\s*(?:A)?{_N}\s*(T|B|M)\b", _sizes),
    (rf"{_N}\s*(T|B)\s+(?:total\b|parameters|params)(?:\s+(?:in\s+)?total)?", lambda m: {"total": _size(m[1], m[2])}),
    (rf"{_N}\s*(T|B|M)\s+(?:active|activated)(?:\s+parameters)?", lambda m: {"active": _size(m[1], m[2])}),
    (
        rf"\$\s*{_N}\s*(?:/|per|a)\s*(?:1\s*)?(?:M|million)\b\s*(input|output|blended?|in|out)?(?:\s*tokens?)?",
        lambda m: {"usd_per_million": _number(m[1]), "kind": _kind(m[2] and m[2].removesuffix("ed"))},
    ),
    (
        rf"\$\s*{_N}\s*(?:/|per|an?)\s*(?:accelerator|chip|gpu|npu|card)?[\s-]*(?:hour|hr|h)\b",
        lambda m: {"usd_per_hour": _number(m[1])},
    ),
    (
        rf"{_N}\s*%\s*{_BELOW}\s+([A-Za-z][\w .()-]*?){_END}",
        lambda m: {"below": _number(m[1]) / 100, "than": m[2].strip()},
    ),
    (rf"{_N}\s*(P|E)FLOP(?:S|/s)?\b(?:\s+(?:FP16|BF16))?", _flops),
    (rf"{_N}\s*PB\b(?:\s+of)?(?:\s+(?:training\s+)?data)?", lambda m: {"training_bytes": _number(m[1]) * 1e15}),
    (
        rf"{_N}\s*-?bit\s+(?:quanti[sz]ation|weights)?\s*(?:is|are|cuts?|reduces?|shrinks?)?[\w\s]*?by\s+{_N}\s*%",
        lambda m: {"size_bits": _number(m[1]), "size_cut": _number(m[2]) / 100},
    ),
    (rf"{_N}\s*%\s*MFU\b", lambda m: {"training_utilisation": _number(m[1]) / 100}),
    (rf"{_N}\s*%\s*(?:chip\s+|cluster\s+)?(?:utili[sz]ation|busy|load)\b", lambda m: {"_used": _number(m[1]) / 100}),
    (
        rf"{_N}\s*% of (?:an?|the)?\s*([A-Za-z][\w -]*?)(?=\s+cluster|\s*[,;]|\.?$)(?:\s+cluster)?",
        lambda m: {"performance": _number(m[1]) / 100, "of": m[2].strip()},
    ),
    (rf"{_N}\s*K(?:\s+tokens)?(?:\s+of)?\s+context(?:\s+window)?", lambda m: {"context": int(_number(m[1]) * 1024)}),
    (rf"context(?:\s+window)?(?:\s+of)?\s+{_N}\s*K\b", lambda m: {"context": int(_number(m[1]) * 1024)}),
    (r"\b(fp8|int8|w8a8|bf16|fp16|int4|awq|gptq|nvfp4|mxfp4)\b", lambda m: {"weights": m[1].lower()}),
)  # fmt: skip


def parse_claim(text: str, **given: Any) -> Claim:
    """A Claim from free text; ``given`` (fields of Claim) wins over what the text says.

    "1.2T/78B", "$0.07 per million input tokens", "$1.2 an hour", "97% below GPT-4 Turbo", "82% utilisation at 512
    PFLOPS", "128K context", accelerator and model names. Whatever else stands there is in ``unparsed``.
    """
    if len(text) > MAX_TEXT:
        raise SizingError(f"longer than {MAX_TEXT:,} characters", key="claim")
    rest, found = text, dict[str, Any]()
    for pattern, read in _READERS:
        match = re.search(pattern, rest, re.IGNORECASE)
        while match is not None:
            for key, value in read(match).items():
                if value is not None and found.setdefault(key, value) != value:
                    raise SizingError(f"{match[0].strip()!r} contradicts an earlier part", key="claim",
                                      hint="check one claim at a time")  # fmt: skip
            rest = f"{rest[: match.start()]} ; {rest[match.end() :]}"
            match = re.search(pattern, rest, re.IGNORECASE)
    used = found.pop("_used", None)
    if used is not None:
        of_training = "training_flops" in found or re.search(r"\btrain", text, re.IGNORECASE)
        found["training_utilisation" if of_training else "utilisation"] = used
    names, unparsed = _names(rest)
    found |= {key: value for key, value in names.items() if key not in found}
    found |= {key: value for key, value in given.items() if value is not None}
    return Claim(text=text, unparsed=tuple(unparsed), **found)


def _names(rest: str) -> tuple[dict[str, Any], list[str]]:
    """Accelerators and models named in what is left (longest name first), and the words that nobody understands."""
    catalog = load_catalog()
    found: dict[str, Any] = {}
    unread: list[str] = []
    for part in re.split(r"[;,:]|\.\s|\.$", rest):
        words = part.split()
        start = 0
        while start < len(words):
            for length in range(min(4, len(words) - start), 0, -1):
                name = " ".join(words[start : start + length]).strip("()\"'")
                key = _named(name, catalog)
                if key is not None and key not in found:
                    found[key] = name.replace(" ", "-")
                    start += length
                    break
            else:
                word = words[start].strip("()\"'")
                if word and word.lower() not in _FILLER and re.search(r"\w", word):
                    unread.append(word)
                start += 1
    return found, unread


def _named(name: str, catalog: Any) -> str | None:
    """ "accelerator" or "model" where the catalog knows the name."""
    if len(name) < 2 or name.lower() in _FILLER:
        return None
    for spelled in (name, name.replace(" ", "-")):
        try:
            catalog.resolve(spelled)
            return "accelerator"
        except SizingError:
            pass
        if find_in_catalog(spelled) is not None:
            return "model"
    return None
