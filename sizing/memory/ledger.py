"""The memory of one accelerator, line by line: weights, activation peak, runtime, graphs, cache pool.

``memory_terms`` is the one formula; it broadcasts over arrays of parallel sizes, and ``memory_ledger``
writes out what it gives for one placement. Sizes are bytes; reports are in GiB (2^30).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sizing.base.answers import Answer
from sizing.base.checked import amount, flag, one_of, public, real, renamed, required, switch, text, whole
from sizing.base.errors import SizingError
from sizing.base.ledger import LedgerLine
from sizing.engine.base import GIB, Device, Engine, Load
from sizing.engine.placement import Placement, check
from sizing.engine.sharding import (
    distinct_stages,
)
from sizing.memory.fit import ROUNDING, found_fraction, most_fraction, shortage
from sizing.memory.lines import ledger_lines
from sizing.memory.start import Refusal, fewer_requests, refusal_code, too_many_requests
from sizing.memory.terms import MemoryTerms, memory_terms, resolve_load
from sizing.model.architecture import Architecture
from sizing.model.kv_formats import KVFormat, kv_format
from sizing.model.quantization.schemes import QuantScheme

USER_FIELDS = ("utilization", "max_num_seqs", "max_num_batched_tokens")


@dataclass(frozen=True, slots=True, repr=False)
class MemoryLedger(Answer):
    """The memory of one accelerator for one placement, with its working. Sizes in bytes.

    shortage: why it does not fit, as a sum; None where it fits. load: the flags with which the engine starts, the memory
    fraction used among them. max_concurrency: the log's worst case; running: requests of the full context that really run at
    once. refusal: why the engine would not start; None where it does.
    """

    lines: tuple[LedgerLine, ...]
    usable_bytes: float
    weights_bytes: float
    activation_bytes: float
    runtime_bytes: float
    graphs_bytes: float
    kv_pool_bytes: float
    kv_pool_tokens: int
    max_concurrency: float
    fits: bool
    placement: Placement
    load: Load
    assumptions: tuple[str, ...] = ()
    shortage: str | None = None
    running: float = 0.0
    refusal: Refusal | None = None

    def summary_lines(self) -> list[tuple[str, str]]:
        """Whether it fits, and the parts of the memory of one accelerator."""
        parts = {"weights": self.weights_bytes, "activation": self.activation_bytes, "runtime": self.runtime_bytes,
                 "graphs": self.graphs_bytes, "KV cache pool": self.kv_pool_bytes}  # fmt: skip
        verdict = "fits" if self.fits else f"does not fit: {self.shortage}"
        return [
            ("memory", f"{self.placement.describe()}: {verdict}"),
            ("usable", f"{self.usable_bytes / GIB:.2f} GiB of one accelerator"),
            *((name, f"{size / GIB:.2f} GiB") for name, size in parts.items()),
            ("tokens", f"{self.kv_pool_tokens:,} of KV cache per data parallel rank"),
            ("requests", f"{self.max_concurrency:.3g} of the full context at once, per data parallel rank"),
        ]

    def to_dict(self) -> dict[str, Any]:
        """The document of ``sizing memory --json``; GiB are 2^30 bytes. Tokens and concurrency are of one
        data parallel rank, ``*_replica`` of all ``dp`` of them.
        """
        return {
            "per_accelerator": {
                "usable_gib": self.usable_bytes / GIB,
                "weights_gib": self.weights_bytes / GIB,
                "activation_gib": self.activation_bytes / GIB,
                "runtime_gib": self.runtime_bytes / GIB,
                "graphs_gib": self.graphs_bytes / GIB,
                "kv_pool_gib": self.kv_pool_bytes / GIB,
            },
            "kv_pool_tokens": self.kv_pool_tokens,
            "max_concurrency": self.max_concurrency,
            "running_requests": self.running,
            "kv_pool_tokens_replica": self.kv_pool_tokens * int(self.placement.dp),
            "max_concurrency_replica": self.max_concurrency * int(self.placement.dp),
            "fits": self.fits,
            "shortage": self.shortage,
            "memory_utilization": self.load.utilization,
            "launch": {
                "max_num_seqs": self.load.max_num_seqs,
                "max_num_batched_tokens": self.load.max_num_batched_tokens,
                "max_model_len": self.load.context,
                "memory_utilization": self.load.utilization,
            },
            "refusal": None if self.refusal is None else {"code": self.refusal.code, "text": self.refusal.text},
            "ledger": [
                {
                    "name": line.name,
                    "value": line.value,
                    "unit": line.unit,
                    "formula": line.formula,
                    "inputs": line.inputs,
                }
                for line in self.lines
            ],
            "assumptions": list(self.assumptions),
        }


def _memory_of(value: Any, key: str) -> Any:
    """A device, or the bytes that its driver shows."""
    return value if isinstance(value, Device) else amount(value, key)


@renamed(utilization="memory_utilization")
@public(
    flag,
    usable_bytes=_memory_of,
    device_name=required(text),
    enforce_eager=switch,
    prefix_caching=switch,
    strict=switch,
    arch=required(one_of(Architecture, what="sizing.load_model(NAME)")),
    placement=required(one_of(Placement)),
    engine=required(one_of(Engine, what="sizing.engine.registry.get_engine(NAME)")),
    scheme=required(one_of(QuantScheme, what="sizing.model.quantization.schemes.scheme(NAME)")),
    kv_dtype=required(one_of(str, KVFormat)),
    context=whole,
    max_num_seqs=whole,
    max_num_batched_tokens=whole,
    memory_utilization=real,
    speculative_tokens=required(whole),
    draft_weight_bytes=amount,
)
def memory_ledger(
    arch: Architecture,
    usable_bytes: float | Device,
    placement: Placement,
    engine: Engine,
    scheme: QuantScheme,
    *,
    device_name: str = "",
    kv_dtype: str | KVFormat = "bf16",
    context: int | None = None,
    max_num_seqs: int | None = None,
    max_num_batched_tokens: int | None = None,
    memory_utilization: float | None = None,
    speculative_tokens: int = 0,
    enforce_eager: bool = False,
    prefix_caching: bool = True,
    draft_weight_bytes: float = 0.0,
    strict: bool = True,
) -> MemoryLedger:
    """The ledger of one accelerator; ``usable_bytes`` is what its driver shows in all [bytes], or the device.

    Raises PlacementError when the engine would refuse the placement and SizingError for flags out of range,
    unless ``strict`` is off (then the first broken rule is listed under ``assumptions``).
    """
    assumptions: list[str] = []
    try:
        check(arch, placement, scheme, engine)
    except SizingError as problem:
        if strict:
            raise
        assumptions.append(f"the engine would refuse this placement: {problem}")
    device = usable_bytes if isinstance(usable_bytes, Device) else Device(float(usable_bytes), device_name)
    load = resolve_load(
        engine,
        device,
        arch,
        placement,
        context=context,
        max_num_seqs=max_num_seqs,
        max_num_batched_tokens=max_num_batched_tokens,
        utilization=memory_utilization,
        speculative_tokens=speculative_tokens,
        enforce_eager=enforce_eager,
        prefix_caching=prefix_caching,
    )
    terms = memory_terms(
        arch, device, placement, engine, scheme, load, kv_dtype=kv_dtype, extra_weights=draft_weight_bytes
    )
    default, used = float(load.utilization), float(terms.utilization)
    asked = load.max_num_seqs
    load = replace(load, utilization=used, automatic=False, max_num_seqs=max(int(terms.max_num_seqs), 1))
    if load.max_num_seqs < asked:
        assumptions.append(fewer_requests(engine, asked, load.max_num_seqs))
        max_num_seqs = max_num_seqs or load.max_num_seqs
    if used != default:
        assumptions.append(found_fraction(engine, default, used, load.context))
    given = {"utilization": memory_utilization if used == default else used, "max_num_seqs": max_num_seqs,
             "max_num_batched_tokens": max_num_batched_tokens}  # fmt: skip
    assumptions.extend(
        f"{name} {getattr(load, name)}: the default of {engine.name} {engine.version_text} here"
        for name in USER_FIELDS
        if given[name] is None
    )
    if speculative_tokens and not arch.mtp_groups and not draft_weight_bytes:
        assumptions.append("speculative decoding without a draft model's size: its weights and cache are not counted")
    fmt = kv_format(kv_dtype)
    stage = next(item for item in distinct_stages(arch, placement.pp) if item.index == int(terms.stage))
    tokens = float(terms.pool_tokens)
    short = None if terms.fits else why_not(engine, device, terms, load.context)
    return MemoryLedger(
        lines=ledger_lines(arch, placement, engine, scheme, fmt, load, stage, terms, device, draft_weight_bytes),
        usable_bytes=float(device.total_bytes),
        weights_bytes=float(terms.weights),
        activation_bytes=float(terms.activation),
        runtime_bytes=float(terms.runtime),
        graphs_bytes=float(terms.graphs),
        kv_pool_bytes=float(terms.pool),
        kv_pool_tokens=int(tokens) if np.isfinite(tokens) else 0,
        max_concurrency=float(terms.max_concurrency),
        fits=bool(terms.fits),
        placement=placement,
        load=load,
        assumptions=tuple(assumptions),
        shortage=short,
        running=float(terms.running),
        refusal=None if short is None else Refusal(refusal_code(terms, device), short),
    )


def why_not(engine: Engine, device: Device, terms: MemoryTerms, context: int, row: int | None = None) -> str:
    """Why terms that do not fit do not, as a sum; ``row``: of this placement of arrays of terms."""

    def at(value: Any) -> float:
        return float(value if row is None else np.broadcast_to(value, np.shape(terms.weights))[row])

    fixed = (at(terms.weights), at(terms.activation), at(terms.runtime), at(terms.graphs))
    if at(terms.max_concurrency) >= 1.0 and at(terms.left) >= -ROUNDING:
        return too_many_requests(engine, at(terms.max_num_seqs), at(terms.most_seqs))
    most = float(most_fraction(engine, device, *fixed))
    return shortage(float(device.total_bytes), fixed, at(terms.pool), at(terms.utilization), context, most)
