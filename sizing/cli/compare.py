"""``sizing compare``: models or machines side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from sizing.base.units import count, digits, seconds, usd
from sizing.cli import options as opt
from sizing.cli.output import line, print_json, table


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("compare")(compare)


def compare(
    models: Annotated[list[str], typer.Argument(help="Models: names, paths or Hub ids.")],
    on: Annotated[str, typer.Option("--on", help="Accelerators, comma separated.")] = "h100-sxm",
    input_tokens: Annotated[float, typer.Option("--input", help="Mean input tokens of a request.")] = 1000.0,
    output_tokens: Annotated[float, typer.Option("--output", help="Mean output tokens of a request.")] = 1000.0,
    tpot: Annotated[float, typer.Option("--tpot", help="TPOT to stay within, where possible [s].")] = 0.05,
    weights: opt.Weights = None,
    kv_dtype: opt.KvDtype = None,
    context: opt.Context = None,
    price: opt.Price = None,
    catalog: opt.CatalogDir = None,
    as_json: opt.Json = False,
) -> None:
    """Models, or machines, side by side: parameters, cache growth, speed, cost, and ratios to the first."""
    from sizing.hardware import load_catalog
    from sizing.planning.compare import compare as run

    found = load_catalog(catalog)
    answer = run(
        models,
        [name.strip() for name in on.split(",") if name.strip()],
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        most_tpot_s=tpot,
        weights=weights,
        kv_dtype=kv_dtype,
        context=context,
        price=opt.prices(price, found),
        catalog=found,
    )
    document = answer.to_dict()
    if as_json:
        print_json(document)
        return
    _show(answer)
    if document["assumptions"]:
        line("")
        line("Assumptions")
        for text in document["assumptions"]:
            line(f"  - {text}")


def _show(answer: Any) -> None:
    """One column a pair, one line a figure, the ratio to the first behind it."""
    kilobytes: Callable[[float], str] = lambda size: f"{digits(size / 1024)} KiB"  # noqa: E731
    gibibytes: Callable[[float], str] = lambda size: f"{digits(size)} GiB"  # noqa: E731
    shown: tuple[tuple[str, str, Callable[[float], str]], ...] = (
        ("parameters", "total", count),
        ("active", "active", count),
        ("weights, all accelerators", "weights_gib", gibibytes),
        ("cache per token (16 bits)", "kv_bytes_per_token", kilobytes),
        ("cache at 128K", "kv_gib_at_131072", gibibytes),
        ("accelerators", "accelerators", lambda number: str(int(number))),
        ("output tokens/s each", "output_tokens_per_s_per_accelerator", digits),
        ("TTFT", "ttft_s", seconds),
        ("TPOT", "tpot_s", seconds),
        ("$/request", "usd_per_request", usd),
        ("$/M tokens", "usd_per_million_tokens", usd),
        ("$/M input", "usd_per_million_input_tokens", usd),
        ("$/M output", "usd_per_million_output_tokens", usd),
    )
    rows: list[list[str]] = [["accelerator", *(row.accelerator for row in answer.rows)]]
    rows.append(["formats", *(f"{row.weights} / {row.kv_dtype}" if row.weights else "–" for row in answer.rows)])
    rows.append(["placement", *(_placement(row) for row in answer.rows)])
    for title, name, show in shown:
        cells = [title]
        for row in answer.rows:
            value = getattr(row, name)
            ratio = row.ratios.get(name)
            behind = f" (x{digits(ratio)})" if ratio is not None and row is not answer.rows[0] else ""
            cells.append("–" if value is None else f"{show(value)}{behind}")
        rows.append(cells)
    rows.append(["price of an hour", *(_hour(row) for row in answer.rows)])
    names = [row.model.rsplit("/", 1)[-1] + (" (HYPOTHETICAL)" if row.hypothetical else "") for row in answer.rows]
    table(
        f"{answer.input_tokens:,.0f} tokens in, {answer.output_tokens:,.0f} out, at the batch of most tokens per "
        f"accelerator with TPOT up to {seconds(answer.most_tpot_s)}",
        ["", *names],
        rows,
        right=tuple(range(1, len(names) + 1)),
    )
    for name, row in zip(names, answer.rows, strict=True):
        if row.reason:
            line(f"{name} on {row.accelerator}: {row.reason}")
        elif not row.meets_tpot:
            line(f"{name} on {row.accelerator}: no load keeps TPOT within {seconds(answer.most_tpot_s)}; shown without")


def _hour(row: Any) -> str:
    """The price of an accelerator-hour with its date; flagged where that is old."""
    from sizing.money.quotes import dated

    if row.usd_per_accelerator_hour is None:
        return "–"
    behind = f" ({dated(row.price)})" if row.price is not None else ""
    return f"{usd(row.usd_per_accelerator_hour)}{behind}"


def _placement(row: Any) -> str:
    if row.placement is None:
        return "–"
    return " ".join(f"{axis.upper()}{size}" for axis, size in row.placement.items() if size > 1) or "TP1"
