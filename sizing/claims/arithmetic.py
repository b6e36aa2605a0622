"""Claims that arithmetic settles: relative prices, training runs, contexts, sizes, one accelerator against another."""

from __future__ import annotations

from collections.abc import Iterator

from sizing.base.errors import SizingError
from sizing.base.ledger import LedgerLine
from sizing.base.units import count, digits, gib, usd
from sizing.claims.claim import Claim, Finding, Verdict
from sizing.hardware import Catalog
from sizing.hardware.price_models import ApiPrice
from sizing.model.architecture import Architecture
from sizing.model.counts import kv_bytes
from sizing.model.kv_formats import kv_format
from sizing.model.sources import load_model
from sizing.money.prices import hourly_price
from sizing.money.quotes import api_prices, dated
from sizing.planning.breakeven import list_price
from sizing.planning.capacity import TokenKind
from sizing.planning.estimate import check_context

#: Half a point: what a percentage printed without digits may be off by.
ROUNDING = 0.005
#: Two list prices that differ by less than this are the same to the cent.
SAME_PRICE = 0.0051
#: Model-FLOP utilisation of training. DeepSeek-V3's report: 14.8T tokens, 2.664M H800-hours, 37B active parameters:
#: 6 x 37e9 x 14.8e12 / (2.664e6 x 3600 x 989e12) = 35% of the BF16 peak.
GOOD_MFU = 0.35
BEST_MFU = 0.60
GOOD_MFU_FORMULA = "DeepSeek-V3's own report: 6 x 37e9 x 14.8e12 FLOP / (2.664e6 H800-hours x 3600 s x 989 TFLOP/s)"
BYTES_PER_TOKEN = 4.0  # of English text with a vocabulary of 100,000 and more; an assumption
MOST_TOKENS = 40e12  # Llama 4 Scout, "about 40 trillion" by its model card (Qwen3: 36 trillion)
SECONDS_PER_YEAR = 31_557_600.0


def _price_of(item: ApiPrice, kind: TokenKind) -> float | None:
    """USD per million tokens of a list; "blend" is one part output in four."""
    into, out = item.input_per_million, item.output_per_million
    if item.currency != "USD" or into is None or out is None:
        return None
    return {"input": into, "output": out, "blend": 0.75 * into + 0.25 * out}[kind]


def relative_finding(claim: Claim, catalog: Catalog) -> Finding:
    """A price "so much below" another model's list price: the arithmetic, and whose price it would fit."""
    assert claim.than is not None
    if claim.below is None:
        return _dearer(claim, catalog)
    other = list_price(claim.than, catalog)
    statement = f"{claim.below:.1%} below {other.model}"
    taken = _taken(claim.than, other.model)
    into, out = usd(other.input_per_million or 0), usd(other.output_per_million or 0)
    said = [
        f"{other.model}: {into} per million input and {out} per million output tokens ({dated(other)}; {other.source})"
    ]
    said += taken
    kinds: tuple[TokenKind, ...] = (claim.kind,) if claim.kind else ("input", "output")
    lines: list[LedgerLine] = []
    for kind in kinds:
        price = _price_of(other, kind)
        if price is not None:
            lines.append(LedgerLine(f"would be, {kind}", price * (1 - claim.below), "USD/M tokens",
                                    f"{usd(price)} x (1 - {claim.below:.1%})"))  # fmt: skip
    if claim.usd_per_million is None:
        would = " and ".join(f"{usd(line.value)} per million {kind}" for kind, line in zip(kinds, lines, strict=False))
        because = f"no price is claimed to compare; it would be {would} tokens"
        return Finding("relative price", statement, "cannot be judged", because, tuple(lines), tuple(said))
    shares = {kind: 1 - claim.usd_per_million / price for kind in kinds if (price := _price_of(other, kind))}
    lines += [
        LedgerLine(f"is below, {kind}", share, "", f"1 - {usd(claim.usd_per_million)} / its price")
        for kind, share in shares.items()
    ]
    lines += _coincidences(claim, catalog)
    right = [kind for kind, share in shares.items() if abs(share - claim.below) <= ROUNDING]
    if right:
        because = f"{usd(claim.usd_per_million)} is {claim.below:.1%} below the list price of {right[0]} tokens"
        return Finding("relative price", statement, "holds", because, tuple(lines), tuple(said))
    stated = ", ".join(f"{share:.1%} below its {kind} price" for kind, share in shares.items())
    fits = ", ".join(line.name.removeprefix("fits ") for line in lines if line.name.startswith("fits "))
    also = f"; the percentage fits {fits}" if fits else ""
    because = f"{usd(claim.usd_per_million)} is {stated}, not {claim.below:.1%}{also}"
    if max(shares.values(), default=0.0) < claim.below:
        return Finding("relative price", statement, "does not hold", because, tuple(lines), tuple(said))
    because = f"it is read as 'at least': {because}"
    return Finding("relative price", statement, "holds only if", because, tuple(lines), tuple(said))


