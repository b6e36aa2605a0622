"""Image, video and audio tokens by transformers' own processors, run for real on pictures, against ``model/image_rules``.

Outside CI: it needs transformers (5.24.0 was used), torch, torchvision and pillow, no weights and no network. Run it
with a Python that has them and with this folder on PYTHONPATH; ``--write tests/data/image_tokens.json`` keeps the
numbers that the tests hold the rules to. Exits 1 where a rule and a processor differ.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sizing.model import image_rules as rules

SIZES = (
    (1920, 1080), (1080, 1920), (640, 480), (224, 224), (100, 100), (4000, 3000), (3024, 4032), (1024, 1024), (336, 336),
    (850, 1100), (2000, 300), (300, 2000), (57, 91), (1280, 720), (512, 512), (8000, 4000),
)  # fmt: skip
FRAMES = ((640, 360, 8), (1920, 1080, 16), (1280, 720, 64), (320, 240, 7))
SECONDS = (0.5, 1.0, 3.37, 10.0, 29.99, 30.0)


def picture(width: int, height: int) -> Image.Image:
    """A picture of that size."""
    ramp = np.linspace(0, 255, width * height * 3, dtype=np.uint8).reshape(height, width, 3)
    return Image.fromarray(ramp)


def grid(processor: Any, image: Image.Image, merge: int = 2) -> int:
    """Tokens of a Qwen-like processor: patches over merged patches."""
    return int(processor(images=image, return_tensors="pt")["image_grid_thw"].prod()) // merge**2


def qwen(patch: int, least: int, most: int) -> Callable[[Image.Image], int]:
    from transformers import Qwen2VLImageProcessor

    size = {"shortest_edge": least, "longest_edge": most}
    processor = Qwen2VLImageProcessor(patch_size=patch, size=size)
    return lambda image: grid(processor, image)


def glm() -> Callable[[Image.Image], int]:
    from transformers import Glm4vImageProcessor

    processor = Glm4vImageProcessor(size={"shortest_edge": 12544, "longest_edge": 9633792})
    return lambda image: grid(processor, image)


def pixtral(cell: int, longest: int) -> Callable[[Image.Image], int]:
    from transformers import PixtralImageProcessor

    processor = PixtralImageProcessor(patch_size={"height": cell, "width": cell}, size={"longest_edge": longest})

    def count(image: Image.Image) -> int:
        height, width = (int(side) for side in processor(images=image, return_tensors="pt")["image_sizes"][0])
        return (width // cell + 1) * (height // cell)

    return count


def llama4() -> Callable[[Image.Image], int]:
    from transformers import Llama4ImageProcessor, Llama4Processor

    processor = Llama4ImageProcessor(size={"height": 336, "width": 336}, max_patches=16)
    writer = Llama4Processor.__new__(Llama4Processor)

    def count(image: Image.Image) -> int:
        ratio = processor(images=image, return_tensors="pt")["aspect_ratios"][0]
        return writer._prompt_split_image([int(side) for side in ratio], 144).count("<|")

    return count


def tiled(size: int, per_tile: int, marks: int, each: int) -> Callable[[Image.Image], int]:
    from transformers import GotOcr2ImageProcessor

    processor = GotOcr2ImageProcessor(
        size={"height": size, "width": size}, crop_to_patches=True, min_patches=1, max_patches=12
    )

    def count(image: Image.Image) -> int:
        return int(processor(images=image, return_tensors="pt")["num_patches"][0]) * (per_tile + each) + marks

    return count


def kimi(most: int) -> Callable[[Image.Image], int]:
    from transformers.models.kimi_k25.image_processing_kimi_k25 import Kimi_K25ImageProcessor

    processor = Kimi_K25ImageProcessor(max_patches=most)
    return lambda image: grid(processor, image)


def gemma4(most: int) -> Callable[[Image.Image], int]:
    from transformers import Gemma4ImageProcessor

    processor = Gemma4ImageProcessor(max_soft_tokens=most)
    return lambda image: int(processor(images=image, return_tensors="pt")["num_soft_tokens_per_image"][0])


def phi4() -> Callable[[Image.Image], int]:
    from transformers import Phi4MultimodalImageProcessor

    processor = Phi4MultimodalImageProcessor()
    return lambda image: int(processor(images=image, return_tensors="pt")["num_img_tokens"][0])


def pinpoints(kind: str, patch: int, points: list[list[int]], most: str) -> Callable[[Image.Image], int]:
    import transformers

    name = "LlavaNext" if kind == "next" else "LlavaOnevision"
    images = getattr(transformers, f"{name}ImageProcessor")(
        image_grid_pinpoints=points, size={"height": 384, "width": 384}
    )
    writer = getattr(transformers, f"{name}Processor").__new__(getattr(transformers, f"{name}Processor"))
    writer.image_processor, writer.patch_size, writer.num_additional_image_tokens = images, patch, 0
    writer.num_image_tokens, writer.vision_aspect_ratio = (384 // patch) ** 2, most
    return lambda image: int(writer._get_number_of_features(image.height, image.width, 384, 384))


POINTS = [[384, 384 * n] for n in range(1, 5)] + [[768, 384], [768, 768], [1152, 384], [1536, 384]]
CASES: dict[str, tuple[rules.ImageRule, Callable[[], Callable[[Image.Image], int]]]] = {
    "Qwen2.5-VL": (rules.PixelBudget(28, 3136, 12845056), lambda: qwen(14, 3136, 12845056)),
    "Qwen2-VL, class defaults": (rules.PixelBudget(28, 3136, 1003520), lambda: qwen(14, 3136, 1003520)),
    "Qwen3-VL": (rules.PixelBudget(32, 65536, 16777216), lambda: qwen(16, 65536, 16777216)),
    "GLM-4.5V": (rules.PixelBudget(28, 12544, 9633792, still=2, joint=True), glm),
    "Pixtral": (rules.LongestSide(16, 1024), lambda: pixtral(16, 1024)),
    "Mistral Small 3.1": (rules.LongestSide(28, 1540), lambda: pixtral(28, 1540)),
    "Llama 4": (rules.TileCanvas(336, 16, 144), llama4),
    "InternVL3": (rules.ClosestTiles(448, 1, 12, 256, marks=2), lambda: tiled(448, 256, 2, 0)),
    "Aya Vision": (rules.ClosestTiles(364, 1, 12, 169, marks=2, each=1), lambda: tiled(364, 169, 2, 1)),
    "Kimi K2.5": (rules.PatchBudget(14, 2, 16384, 512), lambda: kimi(16384)),
    "Kimi-VL": (rules.PatchBudget(14, 2, 4096, 512), lambda: kimi(4096)),
    "Gemma 4": (rules.FillBudget(16, 3, 280), lambda: gemma4(280)),
    "Phi-4 Multimodal": (rules.MaskedTiles(448, 14, 36), phi4),
    "LLaVA-NeXT with SigLIP": (
        rules.Pinpoints(384, 27, tuple((a, b) for a, b in POINTS)),
        lambda: pinpoints("next", 14, POINTS, ""),
    ),
    "LLaVA-OneVision": (
        rules.Pinpoints(384, 27, tuple((a, b) for a, b in POINTS), most=2),
        lambda: pinpoints("onevision", 14, POINTS, "anyres_max_2"),
    ),
}


def videos() -> Iterator[tuple[str, tuple[int, int, int], int, int]]:
    """Name, frames, tokens of the processor, tokens of the rule."""
    import torch
    from transformers import Qwen2VLVideoProcessor, Qwen3VLVideoProcessor

    made = {
        "Qwen2.5-VL": (Qwen2VLVideoProcessor(size={"shortest_edge": 100352, "longest_edge": 602112}),
                       rules.PixelBudget(28, 3136, 12845056, video_least=100352, video_most=602112)),
        "Qwen3-VL": (Qwen3VLVideoProcessor(size={"shortest_edge": 4096, "longest_edge": 25165824}),
                     rules.PixelBudget(32, 65536, 16777216, video_least=4096, video_most=25165824, joint=True)),
    }  # fmt: skip
    for name, (processor, rule) in made.items():
        for width, height, frames in FRAMES:
            clip = torch.zeros((frames, 3, height, width), dtype=torch.uint8)
            done = processor(videos=[clip], do_sample_frames=False, return_tensors="pt")
            real = int(done["video_grid_thw"].prod()) // 4
            yield name, (width, height, frames), real, rule.video_tokens(width, height, frames)


def sounds() -> Iterator[tuple[str, float, int, int]]:
    """Name, seconds, tokens of the model's own formula, tokens of the rule."""
    import torch
    from transformers.models.qwen2_5_omni import processing_qwen2_5_omni as halves
    from transformers.models.qwen3_omni_moe import processing_qwen3_omni_moe as chunks

    for seconds in SECONDS:
        frames = torch.tensor(round(seconds * 100))
        yield (
            "Qwen2.5-Omni",
            seconds,
            int(halves._get_feat_extract_output_lengths(frames)),
            rules.AudioRule("halves").tokens(seconds),
        )
        yield (
            "Qwen3-Omni",
            seconds,
            int(chunks._get_feat_extract_output_lengths(frames)),
            rules.AudioRule("chunks").tokens(seconds),
        )


