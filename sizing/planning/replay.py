"""Replay a trace: its requests, one by one, through the simulated scheduler of an engine on the step model."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sizing.base.answers import Answer, amount
from sizing.base.errors import SizingError
from sizing.engine.placement import Placement
from sizing.memory.ledger import memory_ledger
from sizing.planning.estimate import batching_of, does_not_fit
from sizing.planning.simulation import serve
from sizing.planning.target import Target
from sizing.serving.simulate import SimulationResult
from sizing.workload.measured import read_replay
from sizing.workload.traces import Trace

METRICS = ("ttft_s", "tpot_s", "e2e_s")
PERCENTS = (50, 90, 95, 99)
SLICES = 60  # of the chart over time
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Flags:
    """Limits that the server is started with; None: the engine's own. memory_utilization: a share of the memory."""

    max_num_seqs: int | None = None
    max_num_batched_tokens: int | None = None
    memory_utilization: float | None = None


@dataclass(frozen=True, repr=False)
class Replay(Answer):
    """A trace replayed. ``result`` has the times of each request [s]; ``trace`` what was asked and measured."""

    target: Target
    placement: Placement
    trace: Trace
    result: SimulationResult
    refused: int
    pool_tokens: float
    assumptions: tuple[str, ...]

    def summary_lines(self) -> list[tuple[str, str]]:
        """What was served, how fast, and how far that is from what was measured."""
        document = self.to_dict()
        place = self.placement
        lines = [
            ("replay", f"{len(self.trace):,} requests of {self.trace.name}: {self.target.arch.name} on {place.describe()} x "
             f"{self.target.accelerator.name}, {self.target.engine.name} {self.target.engine.version_text}"),
            *((name.removesuffix("_s").upper(),
               f"{amount(item['mean'], 's')} mean, {amount(item['p50'])} p50, {amount(item['p95'])} p95")
              for name in METRICS for item in (document[name],)),
            ("output", amount(document["output_tokens_per_s"], "tokens/s")),
            ("preemptions", amount(document["preemptions"])),
        ]  # fmt: skip
        for name, item in document["compared"].items():
            lines.append((f"error of {name.removesuffix('_s')}", f"{item['error']:+.1%} against what was measured"))
        return lines

    def to_dict(self) -> dict[str, Any]:
        """The document of ``sizing replay --json``."""
        return {
            "model": self.target.arch.name,
            **self.target.facts(self.placement),
            "trace": self.trace.name,
            "requests": len(self.trace),
            "completed": self.result.completed,
            "refused": self.refused + self.result.rejected,
            **{name: summary(getattr(self.result, name)) for name in METRICS},
            "output_tokens_per_s": self.result.output_tokens_per_s,
            "preemptions": self.result.preemptions,
            "recomputed_tokens": self.result.recomputed_tokens,
            "mean_running": self.result.mean_running,
            "prefix_cache_hit_rate": self.trace.prefix_cache_hit_rate,
            "kv_pool_tokens": self.pool_tokens,
            "kv_pool_peak": self.result.peak_cache_share,
            "compared": compare(self.trace, self.result),
            "timeline": timeline(self.result),
            "assumptions": list(self.assumptions),
        }


def summary(values: Array) -> dict[str, float | None]:
    """Mean and percentiles [s] of what is known; None where nothing is."""
    known = values[np.isfinite(values)]
    if not len(known):
        return dict.fromkeys(("mean", *(f"p{q}" for q in PERCENTS)))
    found = np.percentile(known, PERCENTS)
    return {"mean": float(known.mean()), **{f"p{q}": float(x) for q, x in zip(PERCENTS, found, strict=True)}}


def compare(trace: Trace, result: SimulationResult) -> dict[str, Any]:
    """By metric: what was measured, what was simulated of the same requests, and how far apart they are.

    error: simulated mean over measured mean, less 1. median_error: of single requests, without sign.
    """
    found: dict[str, Any] = {}
    for name, measured in trace.measured.items():
        simulated = getattr(result, name)
        both = np.isfinite(measured) & np.isfinite(simulated) & (measured > 0)
        if both.any():
            here, there = measured[both], simulated[both]
            found[name] = {
                "requests": int(both.sum()),
                "measured": summary(here),
                "simulated": summary(there),
                "error": float(there.mean() / here.mean() - 1),
                "median_error": float(np.median(np.abs(there / here - 1))),
            }
    if "e2e_s" in trace.measured and np.isfinite(trace.measured["e2e_s"]).all():
        span = float((trace.arrival_s + trace.measured["e2e_s"]).max())
        rate = float(trace.output_tokens.sum()) / span
        error = result.output_tokens_per_s / rate - 1
        found["output_tokens_per_s"] = {"measured": rate, "simulated": result.output_tokens_per_s, "error": error}
    return found


