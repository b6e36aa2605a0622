"""The inputs that all pages share, in the sidebar."""

from __future__ import annotations

import math
from functools import partial

import streamlit as st

from sizing.base.errors import SizingError
from sizing.base.units import count
from sizing.hardware.price_models import Price
from sizing.model.kv_formats import KV_FORMATS
from sizing.model.quantization.schemes import SCHEMES
from sizing.model.sources import CatalogModel, catalog_models, load_model
from sizing.money.prices import hourly_price
from sizing.money.quotes import is_stale
from sizing.web import fields, own, state
from sizing.web import show as ui
from sizing.web.messages import LANGUAGES, t
from sizing.workload import PRESETS

TERMS = ("on-demand", "reserved", "spot", "serverless")


@st.cache_data(show_spinner=False)
def model_choices() -> list[tuple[str, str, str, float]]:
    """(name, family, label with its size, total parameters) of every model in the catalog that can be built."""
    found = []
    for entry in catalog_models():
        try:
            arch = load_model(entry.name, allow_hub=False)
        except SizingError:
            continue
        size = count(arch.total) + (f", {count(arch.active)} active" if arch.is_moe else "")
        found.append((entry.name, entry.family, f"{entry.name} ({size}{_origin(entry)})", float(arch.total)))
    return found


def _origin(entry: CatalogModel) -> str:
    return ", HYPOTHETICAL" if entry.hypothetical else ""


def sidebar() -> None:
    """Draw all inputs."""
    with st.sidebar:
        _language()
        _model()
        _workload()
        _targets()
        _hardware()
        _search()
        _study_file()


def _language() -> None:
    fields.switch(
        t("input.language"),
        "language",
        list(LANGUAGES),
        format_func=LANGUAGES.__getitem__,
        label_visibility="collapsed",
    )


def _model() -> None:
    st.subheader(t("input.model"), anchor=False)
    choices = model_choices()
    labels = {name: label for name, _, label, _ in choices}
    families = sorted({family for _, family, _, _ in choices})
    current = st.session_state["model"]
    family = st.session_state.get("family")
    names = [name for name, of, _, _ in choices if family in (None, of) or name == current]
    if current not in names:
        names.insert(0, current)
    fields.choice(
        t("input.model_name"),
        "model",
        names,
        format_func=lambda name: labels.get(name, name),
        then=state.choose_model,
        help=t("input.model_help"),
    )
    if st.session_state["config"] is not None:
        st.caption(t("input.model_own"))
    with st.expander(t("input.model_more")):
        fields.choice(t("input.family"), "family", families, placeholder=t("input.family_all"))
        st.text_input(t("input.hub"), key="hub_id", placeholder="org/name", max_chars=200)
        st.button(t("input.hub_use"), key="hub_use", on_click=_use_hub, width="stretch")
        st.text_input(t("input.config_name"), key="config_name", placeholder="my-model", max_chars=200)
        st.file_uploader(t("input.config_file"), type=["json"], key="config_file", on_change=_use_config_file)
        st.text_area(t("input.config_text"), key="config_text", height=120, placeholder='{"model_type": "qwen3", ...}')
        st.button(t("input.config_use"), key="config_use", on_click=_use_config_text, width="stretch")
    with st.expander(t("input.formats")):
        fields.several(
            t("input.weights"),
            "weights",
            sorted({*SCHEMES, *st.session_state["weights"]}),
            placeholder=t("input.usual"),
            help=t("input.weights_help"),
        )
        fields.several(
            t("input.kv_dtype"),
            "kv_dtype",
            sorted({*KV_FORMATS, *st.session_state["kv_dtype"]}),
            placeholder=t("input.usual"),
        )
        contexts = sorted({*state.CONTEXTS, st.session_state["context"]})
        fields.steps(
            t("input.context"),
            "context",
            contexts,
            help=t("input.context_help"),
            format_func=lambda n: t("input.context_auto") if n == 0 else f"{n:,}",
        )


def _use_hub() -> None:
    state.bring_name(st.session_state["hub_id"])


def _use_config_file() -> None:
    file = st.session_state["config_file"]
    if file is not None:
        state.bring_config(file.getvalue(), st.session_state.get("config_name") or file.name.removesuffix(".json"))


def _use_config_text() -> None:
    text = st.session_state["config_text"]
    state.bring_config(text.encode("utf-8", "replace"), st.session_state.get("config_name") or "my-model")


