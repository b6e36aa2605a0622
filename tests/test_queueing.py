"""The closed form against the simulator, and its own laws."""

import numpy as np
import pytest
from scipy import stats

from sizing.errors import SizingError
from sizing.normal import gamma_quantile, lognormal_grid
from sizing.queueing import Demand, ReplicaService, estimate_latency
from sizing.simulate import AffineStepTimes, ClusterConfig, SchedulerConfig, simulate
from sizing.workload import BatchArrival, LengthDistribution, RateArrival, Workload, preset

STEPS = AffineStepTimes(fixed=8e-3, per_sequence=2e-5, per_context_token=1e-8, per_prefill_token=5e-5)
CACHE, SEQS = 600_000, 256
WORKLOADS = {
    "chat": preset("chat"),
    "rag": preset("rag").model_copy(update={"prefix_cache_hit_rate": 0.0}),
    "long answers": Workload(
        input=LengthDistribution.lognormal(mean=500, p95=1200),
        output=LengthDistribution.lognormal(mean=1500, p95=4000, maximum=16_384),
    ),
}


def describe(workload, scheduling, budget):
    """The closed form's inputs from the step times and the workload's lengths."""
    inputs, outputs = workload.length_grid(4096)
    context = inputs.mean() + (outputs.astype(float) ** 2).mean() / (2 * outputs.mean())
    service = ReplicaService(
        decode_fixed_s=STEPS.fixed,
        decode_per_sequence_s=STEPS.per_sequence + STEPS.per_context_token * context,
        prefill_s_per_token=STEPS.per_prefill_token,
        prefill_fixed_s=STEPS.fixed,
        token_budget=budget,
        slots=min(SEQS, CACHE / (context + 8)),
        scheduling=scheduling,
    )

    def demand(rate):
        return Demand(
            rate,
            prefill_tokens_mean=inputs.mean(),
            prefill_tokens_scv=inputs.var() / inputs.mean() ** 2,
            output_tokens_mean=outputs.mean(),
            output_tokens_scv=outputs.var() / outputs.mean() ** 2,
        )

    return service, demand


@pytest.mark.parametrize("scheduling", ["mixed", "prefill_first"])
@pytest.mark.parametrize("budget", [2048, 8192])
@pytest.mark.parametrize("name", WORKLOADS)
def test_against_the_simulator(name, budget, scheduling):
    workload = WORKLOADS[name]
    config = ClusterConfig(
        scheduler=SchedulerConfig(
            scheduling=scheduling, max_num_seqs=SEQS, max_num_batched_tokens=budget, cache_blocks=CACHE // 16
        )
    )
    service, demand = describe(workload, scheduling, budget)
    full = simulate(workload.with_arrival(BatchArrival(requests=1)).generate(6000, seed=3), config, STEPS)
    measured = full.steady_throughput()["requests_per_s"]
    capacity = float(estimate_latency(service, demand(1.0)).capacity_requests_per_s)
    assert capacity == pytest.approx(measured, rel=0.10)
    loads = np.array([0.3, 0.6, 0.78])
    closed = estimate_latency(service, demand(loads * measured))
    for i, load in enumerate(loads):
        arrival = RateArrival(requests_per_s=load * measured)
        run = simulate(workload.with_arrival(arrival).generate(30_000, seed=1), config, STEPS)
        ttft, tpot = run.percentiles("ttft_s"), run.percentiles("tpot_s")
        assert closed.ttft_s[95][i] == pytest.approx(ttft["p95"], rel=0.20)
        assert closed.ttft_s[50][i] == pytest.approx(ttft["p50"], rel=0.20)
        assert closed.ttft_mean_s[i] == pytest.approx(run.mean("ttft_s"), rel=0.15)
        assert closed.tpot_mean_s[i] == pytest.approx(run.mean("tpot_s"), rel=0.10)
        assert closed.tpot_s[95][i] == pytest.approx(tpot["p95"], rel=0.20)
        assert closed.running[i] == pytest.approx(run.mean_running, rel=0.10)


