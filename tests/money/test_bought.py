"""What is bought: boards by the server, cards one by one, the server that the study names; slices work alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sizing.base.errors import PlacementError, SizingError
from sizing.engine.placement import Placement
from sizing.hardware import load_catalog
from sizing.planning.estimate import estimate
from sizing.planning.materials import bill_of_materials
from sizing.planning.planner import plan
from sizing.study import load_study, parse_study, quick_study

ROOT = Path(__file__).parents[2]


def study(on: list[Any], model: Any = "Qwen3-8B", **parts: Any) -> Any:
    return quick_study(model, input_tokens=1000, output_tokens=300, rate=1, on=on, **parts)


def test_one_of_a_board_says_what_is_left_over() -> None:
    asked = study(["h100-sxm"])
    best = plan(asked).best
    assert best is not None and best.bought is not None
    assert (best.accelerators, best.bought.accelerators, best.bought.free) == (1, 8, 7)
    assert best.bought.usd_per_hour == pytest.approx(8 * (best.usd_per_accelerator_hour or 0))
    assert any(
        "1 of the 8 accelerators of 1 x DGX H100; the rest is free for others" in said
        for said in plan(asked).assumptions
    )
    materials = bill_of_materials(best, asked)
    assert materials.quantity("accelerators") == 8 and materials.quantity("accelerators free for others") == 7


@pytest.mark.parametrize("count", [1, 2])
def test_cards_come_in_a_box_of_as_many(count: int) -> None:
    asked = study(["l40s"], constraints={"tensor_parallel": [count], "pipeline_parallel": [1]})
    best = plan(asked).best
    assert best is not None and best.bought is not None and best.accelerators == count
    assert best.bought.free == 0
    materials = bill_of_materials(best, asked)
    assert materials.quantity("servers") == 1 and materials.quantity("accelerators") == count
    assert materials.quantity("power") == pytest.approx(4.5 * count / 8)


def test_own_box_is_the_one_listed(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(
        "servers:\n- {id: my-box, name: my box, accelerator: rtx-4090, accelerator_count: 2, max_power_kw: 1.4, "
        "intra_node: {fabric: PCIe, gb_s_per_direction: 31}}\n",
        encoding="utf-8",
    )
    catalog = load_catalog(file)
    asked = study(["rtx-4090"], constraints={"tensor_parallel": [2]})
    best = plan(asked, catalog).best
    assert best is not None and best.server == "my-box"
    materials = bill_of_materials(best, asked, catalog)
    assert materials.server == "my-box" and materials.quantity("power") == pytest.approx(1.4)


def test_the_atlas_example_prints_the_server_that_it_names() -> None:
    asked = load_study(ROOT / "examples" / "deepseek-r1-w8a8-atlas.yaml")
    best = plan(asked).best
    assert best is not None and best.server == asked.hardware[0].server
    assert bill_of_materials(best, asked).server == asked.hardware[0].server


@pytest.mark.parametrize(("server", "hint"), [("no-such-server", "dgx-h100"), ("atlas-800i-a2", "dgx-h100")])
def test_a_server_that_does_not_fit_is_refused(server: str, hint: str) -> None:
    with pytest.raises(SizingError, match=hint) as caught:
        plan(study([{"accelerator": "h100-sxm", "server": server}]))
    assert caught.value.key == "server"


def test_a_server_of_many_is_used() -> None:
    best = plan(study([{"accelerator": "ascend-910c", "server": "cloudmatrix-384"}])).best
    assert best is not None and best.server == "cloudmatrix-384" and best.bought is not None
    assert best.bought.accelerators == 384


@pytest.mark.parametrize("name", ["h100-sxm-mig-1g.20gb", "ascend-910b4-vir10"])
def test_slices_are_one_rank(name: str) -> None:
    catalog = load_catalog()
    if name not in catalog.accelerators:
        parts = [part for part in catalog.slices.values() if part.kind == "vnpu" and "910b" in part.parent]
        name = max(parts, key=lambda part: part.nominal_gb or 0).id
    found = plan(study([name], model="Qwen3-0.6B", constraints={"max_nodes": 2}))
    assert found.plans
    assert all(item.placement == {"tp": 1, "pp": 1, "dp": 1, "ep": 1} for item in found.plans)
    refused = plan(study([name], model="Qwen3-0.6B", constraints={"tensor_parallel": [2]}))
    assert not refused.plans and "slice_is_one_rank" in {item.code for item in refused.rejected}
    with pytest.raises(PlacementError) as caught:
        estimate("Qwen3-0.6B", name, Placement(tp=2), input_tokens=100, output_tokens=10)
    assert caught.value.rule == "slice_is_one_rank"


def test_equal_cost_prefers_bits_then_margin() -> None:
    found = plan(study(["h100-sxm"], model="Qwen3-32B"))
    by_cost: dict[float, list[tuple[float, float]]] = {}
    for item in found.plans:
        by_cost.setdefault(item.usd_per_hour or 0, []).append((-item.weight_bits, round(item.utilization, 6)))
    assert any(len(items) > 1 for items in by_cost.values())
    assert all(items == sorted(items) for items in by_cost.values())


def test_eight_bits_or_more() -> None:
    loose = plan(study(["l40s"], model="Qwen3-32B")).best
    assert loose is not None and loose.weight_bits < 8 and "8 bits or more" in (loose.quality or "")
    strict = plan(study(["l40s"], model="Qwen3-32B", constraints={"min_weight_bits": 8}))
    assert strict.plans and all(item.weight_bits >= 8 and item.quality is None for item in strict.plans)
    assert any("fewer than the 8 that were asked for" in item.reason for item in strict.rejected)


def test_own_format_of_four_bits_needs_no_word() -> None:
    best = plan(study(["h100-sxm"], model="gpt-oss-20b")).best
    assert best is not None and best.weight_bits < 8 and best.quality is None


def test_dearer_is_said_only_of_what_costs_more() -> None:
    asked = parse_study({**study(["h100-sxm", "h800-sxm"]).model_dump(mode="json"), "version": 1})
    found = plan(asked)
    best = found.plans[0].usd_per_hour or 0
    for item in found.rejected:
        if item.code in ("dearer", "not_better"):
            cost = float(item.reason.split("$")[1].split(" ")[0].replace(",", ""))
            assert (cost > round(best, 2)) is (item.code == "dearer"), item
