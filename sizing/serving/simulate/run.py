"""Run a simulation: requests, a cluster, step times -> SimulationResult."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sizing.base.errors import SizingError
from sizing.serving.simulate.config import ClusterConfig, SchedulerConfig
from sizing.serving.simulate.replica import Feed, ReplicaStats, RequestTable, Stopped, run_replica
from sizing.serving.simulate.result import SimulationResult
from sizing.serving.simulate.steptimes import InterpolatedStepTimes, StepTimes
from sizing.workload.requests import Requests

FloatArray = npt.NDArray[np.float64]
Progress = Callable[[float], None]
ShouldStop = Callable[[], bool]


@dataclass
class _Pool:
    """A finished run of one pool."""

    table: RequestTable
    stats: list[ReplicaStats]
    rejected: npt.NDArray[np.bool_]
    stopped: bool

    def array(self, name: str) -> FloatArray:
        values = np.array(getattr(self.table, name), dtype=np.float64)
        return np.where(values < 0, np.nan, values)


def _table(steps: StepTimes, scheduler: SchedulerConfig, requests: Requests) -> InterpolatedStepTimes:
    if isinstance(steps, InterpolatedStepTimes) and steps.max_decode_seqs >= scheduler.max_num_seqs:
        return steps
    longest = int((requests.input_tokens + requests.output_tokens).max())
    seqs = min(scheduler.max_num_seqs, len(requests.arrival_s))
    return InterpolatedStepTimes(
        steps,
        max_decode_seqs=max(1, seqs),
        max_context=longest,
        max_prefill_tokens=scheduler.max_num_batched_tokens,
    )


def _run_pool(
    requests: Requests,
    scheduler: SchedulerConfig,
    replicas: int,
    router: str,
    steps: StepTimes,
    report: Callable[[int], None],
) -> _Pool:
    """One pool of equal replicas; ``report(completed)`` may raise Stopped."""
    lookup = _table(steps, scheduler, requests)
    table = RequestTable(
        requests.arrival_s,
        requests.input_tokens,
        requests.output_tokens,
        requests.cached_tokens,
        scheduler.reserve_output_tokens,
    )
    final = requests.input_tokens + requests.output_tokens
    if scheduler.reserve_output_share > 0:
        extra = np.maximum(requests.output_tokens, scheduler.reserve_output_tokens) - requests.output_tokens
        final = final + np.ceil(scheduler.reserve_output_share * extra).astype(np.int64)
    rejected = final + scheduler.block_size > scheduler.cache_tokens
    ids = np.flatnonzero(~rejected)
    stats = [ReplicaStats() for _ in range(replicas)]

    def check() -> None:
        report(sum(item.completed for item in stats))

    stopped = False
    try:
        if requests.users or replicas == 1 or router == "round_robin":
            think = None if requests.think_s is None else requests.think_s.tolist()
            for r in range(replicas):
                users = (requests.users + replicas - 1 - r) // replicas
                if requests.users and users == 0:
                    continue
                dealt = min(replicas, requests.users) if requests.users else replicas
                feed = Feed(ids[r::dealt].tolist(), users, think)
                for _ in run_replica(table, feed, scheduler, lookup, stats[r], check):
                    raise AssertionError("a replica with all of its requests needs no horizon")
        else:
            _route(table, ids.tolist(), scheduler, lookup, stats, check)
    except Stopped:
        stopped = True
    return _Pool(table, stats, rejected, stopped)


def _route(
    table: RequestTable,
    ids: list[int],
    scheduler: SchedulerConfig,
    lookup: InterpolatedStepTimes,
    stats: list[ReplicaStats],
    check: Callable[[], None],
) -> None:
    """Send each request to the replica with the fewest unfinished ones; advances all replicas to each
    arrival.
    """
    queues: list[list[int]] = [[] for _ in stats]
    running: list[Generator[None, float, None]] = []
    for queue, item in zip(queues, stats, strict=True):
        process = run_replica(table, Feed(queue), scheduler, lookup, item, check, horizon=0.0)
        next(process)
        running.append(process)
    members = list(zip(running, stats, queues, strict=True))
    turn = 0
    for i in ids:
        at = table.arrival[i]
        best, fewest = 0, 1 << 60
        for r in range(len(members)):
            place = (r + turn) % len(members)
            process, item, queue = members[place]
            if item.now < at:
                process.send(at)
            load = len(queue) - item.completed
            if load < fewest:
                best, fewest = place, load
        queues[best].append(i)
        turn = best + 1
    for process in running:
        try:
            process.send(math.inf)
        except StopIteration:
            continue


def simulate(
    requests: Requests,
    cluster: ClusterConfig,
    steps: StepTimes,
    *,
    prefill_steps: StepTimes | None = None,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> SimulationResult:
    """Simulate continuous batching of ``requests`` on ``cluster``; deterministic.

    ``steps`` times a step of one replica (of the decode pool when disaggregated, with ``prefill_steps`` for
    the prefill pool, by default the same). ``progress`` gets the fraction done now and then; ``should_stop``
    returning True ends the run early with ``stopped`` set. Requests larger than a replica's whole cache are
    rejected (NaN). Raises SizingError for requests that make no sense.
    """
    requests = requests.checked()
    n = len(requests.arrival_s)
    pools = 1 if cluster.disaggregation is None else 2
    finished_pools = 0

    def report(completed: int) -> None:
        if progress is not None:
            progress(min(1.0, (finished_pools + completed / n) / pools))
        if should_stop is not None and should_stop():
            raise Stopped

    arrival = requests.arrival_s
    if cluster.disaggregation is None:
        pool = _run_pool(requests, cluster.scheduler, cluster.replicas, cluster.router, steps, report)
        front = None
        arrival = np.array(pool.table.arrival)
    else:
        split = cluster.disaggregation
        if requests.users:
            raise SizingError("a closed loop is not supported with disaggregated pools", key="users",
                              hint="give a request rate")  # fmt: skip
        one = Requests(arrival, requests.input_tokens, np.ones(n, dtype=np.int64), requests.cached_tokens)
        front = _run_pool(
            one,
            split.prefill_scheduler,
            split.prefill_replicas,
            cluster.router,
            prefill_steps or steps,
            report,
        )
        finished_pools = 1
        ready = front.array("finish") + split.transfer_fixed_s + split.transfer_s_per_token * requests.input_tokens
        order = np.argsort(ready, kind="stable")
        order = order[np.isfinite(ready[order])]
        if front.stopped or len(order) == 0:
            order = np.array([], dtype=np.int64)
        back = {key: np.full(n, np.nan) for key in ("first", "finish")}
        pool = front
        if len(order):
            moved = Requests(
                ready[order],
                requests.input_tokens[order],
                requests.output_tokens[order],
                requests.input_tokens[order] - 1,
            )
            pool = _run_pool(moved, cluster.scheduler, cluster.replicas, cluster.router, steps, report)
            for key, values in back.items():
                values[order] = pool.array(key)
            rejected = front.rejected.copy()
            rejected[order] = pool.rejected
            pool.rejected = rejected
    first = pool.array("first") if front is None else back["first"]
    finish = pool.array("finish") if front is None else back["finish"]
    admitted = (front or pool).array("admitted")
    if progress is not None and not pool.stopped:
        progress(1.0)
    return _result(requests, arrival, first, finish, admitted, pool, front, cluster)


def _result(
    requests: Requests,
    arrival: FloatArray,
    first: FloatArray,
    finish: FloatArray,
    admitted: FloatArray,
    pool: _Pool,
    front: _Pool | None,
    cluster: ClusterConfig,
) -> SimulationResult:
    ended = np.isfinite(finish)
    start = float(arrival[ended].min()) if ended.any() else 0.0
    makespan = float(finish[ended].max()) - start if ended.any() else 0.0
    output = requests.output_tokens
    with np.errstate(invalid="ignore", divide="ignore"):
        tpot = np.where(output > 1, (finish - first) / (output - 1), np.nan)
    replicas = cluster.replicas
    span = makespan * replicas if makespan > 0 else math.inf
    stats = pool.stats
    head = stats if front is None else front.stats
    head_span = span if front is None else span / replicas * len(front.stats)
    return SimulationResult(
        arrival_s=arrival,
        ttft_s=first - arrival,
        tpot_s=tpot,
        e2e_s=finish - arrival,
        queue_s=admitted - arrival,
        finish_s=finish,
        input_tokens=requests.input_tokens,
        output_tokens=output,
        completed=int(ended.sum()),
        rejected=int(pool.rejected.sum()),
        stopped=pool.stopped or (front is not None and front.stopped),
        makespan_s=makespan,
        utilization=sum(item.busy_s for item in stats) / span,
        prefill_share=sum(item.prefill_busy_s for item in head) / head_span,
        mean_running=sum(item.sequence_seconds for item in stats) / span,
        steps=sum(item.steps for item in stats),
        preemptions=sum(item.preemptions for item in stats),
        recomputed_tokens=sum(item.recomputed_tokens for item in stats),
        prefill_tokens=sum(item.prefill_tokens for item in head),
        peak_cache_share=max(item.peak_cache_tokens for item in stats) / cluster.scheduler.cache_tokens,
        replicas=replicas,
    )
