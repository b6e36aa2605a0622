"""All benchmarks of the program itself: ``python benchmarks/run.py [--write] [--only PART,...]`` (docs/benchmarks.md).

Parts: core (in one process), commands (each in a process of its own, as a person starts them), and the scripts beside this
one: report_speed, search_speed, simulate_million, web_latency. web_load.py, which takes minutes, writes a section of the
page by itself. Machines are noisy: compare ratios.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def median(call: Callable[[], object], runs: int) -> float:
    """Median seconds of the processor that a call takes, after one to warm up."""
    call()
    times = []
    for _ in range(runs):
        started = time.process_time()
        call()
        times.append(time.process_time() - started)
    return statistics.median(times)


def import_time() -> float:
    """Seconds that ``import sizing`` takes beyond numpy and pydantic."""
    code = "import numpy, pydantic, time; t = time.process_time(); import sizing; print(time.process_time() - t)"
    times = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True).stdout)
        for _ in range(5)
    ]
    return statistics.median(times)


def core() -> str:
    """What the API takes, in a table."""
    import sizing
    from sizing.hardware import load_catalog
    from sizing.planning.target import resolve_target
    from sizing.study import parse_study

    target = resolve_target("Qwen/Qwen3-32B", "h100-sxm")
    place = sizing.Placement(tp=4)

    def one() -> object:
        return sizing.estimate(
            "Qwen/Qwen3-32B", "h100-sxm", place, input_tokens=4096, output_tokens=512, concurrency=32, target=target
        )

    every = [item.id for item in load_catalog().accelerators.values() if item.parent is None]

    def study(on: list[str], model: str = "Qwen/Qwen3-235B-A22B") -> object:
        work = {
            "input": {"kind": "fixed", "value": 4096},
            "output": {"kind": "fixed", "value": 1024},
            "arrival": {"kind": "rate", "requests_per_s": 2},
        }
        return sizing.plan(parse_study({"model": model, "workload": work, "hardware": on}))

    rows = [
        ("import sizing, beyond numpy and pydantic", import_time(), 0.2),
        ("one estimate, target resolved", median(one, 50), 0.002),
        ("plan over H100, A100, 910B", median(lambda: study(["h100-sxm", "a100-80gb-sxm", "ascend-910b"]), 5), None),
        (f"plan over the whole catalog ({len(every)} accelerators)", median(lambda: study(every), 3), 2.0),
    ]
    text = ["| what | seconds | goal |", "|---|---:|---:|"]
    text += [f"| {name} | {seconds:.4f} | {'–' if goal is None else goal} |" for name, seconds, goal in rows]
    return "\n".join(text)


STUDY = "examples/qwen3-235b-chat.yaml"
#: What a person types, shortest first; {out} is a folder for what it writes, {rows} the measured rows where there are any.
COMMANDS = (
    "--help",
    "models",
    "hardware",
    "hardware show h100-sxm",
    "params qwen3-235b-a22b",
    "kv qwen3-235b-a22b",
    "memory qwen3-235b-a22b --on h100-sxm --tp 8",
    "estimate qwen3-32b --on h100-sxm --tp 2 --input 1000 --output 500",
    f"plan {STUDY}",
    "compare qwen3-32b deepseek-v3 --on h100-sxm,a100-80gb-sxm",
    "claim '$0.07 per million tokens, 1.2T/78B, Ascend 910B'",
    f"deploy {STUDY} --kind compose -o {{out}}",
    f"report {STUDY} -o {{out}}/r.md",
    f"report {STUDY} -o {{out}}/r.html",
    f"report {STUDY} -o {{out}}/r.xlsx",
    f"report {STUDY} -o {{out}}/r.pdf",
    "validate {rows}/serving/serving.csv.gz",
    "validate --throughput {rows}/throughput/throughput.csv.gz",
    "validate --memory {rows}/memory/memory.csv",
)
BEFORE = ROOT / "benchmarks" / "before.csv"


def cold(command: str, out: str, rows: Path | None, runs: int = 3) -> float | None:
    """Least seconds of the processor that a command takes in a new process; None where its rows are not at hand."""
    if "{rows}" in command and rows is None:
        return None
    argv = [part.format(out=out, rows=rows) for part in shlex.split(command)]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    times = []
    for _ in range(runs):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [sys.executable, "-m", "sizing", *argv], capture_output=True, text=True, cwd=ROOT, env=env
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            raise SystemExit(f"sizing {command}: {done.stderr}")
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(times)


def commands() -> str:
    """Every command from a cold start, beside what it took at an earlier commit (``before.csv``)."""
    shared = Path(os.environ.get("SIZING_SHARED", ROOT.parent / "shared")) / "measurements"
    rows = shared if shared.is_dir() else None
    with BEFORE.open(encoding="utf-8", newline="") as file:
        known = {row["command"]: float(row["seconds"]) for row in csv.DictReader(file)}
    text = ["| command | before, s | now, s | |", "|---|---:|---:|---:|"]
    with tempfile.TemporaryDirectory() as out:
        for command in COMMANDS:
            seconds, was = cold(command, out, rows), known.get(command)
            change = f"{seconds / was - 1:+.0%}" if seconds is not None and was else ""
            shown = command.replace("{out}", "OUT").replace("{rows}", "ROWS")
            cells = ("–" if value is None else f"{value:.2f}" for value in (was, seconds))
            text.append(f"| `sizing {shown}` | {' | '.join(cells)} | {change} |")
    return "\n".join(text)


def script(name: str, *arguments: str) -> str:
    """What a script beside this one prints, as a block."""
    command = [sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), *arguments]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=env)
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr}")
    return f"```text\n{done.stdout.rstrip()}\n```"


PARTS: dict[str, tuple[str, str, Callable[[], str]]] = {
    "core": ("The API", "Seconds of the processor, median of several runs in one process.", core),
    "commands": (
        "Commands from a cold start",
        "Seconds of the processor, least of three runs, each in a new process: start of Python, imports, catalogs, answer, "
        "output. Before: the same, at the commit that `benchmarks/before.csv` names. Where the measured rows are not at "
        "hand, the lines about them are empty.",
        commands,
    ),
    "report_speed": (
        "Reports",
        "`benchmarks/report_speed.py`: one report in every form, the answer being there; the goal for a PDF is 3 s.",
        lambda: script("report_speed"),
    ),
    "search_speed": (
        "The planner's search",
        "`benchmarks/search_speed.py`: one core.",
        lambda: script("search_speed"),
    ),
    "simulate_million": (
        "The simulator",
        "`benchmarks/simulate_million.py`: a million requests on one core.",
        lambda: script("simulate_million"),
    ),
    "web_latency": (
        "The web pages",
        "`benchmarks/web_latency.py`: from a moved slider to the whole page.",
        lambda: script("web_latency"),
    ),
}


def main() -> None:
    """Measure, print, and with --write update the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, comma separated")
    given = parser.parse_args()
    chosen = given.only.split(",")
    if given.write and set(chosen) != set(PARTS):
        parser.error("--write needs all parts")
    text = [
        "# Speed of the program",
        f"Written by `make benchmarks` (`python benchmarks/run.py --write`) with Python {platform.python_version()} on a "
        f"machine of {os.cpu_count()} shared cores. Others work there at the same time: what is not said to be of the "
        "processor is an upper bound.",
    ]
    for name in chosen:
        if name not in PARTS:
            parser.error(f"unknown part {name!r}: one of {', '.join(PARTS)}")
        title, note, measure = PARTS[name]
        part = [f"## {title}", note, measure()]
        print("\n\n".join(part), end="\n\n", flush=True)
        text += part
    if given.write:
        page = ROOT / "docs" / "benchmarks.md"
        # The load test takes minutes and writes its own section.
        _, mark, load = page.read_text(encoding="utf-8").partition("\n## Many people at once")
        page.write_text("\n\n".join(text) + "\n" + mark + load, encoding="utf-8")


if __name__ == "__main__":
    main()
