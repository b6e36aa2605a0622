"""What a simulation gives back: arrays by request and figures of the whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from sizing.base.answers import Answer, amount

Array = npt.NDArray[np.float64]
Metric = Literal["ttft_s", "tpot_s", "e2e_s", "queue_s"]


@dataclass(frozen=True, repr=False)
class SimulationResult(Answer):
    """Arrays are by request in the order given; NaN where it was rejected or the run was stopped before.

    ``ttft_s``: arrival to first token. ``tpot_s``: (last - first token)/(output - 1), NaN for one token.
    ``e2e_s``: arrival to last token. ``queue_s``: arrival to admission (the first one). ``finish_s``: when it
    ended. Seconds. ``utilization``: share of the makespan in which a replica computes, ``prefill_share``: in
    which a step carries prompt tokens; ``mean_running``: mean decoding sequences per replica.
    ``peak_cache_share``: of one replica's pool.
    """

    arrival_s: Array
    ttft_s: Array
    tpot_s: Array
    e2e_s: Array
    queue_s: Array
    finish_s: Array
    input_tokens: npt.NDArray[np.int64]
    output_tokens: npt.NDArray[np.int64]
    completed: int
    rejected: int
    stopped: bool
    makespan_s: float
    utilization: float
    prefill_share: float
    mean_running: float
    steps: int
    preemptions: int
    recomputed_tokens: int
    prefill_tokens: int
    peak_cache_share: float
    replicas: int

    def to_dict(self) -> dict[str, Any]:
        """Figures of the whole: means and percentiles in seconds, rates, counts; nothing by request."""
        times: dict[str, Any] = {}
        metrics: tuple[Metric, ...] = ("ttft_s", "tpot_s", "e2e_s", "queue_s")
        for metric in metrics:
            values = {"mean": self.mean(metric), **self.percentiles(metric)}
            times[metric] = {key: None if np.isnan(value) else value for key, value in values.items()}
        return {
            "requests": len(self.arrival_s),
            "completed": self.completed,
            "rejected": self.rejected,
            "stopped": self.stopped,
            **times,
            "requests_per_s": self.requests_per_s,
            "output_tokens_per_s": self.output_tokens_per_s,
            "makespan_s": self.makespan_s,
            "utilization": self.utilization,
            "prefill_share": self.prefill_share,
            "mean_running": self.mean_running,
            "steps": self.steps,
            "preemptions": self.preemptions,
            "peak_cache_share": self.peak_cache_share,
            "replicas": self.replicas,
        }

    def summary_lines(self) -> list[tuple[str, str]]:
        """Requests, times, rates and what the cache did."""
        lines = [("simulation", f"{self.completed:,} of {len(self.arrival_s):,} requests served on {self.replicas} "
                  f"replicas in {amount(self.makespan_s, 's')}")]  # fmt: skip
        data = self.to_dict()
        for name, key in (("TTFT", "ttft_s"), ("TPOT", "tpot_s"), ("end to end", "e2e_s")):
            found = data[key]
            lines.append((name, f"median {amount(found['p50'], 's')}, p95 {amount(found['p95'], 's')}"))
        return [
            *lines,
            ("rate", f"{amount(self.requests_per_s)} requests/s, {amount(self.output_tokens_per_s)} output tokens/s"),
            ("cache", f"{self.peak_cache_share:.0%} at the most, {self.preemptions:,} preemptions"),
        ]

    def _chosen(self, warmup: float) -> npt.NDArray[np.bool_]:
        """Requests that ended, without the first and last ``warmup`` share of the arrivals."""
        n = len(self.arrival_s)
        order = np.arange(n)
        keep = (order >= int(warmup * n)) & (order < n - int(warmup * n))
        return keep & np.isfinite(self.e2e_s)

    def percentiles(
        self, metric: Metric, q: tuple[float, ...] = (50, 90, 95, 99), *, warmup: float = 0.05
    ) -> dict[str, float]:
        """Percentiles in seconds, keys ``"p50"`` and so on; NaN if no request counts."""
        values = getattr(self, metric)[self._chosen(warmup)]
        values = values[np.isfinite(values)]
        found = np.percentile(values, q) if len(values) else np.full(len(q), np.nan)
        return {f"p{level:g}": float(value) for level, value in zip(q, found, strict=True)}

    def mean(self, metric: Metric, *, warmup: float = 0.05) -> float:
        """Mean in seconds over the same requests as :meth:`percentiles`."""
        values = getattr(self, metric)[self._chosen(warmup)]
        values = values[np.isfinite(values)]
        return float(values.mean()) if len(values) else float("nan")

    def goodput_share(self, ttft_s: float | None = None, tpot_s: float | None = None,
                      e2e_s: float | None = None, *, warmup: float = 0.05) -> float:  # fmt: skip
        """Share of the requests that meet all limits given (seconds)."""
        keep = self._chosen(warmup)
        good = np.ones(int(keep.sum()), dtype=bool)
        for values, limit in ((self.ttft_s, ttft_s), (self.tpot_s, tpot_s), (self.e2e_s, e2e_s)):
            if limit is not None:
                good &= ~(values[keep] > limit)
        return float(good.mean()) if len(good) else float("nan")

    @property
    def requests_per_s(self) -> float:
        """Completed requests per second of makespan, all replicas."""
        return self.completed / self.makespan_s if self.makespan_s > 0 else 0.0

    @property
    def output_tokens_per_s(self) -> float:
        """Output tokens of completed requests per second of makespan, all replicas."""
        total = float(self.output_tokens[np.isfinite(self.e2e_s)].sum())
        return total / self.makespan_s if self.makespan_s > 0 else 0.0

    def steady_throughput(self) -> dict[str, float]:
        """Requests/s and output tokens/s between the 10th and 90th percentile of the completions.

        Leaves out the filling and draining of the batch, as a long run would.
        """
        ended = np.flatnonzero(np.isfinite(self.finish_s))
        if len(ended) < 20:
            return {"requests_per_s": self.requests_per_s, "output_tokens_per_s": self.output_tokens_per_s}
        ended = ended[np.argsort(self.finish_s[ended], kind="stable")]
        inside = ended[len(ended) // 10 : len(ended) - len(ended) // 10]
        span = float(self.finish_s[inside[-1]] - self.finish_s[inside[0]])
        if span <= 0:
            return {"requests_per_s": self.requests_per_s, "output_tokens_per_s": self.output_tokens_per_s}
        tokens = float(self.output_tokens[inside[1:]].sum())
        return {"requests_per_s": (len(inside) - 1) / span, "output_tokens_per_s": tokens / span}
