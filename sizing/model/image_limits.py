"""The rule by which a model's pictures become tokens, read from the keys of its config and of its processor's.

Beside ``config.json`` a folder has ``preprocessor_config.json`` (and ``video_preprocessor_config.json``); their keys win
where they are there (``load_directory`` puts them under these names into the config). Otherwise the figures are those
that the publishers' own preprocessor files state for the family; each is named below.
"""

from __future__ import annotations

from collections.abc import Callable

from sizing.model import image_rules as rules
from sizing.model.architecture import VisionTower
from sizing.model.keys import Keys

PROCESSOR = "preprocessor_config"
VIDEO = "video_preprocessor_config"
MOST = 2**40
#: Qwen2-VL, Qwen2.5-VL: min_pixels 3136, max_pixels 12845056, of 28 x 28 a token. Qwen3-VL: 65536, 16777216, of 32 x 32.
MOST_CELLS, FEWEST_CELLS, FEWEST_CELLS_WIDE = 16384, 4, 64
#: A video's: of a frame (Qwen2-VL: 128 and 768 tokens' worth), of all frames together (Qwen3-VL's published file).
FRAME_CELLS = (128, 768)
CLIP_PIXELS = (4096, 25165824)
GLM_PIXELS = (12544, 9633792)  # GLM-4.1V, GLM-4.5V
KIMI_PATCHES = {"vt_hidden_size": 16384, "hidden_size": 4096}  # in_patch_limit of Kimi K2.5, in_token_limit of Kimi-VL
SIDE_PATCHES = 512

Reader = Callable[[VisionTower, Keys, Keys, Keys], rules.ImageRule]  # tower, vision_config, the whole, the processor's


def processor_keys(top: Keys, name: str = PROCESSOR) -> Keys:
    """The keys of a processor's file, empty where there is none."""
    found = top.data.get(name)
    return Keys(found if isinstance(found, dict) else {}, f"{name}.")


def pixel_limits(keys: Keys, least: int, most: int) -> tuple[int, int]:
    """Pixels at least and at most: min_pixels and max_pixels, or size.shortest_edge and size.longest_edge."""
    size = keys.child("size") or Keys({}, f"{keys.name('size')}.")
    low = keys.optional_integer("min_pixels", maximum=MOST) or size.optional_integer("shortest_edge", maximum=MOST)
    high = keys.optional_integer("max_pixels", maximum=MOST) or size.optional_integer("longest_edge", maximum=MOST)
    low, high = low or least, high or most
    if low > high:
        raise keys.error("max_pixels", f"{high} is below the least, {low}")
    return low, high


def _cell(tower: VisionTower) -> int:
    return tower.patch_size * tower.spatial_merge_size


def qwen2(tower: VisionTower, keys: Keys, top: Keys, processor: Keys) -> rules.ImageRule:
    """Qwen2-VL, Qwen2.5-VL and their omni models: limits of a picture and of each frame."""
    cell = _cell(tower)
    least, most = pixel_limits(processor, FEWEST_CELLS * cell**2, MOST_CELLS * cell**2)
    low, high = pixel_limits(processor_keys(top, VIDEO), FRAME_CELLS[0] * cell**2, FRAME_CELLS[1] * cell**2)
    return rules.PixelBudget(cell, least, most, 1, tower.temporal_patch_size, low, high)


def qwen3(tower: VisionTower, keys: Keys, top: Keys, processor: Keys) -> rules.ImageRule:
    """Qwen3-VL and later: limits of a picture, and of all frames of a video together."""
    cell = _cell(tower)
    least, most = pixel_limits(processor, FEWEST_CELLS_WIDE * cell**2, MOST_CELLS * cell**2)
    low, high = pixel_limits(processor_keys(top, VIDEO), *CLIP_PIXELS)
    return rules.PixelBudget(cell, least, most, 1, tower.temporal_patch_size, low, high, joint=True)


def glm(tower: VisionTower, keys: Keys, top: Keys, processor: Keys) -> rules.ImageRule:
    """GLM-4.1V and later: a picture counts as one temporal patch of frames against the limits."""
    least, most = pixel_limits(processor, *GLM_PIXELS)
    temporal = tower.temporal_patch_size
    return rules.PixelBudget(_cell(tower), least, most, temporal, temporal, joint=True)


def longest_side(tower: VisionTower, keys: Keys, top: Keys, processor: Keys) -> rules.ImageRule:
    """Pixtral, Mistral 3: size.longest_edge, else the tower's image_size."""
    size = processor.child("size") or Keys({}, "size.")
    longest = size.optional_integer("longest_edge") or keys.integer("image_size", default=1024, maximum=2**16)
    return rules.LongestSide(_cell(tower), longest)


