"""The search: tabulated against direct evaluation, chunks, and any executor."""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest

from sizing.engine.layouts import Space, enumerate_placements
from sizing.planning import search
from sizing.planning.candidates import Demand, survey
from sizing.planning.planner import plan
from sizing.planning.target import resolve_target
from sizing.serving import batch_grid, load_curve, tabulated_curve
from sizing.study import EngineChoice, parse_study

STUDY = {
    "model": "Qwen3-32B",
    "workload": "chat",
    "hardware": ["h100-sxm", "a100-80gb-sxm"],
    "engine": {"disaggregated": "try"},
}


def text(answer):
    return json.dumps(answer.to_dict(), sort_keys=True)


@pytest.fixture(scope="module")
def study():
    return parse_study(STUDY)


@pytest.fixture(scope="module")
def alone(study):
    return text(plan(study))


def test_threads_give_the_same(study, alone):
    with ThreadPoolExecutor(2) as pool:
        assert text(plan(study, executor=pool)) == alone


def test_processes_give_the_same(study, alone):
    with ProcessPoolExecutor(2) as pool:
        assert text(plan(study, executor=pool)) == alone


@pytest.mark.slow
def test_dask_gives_the_same(study, alone):
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        assert text(plan(study, executor=client.get_executor())) == alone


def test_tabulated_times_are_close_to_direct_ones():
    target = resolve_target("DeepSeek-R1", "h200-sxm")
    ground = survey(target, Demand.fixed(2000, 500), Space(target.node_size, 2), EngineChoice())
    places = ground.rows(slice(None))
    nodes = batch_grid(ground.limit, search.NODES, search.LEAST_BATCH)
    load = ground.load_of(slice(None))
    fine = tabulated_curve(target.step, places, load, ground.batching, nodes, 4)
    direct = load_curve(target.step, places, load, ground.batching, fine.in_flight)
    off = np.abs(fine.decode_step_s / direct.decode_step_s - 1)
    assert np.percentile(off, 99) < 0.03
    assert off.max() < 0.1


def test_chunks_do_not_matter(study, monkeypatch):
    target = resolve_target("Qwen3-235B-A22B", "h100-sxm")
    demand = Demand.of(study.workload, target, None)
    whole = search.evaluate(study, target, demand)
    monkeypatch.setattr(search, "CHUNK_POINTS", 1)
    cut = search.evaluate(study, target, demand)
    assert np.array_equal(whole.max_carried, cut.max_carried)
    assert np.array_equal(whole.replicas, cut.replicas)
    assert whole.evaluated == cut.evaluated


def test_what_does_not_fit_is_not_timed_and_carries_nothing(study):
    target = resolve_target("Qwen3-235B-A22B", "h100-sxm")
    demand = Demand.of(study.workload, target, None)
    found = search.evaluate(study, target, demand)
    fits = found.fits.astype(bool)
    assert 0 < fits.sum() < len(fits)
    assert np.isinf(found.replicas[~fits]).all() and not found.max_carried[~fits].any()
    assert np.isnan(found.curve.tpot_s[~fits]).all() and np.isfinite(found.curve.tpot_s[fits]).all()
    ground = survey(target, demand, search.space_of(study, target), study.engine)
    assert np.array_equal(search.most_carried(ground, study.workload.targets), found.max_carried[fits])


def test_whole_servers_are_enumerated():
    arch = resolve_target("DeepSeek-R1", "h800-sxm").arch
    found = {place.describe() for place in enumerate_placements(arch, Space(8, 18))}
    assert {"TP1 DP144 EP144", "TP1 DP32 EP32", "TP8 DP18 EP144", "TP2 DP12 EP24"} <= found
    assert "TP1 DP12 EP12" not in found
    assert all(
        place.accelerators <= 8 or place.accelerators % 8 == 0 for place in enumerate_placements(arch, Space(8, 5))
    )
