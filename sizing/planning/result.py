"""What a plan answers: plans, best first; why the others fell; the Pareto front; the assumptions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sizing.base.answers import Answer, amount, span
from sizing.base.errors import SizingError
from sizing.base.ledger import Interval
from sizing.hardware.price_models import Price
from sizing.money.bought import Bought
from sizing.money.day import ScaledDay, scaled_day
from sizing.money.footprint import Span
from sizing.planning.estimate import price_dict
from sizing.planning.target import Target
from sizing.study import Study


@dataclass(frozen=True, slots=True)
class PoolPlan:
    """One pool of a disaggregated plan: ``instances`` of a placement."""

    role: str  # "prefill" or "decode"
    placement: dict[str, int]
    instances: int
    accelerators: int
    memory_utilization: float | None = None


@dataclass(frozen=True, repr=False)
class Plan(Answer):
    """One way to serve the workload. Times are at the planned load; intervals say how sure the model is.

    rate_per_replica is what each carries, max_rate_per_replica what it could within the targets. A disaggregated plan
    has both its ``pools``; placement, replicas, memory and batch are then those of the decode pool. ``price``: the
    catalog's, of an hour or (owned) of a purchase, that the money rests on; None where it was given, or there is none.
    memory_utilization: the engine's memory fraction that the memory was computed with, as the launch files set it.
    footprint: embodied carbon [g CO2e] and water [L] of a million tokens, as ranges by the sources of their factors.
    weight_bits: of one weight of the bulk of the model (linear layers or experts, the fewer), scales left out [bits].
    quality: a word on it where the format costs some. server: id of the server that it stands in. bought: the whole
    servers behind it.
    checked: what a simulation says of the plan (95th percentiles, verdict "meets", "misses" or "not simulated"); None where
    none was asked.
    target: what it was computed on, model, formats, server, engine and calibration resolved; every face reads it, and it
    is no part of the JSON document.
    """

    accelerator: str
    accelerator_name: str
    accelerators: int
    servers: int
    placement: dict[str, int]
    replicas: int
    spare_replicas: int
    weights: str
    kv_dtype: str
    engine: str
    engine_version: str
    mode: str  # "aggregated" or "disaggregated"
    speculative_tokens: int
    usd_per_hour: float | None
    usd_per_accelerator_hour: float | None
    usd_per_month: float | None
    cost: dict[str, Interval]
    ttft_s: Interval
    tpot_s: Interval
    ttft_p95_s: float
    tpot_p95_s: float
    end_to_end_s: float
    requests_per_s: float
    output_tokens_per_s: Interval
    rate_per_replica: float
    max_rate_per_replica: float
    utilization: float
    concurrency_per_replica: float
    max_concurrency_per_replica: float
    batch_per_rank: float
    prefill_share: float
    memory_gib: dict[str, float]
    bottleneck: str = ""
    binding: str = ""
    pools: tuple[PoolPlan, ...] = ()
    energy_wh_per_million_tokens: float | None = None
    carbon_g_per_million_tokens: float | None = None
    sensitivities: dict[str, float] = field(default_factory=dict)
    assumptions: tuple[str, ...] = ()
    confidence: tuple[str, ...] = ()
    price: Price | None = None
    memory_utilization: float | None = None
    footprint: dict[str, Span] = field(default_factory=dict)
    weight_bits: float = 16.0
    quality: str | None = None
    server: str | None = None
    bought: Bought | None = None
    checked: dict[str, Any] | None = None
    target: Target | None = field(default=None, repr=False, compare=False)

    @property
    def resolved(self) -> Target:
        """The target that the plan was computed on. Raises SizingError for a plan that ``sizing.plan`` did not make."""
        if self.target is None:
            raise SizingError("carries no target", key="plan", hint="take it from the answer of sizing.plan")
        return self.target

    @property
    def label(self) -> str:
        """Short text: accelerator, format and layout."""
        sizes = [f"{axis.upper()}{size}" for axis, size in self.placement.items() if size > 1 or axis == "tp"]
        return f"{self.accelerators} x {self.accelerator} {self.weights} {' '.join(sizes)} x {self.replicas}"

    def summary_lines(self) -> list[tuple[str, str]]:
        """What it is, costs and gives, and what limits it."""
        out = self.cost.get("usd_per_million_output_tokens")
        money = "no price"
        if self.usd_per_hour is not None:
            money = f"${amount(self.usd_per_hour)} an hour, ${amount(self.usd_per_month)} a month"
        if out is not None:
            money += f"; ${span(out.p10, out.p50, out.p90)} per million output tokens"
        return [
            ("plan", f"{self.label} on {self.engine} {self.engine_version}"),
            ("cost", money),
            ("carries", f"{amount(self.requests_per_s)} requests/s at {self.utilization:.0%} load"),
            ("TTFT", f"{span(self.ttft_s.p10, self.ttft_s.p50, self.ttft_s.p90, 's')}; "
             f"95th percentile {amount(self.ttft_p95_s, 's')}"),
            ("TPOT", f"{span(self.tpot_s.p10, self.tpot_s.p50, self.tpot_s.p90, 's')}; "
             f"95th percentile {amount(self.tpot_p95_s, 's')}"),
            ("limited by", f"{self.bottleneck}; {self.binding}".strip("; ")),
        ]  # fmt: skip

    def scaled_day(self, study: Study) -> ScaledDay | None:
        """The study's day with replicas scaled by the hour; None without a price, a daily curve or a rate."""
        hours = study.workload.daily.weights
        if self.usd_per_hour is None or min(hours) == max(hours) or study.workload.peak_requests_per_s is None:
            return None
        working = max(self.replicas - self.spare_replicas, 1)
        each = max(self.max_rate_per_replica * (1 - study.workload.targets.headroom), self.requests_per_s / working)
        return scaled_day(hours, self.requests_per_s, each, self.replicas, self.spare_replicas, self.usd_per_hour)

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain data; keys as in the command line's contract."""
        names = (
            "accelerator", "accelerator_name", "accelerators", "servers", "placement", "replicas", "spare_replicas",
            "weights", "kv_dtype", "engine", "engine_version", "mode", "speculative_tokens", "usd_per_hour",
            "usd_per_accelerator_hour", "usd_per_month", "ttft_p95_s", "tpot_p95_s", "end_to_end_s", "requests_per_s",
            "rate_per_replica", "max_rate_per_replica", "utilization", "concurrency_per_replica",
            "max_concurrency_per_replica", "batch_per_rank", "prefill_share", "memory_gib", "memory_utilization",
            "bottleneck", "binding", "energy_wh_per_million_tokens", "carbon_g_per_million_tokens", "sensitivities",
            "weight_bits", "quality", "server",
        )  # fmt: skip
        data: dict[str, Any] = {name: getattr(self, name) for name in names}
        data["ttft_s"] = self.ttft_s.p50
        data["tpot_s"] = self.tpot_s.p50
        data["ttft_s_interval"] = self.ttft_s.to_dict()
        data["tpot_s_interval"] = self.tpot_s.to_dict()
        data["output_tokens_per_s"] = self.output_tokens_per_s.to_dict()
        for name, value in self.cost.items():
            data[name] = value.p50
            data[f"{name}_interval"] = value.to_dict()
        data["pools"] = [
            {
                "role": p.role,
                "placement": p.placement,
                "instances": p.instances,
                "accelerators": p.accelerators,
                "memory_utilization": p.memory_utilization,
            }
            for p in self.pools
        ]
        data["assumptions"] = list(self.assumptions)
        data["confidence"] = list(self.confidence)
        for name, found in self.footprint.items():
            data[name] = found.value
            data[f"{name}_range"] = found.to_dict()
        data["bought"] = None if self.bought is None else self.bought.to_dict()
        data["price"] = None if self.price is None else price_dict(self.price)
        data["checked"] = self.checked
        return data


