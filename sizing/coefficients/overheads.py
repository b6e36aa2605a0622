"""What an engine adds to the times of its kernels: a handful of figures an engine, fitted on whole servers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sizing.base.arrays import Num, as_float


class StoredFormat(Protocol):
    """What a multiplier asks of a weight format: its name, and the bits of one weight."""

    @property
    def name(self) -> str: ...

    @property
    def bits(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Overheads:
    """What an engine adds to the operations, fitted on whole servers.

    step_s: host time of a step that is not hidden behind the accelerator [s]. layer_s: small kernels and launch gaps
    per layer and pass [s]. moe_layer_s: the same for routing, per layer with experts [s]. sync_s: what each of a
    layer's joins costs beyond the collective itself where several ranks run [s per layer]. elementwise: element-wise
    work per token and layer, as multiples of the time to move one residual row through memory. sequence_s: host work
    per running sequence and step [s]. prefill_step_s: host time that a step with prompt tokens adds [s]. gemm,
    attention, experts, collectives: multipliers on the kernels' own times in decode; prefill_*: in prefill (a mixed
    step weighs the two by tokens). prefill_gemm16: on top of prefill_gemm for 16-bit products, which draw the most
    power and clock down under steady load. quantisation: share of the time to quantise activations that is left where
    engines fuse it into other kernels. linear_layer_s: small kernels around a recurrent mixer (convolution, gates), per
    such layer and pass [s]. norm_s: each norm inside a token mixer (of queries, keys, latents) [s]. experts_fp8: on top
    of experts and prefill_experts for experts multiplied in FP8, by engine and family (grouped kernels differ most
    there). moe_sync_s: what joining the experts' sums costs beyond the collective where several ranks run, per layer
    with experts [s]. index_layer_s: small kernels of sparse attention's indexer, per layer that has one [s]. launch_s:
    without graphs, what the host takes to launch a layer's kernels [s]: a pass takes so long at least, whatever it
    holds. experts_mxfp4: on top of experts and prefill_experts for MXFP4 experts, whose servers (all of gpt-oss) touch
    fewer experts than ``operation_times.ROUTING_SKEW`` makes of their batches. Fields may be arrays (rows of a fit).
    """

    step_s: float = 0.0
    layer_s: float = 0.0
    elementwise: float = 0.0
    sequence_s: float = 0.0
    gemm: float = 1.0
    attention: float = 1.0
    experts: float = 1.0
    collectives: float = 1.0
    prefill_step_s: float = 0.0
    moe_layer_s: float = 0.0
    sync_s: float = 0.0
    prefill_gemm: float = 1.0
    prefill_gemm16: float = 1.0
    prefill_attention: float = 1.0
    prefill_experts: float = 1.0
    prefill_collectives: float = 1.0
    linear: float = 1.0
    prefill_linear: float = 1.0
    quantisation: float = 1.0
    linear_layer_s: float = 0.0
    norm_s: float = 0.0
    experts_mxfp4: float = 1.0
    experts_fp8: float = 1.0
    moe_sync_s: float = 0.0
    index_layer_s: float = 0.0
    launch_s: float = 0.0

    def factor(self, key: str, share: Num = 0.0) -> Num:
        """What one unit of a part's amount takes, by its key (``Parts``): seconds of host work, or a factor on kernels.

        share: of prompt tokens in the step, which weighs the factors of decode and prefill.
        """
        group = SHARED_KEYS.get(key)
        if group is None:
            found: Num = getattr(self, key)
            return found
        decode, prefill = getattr(self, group), getattr(self, f"prefill_{group}")
        if key == "gemm16":
            prefill = prefill * self.prefill_gemm16
        if key in ("experts_mxfp4", "experts_fp8"):
            own = getattr(self, key)
            decode, prefill = decode * own, prefill * own
        found = decode + (prefill - decode) * as_float(share)
        return found


#: Keys of parts that prompt and decoded tokens share -> the field of ``Overheads`` and of its ``prefill_`` kin.
SHARED_KEYS: dict[str, str] = {
    "gemm": "gemm",
    "gemm16": "gemm",
    "experts": "experts",
    "experts_mxfp4": "experts",
    "experts_fp8": "experts",
    "collectives": "collectives",
}
