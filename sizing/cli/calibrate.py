"""``sizing calibrate``: the model's coefficients shifted to the runs of one's own cluster."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sizing.cli import options as opt
from sizing.cli.output import line, message, print_json, table
from sizing.errors import SizingError

if TYPE_CHECKING:
    from sizing.estimate import Estimate
    from sizing.evidence.measurement import Measurement
    from sizing.hardware import Catalog

MIN_RUNS_SHOWN = 3
USUAL = (0.5, 2.0)  # factors beyond these say more of labels than of machines
WAITING = 0.1  # of a predicted first token: above, runs teach nothing of prefill
ROUNDING = 0.97  # of the roofline: a run below it beats physics, or its labels are wrong


@dataclass(frozen=True)
class Given:
    """What the command line says of all files; None: as each file states."""

    on: str | None
    model: str | None
    sizes: tuple[int | None, int | None, int | None, int | None]
    engine: str | None
    engine_version: str | None
    weights: str | None
    kv_dtype: str | None


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("calibrate")(calibrate)


def calibrate(
    results: Annotated[
        list[Path],
        typer.Argument(
            help="Result files of vllm bench serve, SGLang, GuideLLM, AIPerf, ...; or one CSV trace with times."
        ),
    ],
    on: Annotated[
        str | None, typer.Option("--on", help="Accelerator id or alias, if the files do not state it.")
    ] = None,
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
    max_num_seqs: opt.MaxSeqs = None,
    max_num_batched_tokens: opt.MaxTokens = None,
    memory_utilization: opt.Utilization = None,
    catalog: opt.CatalogDir = None,
    as_json: opt.Json = False,
) -> None:
    """Fit the model to your own cluster: compare your runs with the estimates, write the shift and how sure it is."""
    from sizing.evidence.benchmark_files import read_benchmark
    from sizing.evidence.calibration import write_calibration
    from sizing.hardware import load_catalog

    given = Given(on, model, (tp, pp, dp, ep), engine, engine_version, weights, kv_dtype)
    found = load_catalog(catalog)
    rows: list[dict[str, Any]] = []
    answers: list[Estimate] = []
    if any(path.suffix.lower() == ".csv" for path in results):
        shift = trace_fit(results, given, (max_num_seqs, max_num_batched_tokens, memory_utilization), found)
    else:
        for path in results:
            for run in read_benchmark(path):
                row, answer = compare_run(run, path.name, given, found)
                rows.append(row)
                answers.append(answer)
        shift = fit(rows, answers, tuple(dict.fromkeys(path.name for path in results)))
    write_calibration(shift, output)
    document = {
        "written": str(output),
        "engine": shift.engine,
        "accelerator": shift.accelerator,
        "decode": {"factor": shift.decode.factor, "sigma": shift.decode.sigma, "runs": shift.decode.runs},
        "prefill": {"factor": shift.prefill.factor, "sigma": shift.prefill.sigma, "runs": shift.prefill.runs},
        "runs": rows,
        "warnings": warnings_of(shift, rows),
    }
    for text in document["warnings"]:
        message(text)
    if as_json:
        print_json(document)
        return
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
    line(f"wrote {output}; use it with --calibration {output}")


def trace_fit(
    results: list[Path], given: Given, limits: tuple[int | None, int | None, float | None], catalog: Catalog
) -> Any:
    """The calibration by replay of one trace with measured times; such a file states neither model nor machine."""
    from sizing.replay import Flags
    from sizing.replay_fit import fit_trace
    from sizing.target import resolve_target

    if len(results) > 1:
        raise SizingError("give one trace alone", key="RESULT")
    for flag, value in (("--model", given.model), ("--on", given.on)):
        if value is None:
            raise SizingError("is needed: a trace does not state it", key=flag)
    target = resolve_target(
        str(given.model), str(given.on), engine=given.engine, engine_version=given.engine_version, weights=given.weights,
        kv_dtype=given.kv_dtype, catalog=catalog,
    )  # fmt: skip
    return fit_trace(results[0], target, opt.placement(*(size or 1 for size in given.sizes)), Flags(*limits))


def compare_run(run: Measurement, file: str, given: Given, catalog: Catalog) -> tuple[dict[str, Any], Estimate]:
    """One run beside its estimate. Raises SizingError for what the run does not state, or what can't be true."""
    from sizing.estimate import estimate
    from sizing.evidence.run_checks import check, in_flight, waits
    from sizing.target import resolve_target

    check(run)
    name, machine = given.model or run.model, given.on or run.accelerator
    if name is None:
        raise SizingError("names no model", key=file, hint="give --model")
    if machine is None:
        raise SizingError("names no accelerator", key=file, hint="give --on")
    if given.on and run.accelerator and catalog.resolve(given.on)[0].id != _known(catalog, run.accelerator):
        raise SizingError(f"was measured on {run.accelerator}, not on {given.on}", key=file, hint="leave --on away")
    if run.input_tokens is None or run.output_tokens is None:
        raise SizingError("states no input and output lengths", key=file)
    held = in_flight(run)
    if held is None:
        raise SizingError(
            "tells no concurrency: neither what was in flight, nor a rate with latencies, nor a cap",
            key=file,
            hint="save end-to-end latencies too (vllm bench serve: --percentile-metrics ttft,tpot,itl,e2el)",
        )
    assumed: list[str] = []
    sizes = []
    for key, flag, stated in zip(("tp", "pp", "dp", "ep"), given.sizes, (run.tp, run.pp, run.dp, run.ep), strict=True):
        if flag is None and stated is None and key == "tp":
            assumed.append(f"{file}: states no tensor parallel size, 1 is taken; give --tp")
        sizes.append(flag or stated or 1)
    weights = given.weights or run.precision
    target = resolve_target(
        name, machine, engine=given.engine or run.engine, engine_version=given.engine_version or run.engine_version,
        weights=weights, kv_dtype=given.kv_dtype or run.kv_dtype, catalog=catalog,
    )  # fmt: skip
    if weights is None:
        assumed.append(f"{file}: states no weight format, {target.scheme.name} is taken; give --weights")
    answer = estimate(
        name, machine, opt.placement(*sizes),
        input_tokens=max(run.input_tokens, 1.0), output_tokens=max(run.output_tokens, 1.0),
        concurrency=max(held / (run.replicas or 1), 1.0), target=target,
    )  # fmt: skip
    row: dict[str, Any] = {
        "file": file, "tool": run.tool, "concurrency": held, "input_tokens": run.input_tokens,
        "output_tokens": run.output_tokens, "all_at_once": (waits(run) or "").startswith("all"), "assumed": assumed,
    }  # fmt: skip
    for key, stats in (("tpot_s", run.tpot_s), ("ttft_s", run.ttft_s)):
        measured = stats.mean if stats.mean is not None else stats.p50
        row[key] = {"measured": measured or None, "predicted": answer.latency[key].p50}
    row["ttft_left_out"] = waits(run) or _predicted_waiting(answer)
    _hold_to_physics(run, answer, row, file)
    return row, answer


