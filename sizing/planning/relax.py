"""Ways on where no plan meets a study: the least change of one thing with which there is one, as flags and as a study."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sizing.base.answers import Answer, amount
from sizing.base.errors import SizingError
from sizing.coefficients.calibration import Calibration
from sizing.hardware import Catalog, load_catalog
from sizing.money.prices import hourly_price
from sizing.planning.planner import plan
from sizing.planning.result import Plan
from sizing.study import Offer, Study

NODES = (2, 4)  # servers of one replica that are tried
MORE_PARTS = 6  # accelerators that are tried beside those offered: those with the most quotes
ROOM = 1.05  # a loosened target is this much above what the plan gives


@dataclass(frozen=True, repr=False)
class Relaxation(Answer):
    """One change, the cheapest plan that it allows, and the study that says so. flags: of ``sizing plan``."""

    flags: str
    plan: Plan
    study: Study

    def summary_lines(self) -> list[tuple[str, str]]:
        """The flags, and what they buy."""
        money = "" if self.plan.usd_per_month is None else f", ${amount(self.plan.usd_per_month)} a month"
        return [(self.flags, f"{self.plan.label}{money}")]

    def to_dict(self) -> dict[str, Any]:
        """The entry of ``relaxations`` in the JSON document."""
        return {
            "flags": self.flags,
            "plan": self.plan.label,
            "accelerators": self.plan.accelerators,
            "usd_per_hour": self.plan.usd_per_hour,
            "usd_per_month": self.plan.usd_per_month,
            "ttft_p95_s": self.plan.ttft_p95_s,
            "tpot_p95_s": self.plan.tpot_p95_s,
        }


def relaxations(
    study: Study, catalog: Catalog | None = None, *, calibration: Calibration | None = None, most: int = 3
) -> tuple[Relaxation, ...]:
    """The cheapest ways on for a study without a plan, at most ``most``, one change each: more servers a replica,
    looser targets, another accelerator. Empty where none of them helps."""
    catalog = catalog or load_catalog()
    found = [
        item
        for group in (_more_nodes(study), _looser(study, catalog, calibration), _other_parts(study, catalog))
        if (item := _first(group, catalog, calibration)) is not None
    ]
    return tuple(sorted(found, key=lambda item: item.plan.usd_per_hour or math.inf)[:most])


def _first(
    changes: Iterator[tuple[str, Study]], catalog: Catalog, calibration: Calibration | None
) -> Relaxation | None:
    """The first change with a plan."""
    for flags, changed in changes:
        try:
            best = plan(changed, catalog, calibration=calibration, simulate=False).best
        except SizingError:
            continue
        if best is not None:
            return Relaxation(flags, best, changed)
    return None


def _more_nodes(study: Study) -> Iterator[tuple[str, Study]]:
    for nodes in NODES:
        if nodes > study.constraints.max_nodes:
            yield f"--max-nodes {nodes}", _with(study, "constraints", max_nodes=nodes)


def _looser(study: Study, catalog: Catalog, calibration: Calibration | None) -> Iterator[tuple[str, Study]]:
    """The targets at what the plan that misses them least gives."""
    targets = study.workload.targets
    limits = {name: getattr(targets, name) for name in ("ttft_p95_s", "tpot_p95_s") if getattr(targets, name)}
    if not limits:
        return
    free = targets.model_copy(update=dict.fromkeys(limits))
    open_study = _with(study, "workload", targets=free)
    answer = plan(open_study, catalog, calibration=calibration, simulate=False)
    plans = [*answer.plans, *answer.pareto]
    if not plans:
        return
    nearest = min(plans, key=lambda item: max(getattr(item, name) / most for name, most in limits.items()))
    new = {
        name: max(most, _up(getattr(nearest, name) * ROOM)) if getattr(nearest, name) > most else most
        for name, most in limits.items()
    }
    flags = [f"--{name[:4]}-p95 {value:g}" for name, value in new.items() if value > limits[name]]
    yield " ".join(flags), _with(study, "workload", targets=targets.model_copy(update=new))


def _up(value: float) -> float:
    """Two significant digits, upward."""
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return round(math.ceil(value / step) * step, 12)


def _other_parts(study: Study, catalog: Catalog) -> Iterator[tuple[str, Study]]:
    """Each of the most quoted accelerators that are not offered yet, the cheapest hour first."""
    offered = {catalog.resolve(offer.accelerator)[0].id for offer in study.hardware}
    priced = []
    for name in catalog.accelerators:
        if name in offered or name in catalog.slices:
            continue
        try:
            price = hourly_price(name, "on-demand", catalog)
        except SizingError:
            continue
        if price.basis == "rent":
            priced.append((price.quotes, price.usd, name))
    popular = sorted(priced, reverse=True)[:MORE_PARTS]
    for _, _, name in sorted(popular, key=lambda item: item[1]):
        yield f"--on {name}", study.model_copy(update={"hardware": (Offer(accelerator=name),)})


def _with(study: Study, part: str, **changes: Any) -> Study:
    return study.model_copy(update={part: getattr(study, part).model_copy(update=changes)})
