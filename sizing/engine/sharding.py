"""Which part of a model's weights one rank holds, by the engines' own sharding rules.

``stage_components`` is the one formula: it takes the sizes of the parallel groups as whole numbers or NumPy
arrays and gives the bytes of each component on one rank of one pipeline stage. The ledger of a single
estimate and the planner's arrays both call it. Rules (vLLM and SGLang model code): vocabularies are padded
to a multiple of 64 and split; KV projections are split by head and copied when there are more ranks than
heads; MLA down-projections, routers and norms are whole on every rank; experts are spread (``ep``) and cut
(``tp * dp / ep``); attention data parallelism copies everything but the experts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from sizing.engine.placement import Placement
from sizing.model.architecture import BF16_BYTES, Architecture, LayerGroup
from sizing.model.parts import Component, Experts, Linear, Sharding
from sizing.model.quantization import QuantScheme, WeightFormat

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
class WeightLine:
    """One line of the weight ledger: bytes on one rank, the formula in words, and its inputs."""

    name: str
    bytes: float
    formula: str
    inputs: dict[str, float | str]


@dataclass(frozen=True, slots=True)
class Stage:
    """One pipeline stage: how many layers of each group it holds, and whether it has the embedding and the
    head.
    """

    index: int
    counts: tuple[int, ...]
    first: bool
    last: bool

    @property
    def layers(self) -> int:
        """Layers of all groups on this stage."""
        return sum(self.counts)


def stored_bytes(fmt: WeightFormat, out_features: Any, in_features: Any) -> Any:
    """Bytes of a matrix in a format, scales and zeros included; broadcasts over the shape [bytes]."""
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


def kv_heads_per_rank(kv_heads: Any, tp: Any) -> Any:
    """KV heads that one rank holds: split over tp, at least one (copied when tp exceeds them)."""
    return np.maximum(1, np.ceil(kv_heads / np.asarray(tp)))


def linear_bytes(linear: Linear, fmt: WeightFormat, tp: Any) -> Any:
    """Bytes of one matrix (and bias) on one rank of a tensor parallel group of ``tp`` [bytes]."""
    out: Any = linear.out_features
    columns: Any = linear.in_features
    if linear.sharding is Sharding.COLUMN:
        out = np.ceil(out / tp)
    elif linear.sharding is Sharding.ROW:
        columns = np.ceil(columns / tp)
    elif linear.sharding is Sharding.KV_HEADS:
        heads = linear.kv_heads or 1
        out = out / heads * kv_heads_per_rank(heads, tp)
    elif linear.sharding is Sharding.VOCAB:
        out = padded_vocab(linear.out_features) / tp
    total = stored_bytes(fmt, out, columns)
    return total + (out * BF16_BYTES if linear.bias else 0.0)


def experts_bytes(bank: Experts, fmt: WeightFormat, placement: Placement, layout: Layout = PLAIN_LAYOUT) -> Any:
    """Bytes of one layer's routed experts on one rank: ceil(experts / ep) experts, each cut moe_tp ways
    [bytes].
    """
    local = np.ceil(bank.num_experts / np.asarray(placement.ep))
    moe_tp = placement.tp * placement.dp / np.asarray(placement.ep)
    width = np.ceil(bank.intermediate_size / moe_tp)
    into = stored_bytes(fmt, width, bank.hidden_size)
    back = stored_bytes(fmt, bank.hidden_size, width)
    total = (bank.matrices - 1) * into + back
    if layout.pads_mxfp4 and fmt.name == "mxfp4":
        padded = np.ceil(width / MXFP4_TILE) * MXFP4_TILE
        total = total + bank.matrices * (padded - width) * bank.hidden_size * fmt.bits / 8
    return local * (total + bank.bias_params / moe_tp * BF16_BYTES)


def matrix_format(linear: Linear, scheme: QuantScheme) -> WeightFormat:
    """The format of a matrix on the accelerator: INT8 schemes leave MLA's kv_b_proj in 16 bits, as it is
    absorbed.
    """
    fmt = scheme.format_of(linear)
    return scheme.other if linear.name == "kv_b_proj" and fmt.compute == "int8" else fmt


def split_of(component: Component, placement: Placement, layout: Layout) -> Any:
    """The tensor parallel size by which a component's matrices are cut."""
    tp = np.asarray(placement.tp)
    if component is Component.DENSE_MLP and layout.dp_copies:
        return np.where(np.asarray(placement.dp) > 1, 1, tp)
    if component is Component.SHARED_EXPERTS and layout.shared_experts_whole:
        return np.where(np.asarray(placement.ep) > 1, 1, tp)
    return tp


