"""From rows of throughput figures to the configurations behind them, and the kernel times of each as small tables.

Rows that differ in the metric only share a ``Case``. A case whose placement the source does not state has several
candidates (replicas of 1, 2, 4 ... accelerators). ``build_tables`` times the kernels of all candidates, one call per
model, format and machine, so that everything after it is arithmetic on arrays.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from sizing.base.arrays import FloatArray
from sizing.base.errors import SizingError
from sizing.coefficients.kernels import MachineRates, kernel_curves
from sizing.coefficients.overheads import Overheads
from sizing.coefficients.serving import measured_families
from sizing.engine.base import Engine
from sizing.engine.devices import device_of
from sizing.engine.placement import Placement
from sizing.engine.registry import get_engine
from sizing.engine.shard import Layout
from sizing.evidence.rows_throughput import ThroughputRow
from sizing.evidence.weight_labels import Weights
from sizing.hardware import Accelerator, default_server, load_accelerator
from sizing.hardware.machine import machine_rates
from sizing.memory.terms import memory_terms, resolve_load
from sizing.model.architecture import Architecture
from sizing.model.kv_formats import kv_format
from sizing.model.quantization.schemes import QuantScheme, scheme
from sizing.model.sources import load_model
from sizing.serving import prompt_room, split_prompt
from sizing.step.model import Parts, StepModel
from sizing.step.operations import StepShape

BoolArray: TypeAlias = NDArray[np.bool_]
ATTENTION = ("attention", "prefill_attention")
BATCHES: FloatArray = np.exp2(np.arange(0, 13, dtype=np.float64))  # sequences of a decode step
TOKENS: FloatArray = np.exp2(np.arange(0, 16, dtype=np.float64))  # tokens of a step
DEFAULT_TOKENS = 512.0  # of a length that a row does not state
LARGEST_REPLICA = 8
LONG_CONTEXT = 32768
#: Bytes/s of one core, the largest of the machines on which a family's products were measured (H200: 4.8 TB/s,
#: 132 SMs).
#: A core does not load faster because there are fewer of them.
CORE_BANDWIDTH = {"hopper": 4.8e12 / 132}


@dataclass(frozen=True)
class Subject:
    """What is served on what: the part of a case that its kernels depend on."""

    arch: Architecture
    scheme: QuantScheme
    accelerator: Accelerator
    machine: MachineRates
    kv: str

    layout: Layout
    fp8_index_keys: bool

    @property
    def step(self) -> StepModel:
        """The parts of its steps; what engines add is a matter of their regimes."""
        curves = kernel_curves(self.machine.family)
        kv = kv_format(self.kv)
        return StepModel(
            self.arch, self.scheme, self.machine, curves, Overheads(), kv, self.layout, self.fp8_index_keys
        )


@dataclass(frozen=True)
class Candidate:
    """One placement of a case: ``replicas`` copies of ``placement`` behind one address."""

    subject: int
    placement: Placement
    replicas: float
    input_tokens: float
    output_tokens: float
    budget: float  # tokens of a step at most
    limit: float  # requests per attention rank that may run at once (max_num_seqs)
    pool_tokens: float  # of one attention rank
    spare_tokens: float  # what activations and runtime would hold
    regime: str


@dataclass(frozen=True)
class Case:
    """The candidates of one configuration, as indices; and what was assumed to get there."""

    candidates: tuple[int, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Tables:
    """The parts of every candidate's steps (``step.Parts``), ready for ``step.total``.

    decode: [candidate, batch] by key, of a step that only decodes, at the mean context. tokens: [candidate, tokens] by
    key, of a step of prompt tokens, attention excepted. prefill_attention: [candidate, 2] of one whole prompt:
    alone, and as one of as many as the token budget holds [s]. layers: of the model. ranks, pcie, narrow, unmeasured,
    int4_experts: ranks of a group, whether they talk through the host, weights of 8 bits and fewer, no kernel of the
    accelerator's family measured, integer experts of 4 bits. strain: bandwidth of a
    core over the largest at which 16-bit products of the family were measured (1 at least).
    """

    decode: Mapping[str, FloatArray]
    tokens: Mapping[str, FloatArray]
    prefill_attention: FloatArray
    layers: FloatArray
    ranks: FloatArray
    pcie: BoolArray
    narrow: BoolArray
    unmeasured: BoolArray
    int4_experts: BoolArray
    strain: FloatArray


@lru_cache(maxsize=512)
def machine_of(name: str) -> tuple[Accelerator, MachineRates]:
    """An accelerator by the name in a row, and its rates in its usual server."""
    accelerator = load_accelerator(name)
    return accelerator, machine_rates(accelerator, default_server(accelerator.id))


@lru_cache(maxsize=512)
def model_of(name: str) -> Architecture:
    """A model of the catalog by the name in a row."""
    return load_model(name, allow_hub=False)


def _native(arch: Architecture) -> Weights | None:
    own = arch.native_quantization
    return Weights(own.linear.name, own.experts.name) if isinstance(own, QuantScheme) else None


def weights_of(row: ThroughputRow, arch: Architecture, accelerator: Accelerator) -> tuple[QuantScheme, str | None]:
    """The formats that were served, and what was assumed.

    Tuned in-process runs that state none use the narrowest format that the accelerator multiplies natively.
    """
    native = _native(arch)
    label, note = row.weights, None
    if label.linear is None and label.experts is None:
        if row.hints.in_process and row.kind in {"offline", "open"} and (native is None or native.experts != "mxfp4"):
            fp4 = accelerator.peak_flops("fp4") is not None
            narrow = "nvfp4" if fp4 else "fp8" if accelerator.peak_flops("fp8") else None
            if narrow:
                label, note = Weights(narrow, narrow), f"weights assumed {narrow}: the narrowest native format"
        if note is None:
            note = f"weights as in the checkpoint ({native.scheme if native else 'bf16'})"
    found = label.resolve(native)
    own = arch.native_quantization
    if native is not None and found == native and isinstance(own, QuantScheme):
        return own, note
    linear, experts = scheme(found.linear or "bf16"), scheme(found.experts or found.linear or "bf16")
    return replace(linear, name=found.scheme or linear.name, experts=experts.experts), note


def _version(text: str | None) -> str | None:
    return text if text and re.search(r"\d{1,2}\.\d", text) else None


def engine_of(row: ThroughputRow) -> Engine:
    """The row's engine at its version where one can be read, else at the latest."""
    text = _version(row.engine_version)
    try:
        return get_engine(row.engine or "vllm", text)
    except SizingError:
        return get_engine(row.engine or "vllm")


