"""What no machine can beat: a run below these times was not of this model, card or placement, or had help unsaid."""

from __future__ import annotations

from sizing.base.arrays import scalar
from sizing.base.errors import SizingError
from sizing.engine.placement import Placement
from sizing.evidence.measurement import Measurement
from sizing.step.model import StepModel
from sizing.step.operations import StepShape, list_operations

TOLERANCE = 0.95  # of the bound: clocks and bandwidths are nominal


def least_decode_s(step: StepModel, placement: Placement, seqs: float, context: float) -> float:
    """Seconds that a rank needs at least to read its weights and the caches of ``seqs`` sequences of ``context`` tokens
    at the data sheet's bandwidth: a floor of any step, however good the engine."""
    shape = StepShape(decode_seqs=max(seqs, 1.0), decode_context=context)
    read = sum(
        scalar(op.count * (op.weight_bytes + op.cache_bytes))
        for op in list_operations(step.arch, shape, placement, step.shards)
    )
    return float(read) / step.machine.memory_bandwidth


def least_prefill_s(step: StepModel, placement: Placement, tokens: float) -> float:
    """Seconds that a rank needs at least for the FLOP of a prompt of ``tokens``, each at its format's dense peak."""
    shape = StepShape(prefill_tokens=max(tokens, 1.0))
    machine = step.machine
    return sum(
        scalar(op.count * op.flops) / max(machine.flops(op.format.compute), machine.bf16_flops)
        for op in list_operations(step.arch, shape, placement, step.shards)
    )


def check_physics(run: Measurement, step: StepModel, placement: Placement, per_rank: float) -> None:
    """Raise SizingError where a run is faster than the roofline of what it is said to have run on.

    per_rank: requests in flight on one data-parallel rank.
    """
    each, given = run.tpot_s.mean or run.tpot_s.p50, run.input_tokens or 1.0
    where = f"{step.scheme.name} on {placement.describe()} x {step.machine.name}"
    gain = max(run.accept_length or 1.0, 1.0)
    if each:
        # Half of those in flight: the rest may be waiting or reading their prompts.
        floor = least_decode_s(step, placement, per_rank / 2, given) / gain
        if each < TOLERANCE * floor:
            raise SizingError(
                f"beats the roofline: {each * 1e3:.3g} ms a token where reading the weights and caches of {where} takes "
                f"{floor * 1e3:.3g} ms", key=run.source,
                hint="other weights, placement or card than said, or speculative decoding that the file does not state",
            )  # fmt: skip
    first = run.ttft_s.mean or run.ttft_s.p50
    if first:
        floor = least_prefill_s(step, placement, given)
        if first < TOLERANCE * floor:
            raise SizingError(
                f"beats the roofline: a first token after {first * 1e3:.3g} ms where the arithmetic of {given:,.0f} prompt "
                f"tokens of {where} takes {floor * 1e3:.3g} ms", key=run.source,
                hint="prompts found in a prefix cache, or another placement or card than said",
            )  # fmt: skip
