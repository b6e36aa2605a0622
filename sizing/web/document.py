"""A Study as a document: JSON for links and cache keys, YAML for files. Defaults are left out, kinds are kept."""

from __future__ import annotations

import json
from typing import Any

import yaml

from sizing.study import STUDY_VERSION, Study


def data_of(study: Study) -> dict[str, Any]:
    """Plain data that ``parse_study`` reads back to an equal Study."""
    data: dict[str, Any] = {"version": STUDY_VERSION, **study.model_dump(mode="json", exclude_defaults=True)}
    work = data["workload"]
    if "arrival" in work:
        work["arrival"] = {"kind": study.workload.arrival.kind, **work["arrival"]}
    return data


def json_of(study: Study) -> str:
    """Compact JSON with sorted keys."""
    return json.dumps(data_of(study), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def yaml_of(study: Study) -> str:
    """The document for a file."""
    return yaml.safe_dump(data_of(study), sort_keys=False, allow_unicode=True)