#: Codes of candidates that work, but are not among the plans.
WORKS = frozenset({"dearer", "no_price", "not_better"})


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a candidate (or ``count`` like it) is not among the plans. ``code`` is stable."""

    candidate: str
    code: str
    reason: str
    count: int = 1

    def to_dict(self) -> dict[str, Any]:
        """The entry of ``rejected`` in the JSON document."""
        return {"candidate": self.candidate, "code": self.code, "reason": self.reason, "count": self.count}


@dataclass(frozen=True, repr=False)
class Result(Answer):
    """The answer to a Study."""

    study: Study
    plans: tuple[Plan, ...]
    pareto: tuple[Plan, ...]
    rejected: tuple[Rejection, ...]
    assumptions: tuple[str, ...]
    evaluated: int
    model: dict[str, Any] = field(default_factory=dict)

    @property
    def best(self) -> Plan | None:
        """The cheapest plan; None where none works."""
        return self.plans[0] if self.plans else None

    def summary_lines(self) -> list[tuple[str, str]]:
        """The best plan, a line for each of the next, and how many fell."""
        name = self.model.get("model", self.study.model)
        if self.best is None:
            reasons = [(item.code, item.reason) for item in self.rejected[:8]]
            return [("answer", f"No plan serves {name} within the targets."), *reasons]
        others = [
            (f"plan {number}", item.label if item.usd_per_hour is None
             else f"{item.label}: ${amount(item.usd_per_hour)} an hour, TTFT p95 {amount(item.ttft_p95_s, 's')}, "
             f"TPOT p95 {amount(item.tpot_p95_s, 's')}")
            for number, item in enumerate(self.plans[1:6], 2)
        ]  # fmt: skip
        fell = sum(item.count for item in self.rejected)
        return [
            ("answer", f"{name}: {len(self.plans)} plans of {self.evaluated:,} configurations"),
            *self.best.summary_lines(),
            *others,
            ("rejected", f"{fell:,} candidates, in .rejected; {len(self.assumptions)} assumptions, in .assumptions"),
        ]

    def to_row(self) -> dict[str, Any]:
        """The row of the best plan, with the model and how much was looked at; the plan's figures are None without one."""
        head = {"model": self.model.get("model", str(self.study.model)), "evaluated": self.evaluated,
                "plans": len(self.plans)}  # fmt: skip
        return head | ({} if self.best is None else self.best.to_row())

    def _day(self, plan: Plan) -> dict[str, Any] | None:
        day = plan.scaled_day(self.study)
        return None if day is None else day.to_dict()

    def to_dict(self) -> dict[str, Any]:
        """The document of ``sizing plan --json``."""
        return {
            "study": self.study.model_dump(mode="json", exclude_defaults=True),
            "model": self.model,
            "plans": [{**plan.to_dict(), "scaled_day": self._day(plan)} for plan in self.plans],
            "pareto": [
                {
                    "label": plan.label,
                    "accelerator": plan.accelerator,
                    "usd_per_million_tokens": _p50(plan, "usd_per_million_tokens"),
                    "usd_per_million_output_tokens": _p50(plan, "usd_per_million_output_tokens"),
                    "usd_per_hour": plan.usd_per_hour,
                    "tokens_per_s_per_user": 1.0 / plan.tpot_s.p50 if plan.tpot_s.p50 else None,
                    "tpot_s": plan.tpot_s.p50,
                    "accelerators": plan.accelerators,
                }
                for plan in self.pareto
            ],
            "rejected": [item.to_dict() for item in self.rejected],
            "evaluated": self.evaluated,
            "assumptions": list(self.assumptions),
        }


def _p50(plan: Plan, name: str) -> float | None:
    return plan.cost[name].p50 if name in plan.cost else None
