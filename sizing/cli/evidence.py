"""Commands about evidence: validate, calibrate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sizing.base.errors import SizingError
from sizing.base.files import write_text
from sizing.cli import options as opt
from sizing.cli.output import line, message, print_json, table

UNSTATED = "If the files do not state it."


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("validate")(validate)
    app.command("calibrate")(calibrate)


def validate(
    rows: Annotated[Path, typer.Argument(help="CSV of measured rows, may be gzipped.")],
    throughput: Annotated[bool, typer.Option("--throughput", help="Rows of throughput tables.")] = False,
    memory: Annotated[bool, typer.Option("--memory", help="Rows of engines' start-up logs.")] = False,
    predictions: Annotated[Path | None, typer.Option("--predictions", help="Write one line a row to this CSV.")] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Draw predicted against measured.")] = None,
    as_json: opt.Json = False,
) -> None:
    """Compare predictions with measured rows: the error table, or one prediction a row."""
    if throughput and memory:
        raise SizingError("give one of --throughput and --memory", key="--memory")
    from sizing.evidence import validation

    kind = "throughput" if throughput else "memory" if memory else "serving"
    found = validation.run(kind, rows)
    page = found.html() if html is not None else ""
    if predictions is not None:
        write_text(predictions, found.csv())
        message(f"wrote {predictions}: {found.answered} of {found.total} rows predicted")
    if html is not None:
        write_text(html, page)
        message(f"wrote {html}")
    if as_json:
        print_json(found.to_dict())
    elif predictions is None:
        line(found.text())


def calibrate(
    results: Annotated[
        list[Path],
        typer.Argument(help="Result files of vllm bench serve, SGLang, GuideLLM, AIPerf, ..., or measured traces."),
    ],
    on: opt.On,
    output: Annotated[Path, typer.Option("--out", "-o", help="The calibration file to write.")] = Path(
        "calibration.yaml"
    ),
    model: Annotated[str | None, typer.Option("--model", help="If the files do not name a known model.")] = None,
    tp: Annotated[int | None, typer.Option("--tp", help=UNSTATED)] = None,
    pp: Annotated[int | None, typer.Option("--pp", help=UNSTATED)] = None,
    dp: Annotated[int | None, typer.Option("--dp", help=UNSTATED)] = None,
    ep: Annotated[int | None, typer.Option("--ep", help=UNSTATED)] = None,
    replicas: Annotated[int | None, typer.Option("--replicas", help=UNSTATED)] = None,
    engine: opt.EngineName = None,
    engine_version: opt.EngineVersion = None,
    weights: opt.Weights = None,
    kv_dtype: opt.KvDtype = None,
    input_tokens: Annotated[float | None, typer.Option("--input", help=UNSTATED)] = None,
    output_tokens: Annotated[float | None, typer.Option("--output", help=UNSTATED)] = None,
    concurrency: Annotated[float | None, typer.Option("--concurrency", help=UNSTATED)] = None,
    draft_tokens: Annotated[int | None, typer.Option("--speculative-tokens", "--draft-tokens", help=UNSTATED)] = None,
    max_num_seqs: opt.MaxSeqs = None,
    max_num_batched_tokens: opt.MaxTokens = None,
    memory_utilization: opt.Utilization = None,
    catalog: opt.CatalogDir = None,
    as_json: opt.Json = False,
) -> None:
    """Fit the model to your own cluster: compare your runs with the estimates, write the shift and how sure it is."""
    from sizing.evidence.fit import calibrate as fit
    from sizing.hardware import load_catalog

    for key, size in (("--tp", tp), ("--pp", pp), ("--dp", dp), ("--ep", ep)):
        if size is not None:
            opt.placement(**{**dict.fromkeys(("tp", "pp", "dp", "ep"), 1), key[2:]: size})
    shift = fit(
        results, on, catalog=load_catalog(catalog), model=model, tp=tp, pp=pp, dp=dp, ep=ep, replicas=replicas,
        engine=engine, engine_version=engine_version, weights=weights, kv_dtype=kv_dtype, input_tokens=input_tokens,
        output_tokens=output_tokens, concurrency=concurrency, draft_tokens=draft_tokens, max_num_seqs=max_num_seqs,
        max_num_batched_tokens=max_num_batched_tokens, memory_utilization=memory_utilization,
    )  # fmt: skip
    shift.write(output)
    if as_json:
        print_json({"written": str(output), **shift.to_dict()})
        return
    rows = [run.to_dict() for run in shift.runs]
    table(
        "",
        ("file", "in flight", "TPOT measured", "predicted", "TTFT measured", "predicted"),
        [
            (
                row["file"],
                f"{row['concurrency']:.4g}",
                *(_ms(row[key][side]) for key in ("tpot_s", "ttft_s") for side in ("measured", "predicted")),
            )
            for row in rows
        ],
        right=(1, 2, 3, 4, 5),
    )
    line(shift.describe())
    for text in shift.assumptions:
        line(f"  - {text}")
    if any(row["all_at_once"] for row in rows):
        message("runs that sent all their prompts at once teach nothing of TTFT: most of it is waiting")
    line(f"wrote {output}; use it with --calibration {output}")
    for text in shift.warnings:
        message(f"warning: {text}")


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value * 1e3:,.1f} ms"
