"""model_type -> builder of the language model, and the outer types that put a vision tower beside one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

from sizing.model.architecture import VisionTower
from sizing.model.body import Body
from sizing.model.families import (
    classic,
    crossed,
    decoder,
    gemma,
    hybrid,
    indexed,
    latent,
    llama4,
    longcat,
    mixtures,
    moonshot,
    older,
    qwen4,
    recurrent,
    rwkv,
    state_space,
)
from sizing.model.families.dialects import DIALECTS
from sizing.model.families.newer import NEWER
from sizing.model.keys import Keys
from sizing.model.towers import described as towers
from sizing.model.towers import named as named_towers
from sizing.model.towers import siglip as siglip_towers
from sizing.model.towers import vision

Builder = Callable[[Keys], Body]
TowerBuilder = Callable[[Keys, int, Keys], VisionTower]
AudioBuilder = Callable[[Keys, int], int]
NamedTower = Callable[[Keys, int], VisionTower | None]


TABLE = {**DIALECTS, **NEWER}


def _dialect(name: str) -> Builder:
    return partial(decoder.build, dialect=TABLE[name])


def _qwen(mtp_default: int, moe_family: bool | None) -> Builder:
    return cast(Builder, hybrid.qwen_hybrid(mtp_default, moe_family))


QWEN3_MOE_VL = cast(
    Builder,
    partial(decoder.build, dialect=replace(DIALECTS["qwen3_moe"], windows=decoder.window_beyond_context)),
)

BUILDERS: dict[str, Builder] = {
    **{name: _dialect(name) for name in TABLE},
    **dict.fromkeys(latent.MLA_FAMILIES, latent.build),
    "deepseek_v2": partial(latent.build, mlp_biases=True),
    "axk1": partial(latent.build, experts_norm=True),
    "minicpm3": partial(latent.build, mlp_biases=True, dense_only=True, tie=True),
    "youtu": partial(latent.build, dense_only=True, tie=True),
    "deepseek_v4": latent.build_v4,
    "deepseek_ref": latent.build_v4,
    "qwen3_next": _qwen(1, None),
    "olmo_hybrid": hybrid.build_olmo_hybrid,
    "qwen3_5_text": _qwen(0, False),
    "qwen3_5_moe_text": _qwen(0, True),
    "qwen4_exp_text": qwen4.build_qwen4,
    "qwen3_vl_text": _dialect("qwen3"),
    "qwen3_vl_moe_text": QWEN3_MOE_VL,
    "qwen2_vl_text": _dialect("qwen2"),
    "qwen2_5_omni_text": _dialect("qwen2"),
    "qwen3_omni_moe_text": QWEN3_MOE_VL,
    "qwen2_5_vl_text": _dialect("qwen2"),
    "nemotron_h": hybrid.build_nemotron_h,
    "llama4_text": llama4.build_llama4,
    "gemma4_text": gemma.build_gemma4,
    "gemma4_unified_text": partial(gemma.build_gemma4, plain=True),
    "minimax_m3_vl_text": indexed.build_minimax_m3,
    "minimax_m3": indexed.build_minimax_m3,
    "glm5_next_text": indexed.build_glm5_next,
    "step3p5": mixtures.build_step3,
    "step3p7_text": mixtures.build_step3,
    "gemma3n_text": gemma.build_gemma3n,
    "glm4v_text": partial(decoder.build_plain_heads, dialect=DIALECTS["glm4v_text"]),
    "mllama_text_model": crossed.build_mllama,
    "gpt2": classic.build_gpt2,
    "gpt_neo": classic.build_gpt_neo,
    "gpt_bigcode": classic.build_gpt_bigcode,
    "gpt-sw3": classic.build_gpt2,
    "gptj": classic.build_gptj,
    "codegen": classic.build_gptj,
    "gpt_neox": classic.build_gpt_neox,
    "opt": classic.build_opt,
    "bloom": classic.build_bloom,
    "mpt": classic.build_mpt,
    "dbrx": classic.build_dbrx,
    "stablelm": classic.build_stablelm,
    "stablelm_epoch": classic.build_stablelm,
    "qwen": classic.build_qwen1,
    "nemotron-nas": classic.build_nemotron_nas,
    "deci": classic.build_nemotron_nas,
    "mamba": state_space.build_mamba,
    "falcon_mamba": state_space.build_mamba,
    "mamba2": state_space.build_mamba2,
    "falcon_h1": state_space.build_falcon_h1,
    "longcat_flash": longcat.build_longcat,
    "falcon": older.build_falcon,
    "chatglm": older.build_chatglm,
    "kimi_linear": moonshot.build_kimi_linear,
    "bailing_hybrid": moonshot.build_bailing_hybrid,
    "jamba": recurrent.build_jamba,
    "granitemoehybrid": recurrent.build_granite_hybrid,
    "bamba": recurrent.build_bamba,
    "minimax": recurrent.build_minimax,
    "minimax_text_01": recurrent.build_minimax,
    "minimax_m1": recurrent.build_minimax,
    "lfm2": recurrent.build_lfm2,
    "lfm2_moe": recurrent.build_lfm2,
    "ernie4_5_moe": mixtures.build_ernie_moe,
    "ernie4_5_vl_moe_text": mixtures.build_ernie_vl,
    "hunyuan_v1_moe": mixtures.build_hunyuan_moe,
    "hy_v3": mixtures.build_hy3,
    "mimo_v2_flash": mixtures.build_mimo_v2,
    "mimo_v2": mixtures.build_mimo_v2,
    "rwkv7": rwkv.build_rwkv7,
    "laguna": mixtures.build_laguna,
}


@dataclass(frozen=True, slots=True)
class Outer:
    """A multimodal model_type: the language model's own type, the tower, and whether text keys may stand
    flat.
    """

    text: str
    tower: TowerBuilder | None
    flat: bool = False
    audio: AudioBuilder | None = None
    named: NamedTower | None = None  # where no vision_config describes the tower
    ties: str = "top"  # whose tie_word_embeddings holds: "top" before the text's, "text" alone, "only_top"
    inside: str | None = None  # the key of the part that is served, where the config has several


OUTER: dict[str, Outer] = {
    "qwen2_vl": Outer("qwen2", vision.qwen2_vl, flat=True),
    "qwen2_5_vl": Outer("qwen2", vision.qwen2_5_vl, flat=True),
    "qwen3_vl": Outer("qwen3_vl_text", vision.qwen3_vl),
    "qwen3_vl_moe": Outer("qwen3_vl_moe_text", vision.qwen3_vl),
    "qwen4_exp": Outer("qwen4_exp_text", vision.qwen3_5),
    "qwen3_5": Outer("qwen3_5_text", vision.qwen3_5),
    "qwen3_5_moe": Outer("qwen3_5_moe_text", vision.qwen3_5),
    "gemma3": Outer("gemma3_text", vision.siglip),
    "gemma4": Outer("gemma4_text", vision.gemma4, audio=towers.gemma4_audio),
    "glm4v": Outer("glm4v_text", towers.glm4v),
    "glm46v": Outer("glm4v_text", towers.glm4v),
    "glm4v_moe": Outer("glm4v_moe_text", towers.glm4v),
    "glm5_next": Outer("glm5_next_text", towers.glm5),
    "minimax_m3_vl": Outer("minimax_m3_vl_text", towers.minimax_m3),
    "mllama": Outer("mllama_text_model", towers.mllama),
    "step3p7": Outer("step3p7_text", towers.step3p7, flat=True, ties="only_top"),
    "kimi_vl": Outer("deepseek_v3", vision.moonvit),
    "gemma3n": Outer("gemma3n_text", towers.gemma3n, audio=towers.gemma3n_audio),
    "ernie4_5_vl_moe": Outer("ernie4_5_vl_moe_text", towers.ernie_vl),
    "ernie4_5_moe_vl": Outer("ernie4_5_vl_moe_text", towers.ernie_vl, flat=True),
    "deepseek_vl_v2": Outer("deepseek_v2", towers.deepseek_vl2),
    "internvl": Outer("qwen2", towers.internvit),
    "internvl_chat": Outer("qwen2", towers.internvit),
    "llava_next": Outer("llama", towers.llava_next),
    "qwen2_5_omni": Outer("qwen2", vision.qwen2_5_vl, audio=towers.qwen2_5_audio, inside="thinker_config"),
    "qwen2_5_omni_thinker": Outer("qwen2", vision.qwen2_5_vl, audio=towers.qwen2_5_audio),
    "qwen3_omni_moe": Outer("qwen3_omni_moe_text", vision.qwen3_vl, audio=towers.qwen3_audio, inside="thinker_config"),
    "qwen3_omni_moe_thinker": Outer("qwen3_omni_moe_text", vision.qwen3_vl, audio=towers.qwen3_audio),
    "llama4": Outer("llama4_text", vision.llama4, ties="text"),
    "mistral3": Outer("mistral", vision.pixtral),
    "gemma4_unified": Outer(
        "gemma4_unified_text", siglip_towers.gemma4_unified, audio=siglip_towers.gemma4_unified_audio
    ),
    "paligemma": Outer("gemma", siglip_towers.paligemma),
    "aya_vision": Outer("cohere2", siglip_towers.aya),
    "cohere2_vision": Outer("cohere2", siglip_towers.cohere2),
    "idefics3": Outer("llama", siglip_towers.idefics3),
    "smolvlm": Outer("llama", siglip_towers.idefics3),
    "lfm2_vl": Outer("lfm2", siglip_towers.lfm2),
    "llava_onevision": Outer("qwen2", siglip_towers.llava_onevision),
    "kimi_k3": Outer("kimi_linear", vision.moonvit_k3),
    "kimi_k25": Outer("kimi_k2", vision.moonvit),
    "llava": Outer("llama", vision.llava_clip, flat=True, named=named_towers.llava_named),
    "phi3_v": Outer("phi3", None, flat=True, named=named_towers.phi3_vision),
    "phi4mm": Outer("phi3", None, flat=True, named=named_towers.phi4mm_named),
    "phi4_multimodal": Outer("phi3", named_towers.phi4_pictures, flat=True, audio=named_towers.phi4_sounds),
}

TEXT_KEYS = ("text_config", "llm_config", "language_config")
