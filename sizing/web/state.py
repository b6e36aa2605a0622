"""The Study of a session: from the address bar, from the widgets, and back into them.

The session keeps a base Study; inputs replace the parts that they show, so whatever an uploaded study says beyond
them is kept. ``apply`` writes a Study into the inputs' values (``fields``) and must run before they are drawn (in a
callback, or on the first run).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from sizing.base.errors import SizingError, unknown_name
from sizing.model.checkpoints import hub
from sizing.model.sources import catalog_models
from sizing.study import Study, parse_study
from sizing.web import collect, share, uploads
from sizing.web.fields import put
from sizing.web.messages import LANGUAGES, t
from sizing.workload import LengthDistribution, Workload, preset
from sizing.workload.lengths import MAX_TOKENS

DEFAULT: dict[str, Any] = {
    "model": "Qwen/Qwen3-235B-A22B",
    "workload": "chat",
    "hardware": ["h100-sxm", "a100-80gb-sxm", "ascend-910b2"],
}
LINK_KEY, LANGUAGE_KEY = "s", "lang"
USUAL_TPOT_S = 0.05
PLAN_KEY = "shown_plan"
CONTEXTS = (0, 4096, 8192, 16_384, 32_768, 65_536, 131_072, 262_144, 524_288, 1_048_576)


def default_study() -> Study:
    """What the first page answers."""
    return parse_study(DEFAULT)


def start() -> None:
    """Fill the session on its first run: from the link where there is one, else with the default."""
    state = st.session_state
    if "base" in state:
        return
    chosen = st.query_params.get(LANGUAGE_KEY)
    if chosen in LANGUAGES:
        state["language"] = chosen
    state.setdefault("language", "en")
    state.setdefault("family", None)
    link = st.query_params.get(LINK_KEY)
    if link:
        try:
            apply(share.decode(link))
            return
        except SizingError as error:
            state["notice"] = t("share.bad", reason=str(error))
    apply(default_study())


def write_link(study: Study) -> None:
    """Put the Study and the language into the address bar."""
    params = st.query_params
    wanted = share.encode(study)
    if params.get(LINK_KEY) != wanted:
        params[LINK_KEY] = wanted
    if params.get(LANGUAGE_KEY) != st.session_state["language"]:
        params[LANGUAGE_KEY] = st.session_state["language"]


def check_name(name: str) -> None:
    """Refuse a name that is neither of the catalog nor a Hub id; no path is ever looked at
    (``sizing.model.checkpoints.access``)."""
    from sizing.model.sources import find_in_catalog

    if find_in_catalog(name) is not None:
        return
    if not hub.is_id(name.strip()):
        raise unknown_name("model", name, [entry.name for entry in catalog_models()], key="model")


def apply(study: Study) -> None:
    """Make this the session's Study: base document and every widget's key. Raises SizingError before any change."""
    if study.model.config is None:
        check_name(study.model.name)
    state = st.session_state
    state["base"] = study.model_dump(mode="json")
    put("model", study.model.name)
    state["config"] = study.model.config
    put("weights", list(study.model.weights))
    put("kv_dtype", list(study.model.kv_dtype))
    put("context", study.model.context or 0)
    put("accelerators", [offer.accelerator for offer in study.hardware])
    state["prices"] = {offer.accelerator: offer.usd_per_hour for offer in study.hardware}
    state["limits"] = {offer.accelerator: offer.max_accelerators for offer in study.hardware}
    state["terms"] = {offer.accelerator: offer.term for offer in study.hardware}
    put("max_nodes", study.constraints.max_nodes)
    put("money_mode", study.money.mode)
    put("min_bits", "eight" if (study.constraints.min_weight_bits or 0) >= 8 else "any")
    put("speculative", study.engine.speculative)
    put("disaggregated", study.engine.disaggregated)
    apply_workload(study.workload)


def apply_workload(workload: Workload) -> None:
    """Write a workload into the widgets' keys."""
    state = st.session_state
    state["base"]["workload"] = workload.model_dump(mode="json")
    put("preset", matching_preset(workload))
    _apply_lengths("input", workload.input)
    _apply_lengths("output", workload.output)
    arrival = workload.arrival
    put("arrival", arrival.kind)
    put("rate", getattr(arrival, "requests_per_s", 1.0))
    put("users", getattr(arrival, "users", 100))
    put("think_s", float(getattr(arrival, "think_s", 30.0)))
    put("concurrency", getattr(arrival, "concurrency", 64))
    put("requests", getattr(arrival, "requests", 100_000))
    put("hit_rate", round(workload.prefix_cache_hit_rate * 100, 6))
    put("thinking", workload.thinking_output_multiplier)
    targets = workload.targets
    put("ttft_ms", None if targets.ttft_p95_s is None else round(targets.ttft_p95_s * 1e3, 6))
    put("tpot_ms", None if targets.tpot_p95_s is None else round(targets.tpot_p95_s * 1e3, 6))
    put("headroom", round(targets.headroom * 100, 6))
    put("spares", targets.spare_replicas)


