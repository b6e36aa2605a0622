"""The built-in accelerators: figures, derived quantities, support of weight formats, slices."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from sizing.base.errors import UnknownNameError
from sizing.hardware import load_accelerator
from sizing.hardware.loader import Catalog, catalog_dir

GIB = 2**30

# id: usable GiB, bandwidth GB/s, bf16 TFLOP/s, fp8 TFLOP/s, link GB/s one way, TDP W
CORE = {
    "a100-80gb-sxm": (79.25, 2039, 312, None, 300, 400),
    "a100-40gb-sxm": (39.49, 1555, 312, None, 300, 400),
    "h100-sxm": (79.19, 3350, 989, 1979, 450, 700),
    "h200-sxm": (139.8, 4800, 989, 1979, 450, 700),
    "h20-96gb": (96, 4022, 148, 296, 450, 400),
    "b200-sxm": (178.36, 7700, 2250, 4500, 900, 1000),
    "gb200": (185, 8000, 2500, 5000, 900, 1200),
    "l40s": (44.31, 864, 362.05, 733, 31, 350),
    "mi300x": (192, 5300, 1307, 2610, 448, 750),
    "ascend-910b2": (60.96, 1600, 353.9, None, 196, 400),
    "ascend-910b4": (32, 800, 245.7, None, 30, 350),
    "ascend-910c": (121.92, 3200, 752, None, 392, None),
}


@pytest.mark.parametrize("name", CORE)
def test_core_figures(name: str) -> None:
    usable, bandwidth, bf16, fp8, link, tdp = CORE[name]
    found = load_accelerator(name)
    assert found.usable_bytes == pytest.approx(usable * GIB)
    assert found.memory_bandwidth == bandwidth * 1e9
    assert found.peak_flops("bf16") == bf16 * 1e12
    assert found.peak_flops("fp8") == (fp8 and fp8 * 1e12)
    assert found.link_bandwidth == link * 1e9
    assert found.tdp_w == tdp


def test_all_are_there(catalog: Catalog) -> None:
    whole = [a for a in catalog.accelerators.values() if a.parent is None]
    assert len(whole) == 112
    assert len({a.family for a in whole} - set(catalog.families)) == 0


def test_every_figure_has_a_source_or_says_so(catalog: Catalog) -> None:
    for accelerator in catalog.accelerators.values():
        assert accelerator.sources, accelerator.id
        for dispute in accelerator.disputes:
            assert dispute.reason


def test_missing_is_missing() -> None:
    assert load_accelerator("hygon-k100-ai").memory_bandwidth is None
    assert load_accelerator("kunlun-p800").peak_flops("bf16") is None
    assert load_accelerator("metax-c500").link_bandwidth is None
    assert load_accelerator("gh200-96gb").usable_bytes == 96e9


def test_names_of_compute_dtypes() -> None:
    h100 = load_accelerator("h100-sxm")
    assert h100.peak_flops("fp32") == h100.peak_flops("tf32") == h100.peak_flops("fp32/tf32") == 494.5e12
    assert h100.peak_flops("INT8") == 1979e12
    assert h100.peak_flops("fp4") is None
    assert load_accelerator("b200-sxm").peak_flops("fp4") == 9000e12
    with pytest.raises(ValueError, match="unknown compute dtype"):
        h100.peak_flops("fp3")


@pytest.mark.parametrize(
    ("name", "dtype", "how"),
    [
        ("a100-80gb-sxm", "fp8", "weight-only"),
        ("a100-80gb-sxm", "fp8_block", "weight-only"),
        ("a100-80gb-sxm", "w8a8", "native"),
        ("a100-80gb-sxm", "int4_awq", "weight-only"),
        ("h100-sxm", "fp8", "native"),
        ("h100-sxm", "nvfp4", "weight-only"),
        ("h100-sxm", "mxfp4", "weight-only"),
        ("b200-sxm", "nvfp4", "native"),
        ("b200-sxm", "int8", None),
        ("mi300x", "fp8", "native"),
        ("mi300x", "mxfp4", "weight-only"),
        ("mi355x", "mxfp4", "native"),
        ("ascend-910b2", "fp8", None),
        ("ascend-910b2", "W8A8", "native"),
        ("ascend-910b2", "w4a8", "native"),
        ("ascend-910b2", "awq", None),
        ("ascend-910b2", "gptq", None),
        ("ascend-310p", "bf16", None),
        ("v100-sxm2", "bf16", None),
        ("t4", "fp8", "weight-only"),
    ],
)
def test_weight_formats(name: str, dtype: str, how: str | None) -> None:
    support = load_accelerator(name).weight_support(dtype)
    assert support.how == how == load_accelerator(name).runs_weights(dtype)
    assert support.reason


def test_unknown_weight_format_suggests() -> None:
    with pytest.raises(UnknownNameError, match="nvfp4"):
        load_accelerator("h100-sxm").runs_weights("nvfp5")


def test_unstated_weight_format_is_not_assumed() -> None:
    assert load_accelerator("gaudi3").runs_weights("nvfp4") is None
    assert "no source" in load_accelerator("gaudi3").weight_support("nvfp4").reason


def test_no_fp4_peak_where_weights_are_not_native(catalog: Catalog) -> None:
    for accelerator in catalog.accelerators.values():
        for weights, compute in (("fp8", "fp8"), ("nvfp4", "fp4")):
            if accelerator.runs_weights(weights) == "native":
                assert accelerator.peak_flops(compute), (accelerator.id, weights)


def test_remarks() -> None:
    assert load_accelerator("h100-sxm").remarks() == []
    assert "nominal" in load_accelerator("h20-96gb").remarks()[0]
    assert any("memory_bandwidth_gb_s" in text for text in load_accelerator("h100-nvl").remarks())


def test_frozen() -> None:
    with pytest.raises(ValidationError):
        load_accelerator("h100-sxm").tdp_w = 1.0  # type: ignore[misc]


def test_mig_slices() -> None:
    whole, part = load_accelerator("h100-sxm"), load_accelerator("h100-mig-3g.40gb")
    assert part.parent == "h100-sxm" and part.family == "hopper"
    assert part.peak_flops("bf16") == pytest.approx(989e12 * 3 / 7, rel=1e-4)
    assert part.memory_bandwidth == pytest.approx(3350e9 / 2)
    assert part.usable_bytes == pytest.approx(whole.usable_bytes / 2)
    assert part.link_bandwidth is None
    assert part.memory.basis == "derived" and part.unsourced_field("memory_bandwidth_gb_s")
    assert part.runs_weights("fp8") == "native"
    for parent in ("a100-40gb-sxm", "a100-80gb-sxm", "h100-sxm"):
        gb = 5 if "40" in parent else 10
        for profile in (f"1g.{gb}gb", f"2g.{2 * gb}gb", f"3g.{4 * gb}gb", f"4g.{4 * gb}gb", f"7g.{8 * gb}gb"):
            assert load_accelerator(f"{parent}-mig-{profile}").parent == parent


def test_virtual_npus_and_dies() -> None:
    quarter = load_accelerator("vir06_1c_16g")
    assert quarter.parent == "ascend-910b2"
    assert quarter.peak_flops("bf16") == pytest.approx(353.9e12 / 4)
    assert quarter.usable_bytes <= 16 * GIB
    die, module = load_accelerator("ascend-910c-die"), load_accelerator("ascend-910c")
    assert die.usable_bytes * 2 == pytest.approx(module.usable_bytes)
    assert die.link_bandwidth == 196e9 and die.max_per_server == 16


def test_slices_add_up(catalog: Catalog) -> None:
    for part in catalog.slices.values():
        parent = catalog.accelerators[part.parent]
        assert part.memory * part.instances_per_parent <= 1.0001, part.id
        assert part.compute * part.instances_per_parent <= 1.0001, part.id
        assert catalog.accelerators[part.id].usable_bytes <= parent.usable_bytes * part.memory * 1.0001


def test_an_accelerator_is_found_without_reading_servers_and_prices() -> None:
    fresh = Catalog(catalog_dir())
    assert fresh.resolve("h100-sxm")[0].id == "h100-sxm"
    assert "servers" not in fresh.__dict__ and "rental_quotes" not in fresh.__dict__
