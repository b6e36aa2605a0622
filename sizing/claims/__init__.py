"""Check a claim: what would have to be true, with the working.

``examine(Claim(...))`` or ``examine(parse_claim("$0.07 per million tokens, 1.2T/78B, Ascend 910B"))`` gives an
Examination: a verdict and a ledger for each part of the claim.
"""

from __future__ import annotations

from sizing.claims.arithmetic import (
    context_finding,
    parameters_finding,
    performance_finding,
    relative_finding,
    size_finding,
    training_finding,
    utilisation_finding,
)
from sizing.claims.claim import VERDICTS, Claim, Examination, Finding, Verdict
from sizing.claims.price import price_finding
from sizing.claims.text import parse_claim
from sizing.errors import SizingError
from sizing.hardware import Catalog, load_catalog
from sizing.model.sources import load_model


def examine(claim: Claim, catalog: Catalog | None = None) -> Examination:
    """Examine every part of a claim. Raises SizingError for figures that make no sense, and for a claim of nothing."""
    catalog = catalog or load_catalog()
    claim = claim.checked()
    found: list[Finding] = []
    arch = load_model(claim.model) if claim.model else None
    if arch is not None and (claim.total is not None or claim.active is not None):
        found.append(parameters_finding(claim, arch))
    priced = claim.usd_per_million is not None and (claim.accelerator is not None or claim.below is None)
    if priced:
        found.append(price_finding(claim, catalog))
    if claim.below is not None:
        if claim.than is None:
            raise SizingError("is needed with --below", key="--than", hint='such as --than "GPT-4 Turbo"')
        found.append(relative_finding(claim, catalog))
    if claim.training_flops or claim.training_utilisation or claim.training_bytes:
        found.append(training_finding(claim, catalog))
    if claim.utilisation is not None and not priced:
        found.append(utilisation_finding(claim, catalog))
    if claim.context is not None and arch is not None:
        found.append(context_finding(claim, arch, catalog))
    if claim.size_cut is not None:
        found.append(size_finding(claim))
    if claim.performance is not None:
        if claim.of is None or claim.accelerator is None:
            raise SizingError("needs two accelerators", key="--performance", hint="give --on and --of")
        found.append(performance_finding(claim, catalog))
    if not found:
        unread = f"; not understood: {', '.join(claim.unparsed)}" if claim.unparsed else ""
        raise SizingError(
            f"nothing in it that can be checked{unread}",
            key="claim",
            hint="a price, a percentage below a list price, a context, a utilisation, parameters of a model",
        )
    return Examination(claim, tuple(found))


__all__ = ["VERDICTS", "Claim", "Examination", "Finding", "Verdict", "examine", "parse_claim"]
