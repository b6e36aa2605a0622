"""Reads one catalog file: safe YAML only, bounded in size, depth and aliases, with errors of one line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from sizing.errors import SizingError

MAX_BYTES = 1_000_000
MAX_DEPTH = 12
MAX_ALIASES = 32

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Model = TypeVar("Model", bound=BaseModel)


def read(path: Path, *, trusted: bool = False) -> dict[str, Any]:
    """The top mapping of a YAML file. ``trusted`` (the built-in catalog) skips the checks of structure."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SizingError(f"cannot be read: {error.strerror or error}", key=str(path)) from None
    if len(raw) > MAX_BYTES:
        raise SizingError(f"larger than {MAX_BYTES // 1000} kB, the most that is read", key=path.name)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SizingError("is not UTF-8 text", key=path.name) from None
    try:
        if not trusted:
            _check_structure(text, path.name)
        data = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise SizingError(_one_line(error), key=path.name) from None
    except (ValueError, RecursionError, OverflowError) as error:
        raise SizingError(f"not a value that YAML can hold: {str(error)[:120]}", key=path.name) from None
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise SizingError("the top level must be a mapping such as 'accelerators: [...]'", key=path.name)
    return {str(key): value for key, value in data.items()}


def _one_line(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = str(getattr(error, "problem", None) or error).replace("\n", " ")
    if "could not determine a constructor for the tag" in problem:
        problem = "tags (such as !!python/object) are not allowed"
    where = f" in line {mark.line + 1}" if mark is not None else ""
    return f"is not valid YAML{where}: {problem[:200]}"


def _check_structure(text: str, name: str) -> None:
    """Refuses deep nesting, many aliases, aliases inside anchored nodes (they multiply), doubled keys."""
    depth = aliases = 0
    anchored_at: int | None = None
    keys: list[tuple[set[str], bool] | None] = []  # (a mapping's keys, a key comes next); None: a list
    for event in yaml.parse(text, Loader=_Parser):
        if isinstance(event, yaml.AliasEvent):
            aliases += 1
            if aliases > MAX_ALIASES or anchored_at is not None:
                raise SizingError("too many YAML aliases, or aliases within anchors", key=name)
        key_comes = bool(keys) and keys[-1] is not None and keys[-1][1]
        if isinstance(event, (yaml.ScalarEvent, yaml.AliasEvent, yaml.CollectionStartEvent)) and keys:
            top = keys[-1]
            if top is not None:
                if key_comes and isinstance(event, yaml.ScalarEvent):
                    if event.value in top[0]:
                        raise SizingError(f"key {event.value[:80]!r} appears twice", key=name)
                    top[0].add(event.value)
                keys[-1] = (top[0], not key_comes)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise SizingError(f"nested deeper than {MAX_DEPTH} levels", key=name)
            if event.anchor is not None and anchored_at is None:
                anchored_at = depth
            keys.append((set(), True) if isinstance(event, yaml.MappingStartEvent) else None)
        elif isinstance(event, yaml.CollectionEndEvent):
            if anchored_at == depth:
                anchored_at = None
            depth -= 1
            keys.pop()


def validate(model: type[Model], data: dict[str, Any], *, file: str, entry: str) -> Model:
    """The entry as ``model``; the first problem as one line that names file, entry and key."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = ".".join(str(part) for part in first["loc"])
        hint = None
        message = first["msg"]
        if first["type"] == "extra_forbidden":
            key = str(first["loc"][-1])
            hint = suggestion(key, _keys_at(model, first["loc"][:-1]))
            message = f"unknown key {key[:80]!r}"
        elif first["type"] in ("float_type", "int_type") and _is_number(first["input"]):
            message = f"{first['input']!r} is a text: write a number without quotes, and 8.0e+9 rather than 8e9"
        elif first["type"] != "missing":
            message = f"{message}, not {str(first['input'])[:60]!r}"
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise SizingError(f"{path}: {message}{more}", key=f"{file}: {entry}", hint=hint) from None


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
