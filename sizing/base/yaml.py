"""YAML of people: no tags, bounded in size, depth and aliases, no doubled keys, with errors of one line."""

from __future__ import annotations

from typing import Any

import yaml

from sizing.base.errors import SizingError

MAX_BYTES = 1_000_000
MAX_DEPTH = 40
LARGEST = 2**63  # a whole number beyond this is a slip, and slow to print

Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parse(text: str, name: str, *, depth: int = MAX_DEPTH, aliases: int = 0) -> Any:
    """Plain data of a YAML (or JSON) text. ``depth``: levels of nesting, ``aliases``: how many ``*name`` it may have.

    Raises SizingError with one line that begins with ``name`` for anything else.
    """
    if len(text) > MAX_BYTES:
        raise SizingError(f"larger than {MAX_BYTES:,} bytes, the most that is read", key=name)
    try:
        _check_structure(text, name, depth, aliases)
        data = yaml.load(text, Loader=Loader)
        _check_numbers(data, name)
    except yaml.YAMLError as error:
        raise SizingError(_problem(error), key=name) from None
    except SizingError:
        raise
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        raise SizingError(f"is not valid YAML: not a value that it can hold: {str(error)[:120]}", key=name) from None
    return data


def _problem(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f" in line {mark.line + 1}" if mark is not None else ""
    return f"is not valid YAML{where}: {str(getattr(error, 'problem', None) or error)[:200]}"


def _check_structure(text: str, name: str, most_depth: int, most_aliases: int) -> None:
    """Refuses tags, deep nesting, many aliases, aliases inside anchored nodes (they multiply), doubled keys."""
    depth = aliases = 0
    anchored_at: int | None = None
    keys: list[tuple[set[str], bool] | None] = []  # (a mapping's keys, a key comes next); None: a list
    for event in yaml.parse(text, Loader=Loader):
        if isinstance(event, yaml.AliasEvent):
            aliases += 1
            if not most_aliases:
                raise SizingError("YAML aliases are not allowed here", key=name)
            if aliases > most_aliases or anchored_at is not None:
                raise SizingError("too many YAML aliases, or aliases within anchors", key=name)
        if getattr(event, "tag", None) is not None:
            where = f" in line {event.start_mark.line + 1}" if event.start_mark else ""
            raise SizingError(f"is not valid YAML{where}: tags (such as !!python/object) are not allowed", key=name)
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
            if depth > most_depth:
                raise SizingError(f"nested deeper than {most_depth} levels", key=name)
            if event.anchor is not None and anchored_at is None:
                anchored_at = depth
            keys.append((set(), True) if isinstance(event, yaml.MappingStartEvent) else None)
        elif isinstance(event, yaml.CollectionEndEvent):
            if anchored_at == depth:
                anchored_at = None
            depth -= 1
            keys.pop()


def _check_numbers(data: Any, name: str) -> None:
    stack = [data]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            stack += [*item, *item.values()]
        elif isinstance(item, (list, tuple, set)):
            stack += item
        elif isinstance(item, int) and abs(item) > LARGEST:
            raise SizingError("holds a number beyond all measure", key=name)
