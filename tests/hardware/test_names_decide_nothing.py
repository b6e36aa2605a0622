"""An accelerator's figures decide, not its id: ids that contain another part's name change nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sizing.engine.base import GIB, Device
from sizing.engine.devices import device_of
from sizing.engine.registry import get_engine
from sizing.hardware import load_accelerator, load_catalog
from sizing.planning.target import resolve_target

OWN = """
accelerators:
- id: {id}
  name: Own
  vendor: {vendor}
  family: {family}
  architecture: own
  memory: {{nominal_gb: 100, usable_gib: 90.5, basis: driver}}
  memory_bandwidth_gb_s: 3000
  dense_peak_tflops: {{bf16: 500, fp16: 500, fp8: 1000, int8: 1000}}
  interconnect: {{type: NVLink, gb_s_per_direction: 300}}
  max_per_server: 8
  sources: [{{fields: [all], ref: mine, says: measured}}]
"""


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
@pytest.mark.parametrize("name", ["rtx-9100", "gb100", "a1000", "my-a100-like", "ascending-1"])
def test_own_accelerator_has_the_defaults_of_its_figures(
    own_file: Callable[[str], Path], name: str, engine: str
) -> None:
    catalog = load_catalog(own_file(OWN.format(id=name, vendor="NVIDIA", family="hopper")).parent)
    target = resolve_target("Qwen3-8B", name, engine=engine, catalog=catalog)
    plain = Device(90.5 * GIB, "", ascend=False)
    assert target.device.is_ascend is False
    assert target.engine.default_batched_tokens(target.device, 8192) == target.engine.default_batched_tokens(
        plain, 8192
    )
    assert target.engine.default_num_seqs(target.device) == target.engine.default_num_seqs(plain)
    assert target.engine.fp8_index_keys(target.device)


def test_own_ascend_is_one_whatever_its_id(own_file: Callable[[str], Path]) -> None:
    catalog = load_catalog(own_file(OWN.format(id="npu-x", vendor="Huawei", family="ascend-910b")).parent)
    target = resolve_target("Qwen3-8B", "npu-x", catalog=catalog)
    assert target.device.is_ascend and target.engine.name == "vllm-ascend"


def test_vllm_asks_the_driver_for_an_a100() -> None:
    """Only "a100" in the driver's name is small: an A800 is large, as in vLLM 0.33."""
    engine = get_engine("vllm")
    sizes = {
        name: (engine.default_batched_tokens(device, 8192), engine.default_num_seqs(device))
        for name in ("a100-80gb-sxm", "a100-80gb-pcie", "a800-80gb-sxm", "a800-80gb-pcie", "h100-sxm")
        for device in (device_of(load_accelerator(name)),)
    }
    small, large = (2048, 256), (8192, 1024)
    assert sizes == {
        "a100-80gb-sxm": small, "a100-80gb-pcie": small, "a800-80gb-sxm": large, "a800-80gb-pcie": large,
        "h100-sxm": large,
    }  # fmt: skip


def test_names_of_logs_are_read_by_words() -> None:
    """Rows of logs state a name and no more."""
    assert all(Device(1.0, name).is_ascend for name in ("ascend-910b2", "Ascend910_9382", "910B4"))
    assert not any(Device(1.0, name).is_ascend for name in ("rtx-9100", "mi-9105", "ascending", ""))
