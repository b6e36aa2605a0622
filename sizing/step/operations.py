"""The operations of one forward step on one rank: the spine that memory, step time, roofline and reports read.

``list_operations`` turns an architecture, a placement and the shape of a step into GEMMs, attention over the cache,
grouped expert GEMMs and collectives, each with its FLOP, weight bytes, cache bytes and message bytes. Every quantity
broadcasts: placements and step shapes may be NumPy arrays. Nothing here knows how fast a machine is.

Counting rules: a GEMM of ``m`` tokens is ``2*m*n*k`` FLOP; causal prefill attention of ``s`` new tokens over a past of
``p`` is ``2*s*(p + s/2)*heads*(qk_dim + v_dim)`` FLOP; decode reads the whole cache of each sequence (the window, for
sliding layers). A batch of ``t`` tokens touches ``E*(1-(1-k/E)^t)`` experts of E when routing is uniform.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sizing.base.arrays import FloatArray, Num, as_float
from sizing.engine.placement import Placement
from sizing.engine.shard import (
    Shards,
    Share,
    element_bytes,
    entry_bytes,
    expert_bytes,
    expert_format,
    expert_width,
    head_share,
    heads_per_rank,
    index_bytes,
    local_experts,
    read_cache,
    share_of,
    state_bytes,
)
from sizing.model.architecture import Architecture, LayerGroup
from sizing.model.parts import AttentionCore, CoreKind, Experts, Linear, Mixer
from sizing.model.quantization.schemes import BF16, WeightFormat
from sizing.step.kernels import attended_pairs, experts_touched

ACTIVATION_BYTES = 2.0  # residual stream and messages are 16-bit in every engine modelled here


@dataclass(frozen=True, slots=True)
class StepShape:
    """What one step works on, per attention data-parallel rank. Scalars or arrays that broadcast.

    decode_seqs: sequences that decode. decode_context: mean tokens in each of their caches. prefill_tokens: new prompt
    tokens in this step. prefill_seqs: among how many prompts they are. prefill_past: mean tokens that those prompts
    have in the cache already. tokens_per_decode: tokens verified per sequence (1 + draft tokens under speculation).
    """

    decode_seqs: Num = 0.0
    decode_context: Num = 0.0
    prefill_tokens: Num = 0.0
    prefill_seqs: Num = 1.0
    prefill_past: Num = 0.0
    tokens_per_decode: Num = 1.0

    @property
    def tokens(self) -> FloatArray:
        """Tokens that pass through the layers in this step."""
        return as_float(self.decode_seqs) * self.tokens_per_decode + self.prefill_tokens

    @property
    def sampled(self) -> FloatArray:
        """Rows for which the output head is computed."""
        return as_float(self.decode_seqs) * self.tokens_per_decode + np.where(
            as_float(self.prefill_tokens) > 0, as_float(self.prefill_seqs), 0.0
        )


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the step, ``count`` times a pass, on one rank. Byte and FLOP figures are per call.

    kind: "gemm", "moe", "prefill_attention", "decode_attention", "linear_attention", "all_reduce", "all_to_all",
    "all_gather", "send". ``args`` are what the timing function of that kind needs, by name.
    """

    name: str
    kind: str
    count: float
    flops: Num = 0.0
    weight_bytes: Num = 0.0
    cache_bytes: Num = 0.0
    io_bytes: Num = 0.0
    message_bytes: Num = 0.0
    format: WeightFormat = BF16
    args: dict[str, Num] = field(default_factory=dict)
    core: AttentionCore | None = None


def _gemm(name: str, parts: list[Share], count: float, tokens: Num, tp: Num) -> Operation:
    """One GEMM for shares of matrices that engines fuse along their output.

    Where a rank holds a whole copy of what others split, its ranks share the tokens instead.
    """
    first = parts[0]
    rows: Num = sum((part.out_features for part in parts), start=0.0)
    columns = first.in_features
    m = as_float(tokens) * first.ways / tp
    return Operation(
        name=name,
        kind="gemm",
        count=count,
        flops=2.0 * m * rows * columns,
        weight_bytes=sum((part.bytes for part in parts), start=0.0),
        io_bytes=m * (as_float(columns) + rows) * ACTIVATION_BYTES,
        format=first.format,
        args={"m": m, "n": rows, "k": columns},
    )


