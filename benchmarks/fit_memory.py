"""Refits the constants of the memory model and says how far they carry to models that the fit has not seen.

    python benchmarks/fit_memory.py ROWS.csv [--write]

Fits on start-up logs of vLLM (activation peak, graphs, runtime) and SGLang on Ascend (load overhead), by
least squares and medians; prints each constant beside the one in use, and leave-one-model-out errors.
``--write`` stores them in ``sizing/coefficients/memory.yaml``, whose other entries (derived or recalled ones)
stay as they are.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

import sizing.coefficients
from sizing.base.errors import SizingError
from sizing.coefficients.memory import constant, memory_constants
from sizing.engine.base import GIB, Device, Engine, Load, expert_copies, step_buffers
from sizing.engine.placement import Placement
from sizing.evidence.memory_rows import MemoryRow, engine_of, placement_of, read_rows, scheme_of
from sizing.evidence.validate_memory import catalog_loader, find_architecture, predict_row
from sizing.memory.terms import resolve_load
from sizing.model.architecture import Architecture
from sizing.model.quantization.schemes import QuantScheme

Fitted = dict[str, float]


@dataclass(frozen=True)
class Case:
    """A row with what the features are made of."""

    row: MemoryRow
    engine: Engine
    arch: Architecture
    placement: Placement
    scheme: QuantScheme
    load: Load

    @property
    def id(self) -> str:
        return self.row.text("id")

    @property
    def model(self) -> str:
        return self.row.text("model")


def cases_of(rows: Sequence[MemoryRow]) -> list[Case]:
    """The rows whose model, engine and placement are known."""
    cases = []
    for row in rows:
        try:
            engine, (arch, _), placement = (
                engine_of(row),
                find_architecture(row, catalog_loader),
                placement_of(row),
            )
        except SizingError:
            continue
        scheme = scheme_of(row, arch.native_quantization)
        load = resolve_load(
            engine,
            Device(80 * GIB, row.text("gpu")),
            arch,
            placement,
            context=row.whole("max_model_len"),
            max_num_seqs=row.whole("max_num_seqs"),
            max_num_batched_tokens=row.whole("max_num_batched_tokens"),
            enforce_eager=row.flag("enforce_eager"),
        )
        cases.append(Case(row, engine, arch, placement, scheme, load))
    return cases


def is_clean(case: Case) -> bool:
    """The set taken on one host with the same flags: raw DEBUG logs of vLLM 0.19 (V1) on H100."""
    return case.row.text("engine_version").startswith("v0.19.0 (V1)") and case.row.text("gpu") == "h100-80gb"


def logits_gib(case: Case) -> float:
    return case.load.max_num_seqs * case.arch.vocab_size * 4 / GIB


def hidden_gib(case: Case) -> float:
    return 2.0 * case.load.max_num_batched_tokens * case.arch.hidden_size / GIB


def experts_gib(case: Case) -> float:
    """The expert buffers' feature, without its coefficient."""
    if case.scheme.experts.name == "mxfp4":
        return 0.0
    copies = float(expert_copies(case.arch, case.placement)) / constant("vllm_activation", "expert_copies")
    return 2.0 * case.load.max_num_batched_tokens * copies / GIB


def solve(features: Sequence[Sequence[float]], values: Sequence[float]) -> list[float]:
    """Least squares."""
    found, *_ = np.linalg.lstsq(np.asarray(features, dtype=float), np.asarray(values, dtype=float), rcond=None)
    return [float(value) for value in found]


def sampler_cases(cases: Sequence[Case]) -> list[Case]:
    """Clean rows whose peak is the sampler's, not the widest layer's."""
    kept = []
    for case in cases:
        peak = case.row.number("activation_peak_gib")
        floor = float(step_buffers(case.arch, case.placement, case.load.max_num_batched_tokens)) / GIB
        if is_clean(case) and peak is not None and peak > 1.15 * floor:
            kept.append(case)
    return kept


def fit_activation(cases: Sequence[Case]) -> Fitted:
    """Sampler copies, fixed part, expert copies, vision, INT8, since 0.17."""
    rows = sampler_cases(cases)
    features = [
        [
            logits_gib(case),
            1.0,
            experts_gib(case),
            1.0 if case.arch.vision is not None else 0.0,
            (1.0 if case.scheme.linear.compute == "int8" else 0.0) / float(case.placement.tp),
        ]
        for case in rows
    ]
    values = [(case.row.number("activation_peak_gib") or 0.0) - hidden_gib(case) for case in rows]
    names = ("sampler_copies", "fixed_gib", "expert_copies", "vision_gib", "int8_gib")
    return dict(zip(names, solve(features, values), strict=True))


