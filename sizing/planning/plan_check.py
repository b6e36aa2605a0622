"""The first plans of an answer in the simulator: a plan whose simulation misses its targets is not listed as meeting them.

The closed form that ranks plans knows means and how far the late requests lie from them; the simulator serves request after
request by the same step times and sees what it cannot, such as preemption. Seeded, so that an answer is the same each time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from sizing.base.budget import spend
from sizing.base.errors import SizingError
from sizing.engine.placement import Placement
from sizing.planning.candidates import Ground
from sizing.planning.result import Plan
from sizing.planning.simulation import simulate_rank
from sizing.study import Study

REQUESTS = 2000  # of one simulation
SEED = 0
WANTED = 3  # plans that meet their targets in the simulator, before the rest is taken as it is
MOST = 8  # plans simulated in one answer
AGREES = 0.2  # difference from the simulation within which the closed form is trusted


@dataclass(frozen=True, slots=True)
class Simulation:
    """What one simulated rank says: 95th percentiles and medians [s], preemptions."""

    ttft_p95_s: float
    tpot_p95_s: float
    e2e_p95_s: float
    ttft_p50_s: float
    tpot_p50_s: float
    preemptions: int


def why_not_simulated(study: Study, plan: Plan) -> str | None:
    """Why the simulator has nothing to say of a plan; None where it has."""
    if study.workload.arrival.kind != "rate":
        return "only requests that come at random are simulated"
    if plan.mode != "aggregated":
        return "pools apart are not simulated"
    if plan.placement["pp"] != 1:
        return "the simulator has no pipeline stages"
    if plan.speculative_tokens:
        return "the simulator has no speculative decoding"
    return None


@lru_cache(maxsize=256)
def _simulated(key: tuple[Any, ...], run: Any) -> Simulation:
    """``run()``, kept by the key alone."""
    found: Simulation = run()
    return found


class _Run:
    """A simulation to be made; all of these are equal, so that a cache looks at its key alone."""

    def __init__(self, study: Study, plan: Plan, ground: Ground, row: int) -> None:
        self.study, self.plan, self.ground, self.row = study, plan, ground, row

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Run)

    def __hash__(self) -> int:
        return 0

    def __call__(self) -> Simulation:
        ground, plan = self.ground, self.plan
        place = ground.placements[self.row]
        found = simulate_rank(
            ground.target,
            place,
            ground.engine_load,
            ground.batching,
            float(np.broadcast_to(ground.terms.pool_tokens, ground.limit.shape)[self.row]),
            self.study.workload,
            plan.rate_per_replica / float(place.dp),
            requests=REQUESTS,
            seed=SEED,
            should_stop=_spent,
        )
        ttft, tpot = (found.percentiles(name, (50, 95)) for name in ("ttft_s", "tpot_s"))
        one = not np.isfinite(tpot["p95"])  # requests of one token have no time per further token
        return Simulation(
            ttft["p95"],
            0.0 if one else tpot["p95"],
            found.percentiles("e2e_s", (95,))["p95"],
            ttft["p50"],
            0.0 if one else tpot["p50"],
            found.preemptions,
        )


def _spent() -> bool:
    spend()
    return False


def check(study: Study, plan: Plan, ground: Ground | None, row: int = 0) -> Plan:
    """The plan with what its simulation says in ``checked``."""
    reason = why_not_simulated(study, plan) or (None if ground is not None else "its placement is not found again")
    if reason is not None or ground is None:
        return replace(plan, checked={"verdict": "not simulated", "reason": reason})
    target = ground.target
    key = (
        study.to_json(), target.accelerator.model_dump_json(), repr(plan.placement), plan.weights, plan.kv_dtype,
        plan.engine, plan.engine_version, round(plan.rate_per_replica, 12), repr(target.coefficients), repr(target.machine),
    )  # fmt: skip
    try:
        found = _simulated(key, _Run(study, plan, ground, row))
    except SizingError as error:
        return replace(plan, checked={"verdict": "not simulated", "reason": str(error)})
    missed = list(_missed(study, found))
    checked: dict[str, Any] = {
        "verdict": "misses" if missed else "meets",
        "ttft_p95_s": found.ttft_p95_s,
        "tpot_p95_s": found.tpot_p95_s,
        "e2e_p95_s": found.e2e_p95_s,
        "preemptions": found.preemptions,
        "requests": REQUESTS,
        "seed": SEED,
        "reason": "; ".join(missed) or None,
    }
    said = list(plan.assumptions)
    if missed:
        said.append(f"{plan.label}: {REQUESTS:,} simulated requests miss the targets: {'; '.join(missed)}")
    for name, closed, simulated, unit, factor in (
        ("TTFT", plan.ttft_p95_s, found.ttft_p95_s, "s", 1.0),
        ("TPOT", plan.tpot_p95_s, found.tpot_p95_s, "ms", 1e3),
    ):
        if simulated > 0 and abs(closed / simulated - 1.0) > AGREES:
            said.append(
                f"{plan.label}: the 95th percentile of {name} is {simulated * factor:.3g} {unit} in the simulator, "
                f"{closed * factor:.3g} {unit} by the closed form: plan with the former"
            )
    return replace(plan, checked=checked, assumptions=tuple(said))


def _missed(study: Study, found: Simulation) -> Any:
    """Each target that a simulation misses, in words."""
    targets = study.workload.targets
    for name, most, value in (
        ("TTFT p95", targets.ttft_p95_s, found.ttft_p95_s),
        ("TTFT p50", targets.ttft_p50_s, found.ttft_p50_s),
        ("TPOT p95", targets.tpot_p95_s, found.tpot_p95_s),
        ("TPOT p50", targets.tpot_p50_s, found.tpot_p50_s),
        ("whole request p95", targets.e2e_p95_s, found.e2e_p95_s),
    ):
        if most is not None and value > most:
            yield f"{name} {value:.3g} s, above {most:g} s"


def row_of(ground: Ground | None, plan: Plan) -> int | None:
    """The row of a plan's placement in a survey."""
    place = Placement(**plan.placement)
    rows = ground.placements if ground is not None else []
    return next((i for i, other in enumerate(rows) if other.describe() == place.describe()), None)


def judged(study: Study, ranked: list[Plan], survey_of: Any) -> tuple[list[Plan], int]:
    """The plans with the first ones simulated, those that miss their targets last; and how many were simulated.

    survey_of(plan): the survey of its placement. Simulates until ``WANTED`` plans meet their targets, at most ``MOST``.
    """
    good: list[Plan] = []
    late: list[Plan] = []
    simulated = 0
    for place, plan in enumerate(ranked):
        if simulated >= MOST or sum(p.checked is not None and p.checked["verdict"] == "meets" for p in good) >= WANTED:
            return _confirmed(good) + ranked[place:] + late, simulated
        ground = None if why_not_simulated(study, plan) else survey_of(plan)
        row = row_of(ground, plan)
        found = check(study, plan, ground if row is not None else None, row or 0)
        assert found.checked is not None
        simulated += found.checked["verdict"] != "not simulated"
        (late if found.checked["verdict"] == "misses" else good).append(found)
    return _confirmed(good) + late, simulated


def _confirmed(plans: list[Plan]) -> list[Plan]:
    """Of plans of one price, what a simulation confirms comes before what none could look at."""
    seen = {plan.usd_per_hour: index for index, plan in reversed(list(enumerate(plans)))}
    return sorted(plans, key=lambda p: (seen[p.usd_per_hour], p.checked is None or p.checked["verdict"] != "meets"))
