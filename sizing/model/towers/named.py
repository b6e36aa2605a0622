"""Encoders that a config names instead of describing: LLaVA 1.5, Phi-3 Vision, Phi-4 Multimodal."""

from __future__ import annotations

from sizing.model.architecture import VisionTower
from sizing.model.keys import Keys, describe
from sizing.model.towers.vision import layer_norm, linear, plain_block, siglip_tower

CLIP_336 = "clip-vit-large-patch14-336"


def _clip_336() -> VisionTower:
    """CLIP ViT-L/14 at 336 pixels with both of its norms."""
    width, depth, intermediate, patch, grid = 1024, 24, 4096, 14, 24 * 24
    params = 3 * patch * patch * width + width + (grid + 1) * width + 2 * layer_norm(width)
    params += depth * plain_block(width, intermediate)
    return VisionTower(params, depth, width, 16, intermediate, patch, 1, grid)


def _more(tower: VisionTower, params: int, tokens: int | None = None) -> VisionTower:
    """A tower with the parameters of what stands behind it."""
    fixed = tower.tokens_per_image if tokens is None else tokens
    return VisionTower(
        tower.params + params,
        tower.layers,
        tower.hidden_size,
        tower.num_heads,
        tower.intermediate_size,
        tower.patch_size,
        tower.spatial_merge_size,
        fixed,
    )


def llava_named(top: Keys, text_hidden: int) -> VisionTower | None:
    """LLaVA 1.5: CLIP ViT-L/14 at 336 pixels and two projections (mlp2x_gelu)."""
    named = top.data.get("mm_vision_tower")
    if not isinstance(named, str) or not named:
        return None
    if named.rsplit("/", 1)[-1] != CLIP_336 or top.data.get("mm_projector_type") != "mlp2x_gelu":
        raise top.error("mm_vision_tower", f"{describe(named)} is not supported")
    return _more(_clip_336(), linear(1024, text_hidden) + linear(text_hidden, text_hidden))


def phi3_vision(top: Keys, text_hidden: int) -> VisionTower | None:
    """Phi-3 and 3.5 Vision: the same CLIP, two projections of four merged patches, two learned separators."""
    encoder, layer = top.child("img_processor"), top.child("embd_layer")
    if encoder is None or layer is None:
        raise top.error("img_processor", "required key is missing")
    if encoder.text("model_name").rsplit("/", 1)[-1] != CLIP_336:
        raise encoder.error("model_name", f"only {CLIP_336} is supported")
    usual: tuple[tuple[str, object], ...] = (
        ("projection_cls", "mlp"),
        ("use_hd_transform", True),
        ("with_learnable_separator", True),
    )
    for key, value in usual:
        if layer.data.get(key) != value:
            raise layer.error(key, f"only {value} is supported")
    merged = 4 * 1024
    return _more(_clip_336(), linear(merged, text_hidden) + linear(text_hidden, text_hidden) + 2 * merged)


# ---- Phi-4 Multimodal ----

PHI4_AUDIO: dict[str, object] = {
    "attention_dim": 1024,
    "attention_heads": 16,
    "linear_units": 1536,
    "num_blocks": 24,
    "kernel_size": 3,
    "ext_pw_out_channel": 1024,
    "depthwise_seperable_out_channel": 1024,
    "depthwise_multiplier": 1,
    "input_size": 80,
    "time_reduction": 8,
    "bias_in_glu": True,
}


def phi4_pictures(keys: Keys, text_hidden: int, top: Keys) -> VisionTower:
    """Phi-4 Multimodal: SigLIP with its pooling head, two projections, two learned separators."""
    tower = siglip_tower(keys, head=True)
    width = tower.hidden_size
    return _more(tower, linear(width, text_hidden) + linear(text_hidden, text_hidden) + 2 * width)


def phi4_sounds(keys: Keys, text_hidden: int) -> int:
    """Phi-4 Multimodal: strided separable convolutions, conformer blocks, two pairs of projections."""
    width = keys.integer("hidden_size", default=1024)
    inner = keys.integer("intermediate_size", default=1536)
    depth = keys.integer("num_blocks", default=24, maximum=1000)
    heads = keys.integer("num_attention_heads", default=16)
    kernel = keys.integer("kernel_size", default=3, maximum=1024)
    channels = keys.integer("nemo_conv_channels", default=1024)
    last = keys.integer("nemo_final_size", default=10)
    reach = keys.integer("bias_max_distance", default=1000)
    if keys.integer("time_reduction", default=8) != 8 or keys.integer("depthwise_multiplier", default=1) != 1:
        raise keys.error("time_reduction", "only 8, with a depthwise_multiplier of 1, is supported")
    for key in ("ext_pw_out_channel", "depthwise_separable_out_channel"):
        if keys.integer(key, default=width) != width:
            raise keys.error(key, f"must be hidden_size ({width})")
    rows = reach if keys.boolean("bias_symmetric", default=False) else 2 * reach
    feed = layer_norm(width) + linear(width, 2 * inner) + linear(inner, width)
    convolution = layer_norm(width) + 2 * width + linear(width, 2 * width) + (kernel + 1) * width
    convolution += 2 * linear(width, width)
    block = 2 * feed + 4 * linear(width, width) + convolution + 2 * layer_norm(width)
    params = 3 * (9 * channels + channels) + 2 * linear(channels, channels) + linear(channels * last, width)
    params += rows * heads + depth * block
    return params + 2 * (linear(width, text_hidden) + linear(text_hidden, text_hidden))


def phi4mm_named(top: Keys, text_hidden: int) -> VisionTower | None:
    """Phi-4 Multimodal as published: encoders that the code fixes, and adapters of the text model for pictures and
    sounds, counted with the encoders as no text token passes through them.
    """
    audio = (top.child("audio_processor") or Keys({}, "audio_processor.")).child("config")
    if audio is None:
        raise top.error("audio_processor", "required key is missing")
    for key, value in PHI4_AUDIO.items():
        if audio.data.get(key, value) != value:
            raise audio.error(key, f"only {describe(value)} is supported")
    bias = audio.child("relative_attention_bias_args") or Keys({}, "relative_attention_bias_args.")
    reach = bias.integer("t5_bias_max_distance", default=500)
    encoder: dict[str, object] = {
        "hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27, "num_attention_heads": 16,
        "image_size": 448, "patch_size": 14,
    }  # fmt: skip
    tower = phi4_pictures(Keys(encoder), text_hidden, top)
    sounds = phi4_sounds(Keys({"bias_max_distance": reach}), text_hidden)
    return _more(tower, sounds + _adapters(top, text_hidden))


def _adapters(top: Keys, hidden: int) -> int:
    """Low-rank adapters of the four matrices of every layer: rank x (inputs + outputs) each."""
    heads, layers = top.integer("num_attention_heads", maximum=2**16), top.integer("num_hidden_layers", maximum=10_000)
    head_dim, width = hidden // heads, top.integer("intermediate_size")
    fused = (heads + 2 * top.integer("num_key_value_heads", default=heads)) * head_dim
    ends = (hidden + fused) + (heads * head_dim + hidden) + (hidden + 2 * width) + (width + hidden)
    ranks = 0
    for name in ("vision_lora", "speech_lora"):
        adapter = top.child(name)
        if adapter is None:
            raise top.error(name, "required key is missing")
        ranks += adapter.integer("r", maximum=2**16)
    return layers * ranks * ends
