"""vLLM: memory policy, defaults and traits by version (0.4 to 0.33)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sizing.coefficients.memory import constant, memory_constants
from sizing.engine.base import (
    GIB,
    Device,
    Engine,
    Load,
    expert_copies,
    step_buffers,
    vision_buffers,
)
from sizing.engine.cache import BlockPlan, CacheGroup, block_plan
from sizing.engine.compressed import compressed_plan
from sizing.engine.placement import Placement
from sizing.engine.shard import VLLM_LAYOUT, Layout
from sizing.model.architecture import Architecture
from sizing.model.kv_formats import KVFormat
from sizing.model.parts import CacheKind
from sizing.model.quantization.schemes import QuantScheme

LATEST = (0, 33, 0)
V1_DEFAULT = (0, 8, 0)  # the V1 engine is the default from here on
UNCHUNKED_LIMIT = 32768  # V0 chunks prompts by itself above this model length
FP32 = 4
USUAL_SIZES = 51  # 1, 2, 4, 8..248 by 8, 256..512 by 16
DATA_CENTRE_GIB = 36  # smaller cards have no NVLink switch buffers
V0_MLA_PADDING = 640 / 576


@dataclass(frozen=True)
class Vllm(Engine):
    """vLLM on CUDA, ROCm and CPU-like devices."""

    name: str = "vllm"
    layout: Layout = VLLM_LAYOUT
    uneven_experts: bool = True
    partial_expert_parallel: bool = False
    caps_seqs_by_tokens: bool = True
    pools_apart: bool = True
    weight_dtypes: tuple[str, ...] = (
        "bf16", "fp16", "fp8", "fp8_channel", "fp8_block", "int8", "int8_wo", "int4_awq", "int4_gptq",
        "w4a8", "mxfp4", "nvfp4", "fp32", "mxfp8", "bnb", "torchao",
    )  # fmt: skip
    kv_dtypes: tuple[str, ...] = (
        "bf16", "fp8", "fp8_ds_mla", "nvfp4", "nvfp4_ds_mla", "fp8_per_token_head", "int8_per_token_head",
        "int4_per_token_head",
    )  # fmt: skip
    vendors: tuple[str, ...] = ("nvidia", "amd", "intel", "google", "cpu")

    def drafts_refused(self, scheme: QuantScheme, drafts: int) -> str | None:
        """MTP came with 0.11."""
        return None if self.at_least(0, 11) else f"drafting with MTP needs {self.name} 0.11 or newer"

    def default_utilization(self, device: Device, placement: Placement, arch: Architecture) -> Any:
        """0.90 up to 0.20; 0.92 since 0.21, when the graph estimate began to be subtracted."""
        return 0.92 if self.at_least(0, 21) else 0.90

    def _large(self, device: Device) -> bool:
        """The class of H100, H200, MI300X: at least 70 GiB, and neither an A100 nor a GB10.

        vLLM asks the driver's name for these two (``EngineArgs``, 0.33); an A800 is large by it.
        """
        return float(np.max(device.total_gib)) >= 70 and not device.named("a100", "gb10")

    def default_batched_tokens(self, device: Device, context: int) -> int:
        """16384 from 160 GiB on (since 0.28), 8192 from 70 GiB on, 2048 below; V0: 512 to 2048 [tokens]."""
        if not self.at_least(*V1_DEFAULT):
            return 2048 if context > UNCHUNKED_LIMIT else max(context, 2048)
        if self.at_least(0, 28) and float(np.max(device.total_gib)) >= 160:
            return 16384
        return 8192 if self._large(device) else 2048

    def default_num_seqs(self, device: Device) -> int:
        """1024 from 70 GiB on (since 0.9), else 256."""
        return 1024 if self._large(device) and self.at_least(0, 9) else 256

    def capture_sizes(self, max_num_seqs: int, speculative_tokens: int = 0) -> tuple[int, ...]:
        """1, 2, 4, 8..248 by 8, 256..limit by 16; the limit is min(2 x requests x (1 + drafted), 512)."""
        limit = min(max_num_seqs * (1 + speculative_tokens) * 2, 512)
        sizes = [1, 2, 4, *range(8, 256, 8), *range(256, 513, 16)]
        return tuple(size for size in sizes if size <= limit)

    def activation_bytes(
        self,
        arch: Architecture,
        scheme: QuantScheme,
        placement: Placement,
        load: Load,
        *,
        last_stage: bool = True,
    ) -> Any:
        """The larger of the sampler's buffers and the widest layer's.

        Sampler: k x max_num_seqs x vocabulary x 4 bytes + hidden states of the step + a constant; k fell in
        0.17. Since 0.17 the expert kernels keep their buffers while the sampler works (not MXFP4's).
        """
        buffers = step_buffers(arch, placement, load.max_num_batched_tokens)
        chunked_v0 = not self.at_least(*V1_DEFAULT) and load.context > UNCHUNKED_LIMIT
        if not last_stage or not arch.has_lm_head or chunked_v0:
            return buffers
        recent = self.at_least(0, 17)
        copies = constant("vllm_activation", "sampler_copies" if recent else "sampler_copies_before_0_17")
        logits = load.max_num_seqs * arch.vocab_size * FP32
        hidden = 2.0 * load.max_num_batched_tokens * arch.hidden_size
        sampler: Any = copies * logits + hidden + constant("vllm_activation", "fixed_gib") * GIB
        if recent and scheme.experts.name != "mxfp4":
            sampler = sampler + 2.0 * load.max_num_batched_tokens * expert_copies(arch, placement)
        if arch.vision is not None:
            sampler = sampler + constant("vllm_activation", "vision_gib") * GIB
        if scheme.linear.compute == "int8":
            sampler = sampler + constant("vllm_activation", "int8_gib") * GIB / np.asarray(placement.tp)
        return np.maximum(
            np.maximum(sampler, buffers),
            vision_buffers(arch, placement, load, recent=recent, bounded=self.at_least(0, 9)),
        )

    def runtime_bytes(self, placement: Placement, device: Device) -> Any:
        """Growth outside the allocator: small alone, about 2 GiB with communicators since 0.18."""
        ranks = placement.tp * np.asarray(placement.pp)
        era = "since_0_18" if self.at_least(0, 18) else "before_0_18" if self.at_least(0, 7) else "before_0_7"
        alone = constant("vllm_runtime", f"single_gib_{era}")
        few = constant("vllm_runtime", f"group_gib_{era}")
        many = constant("vllm_runtime", f"large_group_gib_{era}")
        if float(np.max(device.total_gib)) < DATA_CENTRE_GIB:
            few = many = constant("vllm_runtime", "group_gib_small_cards")
        return np.where(ranks == 1, alone, np.where(ranks < 8, few, many)) * GIB

    def graph_bytes(self, arch: Architecture, placement: Placement, load: Load, device: Device) -> Any:
        """Captured graphs: by layers, heavier for experts, with the number of sizes."""
        if load.enforce_eager:
            return 0.0 * np.asarray(placement.tp)
        sizes = len(self.capture_sizes(load.max_num_seqs, load.speculative_tokens))
        more = card_overhead(device) * GIB if self.at_least(0, 21) else 0.0
        return graph_estimate(arch, placement, sizes) + more

    def pool_bytes(
        self, device: Device, weights: Any, activation: Any, runtime: Any, graphs: Any, utilization: Any
    ) -> Any:
        """utilization x total - weights - activation - runtime, and since 0.21 - graphs."""
        charged = graphs if self.at_least(0, 21) else 0.0
        return utilization * device.total_bytes - weights - activation - runtime - charged

    def pool_formula(self) -> str:
        """The pool's formula in words, as this version computes it."""
        graphs = " - graph estimate" if self.at_least(0, 21) else " (graphs live in the rest)"
        return "utilization x total memory - weights - activation peak - runtime" + graphs

    def plan(self, groups: list[CacheGroup], load: Load, fmt: KVFormat) -> BlockPlan:
        """The hybrid manager came with V1 (0.9); before, windows were charged as full attention.

        V0 padded MLA's 576 elements to 640.
        """
        if not self.at_least(*V1_DEFAULT):
            groups = [
                replace(group, bytes_per_token=group.bytes_per_token * V0_MLA_PADDING)
                if group.kind is CacheKind.MLA
                else group
                for group in groups
            ]
        if any(group.compressed for group in groups):
            return compressed_plan(groups, fmt, tuples=not self.at_least(0, 33))
        checkpoints = load.prefix_caching and self.at_least(0, 33)
        return block_plan(groups, self.block_tokens, hybrid=self.at_least(0, 9), checkpoints=checkpoints)

    def most_seqs(self, pool: Any, plan: BlockPlan, load: Load) -> Any:
        """With full graphs every running request needs a block of recurrent state: no start above the pool's blocks."""
        if not plan.has_states or load.enforce_eager:
            return Engine.most_seqs(self, pool, plan, load)
        return np.floor(np.maximum(pool, 0.0) / plan.block_bytes)

    def states_per_request(self, plan: BlockPlan, load: Load) -> int:
        """One state and one per drafted token; with prefix caching (recurrent models since 0.24) one more, and since
        0.33 another one where states are exported inside prompts.
        """
        states = 1 + load.speculative_tokens
        if load.prefix_caching and self.at_least(0, 24):
            states += 2 if self.at_least(0, 33) and plan.exports_states else 1
        return states

    def in_flight_tokens(self, plan: BlockPlan, load: Load) -> int:
        """One step's tokens; two steps' since asynchronous scheduling counts (0.33; of compressed layers 0.22)."""
        twice = self.at_least(0, 33) or (plan.is_compressed and self.at_least(0, 22))
        return load.max_num_batched_tokens * (2 if twice else 1)

    def pool_tokens(self, pool: Any, plan: BlockPlan, load: Load) -> Any:
        """What "GPU KV cache size" says: blocks / groups x block; the concurrency x the longest request for several
        groups since 0.21, for all since 0.33.
        """
        if self.at_least(0, 33) or (plan.groups > 1 and self.at_least(0, 21)):
            return np.floor(self.concurrency(pool, plan, load, load.context) * load.context)
        return Engine.pool_tokens(self, pool, plan, load)

    def tokens_formula(self, kinds: int) -> str:
        """What ``pool_tokens`` is, in words, for layers of so many kinds."""
        if self.at_least(0, 33) or (kinds > 1 and self.at_least(0, 21)):
            return "as the log prints it: concurrent requests at the worst x context"
        return Engine.tokens_formula(self, kinds)


def card_overhead(device: Device) -> float:
    """What engines were seen to hold for graphs on some cards, more than on others [GiB]."""
    for words, found in memory_constants()["card_overhead_gib"].items():
        if all(device.named(word) for word in words.split()):
            return float(found["value"])
    return 0.0


def graph_estimate(arch: Architecture, placement: Placement, sizes: int) -> Any:
    """Memory of CUDA graphs [bytes]: (fixed + for experts + by layers x hidden / tp) x a share of the 51
    usual sizes.

    The share is rest + (1 - rest) x (sizes / 51)^2: few sizes are the small ones.

    """
    full = (
        constant("vllm_graphs", "fixed_gib")
        + constant("vllm_graphs", "moe_gib") * arch.is_moe
        + constant("vllm_graphs", "width_gib") * arch.num_layers * arch.hidden_size / 1e5 / np.asarray(placement.tp)
    )
    rest = constant("vllm_graphs", "share_of_one_size")
    return full * (rest + (1 - rest) * min(1.0, sizes / USUAL_SIZES) ** 2) * GIB
