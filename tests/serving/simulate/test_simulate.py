"""The simulator: laws that must hold, and agreement with a plain step-by-step one."""

from collections import deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sizing.base.errors import SizingError
from sizing.serving.simulate import (
    AffineStepTimes,
    ClusterConfig,
    Disaggregation,
    InterpolatedStepTimes,
    Requests,
    SchedulerConfig,
    simulate,
)
from sizing.workload import BatchArrival, ConcurrencyArrival, RateArrival, UsersArrival, preset

STEPS = AffineStepTimes(8e-3, 2e-5, 1e-8, 5e-5, 1e-10)


def requests(n=300, rate=5.0, mean_in=1000, mean_out=100, seed=0, hit=0.0):
    rng = np.random.default_rng(seed)
    inputs = np.maximum(1, rng.exponential(mean_in, n)).astype(np.int64)
    outputs = np.maximum(1, rng.exponential(mean_out, n)).astype(np.int64)
    return Requests(np.cumsum(rng.exponential(1 / rate, n)), inputs, outputs, (inputs * hit).astype(np.int64))


def scheduler(**more):
    given = {"max_num_seqs": 64, "max_num_batched_tokens": 2048, "cache_blocks": 20_000} | more
    return SchedulerConfig(**given)


def run(req, steps=STEPS, cluster=None, **more):
    return simulate(req, ClusterConfig(scheduler=scheduler(**more), **(cluster or {})), steps)


def plain(req, config, steps):
    """One step at a time, one token at a time; no preemption. Returns first token and finish times."""
    n = len(req.arrival_s)
    first, finish = np.zeros(n), np.zeros(n)
    waiting, decode, partial, now, nxt = deque(), {}, None, 0.0, 0
    while nxt < n or waiting or decode or partial:
        if not (waiting or decode or partial):
            now = max(now, req.arrival_s[nxt])
        while nxt < n and req.arrival_s[nxt] <= now:
            waiting.append(nxt)
            nxt += 1
        mixed = config.scheduling == "mixed"
        room = config.max_num_batched_tokens - (len(decode) if mixed else 0)
        tokens, weight, done = 0, 0.0, []
        while room > 0 and (partial or (waiting and len(decode) + len(done) < config.max_num_seqs)):
            if partial is None:
                i = waiting.popleft()
                partial = (i, int(req.cached_tokens[i]))
            i, at = partial
            take = min(room, int(req.input_tokens[i]) - at)
            tokens, weight, room = tokens + take, weight + take * (at + take / 2), room - take
            partial = (i, at + take)
            if at + take == req.input_tokens[i]:
                done.append(i)
                partial = None
        moving = decode if mixed or not tokens else {}
        context = sum(moving.values()) / len(moving) if moving else 0.0
        now += float(steps.step_seconds(len(moving), context, tokens, weight / max(tokens, 1)))
        for i in list(moving):
            decode[i] += 1
            if decode[i] == req.input_tokens[i] + req.output_tokens[i]:
                finish[i] = now
                del decode[i]
        for i in done:
            first[i] = now
            decode[i] = int(req.input_tokens[i]) + 1
            if req.output_tokens[i] == 1:
                finish[i] = now
                del decode[i]
    return first, finish


@pytest.mark.parametrize("scheduling", ["mixed", "prefill_first"])
@pytest.mark.parametrize("hit", [0.0, 0.5])
@pytest.mark.parametrize(("rate", "seqs", "mean_in"), [(5.0, 64, 1000), (20.0, 8, 300), (1.0, 64, 6000)])
def test_agrees_with_a_plain_simulation(scheduling, hit, rate, seqs, mean_in):
    req = requests(rate=rate, mean_in=mean_in, hit=hit).checked()
    config = scheduler(scheduling=scheduling, max_num_seqs=seqs, cache_blocks=10**6)
    first, finish = plain(req, config, STEPS)
    result = simulate(req, ClusterConfig(scheduler=config), STEPS)
    assert result.ttft_s.mean() == pytest.approx((first - req.arrival_s).mean(), rel=0.01)
    assert result.e2e_s.mean() == pytest.approx((finish - req.arrival_s).mean(), rel=0.01)
    assert np.percentile(result.ttft_s, 95) == pytest.approx(np.percentile(first - req.arrival_s, 95), rel=0.02)
    assert result.makespan_s == pytest.approx(finish.max() - req.arrival_s[0], rel=0.005)


