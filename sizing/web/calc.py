"""Questions to the API, each asked once: results are cached by the Study's JSON and the session's own catalog file."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import streamlit as st

from sizing.base.arrays import FloatArray
from sizing.base.budget import spend
from sizing.base.errors import SizingError
from sizing.claims import Examination, examine, parse_claim
from sizing.engine.placement import Placement
from sizing.hardware import Catalog
from sizing.memory.ledger import MemoryLedger, memory_ledger
from sizing.model.counts import kv_bytes
from sizing.model.quantization.schemes import SCHEMES
from sizing.planning.breakeven import BreakEven, break_even
from sizing.planning.compare import Comparison, compare
from sizing.planning.estimate import Estimate, batching_of, gained_tokens, running_limit
from sizing.planning.planner import plan
from sizing.planning.relax import Relaxation, relaxations
from sizing.planning.replica import planned_estimate
from sizing.planning.result import Plan, Result
from sizing.planning.search import Demand
from sizing.planning.simulation import simulate_rank
from sizing.planning.target import Target
from sizing.serving import Load, LoadCurve, batch_grid, load_curve
from sizing.serving.simulate.result import Metric
from sizing.study import Study, parse_study
from sizing.web import limits, own
from sizing.web.document import json_of

CURVE_POINTS = 40
ENTRIES = 64  # of each kind; answers are frozen, so sessions share them without copies
SIMULATED_REQUESTS = 20_000
SIMULATED_SECONDS = 5.0
SHARES = tuple(share / 100 for share in range(101))
METRICS: tuple[Metric, ...] = ("ttft_s", "tpot_s", "e2e_s")


def _key(study: Study) -> str:
    """What an answer depends on: the Study, and the catalog file that the session has brought (JSON holds no NUL)."""
    return json_of(study) + "\0" + own.text()


def study_of(text: str) -> Study:
    """The Study behind a cache key."""
    return parse_study(json.loads(text.partition("\0")[0]))


def _catalog(text: str) -> Catalog:
    return own.catalog_of(text.partition("\0")[2])


@st.cache_resource(max_entries=ENTRIES, show_spinner=False)
def _result(text: str) -> Result:
    study, catalog = study_of(text), _catalog(text)
    with limits.searching():
        return plan(study, catalog)


def result_of(study: Study) -> Result:
    """The answer to a Study: ``sizing.plan``."""
    return limits.asked(_result, _key(study))


@st.cache_resource(max_entries=ENTRIES, show_spinner=False)
def _relaxations(text: str) -> tuple[Relaxation, ...]:
    study, catalog = study_of(text), _catalog(text)
    with limits.searching():
        return relaxations(study, catalog)


def relaxations_of(study: Study) -> tuple[Relaxation, ...]:
    """What would work where a Study has no plan: ``sizing.planning.relax``."""
    return limits.asked(_relaxations, _key(study))


@dataclass(frozen=True)
class Replica:
    """One plan's replica, resolved, with the load that it carries."""

    target: Target
    placement: Placement
    demand: Demand
    plan: Plan
    study: Study


@st.cache_resource(max_entries=ENTRIES, show_spinner=False)
def _replica(text: str, row: int) -> Replica:
    result = _result(text)
    study, item = result.study, result.plans[row]
    target = item.resolved
    return Replica(
        target, Placement(**item.placement), Demand.of(study.workload, target, study.model.context), item, study
    )


def replica_of(study: Study, row: int) -> Replica:
    """The replica of the result's plan number ``row``."""
    return _replica(_key(study), row)


@st.cache_resource(max_entries=ENTRIES, show_spinner=False)
def _ledger(text: str, row: int, context: int | None) -> MemoryLedger:
    one = _replica(text, row)
    engine = one.study.engine
    return memory_ledger(
        one.target.arch,
        one.target.device,
        one.placement,
        one.target.engine,
        one.target.scheme,
        kv_dtype=one.target.kv,
        context=context or one.demand.context,
        max_num_seqs=engine.max_num_seqs,
        max_num_batched_tokens=engine.max_num_batched_tokens,
        memory_utilization=engine.memory_utilization,
        speculative_tokens=one.plan.speculative_tokens,
        strict=False,
    )


def ledger_of(study: Study, row: int, context: int | None = None) -> MemoryLedger:
    """The memory ledger of one accelerator of a plan, for the plan's context or another."""
    return _ledger(_key(study), row, context)


