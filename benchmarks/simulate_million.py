"""Time and peak memory of simulating many requests on one core: ``python benchmarks/simulate_million.py
[N]``.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np

from sizing.serving.simulate import AffineStepTimes, ClusterConfig, Requests, SchedulerConfig, simulate

STEPS = AffineStepTimes(fixed=8e-3, per_sequence=2e-5, per_context_token=1e-8, per_prefill_token=5e-5)
CASES = {  # name: mean input, mean output, requests/s, scheduling, budget, cache tokens, sequences
    "chat, mixed, 70 % load": (1155, 211, 6.0, "mixed", 8192, 600_000, 256),
    "chat, mixed, saturated": (1155, 211, 20.0, "mixed", 8192, 600_000, 256),
    "chat, mixed, cache too small (preempts)": (1155, 211, 20.0, "mixed", 8192, 60_000, 256),
    "chat, prefill first, 70 % load": (1155, 211, 6.0, "prefill_first", 8192, 600_000, 256),
    "rag 8k/300, budget 2048": (8000, 300, 1.0, "mixed", 2048, 600_000, 256),
    "short 50/20, many a step": (50, 20, 100.0, "mixed", 8192, 600_000, 256),
}


def main() -> None:
    """Print a line for each case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("requests", nargs="?", type=int, default=1_000_000)
    n = parser.parse_args().requests
    for name, (mean_in, mean_out, rate, scheduling, budget, cache, seqs) in CASES.items():
        rng = np.random.default_rng(0)
        sigma = 0.8
        scale = np.exp(-sigma * sigma / 2)
        tokens_in = np.clip(mean_in * scale * rng.lognormal(0, sigma, n), 1, 30_000).astype(np.int64)
        tokens_out = np.clip(mean_out * scale * rng.lognormal(0, sigma, n), 1, 4000).astype(np.int64)
        arrival = np.cumsum(rng.exponential(1 / rate, n))
        requests = Requests(arrival, tokens_in, tokens_out, np.zeros(n, dtype=np.int64))
        scheduler = SchedulerConfig(
            scheduling=scheduling, max_num_seqs=seqs, max_num_batched_tokens=budget, cache_blocks=cache // 16
        )
        start = time.perf_counter()
        result = simulate(requests, ClusterConfig(scheduler=scheduler), STEPS)
        elapsed = time.perf_counter() - start
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        p95 = result.percentiles("ttft_s")["p95"]
        print(
            f"{name:42s} {n:>9,d} {elapsed:6.1f} s  peak {memory:5.0f} MiB  steps {result.steps:>11,d}  "
            f"utilisation {result.utilization:4.2f}  running {result.mean_running:5.1f}  "
            f"preemptions {result.preemptions}  TTFT p95 {p95:.3g} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
