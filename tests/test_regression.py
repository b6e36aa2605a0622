"""No predicted figure, plan or document moves unnoticed; see tools/update_scenarios.py."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import pinned, scenarios


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
        f"{len(moved)} of {len(table)} scenarios moved by more than {scenarios.TOLERANCE:.0e}. If that is meant, say why in "
        "CHANGELOG.md under 'Sizing numbers' and run tools/update_scenarios.py.\n" + "\n".join(moved)
    )


@pytest.fixture(scope="module")
def plans() -> dict[str, pinned.Figures]:
    return pinned.pinned(pinned.PLANS)


@pytest.fixture(scope="module")
def documents() -> dict[str, pinned.Figures]:
    return pinned.pinned(pinned.DOCUMENTS)


def unmoved(name: str, old: pinned.Figures, new: pinned.Figures) -> None:
    moved = pinned.changes(old, new)
    assert not moved, (
        f"{name}: {len(moved)} of {len(old)} pinned figures moved. If that is meant, say why in CHANGELOG.md under 'Sizing "
        "numbers' and run tools/update_scenarios.py.\n    " + "\n    ".join(moved[:40])
    )


def test_every_case_is_pinned(plans, documents) -> None:
    assert list(plans) == list(pinned.studies()) and list(documents) == pinned.commands()
    answered = [row for row in plans.values() if row.get("found")]
    assert len(answered) >= 30
    assert {row["plans[0].mode"] for row in answered} == {"aggregated", "disaggregated"}
    engines = {value for row in answered for path, value in row.items() if path.endswith("].engine")}
    assert engines >= {"vllm", "sglang", "tensorrt-llm", "vllm-ascend", "mindie"}
    assert sum("refused" not in row for row in documents.values()) >= 60


@pytest.mark.parametrize("name", pinned.studies())
def test_no_plan_moved(plans, name: str) -> None:
    unmoved(name, plans[name], pinned.plan_figures(name))


@pytest.mark.parametrize("command", pinned.commands())
def test_no_document_moved(documents, command: str) -> None:
    unmoved(command, documents[command], pinned.document_figures(command))


def test_the_gate_sees_small_changes() -> None:
    old = {"tokens": 1000, "share": 0.5, "name": "a", "fits": True, "none": None, "whole": 3}
    assert pinned.changes(old, {**old, "share": 0.5 + 1e-7, "new": 1, "whole": 3.0}) == []
    for path, value in {"tokens": 1001, "share": 0.500001, "name": "b", "fits": False, "none": 0, "whole": 4}.items():
        assert [line.split(":")[0] for line in pinned.changes(old, {**old, path: value})] == [path]
    assert pinned.changes(old, {}) and all(line.endswith("-> gone") for line in pinned.changes(old, {}))


def test_documents_become_flat_figures() -> None:
    document = {
        "model": "M", "refused": "--tp", "notes": "x", "price": {"usd": 1}, "bytes": 3.0, "share": 1 / 3,
        "ledger": [{"name": "weights", "value": 2}, {"value": 5, "formula": "a"}],
        "pools": [{"role": "decode", "instances": 2}],
    }  # fmt: skip
    assert dict(pinned.leaves(document)) == {
        "model": "M", "refused": "--tp", "bytes": 3, "share": 0.3333333333, "ledger[weights].value": 2, "ledger[1].value": 5,
        "pools[decode].role": "decode", "pools[decode].instances": 2,
    }  # fmt: skip


def test_documents_are_not_written_over_another_run(tmp_path) -> None:
    (tmp_path / "left.json").write_text("{}", encoding="utf-8")
    tool = Path(__file__).parents[1] / "tools" / "pin_json.py"
    run = subprocess.run([sys.executable, str(tool), str(tmp_path)], capture_output=True, text=True)
    assert run.returncode == 2 and "not empty" in run.stderr
