"""Evidence: how sure this very answer is, and how far the model has been from measurements."""

from __future__ import annotations

import re
from pathlib import Path

import streamlit as st

from sizing.study import Study
from sizing.web import calc
from sizing.web import show as ui
from sizing.web.messages import plain, t
from sizing.web.pages import evidence_charts

PICTURE = re.compile(r"^!\[([^\]]*)\]\(([\w./-]+)\)\s*$")


def show(study: Study) -> None:
    """Draw the page."""
    st.title(t("evidence.title"), anchor=False)
    result = calc.result_of(study)
    row = ui.choose_plan(result)
    if row is not None:
        item = result.plans[row]
        st.subheader(t("evidence.answer"), anchor=False)
        figures = {
            "TTFT [s]": item.ttft_s,
            "TPOT [s]": item.tpot_s,
            t("speed.output"): item.output_tokens_per_s,
            **{t(f"card.{k}"): item.cost[f"usd_per_million_{k}_tokens"] for k in ("output", "input") if item.cost},
        }
        evidence_charts.intervals(figures)
        ui.under(
            [
                {
                    "figure": name,
                    "p10": one.p10,
                    "p50": one.p50,
                    "p90": one.p90,
                    "low": one.p10 / one.p50 - 1,
                    "high": one.p90 / one.p50 - 1,
                }
                for name, one in figures.items()
                if one.p50
            ],
            {
                "figure": st.column_config.TextColumn(t("col.value")),
                "p10": st.column_config.NumberColumn("p10", format="%.4g"),
                "p50": st.column_config.NumberColumn("p50", format="%.4g"),
                "p90": st.column_config.NumberColumn("p90", format="%.4g"),
                "low": st.column_config.NumberColumn(t("evidence.low"), format="percent"),
                "high": st.column_config.NumberColumn(t("evidence.high"), format="percent"),
            },
            "evidence_intervals",
        )
        for text in item.confidence:
            st.markdown(f"- {plain(text)}")
    st.subheader(t("evidence.validation"), anchor=False)
    _document()


def validation_file() -> Path | None:
    """The validation report: beside the package in a checkout, or inside an installed one."""
    import sizing

    package = Path(sizing.__file__).parent
    for file in (package.parent / "docs" / "validation.md", package / "evidence" / "validation.md"):
        if file.is_file():
            return file
    return None


def _document() -> None:
    """The report: its sections folded, its tables as tables that scroll, its pictures drawn from beside it."""
    file = validation_file()
    if file is None:
        st.info(t("evidence.none"))
        return
    sections = re.split(r"^(?=#{2,3} )", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    for number, section in enumerate(sections):
        head, _, body = section.partition("\n")
        if not head.startswith("#"):
            head, body = "", section
        title = head.lstrip("# ")
        if head.startswith("## "):
            st.markdown(f"#### {title}")
        if head.startswith("### "):
            with st.expander(title):
                _section(body, file.parent, number)
        elif not head.startswith("# "):
            _section(body, file.parent, number)


def _section(text: str, folder: Path, number: int) -> None:
    """Paragraphs, tables and pictures of one section."""
    for at, block in enumerate(re.split(r"\n\s*\n", text.strip())):
        lines = block.splitlines()
        picture = PICTURE.match(block.strip())
        if picture and (folder / picture[2]).is_file():
            st.image(str(folder / picture[2]), caption=picture[1])
        elif len(lines) > 2 and all(line.startswith("|") for line in lines):
            names, rows = _cells(lines[0]), [_cells(line) for line in lines[2:]]
            if evidence_charts.partitioned(names):
                evidence_charts.partitions(names, rows, f"validation_chart_{number}_{at}")
            st.dataframe(
                {name: [row[column] for row in rows] for column, name in enumerate(names)},
                hide_index=True,
                width="stretch",
                key=f"validation_{number}_{at}",
            )
        elif block:
            st.markdown(block)


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]
