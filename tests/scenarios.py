"""About 100 settings whose figures are pinned: what a change of the physics, the catalog or a coefficient moves."""

from __future__ import annotations

import csv
from pathlib import Path

from sizing.base.errors import SizingError
from sizing.engine.placement import Placement
from sizing.planning.estimate import estimate
from sizing.planning.target import resolve_target

TABLE = Path(__file__).parent / "data" / "scenarios.csv"
SETTING = ("model", "accelerator", "weights", "tp", "pp", "dp", "ep", "input", "output", "concurrency")
FIGURES = ("weights_gib", "kv_pool_gib", "tpot_ms", "ttft_ms", "output_tokens_per_s", "usd_per_million_output_tokens")
TOLERANCE = 1e-6

Row = dict[str, str]

LENGTHS = ((512, 128, 1), (2048, 512, 32), (16000, 1000, 8))
LAYOUTS = (  # model, accelerator, weights, (tp, pp, dp, ep)
    ("Qwen/Qwen3-8B", "l40s", "bf16", (1, 1, 1, 1)),
    ("Qwen/Qwen3-8B", "a10g", "int4_awq", (1, 1, 1, 1)),
    ("Qwen/Qwen3-14B", "a100-40gb-sxm", "bf16", (1, 1, 1, 1)),
    ("Qwen/Qwen3-32B", "h100-sxm", "bf16", (2, 1, 1, 1)),
    ("Qwen/Qwen3-32B", "h100-sxm", "fp8", (1, 1, 1, 1)),
    ("Qwen/Qwen3-32B", "a100-80gb-sxm", "bf16", (2, 1, 1, 1)),
    ("Qwen/Qwen3-32B", "a100-80gb-sxm", "int4_awq", (1, 1, 1, 1)),
    ("Qwen/Qwen3-32B", "ascend-910b2", "bf16", (4, 1, 1, 1)),
    ("Qwen/Qwen3-32B", "ascend-910b4", "int8", (4, 1, 1, 1)),
    ("Qwen/Qwen3-32B", "mi300x", "bf16", (1, 1, 1, 1)),
    ("Qwen/Qwen3-32B", "b200-sxm", "nvfp4", (1, 1, 1, 1)),
    ("Qwen/Qwen3-30B-A3B", "h100-sxm", "bf16", (2, 1, 1, 1)),
    ("Qwen/Qwen3-30B-A3B", "l40s", "fp8_block", (2, 1, 1, 2)),
    ("Qwen/Qwen3-235B-A22B", "h100-sxm", "fp8_block", (4, 1, 1, 4)),
    ("Qwen/Qwen3-235B-A22B", "h200-sxm", "bf16", (8, 1, 1, 8)),
    ("Qwen/Qwen3-235B-A22B", "h100-sxm", "fp8_block", (2, 1, 4, 8)),
    ("Qwen/Qwen3-235B-A22B", "a100-80gb-sxm", "int8", (8, 1, 1, 8)),
    ("Qwen/Qwen3-235B-A22B", "ascend-910b2", "int8", (8, 1, 1, 8)),
    ("Qwen/Qwen3-235B-A22B", "h20-141gb", "fp8_block", (4, 1, 1, 4)),
    ("Qwen/Qwen3-235B-A22B", "a100-80gb-sxm", "bf16", (8, 2, 1, 1)),
    ("deepseek-ai/DeepSeek-V3", "h200-sxm", "fp8_block", (8, 1, 1, 8)),
    ("deepseek-ai/DeepSeek-V3", "h200-sxm", "fp8_block", (1, 1, 8, 8)),
    ("deepseek-ai/DeepSeek-V3", "h100-sxm", "fp8_block", (8, 2, 1, 1)),
    ("deepseek-ai/DeepSeek-V3", "b200-sxm", "nvfp4", (8, 1, 1, 8)),
    ("deepseek-ai/DeepSeek-V3", "ascend-910b2", "int8", (4, 1, 4, 16)),
    ("deepseek-ai/DeepSeek-V3", "mi300x", "fp8_block", (8, 1, 1, 8)),
    ("meta-llama/Llama-3.1-70B", "h100-sxm", "bf16", (4, 1, 1, 1)),
    ("meta-llama/Llama-3.1-70B", "a100-80gb-sxm", "bf16", (4, 1, 1, 1)),
    ("meta-llama/Llama-3.1-8B", "h100-pcie", "bf16", (1, 1, 1, 1)),
    ("google/gemma-3-27b-it", "h100-sxm", "bf16", (2, 1, 1, 1)),
    ("openai/gpt-oss-120b", "h100-sxm", "mxfp4", (2, 1, 1, 1)),
    ("openai/gpt-oss-120b", "b200-sxm", "mxfp4", (1, 1, 1, 1)),
    ("Qwen/Qwen3-Next-80B-A3B-Instruct", "h200-sxm", "bf16", (4, 1, 1, 1)),
    ("zai-org/GLM-4.5", "h200-sxm", "fp8", (8, 1, 1, 8)),
)


def settings() -> list[Row]:
    """Every setting of the table, as text."""
    rows = []
    for model, part, weights, sizes in LAYOUTS:
        for lengths in LENGTHS:
            values = (model, part, weights, *sizes, *lengths)
            rows.append(dict(zip(SETTING, map(str, values), strict=True)))
    return rows


def figures(row: Row) -> Row:
    """The figures of a setting, as text with ten digits; the reason in the first of them where there is no answer."""
    tp, pp, dp, ep = (int(row[name]) for name in ("tp", "pp", "dp", "ep"))
    try:
        target = resolve_target(row["model"], row["accelerator"], weights=row["weights"])
        found = estimate(
            "", "", Placement(tp, pp, dp, ep), input_tokens=int(row["input"]), output_tokens=int(row["output"]),
            concurrency=int(row["concurrency"]), target=target,
        )  # fmt: skip
    except SizingError as error:
        return dict.fromkeys(FIGURES, "") | {FIGURES[0]: f"refused: {getattr(error, 'rule', None) or error.key}"}
    values = (
        found.memory.weights_bytes / 2**30,
        found.memory.kv_pool_bytes / 2**30,
        found.latency["tpot_s"].p50 * 1e3,
        found.latency["ttft_s"].p50 * 1e3,
        found.throughput["output_tokens_per_s"].p50,
        None if found.cost is None else float(found.cost.usd_per_million_output_tokens),
    )
    return {name: "" if value is None else f"{value:.10g}" for name, value in zip(FIGURES, values, strict=True)}


def pinned() -> list[Row]:
    """The committed table."""
    with TABLE.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def changes(old: Row, new: Row) -> list[str]:
    """``figure: old -> new (+x%)`` for each that moved by more than the tolerance."""
    moved = []
    for name in FIGURES:
        before, after = old[name], new[name]
        try:
            one, other = float(before), float(after)
        except ValueError:
            if before != after:
                moved.append(f"{name}: {before or 'nothing'} -> {after or 'nothing'}")
            continue
        if abs(other - one) > TOLERANCE * abs(one):
            moved.append(f"{name}: {before} -> {after} ({other / one - 1:+.2g})" if one else f"{name}: 0 -> {after}")
    return moved
