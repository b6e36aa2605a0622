"""Speed and memory of the planner's search on one core: configurations a second, largest resident memory.

A configuration is one accelerator, engine, format, placement, number of draft tokens and batch, evaluated for rate, TTFT
and TPOT with their percentiles, targets and cost. Time is that of the processor, so that a busy machine measures the
same. Run: ``python benchmarks/search_speed.py [--repeat N]``.
"""

from __future__ import annotations

import argparse
import os
import resource
import time

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

from sizing.planning.planner import plan  # noqa: E402
from sizing.study import Study, parse_study  # noqa: E402

ACCELERATORS = ("h100-sxm", "h200-sxm", "b200-sxm", "a100-80gb-sxm", "h800-sxm", "h20-141gb", "mi300x", "ascend-910b2")


def studies() -> list[Study]:
    """A dense model, a mixture and a latent-attention mixture over all placements of up to 16 servers."""
    shared = {
        "workload": {"preset": "chat", "arrival": {"kind": "rate", "requests_per_s": 500}},
        "hardware": list(ACCELERATORS),
        "constraints": {"max_nodes": 16},
        "engine": {"speculative": "try", "disaggregated": "try"},
    }
    models = ("DeepSeek-R1", "Qwen3-235B-A22B", "Qwen3-32B")
    return [
        parse_study({**shared, "model": {"name": name, "kv_dtype": ["bf16", "fp8"] if name != "Qwen3-32B" else []}})
        for name in models
    ]


def main() -> None:
    """Print one line a study and the sum."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=3)
    repeat = parser.parse_args().repeat
    total = spent = 0.0
    for study in studies():
        plan(study)  # catalogs and kernel tables are read once
        best, count = float("inf"), 0
        for _ in range(repeat):
            start = time.process_time()
            count = plan(study).evaluated
            best = min(best, time.process_time() - start)
        total, spent = total + count, spent + best
        print(f"{study.model.name}: {count:,} configurations in {best:.2f} s of one core, {count / best / 1e6:.2f} M/s")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"all: {total / spent / 1e6:.2f} million configurations a second, at most {memory:,.0f} MiB of memory")


if __name__ == "__main__":
    main()
