"""Predicts rows of measured engine memory and compares: ``sizing validate --memory ROWS``.

Output columns: ``id, weights_gib_per_gpu, activation_peak_gib, non_torch_gib, cuda_graph_gib,
kv_cache_gib_per_gpu, kv_cache_tokens, max_concurrency_at_len, note``. A row that cannot be predicted has
empty figures and the reason in ``note``; figures that lack an input (the accelerator is unknown) are empty
one by one.
"""

from __future__ import annotations

import csv
import re
import statistics
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TextIO, TypedDict

from sizing.base.errors import SizingError
from sizing.engine.base import GIB
from sizing.evidence.memory_rows import (
    MemoryRow,
    base_name,
    engine_of,
    model_names,
    placement_of,
    read_rows,
    scheme_of,
    total_gib_of,
)
from sizing.memory.ledger import MemoryLedger, memory_ledger
from sizing.model.architecture import Architecture
from sizing.model.habits import as_published

FIGURES = (
    "weights_gib_per_gpu",
    "activation_peak_gib",
    "non_torch_gib",
    "cuda_graph_gib",
    "kv_cache_gib_per_gpu",
    "kv_cache_tokens",
    "max_concurrency_at_len",
)
COLUMNS = ("id", *FIGURES, "note")
STAND_IN_GIB = 80.0  # lets weights be told when the accelerator is unknown; no other figure uses it

OFFLOAD_LIMIT = 0.97  # what is not a layer's weight stays on the accelerator

Loader = Callable[[str], Architecture]


class Options(TypedDict, total=False):
    """What a row passes on to the memory ledger."""

    device_name: str
    kv_dtype: str
    context: int | None
    max_num_seqs: int | None
    max_num_batched_tokens: int | None
    memory_utilization: float | None
    speculative_tokens: int
    enforce_eager: bool
    draft_weight_bytes: float
    strict: bool


@dataclass(frozen=True, slots=True)
class Prediction:
    """The figures of one row; None where it cannot be told. GiB are 2^30 bytes."""

    id: str
    figures: dict[str, float | None]
    note: str

    def cells(self) -> list[str]:
        """The line of the output file."""
        numbers = ["" if self.figures.get(name) is None else f"{self.figures[name]:.6g}" for name in FIGURES]
        return [self.id, *numbers, self.note]


@lru_cache(maxsize=2048)
def catalog_loader(name: str) -> Architecture:
    """The architecture of a catalog name (never the network). Raises SizingError for an unknown one."""
    from sizing.model.sources import load_model

    return load_model(name, allow_hub=False)


@lru_cache(maxsize=1)
def _bases() -> dict[str, str]:
    """Catalog names by their base: the name without organisation, quantisation and tuning."""
    from sizing.model.sources import catalog_models

    found: dict[str, str] = {}
    for model in catalog_models():
        found.setdefault(base_name(model.name), model.name)
    return found


def find_architecture(row: MemoryRow, load: Loader) -> tuple[Architecture, str]:
    """The row's architecture and the name that it was found under, the same build in another quantisation
    if need be.

    Raises SizingError when none is known.

    """
    first: SizingError | None = None
    names = list(model_names(row))
    for name in names:
        try:
            return load(name), name
        except SizingError as problem:
            first = first or problem
    for name in names:
        other = _bases().get(base_name(name))
        if other is not None:
            return load(other), other
    raise first or SizingError("no model is named", key="model")


def predict_row(row: MemoryRow, load: Loader = catalog_loader) -> Prediction:
    """All figures of one row, never raising for bad cells."""
    name = row.text("id") or row.text("row")
    try:
        return _predict(row, name, load)
    except SizingError as problem:
        return Prediction(name, {}, str(problem))


