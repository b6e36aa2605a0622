"""Predicts rows of measured servers: mean TTFT and TPOT as p10, p50, p90, thousands of rows at once.

Rows of one (model, format, engine, version, machine) are timed together; what the coefficients multiply is kept apart
(``Features``), so that ``benchmarks/fit_serving.py`` fits with the very code that predicts.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from sizing.base.arrays import FloatArray, as_float
from sizing.base.errors import SizingError
from sizing.coefficients.batching import Batching
from sizing.coefficients.intervals import spread
from sizing.coefficients.kernels import MachineRates, kernel_curves
from sizing.coefficients.overheads import Overheads
from sizing.coefficients.serving import mixes_prefill, serving_coefficients, serving_document
from sizing.engine.base import Device, parse_version
from sizing.engine.devices import device_of
from sizing.engine.placement import Placement
from sizing.engine.registry import get_engine
from sizing.evidence import rows_serving
from sizing.evidence.labels import TOTAL_ONLY, reinterpret
from sizing.evidence.rows_serving import ServingRow
from sizing.evidence.weight_labels import Weights
from sizing.hardware import load_catalog
from sizing.hardware.machine import machine_rates
from sizing.memory.terms import memory_terms, resolve_load
from sizing.model.architecture import Architecture
from sizing.model.kv_formats import kv_format
from sizing.model.quantization.schemes import QuantScheme
from sizing.model.quantization.schemes import scheme as scheme_named
from sizing.serving import Chunks, Load, StepTimes, chunk_shape, closed_response, held_tokens, mixed_prefill, settle
from sizing.step.model import Parts, StepModel
from sizing.step.operations import StepShape

COLUMNS = (
    "row",
    "ttft_ms_p10",
    "ttft_ms_p50",
    "ttft_ms_p90",
    "tpot_ms_p10",
    "tpot_ms_p50",
    "tpot_ms_p90",
    "note",
)
MEAN_LENGTH = 0.9  # InferenceX draws lengths uniformly from 0.8 to 1 of the nominal ones
VAGUE_POOL = 0.15  # of the accelerator's memory
DECODE_WORKERS = 6.0  # of a disaggregated deployment that does not state them: leaves the TPOT of such rows unbiased
DECODE_SHARE = 0.5  # of a deployment's accelerators, where only their total is stated
PREFILL_RANKS = 4  # of one prefill worker of such a deployment
PREFILL_BUSY = 0.9  # of the time, where the size of the prefill pool is not stated
PASSES = ("decode", "half", "alone", "mixed")


@dataclass(frozen=True, slots=True)
class Case:
    """One row made ready: sizes of the pools as numbers. ``prefill`` equals ``decode`` for aggregated rows."""

    index: int
    decode: Placement
    prefill: Placement
    batch: float
    input_tokens: float
    output_tokens: float
    same_lengths: float
    disaggregated: bool
    prefill_workers: float
    decode_workers: float
    uncertain: bool


@dataclass(slots=True)
class Features:
    """Everything about the answered rows that does not depend on the fitted coefficients; arrays over rows."""

    index: list[int] = field(default_factory=list)
    engines: list[str] = field(default_factory=list)
    versions: list[tuple[int, ...] | None] = field(default_factory=list)
    families: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    dtypes: list[str] = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)
    passes: dict[str, Parts] = field(default_factory=dict)
    chunks: Chunks = field(default_factory=lambda: Chunks(*(np.zeros(0),) * 4))
    running_limit: FloatArray = field(default_factory=lambda: np.zeros(0))
    notes: dict[int, str] = field(default_factory=dict)  # by index of the row


@dataclass(frozen=True, slots=True)
class ServingPredictions:
    """Predictions in seconds, one per row; NaN where ``notes`` says why there is none."""

    ttft_p10: FloatArray
    ttft_p50: FloatArray
    ttft_p90: FloatArray
    tpot_p10: FloatArray
    tpot_p50: FloatArray
    tpot_p90: FloatArray
    notes: tuple[str, ...]


@lru_cache(maxsize=512)
def _architecture(model: str) -> Architecture:
    from sizing.model.sources import load_model

    return load_model(model, allow_hub=False)


@lru_cache(maxsize=64)
def _machine(system: str) -> tuple[MachineRates, Device]:
    """Rates of a machine in its usual server, and the accelerator as engines see it."""
    catalog = load_catalog()
    accelerator, _ = catalog.resolve(system)
    servers = [s for s in catalog.servers.values() if s.accelerator == accelerator.id or accelerator.id in s.also_fits]
    server = next((s for s in servers if s.default), servers[0] if servers else None)
    return machine_rates(accelerator, server), device_of(accelerator)


@lru_cache(maxsize=256)
def _scheme(weights: Weights, native: QuantScheme | None) -> QuantScheme:
    own = Weights(native.linear.name, native.experts.name) if native is not None else None
    found = weights.resolve(own)
    if native is not None and own == found:
        return native
    base = scheme_named(found.linear or "bf16")
    experts = scheme_named(found.experts or found.linear or "bf16").experts
    return replace(base, name=found.scheme or base.name, experts=experts)


def kv_dtype(engine: str, weights: QuantScheme) -> str:
    """The cache's dtype when the row states none: FP8 with FP8 or FP4 weights under TensorRT-LLM, else 16 bits."""
    quantised = weights.linear.compute in ("fp8", "fp4")
    return "fp8" if engine == "tensorrt-llm" and quantised else "bf16"


