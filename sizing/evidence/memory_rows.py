"""Reads rows of measured engine memory and turns their free text into what the memory model asks for.

A row's cells come from logs and threads: "v0.19.0 (V1)", "bfloat16 / modelslim w8a8",
"dp4/ep16/dp-attention", "h100-80gb". Nothing here looks at a particular model or row; what a cell does not
state falls back to the engine's own default, and is listed.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from sizing.base.errors import SizingError
from sizing.coefficients.memory import memory_constants
from sizing.engine.base import Engine, Version, parse_version
from sizing.engine.placement import Placement
from sizing.engine.registry import get_engine
from sizing.hardware import resolve_accelerator
from sizing.model.quantization.schemes import INT4_GPTQ, SCHEMES, QuantScheme, scheme

# vLLM's releases by month (approximate; only for rows that give a date and no version).
VLLM_RELEASES: tuple[tuple[str, Version], ...] = (
    ("2024-05", (0, 4, 3)),
    ("2024-07", (0, 5, 3)),
    ("2024-09", (0, 6, 1)),
    ("2024-11", (0, 6, 4)),
    ("2024-12", (0, 6, 5)),
    ("2025-01", (0, 7, 0)),
    ("2025-02", (0, 7, 2)),
    ("2025-03", (0, 7, 3)),
    ("2025-04", (0, 8, 4)),
    ("2025-05", (0, 8, 5)),
    ("2025-06", (0, 9, 1)),
    ("2025-07", (0, 9, 2)),
    ("2025-08", (0, 10, 1)),
    ("2025-09", (0, 10, 2)),
    ("2025-10", (0, 11, 0)),
    ("2025-12", (0, 12, 0)),
    ("2026-01", (0, 14, 0)),
    ("2026-02", (0, 15, 0)),
    ("2026-03", (0, 17, 0)),
    ("2026-04", (0, 19, 0)),
    ("2026-05", (0, 21, 0)),
    ("2026-06", (0, 23, 0)),
    ("2026-07", (0, 25, 0)),
    ("2026-08", (0, 26, 0)),
    ("2026-09", (0, 29, 0)),
    ("2026-11", (0, 33, 0)),
)
SGLANG_OLD = (0, 4, 6)
LAST_V0 = (0, 7, 3)
INT4_GPTQ_SYMMETRIC = replace(INT4_GPTQ, name="int4_gptq", zero_bits=0)


@dataclass(frozen=True, slots=True)
class MemoryRow:
    """One row, as it stands: text by column (absent columns are empty)."""

    cells: dict[str, str]

    def text(self, column: str) -> str:
        """The cell without blanks around it; empty where the column is absent."""
        return (self.cells.get(column) or "").strip()

    def number(self, column: str) -> float | None:
        """The cell as a number; None when empty or not a number."""
        found = re.search(r"-?\d[\d,]*\.?\d*(?:e[+-]?\d+)?", self.text(column).replace("_", ""), re.IGNORECASE)
        if not found:
            return None
        try:
            return float(found[0].replace(",", ""))
        except ValueError:
            return None

    def whole(self, column: str) -> int | None:
        """The cell as a whole number of at least 1; None otherwise."""
        value = self.number(column)
        return int(value) if value is not None and value >= 1 else None

    def flag(self, column: str) -> bool:
        """Whether the cell says yes."""
        return self.text(column).lower() in ("true", "1", "yes", "on")


def read_rows(path: Path | str) -> list[MemoryRow]:
    """The rows of a CSV file, which may be gzipped."""
    source = Path(path)
    with source.open("rb") as raw:
        zipped = raw.read(2) == b"\x1f\x8b"
    content = source.read_bytes()
    text = (gzip.decompress(content) if zipped else content).decode("utf-8-sig")
    return [
        MemoryRow({key: value or "" for key, value in row.items() if isinstance(key, str)})
        for row in csv.DictReader(io.StringIO(text, newline=""))
    ]


def engine_of(row: MemoryRow) -> Engine:
    """The row's engine at its version: stated, or by date, or the latest. "V0" rows get vLLM's old engine."""
    name = row.text("engine").lower()
    if not name:
        raise SizingError("no engine is named", key="engine")
    stated = row.text("engine_version")
    version = parse_version(stated)
    base = re.sub(r"\(.*?\)", "", name).strip()
    if "ascend" in base and "vllm" in base:
        base = "vllm-ascend"
    elif base.startswith("vllm"):
        base = "vllm"
    if version is None and base in ("vllm", "vllm-ascend"):
        version = _by_date(stated + " " + (row.text("notes") if not stated else ""))
    if base == "vllm" and re.search(r"\bV0\b", stated) and (version is None or version > LAST_V0):
        version = LAST_V0
    if version is None and base.startswith("sglang") and (found := re.search(r"20\d\d-\d\d", stated)):
        version = SGLANG_OLD if found[0] < "2025-11" else None
    return get_engine(base, version)


def _by_date(text: str) -> Version | None:
    found = re.search(r"20\d\d-\d\d", text)
    if not found:
        return None
    best: Version | None = None
    for month, version in VLLM_RELEASES:
        if month <= found[0]:
            best = version
    return best


def placement_of(row: MemoryRow) -> Placement:
    """tp, pp and the text of dp_ep. With "dp-attention" the tp column counts all ranks; else dp multiplies
    them.
    """
    text = row.text("dp_ep").lower()
    pp = row.whole("pp") or 1
    ranks = row.whole("n_gpus")
    tp = row.whole("tp")
    if tp is None:
        if ranks is None:
            raise SizingError("neither tp nor the number of accelerators is given", key="tp")
        tp = max(1, ranks // pp)
    found = re.search(r"dp\D{0,2}(\d+)", text)
    dp = int(found[1]) if found else 1
    found = re.search(r"ep\D{0,1}(\d+)", text)
    ep = int(found[1]) if found else 1
    if "attention" in text and dp > 1:
        tp = max(1, tp // dp)
    if ">=" in text and ranks is None and dp == 1:
        dp = 2
    if re.search(r"ep on|ep=true|expert.parallel", text):
        ep = tp * dp
    return Placement(tp=tp, pp=pp, dp=dp, ep=ep)


def total_gib_of(row: MemoryRow) -> float | None:
    """Total memory of the row's accelerator [GiB]: printed in the notes, else by name, else by its nominal
    size.
    """
    notes = row.text("notes")
    patterns = (
        r"free [\d.]+ ?(?:/|of) ?(\d+(?:\.\d+)?) GiB",
        r"\btotal (\d+(?:\.\d+)?)(?: GiB|,)",
    )
    for pattern in patterns:
        found = re.search(pattern, notes)
        if found and float(found[1]) > 4:
            return float(found[1])
    found = re.search(r"total (\d{10,13}) B", notes)
    if found:
        return float(found[1]) / 2**30
    named = _by_name(row.text("gpu"))
    if named is not None:
        return named
    for text in (row.text("gpu"), notes):
        found = re.search(r"\(([\d.]+) GiB\)", text) or re.search(r"(\d+(?:\.\d+)?) ?GiB (?:card|GPU)", text)
        if found:
            return float(found[1])
        found = re.search(r"(\d+(?:\.\d+)?) ?[- ]?GB(?: |-)?(?:class|cards?|NPU|GPU)", text, re.IGNORECASE)
        if found:
            return _nominal(float(found[1]))
    found = re.search(r"(\d+(?:\.\d+)?) ?gi?b", row.text("gpu"), re.IGNORECASE)
    return _nominal(float(found[1])) if found else None


def _nominal(size: float) -> float:
    """Driver total of a card sold with ``size`` GB: about 98 % of it in GiB, as the named parts show."""
    return round(size * 0.985, 2)


def _by_name(name: str) -> float | None:
    """By the hardware catalog, unless that has but the nominal size; else by the table of other parts."""
    key = re.sub(r"[\s_]+", "-", name.lower())
    if not key:
        return None
    nominal: float | None = None
    try:
        memory = resolve_accelerator(key)[0].memory
    except SizingError:
        pass
    else:
        if memory.usable_gib is not None and memory.basis != "nominal":
            return memory.usable_gib
        nominal = memory.usable_gib
    table = memory_constants()["device_total_gib"]
    best = ""
    for known in table:
        parts = known.split("-")
        if all(re.search(rf"(?<![a-z0-9]){part}(?![0-9a-z])", key) for part in parts) and len(known) > len(best):
            best = known
    return float(table[best]["value"]) if best else nominal


def scheme_of(row: MemoryRow, native: object | None, *, same_checkpoint: bool = True) -> QuantScheme:
    """The weight scheme: the dtype cell, then the model's name, then the config's own, else 16 bits.

    The config's own scheme stands for a stated one of the same bits, if the config is of the row's very
    checkpoint.
    """
    cell, name = row.text("weight_dtype").lower(), row.text("model").lower()
    own = native if isinstance(native, QuantScheme) else None
    per_channel = "per-channel" in name or "per_channel" in name
    for text in (cell, name):
        key = _format_in(text)
        if key is None:
            continue
        bits = SCHEMES[key].experts.bits
        if own is not None and same_checkpoint and bits in (own.experts.bits, own.linear.bits):
            return own
        return _scheme(key, symmetric="awq" not in text, per_channel=per_channel)
    return own if own is not None else scheme("bf16")


def _format_in(text: str) -> str | None:
    """The quantisation that a text speaks of, as the name of a scheme."""
    text = text.replace("_", "-")
    rules = (
        (r"w4a8|w4-a8", "w4a8"),
        (r"w8a8|int8", "int8"),
        (r"w8a16", "int8_wo"),
        (r"nvfp4|fp4 engine|(?<![a-z0-9])fp4", "nvfp4"),
        (r"mxfp4", "mxfp4"),
        (r"awq", "int4_awq"),
        (r"gptq|w4a16|int4|autoround|4-?bit", "int4_gptq"),
        (r"fp8-?dynamic|fp8-?static", "fp8_channel"),
        (r"fp8", "fp8"),
    )
    return next((key for pattern, key in rules if re.search(pattern, text)), None)


def _scheme(key: str, *, symmetric: bool, per_channel: bool) -> QuantScheme:
    if key == "int4_gptq" and symmetric:
        return QuantScheme("int4_gptq", linear=INT4_GPTQ_SYMMETRIC, experts=INT4_GPTQ_SYMMETRIC)
    made = scheme(key)
    if per_channel and made.experts.block is not None:
        return replace(made, experts=replace(made.experts, block=(1, None)))
    return made


def model_names(row: MemoryRow) -> Iterator[str]:
    """Names to try for the row's model, the likeliest first: as written, then without what quantisers append,
    then names that the text or the notes mention as its class or base."""
    written = row.text("model")
    plain = re.sub(r"\(.*?\)", "", written).strip()
    seen: set[str] = set()
    first = plain.split()[0] if plain.split() else ""
    for start in (written, plain, first):
        for name in _trimmed(start):
            if name and name not in seen:
                seen.add(name)
                yield name
    mentioned = [*re.findall(r"\(([^)]*)\)", written), row.text("notes")]
    for text in mentioned:
        for name in re.findall(r"([A-Za-z][\w.]*-[\w.\-]*\d[\w.\-]*)(?: class| or similar| fine-tune)", text):
            for shorter in _trimmed(name):
                if shorter not in seen:
                    seen.add(shorter)
                    yield shorter


def base_name(name: str) -> str:
    """A name without organisation, quantisation, tuning and task, in lower case."""
    *_, last = _cut(name.rsplit("/", 1)[-1])
    return re.sub(r"-(embedding|reranker)\b", "", last.lower())


TAILS = re.compile(
    r"[-_.](?:fp8[-\w]*|awq[-\w]*|gptq[-\w]*|nvfp4[-\w]*|mxfp4[-\w]*|int[48][-\w]*|w\da\d+[-\w]*|quantized[-.\w]*|"
    r"bnb[-\w]*|4bit|8bit|quarot|per-channel|qat[-\w]*|autoround|hf|gguf|bf16|abliterated[-\w]*|\d{4}|instruct|it|chat|thinking|base|"
    r"instruct-\d{4}|v\d(?:\.\d)?)$",
    re.IGNORECASE,
)


def _cut(last: str) -> Iterator[str]:
    """The name, then with tails cut off one after another."""
    yield last
    while (shorter := TAILS.sub("", last)) != last:
        last = shorter
        yield last


def _trimmed(name: str) -> Iterator[str]:
    """The name, without its organisation, without tails, at last without what stands before its family."""
    yield name
    last = name
    for last in _cut(name.rsplit("/", 1)[-1]):
        yield last
    if re.search(r"\d+b\b", rest := last.partition("-")[2], re.IGNORECASE):
        yield rest
