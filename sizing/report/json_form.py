"""The JSON form, and the schema that it keeps to."""

from __future__ import annotations

import json
from typing import Any

from sizing.report.model import ReportModel


def json_text(report: ReportModel) -> str:
    """The whole ReportModel as JSON; the Result's own document is under ``result``."""
    return json.dumps(report.model_dump(mode="json"), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the JSON form; published as ``sizing/report/schema.json``."""
    schema = ReportModel.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def schema_text() -> str:
    """The schema as the published file has it."""
    return json.dumps(json_schema(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
