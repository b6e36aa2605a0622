"""Fuzzing the command line: every option of every subcommand, as the program itself declares them.

An input is a JSON list of arguments. In them ``@config``, ``@study`` ... stand for files of the sandbox.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import re
import sys
import traceback
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from tests.fuzz import mutate
from tests.fuzz.guard import finite_trouble, message_trouble

MODELS = (
    "Qwen/Qwen3-8B", "qwen3-32b", "google/gemma-3-27b-it", "deepseek-r1", "deepseek-r2", "openai/gpt-oss-120b",
    "Qwen/Qwen3-8B-AWQ",
    "@config", "@moe", "@folder", "@junk", "@missing", "@empty", "@latin", "@bom", "@pipe", "org/../x", "..",
    "nobody/nothing",
    "https://huggingface.co/Qwen/Qwen3-8B", "C:\\models\\config.json", "x" * 600, "a/" * 300,
)  # fmt: skip
PARTS = ("h100-sxm", "ascend-910b", "H100_SXM-80GB", "l40s", "b200-sxm", "h100-mig-3g.40gb", "gb200", "mi300x",
    "tpu-v5e", "cpu", "",
         "ambiguous", "x (y)", "h100-sxm (" + "a" * 150 + ")", "(" * 90)  # fmt: skip
FILES = ("@study", "@config", "@junk", "@missing", "@empty", "@latin", "@bom", "@folder", "@link", "@dangling",
    "@readonly", "@null",
         "@zero", "@hardware", "@bench", "@calibration", "@long", "@pipe", "../x.yaml", "-", "@rows")  # fmt: skip
OUTPUTS = ("@out.html", "@out.xlsx", "@out.md", "@out.json", "@out.yaml", "@out", "@folder", "@link", "@dangling",
    "@readonly", "@null",
           "@long", "@nowhere", "@in-file", "@study", "")  # fmt: skip
WORDS = ("bf16", "fp8", "int8", "fp8_block", "mxfp4", "nvfp4", "bits4.5", "int4_awq", "vllm", "sglang",
    "tensorrt-llm", "mindie",
         "vllm-ascend", "0.19", "1.2", "chat", "rag", "thinking", "en", "zh", "2026-11-24", "all", "compose",
         "command", "benchmark",
         "kubernetes", "lws", "kserve", "llm-d", "dynamo", "h100-sxm=2.5", "2", "97%", "0.5", "gpt-4o", "1.2T", "78B",
         "input",
         "output", "blend", "bf16,fp8", "vllm,sglang", "h100-sxm,l40s")  # fmt: skip
INTEGERS = ("0", "1", "2", "3", "4", "8", "16", "64", "100", "1000", "4096", "100000", "1000000", "10000000",
    "99999999999", "-1", "-8",
            "9223372036854775808", "1" * 400, "1e3", "1.5", "1_0", " 7 ", "٣", "0x8", "nan", "inf", "true",
            "")  # fmt: skip
FLOATS = ("0", "0.0", "-0.0", "0.1", "0.5", "0.9", "0.99", "1", "1.5", "2", "10", "100", "1000", "32000", "131072",
    "1e6", "1e9", "1e15",
          "1e-9", "1e-300", "5e-324", "1e308", "1e400", "-1", "-1e-9", "nan", "-nan", "inf", "-inf", "1_0.5", "٣.٥",
          "ten", "")  # fmt: skip
# A command's own results below 0: differences, and bytes that are missing where a model does not fit.
NEGATIVE = re.compile(
    r"difference|sensitivit|saving|change|bias|margin|break_even|kv_pool|ledger|per_accelerator|study|price_assum"
)

Option = tuple[str, str, bool]  # flag, kind of value, is a switch


def _kind(param: Any) -> str:
    """integer, float, path or text: older versions of typer have click's types, newer ones Python's."""
    declared = getattr(param, "type", None) or param.type_descriptor.annotation
    text = str(getattr(declared, "name", declared)).lower()
    return next(
        (kind for word, kind in (("int", "integer"), ("float", "float"), ("path", "path")) if word in text), "text"
    )


@cache
def commands() -> dict[tuple[str, ...], list[Option]]:
    """Every subcommand with its options and arguments, as typer knows them."""
    import typer.main

    from sizing.cli import app

    command = typer.main.get_command(app)
    found: dict[tuple[str, ...], list[Option]] = {}

    def visit(command: Any, path: tuple[str, ...]) -> None:
        options: list[Option] = []
        for param in command.params:
            kind = _kind(param)
            if param.param_type_name == "argument":
                options.append(("", f"{param.name}:{kind}", False))
            elif "--help" not in param.opts:
                options += [(flag, f"{param.name}:{kind}", param.is_flag) for flag in param.opts]
        found[path] = options
        for name, inner in getattr(command, "commands", {}).items():
            visit(inner, (*path, name))

    visit(command, ())
    return found


def _value(rng: random.Random, kind: str) -> str:
    name, _, sort = kind.partition(":")
    roll = rng.random()
    if roll < 0.06:
        return str(mutate.hostile(rng))[:3000].replace("\0", "")
    if roll < 0.1:
        return rng.choice((*MODELS, *FILES, *WORDS, *INTEGERS, *FLOATS))
    if sort == "integer":
        return rng.choice(INTEGERS)
    if sort == "float":
        return rng.choice(FLOATS)
    if name in ("output", "out", "write_study", "predictions", "html"):
        return rng.choice(OUTPUTS)
    if name in ("on", "name"):
        return (
            rng.choice(PARTS)
            if rng.random() < 0.8
            else ",".join(rng.choice(PARTS) for _ in range(rng.choice((2, 5, 60))))
        )
    if name in ("model", "models", "search", "text"):
        return rng.choice(MODELS)
    if sort == "path" or name in ("study", "results"):
        return rng.choice(FILES)
    return rng.choice(WORDS) if rng.random() < 0.8 else ",".join(rng.choice(WORDS) for _ in range(rng.choice((2, 30))))


_LENGTHS = ["--input", "1000", "--output", "200"]
_SEEDS: list[list[str]] = [
    ["app", "--port", "8501", "--address", "localhost", "--headless"],
    ["models", "qwen3"], ["models", "--json"], ["hardware"], ["hardware", "--json"], ["hardware", "--catalog",
    "@hardware"],
    ["hardware", "show", "h100-sxm", "--json"], ["hardware", "check", "@hardware"], ["params", "@config", "--json"],
    ["params", "Qwen/Qwen3-8B"], ["kv", "google/gemma-3-27b-it", "--curve", "--json"], ["kv", "deepseek-r1",
    "--tokens", "1000"],
    ["memory", "Qwen/Qwen3-32B", "--on", "h100-sxm", "--tp", "2", "--json"], ["memory", "@moe", "--on", "l40s"],
    ["estimate", "Qwen/Qwen3-8B", "--on", "h100-sxm", *_LENGTHS, "--concurrency", "8", "--json"],
    ["estimate", "deepseek-r1", "--on", "h200-sxm", "--tp", "8", "--ep", "8", *_LENGTHS, "--rate", "0.5", "--json"],
    ["estimate", "@config", "--on", "ascend-910b", *_LENGTHS, "--calibration", "@calibration"],
    ["estimate", "Qwen/Qwen3-8B", "--on", "h100-sxm", *_LENGTHS, "--draft-tokens", "2", "--price", "2.5"],
    ["plan", "Qwen/Qwen3-8B", *_LENGTHS, "--rate", "1", "--on", "h100-sxm", "--json"],
    ["plan", "Qwen/Qwen3-8B", "--workload", "chat", "--own"], ["plan", "@study", "--json"],
    ["plan", "Qwen/Qwen3-8B", *_LENGTHS, "--users", "50", "--on", "l40s,h100-sxm", "--write-study", "@out.yaml"],
    ["compare", "Qwen/Qwen3-8B", "Qwen/Qwen3-32B", "--on", "h100-sxm,l40s", "--json"],
    ["claim", "$0.07 per million tokens, 1.2T/78B, Ascend 910B", "--json"], ["claim", "--reference", "--out",
    "@out.md"],
    ["claim", "deepseek-r1", "--on", "h100-sxm", "--usd-per-million", "0.5", "--kind", "output"],
    ["validate", "@rows", "--predictions", "@out.csv", "--json"],
    ["calibrate", "@bench", "--on", "h100-sxm", "--model", "Qwen/Qwen3-8B", "--out", "@out.yaml", "--json"],
    ["replay", "@trace", "--model", "Qwen/Qwen3-8B", "--on", "h100-sxm", "--compare", "--json"],
    ["report", "@study", "-o", "@out.html"], ["report", "@study", "-o", "@out.xlsx", "--language", "zh"],
    ["deploy", "@study", "-o", "@outdir", "--kind", "all"], ["deploy", "@study", "-o", "@outdir", "--plan", "2"],
]  # fmt: skip


def seeds() -> list[bytes]:
    """Command lines that are right, and one bare one of every subcommand."""
    return [json.dumps(argv).encode() for argv in [*_SEEDS, *(list(path) for path in commands())]]


def change(rng: random.Random, data: bytes) -> bytes:
    """A command line with some values replaced, options added, doubled or lost."""
    try:
        argv = json.loads(data)
        assert isinstance(argv, list) and all(isinstance(item, str) for item in argv)
    except (ValueError, AssertionError):
        argv = list(rng.choice(_SEEDS))
    known = commands()
    path: tuple[str, ...] = next((tuple(argv[:n]) for n in (2, 1, 0) if tuple(argv[:n]) in known), ())
    options = known[path]
    kinds = {flag: kind for flag, kind, switch in options if flag and not switch}
    for _ in range(rng.choice((1, 1, 2, 2, 3, 5))):
        roll = rng.random()
        places = [i for i in range(len(path), len(argv)) if not argv[i].startswith("--")]
        if roll < 0.45 and places:
            at = rng.choice(places)
            before = argv[at - 1] if at else ""
            argument = next((kind for flag, kind, _ in options if not flag), "model:text")
            argv[at] = _value(rng, kinds.get(before, argument))
        elif roll < 0.9 and options:
            flag, kind, switch = rng.choice(options)
            argv += [flag] * bool(flag) + ([] if switch else [_value(rng, kind)])
        elif roll < 0.94 and len(argv) > 1:
            del argv[rng.randrange(len(argv))]
        elif roll < 0.97:
            argv.insert(
                rng.randint(0, len(argv)), rng.choice(("--", "-h", "--json", "-x", "--nope", "", "-o", "\udcff", "="))
            )
        else:
            argv = list(rng.choice(_SEEDS))
    return json.dumps(argv[:60]).encode()


def prepare(folder: Path) -> None:
    """The files that ``@name`` stands for, fresh."""
    from tests.fuzz import base, documents, targets

    def put(name: str, data: bytes) -> None:
        path = folder / name
        if not path.exists():
            path.write_bytes(data)

    if (folder / "dangling.yaml").is_symlink() and all(
        (folder / name).exists() for name in ("config.json", "study.yaml")
    ):
        return
    put("config.json", (base.CATALOG / "Qwen__Qwen3-8B.json").read_bytes())
    put("moe.json", (base.CATALOG / "Qwen__Qwen3-30B-A3B.json").read_bytes())
    put("study.yaml", documents.study_seeds()[1])
    put("hardware.yaml", targets._hardware_seeds()[-2])
    put("bench.json", (base.BENCH / "vllm_new.json").read_bytes())
    put("calibration.yaml", targets._calibration_seeds()[0])
    put("rows.csv", targets._rows_seeds()[0])
    put("trace.csv", b"arrival_s,input_tokens,output_tokens,measured_ttft_s\n0,100,20,0.1\n1,200,10,0.2\n")
    put("junk.json", b'{"model_type": "qwen3", "hidden_size": [}')
    put("empty.yaml", b"")
    put("latin.yaml", "title: caf\u00e9".encode("latin-1"))
    put("bom.yaml", b"\xef\xbb\xbfmodel: qwen3-8b\nworkload: chat\nhardware: [l40s]\nconstraints: {max_plans: 1}\n")
    put("readonly.yaml", b"x")
    (folder / "folder").mkdir(exist_ok=True)
    for name, aim in (("link.html", "linked.html"), ("dangling.yaml", "nowhere/at/all")):
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(aim)


def named(folder: Path) -> dict[str, str]:
    """What ``@name`` stands for."""
    inside = {name: str(folder / f"{name}.{ending}") for name, ending in (
        ("config", "json"), ("moe", "json"), ("study", "yaml"), ("hardware", "yaml"), ("bench", "json"),
        ("calibration", "yaml"), ("trace", "csv"),
        ("rows", "csv"), ("junk", "json"), ("empty", "yaml"), ("latin", "yaml"), ("bom", "yaml"), ("readonly",
        "yaml"), ("link", "html"),
        ("dangling", "yaml"), ("missing", "yaml"))}  # fmt: skip
    return {
        **inside,
        "folder": str(folder / "folder"),
        "null": os.devnull,
        "zero": "/dev/zero",
        "pipe": "/dev/stdin",
        "long": str(folder / ("n" * 300 + ".yaml")),
        "nowhere": str(folder / "no" / "such" / "place.html"),
        "in-file": str(folder / "study.yaml" / "x.html"),
        **{
            name: str(folder / name)
            for name in ("out", "outdir", "out.html", "out.xlsx", "out.md", "out.json", "out.yaml", "out.csv")
        },
    }


@contextlib.contextmanager
def _streams() -> Iterator[tuple[io.BytesIO, io.BytesIO]]:
    """stdout strict as a terminal's, stderr as Python makes it, no input."""
    out, err = io.BytesIO(), io.BytesIO()
    old = sys.stdout, sys.stderr, sys.stdin
    sys.stdout = io.TextIOWrapper(out, encoding="utf-8", errors="strict", write_through=True)
    sys.stderr = io.TextIOWrapper(err, encoding="utf-8", errors="backslashreplace", write_through=True)
    sys.stdin = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    try:
        yield out, err
    finally:
        sys.stdout, sys.stderr, sys.stdin = old


