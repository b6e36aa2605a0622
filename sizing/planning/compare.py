"""Models, or machines, side by side: sizes, cache growth, the best placement, speed, cost, with ratios to the first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from sizing.base.answers import Answer, amount
from sizing.base.arrays import scalar
from sizing.base.budget import BudgetError
from sizing.base.errors import SizingError
from sizing.base.ledger import Interval
from sizing.hardware import Catalog, load_catalog
from sizing.hardware.price_models import Price
from sizing.model.architecture import Architecture
from sizing.model.counts import kv_bytes
from sizing.money.tokens import token_cost
from sizing.planning.capacity import Capacity, OperatingPoint, capacity
from sizing.planning.confidence import width
from sizing.planning.estimate import check_length, price_dict, resolve_price
from sizing.planning.target import Target, as_model, resolve_target

CONTEXTS = (1024, 8192, 32_768, 131_072)  # tokens at which the cache of one sequence is given
MOST_TPOT_S = 1_000_000  # as good as no limit
MOST_ROWS = 60
#: What ratios are given of, and whether more is better (for people; the ratio is always row over first).
RATIOS = (
    "total", "active", "weights_gib", "kv_bytes_per_token", "kv_gib_at_131072", "accelerators",
    "output_tokens_per_s_per_accelerator", "ttft_s", "tpot_s", "usd_per_request",
    "usd_per_million_tokens", "usd_per_million_input_tokens", "usd_per_million_output_tokens",
)  # fmt: skip


@dataclass(frozen=True, repr=False)
class ComparisonRow(Answer):
    """One model on one kind of accelerator, at its cheapest operating point within the TPOT asked for.

    Sizes in parameters, GiB and bytes; times in seconds; None where the model doesn't run there (``reason`` says why).
    """

    model: str
    hypothetical: bool
    accelerator: str
    total: int
    active: int
    kv_bytes_per_token: float
    kv_gib: dict[int, float]
    weights: str = ""
    kv_dtype: str = ""
    weights_gib: float | None = None
    placement: dict[str, int] | None = None
    accelerators: int | None = None
    batch_per_rank: float | None = None
    output_tokens_per_s: Interval | None = None
    output_tokens_per_s_per_accelerator: float | None = None
    ttft_s: float | None = None
    tpot_s: float | None = None
    usd_per_accelerator_hour: float | None = None
    usd_per_request: float | None = None
    usd_per_million_tokens: float | None = None
    usd_per_million_input_tokens: float | None = None
    usd_per_million_output_tokens: float | None = None
    meets_tpot: bool | None = None
    reason: str = ""
    ratios: dict[str, float] = field(default_factory=dict)
    assumptions: tuple[str, ...] = ()
    price: Price | None = None

    @property
    def kv_gib_at_131072(self) -> float:
        """Cache of one sequence of 131,072 tokens [GiB]."""
        return self.kv_gib[131_072]

    def summary_lines(self) -> list[tuple[str, str]]:
        """The pair, and one sentence."""
        return [(f"{self.model} on {self.accelerator}", self._sentence())]

    def _sentence(self) -> str:
        if self.reason or self.output_tokens_per_s_per_accelerator is None:
            return self.reason or "cannot run"
        price = self.usd_per_million_output_tokens
        money = "" if price is None else f", ${amount(price)} per million output tokens"
        missed = "" if self.meets_tpot else " (above the limit)"
        return (
            f"{self.accelerators} accelerators, {self.weights}, {amount(self.output_tokens_per_s_per_accelerator)} "
            f"tokens/s each, TPOT {amount(self.tpot_s, 's')}{missed}{money}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        data = {item.name: getattr(self, item.name) for item in fields(self)}
        data["output_tokens_per_s"] = None if self.output_tokens_per_s is None else self.output_tokens_per_s.to_dict()
        data["kv_gib"] = {str(tokens): size for tokens, size in self.kv_gib.items()}
        data["assumptions"] = list(self.assumptions)
        data["price"] = None if self.price is None else price_dict(self.price)
        return data


@dataclass(frozen=True, repr=False)
class Comparison(Answer):
    """All rows, the first of which the ratios are to."""

    rows: tuple[ComparisonRow, ...]
    input_tokens: float
    output_tokens: float
    most_tpot_s: float

    def summary_lines(self) -> list[tuple[str, str]]:
        """One line a row."""
        return [pair for row in self.rows for pair in row.summary_lines()]

    def to_rows(self) -> list[dict[str, Any]]:
        """One flat row for each pair of model and accelerator."""
        return [row.to_row() for row in self.rows]

    def to_dict(self) -> dict[str, Any]:
        """The document of ``sizing compare --json``."""
        return {
            "workload": {
                "input_tokens": self.input_tokens,
                "output_tokens": self.output_tokens,
                "most_tpot_s": self.most_tpot_s,
            },
            "rows": [row.to_dict() for row in self.rows],
            "assumptions": list(dict.fromkeys(text for row in self.rows for text in row.assumptions)),
        }


def compare(
    models: Sequence[str | Path | Architecture],
    accelerators: Sequence[str],
    *,
    input_tokens: float = 1000.0,
    output_tokens: float = 1000.0,
    most_tpot_s: float = 0.05,
    weights: str | None = None,
    kv_dtype: str | None = None,
    context: int | None = None,
    price: Mapping[str, float] | None = None,
    catalog: Catalog | None = None,
) -> Comparison:
    """Compare every model on every accelerator.

    Each is shown at the placement and batch of the highest output rate per accelerator that keeps TPOT within
    ``most_tpot_s`` [s], or at the highest rate at all where nothing does. A pair that can't run is a row with a reason.
    Raises SizingError for unknown names, strange lengths and more than 60 pairs.
    """
    catalog = catalog or load_catalog()
    check_length(input_tokens, "--input")
    check_length(output_tokens, "--output")
    if not 0 < most_tpot_s <= MOST_TPOT_S:
        raise SizingError(f"must be above 0 and at most {MOST_TPOT_S:,} s, not {most_tpot_s}", key="--tpot")
    if not models or not accelerators:
        raise SizingError("needs at least one model and one accelerator", key="compare")
    if len(models) * len(accelerators) > MOST_ROWS:
        raise SizingError(f"{len(models) * len(accelerators)} pairs are more than {MOST_ROWS}", key="compare")
    archs = [as_model(model) for model in models]
    chips = [catalog.resolve(name) for name in accelerators]
    rows: list[ComparisonRow] = []
    for arch in archs:
        for chip, said in chips:
            base = _sizes(arch, chip.id, tuple(said))
            try:
                target = resolve_target(arch, chip, weights=weights, kv_dtype=kv_dtype, catalog=catalog)
                found = capacity(target, input_tokens, output_tokens, context=context)
            except BudgetError:
                raise
            except SizingError as error:
                rows.append(_with(base, reason=str(error)))
                continue
            rows.append(_measured(base, target, found, most_tpot_s, price or {}))
    rated = [_with(row, ratios=_ratios(row, rows[0])) for row in rows]
    return Comparison(tuple(rated), float(input_tokens), float(output_tokens), float(most_tpot_s))


def _with(row: ComparisonRow, **changes: Any) -> ComparisonRow:
    return ComparisonRow(**{**{item.name: getattr(row, item.name) for item in fields(row)}, **changes})


def _sizes(arch: Architecture, accelerator: str, said: tuple[str, ...]) -> ComparisonRow:
    """What is known of the model wherever it runs; the cache at 16 bits."""
    grown = float(kv_bytes(arch, 131_072.0, 2.0)) - float(kv_bytes(arch, 131_071.0, 2.0))
    sizes = np.asarray(kv_bytes(arch, np.array(CONTEXTS, dtype=float), 2.0)) / 2.0**30
    return ComparisonRow(
        model=arch.name,
        hypothetical=arch.hypothetical,
        accelerator=accelerator,
        total=int(arch.total),
        active=int(arch.active),
        kv_bytes_per_token=grown,
        kv_gib={tokens: float(size) for tokens, size in zip(CONTEXTS, sizes, strict=True)},
        assumptions=said,
    )


def _measured(
    base: ComparisonRow, target: Target, found: Capacity, most_tpot_s: float, price: Mapping[str, float]
) -> ComparisonRow:
    """The row with speed and cost at the best operating point."""
    point: OperatingPoint | None = found.best("output", most_tpot_s)
    meets = point is not None
    point = point or found.best("output")
    if point is None:
        return _with(base, reason="no load is possible")
    hour, priced, said = resolve_price(target, price.get(target.accelerator.id, price.get("")))
    demand = found.ground.demand
    row = next(i for i, place in enumerate(found.ground.placements) if place is point.placement)
    into = out = request = blend = None
    if hour is not None:
        each = token_cost(
            hour * point.accelerators,
            point.requests_per_s,
            demand.input_tokens,
            demand.output_tokens,
            point.prefill_share,
        )
        request, blend = scalar(each.usd_per_request), scalar(each.usd_per_million_tokens)
        into, out = scalar(each.usd_per_million_input_tokens), scalar(each.usd_per_million_output_tokens)
    rate = point.requests_per_s * demand.output_tokens
    place = point.placement
    return _with(
        base,
        weights=target.scheme.name,
        kv_dtype=target.kv.name,
        weights_gib=float(found.ground.terms.weights[row]) * point.accelerators / 2.0**30,
        placement={axis: int(size) for axis, size in asdict(place).items()},
        accelerators=point.accelerators,
        batch_per_rank=point.batch,
        output_tokens_per_s=Interval.around(rate, width(target, "throughput")),
        output_tokens_per_s_per_accelerator=rate / point.accelerators,
        ttft_s=point.ttft_s,
        tpot_s=point.tpot_s,
        usd_per_accelerator_hour=hour,
        price=priced,
        usd_per_request=request,
        usd_per_million_tokens=blend,
        usd_per_million_input_tokens=into,
        usd_per_million_output_tokens=out,
        meets_tpot=meets,
        assumptions=tuple(dict.fromkeys([*base.assumptions, *target.assumptions, *said])),
    )


def _ratios(row: ComparisonRow, first: ComparisonRow) -> dict[str, float]:
    """Each figure over that of the first row."""
    found: dict[str, float] = {}
    for name in RATIOS:
        mine, base = getattr(row, name), getattr(first, name)
        if mine is not None and base:
            found[name] = float(mine) / float(base)
    return found