def main() -> int:
    """Run all processors; 1 where one differs from its rule."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="write the processors' numbers to this file")
    wanted = parser.parse_args()
    import transformers

    kept: dict[str, Any] = {"transformers": transformers.__version__, "images": {}, "videos": [], "sounds": []}
    wrong = 0
    for name, (rule, made) in CASES.items():
        count, found = made(), []
        for width, height in SIZES:
            try:
                real = count(picture(width, height))
            except ValueError as error:
                print(f"{name} refuses {width} x {height}: {error}")
                continue
            found.append([width, height, real])
            if (ours := rule.tokens(width, height)) != real:
                wrong += 1
                print(f"DIFFERS {name} {width} x {height}: processor {real}, rule {ours}")
        kept["images"][name] = found
        print(f"{name}: {len(found)} pictures")
    for name, clip, real, ours in videos():
        kept["videos"].append([name, *clip, real])
        wrong += real != ours
        print(f"{'DIFFERS ' if real != ours else ''}{name} video {clip}: processor {real}, rule {ours}")
    for name, seconds, real, ours in sounds():
        kept["sounds"].append([name, seconds, real])
        wrong += real != ours
        print(f"{'DIFFERS ' if real != ours else ''}{name} {seconds} s: processor {real}, rule {ours}")
    if wanted.write:
        wanted.write.write_text(json.dumps(kept, indent=None, separators=(",", ":")) + "\n", encoding="utf-8")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
