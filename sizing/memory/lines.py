"""The working of one memory ledger, line by line: weights by component, then the budget down to tokens and requests."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from sizing.base.ledger import LedgerLine
from sizing.engine.base import Device, Engine, Load
from sizing.engine.cache import cache_groups
from sizing.engine.loading import load_extras
from sizing.engine.placement import Placement
from sizing.engine.sharding import Stage, WeightLine, weight_bytes
from sizing.model.architecture import Architecture
from sizing.model.kv_formats import KVFormat
from sizing.model.quantization.schemes import QuantScheme


@lru_cache(maxsize=1024)
def _weight_lines(
    arch: Architecture, placement: Placement, engine: Engine, scheme: QuantScheme, stage: Stage, own_module: bool
) -> tuple[LedgerLine, ...]:
    """The weights by component and what loading them adds: the same on every accelerator, so kept."""
    weights: list[WeightLine] = weight_bytes(
        arch, placement, scheme, layout=engine.layout, speculative=own_module, stage=stage
    )
    lines = [LedgerLine(f"weights: {item.name}", item.bytes, "bytes", item.formula, item.inputs) for item in weights]
    extras = {
        "rotary_tables": "positions x rotated dims x 2 bytes",
        "mla_absorbed_copies": "layers x heads / tp x kv_lora_rank x (nope + v) x 2 bytes",
        "allocator_slack": "tensors of 10 MiB and more rounded up to 2 MiB when at most 1 MiB is lost",
    }
    found = load_extras(arch, scheme, placement, stage, engine.layout) if engine.pytorch else {}
    for name, size in found.items():
        if float(size) > 0:
            lines.append(LedgerLine(f"weights: {name}", float(size), "bytes", extras[name]))
    overhead = float(np.asarray(engine.load_overhead_bytes(placement)))
    if overhead:
        lines.append(LedgerLine("weights: load overhead", overhead, "bytes", "kernels and copies (fitted)"))
    return tuple(lines)


def ledger_lines(
    arch: Architecture,
    placement: Placement,
    engine: Engine,
    scheme: QuantScheme,
    fmt: KVFormat,
    load: Load,
    stage: Stage,
    terms: Any,
    device: Device,
    draft: float,
) -> tuple[LedgerLine, ...]:
    """The working of one ledger: weights by component, then the budget down to tokens and requests."""
    own_module = bool(load.speculative_tokens and arch.mtp_groups)
    lines = [LedgerLine("total memory", float(device.total_bytes), "bytes", "what the driver shows")]
    lines += _weight_lines(arch, placement, engine, scheme, stage, own_module)
    if draft:
        lines.append(LedgerLine("weights: draft model", draft, "bytes", "as given, on every rank"))
    flags: dict[str, float | str] = {
        "max_num_seqs": load.max_num_seqs,
        "max_num_batched_tokens": load.max_num_batched_tokens,
        "vocab_size": arch.vocab_size,
        "utilization": load.utilization,
    }
    lines.append(LedgerLine("weights", float(terms.weights), "bytes", "sum of the lines above"))
    lines.append(
        LedgerLine("activation peak", float(terms.activation), "bytes",
                   "larger of the sampler's and the widest layer's buffers in the largest step", flags)
    )  # fmt: skip
    lines.append(LedgerLine("runtime", float(terms.runtime), "bytes", "context, communicators, workspaces (fitted)"))
    lines.append(LedgerLine("graphs", float(terms.graphs), "bytes", "captured graphs (fitted)"))
    lines.append(LedgerLine("cache pool", float(terms.pool), "bytes", engine.pool_formula(), flags))
    lines.append(LedgerLine("kept free", float(terms.left), "bytes", "total memory - the lines above"))
    groups = cache_groups(
        arch,
        placement,
        fmt,
        stage,
        speculative_tokens=load.speculative_tokens,
        fp8_index_keys=engine.fp8_index_keys(device),
        fp32_states=engine.fp32_states,
    )
    for group in groups:
        per = float(np.asarray(group.bytes_per_token))
        inputs: dict[str, float | str] = {"layers": group.layers, "kv_dtype": fmt.name, "tp": placement.tp}
        if group.window is not None:
            inputs["window"] = group.window
        if per:
            lines.append(LedgerLine(f"cache: {group.kind.value}", group.layers * per, "bytes/token",
                                    "layers x entry of one token on one rank", inputs))  # fmt: skip
        if float(np.asarray(group.state_bytes)):
            lines.append(LedgerLine(f"cache: {group.kind.value}", group.layers * float(group.state_bytes),
                                    "bytes/sequence", "layers x constant state", inputs))  # fmt: skip
    lines.append(LedgerLine("cache tokens", float(terms.pool_tokens), "tokens", engine.tokens_formula(len(groups))))
    if np.isfinite(terms.most_seqs):
        lines.append(LedgerLine("running requests with a state", float(terms.most_seqs), "requests",
                                f"what the memory holds of {engine.seats}; max_num_seqs is no more"))  # fmt: skip
    lines.append(
        LedgerLine("concurrent requests", float(terms.max_concurrency), "requests",
                   "the log's worst case: blocks of the pool / most blocks of a request of the full context",
                   {"context": load.context})
    )  # fmt: skip
    lines.append(
        LedgerLine("running requests", float(terms.running), "requests",
                   "1 + (blocks - worst case of one) / blocks that a request keeps once its prompt is read",
                   {"context": load.context})
    )  # fmt: skip
    return tuple(lines)
