"""What one rank holds: THE rule, for the memory ledger and for the operations of a step alike.

A rank's share of a matrix, of a bank of experts and of a layer's cache follows from the parts of the model, the sizes
of the parallel groups and the engine's ``Layout``. ``engine.sharding`` and ``engine.cache`` add these shares up to a
ledger; ``sizing.step.operations`` reads the same shares in every step, so that a step reads what the ledger holds. All
formulas broadcast over whole numbers or NumPy arrays of group sizes.

Rules (vLLM and SGLang model code): vocabularies are padded to a multiple of 64 and split; KV projections are split by
head and copied when there are more ranks than heads; MLA down-projections, routers and norms are whole on every rank;
experts are spread (``ep``) and cut (``tp * dp / ep``); attention data parallelism copies everything but the experts.
GQA caches split by KV head, at least one head a rank; MLA latents are whole on every rank of a tensor parallel group;
recurrent states split by head. Valid for the engines of ``sizing.engine.registry``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sizing.engine.placement import Placement
from sizing.model import kv_formats
from sizing.model.architecture import BF16_BYTES, Architecture
from sizing.model.kv_formats import KVFormat, kv_format
from sizing.model.parts import Cache, CacheKind, Component, CoreKind, Experts, Linear, Mixer, Sharding
from sizing.model.quantization.schemes import QuantScheme, WeightFormat

VOCAB_PADDING = 64
# MXFP4 expert kernels keep the values (not the scales) of 256-wide tiles.
MXFP4_TILE = 256


@dataclass(frozen=True, slots=True)
class Layout:
    """Where engines differ. dp_copies: under attention data parallelism the embedding is whole on every
    rank, and so are dense layers and shared experts (SGLang, MindIE). shared_experts_whole: shared experts
    are whole when experts are spread. pads_mxfp4: expert widths are padded to tiles at load.
    vision_sharded: the tower is split over tp.
    """

    dp_copies: bool = False
    shared_experts_whole: bool = False
    pads_mxfp4: bool = False
    vision_sharded: bool = True


VLLM_LAYOUT = Layout(pads_mxfp4=True)
PLAIN_LAYOUT = Layout()


@dataclass(frozen=True, slots=True)
class Shards:
    """All that a rank's shares depend on beside the model and the placement.

    scheme: the weights' formats.
    layout: the engine's own ways.
    kv: the format of the cache.
    fp8_index_keys: whether sparse attention's index keys are kept in FP8 with a scale; else in 16 bits.
    """

    scheme: QuantScheme
    layout: Layout = PLAIN_LAYOUT
    kv: KVFormat = kv_format("bf16")  # noqa: RUF009
    fp8_index_keys: bool = True


@dataclass(frozen=True, slots=True)
class Share:
    """One rank's part of a matrix.

    out_features, in_features: its shape. ways: into how many parts the matrix is cut (1: a whole copy).
    bytes: with scales, zeros and bias [bytes]. format: how it is stored.
    """

    out_features: Any
    in_features: Any
    ways: Any
    bytes: Any
    format: WeightFormat


def stored_bytes(fmt: WeightFormat, out_features: Any, in_features: Any) -> Any:
    """Bytes of a matrix in a format, scales and zeros included; broadcasts over the shape [bytes].

    >>> from sizing.model.quantization.schemes import INT4_AWQ
    >>> float(stored_bytes(INT4_AWQ, 4096, 4096)) / (4096 * 4096 / 2)  # 2 + 1/2 bytes for 128 values of 4 bits
    1.0390625
    """
    if fmt.parts:
        return sum(share * stored_bytes(part, out_features, in_features) for share, part in fmt.parts)
    values = out_features * in_features * (fmt.bits / 8)
    if fmt.block is None:
        return values
    rows, columns = fmt.block
    down = 1.0 if rows is None else np.ceil(out_features / rows)
    across = 1.0 if columns is None else np.ceil(in_features / columns)
    return values + down * across * (fmt.scale_bytes + fmt.zero_bits / 8)


def padded_vocab(vocab_size: int) -> int:
    """Rows of the embedding as engines hold it: padded to a multiple of 64."""
    return -(-vocab_size // VOCAB_PADDING) * VOCAB_PADDING


def heads_per_rank(heads: Any, tp: Any) -> Any:
    """Heads that one rank holds: split over tp, at least one (KV heads are copied when tp exceeds them)."""
    return np.maximum(1, np.ceil(heads / np.asarray(tp)))


def matrix_format(linear: Linear, scheme: QuantScheme) -> WeightFormat:
    """The format of a matrix on the accelerator: INT8 schemes leave MLA's kv_b_proj in 16 bits, as it is
    absorbed.
    """
    fmt = scheme.format_of(linear)
    return scheme.other if linear.name == "kv_b_proj" and fmt.compute == "int8" else fmt


def expert_format(scheme: QuantScheme) -> WeightFormat:
    """The format of routed experts: their own, or that of what a checkpoint leaves as it was."""
    return scheme.other if Component.ROUTED_EXPERTS in scheme.unquantized else scheme.experts


def split_of(component: Component, placement: Placement, layout: Layout) -> Any:
    """The tensor parallel size by which a component's matrices are cut."""
    tp = np.asarray(placement.tp)
    if component is Component.DENSE_MLP and layout.dp_copies:
        return np.where(np.asarray(placement.dp) > 1, 1, tp)
    if component is Component.SHARED_EXPERTS and layout.shared_experts_whole:
        return np.where(np.asarray(placement.ep) > 1, 1, tp)
    return tp


