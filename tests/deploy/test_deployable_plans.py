"""No plan is offered that its launch files could not start: slices, hosts of a rack, pools."""

from __future__ import annotations

import pytest

import sizing
from sizing.base.errors import PlacementError
from sizing.deploy import deployment_files
from sizing.deploy.plan_spec import spec_of
from sizing.engine.placement import Placement
from sizing.hardware import default_server, load_catalog
from sizing.planning.estimate import estimate


def planned(model: str, on: str, **given: object) -> sizing.Result:
    return sizing.plan(sizing.quick_study(model, input_tokens=500, output_tokens=100, rate=1, on=[on], **given))


def test_a_replica_is_one_slice() -> None:
    result = planned("Qwen/Qwen3-0.6B", "a100-80gb-sxm-mig-1g.10gb")
    assert result.plans
    assert {plan.placement["tp"] * plan.placement["pp"] * plan.placement["dp"] for plan in result.plans} == {1}
    with pytest.raises(PlacementError, match="no replica spans several slices"):
        estimate("Qwen/Qwen3-0.6B", "a100-80gb-sxm-mig-1g.10gb", Placement(2), input_tokens=100, output_tokens=10)


@pytest.mark.parametrize(("accelerator", "host"), [("gb200", 4), ("gb300", 4), ("h100-sxm", 8)])
def test_launch_files_start_hosts(accelerator: str, host: int) -> None:
    """A tray of an NVL72 is a host of four, whatever its fabric joins."""
    assert default_server(accelerator, load_catalog()).host_size == host
    result = planned("Qwen/Qwen3-235B-A22B", accelerator)
    for plan in result.plans:
        spec = spec_of(result, plan, date="2026-11-30")
        assert spec.accelerators_per_node == host
        assert deployment_files(spec, "all")


@pytest.mark.parametrize("engine", ["tensorrt-llm"])
def test_pools_are_planned_where_they_can_be_written(engine: str) -> None:
    study = sizing.quick_study("Qwen/Qwen3-8B", input_tokens=500, output_tokens=100, rate=1, on=["h100-sxm"])
    given = study.engine.model_copy(update={"names": (engine,), "disaggregated": "try"})
    result = sizing.plan(study.model_copy(update={"engine": given}))
    assert all(plan.mode == "aggregated" for plan in result.plans)
    assert "no_launch_files" in {item.code for item in result.rejected}


def test_launch_files_ask_for_no_more_requests_than_states() -> None:
    """vLLM does not start a hybrid with more running requests than its pool has blocks of state."""
    result = planned("Qwen/Qwen3.8-27B", "h100-sxm")
    for plan in result.plans:
        if plan.placement["tp"] == 1:
            spec = spec_of(result, plan, date="2026-11-30")
            assert spec.max_num_seqs < 1024
            assert any(f"max_num_seqs {spec.max_num_seqs}," in text for text in plan.assumptions)
            return
    pytest.skip("no plan of one accelerator")
