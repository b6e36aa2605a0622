"""Files and texts that users bring: a model's config.json or a study. Refused with one line, or parsed whole."""

from __future__ import annotations

from typing import Any

from sizing.base.errors import SizingError
from sizing.model.config import MAX_FILE_BYTES, parse_config, parse_json
from sizing.study import MAX_STUDY_BYTES, Study, parse_study, parse_yaml


def read_config(data: bytes, name: str) -> dict[str, Any]:
    """The config that a file or a pasted text holds, checked by building the model from it once."""
    text = as_text(data, "config.json", MAX_FILE_BYTES)
    config = parse_json(text, "config.json")
    parse_config(config, name=name)
    return dict(config)


def read_study(data: bytes) -> Study:
    """The Study in a YAML or JSON file."""
    return parse_study(parse_yaml(as_text(data, "study.yaml", MAX_STUDY_BYTES), "study.yaml"), "study.yaml")


def as_text(data: bytes, name: str, limit: int) -> str:
    """Bytes as text in UTF-8. Raises SizingError where they are none, or more than ``limit``."""
    if len(data) > limit:
        raise SizingError(f"has {len(data):,} bytes, more than the {limit:,} that such a file may have", key=name)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SizingError("is not text in UTF-8", key=name) from None