def _predict(row: MemoryRow, name: str, load: Loader) -> Prediction:
    engine = engine_of(row)
    arch, found = find_architecture(row, load)
    notes = [f"as {found}"] if found != row.text("model") else []
    if re.search(r"embedding|reranker|pooling", f"{row.text('model')} {row.text('notes')}".lower()):
        arch = replace(arch, has_lm_head=False)
    placement = placement_of(row)
    exact = _same_checkpoint(row, found)
    weights = scheme_of(row, arch.native_quantization, same_checkpoint=exact)
    if not exact or arch.native_quantization is None:
        weights, said = as_published(arch, weights)
        notes += [said] if said else []
    total = total_gib_of(row)
    kv = row.text("kv_dtype").split("(")[0].strip() or "auto"
    if kv == "auto" and exact and weights.kv_cache_dtype:
        kv = weights.kv_cache_dtype
        notes.append(f"KV cache in {kv}, as the checkpoint asks")
    elif kv == "auto" and engine.name == "tensorrt-llm" and weights.linear.compute in ("fp8", "fp4"):
        kv = "fp8"
        notes.append("KV cache taken as fp8 with these weights")
    utilization = row.number("gpu_memory_utilization")
    text = row.text("notes").lower()
    drafted = 1 if "vllm" in engine.name and ("speculative" in text or "mtp" in text) and arch.mtp_groups else 0
    options = Options(
        device_name=row.text("gpu"),
        kv_dtype=kv,
        context=row.whole("max_model_len"),
        max_num_seqs=row.whole("max_num_seqs"),
        max_num_batched_tokens=row.whole("max_num_batched_tokens"),
        memory_utilization=utilization if utilization and 0 < utilization <= 1 else None,
        speculative_tokens=drafted,
        enforce_eager=row.flag("enforce_eager"),
        strict=False,
    )
    usable = (total or STAND_IN_GIB) * GIB
    ledger = memory_ledger(arch, usable, placement, engine, weights, **options)
    offload = re.search(r"cpu-offload-gb[ =](\d+)", text)
    if offload:
        moved = min(float(offload[1]) * GIB, OFFLOAD_LIMIT * ledger.weights_bytes)
        notes.append(f"{moved / GIB:.1f} GiB of weights offloaded to the host")
        ledger = memory_ledger(
            arch, usable, placement, engine, weights, **(options | Options(draft_weight_bytes=-moved))
        )
    notes.extend(ledger.assumptions)
    figures = _figures(ledger)
    if total is None:
        notes.insert(0, "accelerator unknown: weights only")
        figures = {"weights_gib_per_gpu": figures["weights_gib_per_gpu"]}
    return Prediction(name, figures, "; ".join(notes))


def _same_checkpoint(row: MemoryRow, found: str) -> bool:
    """Whether the catalog's entry is the row's very checkpoint, so that its own quantisation is to be
    believed.
    """
    from sizing.model.sources import find_in_catalog

    if found.rsplit("/", 1)[-1].lower() != row.text("model").rsplit("/", 1)[-1].lower():
        return False
    entry = find_in_catalog(found)
    return entry is None or entry[1] is None


def _figures(ledger: MemoryLedger) -> dict[str, float | None]:
    return {
        "weights_gib_per_gpu": ledger.weights_bytes / GIB,
        "activation_peak_gib": ledger.activation_bytes / GIB,
        "non_torch_gib": ledger.runtime_bytes / GIB,
        "cuda_graph_gib": ledger.graphs_bytes / GIB,
        "kv_cache_gib_per_gpu": ledger.kv_pool_bytes / GIB,
        "kv_cache_tokens": float(ledger.kv_pool_tokens),
        "max_concurrency_at_len": ledger.max_concurrency,
    }


def validate_memory(path: Path | str, out: TextIO | None = None, load: Loader = catalog_loader) -> list[Prediction]:
    """Predict every row of a file; with ``out`` write the prediction file as CSV."""
    predictions = [predict_row(row, load) for row in read_rows(path)]
    if out is not None:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(prediction.cells() for prediction in predictions)
    return predictions


@dataclass(frozen=True, slots=True)
class ErrorLine:
    """Errors of one figure over one set of rows: relative, as fractions; absolute in the figure's unit."""

    figure: str
    group: str
    rows: int
    median_relative: float
    p90_relative: float
    median_absolute: float
    bias: float


def error_table(rows: Iterable[MemoryRow], predictions: Iterable[Prediction], by: str | None = None) -> list[ErrorLine]:
    """Errors by figure (and by the column ``by``) where it was measured above zero and predicted."""
    pairs: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for row, prediction in zip(rows, predictions, strict=True):
        group = row.text(by) if by else "all"
        for figure in FIGURES:
            measured, predicted = row.number(figure), prediction.figures.get(figure)
            if measured is None or predicted is None or measured <= 0:
                continue
            pairs.setdefault((figure, group), []).append((measured, predicted))
    table = []
    for (figure, group), values in sorted(pairs.items(), key=lambda item: (FIGURES.index(item[0][0]), item[0][1])):
        relative = sorted(abs(predicted / measured - 1) for measured, predicted in values)
        table.append(
            ErrorLine(
                figure,
                group,
                len(values),
                statistics.median(relative),
                relative[min(len(relative) - 1, int(0.9 * len(relative)))],
                statistics.median(abs(predicted - measured) for measured, predicted in values),
                statistics.median(predicted / measured - 1 for measured, predicted in values),
            )
        )
    return table


def main(arguments: list[str] | None = None) -> int:
    """``python -m sizing.evidence.validate_memory ROWS [OUT.csv]``: predict, compare, print errors."""
    given = sys.argv[1:] if arguments is None else arguments
    rows = read_rows(given[0])
    if len(given) > 1:
        with Path(given[1]).open("w", encoding="utf-8", newline="") as out:
            predictions = validate_memory(given[0], out)
    else:
        predictions = validate_memory(given[0])
    for by in (None, "engine"):
        for line in error_table(rows, predictions, by):
            print(
                f"{line.figure:26}{line.group:24}{line.rows:4d} rows  median {line.median_relative:7.2%}  "
                f"p90 {line.p90_relative:7.2%}  off by {line.median_absolute:9.4g}  bias {line.bias:+.2%}"
            )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
