"""Which servers hold an accelerator, and which one to assume where nobody says."""

from __future__ import annotations

from sizing.base.errors import SizingError, UnknownNameError, unknown_name
from sizing.hardware.loader import Catalog, load_catalog
from sizing.hardware.models import Accelerator, IntraNode, Server


def servers_for(accelerator_id: str, catalog: Catalog | None = None) -> list[Server]:
    """All servers and racks that the accelerator is sold in: those of a file of one's own first, then the default one.

    For a part of an accelerator they are the parent's, with the count in parts.
    """
    catalog = catalog or load_catalog()
    accelerator, _ = catalog.resolve(accelerator_id)
    wanted = accelerator.parent or accelerator.id
    found = [s for s in catalog.servers.values() if wanted == s.accelerator or wanted in s.also_fits]
    own = catalog.own_server_ids
    found.sort(key=lambda server: (server.id not in own, not server.default, wanted != server.accelerator))
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


def named_server(accelerator_id: str, name: str, catalog: Catalog | None = None) -> Server:
    """The server of that id, with this accelerator in it.

    Raises SizingError (key ``server``) for a name that no server has, and for a server that holds other accelerators;
    the hint says which servers hold this one.
    """
    catalog = catalog or load_catalog()
    accelerator, _ = catalog.resolve(accelerator_id)
    wanted = name.strip().lower()
    fitting = servers_for(accelerator.id, catalog)
    if not fitting:
        fitting = [default_server(accelerator.id, catalog)]
    for server in fitting:
        if wanted in (server.id.lower(), server.name.lower()):
            return server
    hint = f"servers of {accelerator.id}: {', '.join(server.id for server in fitting)}"
    for server in catalog.servers.values():
        if wanted in (server.id.lower(), server.name.lower()):
            holds = ", ".join((server.accelerator, *server.also_fits))
            raise SizingError(f"{server.id} holds {holds}, not {accelerator.id}", key="server", hint=hint)
    error = unknown_name("server", name, catalog.servers, key="server")
    raise UnknownNameError(error.message, key="server", hint=hint)


def box_of(server: Server, accelerator: Accelerator, count: int) -> Server:
    """The server with just ``count`` accelerators in it, where these are cards that are bought one by one.

    Its host power [kW] and network cards are the full server's shares: valid where a smaller host goes with fewer cards.
    The server itself where it is a board's, or no larger than ``count``.
    """
    if not accelerator.is_card or count >= server.accelerator_count:
        return server
    share = count / server.accelerator_count
    scale_out = server.scale_out
    update: dict[str, object] = {
        "id": f"{server.id}-with-{count}",
        "name": f"server with {count} x {accelerator.name}",
        "accelerator_count": count,
        "generic": True,
        "rack_units": None,
        "price": None,
        "max_power_kw": None if server.max_power_kw is None else server.max_power_kw * share,
        "host_power_kw": None if server.host_power_kw is None else server.host_power_kw * share,
    }
    if scale_out is not None:
        update["scale_out"] = scale_out.model_copy(update={"count": max(1, round(scale_out.count * share))})
    return server.model_copy(update=update)


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
