from __future__ import annotations

import numpy as np
import pytest

from sizing.engine.layouts import Space, as_arrays, enumerate_placements, legal_placements
from sizing.engine.placement import Placement
from sizing.engine.registry import get_engine
from sizing.model.quantization.schemes import scheme
from sizing.model.sources import load_model

DENSE, MOE, MLA = "Qwen/Qwen3-32B", "Qwen/Qwen3-235B-A22B", "deepseek-ai/DeepSeek-V3"


@pytest.mark.parametrize("name", [DENSE, MOE, MLA])
@pytest.mark.parametrize("space", [Space(8), Space(8, 2), Space(4), Space(8, max_accelerators=2), Space(1), Space(72)])
def test_within_the_bounds(name: str, space: Space) -> None:
    found = enumerate_placements(load_model(name), space)
    assert found and len(found) == len({(p.tp, p.pp, p.dp, p.ep) for p in found})
    for place in found:
        assert place.accelerators <= space.most
        assert place.tp <= space.node_size, "tensor parallelism stays inside a server"
        assert (place.tp * place.dp) % place.ep == 0


def test_a_dense_model_has_no_expert_parallelism() -> None:
    assert {(p.dp, p.ep) for p in enumerate_placements(load_model(DENSE), Space(8))} == {(1, 1)}


def test_wishes_are_kept() -> None:
    found = enumerate_placements(load_model(MOE), Space(8, tensor_parallel=(4,), data_parallel=(2,)))
    assert {(p.tp, p.dp) for p in found} == {(4, 2)}


def test_a_model_over_pipeline_stages_of_two_servers() -> None:
    found = enumerate_placements(load_model(MLA), Space(8, 2))
    assert any(p.tp == 8 and p.pp == 2 for p in found)


def test_rules_that_placements_fall_to() -> None:
    arch, engine = load_model(MOE), get_engine("vllm", "0.19")  # later versions repair the blocks
    legal, fallen = legal_placements(arch, scheme("fp8_block"), engine, Space(8))
    # experts are 1,536 wide: cut 8 ways they are 192 wide, no whole 128-wide FP8 blocks
    assert all(p.moe_tp != 8 for p in legal)
    assert "fp8_block_not_divisible" in {rule for rule, _ in fallen}
    assert len(legal) + sum(fallen.values()) == len(enumerate_placements(arch, Space(8)))


def test_arrays() -> None:
    places = as_arrays([Placement(1, 2, 3, 4), Placement(5, 6, 7, 8)], trailing=1)
    assert places.tp.shape == (2, 1)
    assert np.array_equal(places.accelerators, [[6], [210]])
