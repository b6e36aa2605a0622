"""Commands about evidence: validate, calibrate."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from sizing.cli import options as opt
from sizing.cli.output import line, message, print_json, table
from sizing.errors import SizingError
from sizing.files import write_text

MIN_RUNS_SHOWN = 3


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
        list[Path], typer.Argument(help="Result files of vllm bench serve, SGLang, GuideLLM, AIPerf, ...")
    ],
    on: opt.On,
    output: Annotated[Path, typer.Option("--out", "-o", help="The calibration file to write.")] = Path(
        "calibration.yaml"
    ),
    model: Annotated[str | None, typer.Option("--model", help="If the files do not name a known model.")] = None,
    tp: Annotated[int | None, typer.Option("--tp", help="If the files do not state it.")] = None,
    pp: Annotated[int | None, typer.Option("--pp", help="If the files do not state it.")] = None,
    dp: Annotated[int | None, typer.Option("--dp", help="If the files do not state it.")] = None,
    ep: Annotated[int | None, typer.Option("--ep", help="If the files do not state it.")] = None,
    engine: opt.EngineName = None,
    engine_version: opt.EngineVersion = None,
    weights: opt.Weights = None,
    kv_dtype: opt.KvDtype = None,
    catalog: opt.CatalogDir = None,
    as_json: opt.Json = False,
) -> None:
    """Fit the model to your own cluster: compare your runs with the estimates, write the shift and how sure it is."""
    from sizing.estimate import estimate, width
    from sizing.evidence.benchmark_files import read_benchmark
    from sizing.evidence.calibration import (
        FIRST_TOKEN_SIGMA,
        Calibration,
        posterior,
        prior_sigma,
        write_calibration,
    )
    from sizing.hardware import load_catalog
    from sizing.target import resolve_target

    found = load_catalog(catalog)
    lines: list[dict[str, Any]] = []
    decode: list[float] = []
    prefill: list[float] = []
    target = None
    for path in results:
        for run in read_benchmark(path):
            name = model or run.model
            if name is None:
                raise SizingError("names no model", key=str(path), hint="give --model")
            target = resolve_target(
                name, on, engine=engine or run.engine, engine_version=engine_version, weights=weights,
                kv_dtype=kv_dtype, catalog=found,
            )  # fmt: skip
            if run.input_tokens is None or run.output_tokens is None:
                raise SizingError("states no input and output lengths", key=str(path))
            held = run.concurrency or run.concurrency_measured
            if held is None or not math.isfinite(held):
                held = run.num_prompts
            if held is None:
                raise SizingError("states no concurrency and no number of prompts", key=str(path))
            held = max(float(held), 1.0)
            at_once = run.num_prompts is not None and held > 1 and held >= run.num_prompts
            answer = estimate(
                name, on,
                opt.placement(tp or run.tp or 1, pp or run.pp or 1, dp or run.dp or 1, ep or run.ep or 1),
                input_tokens=max(run.input_tokens, 1.0), output_tokens=max(run.output_tokens, 1.0),
                concurrency=held, target=target,
            )  # fmt: skip
            row: dict[str, Any] = {"file": path.name, "concurrency": held}
            for key, measured, ratios in (
                ("tpot_s", run.tpot_s.mean or run.tpot_s.p50, decode),
                ("ttft_s", run.ttft_s.mean or run.ttft_s.p50, prefill),
            ):
                predicted = answer.latency[key].p50
                row[key] = {"measured": measured, "predicted": predicted}
                if measured and measured > 0 and not (key == "ttft_s" and at_once):
                    ratios.append(math.log(measured / predicted))
            row["all_at_once"] = at_once
            lines.append(row)
    if target is None or not (decode or prefill):
        raise SizingError("no usable runs in these files", key="RESULT")
    shift = Calibration(
        engine=target.engine.name,
        accelerator=target.accelerator.id,
        decode=posterior(decode, prior_sigma(width(target, "tpot"))),
        prefill=posterior(prefill, prior_sigma(width(target, "ttft")), FIRST_TOKEN_SIGMA),
        files=tuple(dict.fromkeys(path.name for path in results)),
    )
    write_calibration(shift, output)
    document = {
        "written": str(output),
        "engine": shift.engine,
        "accelerator": shift.accelerator,
        "decode": {"factor": shift.decode.factor, "sigma": shift.decode.sigma, "runs": shift.decode.runs},
        "prefill": {"factor": shift.prefill.factor, "sigma": shift.prefill.sigma, "runs": shift.prefill.runs},
        "runs": lines,
    }
    if as_json:
        print_json(document)
        return
    table(
        "",
        ("file", "concurrency", "TPOT measured", "predicted", "TTFT measured", "predicted"),
        [
            (
                row["file"],
                f"{row['concurrency']:g}",
                *(_ms(row[key][side]) for key in ("tpot_s", "ttft_s") for side in ("measured", "predicted")),
            )
            for row in lines
        ],
        right=(1, 2, 3, 4, 5),
    )
    line(shift.describe())
    if any(row["all_at_once"] for row in lines):
        message("runs that sent all their prompts at once teach nothing of TTFT: most of it is waiting")
    line(f"wrote {output}; use it with --calibration {output}")
    if shift.decode.runs < MIN_RUNS_SHOWN:
        message("fewer than three runs: the shift rests on little")


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value * 1e3:,.1f} ms"