def _gemms(
    linears: tuple[Linear, ...], count: float, tokens: Num, placement: Placement, shards: Shards
) -> list[Operation]:
    fused: dict[str, list[Share]] = {}
    for linear in linears:
        fused.setdefault(linear.fuse or linear.name, []).append(share_of(linear, placement, shards))
    tp = as_float(placement.tp)
    return [_gemm(name, members, count, tokens, tp) for name, members in fused.items()]


def _attention(mixer: Mixer, count: float, shape: StepShape, placement: Placement, shards: Shards) -> list[Operation]:
    """Prefill and decode attention of one layer on one rank."""
    if mixer.core.kind is CoreKind.NONE:
        return []
    prefills = bool(np.any(as_float(shape.prefill_tokens) > 0))
    decodes = bool(np.any(as_float(shape.decode_seqs) > 0))
    if mixer.core.kind is CoreKind.LINEAR:
        prefill, decode = _linear_prefill, _linear_decode
    else:
        prefill, decode = _softmax_prefill, _softmax_decode
    found: list[Operation] = []
    if prefills:
        found.append(prefill(mixer, count, shape, placement, shards))
    if decodes:
        found.append(decode(mixer, count, shape, placement, shards))
    return found


def _linear_prefill(mixer: Mixer, count: float, shape: StepShape, placement: Placement, shards: Shards) -> Operation:
    core = mixer.core
    heads, k_heads = (
        as_float(heads_per_rank(core.num_heads, placement.tp)),
        as_float(heads_per_rank(core.num_kv_heads or core.num_heads, placement.tp)),
    )
    tokens = as_float(shape.prefill_tokens)
    seqs = np.maximum(as_float(shape.prefill_seqs), 1.0)
    state = heads * core.qk_head_dim * core.v_head_dim
    return Operation(
        "linear_attention_prefill",
        "linear_prefill",
        count,
        flops=6.0 * tokens * state,
        cache_bytes=seqs * state_bytes(mixer.cache, placement.tp),
        io_bytes=tokens * (2 * k_heads * core.qk_head_dim + 2 * heads * core.v_head_dim) * ACTIVATION_BYTES,
        args={"seqs": seqs, "new_tokens": tokens / seqs, "heads": heads, "kv_heads": k_heads},
        core=core,
    )


def _linear_decode(mixer: Mixer, count: float, shape: StepShape, placement: Placement, shards: Shards) -> Operation:
    core = mixer.core
    heads, k_heads = (
        as_float(heads_per_rank(core.num_heads, placement.tp)),
        as_float(heads_per_rank(core.num_kv_heads or core.num_heads, placement.tp)),
    )
    seqs = as_float(shape.decode_seqs)
    state = heads * core.qk_head_dim * core.v_head_dim
    return Operation(
        "linear_attention_decode",
        "linear_decode",
        count,
        flops=6.0 * seqs * shape.tokens_per_decode * state,
        cache_bytes=2.0 * seqs * state_bytes(mixer.cache, placement.tp),  # read and written
        args={"seqs": seqs, "heads": heads, "kv_heads": k_heads},
        core=core,
    )


def _seen(core: AttentionCore, context: Num) -> FloatArray:
    """Cache entries that a query with ``context`` tokens before it attends to.

    At most the window and the top-k of sparse attention; compressed attention reads its window and, beside it, one
    entry for ``compress_ratio`` tokens, the top-k of these where it has an indexer.
    """
    context = as_float(context)
    window = np.minimum(context, core.window) if core.window else context
    if core.compress_ratio <= 1:
        return as_float(np.minimum(window, core.topk_tokens) if core.topk_tokens else window)
    entries = context / core.compress_ratio
    return as_float(window + (np.minimum(entries, core.topk_tokens) if core.topk_tokens else entries))


def _seen_pairs(core: AttentionCore, new_tokens: Num, past: Num) -> FloatArray:
    """Query-key pairs of one sequence: ``_seen`` summed over its new tokens."""
    ratio = core.compress_ratio
    if ratio <= 1:
        limit = min((float(limit) for limit in (core.window, core.topk_tokens) if limit), default=None)
        return as_float(attended_pairs(new_tokens, past, limit))
    sparse = float(core.topk_tokens * ratio) if core.topk_tokens else None
    near = attended_pairs(new_tokens, past, float(core.window) if core.window else None)
    return as_float(near + attended_pairs(new_tokens, past, sparse) / ratio)


