"""Vision towers and their projectors: exact parameters from a vision_config."""

from __future__ import annotations

from sizing.model.architecture import VisionTower
from sizing.model.keys import Keys


def layer_norm(width: int) -> int:
    """Parameters of a LayerNorm: scale and shift."""
    return 2 * width


def linear(inputs: int, outputs: int, bias: bool = True) -> int:
    """Parameters of a matrix and, unless said otherwise, its bias."""
    return inputs * outputs + (outputs if bias else 0)


def plain_block(width: int, intermediate: int, *, bias: bool = True) -> int:
    """A pre-norm transformer block: two LayerNorms, four attention matrices, a two-matrix MLP."""
    attention = 4 * linear(width, width, bias)
    return 2 * layer_norm(width) + attention + linear(width, intermediate) + linear(intermediate, width)


def qwen2_vl(keys: Keys, text_hidden: int, top: Keys) -> VisionTower:
    """Qwen2-VL: LayerNorm blocks of embed_dim, a two-matrix MLP of mlp_ratio, a patch merger."""
    width = keys.integer("embed_dim", default=1280)
    depth = keys.integer("depth", default=32, maximum=1000)
    ratio = keys.integer("mlp_ratio", default=4)
    out = keys.integer("hidden_size", default=3584)
    patch, merge, temporal, channels = qwen_grid(keys, 14)
    merged = width * merge * merge
    params = channels * temporal * patch * patch * width
    params += depth * plain_block(width, ratio * width)
    params += layer_norm(width) + linear(merged, merged) + linear(merged, out)
    check_width(keys, "hidden_size", out, text_hidden)
    heads = keys.integer("num_heads", default=16)
    return VisionTower(params, depth, width, heads, ratio * width, patch, merge, temporal_patch_size=temporal)


def qwen2_5_vl(keys: Keys, text_hidden: int, top: Keys) -> VisionTower:
    """Qwen2.5-VL: RMSNorm blocks with a gated MLP (biases everywhere), a patch merger."""
    width = keys.integer("hidden_size", default=1280)
    depth = keys.integer("depth", default=32, maximum=1000)
    intermediate = keys.integer("intermediate_size", default=3420)
    out = keys.integer("out_hidden_size", default=3584)
    patch, merge, temporal, channels = qwen_grid(keys, 14)
    merged = width * merge * merge
    block = 2 * width + 4 * linear(width, width) + 2 * linear(width, intermediate) + linear(intermediate, width)
    params = channels * temporal * patch * patch * width + depth * block
    params += width + linear(merged, merged) + linear(merged, out)
    check_width(keys, "out_hidden_size", out, text_hidden)
    heads = keys.integer("num_heads", default=16)
    return VisionTower(params, depth, width, heads, intermediate, patch, merge, temporal_patch_size=temporal)


def qwen3_vl(keys: Keys, text_hidden: int, top: Keys) -> VisionTower:
    """Qwen3-VL: biased patch embedding, learned positions, a merger and one more at each deepstack layer."""
    return _qwen3(keys, text_hidden, keys.integers("deepstack_visual_indexes"), default_deepstack=3)


def qwen3_5(keys: Keys, text_hidden: int, top: Keys) -> VisionTower:
    """Qwen3.5: the tower of Qwen3-VL without deepstack mergers."""
    indexes = keys.integers("deepstack_visual_indexes")
    if indexes:
        raise keys.error("deepstack_visual_indexes", "is not supported in this family")
    return _qwen3(keys, text_hidden, [], default_deepstack=0)


def _qwen3(keys: Keys, text_hidden: int, indexes: list[int] | None, default_deepstack: int) -> VisionTower:
    width = keys.integer("hidden_size", default=1152)
    depth = keys.integer("depth", default=27, maximum=1000)
    intermediate = keys.integer("intermediate_size", default=4304)
    out = keys.integer("out_hidden_size", default=3584)
    positions = keys.integer("num_position_embeddings", default=2304)
    patch, merge, temporal, channels = qwen_grid(keys, 16)
    merged = width * merge * merge
    deepstack = default_deepstack if indexes is None else len(indexes)
    projector = linear(merged, merged) + linear(merged, out)
    params = channels * temporal * patch * patch * width + width + positions * width
    params += depth * plain_block(width, intermediate)
    params += layer_norm(width) + projector + deepstack * (layer_norm(merged) + projector)
    check_width(keys, "out_hidden_size", out, text_hidden)
    heads = keys.integer("num_heads", default=16)
    return VisionTower(params, depth, width, heads, intermediate, patch, merge, temporal_patch_size=temporal)


def qwen_grid(keys: Keys, patch_default: int) -> tuple[int, int, int, int]:
    """``(patch size, merge size, temporal patch size, channels)`` of a Qwen-VL tower."""
    patch = keys.integer("patch_size", default=patch_default, maximum=1024)
    merge = keys.integer("spatial_merge_size", default=2, maximum=64)
    temporal = keys.integer("temporal_patch_size", default=2, maximum=64)
    channels = keys.integer("in_chans", "in_channels", default=3, maximum=64)
    return patch, merge, temporal, channels