def test_one_request_by_hand():
    req = Requests(np.array([2.0]), np.array([5000]), np.array([3]), np.array([1000]))
    result = run(req, AffineStepTimes(0.01, 0.001, 1e-6, 1e-5))
    # 4000 tokens in chunks of 2048 and 1952, then two decode steps at contexts 5001 and 5002.
    assert result.ttft_s[0] == pytest.approx(2 * 0.01 + 4000e-5, rel=1e-6)
    assert result.e2e_s[0] - result.ttft_s[0] == pytest.approx(2 * 0.011 + 10_003e-6, rel=1e-6)
    assert result.tpot_s[0] == pytest.approx(0.011 + 5001.5e-6, rel=1e-6)
    assert result.steps == 4 and result.prefill_tokens == 4000 and result.queue_s[0] == 0


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from(["mixed", "prefill_first"]),
    st.sampled_from([0.0, 0.3, 1.0]),
    st.integers(1, 40),
    st.integers(1, 4000),
    st.integers(200, 3000),
    st.sampled_from([1, 16, 128]),
    st.floats(0.5, 200),
)
def test_everything_completes_once(seed, scheduling, share, seqs, budget, cache_tokens, block, rate):
    req = requests(120, rate=rate, mean_in=150, mean_out=60, seed=seed, hit=0.25).checked()
    result = run(
        req,
        scheduling=scheduling,
        reserve_output_share=share,
        max_num_seqs=seqs,
        max_num_batched_tokens=budget,
        block_size=block,
        cache_blocks=max(1, cache_tokens // block),
    )
    assert result.completed + result.rejected == 120 and not result.stopped
    done = np.isfinite(result.e2e_s)
    assert done.sum() == result.completed
    assert np.all(result.queue_s[done] >= 0) and np.all(result.ttft_s[done] > result.queue_s[done])
    assert np.all(result.e2e_s[done] >= result.ttft_s[done])
    computed = (req.input_tokens - req.cached_tokens)[done].sum()
    if result.preemptions == 0:
        assert result.prefill_tokens == computed
    else:
        assert share < 1 and computed <= result.prefill_tokens <= computed + result.recomputed_tokens
    if share == 1.0:
        assert result.preemptions == 0
    assert result.peak_cache_share <= 1.02 or result.completed <= 1
    # Tokens are conserved: no step makes more tokens than it has sequences.
    assert result.output_tokens[done].sum() <= result.steps * min(seqs, 120) + result.completed
    assert 0 <= result.utilization <= 1 + 1e-9


def test_more_load_more_latency_and_more_cache_fewer_preemptions():
    waits = [run(requests(2000, rate=r)).percentiles("ttft_s")["p95"] for r in (2, 8, 14)]
    assert waits == sorted(waits)
    preempted = [run(requests(800, rate=50), cache_blocks=b).preemptions for b in (600, 1200, 20_000)]
    assert preempted[0] > preempted[1] > preempted[2] == 0
    reserved = run(requests(800, rate=50), cache_blocks=600, reserve_output_share=1.0)
    assert reserved.preemptions == 0 and reserved.completed == 800


def test_prefix_cache_saves_work():
    cold, warm = run(requests(1000, rate=12)), run(requests(1000, rate=12, hit=0.8))
    assert warm.prefill_tokens < 0.25 * cold.prefill_tokens
    assert warm.mean("ttft_s") < cold.mean("ttft_s") and warm.mean("tpot_s") < cold.mean("tpot_s")


def test_prefill_first_trades_tpot_for_ttft():
    req = preset("chat").with_arrival(RateArrival(requests_per_s=9)).generate(8000, seed=2)
    mixed, first = (run(req, scheduling=s, max_num_seqs=256, cache_blocks=40_000) for s in ("mixed", "prefill_first"))
    assert first.mean("ttft_s") < mixed.mean("ttft_s")


@pytest.mark.parametrize("router", ["least_loaded", "round_robin"])
def test_replicas_share_the_load(router):
    req = requests(3000, rate=30)
    one = run(requests(3000, rate=7.5))
    four = run(req, cluster={"replicas": 4, "router": router})
    assert four.completed == 3000 and four.replicas == 4
    assert four.requests_per_s == pytest.approx(30, rel=0.1)
    assert four.percentiles("ttft_s")["p95"] < 1.5 * one.percentiles("ttft_s")["p95"]


def test_least_loaded_beats_round_robin():
    req = requests(4000, rate=36, mean_out=300, seed=5)
    by = {r: run(req, cluster={"replicas": 4, "router": r}, max_num_seqs=24) for r in ("least_loaded", "round_robin")}
    assert by["least_loaded"].mean("e2e_s") < by["round_robin"].mean("e2e_s")


def test_one_replica_behind_a_router_is_one_replica():
    req = requests(500)
    from sizing.serving.simulate.run import _route, _run_pool, _table  # the routed path, which one replica skips

    alone = run(req)
    config = scheduler()
    pool = _run_pool(req.checked(), config, 1, "round_robin", STEPS, lambda completed: None)
    fresh = _run_pool.__globals__["RequestTable"](
        req.arrival_s, req.input_tokens, req.output_tokens, req.cached_tokens, 0
    )
    stats = [type(pool.stats[0])()]
    _route(fresh, list(range(500)), config, _table(STEPS, config, req), stats, lambda: None)
    assert np.array(fresh.finish) == pytest.approx(alone.finish_s, rel=2e-3)
    assert stats[0].completed == 500


def test_closed_loops():
    workload = preset("chat").with_arrival(ConcurrencyArrival(concurrency=32))
    busy = run(workload.generate(2000, seed=1), max_num_seqs=256, cache_blocks=40_000)
    span = busy.finish_s.max()
    assert busy.e2e_s.sum() / span == pytest.approx(32, rel=0.03)  # Little's law
    idle = run(preset("chat").with_arrival(UsersArrival(users=32, think_s=60)).generate(2000, seed=1))
    cycle = idle.mean("e2e_s") + 60
    assert idle.requests_per_s == pytest.approx(32 / cycle, rel=0.1)
    split = run(workload.generate(2000, seed=1), cluster={"replicas": 4}, cache_blocks=40_000)
    assert split.completed == 2000 and split.mean("tpot_s") < busy.mean("tpot_s")
    few = run(preset("chat").with_arrival(ConcurrencyArrival(concurrency=2)).generate(50), cluster={"replicas": 4})
    assert few.completed == 50


def test_batch_fills_the_slots():
    result = run(preset("batch-offline").with_arrival(BatchArrival(requests=1)).generate(400))
    assert result.completed == 400 and result.mean_running > 50
    steady = result.steady_throughput()
    assert steady["output_tokens_per_s"] == pytest.approx(1000 * steady["requests_per_s"], rel=1e-6)


def test_disaggregation():
    req = requests(1500, rate=8)
    split = Disaggregation(prefill_scheduler=scheduler(), prefill_replicas=2, transfer_fixed_s=0.01,
                           transfer_s_per_token=1e-6)  # fmt: skip
    config = ClusterConfig(scheduler=scheduler(), replicas=2, disaggregation=split)
    result = simulate(req, config, STEPS)
    assert result.completed == 1500
    mixed = run(req, cluster={"replicas": 2})
    assert result.percentiles("tpot_s")["p95"] < mixed.percentiles("tpot_s")["p95"]
    slower = split.model_copy(update={"transfer_fixed_s": 0.51})
    later = simulate(req, config.model_copy(update={"disaggregation": slower}), STEPS)
    assert later.mean("ttft_s") == pytest.approx(result.mean("ttft_s") + 0.5, rel=0.02)
    with pytest.raises(SizingError, match="closed loop"):
        simulate(preset("chat").with_arrival(ConcurrencyArrival(concurrency=2)).generate(10), config, STEPS)


def test_oversized_requests_are_rejected():
    req = Requests(np.zeros(2), np.array([100, 10**6]), np.array([5, 5]), np.zeros(2, dtype=np.int64))
    result = run(req, cache_blocks=100)
    assert result.rejected == 1 and result.completed == 1 and np.isnan(result.ttft_s[1])
    none = run(Requests(np.zeros(1), np.array([10**6]), np.array([5]), np.array([0])), cache_blocks=100)
    assert none.completed == 0 and none.requests_per_s == 0 and np.isnan(none.percentiles("e2e_s")["p50"])
    assert np.isnan(none.mean("e2e_s")) and np.isnan(none.goodput_share(ttft_s=1.0))


def test_goodput():
    result = run(requests(1000))
    p90 = result.percentiles("ttft_s", (90,), warmup=0)["p90"]
    assert result.goodput_share(ttft_s=p90, warmup=0) == pytest.approx(0.9, abs=0.01)
    assert result.goodput_share() == 1.0


def test_deterministic_progress_and_stop():
    req = requests(40_000, rate=12)
    seen = []
    one = simulate(req, ClusterConfig(scheduler=scheduler()), STEPS, progress=seen.append)
    two = run(req)
    assert np.array_equal(one.finish_s, two.finish_s)
    assert seen == sorted(seen) and seen[-1] == 1.0 and len(seen) > 3
    calls = iter(range(100))
    stopped = simulate(req, ClusterConfig(scheduler=scheduler()), STEPS, should_stop=lambda: next(calls) >= 2)
    assert stopped.stopped and 0 < stopped.completed < 40_000
    assert np.isfinite(stopped.ttft_s[:100]).all() and np.isnan(stopped.ttft_s[-1])


@pytest.mark.parametrize(
    "bad",
    [
        {"input_tokens": np.array([0])},
        {"output_tokens": np.array([0])},
        {"cached_tokens": np.array([-1])},
        {"arrival_s": np.array([np.nan])},
        {"output_tokens": np.array([1, 2])},
        {"think_s": np.array([-1.0])},
        {"users": -1},
    ],
)
def test_bad_requests(bad):
    good = {
        "arrival_s": np.zeros(1),
        "input_tokens": np.array([5]),
        "output_tokens": np.array([5]),
        "cached_tokens": np.array([0]),
    }
    with pytest.raises(SizingError):
        run(Requests(**(good | bad)))
    with pytest.raises(SizingError, match="no requests"):
        run(Requests(*(np.array([]),) * 4))


def test_interpolation_is_exact_for_affine_and_close_for_a_roofline():
    table = InterpolatedStepTimes(STEPS, max_decode_seqs=200, max_context=10_000, max_prefill_tokens=4096)
    rng = np.random.default_rng(0)
    b, p = rng.integers(0, 200, 300), rng.integers(0, 4096, 300)
    c, q = rng.uniform(0, 12_000, 300), rng.uniform(0, 12_000, 300)
    assert table.step_seconds(b, c, p, q) == pytest.approx(STEPS.step_seconds(b, c, p, q), rel=1e-9)

    class Roofline:
        def step_seconds(self, decode_seqs, context, prefill, reach):
            memory = 8e-3 + decode_seqs * context * 1e-8
            compute = (decode_seqs + prefill) * 3e-5 + prefill * reach * 1e-9
            return 1e-3 + np.maximum(memory, compute)

    roof = Roofline()
    table = InterpolatedStepTimes(roof, max_decode_seqs=200, max_context=10_000, max_prefill_tokens=4096)
    exact = roof.step_seconds(b, c, p, q)
    assert np.max(np.abs(table.step_seconds(b, c, p, q) / exact - 1)) < 0.12
    assert np.mean(np.abs(table.step_seconds(b, c, p, q) / exact - 1)) < 0.01

    class Broken:
        def step_seconds(self, *args):
            return -1.0

    with pytest.raises(SizingError, match="not positive"):
        InterpolatedStepTimes(Broken(), max_decode_seqs=1, max_context=1, max_prefill_tokens=1)
    with pytest.raises(SizingError, match="at least 1"):
        InterpolatedStepTimes(roof, max_decode_seqs=0, max_context=1, max_prefill_tokens=1)
