"""Start the web calculator from an installed package: ``sizing app``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

THEME = Path(__file__).with_name("theme.toml")


def launch(port: int = 8501, address: str = "localhost", headless: bool = False) -> None:
    """Run Streamlit in this process until it is stopped; does not return before."""
    from streamlit.web import cli

    sys.argv = ["streamlit", *arguments(port, address, headless)]
    cli.main(prog_name="streamlit")


def arguments(port: int, address: str, headless: bool) -> list[str]:
    """The command line for Streamlit, the theme and limits among it."""
    page = Path(__file__).with_name("front") / "app_file.py"
    found = ["run", str(page), f"--server.port={port}", f"--server.address={address}"]
    if headless or (not os.environ.get("DISPLAY") and sys.platform.startswith("linux")):
        found.append("--server.headless=true")
    return [*found, *options()]


def options() -> list[str]:
    """The settings of ``theme.toml`` as flags, so that an installed package looks like a checkout."""
    import tomllib

    def flags(prefix: str, table: dict[str, object]) -> list[str]:
        lines: list[str] = []
        for key, value in table.items():
            if isinstance(value, dict):
                lines += flags(f"{prefix}{key}.", value)
            elif not isinstance(value, list):
                text = str(value).lower() if isinstance(value, bool) else str(value)
                lines.append(f"--{prefix}{key}={text}")
        return lines

    return [flag for flag in flags("", tomllib.loads(THEME.read_text(encoding="utf-8"))) if "headless" not in flag]
