"""Write docs/study.schema.json, the JSON Schema of a study for editors: ``python benchmarks/make_schema.py``."""

from __future__ import annotations

import json
from pathlib import Path

from sizing.study import Study

TARGET = Path(__file__).parents[1] / "docs" / "study.schema.json"


def render() -> str:
    """The schema as text, keys in order."""
    return json.dumps(Study.model_json_schema(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    TARGET.write_text(render(), encoding="utf-8")
    print(f"wrote {TARGET}")
