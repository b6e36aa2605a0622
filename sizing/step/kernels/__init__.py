"""Kernel times: closed forms with a few fitted coefficients, seconds out, arrays in.

Every function broadcasts over its numeric arguments and takes the machine's rates and, optionally, its
coefficients (by default those of the machine's family in ``sizing/coefficients/kernels.yaml``).
"""

from sizing.step.kernels.attention import (
    attended_pairs,
    attention_decode_seconds,
    attention_prefill_seconds,
    encoder_attention_seconds,
    mla_decode_seconds,
    mla_prefill_seconds,
)
from sizing.step.kernels.collectives import (
    all_gather_seconds,
    all_reduce_seconds,
    all_to_all_seconds,
    expert_exchange_seconds,
    point_to_point_seconds,
    reduce_scatter_seconds,
)
from sizing.step.kernels.gemm import gemm_seconds, quantisation_seconds
from sizing.step.kernels.linear import linear_context_seconds, linear_generation_seconds
from sizing.step.kernels.moe import experts_touched, grouped_gemm_seconds, moe_seconds, rank_imbalance

__all__ = [
    "all_gather_seconds",
    "all_reduce_seconds",
    "all_to_all_seconds",
    "attended_pairs",
    "attention_decode_seconds",
    "attention_prefill_seconds",
    "encoder_attention_seconds",
    "expert_exchange_seconds",
    "experts_touched",
    "gemm_seconds",
    "grouped_gemm_seconds",
    "linear_context_seconds",
    "linear_generation_seconds",
    "mla_decode_seconds",
    "mla_prefill_seconds",
    "moe_seconds",
    "point_to_point_seconds",
    "quantisation_seconds",
    "rank_imbalance",
    "reduce_scatter_seconds",
]
