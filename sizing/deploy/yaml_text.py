"""Objects as YAML documents, with the comment that starts each file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as a block, and never an alias."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def document(*objects: Any) -> str:
    """One YAML document for each object."""
    return "---\n".join(
        yaml.dump(item, Dumper=_Dumper, sort_keys=False, width=10_000, allow_unicode=False) for item in objects
    )


def file(comment: str, objects: Sequence[Any]) -> str:
    """A file: the comment, then the documents."""
    return comment + document(*objects)
