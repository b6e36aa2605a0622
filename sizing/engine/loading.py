"""What loading adds to a checkpoint's bytes on one rank: tables, absorbed copies, allocator slack."""

from __future__ import annotations

from typing import Any

import numpy as np

from sizing.engine.placement import Placement
from sizing.engine.shard import PLAIN_LAYOUT, Layout, Shards, expert_format, experts_bytes, share_of
from sizing.engine.sharding import Stage
from sizing.model.architecture import BF16_BYTES, Architecture, LayerGroup
from sizing.model.parts import CoreKind
from sizing.model.quantization.schemes import QuantScheme

MIB = 2**20


def allocator_slack(size: Any) -> Any:
    """Bytes that PyTorch's caching allocator adds to one tensor: large blocks (10 MiB on) come in whole 2
    MiB, and a rest of at most 1 MiB stays with the tensor [bytes].
    """
    rest = np.ceil(np.asarray(size) / (2 * MIB)) * (2 * MIB) - size
    return np.where((np.asarray(size) >= 10 * MIB) & (rest <= MIB), rest, 0.0)


def _layer_slack(group: LayerGroup, scheme: QuantScheme, placement: Placement, layout: Layout) -> Any:
    """Allocator slack of one layer's matrices, fused as engines fuse them [bytes]."""
    fused: dict[str, Any] = {}
    for linear in (*group.mixer.linears, *group.feed_forward.linears):
        size = share_of(linear, placement, Shards(scheme, layout)).bytes
        name = linear.fuse or linear.name
        fused[name] = fused.get(name, 0.0) + size
    bank = group.feed_forward.experts
    if bank is not None:
        size = experts_bytes(bank, expert_format(scheme), placement, layout)
        fused["experts_in"] = size * (bank.matrices - 1) / bank.matrices
        fused["experts_out"] = size / bank.matrices
    return sum(allocator_slack(size) for size in fused.values())


def load_extras(
    arch: Architecture, scheme: QuantScheme, placement: Placement, stage: Stage, layout: Layout = PLAIN_LAYOUT
) -> dict[str, Any]:
    """What loading adds to the checkpoint's bytes on one rank [bytes].

    Rotary tables: positions x rotated dims x 2 bytes, one per distinct head shape, shared by the layers; a
    linear scaling stretches them. MLA: engines keep W_UK and W_UV in 16 bits beside kv_b_proj (heads / tp x
    kv_lora_rank x (nope + v) per layer). Allocator: see ``allocator_slack``.
    """
    tables: dict[tuple[int, int | None], float] = {}
    absorbed: Any = 0.0
    slack: Any = 0.0
    linear_scaling = arch.original_max_position_embeddings is None
    stretch = max(1.0, arch.rope_scaling_factor) if linear_scaling else 1.0
    for group, count in zip(arch.groups, stage.counts, strict=True):
        if not count:
            continue
        core = group.mixer.core
        slack = slack + count * _layer_slack(group, scheme, placement, layout)
        if core.kind is CoreKind.MLA and core.latent_dim:
            rope = core.latent_dim - core.latent_v_dim
            per_head = core.latent_v_dim * (core.qk_head_dim - rope + core.v_head_dim)
            heads = np.ceil(core.num_heads / np.asarray(placement.tp))
            absorbed = absorbed + count * heads * per_head * BF16_BYTES
            tables[(rope, None)] = arch.max_position_embeddings * rope * 2 * BF16_BYTES
        elif core.kind is CoreKind.SOFTMAX:
            reach = arch.max_position_embeddings * (stretch if core.window is None else 1.0)
            tables[(core.qk_head_dim, core.window)] = reach * core.qk_head_dim * BF16_BYTES
    return {"rotary_tables": sum(tables.values()), "mla_absorbed_copies": absorbed, "allocator_slack": slack}
