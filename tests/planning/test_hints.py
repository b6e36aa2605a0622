"""Hints: what is offered fits, one change at a time; nothing is offered where nothing helps."""

from __future__ import annotations

import pytest

from sizing.engine.placement import Placement
from sizing.planning.capacity import nodes_needed
from sizing.planning.hints import Asked, hints, least_size
from sizing.planning.target import resolve_target


def asked(model: str, on: str, **flags: object) -> Asked:
    return Asked(resolve_target(model, on), Placement(), dict(flags))


def test_a_larger_replica_a_smaller_format_a_shorter_context() -> None:
    assert hints(asked("Qwen/Qwen3-32B", "rtx-4090")) == ["--tp 4"]
    found = hints(asked("Qwen/Qwen3-32B", "h100-sxm", context=40_960, memory_utilization=0.9))
    assert any(item.startswith("--weights fp8") for item in found)
    assert any(item.startswith("--context ") for item in found)
    assert "--tp 2" in found


def test_each_hint_fits() -> None:
    case = asked("Qwen/Qwen3-32B", "h100-sxm", context=40_960, memory_utilization=0.85)
    names = {"--memory-utilization": "memory_utilization", "--max-num-seqs": "max_num_seqs", "--context": "context"}
    for item in hints(case):
        flag, _, value = item.partition(" ")
        if flag in names:
            number = float(value) if "." in value else int(value)
            assert case.fits(**{names[flag]: number})


def test_servers_of_a_replica() -> None:
    assert any(
        "(2 servers a replica)" in item for item in hints(asked("meta-llama/Llama-3.1-405B-Instruct", "h100-sxm"))
    )


def test_nothing_where_it_fits() -> None:
    assert hints(asked("Qwen/Qwen3-8B", "h100-sxm", context=8192)) == []


@pytest.mark.parametrize(
    ("model", "on", "tp"),
    [
        ("Qwen/Qwen3-8B", "h100-sxm", 1),
        ("Qwen/Qwen3-32B", "rtx-4090", 4),
        ("meta-llama/Llama-3.1-405B-Instruct", "h200-sxm", 8),  # the whole host
    ],
)
def test_the_least_size(model: str, on: str, tp: int) -> None:
    found = least_size(asked(model, on))
    assert found is not None
    assert int(found.tp) == tp


@pytest.mark.parametrize(("model", "nodes"), [("deepseek-ai/DeepSeek-V3", 4), ("Qwen/Qwen3-8B", 2)])
def test_servers_that_a_replica_may_span(model: str, nodes: int) -> None:
    """4 x 671 GB in servers of 8 x 79 GiB are four; a small model may still span two."""
    assert nodes_needed(resolve_target(model, "h100-sxm")) == nodes
