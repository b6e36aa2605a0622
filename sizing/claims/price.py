"""A claimed price per million tokens on a named accelerator: what would have to be true."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sizing.base.arrays import scalar
from sizing.base.budget import BudgetError
from sizing.base.errors import SizingError
from sizing.base.ledger import Interval, LedgerLine
from sizing.base.units import count, digits, seconds, usd
from sizing.claims.claim import Claim, Finding, Verdict
from sizing.hardware import Catalog
from sizing.hardware.price_models import Price
from sizing.model.architecture import Architecture
from sizing.model.counts import kv_bytes
from sizing.model.quantization.schemes import scheme
from sizing.model.sources import catalog_models, load_model
from sizing.money.quotes import dated
from sizing.planning.capacity import Capacity, OperatingPoint, TokenKind, capacity
from sizing.planning.confidence import width
from sizing.planning.estimate import resolve_price
from sizing.planning.target import Target, resolve_target, runs
from sizing.serving import held_tokens
from sizing.step.operations import StepShape

INTERACTIVE_TPOT_S = 0.05  # 20 tokens/s: about twice the speed of reading
SAME_SIZE = 0.01
KIND_TEXT: dict[TokenKind, str] = {
    "input": "input tokens",
    "output": "output tokens",
    "blend": "tokens, input and output together",
}


def find_model(claim: Claim) -> tuple[Architecture | None, list[str]]:
    """The claim's model: by name, or the catalog's of the same two sizes; None where only sizes are known."""
    if claim.model:
        return load_model(claim.model), []
    if claim.total is None:
        raise SizingError("a model, or --total and --active parameters, are needed to judge a price", key="MODEL")
    for entry in catalog_models():
        if not entry.hypothetical:
            continue
        arch = load_model(entry.name, allow_hub=False)
        active = claim.active or claim.total
        if abs(arch.total / claim.total - 1) <= SAME_SIZE and abs(arch.active / active - 1) <= SAME_SIZE:
            return arch, [f"{count(claim.total)} total and {count(active)} active are taken to be built as {arch.name}"]
    return None, ["only the sizes are known: the cache and the layers are not, so only bounds can be given"]


def price_finding(claim: Claim, catalog: Catalog) -> Finding:
    """Whether ``usd_per_million`` can be reached on the accelerator, and how."""
    assert claim.usd_per_million is not None
    kind: TokenKind = claim.kind or "blend"
    statement = f"{usd(claim.usd_per_million)} per million {KIND_TEXT[kind]}"
    if claim.accelerator is None:
        return Finding("price", statement, "cannot be judged", "no accelerator is named: give one with --on")
    arch, said = find_model(claim)
    if claim.kind is None:
        said.append("the claim does not say which tokens: input and output together are meant")
    like = arch if arch is not None else load_model("deepseek-ai/DeepSeek-V3", allow_hub=False)
    targets = _targets(like, claim, catalog)
    target = targets[0]
    found: Capacity | None = None
    if arch is not None:
        target, found = _fastest(targets, claim, kind, said)
        said += list(target.assumptions)
    hour, price, priced = resolve_price(target, claim.usd_per_hour)
    said += priced
    statement += f" on {target.accelerator.name}"
    if hour is None:
        return Finding("price", statement, "cannot be judged", priced[0], (), tuple(said))
    used = claim.utilisation or 1.0
    if claim.utilisation is not None:
        said.append(
            f"{used:.0%} utilisation is taken as the share of the hours paid for in which the accelerators serve"
        )
    needed = hour / 3600.0 / (claim.usd_per_million / 1e6) / used
    lines = [
        LedgerLine("accelerator-hour", hour, "USD", f"price of one accelerator for one hour{_age(price)}"),
        LedgerLine("used", used, "", "share of the hours in which the accelerators serve; 1 is never idle"),
        LedgerLine(
            "needed", needed, "tokens/s", f"per accelerator: hour / 3600 s / (price / 1e6) / used, {KIND_TEXT[kind]}"
        ),
    ]
    total, active = (arch.total, arch.active) if arch is not None else (claim.total or 0, claim.active or claim.total)
    lines += _rooflines(target, float(total), float(active or total), needed)
    if arch is None:
        return _bounds_only(statement, lines, said)
    lines += _cache_roofline(target, claim, needed, kind)
    if found is None:
        return Finding("price", statement, "no batch reaches it", said[-1], tuple(lines), tuple(said))
    said.append(
        f"requests of {claim.input_tokens:,.0f} input and {claim.output_tokens:,.0f} output tokens, no cache hits; "
        f"every placement on up to {int(found.chips.max())} accelerators is tried"
    )
    return _judged(claim, statement, kind, needed, found, lines, said)


def _age(price: Price | None) -> str:
    """The age of a catalog's price, to go behind it."""
    return "" if price is None else f" (quotes to {dated(price)})"


