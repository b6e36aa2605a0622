"""Fuzz everything that reads input from outside: files, studies, measurements, every option of every command.

    python benchmarks/fuzz.py --minutes 30             # all targets, in turn
    python benchmarks/fuzz.py --target gguf --minutes 5
    python benchmarks/fuzz.py --replay FOLDER          # the inputs of earlier findings

Inputs are real files (the model catalog, the hardware catalog, the examples, the tests' result files) with parts changed
by ``tests/fuzz/mutate.py``. Inputs that end in a new place of the source are kept and changed further; with the package
``atheris`` (``--coverage``) it is coverage that decides. Exit code 1 where anything was found; the inputs are written to
the folder of findings.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ["HF_HUB_OFFLINE"] = "1"

from tests.fuzz.base import Target  # noqa: E402
from tests.fuzz.guard import Finding, sandbox_folder, watched  # noqa: E402
from tests.fuzz.targets import TARGETS  # noqa: E402

MOST_BYTES = 2_000_000  # of one input
KEPT = 3000  # inputs of a corpus


class Recorder:
    """Counts inputs and keeps findings: one input for each kind and place."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.inputs = 0
        self.slowest = 0.0
        self.found: Counter[str] = Counter()
        self.sandbox = sandbox_folder()

    def one(self, target: Target, data: bytes, *, alarm: bool = True) -> str:
        """Run one input; returns where it ended."""
        self.inputs += 1
        if self.inputs % 200 == 0:
            shutil.rmtree(self.sandbox, ignore_errors=True)
            self.sandbox.mkdir(parents=True)
        started = time.process_time()
        found, end = watched(target.name, lambda: target.run(data, self.sandbox), self.sandbox.parents[2], alarm=alarm)
        self.slowest = max(self.slowest, time.process_time() - started)
        for item in found:
            self.keep(item, data)
        return end

    def keep(self, item: Finding, data: bytes) -> None:
        """Write the first input of a kind of finding."""
        self.found[item.key] += 1
        if self.found[item.key] > 1 or len(self.found) > 500:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        name = f"{item.target}-{len(self.found):03d}"
        (self.folder / f"{name}.input").write_bytes(data)
        (self.folder / f"{name}.txt").write_text(f"{item.key}\n{item.detail}\n", encoding="utf-8")
        print(f"  FOUND {item.key}: {item.detail.strip().splitlines()[-1][:160]}", flush=True)


def by_endings(target: Target, seconds: float, rng: random.Random, record: Recorder) -> None:
    """Change seeds and kept inputs until the time is over; keep what ends in a new place."""
    corpus = target.seeds()
    ends: set[str] = set()
    until = time.monotonic() + seconds
    for data in corpus:
        ends.add(record.one(target, data))
        if time.monotonic() > until:
            return
    while time.monotonic() < until:
        data = target.mutate(rng, rng.choice(corpus))[:MOST_BYTES]
        end = record.one(target, data)
        if end not in ends:
            ends.add(end)
            if len(corpus) < KEPT and len(data) < 100_000:
                corpus.append(data)


def by_coverage(target: Target, seconds: float, seed: int, record: Recorder) -> None:
    """The same with atheris; ends the process."""
    import importlib
    import pkgutil
    import tempfile

    import atheris

    import sizing

    with atheris.instrument_imports(include=["sizing"]):
        for module in pkgutil.walk_packages(sizing.__path__, "sizing."):
            if not module.name.startswith(("sizing.web", "sizing.__main__")):
                importlib.import_module(module.name)
    corpus = Path(tempfile.mkdtemp(prefix="sizing-corpus-"))
    for number, data in enumerate(target.seeds()):
        (corpus / f"seed{number:04d}").write_bytes(data)
    over = time.monotonic() + seconds

    def one(data: bytes) -> None:
        record.one(target, data, alarm=False)
        if time.monotonic() > over:
            finish(record, seconds)
            os._exit(0)

    def custom(data: bytes, most: int, number: int) -> bytes:
        return target.mutate(random.Random(number), data)[:most]

    flags = [f"-seed={seed}", f"-max_total_time={int(seconds) + 5}", "-timeout=60", "-rss_limit_mb=4096",
        "-print_final_stats=0",
             "-verbosity=0", f"-max_len={MOST_BYTES}", "-len_control=0"]  # fmt: skip
    atheris.Setup([sys.argv[0], *flags, str(corpus)], one, custom_mutator=custom)
    atheris.Fuzz()