def layer_components(
    group: LayerGroup, scheme: QuantScheme, placement: Placement, layout: Layout = PLAIN_LAYOUT
) -> dict[str, Any]:
    """Bytes of ONE layer of a group on one rank, by component [bytes]."""
    total: dict[str, Any] = {}

    def add(component: Component, size: Any) -> None:
        total[component.value] = total.get(component.value, 0.0) + size

    for linear in (*group.mixer.linears, *group.feed_forward.linears):
        size = linear_bytes(linear, matrix_format(linear, scheme), split_of(linear.component, placement, layout))
        add(linear.component, size)
    for vector in (*group.mixer.vectors, *group.feed_forward.vectors, *group.vectors):
        params = vector.params / np.asarray(placement.tp) if vector.sharded else vector.params
        add(vector.component, params * BF16_BYTES)
    bank = group.feed_forward.experts
    if bank is not None:
        unquantized = Component.ROUTED_EXPERTS in scheme.unquantized
        fmt = scheme.other if unquantized else scheme.experts
        add(Component.ROUTED_EXPERTS, experts_bytes(bank, fmt, placement, layout))
    return total


def layer_order(arch: Architecture) -> tuple[int, ...]:
    """The group of each layer, first layer to last; without a stated order the groups follow one another."""
    if len(arch.layer_order) == arch.num_layers:
        return arch.layer_order
    return tuple(index for index, group in enumerate(arch.groups) for _ in range(group.count))