def _workload() -> None:
    st.subheader(t("input.workload"), anchor=False)
    names = [*PRESETS, "custom"]
    fields.choice(
        t("input.preset"),
        "preset",
        names,
        then=state.choose_preset,
        format_func=lambda n: t(f"preset.{n}"),
    )
    kind = fields.choice(
        t("input.arrival"),
        "arrival",
        ["rate", "users", "concurrency", "batch"],
        then=_custom,
        format_func=lambda kind: t(f"arrival.{kind}"),
    )
    if kind == "rate":
        _number("rate", 0.001, 1e7, step=0.5, form="%.4g")
    elif kind == "users":
        _number("users", 1, 10_000_000, step=10)
        _number("think_s", 0.0, 1e6, step=5.0, form="%.4g")
    elif kind == "concurrency":
        _number("concurrency", 1, 10_000_000, step=8)
    else:
        _number("requests", 1, 10**12, step=1000)
    for side in ("input", "output"):
        fields.number(
            t(f"input.{side}_tokens"),
            f"{side}_tokens",
            1,
            10_000_000,
            step=100,
            then=partial(_scale, side),
            help=t("input.tokens_help"),
        )
    with st.expander(t("input.lengths")):
        for side in ("input", "output"):
            _lengths(side)
        _number("thinking", 1.0, 1000.0, step=0.5, form="%.4g")
    fields.slider(
        t("input.hit_rate"),
        "hit_rate",
        0.0,
        100.0,
        step=1.0,
        format="%.0f %%",
        then=_custom,
        help=t("input.hit_rate_help"),
    )


def _scale(side: str) -> None:
    """The plain field of a length was edited: the spread follows in proportion, its limit too."""
    _custom()
    state.scale_lengths(side)


def _lengths(side: str) -> None:
    kinds = ["fixed", "lognormal", "uniform"]
    if st.session_state[f"{side}_kind"] == "empirical":
        kinds.append("empirical")
    kind = fields.choice(
        t(f"input.{side}_kind"), f"{side}_kind", kinds, then=_custom, format_func=lambda k: t(f"lengths.{k}")
    )
    names = {"fixed": ["value"], "uniform": ["low", "high"], "empirical": []}.get(kind)
    if names is None:
        names = st.session_state[f"{side}_names"]
    for name in names:
        label = f"{t(f'side.{side}')}: {t(f'lengths.{name}')}"
        if kind == "lognormal":
            fields.number(
                label,
                f"{side}_{name}",
                0.0 if name == "sigma" else 1.0,
                1e7,
                then=_custom,
                format="%.6g",
                step=0.1 if name == "sigma" else 100.0,
            )
        else:
            fields.number(label, f"{side}_{name}", 1, 10_000_000, step=100, then=_custom)
    if kind == "lognormal":
        fields.number(
            f"{t(f'side.{side}')}: {t('lengths.maximum')}",
            f"{side}_maximum",
            1,
            10_000_000,
            step=100,
            then=_custom,
            placeholder=t("input.none"),
            help=t("lengths.maximum_help"),
        )


def _number(name: str, low: float, high: float, *, step: float, form: str | None = None) -> None:
    fields.number(t(f"input.{name}"), name, low, high, step=step, format=form, then=_custom)


def _custom() -> None:
    """A field of the workload was edited by hand."""
    fields.put("preset", "custom")


def _targets() -> None:
    with st.expander(t("input.targets"), expanded=True):
        for name in ("ttft_ms", "tpot_ms"):
            fields.number(
                t(f"input.{name}"),
                name,
                0.1,
                1e7,
                step=10.0 if name == "ttft_ms" else 1.0,
                format="%.6g",
                then=_custom,
                placeholder=t("input.none"),
                help=t(f"input.{name}_help"),
            )
        fields.slider(t("input.headroom"), "headroom", 0.0, 90.0, step=5.0, format="%.0f %%", then=_custom)
        fields.number(t("input.spares"), "spares", 0, 1000, then=_custom)


@st.cache_data(show_spinner=False, max_entries=20)
def _names(content: str) -> dict[str, str]:
    return {key: item.name for key, item in own.catalog_of(content).accelerators.items()}


def accelerator_names() -> dict[str, str]:
    """Id -> name of every accelerator, the session's own among them."""
    return _names(own.text())


def _hardware() -> None:
    st.subheader(t("input.hardware"), anchor=False)
    names = accelerator_names()
    chosen = st.session_state["accelerators"]
    options = [*names, *(item for item in chosen if item not in names)]
    chosen = fields.several(
        t("input.accelerators"), "accelerators", options, format_func=lambda key: names.get(key, key)
    )
    st.caption(t("input.prices_help"))
    _offers(chosen, names)
    _old_prices(chosen, names)


