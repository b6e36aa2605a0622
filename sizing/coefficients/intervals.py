"""How far predictions of whole servers may be off: factors around the median, from rows that the fit had not seen."""

from __future__ import annotations

import math
from typing import Any

from sizing.base.errors import unknown_name
from sizing.base.ledger import Spread
from sizing.coefficients.serving import regime_name, serving_document, throughput_document

QUANTITIES = ("tpot", "ttft", "throughput", "cost")


def _nearest(intervals: Any, quantity: str, engine: str, family: str, kind: str) -> dict[str, float]:
    """Factors from the nearest evidence: rows of this engine, family and kind of model, left out by whole groups; else of
    engine and family, of family and kind, of all."""
    near = intervals.get("near", {}).get("ttft" if quantity == "ttft" else "tpot", {})
    for key in (f"{engine} {family} {kind}", f"{engine} {family}", f"{family} {kind}"):
        if key in near:
            low, high = near[key]
            return {"low": 1 / high, "high": 1 / low} if quantity == "throughput" else {"low": low, "high": high}
    found: dict[str, float] = intervals[quantity]
    return found


def spread(
    quantity: str,
    *,
    engine: str,
    family: str,
    kind: str = "dense",
    dtype: str = "fp8",
    disaggregated: bool = False,
    uncertain: bool = False,
) -> Spread:
    """The interval of a quantity ("tpot", "ttft", "throughput" or "cost").

    engine, family: of the accelerator. kind: of architecture ("dense", "moe", "mla", "hybrid"). dtype: of the weights.
    uncertain: the placement itself had to be guessed. Each that the measurements do not cover widens the interval:
    factors multiply in quadrature of their logarithms.
    """
    if quantity not in QUANTITIES:
        raise unknown_name("quantity", quantity, list(QUANTITIES), key="quantity")
    document = serving_document()
    intervals = document["intervals"]
    widen = intervals["widen"]
    base = _nearest(intervals, quantity, engine, family, kind)
    regime = regime_name(engine, family)
    measured = throughput_document()["intervals"].get(f"closed {regime} rate") if regime is not None else None
    if measured is not None:  # quantiles of log(measured / predicted) rates, whole models and sources left out
        faster = {"low": math.exp(float(measured[0])), "high": math.exp(float(measured[1]))}
        slower = {"low": 1 / faster["high"], "high": 1 / faster["low"]}
        base = faster if quantity == "throughput" else slower
        if quantity == "ttft":
            base = {
                "low": min(base["low"], intervals["ttft"]["low"]),
                "high": max(base["high"], intervals["ttft"]["high"]),
            }
    pools = intervals.get("disagg_uncertain" if uncertain else "disagg") if disaggregated else None
    if pools is not None:
        slower = pools["ttft" if quantity == "ttft" else "tpot"]
        inverse = {"low": 1 / slower["high"], "high": 1 / slower["low"]}
        base = inverse if quantity == "throughput" else slower
    reasons = ["errors on whole groups of measured servers that the fit had not seen"]
    extra = 0.0

    def wider(key: str, why: str) -> None:
        nonlocal extra
        extra += math.log(float(widen[key])) ** 2
        reasons.append(why)

    if engine not in document["engines"] and (measured is None or engine != regime):
        wider("engine", f"no measured servers of {engine}")
    if measured is None and family.lower() not in document["families"]:
        wider("family", f"no measured servers on {family}")
    if kind not in intervals.get("kinds", ("dense", "moe", "mla")):
        wider("kind", f"few or no measured servers of {kind} models")
    if dtype not in intervals.get("dtypes", ("bf16", "fp8", "fp8_block", "nvfp4", "mxfp4")):
        wider("dtype", f"few or no measured servers with {dtype} weights")
    if disaggregated and pools is None:
        wider("disagg", "prefill and decode pools apart")
    elif disaggregated:
        reasons.append("prefill and decode pools apart: no coefficient is fitted on such servers")
    if uncertain and pools is None:
        wider("uncertain", "the placement is not fully stated")
    low = math.exp(-math.sqrt(math.log(float(base["low"])) ** 2 + extra))
    high = math.exp(math.sqrt(math.log(float(base["high"])) ** 2 + extra))
    return Spread(low, high, tuple(reasons))
