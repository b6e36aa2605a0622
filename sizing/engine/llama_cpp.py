"""llama.cpp (and Ollama and LM Studio, its faces): the pool is what the context asks for, not all of the memory.

Layers are spread over cards as pipeline stages (``--split-mode layer``): ``--pp``. Each of ``--parallel`` slots has a cache
of the whole context; windows keep their window and a micro-batch besides; recurrent states are held in 32 bits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from sizing.coefficients.memory import constant
from sizing.engine.base import GIB, Device, Engine, Load, Version
from sizing.engine.cache import BlockPlan, CacheGroup
from sizing.engine.placement import Placement
from sizing.model.architecture import Architecture
from sizing.model.kv_formats import KVFormat
from sizing.model.parts import CacheKind
from sizing.model.quantization.schemes import QuantScheme

LATEST = (0, 0, 9193)  # builds are numbered: b9193
OLDEST = (0, 0, 2800)  # of May 2024, the oldest that rows were measured with


def parse_build(text: str | None) -> Version | None:
    """The build in a text such as ``b9193`` or ``9193``; None when there is none.

    >>> parse_build("b6918 (2f68ce7)")
    (0, 0, 6918)
    """
    found = re.match(r"\s*b?(\d{3,6})\b", text or "")
    return (0, 0, int(found[1])) if found else None


CELLS = 256  # a cache has a multiple of so many cells
FP32 = 4


@dataclass(frozen=True)
class LlamaCpp(Engine):
    """llama.cpp's server by build number (``0.0.9193`` is b9193)."""

    name: str = "llama.cpp"
    block_tokens: int = CELLS
    weight_dtypes: tuple[str, ...] = ("bf16", "fp16", "fp32", "mxfp4", "nvfp4")
    kv_dtypes: tuple[str, ...] = ("bf16", "fp32", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl")
    vendors: tuple[str, ...] = ("nvidia", "amd", "apple", "intel", "cpu")
    tensor_parallel: bool = False
    pytorch: bool = False
    seats: str = "slots of the whole context"
    attention_dp_with_tp: bool = False
    uneven_experts: bool = True
    fp32_states: bool = True
    reserves_max_output: bool = True

    @property
    def version_text(self) -> str:
        """The build as its releases are called: "b9193"."""
        return f"b{self.version[2]}"

    def unsupported(self, scheme: QuantScheme, kv_dtype: str, vendor: str | None = None) -> str | None:
        """Mixes and plain types of GGUF files, and 16 bits; no format of other engines' checkpoints."""
        plain = scheme.linear.kind is None and scheme.experts.kind in (None, "mxfp4", "nvfp4")
        if scheme.mix is None and not plain:
            return Engine.unsupported(self, scheme, kv_dtype, vendor)
        if vendor is not None and vendor.lower() not in self.vendors:
            return f"{self.name} does not run on accelerators of {vendor}"
        return None if kv_dtype in ("auto", *self.kv_dtypes) else f"{self.name} has no {kv_dtype} cache"

    def drafts_refused(self, scheme: QuantScheme, drafts: int) -> str | None:
        """Its drafting takes a second model's file, not the model's own module."""
        return f"{self.name} does not draft with a model's own MTP module"

    def default_utilization(self, device: Device, placement: Placement, arch: Architecture) -> Any:
        """All but the margin of ``--fit-target``, 1 GiB."""
        return max(0.5, 1 - constant("llama_cpp", "margin_gib") * GIB / float(np.max(device.total_bytes)))

    def most_utilization(self) -> float:
        """What its margin leaves of the largest device."""
        return 0.99

    def default_batched_tokens(self, device: Device, context: int) -> int:
        """--ubatch-size [tokens]."""
        return 512

    def default_num_seqs(self, device: Device) -> int:
        """--parallel of llama-server."""
        return 4

    def activation_bytes(
        self,
        arch: Architecture,
        scheme: QuantScheme,
        placement: Placement,
        load: Load,
        *,
        last_stage: bool = True,
    ) -> Any:
        """The compute buffer: micro-batch x 4 bytes x the larger of (vocabulary + hidden) and the widest layer, with the
        mask of the context (4 and 2 bytes a cell).

        Llama-3-8B, 512 tokens: 512 x (128,256 + 4,096) x 4 = 258.5 MiB, as llama.cpp prints.
        """
        tokens = float(load.max_num_batched_tokens)
        widest = 0.0
        for group in arch.groups:
            rows = [linear.out_features for linear in group.feed_forward.linears]
            bank = group.feed_forward.experts
            routed = bank.num_experts_per_tok * (2 * bank.intermediate_size + bank.hidden_size) if bank else 0
            widest = max(widest, 2.0 * max(rows, default=0), float(routed))
        layer = tokens * ((widest + 2 * arch.hidden_size) * FP32 + load.context * (FP32 + 2))
        logits = tokens * (arch.vocab_size + arch.hidden_size) * FP32 if last_stage else 0.0
        return max(layer, logits) + 0.0 * np.asarray(placement.pp)

    def runtime_bytes(self, placement: Placement, device: Device) -> Any:
        """The context of the driver and its libraries."""
        return constant("llama_cpp", "runtime_gib") * GIB + 0.0 * np.asarray(placement.pp)

    def pool_bytes(
        self, device: Device, weights: Any, activation: Any, runtime: Any, graphs: Any, utilization: Any
    ) -> Any:
        """What is free for caches; ``asked_bytes`` takes of it what the slots ask for."""
        return utilization * device.total_bytes - weights - activation - runtime

    def pool_formula(self) -> str:
        """The pool's formula in words."""
        return (
            "the smaller of --parallel slots x the cache of the whole context (cells in 256s; windows + a micro-batch; "
            "states in 32 bits) and what weights, compute buffer, driver and 1 GiB of margin leave"
        )

    def plan(self, groups: list[CacheGroup], load: Load, fmt: KVFormat) -> BlockPlan:
        """Every kind of layer has a cache of its own; a block is 256 cells of the layers that grow."""
        growing: Any = 0.0
        for group in groups:
            if group.kind is not CacheKind.STATE and group.window is None:
                growing = growing + group.layers * group.bytes_per_token
        return BlockPlan(CELLS * growing, CELLS, 1, tuple((group, 1, CELLS) for group in groups))

    def slot_bytes(self, plan: BlockPlan, load: Load, tokens: Any) -> Any:
        """The cache of one slot for ``tokens`` tokens [bytes]."""
        total: Any = 0.0
        for group, _, _ in plan.members:
            if group.kind is CacheKind.STATE:
                total = total + group.layers * group.state_bytes
                continue
            held = np.ceil(np.asarray(tokens) / CELLS) * CELLS
            if group.window is not None:
                held = np.minimum(held, np.ceil((group.window + load.max_num_batched_tokens) / CELLS) * CELLS)
            total = total + group.layers * group.bytes_per_token * held
        return total

    def asked_bytes(self, plan: BlockPlan, load: Load) -> Any:
        """All slots' caches of the whole context."""
        return load.max_num_seqs * self.slot_bytes(plan, load, load.context)

    def most_seqs(self, pool: Any, plan: BlockPlan, load: Load) -> Any:
        """Slots of the whole context that the pool holds."""
        return np.floor(self.concurrency(pool, plan, load, load.context) + 1e-9)

    def pool_tokens(self, pool: Any, plan: BlockPlan, load: Load) -> Any:
        """The context of all slots, as --ctx-size has it."""
        return np.floor(self.concurrency(pool, plan, load, load.context) * load.context + 1e-6)

    def tokens_formula(self, kinds: int) -> str:
        """What ``pool_tokens`` is, in words, for layers of so many kinds."""
        return "slots x context (--ctx-size)"

    def concurrency(self, pool: Any, plan: BlockPlan, load: Load, tokens: Any) -> Any:
        """Requests of ``tokens`` tokens that the pool holds at once."""
        return np.maximum(pool, 0.0) / np.maximum(self.slot_bytes(plan, load, tokens), 1.0)

    def running(self, pool: Any, plan: BlockPlan, load: Load, tokens: Any) -> Any:
        """Slots are cut for the whole context, whatever a request is long."""
        return self.concurrency(pool, plan, load, load.context) + 0.0 * np.asarray(tokens)
