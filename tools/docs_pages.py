"""The pages of the documentation that are generated: ``GENERATED`` maps their names to the functions that write them.

They are made when the site is built (``make docs``) and are in no commit, so that they can't be behind the code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer.cli
import typer.main

import sizing
from sizing.base.errors import SizingError
from sizing.cli import app
from sizing.hardware import Accelerator, Catalog, load_catalog, servers_for
from sizing.hardware.models import COMPUTE_DTYPES, Source
from sizing.money.prices import hourly_price
from sizing.money.quotes import dated
from sizing.study import Study

ROOT = Path(__file__).resolve().parents[1]


def cli_page() -> str:
    """Every command with its arguments and options, from the very objects that read the command line."""
    command = typer.main.get_command(app)
    context = typer.Context(command, info_name="sizing")
    text = typer.cli.get_docs_for_click(obj=command, ctx=context, name="sizing", title="The command line")
    # Placeholders such as <int> are inside code; outside of it a "<" would be taken for HTML.
    return text.replace("# The command line\n", "# The command line\n\n" + EXIT_CODES, 1)


EXIT_CODES = (
    "Exit codes: 0 answered, 2 wrong input (one line on stderr that names the flag, what was wrong, what would be right), "
    "1 a defect of the program, 130 stopped. `SIZING_DEBUG=1` shows tracebacks.\n"
)


def python_page() -> str:
    """The public names, their documentation read from the docstrings."""
    parts = [
        "# Python",
        "`import sizing` loads nothing heavy: a name is read from its module when it is first used. A guide with code that "
        "runs is [here](../python-api.md); what stays stable is said [there](../stability.md).",
    ]
    functions = [name for name in sizing.__all__ if name[0].islower()]
    classes = [name for name in sizing.__all__ if name[0].isupper()]
    for title, names in (("Functions", functions), ("Classes", classes)):
        parts.append(f"## {title}")
        parts += [f"::: {getattr(sizing, name).__module__}.{name}" for name in names]
    parts += ["## Reports", "::: sizing.report.report", "::: sizing.report.report_bytes"]
    return "\n\n".join(parts) + "\n"


def study_page() -> str:
    """Every key of a study with its type, default and bounds, from the model that reads it."""
    schema = Study.model_json_schema()
    parts = [
        "# The study file",
        "A study holds everything that an answer depends on: model, workload, hardware, engine, constraints, money. "
        "`sizing plan ... --write-study study.yaml` writes one, `sizing plan study.yaml` answers it. For editors: "
        "[study.schema.json](../study.schema.json). Keys that are not here are refused.",
        "## Study",
        *_keys(schema),
    ]
    for name, part in sorted(schema["$defs"].items()):
        parts.append(f"## {name}")
        if "properties" in part:
            parts += _keys(part)
        else:
            parts.append(f"{part.get('description', '')}\n\n{_type(part)}")
    return "\n\n".join(parts) + "\n"


def _keys(part: dict[str, Any]) -> Iterator[str]:
    if part.get("description"):
        yield " ".join(part["description"].split())
    rows = ["| key | type | default |", "|---|---|---|"]
    for key, value in part["properties"].items():
        default = "needed" if key in part.get("required", ()) else _cell(_default(value))
        rows.append(f"| `{key}` | {_cell(_type(value))} | {default} |")
    yield "\n".join(rows)


def _default(value: dict[str, Any]) -> str:
    if "default" not in value:
        return ""
    default = value["default"]
    if default is None or default in ("", [], {}):
        return "none"
    return (
        "its own defaults"
        if isinstance(default, dict)
        else f"`{default}`".lower()
        if default is True
        else f"`{default}`"
    )


BOUNDS = {
    "minimum": "at least {}", "maximum": "at most {}", "exclusiveMinimum": "above {}", "exclusiveMaximum": "below {}",
    "maxLength": "at most {} characters", "minLength": "", "minItems": "", "maxItems": "at most {} items",
}  # fmt: skip


def _type(value: dict[str, Any]) -> str:
    """A JSON Schema type in words."""
    if "$ref" in value:
        name = value["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#{name.lower()})"
    for joint in ("anyOf", "oneOf"):
        if joint in value:
            return " or ".join(_type(item) for item in value[joint] if item.get("type") != "null")
    if "const" in value:
        return f"`{value['const']}`"
    if "enum" in value:
        return ", ".join(f"`{item}`" for item in value["enum"])
    if "allOf" in value:
        return " and ".join(_type(item) for item in value["allOf"])
    kind = str(value.get("type", "anything"))
    if kind == "array":
        inside = value.get("items") or {}
        of = f" of {_type(inside)}" if inside else ""
        kind = f"list{of}"
    elif kind == "object":
        kind = "mapping"
    said = [text.format(f"{value[key]:,}") for key, text in BOUNDS.items() if key in value and text]
    return f"{kind}, {', '.join(said)}" if said else kind


def _cell(text: object) -> str:
    """Text that can stand in a cell of a table."""
    return " ".join(str(text).split()).replace("|", "\\|").replace("<", "&lt;")


def hardware_page() -> str:
    """Every accelerator of the catalog with its figures, disputes and sources."""
    catalog = load_catalog()
    parts = sorted(catalog.accelerators.values(), key=lambda item: (item.vendor, item.family, item.id))
    whole = [item for item in parts if item.parent is None]
    slices = [item for item in parts if item.parent is not None]
    text = [
        "# Accelerators and where their figures are from",
        f"{len(whole)} accelerators and {len(slices)} slices of them. Rates are dense, bandwidth is in GB/s (10^9), memory "
        "in GiB (2^30) as the driver shows it. `sizing hardware show ID` prints an entry, "
        "[this](../how-to/add-an-accelerator.md) adds one. Prices and their ages are those of the day when this page was "
        "built.",
        _overview(whole),
    ]
    for vendor in dict.fromkeys(item.vendor for item in whole):
        text.append(f"## {vendor}")
        text += [_entry(item, catalog) for item in whole if item.vendor == vendor]
    text += ["## Slices", _slices(slices)]
    return "\n\n".join(text) + "\n"


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:,.5g}"


def _overview(items: list[Accelerator]) -> str:
    rows = ["| id | memory GiB | GB/s | BF16 TFLOP/s | FP8 TFLOP/s | W |", "|---|---:|---:|---:|---:|---:|"]
    for item in items:
        peaks = item.dense_peak_tflops
        cells = (item.usable_bytes / 2**30, item.memory_bandwidth_gb_s, peaks.bf16, peaks.fp8, item.tdp_w)
        shown = " | ".join(_figure(cell) for cell in cells)
        rows.append(f"| [{item.id}](#{item.id}) | {shown} |")
    return "\n".join(rows)


def _entry(item: Accelerator, catalog: Catalog) -> str:
    peaks = ", ".join(
        f"{name.upper()} {_figure(value)}"
        for name in COMPUTE_DTYPES
        if (value := getattr(item.dense_peak_tflops, name))
    )
    try:
        price = hourly_price(item.id, catalog=catalog)
        money = f"${price.usd:.3g} an hour ({price.rule}; quotes to {dated(price)})"
    except SizingError:
        money = "none known"
    servers = ", ".join(server.id for server in servers_for(item.id, catalog)) or "none"
    facts = [
        f"- Family `{item.family}`, {item.architecture}",
        f"- Memory: {_figure(item.usable_bytes / 2**30)} GiB usable ({item.memory.basis}), "
        f"{_figure(item.memory_bandwidth_gb_s)} GB/s",
        f"- Dense peaks [TFLOP/s, TOP/s]: {peaks or 'none known'}",
        f"- Price: {_cell(money)}",
        f"- Servers: {servers}",
        *(f"- {_cell(remark)}" for remark in item.remarks()),
        *(
            f"- Sources differ on {one.field}: {_cell(', '.join(map(str, one.values)))}; taken: {_cell(one.picked)} "
            f"({_cell(one.reason)})"
            for one in item.disputes
        ),
    ]
    return (
        f"### {item.id} {{ #{item.id} }}\n\n{_cell(item.name)}. {_cell(item.note or '')}\n\n"
        + "\n".join(facts)
        + "\n\n"
        + _sources(item.sources)
    )


def _sources(sources: tuple[Source, ...]) -> str:
    rows = ["| figures | source | says |", "|---|---|---|"]
    rows += [f"| {', '.join(one.fields)} | {_linked(one.ref)} | {_cell(one.says or '')} |" for one in sources]
    return "\n".join(rows)


def _linked(ref: str) -> str:
    """A source with its addresses as links."""
    return re.sub(r"https?://[^\s;,)\]]+", lambda found: f"<{found[0]}>", _cell(ref))


def _slices(items: list[Accelerator]) -> str:
    rows = ["| id | of | memory GiB | BF16 TFLOP/s | source |", "|---|---|---:|---:|---|"]
    for item in items:
        sources = "; ".join(dict.fromkeys(_linked(one.ref) for one in item.sources))
        memory, peak = _figure(item.usable_bytes / 2**30), _figure(item.dense_peak_tflops.bf16)
        rows.append(f"| {item.id} | [{item.parent}](#{item.parent}) | {memory} | {peak} | {sources} |")
    return "\n".join(rows)


def _from_root(name: str) -> Callable[[], str]:
    def page() -> str:
        text = (ROOT / name).read_text(encoding="utf-8")
        return re.sub(r"\]\(docs/", "](../", text)

    return page


GENERATED: dict[str, Callable[[], str]] = {
    "reference/cli.md": cli_page,
    "reference/python.md": python_page,
    "reference/study.md": study_page,
    "reference/hardware.md": hardware_page,
    "project/contributing.md": _from_root("CONTRIBUTING.md"),
    "project/changelog.md": _from_root("CHANGELOG.md"),
}