def _targets(arch: Architecture, claim: Claim, catalog: Catalog) -> list[Target]:
    """The model on the accelerator in the weight formats to try: the one claimed, or the usual that run natively."""
    assert claim.accelerator is not None
    first = resolve_target(arch, claim.accelerator, weights=claim.weights, kv_dtype=claim.kv_dtype, catalog=catalog)
    if claim.weights is not None or first.scheme.experts.bits < 16:
        return [first]
    usual = ("fp8_block" if arch.is_moe else "fp8", "int8")
    native = [name for name in usual if runs(first.accelerator, scheme(name)) == "native"]
    return [first] + [
        resolve_target(arch, claim.accelerator, weights=name, kv_dtype=claim.kv_dtype, catalog=catalog)
        for name in native[:1]
    ]


def _fastest(targets: list[Target], claim: Claim, kind: TokenKind, said: list[str]) -> tuple[Target, Capacity | None]:
    """The target of the highest rate per accelerator, with its scan; where none fits, the last of ``said`` says why."""
    best: tuple[float, Target, Capacity] | None = None
    for target in targets:
        try:
            found = capacity(target, claim.input_tokens, claim.output_tokens, context=claim.context)
        except BudgetError:
            raise
        except SizingError as error:
            said.append(str(error))
            continue
        point = found.best(kind, claim.tpot_s)
        rate = 0.0 if point is None else point.tokens_per_s
        if best is None or rate > best[0]:
            best = (rate, target, found)
    if best is None:
        return targets[0], None
    if len(targets) > 1:
        names = " and ".join(item.scheme.name for item in targets)
        said.append(f"weights in {best[1].scheme.name}: the fastest of {names}; the claim names no format")
    return best[1], best[2]


def _rooflines(target: Target, total: float, active: float, needed: float) -> list[LedgerLine]:
    """The needed rate as shares of what the accelerator could do if nothing else took time."""
    scheme, machine = target.scheme, target.machine
    peak = machine.flops(scheme.experts.compute) or machine.bf16_flops
    share = needed * 2.0 * active / peak
    return [
        LedgerLine(
            "share of peak compute", share, "", f"needed x 2 x {count(active)} active parameters / {peak / 1e12:,.0f} "
            f"TFLOP/s ({scheme.experts.compute})",
        ),
        LedgerLine(
            "weights", total * scheme.experts.bits / 8, "bytes", f"{count(total)} parameters x {scheme.experts.bits:g} "
            "bits / 8, without scales",
        ),
    ]  # fmt: skip


def _cache_roofline(target: Target, claim: Claim, needed: float, kind: TokenKind) -> Iterator[LedgerLine]:
    """The needed rate as a share of the memory bandwidth, for the cache alone: no batch takes this share away."""
    if kind == "input":
        return
    context = float(held_tokens(claim.input_tokens, claim.output_tokens))
    read = float(kv_bytes(target.arch, float(context), target.kv))
    part = claim.output_tokens / (claim.input_tokens + claim.output_tokens) if kind == "blend" else 1.0
    yield LedgerLine(
        "share of memory bandwidth for the cache", needed * part * read / target.machine.memory_bandwidth, "",
        f"needed output tokens/s x {digits(read / 1e6)} MB of cache at {context:,.0f} tokens / "
        f"{target.machine.memory_bandwidth / 1e12:.3g} TB/s",
    )  # fmt: skip


def _bounds_only(statement: str, lines: list[LedgerLine], said: list[str]) -> Finding:
    """The verdict where nothing but the sizes is known."""
    share = next(line.value for line in lines if line.name == "share of peak compute")
    if share > 1:
        because = f"the products of the active weights alone would take {share:.0%} of the peak rate"
        return Finding("price", statement, "no batch reaches it", because, tuple(lines), tuple(said))
    because = f"one accelerator computes at {share:.0%} of its peak, all the time and with nothing else to do"
    return Finding("price", statement, "holds only if", because, tuple(lines), tuple(said))


