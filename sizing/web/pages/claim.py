"""Check a claim: the verdict in one sentence, what would have to be true, with the working; in words or by a form."""

from __future__ import annotations

from typing import Any

import streamlit as st

from sizing.base.errors import SizingError
from sizing.claims import Examination
from sizing.claims.chinese import in_chinese
from sizing.money.quotes import api_prices
from sizing.study import Study
from sizing.web import calc, fields, inputs, limits, own
from sizing.web import show as ui
from sizing.web.messages import known, language, plain, t

EXAMPLES = (
    "$0.07 per million input tokens, 1.2T/78B, Ascend 910B",
    "97% lower than GPT-4 Turbo at $0.07 per million tokens",
    "Qwen3-32B with a context of 128K",
    "$0.20 per million output tokens, Qwen3-235B-A22B, H100",
    "82% utilisation of an Ascend 910B cluster with 512 PFLOPS",
    "DeepSeek V3: 2.788M H800 hours, 14.8T tokens, $5.576M",
    "Qwen3-32B runs on one RTX 4090 in 4 bits at 20 tokens/s",
    "H200 is 1.9 times faster than H100 on Llama-3.3-70B",
)
EXAMPLES_ZH = (
    "每百万token 0.07美元，比GPT-4 Turbo低97%",
    "总参数1.2万亿，激活参数780亿（6.5%）",
    "DeepSeek V3 用278.8万H800 GPU小时训练14.8万亿token，花费557.6万美元",
    "华为昇腾910B集群训练，芯片利用率82%",
    "Qwen3-32B 支持128K上下文",
    "Qwen3-32B 单张4090 4比特量化运行，每秒20个token",
    "H200比H100快90%",
)
BOXES = {"holds": st.success, "holds only if": st.warning, "cannot be judged": st.info}
ICONS = {
    "holds": ":material/check_circle:",
    "holds only if": ":material/rule:",
    "cannot be judged": ":material/help:",
    "no batch reaches it": ":material/block:",
    "does not hold": ":material/cancel:",
}
#: The form's fields at their start; None and "" claim nothing.
FORM: dict[str, Any] = {
    "claim_price": None, "claim_kind": None, "claim_model": None, "claim_machine": None, "claim_number": None,
    "claim_rate": None, "claim_used": None, "claim_below": None, "claim_than": None, "claim_context": None,
}  # fmt: skip


def show(study: Study) -> None:
    """Draw the page."""
    st.title(t("claim.title"), anchor=False)
    st.caption(t("claim.help"))
    examples = EXAMPLES_ZH if language() == "zh" else EXAMPLES
    st.session_state.setdefault("claim", examples[0])
    words, form = st.tabs([t("claim.words"), t("claim.form")])
    with words:
        text = fields.line(t("claim.text"), "claim", max_chars=2000)
        st.pills(
            t("claim.examples"),
            examples,
            key="claim_example",
            on_change=_use_example,
            format_func=lambda text: text.replace("$", "\\$"),
        )
    with form:
        given = _form()
    if given:
        st.caption(t("claim.form_leads"))
        text = ""
    if not text.strip() and not given:
        return
    try:
        found = calc.examination_of(text, **given)
    except SizingError as error:
        if limits.explain(error):
            return
        st.error(t("error.input", reason=plain(str(error))), icon=":material/error:")
        return
    _answer(found)


def _answer(found: Examination) -> None:
    """The verdict in one sentence, what was not understood, and every part with its working."""
    chinese = language() == "zh"
    box = BOXES.get(found.verdict, st.error)
    sentence = found.sentence_zh if chinese else found.sentence
    box(f"**{known('verdict', found.verdict)}**: {plain(sentence)}", icon=ICONS[found.verdict])
    if found.claim.unparsed:
        st.warning(t("claim.unparsed", words=plain(", ".join(found.claim.unparsed))))
        st.caption(t("claim.understood", examples=plain("; ".join(EXAMPLES_ZH if chinese else EXAMPLES))))
    for item in found.findings:
        statement = in_chinese(item.statement) if chinese else item.statement
        because = in_chinese(item.because) if chinese else item.because
        st.subheader(plain(statement), anchor=False)
        st.markdown(f"**{known('verdict', item.verdict)}**: {plain(because)}")
        if item.lines:
            ui.ledger(item.lines)
    ui.said(found.assumptions, t("plan.assumptions"))


def _form() -> dict[str, Any]:
    """Inputs beside the text, so that nobody depends on how words are read; the fields of a claim that they state."""
    for name, start in FORM.items():
        st.session_state.setdefault(name, start)
    labels = {name: label for name, _, label, _ in inputs.model_choices()}
    machines = inputs.accelerator_names()
    apis = [item.model for item in api_prices(own.catalog()) if item.output_per_million is not None]
    left, middle, right = st.columns(3)
    with left:
        model = fields.choice(t("claim.model"), "claim_model", list(labels), format_func=labels.__getitem__)
        machine = fields.choice(t("claim.machine"), "claim_machine", list(machines), format_func=machines.__getitem__)
        number = fields.number(t("claim.number"), "claim_number", 1, 100_000)
    with middle:
        price = fields.number(t("claim.price"), "claim_price", 0.0, 10_000.0, format="%.4f")
        kinds = ("input", "output", "blend")
        kind = fields.choice(t("claim.kind"), "claim_kind", kinds, format_func=lambda one: known("claim.kind", one))
        rate = fields.number(t("claim.rate"), "claim_rate", 0.0, 1e9)
    with right:
        used = fields.number(t("claim.used"), "claim_used", 0.0, 100.0)
        below = fields.number(t("claim.below"), "claim_below", 0.0, 100.0)
        than = fields.choice(t("claim.than"), "claim_than", list(dict.fromkeys(apis)))
        context = fields.number(t("claim.context"), "claim_context", 1, 100_000_000)
    stated = {
        "model": model,
        "accelerator": machine,
        "accelerators": number,
        "usd_per_million": price or None,
        "kind": kind if price else None,
        "tokens_per_s": rate or None,
        "utilisation": used / 100 if used else None,
        "below": below / 100 if below and than else None,
        "than": than if below else None,
        "context": context,
        "runs": True if model and machine and not price else None,
    }
    return {name: value for name, value in stated.items() if value is not None}


def _use_example() -> None:
    chosen = st.session_state.get("claim_example")
    if chosen:
        fields.put("claim", chosen)