def _layout(place: rows_serving.Placement, smallest: int) -> tuple[Placement, bool]:
    """The placement, attention ranks added where the stated accelerators cannot hold the weights; whether they were."""
    tp, dp, pp = place.tp, place.dp, place.pp
    grown = False
    while tp * dp * pp < smallest and tp * dp < 64:
        dp, grown = dp * 2, True
    ranks = tp * dp
    ep = ranks if grown else min(place.moe_ep, ranks)
    return Placement(tp=tp, pp=pp, dp=dp, ep=ep if ranks % ep == 0 else 1), grown


def _case(row: ServingRow, index: int, smallest: int) -> Case | str:
    """The row as a case, or why it can't be one."""
    total = any(TOTAL_ONLY in text for text in row.problems)
    others = [text for text in row.problems if TOTAL_ONLY not in text]
    if others:
        return "; ".join(others)
    scale = MEAN_LENGTH if row.inferencex else 1.0
    lengths = (row.isl * scale, max(row.osl * scale, 2.0), 0.0 if row.inferencex else 1.0)
    if row.mode == "agg" and row.placement is not None and not total:
        place, grown = _layout(row.placement, smallest)
        batch = row.placement.batch
        if batch is None:
            batch = (row.concurrency or 1.0) / row.placement.dp / row.replicas
        return Case(index, place, place, batch, *lengths, False, 1.0, 1.0, grown)
    if total:
        whole = row.placement or row.decode
        assert whole is not None
        ranks = max(int(whole.tp * DECODE_SHARE), 1)
        held = row.concurrency or whole.batch or 1.0
        place = Placement(tp=1, dp=ranks, ep=ranks)
        prefill_workers = max((whole.tp - ranks) / PREFILL_RANKS, 1.0)
        one = Placement(tp=PREFILL_RANKS, ep=PREFILL_RANKS)
        return Case(index, place, one, held / ranks, *lengths, True, prefill_workers, 1.0, True)
    if row.prefill is None or row.decode is None:
        return "the placement is not stated"
    decode, grown = _layout(row.decode, smallest)
    prefill, also = _layout(row.prefill, smallest)
    # Where the workers are not stated, some share the load (DECODE_WORKERS), up to one a request.
    stated = row.decode.workers
    batch = row.decode.batch
    held = (batch or 1.0) * row.decode.dp * (stated or 1)
    if row.concurrency is not None and (stated is None or batch is None):
        held = row.concurrency
    workers = float(stated) if stated else max(min(DECODE_WORKERS, held), 1.0)
    if batch is None or not stated:
        batch = held / decode.dp / workers
    guessed = grown or also or not stated
    return Case(index, decode, prefill, batch, *lengths, True, float(row.prefill.workers or 0), workers, guessed)


def _stack(cases: Sequence[Case], name: str) -> Placement:
    """The placements of many cases as one of arrays."""
    sizes = [getattr(case, name) for case in cases]
    return Placement(*(np.asarray([float(getattr(p, axis)) for p in sizes]) for axis in ("tp", "pp", "dp", "ep")))


def _array(cases: Sequence[Case], name: str) -> FloatArray:
    return np.asarray([getattr(case, name) for case in cases], np.float64)


GroupKey = tuple[str, str, str | None, str, Weights]