def linear_shape(linear: Linear, ways: Any) -> tuple[Any, Any]:
    """``(out_features, in_features)`` of one matrix on one rank of a tensor parallel group of ``ways``."""
    out: Any = linear.out_features
    columns: Any = linear.in_features
    if linear.sharding is Sharding.COLUMN:
        out = np.ceil(out / ways)
    elif linear.sharding is Sharding.ROW:
        columns = np.ceil(columns / ways)
    elif linear.sharding is Sharding.KV_HEADS:
        heads = linear.kv_heads or 1
        out = out / heads * heads_per_rank(heads, ways)
    elif linear.sharding is Sharding.VOCAB:
        out = padded_vocab(linear.out_features) / ways
    return out, columns


def linear_bytes(linear: Linear, fmt: WeightFormat, ways: Any) -> Any:
    """Bytes of one matrix (and bias) on one rank of a tensor parallel group of ``ways`` [bytes]."""
    out, columns = linear_shape(linear, ways)
    return stored_bytes(fmt, out, columns) + (out * BF16_BYTES if linear.bias else 0.0)


def share_of(linear: Linear, placement: Placement, shards: Shards) -> Share:
    """One rank's part of a matrix of a layer."""
    fmt = matrix_format(linear, shards.scheme)
    ways = split_of(linear.component, placement, shards.layout)
    out, columns = linear_shape(linear, ways)
    return Share(out, columns, ways, linear_bytes(linear, fmt, ways), fmt)


def embedding_bytes(
    arch: Architecture, scheme: QuantScheme, placement: Placement, layout: Layout = PLAIN_LAYOUT
) -> Any:
    """Bytes of the input embedding on one rank, and of what lies beside it (tables of positions) [bytes]."""
    share = _table(arch, scheme, placement, layout)
    return share.bytes + max(0, arch.embedding - arch.vocab_size * arch.hidden_size) * BF16_BYTES


def _table(arch: Architecture, scheme: QuantScheme, placement: Placement, layout: Layout) -> Share:
    """One rank's rows of the input embedding."""
    tp = np.asarray(placement.tp)
    ways = np.where(np.asarray(placement.dp) > 1, 1, tp) if layout.dp_copies else tp
    rows = padded_vocab(arch.vocab_size) / ways
    width = min(arch.hidden_size, arch.embedding / arch.vocab_size)
    return Share(
        rows, width, ways, rows * width * (scheme.embedding_format.effective_bits / 8), scheme.embedding_format
    )


def head_share(arch: Architecture, placement: Placement, shards: Shards) -> Share:
    """One rank's part of the output head: a matrix of its own, or the embedding's rows where they are tied."""
    scheme, tp = shards.scheme, np.asarray(placement.tp)
    if arch.tie_word_embeddings:
        return _table(arch, scheme, placement, shards.layout)
    rows = padded_vocab(arch.vocab_size) / tp
    bias = rows * BF16_BYTES if arch.lm_head_bias else 0.0
    size = stored_bytes(scheme.lm_head, rows, arch.hidden_size) + bias
    return Share(rows, arch.hidden_size, tp, size, scheme.lm_head)


def local_experts(bank: Experts, placement: Placement) -> Any:
    """Whole experts (or parts of so many) on the fullest rank: ``ceil(experts / ep)``."""
    return np.ceil(bank.num_experts / np.asarray(placement.ep))


def expert_width(bank: Experts, fmt: WeightFormat, placement: Placement, layout: Layout = PLAIN_LAYOUT) -> Any:
    """Columns of one expert on one rank as its kernels hold them, tiles filled up.

    >>> from sizing.model.quantization.schemes import MXFP4
    >>> gpt_oss = Experts(num_experts=128, num_experts_per_tok=4, hidden_size=2880, intermediate_size=2880)
    >>> float(expert_width(gpt_oss, MXFP4, Placement(tp=2), VLLM_LAYOUT))  # 1,440 in tiles of 256
    1536.0
    """
    width = _cut(bank, placement)
    return np.ceil(width / MXFP4_TILE) * MXFP4_TILE if _pads(fmt, layout) else width


