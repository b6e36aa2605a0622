"""Imports point one way, as CONTRIBUTING.md says: read from the source, those inside functions included."""

from __future__ import annotations

import ast
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# From the ground up, every part of the package: a part may use those on lines before its own; parts of one line know
# nothing of each other. The package's own __init__ names what is public, wherever it lies, and has no place here.
LAYERS = (
    ("base",),
    ("coefficients",),
    ("hardware", "model", "workload"),
    ("study",),
    ("engine",),
    ("memory", "step"),
    ("money", "serving"),
    ("planning",),
    ("claims", "deploy", "evidence"),
    ("charts",),
    ("report",),
    ("doors", "web"),
    ("cli",),
    ("__main__",),
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


def data_files() -> dict[str, set[str]]:
    """The parts that have a data file of a name."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in (ROOT / "sizing").rglob("*.*"):
        if path.is_file() and path.suffix not in (".py", ".pyc"):
            found[path.name].add(path.relative_to(ROOT / "sizing").parts[0])
    return found


DATA = data_files()


def named(name: str, text: str | None = None) -> set[str]:
    """The parts that a module names in a string: a module of theirs (``resources.files``, ``import_module``), or a data
    file that they have and the module's own part has not. Texts for people are longer, and are no names."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8") if text is None else text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if node.value in MODULES:
                found.add(part(node.value))
            owners = DATA.get(node.value.rsplit("/", 1)[-1], set())
            found |= set() if part(name) in owners else owners
    return found - {part(name), ""}


PARTS: dict[str, set[str]] = defaultdict(set)
READS: dict[str, set[str]] = defaultdict(set)
for _name in MODULES:
    PARTS[part(_name)] |= {part(other) for other in imported(_name)} - {part(_name)}
    READS[part(_name)] |= named(_name)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}


def upward(name: str) -> set[tuple[str, str]]:
    """What a part uses, by import or as data, and may not: what stands beside or above it, or nowhere."""
    return {(name, other) for other in PARTS[name] | READS[name] if RANK.get(other, len(LAYERS)) >= RANK[name]}


def test_every_part_stands_in_the_list_once() -> None:
    listed = [name for names in LAYERS for name in names]
    assert len(listed) == len(set(listed))
    assert set(listed) == set(PARTS) - {""}
    folders = {path.name for path in (ROOT / "sizing").iterdir() if path.is_dir() and any(path.rglob("*.py"))}
    assert folders <= set(listed)


@pytest.mark.parametrize("name", RANK)
def test_a_part_uses_only_what_stands_below_it(name: str) -> None:
    assert upward(name) == set()


def test_data_of_another_part_are_seen() -> None:
    """Whether the package of a data file is named, or the file alone; one's own file is no use of another's."""
    for text, parts in (
        ('files("sizing.coefficients").joinpath("serving.yaml")', {"coefficients"}),
        ('Path(root) / "coefficients" / "serving.yaml"', {"coefficients"}),
        ('open("../web/messages.yaml")', {"web"}),
        ('import_module("sizing.planning.planner")', {"planning"}),
        ('raise ValueError("see serving.yaml of sizing.coefficients")', set()),
        ('files("sizing.model").joinpath("catalog")', set()),
    ):
        assert named("sizing.model.config", text) == parts
    assert "serving.yaml" in DATA and "messages.yaml" in DATA


def test_nothing_imports_the_faces() -> None:
    users = {name for name, found in PARTS.items() if name and found & FACES}
    assert users - FACES == {"__main__"}


def test_no_part_and_no_module_imports_in_a_circle() -> None:
    modules = {name: imported(name) for name in MODULES if name != "sizing"}
    # from_quantization_config reads its keys with quant_config, which builds on its schemes; the import waits for a call.
    modules["sizing.model.quantization.schemes"].discard("sizing.model.quantization.config")
    parts = {name: found for name, found in PARTS.items() if name}
    for graph in (parts, modules):
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as circle:
            pytest.fail(" -> ".join(circle.args[1]))


def test_how_long_the_chain_of_parts_is() -> None:
    """Levels of import: no longer than the list itself, where each line may stand on the one before."""
    levels: dict[str, int] = {}
    for name in TopologicalSorter({name: PARTS[name] - {""} for name in RANK}).static_order():
        levels[name] = 1 + max((levels[other] for other in PARTS[name] - {""}), default=0)
    assert max(levels.values()) <= len(LAYERS)
    at_the_top = [path.name for path in (ROOT / "sizing").glob("*.py")]
    assert len(at_the_top) <= 6, "what is new belongs to a package"
