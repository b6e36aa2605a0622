"""The closed form against the simulator: ``python benchmarks/judge_waiting.py [MODEL] [ACCELERATOR ...]``.

For each workload preset at 30, 60 and 80% of what a replica of the best plan carries within its targets: the ratio of
the closed form's 95th percentiles of TTFT and TPOT to those of 4,000 simulated requests.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from sizing.base.errors import SizingError
from sizing.engine.placement import Placement
from sizing.planning.candidates import Demand, space_of, survey
from sizing.planning.planner import plan
from sizing.planning.result import Plan
from sizing.planning.simulation import simulate_rank
from sizing.serving import load_curve
from sizing.study import Study, parse_study
from sizing.workload import PRESETS, RateArrival

LOADS = (0.3, 0.6, 0.8)
REQUESTS = 4000


@dataclass(frozen=True)
class Judged:
    """One preset at one load: the closed form's 95th percentiles [s], the simulation's, and its preemptions."""

    preset: str
    label: str
    load: float
    closed: tuple[float, float]
    simulated: tuple[float, float]
    preemptions: int
    seconds: float


def study_of(name: str, model: str, accelerator: str) -> Study:
    """A preset as random arrivals on one kind of accelerator, within the model's context."""
    workload = PRESETS[name].with_arrival(RateArrival(requests_per_s=5.0))
    if name == "agentic-coding":
        shorter = workload.input.model_copy(update={"maximum": 98_304})
        workload = workload.model_copy(update={"input": shorter})
    bounds = {"pipeline_parallel": [1]}
    return parse_study(
        {"model": model, "workload": workload.model_dump(), "hardware": [accelerator], "constraints": bounds}
    )


def judged(name: str, model: str, accelerator: str, loads: tuple[float, ...] = LOADS) -> Iterator[Judged]:
    """The preset at each load."""
    study = study_of(name, model, accelerator)
    item: Plan | None = plan(study).best
    if item is None:
        return
    target = item.resolved
    place, demand = Placement(**item.placement), Demand.of(study.workload, target, None)
    ground = survey(target, demand, space_of(study, target), study.engine)
    assert ground is not None
    row = next(i for i, other in enumerate(ground.placements) if other.describe() == place.describe())
    load = replace(ground.load, running_limit=float(ground.limit[row]))
    grid = np.geomspace(0.01, ground.limit[row] * 0.97, 4000)
    curve = load_curve(target.step, place, load, ground.batching, grid, lengths=demand.lengths)
    for share in loads:
        rate = item.max_rate_per_replica * share
        at = int(np.argmax(curve.requests_per_s >= rate))
        start = time.perf_counter()
        cache = float(np.broadcast_to(ground.terms.pool_tokens, ground.limit.shape)[row])
        each = rate / float(place.dp)
        found = simulate_rank(
            target, place, ground.engine_load, ground.batching, cache, study.workload, each, requests=REQUESTS
        )
        took = time.perf_counter() - start
        late = tuple(found.percentiles(metric)["p95"] for metric in ("ttft_s", "tpot_s"))
        yield Judged(
            name, item.label, share, (float(curve.ttft_p95_s[at]), float(curve.tpot_p95_s[at])),
            (late[0], late[1]), found.preemptions, took,
        )  # fmt: skip


def main() -> None:
    """Print a line for each preset and load."""
    model = sys.argv[1] if len(sys.argv) > 1 else "Qwen/Qwen3-8B"
    for accelerator in sys.argv[2:] or ["h100-sxm"]:
        for name in PRESETS:
            try:
                for item in judged(name, model, accelerator):
                    ratios = [a / b for a, b in zip(item.closed, item.simulated, strict=True)]
                    print(
                        f"{name:20} {accelerator:14} {item.load:4.0%}  TTFT p95 {item.simulated[0]:7.3f} s "
                        f"x {ratios[0]:5.2f}  TPOT p95 {item.simulated[1] * 1e3:6.1f} ms x {ratios[1]:5.2f}  "
                        f"preempted {item.preemptions:5d}  {item.seconds:.2f} s  {item.label}",
                        flush=True,
                    )
            except SizingError as error:
                print(f"{name:20} {accelerator:14} {error}")


if __name__ == "__main__":
    main()
