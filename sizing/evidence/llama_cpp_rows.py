"""Rows of llama.cpp's own benchmark tables (and of MLX): what was run, as step shapes; predictions with intervals.

``llama-bench`` times a prompt (``pp``) in micro-batches, or decode alone (``tg``), at a depth of tokens that the cache holds
already; ``llama-batched-bench`` decodes equal sequences together. Coefficients: ``llama_cpp.yaml``, by backend.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

from sizing.base.errors import SizingError
from sizing.coefficients.kernels import kernel_curves
from sizing.coefficients.llama_cpp import BACKENDS, backend_of, machine_for, overheads, spread, stage_overlap
from sizing.coefficients.overheads import Overheads
from sizing.engine.placement import Placement
from sizing.evidence.rows_throughput import ThroughputRow
from sizing.evidence.throughput_cases import machine_of, model_of
from sizing.model.architecture import Architecture
from sizing.model.name_formats import without_mix
from sizing.model.quantization.gguf_mix import BASE, mix_scheme, stated_bits
from sizing.model.quantization.schemes import GGUF_MIXES, QuantScheme, WeightFormat, scheme
from sizing.step.model import Parts, StepModel
from sizing.step.operations import StepShape

MICRO_BATCH = 512.0  # tokens: llama.cpp's own default of --ubatch-size
ASSUMED_CONTEXT = 512.0  # tokens in the cache of a decode whose lengths nobody states
MLX_BITS = 4.5  # 4 bits in groups of 64 with a scale and a bias
_DEPTH = re.compile(r"\bdepth (\d+)")
_UBATCH = re.compile(r"\bubatch (\d+)")
_SIZE = re.compile(r"([\d.]+) GiB, ([\d.]+) B\b")
_BACKEND = re.compile(r"\bbackend ([a-z]+)")
# What a mix of a maker's own ("UD-Q4_K_XL") is sized from before the stated size corrects it.
_NEAREST_MIX = {"q2_k": "q2_k", "q3_k": "q3_k_m", "q4_k": "q4_k_m", "q5_k": "q5_k_m", "q6_k": "q6_k", "q8_k": "q8_0"}


@dataclass(frozen=True)
class BenchCase:
    """One row as it ran: ``passes`` of a step that works on ``shape`` give ``tokens`` counted tokens."""

    step: StepModel
    backend: str
    shape: StepShape
    placement: Placement
    passes: float
    tokens: float
    prompt: bool
    notes: tuple[str, ...]

    def parts(self) -> Parts:
        """The parts of one pass."""
        return self.step.parts(self.shape, self.placement)

    def tokens_per_s(self, parts: Parts, over: Overheads, overlap: float) -> float:
        """Counted tokens per second under these overheads: stages of a long prompt overlap a little."""
        seconds = float(parts.seconds(over)) * self.passes
        if self.prompt:
            seconds *= 1 - overlap * (1 - 1 / float(self.placement.pp))
        return self.tokens / seconds


def mix_of(label: str, model: str) -> str | None:
    """The mix of types that a row's label or its model's name states; None: 16 bits, or the label says nothing.

    >>> mix_of("gguf-q4_k_m", "any"), mix_of("gguf (see model and notes)", "Qwen3.6-27B-UD-Q8_K_XL")
    ('q4_k_m', 'q8_0')
    """
    given = label.lower().removeprefix("gguf-")
    if given in BASE:
        return given
    name = re.sub(r"[_.]", "-", model.lower())
    if name.endswith("-mxfp4"):
        return "mxfp4_moe"
    mix = without_mix(name)[1]
    if mix is None:
        return None
    mix = mix.removeprefix("ud_")
    return mix if mix in GGUF_MIXES else _NEAREST_MIX.get(mix.rsplit("_", 1)[0])


def _scaled(fmt: WeightFormat, factor: float) -> WeightFormat:
    return replace(fmt, bits=fmt.bits * factor)


def resized(found: QuantScheme, factor: float) -> QuantScheme:
    """A scheme with all its matrices' bits times a factor: a file of a size that its maker states."""
    return replace(
        found,
        linear=_scaled(found.linear, factor),
        experts=_scaled(found.experts, factor),
        lm_head=_scaled(found.lm_head, factor),
        embedding=None if found.embedding is None else _scaled(found.embedding, factor),
        by_name=tuple((name, _scaled(fmt, factor)) for name, fmt in found.by_name),
    )


