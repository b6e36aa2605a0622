"""Prefill and decode in pools of their own: which placement for each, how many instances, what it gives.

A prompt is computed by the prefill pool, its cache travels over the network, and the decode pool makes the tokens; no
prompt ever stretches a decode step. Per attention data-parallel rank of the prefill pool, with service time m of a
prompt (a full batch's time over its prompts), load rho and squared coefficient of variation c^2:

``TTFT = wait + prefill + transfer + first decode step``, ``wait = rho m (1 + c^2) / (2 (1 - rho)) + rho batch / 2``

(Pollaczek-Khinchine, and the residual of the batch in progress), its 95th percentile that of an exponential. The decode
pool's TPOT is its step alone, ``h(B) / a``, with B sequences on a rank and a tokens a step; its 95th percentile is the
step at ``B + 1.645 sqrt(B)``. The pools are sized apart: ``n_P r_P >= rate`` and ``n_D r_D >= rate``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sizing.base.arrays import FloatArray, as_float
from sizing.base.budget import spend
from sizing.engine.layouts import Space
from sizing.engine.placement import Placement
from sizing.memory.ledger import why_not
from sizing.model.counts import kv_bytes
from sizing.planning.candidates import Demand, Ground, survey
from sizing.planning.target import Target
from sizing.serving import EXPONENTIAL_95, Z95, FineGrid, batch_grid, prompt_room, split_prompt
from sizing.step.operations import StepShape
from sizing.study import EngineChoice
from sizing.workload import Targets

LOADS = np.concatenate([np.linspace(0.02, 0.9, 45), [0.92, 0.94, 0.95]])  # of the prefill pool
NODES = 32
POINTS_PER_NODE = 8
NETWORK_SHARE = 0.8  # of the network cards' bandwidth that transfers may take
TRANSFER_FIXED_S = 0.005  # setting up a transfer: an assumption


@dataclass(frozen=True, slots=True)
class Pool:
    """One pool at its operating point. rate: what an instance carries at most within the targets [requests/s]."""

    role: str
    placement: Placement
    rate: float
    instances: int
    load: float  # prefill: rho at the planned rate; decode: sequences per rank
    seconds: float  # prefill: TTFT's mean part, transfer included; decode: TPOT
    seconds_p95: float

    @property
    def accelerators(self) -> int:
        """Accelerators of all instances."""
        return int(self.placement.accelerators) * self.instances


@dataclass(frozen=True, slots=True)
class Pools:
    """Both pools of a target. The ttft figures include the transfer and the first decode step [s]."""

    ground: Ground
    prefill: Pool
    decode: Pool
    ttft_s: float
    ttft_p95_s: float
    tpot_s: float
    tpot_p95_s: float
    transfer_s: float
    evaluated: int

    @property
    def accelerators(self) -> int:
        """Accelerators of both pools."""
        return self.prefill.accelerators + self.decode.accelerators

    @property
    def requests_per_s_per_accelerator(self) -> float:
        """Rate over accelerators of pools in perfect balance, however many instances that takes."""
        pools = (self.prefill, self.decode)
        return 1.0 / sum(int(pool.placement.accelerators) / pool.rate for pool in pools)


@dataclass(frozen=True, slots=True)
class NoPools:
    """Why there is no disaggregated plan: a stable code and the reason."""

    code: str
    reason: str
    evaluated: int = 0


def transfer_seconds(target: Target, input_tokens: float, placement: Placement) -> FloatArray:
    """Time in which one prompt's cache travels [s]: its bytes over the network cards of the ranks that hold it.

    With tensor parallelism each rank sends its own heads; a latent cache is one for all, and one card sends it.
    """
    size = float(kv_bytes(target.arch, float(input_tokens), target.kv))
    cards = as_float(1.0) if target.arch.is_mla else as_float(placement.tp)
    return as_float(TRANSFER_FIXED_S + size / (target.machine.node_bandwidth * cards * placement.pp))


def find_pools(
    target: Target,
    demand: Demand,
    space: Space,
    engine: EngineChoice,
    targets: Targets,
    *,
    ground: Ground | None = None,
    drafts: int = 0,
    spare: int = 0,
    prefill_only: Placement | None = None,
    decode_only: Placement | None = None,
) -> Pools | NoPools:
    """The pools of the fewest accelerators that carry ``demand`` (a rate) within the targets, or why there are none.

    ``ground``: the survey of the placements, where it is at hand.
    ``prefill_only``, ``decode_only``: keep to these placements (to ask what a changed machine would give).
    """
    if demand.kind != "rate":
        return NoPools(
            "needs_rate", "separate pools are sized for a rate of requests, not for a closed loop or a batch"
        )
    ground = ground or survey(target, demand, space, engine, drafts=drafts)
    if ground is None:
        return NoPools("no_placement", f"{target.engine.name} accepts no placement")
    if not ground.fits.any():
        row = int(np.argmin(ground.terms.weights))
        reason = why_not(target.engine, target.device, ground.terms, demand.context, row)
        return NoPools("no_memory", f"no placement fits; {ground.placements[row].describe()}: {reason}")
    rate = demand.amount / (1.0 - targets.headroom)
    decode_rows = ground.fits & _only(ground, decode_only)
    spend(len(ground.placements) * ((NODES - 1) * POINTS_PER_NODE + 1 + len(LOADS)))
    batches, steps, decode_rate, tpot_95 = _decode_curve(ground)
    meets = decode_rows[:, None] & _at_most(tpot_95, targets.tpot_p95_s) & _at_most(steps, targets.tpot_p50_s)
    evaluated = int(steps.size)
    if not meets.any():
        best = float(np.min(np.where(decode_rows[:, None], tpot_95, np.inf)))
        return NoPools("tpot_target", f"TPOT of a decode pool is at best {best * 1e3:.1f} ms", evaluated)
    most = np.where(meets, decode_rate, 0.0)
    each = most.max(axis=1)
    row, instances = _fewest(ground, each, rate)
    decode = _decode_pool(
        ground, row, instances, float(each[row]), demand.amount, batches[row], steps[row], tpot_95[row]
    )
    first = 1.5 * decode.seconds * ground.load.tokens_per_step
    found = _prefill_pool(ground, targets, rate, float(first), prefill_only)
    evaluated += len(ground.placements) * len(LOADS)
    if isinstance(found, NoPools):
        return NoPools(found.code, found.reason, evaluated)
    prefill, transfer = found
    if targets.e2e_p95_s is not None:
        whole = prefill.seconds_p95 + first + decode.seconds_p95 * max(demand.output_tokens - 1, 0)
        if whole > targets.e2e_p95_s:
            return NoPools("e2e_target", f"a request takes {whole:.2f} s at the 95th percentile", evaluated)
    return Pools(
        ground=ground,
        prefill=_with_spare(prefill, spare),
        decode=_with_spare(decode, spare),
        ttft_s=prefill.seconds + float(first),
        ttft_p95_s=prefill.seconds_p95 + float(first),
        tpot_s=decode.seconds,
        tpot_p95_s=decode.seconds_p95,
        transfer_s=transfer,
        evaluated=evaluated,
    )


def _with_spare(pool: Pool, spare: int) -> Pool:
    return Pool(pool.role, pool.placement, pool.rate, pool.instances + spare, pool.load, pool.seconds, pool.seconds_p95)


def _only(ground: Ground, wanted: Placement | None) -> Any:
    """Which rows are the placement wanted; all where none is."""
    if wanted is None:
        return np.ones(len(ground.placements), dtype=bool)
    return np.array([place == wanted for place in ground.placements])


def _at_most(values: FloatArray, bound: float | None) -> Any:
    return np.ones(values.shape, dtype=bool) if bound is None else values <= bound


def _fewest(ground: Ground, each: FloatArray, rate: float) -> tuple[int, int]:
    """Row and instances of the fewest accelerators; of equals, the one with the most room."""
    with np.errstate(divide="ignore"):
        instances = np.where(each > 0, np.ceil(rate / np.maximum(each, 1e-300) - 1e-9), np.inf)
    chips = instances * as_float(ground.flat.accelerators)
    order = np.lexsort((-np.where(each > 0, each, 0.0) / as_float(ground.flat.accelerators), chips))
    row = int(order[0])
    return row, max(int(instances[row]), 1)


def _decode_curve(ground: Ground) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Over placements and load: sequences per rank, TPOT [s], requests/s of an instance, TPOT's 95th percentile."""
    load, places = ground.load, ground.rows(slice(None))
    nodes = batch_grid(ground.limit, NODES, least=1.0)
    shape = StepShape(
        decode_seqs=np.maximum(nodes / places.pp, 1e-3),
        decode_context=load.decode_context,
        tokens_per_decode=load.verified_tokens,
    )
    fine = FineGrid.between(nodes, POINTS_PER_NODE)
    batches, step = fine.points, fine.spread(ground.target.step.seconds(shape, places)) + load.draft_s
    tpot = step / load.tokens_per_step
    made = np.maximum(as_float(load.output_tokens) - 1.0, 1.0)
    rate = batches * places.dp / (made * tpot)
    slope = np.gradient(tpot, axis=1) / np.maximum(np.gradient(batches, axis=1), 1e-9)
    spread = np.minimum(Z95 * np.sqrt(batches), np.maximum(ground.limit[:, None] - batches, 0.0))
    return batches, tpot, rate, tpot + np.maximum(slope, 0.0) * spread


