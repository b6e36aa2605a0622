"""Which image rule goes with which tower: by the builder that read the tower's keys, never by a model's name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sizing.model import image_limits as limits
from sizing.model.architecture import VisionTower
from sizing.model.image_rules import AudioRule
from sizing.model.keys import Keys
from sizing.model.towers import described as towers
from sizing.model.towers import named as named_towers
from sizing.model.towers import siglip as siglip_towers
from sizing.model.towers import vision

RULES: dict[Callable[..., Any], limits.Reader] = {
    vision.qwen2_vl: limits.qwen2,
    vision.qwen2_5_vl: limits.qwen2,
    vision.qwen3_vl: limits.qwen3,
    vision.qwen3_5: limits.qwen3,
    towers.glm4v: limits.glm,
    towers.glm5: limits.glm,
    vision.pixtral: limits.longest_side,
    vision.llama4: limits.llama4,
    towers.internvit: limits.internvl,
    siglip_towers.aya: limits.aya,
    vision.moonvit: limits.moonvit,
    vision.moonvit_k3: limits.moonvit,
    vision.gemma4: limits.gemma4,
    siglip_towers.gemma4_unified: limits.gemma4,
    towers.llava_next: limits.pinpoints,
    siglip_towers.llava_onevision: limits.pinpoints,
    named_towers.phi4_pictures: limits.phi4,
    named_towers.phi4mm_named: limits.phi4,
    named_towers.phi3_vision: limits.phi3,
}
SOUNDS: dict[Callable[..., Any], AudioRule] = {
    towers.qwen2_5_audio: AudioRule("halves"),
    towers.qwen3_audio: AudioRule("chunks"),
    towers.gemma4_audio: AudioRule("steps", 40.0),
    siglip_towers.gemma4_unified_audio: AudioRule("steps", 40.0),
    named_towers.phi4_sounds: AudioRule("steps", 80.0),
    named_towers.phi4mm_named: AudioRule("steps", 80.0),
}


def with_tokens(tower: VisionTower, built_by: object, sounds_by: object, top: Keys, keys: Keys | None) -> VisionTower:
    """The tower with the rules of its pictures and of its sounds, by the functions that built them."""
    rule = next((read for builder, read in RULES.items() if builder is built_by), None)
    audio = next((found for builder, found in SOUNDS.items() if builder is sounds_by), None)
    return replace(limits.with_rule(tower, rule, top, keys), audio=audio)