def _time_group(key: GroupKey, members: list[tuple[int, ServingRow]], found: Features, parts: list[Any]) -> None:
    """Time all rows of one group and append them to ``found`` and ``parts``."""
    model_name, engine_name, version, system, weights = key
    arch = _architecture(model_name)
    machine, device = _machine(system)
    usable = float(device.total_bytes)
    quant = _scheme(weights, arch.native_quantization)
    try:
        engine = get_engine(engine_name, version)
    except SizingError:
        engine = get_engine(engine_name)
    kv_name = kv_dtype(engine.name, quant)
    weight_bytes = (arch.total - arch.mtp) * (quant.experts if arch.is_moe else quant.linear).bits / 8
    smallest = 1 if weight_bytes < 0.95 * usable else 2 ** math.ceil(math.log2(weight_bytes / (0.9 * usable)))
    cases: list[Case] = []
    for index, row in members:
        case = _case(row, index, smallest)
        if isinstance(case, str):
            found.notes[index] = case
        else:
            cases.append(case)
            found.notes[index] = "; ".join(
                (*row.notes, *(("placement guessed: wide interval",) if case.uncertain else ()))
            )
    if not cases:
        return
    model = StepModel(
        arch,
        quant,
        machine,
        kernel_curves(machine.family),
        kv=kv_format(kv_name),
        layout=engine.layout,
        fp8_index_keys=engine.fp8_index_keys(device),
    )
    decode_at, prefill_at = _stack(cases, "decode"), _stack(cases, "prefill")
    inputs, outputs = _array(cases, "input_tokens"), _array(cases, "output_tokens")
    apart = _array(cases, "disaggregated") > 0
    flags = resolve_load(engine, device, arch, decode_at, context=int(np.ceil(np.max(inputs + outputs))))
    terms = memory_terms(arch, device, decode_at, engine, quant, flags, kv_dtype=kv_name)
    held = held_tokens(inputs, outputs, reserves=engine.reserves_max_output)
    limit = as_float(terms.pool_tokens) / held
    # A pool within the errors of the memory model (its weights, its fraction) says nothing about the limit.
    vague = as_float(terms.pool) < VAGUE_POOL * usable
    limit = np.where(apart | vague | (limit < 1.0), np.inf, limit)
    n = np.maximum(_array(cases, "batch"), 1.0)
    running = np.minimum(n, np.maximum(limit, 1.0)) / as_float(decode_at.pp)
    budget = float(engine.default_batched_tokens(device, arch.max_position_embeddings))
    stated = parse_version(version)
    batching = Batching(token_budget=budget, mixed=mixes_prefill(engine.name, stated))
    load = Load(n, inputs, outputs)
    chunks = chunk_shape(load, batching, np.where(apart, 0.0, running))
    context = inputs + outputs / 2
    decode = StepShape(decode_seqs=running, decode_context=context)
    half = StepShape(decode_seqs=running / 2, decode_context=context)
    alone = chunks.shape()
    mixed = chunks.shape(running, context)
    made = {
        "decode": model.parts(decode, decode_at),
        "half": model.parts(half, decode_at),
        "alone": model.parts(alone, prefill_at),
        "mixed": model.parts(mixed, decode_at),
    }
    count = len(cases)
    parts.append((count, made, chunks, limit))
    found.index += [case.index for case in cases]
    found.cases += cases
    found.engines += [engine.name] * count
    found.versions += [stated] * count
    found.families += [machine.family] * count
    found.kinds += [arch.kind] * count
    found.dtypes += [(quant.experts if arch.is_moe else quant.linear).name] * count


def features(rows: Sequence[ServingRow], *, labels: bool = True) -> Features:
    """Time the kernels of all rows; ``labels`` applies the rules of ``labels.reinterpret`` first."""
    found, parts = Features(), list[Any]()
    groups: dict[GroupKey, list[tuple[int, ServingRow]]] = {}
    for index, raw in enumerate(rows):
        row = reinterpret(raw, enabled=labels)
        if row.engine is None or not row.model or not row.system:
            found.notes[index] = "; ".join(row.problems) or "the model, machine or engine is not stated"
            continue
        groups.setdefault((row.model, row.engine, row.engine_version, row.system, row.weights), []).append((index, row))
    for key, members in groups.items():
        try:
            _time_group(key, members, found, parts)
        except (SizingError, KeyError) as problem:
            found.notes.update({index: str(problem) for index, _ in members})
    if parts:
        names = [item.name for item in fields(Chunks)]
        found.chunks = Chunks(
            *(np.concatenate([np.broadcast_to(getattr(p[2], name), p[0]) for p in parts]) for name in names)
        )
        limits = np.concatenate([np.broadcast_to(p[3], p[0]) for p in parts])
        # A guessed placement tells nothing of how many requests its cache holds.
        found.running_limit = np.where([case.uncertain for case in found.cases], np.inf, limits)
        found.passes = {name: _joined([(p[0], p[1][name]) for p in parts]) for name in PASSES}
    return found


