"""The parts that a layer is made of: weight matrices, small vectors, expert banks, caches, attention cores.

They are plain descriptions with whole numbers from the config. Counting parameters, listing the operations
of a step, sharding over ranks and sizing the cache all read these same parts, so that no formula is written
twice. Shapes follow ``torch.nn.Linear``: a matrix maps ``in_features`` to ``out_features``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Component(StrEnum):
    """What a parameter belongs to; the names of the oracle's columns."""

    EMBEDDING = "embedding"
    LM_HEAD = "lm_head"
    ATTENTION = "attention"
    LINEAR_ATTENTION = "linear_attn"
    DENSE_MLP = "dense_mlp"
    ROUTED_EXPERTS = "routed_experts"
    SHARED_EXPERTS = "shared_experts"
    ROUTER = "router"
    NORMS = "norms"
    VISION = "vision"
    PER_LAYER_EMBEDDING = "per_layer_embed"
    OTHER = "other"


class Sharding(StrEnum):
    """How tensor parallelism splits a matrix."""

    COLUMN = "column"  # out_features / tp
    ROW = "row"  # in_features / tp, all-reduce behind it
    KV_HEADS = "kv_heads"  # out_features split by KV head, heads replicated when tp exceeds them
    REPLICATED = "replicated"  # a whole copy on every rank
    VOCAB = "vocab"  # rows of the (padded) vocabulary / tp


@dataclass(frozen=True, slots=True)
class Linear:
    """A weight matrix ``[out_features, in_features]``, with an optional bias of ``out_features``.

    ``fuse`` names the single GEMM that engines merge it into ("qkv", "gate_up"); ``quantizable`` is False
    for what checkpoints keep in 16 bits (routers, small projections). ``kv_heads`` is the head count behind
    KV_HEADS sharding.
    """

    name: str
    in_features: int
    out_features: int
    component: Component
    sharding: Sharding = Sharding.COLUMN
    bias: bool = False
    fuse: str | None = None
    quantizable: bool = True
    kv_heads: int | None = None

    @property
    def weight_params(self) -> int:
        """Elements of the matrix."""
        return self.in_features * self.out_features

    @property
    def params(self) -> int:
        """Parameters, bias included."""
        return self.weight_params + (self.out_features if self.bias else 0)


@dataclass(frozen=True, slots=True)
class Vector:
    """Small parameters that are never a GEMM: norms, sinks, convolutions, decay rates (16-bit or fp32)."""

    name: str
    params: int
    component: Component = Component.NORMS
    sharded: bool = False  # split over tensor parallel ranks


@dataclass(frozen=True, slots=True)
class Experts:
    """A bank of routed experts of one layer, each ``hidden -> intermediate -> hidden``.

    ``matrices`` is 3 for gated experts (gate, up, down), 2 otherwise. ``bias_params`` counts the biases of
    one expert. ``zero_experts`` take part in routing but hold no weights.
    """

    num_experts: int
    num_experts_per_tok: float
    hidden_size: int
    intermediate_size: int
    matrices: int = 3
    bias_params: int = 0
    zero_experts: int = 0

    @property
    def params_per_expert(self) -> int:
        """Parameters of one expert, its biases included."""
        return self.matrices * self.hidden_size * self.intermediate_size + self.bias_params

    @property
    def params(self) -> int:
        """Parameters of the whole bank."""
        return self.num_experts * self.params_per_expert


class CacheKind(StrEnum):
    """How a layer's cache grows."""

    FULL = "full_attention"  # one entry per token, split by KV heads
    SLIDING = "sliding_window"  # one entry per token up to the window
    MLA = "mla_latent"  # one latent per token, a copy on every tensor parallel rank
    COMPRESSED = "compressed"  # an entry per several tokens besides a window
    STATE = "state"  # constant per sequence
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Cache:
    """What one layer keeps per token and per sequence, in elements (multiply by the bytes of the KV dtype).

    elements_per_token: unsharded elements that one token adds (GQA: ``kv_heads * (k_dim + v_dim)``; MLA:
    ``kv_lora_rank + qk_rope_head_dim``). window: tokens after which it stops growing (None: never).
    state_elements: constant elements of one sequence (recurrent and convolution states, in the model's
    16-bit dtype); state_fp32_elements: the part of state_elements that engines keep in fp32. conv_elements: the part of
    state_elements that is a convolution's last ``conv_columns`` inputs, its kernel; engines keep one column less, and one
    more for each drafted token.
    checkpoint_tokens: a state can be exported inside a prompt at multiples of so many tokens; None where not.
    indexer_bytes_per_token: sparse-attention index keys, whatever the KV dtype. local_window,
    local_elements_per_token: COMPRESSED layers keep, beside ``elements_per_token`` of compressed growth, so
    many elements for each of the last ``local_window`` tokens.
    """

    kind: CacheKind
    elements_per_token: float = 0.0
    kv_heads: int = 0
    window: int | None = None
    state_elements: int = 0
    state_fp32_elements: int = 0
    conv_elements: int = 0
    conv_columns: int = 0
    checkpoint_tokens: int | None = None
    indexer_bytes_per_token: float = 0.0
    local_window: int | None = None
    local_elements_per_token: float = 0.0


class CoreKind(StrEnum):
    """The kind of token mixing that is not a GEMM with weights."""

    SOFTMAX = "softmax"  # (grouped-query) attention over the cache
    MLA = "mla"  # multi-head latent attention
    LINEAR = "linear"  # recurrent: gated delta net, KDA, lightning, Mamba
    NONE = "none"


@dataclass(frozen=True, slots=True)
class AttentionCore:
    """Attention itself, for FLOPs and cache reads.

    For MLA prefill the head dims are ``qk_nope + qk_rope`` and ``v_head_dim``; decode works on the latent
    (``latent_dim`` = kv_lora_rank + rope, ``latent_v_dim`` = kv_lora_rank). ``topk_tokens``: sparse
    attention reads at most so many tokens; the indexer of ``index_heads`` x ``index_dim`` scores all of
    them. ``compress_ratio`` above 1: beside the last ``window`` tokens, one entry for so many tokens is read, the top-k of
    them where there is an indexer. ``index_ratio``: tokens that share one index key. LINEAR cores use
    num_heads (value heads), qk_head_dim and v_head_dim as the state's shape.
    """

    kind: CoreKind
    num_heads: int = 0
    num_kv_heads: int = 0
    qk_head_dim: int = 0
    v_head_dim: int = 0
    window: int | None = None
    latent_dim: int = 0
    latent_v_dim: int = 0
    topk_tokens: int | None = None
    index_heads: int = 0
    index_dim: int = 0
    compress_ratio: int = 1
    index_ratio: int = 1


@dataclass(frozen=True, slots=True)
class Mixer:
    """A token mixer: its matrices, its vectors, its core, its cache."""

    kind: str  # "gqa", "mla", "gated_delta_net", "mamba2", ...
    linears: tuple[Linear, ...]
    vectors: tuple[Vector, ...]
    core: AttentionCore
    cache: Cache


@dataclass(frozen=True, slots=True)
class FeedForward:
    """A feed-forward block: dense matrices, router, routed experts, shared experts (as matrices)."""

    kind: str  # "dense", "moe", "none"
    linears: tuple[Linear, ...] = ()  # dense MLP, router and shared experts; told apart by component
    vectors: tuple[Vector, ...] = ()
    experts: Experts | None = None
    idle_params: int = 0  # of ``linears`` and ``vectors``: what text tokens pass by (experts for images)
