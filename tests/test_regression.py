"""No predicted figure moves unnoticed; see tools/update_scenarios.py."""

from __future__ import annotations

import pytest

from tests import scenarios


@pytest.fixture(scope="module")
def table() -> list[scenarios.Row]:
    return scenarios.pinned()


def test_the_table_has_every_setting(table) -> None:
    assert [{name: row[name] for name in scenarios.SETTING} for row in table] == scenarios.settings()
    answered = [row for row in table if not row[scenarios.FIGURES[0]].startswith("refused")]
    assert len(answered) >= 85


def test_no_figure_moved(table) -> None:
    moved = []
    for row in table:
        found = scenarios.changes(row, scenarios.figures(row))
        if found:
            moved.append(" ".join(row[name] for name in scenarios.SETTING) + "\n    " + "\n    ".join(found))
    assert not moved, (
        f"{len(moved)} of {len(table)} scenarios moved by more than {scenarios.TOLERANCE:.1%}. If that is meant, say why in "
        "CHANGELOG.md under 'Sizing numbers' and run tools/update_scenarios.py.\n" + "\n".join(moved)
    )
