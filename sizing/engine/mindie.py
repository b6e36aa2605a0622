"""MindIE (Huawei): a fraction of all memory for weights, workspace and cache; whole outputs are reserved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sizing.coefficients.memory import constant
from sizing.engine.base import GIB, Device, Engine
from sizing.engine.placement import Placement
from sizing.engine.shard import Layout
from sizing.model.architecture import Architecture
from sizing.model.quantization.schemes import QuantScheme

LATEST = (2, 3, 0)
MTP_WEIGHTS = ("int8", "w4a8")
MAX_DRAFTS = 2


@dataclass(frozen=True)
class MindIE(Engine):
    """MindIE-LLM on Ascend."""

    name: str = "mindie"
    layout: Layout = Layout(dp_copies=True)  # noqa: RUF009
    block_tokens: int = 128
    weight_dtypes: tuple[str, ...] = ("bf16", "fp16", "int8", "int8_wo", "w4a8")
    kv_dtypes: tuple[str, ...] = ("bf16", "int8")
    vendors: tuple[str, ...] = ("huawei",)
    reserves_max_output: bool = True
    pipelines: bool = False

    def drafts_refused(self, scheme: QuantScheme, drafts: int) -> str | None:
        """MTP with W8A8 and W4A8 weights only, 1 or 2 tokens."""
        if scheme.linear.name not in MTP_WEIGHTS and scheme.experts.name not in MTP_WEIGHTS:
            return f"{self.name} drafts with MTP only where the weights are W8A8 or W4A8, not {scheme.name}"
        return None if drafts <= MAX_DRAFTS else f"{self.name} drafts at most {MAX_DRAFTS} tokens"

    def default_utilization(self, device: Device, placement: Placement, arch: Architecture) -> Any:
        """NPU_MEMORY_FRACTION of MindIE-LLM; its guides use 0.92 to 0.96 for DeepSeek."""
        return 0.8

    def default_batched_tokens(self, device: Device, context: int) -> int:
        """maxPrefillTokens; never below the longest prompt [tokens]."""
        return 8192

    def default_num_seqs(self, device: Device) -> int:
        """maxBatchSize."""
        return 200

    def runtime_bytes(self, placement: Placement, device: Device) -> Any:
        """Runtime buffers and what the system holds; HCCL and PyTorch lie outside the fraction."""
        return constant("mindie", "runtime_gib") * GIB + 0.0 * np.asarray(placement.tp)

    def pool_bytes(
        self, device: Device, weights: Any, activation: Any, runtime: Any, graphs: Any, utilization: Any
    ) -> Any:
        """fraction x total - weights - workspace - runtime buffers."""
        return utilization * device.total_bytes - weights - activation - runtime

    def pool_formula(self) -> str:
        """The pool's formula in words."""
        return "NPU_MEMORY_FRACTION x total memory - weights - workspace - runtime buffers"
