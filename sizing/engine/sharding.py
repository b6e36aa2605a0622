"""The weights of one rank, added up: by component, by pipeline stage, as a ledger.

``stage_components`` is the one sum: it takes the sizes of the parallel groups as whole numbers or NumPy
arrays and gives the bytes of each component on one rank of one pipeline stage. The ledger of a single
estimate and the planner's arrays both call it. Which part of a matrix a rank holds is ``sizing.engine.shard``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from sizing.engine.placement import Placement
from sizing.engine.shard import (
    PLAIN_LAYOUT,
    Layout,
    Shards,
    embedding_bytes,
    expert_format,
    experts_bytes,
    head_share,
    share_of,
)
from sizing.model.architecture import BF16_BYTES, Architecture, LayerGroup
from sizing.model.parts import Component
from sizing.model.quantization.schemes import QuantScheme


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


def layer_components(
    group: LayerGroup, scheme: QuantScheme, placement: Placement, layout: Layout = PLAIN_LAYOUT
) -> dict[str, Any]:
    """Bytes of ONE layer of a group on one rank, by component [bytes]."""
    total: dict[str, Any] = {}

    def add(component: Component, size: Any) -> None:
        total[component.value] = total.get(component.value, 0.0) + size

    shards = Shards(scheme, layout)
    for linear in (*group.mixer.linears, *group.feed_forward.linears):
        add(linear.component, share_of(linear, placement, shards).bytes)
    for vector in (*group.mixer.vectors, *group.feed_forward.vectors, *group.vectors):
        params = vector.params / np.asarray(placement.tp) if vector.sharded else vector.params
        add(vector.component, params * BF16_BYTES)
    bank = group.feed_forward.experts
    if bank is not None:
        add(Component.ROUTED_EXPERTS, experts_bytes(bank, expert_format(scheme), placement, layout))
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
        total["embedding"] = embedding_bytes(arch, scheme, placement, layout)
        if arch.vision is not None:
            ways = np.asarray(placement.tp) if layout.vision_sharded else 1
            total["vision"] = arch.vision.params * (scheme.vision.effective_bits / 8) / ways
        for linear in arch.extra_linears:
            size = share_of(linear, placement, Shards(scheme, layout)).bytes
            total[linear.component.value] = total.get(linear.component.value, 0.0) + size
    if stage.last:
        for vector in arch.extra_vectors:
            size = vector.params * BF16_BYTES / (np.asarray(placement.tp) if vector.sharded else 1)
            total[vector.component.value] = total.get(vector.component.value, 0.0) + size
        if arch.has_lm_head and not arch.tie_word_embeddings:
            total["lm_head"] = head_share(arch, placement, Shards(scheme, layout)).bytes
        elif arch.has_lm_head and not stage.first:
            total["lm_head"] = embedding_bytes(arch, scheme, placement, layout)
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
