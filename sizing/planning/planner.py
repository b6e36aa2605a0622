"""The planner: every accelerator offered x engine x formats x placement; the best kept, the rest told why.

``plan(study)`` returns a Result: plans ranked by cost, the Pareto front of cost against interactivity, and one reason
for each group of losers. It evaluates with the very functions of a single estimate (``sizing.planning.search``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from sizing.base.budget import BudgetError, spend
from sizing.base.checked import one_of, public, required, shown
from sizing.base.errors import PlacementError, SizingError, UnknownNameError
from sizing.coefficients.calibration import Calibration
from sizing.engine.placement import Placement
from sizing.hardware import Catalog, load_catalog
from sizing.hardware.servers import named_server
from sizing.model.architecture import Architecture
from sizing.model.config import parse_config
from sizing.model.counts import params_report
from sizing.model.quantization.schemes import scheme
from sizing.money.ownership import OwnedHour, average_watts, owned_hour, ownership_terms
from sizing.money.prices import own_price
from sizing.planning.candidates import Ground, space_of, survey
from sizing.planning.estimate import check_context, resolve_price
from sizing.planning.plan_check import judged
from sizing.planning.plans import PricedTarget, plans_of, target_label
from sizing.planning.pool_plans import pooled_plan
from sizing.planning.pricing import close_call
from sizing.planning.result import Plan, Rejection, Result
from sizing.planning.search import Demand, evaluate
from sizing.planning.sensitivity import _only, _survey, explained
from sizing.planning.target import Target, as_model, least_bits, native_scheme, resolve_target, runs, usual_engine
from sizing.study import Offer, Study

POOLS_UNWRITTEN = (
    "separate prefill and decode pools are planned where their launch files can be written: under vllm and sglang"
)
MOST_TARGETS = 1000  # of one search: each takes a tenth of a second
Item = TypeVar("Item")
GOODPUT_UNUSED = (
    "workload.targets.goodput_share is not planned with: each limit is held by itself, not all of them by one request"
)


class MapsWork(Protocol):
    """Whatever maps work over workers: concurrent.futures' executors, dask's ``client.get_executor()``, Ray's pool."""

    def map(self, function: Callable[..., Any], /, *iterables: Iterable[Any]) -> Iterable[Any]:
        """Apply the function to the items of the iterables in turn; results in order."""
        ...


@dataclass(frozen=True)
class _Answer:
    """What the search on one target found."""

    plans: list[Plan]
    rejected: list[Rejection]
    evaluated: int


def _maps_work(value: Any, key: str) -> Any:
    """An executor, or None."""
    if value is not None and not callable(getattr(value, "map", None)):
        raise SizingError(f"must have a method map, as executors do, not {shown(value)}", key=key)
    return value


@public(
    study=required(one_of(Study, what="sizing.quick_study(...), sizing.load_study(FILE) or sizing.Study(...)")),
    catalog=one_of(Catalog, what="sizing.load_catalog()"),
    calibration=one_of(Calibration),
    executor=_maps_work,
    simulate=required(one_of(bool)),
)
def plan(
    study: Study,
    catalog: Catalog | None = None,
    *,
    calibration: Calibration | None = None,
    executor: MapsWork | None = None,
    simulate: bool = True,
) -> Result:
    """Answer a Study. Raises SizingError for unknown names and lengths beyond the model's context.

    A part that cannot run, fit or meet the targets is not an error: it is in ``rejected`` with its reason.
    ``executor`` (with a ``map`` like ``concurrent.futures.Executor``'s) takes the targets (accelerator, engine and
    formats) one by one; the answer is the same. ``simulate``: the first plans are served by the simulator, and those that
    miss their targets there stand last (``checked`` of a plan).
    """
    catalog = catalog or load_catalog()
    arch = study_model(study)
    assumptions: list[str] = []
    rejected: list[Rejection] = []
    found: list[Plan] = []
    evaluated = 0
    work = list(_targets(study, arch, catalog, rejected, assumptions, calibration))
    if work:
        demand = Demand.of(study.workload, work[0].target, study.model.context)
        assumptions += check_context(arch, demand.context, "workload") + demand.said()
        if study.workload.targets.goodput_share is not None:
            assumptions.append(GOODPUT_UNUSED)
        if study.workload.images is not None and arch.vision is not None:
            tokens = study.workload.images.tokens_per_request(arch.vision.image_tokens)
            assumptions.append(f"images add {tokens:,} tokens to the input of a request, by the model's vision tower")
        many = len(work)
        run: Callable[..., Iterable[_Answer]] = map if executor is None else executor.map
        answers = run(_answer, [study] * many, work, [demand] * many, [_draft_choices(study, arch)] * many)
        for priced, answer in zip(work, answers, strict=True):
            found += [replace(item, target=priced.target) for item in answer.plans]  # workers send none back
            rejected += answer.rejected
            evaluated += answer.evaluated
            spend(0 if executor is None else answer.evaluated)  # workers have counted against no budget
    ranked = sorted(found, key=_rank)
    if simulate and ranked:
        ranked, simulated = judged(study, ranked, lambda item: _survey_of(study, item))
        if simulated:
            assumptions.append(f"the first {simulated} plans are simulated, 2,000 requests each; others are not")
    kept = _distinct(ranked, study.constraints.max_plans)
    rejected += _not_listed(ranked, kept)
    assumptions += filter(None, [close_call(ranked), kept[0].quality if kept else None])
    assumptions += filter(None, [kept[0].bought.said() if kept and kept[0].bought else None])
    if kept:
        kept = [explained(study, kept[0]), *kept[1:]]
    return Result(
        study=study,
        plans=tuple(kept),
        pareto=tuple(pareto_front(ranked)),
        rejected=tuple(_grouped(rejected)),
        assumptions=tuple(dict.fromkeys(assumptions + [a for p in kept[:1] for a in p.assumptions])),
        evaluated=evaluated,
        model=model_facts(arch),
    )


