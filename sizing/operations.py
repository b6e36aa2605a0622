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

from sizing.arrays import FloatArray, Num, as_float
from sizing.model.architecture import Architecture, LayerGroup
from sizing.model.parts import AttentionCore, Component, CoreKind, Experts, Linear, Sharding
from sizing.model.quantization import BF16, QuantScheme, WeightFormat

ACTIVATION_BYTES = 2.0  # residual stream and messages are 16-bit in every engine modelled here
VOCAB_PADDING = 64  # engines pad the vocabulary before splitting it


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
class Ranks:
    """How many ranks share what. tp, dp: attention tensor and data parallel sizes; ep: expert parallel size; pp: stages.

    Experts are split over ``ep`` and, within an expert, over ``moe_tp = tp * dp / ep``.
    """

    tp: Num = 1.0
    pp: Num = 1.0
    dp: Num = 1.0
    ep: Num = 1.0

    @property
    def moe_tp(self) -> FloatArray:
        return as_float(self.tp) * self.dp / self.ep

    @property
    def accelerators(self) -> FloatArray:
        return as_float(self.tp) * self.dp * self.pp


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


def experts_touched(num_experts: Num, tokens: Num, per_token: Num, concentration: float = 1.0) -> FloatArray:
    """Expected number of distinct experts that ``tokens`` tokens reach.

    Uniform routing: ``E*(1-(1-k/E)^tokens)``. ``concentration`` below 1 makes routing skewed: a batch then behaves as
    if it had ``tokens**concentration`` independent tokens.
    """
    experts = as_float(num_experts)
    share = np.clip(as_float(per_token) / experts, 0.0, 1.0)
    effective = np.power(np.maximum(as_float(tokens), 0.0), concentration)
    touched: FloatArray = experts * -np.expm1(effective * np.log1p(-np.minimum(share, 1.0 - 1e-12)))
    return np.minimum(touched, np.maximum(experts, 1.0))


