"""vllm-ascend: vLLM's older budget (graphs not subtracted), blocks of 128 tokens, HCCL buffers outside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sizing.coefficients.memory import constant
from sizing.engine.base import GIB, Device, Load
from sizing.engine.cache import BlockPlan, CacheGroup, block_plan
from sizing.engine.placement import Placement
from sizing.engine.shard import Layout
from sizing.engine.vllm import Vllm
from sizing.model.kv_formats import KVFormat
from sizing.model.quantization.schemes import QuantScheme

LATEST = (0, 23, 0)
MAX_VERIFIED_TOKENS = 16


@dataclass(frozen=True)
class VllmAscend(Vllm):
    """The Ascend plugin of vLLM; its version is the version of vLLM."""

    name: str = "vllm-ascend"
    layout: Layout = Layout()  # noqa: RUF009
    block_tokens: int = 128
    pools_apart: bool = False
    weight_dtypes: tuple[str, ...] = ("bf16", "fp16", "int8", "w4a8")
    kv_dtypes: tuple[str, ...] = ("bf16", "int8")
    vendors: tuple[str, ...] = ("huawei",)

    def drafts_refused(self, scheme: QuantScheme, drafts: int) -> str | None:
        """At most 16 tokens of a request are verified in a step."""
        if drafts + 1 > MAX_VERIFIED_TOKENS:
            return f"{self.name} drafts at most {MAX_VERIFIED_TOKENS - 1} tokens"
        return Vllm.drafts_refused(self, scheme, drafts)

    def runtime_bytes(self, placement: Placement, device: Device) -> Any:
        """Growth outside the allocator, HCCL buffers among it."""
        alone = constant("vllm_runtime", "single_gib_before_0_18")
        group = constant("vllm_ascend", "group_gib")
        return np.where(placement.tp * np.asarray(placement.dp * placement.pp) > 1, group, alone) * GIB

    def pool_bytes(
        self, device: Device, weights: Any, activation: Any, runtime: Any, graphs: Any, utilization: Any
    ) -> Any:
        """utilization x total - weights - activation - runtime; graphs live in the rest."""
        return utilization * device.total_bytes - weights - activation - runtime

    def pool_formula(self) -> str:
        """The pool's formula in words, as this version computes it."""
        return "utilization x total memory - weights - activation peak - runtime (graphs live in the rest)"

    def plan(self, groups: list[CacheGroup], load: Load, fmt: KVFormat) -> BlockPlan:
        """Blocks of 128 tokens, the hybrid manager since 0.11."""
        return block_plan(groups, self.block_tokens, hybrid=self.at_least(0, 11))
