"""Workloads: lengths, arrivals, cache hits, targets, presets, traces."""

from sizing.workload.lengths import JointLengths, LengthDistribution, read_lengths_csv
from sizing.workload.presets import PRESETS, preset
from sizing.workload.requests import Requests
from sizing.workload.traces import Trace, read_csv, read_mooncake, read_trace
from sizing.workload.workload import (
    Arrival,
    BatchArrival,
    ConcurrencyArrival,
    DailyCurve,
    Images,
    RateArrival,
    Targets,
    UsersArrival,
    Workload,
)

__all__ = [
    "PRESETS",
    "Arrival",
    "BatchArrival",
    "ConcurrencyArrival",
    "DailyCurve",
    "Images",
    "JointLengths",
    "LengthDistribution",
    "RateArrival",
    "Requests",
    "Targets",
    "Trace",
    "UsersArrival",
    "Workload",
    "preset",
    "read_csv",
    "read_lengths_csv",
    "read_mooncake",
    "read_trace",
]