def _answer(study: Study, priced: PricedTarget, demand: Demand, draft_choices: list[int]) -> _Answer:
    """The search on one target: aggregated and, where the study asks for it, disaggregated. Runs on any worker."""
    plans: list[Plan] = []
    rejected: list[Rejection] = []
    evaluated = 0
    if priced.target.accelerator.works_alone and not _one_rank_allowed(study):
        reason = "a slice works alone: no replica spans several, as the sizes asked for would"
        return _Answer([], [Rejection(target_label(priced.target), "slice_is_one_rank", reason)], 0)
    for drafts in draft_choices:
        refused = priced.target.engine.drafts_refused(priced.target.scheme, drafts) if drafts else None
        if refused is not None:
            rejected.append(Rejection(f"{target_label(priced.target)} {drafts} drafted", "does_not_run", refused))
            continue
        try:
            ground = survey(priced.target, demand, space_of(study, priced.target), study.engine, drafts=drafts)
            if study.engine.disaggregated != "on":
                candidates = evaluate(study, priced.target, demand, drafts=drafts, ground=ground)
                evaluated += candidates.evaluated
                made, fallen = plans_of(study, priced, candidates)
                plans += made
                rejected += fallen
            if study.engine.disaggregated != "off" and not priced.target.engine.pools_apart:
                rejected.append(Rejection(f"{target_label(priced.target)} pools", "no_launch_files", POOLS_UNWRITTEN))
            elif study.engine.disaggregated != "off":
                pooled, count = pooled_plan(
                    study,
                    priced.target,
                    demand,
                    ground=ground,
                    drafts=drafts,
                    usd_per_hour=priced.usd,
                    price=priced.price,
                    power_w=priced.power_w,
                    max_accelerators=priced.offer.max_accelerators,
                    said=priced.said,
                )
                evaluated += count
                (plans if isinstance(pooled, Plan) else rejected).append(pooled)  # type: ignore[arg-type]
        except BudgetError:
            raise
        except SizingError as error:
            rejected.append(Rejection(target_label(priced.target), "not_evaluated", str(error)))
    return _Answer(plans, rejected, evaluated)


def _one_rank_allowed(study: Study) -> bool:
    """Whether the sizes that the study allows hold the layout of one accelerator."""
    c = study.constraints
    sizes = (c.tensor_parallel, c.pipeline_parallel, c.data_parallel, c.expert_parallel)
    return all(not allowed or 1 in allowed for allowed in sizes)


def study_model(study: Study) -> Architecture:
    """The study's model: its inline config, or the name looked up."""
    if study.model.config is not None:
        return parse_config(study.model.config, name=study.model.name)
    return as_model(study.model.name)


def model_facts(arch: Architecture) -> dict[str, Any]:
    """Counts and contexts of a model, for the head of an answer."""
    report = params_report(arch)
    return {
        **report,
        "hypothetical": arch.hypothetical,
        "native_context": arch.native_context,
        "extended_context": arch.extended_context,
        "notes": list(arch.notes),
    }


