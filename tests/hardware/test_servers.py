"""Servers and fabrics."""

from __future__ import annotations

import pytest

from sizing.base.errors import SizingError
from sizing.hardware import default_server, load_accelerator, servers_for
from sizing.hardware.loader import Catalog


@pytest.mark.parametrize(
    ("name", "server", "count"),
    [
        ("h100-sxm", "dgx-h100", 8),
        ("a100-80gb-sxm", "dgx-a100", 8),
        ("gb200", "gb200-nvl72", 72),
        ("ascend-910b2", "atlas-800t-a2", 8),
        ("ascend-910b3", "atlas-800t-a2", 8),
        ("ascend-910c", "atlas-800i-a3", 8),
        ("ascend-910c-die", "atlas-800i-a3", 16),
        ("mi300x", "mi300x-8x", 8),
    ],
)
def test_default_server(name: str, server: str, count: int) -> None:
    found = default_server(name)
    assert (found.id, found.scale_up_domain) == (server, count)
    assert found.accelerator == load_accelerator(name).id and not found.generic


def test_supernode_is_offered_too() -> None:
    assert [s.scale_up_domain for s in servers_for("ascend-910c")] == [8, 384]
    assert [s.scale_up_domain for s in servers_for("ascend-910c-die")] == [16, 768]


def test_bandwidths() -> None:
    dgx = default_server("h100-sxm")
    assert dgx.link_bandwidth == 450e9
    assert dgx.network_bandwidth == 50e9
    assert default_server("ascend-910c-die").link_bandwidth == 196e9
    assert default_server("apple-m3-ultra").link_bandwidth is None


def test_generic_server() -> None:
    generic = default_server("h100-pcie")
    assert generic.generic and generic.note and generic.scale_up_domain == 8
    assert generic.link_bandwidth == 63e9 and generic.network_bandwidth is None


def test_servers_refer_to_known_accelerators(catalog: Catalog) -> None:
    assert len(catalog.servers) == 33
    for server in catalog.servers.values():
        assert server.accelerator in catalog.accelerators
        assert server.sources


def test_unknown_accelerator() -> None:
    with pytest.raises(SizingError):
        servers_for("nothing")


def test_fabrics(catalog: Catalog) -> None:
    assert catalog.fabrics["nvlink-4"].gb_s_per_direction == 450
    assert catalog.fabrics["ib-ndr"].gb_s_per_direction == 50
