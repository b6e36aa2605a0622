"""The section on published throughput figures in docs/validation.md."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from sizing.evidence.predict_throughput import Coefficients, Prediction, coefficients, partition
from sizing.evidence.rows_throughput import ThroughputRow
from sizing.evidence.table import Predictions, as_markdown, error_table

_DISTRUST = (
    "TTFT of saturated or bursty runs: it is the place in a queue, and sources state neither order nor burst",
    "pages whose hardware, options or placement were read off nearby text (cookbooks, recipes)",
    "speculative decoding: no source states the acceptance, one value per engine is assumed",
    "models whose cache barely fits: one version of the same engine to the next moves them by a factor of 1.7 to 3",
    "accelerators without kernel measurements of their own: they borrow those of other families",
)


def markdown(
    rows: Sequence[ThroughputRow], predictions: Sequence[Prediction], known: Coefficients | None = None
) -> str:
    """What was compared, errors in sample by partition, source, engine and accelerator, what was set aside, and why."""
    known = known or coefficients()
    value = np.array([math.nan if row.value is None else row.value for row in rows])
    p10, p50, p90 = (
        np.array([math.nan if (x := getattr(item, name)) is None else x for item in predictions], dtype=np.float64)
        for name in ("p10", "p50", "p90")
    )
    # An offered rate is an input read back, no prediction: it must not flatter the errors.
    offered = np.array([row.metric == "offered_req_s" for row in rows], dtype=bool)
    answered = np.isfinite(p50) & np.isfinite(value) & ~offered
    kept = [row for row, yes in zip(rows, answered, strict=True) if yes]
    data = Predictions.of(value[answered], p50[answered], p10[answered], p90[answered])
    groups = {
        "partition": [partition(row) for row in kept],
        "source": [row.source for row in kept],
        "accelerator": [row.accelerator for row in kept],
    }
    aside = Counter(
        "the offered rate, an input" if given else item.note.split(" (did you mean")[0]
        for item, yes, given in zip(predictions, answered, offered, strict=True)
        if not yes
    )
    lines = [
        "## Published throughput figures",
        "",
        f"{len(rows)} published figures, {len(kept)} of them predicted in their own metric and unit. Kernel times come",
        "from kernel measurements; the coefficients of `throughput.yaml` (one set per engine era) were fitted on these",
        "rows, so this table is in sample. Intervals come from runs of the fit that left out whole models,",
        "accelerators or sources.",
        "",
        as_markdown(error_table(data, groups)),
        "",
        *_left_out(known),
        "Rows set aside:",
        "",
        *(f"- {count}: {reason}" for reason, count in aside.most_common(25)),
        "",
        "Where not to trust it:",
        "",
        *(f"- {text}" for text in _DISTRUST),
        "",
    ]
    return "\n".join(lines)


def _left_out(known: Coefficients) -> list[str]:
    """The table of left-out errors that the fit stored."""
    table = known.document.get("left_out", {})
    if not table:
        return []
    heads = list(table)
    lines = ["Median error with whole groups left out:", "", "| partition | " + " | ".join(heads) + " |"]
    lines.append("|---|" + "---:|" * len(heads))
    names = sorted({name for entry in table.values() for name in entry})
    for name in names:
        cells = (table[head].get(name) for head in heads)
        lines.append(f"| {name} | " + " | ".join("–" if c is None else f"{c:.1%}" for c in cells) + " |")
    return [*lines, ""]
