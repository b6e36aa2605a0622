"""The bill of materials of a plan: what stands in the racks, line by line, with where each figure is from."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from sizing.base.arrays import scalar
from sizing.engine.placement import Placement
from sizing.hardware import Catalog, Server, load_catalog
from sizing.hardware.servers import box_of
from sizing.memory.terms import memory_terms, resolve_load
from sizing.money.ownership import ownership_terms, server_kilowatts
from sizing.planning.result import Plan
from sizing.planning.target import Target
from sizing.study import Study

GIB = 2.0**30
#: Assumptions, chosen: what is usual in clusters of this kind. Each is said in the line that uses it.
SWITCH_PORTS = 64
SWITCH_KW = 1.0
SWITCH_UNITS = 1
FRONT_PORTS = 2
COPIES = 2
HOST_MEMORY_RATIO = 2.0
UNITS_PER_ACCELERATOR = 1
RACK_UNITS = 42
RACK_KW = 40.0


@dataclass(frozen=True, slots=True)
class Material:
    """One line: so many of a thing, by which formula, from which source (a catalog entry or an assumption)."""

    name: str
    quantity: float
    unit: str
    formula: str
    source: str
    assumed: bool = False


@dataclass(frozen=True)
class BillOfMaterials:
    """All lines of a plan, and the server they are of."""

    server: str
    lines: tuple[Material, ...]

    def quantity(self, name: str) -> float:
        """The quantity of a line by its name; KeyError where there is none."""
        for line in self.lines:
            if line.name == name:
                return line.quantity
        raise KeyError(name)

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {"server": self.server, "lines": [asdict(line) for line in self.lines]}


def bill_of_materials(plan: Plan, study: Study, catalog: Catalog | None = None) -> BillOfMaterials:
    """What a plan needs: servers, accelerators, network cards, switches, storage, memory, rack units, power.

    The server is the one that the offer names, else the accelerator's usual one in the catalog; of cards, which are bought
    one by one, a box with as many as the plan needs, where that is fewer than the server holds.
    """
    catalog = catalog or load_catalog()
    target = plan.resolved
    usual = target.server
    server = box_of(usual, target.accelerator, plan.accelerators)
    count = max(plan.servers, math.ceil(plan.accelerators / server.accelerator_count))
    where = f"catalog, server {usual.id}"
    if server is not usual:
        where += f": {plan.accelerators} of its {usual.accelerator_count} cards, and so much of its host"
    lines = [
        Material(
            "servers",
            count,
            server.name,
            f"{plan.accelerators} accelerators / {server.accelerator_count} a server, rounded up",
            where,
            server.generic,
        ),
        Material(
            "accelerators",
            _accelerators(plan, target, server, count),
            target.accelerator.name,
            f"{count} servers x {server.accelerator_count}; the plan uses {plan.accelerators}",
            where,
            server.generic,
        ),
    ]
    free = _accelerators(plan, target, server, count) - plan.accelerators
    if free:
        said = f"{plan.accelerators} of {plan.accelerators + free}; the rest is free for others"
        lines.append(
            Material("accelerators free for others", free, target.accelerator.name, said, where, server.generic)
        )
    network = _network(server, count, where)
    lines += network
    lines += _storage(plan, target, server, count)
    switches = sum(int(line.quantity) for line in network if line.unit.startswith("switch"))
    lines += _space_and_power(study, target, server, count, switches, where, catalog)
    return BillOfMaterials(server.id, tuple(lines))


def _accelerators(plan: Plan, target: Target, server: Server, count: int) -> int:
    """Accelerators that are bought: cards one by one, boards by the server."""
    return plan.accelerators if target.accelerator.is_card else count * server.accelerator_count


def _network(server: Server, count: int, where: str) -> list[Material]:
    """Network cards, their switch ports, switches and cables of the scale-out fabric, and of the front network."""
    card = server.scale_out
    lines: list[Material] = []
    ports = 0
    if card is None:
        lines.append(Material("scale-out network cards", 0, "cards", "the catalog names none for this server",
                              "unknown: ask the vendor", True))  # fmt: skip
    else:
        ports = count * card.count
        recalled = "scale_out" in server.unsourced
        lines.append(Material("scale-out network cards", ports, f"{card.gbit_s:g} Gb/s {card.type or ''}".strip(),
                              f"{count} servers x {card.count}", where, recalled))  # fmt: skip
    if count < 2:
        ports = 0
        lines.append(Material("scale-out switch ports", 0, "ports", "one server talks to itself over its own fabric",
                              "no second server"))  # fmt: skip
    else:
        lines.append(Material("scale-out switch ports", ports, "ports", "one a card", where))
    leaves, spines = switches_for(ports)
    how = f"{SWITCH_PORTS}-port switches; one where all ports fit, else two tiers, half of a leaf's ports up"
    lines.append(Material("leaf switches", leaves, "switches", how, "assumption", True))
    lines.append(Material("spine switches", spines, "switches", how, "assumption", True))
    cables = ports + (leaves * SWITCH_PORTS // 2 if spines else 0)
    lines.append(Material("scale-out cables", cables, "cables", "one a card, one an uplink", "assumption", True))
    front = f"{count} servers x {FRONT_PORTS} (requests, storage, management)"
    lines.append(Material("front network ports", count * FRONT_PORTS, "ports", front, "assumption", True))
    return lines


def switches_for(ports: int) -> tuple[int, int]:
    """``(leaf, spine)`` switches of a fabric without oversubscription for so many ports."""
    if ports <= 0:
        return 0, 0
    if ports <= SWITCH_PORTS:
        return 1, 0
    leaves = math.ceil(ports / (SWITCH_PORTS // 2))
    return leaves, math.ceil(leaves * (SWITCH_PORTS // 2) / SWITCH_PORTS)


def checkpoint_bytes(target: Target) -> float:
    """Bytes of all weights in their format, once: those of a placement on one accelerator."""
    one = Placement()
    load = resolve_load(target.engine, target.device, target.arch, one, context=1)
    terms = memory_terms(target.arch, target.device, one, target.engine, target.scheme, load, kv_dtype=target.kv)
    return scalar(terms.weights)


def _storage(plan: Plan, target: Target, server: Server, count: int) -> list[Material]:
    """Local disks for the weights, the shared store, and memory of the hosts."""
    whole = checkpoint_bytes(target)
    memory = server.accelerator_count * target.accelerator.usable_bytes * HOST_MEMORY_RATIO / GIB
    memory = max(memory, 1.25 * whole / GIB / max(1, math.ceil(_replica(plan) / server.accelerator_count)))
    size = whole / 1e12
    return [
        Material("weights", size, "TB", f"{target.arch.name} in {target.scheme.name}", "computed from the config"),
        Material("local storage", count * COPIES * size, "TB",
                 f"{count} servers x {COPIES} copies (this version and the next) x {size:.3g} TB", "assumption", True),
        Material("shared storage", COPIES * size, "TB", f"{COPIES} versions, servers load from it", "assumption", True),
        Material("host memory", count * memory, "GiB",
                 f"{count} servers x {memory:,.0f} GiB: {HOST_MEMORY_RATIO:g} x the accelerators' memory, and at least "
                 "the weights of its share while they load", "assumption", True),
    ]  # fmt: skip


def _replica(plan: Plan) -> int:
    return max(1, plan.accelerators // max(plan.replicas, 1))


def _space_and_power(
    study: Study, target: Target, server: Server, count: int, switches: int, where: str, catalog: Catalog
) -> list[Material]:
    """Rack units, kilowatts, racks."""
    pue = ownership_terms(catalog, study.money.own).pue
    if server.rack_units is not None:
        units, said, assumed = server.rack_units, where, "rack_units" in server.unsourced
    else:
        units, said, assumed = server.accelerator_count * UNITS_PER_ACCELERATOR, "assumption: 1U an accelerator", True
    space = count * units + switches * SWITCH_UNITS
    lines = [
        Material("rack units", space, "U", f"{count} servers x {units}U + {switches} switches x {SWITCH_UNITS}U", said,
                 assumed),
    ]  # fmt: skip
    each, said, assumed = server_kilowatts(target.accelerator, server, catalog)
    if each is None:
        lines.append(Material("power", 0, "kW", "neither the server's nor the accelerator's power is known",
                              "unknown: ask the vendor", True))  # fmt: skip
        return lines
    power = count * each + switches * SWITCH_KW
    racks = max(math.ceil(space / RACK_UNITS), math.ceil(power / RACK_KW))
    return [
        *lines,
        Material("power", power, "kW",
                 f"{count} servers x {each:.3g} kW at most + {switches} switches x {SWITCH_KW:g} kW", said, assumed),
        Material("facility power", power * pue, "kW", f"power x PUE {pue:g}", "study, money.own.pue"),
        Material("racks", racks, "racks", f"of {RACK_UNITS}U and {RACK_KW:g} kW", "assumption", True),
    ]  # fmt: skip
