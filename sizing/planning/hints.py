"""What the least is with which a model would start, as flags: for a ledger that does not fit.

Each hint changes one thing and leaves the rest as asked: the memory fraction, running requests, tokens of a step, the
context, the format, the accelerators of a replica. Only what the same ledger then says fits is offered.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sizing.base.errors import SizingError
from sizing.engine.placement import Placement
from sizing.memory.ledger import MemoryLedger, memory_ledger
from sizing.model.quantization.schemes import SCHEMES
from sizing.planning.target import Target, runs

FEWER_SEQS = (512, 256, 128, 64, 32, 16, 8, 4, 1)
FEWER_TOKENS = (8192, 4096, 2048, 1024, 512)
FORMATS = ("fp8", "int8", "nvfp4", "int4_awq")
SIZES = (2, 4, 8, 16, 32, 64)
PLACES = 1000


@dataclass(frozen=True, slots=True)
class Asked:
    """A question put to the ledger: the target, its placement, and the flags of ``memory_ledger``."""

    target: Target
    place: Placement
    flags: dict[str, Any]

    def ledger(self, place: Placement | None = None, scheme: Any = None, **changed: Any) -> MemoryLedger | None:
        """The ledger with something changed; None where the engine would refuse the placement."""
        aim = self.target
        try:
            return memory_ledger(
                aim.arch, aim.device, place or self.place, aim.engine, scheme or aim.scheme, kv_dtype=aim.kv,
                **(self.flags | changed),
            )  # fmt: skip
        except SizingError:
            return None

    def fits(self, **changed: Any) -> bool:
        """Whether it fits so."""
        found = self.ledger(**changed)
        return found is not None and found.fits


def hints(asked: Asked) -> list[str]:
    """Flags with which the model would start, one change each; none where it fits or nothing helps."""
    return [] if asked.fits() else list(_hints(asked))


def least_size(asked: Asked) -> Placement | None:
    """The smallest tensor-parallel size within a host, from 1 on, that fits; None where none does."""
    for tp in (1, *SIZES):
        place = Placement(tp, *(getattr(asked.place, axis) for axis in ("pp", "dp", "ep")))
        if tp > asked.target.host_size or (asked.target.accelerator.works_alone and tp > 1):
            break
        if asked.fits(place=place):
            return place
    return None


def tried_sizes(target: Target, place: Placement, flags: dict[str, Any]) -> tuple[Placement, list[str]]:
    """The least tensor-parallel size of a placement that names none, and what to say of it.

    Where none fits, the first size that the engine accepts stays, so that the shortage can be told.
    """
    found = least_size(Asked(target, place, flags))
    if found is None or int(found.tp) == int(place.tp):
        return place, []
    return found, [f"--tp {int(found.tp)}: the least with which it fits; 1 does not, and none was asked for"]


def _hints(asked: Asked) -> Iterator[str]:
    now = asked.ledger()
    if now is None:
        return
    most = asked.target.engine.most_utilization()
    if now.load.utilization < most and asked.fits(memory_utilization=most):
        low, high = int(now.load.utilization * PLACES), int(most * PLACES)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if asked.fits(memory_utilization=middle / PLACES) else (middle, high)
        yield f"--memory-utilization {high / PLACES:g}"
    for flag, name, steps in (("--max-num-seqs", "max_num_seqs", FEWER_SEQS),
                              ("--max-num-batched-tokens", "max_num_batched_tokens", FEWER_TOKENS)):  # fmt: skip
        lower = next((n for n in steps if n < getattr(now.load, name) and asked.fits(**{name: n})), None)
        if lower is not None:
            yield f"{flag} {lower}"
    longest = _longest(asked, now.load.context)
    if longest:
        yield f"--context {longest}"
    bits = asked.target.scheme.experts.bits
    for name in FORMATS:
        other = SCHEMES[name]
        known = runs(asked.target.accelerator, other) is not None
        known = known and asked.target.engine.unsupported(other, asked.target.kv.name) is None
        if known and other.experts.bits < bits and asked.fits(scheme=other):
            yield f"--weights {name}"
            break
    yield from _larger(asked)


def _longest(asked: Asked, context: int) -> int:
    """The longest shorter context that fits [tokens]; 0 where none does."""
    low, high = 0, context
    if not asked.fits(context=1):
        return 0
    while high - low > max(1, low // 100):
        middle = (low + high) // 2
        low, high = (middle, high) if asked.fits(context=middle) else (low, middle)
    return low


def _larger(asked: Asked) -> Iterator[str]:
    """A larger replica: tensor-parallel within a host, beyond it hosts as pipeline stages."""
    if asked.target.accelerator.works_alone:
        return
    place, host = asked.place, asked.target.host_size
    for tp in SIZES:
        if int(place.tp) < tp <= host and asked.fits(place=Placement(tp, int(place.pp), int(place.dp), int(place.ep))):
            yield f"--tp {tp}"
            return
    widest = max((size for size in (1, *SIZES) if size <= host), default=1)
    for servers in (2, 3, 4, 6, 8):
        if asked.target.engine.pipelines and asked.fits(place=Placement(widest, servers)):
            yield f"--tp {widest} --pp {servers}  ({servers} servers a replica)"
            return
