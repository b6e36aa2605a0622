"""How many tokens a picture, a video or a sound adds to a prompt: the rule of each kind of processor.

Every rule is that of transformers' own image processor (5.24.0, the module named in each docstring) or of the model's
published code; ``tools/check_image_tokens.py`` runs those processors on pictures and compares. Sizes are pixels. Markers
that stand once for a picture (begin, end) are counted where the processor's own count has them. Rules know no model:
``sizing.model.image_limits`` reads their figures from the config's keys.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

from sizing.base.errors import SizingError

MOST_RATIO = 200.0  # the smart_resize of Qwen-VL refuses pictures that are longer


@dataclass(frozen=True, slots=True)
class ImageRule:
    """Tokens of one picture. Subclasses say how; a video is its frames one by one where they say nothing else."""

    def tokens(self, width: int, height: int) -> int:
        """Tokens of a picture of ``width`` x ``height`` pixels."""
        raise NotImplementedError

    def video_tokens(self, width: int, height: int, frames: int) -> int:
        """Tokens of ``frames`` frames of that size."""
        return frames * self.tokens(width, height)


@dataclass(frozen=True, slots=True)
class Fixed(ImageRule):
    """Every picture the same number (Gemma 3 without pan and scan, PaliGemma, LLaVA 1.5).

    >>> Fixed(256).tokens(4000, 3000)
    256
    """

    count: int

    def tokens(self, width: int, height: int) -> int:
        return self.count


@dataclass(frozen=True, slots=True)
class PixelBudget(ImageRule):
    """Sides rounded to multiples of ``cell``, then scaled until their product lies within the pixel limits.

    ``smart_resize`` of qwen2_vl, qwen2_5_vl, qwen3_vl, glm4v. ``still``: frames that a still picture counts as against
    the limits (GLM: 2, its temporal patch; Qwen: 1). A video: ``temporal`` frames share tokens; its limits hold for a
    frame (Qwen2-VL), or for all frames together (``joint``: Qwen3-VL, GLM).

    >>> PixelBudget(28, 3136, 12845056).tokens(1920, 1080)
    2691
    >>> PixelBudget(32, 65536, 16777216).tokens(100, 100)
    64
    """

    cell: int
    least: int
    most: int
    still: int = 1
    temporal: int = 2
    video_least: int = 0
    video_most: int = 0
    joint: bool = False

    def tokens(self, width: int, height: int) -> int:
        across, down = self._grid(width, height, self.still, self.least, self.most)
        return across * down

    def video_tokens(self, width: int, height: int, frames: int) -> int:
        pairs = -(-frames // self.temporal)
        least, most = self.video_least or self.least, self.video_most or self.most
        counted = max(frames, self.temporal) if self.joint else 1
        across, down = self._grid(width, height, counted, least, most)
        return pairs * across * down

    def _grid(self, width: int, height: int, frames: int, least: int, most: int) -> tuple[int, int]:
        """Cells across and down. Raises SizingError for a picture that the processor refuses."""
        if max(width, height) / min(width, height) > MOST_RATIO:
            raise SizingError(
                f"{width} x {height} pixels: the processor refuses pictures of a ratio above {MOST_RATIO:g}",
                key="images",
            )
        cell = self.cell
        if (self.joint or self.still > 1) and min(width, height) < cell:
            scale = max(cell / height, cell / width)
            width, height = int(width * scale), int(height * scale)
        down, across = round(height / cell), round(width / cell)
        rounded = round(frames / self.temporal) * self.temporal if frames > 1 else frames
        area = rounded * down * across * cell * cell
        if area > most:
            beta = math.sqrt(frames * width * height / most)
            down = max(1, math.floor(height / beta / cell))
            across = max(1, math.floor(width / beta / cell))
        elif area < least:
            beta = math.sqrt(least / (frames * width * height))
            down, across = math.ceil(height * beta / cell), math.ceil(width * beta / cell)
        return across, down


@dataclass(frozen=True, slots=True)
class LongestSide(ImageRule):
    """Shrunk to a longest side, in cells; each row of cells ends with a break token (pixtral: Pixtral, Mistral 3).

    >>> LongestSide(28, 1540).tokens(1920, 1080)
    1736
    """

    cell: int
    longest: int

    def tokens(self, width: int, height: int) -> int:
        ratio = max(width, height) / self.longest
        if ratio > 1:
            width, height = math.floor(width / ratio), math.floor(height / ratio)
        across, down = max(width - 1, 0) // self.cell + 1, max(height - 1, 0) // self.cell + 1
        return (across + 1) * down


@dataclass(frozen=True, slots=True)
class TileCanvas(ImageRule):
    """The canvas of at most ``most`` tiles that the picture fits best, and a tile of the whole where there are several.

    ``get_best_fit`` of llama4: the least upscaling, else the least downscaling, then the least area. Tiles are
    separated by a token, rows end with one, and three mark begin, whole and end.

    >>> TileCanvas(336, 16, 144).tokens(1920, 1080)
    2322
    """

    tile: int
    most: int
    per_tile: int

    def tokens(self, width: int, height: int) -> int:
        rows, columns = self._canvas(width, height)
        marks = 3
        if rows * columns == 1:
            return self.per_tile + marks
        return rows * columns * self.per_tile + rows * (columns - 1) + rows + self.per_tile + marks

    def _canvas(self, width: int, height: int) -> tuple[int, int]:
        best, choice = (False, -math.inf, -math.inf), (1, 1)
        for tiles in range(1, self.most + 1):
            for rows in range(1, tiles + 1):
                if tiles % rows:
                    continue
                columns = tiles // rows
                scale = min(columns * self.tile / width, rows * self.tile / height)
                fits = scale >= 1
                key = (fits, -scale if fits else scale, -float(tiles))
                if key > best:
                    best, choice = key, (rows, columns)
        return choice


@dataclass(frozen=True, slots=True)
class ClosestTiles(ImageRule):
    """The grid of ``least`` to ``most`` tiles closest in ratio, and a tile of the whole where there are several.

    ``get_optimal_tiled_canvas`` of got_ocr2, which InternVL uses. ``marks``: tokens of begin and end. ``each``: tokens
    that mark each tile (Aya Vision: 1). Of equally close grids the larger is taken where the picture has more than half
    its pixels. In a video every frame is one tile.

    >>> ClosestTiles(448, 1, 12, 256, marks=2).tokens(1920, 1080)
    2306
    """

    tile: int
    least: int
    most: int
    per_tile: int
    marks: int = 0
    each: int = 0

    def tokens(self, width: int, height: int) -> int:
        tiles = self._tiles(width, height)
        tiles += 1 if tiles > 1 else 0
        return tiles * (self.per_tile + self.each) + self.marks

    def video_tokens(self, width: int, height: int, frames: int) -> int:
        return frames * (self.per_tile + self.each + self.marks)

    def _tiles(self, width: int, height: int) -> int:
        ratio, area = width / height, width * height
        best, choice = math.inf, (1, 1)
        for columns, rows in _grids(self.least, self.most):
            away = abs(ratio - columns / rows)
            closer = away < best
            larger = away == best and area > 0.5 * self.tile * self.tile * columns * rows
            if closer or larger:
                best, choice = away, (columns, rows)
        return choice[0] * choice[1]


@cache
def _grids(least: int, most: int) -> tuple[tuple[int, int], ...]:
    """All (columns, rows) of ``least`` to ``most`` tiles, fewest tiles first, as the processors sort them."""
    found = [(a, b) for a in range(1, most + 1) for b in range(1, most + 1) if least <= a * b <= most]
    return tuple(sorted(found, key=lambda grid: grid[0] * grid[1]))


@dataclass(frozen=True, slots=True)
class PatchBudget(ImageRule):
    """Shrunk, never grown, to a number of patches in all and on a side, then padded to whole merged patches.

    ``navit_resize`` of kimi_k25 (MoonViT). A video: ``temporal`` frames share tokens.

    >>> PatchBudget(14, 2, 16384, 512).tokens(1920, 1080)
    2691
    >>> PatchBudget(14, 2, 4096, 512).tokens(1920, 1080)
    1032
    """

    patch: int
    merge: int
    most: int
    side: int
    temporal: int = 4

    def tokens(self, width: int, height: int) -> int:
        patches = max(1.0, height // self.patch) * max(1.0, width // self.patch)
        longest = self.side * self.patch
        scale = min(1.0, math.sqrt(self.most / patches), longest / height, longest / width)
        cell = self.merge * self.patch
        across = min(max(1, int(width * scale)), longest)
        down = min(max(1, int(height * scale)), longest)
        return -(-across // cell) * -(-down // cell)

    def video_tokens(self, width: int, height: int, frames: int) -> int:
        return -(-frames // self.temporal) * self.tokens(width, height)


@dataclass(frozen=True, slots=True)
class FillBudget(ImageRule):
    """Grown or shrunk to the largest size of the same ratio that takes at most ``most`` tokens.

    ``get_aspect_ratio_preserving_size`` of gemma4: ``pool`` x ``pool`` patches make a token.

    >>> FillBudget(16, 3, 280).tokens(1920, 1080)
    264
    """

    patch: int
    pool: int
    most: int
    video_most: int = 0

    def tokens(self, width: int, height: int) -> int:
        return self._tokens(width, height, self.most)

    def video_tokens(self, width: int, height: int, frames: int) -> int:
        return frames * self._tokens(width, height, self.video_most or self.most)

    def _tokens(self, width: int, height: int, most: int) -> int:
        cell = self.patch * self.pool
        factor = math.sqrt(most * self.pool**2 * self.patch**2 / (width * height))
        down, across = math.floor(factor * height / cell), math.floor(factor * width / cell)
        if not down:
            down, across = 1, min(width // height, most)
        elif not across:
            down, across = min(height // width, most), 1
        return across * down


@dataclass(frozen=True, slots=True)
class MaskedTiles(ImageRule):
    """Square tiles as many as the picture is large, up to ``most``; cells of the padding are left out.

    ``dynamic_preprocess`` of phi4_multimodal: a whole of 16 x 16 tokens with row ends, and the tiles with row ends.

    >>> MaskedTiles(448, 14, 36).tokens(1920, 1080)
    3918
    """

    tile: int
    patch: int
    most: int

    def tokens(self, width: int, height: int) -> int:
        columns, rows = -(-width // self.tile), -(-height // self.tile)
        if columns * rows > self.most:
            columns, rows = self._closest(width, height)
        wide, high = columns * self.tile, rows * self.tile
        across, down = wide / width, high / height
        pad_wide = 0 if across < down else wide - int(width * down)
        pad_high = high - int(height * across) if across < down else 0
        mask = self.tile // self.patch
        cells = mask // 2 + mask % 2
        seen_across = _kept(columns, mask, pad_wide // self.patch)
        seen_down = _kept(rows, mask, pad_high // self.patch)
        return cells * cells + 1 + seen_across * seen_down + seen_down + cells

    def _closest(self, width: int, height: int) -> tuple[int, int]:
        ratio, area = width / height, width * height
        best, choice = math.inf, (1, 1)
        for columns, rows in _grids(1, self.most):
            away = abs(ratio - columns / rows)
            if away < best or (away == best and area > 0.5 * self.tile * self.tile * columns * rows):
                best, choice = away, (columns, rows)
        return choice


def _kept(tiles: int, mask: int, padded: int) -> int:
    """Cells (every other patch of each tile) that are no padding along one side."""
    kept = tiles * mask - padded
    whole, rest = divmod(kept, mask)
    return whole * (mask // 2 + mask % 2) + -(-rest // 2)


@dataclass(frozen=True, slots=True)
class HdTransform(ImageRule):
    """Tiles of a picture grown to the widest that ``most`` tiles hold (Phi-3 and 3.5 Vision).

    ``calc_num_image_tokens`` of the model's own image_processing_phi3_v.py: (tiles + 1) x 144 with row ends.

    >>> HdTransform(336, 16).tokens(1920, 1080)
    2353
    """

    tile: int
    most: int

    def tokens(self, width: int, height: int) -> int:
        longer, shorter = max(width, height), min(width, height)
        ratio = longer / shorter
        scale = 1
        while scale * math.ceil(scale / ratio) <= self.most:
            scale += 1
        scale -= 1
        across, down = scale, -(-int(scale * self.tile / ratio) // self.tile)
        rows = down if width >= height else across
        return (across * down + 1) * 144 + 1 + (rows + 1) * 12


@dataclass(frozen=True, slots=True)
class Pinpoints(ImageRule):
    """The best of listed sizes, its padding cut off, row ends, and the whole once (LLaVA-NeXT, LLaVA-OneVision).

    ``select_best_resolution`` and ``_get_number_of_features`` of llava_next and llava_onevision. sizes: (height, width).
    ``most``: tiles that a picture may have before its cells are thinned out (anyres_max_9: 9; 0: never).

    >>> Pinpoints(384, 27, ((384, 384), (384, 768), (768, 384), (768, 768))).tokens(768, 768)
    3699
    """

    tile: int
    side: int
    sizes: tuple[tuple[int, int], ...]
    most: int = 0

    def tokens(self, width: int, height: int) -> int:
        high, wide = self._best(width, height)
        down, across = high // self.tile * self.side, wide // self.tile * self.side
        if width / height > across / down:
            new = round(height * (across / width), 7)
            down -= (down - int(new)) // 2 * 2
        else:
            new = round(width * (down / height), 7)
            across -= (across - int(new)) // 2 * 2
        cells, ends = down * across, down
        if self.most:
            ratio = math.sqrt(down * across / (self.most * self.side**2))
            if ratio > 1.1:
                cells, ends = int(down // ratio) * int(across // ratio), int(down // ratio)
        return cells + ends + self.side**2

    def _best(self, width: int, height: int) -> tuple[int, int]:
        best, choice = (-1.0, -math.inf), self.sizes[0]
        for high, wide in self.sizes:
            scale = min(wide / width, high / height)
            useful = min(int(width * scale) * int(height * scale), width * height)
            key = (float(useful), float(useful - wide * high))
            if key > best:
                best, choice = key, (high, wide)
        return choice


@dataclass(frozen=True, slots=True)
class AudioRule:
    """Tokens of a sound: frames of 10 ms through strided layers.

    kind "halves": two halvings (Qwen2.5-Omni, 25 tokens a second); "chunks": 13 tokens for each second, three halvings
    of the rest (Qwen3-Omni); "steps": one token for each ``milliseconds`` begun (Gemma 4: 40, Phi-4 Multimodal: 80).

    >>> AudioRule("halves").tokens(30.0), AudioRule("chunks").tokens(30.0), AudioRule("steps", 40).tokens(30.0)
    (750, 390, 750)
    """

    kind: str
    milliseconds: float = 40.0

    def tokens(self, seconds: float) -> int:
        """Tokens of so many seconds."""
        if self.kind == "steps":
            return math.ceil(round(seconds * 1000 / self.milliseconds, 6))
        frames = math.ceil(round(seconds * 100, 6))
        if frames == 0:
            return 0
        if self.kind == "halves":
            return ((frames - 1) // 2 + 1 - 2) // 2 + 1
        whole, rest = divmod(frames, 100)
        return whole * 13 + ((((rest - 1) // 2 + 1 - 1) // 2 + 1 - 1) // 2 + 1 if rest else 0)
