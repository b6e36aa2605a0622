"""Write the tables of flags that each version of an engine accepts, from the engines' own wheels.

    python tools/engine_flags.py vllm  WHEEL... > sizing/deploy/flags_vllm.yaml
    python tools/engine_flags.py sglang WHEEL... > sizing/deploy/flags_sglang.yaml

A wheel is opened as a zip file and parsed as text: nothing is installed or run, so no GPU is needed.
Only facts are taken: the names of flags and parsers, and in which of the versions given they are.
"""

from __future__ import annotations

import ast
import re
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

Flags = set[str]

VLLM_SERVE = r"^vllm/(engine/arg_utils|entrypoints/((openai|common)/cli_args|cli/serve))\.py$"
VLLM_BENCH = r"^vllm/(benchmarks/(serve|datasets|datasets/\w+)|entrypoints/cli/benchmark/(serve|base))\.py$"
VLLM_REASONING = r"^vllm/reasoning/\w+\.py$"
VLLM_TOOLS = r"^vllm/(entrypoints/openai/)?tool_parsers/\w+\.py$"
SGLANG_SERVE = r"^sglang/srt/(server_args|arg_groups/(\w+/)?\w+)\.py$"
SGLANG_BENCH = r"^sglang/(bench_serving|benchmark/serving)\.py$"
SGLANG_REASONING = r"^sglang/srt/(parser/)?reasoning_parser\.py$"
SGLANG_TOOLS = r"^sglang/srt/function_call/function_call_parser\.py$"


def sources(wheel: Path, pattern: str) -> Iterator[ast.Module]:
    """The parsed modules of a wheel whose path matches."""
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if re.match(pattern, name):
                yield ast.parse(archive.read(name))


def _is_call(node: ast.AST, name: str) -> bool:
    if not isinstance(node, ast.Call):
        return False
    func = node.func
    return (isinstance(func, ast.Attribute) and func.attr == name) or (isinstance(func, ast.Name) and func.id == name)


def _strings(nodes: list[ast.expr]) -> Iterator[str]:
    for node in nodes:
        for inner in ast.walk(node):
            if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                yield inner.value


def literal_flags(module: ast.Module) -> Flags:
    """Flags that are named in a call of ``add_argument``."""
    found: Flags = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and _is_call(node, "add_argument"):
            found.update(text for text in _strings(node.args) if re.match("--[a-z]", text))
    return found


def field_flags(module: ast.Module, wanted: Callable[[ast.ClassDef], bool]) -> Flags:
    """Flags that are made from the fields of the configuration classes that ``wanted`` accepts."""
    found: Flags = set()
    for node in ast.walk(module):
        if isinstance(node, ast.ClassDef) and wanted(node):
            for field in node.body:
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                    found.add("--" + field.target.id.replace("_", "-"))
    return found


def annotated_flags(module: ast.Module) -> Flags:
    """Flags of fields annotated ``A[type, help]`` or ``A[type, Arg(...)]``."""
    found: Flags = set()
    for node in ast.walk(module):
        if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)):
            continue
        hint = node.annotation
        if not (isinstance(hint, ast.Subscript) and isinstance(hint.value, ast.Name) and hint.value.id == "A"):
            continue
        name = "--" + node.target.id.replace("_", "-")
        options = {
            key.arg: key.value
            for call in ast.walk(hint)
            if isinstance(call, ast.Call) and _is_call(call, "Arg")
            for key in call.keywords
        }
        hidden = options.get("no_cli")
        if isinstance(hidden, ast.Constant) and hidden.value is True:
            continue
        renamed = options.get("cli_name")
        found.add(renamed.value if isinstance(renamed, ast.Constant) else name)  # type: ignore[arg-type]
        if "aliases" in options:
            found.update(text for text in _strings([options["aliases"]]) if text.startswith("--"))
    return found


def parser_names(module: ast.Module) -> Flags:
    """Names of parsers: keys of tables of parsers, and arguments of ``register_module``."""
    found: Flags = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Dict):
            values = (ast.Tuple, ast.Name, ast.Attribute)
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(key.value, str) and isinstance(value, values):
                    found.add(key.value)
        elif isinstance(node, ast.Call) and _is_call(node, "register_module"):
            named = [key.value for key in node.keywords if key.arg == "name"]
            found.update(_strings([*node.args, *named]))
    return {name for name in found if re.fullmatch(r"[a-z][a-z0-9_.-]*", name)}


def collect(wheel: Path, pattern: str, reader: Callable[[ast.Module], Flags]) -> Flags:
    """All that ``reader`` finds in the matching modules of a wheel."""
    found: Flags = set()
    for module in sources(wheel, pattern):
        found |= reader(module)
    return found


def read_vllm(wheel: Path) -> dict[str, Flags]:
    """Flags and parsers of one vLLM wheel."""

    def serve(module: ast.Module) -> Flags:
        return literal_flags(module) | field_flags(module, lambda cls: cls.name.endswith("FrontendArgs"))

    return {
        "serve": collect(wheel, VLLM_SERVE, serve),
        "bench": collect(wheel, VLLM_BENCH, literal_flags),
        "reasoning_parsers": collect(wheel, VLLM_REASONING, parser_names),
        "tool_parsers": collect(wheel, VLLM_TOOLS, parser_names),
    }


def read_sglang(wheel: Path) -> dict[str, Flags]:
    """Flags and parsers of one SGLang wheel."""
    return {
        "serve": collect(wheel, SGLANG_SERVE, lambda module: literal_flags(module) | annotated_flags(module)),
        "bench": collect(wheel, SGLANG_BENCH, literal_flags),
        "reasoning_parsers": collect(wheel, SGLANG_REASONING, parser_names),
        "tool_parsers": collect(wheel, SGLANG_TOOLS, parser_names),
    }


READERS = {"vllm": read_vllm, "sglang": read_sglang}


def version_of(wheel: Path) -> str:
    """The version in a wheel's file name."""
    return wheel.name.split("-")[1]


def sort_key(version: str) -> tuple[int, ...]:
    """Order of versions by their numbers."""
    return tuple(int(part) for part in re.findall(r"\d+", version))


def table(engine: str, wheels: list[Path]) -> str:
    """The YAML text of one engine's table."""
    by_version = {version_of(wheel): READERS[engine](wheel) for wheel in wheels}
    versions = sorted(by_version, key=sort_key)
    lines = [
        f"# Facts read by tools/engine_flags.py from the {engine} wheels of the versions below.",
        "# Each name is followed by one letter a version: Y the version has it, . it has not.",
        f"engine: {engine}",
        f"versions: [{', '.join(repr(version) for version in versions)}]",
    ]
    for section in ("serve", "bench", "reasoning_parsers", "tool_parsers"):
        lines.append(f"{section}:")
        for name in sorted(set().union(*(by_version[version][section] for version in versions))):
            marks = "".join("Y" if name in by_version[version][section] else "." for version in versions)
            lines.append(f'  "{name}": "{marks}"')
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in READERS:
        sys.exit(__doc__)
    print(table(sys.argv[1], [Path(item) for item in sys.argv[2:]]), end="")