def _taken(said: str, found: str) -> list[str]:
    """What to say where a list of another name was taken."""
    names = ["".join(letter for letter in name.lower() if letter.isalnum()) for name in (said, found)]
    return [] if names[0] == names[1] else [f"no list price of {said} is known by that name: {found} is taken"]


def rent_finding(claim: Claim, catalog: Catalog) -> Finding:
    """A price of an accelerator-hour alone: against the quotes that the catalog has."""
    assert claim.usd_per_hour is not None and claim.accelerator is not None
    accelerator, notes = catalog.resolve(claim.accelerator)
    statement = f"{usd(claim.usd_per_hour)} an hour of {accelerator.name}"
    try:
        price = hourly_price(accelerator.id, "on-demand", catalog)
    except SizingError as error:
        return Finding("rent", statement, "cannot be judged", error.message, (), tuple(notes))
    lines = (LedgerLine("an hour is rented at", price.usd, "USD", f"{price.rule}; quotes to {dated(price)}"),)
    because = f"rents are {usd(price.low)} to {usd(price.high)}, {usd(price.usd)} in the middle"
    inside = price.low * 0.95 <= claim.usd_per_hour <= price.high * 1.05
    verdict: Verdict = "holds" if inside else "does not hold"
    return Finding("rent", statement, verdict, because, lines, (*notes, *price.assumptions))


def cache_finding(claim: Claim, arch: Architecture) -> Finding:
    """Bytes that a token takes in the cache, all layers, unsharded."""
    assert claim.cache_bytes_per_token is not None
    fmt = kv_format(claim.kv_dtype or "bf16")
    tokens = 4096.0
    real = float(kv_bytes(arch, 2 * tokens, fmt) - kv_bytes(arch, tokens, fmt)) / tokens
    line = LedgerLine("cache of a token", real / 1000, "KB", f"all layers, {fmt.element_bytes:g} bytes an element")
    statement = f"{arch.name}: {digits(claim.cache_bytes_per_token / 1000)} KB of cache a token"
    because = f"it is {digits(real / 1000)} KB in {claim.kv_dtype or 'bf16'}"
    right = abs(claim.cache_bytes_per_token / real - 1) <= 0.05 if real else False
    return Finding("cache", statement, "holds" if right else "does not hold", because, (line,))


def _dearer(claim: Claim, catalog: Catalog) -> Finding:
    """A price "so much above" another model's list price."""
    assert claim.above is not None and claim.than is not None
    other = list_price(claim.than, catalog)
    kinds: tuple[TokenKind, ...] = (claim.kind,) if claim.kind else ("input", "output")
    prices = {kind: price for kind in kinds if (price := _price_of(other, kind)) is not None}
    statement = f"{claim.above:.1%} above {other.model}"
    lines = [
        LedgerLine(
            f"would be, {kind}", price * (1 + claim.above), "USD/M tokens", f"{usd(price)} x (1 + {claim.above:.1%})"
        )
        for kind, price in prices.items()
    ]
    said = (f"{other.model}: list prices of {dated(other)}; {other.source}", *_taken(claim.than, other.model))
    if claim.usd_per_million is None:
        return Finding(
            "relative price", statement, "cannot be judged", "no price is claimed to compare", tuple(lines), said
        )
    shares = {kind: claim.usd_per_million / price - 1 for kind, price in prices.items() if price}
    lines += [
        LedgerLine(f"is above, {kind}", share, "", f"{usd(claim.usd_per_million)} / its price - 1")
        for kind, share in shares.items()
    ]
    right = [kind for kind, share in shares.items() if abs(share - claim.above) <= ROUNDING * (1 + claim.above)]
    stated = ", ".join(
        f"{abs(share):.1%} {'above' if share > 0 else 'below'} its {kind} price" for kind, share in shares.items()
    )
    if right:
        return Finding(
            "relative price", statement, "holds", f"{usd(claim.usd_per_million)} is {stated}", tuple(lines), said
        )
    return Finding(
        "relative price", statement, "does not hold", f"{usd(claim.usd_per_million)} is {stated}", tuple(lines), said
    )


