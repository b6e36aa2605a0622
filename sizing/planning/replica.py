"""One replica of a plan at its planned load, for every face that shows its working."""

from __future__ import annotations

from sizing.engine.placement import Placement
from sizing.hardware import Catalog
from sizing.planning.candidates import Demand
from sizing.planning.estimate import Estimate, estimate
from sizing.planning.result import Plan
from sizing.study import Study


def planned_estimate(plan: Plan, study: Study, catalog: Catalog) -> Estimate:
    """The estimate of one replica of a plan: its memory ledger and its step, line by line.

    Raises SizingError where the plan's placement no longer stands (an estimate has one pool and no spare).
    """
    target, engine = plan.resolved, study.engine
    demand = Demand.of(study.workload, target, study.model.context)
    return estimate(
        target.arch,
        target.accelerator,
        Placement(**plan.placement),
        target=target,
        input_tokens=demand.input_tokens,
        output_tokens=demand.output_tokens,
        concurrency=max(plan.concurrency_per_replica, 1.0),
        context=demand.context,
        max_num_seqs=engine.max_num_seqs,
        max_num_batched_tokens=engine.max_num_batched_tokens,
        memory_utilization=engine.memory_utilization,
        prefix_cache_hit_rate=study.workload.prefix_cache_hit_rate,
        speculative_tokens=plan.speculative_tokens,
        acceptance_rate=engine.acceptance_rate,
        price=plan.usd_per_accelerator_hour,
        catalog=catalog,
    )