def _softmax_prefill(mixer: Mixer, count: float, shape: StepShape, placement: Placement, shards: Shards) -> Operation:
    core = mixer.core
    heads = as_float(heads_per_rank(core.num_heads, placement.tp))
    kv_heads = heads if core.kind is CoreKind.MLA else as_float(heads_per_rank(core.num_kv_heads, placement.tp))
    seqs = np.maximum(as_float(shape.prefill_seqs), 1.0)
    each = as_float(shape.prefill_tokens) / seqs
    past = as_float(shape.prefill_past)
    pairs = _seen_pairs(core, each, past)
    cache = read_cache(mixer)
    entry, kv_bytes = as_float(entry_bytes(cache, shards.kv, placement.tp)), element_bytes(cache, shards.kv)
    index_flops = 2.0 * seqs * attended_pairs(each, past) * core.index_heads * core.index_dim / core.index_ratio
    dims = core.qk_head_dim + core.v_head_dim
    return Operation(
        "attention_prefill",
        "prefill_attention",
        count,
        flops=2.0 * seqs * pairs * heads * dims + index_flops,
        cache_bytes=seqs * (past + each) * entry,
        io_bytes=2.0 * seqs * each * heads * dims * ACTIVATION_BYTES,
        args={
            "seqs": seqs,
            "new_tokens": each,
            "past": past,
            "heads": heads,
            "kv_heads": kv_heads,
            "kv_bytes": kv_bytes,
            "keys": pairs / np.maximum(each, 1e-9),
            "index_flops": index_flops,
        },
        core=core,
    )


def _softmax_decode(mixer: Mixer, count: float, shape: StepShape, placement: Placement, shards: Shards) -> Operation:
    core = mixer.core
    heads = as_float(heads_per_rank(core.num_heads, placement.tp))
    kv_heads = as_float(1.0) if core.kind is CoreKind.MLA else as_float(heads_per_rank(core.num_kv_heads, placement.tp))
    context = as_float(shape.decode_context)
    read = _seen(core, context)
    seqs = as_float(shape.decode_seqs)
    queries = seqs * shape.tokens_per_decode
    dims = core.latent_dim + core.latent_v_dim if core.kind is CoreKind.MLA else core.qk_head_dim + core.v_head_dim
    indexed = context / core.index_ratio
    index = seqs * context * index_bytes(mixer, fp8=shards.fp8_index_keys)
    cache = read_cache(mixer)
    entry, kv_bytes = as_float(entry_bytes(cache, shards.kv, placement.tp)), element_bytes(cache, shards.kv)
    return Operation(
        "attention_decode",
        "decode_attention",
        count,
        flops=2.0 * queries * (read * heads * dims + indexed * core.index_heads * core.index_dim),
        cache_bytes=seqs * read * entry + index,
        io_bytes=queries * heads * dims * ACTIVATION_BYTES,
        args={
            "seqs": seqs,
            "context": read,
            "heads": heads,
            "kv_heads": kv_heads,
            "queries": shape.tokens_per_decode,
            "kv_bytes": kv_bytes,
            "index_bytes": index,
        },
        core=core,
    )


def _experts(experts: Experts, count: float, tokens: Num, placement: Placement, shards: Shards) -> Operation:
    """The routed experts of one layer on one rank: ``tokens`` are those of one attention data-parallel rank."""
    fmt = expert_format(shards.scheme)
    ep = as_float(placement.ep)
    everyone = as_float(tokens) * placement.dp
    topk = float(experts.num_experts_per_tok)
    local = as_float(local_experts(experts, placement))
    touched = experts_touched(everyone, topk, experts.num_experts) * local / experts.num_experts
    inter = as_float(expert_width(experts, fmt, placement, shards.layout))
    each = as_float(expert_bytes(experts, fmt, placement, shards.layout))
    pairs = everyone * topk / ep  # token-expert pairs that this rank computes
    return Operation(
        name="experts",
        kind="moe",
        count=count,
        flops=2.0 * pairs * experts.matrices * experts.hidden_size * inter,
        weight_bytes=touched * each,
        io_bytes=pairs * (2 * experts.hidden_size + experts.matrices * inter) * ACTIVATION_BYTES,
        format=fmt,
        args={
            "tokens": everyone,
            "touched": touched,
            "hidden": float(experts.hidden_size),
            "inter": inter,
            "matrices": float(experts.matrices),
            "topk": topk,
            "num_experts": float(experts.num_experts),
            "local": local,
            "expert_bytes": each,
            "moe_ep": ep,
        },
    )


