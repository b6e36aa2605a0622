"""Which parts of a claim are judged by what: one list, in the order in which the answer gives them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sizing.base.budget import BudgetError
from sizing.base.errors import SizingError
from sizing.base.units import usd
from sizing.claims.against import energy_finding, faster_finding
from sizing.claims.arithmetic import (
    cache_finding,
    context_finding,
    parameters_finding,
    performance_finding,
    relative_finding,
    rent_finding,
    share_finding,
    size_finding,
    training_finding,
    utilisation_finding,
)
from sizing.claims.claim import VERDICTS, Claim, Examination, Finding
from sizing.claims.price import price_finding
from sizing.claims.running import (
    bare_memory_finding,
    concurrency_finding,
    latency_finding,
    memory_finding,
    running_finding,
    throughput_finding,
)
from sizing.claims.training import is_of_a_run, run_finding
from sizing.hardware import Catalog, load_catalog
from sizing.model.architecture import Architecture
from sizing.model.sources import load_model

#: What is understood, one example a kind: what a claim of nothing is answered with.
EXAMPLES = (
    "$0.07 per million tokens, 1.2T/78B, Ascend 910B",
    "97% lower than GPT-4 Turbo at $0.07 per million tokens",
    "DeepSeek V3: 2.788M H800 hours, 14.8T tokens, $5.576M",
    "Qwen3-32B runs on one RTX 4090 in 4 bits at 20 tokens/s",
    "Qwen3-235B-A22B on 8 x H100: TTFT of 200 ms",
    "H200 is 1.9 times faster than H100 on Llama-3.3-70B",
    "Qwen3-32B with a context of 128K",
    "每百万token 0.07美元,比GPT-4 Turbo低97%",
)
#: Where a price names no accelerator: the machines that most tokens are sold from; the cheapest of them answers.
PRICED_ON = ("h100-sxm", "h200-sxm", "a100-80gb-sxm")


def examine(claim: Claim, catalog: Catalog | None = None) -> Examination:
    """Examine every part of a claim. Raises SizingError for figures that make no sense, and for a claim of nothing."""
    catalog = catalog or load_catalog()
    claim = claim.checked()
    arch = load_model(claim.model) if claim.model else None
    found = [
        *_of_size(claim, arch),
        *_of_money(claim, catalog),
        *_of_training(claim, catalog),
        *_of_running(claim, arch, catalog),
    ]
    if claim.size_cut is not None:
        found.append(size_finding(claim))
    if claim.performance is not None:
        found.append(_performance(claim, catalog))
    if not found and claim.usd_per_hour is not None and claim.accelerator is not None:
        found.append(rent_finding(claim, catalog))
    if not found:
        found = _named_only(claim, arch)
    if not found:
        unread = f"; not understood: {', '.join(claim.unparsed)}" if claim.unparsed else ""
        raise SizingError(
            f"nothing in it that can be checked{unread}",
            key="claim",
            hint="understood are such as " + "; ".join(f'"{text}"' for text in (*EXAMPLES[:4], EXAMPLES[-1])),
        )
    if claim.notes:
        found[0] = replace(found[0], assumptions=(*claim.notes, *found[0].assumptions))
    return Examination(claim, tuple(found))


def _named_only(claim: Claim, arch: Architecture | None) -> list[Finding]:
    """A claim of nothing but names or flags that judge nothing alone: said, with an example."""
    alone = (claim.total, claim.active, claim.usd_per_hour, claim.days, claim.accelerators)
    if all(value is None for value in alone):
        return []
    because = f'nothing stands against it; "{EXAMPLES[0]}" would be judged'
    return [Finding("claim", claim.text or "the figures", "cannot be judged", because)]


def _of_size(claim: Claim, arch: Architecture | None) -> list[Finding]:
    found = []
    if arch is not None and (claim.total is not None or claim.active is not None):
        found.append(parameters_finding(claim, arch))
    elif claim.active_share is not None or (claim.total is not None and not _needs_sizes(claim)):
        found.append(share_finding(claim, arch))
    return found


def _needs_sizes(claim: Claim) -> bool:
    """Whether another part of the claim uses the sizes, so that they need no answer of their own."""
    others = (claim.usd_per_million, claim.training_flops, claim.training_utilisation, claim.training_bytes)
    return is_of_a_run(claim) or any(value is not None for value in others)


def _of_money(claim: Claim, catalog: Catalog) -> list[Finding]:
    found = []
    if (
        claim.usd_per_million is not None
        and (claim.accelerator is not None or claim.below is None)
        and claim.above is None
    ):
        found.append(_price(claim, catalog))
        if claim.other_usd_per_million is not None:
            other = replace(claim, usd_per_million=claim.other_usd_per_million, kind=claim.other_kind)
            found.append(_price(other, catalog))
    if claim.below is not None or claim.above is not None:
        if claim.than is None and claim.text:
            because = f'the claim does not say below what; "{EXAMPLES[1]}" would be judged'
            return [*found, Finding("relative price", claim.text, "cannot be judged", because)]
        if claim.than is None:
            raise SizingError("is needed with --below", key="--than", hint='such as --than "GPT-4 Turbo"')
        found.append(relative_finding(claim, catalog))
    return found


def _price(claim: Claim, catalog: Catalog) -> Finding:
    """A price on the accelerator named, else on the cheapest of the usual ones; without a model nothing is judged."""
    if claim.model is None and claim.total is None:
        because = f'the price names no model; "{EXAMPLES[0]}" would be judged'
        statement = f"{usd(claim.usd_per_million or 0.0)} per million tokens"
        return Finding("price", statement, "cannot be judged", because)
    if claim.accelerator is not None:
        return price_finding(claim, catalog)
    tried = []
    for name in PRICED_ON:
        try:
            tried.append(price_finding(replace(claim, accelerator=name), catalog))
        except SizingError:
            continue
    if not tried:
        return price_finding(claim, catalog)
    best = min(tried, key=lambda item: (VERDICTS.index(item.verdict), _needed_over_best(item)))
    said = f"no accelerator is named: the best of {', '.join(PRICED_ON)} is taken"
    return replace(best, assumptions=(said, *best.assumptions))


def _needed_over_best(finding: Finding) -> float:
    return next((line.value for line in finding.lines if line.name == "needed over best"), float("inf"))


def _of_training(claim: Claim, catalog: Catalog) -> list[Finding]:
    found = []
    priced = claim.usd_per_million is not None and (claim.accelerator is not None or claim.below is None)
    if claim.training_flops or claim.training_bytes or (claim.training_utilisation and not claim.gpu_hours):
        found.append(training_finding(claim, catalog))
    if is_of_a_run(claim):
        found.append(run_finding(claim, catalog))
    if claim.utilisation is not None and not priced:
        found.append(utilisation_finding(claim, catalog))
    return found


def _of_running(claim: Claim, arch: Architecture | None, catalog: Catalog) -> list[Finding]:
    """Context, fit, speed, latency, requests at once, memory, energy."""
    found: list[Finding] = []
    if claim.requests_per_s is not None and claim.tokens_per_s is None:
        rate = claim.requests_per_s * claim.output_tokens
        claim = replace(claim, tokens_per_s=rate, rate_kind="output", per=None)
    if claim.cache_bytes_per_token is not None:
        found.append(_unnamed("cache", claim.text) if arch is None else cache_finding(claim, arch))
    if claim.context is not None:
        found.append(_unnamed("context", f"a context of {claim.context:,} tokens") if arch is None
                     else context_finding(claim, arch, catalog))  # fmt: skip
    if claim.faster is not None:
        found.append(faster_finding(claim, arch, catalog))
    latency = claim.ttft_s is not None or (claim.tpot_s is not None and claim.usd_per_million is None)
    energy = claim.wh_per_million is not None or claim.wh_per_request is not None
    on_them = (
        bool(claim.runs) and claim.accelerator is not None and claim.usd_per_million is None and claim.faster is None
    )
    counted = claim.accelerators is not None and arch is not None and not is_of_a_run(claim)
    fits = on_them or (counted and claim.tokens_per_s is not None)
    needed = (
        ("runs on", fits and not (latency or claim.concurrency is not None), running_finding),
        ("throughput", claim.tokens_per_s is not None and not fits, throughput_finding),
        ("latency", latency, latency_finding),
        ("requests at once", claim.concurrency is not None, concurrency_finding),
        ("energy", energy, energy_finding),
    )
    for topic, wanted, judge in needed:
        if wanted:
            found.append(_judged(topic, judge, claim, arch, catalog))
    if claim.memory_bytes is not None:
        found.append(_memory(claim, arch))
    if counted and not found and claim.usd_per_million is None and arch is not None:
        found.append(_judged("runs on", running_finding, claim, arch, catalog))
    return found


def _judged(
    topic: str,
    judge: Callable[[Claim, Architecture, Catalog], Finding],
    claim: Claim,
    arch: Architecture | None,
    catalog: Catalog,
) -> Finding:
    """The finding; where the machine or its engine is none that is known, why it cannot be judged."""
    if arch is None:
        return _unnamed(topic, claim.text or topic)
    try:
        return judge(claim, arch, catalog)
    except BudgetError:
        raise
    except SizingError as error:
        if error.key != "--engine":
            raise
        return Finding(topic, claim.text or topic, "cannot be judged", error.message)


def _unnamed(topic: str, statement: str) -> Finding:
    examples = {"context": EXAMPLES[6], "latency": EXAMPLES[4], "runs on": EXAMPLES[3], "throughput": EXAMPLES[3]}
    because = f'no model of the catalog is named; "{examples.get(topic, EXAMPLES[3])}" would be judged'
    return Finding(topic, statement, "cannot be judged", because)


def _memory(claim: Claim, arch: Architecture | None) -> Finding:
    if arch is not None:
        return memory_finding(claim, arch)
    if claim.total is not None:
        return bare_memory_finding(claim)
    return _unnamed("memory", f"{(claim.memory_bytes or 0) / 1e9:g} GB of memory")


def _performance(claim: Claim, catalog: Catalog) -> Finding:
    if claim.of is None or claim.accelerator is None:
        because = 'one of the two accelerators is not named; "Ascend 910B has 91% of an A100 cluster" would be judged'
        return Finding("performance", claim.text or "a share of another's performance", "cannot be judged", because)
    return performance_finding(claim, catalog)
