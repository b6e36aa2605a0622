"""Claims on what runs where and how fast: fit, speed, latency, requests at once, memory, one against another, energy.

Every figure is the product's own: placements and their memory (``survey``), the load curve (``capacity``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sizing.base.arrays import FloatArray, as_float
from sizing.base.budget import BudgetError
from sizing.base.errors import SizingError
from sizing.base.ledger import Interval, LedgerLine
from sizing.base.units import count, digits, gib, seconds
from sizing.claims.claim import Claim, Finding, Verdict
from sizing.hardware import Accelerator, Catalog
from sizing.model.architecture import Architecture
from sizing.model.quantization.schemes import scheme
from sizing.planning.capacity import Capacity, capacity
from sizing.planning.confidence import width
from sizing.planning.target import Target, resolve_target, runs

USUAL_ACCELERATOR = "h100-sxm"  # where a claim names none
FORMATS = {
    16: ("bf16", "fp16"),
    8: ("fp8", "int8"),
    4: ("int4_awq", "nvfp4", "mxfp4", "w4a8", "4"),
    3: ("3",),
    2: ("2",),
}
#: Keys of the errors that say that no placement holds the model, or that the accelerator lacks the format.
WONT_FIT = ("--on", "--context", "--weights")
OUTPUT_WORD = {"input": "input tokens", "output": "output tokens", "blend": "tokens, input and output together"}


@dataclass(frozen=True)
class Scan:
    """A model on so many accelerators: every placement that they hold at every load. copies: replicas of each."""

    target: Target
    found: Capacity
    accelerators: int
    copies: FloatArray  # of each placement

    @property
    def allowed(self) -> Any:
        """Placements and loads that exist on these accelerators."""
        return np.asarray(self.found.allowed) & (self.copies > 0)[:, None]

    def requests_per_s(self) -> Any:
        """Of all copies of each placement at each load."""
        return np.asarray(self.found.curve.requests_per_s) * self.copies[:, None]

    def most_requests_per_s(self) -> float:
        """The best of all placements and loads."""
        return float(np.where(self.allowed, self.requests_per_s(), 0.0).max())

    def least(self, values: object) -> float:
        """The least of a figure over all placements at the lightest load."""
        first = np.where(self.allowed, as_float(values), np.inf)[:, 0]
        return float(first.min())

    def most_requests(self) -> float:
        """Requests that the caches hold at once, at their mean length, in the best placement."""
        ground = self.found.ground
        held = np.where(ground.fits, ground.limit * as_float(ground.flat.dp) * self.copies, 0.0)
        return float(held.max())


def formats_to_try(claim: Claim, arch: Architecture, accelerator: Accelerator) -> list[str | None]:
    """Weight formats in the order to try: the one claimed, else the checkpoint's own and fewer bits after it."""
    if claim.weights is not None:
        return [claim.weights]
    if claim.weight_bits is not None:
        names = FORMATS.get(claim.weight_bits, (str(claim.weight_bits),))
        able = [name for name in names if runs(accelerator, scheme(name)) is not None]
        return [able[0] if able else names[0]]
    fewer = [name for bits in (8, 4) for name in FORMATS[bits] if runs(accelerator, scheme(name)) is not None]
    eight = [name for name in fewer if scheme(name).experts.bits == 8]
    four = [name for name in fewer if scheme(name).experts.bits == 4]
    return [None, *eight[:1], *four[:1]]


def scan(claim: Claim, arch: Architecture, catalog: Catalog, accelerators: int, weights: str | None,
         accelerator: str | None = None) -> Scan:  # fmt: skip
    """Every placement of the model on so many accelerators. Raises SizingError where none fits or none is allowed."""
    target = resolve_target(arch, accelerator or claim.accelerator or USUAL_ACCELERATOR, weights=weights,
                            kv_dtype=claim.kv_dtype, catalog=catalog)  # fmt: skip
    nodes = max(1, int(np.ceil(accelerators / target.node_size)))
    found = capacity(
        target, claim.input_tokens, claim.output_tokens, context=claim.context, max_nodes=min(nodes, 64),
        max_accelerators=accelerators,
    )  # fmt: skip
    return Scan(target, found, accelerators, np.floor(accelerators / found.chips))


def first_fit(claim: Claim, arch: Architecture, catalog: Catalog, count_: int) -> tuple[Scan | None, int, list[str]]:
    """The first format that fits, which one of those tried it is, and why the others do not."""
    accelerator, _ = catalog.resolve(claim.accelerator or USUAL_ACCELERATOR)
    reasons: list[str] = []
    for index, weights in enumerate(formats_to_try(claim, arch, accelerator)):
        try:
            return scan(claim, arch, catalog, count_, weights), index, reasons
        except BudgetError:
            raise
        except SizingError as error:
            if error.key not in WONT_FIT:
                raise
            reasons.append(error.message)
    return None, -1, reasons


def weights_bytes(arch: Architecture, bits: float) -> float:
    """Bytes of all weights at so many bits, without scales."""
    return arch.total * bits / 8


def running_finding(claim: Claim, arch: Architecture, catalog: Catalog) -> Finding:
    """Whether a model runs on so many accelerators, in a format, at a speed."""
    accelerator, said_first = catalog.resolve(claim.accelerator or USUAL_ACCELERATOR)
    number = claim.accelerators or 1
    said = list(said_first)
    if claim.accelerators is None:
        said.append(f"no number of accelerators is named: one {accelerator.name} is taken")
    bits = claim.weights or (f"{claim.weight_bits} bits" if claim.weight_bits else None)
    statement = f"{arch.name} on {number} x {accelerator.name}" + (f" in {bits}" if bits else "")
    have = accelerator.usable_bytes * number
    found, index, reasons = first_fit(claim, arch, catalog, number)
    if found is None:
        held = claim.weight_bits or (scheme(claim.weights).experts.bits if claim.weights else 4)
        lines = (
            LedgerLine(
                "weights", weights_bytes(arch, held), "bytes", f"{count(arch.total)} parameters x {held:g} bits / 8"
            ),
            LedgerLine("memory", have, "bytes", f"{number} x {gib(accelerator.usable_bytes)}"),
            *_needed(claim, arch, catalog, accelerator),
        )
        return Finding("runs on", statement, "does not hold", reasons[-1], lines, tuple(said))
    held = found.target.scheme.experts.bits
    said += list(found.target.assumptions)
    said.append(f"requests of {claim.input_tokens:,.0f} input and {claim.output_tokens:,.0f} output tokens")
    lines_ = [
        LedgerLine("weights", weights_bytes(arch, held), "bytes",
                   f"{count(arch.total)} parameters x {held:g} bits / 8, without scales ({found.target.scheme.name})"),
        LedgerLine("memory", have, "bytes", f"{number} x {gib(accelerator.usable_bytes)}"),
        LedgerLine("requests held at once", found.most_requests(), "", "what the cache holds at their mean length"),
    ]  # fmt: skip
    verdict: Verdict = "holds"
    because = f"it fits in {found.target.scheme.name}, with room for {digits(found.most_requests())} requests at once"
    if index > 0:
        verdict, because = "holds only if", f"the weights are in {found.target.scheme.name} or less: {reasons[0]}"
    speed_verdict, speed_words = _speeds(claim, found, lines_)
    if speed_words:
        order: tuple[Verdict, ...] = ("holds", "holds only if", "no batch reaches it")
        because = f"{speed_words}; {because}"
        verdict = max(verdict, speed_verdict, key=order.index)
    return Finding("runs on", statement + _speed_words(claim), verdict, because, tuple(lines_), tuple(said))


def _needed(claim: Claim, arch: Architecture, catalog: Catalog, accelerator: Accelerator) -> list[LedgerLine]:
    """How many accelerators of the kind hold it in its first format: powers of two are tried."""
    number = (claim.accelerators or 1) * 2
    while number <= 512:
        found, _index, _ = first_fit(claim, arch, catalog, number)
        if found is not None:
            return [LedgerLine("would fit on", float(number), accelerator.name, f"in {found.target.scheme.name}")]
        number *= 2
    return []


def _speed_words(claim: Claim) -> str:
    if claim.tokens_per_s is None:
        return ""
    kind = "tokens" if claim.rate_kind is None else OUTPUT_WORD[claim.rate_kind]
    per = {None: "", "request": " a user", "accelerator": " an accelerator", "node": " a server"}[claim.per]
    return f" at {digits(claim.tokens_per_s)} {kind}/s{per}"


def _speeds(claim: Claim, found: Scan, lines: list[LedgerLine]) -> tuple[Verdict, str]:
    """The speed of one request alone and the most of all together; the verdict on a claimed rate."""
    target = found.target
    spread = width(target, "throughput")
    alone = Interval.around(1.0 / found.least(found.found.curve.tpot_s), spread)
    output = Interval.around(found.most_requests_per_s() * claim.output_tokens, spread)
    share = {"input": claim.input_tokens, "output": claim.output_tokens}.get(
        claim.rate_kind or "output", claim.input_tokens + claim.output_tokens
    )
    lines += [
        LedgerLine("one request alone", alone.p50, "tokens/s", f"1 / TPOT of the quickest placement ({digits(alone.p10)} "
                   f"to {digits(alone.p90)}, nine in ten above and below)"),
        LedgerLine("all requests together", output.p50, "output tokens/s", f"best placement and load of "
                   f"{found.accelerators} accelerators (from {digits(output.p10)} to {digits(output.p90)})"),
    ]  # fmt: skip
    if claim.tokens_per_s is None:
        return "holds", ""
    rate = claim.tokens_per_s
    scale = {"accelerator": found.accelerators, "node": found.accelerators / target.node_size}.get(claim.per or "", 1.0)
    wanted = rate * max(scale, 1.0 if claim.per != "node" else scale)
    most = Interval.around(found.most_requests_per_s() * share, spread)
    alone_kind = claim.rate_kind if claim.rate_kind in ("input", "output") and claim.per else None
    apart = 0.0
    if alone_kind is not None:
        apart = float(np.where(found.allowed, found.found.tokens_per_s(alone_kind), 0.0).max()) * found.accelerators
        phase = {"input": "prefill alone", "output": "decode alone"}[alone_kind]
        lines.append(LedgerLine(phase, apart, f"{alone_kind} tokens/s", "were the other phase done elsewhere"))
    single = claim.per == "request" or (claim.per is None and claim.rate_kind is None)
    if single and rate <= alone.p50:
        return "holds", f"one request alone gets {digits(alone.p50)} tokens/s"
    if claim.per == "request":
        if rate <= alone.p90:
            return (
                "holds only if",
                f"they are faster than this model's likeliest estimate, {digits(alone.p50)} tokens/s",
            )
        return (
            "no batch reaches it",
            f"one request alone gets {digits(alone.p50)} tokens/s ({digits(alone.p90)} at most)",
        )
    if wanted <= most.p50:
        needed = _requests_for(found, wanted / share)
        return (
            "holds only if",
            f"at least {digits(needed)} requests run at once: all together get {digits(most.p50)} tokens/s",
        )
    if wanted <= most.p90:
        return "holds only if", f"they are faster than this model's likeliest estimate of {digits(most.p50)} tokens/s"
    if alone_kind is not None and wanted <= apart * spread.high:
        where = {"input": "decoding is done elsewhere: prompts alone give", "output": "prompts are computed elsewhere: "
                 "decoding alone gives"}[alone_kind]  # fmt: skip
        return "holds only if", f"{where} {digits(apart)} {alone_kind} tokens/s"
    return "no batch reaches it", (
        f"{digits(wanted)} tokens/s are claimed, the best of all placements and batches gives {digits(most.p50)} "
        f"({digits(most.p90)} at most)"
    )


def _requests_for(found: Scan, requests_per_s: float) -> float:
    """The least number of requests at once that gives a rate."""
    held = np.asarray(found.found.curve.concurrency) * found.copies[:, None]
    enough = found.allowed & (found.requests_per_s() >= requests_per_s)
    return float(np.where(enough, held, np.inf).min()) if enough.any() else float("inf")


def number_of(claim: Claim, arch: Architecture, catalog: Catalog, *, native: bool = False) -> tuple[int, list[str]]:
    """How many accelerators a claim is about: those that it names, or the fewest (a power of two) that hold the model in
    some format (``native``: in the one claimed or the checkpoint's own); a server where it speaks of each."""
    if claim.accelerators:
        return claim.accelerators, []
    accelerator, _ = catalog.resolve(claim.accelerator or USUAL_ACCELERATOR)
    first = formats_to_try(claim, arch, accelerator)[0]
    target = resolve_target(arch, accelerator, weights=first, catalog=catalog)
    sought = replace(claim, weights=target.scheme.name) if native else claim
    number = 1
    while number < 512 and first_fit(sought, arch, catalog, number)[0] is None:
        number *= 2
    if claim.per in ("accelerator", "node"):
        number = max(number, min(target.node_size, 8))
    return number, [f"no number of accelerators is named: {number} x {accelerator.name} are taken"]


def _somewhere(claim: Claim, arch: Architecture, catalog: Catalog) -> tuple[Scan | None, str, list[str], list[str]]:
    """What fits where no number of accelerators may be named: the fit, "N x NAME", what to say, and why not else."""
    number, said = number_of(claim, arch, catalog)
    found, _, reasons = first_fit(claim, arch, catalog, number)
    name = catalog.resolve(claim.accelerator or USUAL_ACCELERATOR)[0].name
    if found is not None:
        lengths = f"requests of {claim.input_tokens:,.0f} input and {claim.output_tokens:,.0f} output tokens"
        said += [*found.target.assumptions, lengths]
    return found, f"{number} x {name}", said, reasons


def throughput_finding(claim: Claim, arch: Architecture, catalog: Catalog) -> Finding:
    """A rate where no number of accelerators is claimed: of a server's worth."""
    found, where, said, reasons = _somewhere(claim, arch, catalog)
    statement = f"{arch.name} on {where}{_speed_words(claim)}"
    if found is None:
        return Finding("throughput", statement, "does not hold", reasons[-1], (), tuple(said))
    lines: list[LedgerLine] = []
    verdict, because = _speeds(claim, found, lines)
    return Finding("throughput", statement, verdict, because, tuple(lines), tuple(said))


def latency_finding(claim: Claim, arch: Architecture, catalog: Catalog) -> Finding:
    """Time to the first token, or a token: the least at the lightest load, and up to which load it lasts."""
    found, where, said, reasons = _somewhere(claim, arch, catalog)
    parts = [("TTFT", claim.ttft_s, "ttft"), ("TPOT", claim.tpot_s, "tpot")]
    stated = " and ".join(f"{label} of {seconds(value)}" for label, value, _ in parts if value is not None)
    statement = f"{stated} for {arch.name} on {where}"
    if found is None:
        return Finding("latency", statement, "does not hold", reasons[-1], (), tuple(said))
    lines, verdicts = list[LedgerLine](), list[tuple[Verdict, str]]()
    for label, value, quantity in parts:
        if value is None:
            continue
        curve = found.found.curve.ttft_s if quantity == "ttft" else found.found.curve.tpot_s
        least = Interval.around(found.least(curve), width(found.target, quantity))
        lines.append(LedgerLine(f"least {label}", least.p50, "s", f"one request alone in the quickest placement (from "
                                f"{seconds(least.p10)} to {seconds(least.p90)})"))  # fmt: skip
        within = found.allowed & (np.asarray(curve) <= value)
        held = float(np.where(within, np.asarray(found.found.curve.concurrency) * found.copies[:, None], 0.0).max())
        lines.append(
            LedgerLine(f"requests at once within {label}", held, "", f"the most that keep it at {seconds(value)}")
        )
        if value < least.p10:
            verdicts.append(("no batch reaches it", f"the least {label} of one request alone is {seconds(least.p50)} "
                             f"({seconds(least.p10)} at best)"))  # fmt: skip
        elif value < least.p50:
            verdicts.append(
                ("holds only if", f"it is faster than this model's likeliest {label}, {seconds(least.p50)}")
            )
        elif held < 0.999 * found.most_requests():
            verdicts.append(("holds only if", f"at most {digits(held)} requests run at once ({label} of one alone: "
                             f"{seconds(least.p50)})"))  # fmt: skip
        else:
            verdicts.append(
                ("holds", f"{label} is {seconds(least.p50)} for one request alone and stays within at any load")
            )
    order: tuple[Verdict, ...] = ("holds", "holds only if", "no batch reaches it")
    verdict = max((item[0] for item in verdicts), key=order.index)
    return Finding("latency", statement, verdict, "; ".join(text for _, text in verdicts), tuple(lines), tuple(said))


def concurrency_finding(claim: Claim, arch: Architecture, catalog: Catalog) -> Finding:
    """Requests at once: what the caches hold, and what each then gets."""
    assert claim.concurrency is not None
    found, where, said, reasons = _somewhere(claim, arch, catalog)
    statement = f"{digits(claim.concurrency)} requests at once of {arch.name} on {where}"
    if found is None:
        return Finding("requests at once", statement, "does not hold", reasons[-1], (), tuple(said))
    most = found.most_requests()
    held = np.asarray(found.found.curve.concurrency) * found.copies[:, None]
    near = np.where(found.allowed & (held >= claim.concurrency), np.asarray(found.found.curve.tpot_s), np.inf)
    lines = [LedgerLine("requests held at once", most, "", "what the caches hold at their mean length")]
    if most < claim.concurrency or not np.isfinite(near.min()):
        because = f"the caches hold {digits(most)} requests of this length at once; the others wait"
        return Finding("requests at once", statement, "does not hold", because, tuple(lines), tuple(said))
    tpot = float(near.min())
    lines.append(LedgerLine("TPOT then", tpot, "s", "of each request, with so many at once"))
    because = f"each then gets {digits(1 / tpot)} tokens/s (the caches hold {digits(most)})"
    verdict: Verdict = "holds" if tpot <= 0.1 else "holds only if"
    return Finding("requests at once", statement, verdict, because, tuple(lines), tuple(said))


def memory_finding(claim: Claim, arch: Architecture) -> Finding:
    """Memory that is said to be enough: weights by bits and one request's cache against it."""
    from sizing.model.counts import kv_bytes
    from sizing.model.kv_formats import kv_format

    assert claim.memory_bytes is not None
    context = claim.context or int(claim.input_tokens + claim.output_tokens)
    cache = float(kv_bytes(arch, float(context), kv_format(claim.kv_dtype or "bf16")))
    statement = f"{arch.name} in {digits(claim.memory_bytes / 1e9)} GB of memory"
    stated = claim.weight_bits or (scheme(claim.weights).experts.bits if claim.weights else None)
    native = arch.native_quantization
    own = getattr(getattr(native, "experts", None), "bits", None) or 16
    needs = {bits: weights_bytes(arch, bits) + cache for bits in sorted({16, 8, 4, 2, stated or own}, reverse=True)}
    lines = [
        LedgerLine(f"at {bits:g} bits", need, "bytes", f"{count(arch.total)} x {bits:g} bits / 8 + {gib(cache)} of cache at "
                   f"{context:,} tokens") for bits, need in needs.items()
    ]  # fmt: skip
    said = ("runtime, graphs and activations come on top: some GiB an accelerator",)
    want = stated or own
    enough = [bits for bits, need in needs.items() if need <= claim.memory_bytes]
    have = gib(claim.memory_bytes)
    if want in enough:
        because = f"{want:g}-bit weights and one request's cache take {gib(needs[want])} of {have}"
        return Finding("memory", statement, "holds", because, tuple(lines), said)
    if enough and stated is None:
        because = (
            f"the weights are cut to {max(enough):g} bits: at {want:g} bits it takes {gib(needs[want])}, not {have}"
        )
        return Finding("memory", statement, "holds only if", because, tuple(lines), said)
    least = min(needs) if stated is None else want
    because = f"even {least:g}-bit weights and one request's cache take {gib(needs[least])}, not {have}"
    return Finding("memory", statement, "does not hold", because, tuple(lines), said)


def bare_memory_finding(claim: Claim) -> Finding:
    """Memory against parameters alone: the bits that do."""
    assert claim.memory_bytes is not None and claim.total is not None
    statement = f"{count(claim.total)} parameters in {digits(claim.memory_bytes / 1e9)} GB of memory"
    fitting = claim.memory_bytes * 8 / claim.total
    lines = tuple(
        LedgerLine(
            f"at {bits} bits", claim.total * bits / 8, "bytes", f"{count(claim.total)} x {bits} bits / 8, no cache"
        )
        for bits in (16, 8, 4)
    )
    want = claim.weight_bits or (scheme(claim.weights).experts.bits if claim.weights else None)
    if want is not None:
        because = f"{digits(fitting)} bits a parameter fit, {want:g} are claimed"
        return Finding("memory", statement, "holds" if want <= fitting else "does not hold", because, lines)
    if fitting >= 16:
        because = f"{digits(fitting)} bits a parameter fit, before cache and runtime"
        return Finding("memory", statement, "holds", because, lines)
    because = f"the weights take at most {digits(fitting)} bits a parameter"
    return Finding("memory", statement, "holds only if" if fitting >= 2 else "does not hold", because, lines)
