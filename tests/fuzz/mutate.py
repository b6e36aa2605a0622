"""Mutations that keep a document nearly right: of JSON values, of text, of bytes, of argument lists."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

CANARY = "<script>alert(1)</script>"
HOSTILE_TEXT = (
    "", " ", "0", "1", "-1", "true", "null", "nan", "inf", "1e400", "1e-400", "0x10", "1_000", "٣", "½", "1,5",
    "a" * 300, "a" * 5000, "é\u0301", "名前", "\u202egnp.exe", "\u2028", "\ufeff", "\x1b[31mred", "\r", "a\nb", "\t=1+1",
    "=1+1", "+1", "-1+1", "@SUM(A1)", '=HYPERLINK("http://x","y")', "=cmd|' /C calc'!A0",
    CANARY, '"><img src=x onerror=alert(1)>', "javascript:alert(1)", "[x](javascript:alert(1))", "{{7*7}}", "${7*7}",
    "$(touch owned)", "`touch owned`", "'; DROP TABLE x;--", "%s%n", "{0.__class__}",
    "!!python/object/apply:os.system [id]",
    "../../../etc/passwd", "..", ".", "/", "C:\\x", "CON", "NUL.txt", "~", "a/../b", "org/../x", "//x/y",
    "file:///etc/passwd",
    "http://127.0.0.1/x", "https://huggingface.co/Qwen/Qwen3-8B", "Qwen/Qwen3-8B", "bf16", "fp8", "h100-sxm", "vllm",
    "full_attention", "sliding_attention", "linear_attention", "fp8_block", "int4_awq", "mxfp4", "rate", "fixed",
)  # fmt: skip
HOSTILE_NUMBERS: tuple[Any, ...] = (
    0, 1, 2, 3, 7, 8, 16, 64, 255, 256, 1000, 4096, 10_000, 65_536, 131_072, 10**6, 2**31 - 1, 2**31, 2**32, 10**9,
    10**9 + 1,
    10**12, 2**53, 2**53 + 1, 2**62, 2**63 - 1, 2**63, 2**64, 10**18, 10**30, 10**100, -1, -2, -(10**12), -(2**63),
    -(10**30),
    0.0, -0.0, 0.1, 0.5, 0.999999, 1.0, 1.5, 2.0, 1e-9, 1e-300, 5e-324, 1e9, 1e15, 1e18, 1e300, 1.7e308, -0.5, -1e300,
    float("nan"), float("inf"), float("-inf"),
)  # fmt: skip


def deep(rng: random.Random) -> Any:
    """A value nested very deep, or very wide."""
    value: Any = {}
    depth = rng.choice((20, 40, 70, 400))
    for _ in range(depth):
        value = [value] if rng.random() < 0.5 else {"a": value}
    return value


def wide(rng: random.Random) -> Any:
    """A list or object of many entries."""
    size = rng.choice((100, 1000, 20_000))
    entry = rng.choice(("full_attention", "sliding_attention", 0, 1, None, {}, [], 10**12))
    return [entry] * size if rng.random() < 0.7 else {f"k{index}": entry for index in range(size)}


def hostile(rng: random.Random) -> Any:
    """A value that the place it is put in does not expect."""
    roll = rng.random()
    if roll < 0.45:
        return rng.choice(HOSTILE_NUMBERS)
    if roll < 0.75:
        return rng.choice(HOSTILE_TEXT)
    if roll < 0.93:
        return copy.deepcopy(
            rng.choice((None, True, False, [], {}, [[]], [0], [None], {"a": 1}, ["a", "b"], [1, 2, 3]))
        )
    return deep(rng) if roll < 0.97 else wide(rng)


def near(rng: random.Random, value: Any) -> Any:
    """A value of the same kind, changed a little."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int) and abs(value) > 10**300:
        return rng.choice(HOSTILE_NUMBERS)
    if isinstance(value, int):
        return rng.choice(
            (value + 1, value - 1, value * 2, value // 2, -value, value * 1000, float(value), str(value), value + 0.5)
        )
    if isinstance(value, float):
        return rng.choice(
            (value * 2, value / 1000, -value, value * 1e6, int(value) if abs(value) < 1e300 else 0, str(value))
        )
    if isinstance(value, str):
        place = rng.randint(0, len(value))
        return rng.choice((value + rng.choice(HOSTILE_TEXT), value[:place], value.upper(), value * 2,
            value[:place] + "\x00"
                           + value[place:], value + "x", value[1:], rng.choice(HOSTILE_TEXT) + value))  # fmt: skip
    return hostile(rng)


def _places(tree: Any, most: int = 4000) -> list[tuple[Any, Any]]:
    """(container, key) of everything in a document."""
    found: list[tuple[Any, Any]] = []
    stack = [tree]
    while stack and len(found) < most:
        here = stack.pop()
        keys = list(here) if isinstance(here, dict) else range(len(here)) if isinstance(here, list) else ()
        for key in keys:
            found.append((here, key))
            if isinstance(here[key], dict | list):
                stack.append(here[key])
    return found


def value(rng: random.Random, tree: Any, extra: tuple[str, ...] = ()) -> Any:
    """The document with one to four parts changed. ``extra``: keys that may be added."""
    tree = copy.deepcopy(tree)
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
        places = _places(tree)
        if not places or rng.random() < 0.01:
            tree = hostile(rng)
            continue
        holder, key = rng.choice(places)
        roll = rng.random()
        if roll < 0.40:
            holder[key] = hostile(rng)
        elif roll < 0.65:
            holder[key] = near(rng, holder[key])
        elif roll < 0.75:
            del holder[key]
        elif roll < 0.83 and isinstance(holder, dict):
            other = rng.choice(places)
            holder[key] = copy.deepcopy(other[0][other[1]])
        elif roll < 0.93 and isinstance(holder, dict):
            name = rng.choice(extra) if extra and rng.random() < 0.8 else rng.choice((f"{key}x", *HOSTILE_TEXT[:30]))
            holder[name] = hostile(rng) if rng.random() < 0.7 else copy.deepcopy(holder[key])
        elif isinstance(holder, list):
            holder.insert(rng.randint(0, len(holder)), copy.deepcopy(holder[key]))
        elif isinstance(holder[key], list) and holder[key]:
            holder[key] = holder[key] * rng.choice((2, 3, 50))
    return tree


def raw(rng: random.Random, data: bytes) -> bytes:
    """The bytes with a few of them changed, cut, doubled or put in."""
    work = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        at = rng.randint(0, len(work))
        roll = rng.random()
        if roll < 0.3 and work:
            work[min(at, len(work) - 1)] = rng.randrange(256)
        elif roll < 0.5:
            work[at:at] = rng.choice((b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\n", b"\r", b'"', b"\\u0000",
                b"\xed\xa0\x80", b"NaN",
                                      b"1e999", b"-", b"[" * 50, b"{", b"}", b"]", b",", b":", b"&a ", b"*a", b"!!",
                                      b"<<: ", b"# ", b"---\n",
                                      b"9" * 5000))  # fmt: skip
        elif roll < 0.65:
            del work[at : at + rng.choice((1, 2, 10, 1000))]
        elif roll < 0.75:
            work[at:at] = work[at : at + rng.choice((1, 20, 400))]
        elif roll < 0.85:
            size = rng.choice((1, 2, 4, 8))
            number = rng.choice((0, 1, 2, 255, 2**16, 2**31, 2**32 - 1, 2**62, 2**64 - 1, len(data))) % 2 ** (8 * size)
            work[at : at + size] = number.to_bytes(size, rng.choice(("little", "big")))
        elif roll < 0.9:
            del work[at:]
    return bytes(work)


def json_bytes(rng: random.Random, data: bytes, extra: tuple[str, ...] = ()) -> bytes:
    """JSON changed as a document, now and then as bytes."""
    if rng.random() < 0.12:
        return raw(rng, data)
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        return raw(rng, data)
    try:
        text = json.dumps(value(rng, tree, extra), ensure_ascii=rng.random() < 0.5, indent=rng.choice((None, 1)))
    except (ValueError, RecursionError):
        return raw(rng, data)
    return text.encode("utf-8", "surrogatepass")


YAML_SNIPPETS = (
    "a: &a [x,x,x,x]\nb: &b [*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b]\nd: [*c,*c,*c,*c]\n",
    "<<: {a: 1}\n", "x: !!python/object/apply:os.system ['touch owned']\n", "x: !!python/name:os.system\n",
    "x: !!binary 'gICA'\n", "x: !!set {a, b}\n", "x: !!timestamp 2001-12-14\n", "x: 2024-01-01\n", "x: !!float nan\n",
    "x: .inf\n",
    "? [a, b]\n: 1\n", "? {a: 1}\n: 1\n", "x: |\n  a\n", "x: 1:30:00\n", "x: 0o17\n", "x: 0b1_1\n", "1: 2\n",
    "null: 3\n", "true: 4\n", "---\n",
    "%YAML 9.9\n---\n", "x: " + "[" * 60 + "]" * 60 + "\n", "x: 0x" + "f" * 4000 + "\n", "x: " + "9" * 5000 + "\n",
    "x: 190:20:30.15\n",
)  # fmt: skip


def yaml_bytes(rng: random.Random, data: bytes, extra: tuple[str, ...] = ()) -> bytes:
    """YAML changed as a document, as lines, or as bytes."""
    import yaml

    roll = rng.random()
    if roll < 0.1:
        return raw(rng, data)
    if roll < 0.2:
        lines = data.decode("utf-8", "replace").splitlines(keepends=True)
        lines.insert(rng.randint(0, len(lines)), " " * rng.choice((0, 0, 2, 4)) + rng.choice(YAML_SNIPPETS))
        return "".join(lines).encode("utf-8", "replace")
    try:
        tree = yaml.load(data, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        changed = value(rng, tree, extra)
        if rng.random() < 0.5:
            return json.dumps(changed, default=str).encode()
        return yaml.safe_dump(changed, sort_keys=False, allow_unicode=True).encode("utf-8", "replace")
    except (yaml.YAMLError, ValueError, RecursionError, TypeError):
        return raw(rng, data)


def csv_bytes(rng: random.Random, data: bytes) -> bytes:
    """CSV changed cell by cell, now and then as bytes."""
    if rng.random() < 0.2:
        return raw(rng, data)
    rows = [line.split(",") for line in data.decode("utf-8", "replace").splitlines()]
    for _ in range(rng.choice((1, 1, 2, 4))):
        if not rows:
            break
        row = rng.choice(rows)
        place = rng.randrange(len(row)) if row else 0
        roll = rng.random()
        if roll < 0.6 and row:
            row[place] = str(rng.choice((rng.choice(HOSTILE_NUMBERS), rng.choice(HOSTILE_TEXT))))
        elif roll < 0.7 and row:
            del row[place]
        elif roll < 0.8:
            row.insert(place, '"')
        elif roll < 0.9:
            rows.insert(rng.randint(0, len(rows)), list(row))
        else:
            rows.remove(row)
    return "\n".join(",".join(row) for row in rows).encode("utf-8", "replace")


def lines_bytes(rng: random.Random, data: bytes) -> bytes:
    """JSON Lines: one line changed, doubled or lost."""
    lines = data.split(b"\n")
    at = rng.randrange(len(lines))
    roll = rng.random()
    if roll < 0.7:
        lines[at] = json_bytes(rng, lines[at]) if lines[at].strip() else b"{}"
    elif roll < 0.8:
        del lines[at]
    elif roll < 0.9:
        lines.insert(at, lines[at])
    else:
        return raw(rng, data)
    return b"\n".join(lines)