def weights_of(label: str, model: str, notes: str, arch: Architecture) -> tuple[QuantScheme, str | None]:
    """The formats of a row's file, and what was assumed."""
    if "mlx" in label.lower():
        found = scheme(f"bits{MLX_BITS:g}")
        return found, None if re.search(r"\dbit", label) else "weights assumed MLX of 4 bits"
    mix = mix_of(label, model)
    if mix is None:
        return scheme("fp16"), None
    found = mix_scheme(arch, mix)
    size = _SIZE.search(notes)
    if size is None:
        return found, None
    factor = float(size[1]) * 2**30 * 8 / (float(size[2]) * 1e9) / stated_bits(arch, found)
    return resized(found, factor), f"the file is {size[1]} GiB, {factor:.2f} times the rule of {mix}"


def bench_case(row: ThroughputRow) -> BenchCase:
    """A row as it ran. Raises SizingError where the model or the accelerator is unknown, or the metric is another."""
    if row.quantity not in ("input_tokens_per_s", "output_tokens_per_s"):
        raise SizingError(f"{row.metric} is no rate of prompt or decoded tokens", key="metric")
    label, notes = row.weight_label, row.remarks
    arch = model_of(row.model)
    accelerator, machine = machine_of(row.accelerator)
    weights, note = weights_of(label, row.model, notes, arch)
    stated = _BACKEND.search(notes)
    backend = "mlx" if "mlx" in (row.engine or "") or "mlx" in label.lower() else stated[1] if stated else ""
    backend = backend if backend in BACKENDS else backend_of(accelerator.family)
    step = StepModel(arch, weights, machine_for(machine, backend), kernel_curves(machine.family))
    count = row.accelerators or 1
    depth = float(found[1]) if (found := _DEPTH.search(notes)) else 0.0
    given, wanted = row.input_tokens, row.output_tokens or 0.0
    if row.quantity == "input_tokens_per_s":
        micro = float(found[1]) if (found := _UBATCH.search(notes)) else MICRO_BATCH
        total = given or MICRO_BATCH
        each = min(micro, total)
        shape = StepShape(prefill_tokens=each, prefill_past=depth + (total - each) / 2)
        passes, tokens, prompt = total / each, total, True
    else:
        seqs = row.concurrency or 1.0
        held = ASSUMED_CONTEXT if given is None else max(given, depth)
        shape = StepShape(decode_seqs=seqs, decode_context=held + wanted / 2)
        passes, tokens, prompt = 1.0, seqs, False
    told = (note, f"backend {backend}", None if given is not None else "lengths assumed: 512 tokens in the cache")
    return BenchCase(
        step, backend, shape, Placement(1, count, 1, 1), passes, tokens, prompt, tuple(text for text in told if text)
    )


def bench_figures(row: ThroughputRow) -> tuple[float, float, float, str]:
    """``(p10, p50, p90, note)`` of a row in its own unit, under the committed coefficients. Raises SizingError as
    ``bench_case`` does.
    """
    case = bench_case(row)
    value = case.tokens_per_s(case.parts(), overheads(case.backend), stage_overlap())
    if not math.isfinite(value) or value <= 0:
        raise SizingError("no figure", key=row.id)
    value /= row.factor * (float(row.accelerators or 1) if row.scope == "accelerator" else 1.0)
    low, high = spread("prompt" if case.prompt else "decode")
    return value * math.exp(low), value, value * math.exp(high), "; ".join(case.notes)
