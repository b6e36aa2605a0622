"""A decode step reads what the memory ledger holds: every catalog model, in every format, in many placements."""

from __future__ import annotations

import numpy as np
import pytest

from sizing.base.errors import SizingError
from sizing.engine.cache import cache_groups
from sizing.engine.placement import Placement
from sizing.engine.registry import get_engine
from sizing.engine.shard import PLAIN_LAYOUT, VLLM_LAYOUT, Layout, Shards, embedding_bytes
from sizing.engine.sharding import stage_components, stages
from sizing.model.architecture import BF16_BYTES, Architecture
from sizing.model.kv_formats import KV_FORMATS, kv_format
from sizing.model.parts import CacheKind, CoreKind
from sizing.model.quantization.schemes import scheme
from sizing.model.sources import catalog_models, load_model
from sizing.step.operations import StepShape, list_operations


def loads(name: str) -> bool:
    """Whether the catalog's config is one that the parser takes whole."""
    try:
        load_model(name, allow_hub=False)
    except SizingError:
        return False
    return True


NAMES = sorted({model.name for model in catalog_models() if loads(model.name)})
FORMATS = ("bf16", "fp8_block", "int8", "int4_awq", "w4a8", "mxfp4", "nvfp4", "bits4.5", "fp32")
PLACES = (Placement(), Placement(tp=8), Placement(tp=4, ep=4), Placement(tp=2, dp=4, ep=8), Placement(tp=2, pp=2),
          Placement(tp=1, dp=8, ep=8))  # fmt: skip
LAYOUTS: dict[str, Layout] = {
    "plain": PLAIN_LAYOUT, "vllm": VLLM_LAYOUT, "sglang": get_engine("sglang").layout,
    "mindie": get_engine("mindie").layout,
}  # fmt: skip
MANY = 1e9  # tokens that reach every expert


def unread(arch: Architecture, shards: Shards, place: Placement) -> float:
    """Bytes of the ledger that no product of a step reads: the input embedding (a tied one is the head), the tower of
    images, and vectors, which element-wise kernels read."""
    tp = place.tp
    vectors = sum(
        group.count * vector.params / (tp if vector.sharded else 1)
        for group in arch.groups
        for vector in (*group.mixer.vectors, *group.feed_forward.vectors, *group.vectors)
    )
    vectors += sum(vector.params / (tp if vector.sharded else 1) for vector in arch.extra_vectors)
    size = vectors * BF16_BYTES
    table = float(embedding_bytes(arch, shards.scheme, place, shards.layout))
    beside = max(0, arch.embedding - arch.vocab_size * arch.hidden_size) * BF16_BYTES
    tied = arch.has_lm_head and arch.tie_word_embeddings
    size += (0.0 if tied and place.pp == 1 else table) + (beside if tied else 0.0)
    if arch.vision is not None:
        size += arch.vision.params * shards.scheme.vision.bits / 8 / (tp if shards.layout.vision_sharded else 1)
    return size


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", NAMES)
def test_weights(name: str, layout: str) -> None:
    arch = load_model(name, allow_hub=False)
    for number, weights in enumerate(FORMATS):
        shards = Shards(scheme(weights), LAYOUTS[layout])
        for place in (PLACES[number % len(PLACES)], PLACES[(number + 3) % len(PLACES)]):
            if place.pp > arch.num_layers:
                continue
            held = sum(
                float(np.asarray(size))
                for stage in stages(arch, place.pp)
                for size in stage_components(arch, shards.scheme, place, stage, layout=shards.layout).values()
            )
            found = list_operations(arch, StepShape(decode_seqs=MANY, decode_context=1.0), place, shards)
            read = sum(op.count * float(np.asarray(op.weight_bytes)) for op in found)
            assert read == pytest.approx(held - unread(arch, shards, place), rel=1e-6), (weights, place)


@pytest.mark.parametrize("name", NAMES)
def test_cache(name: str) -> None:
    """Of a context that no window and no choice of tokens cuts short; layers that read another's cache hold none."""
    arch = load_model(name, allow_hub=False)
    limits = [
        limit for group in arch.groups for limit in (group.mixer.core.window, group.mixer.core.topk_tokens) if limit
    ]
    context = float(min([128, *limits]))
    for number, kv in enumerate(KV_FORMATS):
        place = PLACES[number % len(PLACES)]
        place = Placement(place.tp, 1, place.dp, place.ep)
        for fp8 in (False, True):
            shards = Shards(scheme("bf16"), kv=kv_format(kv), fp8_index_keys=fp8)
            (stage,) = stages(arch, 1)
            groups = cache_groups(arch, place, shards.kv, stage, fp8_index_keys=fp8)
            held = sum(g.layers * float(np.asarray(g.bytes_per_token)) for g in groups if g.kind is not CacheKind.STATE)
            own = {
                id(group.mixer.core)
                for group in arch.groups
                if group.mixer.cache.kind not in (CacheKind.NONE, CacheKind.STATE)
            }
            found = list_operations(arch, StepShape(decode_seqs=3.0, decode_context=context), place, shards)
            read = sum(
                op.count * float(np.asarray(op.cache_bytes))
                for op in found
                if op.core is not None and op.core.kind is not CoreKind.LINEAR and id(op.core) in own
            )
            assert read == pytest.approx(3 * context * held, rel=1e-6), (kv, place, fp8)
