"""User text on its way into shell, YAML and Kubernetes: what is accepted, and how it is quoted."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sizing.base.errors import SizingError

_HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}(/[A-Za-z0-9][A-Za-z0-9._-]{0,95})?")
_LOCAL_PATH = re.compile(r"(/[A-Za-z0-9._+@-]+)+")
_RESOURCE = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?/[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_VERSION = re.compile(r"\d{1,4}(\.\d{1,4}){1,3}(rc\d{1,3}|\.post\d{1,3})?")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_FILE_NAME = re.compile(r"[a-z0-9][a-z0-9-]*(\.(sh|yaml|json|py|txt))")


@dataclass(frozen=True)
class Variable:
    """A value that is known only where the command runs: ``before`` + the variable ``name`` + ``after``."""

    name: str
    before: str = ""
    after: str = ""


Token = str | Variable


def model_id(value: str, key: str = "model") -> str:
    """A Hub id such as ``Qwen/Qwen3-32B``, or an absolute path; nothing else."""
    parts = value.split("/")
    known = _HUB_ID.fullmatch(value) or (_LOCAL_PATH.fullmatch(value) and len(value) <= 255)
    if not known or ".." in parts or "." in parts:
        raise SizingError(
            f"not a model id or an absolute path: {value[:120]!r}", key=key, hint="such as Qwen/Qwen3-32B"
        )
    return value


def one_line(value: str, key: str, limit: int = 128) -> str:
    """Text of one printable line that no program can take for an option."""
    if not value.strip() or len(value) > limit or not value.isprintable() or value.lstrip().startswith("-"):
        raise SizingError(
            f"must be one printable line of at most {limit} characters that does not start with '-'", key=key
        )
    return value


def token(value: str, key: str) -> str:
    """A short plain word: letters, digits, dot, dash and underscore."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", value):
        raise SizingError(f"not a plain word: {value[:80]!r}", key=key)
    return value


def version(value: str, key: str = "engine_version") -> str:
    """A release number such as ``0.33.0``."""
    if not _VERSION.fullmatch(value):
        raise SizingError(f"not a release number: {value[:40]!r}", key=key, hint="such as 0.33.0")
    return value


def iso_date(value: str, key: str = "date") -> str:
    """A date such as ``2026-11-24``."""
    if not _DATE.fullmatch(value):
        raise SizingError(f"not a date: {value[:40]!r}", key=key, hint="such as 2026-11-24")
    return value


def resource_name(value: str, key: str = "accelerator_resource") -> str:
    """An extended resource of Kubernetes such as ``nvidia.com/gpu``."""
    if not _RESOURCE.fullmatch(value):
        raise SizingError(f"not a Kubernetes resource: {value[:80]!r}", key=key, hint="such as nvidia.com/gpu")
    return value


def dns_label(value: str, limit: int = 40) -> str:
    """The text as a DNS-1123 label that starts with a letter, as short as the suffixes of Kubernetes need."""
    cleaned = re.sub(r"[^a-z0-9]+", "-", value.rsplit("/", 1)[-1].lower()).strip("-")
    if not cleaned or not cleaned[0].isalpha():
        cleaned = f"llm-{cleaned}".strip("-")
    return cleaned[:limit].rstrip("-")


def file_name(value: str) -> str:
    """The name of a generated file, or AssertionError: names are made by this package, never by the user."""
    assert _FILE_NAME.fullmatch(value), f"unsafe file name {value!r}"
    return value


def substitute(value: Token, known: Mapping[str, Token]) -> Token:
    """The token with a variable replaced by what is ``known`` of it where the command runs."""
    if not isinstance(value, Variable) or value.name not in known:
        return value
    found = known[value.name]
    if isinstance(found, Variable):
        return Variable(found.name, value.before + found.before, found.after + value.after)
    return value.before + found + value.after


def shell(value: Token) -> str:
    """A token for a POSIX shell. Only a ``Variable`` is expanded there."""
    if isinstance(value, Variable):
        before = shlex.quote(value.before) if value.before else ""
        after = shlex.quote(value.after) if value.after else ""
        return f'{before}"${{{value.name}}}"{after}'
    return shlex.quote(value)


def shell_line(tokens: Iterable[Token]) -> str:
    """Tokens as one line for a POSIX shell."""
    return " ".join(shell(value) for value in tokens)


def kubernetes(value: Token) -> str:
    """A token for a pod, where ``$(NAME)`` expands and each ``$$`` becomes one dollar."""
    if isinstance(value, Variable):
        return f"{kubernetes(value.before)}$({value.name}){kubernetes(value.after)}"
    return value.replace("$", "$$")


def compose(value: Token) -> str:
    """A token for a Compose file, where ``${NAME}`` expands and ``$$`` is a dollar."""
    if isinstance(value, Variable):
        return f"{compose(value.before)}${{{value.name}:?set it to run this file}}{compose(value.after)}"
    return value.replace("$", "$$")