def kv_of(row: ThroughputRow, weights: QuantScheme, engine: Engine) -> str:
    """The cache's dtype: stated, or TensorRT-LLM's rule (FP8 weights bring an FP8 cache), or 16 bits."""
    label = (row.kv_dtype or "").lower()
    for key in ("fp8", "int8", "nvfp4"):
        if key in label:
            return key
    narrow = weights.linear.compute in ("fp8", "fp4")
    if not label and narrow and (engine.name == "tensorrt-llm" or row.hints.in_process):
        return "fp8"
    return "bf16"


def _sizes(count: int) -> list[int]:
    return [size for size in (1, 2, 4, 8) if size <= LARGEST_REPLICA and count % size == 0]


def placements_of(row: ThroughputRow, arch: Architecture) -> tuple[list[tuple[Placement, float]], str | None]:
    """``(placement, replicas)`` candidates, and what was assumed."""
    count = row.accelerators or 1
    experts = any(group.feed_forward.experts is not None for group in arch.groups)
    if row.placement_stated and row.tp:
        ranks = row.tp * row.dp
        ep = row.ep if experts else 1
        spread = row.dp > 1 and ep == 1 and experts
        ep = ranks if spread else min(ep, ranks)
        while ranks % ep:
            ep -= 1
        note = None if row.tp * row.dp * row.pp == count else f"{row.tp * row.dp * row.pp} of {count} accelerators"
        if experts or row.dp == 1:
            replicas = max(count // (ranks * row.pp), 1)
            return [(Placement(row.tp, row.pp, row.dp, ep), float(replicas))], note
        return [(Placement(row.tp, row.pp, 1, 1), float(row.dp))], note
    if row.kind in {"offline", "open"}:
        sizes = _sizes(count)
        text = "placement not stated: the best of replicas of " + ", ".join(map(str, sizes))
        return [(Placement(size, 1, 1, 1), count / size) for size in sizes], text
    size = min(count, LARGEST_REPLICA)
    return [(Placement(size, 1, 1, 1), count / size)], f"placement not stated: tensor parallel over {size}"


def regime_of(row: ThroughputRow, engine: Engine) -> str:
    """Which coefficients a row uses: engine, and for those whose host side changed much, its era."""
    kind = host_kind(row.accelerator)
    if kind == "ascend":
        return _ascend_regime(row, engine)
    if engine.name == "tensorrt-llm":
        if not row.hints.in_process:
            return "tensorrt-llm server"
        if row.kind in {"static", "single"}:
            return "tensorrt-llm static"
        return "tensorrt-llm" if engine.at_least(0, 20) or not _version(row.engine_version) else "tensorrt-llm classic"
    if engine.name == "vllm":
        return f"vllm{kind and ' '}{kind}" if engine.at_least(0, 8) else "vllm before 0.8"
    if engine.name == "sglang":
        return f"sglang{kind and ' '}{kind}" if engine.at_least(0, 5) else "sglang before 0.5"
    return engine.name


def host_kind(accelerator: str) -> str:
    """Which kind of machine a row's engine had to do with, where speeds differ by it: "ascend", "amd", "pcie" (cards
    without a module's links and power), else "" (modules of NVIDIA, and what is unknown)."""
    try:
        found = load_accelerator(accelerator)
    except SizingError:
        return ""
    if found.family.startswith("ascend"):
        return "ascend"
    if found.vendor.lower() == "amd":
        return "amd"
    return "pcie" if (found.form_factor or "").startswith("PCIe") else ""


#: Since this version vLLM-Ascend captures graphs by itself.
GRAPHS_SINCE = (0, 11)


def _ascend_regime(row: ThroughputRow, engine: Engine) -> str:
    """One host regime for all engines: graphs or eager, as stated, else by version."""
    eager = row.hints.eager
    if eager is None:
        text = row.engine_version or ""
        recent = engine.at_least(*GRAPHS_SINCE) if _version(text) else "main 2026" in text or "nightly" in text
        eager = engine.name == "vllm-ascend" and not recent
    return "vllm-ascend eager" if eager else "vllm-ascend" if engine.name == "sglang" else engine.name


class CaseBook:
    """Collects the cases of rows; equal configurations share one Case."""

    def __init__(self) -> None:
        self.subjects: list[Subject] = []
        self.candidates: list[Candidate] = []
        self._subject_keys: dict[tuple[object, ...], int] = {}
        self._case_keys: dict[tuple[object, ...], Case] = {}
        self._pools: dict[tuple[object, ...], tuple[float, float, float, float]] = {}

    def add(self, row: ThroughputRow) -> Case:
        """The case of a row. Raises SizingError where the model or the accelerator is unknown."""
        arch = model_of(row.model)
        accelerator, machine = machine_of(row.accelerator)
        engine = engine_of(row)
        options = dict(row.hints.options)
        key = (
            row.model, row.weights, row.accelerator, row.kv_dtype, row.engine, row.engine_version, row.accelerators,
            row.tp, row.pp, row.dp, row.ep, row.kind, row.input_tokens, row.output_tokens, row.hints.in_process,
            row.hints.options,
        )  # fmt: skip
        known = self._case_keys.get(key)
        if known is not None:
            return known
        weights, note = weights_of(row, arch, accelerator)
        kv = kv_of(row, weights, engine)
        subject = self._subject(Subject(
            arch, weights, accelerator, machine, kv, engine.layout, engine.fp8_index_keys(device_of(accelerator))
        ))  # fmt: skip
        layouts, placed = placements_of(row, arch)
        indices = []
        for placement, replicas in layouts:
            made = self._candidate(row, engine, subject, placement, replicas, options)
            if made is not None:
                indices.append(len(self.candidates))
                self.candidates.append(made)
        if not indices:
            raise SizingError("the weights do not fit the accelerators", key=row.model)
        notes = [text for text in (note, placed, f"cache {kv}" if kv != "bf16" and not row.kv_dtype else None) if text]
        case = Case(tuple(indices), tuple(notes))
        self._case_keys[key] = case
        return case

    def _subject(self, made: Subject) -> int:
        """The index of a subject; equal ones share it."""
        key = (made.arch.name, made.scheme.name, made.scheme.linear.name, made.scheme.experts.name,
               made.scheme.lm_head.name, made.accelerator.id, made.kv, made.layout, made.fp8_index_keys)  # fmt: skip
        if key not in self._subject_keys:
            self._subject_keys[key] = len(self.subjects)
            self.subjects.append(made)
        return self._subject_keys[key]

    def _candidate(
        self,
        row: ThroughputRow,
        engine: Engine,
        subject: int,
        placement: Placement,
        replicas: float,
        options: dict[str, float],
    ) -> Candidate | None:
        given = row.input_tokens if row.input_tokens is not None else DEFAULT_TOKENS
        wanted = row.output_tokens if row.output_tokens is not None else DEFAULT_TOKENS
        if row.hints.prefill_only or (row.quantity == "ttft_s" and row.output_tokens is None):
            wanted = 1.0
        given, wanted = max(given, 1.0), max(wanted, 1.0)
        pool, spare, limit, budget = self._memory(engine, subject, placement, options, given, wanted)
        if pool <= 0 and row.kind in {"offline", "open"} and not row.placement_stated:
            return None
        return Candidate(
            subject, placement, replicas, given, wanted, budget, limit, pool, spare, regime_of(row, engine)
        )

    def _memory(
        self,
        engine: Engine,
        subject: int,
        placement: Placement,
        options: dict[str, float],
        given: float,
        wanted: float,
    ) -> tuple[float, float, float, float]:
        """``(pool tokens, tokens in place of activations and runtime, most sequences, step tokens)`` of one rank.

        As ``sizing memory`` counts them for requests of this length: where the engine's default memory fraction cannot
        work, one that does is looked for.
        """
        s = self.subjects[subject]
        seqs, tokens, fraction = (options.get(k) for k in ("max_num_seqs", "max_num_batched_tokens", "memory_fraction"))
        tokens = tokens or options.get("chunked_prefill_size")
        key = (engine.name, engine.version, subject, placement, seqs, tokens, fraction, given, wanted)
        if key not in self._pools:
            device = device_of(s.accelerator)
            # windows and states are counted at a long context
            long = int(min(s.arch.max_position_embeddings or 8192, LONG_CONTEXT))
            load = resolve_load(
                engine, device, s.arch, placement, context=max(1, math.ceil(given + wanted)),
                max_num_seqs=int(seqs) if seqs else None,
                max_num_batched_tokens=int(tokens or engine.default_batched_tokens(device, long)),
                utilization=fraction if fraction and fraction <= 1 else None,
            )  # fmt: skip
            terms = memory_terms(s.arch, device, placement, engine, s.scheme, load, kv_dtype=s.kv, mean_context=long)
            pool = float(terms.concurrency_at_mean) * long
            taken = float(np.asarray(terms.activation + terms.runtime)) * float(terms.utilization)
            spare = pool * taken / float(terms.pool) if float(terms.pool) > 0 else 0.0
            limits = float(load.max_num_seqs), float(load.max_num_batched_tokens)
            self._pools[key] = (min(pool, 1e12), min(spare, 1e12), *limits)
        return self._pools[key]


def _stack(values: Sequence[object]) -> FloatArray:
    return np.asarray(values, dtype=np.float64)[:, None]


def build_tables(book: CaseBook) -> Tables:
    """The parts of all candidates of ``book``."""
    size = len(book.candidates)
    decode: dict[str, FloatArray] = {}
    tokens: dict[str, FloatArray] = {}
    attention = np.zeros((size, 2))
    layers, ranks = np.zeros(size), np.zeros(size)
    pcie, narrow, unmeasured, int4 = (np.zeros(size, dtype=bool) for _ in range(4))
    strain = np.ones(size)
    members: dict[int, list[int]] = defaultdict(list)
    for index, candidate in enumerate(book.candidates):
        members[candidate.subject].append(index)
    measured = measured_families()
    for subject, chosen in members.items():
        s = book.subjects[subject]
        them = [book.candidates[i] for i in chosen]
        place = Placement(*(_stack([getattr(c.placement, n) for c in them]) for n in ("tp", "pp", "dp", "ep")))
        given, wanted = _stack([c.input_tokens for c in them]), _stack([c.output_tokens for c in them])
        budget = _stack([c.budget for c in them])
        here = np.asarray(chosen)
        _fill(
            decode, s.step.parts(StepShape(decode_seqs=BATCHES, decode_context=given + wanted / 2), place), here, size
        )
        _fill(tokens, s.step.parts(StepShape(prefill_tokens=TOKENS), place), here, size)
        chunks, each = split_prompt(given, prompt_room(budget, 0.0))
        together = np.maximum(np.floor(budget / given), 1.0)
        seqs = np.concatenate([np.ones_like(together), together], axis=1)
        shape = StepShape(prefill_tokens=each * seqs, prefill_seqs=seqs, prefill_past=(given - each) / 2)
        attention[here] = s.step.parts(shape, place).amounts.get("prefill_attention", 0.0) * chunks / seqs
        layers[here] = s.arch.num_layers
        ranks[here] = (np.asarray(place.tp) * place.dp)[:, 0]
        pcie[here] = s.machine.fabric == "pcie"
        narrow[here] = s.scheme.linear.bits <= 8
        int4[here] = s.scheme.experts.name in ("int4_awq", "int4_gptq")
        strain[here] = max(
            s.machine.memory_bandwidth / s.machine.cores / CORE_BANDWIDTH.get(s.machine.family, np.inf), 1.0
        )
        unmeasured[here] = s.machine.family not in measured
    tokens = {key: amount for key, amount in tokens.items() if key not in ATTENTION}
    return Tables(decode, tokens, attention, layers, ranks, pcie, narrow, unmeasured, int4, strain)


def _fill(table: dict[str, FloatArray], parts: Parts, here: NDArray[np.int64], size: int) -> None:
    """Put the parts of some candidates into their rows."""
    grid = np.shape(parts.share)[-1]
    for key, amount in parts.amounts.items():
        if key not in table:
            table[key] = np.zeros((size, grid))
        table[key][here] = amount