def timeline(result: SimulationResult, slices: int = SLICES) -> list[dict[str, float | int | None]]:
    """The run in equal slices of time: requests that arrived, waited and ran (at its end), tokens/s, mean TTFT."""
    ended = np.isfinite(result.finish_s)
    if not ended.any():
        return []
    arrived, finish, first = result.arrival_s[ended], result.finish_s[ended], (result.arrival_s + result.ttft_s)[ended]
    tokens, ttft = result.output_tokens[ended], result.ttft_s[ended]
    edges = np.linspace(0.0, float(finish.max()), slices + 1)
    pace = tokens / np.maximum(finish - first, 1e-9)
    rows: list[dict[str, float | int | None]] = []
    for start, end in itertools.pairwise(edges):
        came = (arrived >= start) & (arrived < end)
        made = np.clip(np.minimum(finish, end) - np.maximum(first, start), 0.0, None) * pace
        rows.append({
            "start_s": float(start),
            "arrived": int(came.sum()),
            "waiting": int(((arrived <= end) & (first > end)).sum()),
            "running": int(((first <= end) & (finish > end)).sum()),
            "output_tokens_per_s": float(made.sum() / (end - start)) if end > start else 0.0,
            "ttft_s": float(ttft[came].mean()) if came.any() else None,
        })  # fmt: skip
    return rows


def replay(path: str | Path, target: Target, placement: Placement | None = None, flags: Flags | None = None) -> Replay:
    """Replay a trace on one replica; its data-parallel ranks share the requests, each to the least loaded.

    Requests longer than the model's context are refused, as the engine would. Prefix hits come from the trace: counted
    tokens, or its blocks under an LRU cache as large as the pool. Raises SizingError where the trace is none, the
    placement has pipeline stages or the model does not fit.
    """
    place, asked = placement or Placement(), flags or Flags()
    if place.pp != 1:
        raise SizingError("the simulator has no pipeline stages", key="--pp", hint="a placement with --pp 1")
    trace = read_replay(path)
    longest = trace.input_tokens + trace.output_tokens
    limit = max(target.arch.native_context or 0, target.arch.extended_context or 0)
    fits = longest <= limit if limit else np.ones(len(trace), dtype=bool)
    if not fits.any():
        raise SizingError(
            f"every request is longer than the context of {target.arch.name}, {limit:,} tokens", key=str(trace.name)
        )
    memory = memory_ledger(
        target.arch,
        target.device,
        place,
        target.engine,
        target.scheme,
        kv_dtype=target.kv,
        context=int(longest[fits].max()),
        max_num_seqs=asked.max_num_seqs,
        max_num_batched_tokens=asked.max_num_batched_tokens,
        memory_utilization=asked.memory_utilization,
    )
    if not memory.fits:
        raise SizingError(
            does_not_fit(target, place, memory), key="--tp", hint="use more accelerators, or fewer bits per weight"
        )
    pool = float(memory.kv_pool_tokens)
    said = [*target.assumptions, *memory.assumptions]
    if trace.cached_tokens.any():
        trace = read_replay(path, cache_tokens=pool * float(place.dp))
        said.append(f"prefix cache: {trace.prefix_cache_hit_rate:.1%} of the prompts' tokens are found")
    refused = int((~fits).sum())
    if refused:
        said.append(f"{refused:,} requests are longer than the context of {limit:,} tokens: refused")
        trace = _only(trace, fits)
    batching = batching_of(target, memory.load.max_num_batched_tokens)
    found = serve(
        target, place, memory.load, batching, pool, trace.requests(), ranks=int(place.dp), prefix_caching=True
    )
    return Replay(target, place, trace, found, refused, pool, tuple(dict.fromkeys(said)))


def _only(trace: Trace, keep: NDArray[np.bool_]) -> Trace:
    names = ("arrival_s", "input_tokens", "output_tokens", "cached_tokens")
    parts = {name: getattr(trace, name)[keep] for name in names}
    return replace(trace, **parts, measured={name: values[keep] for name, values in trace.measured.items()})