def _decode_pool(
    ground: Ground,
    row: int,
    instances: int,
    each: float,
    rate: float,
    batches: FloatArray,
    tpot: FloatArray,
    tpot_95: FloatArray,
) -> Pool:
    """The decode pool at the load that the planned rate makes: Little's law, B = rate x output x TPOT(B)."""
    place = ground.placements[row]
    share = rate / instances / float(place.dp)
    made = max(float(ground.load.output_tokens) - 1.0, 1.0)
    carried = np.maximum.accumulate(batches / (made * tpot))
    if share < carried[0]:
        batch = max(float(batches[0] * share / carried[0]), 1e-3)
    else:
        batch = float(np.interp(share, carried, batches))
    now, late = (float(np.interp(batch, batches, curve)) for curve in (tpot, tpot_95))
    return Pool("decode", place, each, instances, batch, now, late)


def _prefill_pool(
    ground: Ground, targets: Targets, rate: float, first_s: float, only: Placement | None
) -> tuple[Pool, float] | NoPools:
    """The prefill pool of the fewest accelerators within the TTFT targets, and the transfer's time [s]."""
    target, load, places = ground.target, ground.load, ground.flat
    new = max(float(np.asarray(load.input_tokens) - load.cached_tokens), 1.0)
    budget = float(prompt_room(ground.batching.token_budget, 0.0))
    prompts = max(1.0, np.floor(budget / new))
    chunks, each_tokens = (float(part) for part in split_prompt(new, budget))
    past = float(load.cached_tokens) + (new - each_tokens) / 2
    alone = chunks * target.step.seconds(StepShape(prefill_tokens=each_tokens, prefill_past=past), places)
    batch = alone
    if prompts > 1:
        shape = StepShape(prefill_tokens=new * prompts, prefill_seqs=prompts, prefill_past=past)
        batch = target.step.seconds(shape, places)
    service = np.minimum(batch / prompts, alone)
    transfer = transfer_seconds(target, float(load.input_tokens), places)
    scv = ground.demand.input_scv
    rho = LOADS[None, :]
    m = service[:, None]
    wait = rho * m * (1.0 + scv) / (2.0 * (1.0 - rho)) + rho * batch[:, None] / 2
    fixed = (transfer + ground.batching.fixed_ttft_s)[:, None]
    mean = wait + alone[:, None] + fixed
    late = EXPONENTIAL_95 * wait + alone[:, None] * (1.0 + Z95 * np.sqrt(scv)) + fixed
    meets = ground.fits[:, None] & _only(ground, only)[:, None]
    meets = meets & _at_most(late + first_s, targets.ttft_p95_s) & _at_most(mean + first_s, targets.ttft_p50_s)
    if not meets.any():
        best = float(np.min(np.where(ground.fits[:, None], late, np.inf))) + first_s
        return NoPools("ttft_target", f"TTFT with separate pools is at best {best:.2f} s")
    capacity = as_float(places.dp) * places.pp / service
    network = NETWORK_SHARE * target.machine.node_bandwidth * as_float(places.accelerators)
    size = float(kv_bytes(target.arch, float(load.input_tokens), target.kv))
    each = np.minimum(np.where(meets, rho, 0.0).max(axis=1) * capacity, network / max(size, 1.0))
    row, instances = _fewest(ground, each, rate)
    now = min(ground.demand.amount / instances / float(capacity[row]), float(LOADS[-1]))
    pool = Pool(
        "prefill",
        ground.placements[row],
        float(each[row]),
        instances,
        now,
        float(np.interp(now, LOADS, mean[row])),
        float(np.interp(now, LOADS, late[row])),
    )
    return pool, float(transfer[row])
