"""The command that starts the web calculator."""

from __future__ import annotations

from typing import Annotated

import typer

from sizing.base.errors import SizingError


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("app")(start)


def start(
    port: Annotated[int, typer.Option("--port", help="Port to listen on.")] = 8501,
    address: Annotated[str, typer.Option("--address", help="Address to listen on.")] = "localhost",
    headless: Annotated[bool, typer.Option("--headless", help="Do not open a browser.")] = False,
) -> None:
    """Open the web calculator (needs the extra: pip install 'llm-sizing[web]')."""
    if not 1 <= port <= 65535:
        raise SizingError(f"must be from 1 to 65535, not {port}", key="--port")
    try:
        import streamlit  # noqa: F401
    except ImportError:
        raise SizingError("needs Streamlit", key="sizing app", hint="pip install 'llm-sizing[web]'") from None
    from sizing.web.launch import launch

    launch(port=port, address=address, headless=headless)
