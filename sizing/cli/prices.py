"""``sizing prices``: what an hour of each accelerator costs, and what APIs charge, with dates and age."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sizing.base.units import digits
from sizing.cli import options as opt
from sizing.cli.output import line, print_json, table


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("prices")(prices)


def prices(
    search: Annotated[str, typer.Argument(help="Only names that contain this.")] = "",
    term: Annotated[str, typer.Option("--term", help="on-demand, reserved, spot or serverless.")] = "on-demand",
    catalog: opt.CatalogDir = None,
    as_json: opt.Json = False,
) -> None:
    """List prices with their basis, range, date and age; override them with --price or a file of your own."""
    from typing import get_args

    from sizing.base.errors import SizingError
    from sizing.hardware import load_catalog
    from sizing.hardware.price_models import Term
    from sizing.money.listing import accelerator_prices, list_prices

    if term not in get_args(Term):
        raise SizingError(f"must be one of {', '.join(get_args(Term))}, not {term!r}", key="--term")
    found = load_catalog(catalog)
    rules = found.price_assumptions
    rates = {name: rate.model_dump() for name, rate in rules.exchange_rates.items()}
    document: dict[str, Any] = {
        "accelerators": accelerator_prices(found, term, search),
        "api": list_prices(found, search),
        "exchange_rates": rates,
        "last_checked": rules.last_checked,
    }
    if as_json:
        print_json(document)
        return
    table(
        f"An accelerator-hour, {term} [USD]",
        ("accelerator", "$/h", "range", "basis", "quotes", "newest", "days old"),
        [_hour(row) for row in document["accelerators"]],
        right=(1, 2, 4, 6),
    )
    table(
        "API lists, per million tokens",
        ("model", "provider", "input", "output", "currency", "date", "days old"),
        [
            (row["model"], row["provider"], _money(row["input_per_million"]), _money(row["output_per_million"]),
             row["currency"], row["date"] or "–", _age(row))
            for row in document["api"]
        ],
        right=(2, 3, 6),
    )  # fmt: skip
    for name, rate in rates.items():
        line(f"1 {name} = {rate['usd']:g} USD ({rate['date']})")
    if rules.last_checked:
        line(f"Newer prices were last looked for on {rules.last_checked}; * marks what is older than 90 days.")


def _hour(row: dict[str, Any]) -> tuple[str, ...]:
    if row["usd_per_hour"] is None:
        return (row["accelerator"], "–", "–", "not known", "–", "–", "–")
    span = f"{digits(row['low'])}–{digits(row['high'])}"
    return (row["accelerator"], digits(row["usd_per_hour"]), span, row["basis"], str(row["quotes"]), row["newest"] or "–",
            _age(row))  # fmt: skip


def _money(value: float | None) -> str:
    return "–" if value is None else digits(value)


def _age(row: dict[str, Any]) -> str:
    days = "?" if row["age_days"] is None else str(row["age_days"])
    return days + ("*" if row["stale"] else "")
