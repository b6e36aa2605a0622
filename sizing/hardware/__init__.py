"""WHERE a model runs: accelerators, servers and prices as validated, immutable objects.

Nothing is read at import: each name below is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sizing.hardware.check import Finding, check_file
    from sizing.hardware.loader import Catalog, load_accelerator, load_catalog, read_catalog, resolve_accelerator
    from sizing.hardware.models import Accelerator, Server
    from sizing.hardware.price_models import Price
    from sizing.hardware.servers import default_server, servers_for

_WHERE = {
    "Accelerator": "models",
    "Catalog": "loader",
    "Finding": "check",
    "Price": "price_models",
    "Server": "models",
    "check_file": "check",
    "default_server": "servers",
    "load_accelerator": "loader",
    "load_catalog": "loader",
    "read_catalog": "loader",
    "resolve_accelerator": "loader",
    "servers_for": "servers",
}

__all__ = [
    "Accelerator",
    "Catalog",
    "Finding",
    "Price",
    "Server",
    "check_file",
    "default_server",
    "load_accelerator",
    "load_catalog",
    "read_catalog",
    "resolve_accelerator",
    "servers_for",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
