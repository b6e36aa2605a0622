"""One machine or model against another, and energy: ratios of the product's own rates."""

from __future__ import annotations

import numpy as np

from sizing.base.errors import SizingError
from sizing.base.ledger import Interval, LedgerLine
from sizing.base.units import digits
from sizing.claims.claim import Claim, Finding, Verdict
from sizing.claims.names import model_named
from sizing.claims.running import USUAL_ACCELERATOR, Scan, first_fit, number_of
from sizing.hardware import Accelerator, Catalog
from sizing.model.architecture import Architecture
from sizing.model.sources import load_model
from sizing.money.ownership import average_watts, ownership_terms
from sizing.money.tokens import energy_wh_per_million_tokens
from sizing.planning.confidence import width

NEAR = 0.05  # a printed ratio may be off by so much


def faster_finding(claim: Claim, arch: Architecture | None, catalog: Catalog) -> Finding:
    """ "So many times as fast": by data sheets for two accelerators alone, by both rates where a model is named."""
    assert claim.faster is not None and claim.faster_than is not None
    name = claim.faster_than.replace(" ", "-")
    try:
        other = catalog.resolve(name)[0]
    except SizingError:
        return _models(claim, arch, name, catalog)
    if claim.accelerator is None:
        because = (
            f'what is compared with {other.name} is not named; "H200 is 1.9 times faster than H100" would be judged'
        )
        return Finding("speed", f"{digits(claim.faster)} times as fast as {other.name}", "cannot be judged", because)
    one, said = catalog.resolve(claim.accelerator)
    if arch is None:
        return _sheets(claim.faster, one, other, tuple(said))
    statement = f"{one.name} is {digits(claim.faster)} times as fast as {other.name} on {arch.name}"
    return _ratios(claim, statement, ((one.id, arch), (other.id, arch)), catalog)


def _models(claim: Claim, arch: Architecture | None, name: str, catalog: Catalog) -> Finding:
    """Two models on one accelerator."""
    named = model_named(name)
    statement = f"{digits(claim.faster or 0)} times as fast as {claim.faster_than}"
    if named is None or arch is None:
        what = (
            f"{claim.faster_than} is neither an accelerator nor a model of the catalog"
            if named is None
            else (f"what is compared with {claim.faster_than} is not named")
        )
        because = f'{what}; "Qwen3-30B-A3B is 5 times faster than Qwen3-32B on H100" would be judged'
        return Finding("speed", statement, "cannot be judged", because)
    other = load_model(named[0])
    on = claim.accelerator or USUAL_ACCELERATOR
    return _ratios(
        claim,
        f"{arch.name} is {digits(claim.faster or 0)} times as fast as {other.name}",
        ((on, arch), (on, other)),
        catalog,
    )


def _sheets(factor: float, one: Accelerator, other: Accelerator, said: tuple[str, ...]) -> Finding:
    """The ratios of the data sheets bound what can be true."""
    figures = {
        "memory bandwidth": (one.memory_bandwidth, other.memory_bandwidth),
        "16-bit compute": (_peak(one, ("bf16", "fp16")), _peak(other, ("bf16", "fp16"))),
        "compute in the fastest format": (_peak(one, ("fp4", "fp8", "int8", "bf16", "fp16")),
                                          _peak(other, ("fp4", "fp8", "int8", "bf16", "fp16"))),
        "memory": (one.usable_bytes, other.usable_bytes),
    }  # fmt: skip
    lines = tuple(
        LedgerLine(f"{name}, ratio", a / b, "", f"{digits(a / 1e9)} / {digits(b / 1e9)} (10^9 a second or bytes)")
        for name, (a, b) in figures.items()
        if a and b
    )
    statement = f"{one.name} is {digits(factor)} times as fast as {other.name}"
    speeds = {line.name.removesuffix(", ratio"): line.value for line in lines if not line.name.startswith("memory, ")}
    reached = [name for name, value in speeds.items() if value >= factor * (1 - NEAR)]
    verdict: Verdict = "holds" if len(reached) == len(speeds) else "holds only if" if reached else "does not hold"
    most = max(speeds, key=lambda name: speeds[name])
    because = {
        "holds": "all ratios of the data sheets reach it",
        "holds only if": f"the work is bound by {' or '.join(reached)}: name a model to have it computed",
        "does not hold": f"no ratio of the data sheets reaches it: {most} has {digits(speeds[most])}",
    }[verdict]
    return Finding("speed", statement, verdict, because, lines, said)


def _peak(accelerator: Accelerator, formats: tuple[str, ...]) -> float:
    return max((accelerator.peak_flops(name) or 0.0 for name in formats), default=0.0)


