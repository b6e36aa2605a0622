"""Plans, and documents of ``memory``, ``kv`` and ``params``, whose figures are pinned; beside ``scenarios``' estimates.

The command line is asked, for it is what people rely on, and it stays while the modules behind it move. A figure's key
is its path in the JSON document; a new key is no fault, one that is gone or has another value is.
"""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import yaml

import sizing
from sizing.cli import app

DATA = Path(__file__).parent / "data"
STUDIES = DATA / "pinned" / "plans.yaml"
COMMANDS = DATA / "pinned" / "documents.txt"
OWN = DATA / "pinned" / "own_accelerators.yaml"
PLANS = DATA / "pinned" / "plans.json"
DOCUMENTS = DATA / "pinned" / "documents.json"
TABLES = (PLANS, DOCUMENTS)
TOLERANCE = 1e-6  # of a figure with a fraction; whole numbers must be equal
FIRST = 3  # plans of a study that are pinned in full

#: Texts that are an answer. All others explain one, and may be put in better words.
NAMES = {
    "accelerator", "binding", "bottleneck", "engine", "engine_version", "kind", "kv_dtype", "label", "mode", "model",
    "refused", "role", "server", "unit", "weights",
}  # fmt: skip
#: Explanations, the question itself, and what depends on the date of today.
LEFT_OUT = {"assumptions", "confidence", "dated", "inputs", "json_version", "price", "stale", "study"}

Figures = dict[str, Any]


def studies() -> dict[str, dict[str, Any]]:
    """The studies by name."""
    found: dict[str, dict[str, Any]] = yaml.safe_load(STUDIES.read_text(encoding="utf-8"))
    return found


def commands() -> list[str]:
    """The commands, in their order."""
    lines = COMMANDS.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def answer(*arguments: str) -> dict[str, Any]:
    """The JSON document of a command; ``{"refused": key}`` where the command line would end with one line and code 2."""
    out = io.StringIO()
    try:
        with redirect_stdout(out), redirect_stderr(io.StringIO()):
            app(args=[*arguments, "--json"], standalone_mode=False)
    except sizing.SizingError as error:
        return {"refused": getattr(error, "rule", None) or error.key}
    document: dict[str, Any] = json.loads(out.getvalue())
    return document


def plan_document(name: str) -> dict[str, Any]:
    """The whole document of ``sizing plan`` for a pinned study."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "study.yaml"
        file.write_text(yaml.safe_dump(studies()[name]), encoding="utf-8")
        return answer("plan", str(file), *(["--catalog", str(OWN)] if name.startswith("own-") else []))


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Paths and figures of a document. Items of a list go by their name where they have one, else by their place."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key not in LEFT_OUT and (not isinstance(item, str) or key in NAMES):
                yield from leaves(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for place, item in enumerate(value):
            name = (
                next((item[key] for key in ("name", "role") if key in item), None) if isinstance(item, dict) else None
            )
            yield from leaves(item, f"{path}[{place if name is None else name}]")
    elif not isinstance(value, float) or value.is_integer():
        yield path, int(value) if isinstance(value, float) and abs(value) < 2**53 else value
    else:
        yield path, float(f"{value:.10g}")


def plan_figures(name: str) -> Figures:
    """A study's first plans, what they need and are worth, and how many candidates fell for which reason."""
    document = plan_document(name)
    rejected: Counter[str] = Counter()
    for item in document.get("rejected", ()):
        rejected[item["code"]] += item["count"]
    figures = {
        "refused": document.get("refused"),
        "found": len(document.get("plans", ())),
        "evaluated": document.get("evaluated"),
        "rejected": dict(sorted(rejected.items())),
        "plans": document.get("plans", [])[:FIRST],
        "pareto": [item["label"] for item in document.get("pareto", ())],
        "materials": {item["name"]: item["quantity"] for item in (document.get("materials") or {}).get("lines", ())},
        "break_even": {item["api"]: item["requests_per_month"] for item in document.get("break_even", ())},
    }
    return dict(leaves(figures))


def document_figures(command: str) -> Figures:
    """The figures of a pinned command."""
    return dict(leaves(answer(*command.split())))


def all_figures() -> dict[Path, dict[str, Figures]]:
    """Every table as the present code has it."""
    return {
        PLANS: {name: plan_figures(name) for name in studies()},
        DOCUMENTS: {command: document_figures(command) for command in commands()},
    }


def pinned(table: Path) -> dict[str, Figures]:
    """A committed table; empty where there is none yet."""
    found: dict[str, Figures] = json.loads(table.read_text(encoding="utf-8")) if table.exists() else {}
    return found


def write(table: Path, rows: dict[str, Figures]) -> None:
    """Write a table, a figure a line."""
    table.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def changes(old: Figures, new: Figures) -> list[str]:
    """``path: old -> new (+x%)`` for each figure of ``old`` that moved or is gone."""
    moved = []
    for path, before in old.items():
        after = new.get(path, "gone")
        numbers = all(type(value) in (int, float) for value in (before, after))
        if numbers and type(before) is type(after) is int:
            same = before == after
        elif numbers:
            same = abs(after - before) <= TOLERANCE * abs(before)
        else:
            same = type(before) is type(after) and before == after
        if not same:
            share = f" ({after / before - 1:+.2g})" if numbers and before else ""
            moved.append(f"{path}: {before} -> {after}{share}")
    return moved


def all_documents() -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and whole JSON document of every pinned case, the estimates of ``scenarios.csv`` among them."""
    for name in studies():
        yield f"plan/{name}", plan_document(name)
    for command in commands():
        yield command.replace("/", "-").replace(" --", "/", 1).replace(" ", "_"), answer(*command.split())
    with (DATA / "scenarios.csv").open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            sizes = [f"--{axis}={row[axis]}" for axis in ("tp", "pp", "dp", "ep")]
            lengths = [f"--{name}={row[name]}" for name in ("input", "output", "concurrency")]
            asked = [row["model"], f"--on={row['accelerator']}", f"--weights={row['weights']}", *sizes, *lengths]
            yield "estimate/" + "_".join(asked).replace("/", "-").replace("--", ""), answer("estimate", *asked)
