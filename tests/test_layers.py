"""Imports point one way, as CONTRIBUTING.md says: read from the source, those inside functions included."""

from __future__ import annotations

import ast
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# From the ground up. A part may import those on lines before its own; parts of one line know nothing of each other.
LAYERS = (
    ("arrays", "errors", "normal", "units"),
    ("dates", "files"),
    ("model", "hardware", "kernels", "workload"),
    ("engine", "study"),
    ("operations", "memory", "machine"),
    ("operation_times",),
    ("step",),
    ("serving",),
    ("evidence",),
    ("target",),
    ("estimate",),
    ("survey",),
    ("search",),
    ("layout_plans", "pool_plan"),
    ("planner",),
    ("report",),
    ("web",),
    ("cli",),
)
FACES = {"report", "web", "cli"}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in (ROOT / "sizing").rglob("*.py")}


def imported(name: str) -> set[str]:
    """The package's own modules that a module names in an import, anywhere in its text."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative import"
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {full if full in MODULES else str(node.module) for full in whole}
    return (found & MODULES.keys()) - {name, "sizing"}


def part(module: str) -> str:
    """``sizing.model.config`` -> ``model``."""
    return module.split(".")[1] if "." in module else ""


PARTS: dict[str, set[str]] = defaultdict(set)
for _name in MODULES:
    PARTS[part(_name)] |= {part(other) for other in imported(_name)} - {part(_name)}
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}


def test_the_layers_are_parts_of_the_package() -> None:
    assert set(RANK) <= set(PARTS) and PARTS["planner"] and PARTS["cli"]


@pytest.mark.parametrize("name", RANK)
def test_a_part_imports_only_what_stands_below_it(name: str) -> None:
    assert {other for other in PARTS[name] if RANK.get(other, -1) >= RANK[name]} == set()


def test_nothing_imports_the_faces() -> None:
    users = {name for name, found in PARTS.items() if found & FACES}
    assert users - FACES == {"__main__"}


def test_no_part_and_no_module_imports_in_a_circle() -> None:
    modules = {name: imported(name) for name in MODULES if name != "sizing"}
    # from_quantization_config reads its keys with quant_config, which builds on its schemes; the import waits for a call.
    modules["sizing.model.quantization"].discard("sizing.model.quant_config")
    for graph in ({name: found for name, found in PARTS.items() if name}, modules):
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as circle:
            pytest.fail(" -> ".join(circle.args[1]))