def check_width(keys: Keys, key: str, out: int, text_hidden: int) -> None:
    """Raise ConfigError unless a projector ends at the language model's width."""
    if out != text_hidden:
        raise keys.error(key, f"{out} is not the language model's hidden_size ({text_hidden})")


def siglip(keys: Keys, text_hidden: int, top: Keys) -> VisionTower:
    """Gemma 3: SigLIP without its pooling head, a norm and one projection to 256 tokens an image."""
    tower = siglip_tower(keys)
    width = tower.hidden_size
    tokens = top.integer("mm_tokens_per_image", default=256)
    params = tower.params + width * text_hidden + width
    return VisionTower(
        params, tower.layers, width, tower.num_heads, tower.intermediate_size, tower.patch_size, 1, tokens
    )


def siglip_tower(keys: Keys, *, head: bool = False) -> VisionTower:
    """SigLIP's image encoder; ``head``: with its pooling head unless vision_use_head is false."""
    pooled = keys.boolean("vision_use_head", default=head)
    if pooled and not head:
        raise keys.error("vision_use_head", "true is not supported")
    width = keys.integer("hidden_size", default=768)
    depth = keys.integer("num_hidden_layers", default=12, maximum=1000)
    intermediate = keys.integer("intermediate_size", default=3072)
    patch = keys.integer("patch_size", default=16, maximum=1024)
    image = keys.integer("image_size", default=224, maximum=2**16)
    channels = keys.integer("num_channels", default=3, maximum=64)
    params = linear(channels * patch * patch, width) + (image // patch) ** 2 * width
    params += depth * plain_block(width, intermediate) + layer_norm(width)
    if pooled:
        params += width + plain_block(width, intermediate) - layer_norm(width)
    return VisionTower(params, depth, width, keys.integer("num_attention_heads", default=12), intermediate, patch)


def pixtral(keys: Keys, text_hidden: int, top: Keys) -> VisionTower:
    """Mistral 3: Pixtral's tower (no biases, gated MLP), a patch merger and two projections."""
    width = keys.integer("hidden_size", default=1024)
    depth = keys.integer("num_hidden_layers", default=24, maximum=1000)
    intermediate = keys.integer("intermediate_size", default=4096)
    patch = keys.integer("patch_size", default=16, maximum=1024)
    channels = keys.integer("num_channels", default=3, maximum=64)
    heads = keys.integer("num_attention_heads", default=16)
    merge = top.integer("spatial_merge_size", default=2, maximum=64)
    bias = top.boolean("multimodal_projector_bias", default=False)
    layers = top.data.get("vision_feature_layer", -1)
    features = len(layers) if isinstance(layers, list) else 1
    block = 2 * width + 4 * width * width + 3 * width * intermediate
    params = channels * patch * patch * width + width + depth * block
    params += width + merge * merge * width * width
    params += linear(width * features, text_hidden, bias) + linear(text_hidden, text_hidden, bias)
    return VisionTower(params, depth, width, heads, intermediate, patch, merge)


def llama4(keys: Keys, text_hidden: int, top: Keys) -> VisionTower:
    """Llama 4: biased attention, class and position embeddings, a pixel-shuffle adapter, one projection."""
    width = keys.integer("hidden_size", default=768)
    depth = keys.integer("num_hidden_layers", default=34, maximum=1000)
    intermediate = keys.integer("intermediate_size", default=5632)
    patch = keys.integer("patch_size", default=14, maximum=1024)
    image = keys.integer("image_size", default=448, maximum=2**16)
    channels = keys.integer("num_channels", default=3, maximum=64)
    ratio = keys.number("pixel_shuffle_ratio", default=0.5)
    adapter_in = keys.integer("projector_input_dim", default=4096)
    adapter_out = keys.integer("projector_output_dim", default=4096)
    out = keys.integer("vision_output_dim", default=7680)
    bias = keys.boolean("multi_modal_projector_bias", default=False)
    grid = (image // patch) ** 2
    params = channels * patch * patch * width + width + (grid + 1) * width
    params += 2 * layer_norm(width) + depth * plain_block(width, intermediate)
    params += intermediate * adapter_in + adapter_in * adapter_out + linear(out, text_hidden, bias)
    tokens = round(grid * ratio * ratio)
    heads = keys.integer("num_attention_heads", default=16)
    return VisionTower(params, depth, width, heads, intermediate, patch, 1, tokens)


def moonvit(keys: Keys, text_hidden: int, top: Keys) -> VisionTower:
    """Kimi K2.5: MoonViT with learned spatial positions, and a patch merger."""
    width = keys.integer("vt_hidden_size", "hidden_size")
    depth = keys.integer("vt_num_hidden_layers", "num_hidden_layers", maximum=1000)
    intermediate = keys.integer("vt_intermediate_size", "intermediate_size")
    heads = keys.integer("vt_num_attention_heads", "num_attention_heads")
    patch = keys.integer("patch_size", maximum=1024)
    height = keys.integer("init_pos_emb_height", "pos_emb_height", default=64, maximum=2**16)
    across = keys.integer("init_pos_emb_width", "pos_emb_width", default=64, maximum=2**16)
    merge = keys.integers("merge_kernel_size", 2, minimum=1) or [2, 2]
    if top.integer("projection_hidden_size", default=width) != width:
        raise top.error("projection_hidden_size", f"must be the tower's width ({width})")
    projector = keys.text("mm_projector_type", default="patchmerger")
    if projector != "patchmerger":
        raise keys.error("mm_projector_type", f"{projector!r} is not supported")
    merged = width * merge[0] * merge[1]
    params = linear(3 * patch * patch, width) + height * across * width
    params += depth * plain_block(width, intermediate) + layer_norm(width)
    params += layer_norm(width) + linear(merged, merged) + linear(merged, text_hidden)
    return VisionTower(params, depth, width, heads, intermediate, patch, merge[0])


def moonvit_k3(keys: Keys, text_hidden: int, top: Keys) -> VisionTower:
    """Kimi K3: MoonViT with RMS norms, a narrower inner width of its attention, and a merger normed behind."""
    width = keys.integer("vt_hidden_size", default=1024)
    depth = keys.integer("vt_num_hidden_layers", default=27, maximum=1000)
    intermediate = keys.integer("vt_intermediate_size", default=4096)
    heads = keys.integer("vt_num_attention_heads", default=12)
    inner = keys.integer("qkv_hidden_size", default=1536)
    patch = keys.integer("patch_size", default=14, maximum=1024)
    height = keys.integer("init_pos_emb_height", default=64, maximum=2**16)
    across = keys.integer("init_pos_emb_width", default=64, maximum=2**16)
    merge = keys.integers("merge_kernel_size", 2, minimum=1) or [2, 2]
    for key, usual in (("mm_projector_type", "patchmergerv2"), ("norm_type", "rmsnorm"), ("mlp_type", "mlp2")):
        if keys.text(key, default=usual) != usual:
            raise keys.error(key, f"only {usual} is supported")
    keys.refuse(("attn_bias", "patch_embed_proj_bias", "linear_bias"), "true is not supported")
    merged = width * merge[0] * merge[1]
    block = 2 * width + 4 * width * inner + 2 * width * intermediate
    params = 3 * patch * patch * width + height * across * width + depth * block + width
    params += merged * merged + merged * text_hidden + text_hidden
    return VisionTower(params, depth, width, heads, intermediate, patch, merge[0])


def gemma4(keys: Keys, text_hidden: int, top: Keys) -> VisionTower:
    """Gemma 4: two learned position tables, gated MLP, four norms a layer and norms of q and k, one
    projection.
    """
    width = keys.integer("hidden_size")
    depth = keys.integer("num_hidden_layers", maximum=1000)
    intermediate = keys.integer("intermediate_size")
    heads = keys.integer("num_attention_heads")
    kv_heads = keys.integer("num_key_value_heads", default=heads)
    head_dim = keys.integer("head_dim", default=64)
    patch = keys.integer("patch_size", maximum=1024)
    positions = keys.integer("position_embedding_size", default=10240)
    if keys.boolean("attention_bias", default=False):
        raise keys.error("attention_bias", "true is not supported")
    attention = 2 * width * head_dim * (heads + kv_heads) + 2 * head_dim
    block = 4 * width + attention + 3 * width * intermediate
    params = 2 * positions * width + 3 * patch * patch * width + depth * block + width * text_hidden
    tokens = top.integer("vision_soft_tokens_per_image", default=280)
    return VisionTower(params, depth, width, heads, intermediate, patch, 1, tokens)


def llava_clip(keys: Keys, text_hidden: int, top: Keys) -> VisionTower:
    """LLaVA in transformers: CLIP or SigLIP tower with two projections of the language model's width."""
    if keys.text("model_type", default="clip_vision_model") != "clip_vision_model":
        raise keys.error("model_type", "only clip_vision_model is supported")
    width = keys.integer("hidden_size", default=768)
    depth = keys.integer("num_hidden_layers", default=12, maximum=1000)
    intermediate = keys.integer("intermediate_size", default=3072)
    patch = keys.integer("patch_size", default=32, maximum=1024)
    image = keys.integer("image_size", default=224, maximum=2**16)
    heads = keys.integer("num_attention_heads", default=12)
    grid = (image // patch) ** 2
    bias = top.boolean("multimodal_projector_bias", default=True)
    params = 3 * patch * patch * width + width + (grid + 1) * width + 2 * layer_norm(width)
    params += depth * plain_block(width, intermediate)
    params += linear(width, text_hidden, bias) + linear(text_hidden, text_hidden, bias)
    return VisionTower(params, depth, width, heads, intermediate, patch, 1, grid)
