"""SGLang: the static fraction by version, two-kind batches, pools of windows and states."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sizing.coefficients.memory import constant
from sizing.engine.base import GIB, Device, Engine, Load
from sizing.engine.cache import BlockPlan, CacheGroup, block_plan
from sizing.engine.placement import Placement
from sizing.engine.shard import Layout
from sizing.model.architecture import Architecture
from sizing.model.kv_formats import KVFormat
from sizing.model.parts import CacheKind

LATEST = (0, 5, 23)
MIB = 2**20
# chunked_prefill_size, decode graph limit for tp < 4, for tp >= 4, by device GiB (upper bounds).
BY_MEMORY = ((20, 2048, 8, 8), (35, 4096, 48, 160), (60, 4096, 32, 160), (160, 8192, 256, 512))
LARGEST = (16384, 512, 512)
# 0.4 and early 0.5: the fraction by tensor parallel size.
OLD_FRACTIONS = ((16, 0.79), (8, 0.81), (4, 0.85), (2, 0.87), (1, 0.88))
NODE_RANKS = 16  # the most ranks of one node (Atlas A3); beyond, exchange buffers of several nodes
SWA_RATIO = 0.8  # tokens of the window pool per token of the full pool
LEAST_FRACTION = 0.001  # SGLang rounds to three places
SLOTS_WITH_RADIX = 3  # slots of states that a running request takes while the radix cache is on
STATE_RATIO = 0.9  # bytes of the state pool per byte of the token pool


@dataclass(frozen=True)
class Sglang(Engine):
    """SGLang on NVIDIA, AMD and Ascend."""

    name: str = "sglang"
    layout: Layout = Layout(dp_copies=True, shared_experts_whole=True)  # noqa: RUF009
    block_tokens: int = 1
    fp32_states: bool = True
    lowers_seqs: bool = True
    pools_apart: bool = True
    weight_dtypes: tuple[str, ...] = (
        "bf16", "fp16", "fp8", "fp8_channel", "fp8_block", "int8", "int4_awq", "int4_gptq", "w4a8",
        "mxfp4", "nvfp4", "fp32", "mxfp8", "bnb", "torchao",
    )  # fmt: skip
    kv_dtypes: tuple[str, ...] = ("bf16", "fp8", "nvfp4")
    vendors: tuple[str, ...] = ("nvidia", "amd", "huawei", "intel", "google", "cpu")

    def _by_memory(self, device: Device) -> tuple[int, int, int]:
        total = float(np.max(device.total_gib))
        return next((row[1:] for row in BY_MEMORY if total < row[0]), LARGEST)

    def default_utilization(self, device: Device, placement: Placement, arch: Architecture) -> Any:
        """mem_fraction_static: (device - reserved) / device, the reserve by chunk, ranks and graphs (0.5.5
        on); a table of tensor parallel sizes before. Vision-language models take off 5 % and more.

        One for each placement. SGLang's own figure may be 0 or less (wide data-parallel attention, small cards), and
        it then refuses to start: here it is LEAST_FRACTION, which holds no model either.
        """
        attn_dp = np.asarray(placement.dp)
        ranks = np.asarray(placement.tp) * attn_dp
        if not self.at_least(0, 5, 5):
            least, fractions = zip(*OLD_FRACTIONS, strict=True)
            return np.select([ranks >= size for size in least], fractions)
        chunk, few, many = self._by_memory(device)
        graphs = np.where(ranks < 4, few, many)
        mib = float(np.max(device.total_bytes)) / MIB
        reserved = 512 + 1.5 * np.maximum(chunk // attn_dp, 2048) + 1024 * ranks * np.asarray(placement.pp) / 8
        reserved = reserved + 2 * graphs
        wide = 3 * graphs * attn_dp + np.where(graphs > 300, 1.5 * graphs * attn_dp, 0)
        reserved = reserved + np.where(attn_dp > 1, wide, 0)
        if self.at_least(0, 5, 10):
            reserved = reserved + (1536 if arch.is_mla else 8 * (74 if chunk > 8192 else 58))
        if mib > 60 * 1024:
            reserved = np.maximum(reserved, 10240)
        fraction = np.round((mib - reserved) / mib, 3)
        if arch.vision is not None:
            weight = arch.vision.layers * arch.vision.hidden_size**2 / (24 * 1024**2)
            fraction = fraction * 0.95 * min(max(1 - 0.1 * (weight - 1), 0.8), 1.05)
        return np.clip(fraction, LEAST_FRACTION, 1 - LEAST_FRACTION)

    def default_batched_tokens(self, device: Device, context: int) -> int:
        """chunked_prefill_size by device memory [tokens]."""
        return self._by_memory(device)[0]

    def default_num_seqs(self, device: Device) -> int:
        """max_running_requests, before the pool's own limit."""
        return 2048

    def runtime_bytes(self, placement: Placement, device: Device) -> Any:
        """Gone before the model loads: context and communicators, which the fraction does not apply to."""
        kind = "ascend" if device.is_ascend else "cuda"
        alone = constant("sglang_runtime", f"context_gib_{kind}")
        group = constant("sglang_runtime", f"communicator_gib_{kind}")
        return (alone + np.where(placement.tp * np.asarray(placement.dp) > 1, group, 0.0)) * GIB

    def load_overhead_bytes(self, placement: Placement) -> Any:
        """The drop of free memory over loading holds kernels and allocator slack too."""
        ranks = placement.tp * np.asarray(placement.dp) * placement.pp
        group = constant("sglang_runtime", "load_overhead_gib")
        wide = np.where(ranks > NODE_RANKS, constant("sglang_runtime", "multi_node_gib"), 0.0)
        return (np.where(ranks > 1, group, constant("sglang_runtime", "load_overhead_single_gib")) + wide) * GIB

    def graph_bytes(self, arch: Architecture, placement: Placement, load: Load, device: Device) -> Any:
        """Free memory that capture takes; outside the pool's budget."""
        if load.enforce_eager:
            return 0.0 * np.asarray(placement.tp)
        moe = constant("sglang_graphs", "moe_gib") if arch.is_moe else constant("sglang_graphs", "dense_gib")
        return moe * GIB + 0.0 * np.asarray(placement.tp)

    def pool_bytes(
        self, device: Device, weights: Any, activation: Any, runtime: Any, graphs: Any, utilization: Any
    ) -> Any:
        """fraction x memory free before loading - weights; activations and graphs live in the rest."""
        return utilization * (device.total_bytes - runtime) - weights

    def pool_formula(self) -> str:
        """The pool's formula in words."""
        return "mem_fraction_static x (total - context) - weights (activations and graphs live in the rest)"

    def plan(self, groups: list[CacheGroup], load: Load, fmt: KVFormat) -> BlockPlan:
        """A pool of single tokens; window layers hold 0.8 of them, states have a pool of their own."""
        full = [group for group in groups if group.kind is not CacheKind.STATE]
        states = [group for group in groups if group.kind is CacheKind.STATE]
        windows = [group for group in full if group.window is not None]
        share = SWA_RATIO if windows and len(windows) < len(full) and self.at_least(0, 5) else 1.0
        cell: Any = 0.0
        for group in full:
            cell = cell + group.layers * group.bytes_per_token * (share if group.window is not None else 1.0)
        if states:
            cell = cell * (1 + STATE_RATIO)
        slot: Any = 0.0
        for group in states:
            slot = slot + group.layers * group.state_bytes
        whole = CacheGroup(CacheKind.FULL, 1, cell, None, 0.0)
        return replace(block_plan([whole], self.block_tokens, hybrid=False), slot_bytes=slot)

    def most_seqs(self, pool: Any, plan: BlockPlan, load: Load) -> Any:
        """The slots of the states' pool / what a running request takes of them (a slot is kept spare).

        Qwen3-Next on four H100 with 25.782 GiB: 677 slots of 19.3 MB, 225 requests with the radix cache (0.5.23).
        """
        if not np.any(plan.slot_bytes):
            return Engine.most_seqs(self, pool, plan, load)
        budget = np.maximum(pool, 0.0) * STATE_RATIO / (1 + STATE_RATIO)
        ratio = SLOTS_WITH_RADIX if load.prefix_caching else 1
        drafts = load.speculative_tokens + 1 if load.speculative_tokens else 0
        slots = np.floor((budget - plan.slot_bytes * (1 + drafts)) / (plan.slot_bytes * (1 + drafts / ratio)))
        return np.floor(np.maximum(slots, 0.0) / ratio)

    def concurrency(self, pool: Any, plan: BlockPlan, load: Load, tokens: Any) -> Any:
        """By tokens, and no more than the states' pool has slots for."""
        return np.minimum(Engine.concurrency(self, pool, plan, load, tokens), self.most_seqs(pool, plan, load))

    def running(self, pool: Any, plan: BlockPlan, load: Load, tokens: Any) -> Any:
        """By tokens, and no more than the states' pool has slots for."""
        return np.minimum(Engine.running(self, pool, plan, load, tokens), self.most_seqs(pool, plan, load))

    def draft_bytes(self, arch: Architecture, placement: Placement) -> Any:
        """A drafting module loads an embedding and a head of its own before it shares the model's [bytes]."""
        return 2 * 2.0 * arch.vocab_size * arch.hidden_size / np.asarray(placement.tp)
