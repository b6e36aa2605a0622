"""What an engine checks when it starts, beyond the sum of the ledger: the code and the text of its refusal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sizing.engine.base import Device, Engine
from sizing.memory.fit import ROUNDING


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an engine does not start. ``code`` is stable, ``text`` is one line for people."""

    code: str
    text: str


def refusal_code(terms: Any, device: Device) -> str:
    """The kind of refusal of terms that do not fit (``sizing.memory.terms.MemoryTerms``, scalars).

    "weights": weights and what runs beside them are more than the memory. "over_memory": the cache pool does not go in.
    "no_cache": nothing is left for the cache. "one_request": the pool holds less than one request of the full context.
    "state_blocks": more running requests are asked for than the pool has blocks or slots of recurrent state,
    or slots of whole contexts.
    """
    fixed = float(terms.weights) + float(terms.activation) + float(terms.runtime) + float(terms.graphs)
    if fixed > float(device.total_bytes):
        return "weights"
    if float(terms.left) < -ROUNDING:
        return "over_memory"
    if float(terms.pool) <= 0:
        return "no_cache"
    return "one_request" if float(terms.max_concurrency) < 1.0 else "state_blocks"


def fewer_requests(engine: Engine, default: int, used: int) -> str:
    """What to say where max_num_seqs is lowered to what the pool's recurrent states allow."""
    who = f"{engine.name} {engine.version_text}"
    why = (
        f"{who} lowers the {default} asked for to"
        if engine.lowers_seqs
        else f"{who} does not start with {default}, above"
    )
    return f"max_num_seqs {used}, set by the launch files: {why} what its pool holds of {engine.seats}"


def too_many_requests(engine: Engine, asked: float, most: float) -> str:
    """The refusal of a max_num_seqs above the pool's recurrent states."""
    return (
        f"--max-num-seqs {asked:,.0f} is more than the {most:,.0f} {engine.seats} that the pool holds: "
        f"{engine.name} {engine.version_text} refuses to start; ask for at most {most:,.0f}"
    )
