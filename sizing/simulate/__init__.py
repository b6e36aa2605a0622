"""Discrete-event simulation of continuous batching, on top of any step-time model."""

from sizing.simulate.config import ClusterConfig, Disaggregation, SchedulerConfig
from sizing.simulate.result import SimulationResult
from sizing.simulate.run import simulate
from sizing.simulate.steptimes import AffineStepTimes, InterpolatedStepTimes, StepTimes
from sizing.workload.requests import Requests

__all__ = [
    "AffineStepTimes",
    "ClusterConfig",
    "Disaggregation",
    "InterpolatedStepTimes",
    "Requests",
    "SchedulerConfig",
    "SimulationResult",
    "StepTimes",
    "simulate",
]
