"""Discrete-event simulation of continuous batching, on top of any step-time model."""

from sizing.serving.simulate.config import ClusterConfig, Disaggregation, SchedulerConfig
from sizing.serving.simulate.result import SimulationResult
from sizing.serving.simulate.run import simulate
from sizing.serving.simulate.steptimes import AffineStepTimes, InterpolatedStepTimes, StepTimes
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
