"""Bills of materials."""

from __future__ import annotations

import pytest

from sizing.planning.materials import SWITCH_PORTS, bill_of_materials, switches_for
from sizing.planning.planner import plan
from sizing.study import parse_study


def bill(**study):
    parsed = parse_study(study)
    best = plan(parsed).best
    return best, bill_of_materials(best, parsed)


def test_one_server():
    best, made = bill(model="DeepSeek-R1", workload="chat", hardware=["h200-sxm"])
    assert best.accelerators == 8
    assert made.server == "dgx-h200"
    assert made.quantity("servers") == 1
    assert made.quantity("scale-out network cards") == 8
    assert made.quantity("scale-out switch ports") == 0
    assert made.quantity("power") == pytest.approx(10.2)
    assert made.quantity("rack units") == 8
    assert made.quantity("weights") == pytest.approx(0.69, rel=0.05)
    assert made.quantity("facility power") == pytest.approx(10.2 * 1.3)


def test_many_servers_have_a_fabric():
    chat = {"preset": "chat", "arrival": {"kind": "rate", "requests_per_s": 400}}
    best, made = bill(model="Qwen3-235B-A22B", workload=chat, hardware=["h100-sxm"])
    servers = made.quantity("servers")
    assert servers == -(-best.accelerators // 8) > 1
    assert made.quantity("scale-out switch ports") == servers * 8
    assert made.quantity("leaf switches") >= 1
    leaves, spines = made.quantity("leaf switches"), made.quantity("spine switches")
    assert spines
    uplinks = leaves * SWITCH_PORTS / 2  # half of a leaf's ports
    assert made.quantity("scale-out cables") == servers * 8 + uplinks
    assert made.quantity("power") > servers * 10.2
    assert all(line.formula and line.source for line in made.lines)
    assert all(line.assumed == line.source.startswith("assumption") for line in made.lines)


def test_the_offers_server_is_taken():
    offer = {"accelerator": "h100-sxm", "server": "hgx-h100"}
    assert bill(model="Qwen3-32B", workload="chat", hardware=[offer])[1].server == "hgx-h100"


def test_unknown_power_is_an_assumption():
    _, made = bill(model="Qwen3-8B", workload="chat", hardware=["ascend-910b2"], constraints={"max_nodes": 2})
    power = next(line for line in made.lines if line.name == "power")
    assert power.assumed
    assert power.quantity > 0


SWITCHES = [(0, (0, 0)), (16, (1, 0)), (64, (1, 0)), (128, (4, 2)), (1024, (32, 16))]


@pytest.mark.parametrize(("ports", "switches"), SWITCHES)
def test_switches(ports, switches):
    assert switches_for(ports) == switches
