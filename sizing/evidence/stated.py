"""What a person says of runs whose files do not: it wins over the file, and where the two differ that is said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from sizing.base.checked import one_of, real, text, whole
from sizing.base.errors import SizingError, nearest
from sizing.engine.placement import Placement
from sizing.evidence.measurement import Measurement
from sizing.model.architecture import Architecture

SIZES = ("tp", "pp", "dp", "ep")
_LEAST_ONE = ("tp", "pp", "dp", "ep", "replicas", "input_tokens", "output_tokens", "concurrency", "max_num_seqs")
MOST_SIZE = 10_000


@dataclass(frozen=True, slots=True)
class Stated:
    """Labels of runs; None: as the file says. Lengths in tokens, concurrency in requests over all replicas.

    memory_utilization: the engine's memory fraction. draft_tokens: drafted per step under speculative decoding.
    """

    model: str | Architecture | None = None
    tp: int | None = None
    pp: int | None = None
    dp: int | None = None
    ep: int | None = None
    replicas: int | None = None
    engine: str | None = None
    engine_version: str | None = None
    weights: str | None = None
    kv_dtype: str | None = None
    input_tokens: float | None = None
    output_tokens: float | None = None
    concurrency: float | None = None
    draft_tokens: int | None = None
    max_num_seqs: int | None = None
    max_num_batched_tokens: int | None = None
    memory_utilization: float | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Stated:
        """Checked, from keywords; ``placement`` gives the sizes. Raises SizingError that names the keyword."""
        values = dict(given)
        place = one_of(Placement)(values.pop("placement", None), "placement")
        if place is not None:
            values = {**{name: int(getattr(place, name)) for name in SIZES}, **values}
        known = {item.name: str(item.type) for item in fields(cls)}
        for name in values:
            if name not in known:
                close = nearest(name, [*known, "placement"])
                hint = f"did you mean {' or '.join(close)}?" if close else f"it takes {', '.join(known)}"
                raise SizingError(f"takes no argument {name[:80]!r}", key="calibrate", hint=hint)
        checked: dict[str, Any] = {}
        for name, kind in known.items():
            check = one_of(str, Architecture) if name == "model" else text if "str" in kind else None
            check = check or (whole if "int" in kind else real)
            checked[name] = check(values.get(name), name)
        for name in _LEAST_ONE:
            value = checked[name]
            if value is not None and not 1 <= value <= (MOST_SIZE if name in (*SIZES, "replicas") else 1e9):
                raise SizingError(f"must be at least 1, not {value:g}", key=name)
        return cls(**checked)


def chosen(told: Stated, run: Measurement, name: str, said: list[str]) -> Any:
    """What is stated of ``name``, by the person first; a difference goes into ``said``."""
    mine, theirs = getattr(told, name), getattr(run, name)
    if mine is None:
        return theirs
    if theirs is not None and not isinstance(mine, Architecture) and mine != theirs:
        said.append(f"{run.source} states {name} {theirs}; {mine} is taken, as given")
    return mine