def _known(catalog: Catalog, name: str) -> str:
    try:
        return catalog.resolve(name)[0].id
    except SizingError:
        return name


def _predicted_waiting(answer: Estimate) -> str | None:
    waiting = float(answer.steady.queue_wait_s)
    if waiting > WAITING * answer.latency["ttft_s"].p50:
        return "more requests were in flight than run at once: the rest wait"
    return None


def _hold_to_physics(run: Measurement, answer: Estimate, row: dict[str, Any], file: str) -> None:
    """Refuse a run whose token takes less time than reading the weights and the cache, or whose prompt beats the peak."""
    machine = answer.target.machine
    read = sum(
        item.operation.count * float(item.operation.weight_bytes + item.operation.cache_bytes)
        for item in answer.decode_step
    )
    bound = read / machine.memory_bandwidth
    measured = row["tpot_s"]["measured"]
    gained = max(run.accept_length or 1.0, 1.0)
    if measured is not None and measured * gained < ROUNDING * bound and run.output_tokens and run.output_tokens > 2:
        raise SizingError(
            f"beats the memory: a token takes {measured * 1e3:.3g} ms, and reading weights and cache at the data sheet's "
            f"bandwidth {bound * 1e3:.3g} ms",
            key=file,
            hint="check the model, --weights, --tp and whether drafts were used",
        )


def fit(rows: list[dict[str, Any]], answers: list[Estimate], files: tuple[str, ...]) -> Any:
    """The calibration that the runs make. Raises SizingError where they teach nothing, or are of several machines."""
    from sizing.estimate import width
    from sizing.evidence.calibration import FIRST_TOKEN_SIGMA, Calibration, posterior, prior_sigma

    ratios: dict[str, list[float]] = {"tpot_s": [], "ttft_s": []}
    for row in rows:
        for key, found in ratios.items():
            measured, predicted = row[key]["measured"], row[key]["predicted"]
            if measured and predicted and not (key == "ttft_s" and row["ttft_left_out"]):
                found.append(math.log(measured / predicted))
    if not any(ratios.values()):
        raise SizingError("no usable runs in these files", key="RESULT")
    kinds = {(answer.target.engine.name, answer.target.accelerator.id) for answer in answers}
    if len(kinds) > 1:
        named = " and ".join(f"{name} on {machine}" for name, machine in sorted(kinds))
        raise SizingError(
            f"these runs are of {named}", key="RESULT", hint="calibrate one engine on one machine at a time"
        )
    target = answers[-1].target
    return Calibration(
        engine=target.engine.name,
        accelerator=target.accelerator.id,
        decode=posterior(ratios["tpot_s"], prior_sigma(width(target, "tpot"))),
        prefill=posterior(ratios["ttft_s"], prior_sigma(width(target, "ttft")), FIRST_TOKEN_SIGMA),
        files=files,
    )


def warnings_of(shift: Any, rows: list[dict[str, Any]]) -> list[str]:
    """What to know before the shift is used."""
    found = [text for row in rows for text in row["assumed"]]
    for name, part in (("decode", shift.decode), ("prefill", shift.prefill)):
        if part.runs and not USUAL[0] <= part.factor <= USUAL[1]:
            found.append(
                f"{name} x {part.factor:.3g} is outside {USUAL[0]:g} to {USUAL[1]:g}: check the model, the weight format, "
                "the placement and the accelerator before you trust it"
            )
    left_out = dict.fromkeys(row["ttft_left_out"] for row in rows if row["ttft_left_out"])
    found += [f"runs teach nothing of TTFT where {text}" for text in left_out]
    if shift.decode.runs < MIN_RUNS_SHOWN:
        found.append("fewer than three runs: the shift rests on little")
    return list(dict.fromkeys(found))


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value * 1e3:,.1f} ms"