def _cut(bank: Experts, placement: Placement) -> Any:
    return np.ceil(bank.intermediate_size / (placement.tp * placement.dp / np.asarray(placement.ep)))


def _pads(fmt: WeightFormat, layout: Layout) -> bool:
    return layout.pads_mxfp4 and fmt.name == "mxfp4"


def expert_bytes(bank: Experts, fmt: WeightFormat, placement: Placement, layout: Layout = PLAIN_LAYOUT) -> Any:
    """Bytes of one routed expert's part on one rank, cut ``tp * dp / ep`` ways [bytes]."""
    width = _cut(bank, placement)
    into = stored_bytes(fmt, width, bank.hidden_size)
    back = stored_bytes(fmt, bank.hidden_size, width)
    total = (bank.matrices - 1) * into + back
    padded = expert_width(bank, fmt, placement, layout)
    total = total + bank.matrices * (padded - width) * bank.hidden_size * fmt.bits / 8
    moe_tp = placement.tp * placement.dp / np.asarray(placement.ep)
    return total + bank.bias_params / moe_tp * BF16_BYTES


def experts_bytes(bank: Experts, fmt: WeightFormat, placement: Placement, layout: Layout = PLAIN_LAYOUT) -> Any:
    """Bytes of one layer's routed experts on one rank: ceil(experts / ep) experts, each cut moe_tp ways
    [bytes].
    """
    return local_experts(bank, placement) * expert_bytes(bank, fmt, placement, layout)


def entry_bytes(cache: Cache, fmt: KVFormat, tp: Any) -> Any:
    """Bytes of one entry of one layer's cache on one rank, without index keys [bytes]."""
    heads = heads_per_rank(cache.kv_heads, tp) if cache.kv_heads else None
    return kv_formats.token_bytes(cache, fmt, heads) + 0 * np.asarray(tp)


def element_bytes(cache: Cache, fmt: KVFormat) -> float:
    """Bytes of one element of a cache, its part of the scales or of the packed row included [bytes].

    >>> element_bytes(Cache(CacheKind.MLA, 576), kv_format("fp8_ds_mla"))  # rows of 656 bytes
    1.1388888888888888
    """
    return float(kv_formats.token_bytes(cache, fmt)) / max(cache.elements_per_token, 1.0)


def read_cache(mixer: Mixer) -> Cache:
    """The cache whose entries a layer's attention reads: its own, or one of the same shape that another layer keeps.

    Compressed attention keeps one entry for several tokens; here an entry is what is read of it.
    """
    core, cache = mixer.core, mixer.cache
    if cache.kind in (CacheKind.FULL, CacheKind.SLIDING, CacheKind.MLA):
        return cache
    if cache.kind is CacheKind.COMPRESSED:
        return replace(cache, elements_per_token=cache.elements_per_token * core.compress_ratio)
    if core.kind is CoreKind.MLA:
        return Cache(CacheKind.MLA, core.latent_dim)
    return Cache(CacheKind.FULL, core.num_kv_heads * (core.qk_head_dim + core.v_head_dim), core.num_kv_heads)


def index_bytes(mixer: Mixer, *, fp8: bool) -> float:
    """Bytes of sparse attention's index keys that one token adds to one layer [bytes].

    FP8: one byte an element and a scale of 4 bytes a key, instead of two bytes an element.
    """
    size = mixer.cache.indexer_bytes_per_token
    return size / 2 + 4.0 / mixer.core.index_ratio if fp8 and size else size


def state_bytes(cache: Cache, tp: Any, speculative_tokens: int = 0, *, fp32: bool = False) -> Any:
    """Bytes of the constant state of one sequence in one layer on one rank; heads split over tp [bytes].

    Of a convolution's kernel engines keep one column less, and one more for each drafted token (vLLM 0.33: kernel - 1 +
    drafts); the recurrent state does not grow. fp32: the engine keeps the whole recurrent state in 32 bits, whatever the
    config says.

    >>> gated = Cache(CacheKind.STATE, state_elements=32768 + 524288, conv_elements=32768, conv_columns=4)
    >>> float(state_bytes(gated, 4)), float(state_bytes(gated, 4, 1)), float(state_bytes(gated, 4, fp32=True))
    (274432.0, 278528.0, 536576.0)
    """
    recurrent = cache.state_elements - cache.conv_elements
    wide = recurrent if fp32 else cache.state_fp32_elements
    held = (cache.conv_columns - 1 + speculative_tokens) / cache.conv_columns if cache.conv_columns else 1.0
    return ((cache.conv_elements * held + recurrent - wide) * 2 + wide * 4) / np.asarray(tp)
