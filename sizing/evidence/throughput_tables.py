"""Tables for throughput rows: metrics, accelerators, data sets; and the repair of one table whose cells are
shifted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Metric:
    """quantity: what is measured; factor: printed unit to SI (tokens/s, requests/s, s, bytes); scope: of
    what.
    """

    quantity: str
    factor: float = 1.0
    scope: str = "server"
    median: bool = False


METRICS: Mapping[str, Metric] = {
    "output_tok_s_total": Metric("output_tokens_per_s"),
    "output_tok_s_per_gpu": Metric("output_tokens_per_s", scope="accelerator"),
    "output_tok_s_per_node": Metric("output_tokens_per_s", scope="node"),
    "total_tok_s": Metric("total_tokens_per_s"),
    "total_tok_s_per_gpu": Metric("total_tokens_per_s", scope="accelerator"),
    "input_tok_s": Metric("input_tokens_per_s"),
    "input_tok_s_per_gpu": Metric("input_tokens_per_s", scope="accelerator"),
    "input_tok_s_per_node": Metric("input_tokens_per_s", scope="node"),
    "req_s": Metric("requests_per_s"),
    "ttft_ms": Metric("ttft_s", 1e-3),
    "tpot_ms": Metric("tpot_s", 1e-3),
    "ttft_s_median": Metric("ttft_s", median=True),
    "tpot_s_median": Metric("tpot_s", median=True),
    "e2e_latency_s": Metric("e2e_s"),
    "gpu_memory_gb": Metric("memory_bytes", 1e9),
    "gpu_memory_mb": Metric("memory_bytes", 1e6),
}


def accelerator_name(label: str) -> tuple[str, str | None]:
    """``(name, complaint)`` of a printed accelerator: remarks cut off, spellings made alike."""
    text = re.sub(r"\s*\(.*$", "", label).strip().lower()
    if not text or "not stated" in text:
        return "", "the accelerator is not stated"
    if text.startswith("ambiguous"):
        return "", "the page lists several accelerators"
    if text in {"ascend", "ascend-910", "amd instinct"}:
        return text.replace(" ", "-"), f"the accelerator {text!r} is not exact"
    text = re.sub(r"-(?:label|480gb-class)$", "", text).replace("-120gb", "")
    text = re.sub(r"^nvidia\s+|\s+edition$", "", text)
    return re.sub(r"[^a-z0-9]+", "-", text).strip("-"), None


@dataclass(frozen=True, slots=True)
class Lengths:
    """Mean tokens of a data set's requests; ``assumed`` names what no source states."""

    input_tokens: float
    output_tokens: float
    source: str
    assumed: str = ""


# Output means: the reference implementations' accuracy targets (tokens_per_sample) and, for all but GPT-J,
# tokens per
# second over samples per second of the very logs. Input means are assumed where the rows do not print them:
# the
# outputs are what these runs spend their time on.
MLPERF: Mapping[str, Lengths] = {
    "llama2-70b": Lengths(300.0, 294.45, "MLPerf reference, tokens_per_sample 294.45", "input about 300 tokens"),
    "mixtral-8x7b": Lengths(250.0, 145.9, "MLPerf reference, tokens_per_sample 145.9", "input about 250 tokens"),
    "llama3.1-405b": Lengths(9400.0, 684.68, "notes: mean in ~9.4k; MLPerf reference, tokens_per_sample 684.68"),
    "llama3.1-8b": Lengths(778.0, 128.0, "summaries of at most 128 tokens; logs: 129", "input about 780 tokens"),
    "deepseek-r1": Lengths(800.0, 3670.0, "logs: tokens/s over samples/s", "input about 800 tokens"),
}
BEAMS = {"gptj": 4}  # MLPerf's GPT-J searches with four beams

# ShareGPT, 1000 prompts, Qwen3 tokenizer: what the rows of the same site that print totals have.
SHAREGPT = Lengths(217.4, 201.5, "sibling rows of the same site", "ShareGPT means of sibling rows")

_BLOCK = re.compile(r"^trtserve-(\d{4})$")
_OFFERED = (2.0, 4.0, 8.0, 16.0, 32.0, math.inf)  # the six settings of each group, three groups a table
_SHIFTED = {
    "ttft_ms": "req_s",
    "tpot_ms": "ttft_ms",
    "total_tok_s": "tpot_ms",
    "output_tok_s_total": "total_tok_s",
}
_MOVED = {("467", "467"): ("467", "16"), ("467", "202"): ("202", "214")}


def repair_shifted(cells: Mapping[str, str]) -> tuple[dict[str, str], float | None, str | None]:
    """``(cells, rate, note)`` of a row of the online-serving table, its cells put where they belong.

    Five rows make one setting, six settings one group, three groups one table. Only the first setting of a
    table is in its columns; in all others the figures stand one column to the right. In groups two and three
    the lengths moved as well. ``req_s`` holds the offered rate throughout: it is no measurement. See
    docs/labels.md.
    """
    fixed = dict(cells)
    match = _BLOCK.match(cells.get("id", ""))
    if not match or cells.get("metric") not in {"req_s", *_SHIFTED}:
        return fixed, None, None
    setting = (int(match.group(1)) - 1) // 5
    rate = _OFFERED[setting % 6]
    lengths = (cells.get("input_tokens", ""), cells.get("output_tokens", ""))
    if lengths in _MOVED:
        fixed["input_tokens"], fixed["output_tokens"] = _MOVED[lengths]
    if cells["metric"] == "req_s":
        fixed["metric"] = "offered_req_s"
        return fixed, rate, "the offered rate, not a measurement"
    if setting % 18 == 0:
        return fixed, rate, None
    fixed["metric"] = _SHIFTED[cells["metric"]]
    return fixed, rate, f"cells shifted: printed as {cells['metric']}, is {fixed['metric']}"
