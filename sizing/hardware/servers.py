"""Which servers hold an accelerator, and which one to assume where nobody says."""

from __future__ import annotations

from sizing.errors import SizingError
from sizing.hardware.loader import Catalog, load_catalog
from sizing.hardware.models import Accelerator, IntraNode, Server


def servers_for(accelerator_id: str, catalog: Catalog | None = None) -> list[Server]:
    """All servers and racks that the accelerator is sold in, the default one first.

    For a part of an accelerator they are the parent's, with the count in parts.
    """
    catalog = catalog or load_catalog()
    accelerator, _ = catalog.resolve(accelerator_id)
    wanted = accelerator.parent or accelerator.id
    found = [s for s in catalog.servers.values() if wanted == s.accelerator or wanted in s.also_fits]
    found.sort(key=lambda server: (not server.default, wanted != server.accelerator))
    return [_for_accelerator(server, accelerator, catalog) for server in found]


def default_server(accelerator_id: str, catalog: Catalog | None = None) -> Server:
    """The server to assume; its ``accelerator_count`` is the size of the scale-up domain.

    Where the catalog has none, a generic one (``generic`` is true) with the accelerator's own link and the
    number that fits a server; ``SizingError`` where not even that is known.
    """
    catalog = catalog or load_catalog()
    known = servers_for(accelerator_id, catalog)
    if known:
        return known[0]
    accelerator, _ = catalog.resolve(accelerator_id)
    if accelerator.max_per_server is None:
        raise SizingError("no server is known for this accelerator", key=accelerator.id, hint="add one under servers:")
    return Server(
        id=f"generic-{accelerator.id}",
        name=f"server of {accelerator.max_per_server} x {accelerator.name}",
        accelerator=accelerator.id,
        accelerator_count=accelerator.max_per_server,
        generic=True,
        intra_node=IntraNode(
            fabric=accelerator.interconnect.type,
            gb_s_per_direction=accelerator.interconnect.gb_s_per_direction,
        ),
        note="no server of this accelerator is in the catalog: network, power and price are unknown",
        unsourced=("accelerator_count",),
    )


def _for_accelerator(server: Server, accelerator: Accelerator, catalog: Catalog) -> Server:
    """The server as it is with this accelerator in it (a sibling or a part of the one it is listed with)."""
    if server.accelerator == accelerator.id:
        return server
    update: dict[str, object] = {"accelerator": accelerator.id, "also_fits": ()}
    part = catalog.slices.get(accelerator.id)
    if part is not None:
        link = accelerator.interconnect.gb_s_per_direction
        update["accelerator_count"] = server.accelerator_count * part.instances_per_parent
        update["accelerators_per_host"] = server.host_size * part.instances_per_parent
        update["intra_node"] = server.intra_node.model_copy(update={"gb_s_per_direction": link})
    return server.model_copy(update=update)
