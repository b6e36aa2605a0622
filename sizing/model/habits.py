"""What publishers leave in 16 bits when they quantise a family, where only the format's name is given.

A checkpoint's own config says which matrices it leaves out; a bare name ("nvfp4") does not. Hybrids are published with
their recurrent mixers in 16 bits, since their states amplify rounding: 4-bit checkpoints of Qwen3.6-27B hold 12.0 GiB on
each of two ranks, where all matrices in 4 bits would be 9.3 (vLLM recipes, pull request 810); ModelSlim's W8A8 keeps
the attention besides (18.8 GiB on each of two ranks). FP8 checkpoints of the same models are FP8 throughout.
"""

from __future__ import annotations

from dataclasses import replace

from sizing.model.architecture import Architecture
from sizing.model.parts import Component, CoreKind, Linear
from sizing.model.quantization.schemes import QuantScheme, WeightFormat

GIB = 2**30
_SHORT = 8  # bits from which on a format is a quantised one


def usual_exclusions(arch: Architecture, chosen: QuantScheme) -> frozenset[Component]:
    """The components that checkpoints of this family and format usually leave in 16 bits."""
    fmt = chosen.linear
    hybrid = any(group.mixer.core.kind is CoreKind.LINEAR for group in arch.groups)
    if not hybrid or fmt.bits > _SHORT or fmt.compute == "fp8" or chosen.other.bits < 16 or chosen.unquantized:
        return frozenset()
    if fmt.bits < _SHORT:
        return frozenset({Component.LINEAR_ATTENTION})
    return frozenset({Component.LINEAR_ATTENTION, Component.ATTENTION})


def as_published(arch: Architecture, chosen: QuantScheme) -> tuple[QuantScheme, str | None]:
    """A named format as checkpoints of the family are published in it, and what is so assumed (None: nothing).

    The range goes from all matrices quantised to all mixers and attention in 16 bits.
    """
    kept = usual_exclusions(arch, chosen)
    if not kept:
        return chosen, None
    used = replace(chosen, unquantized=chosen.unquantized | kept)
    mixers = _mixer_bytes(arch, chosen.linear, frozenset())
    low = _mixer_bytes(arch, chosen.linear, frozenset(Component))
    middle = _mixer_bytes(arch, chosen.linear, frozenset(Component) - kept)
    names = " and ".join(
        sorted("recurrent mixers" if item is Component.LINEAR_ATTENTION else "attention" for item in kept)
    )
    return used, (
        f"weights {chosen.name}: the {names} stay in 16 bits, as checkpoints of such hybrids are published; "
        f"mixers and attention are {middle:.1f} GiB so, {low:.1f} with all of them quantised, {mixers:.1f} with none"
    )


def _mixer_bytes(arch: Architecture, fmt: WeightFormat, quantised: frozenset[Component]) -> float:
    """GiB of all mixers with these components in ``fmt`` and the others in 16 bits."""

    def size(linear: Linear) -> float:
        return linear.weight_params * (fmt.bits if linear.component in quantised and linear.quantizable else 16) / 8

    return sum(group.count * sum(size(linear) for linear in group.mixer.linears) for group in arch.groups) / GIB
