"""What all sections draw on: the Result with its names resolved once, the ledgers of its best plan, words and date."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from sizing.base.errors import SizingError
from sizing.engine.placement import Placement
from sizing.hardware import Catalog, load_catalog
from sizing.model.architecture import Architecture
from sizing.money.ownership import OwnershipTerms, ownership_terms
from sizing.money.quotes import AnyPrice, is_stale
from sizing.planning.breakeven import BreakEven, break_even
from sizing.planning.candidates import Demand, space_of, survey
from sizing.planning.estimate import Estimate
from sizing.planning.materials import BillOfMaterials, bill_of_materials
from sizing.planning.planner import study_model
from sizing.planning.replica import planned_estimate
from sizing.planning.result import Plan, Result
from sizing.planning.target import Target
from sizing.report.text import Messages
from sizing.serving import LoadCurve, batch_grid, load_curve
from sizing.study import Study

MOST_SHOWN = 5  # plans drawn together in one chart
CURVE_POINTS = 28
LEAST_BATCH = 0.25  # requests in flight where the curve begins


@dataclass
class Context:
    """A Result and what its report needs besides; every figure comes from the core's own functions."""

    result: Result
    m: Messages
    date: dt.date
    catalog: Catalog = field(default_factory=load_catalog)
    _curves: dict[int, LoadCurve | None] = field(default_factory=dict)

    @property
    def study(self) -> Study:
        """The question."""
        return self.result.study

    @property
    def best(self) -> Plan | None:
        """The recommended plan."""
        return self.result.best

    @cached_property
    def arch(self) -> Architecture:
        """The model's build."""
        return study_model(self.study)

    @property
    def model_name(self) -> str:
        """The model's name, marked where no such model was published."""
        name = str(self.result.model.get("model", self.study.model.name))
        return f"{name} ({self.m('word.hypothetical')})" if self.arch.hypothetical else name

    @cached_property
    def shown(self) -> tuple[Plan, ...]:
        """The best plan of each accelerator and format, best first: what charts compare."""
        found: dict[tuple[str, str, str], Plan] = {}
        for plan in self.result.plans:
            found.setdefault((plan.accelerator, plan.weights, plan.mode), plan)
        return tuple(found.values())[:MOST_SHOWN]

    @cached_property
    def owning(self) -> OwnershipTerms:
        """The terms of owning: the study's, else the catalog's."""
        return ownership_terms(self.catalog, self.study.money.own)

    def target(self, plan: Plan) -> Target:
        """The target that the plan was computed on."""
        return plan.resolved

    def demand(self, plan: Plan) -> Demand:
        """The workload as numbers."""
        return Demand.of(self.study.workload, self.target(plan), self.study.model.context)

    @cached_property
    def lengths(self) -> tuple[float, float]:
        """Mean input and output tokens of a request."""
        vision = self.arch.vision
        inputs = self.study.workload.mean_input_tokens(image_tokens=vision.image_tokens if vision else None)
        return inputs, self.study.workload.mean_output_tokens()

    def curve(self, plan: Plan) -> LoadCurve | None:
        """The load curve of one replica of a plan; None for pools apart, whose two sides have no common curve."""
        key = id(plan)
        if key not in self._curves:
            self._curves[key] = self._curve(plan) if plan.mode == "aggregated" else None
        return self._curves[key]

    def _curve(self, plan: Plan) -> LoadCurve | None:
        target, demand, place = self.target(plan), self.demand(plan), Placement(**plan.placement)
        bounds = {
            "tensor_parallel": (place.tp,),
            "pipeline_parallel": (place.pp,),
            "data_parallel": (place.dp,),
            "expert_parallel": (place.ep,),
        }
        narrowed = self.study.model_copy(update={"constraints": self.study.constraints.model_copy(update=bounds)})
        drafts = plan.speculative_tokens
        ground = survey(target, demand, space_of(narrowed, target), self.study.engine, drafts=drafts)
        if ground is None:
            return None
        for row, other in enumerate(ground.placements):
            if all(int(getattr(other, axis)) == int(getattr(place, axis)) for axis in ("tp", "pp", "dp", "ep")):
                think = demand.arrival_think_s
                grid = batch_grid(np.asarray(ground.limit[row]), CURVE_POINTS, LEAST_BATCH if think > 0 else 1.0)
                load = replace(ground.load, running_limit=float(ground.limit[row]))
                return load_curve(
                    target.step, place, load, ground.batching, grid, think_s=think, lengths=demand.lengths
                )
        return None

    @cached_property
    def estimate(self) -> Estimate | None:
        """One replica of the best plan at its planned load: its memory ledger and step, line by line."""
        plan = self.best
        if plan is None:
            return None
        try:
            return planned_estimate(plan, self.study, self.catalog)
        except SizingError:
            return None

    @cached_property
    def materials(self) -> BillOfMaterials | None:
        """The bill of materials of the best plan."""
        return None if self.best is None else bill_of_materials(self.best, self.study, self.catalog)

    @cached_property
    def break_even(self) -> list[BreakEven]:
        """The best plan against price lists of APIs."""
        return [] if self.best is None else break_even(self.best, self.study, self.catalog)

    def stale(self, price: AnyPrice) -> bool:
        """Whether a price is more than 90 days old at the date of the report."""
        return is_stale(price, self.date)

    def age(self, price: AnyPrice) -> str:
        """Whether a price is more than 90 days old at the date of the report, in words."""
        return self.m("word.stale") if self.stale(price) else self.m("word.fresh")

    def old_prices(self, plans: Iterable[Plan]) -> str:
        """A sentence that names the accelerators of these plans whose price is old, with its date; empty for none."""
        found = {
            plan.accelerator_name: plan.price.newest or self.m("word.unknown")
            for plan in plans
            if plan.price is not None and self.stale(plan.price)
        }
        items = ", ".join(f"{name} ({newest})" for name, newest in found.items())
        return self.m("price.old", items=items) if items else ""

    def plan_name(self, plan: Plan) -> str:
        """Short name of a plan in charts and tables."""
        return f"{plan.accelerators} × {plan.accelerator_name}, {plan.weights}"


def layout(plan: Plan) -> str:
    """The parallel sizes in short: ``TP8 EP8``, or both pools of a disaggregated plan."""
    if plan.pools:
        return " + ".join(f"{p.instances} × {p.role} {_sizes(p.placement)}" for p in plan.pools)
    text = _sizes(plan.placement)
    return f"{text} +{plan.speculative_tokens} draft" if plan.speculative_tokens else text


def _sizes(placement: dict[str, int]) -> str:
    return " ".join(f"{axis.upper()}{size}" for axis, size in placement.items() if size > 1) or "TP1"


def possible_factors(plan: Plan) -> tuple[float, float]:
    """p10 and p90, over their median, of the tokens that a plan's servers could make: its own throughput ends at what
    is sent."""
    step = plan.tpot_s
    return (step.p50 / step.p90, step.p50 / step.p10) if step.p10 else (1.0, 1.0)
