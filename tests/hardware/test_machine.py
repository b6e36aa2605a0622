from __future__ import annotations

import pytest

from sizing.base.errors import SizingError
from sizing.hardware import default_server, load_accelerator, load_catalog
from sizing.hardware.machine import DEFAULT_NETWORK_BANDWIDTH, machine_rates


def test_an_h100_in_its_server() -> None:
    part = load_accelerator("h100-sxm")
    rates = machine_rates(part, default_server("h100-sxm"))
    # data sheet: 989 TFLOP/s BF16 and 1,979 FP8 (dense), 3.35 TB/s, NVLink 4 at 450 GB/s each way, 132 SMs
    assert rates.bf16_flops == pytest.approx(989e12, rel=0.001)
    assert rates.fp8_flops == pytest.approx(1979e12, rel=0.001)
    assert rates.memory_bandwidth == pytest.approx(3.35e12, rel=0.001)
    assert rates.link_bandwidth == pytest.approx(450e9)
    assert (rates.cores, rates.node_size, rates.fabric) == (132, 8, "nvlink")
    assert rates.fp4_flops == 0.0


def test_an_a100_has_no_fp8() -> None:
    assert machine_rates(load_accelerator("a100-80gb-sxm")).fp8_flops == 0.0


def test_fabrics() -> None:
    assert machine_rates(load_accelerator("l40s")).fabric == "pcie"
    assert machine_rates(load_accelerator("ascend-910b2"), default_server("ascend-910b2")).fabric == "hccs"


def test_without_a_server_one_network_port_is_assumed() -> None:
    assert machine_rates(load_accelerator("h100-sxm")).node_bandwidth == DEFAULT_NETWORK_BANDWIDTH


def test_a_part_without_rates_is_refused_by_the_missing_key() -> None:
    part = load_accelerator("h100-sxm").model_copy(update={"memory_bandwidth_gb_s": None})
    with pytest.raises(SizingError, match="memory_bandwidth_gb_s"):
        machine_rates(part)


def test_every_part_of_the_catalog_is_timed_or_refused() -> None:
    catalog = load_catalog()
    timed = 0
    for part in catalog.accelerators.values():
        try:
            rates = machine_rates(part, default_server(part.id, catalog))
        except SizingError:
            continue
        timed += 1
        assert rates.bf16_flops > 1e12 and rates.memory_bandwidth > 1e10 and rates.link_bandwidth > 0
    assert timed > 60