def share_finding(claim: Claim, arch: Architecture | None) -> Finding:
    """Sizes without a model: whether they fit each other, and what they mean in memory and FLOP."""
    total, active, share = claim.total, claim.active, claim.active_share
    if arch is not None:
        total, active = float(arch.total), float(arch.active)
    parts = [f"{count(total)} parameters" if total else "", f"{count(active)} active" if active else "",
             f"{share:.1%} active" if share else ""]  # fmt: skip
    statement = (f"{arch.name}: " if arch is not None else "") + ", ".join(part for part in parts if part)
    lines = []
    if total:
        lines += [
            LedgerLine(f"weights at {bits} bits", total * bits / 8, "bytes", f"{count(total)} x {bits} / 8, no scales")
            for bits in (16, 8, 4)
        ]
    if active:
        lines.append(
            LedgerLine(
                "FLOP a token", 2.0 * active, "FLOP", f"2 x {count(active)} active parameters, without attention"
            )
        )
    if total and active:
        real = active / total
        lines.append(LedgerLine("active share", real, "", f"{count(active)} / {count(total)}"))
        if share is not None:
            near = abs(real - share) <= max(ROUNDING / 5, 0.02 * share)
            because = f"{count(active)} of {count(total)} are {real:.1%}"
            return Finding("parameters", statement, "holds" if near else "does not hold", because, tuple(lines))
    because = (
        'no model of the catalog is named, so nothing stands against the sizes; "Qwen3-235B-A22B has 235B parameters, 22B '
        'active" or "$0.07 per million tokens, 1.2T/78B, Ascend 910B" would be judged'
    )
    return Finding("parameters", statement, "cannot be judged", because, tuple(lines))


def _coincidences(claim: Claim, catalog: Catalog) -> Iterator[LedgerLine]:
    """Lists that the percentage does fit, and lists that have this very price."""
    price, below = claim.usd_per_million, claim.below
    assert price is not None
    for item in api_prices(catalog):
        if item.currency != "USD":
            continue
        figures = {
            "input": item.input_per_million,
            "cached input": item.cached_input_per_million,
            "output": item.output_per_million,
        }
        for name, figure in figures.items():
            if not figure:
                continue
            if below is not None and abs(1 - price / figure - below) <= ROUNDING / 2 and "GPT" in item.model:
                yield LedgerLine(f"fits {item.model}, {name}", 1 - price / figure, "",
                                 f"1 - {usd(price)} / {usd(figure)} ({dated(item)})")  # fmt: skip
            if abs(figure - price) < SAME_PRICE / 2 and item.provider == "DeepSeek":
                yield LedgerLine(f"same price: {item.model}, {name}", figure, "USD/M tokens",
                                 f"list price of {dated(item)}")  # fmt: skip


def training_finding(claim: Claim, catalog: Catalog) -> Finding:
    """A training cluster's rate and utilisation: chips it means, and whether it can be of model FLOP."""
    used = claim.training_utilisation
    name = claim.accelerator or "an accelerator that is not named"
    statement = " ".join(
        [f"training on {name}"]
        + ([f"at {used:.0%} utilisation"] if used else [])
        + ([f"with {claim.training_flops / 1e15:,.0f} PFLOP/s"] if claim.training_flops else [])
        + ([f"on {claim.training_bytes / 1e15:g} PB"] if claim.training_bytes else [])
    )
    lines: list[LedgerLine] = []
    said: list[str] = []
    if claim.accelerator and claim.training_flops:
        accelerator, notes = catalog.resolve(claim.accelerator)
        said += notes
        peak = accelerator.peak_flops("bf16") or accelerator.peak_flops("fp16") or 0.0
        if peak:
            formula = f"{claim.training_flops / 1e15:,.0f} PFLOP/s / {peak / 1e12:,.1f} TFLOP/s each"
            lines.append(LedgerLine("accelerators, if peak", claim.training_flops / peak, "", formula))
            if used:
                lines.append(LedgerLine("accelerators, if achieved", claim.training_flops / used / peak, "",
                                        "the same over the utilisation"))  # fmt: skip
    lines += _training_time(claim)
    lines.append(LedgerLine("a good large run", GOOD_MFU, "of the BF16 peak", GOOD_MFU_FORMULA))
    if used is None:
        because = "no utilisation is claimed" if claim.training_flops else _data_words(claim)
        return Finding("training", statement, "cannot be judged", because, tuple(lines), tuple(said))
    if used > BEST_MFU:
        return Finding("training", statement, "holds only if", _busy_share(used), tuple(lines), tuple(said))
    return Finding("training", statement, "cannot be judged", f"{used:.0%} of the peak is possible; nothing shows it",
                   tuple(lines), tuple(said))  # fmt: skip