def _apply_lengths(side: str, lengths: LengthDistribution) -> None:
    state = st.session_state
    data = lengths.model_dump()
    names = [name for name in ("mean", "median", "p95", "sigma") if data[name] is not None]
    put(f"{side}_kind", lengths.kind)
    state[f"{side}_names"] = names if lengths.kind == "lognormal" else ["mean", "p95"]
    put(f"{side}_value", data["value"] or round(lengths.mean_tokens))
    for name in state[f"{side}_names"]:
        given = data[name]
        usual = lengths.mean_tokens * (2 if name == "p95" else 1)
        put(f"{side}_{name}", float(given if given is not None else usual))
    put(f"{side}_tokens", round(lengths.mean if lengths.mean is not None else lengths.mean_tokens))
    put(f"{side}_maximum", data["maximum"] if data["maximum"] < MAX_TOKENS else None)
    put(f"{side}_low", data["low"] or 1)
    put(f"{side}_high", data["high"] or max(2, round(lengths.mean_tokens * 2)))


def scale_lengths(side: str) -> None:
    """The mean of a side was typed: its spread and limits follow in proportion."""
    base = st.session_state["base"]["workload"]
    lengths = LengthDistribution(**collect.lengths_of(side, base[side])).with_mean(
        float(st.session_state[f"{side}_tokens"])
    )
    base[side] = lengths.model_dump(mode="json")
    _apply_lengths(side, lengths)


def matching_preset(workload: Workload) -> str:
    """The preset that this workload is, "custom" where it is none."""
    from sizing.workload import PRESETS

    return next((name for name, known in PRESETS.items() if known == workload), "custom")


def choose_preset() -> None:
    """Callback of the preset's widget."""
    name = st.session_state["preset"]
    if name != "custom":
        apply_workload(preset(name))


def choose_model() -> None:
    """Callback of the model's widget: a catalog model takes the place of an uploaded config."""
    st.session_state["config"] = None


def guarded(action: Callable[[], str | None]) -> None:
    """Run a callback's work; bad input becomes a notice and changes nothing."""
    try:
        done = action()
    except SizingError as error:
        st.session_state["notice"] = t("upload.refused", reason=str(error))
    except (RecursionError, MemoryError, ValueError, TypeError, KeyError, AttributeError) as error:
        st.session_state["notice"] = t("upload.refused", reason=type(error).__name__)
    else:
        if done:
            st.session_state["done"] = done


def bring_config(data: bytes, name: str) -> None:
    """Use an uploaded or pasted config.json as the model."""

    def work() -> str:
        shown = name.strip()[:200] or "my-model"
        config = uploads.read_config(data, shown)
        put("model", shown)
        st.session_state["config"] = config
        return t("upload.config_done", name=shown)

    guarded(work)


def bring_study(data: bytes) -> None:
    """Replace the whole Study by an uploaded one."""

    def work() -> str:
        apply(uploads.read_study(data))
        return t("upload.study_done")

    guarded(work)


def bring_name(name: str) -> None:
    """Use a model by its name, alias or Hub id."""

    def work() -> str:
        from sizing.model.sources import load_model

        check_name(name)
        load_model(name.strip())
        put("model", name.strip())
        st.session_state["config"] = None
        return t("upload.config_done", name=name.strip())

    guarded(work)
