"""Mutants: one small fault at a time goes into a copy of the code, and the tests of its package must see it.

The faults are Cosmic Ray's: another operator, another comparison, a number that is one off, a condition turned round. A seed
chooses the places. The tests of the fault's own package run first; what passes them meets those of the other packages
(``--near`` leaves these out). A test run that takes five times as long as without the fault counts as caught. Prints a line
a mutant, then the survivors as diffs and the share caught. Ends with 0 whatever survives: reading the survivors is a
person's work, as some change nothing that can be seen. Not part of CI: sixty mutants take about half an hour.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("memory", "step", "serving", "money", "planning")
# Left out: bits (`|` is mostly a type here), decorators, exceptions, variables and keywords, whose mutants mean little.
ARITHMETIC = "(Add|Sub|Mul|Div|FloorDiv|Mod|Pow)"
KINDS = re.compile(
    rf"core/(ReplaceBinaryOperator_{ARITHMETIC}_{ARITHMETIC}|ReplaceComparisonOperator_\w+|NumberReplacer|AddNot"
    r"|ReplaceAndWithOr|ReplaceOrWithAnd|ReplaceTrueWithFalse|ReplaceFalseWithTrue|ReplaceUnaryOperator_\w+)$"
)
SLOWER, LEAST = 5.0, 60.0  # a mutant may take so many times the seconds of the unchanged code, and at least so many


def sites(path: Path) -> dict[tuple[int, int], list[tuple[str, int]]]:
    """Per place in a file (line, column), the operators that apply there: name and occurrence."""
    found: dict[tuple[int, int], list[tuple[str, int]]] = defaultdict(list)
    nodes = list(ast_nodes(get_ast(path.read_text(encoding="utf-8"))))
    for name in filter(KINDS.match, operator_names()):
        operator, count = get_operator(name)(), 0
        for node in nodes:
            for start, _ in operator.mutation_positions(node):
                found[start].append((name, count))
                count += 1
    return found


def sample(root: Path, packages: list[str], count: int, seed: int) -> list[tuple[Path, str, str]]:
    """``count`` mutants as (file, operator, mutated code): places by equal chance, then one operator for each."""
    files = sorted(path for package in packages for path in (root / "sizing" / package).rglob("*.py"))
    places = [(path, spot, choices) for path in files for spot, choices in sorted(sites(path).items())]
    chance = random.Random(seed)
    chance.shuffle(places)
    mutants: list[tuple[Path, str, str]] = []
    for path, (line, _), choices in places:
        if len(mutants) == count:
            break
        name, occurrence = chance.choice(choices)
        source = path.read_text(encoding="utf-8")
        code = mutate_code(source, get_operator(name)(), occurrence)
        with contextlib.suppress(SyntaxError):  # what is no Python is no mutant
            if code is not None and code != source and compile(code, str(path), "exec"):
                mutants.append((path, f"{path.relative_to(root)}:{line} {name.removeprefix('core/')}", code))
    return mutants


def copy_tree(target: Path) -> None:
    """What git knows or would add, as it stands now."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target / name)


def passes(python: Path, root: Path, tests: list[str], seed: int, timeout: float | None) -> bool:
    """Whether the tests pass in time; without the researched material, so that every machine runs the same ones."""
    env = {**os.environ, "PYTHONPATH": str(root)}
    env.pop("SIZING_SHARED", None)
    command = [str(python), "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", f"--hypothesis-seed={seed}", *tests]
    try:
        done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        return False
    if timeout is None and done.returncode:
        sys.exit(
            f"the tests fail without any mutant, so they can judge none:\n{done.stdout[-3000:]}{done.stderr[-1000:]}"
        )
    return done.returncode == 0


def put(path: Path, code: str) -> None:
    """Write the code, and drop the compiled file, which an equal size and second would keep alive."""
    path.write_text(code, encoding="utf-8")
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        compiled.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=60, help="mutants to try")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--packages", nargs="+", choices=PACKAGES, default=PACKAGES, metavar="PACKAGE")
    parser.add_argument("--near", action="store_true", help="only the tests of the mutant's own package")
    parser.add_argument(
        "--python", type=Path, default=ROOT / ".venv/bin/python", help="the one that has the tests' needs"
    )
    args = parser.parse_args()
    python = args.python.absolute()
    survivors: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "tree"
        copy_tree(root)
        limit = {}
        for package in args.packages if args.near else PACKAGES:
            start = time.monotonic()
            passes(python, root, [f"tests/{package}"], args.seed, None)
            limit[package] = max(LEAST, SLOWER * (time.monotonic() - start))
        mutants = sample(root, list(args.packages), args.count, args.seed)
        for number, (path, label, code) in enumerate(mutants, 1):
            source, own = path.read_text(encoding="utf-8"), path.relative_to(root).parts[1]
            put(path, code)
            rounds = [[own]] if args.near else [[own], [package for package in limit if package != own]]
            lives = all(
                passes(python, root, [f"tests/{part}" for part in parts], args.seed, sum(map(limit.__getitem__, parts)))
                for parts in rounds
            )
            put(path, source)
            print(f"{number:3}/{len(mutants)} {'SURVIVED' if lives else 'caught  '} {label}", flush=True)
            if lives:
                diff = difflib.unified_diff(source.splitlines(), code.splitlines(), label, "mutant", lineterm="", n=2)
                survivors.append("\n".join(diff))
    print(*survivors, sep="\n\n")
    print(f"\ncaught {len(mutants) - len(survivors)} of {len(mutants)} mutants, seed {args.seed}")


if __name__ == "__main__":
    main()
