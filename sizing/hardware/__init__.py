"""WHERE a model runs: accelerators, servers and prices as validated, immutable objects.

Nothing is read at import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sizing.hardware.catalog import Catalog, load_accelerator, load_catalog, resolve_accelerator
    from sizing.hardware.models import Accelerator, Server

_WHERE = {
    "Accelerator": "models",
    "Catalog": "catalog",
    "Server": "models",
    "load_accelerator": "catalog",
    "load_catalog": "catalog",
    "resolve_accelerator": "catalog",
}

__all__ = ["Accelerator", "Catalog", "Server", "load_accelerator", "load_catalog", "resolve_accelerator"]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
