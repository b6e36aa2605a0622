"""One run of a benchmark beside what the model says of the same setting."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from sizing.base.arrays import scalar
from sizing.base.errors import SizingError
from sizing.coefficients.calibration import RUN_SIGMA
from sizing.engine.placement import Placement
from sizing.evidence.bounds import check_physics
from sizing.evidence.in_flight import at_once, check_run, held_back, in_flight
from sizing.evidence.measurement import Measurement
from sizing.evidence.stated import SIZES, Stated, chosen
from sizing.hardware import Accelerator, Catalog
from sizing.model.quantization.schemes import scheme
from sizing.planning.estimate import Estimate, batching_of, estimate
from sizing.planning.simulation import serve
from sizing.planning.target import Target, resolve_target
from sizing.workload.requests import Requests

MOST_BURST = 20_000  # requests of a burst that is simulated
QUEUED = 0.1  # share of a first token; with more of it spent before the batch, it says nothing of prefill


@dataclass(frozen=True, slots=True)
class Compared:
    """A measured run and the model's own figures of it. Times in seconds; ``concurrency`` is over all replicas.

    decode_log, prefill_log: logarithm of measured over predicted, None where the run teaches nothing of it; sigma: how
    far one such logarithm is off by itself.
    """

    file: str
    target: Target
    placement: Placement
    concurrency: float
    concurrency_from: str
    measured: dict[str, float | None]
    predicted: dict[str, float]
    decode_log: float | None
    prefill_log: float | None
    sigma: float = RUN_SIGMA
    all_at_once: bool = False
    simulated: bool = False
    input_tokens: float = 0.0
    output_tokens: float = 0.0
    replicas: int = 1
    warnings: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """One entry of ``runs`` in the document of ``sizing calibrate --json``."""
        place = self.placement
        return {
            "file": self.file,
            "model": self.target.arch.name,
            "engine": self.target.engine.name,
            "engine_version": self.target.engine.version_text,
            "weights": self.target.scheme.name,
            "kv_dtype": self.target.kv.name,
            "placement": {name: int(getattr(place, name)) for name in SIZES},
            "replicas": self.replicas,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "concurrency": self.concurrency,
            "concurrency_from": self.concurrency_from,
            **{
                name: {"measured": self.measured[name], "predicted": self.predicted[name]}
                for name in ("tpot_s", "ttft_s")
            },
            "all_at_once": self.all_at_once,
            "teaches": [
                name for name, log in (("decode", self.decode_log), ("prefill", self.prefill_log)) if log is not None
            ],
        }


def compare_run(
    run: Measurement, file: str, accelerator: str | Accelerator, told: Stated, catalog: Catalog
) -> Compared:
    """Estimate the run's setting; raises SizingError where it is not stated, contradicts itself or beats the roofline."""
    check_run(run)
    said: list[str] = []
    doubts: list[str] = []
    target = target_of(run, accelerator, told, catalog, doubts)
    place = placement_of(run, told, said, doubts)
    replicas = chosen(told, run, "replicas", doubts) or 1
    given, wanted = _length(run, told, "input_tokens", doubts), _length(run, told, "output_tokens", doubts)
    if told.concurrency is not None:
        held, source = float(told.concurrency), "given"
    else:
        found = in_flight(run)
        held, source = found.requests, found.source
    _count_accelerators(run, place, replicas, doubts)
    check_physics(run, target.step, place, held / replicas / float(place.dp))
    speculation = _speculation(run, told, said)
    answer = estimate(
        target.arch, target.accelerator, place, input_tokens=given, output_tokens=wanted,
        concurrency=max(held / replicas, 1.0), target=target, max_num_seqs=told.max_num_seqs,
        max_num_batched_tokens=told.max_num_batched_tokens, memory_utilization=told.memory_utilization, **speculation,
    )  # fmt: skip
    burst = at_once(run)
    predicted = {name: answer.latency[name].p50 for name in ("tpot_s", "ttft_s")}
    simulated = burst and place.pp == 1 and not speculation and (run.num_prompts or 0) <= MOST_BURST
    if simulated:
        predicted = _burst(answer, max(1, round((run.num_prompts or 1) / replicas)))
    measured = {"tpot_s": run.tpot_s.mean or run.tpot_s.p50, "ttft_s": run.ttft_s.mean or run.ttft_s.p50}
    waits = burst or held_back(run) or _mostly_waiting(answer)
    return Compared(
        file=file, target=target, placement=place, concurrency=held, concurrency_from=source,
        measured=measured, predicted=predicted,
        decode_log=_log_ratio(measured["tpot_s"], predicted["tpot_s"]) if wanted > 1 else None,
        prefill_log=None if waits else _log_ratio(measured["ttft_s"], predicted["ttft_s"]),
        all_at_once=burst, input_tokens=given, output_tokens=wanted, replicas=replicas,
        warnings=tuple(doubts), assumptions=(*target.assumptions, *said),
    )  # fmt: skip


def _log_ratio(measured: float | None, predicted: float) -> float | None:
    return math.log(measured / predicted) if measured and measured > 0 and predicted > 0 else None