@st.cache_resource(max_entries=ENTRIES, show_spinner=False)
def _estimate(text: str, row: int) -> Estimate | str:
    one = _replica(text, row)
    try:
        return planned_estimate(one.plan, one.study, _catalog(text))
    except SizingError as error:
        return str(error)


def estimate_of(study: Study, row: int) -> Estimate | str:
    """One replica of a plan at its planned concurrency: ``sizing.estimate``; the reason where it can't be made."""
    return _estimate(_key(study), row)


def _load(one: Replica, input_tokens: Any) -> Load:
    engine, drafts = one.study.engine, one.plan.speculative_tokens
    return Load(
        concurrency=1.0,
        input_tokens=input_tokens,
        output_tokens=one.demand.output_tokens,
        cached_tokens=input_tokens * one.study.workload.prefix_cache_hit_rate,
        tokens_per_step=gained_tokens(drafts, engine.acceptance_rate),
        verified_tokens=1.0 + drafts,
    )


@st.cache_resource(max_entries=ENTRIES, show_spinner=False)
def _curve(text: str, row: int) -> LoadCurve:
    one = _replica(text, row)
    flags = _ledger(text, row, None).load
    held = one.demand.held(one.target.engine.reserves_max_output)
    limit = np.maximum(running_limit(one.target, one.placement, flags, held), 1.0)
    think = one.demand.arrival_think_s
    return load_curve(
        one.target.step,
        one.placement,
        replace(_load(one, one.demand.input_tokens), running_limit=limit, held=one.demand.held(reserves=False)),
        batching_of(one.target, flags.max_num_batched_tokens),
        batch_grid(limit, CURVE_POINTS, 0.25 if think > 0 else 1.0),
        think_s=think,
        lengths=one.demand.lengths,
    )


def curve_of(study: Study, row: int) -> LoadCurve:
    """What a replica of a plan does as its load grows to all that its cache holds: ``load_curve``."""
    return _curve(_key(study), row)


@st.cache_resource(max_entries=ENTRIES, show_spinner=False)
def _first_token(text: str, row: int, lengths: tuple[float, ...], batch: float) -> tuple[FloatArray, FloatArray]:
    one = _replica(text, row)
    flags = _ledger(text, row, None).load
    found = load_curve(
        one.target.step,
        one.placement,
        _load(one, np.asarray(lengths)),
        batching_of(one.target, flags.max_num_batched_tokens),
        np.full(len(lengths), batch),
    )
    return np.asarray(found.ttft_s), np.asarray(found.ttft_p95_s)


def first_token_of(study: Study, row: int, lengths: tuple[float, ...], batch: float) -> tuple[FloatArray, FloatArray]:
    """TTFT [s], mean and 95th percentile, over prompt lengths with ``batch`` sequences decoding on each rank."""
    return _first_token(_key(study), row, lengths, batch)


@st.cache_resource(max_entries=ENTRIES, show_spinner=False)
def _cache_growth(text: str, row: int, tokens: tuple[float, ...]) -> FloatArray:
    one = _replica(text, row)
    return np.asarray(kv_bytes(one.target.arch, np.asarray(tokens), one.target.kv))


def cache_growth_of(study: Study, row: int, tokens: tuple[float, ...]) -> FloatArray:
    """Cache of one sequence over its length, unsharded [bytes]: ``kv_bytes``."""
    return _cache_growth(_key(study), row, tokens)


@st.cache_resource(max_entries=ENTRIES, show_spinner=False)
def _priced_as(text: str, row: int, mode: str) -> Plan | None:
    study, item = study_of(text), _result(text).plans[row]
    catalog = _catalog(text)
    same = (one for one in study.hardware if catalog.resolve(one.accelerator)[0].id == item.accelerator)
    offer = next(same, study.hardware[0])
    only = {f"{name}_parallel": (item.placement[axis],) for name, axis in PARALLEL.items()}
    alone = study.model_copy(
        update={
            "hardware": (offer if mode == "rent" else offer.model_copy(update={"usd_per_hour": None}),),
            "model": study.model.model_copy(
                update={
                    "weights": (item.weights,) if item.weights in SCHEMES else (),
                    "kv_dtype": (item.kv_dtype,),
                }
            ),
            "money": study.money.model_copy(update={"mode": mode}),
            "constraints": study.constraints.model_copy(update=only),
        }
    )
    with limits.searching():
        found = plan(alone, catalog)
    return next((one for one in found.plans if one.placement == item.placement and one.mode == item.mode), None)


