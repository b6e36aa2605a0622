"""More towers: GLM-4.xV, GLM-5.3, MiniMax-M3, Llama 3.2 Vision, Step 3.7, LLaVA-NeXT, and the audio encoders of
Qwen-Omni and Gemma 4.
"""

from __future__ import annotations

from sizing.model.architecture import VisionTower
from sizing.model.keys import Keys
from sizing.model.towers.vision import check_width, layer_norm, linear, plain_block, qwen_grid, siglip_tower

MOBILENET_V5_300M = 294_126_912  # parameters of the image encoder that Gemma 3n names


def glm4v(keys: Keys, text_hidden: int, top: Keys) -> VisionTower:
    """GLM-4.1V and later: RMSNorm blocks with a gated MLP of the output's width, a strided convolution, a merger."""
    width = keys.integer("hidden_size", default=1536)
    depth = keys.integer("depth", default=24, maximum=1000)
    out = keys.integer("out_hidden_size", default=4096)
    image = keys.integer("image_size", default=336, maximum=2**16)
    context = keys.integer("intermediate_size", default=13696)
    patch, merge, temporal, channels = qwen_grid(keys, 14)
    bias = keys.boolean("attention_bias", default=False)
    block = 2 * width + linear(width, 3 * width, bias) + width * width + 3 * width * out
    params = linear(channels * temporal * patch * patch, width) + (image // patch) ** 2 * width
    params += depth * block + 2 * width
    params += linear(width * merge * merge, out) + out * out + layer_norm(out) + 3 * out * context
    check_width(keys, "out_hidden_size", out, text_hidden)
    heads = keys.integer("num_heads", default=12)
    return VisionTower(params, depth, width, heads, out, patch, merge, temporal_patch_size=temporal)


def glm5(keys: Keys, text_hidden: int, top: Keys) -> VisionTower:
    """GLM-5.3: as GLM-4.xV without learned positions, with norms of q and k and an MLP of its own width."""
    width = keys.integer("hidden_size", default=1024)
    depth = keys.integer("depth", default=24, maximum=1000)
    heads = keys.integer("num_heads", default=16)
    intermediate = keys.integer("intermediate_size", default=4096)
    out = keys.integer("out_hidden_size", default=1536)
    context = keys.integer("projection_intermediate_size", default=10240)
    patch, merge, temporal, channels = qwen_grid(keys, 14)
    bias = keys.boolean("attention_bias", default=True)
    block = 2 * width + 2 * (width // heads) + linear(width, 3 * width, bias) + linear(width, width, bias)
    block += 2 * linear(width, intermediate, bias) + linear(intermediate, width, bias)
    params = linear(channels * temporal * patch * patch, width) + depth * block + width
    params += linear(width * merge * merge, out) + out * out + layer_norm(out) + 3 * out * context
    check_width(keys, "out_hidden_size", out, text_hidden)
    return VisionTower(params, depth, width, heads, intermediate, patch, merge, temporal_patch_size=temporal)


def minimax_m3(keys: Keys, text_hidden: int, top: Keys) -> VisionTower:
    """MiniMax-M3: CLIP blocks behind one norm, two projections, then two more over merged patches."""
    width = keys.integer("hidden_size", default=1280)
    depth = keys.integer("num_hidden_layers", default=32, maximum=1000)
    intermediate = keys.integer("intermediate_size", default=5120)
    patch, merge, temporal, channels = qwen_grid(keys, 14)
    channels = keys.integer("num_channels", default=channels, maximum=64)
    compression = top.child("img_token_compression_config")
    if compression is not None:
        merge = compression.integer("spatial_merge_size", default=merge, maximum=64)
        temporal = compression.integer("temporal_patch_size", default=temporal, maximum=64)
    middle = top.integer("projector_hidden_size", default=6144)
    params = channels * temporal * patch * patch * width + layer_norm(width)
    params += depth * plain_block(width, intermediate)
    params += linear(width, middle) + linear(middle, text_hidden)
    params += linear(text_hidden * merge * merge, middle) + linear(middle, text_hidden)
    heads = keys.integer("num_attention_heads", default=16)
    return VisionTower(params, depth, width, heads, intermediate, patch, merge, temporal_patch_size=temporal)


def mllama(keys: Keys, text_hidden: int, top: Keys) -> VisionTower:
    """Llama 3.2 Vision: tiles with gated position tables, local and gated global blocks, one projection.

    Its tokens stand in no prompt: cross-attention layers look at them.
    """
    width = keys.integer("hidden_size", default=1280)
    depth = keys.integer("num_hidden_layers", default=32, maximum=1000)
    gated = keys.integer("num_global_layers", default=8, maximum=1000, minimum=0)
    intermediate = keys.integer("intermediate_size", default=5120)
    patch = keys.integer("patch_size", default=14, maximum=1024)
    image = keys.integer("image_size", default=448, maximum=2**16)
    channels = keys.integer("num_channels", default=3, maximum=64)
    tiles = keys.integer("max_num_tiles", default=4, maximum=1024)
    ratios = keys.sequence("supported_aspect_ratios")
    rows = (8 if ratios is None else len(ratios)) + 1
    out = keys.integer("vision_output_dim", default=7680)
    cells = (image // patch) ** 2 + 1
    attention = 4 * width * width
    block = 2 * layer_norm(width) + attention + linear(width, intermediate) + linear(intermediate, width)
    params = channels * patch * patch * width + width + 2 * layer_norm(width)
    params += 1 + cells * width + rows * tiles * cells * width + 2 * (rows * tiles * width + 1)
    params += depth * block + gated * (block + 2) + linear(out, text_hidden)
    heads = keys.integer("attention_heads", default=16)
    return VisionTower(params, depth + gated, width, heads, intermediate, patch, 1, 0)


def step3p7(keys: Keys, text_hidden: int, top: Keys) -> VisionTower:
    """Step 3.7: blocks with layer scales, two strided convolutions that double the width, one projection."""
    width = keys.integer("width", "hidden_size", default=1536)
    depth = keys.integer("layers", "num_hidden_layers", default=47, maximum=1000)
    heads = keys.integer("heads", "num_attention_heads", default=16)
    ratio = keys.number("mlp_ratio", default=8960 / 1536)
    intermediate = keys.integer("intermediate_size", default=round(width * ratio))
    if intermediate != round(width * ratio):
        raise keys.error("intermediate_size", f"{intermediate} is not mlp_ratio times the width")
    patch = keys.integer("patch_size", default=14, maximum=1024)
    image = keys.integer("image_size", default=728, maximum=2**16)
    channels = keys.integer("num_channels", default=3, maximum=64)
    keys.refuse(("use_cls_token", "use_ln_post"), "true is not supported")
    params = channels * patch * patch * width + (image // patch) ** 2 * width + layer_norm(width)
    params += depth * (plain_block(width, intermediate) + 2 * width)
    params += linear(9 * width, 2 * width) + linear(18 * width, 4 * width)
    params += linear(4 * width, text_hidden, top.boolean("projector_bias", default=False))
    side = image // patch
    return VisionTower(params, depth, width, heads, intermediate, patch, 4, ((side + 3) // 4) ** 2)


def llava_next(keys: Keys, text_hidden: int, top: Keys) -> VisionTower:
    """LLaVA-NeXT (Granite Vision): SigLIP or CLIP, two projections of one or more feature layers, a newline token."""
    layers = top.data.get("vision_feature_layer", -2)
    features = len(layers) if isinstance(layers, list) else 1
    kind = keys.text("model_type", default="clip_vision_model")
    if kind == "siglip_vision_model":
        tower = siglip_tower(keys, head=True)
    elif kind == "clip_vision_model":
        tower = clip_tower(keys)
    else:
        raise keys.error("model_type", f"{kind!r} is not supported")
    bias = top.boolean("multimodal_projector_bias", default=True)
    params = tower.params + linear(tower.hidden_size * features, text_hidden, bias)
    params += linear(text_hidden, text_hidden, bias) + text_hidden
    return VisionTower(
        params, tower.layers, tower.hidden_size, tower.num_heads, tower.intermediate_size, tower.patch_size
    )


def clip_tower(keys: Keys) -> VisionTower:
    """CLIP's image encoder with both of its norms."""
    width = keys.integer("hidden_size", default=768)
    depth = keys.integer("num_hidden_layers", default=12, maximum=1000)
    intermediate = keys.integer("intermediate_size", default=3072)
    patch = keys.integer("patch_size", default=32, maximum=1024)
    image = keys.integer("image_size", default=224, maximum=2**16)
    grid = (image // patch) ** 2
    params = 3 * patch * patch * width + width + (grid + 1) * width + 2 * layer_norm(width)
    params += depth * plain_block(width, intermediate)
    return VisionTower(params, depth, width, keys.integer("num_attention_heads", default=12), intermediate, patch)


def internvit(keys: Keys, text_hidden: int, top: Keys) -> VisionTower:
    """InternVL: InternViT with layer scales, pixel shuffle, a norm and two projections."""
    width = keys.integer("hidden_size", default=1024)
    depth = keys.integer("num_hidden_layers", default=24, maximum=1000)
    intermediate = keys.integer("intermediate_size", default=4096)
    patch, image = _square(keys, "patch_size", 14), _square(keys, "image_size", 448)
    channels = keys.integer("num_channels", default=3, maximum=64)
    bias = keys.boolean("attention_bias", "qkv_bias", default=False)
    normed = keys.boolean("use_qk_norm", "qk_normalization", default=False)
    kind = keys.text("norm_type", default="layer_norm")
    if kind not in ("layer_norm", "rms_norm"):
        raise keys.error("norm_type", f"{kind!r} is not supported")
    keys.refuse(("use_mask_token",), "true is not supported")
    if not keys.boolean("use_absolute_position_embeddings", default=True):
        raise keys.error("use_absolute_position_embeddings", "false is not supported")
    if "tie_word_embeddings" not in top.data:
        raise top.error("tie_word_embeddings", "required key is missing", "classes of this family differ in it")
    ratio = top.number("downsample_ratio", default=0.5)
    if ratio not in (0.5, 1.0):
        raise top.error("downsample_ratio", "only 0.5 and 1 are supported")
    shuffle = 2 if ratio == 0.5 else 1
    grid = (image // patch) ** 2
    attention = linear(width, 3 * width, bias) + linear(width, width) + (2 * width if normed else 0)
    norms = 2 * (layer_norm(width) if kind == "layer_norm" else width)
    block = attention + norms + 2 * width + linear(width, intermediate) + linear(intermediate, width)
    params = linear(channels * patch * patch, width) + width + (grid + 1) * width + depth * block
    if not keys.boolean("use_mean_pooling", default=True):
        params += layer_norm(width)
    merged = width * shuffle * shuffle
    params += layer_norm(merged) + linear(merged, text_hidden) + linear(text_hidden, text_hidden)
    heads = keys.integer("num_attention_heads", default=16)
    return VisionTower(params, depth, width, heads, intermediate, patch, shuffle, grid // shuffle**2)


def deepseek_vl2(keys: Keys, text_hidden: int, top: Keys) -> VisionTower:
    """DeepSeek-VL2: SigLIP with its pooling head, two projections of four merged patches, newline and separator."""
    name = keys.text("model_name", default="siglip_so400m_patch14_384")
    ahead = top.child("projector_config")
    if ahead is not None and ahead.data.get("projector_type") == "linear" and ahead.data.get("input_dim") == 896:
        return _deepencoder_v2(ahead, text_hidden)
    if name == "deeplip_b_l":
        return _deeplip(keys, text_hidden, top)
    if name != "siglip_so400m_patch14_384":
        raise keys.error("model_name", f"{name!r} is not supported")
    width = keys.integer("width", default=1152)
    depth = keys.integer("layers", default=27, maximum=1000)
    intermediate = int(width * keys.number("mlp_ratio", default=3.7362))
    patch = keys.integer("patch_size", default=14, maximum=1024)
    image = keys.integer("image_size", default=384, maximum=2**16)
    projector = top.child("projector_config") or Keys({}, "projector_config.")
    usual = (("projector_type", "downsample_mlp_gelu"), ("depth", 2), ("mlp_ratio", 1), ("downsample_ratio", 2))
    for key, value in (*usual, ("input_dim", width), ("n_embed", text_hidden)):
        if projector.data.get(key, value) != value:
            raise projector.error(key, f"only {value} is supported")
    if top.data.get("tile_tag", "2D") != "2D":
        raise top.error("tile_tag", "only 2D is supported")
    grid = image // patch
    params = linear(3 * patch * patch, width) + grid**2 * width
    params += depth * plain_block(width, intermediate) + layer_norm(width)
    params += width + plain_block(width, intermediate) - layer_norm(width)
    params += linear(4 * width, text_hidden) + linear(text_hidden, text_hidden) + 2 * text_hidden
    return VisionTower(params, depth, width, keys.integer("heads", default=16), intermediate, patch, 2)


DEEPLIP: dict[str, dict[str, object]] = {
    "clip-l-14-224": {"heads": 16, "image_size": 224, "layers": 24, "patch_size": 14, "width": 1024},
    "sam_vit_b": {
        "downsample_channels": [512, 1024],
        "global_attn_indexes": [2, 5, 8, 11],
        "heads": 12,
        "layers": 12,
        "width": 768,
    },
}


def _deeplip(keys: Keys, text_hidden: int, top: Keys) -> VisionTower:
    """DeepSeek-OCR: SAM's image encoder with two strided convolutions, CLIP behind it, one projection of both."""
    if keys.data.get("width", DEEPLIP) != DEEPLIP or keys.data.get("image_size", 1024) != 1024:
        raise keys.error("width", "only the encoders of DeepSeek-OCR are supported")
    projector = top.child("projector_config") or Keys({}, "projector_config.")
    for key, value in (("projector_type", "linear"), ("input_dim", 2048), ("n_embed", text_hidden)):
        if projector.data.get(key) != value:
            raise projector.error(key, f"only {value} is supported")
    wide = 1024
    clip = 3 * 14 * 14 * wide + wide + 257 * wide + layer_norm(wide) + 24 * plain_block(wide, 4 * wide)
    params = clip + _sam(1024) + linear(2048, text_hidden) + 2 * text_hidden
    return VisionTower(params, 36, wide, 16, 4 * wide, 16, 4)


def _sam(out: int) -> int:
    """SAM's image encoder of ViT-B, with two strided convolutions to ``out`` channels behind it."""
    narrow = 768
    relative = 4 * 2 * 127 * 64 + 8 * 2 * 27 * 64  # of the global and of the windowed blocks, heads of 64
    sam = linear(3 * 16 * 16, narrow) + 64 * 64 * narrow + 12 * plain_block(narrow, 4 * narrow) + relative
    return sam + narrow * 256 + 9 * 256 * 256 + 2 * layer_norm(256) + 9 * 256 * 512 + 9 * 512 * out


def _deepencoder_v2(projector: Keys, text_hidden: int) -> VisionTower:
    """DeepSeek-OCR-2, fixed by its code: SAM, 24 layers of Qwen2-0.5B with learned queries, one projection."""
    if projector.integer("n_embed") != text_hidden:
        raise projector.error("n_embed", f"must be the language model's hidden_size ({text_hidden})")
    width, keys_width, inner, queries = 896, 128, 4864, 256 + 144
    attention = linear(width, width) + 2 * linear(width, keys_width) + width * width
    layer = attention + 3 * width * inner + 2 * width
    params = _sam(width) + 24 * layer + width + queries * width + linear(width, text_hidden) + text_hidden
    return VisionTower(params, 36, width, 14, inner, 16, 4)


def ernie_vl(keys: Keys, text_hidden: int, top: Keys) -> VisionTower:
    """ERNIE 4.5 VL: plain blocks, a resampler over space and time, one projection."""
    width = keys.integer("hidden_size", "embed_dim", default=1280)
    depth = keys.integer("depth", default=32, maximum=1000)
    ratio = keys.integer("mlp_ratio", default=4, maximum=1024)
    intermediate = keys.integer("intermediate_size", default=ratio * width)
    patch = keys.integer("patch_size", default=14, maximum=1024)
    channels = keys.integer("in_channels", "in_chans", default=3, maximum=64)
    merge = keys.integer("spatial_merge_size", default=2, maximum=64)
    temporal = keys.integer("temporal_merge_size", default=top.integer("temporal_conv_size", default=2), maximum=64)
    space = width * merge * merge
    params = channels * patch * patch * width + depth * plain_block(width, intermediate) + layer_norm(width)
    params += linear(space, space) + linear(temporal * space, space) + 2 * (linear(space, space) + layer_norm(space))
    params += linear(space, text_hidden) + text_hidden
    heads = keys.integer("num_heads", default=16)
    return VisionTower(params, depth, width, heads, intermediate, patch, merge, temporal_patch_size=1)


def _square(keys: Keys, key: str, default: int) -> int:
    """A size that may be written once or as two equal sides."""
    if isinstance(keys.data.get(key), list):
        sides = keys.integers(key, 2, minimum=1) or []
        if len(set(sides)) != 1:
            raise keys.error(key, "sides that differ are not supported")
        return sides[0]
    return keys.integer(key, default=default, maximum=2**16)


# ---- audio encoders: parameters only ----


def qwen2_5_audio(keys: Keys, text_hidden: int) -> int:
    """Qwen2.5-Omni: a Whisper encoder, two special tokens, one projection."""
    width, depth, inner, mels, out = _whisper(keys, text_hidden)
    block = 2 * layer_norm(width) + 4 * width * width + 3 * width + linear(width, inner) + linear(inner, width)
    params = linear(3 * mels, width) + linear(3 * width, width) + 2 * out
    return params + depth * block + layer_norm(width) + linear(width, out)


def qwen3_audio(keys: Keys, text_hidden: int) -> int:
    """Qwen3-Omni: three strided convolutions, blocks with biases, two projections."""
    width, depth, inner, mels, out = _whisper(keys, text_hidden)
    narrow = keys.integer("downsample_hidden_size", default=480)
    bins = (((mels + 1) // 2 + 1) // 2 + 1) // 2
    params = linear(9, narrow) + 2 * linear(9 * narrow, narrow) + narrow * bins * width
    params += depth * plain_block(width, inner) + layer_norm(width)
    return params + linear(width, width) + linear(width, out)


def _whisper(keys: Keys, text_hidden: int) -> tuple[int, int, int, int, int]:
    out = keys.integer("output_dim", default=3584)
    check_width(keys, "output_dim", out, text_hidden)
    return (
        keys.integer("d_model", default=1280),
        keys.integer("encoder_layers", default=32, maximum=1000),
        keys.integer("encoder_ffn_dim", default=5120),
        keys.integer("num_mel_bins", default=128),
        out,
    )


def gemma4_audio(keys: Keys, text_hidden: int) -> int:
    """Gemma 4: conformer blocks behind two strided convolutions, a projection out and one into the model."""
    width = keys.integer("hidden_size", default=1024)
    depth = keys.integer("num_hidden_layers", default=12, maximum=1000)
    heads = keys.integer("num_attention_heads", default=8)
    kernel = keys.integer("conv_kernel_size", default=5, maximum=1024)
    first, second = keys.integers("subsampling_conv_channels", 2, minimum=1) or [128, 32]
    out = keys.integer("output_proj_dims", default=1536)
    feed = 8 * width * width + 2 * width
    attention = 5 * width * width + width // heads
    convolution = 3 * width * width + kernel * width + 2 * width
    params = 9 * first + first + 9 * first * second + second
    params += (first // 4) * second * width
    params += depth * (2 * feed + attention + convolution + 3 * width)
    return params + linear(width, out) + out * text_hidden


def gemma3n(keys: Keys, text_hidden: int, top: Keys) -> VisionTower:
    """Gemma 3n: MobileNet-V5, which the config names instead of describing, a table of hard tokens, a projection."""
    name = keys.text("architecture", default="mobilenetv5_300m_enc")
    width = keys.integer("hidden_size", default=2048)
    if name != "mobilenetv5_300m_enc" or width != 2048:
        raise keys.error("architecture", "only mobilenetv5_300m_enc of 2048 channels is supported")
    params = MOBILENET_V5_300M + _gemma3n_embedder(keys, width, 128, text_hidden)
    tokens = top.integer("vision_soft_tokens_per_image", default=256)
    return VisionTower(params, 1, width, 1, width, 48, 1, tokens)


def _gemma3n_embedder(keys: Keys, width: int, rows: int, text_hidden: int) -> int:
    rows = keys.integer("vocab_size", default=rows, maximum=2**20)
    return rows * width + 2 * width + width * text_hidden


def gemma3n_audio(keys: Keys, text_hidden: int) -> int:
    """Gemma 3n: conformer blocks behind two strided convolutions, a table of hard tokens, a projection."""
    width = keys.integer("hidden_size", default=1536)
    depth = keys.integer("conf_num_hidden_layers", default=12, maximum=1000)
    heads = keys.integer("conf_num_attention_heads", default=8)
    kernel = keys.integer("conf_conv_kernel_size", default=5, maximum=1024)
    bins = keys.integer("input_feat_size", default=128, maximum=2**16)
    first, second = keys.integers("sscp_conv_channel_size", 2, minimum=1) or [128, 32]
    for key, usual in (("sscp_conv_kernel_size", [[3, 3], [3, 3]]), ("sscp_conv_stride_size", [[2, 2], [2, 2]])):
        if keys.data.get(key, usual) != usual:
            raise keys.error(key, f"only {usual} is supported")
    left = ((bins + 1) // 2 + 1) // 2
    feed = 8 * width * width + 2 * width
    attention = 5 * width * width + width // heads + 2 * width
    convolution = 3 * width * width + kernel * width + 2 * width
    params = 9 * first + first + 9 * first * second + second + left * second * width
    params += depth * (2 * feed + attention + convolution + width)
    return params + _gemma3n_embedder(keys, width, 128, text_hidden)