def _judged(
    claim: Claim,
    statement: str,
    kind: TokenKind,
    needed: float,
    found: Capacity,
    lines: list[LedgerLine],
    said: list[str],
) -> Finding:
    """The verdict from the scan of all placements and batches."""
    target = found.ground.target
    best = found.best(kind, claim.tpot_s)
    if best is None:
        because = f"no load keeps TPOT within {seconds(claim.tpot_s or 0.0)}"
        return Finding("price", statement, "no batch reaches it", because, tuple(lines), tuple(said))
    most = Interval.around(best.tokens_per_s, width(target, "throughput"))
    lines += [
        LedgerLine(
            "best", most.p50, "tokens/s",
            f"per accelerator, {best.accelerators} x {best.placement.describe()} at a batch of {best.batch:,.0f} a "
            f"rank, TPOT {seconds(best.tpot_s)} (from {digits(most.p10)} to {digits(most.p90)}, nine in ten above and "
            "below)",
        ),
        LedgerLine("needed over best", needed / most.p50, "", "above 1: out of reach at the likeliest speed"),
        *_achieved(target, found, best),
    ]  # fmt: skip
    if needed > most.p90:
        cheapest = claim.usd_per_million or 0.0
        cheapest *= needed / most.p50
        because = (
            f"{digits(needed)} tokens/s per accelerator are needed, the best of all placements and batches gives "
            f"{digits(most.p50)} ({digits(most.p90)} at most): {usd(cheapest)} per million is what it comes to"
        )
        return Finding("price", statement, "no batch reaches it", because, tuple(lines), tuple(said))
    point = found.least_batch(kind, needed, claim.tpot_s) or best
    quick = found.least_batch(kind, needed, INTERACTIVE_TPOT_S)
    lines += [
        LedgerLine("least batch", point.batch, "sequences", f"per rank of {point.placement.describe()}, "
                   f"TPOT {seconds(point.tpot_s)}, {digits(point.concurrency)} requests held by "
                   f"{point.accelerators} accelerators"),
        LedgerLine("used at least", needed * (claim.utilisation or 1.0) / most.p50, "",
                   "share of the hours in which the accelerators must serve at their best"),
    ]  # fmt: skip
    verdict: Verdict = "holds only if"
    conditions = [
        f"at least {digits(point.batch)} sequences decode at once on each rank of {point.placement.describe()} "
        f"({point.accelerators} accelerators)",
        f"they serve so for {needed * (claim.utilisation or 1.0) / most.p50:.0%} of the hours paid for at the best "
        "batch, or all of them at the least",
    ]
    if quick is None:
        conditions.append(f"users accept {seconds(point.tpot_s)} a token (it is out of reach at 20 tokens/s)")
    if needed > most.p50:
        conditions.insert(0, "the accelerators are faster than this model's likeliest estimate")
    elif needed <= most.p10 / 2 and quick is not None and quick.batch <= 8:
        verdict = "holds"
    return Finding("price", statement, verdict, "; ".join(conditions), tuple(lines), tuple(said))


def _achieved(target: Target, found: Capacity, best: OperatingPoint) -> list[LedgerLine]:
    """How much of compute and memory bandwidth the best point uses in its decode steps."""
    demand = found.ground.demand
    shape = StepShape(decode_seqs=best.batch / best.placement.pp, decode_context=demand.held(reserves=False))
    timed = target.step.working(shape, best.placement)
    total = sum(scalar(item.seconds) for item in timed)
    moved = sum(
        item.operation.count * scalar(np.asarray(item.operation.weight_bytes) + item.operation.cache_bytes)
        for item in timed
    )
    flops = sum(item.operation.count * scalar(item.operation.flops) for item in timed)
    peak = target.machine.flops(target.scheme.experts.compute) or target.machine.bf16_flops
    return [
        LedgerLine("memory bandwidth used at best", moved / total / target.machine.memory_bandwidth,
                   "", "weights and cache read by a decode step / its time / bandwidth"),
        LedgerLine("compute used at best", flops / total / peak, "", "FLOP of a decode step / its time / peak"),
    ]  # fmt: skip