PARALLEL = {"tensor": "tp", "pipeline": "pp", "data": "dp", "expert": "ep"}


def priced_as(study: Study, row: int, mode: str) -> Plan | None:
    """The same placement planned once more, rented or owned; None where that has no answer."""
    return _priced_as(_key(study), row, mode)


@st.cache_resource(max_entries=ENTRIES, show_spinner=False)
def _break_even(text: str, row: int) -> list[BreakEven]:
    return break_even(_result(text).plans[row], study_of(text), _catalog(text))


def break_even_of(study: Study, row: int) -> list[BreakEven]:
    """A plan against the API price lists: ``break_even``."""
    return _break_even(_key(study), row)


@dataclass(frozen=True)
class Simulated:
    """A simulation in short: by metric the mean, percentiles and the value at each of ``SHARES`` [s]."""

    means: dict[str, float]
    p95: dict[str, float]
    p99: dict[str, float]
    quantiles: dict[str, FloatArray]
    completed: int
    steps: int
    requests_per_s: float
    mean_running: float
    preemptions: int
    stopped: bool


@st.cache_resource(max_entries=ENTRIES, show_spinner=False)
def _simulation(text: str, row: int) -> Simulated:
    one, ledger = _replica(text, row), _ledger(text, row, None)
    batching = batching_of(one.target, ledger.load.max_num_batched_tokens)
    rate = one.plan.rate_per_replica / one.placement.dp
    with limits.searching():
        late = time.monotonic() + SIMULATED_SECONDS
        found = simulate_rank(
            one.target,
            one.placement,
            ledger.load,
            batching,
            ledger.kv_pool_tokens,
            one.study.workload,
            rate,
            requests=SIMULATED_REQUESTS,
            should_stop=lambda: _late(late),
        )
    percents = tuple(100 * share for share in SHARES)
    tails = {name: found.percentiles(name, percents) for name in METRICS}
    return Simulated(
        means={name: found.mean(name) for name in METRICS},
        p95={name: tails[name]["p95"] for name in METRICS},
        p99={name: tails[name]["p99"] for name in METRICS},
        quantiles={name: np.array(list(tails[name].values())) for name in METRICS},
        completed=found.completed,
        steps=found.steps,
        requests_per_s=rate,
        mean_running=found.mean_running,
        preemptions=found.preemptions,
        stopped=found.stopped,
    )


def _late(until: float) -> bool:
    spend()  # a run that nobody waits for ends here
    return time.monotonic() > until


def simulation_of(study: Study, row: int) -> Simulated:
    """One data-parallel rank of a plan in the simulator at its planned rate: ``simulate_rank``."""
    return _simulation(_key(study), row)


def key_of(study: Study, row: int) -> str:
    """What tells one examined plan from any other."""
    return f"{row} {_key(study)}"


@st.cache_resource(max_entries=ENTRIES, show_spinner=False)
def _comparison(
    models: tuple[str, ...],
    accelerators: tuple[str, ...],
    input_tokens: float,
    output_tokens: float,
    most_tpot_s: float,
    content: str,
) -> Comparison:
    catalog = own.catalog_of(content)
    with limits.searching():
        return compare(
            models,
            accelerators,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            most_tpot_s=most_tpot_s,
            catalog=catalog,
        )


def comparison_of(
    models: tuple[str, ...],
    accelerators: tuple[str, ...],
    input_tokens: float,
    output_tokens: float,
    most_tpot_s: float,
) -> Comparison:
    """Models and machines side by side: ``compare``."""
    return limits.asked(_comparison, models, accelerators, input_tokens, output_tokens, most_tpot_s, own.text())


@st.cache_resource(max_entries=ENTRIES, show_spinner=False)
def _examination(text: str, given: tuple[tuple[str, Any], ...] = ()) -> Examination:
    with limits.searching():
        return examine(parse_claim(text, **dict(given)))


def examination_of(text: str, **given: Any) -> Examination:
    """A claim examined: ``examine(parse_claim(text, **given))``."""
    return limits.asked(_examination, text, tuple(sorted(given.items())))


def accelerator_id(name: str) -> str:
    """The catalog's id of an accelerator's name."""
    return own.catalog().resolve(name)[0].id


def offered_names(study: Study) -> list[str]:
    """Names of the accelerators on offer, in the study's order: what colours follow."""
    catalog = own.catalog()
    return [catalog.resolve(offer.accelerator)[0].name for offer in study.hardware]
