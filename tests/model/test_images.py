"""Image, video and audio tokens: the rules against transformers' own processors, and the keys that decide them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sizing.base.errors import ConfigError, SizingError
from sizing.model import image_rules as rules
from sizing.model.config import parse_config
from sizing.model.sources import load_directory, load_model
from sizing.workload import preset
from sizing.workload.workload import Images

DATA = Path(__file__).parents[1] / "data" / "image_tokens.json"
#: What tools/check_image_tokens.py counted with the processors themselves, transformers 5.24.0.
COUNTED: dict[str, Any] = json.loads(DATA.read_text(encoding="utf-8"))
CATALOG = Path(__file__).parents[2] / "sizing" / "model" / "catalog"
POINTS = (*((384, 384 * n) for n in range(1, 5)), (768, 384), (768, 768), (1152, 384), (1536, 384))
RULES: dict[str, rules.ImageRule] = {
    "Qwen2-VL, class defaults": rules.PixelBudget(28, 3136, 1003520),
    "Pixtral": rules.LongestSide(16, 1024),
    "InternVL3": rules.ClosestTiles(448, 1, 12, 256, marks=2),
    "Aya Vision": rules.ClosestTiles(364, 1, 12, 169, marks=2, each=1),
    "LLaVA-NeXT with SigLIP": rules.Pinpoints(384, 27, POINTS),
    "LLaVA-OneVision": rules.Pinpoints(384, 27, POINTS, most=2),
}
#: Models of the catalog whose keys must give the processor's numbers by themselves.
MODELS = {
    "Qwen2.5-VL": "Qwen/Qwen2.5-VL-7B-Instruct",
    "Qwen3-VL": "Qwen/Qwen3-VL-8B-Instruct",
    "GLM-4.5V": "zai-org/GLM-4.5V",
    "Mistral Small 3.1": "mistralai/Mistral-Small-3.1-24B-Instruct-2503",
    "Llama 4": "meta-llama/Llama-4-Scout-17B-16E-Instruct",
    "Kimi K2.5": "moonshotai/Kimi-K2.5",
    "Kimi-VL": "moonshotai/Kimi-VL-A3B-Instruct",
    "Gemma 4": "google/gemma-4-E4B-it",
    "Phi-4 Multimodal": "microsoft/Phi-4-multimodal-instruct",
}


@pytest.mark.parametrize("name", COUNTED["images"])
def test_pictures_are_counted_as_by_their_processor(name: str) -> None:
    tower = None if name in RULES else load_model(MODELS[name]).vision
    for width, height, real in COUNTED["images"][name]:
        found = RULES[name].tokens(width, height) if tower is None else tower.image_tokens(width, height)
        assert found == real, (name, width, height)


@pytest.mark.parametrize("case", COUNTED["videos"], ids=lambda case: f"{case[0]}-{case[1]}x{case[2]}x{case[3]}")
def test_videos_are_counted_as_by_their_processor(case: list[Any]) -> None:
    name, width, height, frames, real = case
    tower = load_model(MODELS[name]).vision
    assert tower is not None
    assert tower.image_tokens(width, height, frames) == real


@pytest.mark.parametrize("case", COUNTED["sounds"], ids=lambda case: f"{case[0]}-{case[1]}s")
def test_sounds_are_counted_as_by_their_encoder(case: list[Any]) -> None:
    name, seconds, real = case
    model = {"Qwen2.5-Omni": "Qwen/Qwen2.5-Omni-7B", "Qwen3-Omni": "Qwen/Qwen3-Omni-30B-A3B-Instruct"}[name]
    tower = load_model(model).vision
    assert tower is not None
    assert tower.audio_tokens(seconds) == real


def test_worked_numbers() -> None:
    """By hand. Qwen2.5-VL, 4000 x 3000: at most 12,845,056 pixels do: round(3000/28) x round(4000/28) = 107 x 143. Gemma 3:
    256 whatever the size. Phi-3.5 Vision, 1344 x 1344: 4 x 4 tiles: 17 x 144 + 1 + 5 x 12. Phi-4: 80 ms a token."""
    tokens = {
        model: load_model(model).vision.image_tokens(width, height)  # type: ignore[union-attr]
        for model, width, height in (
            ("Qwen/Qwen2.5-VL-7B-Instruct", 4000, 3000),
            ("google/gemma-3-27b-it", 4000, 3000),
            ("microsoft/Phi-3.5-vision-instruct", 1344, 1344),
        )
    }
    assert list(tokens.values()) == [107 * 143, 256, 17 * 144 + 1 + 5 * 12]
    tower = load_model("microsoft/Phi-4-multimodal-instruct").vision
    assert tower is not None
    assert tower.audio_tokens(30.0) == 375


def config_of(model: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((CATALOG / f"{model}.json").read_text(encoding="utf-8"))
    return loaded


@pytest.mark.parametrize(
    "limits",
    [{"min_pixels": 3136, "max_pixels": 1003520}, {"size": {"shortest_edge": 3136, "longest_edge": 1003520}}],
)
def test_keys_of_the_processor_decide(limits: dict[str, Any]) -> None:
    config = config_of("Qwen__Qwen2.5-VL-7B-Instruct") | {"preprocessor_config": limits}
    tower = parse_config(config).vision
    assert tower is not None
    for width, height, real in COUNTED["images"]["Qwen2-VL, class defaults"]:
        assert tower.image_tokens(width, height) == real


def test_a_processors_file_beside_the_config_is_read(tmp_path: Path) -> None:
    config = config_of("Qwen__Qwen3-VL-8B-Instruct")
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    before = load_directory(tmp_path).vision
    (tmp_path / "preprocessor_config.json").write_text('{"max_pixels": 262144, "min_pixels": 1024}', encoding="utf-8")
    after = load_directory(tmp_path).vision
    assert before is not None and after is not None
    assert (before.image_tokens(1920, 1080), after.image_tokens(1920, 1080)) == (2040, 252)


def test_limits_that_make_no_sense_are_refused() -> None:
    config = config_of("Qwen__Qwen2.5-VL-7B-Instruct") | {"preprocessor_config": {"min_pixels": 10, "max_pixels": 5}}
    with pytest.raises(ConfigError, match="max_pixels"):
        parse_config(config)


def test_a_picture_that_the_processor_refuses() -> None:
    with pytest.raises(SizingError, match="ratio"):
        rules.PixelBudget(28, 3136, 12845056).tokens(30000, 100)


def test_no_ears_is_said() -> None:
    tower = load_model("Qwen/Qwen2.5-VL-7B-Instruct").vision
    assert tower is not None
    with pytest.raises(SizingError, match="audio"):
        tower.audio_tokens(1.0)


def test_pictures_of_several_sizes_and_a_video() -> None:
    tower = load_model("Qwen/Qwen2.5-VL-7B-Instruct").vision
    assert tower is not None
    also = [
        {"per_request": 1, "width": 640, "height": 480},
        {"per_request": 0.5, "width": 640, "height": 360, "frames": 8},
    ]
    images = Images.model_validate({"per_request": 2, "width": 1920, "height": 1080, "also": also})
    assert images.tokens_per_request(tower.image_tokens) == 2 * 2691 + 17 * 23 + 1196 // 2
    workload = preset("image-chat").model_copy(update={"images": images})
    text = preset("image-chat").model_copy(update={"images": None}).mean_input_tokens()
    assert workload.mean_input_tokens(image_tokens=tower.image_tokens) == pytest.approx(
        text + images.tokens_per_request(tower.image_tokens)
    )
