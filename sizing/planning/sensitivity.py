"""What 10% more of each thing would change in a plan: its price, its rates, its memory, its context."""

from __future__ import annotations

from dataclasses import replace

from sizing.engine.placement import Placement
from sizing.planning.candidates import Ground, space_of, survey
from sizing.planning.pool_plans import sustained
from sizing.planning.result import Plan
from sizing.planning.search import Demand, most_carried
from sizing.planning.target import Target
from sizing.study import Study

GIB = 2.0**30


def explained(study: Study, winner: Plan) -> Plan:
    """The winner with what 10% more of each thing would change in its cost per hour or its throughput.

    Values are relative changes of the cost per million tokens at full use of one replica.
    """
    base_target = winner.resolved
    accelerator = base_target.accelerator
    place = Placement(**winner.placement)
    alone = _only(study, place)
    ground = None
    if winner.mode != "disaggregated":
        ground = _survey(alone, base_target, Demand.of(study.workload, base_target, study.model.context), winner)
    base = _capacity(alone, base_target, winner, ground)
    if base <= 0:
        return winner
    found: dict[str, float] = {"price +10%": 0.10}
    machine = base_target.machine
    changed = {
        "memory bandwidth +10%": replace(machine, memory_bandwidth=machine.memory_bandwidth * 1.1),
        "compute +10%": replace(
            machine,
            bf16_flops=machine.bf16_flops * 1.1,
            fp8_flops=machine.fp8_flops * 1.1,
            int8_flops=machine.int8_flops * 1.1,
            fp4_flops=machine.fp4_flops * 1.1,
        ),
        "link bandwidth +10%": replace(machine, link_bandwidth=machine.link_bandwidth * 1.1),
    }
    for name, rates in changed.items():
        other = replace(base_target)
        other.__dict__["machine"] = rates
        same = ground and replace(ground, target=other)  # other rates hold the same requests
        found[name] = base / max(_capacity(alone, other, winner, same), 1e-12) - 1.0
    memory = accelerator.memory.model_copy(update={"usable_gib": accelerator.usable_bytes / GIB * 1.1})
    larger = replace(base_target, accelerator=accelerator.model_copy(update={"memory": memory}))
    found["memory +10%"] = base / max(_capacity(alone, larger, winner), 1e-12) - 1.0
    found["context +10%"] = base / max(_capacity(alone, base_target, winner, longer=1.1), 1e-12) - 1.0
    return replace(winner, sensitivities=found)


def _only(study: Study, place: Placement) -> Study:
    """The study with this one placement to choose from."""
    sizes = {"tensor": place.tp, "pipeline": place.pp, "data": place.dp, "expert": place.ep}
    bounds = {f"{name}_parallel": (int(size),) for name, size in sizes.items()}
    return study.model_copy(update={"constraints": study.constraints.model_copy(update=bounds)})


def _capacity(study: Study, target: Target, winner: Plan, ground: Ground | None = None, longer: float = 1.0) -> float:
    """Requests/s that one replica of a placement (or an accelerator of separate pools) sustains within the targets.

    study: of that placement alone. ground: its survey on this target, if at hand.
    """
    if ground is None:
        demand = Demand.of(study.workload, target, study.model.context)
        if longer != 1.0:
            demand = replace(
                demand,
                input_tokens=demand.input_tokens * longer,
                cached_tokens=demand.cached_tokens * longer,
                context=int(demand.context * longer),
            )
        if winner.mode == "disaggregated":
            return sustained(study, target, demand, winner)
        ground = _survey(study, target, demand, winner)
    if ground is None:
        return 0.0
    return float(most_carried(ground, study.workload.targets).max(initial=0.0))


def _survey(study: Study, target: Target, demand: Demand, winner: Plan) -> Ground | None:
    return survey(target, demand, space_of(study, target), study.engine, drafts=winner.speculative_tokens)