def _draft_choices(study: Study, arch: Architecture) -> list[int]:
    """Numbers of draft tokens to try: none, or the model's own MTP module's."""
    wanted = study.engine.speculative
    if wanted == "off":
        return [0]
    if not arch.mtp_groups and wanted == "try":
        return [0]
    return [study.engine.draft_tokens] if wanted == "on" else [0, study.engine.draft_tokens]


def _targets(
    study: Study,
    arch: Architecture,
    catalog: Catalog,
    rejected: list[Rejection],
    assumptions: list[str],
    calibration: Calibration | None = None,
) -> Iterator[PricedTarget]:
    """Every accelerator x engine x formats that can run, with its price."""
    tried = 0
    for offer in _once(study.hardware):
        accelerator, said = catalog.resolve(offer.accelerator)
        assumptions += said
        if offer.server is not None:
            named_server(accelerator.id, offer.server, catalog)  # refuses what does not fit
        engines = _once(study.engine.names) or (usual_engine(accelerator),)
        for engine in engines:
            for weights in _once(_weight_choices(study, arch, accelerator)):
                for kv_dtype in _once(study.model.kv_dtype) or (None,):
                    tried += 1
                    spend()
                    if tried > MOST_TARGETS:
                        raise SizingError(
                            f"more than {MOST_TARGETS:,} combinations of offers, engines and formats",
                            key="hardware",
                            hint="offer fewer accelerators, or fewer formats",
                        )
                    try:
                        target = resolve_target(
                            arch,
                            accelerator,
                            engine=engine,
                            engine_version=study.engine.version,
                            weights=weights,
                            kv_dtype=kv_dtype,
                            catalog=catalog,
                            calibration=calibration,
                            server=offer.server,
                            enforce_eager=study.engine.enforce_eager,
                        )
                        _check_formats(target)
                        _check_bits(target, study.constraints.min_weight_bits)
                        _ = target.machine
                    except (PlacementError, UnknownNameError):
                        raise
                    except SizingError as error:
                        rejected.append(
                            Rejection(f"{accelerator.id} {weights or ''}".strip(), "does_not_run", str(error))
                        )
                        continue
                    assumptions += [item for item in target.assumptions if "HYPOTHETICAL" in item]
                    yield _price(study, offer, target)


def _once(items: Iterable[Item]) -> tuple[Item, ...]:
    """The items in their order, each once: what is offered twice is searched once."""
    return tuple(dict.fromkeys(items))


def _check_formats(target: Target) -> None:
    """Refuse formats that the engine has no kernels for."""
    problem = target.engine.unsupported(target.scheme, target.kv.name, target.accelerator.vendor)
    if problem:
        raise SizingError(str(problem), key="--engine")


def _check_bits(target: Target, least: float | None) -> None:
    """Refuse formats of fewer bits per weight than the study allows."""
    bits = least_bits(target.scheme)
    if least is not None and bits < least:
        raise SizingError(
            f"its weights have {bits:g} bits, fewer than the {least:g} that were asked for", key="--min-bits"
        )


def _weight_choices(study: Study, arch: Architecture, accelerator: Any) -> list[str | None]:
    """Formats to try: the user's, else the checkpoint's own (or its stand-in) and the usual published variants."""
    if study.model.weights:
        return list(study.model.weights)
    choices: list[str | None] = [None]
    own = native_scheme(arch)
    if own.name in ("bf16", "fp16"):
        usual = ("fp8_block" if arch.is_moe else "fp8", "int8", "int4_awq")
        for name in usual:
            how = runs(accelerator, scheme(name))
            if how == "native" or (name == "int4_awq" and how is not None):
                choices.append(name)
        # Where FP8 and INT8 both run, FP8 is what publishers ship.
        if "int8" in choices and any(c in choices for c in ("fp8", "fp8_block")):
            choices.remove("int8")
    elif own.experts.bits >= 8 and runs(accelerator, scheme("nvfp4")) == "native":
        choices.append("nvfp4")
    return choices