def _ratios(claim: Claim, statement: str, sides: tuple[tuple[str, Architecture], ...], catalog: Catalog) -> Finding:
    """Rates of both sides, alone and together, on as many accelerators as both need; their ratios."""
    from dataclasses import replace

    numbers = [number_of(replace(claim, accelerator=on), arch, catalog, native=True) for on, arch in sides]
    number = max(item[0] for item in numbers)
    if claim.accelerators is None:
        number *= 2  # the fewest that hold it would leave the cache of one side starved, and compare that
    scans: list[Scan] = []
    for on, arch in sides:
        found, _, reasons = first_fit(replace(claim, accelerator=on), arch, catalog, number)
        if found is None:
            return Finding("speed", statement, "cannot be judged", reasons[-1])
        scans.append(found)
    alone = [1.0 / found.least(found.found.curve.tpot_s) for found in scans]
    together = [found.most_requests_per_s() * claim.output_tokens for found in scans]
    names = [
        f"{found.target.arch.name} in {found.target.scheme.name} on {number} x {found.target.accelerator.name}"
        for found in scans
    ]
    lines = [
        LedgerLine(f"{what}, {name}", rate, "output tokens/s", how)
        for what, rates, how in (("one request", alone, "1 / TPOT of the quickest placement"),
                                 ("together", together, "best placement and load"))
        for name, rate in zip(names, rates, strict=True)
    ]  # fmt: skip
    ratios = {"one request alone": alone[0] / alone[1], "all requests together": together[0] / together[1]}
    lines += [LedgerLine(f"ratio, {what}", value, "", "the first over the second") for what, value in ratios.items()]
    spread = width(scans[0].target, "throughput")
    factor = claim.faster or 0.0
    said = [text for found in scans for text in found.target.assumptions]
    said.append(f"requests of {claim.input_tokens:,.0f} input and {claim.output_tokens:,.0f} output tokens on both")
    reached = [what for what, value in ratios.items() if value >= factor * (1 - NEAR)]
    words = " and ".join(f"{digits(value)} for {what}" for what, value in ratios.items())
    most = Interval.around(max(ratios.values()), spread).p90
    if len(reached) == 2:
        verdict, because = "holds", f"the ratio is {words}"
    elif reached:
        verdict, because = "holds only if", f"it is meant of {reached[0]}: the ratio is {words}"
    elif factor <= most:
        verdict, because = "holds only if", f"it is faster than this model's likeliest ratio: {words}"
    else:
        verdict, because = "no batch reaches it", f"the ratio is {words}"
    return Finding("speed", statement, _as_verdict(verdict), because, tuple(lines), tuple(dict.fromkeys(said)))


def _as_verdict(text: str) -> Verdict:
    found: Verdict = "holds"
    options: tuple[Verdict, ...] = (
        "holds",
        "holds only if",
        "cannot be judged",
        "no batch reaches it",
        "does not hold",
    )
    for verdict in options:
        if verdict == text:
            found = verdict
    return found


def energy_finding(claim: Claim, arch: Architecture, catalog: Catalog) -> Finding:
    """Energy of a million output tokens or of a request: power over rate, at the best load and alone."""
    number, said = number_of(claim, arch, catalog)
    found, _, reasons = first_fit(claim, arch, catalog, number)
    per_request = claim.wh_per_request is not None
    claimed = claim.wh_per_request if claim.wh_per_request is not None else claim.wh_per_million or 0.0
    unit = "Wh a request" if per_request else "Wh per million tokens"
    statement = (
        f"{digits(claimed)} {unit} of {arch.name} on {catalog.resolve(claim.accelerator or USUAL_ACCELERATOR)[0].name}"
    )
    if found is None:
        return Finding("energy", statement, "cannot be judged", reasons[-1], (), tuple(said))
    terms = ownership_terms(catalog)
    watts, where = average_watts(found.target.accelerator, found.target.server, catalog, terms)
    if watts is None:
        return Finding("energy", statement, "cannot be judged", "no power is known of it", (), tuple(said))
    best = found.most_requests_per_s() * claim.output_tokens
    lone = 1.0 / found.least(found.found.curve.tpot_s)
    least, most = (
        float(energy_wh_per_million_tokens(watts * number, terms.pue, np.asarray(rate))) for rate in (best, lone)
    )
    if per_request:
        least, most = least * claim.output_tokens / 1e6, most * claim.output_tokens / 1e6
    lines = (
        LedgerLine("average draw of one", watts, "W", f"host included ({where})"),
        LedgerLine(
            "at the best load",
            least,
            unit,
            f"{number} x {watts:,.0f} W x PUE {terms.pue:g} / {digits(best)} output tokens/s",
        ),
        LedgerLine("one request alone", most, unit, f"the same over {digits(lone)} tokens/s"),
    )
    said += [
        *found.target.assumptions,
        f"requests of {claim.input_tokens:,.0f} input and {claim.output_tokens:,.0f} output tokens",
    ]
    spread = width(found.target, "throughput")
    words = f"it takes {digits(least)} {unit} at the best load and {digits(most)} for one request alone"
    verdict: Verdict = (
        "holds" if claimed >= most else "holds only if" if claimed >= least / spread.high else "no batch reaches it"
    )
    if verdict == "holds only if":
        words = f"many requests run together: {words}"
    return Finding("energy", statement, verdict, words, lines, tuple(said))
