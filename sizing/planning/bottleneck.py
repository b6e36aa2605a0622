"""What most of a replica's time goes into, named for people."""

from __future__ import annotations

import numpy as np

from sizing.base.arrays import FloatArray, Num, as_float
from sizing.planning.target import Target
from sizing.serving import SteadyState
from sizing.step.model import TimedOperation


def bottleneck(
    target: Target,
    steady: SteadyState,
    decode: list[TimedOperation],
    prefill: list[TimedOperation],
    per_rank: float,
    limit: float,
) -> str:
    """What most of the time goes into, named for people."""
    return bottlenecks(target, steady.prefill_share, decode, prefill, per_rank, limit)[0]


def bottlenecks(
    target: Target,
    prefill_share: Num,
    decode: list[TimedOperation],
    prefill: list[TimedOperation],
    per_rank: Num,
    limit: Num,
) -> list[str]:
    """The bottleneck of each of several placements at once; the operations' figures are arrays over them."""
    share, held, most = np.atleast_1d(prefill_share), np.atleast_1d(per_rank), np.atleast_1d(limit)
    decoding, prompting = _heaviest(target, decode), _heaviest(target, prefill)
    found = []
    for row in range(max(len(share), len(held), len(most))):
        part = float(share[row % len(share)])
        if part > 0.5:
            found.append(f"prefill ({part:.0%} of the time): {prompting[row % len(prompting)]}")
            continue
        text = f"decode: {decoding[row % len(decoding)]}"
        if held[row % len(held)] >= most[row % len(most)] * 0.999:
            text += "; the batch is as large as the cache allows"
        found.append(text)
    return found


COMMUNICATION = ("all_reduce", "all_gather", "all_to_all", "send")


COMPUTING, READING = "compute (matrix products)", "memory bandwidth (reading weights)"


def _heaviest(target: Target, timed: list[TimedOperation]) -> list[str]:
    """Where most of the time of a step goes, with its share, for each placement."""
    machine = target.machine
    totals: dict[str, FloatArray] = {}

    def add(name: str, seconds: FloatArray) -> None:
        totals[name] = totals.get(name, as_float(0.0)) + seconds

    for item in timed:
        op = item.operation
        if op.kind in COMMUNICATION:
            add("communication between accelerators", item.seconds)
        elif op.kind == "host":
            add("launch and host overhead", item.seconds)
        elif op.kind in ("decode_attention", "linear_decode"):
            add("memory bandwidth (reading the KV cache)", item.seconds)
        elif op.kind in ("prefill_attention", "linear_prefill"):
            add("compute (attention over the prompt)", item.seconds)
        else:
            rate = machine.flops(op.format.compute) if op.format.compute in ("bf16", "fp8", "int8", "fp4") else 0.0
            computing = as_float(op.flops) / (rate or machine.bf16_flops)
            reading = (as_float(op.weight_bytes) + op.io_bytes) / machine.memory_bandwidth
            bound = computing > reading
            add(COMPUTING, item.seconds * bound)
            add(READING, item.seconds * ~bound)
    names = list(totals)
    seconds = np.array([np.atleast_1d(part) for part in np.broadcast_arrays(*totals.values())])
    worst = seconds.argmax(axis=0)
    shares = seconds.max(axis=0) / np.maximum(seconds.sum(axis=0), 1e-12)
    return [f"{names[index]}, {share:.0%} of a step" for index, share in zip(worst, shares, strict=True)]
