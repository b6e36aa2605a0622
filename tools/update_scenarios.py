"""Rewrite the pinned estimates, plans and documents: ``python tools/update_scenarios.py "why the figures moved"``.

Prints old and new figures. The reason must stand in CHANGELOG.md under "### Sizing numbers" of the unreleased version.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests import pinned, scenarios  # noqa: E402


def acknowledged(reason: str) -> bool:
    """Whether the changelog's unreleased part has the reason in its list of changed figures."""
    unreleased = (
        (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").split("## [Unreleased]", 1)[-1].split("\n## ", 1)[0]
    )
    part = (
        unreleased.split("### Sizing numbers", 1)[1].split("\n### ", 1)[0] if "### Sizing numbers" in unreleased else ""
    )
    return bool(reason.strip()) and " ".join(reason.split()) in " ".join(part.split())


def estimates() -> None:
    """Rewrite the table of estimates, and print what moved."""
    old = scenarios.pinned() if scenarios.TABLE.exists() else []
    rows = [row | scenarios.figures(row) for row in scenarios.settings()]
    key = scenarios.SETTING
    known = {tuple(row[name] for name in key): row for row in old}
    for row in rows:
        before = known.get(tuple(row[name] for name in key))
        for change in scenarios.changes(before, row) if before else ["new"]:
            print(*(row[name] for name in key), change)
    with scenarios.TABLE.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, [*key, *scenarios.FIGURES], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def plans_and_documents(table: Path, rows: dict[str, pinned.Figures]) -> None:
    """Rewrite a table of pinned plans or documents, and print what moved."""
    old = pinned.pinned(table)
    for name, figures in rows.items():
        for change in pinned.changes(old[name], figures) if name in old else ["new"]:
            print(name, change)
        added = figures.keys() - old.get(name, figures).keys()
        if added:
            print(name, f"{len(added)} figures added")
    pinned.write(table, rows)


def main() -> int:
    """Exit with 2 where the reason is not in the changelog."""
    reason = " ".join(sys.argv[1:])
    if not acknowledged(reason):
        print(
            'say why, in CHANGELOG.md under "### Sizing numbers" of [Unreleased] and here in the same words',
            file=sys.stderr,
        )
        return 2
    estimates()
    for table, rows in pinned.all_figures().items():
        plans_and_documents(table, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