def _expert_messages(
    hidden: int, topk: float, count: float, tokens: FloatArray, placement: Placement
) -> list[Operation]:
    """What joins the experts' partial sums. One attention group: an all-reduce, whether experts are split by TP or by
    EP. Several (attention data parallelism): tokens travel to their experts and back."""
    dp = as_float(placement.dp)
    group = as_float(placement.tp) * dp
    message = tokens * hidden * ACTIVATION_BYTES
    found = [
        Operation(
            "moe_all_reduce",
            "all_reduce",
            count,
            message_bytes=np.where(dp > 1, 0.0, message),
            args={"ranks": np.where(dp > 1, 1.0, placement.tp)},
        )
    ]
    if np.any(dp > 1):
        found.append(
            Operation(
                "moe_dispatch_combine",
                "all_to_all",
                count,
                message_bytes=np.where(dp > 1, message, 0.0),
                args={
                    "ranks": np.where(dp > 1, group, 1.0),
                    "whole_experts": np.where(as_float(placement.moe_tp) > 1, 0.0, 1.0),
                    "tokens": tokens / placement.tp,
                    "gathered": message * dp,
                    "hidden": float(hidden),
                    "topk": topk,
                },
            )
        )
    return found


def full_width_norms(mixer: Mixer) -> bool:
    """Whether queries are normed over all heads together, which under tensor parallelism needs a sum over ranks
    (MiniMax-M2, OLMo 2)."""
    core = mixer.core
    if core.kind is not CoreKind.SOFTMAX or core.num_heads < 2:
        return False
    width = core.num_heads * core.qk_head_dim
    return any(vector.name == "q_norm" and vector.params >= width for vector in mixer.vectors)


def _layer(
    arch: Architecture,
    group: LayerGroup,
    shape: StepShape,
    placement: Placement,
    shards: Shards,
) -> list[Operation]:
    count = float(group.count)
    tokens = shape.tokens
    found = _gemms(group.mixer.linears, count, tokens, placement, shards)
    found += _attention(group.mixer, count, shape, placement, shards)
    reduced = tokens * arch.hidden_size * ACTIVATION_BYTES
    group_of = {"ranks": as_float(placement.tp)}
    if full_width_norms(group.mixer):
        # two mean squares a token, in FP32: each rank norms its own heads, but the norm is over all of them
        sums = tokens * 2 * 4.0
        found.append(Operation("qk_norm_all_reduce", "all_reduce", count, message_bytes=sums, args={**group_of}))
    if group.mixer.linears:
        found.append(Operation("attention_all_reduce", "all_reduce", count, message_bytes=reduced, args={**group_of}))
    feed = group.feed_forward
    found += _gemms(feed.linears, count, tokens, placement, shards)
    if feed.experts is not None:
        found.append(_experts(feed.experts, count, tokens, placement, shards))
        found += _expert_messages(arch.hidden_size, float(feed.experts.num_experts_per_tok), count, tokens, placement)
    elif feed.linears:
        found.append(Operation("mlp_all_reduce", "all_reduce", count, message_bytes=reduced, args={**group_of}))
    return found


def list_operations(
    arch: Architecture,
    shape: StepShape,
    placement: Placement,
    shards: Shards,
) -> list[Operation]:
    """All operations of one pass of one step's tokens through the whole model, on one rank.

    ``shards`` says what a rank holds of it: the weight and cache bytes of the operations are those of the ledger.

    With pipeline stages the pass goes through every stage in turn; the counts are those of the whole model, so the sum
    of times is the latency of the pass, and ``pp`` passes are under way at once.
    """
    found: list[Operation] = []
    for group in arch.groups:
        found += _layer(arch, group, shape, placement, shards)
    found += _gemms(arch.extra_linears, 1.0, shape.tokens, placement, shards)
    if arch.has_lm_head:
        head = head_share(arch, placement, shards)
        found.append(_gemm("lm_head", [head], 1.0, shape.sampled, as_float(placement.tp)))
        found.append(
            Operation(
                "logits_all_gather",
                "all_gather",
                1.0,
                message_bytes=shape.sampled * arch.vocab_size * ACTIVATION_BYTES,
                args={"ranks": as_float(placement.tp)},
            )
        )
    pp = as_float(placement.pp)
    if np.any(pp > 1):
        found.append(
            Operation(
                "pipeline_send",
                "send",
                1.0,
                message_bytes=shape.tokens * arch.hidden_size * ACTIVATION_BYTES * (pp - 1),
                args={"ranks": pp, "hops": pp - 1},
            )
        )
    return found
