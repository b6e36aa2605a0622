"""The serving section of docs/validation.md: how far predictions of measured servers are off.

``python -m sizing.evidence.serving_report ROWS.csv.gz > docs/validation.md``
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np

from sizing.coefficients.serving import serving_document
from sizing.evidence.predict_serving import (
    DECODE_SHARE,
    DECODE_WORKERS,
    PREFILL_BUSY,
    ServingPredictions,
    validate_serving,
)
from sizing.evidence.rows_serving import ServingRow
from sizing.evidence.table import Predictions, as_markdown, error_table

TARGETS = {"tpot": (0.08, 0.25), "ttft": (0.20, None)}
KINDS = {
    "file_2026_11_29": "all rows of the file of 2026-11-29",
    "in_sample": "rows of the fit",
    "without_group": "a whole (model, machine, engine) left out",
    "without_model": "a whole model left out",
    "without_system": "a whole machine left out",
    "without_engine": "a whole engine left out",
}


def left_out_table() -> str:
    """What the fit reached on groups that it had not seen, from serving.yaml."""
    lines = ["| aggregated rows | TPOT median | TPOT p90 | TTFT median | TTFT p90 |", "|---|---:|---:|---:|---:|"]
    for key, figures in serving_document().get("accuracy", {}).items():
        cells = [f"{figures[q][part] * 100:.1f}%" for q in ("tpot", "ttft") for part in ("median", "p90")]
        lines.append(f"| {KINDS.get(key, key)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def serving_section(rows: Sequence[ServingRow], made: ServingPredictions) -> str:
    """The section as Markdown: left-out errors, then errors of all rows by engine, machine, model and mode."""
    accuracy = serving_document().get("accuracy", {}).get("without_group", {})
    misses = []
    for quantity, (median, p90) in TARGETS.items():
        reached = accuracy.get(quantity, {})
        for name, target in (("median", median), ("p90", p90)):
            if target is not None and reached.get(name, 0.0) > target:
                misses.append(f"{quantity.upper()} {name} {reached[name] * 100:.0f}% against {target * 100:.0f}%")
    text = [
        "## Whole servers: TTFT and TPOT",
        "",
        f"Coefficients: {serving_document()['origin']}. "
        "Left-out lines are of refits without that group. They start from the priors, as the full fit does. The "
        "intervals are quantiles of these same errors, so their coverage is not an independent check. Rows set aside from "
        "the fit (a client that set the rate itself, a trial deployment) count in every line.",
        "",
        left_out_table(),
        "",
        "Targets not reached on left-out groups: " + ("; ".join(misses) or "none") + ".",
        "",
        "Why: labels do not tell multi-token prediction (DeepSeek under TensorRT-LLM: TPOT differs by 1.3 to 2.3 times "
        "between rows with the same labels); two sets of rows, listed in `benchmarks/fit_serving.py`, are "
        "kept out of the fit but counted here; TTFT depends on the client's burst and on settings that no row states. "
        "Most disaggregated rows do not state their workers. What they leave out is assumed: "
        f"{DECODE_SHARE:.0%} of a stated total decode, {DECODE_WORKERS:g} decode workers (chosen so that the TPOT of these "
        f"very rows is unbiased), prefill pools busy {PREFILL_BUSY:.0%} of the time. No coefficient of serving.yaml is "
        "fitted on them; their intervals are those of their own errors, and their TTFT is half an order of magnitude.",
    ]
    for mode, title in (("agg", "One pool"), ("disagg", "Separate pools")):
        at = [i for i, row in enumerate(rows) if row.mode == mode]
        if not at:
            continue
        groups = {name: [str(getattr(rows[i], field)) for i in at] for name, field in GROUPS}
        for quantity in ("tpot", "ttft"):
            measured = [getattr(rows[i], f"{quantity}_s") or np.nan for i in at]
            bands = [getattr(made, f"{quantity}_{part}")[at] for part in ("p50", "p10", "p90")]
            table = error_table(Predictions.of(measured, *bands), groups)
            text += [
                "",
                f"### {title}: {quantity.upper()}, all rows, the committed coefficients",
                "",
                as_markdown(table),
            ]
    return "\n".join(text) + "\n"


GROUPS = (("engine", "engine"), ("machine", "system"), ("model", "model"), ("inferencex", "inferencex"))


def main(arguments: list[str] | None = None) -> int:
    """Print the page for one file of rows."""
    path = (sys.argv[1:] if arguments is None else arguments)[0]
    print("# Validation\n\n" + serving_section(*validate_serving(path)), end="")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
