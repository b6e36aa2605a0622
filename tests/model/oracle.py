"""The oracle of exact counts: its rows, and where this project differs from one on purpose."""

from __future__ import annotations

import csv
import os
from pathlib import Path

COMPONENTS = (
    "embedding",
    "lm_head",
    "attention",
    "linear_attn",
    "dense_mlp",
    "routed_experts",
    "shared_experts",
    "router",
    "norms",
    "vision",
    "per_layer_embed",
    "other",
)

# (model, column) -> why. None of these is a count that a publisher's checkpoint confirms.
DIFFERENT: dict[tuple[str, str], str] = {
    (
        "tiiuae/falcon-180B-chat",
        "kv_bytes_full_per_token",
    ): "transformers caches 8 KV heads repeated for 232 heads, serving engines cache 8",
    (
        "nvidia/NVIDIA-Nemotron-3.5-Lightning-30B-A3B-NVFP4",
        "mtp",
    ): "its config states one MTP module, the row leaves it out",
    ("zai-org/GLM-4.7-FP8", "mtp"): "the trimmed config states no MTP module",
}
REFUSED: dict[str, str] = {
    "stepfun-ai/Step-3.7-Flash-FP8": "flat trimmed config; the row was built from class defaults",
}


def rows() -> list[dict[str, str]]:
    """All rows of the committed oracle."""
    path = Path(__file__).parents[1] / "data" / "oracle.csv"
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def shared() -> Path | None:
    """The researched material beside the project, None where it is absent."""
    given = os.environ.get("SIZING_SHARED")
    candidates = [Path(given)] if given else [Path(__file__).resolve().parents[3] / "shared"]
    return next((path for path in candidates if (path / "models" / "oracle.csv").is_file()), None)