def target_of(
    run: Measurement, accelerator: str | Accelerator, told: Stated, catalog: Catalog, doubts: list[str]
) -> Target:
    """What the run was of; raises SizingError that says which flag is needed."""
    name = told.model or run.model
    if name is None:
        raise SizingError("names no model", key=run.source, hint="give --model")
    weights = chosen(told, run, "weights", doubts) or _by_precision(run)
    try:
        target = resolve_target(
            name, accelerator, engine=chosen(told, run, "engine", doubts),
            engine_version=chosen(told, run, "engine_version", doubts), weights=weights,
            kv_dtype=chosen(told, run, "kv_dtype", doubts), catalog=catalog,
        )  # fmt: skip
    except SizingError as error:
        if told.model is None and isinstance(name, str) and name in error.message:
            raise SizingError(
                f"names the model {name!r}: {error.message}", key=run.source, hint="give --model"
            ) from None
        raise
    if run.accelerator:
        try:
            there = catalog.resolve(run.accelerator)[0].id
        except SizingError:
            there = target.accelerator.id
        if there != target.accelerator.id:
            raise SizingError(
                f"ran on {run.accelerator}, not on {target.accelerator.id}", key=run.source, hint="give that with --on"
            )
    return target


def _by_precision(run: Measurement) -> str | None:
    """The weight format of a file that states a precision only; raises SizingError where the word means several."""
    if run.precision is None:
        return None
    try:
        return scheme(run.precision.lower()).name
    except SizingError:
        raise SizingError(
            f"states the precision {run.precision!r}, which names no one weight format", key=run.source,
            hint="give --weights",
        ) from None  # fmt: skip


def placement_of(run: Measurement, told: Stated, said: list[str], doubts: list[str]) -> Placement:
    """The placement as stated. One accelerator where nothing is, which is said."""
    sizes = {name: chosen(told, run, name, doubts) for name in SIZES}
    if all(size is None for size in sizes.values()):
        if run.accelerators and run.accelerators > 1:
            raise SizingError(
                f"ran on {run.accelerators} accelerators and does not say how",
                key=run.source,
                hint="give --tp, --dp, --ep",
            )
        said.append(f"{run.source} states no placement: one accelerator (TP1) is taken; give --tp if it was another")
    return Placement(*(sizes[name] or 1 for name in SIZES))


def _count_accelerators(run: Measurement, place: Placement, replicas: int, doubts: list[str]) -> None:
    counted = int(place.accelerators) * replicas
    if run.accelerators and run.accelerators != counted:
        doubts.append(
            f"{run.source} states {run.accelerators} accelerators; {place.describe()} x {replicas} are {counted}"
        )


def _length(run: Measurement, told: Stated, name: str, doubts: list[str]) -> float:
    value = chosen(told, run, name, doubts)
    if value is None:
        flag = "--input" if name == "input_tokens" else "--output"
        raise SizingError(f"states no {name.replace('_', ' ')}", key=run.source, hint=f"give {flag}")
    return max(float(value), 1.0)


def _speculation(run: Measurement, told: Stated, said: list[str]) -> dict[str, Any]:
    """Keywords of the estimate for a run with drafts."""
    gained = run.accept_length
    if gained is None or gained <= 1.0:
        return {}
    drafts = told.draft_tokens or run.draft_tokens
    if drafts is None:
        drafts = max(1, math.ceil(gained))
        said.append(
            f"{run.source} gained {gained:.3g} tokens a step with drafts and does not say how many: {drafts} taken"
        )
    return {"speculative_tokens": drafts, "acceptance_length": min(gained, drafts + 1.0)}


def _mostly_waiting(answer: Estimate) -> bool:
    """Whether a first token waits for a place in the batch, or for others longer than for its own prompt."""
    steady = answer.steady
    first = scalar(steady.ttft_s)
    own = scalar(steady.prefill_s) + answer.target.coefficients.batching.fixed_ttft_s
    return scalar(steady.queue_wait_s) > QUEUED * first or first > 2.0 * own


def _burst(answer: Estimate, prompts: int) -> dict[str, float]:
    """Mean TTFT and TPOT [s] of ``prompts`` requests that come all at once to one replica, simulated."""
    ones = np.ones(prompts)
    arriving = Requests(
        np.zeros(prompts),
        np.rint(ones * answer.input_tokens).astype(np.int64),
        np.maximum(np.rint(ones * answer.output_tokens), 1).astype(np.int64),
        np.zeros(prompts, dtype=np.int64),
    ).checked()
    load = answer.memory.load
    found = serve(
        answer.target, answer.placement, load, batching_of(answer.target, load.max_num_batched_tokens),
        float(answer.memory.kv_pool_tokens), arriving, ranks=int(answer.placement.dp), prefix_caching=True,
    )  # fmt: skip
    known = {name: values[np.isfinite(values)] for name in ("tpot_s", "ttft_s") for values in (getattr(found, name),)}
    return {name: float(values.mean()) if len(values) else answer.latency[name].p50 for name, values in known.items()}
