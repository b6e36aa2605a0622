"""How long the server takes from a moved slider to the whole page: medians over AppTest.

    python benchmarks/web_latency.py [--runs 15] [--limit-ms 300]

Every move gives a study that was not asked before, so caches do not help; "again" is the time of one that was.
Exits with 1 where a median is above the limit, if one is given.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import sys
import time
from pathlib import Path

from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

APP = Path(__file__).parents[1] / "app.py"
PAGES = ("plan", "memory", "speed", "cost", "compare", "claim", "evidence", "catalog")


def measure(page: str, runs: int) -> tuple[float, float, float]:
    """Median [ms] of a moved slider, its 90th percentile, and the median of a study asked before."""
    app = AppTest.from_file(str(APP), default_timeout=120)
    app._page_hash = calc_hash("" if page == "plan" else page)
    app.run()
    new, again = [], []
    for number in range(runs):
        slider = next(item for item in app.slider if item.key.startswith("hit_rate@"))
        start = time.perf_counter()
        slider.set_value(float(number + 1 + 20 * PAGES.index(page) % 60)).run()
        new.append(time.perf_counter() - start)
        start = time.perf_counter()
        app.run()
        again.append(time.perf_counter() - start)
        assert not app.exception, page
    ordered = sorted(new)
    return statistics.median(new) * 1e3, ordered[int(0.9 * (runs - 1))] * 1e3, statistics.median(again) * 1e3


def main() -> int:
    """Print one line a page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--limit-ms", type=float, default=None)
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    late = False
    print(f"{'page':<10} {'median ms':>10} {'p90 ms':>8} {'again ms':>9}")
    for page in PAGES:
        median, p90, again = measure(page, args.runs)
        late = late or (args.limit_ms is not None and median > args.limit_ms)
        print(f"{page:<10} {median:>10.0f} {p90:>8.0f} {again:>9.0f}")
    return int(late)


if __name__ == "__main__":
    sys.exit(main())