def fit_old_sampler(cases: Sequence[Case]) -> Fitted:
    """Sampler copies before 0.17: the median over V1 logs with 1024 sequences."""
    found = []
    for case in cases:
        peak = case.row.number("activation_peak_gib")
        if peak and (0, 9) <= case.engine.version < (0, 17) and case.load.max_num_seqs == 1024:
            fixed = hidden_gib(case) + constant("vllm_activation", "fixed_gib")
            if case.engine.name == "vllm" and case.arch.vision is None:
                found.append((peak - fixed) / logits_gib(case))
    return {"sampler_copies_before_0_17": statistics.median(found)} if found else {}


def fit_graphs(cases: Sequence[Case]) -> Fitted:
    """Graph memory of the clean rows: fixed, for experts, by layers x hidden / tp."""
    rows = [case for case in cases if is_clean(case) and case.row.number("cuda_graph_gib") is not None]
    features = [
        [
            1.0,
            1.0 if case.arch.is_moe else 0.0,
            case.arch.num_layers * case.arch.hidden_size / 1e5 / float(case.placement.tp),
        ]
        for case in rows
    ]
    values = [case.row.number("cuda_graph_gib") or 0.0 for case in rows]
    return dict(zip(("fixed_gib", "moe_gib", "width_gib"), solve(features, values), strict=True))


def fit_runtime(cases: Sequence[Case]) -> Fitted:
    """Medians of non-torch memory of the clean rows, alone and in a group."""
    fitted: Fitted = {}
    for name, grouped in (("single_gib_since_0_18", False), ("group_gib_since_0_18", True)):
        found = [
            case.row.number("non_torch_gib") or 0.0
            for case in cases
            if is_clean(case) and case.row.number("non_torch_gib") and (case.placement.tp > 1) is grouped
        ]
        if found:
            fitted[name] = statistics.median(found)
    return fitted


SECTIONS: dict[str, tuple[str, Callable[[Sequence[Case]], Fitted], str]] = {
    "activation since 0.17": ("vllm_activation", fit_activation, "activation_peak_gib"),
    "activation before 0.17": ("vllm_activation", fit_old_sampler, "activation_peak_gib"),
    "graphs": ("vllm_graphs", fit_graphs, "cuda_graph_gib"),
    "runtime": ("vllm_runtime", fit_runtime, "non_torch_gib"),
}


def with_constants(section: str, fitted: Fitted) -> Callable[[], None]:
    """Put fitted values in use; the result puts the old ones back."""
    table = memory_constants()[section]
    before = {name: table[name]["value"] for name in fitted}
    for name, value in fitted.items():
        table[name]["value"] = value

    def restore() -> None:
        for name, value in before.items():
            table[name]["value"] = value

    return restore


def leave_one_model_out(
    cases: Sequence[Case], section: str, fit: Callable[[Sequence[Case]], Fitted], figure: str
) -> list[float]:
    """Relative errors of a figure on clean rows, each model predicted by a fit that has not seen it."""
    errors = []
    clean = [case for case in cases if is_clean(case)]
    for model in sorted({case.model for case in clean}):
        restore = with_constants(section, fit([case for case in cases if case.model != model]))
        for case in clean:
            measured = case.row.number(figure)
            if case.model == model and measured:
                predicted = predict_row(case.row).figures.get(figure)
                if predicted is not None:
                    errors.append(abs(predicted / measured - 1))
        restore()
    return errors


def main(arguments: Sequence[str]) -> int:
    """Fit, compare, print; with ``--write`` store."""
    files = [item for item in arguments if not item.startswith("--")]
    cases = cases_of(read_rows(files[0]))
    document: dict[str, Any] = memory_constants()
    for title, (section, fit, figure) in SECTIONS.items():
        fitted = fit(cases)
        for name, value in fitted.items():
            print(f"{title:24}{name:34}{document[section][name]['value']:10.4f} -> {value:10.4f}")
        if title != "activation before 0.17":
            errors = leave_one_model_out(cases, section, fit, figure)
            worst = max(errors)
            print(f"  left out by model: {figure} median {statistics.median(errors):.2%}, worst {worst:.2%}")
        if "--write" in arguments:
            for name, value in fitted.items():
                document[section][name]["value"] = round(value, 4)
    errors = leave_one_model_out(cases, "vllm_activation", fit_activation, "kv_cache_tokens")
    print(f"  left out: kv_cache_tokens median {statistics.median(errors):.2%}, worst {max(errors):.2%}")
    if "--write" in arguments:
        path = Path(sizing.coefficients.__path__[0]) / "memory.yaml"
        head = "".join(line for line in path.read_text(encoding="utf-8").splitlines(True) if line.startswith("#"))
        path.write_text(head + yaml.safe_dump(document, sort_keys=False, width=110), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
