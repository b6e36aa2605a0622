"""Speed of the program itself, as one table: ``python benchmarks/run.py [--write] [--all]``.

Times are of the processor, the least of several runs, so that a busy machine measures nearly the same. ``--write`` puts the
table into docs/benchmarks.md; ``--all`` also runs the longer scripts beside this one (minutes).
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"
LONGER = ("search_speed.py", "simulate_million.py", "web_latency.py", "report_speed.py")
sys.path.insert(0, str(ROOT))


def least(run: Callable[[], object], times: int) -> float:
    """Least processor time of a call [s]."""
    found = []
    for _ in range(times):
        start = time.process_time()
        run()
        found.append(time.process_time() - start)
    return min(found)


def import_seconds() -> float:
    """What ``import sizing`` adds to numpy and pydantic [s]."""
    code = "import time, numpy, pydantic; a = time.process_time(); import sizing; print(time.process_time() - a)"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env) for _ in range(5)]
    return min(float(run.stdout) for run in runs)


def rows() -> list[tuple[str, float, float]]:
    """(what, seconds, limit) of each benchmark."""
    import sizing
    from sizing.target import resolve_target

    found = [("`import sizing`, beyond numpy and pydantic", import_seconds(), 0.2)]
    for name, place in (
        ("Qwen/Qwen3-32B", sizing.Placement(2)),
        ("Qwen/Qwen3-235B-A22B", sizing.Placement(8, 1, 1, 8)),
        ("deepseek-ai/DeepSeek-V3", sizing.Placement(8, 1, 1, 8)),
    ):
        target = resolve_target(name, "h200-sxm")
        found.append((f"one estimate, {name}", least(lambda t=target, p=place: _estimate(t, p), 60), 0.002))
    catalog = sizing.load_catalog()
    parts = sorted(catalog.accelerators)
    for name in ("Qwen/Qwen3-32B", "Qwen/Qwen3-235B-A22B"):
        study = sizing.quick_study(name, input_tokens=4096, output_tokens=1024, rate=2, on=parts)
        sizing.plan(study, catalog)
        seconds = least(lambda s=study: sizing.plan(s, catalog), 3)
        found.append((f"plan over all {len(parts)} accelerators, {name}", seconds, 2.0))
    return found


def _estimate(target: object, place: object) -> object:
    import sizing

    return sizing.estimate("", "", place, input_tokens=4096, output_tokens=1024, concurrency=16, target=target)  # type: ignore[arg-type]


def text_of(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms" if seconds < 0.1 else f"{seconds:.2f} s"


def main() -> int:
    """Print the table; exit with 1 where a limit is passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--all", action="store_true")
    given = parser.parse_args()
    measured = rows()
    lines = ["| what | time | limit |", "|---|---:|---:|"]
    lines += [f"| {what} | {text_of(seconds)} | {text_of(limit)} |" for what, seconds, limit in measured]
    extra: list[str] = []
    for script in LONGER if given.all else ():
        path = ROOT / "benchmarks" / script
        if path.exists():
            env = {**os.environ, "PYTHONPATH": str(ROOT)}
            done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, env=env)
            extra += ["", f"`{script}`:", "", "```", done.stdout.rstrip(), "```"]
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, on one core"
    text = "\n".join(["# Speed of the program", "", f"`make bench`. {machine}.", "", *lines, *extra]) + "\n"
    print(text)
    if given.write:
        PAGE.write_text(text, encoding="utf-8")
    return int(any(seconds > limit for _, seconds, limit in measured))


if __name__ == "__main__":
    sys.exit(main())
