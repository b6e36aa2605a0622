"""Catalog: accelerators, models and prices with their sources; check and download entries of your own."""

from __future__ import annotations

from typing import Any

import streamlit as st
import yaml

from sizing.base.errors import SizingError
from sizing.base.units import count
from sizing.hardware import Accelerator
from sizing.model.sources import catalog_models
from sizing.money.prices import hourly_price
from sizing.study import Study
from sizing.web import inputs, own
from sizing.web import show as ui
from sizing.web.messages import plain, t

COMMANDS = """sizing hardware check my-accelerators.yaml
sizing plan study.yaml --catalog my-accelerators.yaml"""


def show(study: Study) -> None:
    """Draw the page."""
    st.title(t("catalog.title"), anchor=False)
    one, two, three, four = st.tabs(
        [t("catalog.accelerators"), t("catalog.models"), t("catalog.apis"), t("catalog.own")]
    )
    with one:
        _accelerators()
    with two:
        _models()
    with three:
        _apis()
    with four:
        _own()


@st.cache_data(show_spinner=False, max_entries=20)
def accelerator_rows(content: str = "") -> list[dict[str, Any]]:
    """Every accelerator as a row; ``dated`` is its price, whose age is said when it is shown. ``content``: the
    session's own catalog file.
    """
    catalog = own.catalog_of(content)
    rows: list[dict[str, Any]] = []
    for item in catalog.accelerators.values():
        try:
            price = hourly_price(item.id, catalog=catalog)
        except SizingError:
            price = None
        peaks = item.dense_peak_tflops
        rows.append(
            {
                "id": item.id,
                "name": item.name,
                "vendor": item.vendor,
                "memory": item.usable_bytes / 2**30,
                "bandwidth": item.memory_bandwidth_gb_s,
                "bf16": peaks.bf16 or peaks.fp16,
                "fp8": peaks.fp8,
                "int8": peaks.int8,
                "link": item.interconnect.gb_s_per_direction,
                "power": item.tdp_w,
                "price": None if price is None else price.usd,
                "dated": price,
                "source": "; ".join(source.ref for source in item.sources),
                "note": item.note or "",
            }
        )
    return rows


def _accelerators() -> None:
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    ui.table(
        [{**row, "dated": ui.dated(row["dated"])} for row in accelerator_rows(own.text())],
        {
            "name": text(t("col.accelerator"), pinned=True),
            "id": text("id"),
            "vendor": text(t("catalog.vendor")),
            "memory": number(t("catalog.memory"), format="%.1f"),
            "bandwidth": number(t("catalog.bandwidth"), format="localized"),
            "bf16": number("BF16 [TFLOP/s]", format="localized"),
            "fp8": number("FP8 [TFLOP/s]", format="localized"),
            "int8": number("INT8 [TOP/s]", format="localized"),
            "link": number(t("catalog.link"), format="localized"),
            "power": number("TDP [W]", format="localized"),
            "price": number(t("col.price_hour"), format="$%.2f"),
            "dated": text(t("catalog.dated")),
            "source": text(t("catalog.source"), width="large"),
            "note": text(t("catalog.note"), width="large"),
        },
        key="catalog_accelerators",
    )
    st.caption(t("catalog.peaks"))


@st.cache_data(show_spinner=False)
def model_rows() -> list[dict[str, object]]:
    """Every model as a row."""
    known = {name: (label, total) for name, _, label, total in inputs.model_choices()}
    return [
        {
            "name": entry.name,
            "family": entry.family,
            "total": known[entry.name][1] / 1e9,
            "origin": entry.origin,
            "source": entry.source or "",
            "note": entry.note,
        }
        for entry in catalog_models()
        if entry.name in known
    ]


def _models() -> None:
    text = st.column_config.TextColumn
    ui.table(
        model_rows(),
        {
            "name": text(t("input.model"), pinned=True),
            "family": text(t("input.family")),
            "total": st.column_config.NumberColumn(t("catalog.parameters"), format="%.4g"),
            "origin": text(t("catalog.origin")),
            "source": text(t("catalog.source"), width="large"),
            "note": text(t("catalog.note"), width="large"),
        },
        key="catalog_models",
    )
    st.caption(t("catalog.models_count", count=count(len(model_rows()))))


def _apis() -> None:
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    ui.table(
        [
            {
                "model": one.model,
                "provider": one.provider,
                "currency": one.currency,
                "in": one.input_per_million,
                "cached": one.cached_input_per_million,
                "out": one.output_per_million,
                "date": ui.dated(one),
                "source": one.source,
            }
            for one in own.catalog().api_prices
        ],
        {
            "model": text(t("input.model"), pinned=True),
            "provider": text(t("catalog.provider")),
            "currency": text(t("catalog.currency")),
            "in": number(t("catalog.api_in"), format="%.4g"),
            "cached": number(t("catalog.api_cached"), format="%.4g"),
            "out": number(t("catalog.api_out"), format="%.4g"),
            "date": text(t("col.date")),
            "source": text(t("catalog.source"), width="large"),
        },
        key="catalog_apis",
    )


def entry_yaml(item: Accelerator) -> str:
    """One accelerator as a catalog file that can be edited."""
    data = item.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    data.pop("parent", None)
    return yaml.safe_dump({"accelerators": [data]}, sort_keys=False, allow_unicode=True)


def _own() -> None:
    st.markdown(t("catalog.own_help"))
    names = inputs.accelerator_names()
    chosen = st.selectbox(t("catalog.template"), list(names), key="catalog_template", format_func=names.__getitem__)
    st.download_button(
        t("catalog.download"),
        entry_yaml(own.catalog().accelerators[chosen]),
        f"{chosen}.yaml",
        "application/yaml",
        key="catalog_download",
        on_click="ignore",
        icon=":material/download:",
    )
    st.file_uploader(t("catalog.check"), type=["yaml", "yml"], key="catalog_file", on_change=_use_file)
    st.text_area(
        t("catalog.paste"), key="catalog_text", height=160, placeholder="accelerators:\n- id: my-accelerator\n  ..."
    )
    st.button(t("catalog.use"), key="catalog_use", on_click=_use_text, icon=":material/check:")
    for finding in st.session_state.get(own.FINDINGS, []):
        st.warning(plain(finding))
    if own.text():
        st.success(t("catalog.own_kept", names=plain(", ".join(own.ids(own.text())) or "–")), icon=":material/memory:")
        st.button(t("catalog.forget"), key="catalog_forget", on_click=_forget, icon=":material/delete:")
    st.code(
        COMMANDS,
        language="bash",
    )


def _use_file() -> None:
    file = st.session_state["catalog_file"]
    if file is not None:
        own.bring(file.getvalue())


def _use_text() -> None:
    own.bring(st.session_state["catalog_text"].encode("utf-8", "replace"))


def _forget() -> None:
    own.forget()
    st.session_state[own.FINDINGS] = []
