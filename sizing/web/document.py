"""A Study as a document: JSON for links and cache keys, YAML for files. Defaults are left out, kinds are kept."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any, TypeVar

import yaml

from sizing.study import STUDY_VERSION, Study

Text = TypeVar("Text", bound=Callable[[Study], str])
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # a config may have 60,000 keys


def once(make: Text) -> Text:
    """The same text for the same Study object without making it again: one run of the script asks many times."""
    last: list[tuple[Study, str]] = []

    @functools.wraps(make)
    def made(study: Study) -> str:
        for known, text in tuple(last):
            if known is study:
                return text
        text = make(study)
        last[:] = [*last[-3:], (study, text)]
        return text

    return made  # type: ignore[return-value]


def data_of(study: Study) -> dict[str, Any]:
    """Plain data that ``parse_study`` reads back to an equal Study."""
    data: dict[str, Any] = {"version": STUDY_VERSION, **study.model_dump(mode="json", exclude_defaults=True)}
    work = data["workload"]
    if "arrival" in work:
        work["arrival"] = {"kind": study.workload.arrival.kind, **work["arrival"]}
    return data


@once
def json_of(study: Study) -> str:
    """Compact JSON with sorted keys."""
    return json.dumps(data_of(study), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


@once
def yaml_of(study: Study) -> str:
    """The document for a file."""
    text: str = yaml.dump(data_of(study), Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return text
