"""Which flags which version of an engine accepts, and the check that every generated command passes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from sizing.base.errors import SizingError
from sizing.base.files import load_yaml
from sizing.deploy.text import Token

TABLES = {
    "vllm": "flags_vllm.yaml",
    "vllm-ascend": "flags_vllm.yaml",
    "sglang": "flags_sglang.yaml",
    "tensorrt-llm": "flags_tensorrt_llm.yaml",
}
LATEST = {
    "vllm": "0.33.0",
    "vllm-ascend": "0.23.0.post1",
    "sglang": "0.5.23",
    "tensorrt-llm": "1.2.1",
    "mindie": "2.3.0",
}


class UnknownFlagError(AssertionError):
    """A generated command uses a flag that its version lacks: a bug of this package, not of the user."""


def numbers(version: str) -> tuple[int, ...]:
    """The numbers of a release, to compare by: ``0.23.0.post1`` counts as ``0.23.0``."""
    plain = re.split(r"rc|\.post", version)[0]
    return tuple(int(part) for part in plain.split("."))


@cache
def table(engine: str) -> Mapping[str, Any]:
    """The table of one engine: ``versions`` and, for each section, name -> one letter a version."""
    text = resources.files("sizing.deploy").joinpath(TABLES[engine]).read_text(encoding="utf-8")
    loaded: Mapping[str, Any] = load_yaml(text)
    return loaded


def resolve(engine: str, version: str | None) -> str:
    """The version asked for, or the latest known one; SizingError where it is newer than anything known."""
    if version is None:
        return LATEST[engine]
    if numbers(version) > numbers(LATEST[engine]):
        raise SizingError(
            f"{engine} {version} is newer than the flags known here",
            key="engine_version",
            hint=f"at most {LATEST[engine]}",
        )
    if engine in TABLES and numbers(version) < numbers(table(engine)["versions"][0]):
        raise SizingError(
            f"{engine} {version} is older than the flags known here",
            key="engine_version",
            hint=f"at least {table(engine)['versions'][0]}",
        )
    return version


def has(engine: str, version: str, name: str, section: str = "serve") -> bool:
    """Whether the version surely has the flag: a version between two that were read must have it in both."""
    known = table(engine)
    marks = known.get(section, {}).get(name)
    if marks is None:
        return False
    wanted = numbers(version)
    versions = [numbers(item) for item in known["versions"]]
    below = max((index for index, item in enumerate(versions) if item <= wanted), default=0)
    above = min((index for index, item in enumerate(versions) if item >= wanted), default=len(versions) - 1)
    return bool(marks[below] == "Y" and marks[above] == "Y")


def require(engine: str, version: str, flag: str, purpose: str) -> str:
    """The flag, or SizingError: this version cannot do what the plan needs."""
    if not has(engine, version, flag):
        raise SizingError(
            f"{engine} {version} has no {flag}, which {purpose} needs",
            key="engine_version",
            hint=f"use {LATEST[engine]}",
        )
    return flag


def check(engine: str, version: str, argv: Sequence[Token], section: str = "serve") -> None:
    """Raise UnknownFlagError for a flag of ``argv`` that this version lacks."""
    if engine not in TABLES:
        return
    for value in argv:
        if isinstance(value, str) and re.match(r"--[a-z]", value):
            name = value.split("=", 1)[0]
            if not has(engine, version, name, section):
                raise UnknownFlagError(f"{engine} {version} does not know {name}")
