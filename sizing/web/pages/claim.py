"""Check a claim: what would have to be true, with the working."""

from __future__ import annotations

import streamlit as st

from sizing.errors import SizingError
from sizing.study import Study
from sizing.web import calc, fields, limits
from sizing.web import show as ui
from sizing.web.messages import known, plain, t

EXAMPLES = (
    "$0.07 per million input tokens, 1.2T/78B, Ascend 910B",
    "97.3% below GPT-4 Turbo",
    "Qwen3-32B with a context of 128K",
    "$0.20 per million output tokens, Qwen3-235B-A22B, H100",
    "82% utilisation of an Ascend 910B cluster with 512 PFLOPS",
)
BOXES = {"holds": st.success, "holds only if": st.warning, "cannot be judged": st.info}
ICONS = {
    "holds": ":material/check_circle:",
    "holds only if": ":material/rule:",
    "cannot be judged": ":material/help:",
    "no batch reaches it": ":material/block:",
    "does not hold": ":material/cancel:",
}


def show(study: Study) -> None:
    """Draw the page."""
    st.title(t("claim.title"), anchor=False)
    st.caption(t("claim.help"))
    st.session_state.setdefault("claim", EXAMPLES[0])
    text = fields.line(t("claim.text"), "claim", max_chars=2000)
    st.pills(
        t("claim.examples"),
        EXAMPLES,
        key="claim_example",
        on_change=_use_example,
        format_func=lambda text: text.replace("$", "\\$"),
    )
    if not text.strip():
        return
    try:
        found = calc.examination_of(text)
    except SizingError as error:
        if limits.explain(error):
            return
        st.error(t("error.input", reason=plain(str(error))), icon=":material/error:")
        return
    box = BOXES.get(found.verdict, st.error)
    box(f"**{known('verdict', found.verdict)}**", icon=ICONS[found.verdict])
    if found.claim.unparsed:
        st.warning(t("claim.unparsed", words=plain(", ".join(found.claim.unparsed))))
    for item in found.findings:
        st.subheader(plain(item.statement), anchor=False)
        st.markdown(f"**{known('verdict', item.verdict)}**: {plain(item.because)}")
        if item.lines:
            ui.ledger(item.lines)
    ui.said(found.assumptions, t("plan.assumptions"))


def _use_example() -> None:
    chosen = st.session_state.get("claim_example")
    if chosen:
        fields.put("claim", chosen)
