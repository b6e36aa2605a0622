"""Families that put SigLIP, or no encoder at all, and a projector of their own beside a language model."""

from __future__ import annotations

from sizing.model.architecture import VisionTower
from sizing.model.keys import Keys
from sizing.model.towers.vision import layer_norm, linear, plain_block, siglip_tower


def _siglip(keys: Keys) -> VisionTower:
    kind = keys.text("model_type", default="siglip_vision_model")
    if kind != "siglip_vision_model":
        raise keys.error("model_type", f"{kind!r} is not supported")
    return siglip_tower(keys, head=True)


def _with(tower: VisionTower, projector: int, merge: int = 1, tokens: int | None = None) -> VisionTower:
    """The tower with its projector's parameters, ``merge`` x ``merge`` patches to a token."""
    return VisionTower(
        tower.params + projector,
        tower.layers,
        tower.hidden_size,
        tower.num_heads,
        tower.intermediate_size,
        tower.patch_size,
        merge,
        tokens,
    )


def paligemma(keys: Keys, text_hidden: int, top: Keys) -> VisionTower:
    """PaliGemma: one projection of every patch."""
    tower = _siglip(keys)
    out = keys.integer("projection_dim", default=top.integer("projection_dim", default=2048))
    if out != text_hidden:
        raise keys.error("projection_dim", f"{out} is not the language model's hidden_size ({text_hidden})")
    side = keys.integer("image_size", default=224) // tower.patch_size
    return _with(tower, linear(tower.hidden_size, out), 1, side * side)


def aya(keys: Keys, text_hidden: int, top: Keys) -> VisionTower:
    """Aya Vision: merged patches, normed, through a gated projection."""
    tower = _siglip(keys)
    factor = top.integer("downsample_factor", default=2, maximum=64)
    merged = tower.hidden_size * factor**2
    inner = top.integer("alignment_intermediate_size", default=text_hidden)
    return _with(tower, layer_norm(merged) + linear(merged, inner) + linear(inner // 2, text_hidden), factor)


def cohere2(keys: Keys, text_hidden: int, top: Keys) -> VisionTower:
    """Command A Vision: merged patches through a gated projection."""
    tower = _siglip(keys)
    factor = top.integer("downsample_factor", default=2, maximum=64)
    inner = top.integer("alignment_intermediate_size", default=36864)
    merged = tower.hidden_size * factor**2
    return _with(tower, linear(merged, inner) + linear(inner // 2, text_hidden), factor)


def idefics3(keys: Keys, text_hidden: int, top: Keys) -> VisionTower:
    """Idefics 3 and SmolVLM: SigLIP's blocks without a head, one projection of merged patches."""
    width = keys.integer("hidden_size", default=1152)
    depth = keys.integer("num_hidden_layers", default=12, maximum=1000)
    inner = keys.integer("intermediate_size", default=3072)
    patch = keys.integer("patch_size", default=32, maximum=1024)
    image = keys.integer("image_size", default=224, maximum=2**16)
    channels = keys.integer("num_channels", default=3, maximum=64)
    factor = top.integer("scale_factor", default=2, maximum=64)
    params = linear(channels * patch * patch, width) + (image // patch) ** 2 * width
    params += depth * plain_block(width, inner) + layer_norm(width) + width * factor**2 * text_hidden
    return VisionTower(params, depth, width, keys.integer("num_attention_heads", default=16), inner, patch, factor)


def llava_onevision(keys: Keys, text_hidden: int, top: Keys) -> VisionTower:
    """LLaVA-OneVision: two projections of one or more feature layers, a newline token."""
    tower = _siglip(keys)
    layers = top.data.get("vision_feature_layer", -1)
    features = len(layers) if isinstance(layers, list) else 1
    bias = top.boolean("multimodal_projector_bias", default=True)
    projector = linear(tower.hidden_size * features, text_hidden, bias) + linear(text_hidden, text_hidden, bias)
    return _with(tower, projector + text_hidden)


def lfm2(keys: Keys, text_hidden: int, top: Keys) -> VisionTower:
    """LFM2-VL: SigLIP 2 with a table of num_patches positions, merged patches through two projections."""
    kind = keys.text("model_type", default="siglip2_vision_model")
    if kind != "siglip2_vision_model":
        raise keys.error("model_type", f"{kind!r} is not supported")
    if keys.boolean("vision_use_head", default=True):
        raise keys.error("vision_use_head", "true is not supported in this family")
    width = keys.integer("hidden_size", default=768)
    depth = keys.integer("num_hidden_layers", default=12, maximum=1000)
    inner = keys.integer("intermediate_size", default=3072)
    patch = keys.integer("patch_size", default=16, maximum=1024)
    channels = keys.integer("num_channels", default=3, maximum=64)
    params = linear(channels * patch * patch, width) + keys.integer("num_patches", default=256) * width
    params += depth * plain_block(width, inner) + layer_norm(width)
    factor = top.integer("downsample_factor", default=2, maximum=64)
    merged = width * factor**2
    middle, bias = top.integer("projector_hidden_size", default=2560), top.boolean("projector_bias", default=True)
    params += linear(merged, middle, bias) + linear(middle, text_hidden, bias)
    if top.boolean("projector_use_layernorm", default=True):
        params += layer_norm(merged)
    return VisionTower(params, depth, width, keys.integer("num_attention_heads", default=12), inner, patch, factor)


def gemma4_unified(keys: Keys, text_hidden: int, top: Keys) -> VisionTower:
    """Gemma 4 Unified: no encoder; patches of pixels, normed, through a matrix, with a position of each axis."""
    width = keys.integer("mm_embed_dim", default=3840)
    if keys.integer("output_proj_dims", default=3840) != width:
        raise keys.error("output_proj_dims", f"must be mm_embed_dim ({width})")
    cell = keys.integer("patch_size", default=16, maximum=1024) * keys.integer(
        "pooling_kernel_size", default=3, maximum=64
    )
    pixels = 3 * cell * cell
    params = 2 * keys.integer("mm_posemb_size", default=1120) * width + layer_norm(pixels) + linear(pixels, width)
    params += 2 * layer_norm(width) + width * text_hidden
    return VisionTower(params, 1, width, 1, width, cell, 1, top.integer("vision_soft_tokens_per_image", default=280))


def gemma4_unified_audio(keys: Keys, text_hidden: int) -> int:
    """Gemma 4 Unified: one projection of the raw samples."""
    return keys.integer("audio_embed_dim", default=640) * text_hidden
