"""Caches of hybrids, worked by hand from the config's keys: states, windows, latents, index keys, on one rank and two."""

from __future__ import annotations

import pytest

from sizing.engine.cache import cache_groups, sequence_bytes
from sizing.engine.placement import Placement
from sizing.engine.sharding import stages
from sizing.model.counts import kv_bytes, kv_report
from sizing.model.kv_formats import kv_format
from sizing.model.parts import CacheKind
from sizing.model.sources import load_model

STATE, FULL, WINDOW = CacheKind.STATE, CacheKind.FULL, CacheKind.SLIDING
MLA, COMPRESSED = CacheKind.MLA, CacheKind.COMPRESSED

# (kind, layers, bytes a token in a layer, window, bytes of a state in a layer), as the config's keys give them.
# A convolution keeps its channels x (kernel - 1) in 16 bits, where the cache report counts its whole kernel;
# fp32 where the config or the family keeps its state so.
EXPECTED: dict[str, list[tuple[CacheKind, int, float, int | None, float]]] = {
    "Qwen/Qwen3-Next-80B-A3B-Thinking": [
        # 16 key and 32 value heads of 128: (2 x 2048 + 4096) x 3 and 32 x 128 x 128 elements
        (STATE, 36, 0, None, 2 * (8192 * 3 + 32 * 128 * 128)),
        (FULL, 12, 2 * 2 * (256 + 256), None, 0),
    ],
    "moonshotai/Kimi-Linear-48B-A3B-Instruct": [
        # convolutions of q, k and v, 32 heads of 128 each; the state in fp32
        (STATE, 20, 0, None, 2 * 3 * 4096 * 3 + 4 * 32 * 128 * 128),
        (MLA, 7, 2 * (512 + 64), None, 0),
    ],
    "nvidia/Nemotron-3-Nano": [
        # Mamba-2 of 64 heads of 64, 8 groups, 128 states, in fp32 by mamba_ssm_cache_dtype
        (STATE, 23, 0, None, 2 * (4096 + 2 * 8 * 128) * 3 + 4 * 4096 * 128),
        (FULL, 6, 2 * 2 * (128 + 128), None, 0),
    ],
    "tiiuae/Falcon-H1-34B-Instruct": [
        # each of the 72 layers holds both; mamba_d_ssm 4096, 2 groups of 256 states
        (STATE, 72, 0, None, 2 * ((4096 + 2 * 2 * 256) * 3 + 4096 * 256)),
        (FULL, 72, 2 * 4 * (128 + 128), None, 0),
    ],
    "state-spaces/mamba-2.8b-hf": [
        # Mamba of width 2 x 2560: a convolution of 4, of which 3 columns, and 16 states a channel
        (STATE, 64, 0, None, 2 * 5120 * (3 + 16)),
    ],
    "deepseek-ai/DeepSeek-V4-Flash": [
        # a window of 128 rows of 512 in all 43 layers; 21 layers keep a row and an index key of 128 for 4 tokens,
        # 20 a row for 128 tokens
        (WINDOW, 43, 2 * 512, 128, 0),
        (COMPRESSED, 21, 2 * 512 / 4 + 2 * 128 / 4, None, 0),
        (COMPRESSED, 20, 2 * 512 / 128, None, 0),
    ],
    "zai-org/GLM-5.2-FP8": [
        # the 21 layers with an indexer of their own keep a key of 128 beside the latent
        (MLA, 21, 2 * (512 + 64) + 2 * 128, None, 0),
        (MLA, 57, 2 * (512 + 64), None, 0),
    ],
    "openai/gpt-oss-120b": [
        (WINDOW, 18, 2 * 8 * (64 + 64), 128, 0),
        (FULL, 18, 2 * 8 * (64 + 64), None, 0),
    ],
    "google/gemma-3n-E4B-it": [
        # 35 layers, the last 15 of which use an earlier layer's cache: 16 of 20 slide
        (WINDOW, 16, 2 * 2 * (256 + 256), 512, 0),
        (FULL, 4, 2 * 2 * (256 + 256), None, 0),
    ],
    "google/gemma-4-E4B-it": [
        # 42 layers less 18 that share; full layers have heads of 512
        (WINDOW, 20, 2 * 2 * (256 + 256), 512, 0),
        (FULL, 4, 2 * 2 * (512 + 512), None, 0),
    ],
}
SPLIT = (STATE, FULL)  # by heads; windows of latents, latents and index keys stand on every rank


def merged(model: str, tp: int) -> list[tuple[CacheKind, int, float, int | None, float]]:
    """The groups of a whole model, kinds that differ in nothing but how they split put together."""
    arch = load_model(model)
    found: dict[tuple[CacheKind, float, int | None, float], int] = {}
    for group in cache_groups(arch, Placement(tp), kv_format("bf16"), stages(arch, 1)[0]):
        key = (group.kind, float(group.bytes_per_token), group.window, float(group.state_bytes))
        found[key] = found.get(key, 0) + group.layers
    return [(kind, layers, row, window, state) for (kind, row, window, state), layers in found.items()]


@pytest.mark.parametrize("model", EXPECTED)
def test_groups_of_one_rank_are_the_hand_worked_ones(model: str) -> None:
    assert sorted(merged(model, 1), key=str) == sorted(EXPECTED[model], key=str)


@pytest.mark.parametrize("model", EXPECTED)
def test_two_ranks_halve_heads_and_states_and_copy_latents(model: str) -> None:
    latent = "deepseek" in model
    halved = [
        (kind, layers, row / 2, window, state / 2)
        if kind in SPLIT or (kind is WINDOW and not latent)
        else (kind, layers, row, window, state)
        for kind, layers, row, window, state in EXPECTED[model]
    ]
    assert sorted(merged(model, 2), key=str) == sorted(halved, key=str)


@pytest.mark.parametrize("model", EXPECTED)
@pytest.mark.parametrize("tokens", [1, 100, 5000, 131_072])
def test_a_sequence_keeps_rows_windows_and_states(model: str, tokens: int) -> None:
    """The ledger's groups and the cache report agree, but for states that the report counts at 16 bits and with the
    column of each convolution that engines do not keep.
    """
    arch = load_model(model)
    groups = cache_groups(arch, Placement(1), kv_format("bf16"), stages(arch, 1)[0])
    by_hand = sum(
        layers * (row * min(tokens, window or tokens) + state) for _, layers, row, window, state in EXPECTED[model]
    )
    assert float(sequence_bytes(groups, tokens)) == pytest.approx(by_hand)
    report = kv_report(arch, tokens)
    fp32 = float(str(report["state_fp32_bytes_per_sequence"])) - float(str(report["state_bytes_per_sequence"]))
    column = sum(
        2 * group.count * group.mixer.cache.conv_elements / max(group.mixer.cache.conv_columns, 1)
        for group in arch.groups
    )
    assert float(kv_bytes(arch, float(tokens), 2.0)) + fp32 - column == pytest.approx(by_hand)