def _data_words(claim: Claim) -> str:
    """What an amount of data can mean, where nothing else of a run is claimed."""
    data = claim.training_bytes or 0.0
    tokens = data / BYTES_PER_TOKEN
    return (
        f"{data / 1e15:g} PB of text would be {count(tokens)} tokens, {digits(tokens / MOST_TOKENS)} times the most that "
        f"a published model was trained on ({count(MOST_TOKENS)}); as raw data before filtering it is possible, and no "
        "figure of the claim stands against it"
    )


def utilisation_finding(claim: Claim, catalog: Catalog) -> Finding:
    """A utilisation that neither a price nor a training run gives a meaning: what it can and cannot mean."""
    assert claim.utilisation is not None
    used, said, name = claim.utilisation, tuple[str, ...](), "an accelerator that is not named"
    if claim.accelerator:
        accelerator, notes = catalog.resolve(claim.accelerator)
        name, said = accelerator.name, tuple(notes)
    lines = (LedgerLine("a good large run", GOOD_MFU, "of the BF16 peak", GOOD_MFU_FORMULA),)
    statement = f"{used:.0%} utilisation of {name}"
    if used > BEST_MFU:
        return Finding("utilisation", statement, "holds only if", _busy_share(used), lines, said)
    because = f"the claim does not say of what: {used:.0%} of the hours and {used:.0%} of the peak are both possible"
    return Finding("utilisation", statement, "cannot be judged", because, lines, said)


def _busy_share(used: float) -> str:
    """The condition of a utilisation that no run reaches in FLOP."""
    return (
        f"it means the busy share: {used:.0%} as model FLOP over peak is beyond any large run made public (about "
        f"{GOOD_MFU:.0%}, and at most {BEST_MFU:.0%}); as the share of accelerators or hours that are busy it is "
        "possible, and says nothing about speed"
    )


def _training_time(claim: Claim) -> Iterator[LedgerLine]:
    """How long the data would take: 6 FLOP for each active parameter and token."""
    if not claim.training_bytes:
        return
    tokens = claim.training_bytes / BYTES_PER_TOKEN
    yield LedgerLine(
        "training tokens", tokens, "tokens", f"{claim.training_bytes / 1e15:g} PB / {BYTES_PER_TOKEN:g} bytes"
    )
    active = claim.active or (float(load_model(claim.model).active) if claim.model else None)
    if active is None:
        return
    flop = 6.0 * active * tokens
    yield LedgerLine("training work", flop, "FLOP", f"6 x {count(active)} active parameters x {count(tokens)} tokens")
    if claim.training_flops:
        rate = claim.training_flops * (claim.training_utilisation or 1.0)
        yield LedgerLine("training time", flop / rate / SECONDS_PER_YEAR, "years", "work / (PFLOP/s x utilisation)")


