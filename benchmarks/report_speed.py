"""Time and size of every form of the reference report: python benchmarks/report_speed.py"""

from __future__ import annotations

import time

from sizing.planning.planner import plan
from sizing.report import KINDS, report_bytes
from sizing.study import parse_study

STUDY = {
    "model": "qwen3-235b-a22b",
    "workload": {"preset": "chat", "arrival": {"kind": "users", "users": 500, "think_s": 30.0}},
    "hardware": ["h100-sxm", "ascend-910b"],
}


def main() -> None:
    """Print seconds (wall clock, and of the processor) and bytes of each form in each language."""
    result = plan(parse_study(STUDY))
    for language in ("en", "zh"):
        for kind in KINDS:
            start, used = time.perf_counter(), time.process_time()
            size = len(report_bytes(result, kind, language))
            spent, used = time.perf_counter() - start, time.process_time() - used
            print(f"{language} {kind:5} {spent:6.2f} s  {used:6.2f} s of processor  {size / 1e6:6.3f} MB")


if __name__ == "__main__":
    main()