def llama4(tower: VisionTower, keys: Keys, top: Keys, processor: Keys) -> rules.ImageRule:
    """Llama 4: tiles of image_size, at most max_patches (16 as published)."""
    return rules.TileCanvas(
        keys.integer("image_size", default=448, maximum=2**16),
        processor.integer("max_patches", default=16, maximum=256),
        tower.tokens_per_image or 1,
    )


def internvl(tower: VisionTower, keys: Keys, top: Keys, processor: Keys) -> rules.ImageRule:
    """InternVL: max_dynamic_patch tiles (12 as published) of image_size."""
    most = processor.optional_integer("max_patches", maximum=256) or top.integer(
        "max_dynamic_patch", default=12, maximum=256
    )
    least = processor.optional_integer("min_patches", maximum=256) or top.integer(
        "min_dynamic_patch", default=1, maximum=256
    )
    side = keys.data.get("image_size", 448)
    tile = side[0] if isinstance(side, list) and side else side
    size = keys.check_integer("image_size", tile, maximum=2**16)
    return rules.ClosestTiles(size, min(least, most), most, tower.tokens_per_image or 1, marks=2)


def aya(tower: VisionTower, keys: Keys, top: Keys, processor: Keys) -> rules.ImageRule:
    """Aya Vision: as InternVL, each tile with a mark of its own."""
    side = keys.integer("image_size", default=384, maximum=2**16)
    cells = side // tower.patch_size // tower.spatial_merge_size
    most = processor.integer("max_patches", default=12, maximum=256)
    return rules.ClosestTiles(side, 1, most, cells * cells, marks=2, each=1)


def moonvit(tower: VisionTower, keys: Keys, top: Keys, processor: Keys) -> rules.ImageRule:
    """Kimi-VL, Kimi K2.5: in_token_limit or in_patch_limit, patch_limit_on_one_side."""
    media = processor.child("media_proc_cfg") or processor
    named = next((most for key, most in KIMI_PATCHES.items() if keys.has(key)), 16384)
    most = media.optional_integer("in_patch_limit", "in_token_limit", "max_patches", maximum=MOST) or named
    side = media.integer("patch_limit_on_one_side", default=SIDE_PATCHES, maximum=2**20)
    return rules.PatchBudget(tower.patch_size, tower.spatial_merge_size, most, side)


def gemma4(tower: VisionTower, keys: Keys, top: Keys, processor: Keys) -> rules.ImageRule:
    """Gemma 4: as many tokens as vision_soft_tokens_per_image allows (280), 70 for a frame of a video."""
    most = processor.optional_integer("max_soft_tokens") or tower.tokens_per_image or 280
    pool = keys.integer("pooling_kernel_size", default=3, maximum=64)
    frame = processor_keys(top, VIDEO).integer("max_soft_tokens", default=70)
    return rules.FillBudget(keys.integer("patch_size", default=16, maximum=1024), pool, most, frame)


def pinpoints(tower: VisionTower, keys: Keys, top: Keys, processor: Keys) -> rules.ImageRule:
    """LLaVA-NeXT, LLaVA-OneVision: image_grid_pinpoints; without them a picture is one tile."""
    tile = keys.integer("image_size", default=336, maximum=2**16)
    side = tile // tower.patch_size
    points = top.sequence("image_grid_pinpoints") or processor.sequence("image_grid_pinpoints") or []
    sizes = tuple(
        (top.check_integer("image_grid_pinpoints", point[0]), top.check_integer("image_grid_pinpoints", point[1]))
        for point in points
        if isinstance(point, list) and len(point) == 2
    )
    if not sizes:
        return rules.Fixed(side * side)
    ratio = top.text("vision_aspect_ratio", default="")
    most = int(ratio.removeprefix("anyres_max_")) if ratio.removeprefix("anyres_max_").isdigit() else 0
    return rules.Pinpoints(tile, side, sizes, most)


def phi4(tower: VisionTower, keys: Keys, top: Keys, processor: Keys) -> rules.ImageRule:
    """Phi-4 Multimodal: at most dynamic_hd tiles (36) of 448 pixels."""
    return rules.MaskedTiles(448, 14, processor.integer("dynamic_hd", default=36, maximum=256))


def phi3(tower: VisionTower, keys: Keys, top: Keys, processor: Keys) -> rules.ImageRule:
    """Phi-3 and 3.5 Vision: at most num_crops tiles (16; 4 for several pictures) of 336 pixels."""
    return rules.HdTransform(336, processor.integer("num_crops", default=16, maximum=256))


def with_rule(tower: VisionTower, read: Reader | None, top: Keys, keys: Keys | None) -> VisionTower:
    """The tower with its rule; without a reader what the tower says of itself stands."""
    from dataclasses import replace

    if read is None:
        return tower
    return replace(tower, rule=read(tower, keys or Keys({}, "vision_config."), top, processor_keys(top)))