def context_finding(claim: Claim, arch: Architecture, catalog: Catalog) -> Finding:
    """Whether the model's positions reach a context, and what one such sequence holds in the cache."""
    assert claim.context is not None
    tokens = claim.context
    statement = f"{arch.name} with a context of {tokens:,} tokens"
    said: list[str] = []
    fmt = kv_format(claim.kv_dtype or "bf16")
    held = float(kv_bytes(arch, float(tokens), fmt))
    lines = [
        LedgerLine("native context", float(arch.native_context or 0), "tokens", "the config's positions"),
        LedgerLine("extended context", float(arch.extended_context or 0), "tokens", "with rope scaling (YaRN)"),
        LedgerLine(
            "cache of one sequence",
            held,
            "bytes",
            f"{tokens:,} tokens, all layers, {fmt.element_bytes:g} bytes an element",
        ),
    ]
    if claim.accelerator:
        accelerator, notes = catalog.resolve(claim.accelerator)
        said += notes
        lines.append(LedgerLine("of one accelerator's memory", held / accelerator.usable_bytes, "",
                                f"{gib(held)} / {gib(accelerator.usable_bytes)}"))  # fmt: skip
    try:
        notes = check_context(arch, tokens, "context")
    except SizingError as error:
        return Finding("context", statement, "does not hold", error.message, tuple(lines), tuple(said))
    if notes:
        return Finding("context", statement, "holds only if", notes[0], tuple(lines), tuple(said))
    because = (
        f"its positions reach {arch.native_context:,} without scaling; one such sequence takes {gib(held)} of cache"
    )
    return Finding("context", statement, "holds", because, tuple(lines), tuple(said))


def parameters_finding(claim: Claim, arch: Architecture) -> Finding:
    """Claimed parameter counts against the exact ones, to the digits claimed."""
    pairs = [("total", claim.total, float(arch.total)), ("active", claim.active, float(arch.active))]
    stated = [(name, said, real) for name, said, real in pairs if said is not None]
    statement = f"{arch.name}: " + " and ".join(f"{count(said)} {name}" for name, said, _ in stated)
    lines = tuple(LedgerLine(f"{name} parameters", real, "", "from the config, exact") for name, _, real in stated)
    wrong = [f"{name} is {count(real)}" for name, said, real in stated if abs(said / real - 1) > 0.02]
    if wrong:
        return Finding("parameters", statement, "does not hold", "; ".join(wrong), lines)
    because = "; ".join(f"{name} is {int(real):,}" for name, _, real in stated)
    return Finding("parameters", statement, "holds", because, lines)


def size_finding(claim: Claim) -> Finding:
    """A quantisation that makes weights smaller by a share."""
    assert claim.size_cut is not None
    bits = claim.size_bits or 8.0
    statement = f"{bits:g}-bit weights are {claim.size_cut:.0%} smaller"
    cuts = {name: 1 - bits / whole for name, whole in (("16 bits", 16.0), ("32 bits", 32.0))}
    lines = [LedgerLine(f"cut from {name}", cut, "", f"1 - {bits:g} / {name}") for name, cut in cuts.items()]
    lines.append(
        LedgerLine("bits for that cut from 16", 16 * (1 - claim.size_cut), "bits", "16 x (1 - cut), no scales")
    )
    if any(abs(cut - claim.size_cut) <= 0.02 for cut in cuts.values()):
        return Finding("size", statement, "holds", "the bits say so", tuple(lines))
    because = f"{bits:g} bits are {cuts['16 bits']:.0%} less than 16 and {cuts['32 bits']:.0%} less than 32"
    return Finding("size", statement, "does not hold", because, tuple(lines))


def performance_finding(claim: Claim, catalog: Catalog) -> Finding:
    """One accelerator as a share of another: the data sheets' ratios bound what can be true."""
    assert claim.performance is not None and claim.of is not None and claim.accelerator is not None
    one, said = catalog.resolve(claim.accelerator)
    other, more = catalog.resolve(claim.of)
    statement = f"{one.name} gives {claim.performance:.0%} of {other.name}"
    peaks = (one.peak_flops("bf16") or one.peak_flops("fp16"), other.peak_flops("bf16") or other.peak_flops("fp16"))
    figures = {
        "peak 16-bit compute": peaks,
        "memory bandwidth": (one.memory_bandwidth, other.memory_bandwidth),
        "memory": (one.usable_bytes, other.usable_bytes),
    }
    lines = tuple(
        LedgerLine(f"{name}, ratio", a / b, "", f"{digits(a / 1e9)} / {digits(b / 1e9)} (10^9 a second or bytes)")
        for name, (a, b) in figures.items() if a and b
    )  # fmt: skip
    inside = lines and min(line.value for line in lines) <= claim.performance <= max(line.value for line in lines)
    because = "between the ratios of the data sheets, so it depends on the work, which the claim does not name"
    if not inside:
        because = "outside the ratios of the data sheets; the claim names no work, so nothing can be computed"
    return Finding("performance", statement, "cannot be judged", because, lines, (*said, *more))
