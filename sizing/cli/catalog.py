"""Commands that look things up: models, hardware, params, kv."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sizing.base.errors import SizingError
from sizing.base.units import count, digits, gib
from sizing.cli.output import line, message, print_json, table

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
CatalogDir = Annotated[
    Path | None, typer.Option("--catalog", help="Folder (or file) of your own accelerators, servers, prices.")
]
ModelName = Annotated[str, typer.Argument(help="Catalog name or alias, path of a config.json or folder, or Hub id.")]
MAX_TOKENS = 100_000_000


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("models")(models)
    app.command("params")(params)
    app.command("kv")(kv)
    hardware = typer.Typer(
        help="List accelerators, show one, check a file of your own.",
        invoke_without_command=True,
        no_args_is_help=False,
    )
    hardware.callback()(hardware_list)
    hardware.command("show")(hardware_show)
    hardware.command("check")(hardware_check)
    app.add_typer(hardware, name="hardware")


def models(
    search: Annotated[str, typer.Argument(help="Only names that contain this.")] = "",
    as_json: Json = False,
) -> None:
    """List the models of the catalog."""
    from sizing.model.sources import catalog_models

    rows = [entry for entry in catalog_models() if search.lower() in entry.name.lower()]
    if as_json:
        print_json({"models": [_model_row(entry) for entry in rows]})
        return
    table(
        f"{len(rows)} models",
        ("model", "family", "origin", "aliases"),
        [(e.name, e.family, "HYPOTHETICAL" if e.hypothetical else e.origin, ", ".join(e.aliases[:3])) for e in rows],
    )


def _model_row(entry: Any) -> dict[str, Any]:
    return {
        "id": entry.name,
        "family": entry.family,
        "origin": entry.origin,
        "hypothetical": entry.hypothetical,
        "aliases": list(entry.aliases),
        "source": entry.source,
    }


def hardware_list(ctx: typer.Context, catalog: CatalogDir = None, as_json: Json = False) -> None:
    """List the accelerators of the catalog."""
    if ctx.invoked_subcommand is not None:
        return
    from sizing.hardware import load_catalog

    found = load_catalog(catalog)
    parts = sorted(found.accelerators.values(), key=lambda item: (item.vendor, item.family, item.id))
    if as_json:
        print_json({"accelerators": [item.model_dump(mode="json", exclude_none=True) for item in parts]})
        return
    rows = [
        (
            a.id,
            a.vendor,
            digits(a.usable_bytes / 2**30),
            digits(a.memory_bandwidth_gb_s) if a.memory_bandwidth_gb_s else "–",
            digits(a.dense_peak_tflops.bf16) if a.dense_peak_tflops.bf16 else "–",
            digits(a.dense_peak_tflops.fp8) if a.dense_peak_tflops.fp8 else "–",
            f"{a.tdp_w:g}" if a.tdp_w else "–",
        )
        for a in parts
        if a.parent is None
    ]
    hidden = len(parts) - len(rows)
    table(
        f"{len(rows)} accelerators (and {hidden} slices: sizing hardware --json)",
        ("id", "vendor", "memory GiB", "GB/s", "BF16 TFLOP/s", "FP8 TFLOP/s", "W"),
        rows,
        right=(2, 3, 4, 5, 6),
    )


def hardware_show(
    name: Annotated[str, typer.Argument(help="Accelerator id or alias.")],
    catalog: CatalogDir = None,
    as_json: Json = False,
) -> None:
    """Show one accelerator: figures, sources, disputes, servers, price."""
    from sizing.hardware import load_catalog, servers_for
    from sizing.money.prices import hourly_price

    found = load_catalog(catalog)
    accelerator, said = found.resolve(name)
    try:
        price: dict[str, Any] | None = _price_row(hourly_price(accelerator.id, catalog=found))
    except SizingError as error:
        price = {"missing": str(error)}
    document = {
        **accelerator.model_dump(mode="json", exclude_none=True),
        "servers": [server.id for server in servers_for(accelerator.id, found)],
        "price": price,
        "assumptions": [*said, *accelerator.remarks()],
    }
    if as_json:
        print_json(document)
        return
    import yaml

    line(yaml.safe_dump(document, sort_keys=False, allow_unicode=True).rstrip())


def _price_row(price: Any) -> dict[str, Any]:
    from sizing.planning.estimate import price_dict

    return price_dict(price)


def hardware_check(file: Annotated[Path, typer.Argument(help="YAML file of your own catalog.")]) -> None:
    """Check a catalog file of your own: keys, units, plausibility."""
    from sizing.hardware import check_file

    if not file.exists():
        raise SizingError("no such file", key=str(file))
    findings = check_file(file)
    for item in findings:
        line(str(item))
    errors = sum(1 for item in findings if item.level == "error")
    line(f"{file.name}: {errors} errors, {len(findings) - errors} warnings")
    if errors:
        raise typer.Exit(2)


def params(model: ModelName, as_json: Json = False) -> None:
    """Exact parameter counts: total, active (both conventions), by component."""
    from sizing.model.counts import params_report
    from sizing.model.sources import load_model

    arch = load_model(model)
    report = {**params_report(arch), "hypothetical": arch.hypothetical}
    if arch.hypothetical:
        message(f"{arch.name} is HYPOTHETICAL: built from stated assumptions, no such model was published")
    if as_json:
        print_json(report)
        return
    components: Any = report["components"]
    rows = [(name, f"{value:,}", count(value)) for name, value in report.items() if type(value) is int]
    rows += [(f"  {name}", f"{value:,}", count(value)) for name, value in components.items() if value]
    table(arch.name, ("parameters", "exact", ""), rows, right=(1, 2))


def kv(
    model: ModelName,
    tokens: Annotated[int, typer.Option("--tokens", help="Length of the sequence.")] = 131072,
    kv_dtype: Annotated[str, typer.Option("--kv-dtype", help="bf16, fp8, int8, ...")] = "bf16",
    curve: Annotated[bool, typer.Option("--curve", help="The growth from 1 to 1M tokens.")] = False,
    as_json: Json = False,
) -> None:
    """Cache of one sequence, unsharded, by kind of layer."""
    from sizing.model.counts import kv_bytes, kv_report
    from sizing.model.sources import load_model

    if not 0 < tokens <= MAX_TOKENS:
        raise SizingError(f"must be from 1 to {MAX_TOKENS:,}, not {tokens}", key="--tokens")
    arch = load_model(model)
    report = kv_report(arch, tokens, kv_dtype)
    lengths = [2**power for power in range(21)]
    growth = [{"tokens": n, "bytes": float(kv_bytes(arch, n, kv_dtype))} for n in lengths]
    if curve:
        report = {**report, "curve": growth}
    if as_json:
        print_json(report)
        return
    size: Any = report["bytes"]
    line(f"{arch.name}: {gib(float(size))} for one sequence of {tokens:,} tokens in {kv_dtype}")
    layers: Any = report["layers"]
    table(
        "",
        tuple(layers[0]) if layers else ("layers",),
        [tuple(f"{v:,}" if isinstance(v, int) else str(v) for v in row.values()) for row in layers],
    )
    if curve:
        table("", ("tokens", "GiB"), [(f"{g['tokens']:,}", gib(g["bytes"])) for g in growth], right=(0, 1))