def _joined(parts: list[tuple[int, Parts]]) -> Parts:
    """Passes of several groups as one pass over all their rows."""
    keys = sorted({key for _, part in parts for key in part.amounts})

    def column(get: Callable[[Parts], Any]) -> FloatArray:
        return np.concatenate([np.broadcast_to(as_float(get(part)), count) for count, part in parts])

    amounts = {key: column(lambda part, key=key: part.amounts.get(key, 0.0)) for key in keys}  # type: ignore[misc]
    return Parts(amounts, column(lambda part: part.share))


@dataclass(frozen=True, slots=True)
class Pools:
    """Coefficients of benchmarks and of separate pools.

    burst: share of N prompts' prefill that the first burst adds to the mean TTFT. wave, wave_cap: where all requests are
    equally long, up to wave_cap of them stay in step in engines that mix prefill and decode, and wait for each other's
    prompts. poll_steps, balance_steps: decode steps that a new request waits under InferenceX's recipes, where SGLang's
    scheduler looks for requests only every so many steps, and TensorRT-LLM's attention data-parallel ranks wait for
    each other's prompts; neither is a default of the engine, so no plan counts them. disagg_tpot, disagg_prefill: factors
    on the decode step and on prefill of separate pools. disagg_fixed_s: of handing the cache over [s].
    """

    burst: Any = 0.05
    wave: Any = 0.0
    wave_cap: Any = 8.0
    poll_steps: Any = 0.0
    balance_steps: Any = 0.0
    disagg_tpot: Any = 1.0
    disagg_prefill: Any = 1.0
    disagg_fixed_s: Any = 0.25


def evaluate(found: Features, over: Overheads, batching: Batching, pools: Pools) -> tuple[FloatArray, FloatArray]:
    """``(TTFT, TPOT)`` in seconds of all feature rows; coefficients may be arrays over the rows."""
    cases = found.cases
    apart = _array(cases, "disaggregated") > 0
    named = zip(found.engines, found.versions, strict=True)
    mixes = np.asarray([mixes_prefill(engine, version) for engine, version in named])
    decode_s, half_s = found.passes["decode"].seconds(over), found.passes["half"].seconds(over)
    alone = found.chunks.number * found.passes["alone"].seconds(over)
    prefill = mixed_prefill(batching, found.chunks, alone, found.passes["mixed"].seconds(over), decode_s)
    prefill = replace(
        prefill,
        marginal_s=np.where(mixes, prefill.marginal_s, alone / found.chunks.together),
        in_batch_s=np.where(mixes, prefill.in_batch_s, alone),
    )
    n = np.maximum(_array(cases, "batch"), 1.0)
    outputs = _array(cases, "output_tokens")
    load = Load(
        n,
        _array(cases, "input_tokens"),
        outputs,
        running_limit=found.running_limit,
        same_lengths=_array(cases, "same_lengths"),
    )
    place = _stack(cases, "decode")
    state = settle(StepTimes(decode_s, half_s, prefill), place, load, batching)
    burst = pools.burst * np.minimum(n, found.running_limit) * prefill.marginal_s
    in_step = np.minimum(n - 1.0, pools.wave_cap) * as_float(load.same_lengths) * mixes
    burst = burst + pools.wave * in_step * prefill.marginal_s
    recipe = 1.0 - as_float(load.same_lengths)
    engines = np.asarray(found.engines)
    steps = np.where(engines == "sglang", pools.poll_steps, 0.0)
    steps = steps + np.where((engines == "tensorrt-llm") & (as_float(place.dp) > 1), pools.balance_steps, 0.0)
    burst = burst + steps * recipe * state.decode_step_s
    # Separate pools: decode steps hold no prompts; prompts queue at the prefill pool's ranks, which starves decode.
    service = alone * pools.disagg_prefill
    held = n * as_float(place.dp) * _array(cases, "decode_workers")
    servers = np.maximum(_array(cases, "prefill_workers"), 1.0)
    # A pool whose size is not stated was made large enough for the decode pool's pace, with some room.
    pace = held / (outputs * decode_s * pools.disagg_tpot + service)
    wanted = np.ceil(pace * service / PREFILL_BUSY / as_float(_stack(cases, "prefill").dp))
    servers = np.where(_array(cases, "prefill_workers") > 0, servers, np.maximum(wanted, 1.0))
    servers = servers * as_float(_stack(cases, "prefill").dp)
    slope = (decode_s - half_s) / (n / 2)
    decoding = held
    for _ in range(6):
        step = np.maximum(decode_s - slope * n * (1.0 - decoding / held), half_s * 0.3)
        tpot_apart = step * pools.disagg_tpot
        response = closed_response(service / servers, outputs * tpot_apart, held)
        queued = response - service / servers
        decoding = 0.5 * (decoding + held * outputs * tpot_apart / (outputs * tpot_apart + service + queued))
    weight = np.minimum(as_float(batching.wait_weight), 1.0)
    first_burst = pools.burst * held * service / servers
    ttft_apart = service + weight * queued + first_burst + pools.disagg_fixed_s
    return np.where(apart, ttft_apart, state.ttft_s + burst), np.where(apart, tpot_apart, state.tpot_s)