def catalog_price(name: str, term: str) -> Price | None:
    """The catalog's price of an accelerator-hour, None where there is none."""
    try:
        return hourly_price(name, term, own.catalog())  # the catalog keeps what it has worked out
    except SizingError:
        return None


def _usd(price: Price | None) -> float | None:
    return None if price is None else price.usd


def _old_prices(chosen: list[str], names: dict[str, str]) -> None:
    """Which of the catalog's prices in use are old; yours are your own affair."""
    state_ = st.session_state
    found = {
        name: catalog_price(name, state_["terms"].get(name) or "on-demand")
        for name in chosen
        if state_["prices"].get(name) is None
    }
    items = [f"{names.get(key, key)} ({ui.dated(price)})" for key, price in found.items() if price and is_stale(price)]
    if items:
        st.caption(t("price.old_list", items=", ".join(items)))


def _offers(chosen: list[str], names: dict[str, str]) -> None:
    """Prices in a table that can be edited. An edit is taken over at once and the table begins anew with it."""
    state_ = st.session_state
    terms = {name: state_["terms"].get(name) or "on-demand" for name in chosen}
    usual = {name: _usd(catalog_price(name, terms[name])) for name in chosen}
    prices = {name: usual[name] if (own := state_["prices"].get(name)) is None else own for name in chosen}
    frame = {
        "name": [names.get(name, name) for name in chosen],
        "price": [_or_nan(prices[name]) for name in chosen],
        "term": list(terms.values()),
        "limit": [_or_nan(state_["limits"].get(name)) for name in chosen],
    }
    state_.setdefault("offers", None)
    if state_["offers"] != (shown := repr(frame)):
        fields.put("offers", shown)
    key = fields.key_of("offers")
    st.data_editor(
        frame,
        key=key,
        on_change=_take_offers,
        args=(key, chosen, usual),
        hide_index=True,
        width="stretch",
        num_rows="fixed",
        column_config={
            "name": st.column_config.TextColumn(t("col.accelerator"), disabled=True, width=120),
            "price": st.column_config.NumberColumn(
                t("col.price_hour"), min_value=0.0, max_value=1e6, format="$%.3f", width=85, help=t("input.price_help")
            ),
            "term": st.column_config.SelectboxColumn(t("col.term"), options=list(TERMS), required=True),
            "limit": st.column_config.NumberColumn(t("col.limit"), min_value=1, step=1, help=t("input.limit_help")),
        },
    )


def _take_offers(key: str, chosen: list[str], usual: dict[str, float | None]) -> None:
    """What was edited in the table of prices, into the session."""
    state_ = st.session_state
    for at, row in state_[key]["edited_rows"].items():
        name = chosen[int(at)]
        if "price" in row:
            price = _or_none(row["price"])
            state_["prices"][name] = price if price != usual[name] else None
        if "term" in row and row["term"] != state_["terms"].get(name):
            state_["terms"][name] = str(row["term"])
            state_["prices"][name] = None  # this term's catalog price
        if "limit" in row:
            most = _or_none(row["limit"])
            state_["limits"][name] = None if most is None else int(most)


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _or_none(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else float(value)


def _search() -> None:
    with st.expander(t("input.search")):
        fields.switch(t("input.money"), "money_mode", ["rent", "own"], format_func=lambda m: t(f"money.{m}"))
        fields.switch(
            t("input.min_bits"), "min_bits", ["any", "eight"], format_func=lambda b: t(f"bits.{b}"),
            help=t("input.min_bits_help"),
        )  # fmt: skip
        fields.number(t("input.max_nodes"), "max_nodes", 1, 64, help=t("input.max_nodes_help"))
        for name in ("speculative", "disaggregated"):
            fields.choice(t(f"input.{name}"), name, ["off", "try", "on"], format_func=lambda v: t(f"switch.{v}"))


def _study_file() -> None:
    with st.expander(t("input.study_file")):
        st.file_uploader(t("input.study_upload"), type=["yaml", "yml", "json"], key="study_file", on_change=_use_study)
        st.button(t("input.reset"), key="reset", on_click=lambda: state.apply(state.default_study()), width="stretch")


def _use_study() -> None:
    file = st.session_state["study_file"]
    if file is not None:
        state.bring_study(file.getvalue())
