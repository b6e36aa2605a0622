"""The web calculator. It asks the API for every figure and computes none."""

from pathlib import Path

ICON = str(Path(__file__).with_name("icon.png"))