def committed_coefficients(found: Features) -> tuple[Overheads, Batching, Pools]:
    """The coefficients of serving.yaml as arrays over the answered rows, and those of benchmarks and pools."""
    named = zip(found.engines, found.families, found.kinds, found.versions, strict=True)
    sets = [serving_coefficients(e, f, mla=kind == "mla", version=version) for e, f, kind, version in named]
    over = Overheads(**{item.name: _of(sets, "overheads", item.name) for item in fields(Overheads)})
    names = [item.name for item in fields(Batching) if item.name not in ("mixed", "token_budget")]
    batching = Batching(**{name: _of(sets, "batching", name) for name in names})
    return over, batching, Pools(**serving_document().get("pools", {}))


def _of(sets: list[Any], part: str, name: str) -> Any:
    values = [getattr(getattr(item, part), name) for item in sets]
    if name in ("interference_same", "wait_same"):
        other = {"interference_same": "interference", "wait_same": "wait_weight"}[name]
        values = [getattr(item.batching, other) if v is None else v for v, item in zip(values, sets, strict=True)]
    return np.asarray(values, np.float64)


def predict_rows(rows: Sequence[ServingRow], *, labels: bool = True) -> ServingPredictions:
    """TTFT and TPOT of every row with 80% intervals; a row that can't be predicted is NaN and says why."""
    blank = {name: np.full(len(rows), np.nan) for name in ServingPredictions.__dataclass_fields__ if name != "notes"}
    found = features(rows, labels=labels)
    if found.index:
        ttft, tpot = evaluate(found, *committed_coefficients(found))
        bands: dict[tuple[Any, ...], tuple[Any, Any]] = {}
        factors = []
        for engine, family, kind, dtype, case in zip(
            found.engines, found.families, found.kinds, found.dtypes, found.cases, strict=True
        ):
            key = (engine, family, kind, dtype, case.disaggregated, case.uncertain)
            if key not in bands:
                options: dict[str, Any] = {"engine": engine, "family": family, "kind": kind, "dtype": dtype}
                options |= {"disaggregated": case.disaggregated, "uncertain": case.uncertain}
                bands[key] = spread("ttft", **options), spread("tpot", **options)
            a, b = bands[key]
            factors.append((a.low, a.high, b.low, b.high))
        low_high = np.asarray(factors)
        at = np.asarray(found.index)
        for name, value in (
            ("ttft_p10", ttft * low_high[:, 0]),
            ("ttft_p50", ttft),
            ("ttft_p90", ttft * low_high[:, 1]),
            ("tpot_p10", tpot * low_high[:, 2]),
            ("tpot_p50", tpot),
            ("tpot_p90", tpot * low_high[:, 3]),
        ):
            blank[name][at] = value
    return ServingPredictions(**blank, notes=tuple(found.notes.get(i, "") for i in range(len(rows))))


def write_predictions(rows: Sequence[ServingRow], made: ServingPredictions, out: TextIO) -> None:
    """The prediction file of ``sizing validate``: milliseconds, empty figures where there is no prediction."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    names = ("ttft_p10", "ttft_p50", "ttft_p90", "tpot_p10", "tpot_p50", "tpot_p90")
    for i, row in enumerate(rows):
        values = [float(getattr(made, name)[i]) * 1e3 for name in names]
        writer.writerow([row.row, *(f"{v:.6g}" if math.isfinite(v) else "" for v in values), made.notes[i]])


def validate_serving(path: Path | str, out: TextIO | None = None) -> tuple[list[ServingRow], ServingPredictions]:
    """Predict every row of a file; with ``out`` write the prediction file."""
    rows: Iterable[ServingRow] = rows_serving.read_serving_rows(path)
    listed = list(rows)
    made = predict_rows(listed)
    if out is not None:
        write_predictions(listed, made, out)
    return listed, made