def _split(linear: Linear, ranks: Ranks) -> tuple[Num, Num]:
    """``(out_features, in_features)`` of one rank's shard of a matrix."""
    tp = as_float(ranks.tp)
    if linear.sharding is Sharding.COLUMN:
        return linear.out_features / tp, linear.in_features
    if linear.sharding is Sharding.ROW:
        return linear.out_features, linear.in_features / tp
    if linear.sharding is Sharding.KV_HEADS:
        heads = linear.kv_heads or 1
        return linear.out_features / np.minimum(tp, heads), linear.in_features
    if linear.sharding is Sharding.VOCAB:
        padded = -(-linear.out_features // VOCAB_PADDING) * VOCAB_PADDING
        return padded / tp, linear.in_features
    return linear.out_features, linear.in_features


def _gemm(name: str, linears: list[Linear], count: float, tokens: Num, ranks: Ranks, scheme: QuantScheme) -> Operation:
    """One GEMM for matrices that engines fuse along their output."""
    fmt = scheme.format_of(linears[0])
    shards = [_split(linear, ranks) for linear in linears]
    rows: Num = sum((shard[0] for shard in shards), start=0.0)
    columns = shards[0][1]
    weight_bytes: Num = as_float(rows) * columns * (fmt.bits / 8)
    m = as_float(tokens)
    return Operation(
        name=name,
        kind="gemm",
        count=count,
        flops=2.0 * m * rows * columns,
        weight_bytes=weight_bytes,
        io_bytes=m * (as_float(columns) + rows) * ACTIVATION_BYTES,
        format=fmt,
        args={"m": m, "n": rows, "k": columns},
    )


def _gemms(linears: tuple[Linear, ...], count: float, tokens: Num, ranks: Ranks, scheme: QuantScheme) -> list[Operation]:
    fused: dict[str, list[Linear]] = {}
    for linear in linears:
        fused.setdefault(linear.fuse or linear.name, []).append(linear)
    return [_gemm(name, members, count, tokens, ranks, scheme) for name, members in fused.items()]


def _attention(core: AttentionCore, count: float, shape: StepShape, ranks: Ranks, kv_bytes: float) -> list[Operation]:
    """Prefill and decode attention of one layer on one rank."""
    if core.kind is CoreKind.NONE:
        return []
    heads = np.maximum(as_float(core.num_heads) / ranks.tp, 1.0)
    found: list[Operation] = []
    prefill = as_float(shape.prefill_tokens)
    decode = as_float(shape.decode_seqs) * shape.tokens_per_decode
    if core.kind is CoreKind.LINEAR:
        state = heads * core.qk_head_dim * core.v_head_dim
        flops_per_token = 6.0 * state
        if np.any(prefill > 0):
            found.append(
                Operation(
                    "linear_attention_prefill",
                    "linear_prefill",
                    count,
                    flops=prefill * flops_per_token,
                    io_bytes=prefill * heads * (2 * core.qk_head_dim + 2 * core.v_head_dim) * ACTIVATION_BYTES,
                    args={"tokens": prefill, "seqs": shape.prefill_seqs, "heads": heads},
                    core=core,
                )
            )
        if np.any(decode > 0):
            found.append(
                Operation(
                    "linear_attention_decode",
                    "linear_decode",
                    count,
                    flops=decode * flops_per_token,
                    cache_bytes=as_float(shape.decode_seqs) * state * 2 * 4.0,
                    args={"seqs": shape.decode_seqs, "heads": heads},
                    core=core,
                )
            )
        return found
    if core.kind is CoreKind.MLA:
        kv_heads: Num = 1.0
        row = core.latent_dim * kv_bytes
    else:
        kv_heads = np.maximum(as_float(core.num_kv_heads) / ranks.tp, 1.0)
        row = kv_heads * (core.qk_head_dim + core.v_head_dim) * kv_bytes
    if np.any(prefill > 0):
        seqs = np.maximum(as_float(shape.prefill_seqs), 1e-9)
        each = prefill / seqs
        past = as_float(shape.prefill_past)
        # Mean keys that a new token sees: its past plus half of the new ones, cut at the window or the top-k.
        seen = past + each / 2
        limit = min((x for x in (core.window, core.topk_tokens) if x), default=None)
        if limit:
            # new tokens at position p see min(p, limit): exact mean over p in [past, past+each]
            a, b = past, past + np.maximum(each, 1e-9)
            low = np.minimum(b, limit)
            below = np.where(a < limit, (low**2 - np.minimum(a, limit) ** 2) / 2, 0.0)
            above = np.maximum(b - np.maximum(a, limit), 0.0) * limit
            seen = (below + above) / (b - a)
        flops = 2.0 * prefill * seen * heads * (core.qk_head_dim + core.v_head_dim)
        index_flops = 2.0 * prefill * (past + each / 2) * core.index_heads * core.index_dim
        found.append(
            Operation(
                "attention_prefill",
                "prefill_attention",
                count,
                flops=flops + index_flops,
                cache_bytes=seqs * np.minimum(past + each, past + (limit or np.inf)) * row,
                io_bytes=prefill * heads * (core.qk_head_dim + core.v_head_dim) * 2 * ACTIVATION_BYTES,
                args={
                    "seqs": seqs,
                    "new_tokens": each,
                    "past": past,
                    "seen": seen,
                    "heads": heads,
                    "kv_heads": kv_heads,
                    "index_flops": index_flops,
                },
                core=core,
            )
        )
    if np.any(decode > 0):
        context = as_float(shape.decode_context)
        limit = min((x for x in (core.window, core.topk_tokens) if x), default=None)
        read = np.minimum(context, limit) if limit else context
        if core.compress_ratio > 1:
            read = read / core.compress_ratio
        seqs = as_float(shape.decode_seqs)
        dims = core.latent_dim + core.latent_v_dim if core.kind is CoreKind.MLA else core.qk_head_dim + core.v_head_dim
        index_bytes = seqs * context * core.index_dim * 1.0 if core.index_heads else 0.0
        found.append(
            Operation(
                "attention_decode",
                "decode_attention",
                count,
                flops=2.0 * decode * read * heads * dims + 2.0 * decode * context * core.index_heads * core.index_dim,
                cache_bytes=seqs * read * row + index_bytes,
                io_bytes=decode * heads * dims * ACTIVATION_BYTES,
                args={
                    "seqs": seqs,
                    "context": read,
                    "heads": heads,
                    "kv_heads": kv_heads,
                    "queries": shape.tokens_per_decode,
                    "kv_bytes": kv_bytes,
                    "index_bytes": index_bytes,
                },
                core=core,
            )
        )
    return found


def _experts(experts: Experts, count: float, tokens: Num, ranks: Ranks, scheme: QuantScheme) -> Operation:
    """The routed experts of one layer on one rank: ``tokens`` are those of one attention data-parallel rank."""
    fmt = scheme.experts
    ep, moe_tp = as_float(ranks.ep), ranks.moe_tp
    everyone = as_float(tokens) * ranks.dp
    local = experts.num_experts / ep
    touched = experts_touched(experts.num_experts, everyone, experts.num_experts_per_tok) / ep
    inter = experts.intermediate_size / moe_tp
    pairs = everyone * experts.num_experts_per_tok / ep  # token-expert pairs that this rank computes
    weight_bytes = touched * experts.matrices * experts.hidden_size * inter * (fmt.bits / 8)
    return Operation(
        name="experts",
        kind="moe",
        count=count,
        flops=2.0 * pairs * experts.matrices * experts.hidden_size * inter,
        weight_bytes=weight_bytes,
        io_bytes=pairs * (2 * experts.hidden_size + experts.matrices * inter) * ACTIVATION_BYTES,
        format=fmt,
        args={
            "tokens": everyone,
            "pairs": pairs,
            "local_experts": local,
            "touched": touched,
            "hidden": float(experts.hidden_size),
            "inter": inter,
            "matrices": float(experts.matrices),
            "topk": float(experts.num_experts_per_tok),
            "num_experts": float(experts.num_experts),
            "moe_tp": moe_tp,
            "moe_ep": ep,
        },
    )


def _layer(
    arch: Architecture, group: LayerGroup, shape: StepShape, ranks: Ranks, scheme: QuantScheme, kv_bytes: float
) -> list[Operation]:
    count = float(group.count)
    tokens = shape.tokens
    found = _gemms(group.mixer.linears, count, tokens, ranks, scheme)
    found += _attention(group.mixer.core, count, shape, ranks, kv_bytes)
    message = tokens * arch.hidden_size * ACTIVATION_BYTES
    tp, dp = as_float(ranks.tp), as_float(ranks.dp)
    if group.mixer.linears:
        found.append(
            Operation("attention_all_reduce", "all_reduce", count, message_bytes=message, args={"ranks": tp})
        )
    feed = group.feed_forward
    if feed.kind != "none":
        found += _gemms(feed.linears, count, tokens, ranks, scheme)
        experts = feed.experts
        if experts is None:
            found.append(
                Operation("mlp_all_reduce", "all_reduce", count, message_bytes=message, args={"ranks": tp})
            )
        else:
            found.append(_experts(experts, count, tokens, ranks, scheme))
            # One attention group: an all-reduce joins the partial sums of experts (by TP or by EP alike). Several:
            # tokens travel to their experts and back.
            found.append(
                Operation(
                    "moe_all_reduce",
                    "all_reduce",
                    count,
                    message_bytes=np.where(dp > 1, 0.0, message),
                    args={"ranks": np.where(dp > 1, 1.0, tp)},
                )
            )
            if np.any(dp > 1):
                found.append(
                    Operation(
                        "moe_dispatch_combine",
                        "all_to_all",
                        count,
                        message_bytes=np.where(dp > 1, message, 0.0),
                        args={
                            "ranks": np.where(dp > 1, tp * dp, 1.0),
                            "tokens": tokens,
                            "topk": float(experts.num_experts_per_tok),
                        },
                    )
                )
    return found


def list_operations(
    arch: Architecture, shape: StepShape, ranks: Ranks, scheme: QuantScheme, kv_bytes_per_element: float = 2.0
) -> list[Operation]:
    """All operations of one pass of one step's tokens through the whole model, on one rank.

    With pipeline stages the pass goes through every stage in turn; the counts are those of the whole model, so the sum
    of times is the latency of the pass, and ``pp`` passes are under way at once.
    """
    found: list[Operation] = []
    for group in arch.groups:
        found += _layer(arch, group, shape, ranks, scheme, kv_bytes_per_element)
    found += _gemms(arch.extra_linears, 1.0, shape.tokens, ranks, scheme)
    if arch.has_lm_head:
        head = Linear("lm_head", arch.hidden_size, arch.vocab_size, Component.LM_HEAD, Sharding.VOCAB)
        found.append(_gemm("lm_head", [head], 1.0, shape.sampled, ranks, scheme))
        found.append(
            Operation(
                "logits_all_gather",
                "all_gather",
                1.0,
                message_bytes=shape.sampled * arch.vocab_size * ACTIVATION_BYTES,
                args={"ranks": as_float(ranks.tp)},
            )
        )
    pp = as_float(ranks.pp)
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
