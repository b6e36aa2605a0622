"""A claim read from a sentence, English or Chinese. What is not understood is kept and said, never guessed."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from sizing.base.errors import SizingError
from sizing.claims import readers, readers_zh
from sizing.claims.claim import Claim
from sizing.claims.figures import plain
from sizing.claims.names import accelerator_named, find_names
from sizing.claims.readers import Facts, Reader
from sizing.hardware import load_catalog

MAX_TEXT = 2000
_CJK = re.compile(r"[\u3400-\u9fff]")
_OF_TRAINING = re.compile(r"\btrain|\bpre-?train|训练", re.IGNORECASE)
_RUNS = re.compile(
    r"\b(?:runs?|running|fits?|serves?|served|deploy\w*|hosted?)\b|部署|运行|跑|放得下|装得下", re.IGNORECASE
)


def is_chinese(text: str) -> bool:
    """Whether a text has Chinese in it, and so wants its answer in Chinese."""
    return _CJK.search(text) is not None


@cache
def _compiled(chinese: bool) -> tuple[tuple[re.Pattern[str], Any], ...]:
    found: tuple[Reader, ...] = (*readers_zh.READERS, *readers.READERS) if chinese else readers.READERS
    return tuple((re.compile(pattern, re.IGNORECASE), read) for pattern, read in found)


def parse_claim(text: str, **given: Any) -> Claim:
    """A Claim from free text; ``given`` (fields of Claim) wins over what the text says.

    "1.2T/78B", "$0.07 per million input tokens", "97% below GPT-4 Turbo", "82% utilisation at 512 PFLOPS", "2.788M H800
    hours", "14.8T tokens", "128K context", "runs on 8 x H100 in 4 bits at 20 tokens/s", "2 times faster than A100", the
    same in Chinese, accelerator and model names. Whatever else stands there is in ``unparsed``. Raises SizingError for
    a text of more than 2,000 characters and for parts that contradict each other.

    >>> claim = parse_claim("每百万token 0.07美元,比GPT-4 Turbo低97%")
    >>> claim.usd_per_million, claim.below, claim.than, claim.unparsed
    (0.07, 0.97, 'GPT-4 Turbo', ())
    """
    if len(text) > MAX_TEXT:
        raise SizingError(f"longer than {MAX_TEXT:,} characters", key="claim")
    rest, found = _read(plain(text), is_chinese(text))
    catalog = load_catalog()
    names = find_names(rest, catalog)
    named = found.pop("_accelerator", None)
    if named:
        accelerator = accelerator_named(re.sub(r"\s+", "-", named), catalog)
        if accelerator is None:
            names.unread.append(named)
        else:
            names.accelerator = names.accelerator or accelerator
    facts = _settled(found, text)
    for key in ("accelerator", "accelerators", "model"):
        if getattr(names, key) is not None:
            facts.setdefault(key, getattr(names, key))
    if facts.get("accelerators") and facts.get("days") and "gpu_hours" not in facts:
        facts["gpu_hours"] = facts["accelerators"] * facts["days"] * 24.0
    if _RUNS.search(text) and not _OF_TRAINING.search(text):
        facts["runs"] = True
    facts |= {key: value for key, value in given.items() if value is not None}
    notes = (*facts.pop("notes", ()), *names.notes)
    return Claim(text=text, unparsed=tuple(names.unread), notes=notes, **facts)


def _read(rest: str, chinese: bool) -> tuple[str, Facts]:
    """The facts that the patterns find, and the text without them."""
    found: Facts = {"prices": {}, "notes": []}
    for pattern, read in _compiled(chinese):
        position = 0
        while (match := pattern.search(rest, position)) is not None:
            facts = read(match)
            if not any(value is not None for value in facts.values()) or match.end() == match.start():
                position = max(match.end(), position + 1)
                continue
            _take(facts, found, match[0].strip())
            rest = f"{rest[: match.start()]} ; {rest[match.end() :]}"
            position = match.start()
    return rest, found


def _take(facts: Facts, found: Facts, said: str) -> None:
    """Add facts to those found; raises SizingError where they contradict."""
    note = facts.pop("_note", None)
    if note and note not in found["notes"]:
        found["notes"].append(note)
    for key in ("_price", "_price_more"):
        if key in facts:
            price, kind = facts.pop(key)
            if found["prices"].setdefault(kind, price) != price:
                raise _contradiction(said)
    for key, value in facts.items():
        if value is not None and found.setdefault(key, value) != value:
            raise _contradiction(said)


def _contradiction(said: str) -> SizingError:
    return SizingError(f"{said[:80]!r} contradicts an earlier part", key="claim", hint="check one claim at a time")


def _settled(found: Facts, text: str) -> Facts:
    """Fields of Claim from what was read: prices by kind, utilisations, bits."""
    facts = {key: value for key, value in found.items() if not key.startswith("_") and key != "prices"}
    facts["notes"] = tuple(found["notes"])
    prices = list(found["prices"].items())
    if len(prices) > 2 or (len(prices) == 2 and None in found["prices"]):
        raise SizingError("more than one price", key="claim", hint="say which is of input, which of output tokens")
    if prices:
        facts["kind"], facts["usd_per_million"] = prices[0]
    if len(prices) == 2:
        facts["other_kind"], facts["other_usd_per_million"] = prices[1]
    if "_used" in found:
        of_training = "training_flops" in found or _OF_TRAINING.search(text)
        facts["training_utilisation" if of_training else "utilisation"] = found["_used"]
    if "_bits" in found and "weights" not in found:
        facts["weight_bits"] = found["_bits"]
    if found.get("_rate_kind"):
        facts["rate_kind"] = found["_rate_kind"]
    if facts.get("active_share") and facts.get("total") and not facts.get("active"):
        facts["active"] = facts["total"] * facts["active_share"]
    return facts