@cache
def _build_once() -> None:
    """typer builds all commands anew at each call, which takes longer than most of them; ``app`` must start no server."""
    import typer.main

    from sizing import cli
    from sizing.web import launch

    launch.launch = lambda port, address, headless: launch.arguments(port, address, headless)  # type: ignore[assignment]
    commands()
    cli.app = typer.main.get_command(cli.app)  # type: ignore[assignment]


def call(argv: list[str]) -> list[str]:
    """Run the command line in this process; what its exit code, its streams and its JSON have against them."""
    from sizing import cli

    _build_once()
    main = cli.main
    with _streams() as (out_raw, err_raw):
        code: object = None
        try:
            main(argv)
        except SystemExit as stop:
            code = stop.code
        except Exception as error:
            return [f"traceback {type(error).__name__}: {''.join(traceback.format_exception(error))[-2000:]}"]
        out, err = out_raw.getvalue().decode(), err_raw.getvalue().decode()
    found = []
    if code == 1 or "internal error" in err:
        os.environ["SIZING_DEBUG"] = "1"
        detail = ""
        try:
            with _streams():
                main(argv)
        except SystemExit:
            pass
        except Exception as error:
            from tests.fuzz.guard import place

            detail = f"{place(error)}: " + "".join(traceback.format_exception(error))[-1500:]
        finally:
            del os.environ["SIZING_DEBUG"]
        return [f"internal error at {detail or err[:300]}"]
    if code not in (0, 2, None):
        found.append(f"exit code {code!r}")
    lines = err.splitlines()
    if code == 2 and not out:
        notes = [item for item in lines[:-1] if not re.match(r"wrote |.* is HYPOTHETICAL", item)]
        if notes or not lines or not lines[-1].startswith("sizing: "):
            found.append(f"not one line on stderr: {err[:400]!r}")
        elif trouble := message_trouble(lines[-1]):
            found.append(f"stderr has {trouble}: {lines[-1][:300]!r}")
    bad = next((mark for mark in out + err if mark not in "\n\u3000\xa0" and not mark.isprintable()), None)
    if bad and not {"-h", "--help", "--json"} & set(argv):  # JSON holds texts as they are; its escapes are its own
        found.append(f"prints {bad!r}")
    names = {argv[i + 1] for i, item in enumerate(argv[:-1]) if item in ("-o", "--out", "--output")}
    if (
        code in (0, None)
        and "--json" in argv
        and "--json" not in names
        and out
        and not {"-h", "--help", "--"} & set(argv)
    ):
        try:
            document = json.loads(out, parse_constant=float)
        except ValueError:
            found.append(f"stdout is no JSON: {out[:200]!r}")
        else:
            found += finite_trouble(document, NEGATIVE, argv[0])
    return found


def run(data: bytes, folder: Path) -> list[str]:
    """One command line, in the sandbox."""
    try:
        argv = json.loads(data)
        if not (isinstance(argv, list) and all(isinstance(item, str) for item in argv)):
            return []
    except (ValueError, RecursionError):
        return []
    if any("\0" in item for item in argv):
        return []
    prepare(folder)
    known = named(folder)
    real = [known.get(item[1:], item) if item.startswith("@") else item for item in argv]
    # An output that is named outside of the sandbox is the user's own wish, and not the fuzzer's.
    real = [
        item
        if not item.startswith(("/", "~")) or item.startswith((str(folder), "/dev/"))
        else f"{folder}/{item.strip('/~')[:200]}"
        for item in real
    ]
    if real[:1] == ["report"]:
        real = [
            item if not item.lower().endswith(".pdf") else "out.html" for item in real
        ]  # seconds each; see test_fuzz.py
    old = Path.cwd()
    os.chdir(folder)
    try:
        return call(real)
    finally:
        os.chdir(old)
