"""Finite bursts of published tables, simulated: so many requests at a rate, over before the server is in a steady state.

A closed form of a steady state says little of such a run, whose arrivals end about when its first answers do. Longer runs
are left to the closed form, which was fitted to them.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from sizing.base.errors import SizingError
from sizing.engine.base import Load as EngineLoad
from sizing.engine.placement import Placement
from sizing.evidence.rows_throughput import ThroughputRow
from sizing.evidence.throughput_cases import Candidate, Subject, engine_of
from sizing.model.architecture import Architecture
from sizing.planning.estimate import batching_of
from sizing.planning.simulation import serve
from sizing.planning.target import resolve_target
from sizing.workload.requests import Requests

MOST_REQUESTS = 2000
MOST_ANSWERS = 1.5  # arrivals that end within so many answers' times are a burst
NOTE = "a burst too short for a steady state: simulated request by request"
Found = dict[str, float]


def burst_of(row: ThroughputRow, candidate: Candidate, subject: Subject) -> Found | None:
    """Means [s] and rates [1/s] of the whole instance by quantity; None where the run is no such burst."""
    count, rate = row.hints.requests, row.rate
    if row.kind != "open" or not count or not rate or not np.isfinite(rate) or count > MOST_REQUESTS:
        return None
    if row.hints.speculative or row.hints.disaggregated or row.hints.slo_tpot_s or candidate.placement.pp != 1:
        return None
    engine = engine_of(row)
    given, wanted = max(1, round(candidate.input_tokens)), max(1, round(candidate.output_tokens))
    load = (max(1, int(candidate.limit)), max(1, int(candidate.budget)), max(float(candidate.pool_tokens), 1.0))
    share = max(1, round(count / candidate.replicas))
    return _simulated(
        subject.arch, (subject.accelerator.id, engine.name, engine.version_text, subject.scheme.name, subject.kv),
        candidate.placement, load, (share, rate / candidate.replicas, given, wanted, candidate.replicas),
        row.hints.cached_share,
    )  # fmt: skip


@lru_cache(maxsize=256)
def _simulated(
    arch: Architecture,
    names: tuple[str, str, str, str, str],
    place: Placement,
    load: tuple[int, int, float],
    asked: tuple[int, float, int, int, float],
    cached_share: float,
) -> Found | None:
    accelerator, engine, version, weights, kv = names
    count, rate, given, wanted, replicas = asked
    try:
        target = resolve_target(arch, accelerator, engine=engine, engine_version=version, weights=weights, kv_dtype=kv)
        gaps = np.random.default_rng(0).exponential(1.0 / rate, count)
        whole = np.full(count, given, dtype=np.int64)
        arriving = Requests(
            np.cumsum(gaps) - gaps[0], whole, np.full(count, wanted, dtype=np.int64),
            np.rint(whole * cached_share).astype(np.int64),
        ).checked()  # fmt: skip
        flags = EngineLoad(0.9, load[0], load[1], given + wanted)
        found = serve(
            target,
            place,
            flags,
            batching_of(target, load[1]),
            load[2],
            arriving,
            ranks=int(place.dp),
            prefix_caching=True,
        )
    except SizingError:
        return None
    ended = np.isfinite(found.finish_s) & np.isfinite(found.ttft_s)
    if not ended.all():
        return None
    lasting, each = float(found.finish_s.max()), float(found.e2e_s.mean())
    if count / rate > MOST_ANSWERS * each:
        return None  # long enough for a steady state
    per_s = count / lasting * replicas
    tpot = found.tpot_s[np.isfinite(found.tpot_s)]
    return {
        "requests_per_s": per_s,
        "output_tokens_per_s": per_s * wanted,
        "input_tokens_per_s": per_s * given,
        "total_tokens_per_s": per_s * (wanted + given),
        "ttft_s": float(found.ttft_s.mean()),
        "tpot_s": float(tpot.mean()) if len(tpot) else 0.0,
        "e2e_s": each,
    }
