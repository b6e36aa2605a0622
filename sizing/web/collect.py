"""From the widgets' values to a Study. A value that makes no sense is a SizingError that names the field."""

from __future__ import annotations

import copy
from typing import Any

import streamlit as st

from sizing.study import Study, parse_study
from sizing.workload.lengths import MAX_TOKENS


def study_of_session() -> Study:
    """The session's Study: the base document with what the widgets say."""
    state = st.session_state
    data: dict[str, Any] = copy.deepcopy(state["base"])
    data["model"].update(
        name=state["model"],
        config=state["config"],
        weights=list(state["weights"]),
        kv_dtype=list(state["kv_dtype"]),
        context=state["context"] or None,
    )
    data["hardware"] = _offers(data["hardware"])
    data["constraints"]["max_nodes"] = state["max_nodes"]
    before = data["constraints"].get("min_weight_bits")
    if (state["min_bits"] == "eight") != ((before or 0) >= 8):
        data["constraints"]["min_weight_bits"] = 8.0 if state["min_bits"] == "eight" else None
    data["money"]["mode"] = state["money_mode"]
    data["engine"]["speculative"] = state["speculative"]
    data["engine"]["disaggregated"] = state["disaggregated"]
    _workload(data["workload"])
    return parse_study(data)


def _offers(before: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One offer for each accelerator chosen; what an uploaded study said of it is kept."""
    state = st.session_state
    known = {offer["accelerator"]: offer for offer in before}
    found = []
    for name in state["accelerators"]:
        offer = dict(known.get(name, {"accelerator": name}))
        offer["usd_per_hour"] = state["prices"].get(name)
        offer["max_accelerators"] = state["limits"].get(name)
        offer["term"] = state["terms"].get(name) or "on-demand"
        found.append(offer)
    return found


def _workload(work: dict[str, Any]) -> None:
    """Write the widgets' values into a workload's document."""
    state = st.session_state
    before = copy.deepcopy(work)
    work["input"] = lengths_of("input", work["input"])
    work["output"] = lengths_of("output", work["output"])
    kind = state["arrival"]
    old = work["arrival"] if work["arrival"]["kind"] == kind else {"kind": kind}
    values: dict[str, dict[str, Any]] = {
        "rate": {"requests_per_s": state["rate"]},
        "users": {"users": state["users"], "think_s": state["think_s"]},
        "concurrency": {"concurrency": state["concurrency"]},
        "batch": {"requests": state["requests"]},
    }
    work["arrival"] = {**old, **values[kind]}
    work["prefix_cache_hit_rate"] = _unless_same(work["prefix_cache_hit_rate"], state["hit_rate"], 100.0)
    work["thinking_output_multiplier"] = state["thinking"]
    targets = work["targets"]
    targets["ttft_p95_s"] = _unless_same(targets["ttft_p95_s"], state["ttft_ms"], 1e3)
    targets["tpot_p95_s"] = _unless_same(targets["tpot_p95_s"], state["tpot_ms"], 1e3)
    targets["headroom"] = _unless_same(targets["headroom"], state["headroom"], 100.0)
    targets["spare_replicas"] = state["spares"]
    if work != before and "source" in work:
        work["source"] = ""
        if not work["name"].startswith("custom"):
            work["name"] = f"custom, from {work['name']}"[:200]


def _unless_same(before: float | None, shown: float | None, factor: float) -> float | None:
    """The widget's figure in the Study's unit; the Study's own digits where the widget still shows them."""
    if shown is None:
        return None
    if before is not None and round(before * factor, 6) == shown:
        return before
    return shown / factor


def lengths_of(side: str, before: dict[str, Any]) -> dict[str, Any]:
    """A length distribution from its widgets; unchanged where they show what it already says."""
    state = st.session_state
    kind = state[f"{side}_kind"]
    if kind == "empirical":
        return before
    names = {"fixed": ["value"], "uniform": ["low", "high"], "lognormal": list(state[f"{side}_names"])}[kind]
    new = {name: state[f"{side}_{name}"] for name in names}
    if kind == "lognormal":
        new["maximum"] = state[f"{side}_maximum"] or MAX_TOKENS
    if kind == before["kind"] and all(before.get(name) == value for name, value in new.items()):
        return before
    kept = {"minimum": before["minimum"]} if kind == before["kind"] == "lognormal" else {}
    return {"kind": kind, **kept, **new}
