"""What a plan answers: plans, best first; why the others fell; the Pareto front; the assumptions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sizing.estimate import Interval, price_dict
from sizing.hardware.price_models import Price
from sizing.study import Study


@dataclass(frozen=True, slots=True)
class PoolPlan:
    """One pool of a disaggregated plan: ``instances`` of a placement."""

    role: str  # "prefill" or "decode"
    placement: dict[str, int]
    instances: int
    accelerators: int
    memory_utilization: float | None = None


@dataclass(frozen=True)
class Plan:
    """One way to serve the workload. Times are at the planned load; intervals say how sure the model is.

    rate_per_replica is what each carries, max_rate_per_replica what it could within the targets. A disaggregated plan
    has both its ``pools``; placement, replicas, memory and batch are then those of the decode pool. ``price``: the
    catalog's, of an hour or (owned) of a purchase, that the money rests on; None where it was given, or there is none.
    memory_utilization: the engine's memory fraction that the memory was computed with, as the launch files set it.
    checked: what a simulation says of the plan (95th percentiles, verdict "meets", "misses" or "not simulated"); None where
    none was asked.
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
    checked: dict[str, Any] | None = None

    @property
    def label(self) -> str:
        """Short text: accelerator, format and layout."""
        sizes = [f"{axis.upper()}{size}" for axis, size in self.placement.items() if size > 1 or axis == "tp"]
        return f"{self.accelerators} x {self.accelerator} {self.weights} {' '.join(sizes)} x {self.replicas}"

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain data; keys as in the command line's contract."""
        names = (
            "accelerator", "accelerator_name", "accelerators", "servers", "placement", "replicas", "spare_replicas",
            "weights", "kv_dtype", "engine", "engine_version", "mode", "speculative_tokens", "usd_per_hour",
            "usd_per_accelerator_hour", "usd_per_month", "ttft_p95_s", "tpot_p95_s", "end_to_end_s", "requests_per_s",
            "rate_per_replica", "max_rate_per_replica", "utilization", "concurrency_per_replica",
            "max_concurrency_per_replica", "batch_per_rank", "prefill_share", "memory_gib", "memory_utilization",
            "bottleneck", "binding", "energy_wh_per_million_tokens", "carbon_g_per_million_tokens", "sensitivities",
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
        data["price"] = None if self.price is None else price_dict(self.price)
        data["checked"] = self.checked
        return data


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


@dataclass(frozen=True)
class Result:
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

    def to_dict(self) -> dict[str, Any]:
        """The document of ``sizing plan --json``."""
        return {
            "study": self.study.model_dump(mode="json", exclude_defaults=True),
            "model": self.model,
            "plans": [plan.to_dict() for plan in self.plans],
            "pareto": [
                {
                    "label": plan.label,
                    "accelerator": plan.accelerator,
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
