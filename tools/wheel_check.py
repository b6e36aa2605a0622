"""What a release must pass, on any machine: ``python tools/wheel_check.py [--keep FOLDER]`` (or ``make wheel-check``).

Builds the source distribution and from it the wheel, has twine check both, installs the wheel into an environment of its own
and asks it what a first user asks: its version, an estimate of a catalog model, a light import. With ``--keep`` the
two files stay, for uploading; ``--wheel FILE`` asks one that is there (standard library only, no build).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("streamlit", "pandas", "plotly", "typer", "rich", "weasyprint", "xlsxwriter", "jinja2", "huggingface_hub")


def run(command: Sequence[str | Path], **options: object) -> str:
    """Standard output of a command; what it printed is shown, and the check ends, where it fails."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)  # type: ignore[call-overload]
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return str(done.stdout)


def build(folder: Path) -> tuple[Path, Path]:
    """Make the source distribution and, from it, the wheel."""
    run([sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT])
    (source,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return source, wheel


def metadata(wheel: Path) -> dict[str, str]:
    """The wheel's METADATA, last line of each key."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        text = archive.read(name).decode()
    head = text.split("\n\n", 1)[0]
    return dict(line.split(": ", 1) for line in head.splitlines() if ": " in line)


class Installed:
    """The wheel in an environment of its own, away from the source."""

    def __init__(self, wheel: Path, folder: Path) -> None:
        self.home, self.folder = folder / "venv", folder / "elsewhere"
        self.folder.mkdir()
        venv.create(self.home, with_pip=True)
        scripts = self.home / ("Scripts" if os.name == "nt" else "bin")
        self.python, self.sizing = scripts / "python", scripts / "sizing"
        self.env = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "COV"))}
        self.ask(self.python, "-m", "pip", "install", "-q", str(wheel))

    def ask(self, *command: str | Path) -> str:
        """What a command prints, run from an empty folder."""
        return run(command, cwd=self.folder, env=self.env)


def check(wheel: Path, folder: Path) -> None:
    """Install the wheel and ask it; ends with a message where an answer is wrong."""
    there = Installed(wheel, folder)
    version = metadata(wheel)["Version"]
    said = there.ask(there.sizing, "--version").strip()
    if said != f"sizing {version}":
        raise SystemExit(f"sizing --version says {said!r}, the wheel is {version}")
    question = ("estimate", "Qwen/Qwen3-8B", "--on", "h100-sxm", "--input", "1000", "--output", "200", "--json")
    answer = json.loads(there.ask(there.sizing, *question))
    if not answer["throughput"]["output_tokens_per_s"]["p50"] > 0 or not answer["price"]["sources"]:
        raise SystemExit("the estimate of a catalog model has no throughput, or its price no sources")
    code = "import sys, sizing; print(sizing.__file__); print(*{name.split('.')[0] for name in sys.modules})"
    where, loaded = there.ask(there.python, "-c", code).splitlines()
    if str(there.home) not in where:
        raise SystemExit(f"import sizing found {where}, not the wheel")
    heavy = set(HEAVY) & set(loaded.split())
    if heavy:
        raise SystemExit(f"import sizing loads {', '.join(sorted(heavy))}")
    print(f"{wheel.name}: installs alone; version, estimate and import are right")


def main() -> None:
    """Build, check, install, ask."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--keep", type=Path, help="an empty folder for the two files")
    parser.add_argument("--wheel", type=Path, help="ask this wheel instead of building one")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        if given.wheel is not None:
            check(given.wheel.resolve(), Path(scratch))
            return
        target = given.keep.resolve() if given.keep else Path(scratch) / "dist"
        target.mkdir(parents=True, exist_ok=True)
        if any(target.iterdir()):
            raise SystemExit(f"{target} is not empty: files of another build could be taken for this one's")
        source, wheel = build(target)
        print(run([sys.executable, "-m", "twine", "check", "--strict", source, wheel]).strip())
        check(wheel, Path(scratch))


if __name__ == "__main__":
    main()
