"""Claims on a training run: tokens, FLOP, accelerator-hours, utilisation and dollars, each against the others."""

from __future__ import annotations

from dataclasses import dataclass, field

from sizing.base.arrays import scalar
from sizing.base.errors import SizingError
from sizing.base.ledger import LedgerLine
from sizing.base.units import count, digits, usd
from sizing.claims.arithmetic import BEST_MFU, GOOD_MFU, GOOD_MFU_FORMULA
from sizing.claims.claim import Claim, Finding, Verdict
from sizing.engine.placement import Placement
from sizing.engine.shard import Shards
from sizing.hardware import Accelerator, Catalog
from sizing.hardware.price_models import Price
from sizing.model.architecture import Architecture
from sizing.model.quantization.schemes import scheme
from sizing.model.sources import load_model
from sizing.money.prices import hourly_price
from sizing.money.quotes import dated
from sizing.step.operations import StepShape, list_operations

USUAL_ACCELERATOR = "h100-sxm"  # where a claim names none
SEQUENCE = 4096  # tokens of a training sequence where nothing is said; an assumption
TOKENS_PER_PARAMETER = 20.0  # Hoffmann et al. 2022 (Chinchilla): about 20 tokens for each parameter
FLOP_TOLERANCE = 0.15
MONEY_TOLERANCE = 0.10


def training_flop_per_token(arch: Architecture, sequence: int = SEQUENCE) -> float:
    """FLOP of training on one token by the architecture: three times the forward pass (once forward, twice back).

    The forward pass is 2 FLOP for each parameter that a token is multiplied with (input embedding left out), and
    attention over the causal half of ``sequence`` tokens as the step model counts it. DeepSeek-V3's own paper on its
    hardware (2025) says 250 GFLOP per token:

    >>> from sizing.model.sources import load_model
    >>> round(training_flop_per_token(load_model("deepseek-ai/DeepSeek-V3")) / 1e9)
    250
    """
    shape = StepShape(prefill_tokens=float(sequence), prefill_seqs=1.0)
    kinds = ("prefill_attention", "linear_attention")
    mixed = sum(
        item.count * scalar(item.flops)
        for item in list_operations(arch, shape, Placement(), Shards(scheme("bf16")))
        if item.kind in kinds
    )
    return 3.0 * (2.0 * arch.active_without_input_embedding + mixed / sequence)


def is_of_a_run(claim: Claim) -> bool:
    """Whether a claim states the work, the tokens, the hours or the cost of a training run."""
    return any(
        value is not None for value in (claim.training_tokens, claim.training_flop, claim.gpu_hours, claim.training_usd)
    )


@dataclass
class _Run:
    """A run as far as it is known, with what was said on the way."""

    claim: Claim
    accelerator: Accelerator
    arch: Architecture | None
    active: float | None
    peak: float
    catalog: Catalog
    lines: list[LedgerLine] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    flop: float | None = None  # of the whole run, 6 N D or as claimed
    flop_built: float | None = None  # by the architecture
    verdicts: list[tuple[Verdict, str]] = field(default_factory=list)

    def line(self, name: str, value: float, unit: str, formula: str) -> None:
        self.lines.append(LedgerLine(name, value, unit, formula))


def run_finding(claim: Claim, catalog: Catalog) -> Finding:
    """Work, hours and dollars of a training run against each other: the utilisation and the price that it means."""
    named = claim.accelerator or USUAL_ACCELERATOR
    accelerator, notes = catalog.resolve(named)
    said = list(notes)
    if claim.accelerator is None:
        said.append(f"no accelerator is named: {accelerator.name} is taken")
    arch = load_model(claim.model) if claim.model else None
    active = claim.active or (float(arch.active) if arch is not None else claim.total)
    peak = accelerator.peak_flops("bf16") or accelerator.peak_flops("fp16") or 0.0
    if not peak:
        raise SizingError(f"no 16-bit peak of {accelerator.name} is known", key="--on")
    run = _Run(claim, accelerator, arch, active, peak, catalog, said=said)
    _work(run)
    _hours(run)
    _dollars(run)
    statement = f"a training run{_of(run)}: {', '.join(_stated(claim))}"
    if not run.verdicts:
        missing = "the model (or its active parameters)" if active is None else "accelerator-hours, FLOP or dollars"
        because = f"nothing stands against it: {missing} would; {_example(run)}"
        return Finding("training run", statement, "cannot be judged", because, tuple(run.lines), tuple(run.said))
    order: tuple[Verdict, ...] = ("holds", "holds only if", "does not hold")
    verdict = max((item[0] for item in run.verdicts), key=order.index)
    because = "; ".join(text for _, text in sorted(run.verdicts, key=lambda item: -order.index(item[0])))
    return Finding("training run", statement, verdict, because, tuple(run.lines), tuple(run.said))


def _of(run: _Run) -> str:
    return f" of {run.arch.name}" if run.arch is not None else ""


def _stated(claim: Claim) -> list[str]:
    """The claimed figures in words."""
    texts = (
        (claim.training_tokens, lambda v: f"{count(v)} tokens"),
        (claim.training_flop, lambda v: f"{v:.3g} FLOP"),
        (claim.gpu_hours, lambda v: f"{count(v)} accelerator-hours"),
        (claim.training_usd, usd),
        (claim.training_utilisation, lambda v: f"{v:.0%} utilisation"),
    )
    return [say(value) for value, say in texts if value is not None]


def _example(run: _Run) -> str:
    """What would be judged."""
    model = run.claim.model or "DeepSeek-V3"
    tokens = count(run.claim.training_tokens) if run.claim.training_tokens else "14.8T"
    return f'"{model}: 2.788M {run.claim.accelerator or "H800"} hours, {tokens} tokens" would be judged'


def _work(run: _Run) -> None:
    """FLOP by 6ND and by the architecture, and a claimed figure against them."""
    claim, tokens = run.claim, run.claim.training_tokens
    if tokens and run.active:
        run.flop = 6.0 * run.active * tokens
        run.line("training work, 6ND", run.flop, "FLOP",
                 f"6 x {count(run.active)} active parameters x {count(tokens)} tokens")  # fmt: skip
        run.line("tokens per active parameter", tokens / run.active, "",
                 f"about {TOKENS_PER_PARAMETER:g} are the least cost of training alone (Chinchilla)")  # fmt: skip
    if tokens and run.arch is not None:
        each = training_flop_per_token(run.arch)
        run.flop_built = each * tokens
        run.line("training work, by the architecture", run.flop_built, "FLOP",
                 f"{digits(each / 1e9)} GFLOP a token (matrices, attention over {SEQUENCE:,} tokens, x 3) x "
                 f"{count(tokens)} tokens")  # fmt: skip
    if claim.training_flop is None:
        return
    if run.flop is not None:
        ratio = claim.training_flop / run.flop
        run.line("claimed work over 6ND", ratio, "", f"{claim.training_flop:.3g} / {run.flop:.3g} FLOP")
        near = abs(ratio - 1) <= FLOP_TOLERANCE or (
            run.flop_built is not None and abs(claim.training_flop / run.flop_built - 1) <= FLOP_TOLERANCE
        )
        run.verdicts.append(
            ("holds", f"the work is {ratio:.2f} of 6ND") if near
            else ("does not hold", f"6ND gives {run.flop:.3g} FLOP, the claim says {claim.training_flop:.3g}")
        )  # fmt: skip
    else:
        run.flop = claim.training_flop
        if run.active:
            run.line("tokens that it means", run.flop / 6 / run.active, "tokens", "FLOP / 6 / active parameters")


def _hours(run: _Run) -> None:
    """The utilisation that the hours mean; or the hours at a good run's utilisation."""
    claim, flop = run.claim, run.flop
    run.line("a good large run", GOOD_MFU, "of the BF16 peak", GOOD_MFU_FORMULA)
    if claim.gpu_hours is None:
        if flop is not None:
            at = claim.training_utilisation or GOOD_MFU
            run.line("accelerator-hours that it takes", flop / (run.peak * at) / 3600, "hours",
                     f"work / ({run.peak / 1e12:,.0f} TFLOP/s of {run.accelerator.name} x {at:.0%}) / 3600 s")  # fmt: skip
        return
    if flop is None:
        return
    seconds = claim.gpu_hours * 3600.0
    used = flop / (seconds * run.peak)
    run.line("achieved", flop / seconds / 1e12, "TFLOP/s", "work (6ND) / hours, by each accelerator")
    run.line("utilisation, 6ND", used, f"of {run.peak / 1e12:,.0f} TFLOP/s", f"work / (hours x 3600 s x BF16 peak of "
             f"{run.accelerator.name})")  # fmt: skip
    words = f"the hours mean {used:.0%} of the BF16 peak by 6ND"
    if run.flop_built is not None:
        built = run.flop_built / (seconds * run.peak)
        run.line("utilisation, by the architecture", built, f"of {run.peak / 1e12:,.0f} TFLOP/s",
                 "the same with attention counted")  # fmt: skip
        words += f", {built:.0%} with attention counted"
        used = max(used, built) if claim.training_utilisation is None else used
    if claim.training_utilisation is not None:
        _against_claimed(run, used, claim.training_utilisation)
    if used > 1:
        run.verdicts.append(("does not hold", f"{words}: more than the accelerator can do"))
    elif used > BEST_MFU:
        run.verdicts.append(("holds only if", f"{words}, which no public run reaches without FP8"))
    else:
        run.verdicts.append(("holds", f"{words}; good large runs reach about {GOOD_MFU:.0%}"))


def _against_claimed(run: _Run, used: float, claimed: float) -> None:
    built = used if run.flop_built is None or run.flop is None else used * run.flop_built / run.flop
    if min(used, built) - 0.03 <= claimed <= max(used, built) + 0.03:
        run.verdicts.append(("holds", f"{claimed:.0%} utilisation is what work and hours give"))
    else:
        run.verdicts.append(("does not hold", f"work and hours give {used:.0%} utilisation, not {claimed:.0%}"))


def _dollars(run: _Run) -> None:
    """The price of an hour that the dollars mean, against the catalog's quotes."""
    claim = run.claim
    price: Price | None
    try:
        price = hourly_price(run.accelerator.id, "on-demand", run.catalog)
    except SizingError as error:
        price = None
        run.said.append(str(error))
    hours, taken = claim.gpu_hours, ""
    if hours is None and run.flop is not None:
        at = claim.training_utilisation or GOOD_MFU
        hours, taken = run.flop / (run.peak * at) / 3600, f" at {at:.0%} utilisation"
    if hours is None:
        return
    if claim.training_usd is None:
        if price is not None:
            run.line("would cost", hours * price.usd, "USD", f"{count(hours)} hours{taken} x {usd(price.usd)} (quotes to "
                     f"{dated(price)})")  # fmt: skip
        return
    hour = claim.training_usd / hours
    run.line("an hour costs", hour, "USD", f"{usd(claim.training_usd)} / {count(hours)} accelerator-hours{taken}")
    if price is None:
        run.verdicts.append(("holds only if", f"an accelerator-hour costs {usd(hour)}"))
        return
    run.line(
        "an hour is rented at", price.usd, "USD", f"{usd(price.low)} to {usd(price.high)} (quotes to {dated(price)})"
    )
    low, high = price.low * (1 - MONEY_TOLERANCE), price.high * (1 + MONEY_TOLERANCE)
    words = f"an hour then costs {usd(hour)}, rents are {usd(price.low)} to {usd(price.high)}"
    if low <= hour <= high:
        run.verdicts.append(("holds", words))
    elif hour > high:
        run.verdicts.append(("holds only if", f"more was paid for than the hours: {words}"))
    else:
        run.verdicts.append(("holds only if", f"the hours are owned or far below today's rents: {words}"))


__all__ = ["is_of_a_run", "run_finding", "training_flop_per_token"]
