"""TensorRT-LLM (PyTorch backend): the fraction applies to what is left, and admission reserves the whole
output.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sizing.coefficients.memory import constant
from sizing.engine.base import GIB, Device, Engine, Load
from sizing.engine.cache import BlockPlan, CacheGroup, block_plan
from sizing.engine.placement import Placement
from sizing.model.architecture import Architecture
from sizing.model.kv_formats import KVFormat

LATEST = (1, 2, 1)


@dataclass(frozen=True)
class TensorRTLLM(Engine):
    """TensorRT-LLM on NVIDIA."""

    name: str = "tensorrt-llm"
    block_tokens: int = 32
    weight_dtypes: tuple[str, ...] = (
        "bf16", "fp16", "fp8", "fp8_block", "int8", "int8_wo", "int4_awq", "int4_gptq", "w4a8",
        "mxfp4", "nvfp4",
    )  # fmt: skip
    kv_dtypes: tuple[str, ...] = ("bf16", "fp8", "int8", "nvfp4")
    vendors: tuple[str, ...] = ("nvidia",)
    reserves_max_output: bool = True  # GUARANTEED_NO_EVICT
    attention_dp_with_tp: bool = False

    def default_utilization(self, device: Device, placement: Placement, arch: Architecture) -> Any:
        """free_gpu_memory_fraction."""
        return 0.9

    def default_batched_tokens(self, device: Device, context: int) -> int:
        """max_num_tokens [tokens]."""
        return 8192

    def default_num_seqs(self, device: Device) -> int:
        """max_batch_size."""
        return 2048

    def runtime_bytes(self, placement: Placement, device: Device) -> Any:
        """Context, cuBLAS and communicators outside the allocator."""
        return constant("tensorrt_llm", "runtime_gib") * GIB + 0.0 * np.asarray(placement.tp)

    def graph_bytes(self, arch: Architecture, placement: Placement, load: Load, device: Device) -> Any:
        """Captured after the pool is sized."""
        return constant("tensorrt_llm", "graphs_gib") * GIB + 0.0 * np.asarray(placement.tp)

    def pool_bytes(
        self, device: Device, weights: Any, activation: Any, runtime: Any, graphs: Any, utilization: Any
    ) -> Any:
        """fraction x (total - weights - activation - runtime)."""
        return utilization * (device.total_bytes - weights - activation - runtime)

    def pool_formula(self) -> str:
        """The pool's formula in words."""
        return "free_gpu_memory_fraction x (total memory - weights - activation peak - runtime)"

    def plan(self, groups: list[CacheGroup], load: Load, fmt: KVFormat) -> BlockPlan:
        """Blocks of 32 tokens; pools by window are split statically, every window charged as full."""
        return block_plan(groups, self.block_tokens, hybrid=False)
