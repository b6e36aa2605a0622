"""``sizing replay``: a trace through the simulated scheduler, and beside what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sizing.base.errors import SizingError
from sizing.base.units import seconds
from sizing.cli import options as opt
from sizing.cli.output import line, print_json, table


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("replay")(replay)


def replay(
    trace: Annotated[Path, typer.Argument(help="Arrival and lengths: Azure, Mooncake, CSV or JSON Lines.")],
    model: Annotated[str, typer.Option("--model", help="A catalog name, a config.json, a folder, a Hub id.")],
    on: opt.On,
    tp: opt.Tp = 1,
    pp: opt.Pp = 1,
    dp: opt.Dp = 1,
    ep: opt.Ep = 1,
    engine: opt.EngineName = None,
    engine_version: opt.EngineVersion = None,
    weights: opt.Weights = None,
    kv_dtype: opt.KvDtype = None,
    max_num_seqs: opt.MaxSeqs = None,
    max_num_batched_tokens: opt.MaxTokens = None,
    memory_utilization: opt.Utilization = None,
    calibration: opt.Calibration = None,
    compare: Annotated[bool, typer.Option("--compare", help="Insist on measured times to compare with.")] = False,
    catalog: opt.CatalogDir = None,
    as_json: opt.Json = False,
) -> None:
    """Serve a trace's requests one by one in the simulator: percentiles, preemptions, and what was measured."""
    from sizing.doors import replay as run
    from sizing.hardware import load_catalog
    from sizing.planning.replay import METRICS

    found = run(
        trace, model, on, opt.placement(tp, pp, dp, ep), max_num_seqs=max_num_seqs,
        max_num_batched_tokens=max_num_batched_tokens, memory_utilization=memory_utilization, engine=engine,
        engine_version=engine_version, weights=weights, kv_dtype=kv_dtype, catalog=load_catalog(catalog),
        **opt.calibrated(calibration),
    )  # fmt: skip
    document = found.to_dict()
    if compare and not document["compared"]:
        hint = "columns such as measured_ttft_s, measured_tpot_ms, measured_e2e_s"
        raise SizingError("has no measured times to compare with", key=trace.name, hint=hint)
    if as_json:
        print_json(document)
        return
    line(
        f"{document['requests']:,} requests of {document['trace']} on {document['model']}, "
        f"{document['accelerators']} x {document['accelerator']} ({found.placement.describe()}): "
        f"{document['output_tokens_per_s']:,.0f} output tokens/s, {document['preemptions']:,} preemptions, "
        f"{document['mean_running']:.3g} running on average."
    )
    rows = []
    for name in METRICS:
        one = document[name]
        beside = document["compared"].get(name)
        measured = (seconds(beside["measured"]["mean"]), f"{beside['error']:+.1%}") if beside else ("–", "–")
        shown = ("–" if value is None else seconds(value) for value in one.values())
        rows.append((name.removesuffix("_s").upper(), *shown, *measured))
    columns = ("", "mean", "p50", "p90", "p95", "p99", "measured mean", "error")
    table("", columns, rows, right=tuple(range(1, len(columns))))
    for text in document["assumptions"]:
        line(f"  - {text}")
