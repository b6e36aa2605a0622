"""Check a claim: what would have to be true, with the working.

``examine(Claim(...))`` or ``examine(parse_claim("$0.07 per million tokens, 1.2T/78B, Ascend 910B"))`` gives an
Examination: a verdict and a ledger for each part of the claim.
"""

from __future__ import annotations

from sizing.claims.claim import VERDICTS, Claim, Examination, Finding, Verdict
from sizing.claims.judge import EXAMPLES, examine
from sizing.claims.text import parse_claim

__all__ = ["EXAMPLES", "VERDICTS", "Claim", "Examination", "Finding", "Verdict", "examine", "parse_claim"]
