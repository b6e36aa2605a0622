"""Labels that cannot mean what they say, and what they are taken to mean: rules of label arithmetic only.

Each rule looks at the sizes in a row and at how many accelerators one server of that machine has; none looks
at the model's name or at how far a prediction is off. The evidence for each is in docs/labels.md.
``reinterpret`` applies them and says so in the row's notes; ``enabled=False`` (or fewer ``rules``) leaves
rows as printed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from sizing.evidence.rows_serving import Placement, ServingRow

SERVER_ACCELERATORS: Mapping[str, int] = {"gb200": 72, "gb300": 72}  # accelerators that share one fast fabric
DEFAULT_SERVER = 8
TOTAL_ONLY = "the accelerator count of a disaggregated deployment"  # in a problem: predictions guess the pools


def server_accelerators(system: str) -> int:
    """How many accelerators of this machine share a scale-up fabric: 8 unless it is a rack-scale one."""
    key = system.lower().replace("-", "_").split("_")[0]
    return SERVER_ACCELERATORS.get(key, DEFAULT_SERVER)


@dataclass(frozen=True, slots=True)
class Rule:
    """A named rule; ``apply`` returns the row as it is taken to be, or None where the rule does not speak."""

    name: str
    says: str
    apply: Callable[[ServingRow], ServingRow | None]


def _noted(row: ServingRow, rule: str, text: str) -> ServingRow:
    return replace(row, notes=(*row.notes, f"{rule}: {text}"))


def _held(row: ServingRow, place: Placement) -> float | None:
    """Requests in flight: as the source states, else as batch times ranks says."""
    return row.concurrency if row.concurrency is not None else place.concurrency


def _squared(row: ServingRow) -> ServingRow | None:
    place = row.placement
    if place is None or place.moe_tp != place.moe_ep or place.moe_tp < 2 or place.tp * place.dp != place.moe_tp**2:
        return None
    n = place.moe_tp
    if place.dp == n * n:
        held = _held(row, place)
        new = replace(place, tp=1, dp=n, moe_tp=1, moe_ep=n, batch=held / n if held else place.batch)
    elif place.tp == n * n and n * n > server_accelerators(row.system):
        new = replace(place, tp=n, moe_tp=1, moe_ep=n)
    else:
        return None
    text = f"tp {place.tp} x dp {place.dp} with experts {n}x{n} taken as tp {new.tp} x dp {new.dp}, ep {n}"
    return _noted(replace(row, placement=new), "squared", text)


def _counted_twice(row: ServingRow) -> ServingRow | None:
    place = row.placement
    if place is None or place.tp != place.dp or place.tp < 2 or place.moe_tp != 1:
        return None
    n = place.tp
    if place.moe_ep != n * n or n * n <= server_accelerators(row.system):
        return None
    new = replace(place, dp=1, moe_ep=n, batch=_held(row, place))
    return _noted(replace(row, placement=new), "counted-twice", f"tp {n} x dp {n}, ep {n * n} taken as tp {n}, ep {n}")


_LARGEST_TP = 16


def _impossible_tp(place: Placement | None) -> bool:
    """A tensor-parallel size that no engine accepts, or beyond any that is used, with experts split the same
    way.
    """
    if place is None or place.dp != 1 or place.moe_tp != place.tp or place.moe_ep != 1:
        return False
    return place.tp > _LARGEST_TP or (place.tp > 8 and place.tp & (place.tp - 1) != 0)


def _deployment_total(row: ServingRow) -> ServingRow | None:
    if row.mode == "agg" and _impossible_tp(row.placement):
        total = row.placement.tp if row.placement else 0
    elif row.mode == "disagg" and _impossible_tp(row.decode) and row.prefill is not None:
        if row.decode is None or row.decode.workers is not None or row.prefill.tp != row.decode.tp:
            return None
        total = row.decode.tp
    else:
        return None
    problem = f"tp {total} is {TOTAL_ONLY}; its pools are not stated"
    return _noted(replace(row, problems=(*row.problems, problem)), "deployment-total", problem)


def _copied_ep(row: ServingRow) -> ServingRow | None:
    first, then = row.prefill, row.decode
    if first is None or then is None or then.workers is not None or then.moe_tp == 1 or then.moe_ep == 1:
        return None
    if then.moe_ep != first.moe_ep or first.moe_tp != 1 or then.moe_tp * then.moe_ep != then.tp * then.dp:
        return None
    ranks = then.tp * then.dp
    new = replace(then, moe_tp=1, moe_ep=ranks)
    text = f"experts of decode {then.moe_tp}x{then.moe_ep} (prefill's ep copied) taken as ep {ranks}"
    return _noted(replace(row, decode=new), "copied-ep", text)


def _attention_dp(row: ServingRow) -> ServingRow | None:
    place = row.placement
    if place is None or place.batch is None or row.concurrency is None or place.dp != 1 or place.tp == 1:
        return None
    if place.moe_tp * place.moe_ep != place.tp or row.concurrency != place.batch * place.tp:
        return None
    new = replace(place, tp=1, dp=place.tp)
    text = f"{row.concurrency:g} requests in flight are tp {place.tp} times the batch: taken as dp {place.tp}"
    return _noted(replace(row, placement=new), "attention-dp", text)


def _replicas(row: ServingRow) -> ServingRow | None:
    place = row.placement
    if place is None or place.concurrency is None or row.concurrency is None or row.replicas != 1:
        return None
    ratio = row.concurrency / place.concurrency
    if ratio < 2 or ratio != int(ratio):
        return None
    text = f"{row.concurrency:g} requests in flight are {ratio:g} times the batch: taken as {ratio:g} replicas"
    return _noted(replace(row, replicas=int(ratio)), "replicas", text)


def _experts_beyond(row: ServingRow) -> ServingRow | None:
    place = row.placement
    if place is None or not place.moe_stated or row.mode != "agg":
        return None
    ranks = place.tp * place.dp
    if place.moe_tp * place.moe_ep <= ranks:
        return None
    new = replace(place, moe_tp=ranks, moe_ep=1) if place.moe_ep == 1 else replace(place, moe_tp=1, moe_ep=ranks)
    text = f"experts over {place.moe_tp}x{place.moe_ep} ranks, of which there are {ranks}: taken as split over these"
    return _noted(replace(row, placement=new), "experts-beyond", text)


RULES: tuple[Rule, ...] = (
    Rule(
        "squared",
        "tp (or dp) equals moe_tp * moe_ep with moe_tp = moe_ep = n, and n * n exceeds the server (or is a "
        "dp): the sizes were multiplied; taken as n accelerators with ep = n",
        _squared,
    ),
    Rule(
        "counted-twice",
        "tp = dp = n with ep = n * n beyond the server: tp was entered as dp as well; taken as tp = ep = n",
        _counted_twice,
    ),
    Rule(
        "deployment-total",
        "tp above 16, or above 8 and no power of two, with experts split the same way: the accelerator count "
        "of a disaggregated deployment; how its pools split is not stated, a prediction guesses",
        _deployment_total,
    ),
    Rule(
        "copied-ep",
        "disaggregated, workers not stated, decode's moe_ep equals prefill's while decode has more ranks: "
        "copied; decode taken as ep = all its ranks",
        _copied_ep,
    ),
    Rule(
        "attention-dp",
        "stated concurrency is tp times the batch, dp not stated, experts split over the tp ranks: attention "
        "runs data-parallel over them",
        _attention_dp,
    ),
    Rule(
        "replicas",
        "stated concurrency is k times batch * dp: k replicas of the placement share the load",
        _replicas,
    ),
    Rule(
        "experts-beyond",
        "one pool, experts split over more ranks than tp * dp: one of the two is wrong; the accelerators are taken "
        "as stated and the experts as split over them",
        _experts_beyond,
    ),
)


MOST_ROUNDS = 4  # one rule's answer may be another's question


def reinterpret(row: ServingRow, *, enabled: bool = True, rules: Iterable[Rule] = RULES) -> ServingRow:
    """``row`` as its labels are taken to mean, each change told in its ``notes``; unchanged when not
    ``enabled``.
    """
    if not enabled:
        return row
    for _ in range(MOST_ROUNDS):
        before = (row.placement, row.decode)
        for rule in rules:
            row = rule.apply(row) or row
        if (row.placement, row.decode) == before:
            break
    return row
