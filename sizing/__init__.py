"""Size accelerators for large language models: does it fit, how fast, how many, at what cost, how sure.

The public API, loaded on first use so that ``import sizing`` stays light::

    import sizing

    model = sizing.load_model("Qwen/Qwen3-32B")
    answer = sizing.estimate(model, "h100-sxm", sizing.Placement(tp=2), input_tokens=4096, output_tokens=1024)
    print(answer.throughput["output_tokens_per_s"], answer.bottleneck)
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sizing.base.errors import SizingError
    from sizing.base.ledger import Interval
    from sizing.claims import Examination
    from sizing.coefficients.calibration import Calibration, load_calibration
    from sizing.doors import claim, deploy, replay, simulate, validate
    from sizing.engine.placement import Placement
    from sizing.evidence.fit import Fitted, calibrate
    from sizing.evidence.validation import Validation
    from sizing.hardware import load_accelerator, load_catalog
    from sizing.memory.ledger import MemoryLedger, memory_ledger
    from sizing.model.architecture import Architecture
    from sizing.model.sources import load_model
    from sizing.planning.compare import Comparison, compare
    from sizing.planning.estimate import Estimate, Latency, Throughput, estimate
    from sizing.planning.planner import plan
    from sizing.planning.replay import Replay
    from sizing.planning.result import Plan, Rejection, Result
    from sizing.report import report
    from sizing.serving.simulate import SimulationResult
    from sizing.study import Study, load_study, quick_study
    from sizing.workload import LengthDistribution, Targets, Workload, preset
    from sizing.workload.traces import read_trace

__version__ = "0.1.0"

_WHERE = {
    "Architecture": "sizing.model.architecture",
    "Calibration": "sizing.coefficients.calibration",
    "Comparison": "sizing.planning.compare",
    "Estimate": "sizing.planning.estimate",
    "Examination": "sizing.claims",
    "Fitted": "sizing.evidence.fit",
    "Interval": "sizing.base.ledger",
    "Latency": "sizing.planning.estimate",
    "LengthDistribution": "sizing.workload",
    "MemoryLedger": "sizing.memory.ledger",
    "Placement": "sizing.engine.placement",
    "Plan": "sizing.planning.result",
    "Rejection": "sizing.planning.result",
    "Replay": "sizing.planning.replay",
    "Result": "sizing.planning.result",
    "SimulationResult": "sizing.serving.simulate",
    "SizingError": "sizing.base.errors",
    "Study": "sizing.study",
    "Targets": "sizing.workload",
    "Throughput": "sizing.planning.estimate",
    "Validation": "sizing.evidence.validation",
    "Workload": "sizing.workload",
    "calibrate": "sizing.evidence.fit",
    "claim": "sizing.doors",
    "compare": "sizing.planning.compare",
    "deploy": "sizing.doors",
    "estimate": "sizing.planning.estimate",
    "load_accelerator": "sizing.hardware",
    "load_calibration": "sizing.coefficients.calibration",
    "load_catalog": "sizing.hardware",
    "load_model": "sizing.model.sources",
    "load_study": "sizing.study",
    "memory_ledger": "sizing.memory.ledger",
    "plan": "sizing.planning.planner",
    "preset": "sizing.workload",
    "quick_study": "sizing.study",
    "read_trace": "sizing.workload.traces",
    "replay": "sizing.doors",
    "report": "sizing.report",
    "simulate": "sizing.doors",
    "validate": "sizing.doors",
}

__all__ = [
    "Architecture",
    "Calibration",
    "Comparison",
    "Estimate",
    "Examination",
    "Fitted",
    "Interval",
    "Latency",
    "LengthDistribution",
    "MemoryLedger",
    "Placement",
    "Plan",
    "Rejection",
    "Replay",
    "Result",
    "SimulationResult",
    "SizingError",
    "Study",
    "Targets",
    "Throughput",
    "Validation",
    "Workload",
    "calibrate",
    "claim",
    "compare",
    "deploy",
    "estimate",
    "load_accelerator",
    "load_calibration",
    "load_catalog",
    "load_model",
    "load_study",
    "memory_ledger",
    "plan",
    "preset",
    "quick_study",
    "read_trace",
    "replay",
    "report",
    "simulate",
    "validate",
]


class _Package(ModuleType):
    """Keeps ``sizing.estimate`` the function: importing the submodule of that name would put the module in its place."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _WHERE and isinstance(value, ModuleType):
            return  # the public name is looked up by __getattr__
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_WHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, for completion."""
    return sorted([*__all__, "__version__"])
