"""From a Result to a ReportModel: the one place that decides what a report says."""

from __future__ import annotations

import datetime as dt

import sizing
from sizing.base.dates import as_of, parse_day
from sizing.hardware import Catalog, load_catalog
from sizing.planning.result import Result
from sizing.report.context import Context
from sizing.report.model import ReportModel
from sizing.report.money_sheet import cost_sheet
from sizing.report.plain import plain
from sizing.report.sections_money import alternatives_section, cost_section
from sizing.report.sections_notes import appendix_section, risks_section, sources_section
from sizing.report.sections_plan import configuration_section, memory_section, speed_section, summary_section
from sizing.report.sections_question import model_section, workload_section
from sizing.report.text import Messages, language_of

SECTIONS = (
    summary_section,
    workload_section,
    model_section,
    configuration_section,
    memory_section,
    speed_section,
    cost_section,
    alternatives_section,
    risks_section,
    sources_section,
    appendix_section,
)


def report_model(
    result: Result,
    *,
    language: str = "en",
    date: dt.date | str | None = None,
    catalog: Catalog | None = None,
) -> ReportModel:
    """The report of a Result, in ``en`` or ``zh``. ``date``: of the report; None: SOURCE_DATE_EPOCH, else today."""
    chosen = language_of(language)
    m = Messages(chosen)
    ctx = Context(result=result, m=m, date=parse_day(date), catalog=catalog or load_catalog())
    offers = ", ".join(ctx.catalog.resolve(offer.accelerator)[0].name for offer in result.study.hardware)
    with as_of(ctx.date):
        sections = [make(ctx) for make in SECTIONS]
    labels = {name: m(f"label.{name}") for name in LABELS}
    return ReportModel(
        title=result.study.title or m("title", model=ctx.model_name),
        subtitle=f"{ctx.model_name}: {m('subtitle', workload=result.study.workload.name, hardware=offers)}",
        language=chosen,
        date=ctx.date.isoformat(),
        status=m("status"),
        tool=m("tool", version=sizing.__version__),
        study_key=result.study.key,
        labels=labels,
        sections=tuple(section for section in sections if section.blocks),
        cost_sheet=cost_sheet(ctx),
        study=result.study.to_yaml(),
        result=plain(result.to_dict()),
    )


LABELS = (
    "contents", "page", "of", "date", "study", "language", "interval", "table", "figure", "inputs", "cost", "check",
    "check_ok", "check_off", "python_value", "live_value", "name", "unit", "note", "change_me", "chart_data",
    "show_data",
)  # fmt: skip