def stage_sizes(num_layers: int, pp: int) -> tuple[int, ...]:
    """Layers of each pipeline stage: the remainder goes one each to stages from the second-last backwards."""
    sizes = [num_layers // pp] * pp
    left = num_layers % pp
    for place in range(left):
        sizes[(pp - 2 - place) % pp] += 1
    return tuple(sizes)


@lru_cache(maxsize=1024)
def _stages(order: tuple[int, ...], groups: int, pp: int) -> tuple[Stage, ...]:
    made: list[Stage] = []
    begin = 0
    for index, size in enumerate(stage_sizes(len(order), pp)):
        held = order[begin : begin + size]
        counts = tuple(held.count(group) for group in range(groups))
        made.append(Stage(index, counts, index == 0, index == pp - 1))
        begin += size
    return tuple(made)


def stages(arch: Architecture, pp: int) -> tuple[Stage, ...]:
    """The pipeline stages of a model, first to last."""
    return _stages(layer_order(arch), len(arch.groups), int(pp))


def _embedding(arch: Architecture, scheme: QuantScheme, placement: Placement, layout: Layout) -> Any:
    rows = padded_vocab(arch.vocab_size)
    tp = np.asarray(placement.tp)
    ways = np.where(np.asarray(placement.dp) > 1, 1, tp) if layout.dp_copies else tp
    extra = max(0, arch.embedding - arch.vocab_size * arch.hidden_size)
    width = min(arch.hidden_size, arch.embedding / arch.vocab_size)
    return rows / ways * width * (scheme.embedding_format.effective_bits / 8) + extra * BF16_BYTES


def _head(arch: Architecture, scheme: QuantScheme, placement: Placement) -> Any:
    rows = padded_vocab(arch.vocab_size) / np.asarray(placement.tp)
    bias = rows * BF16_BYTES if arch.lm_head_bias else 0.0
    return stored_bytes(scheme.lm_head, rows, arch.hidden_size) + bias


def mtp_bytes(arch: Architecture, scheme: QuantScheme, placement: Placement, layout: Layout = PLAIN_LAYOUT) -> Any:
    """Bytes of the multi-token-prediction modules on one rank of the last stage [bytes]."""
    total: Any = 0.0
    for group in arch.mtp_groups:
        layer = layer_components(group, scheme, placement, layout)
        total = total + group.count * sum(layer.values())
    tables = arch.vocab_size * arch.hidden_size
    stored = (arch.mtp_extra_params // tables) if tables else 0
    rest = arch.mtp_extra_params - stored * tables
    return total + (stored * tables / np.asarray(placement.tp) + rest) * BF16_BYTES


def stage_components(
    arch: Architecture,
    scheme: QuantScheme,
    placement: Placement,
    stage: Stage,
    *,
    layout: Layout = PLAIN_LAYOUT,
    speculative: bool = False,
) -> dict[str, Any]:
    """Bytes of each component on one rank of one pipeline stage; broadcasts over tp, dp and ep [bytes]."""
    total: dict[str, Any] = {}
    for group, count in zip(arch.groups, stage.counts, strict=True):
        if count:
            for name, size in layer_components(group, scheme, placement, layout).items():
                total[name] = total.get(name, 0.0) + count * size
    if stage.first:
        total["embedding"] = _embedding(arch, scheme, placement, layout)
        if arch.vision is not None:
            ways = np.asarray(placement.tp) if layout.vision_sharded else 1
            total["vision"] = arch.vision.params * (scheme.vision.effective_bits / 8) / ways
        for linear in arch.extra_linears:
            size = linear_bytes(linear, scheme.format_of(linear), placement.tp)
            total[linear.component.value] = total.get(linear.component.value, 0.0) + size
    if stage.last:
        for vector in arch.extra_vectors:
            size = vector.params * BF16_BYTES / (np.asarray(placement.tp) if vector.sharded else 1)
            total[vector.component.value] = total.get(vector.component.value, 0.0) + size
        if arch.has_lm_head and not arch.tie_word_embeddings:
            total["lm_head"] = _head(arch, scheme, placement)
        elif arch.has_lm_head and not stage.first:
            total["lm_head"] = _embedding(arch, scheme, placement, layout)
        if speculative:
            total["mtp"] = mtp_bytes(arch, scheme, placement, layout)
    return total


def weight_bytes_per_rank(
    arch: Architecture,
    scheme: QuantScheme,
    tp: Any = 1,
    pp: Any = 1,
    dp: Any = 1,
    ep: Any = 1,
    *,
    layout: Layout = PLAIN_LAYOUT,
    speculative: bool = False,
) -> Any:
    """Weight bytes of one rank of the fullest stage, as an array of the sizes' shape [bytes]."""
    tp, pp, dp, ep = np.broadcast_arrays(tp, pp, dp, ep)
    result = np.zeros(tp.shape)
    for size in np.unique(pp):
        here = pp == size
        placement = Placement(tp[here], int(size), dp[here], ep[here])
        loads = [
            sum(stage_components(arch, scheme, placement, stage, layout=layout, speculative=speculative).values())
            for stage in distinct_stages(arch, int(size))
        ]
        result[here] = np.max(np.broadcast_arrays(*loads), axis=0)
    return result


def distinct_stages(arch: Architecture, pp: int) -> tuple[Stage, ...]:
    """One stage of each make: equal middle stages are counted once."""
    kept: dict[tuple[object, ...], Stage] = {}
    for stage in stages(arch, pp):
        kept.setdefault((stage.counts, stage.first, stage.last), stage)
    return tuple(kept.values())


FORMULAS: dict[str, str] = {
    "embedding": "padded vocabulary x hidden / tp, in 16 bits",
    "lm_head": "padded vocabulary x hidden / tp",
    "attention": "query and output heads / tp; KV heads / tp, at least one; latent projections whole",
    "linear_attn": "heads / tp",
    "dense_mlp": "intermediate / tp",
    "routed_experts": "ceil(experts / ep) x matrices x hidden x intermediate / (tp x dp / ep)",
    "shared_experts": "shared intermediate / tp",
    "router": "whole on every rank",
    "norms": "whole on every rank",
    "vision": "vision tower / tp",
    "mtp": "multi-token-prediction modules, sharded like the layers",
    "per_layer_embed": "per-layer embeddings",
    "other": "remaining parameters",
}


def weight_bytes(
    arch: Architecture,
    placement: Placement,
    scheme: QuantScheme,
    *,
    layout: Layout = PLAIN_LAYOUT,
    speculative: bool = False,
    stage: Stage | None = None,
) -> list[WeightLine]:
    """The weight ledger of one rank, of ``stage`` or of the fullest stage; lines sum to the rank's bytes."""

    def load(one: Stage) -> dict[str, Any]:
        return stage_components(arch, scheme, placement, one, layout=layout, speculative=speculative)

    made = [(one, load(one)) for one in (stages(arch, placement.pp) if stage is None else (stage,))]
    chosen, sizes = max(made, key=lambda pair: float(sum(pair[1].values())))
    inputs: dict[str, float | str] = {
        "tp": placement.tp,
        "pp": placement.pp,
        "dp": placement.dp,
        "ep": placement.ep,
        "stage": chosen.index,
        "layers": chosen.layers,
        "scheme": scheme.name,
    }
    return [
        WeightLine(name, float(size), FORMULAS.get(name, "remaining parameters"), inputs)
        for name, size in sizes.items()
        if float(size) > 0
    ]
