"""An engine's start-up log beside the ledger: ``sizing memory MODEL --on ACCELERATOR --log FILE``.

Reads what vLLM (0.6 to 0.33), vLLM-Ascend and SGLang (0.4 to 0.5) print while they start: sizes in GiB (they write GB and
mean GiB), tokens, concurrency, and the flags that they were started with. Of several ranks the first line of a kind counts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sizing.base.errors import SizingError
from sizing.base.files import read_text
from sizing.engine.base import GIB
from sizing.memory.ledger import MemoryLedger

MAX_BYTES = 64 * 2**20
_SIZE = r"(-?[\d.]+) ?Gi?B"
# What a line says -> the ledger's figure; the first pattern that a log holds counts.
PATTERNS: dict[str, tuple[str, ...]] = {
    "weights_gib": (rf"(?:[Mm]odel loading took|Loading model weights took|model weights take) {_SIZE}",
                    rf"weights memory: {_SIZE}", rf"Load weight end\..*?mem usage={_SIZE}"),
    "activation_gib": (rf"(?:PyTorch activation peak memory takes|torch peak memory increase:?) {_SIZE}",
                       rf"peak activation memory:? (?:is )?{_SIZE}"),
    "runtime_gib": (rf"(?:non_torch_memory takes|non-torch forward increase memory:) {_SIZE}",),
    "graphs_gib": (rf"Estimated CUDA graph memory: {_SIZE}", rf"Graph capturing finished in .*?took {_SIZE}",
                   rf"Capture (?:cuda|npu) graph end\..*?mem usage={_SIZE}"),
    "kv_pool_gib": (rf"Available KV cache memory: {_SIZE}", rf"reserved for KV Cache is {_SIZE}",
                    rf"KV Cache is allocated\..*?KV size: {_SIZE}"),
    "kv_pool_tokens": (r"KV cache size: ([\d,]+) tokens", r"KV Cache is allocated\..*?#tokens: (\d+)",
                       r"max_total_num_tokens=(\d+)"),
    "max_concurrency": (r"Maximum concurrency for [\d,]+ tokens per request: ([\d.]+)x?",),
}  # fmt: skip
_FLAGS: dict[str, tuple[str, ...]] = {
    "context": (r"Maximum concurrency for ([\d,]+) tokens", r"max_seq_len=(\d+)", r"context_len=(\d+)"),
    "tp": (r"tensor_parallel_size'?[=:] ?(\d+)", r"tp_size=(\d+)"),
    "utilization": (r"gpu_memory_utilization'?[=:] ?([\d.]+\d)", r"mem_fraction_static=([\d.]+\d)"),
    "max_num_seqs": (r"max_num_seqs'?[=:] ?(\d+)",),
    "max_num_batched_tokens": (r"max_num_batched_tokens'?[=:] ?(\d+)", r"chunked_prefill_size=(\d+)"),
}  # fmt: skip
_VERSION = (
    r"vLLM API server version v?(\d+\.\d+\.\d+)",
    r"LLM engine \(v(\d+\.\d+\.\d+)",
    r"sglang[ =]+v?(\d+\.\d+\.\d+)",
)


@dataclass(frozen=True, slots=True)
class StartupLog:
    """What a log states. figures: GiB, tokens or requests by the ledger's names; flags: as ``memory_ledger`` names them."""

    engine: str
    version: str | None
    figures: dict[str, float]
    flags: dict[str, float | int]


@dataclass(frozen=True, slots=True)
class Compared:
    """One line: what the log says and what the ledger, in the same unit."""

    name: str
    logged: float
    predicted: float

    @property
    def difference(self) -> float:
        """Predicted less logged, as a share of what was logged."""
        return self.predicted / self.logged - 1.0 if self.logged else 0.0

    def to_dict(self) -> dict[str, float | str]:
        """The line as plain data."""
        return {"name": self.name, "logged": self.logged, "predicted": self.predicted, "difference": self.difference}


def read_startup_log(path: Path | str) -> StartupLog:
    """A log file, read. Raises SizingError where it holds no line that is known."""
    return parse_startup_log(read_text(Path(path), MAX_BYTES), str(path))


def parse_startup_log(text: str, name: str = "--log") -> StartupLog:
    """The text of a log.

    >>> parse_startup_log("INFO Model loading took 14.2488 GiB memory and 3 seconds").figures
    {'weights_gib': 14.2488}
    """
    figures: dict[str, float] = {}
    for key, patterns in PATTERNS.items():
        value = _first(patterns, text)
        if value is not None:
            figures[key] = value
    _sums(text, figures)
    if not figures:
        raise SizingError(
            "holds no line of a start-up that is known",
            key=name,
            hint="the log of vLLM, vLLM-Ascend or SGLang, from its start",
        )
    engine = "sglang" if re.search(r"ServerArgs\(|Load weight end|mem_fraction_static", text) else "vllm"
    if engine == "vllm" and re.search(r"vllm[-_]ascend|NPUWorker|platform npu", text):
        engine = "vllm-ascend"
    version = next((found[1] for pattern in _VERSION if (found := re.search(pattern, text))), None)
    flags: dict[str, float | int] = {}
    for key, patterns in _FLAGS.items():
        value = _first(patterns, text)
        if value is not None and value > 0:
            flags[key] = value if key == "utilization" else int(value)
    return StartupLog(engine, version, figures, flags)


def _first(patterns: tuple[str, ...], text: str) -> float | None:
    for pattern in patterns:
        found = re.search(pattern, text)
        if found:
            return float(found[1].replace(",", ""))
    return None


def _sums(text: str, figures: dict[str, float]) -> None:
    """Figures that a log gives in parts or in bytes."""
    halves = re.search(rf"K size: {_SIZE}, V size: {_SIZE}", text)
    if halves and "kv_pool_gib" not in figures:
        figures["kv_pool_gib"] = float(halves[1]) + float(halves[2])
    left = re.search(r"Available memory: (\d{8,})", text)
    if left and "kv_pool_gib" not in figures:
        figures["kv_pool_gib"] = int(left[1]) / GIB
    states = re.search(rf"conv_state size: {_SIZE},? ssm_state size: {_SIZE}", text)
    if states and "kv_pool_gib" in figures:
        figures["kv_pool_gib"] += float(states[1]) + float(states[2])


def compare_with(log: StartupLog, ledger: MemoryLedger) -> list[Compared]:
    """The log's figures beside the ledger's, the largest difference first (of sizes by GiB, the others after them)."""
    document: dict[str, Any] = ledger.to_dict()
    predicted: dict[str, float] = {**document["per_accelerator"], "kv_pool_tokens": ledger.kv_pool_tokens,
                                   "max_concurrency": ledger.max_concurrency}  # fmt: skip
    lines = [Compared(name, value, float(predicted[name])) for name, value in log.figures.items()]
    return sorted(lines, key=lambda item: (not item.name.endswith("_gib"), -abs(item.predicted - item.logged)))
