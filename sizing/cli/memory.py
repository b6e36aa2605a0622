"""``sizing memory``: what one accelerator holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sizing.base.units import digits, gib
from sizing.cli import options as opt
from sizing.cli.output import assumptions_lines, line, print_json, table


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("memory")(memory)


def memory(
    model: Annotated[str, typer.Argument(help="Model name, path or Hub id.")],
    on: opt.On,
    tp: Annotated[int | None, typer.Option("--tp", help="Tensor parallel size; else the least that fits.")] = None,
    pp: opt.Pp = 1,
    dp: opt.Dp = 1,
    ep: opt.Ep = 1,
    engine: opt.EngineName = None,
    engine_version: opt.EngineVersion = None,
    weights: opt.Weights = None,
    kv_dtype: opt.KvDtype = None,
    context: opt.Context = None,
    max_num_seqs: opt.MaxSeqs = None,
    max_num_batched_tokens: opt.MaxTokens = None,
    memory_utilization: opt.Utilization = None,
    draft_tokens: Annotated[
        int, typer.Option("--speculative-tokens", "--draft-tokens", help="Speculative tokens per step.")
    ] = 0,
    log: Annotated[
        Path | None,
        typer.Option("--log", help="An engine's start-up log to compare with; flags not given are its own."),
    ] = None,
    enforce_eager: opt.Eager = False,
    catalog: opt.CatalogDir = None,
    as_json: opt.Json = False,
) -> None:
    """The memory of one accelerator, line by line: what is left for the cache, and for how many requests."""
    from sizing.evidence.startup_log import compare_with, read_startup_log
    from sizing.hardware import load_catalog
    from sizing.memory.ledger import memory_ledger
    from sizing.model.counts import stored_report
    from sizing.planning.estimate import check_context, check_drafts
    from sizing.planning.hints import Asked, hints, tried_sizes
    from sizing.planning.target import check_alone, resolve_target

    read = read_startup_log(log) if log is not None else None
    if read is not None:
        tp = int(read.flags.get("tp", 1)) if tp is None else tp
        engine, engine_version = engine or read.engine, engine_version or read.version
        stated: dict[str, Any] = read.flags
        context = context or stated.get("context")
        max_num_seqs = max_num_seqs or stated.get("max_num_seqs")
        max_num_batched_tokens = max_num_batched_tokens or stated.get("max_num_batched_tokens")
        memory_utilization = memory_utilization or stated.get("utilization")
    place = opt.placement(1 if tp is None else tp, pp, dp, ep)
    check_drafts(draft_tokens)
    target = resolve_target(
        model,
        on,
        engine=engine,
        engine_version=engine_version,
        weights=weights,
        kv_dtype=kv_dtype,
        catalog=load_catalog(catalog),
        enforce_eager=enforce_eager,
    )
    check_alone(target.accelerator, place)
    said = check_context(target.arch, context, "--context") if context else []
    flags: dict[str, Any] = {
        "context": context,
        "max_num_seqs": max_num_seqs,
        "max_num_batched_tokens": max_num_batched_tokens,
        "memory_utilization": memory_utilization,
        "speculative_tokens": draft_tokens,
        "enforce_eager": enforce_eager,
    }
    if tp is None:
        place, tried = tried_sizes(target, place, flags)
        said += tried
    ledger = memory_ledger(target.arch, target.device, place, target.engine, target.scheme, kv_dtype=target.kv, **flags)
    helps = [] if ledger.fits else hints(Asked(target, place, flags))
    document: dict[str, Any] = {
        "model": target.arch.name,
        "hypothetical": target.arch.hypothetical,
        "accelerator": target.accelerator.id,
        "engine": target.engine.name,
        "engine_version": target.engine.version_text,
        "weights": target.scheme.name,
        "kv_dtype": target.kv.name,
        "placement": {"tp": int(place.tp), "pp": pp, "dp": dp, "ep": ep},
        **ledger.to_dict(),
        "hints": helps,
        **stored_report(target.arch),
    }
    beside = compare_with(read, ledger) if read is not None else []
    if read is not None:
        document["log"] = {
            "engine": read.engine,
            "engine_version": read.version,
            "flags": read.flags,
            "lines": [item.to_dict() for item in beside],
        }
    document["assumptions"] = list(dict.fromkeys([*target.assumptions, *said, *document["assumptions"]]))
    if as_json:
        print_json(document)
        return
    line(
        f"{target.arch.name} in {target.scheme.name} on {int(place.accelerators)} x {target.accelerator.name} "
        f"({place.describe()}), {target.engine.name} {target.engine.version_text}"
    )
    if beside:
        table(
            f"{log} beside the ledger, largest difference first",
            ("", "log", "ledger", "difference"),
            [(item.name, digits(item.logged), digits(item.predicted), f"{item.difference:+.1%}") for item in beside],
            right=(1, 2, 3),
        )
    table(
        "",
        ("per accelerator", "value", "how"),
        [(item.name, _value(item.value, item.unit), item.formula) for item in ledger.lines],
        right=(1,),
    )
    verdict = "fits" if ledger.fits else "DOES NOT FIT"
    line(
        f"{verdict}: {ledger.kv_pool_tokens:,} cache tokens, "
        f"{digits(ledger.max_concurrency)} requests of {ledger.load.context:,} tokens at once per data-parallel rank"
    )
    if ledger.shortage:
        line(ledger.shortage)
    for item in helps:
        line(f"would fit with {item}")
    assumptions_lines(document["assumptions"])


def _value(value: float, unit: str) -> str:
    if unit == "bytes":
        return gib(value)
    return f"{digits(value)} {unit}"
