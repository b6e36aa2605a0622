"""Plausibility of a catalog file: slips of unit, sparse rates taken for dense, figures out of range."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Literal

from sizing.base.errors import SizingError, one_line
from sizing.hardware import yaml_files
from sizing.hardware.loader import (
    ENTRY_KINDS,
    TOP_KEYS,
    Catalog,
    as_list,
    catalog_dir,
    check_top_keys,
    load_catalog,
    normalize,
    read_catalog,
)
from sizing.hardware.models import Accelerator, Server
from sizing.hardware.price_models import RentalQuote


@dataclass(frozen=True, slots=True)
class Finding:
    """One remark on a file. ``level`` "error" is a certain mistake, "warning" an unlikely figure."""

    level: Literal["error", "warning"]
    file: str
    entry: str
    key: str
    message: str

    def __str__(self) -> str:
        where = ": ".join(part for part in (self.file, self.entry, self.key) if part != "-")
        return one_line(f"{self.level}: {where}: {self.message}")


_Remark = tuple[str, str]  # key, message
MOST_ERRORS = 200  # that are shown: more of them is no file for this

# Ranges wide enough for every part in the catalog, from a T4 to a GB300 and a CPU socket.
_MEMORY_GB = (2, 2000)
_BANDWIDTH_GB_S = (50, 30_000)
_BANDWIDTH_PER_GB = (0.5, 150)
_TDP_W = (15, 4000)
_LINK_GB_S = (1, 4000)
_PEAK_TFLOPS = (0.1, 60_000)
_PRICE_PER_HOUR = (0.01, 100)


def check_file(path: Path) -> list[Finding]:
    """What looks wrong in one catalog file, worst first; an empty list is a clean bill."""
    path = Path(path)
    try:
        data = yaml_files.read(path)
        wrong = chain(_unknown_kinds(data, path.name), _misfits(data, path))
        found = list(dict.fromkeys(islice(wrong, MOST_ERRORS)))
        if len(found) == MOST_ERRORS:
            found.append(Finding("error", path.name, "-", "-", f"there may be more: the first {MOST_ERRORS} are shown"))
        if not found:
            found = sorted(_check(data, path.name, _catalog_with(path)), key=lambda finding: finding.level)
    except SizingError as error:
        found = [_finding(path.name, error)]
    return found


def _finding(file: str, error: SizingError) -> Finding:
    where = (error.key or "-").removeprefix(file).removeprefix(": ") or "-"
    text = f"{error.message} ({error.hint})" if error.hint else error.message
    return Finding("error", file, where, "-", text)


def _unknown_kinds(data: dict[str, object], file: str) -> Iterator[Finding]:
    """Every top-level key that no kind of entry has."""
    for key in data:
        try:
            check_top_keys(file, {key: None})
        except SizingError as error:
            yield _finding(file, error)


def _misfits(data: dict[str, object], path: Path) -> Iterator[Finding]:
    """Every problem of every entry of the file with its schema; entries in order, misspelt keys of each first."""
    catalog = _catalog_with(path)
    if catalog.extra_files:
        known = {key: value for key, value in data.items() if key in TOP_KEYS}
        catalog = Catalog.with_data(catalog_dir(), path, known)
    for error in (error for kind in ENTRY_KINDS for error in catalog.misfits(kind, path.name, data)):
        if not isinstance(error, yaml_files.EntryError):
            yield _finding(path.name, error)
            continue
        for problem in error.problems:
            hint = f" ({problem.hint})" if problem.hint else ""
            yield Finding("error", path.name, error.entry, problem.key or "-", f"{problem.message}{hint}")


def _catalog_with(path: Path) -> Catalog:
    if path.resolve().parent == catalog_dir().resolve():
        return load_catalog()
    return read_catalog(path)


def _check(data: dict[str, object], file: str, catalog: Catalog) -> Iterator[Finding]:
    catalog.families, catalog.slices, catalog.fabrics  # noqa: B018  (validates them)
    own = [str(item.get("id")) for item in as_list(data.get("accelerators"), file, "accelerators")]
    built_in = load_catalog().accelerators
    for key in own:
        accelerator = catalog.accelerators[key]
        for name, message in _ranges(accelerator):
            yield Finding("warning", file, key, name, message)
        for name, message in (*_rates(accelerator), *_against_known(accelerator, built_in)):
            yield Finding("warning", file, key, name, message)
        for alias in accelerator.aliases:
            owner = load_catalog().names.get(normalize(alias))
            if owner and owner[0] != key and owner[1] is None:
                yield Finding("warning", file, key, "aliases", f"{alias!r} already means {owner[0]}")
        if not accelerator.sources:
            yield Finding("warning", file, key, "sources", "no source is given for any figure")
    for item in as_list(data.get("servers"), file, "servers"):
        server = catalog.servers[str(item.get("id"))]
        for name, message in _server(server, catalog.accelerators[server.accelerator]):
            yield Finding("warning", file, server.id, name, message)
    if any(key in data for key in ("rental_quotes", "purchase_quotes", "api_prices", "price_assumptions")):
        yield from _prices(file, data, catalog)


def _outside(value: float | None, limits: tuple[float, float]) -> bool:
    return value is not None and not limits[0] <= value <= limits[1]


def _ranges(accelerator: Accelerator) -> Iterator[_Remark]:
    """Figures that no accelerator has: mostly a slip of unit."""
    memory, bandwidth = accelerator.memory, accelerator.memory_bandwidth_gb_s
    if _outside(memory.nominal_gb, _MEMORY_GB):
        yield "memory.nominal_gb", f"{memory.nominal_gb:g} GB: bytes or MiB instead of GB?"
    elif memory.usable_gib and not (0.6 if memory.unified else 0.7) <= memory.usable_gib / memory.nominal_gb <= 1.001:
        yield "memory.usable_gib", f"{memory.usable_gib:g} GiB of {memory.nominal_gb:g} GB is not plausible"
    if _outside(bandwidth, _BANDWIDTH_GB_S):
        yield "memory_bandwidth_gb_s", f"{bandwidth:g} GB/s: TB/s or bytes/s instead of GB/s?"
    elif bandwidth and _outside(bandwidth / memory.nominal_gb, _BANDWIDTH_PER_GB):
        yield "memory_bandwidth_gb_s", f"{bandwidth / memory.nominal_gb:.3g} GB/s per GB of memory"
    if _outside(accelerator.tdp_w, _TDP_W):
        yield "tdp_w", f"{accelerator.tdp_w:g} W: kW instead of W?"
    link = accelerator.interconnect.gb_s_per_direction
    if _outside(link, _LINK_GB_S):
        yield "interconnect.gb_s_per_direction", f"{link:g} GB/s: Gbit/s or bytes/s instead of GB/s?"
    for name, value in accelerator.dense_peak_tflops:
        if _outside(value, _PEAK_TFLOPS):
            yield f"dense_peak_tflops.{name}", f"{value:g} TFLOP/s: FLOP/s or PFLOP/s instead of TFLOP/s?"


def _rates(accelerator: Accelerator) -> Iterator[_Remark]:
    """Rates of one part among themselves: FP8 runs at once or twice the 16-bit rate, FP4 at 2 to 6 times."""
    rates = accelerator.dense_peak_tflops
    half = rates.bf16 or rates.fp16
    if not half:
        return
    if rates.bf16 and rates.fp16 and rates.bf16 != rates.fp16:
        yield "dense_peak_tflops.bf16", f"{rates.bf16:g} differs from FP16 at {rates.fp16:g}"
    if rates.fp8 and not _near(rates.fp8 / half, (1, 2)):
        sparse = " (a sparse figure?)" if rates.fp8 / half > 2.2 else ""
        yield (
            "dense_peak_tflops.fp8",
            f"{rates.fp8 / half:.3g} times the 16-bit rate{sparse}; usual is 1 or 2",
        )
    if rates.int8 and rates.int8 / half > 2.2 and not _near(rates.int8 / half, (4,)):
        yield "dense_peak_tflops.int8", f"{rates.int8 / half:.3g} times the 16-bit rate; usual is 1 or 2"
    if rates.fp4 and not 1.8 <= rates.fp4 / half <= 8.1:
        yield "dense_peak_tflops.fp4", f"{rates.fp4 / half:.3g} times the 16-bit rate; usual is 4 to 6"
    if accelerator.memory_bandwidth_gb_s:
        balance = half * 1000 / accelerator.memory_bandwidth_gb_s
        if not 5 <= balance <= 700:
            yield "dense_peak_tflops", f"{balance:.3g} FLOP per byte of bandwidth: outside of 5 to 700"


def _near(ratio: float, usual: tuple[float, ...]) -> bool:
    return any(abs(ratio / value - 1) <= 0.1 for value in usual)


def _against_known(accelerator: Accelerator, known: dict[str, Accelerator]) -> Iterator[_Remark]:
    """An override that doubles a known figure, or a part twice as fast as all of its family per unit."""
    before = known.get(accelerator.id)
    if before is None or before == accelerator:
        return
    for name, value in accelerator.dense_peak_tflops:
        old = getattr(before.dense_peak_tflops, name)
        if value and old and not 0.55 <= value / old <= 1.8:
            sparse = ": the sparse figure?" if 1.9 <= value / old <= 2.1 else ""
            yield f"dense_peak_tflops.{name}", f"{value / old:.3g} times the catalog's dense {old:g}{sparse}"
    new, old = accelerator.memory_bandwidth_gb_s, before.memory_bandwidth_gb_s
    if new and old and not 0.55 <= new / old <= 1.8:
        yield "memory_bandwidth_gb_s", f"{new / old:.3g} times the catalog's {old:g} GB/s"
    link, was = accelerator.interconnect.gb_s_per_direction, before.interconnect.gb_s_per_direction
    if link and was and not 0.55 <= link / was <= 1.8:
        both = ": both directions added?" if 1.9 <= link / was <= 2.1 else ""
        yield "interconnect.gb_s_per_direction", f"{link / was:.3g} times the catalog's {was:g}{both}"


def _server(server: Server, accelerator: Accelerator) -> Iterator[_Remark]:
    if server.max_power_kw is not None:
        if server.max_power_kw > 10 * server.accelerator_count:
            yield "max_power_kw", f"{server.max_power_kw:g} kW: W instead of kW?"
        least = (accelerator.tdp_w or 0) * server.accelerator_count / 1000
        if server.max_power_kw < least:
            yield "max_power_kw", f"{server.max_power_kw:g} kW is below the accelerators' own {least:g} kW"
    link, own = server.intra_node.gb_s_per_direction, accelerator.interconnect.gb_s_per_direction
    if link and own and link > 1.1 * own:
        yield "intra_node.gb_s_per_direction", f"{link:g} GB/s is above the accelerator's own {own:g}"


def _prices(file: str, data: dict[str, object], catalog: Catalog) -> Iterator[Finding]:
    catalog.price_assumptions, catalog.api_prices, catalog.purchase_quotes  # noqa: B018  (validates them)
    for number, item in enumerate(as_list(data.get("rental_quotes"), file, "rental_quotes"), 1):
        quote = yaml_files.validate(RentalQuote, item, file=file, entry=f"rental_quotes[{number}]")
        entry = f"rental_quotes[{number}]"
        if _outside(quote.price_per_hour, _PRICE_PER_HOUR):
            remark = f"{quote.price_per_hour:g} per accelerator-hour: the price of a whole server, or cents?"
            yield Finding("warning", file, entry, "price_per_hour", remark)
        if quote.date is None:
            yield Finding("warning", file, entry, "date", "no date: it will count as stale")