def _price(study: Study, offer: Offer, target: Target) -> PricedTarget:
    """The hour of one accelerator: given, rented or owned."""
    terms = ownership_terms(target.catalog, study.money.own)
    power = average_watts(target.accelerator, target.server, target.catalog, terms)[0] or 0.0
    if study.money.mode == "own" and offer.usd_per_hour is None:
        try:
            hour = own_hour(study, target)
        except SizingError as error:
            return PricedTarget(target, offer, None, None, (str(error),), power)
        return PricedTarget(target, offer, hour.usd, own_price(target.accelerator, hour), hour.said, power)
    usd, price, said = resolve_price(target, offer.usd_per_hour, offer.term)
    return PricedTarget(target, offer, usd, price, tuple(said), power)


def own_hour(study: Study, target: Target) -> OwnedHour:
    """The owned hour of a target's accelerator under the study's terms; SizingError where it has no price."""
    terms = ownership_terms(target.catalog, study.money.own)
    return owned_hour(
        target.accelerator, target.catalog, terms, server=target.server, server_usd=study.money.own.server_usd
    )


def _rank(item: Plan) -> tuple[float, ...]:
    """Cheapest first; of equals more bits per weight, then more margin (a lower load), then the fewer accelerators, then
    the faster. Plans without a price come last; where money tells nothing (none, or free) the fewer accelerators lead.
    """
    price = item.usd_per_hour if item.usd_per_hour is not None else float("inf")
    if item.cost and item.utilization == 1.0 and item.requests_per_s:
        price = item.cost["usd_per_million_tokens"].p50
    first = 0 if item.usd_per_hour else item.accelerators
    return (round(price, 9), first, -item.weight_bits, round(item.utilization, 6), item.accelerators, item.tpot_s.p50)


PLANS_PER_PART = 3  # layouts listed of one accelerator in one format


def _distinct(ranked: list[Plan], most: int) -> list[Plan]:
    """The best plans, at most a few layouts of one accelerator in one format, so that every offer shows."""
    kept: list[Plan] = []
    seen: Counter[tuple[str, str, str, str, str, int]] = Counter()
    for item in ranked:
        key = (item.accelerator, item.weights, item.kv_dtype, item.engine, item.mode, item.speculative_tokens)
        seen[key] += 1
        if seen[key] <= PLANS_PER_PART:
            kept.append(item)
    return kept[:most]


def _not_listed(ranked: list[Plan], kept: list[Plan]) -> list[Rejection]:
    """Plans that would work but are not listed: they cost more than the best, the same, or nobody knows."""
    best = kept[0].usd_per_hour if kept else None
    return [_unlisted(item, best) for item in ranked if item not in kept]


def _unlisted(item: Plan, best: float | None) -> Rejection:
    """Why one that works is not listed. ``dearer`` is said only of what costs more than ``best`` [USD/h]."""
    with_ = f"an hour with {item.accelerators} accelerators"
    if item.usd_per_hour is None:
        hint = f"--price {item.accelerator}=USD_PER_HOUR"
        return Rejection(item.label, "no_price", f"works, but its price is not known: give one with {hint}")
    if best is not None and item.usd_per_hour <= best * (1 + 1e-9):
        return Rejection(
            item.label, "not_better", f"works at ${item.usd_per_hour:,.2f} {with_}, as others that rank before it"
        )
    return Rejection(item.label, "dearer", f"works, but costs ${item.usd_per_hour:,.2f} {with_}")


def _grouped(items: Iterable[Rejection]) -> list[Rejection]:
    """Equal reasons of one target merged; counts added."""
    merged: dict[tuple[str, str, str], Rejection] = {}
    for item in items:
        key = (item.candidate, item.code, item.reason)
        known = merged.get(key)
        merged[key] = item if known is None else replace(known, count=known.count + item.count)
    return list(merged.values())


def pareto_front(plans: Iterable[Plan]) -> list[Plan]:
    """Plans that no other beats in both cost per token and TPOT, fastest last."""
    priced = [item for item in plans if "usd_per_million_tokens" in item.cost]
    ordered = sorted(priced, key=lambda item: (round(item.cost["usd_per_million_tokens"].p50, 9), item.tpot_s.p50))
    front: list[Plan] = []
    best = float("inf")
    for item in ordered:
        if item.tpot_s.p50 < best * (1 - 1e-9):
            front.append(item)
            best = item.tpot_s.p50
    return front


def _survey_of(study: Study, item: Plan) -> Ground | None:
    """The survey of a plan's one placement."""
    demand = Demand.of(study.workload, item.resolved, study.model.context)
    return _survey(_only(study, Placement(**item.placement)), item.resolved, demand, item)


__all__ = ["MapsWork", "model_facts", "own_hour", "pareto_front", "plan", "study_model"]
