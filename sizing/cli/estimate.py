"""``sizing estimate``: one replica under a load."""

from __future__ import annotations

from typing import Annotated

import typer

from sizing.base.errors import SizingError
from sizing.base.units import digits, seconds, usd, whole_or_digits
from sizing.cli import options as opt
from sizing.cli.output import assumptions_lines, line, print_json, table


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("estimate")(estimate)


def estimate(
    model: Annotated[str, typer.Argument(help="Model name, path or Hub id.")],
    on: opt.On,
    input_tokens: Annotated[float, typer.Option("--input", help="Mean input tokens of a request.")],
    output_tokens: Annotated[float, typer.Option("--output", help="Mean output tokens of a request.")],
    tp: opt.Tp = 1,
    pp: opt.Pp = 1,
    dp: opt.Dp = 1,
    ep: opt.Ep = 1,
    concurrency: Annotated[float | None, typer.Option("--concurrency", help="Requests held by the replica.")] = None,
    rate: Annotated[float | None, typer.Option("--rate", help="Requests per second that it must carry.")] = None,
    maximum: Annotated[bool, typer.Option("--max", help="The most that the cache holds (the default).")] = False,
    engine: opt.EngineName = None,
    engine_version: opt.EngineVersion = None,
    weights: opt.Weights = None,
    kv_dtype: opt.KvDtype = None,
    context: opt.Context = None,
    max_num_seqs: opt.MaxSeqs = None,
    max_num_batched_tokens: opt.MaxTokens = None,
    memory_utilization: opt.Utilization = None,
    prefix_hit: Annotated[
        float, typer.Option("--prefix-cache-hit-rate", "--prefix-hit", help="Share of the input found in the cache.")
    ] = 0.0,
    draft_tokens: Annotated[
        int, typer.Option("--speculative-tokens", "--draft-tokens", help="Speculative tokens per step.")
    ] = 0,
    acceptance_rate: Annotated[
        float | None, typer.Option("--acceptance-rate", help="Share of drafted tokens that are accepted, 0 to 1.")
    ] = None,
    acceptance: Annotated[
        float | None,
        typer.Option("--acceptance-length", "--acceptance", help="Tokens gained per step with speculation."),
    ] = None,
    enforce_eager: opt.Eager = False,
    price: opt.Price = None,
    calibration: opt.Calibration = None,
    catalog: opt.CatalogDir = None,
    as_json: opt.Json = False,
) -> None:
    """One replica under a load: throughput, latency, cost, the bottleneck, and how sure."""
    from sizing.hardware import load_catalog
    from sizing.planning.estimate import check_drafts
    from sizing.planning.estimate import estimate as run

    if sum((concurrency is not None, rate is not None, maximum)) > 1:
        raise SizingError("give one of --concurrency, --rate and --max", key="--max")
    found = load_catalog(catalog)
    given = opt.prices(price, found)
    accelerator, _ = found.resolve(on)
    check_drafts(draft_tokens)
    answer = run(
        model,
        on,
        opt.placement(tp, pp, dp, ep),
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        concurrency=concurrency,
        rate=rate,
        engine=engine,
        engine_version=engine_version,
        weights=weights,
        kv_dtype=kv_dtype,
        context=context,
        max_num_seqs=max_num_seqs,
        max_num_batched_tokens=max_num_batched_tokens,
        memory_utilization=memory_utilization,
        prefix_cache_hit_rate=prefix_hit,
        acceptance_rate=acceptance_rate,
        acceptance_length=acceptance,
        speculative_tokens=draft_tokens,
        enforce_eager=enforce_eager,
        price=given.get(accelerator.id, given.get("")),
        catalog=found,
        **opt.calibrated(calibration),
    )
    document = answer.to_dict()
    if as_json:
        print_json(document)
        return
    line(
        f"{answer.target.arch.name} in {answer.target.scheme.name} on {int(answer.placement.accelerators)} x "
        f"{answer.target.accelerator.name} ({answer.placement.describe()}), "
        f"{whole_or_digits(answer.concurrency)} requests of {input_tokens:,.0f} in, {output_tokens:,.0f} out"
    )
    rows: list[tuple[str, ...]] = []
    for name, item in {**answer.throughput, **answer.latency}.items():
        if name == "tpot_s" and output_tokens <= 1:
            continue
        show = seconds if name.endswith("_s") and not name.endswith("per_s") else digits
        rows.append((name, show(item.p10), show(item.p50), show(item.p90)))
    for name, item in (answer.cost_intervals() or {}).items():
        rows.append((name, usd(item.p10), usd(item.p50), usd(item.p90)))
    table("", ("", "p10", "p50", "p90"), rows, right=(1, 2, 3))
    line(f"Bottleneck: {answer.bottleneck}")
    assumptions_lines(list(answer.assumptions))