def test_waiting_for_slots():
    workload = WORKLOADS["long answers"]
    service, demand = describe(workload, "mixed", 2048)
    service = ReplicaService(**{**service.__dict__, "slots": 64})
    rate = 0.86 * float(estimate_latency(service, demand(1.0)).capacity_requests_per_s)
    closed = estimate_latency(service, demand(rate))
    config = SchedulerConfig(max_num_seqs=64, max_num_batched_tokens=2048, cache_blocks=CACHE // 16)
    arrival = RateArrival(requests_per_s=rate)
    means = []
    for seed in range(4):
        requests = workload.with_arrival(arrival).generate(60_000, seed=seed)
        means.append(simulate(requests, ClusterConfig(scheduler=config), STEPS).mean("ttft_s"))
    assert float(closed.ttft_mean_s) == pytest.approx(np.mean(means), rel=0.35)
    assert 0.05 < float(closed.slot_wait_probability) < 0.25


@pytest.mark.parametrize("scheduling", ["mixed", "prefill_first"])
def test_broadcasts_like_scalars(scheduling):
    service, demand = describe(WORKLOADS["chat"], scheduling, 2048)
    rates = np.array([[1.0], [5.0], [9.0]])
    budgets = np.array([1024.0, 8192.0])
    wide = estimate_latency(ReplicaService(**{**service.__dict__, "token_budget": budgets}), demand(rates))
    assert wide.ttft_s[95].shape == (3, 2)
    for i in range(3):
        for j in range(2):
            one = estimate_latency(
                ReplicaService(**{**service.__dict__, "token_budget": budgets[j]}), demand(rates[i, 0])
            )
            for field in ("ttft_s", "tpot_s"):
                for level in (50, 90, 95, 99):
                    assert getattr(wide, field)[level][i, j] == pytest.approx(float(getattr(one, field)[level]))


@pytest.mark.parametrize("scheduling", ["mixed", "prefill_first"])
@pytest.mark.parametrize("name", WORKLOADS)
def test_monotone_in_rate_and_infinite_beyond_capacity(name, scheduling):
    service, demand = describe(WORKLOADS[name], scheduling, 2048)
    capacity = float(estimate_latency(service, demand(1.0)).capacity_requests_per_s)
    rates = capacity * np.array([1e-4, 0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1.01])
    found = estimate_latency(service, demand(rates))
    assert np.all(np.diff(found.ttft_mean_s[:-1]) > 0) and np.all(np.diff(found.running[:-1]) > 0)
    assert np.all(np.diff(found.tpot_s[95][:-1]) > 0)
    assert np.all(np.diff(found.ttft_s[95][:-1]) > -0.03 * found.ttft_s[95][:-2])
    assert np.isinf(found.ttft_s[95][-1]) and np.isinf(found.ttft_mean_s[-1])
    assert found.requests_per_s[-1] == pytest.approx(capacity) and found.load[-1] == pytest.approx(1.01)
    for level, next_level in ((50, 90), (90, 95), (95, 99)):
        assert np.all(found.ttft_s[level] <= found.ttft_s[next_level])
        assert np.all(found.tpot_s[level] <= found.tpot_s[next_level])


def test_unloaded_limit_is_own_prefill():
    service, _ = describe(WORKLOADS["chat"], "mixed", 2048)
    found = estimate_latency(service, Demand(1e-6, prefill_tokens_mean=1000, output_tokens_mean=100))
    # half a step of residual (nobody decodes, so pessimistic by 4 ms), own step, own tokens
    assert float(found.ttft_mean_s) == pytest.approx(8e-3 + 0.05 + 4e-3, rel=0.01)
    assert float(found.tpot_mean_s) == pytest.approx(8e-3, rel=0.02)


def test_a_grid_of_prompts_replaces_the_lognormal():
    service, _ = describe(WORKLOADS["chat"], "mixed", 2048)
    grid = np.full(16, 1000.0)
    a = estimate_latency(service, Demand(3.0, 1000, 100, prefill_tokens_grid=grid))
    b = estimate_latency(service, Demand(3.0, 1000, 100))
    assert float(a.ttft_s[95]) == pytest.approx(float(b.ttft_s[95]), rel=0.02)


def test_bursts_wait_longer():
    service, demand = describe(WORKLOADS["chat"], "mixed", 2048)
    bursty = Demand(**{**demand(8.0).__dict__, "interval_scv": 8.0})
    assert estimate_latency(service, bursty).ttft_s[95] > estimate_latency(service, demand(8.0)).ttft_s[95]


def test_cache_limited_slots_vary():
    service, demand = describe(WORKLOADS["rag"], "mixed", 2048)
    tight = ReplicaService(**{**service.__dict__, "slots": 20})
    loose = ReplicaService(**{**tight.__dict__, "slots_scv": 0.3})
    rate = 0.75 * float(estimate_latency(tight, demand(1.0)).capacity_requests_per_s)
    assert (
        estimate_latency(loose, demand(rate)).slot_wait_probability
        > estimate_latency(tight, demand(rate)).slot_wait_probability
    )


@pytest.mark.parametrize(("shape", "within"), [(0.3, 0.15), (0.7, 0.05), (1.0, 0.02), (2.0, 0.01), (10.0, 0.01)])
def test_gamma_quantiles_near_scipy(shape, within):
    for p in (0.9, 0.95, 0.99):
        exact = stats.gamma.ppf(p, shape)
        assert float(gamma_quantile(p, shape, shape)) == pytest.approx(exact, rel=within)


def test_lognormal_grid_keeps_the_mean():
    grid = lognormal_grid(np.array([10.0, 20.0]), np.array([0.0, 2.0]))
    assert grid.mean(axis=-1) == pytest.approx([10, 20]) and np.ptp(grid[0]) == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [("slots", 0), ("decode_fixed_s", np.nan), ("token_budget", -1), ("scheduling", "other")],
)
def test_bad_inputs(field, value):
    service, demand = describe(WORKLOADS["chat"], "mixed", 2048)
    with pytest.raises(SizingError, match=field):
        estimate_latency(ReplicaService(**{**service.__dict__, field: value}), demand(1.0))