def finish(record: Recorder, seconds: float) -> None:
    """The figures of one target, as a line that the parent process reads."""
    shutil.rmtree(record.sandbox.parents[2], ignore_errors=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"inputs": record.inputs, "seconds": round(seconds), "slowest": round(record.slowest, 2),
        "peak_mb": round(peak),
                      "findings": dict(record.found)}), flush=True)  # fmt: skip


def replay(folder: Path) -> int:
    """Run the inputs of earlier findings again; returns how many still find something."""
    record = Recorder(folder / "again")
    for path in sorted(folder.glob("*.input")):
        before = sum(record.found.values())
        record.one(TARGETS[path.stem.rsplit("-", 1)[0]], path.read_bytes())
        print(f"{path.name}: {'still' if sum(record.found.values()) > before else 'mended'}")
    return len(record.found)


def child(options: argparse.Namespace, name: str, seconds: float, seed: int) -> dict[str, object]:
    """One target in a process of its own, so that memory and crashes are its own."""
    command = [sys.executable, __file__, "--one", name, "--minutes", str(seconds / 60), "--seed", str(seed),
               "--findings", str(options.findings), *(["--coverage"] if options.coverage else [])]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 600, check=False)
    lines = done.stdout.splitlines()
    for line in lines[:-1]:
        if line.startswith("  FOUND"):
            print(line, flush=True)
    try:
        return dict(json.loads(lines[-1]))
    except (ValueError, IndexError):
        print(done.stderr[-2000:], file=sys.stderr)
        return {
            "inputs": 0,
            "seconds": seconds,
            "slowest": 0,
            "peak_mb": 0,
            "findings": {f"{name}|process died|{done.returncode}": 1},
        }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0, help="in all")
    parser.add_argument("--target", action="append", choices=list(TARGETS), help="only this one; may be repeated")
    parser.add_argument("--seed", type=int, default=None, help="of the random numbers; default: another each time")
    parser.add_argument(
        "--findings", type=Path, default=Path("fuzz-findings"), help="folder for the inputs that found something"
    )
    parser.add_argument("--coverage", action="store_true", help="guided by coverage (needs the package atheris)")
    parser.add_argument("--replay", type=Path, help="run the inputs of this folder of findings again")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.replay:
        return 1 if replay(options.replay) else 0
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(2**31)
    seconds = options.minutes * 60
    if options.one:
        record = Recorder(options.findings)
        target = TARGETS[options.one]
        if options.coverage:
            by_coverage(target, seconds, seed, record)
        else:
            by_endings(target, seconds, random.Random(seed), record)
        finish(record, seconds)
        return 0
    chosen = [TARGETS[name] for name in options.target or TARGETS]
    weights = sum(item.weight for item in chosen)
    inputs, found = 0, Counter[str]()
    print(f"{'target':<12} {'inputs':>10} {'seconds':>8} {'slowest':>8} {'peak MB':>8} {'findings':>8}   (seed {seed})")
    for item in chosen:
        row = child(options, item.name, seconds * item.weight / weights, seed)
        findings = row["findings"]
        assert isinstance(findings, dict)
        figures = f"{row['inputs']:>10,} {row['seconds']:>8.0f} {row['slowest']:>8} {row['peak_mb']:>8}"
        print(f"{item.name:<12} {figures} {len(findings):>8}",
              flush=True)  # fmt: skip
        inputs += int(str(row["inputs"]))
        found.update(findings)
    print(f"{inputs:,} inputs in {options.minutes:g} minutes, {len(found)} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
