"""Speed of the program itself, in one table: ``python benchmarks/run.py [--write]`` (docs/benchmarks.md).

Medians of several runs in one process; compare ratios, machines are noisy. The longer ones have scripts of their own:
search_speed.py, simulate_million.py, web_latency.py, web_load.py (which writes its own section of the page).
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def median(call: Callable[[], object], runs: int) -> float:
    """Median seconds of a call, after one to warm up."""
    call()
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def import_time() -> float:
    """Seconds that ``import sizing`` takes beyond numpy and pydantic."""
    code = "import numpy, pydantic, time; t = time.perf_counter(); import sizing; print(time.perf_counter() - t)"
    times = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True).stdout)
        for _ in range(5)
    ]
    return statistics.median(times)


def main() -> None:
    """Measure, print, and with --write update the page."""
    import sizing
    from sizing.hardware import load_catalog
    from sizing.study import parse_study
    from sizing.target import resolve_target

    target = resolve_target("Qwen/Qwen3-32B", "h100-sxm")
    place = sizing.Placement(tp=4)

    def one() -> object:
        return sizing.estimate(
            "Qwen/Qwen3-32B", "h100-sxm", place, input_tokens=4096, output_tokens=512, concurrency=32, target=target
        )

    every = [item.id for item in load_catalog().accelerators.values() if item.parent is None]

    def study(on: list[str], model: str = "Qwen/Qwen3-235B-A22B") -> object:
        work = {
            "input": {"kind": "fixed", "value": 4096},
            "output": {"kind": "fixed", "value": 1024},
            "arrival": {"kind": "rate", "requests_per_s": 2},
        }
        return sizing.plan(parse_study({"model": model, "workload": work, "hardware": on}))

    rows = [
        ("import sizing, beyond numpy and pydantic", import_time(), 0.2),
        ("one estimate, target resolved", median(one, 50), 0.002),
        ("plan over H100, A100, 910B", median(lambda: study(["h100-sxm", "a100-80gb-sxm", "ascend-910b"]), 5), None),
        (f"plan over the whole catalog ({len(every)} accelerators)", median(lambda: study(every), 3), 2.0),
    ]
    text = ["| what | seconds | goal |", "|---|---:|---:|"]
    text += [f"| {name} | {seconds:.4f} | {'–' if goal is None else goal} |" for name, seconds, goal in rows]
    table = "\n".join(text)
    print(table)
    if "--write" in sys.argv:
        page = "# Speed of the program\n\nWritten by `python benchmarks/run.py --write`, on two shared cores. "
        page += "`benchmarks/search_speed.py`, `simulate_million.py` and `web_latency.py` measure the rest.\n\n"
        file = ROOT / "docs" / "benchmarks.md"
        _, mark, others = file.read_text(encoding="utf-8").partition("\n## ")  # sections that other scripts write
        file.write_text(page + table + "\n" + mark + others, encoding="utf-8")


if __name__ == "__main__":
    main()
