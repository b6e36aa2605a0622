"""Reads one catalog file: safe YAML only, bounded in size, depth and aliases, with errors of one line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from sizing.base import yaml as safe_yaml
from sizing.base.errors import SizingError
from sizing.base.files import read_text

MAX_DEPTH = 12
MAX_ALIASES = 32

Model = TypeVar("Model", bound=BaseModel)


def read(path: Path, *, trusted: bool = False) -> dict[str, Any]:
    """The top mapping of a YAML file. ``trusted`` (the built-in catalog) skips the checks of structure."""
    if trusted:
        data = _built_in(path)
    else:
        text = read_text(path, safe_yaml.MAX_BYTES)
        data = safe_yaml.parse(text, path.name, depth=MAX_DEPTH, aliases=MAX_ALIASES)
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise SizingError("the top level must be a mapping such as 'accelerators: [...]'", key=path.name)
    return {str(key): value for key, value in data.items()}


@cache
def _built_in(path: Path) -> Any:
    """A file of the package, read once for all catalogs that stand on it (none changes what it holds)."""
    return yaml.load(path.read_bytes(), Loader=safe_yaml.Loader)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with an entry: the path of its key, what is wrong, what would be right."""

    key: str
    message: str
    hint: str | None = None
    misspelt: bool = False


class EntryError(SizingError):
    """An entry that breaks its schema; ``problems`` are all of them, misspelt keys first."""

    def __init__(self, problems: list[Problem], *, file: str, entry: str) -> None:
        self.file, self.entry, self.problems = file, entry, tuple(problems)
        first = problems[0]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        path = f"{first.key}: " if first.key else ""
        super().__init__(f"{path}{first.message}{more}", key=f"{file}: {entry}", hint=first.hint)


def validate(model: type[Model], data: dict[str, Any], *, file: str, entry: str) -> Model:
    """The entry as ``model``; EntryError names file, entry and every key at fault."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        found = [_problem(model, item) for item in error.errors(include_url=False)]
        found.sort(key=lambda problem: not problem.misspelt)
        raise EntryError(found, file=file, entry=entry) from None


def _problem(model: type[BaseModel], found: Any) -> Problem:
    """One of pydantic's errors in words."""
    path = ".".join(str(part) for part in found["loc"])
    if found["type"] == "extra_forbidden":
        key = str(found["loc"][-1])
        hint = suggestion(key, _keys_at(model, found["loc"][:-1]))
        return Problem(path, f"unknown key {key[:80]!r}", hint, misspelt=True)
    message = found["msg"]
    if found["type"] in ("float_type", "int_type") and _is_number(found["input"]):
        message = f"{found['input']!r} is a text: write a number without quotes, and 8.0e+9 rather than 8e9"
    elif found["type"] != "missing":
        message = f"{message}, not {str(found['input'])[:60]!r}"
    return Problem(path, message)


def _is_number(value: object) -> bool:
    try:
        return isinstance(value, str) and float(value) == float(value)
    except ValueError:
        return False


def suggestion(key: str, known: Iterable[str]) -> str | None:
    """ "did you mean ..." for a mistyped key."""
    close = difflib.get_close_matches(key.lower(), list(known), n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else None


def _keys_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The keys that the model allows at a location."""
    here: Any = model
    for part in location:
        if isinstance(part, int) or not (isinstance(here, type) and issubclass(here, BaseModel)):
            continue
        field = here.model_fields.get(part)
        if field is None:
            continue
        here = _model_in(field.annotation) or here
    return list(here.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The first model that a type annotation mentions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _model_in(inner)
        if found is not None:
            return found
    return None


def deep_merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """``base`` with ``over`` on top: mappings merge, everything else (lists too) is replaced."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = deep_merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged
