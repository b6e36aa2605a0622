"""One input, watched: its time, its memory, what it writes, starts and asks for. Linux and macOS."""

from __future__ import annotations

import os
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

SECONDS = 5.0  # of processor time for one input
WALL_SECONDS = 30.0  # of the clock: something waits for what never comes
MEGABYTES = 700  # by which one input may raise the process's peak
MOST_MESSAGE = 1500  # characters of an error

_FORBIDDEN = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "socket.connect",
              "socket.getaddrinfo", "pty.spawn", "webbrowser.open")  # fmt: skip
_CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.symlink", "os.link", "os.chmod", "os.chown",
            "os.truncate", "shutil.rmtree", "shutil.copyfile", "shutil.move")  # fmt: skip


class Hang(BaseException):
    """An input ran out of its time. Not an Exception, so that no handler of the program eats it."""


@dataclass
class Finding:
    """A broken property. ``key`` tells findings apart: kind and place in the source, not the input."""

    target: str
    kind: str
    where: str
    detail: str

    @property
    def key(self) -> str:
        return f"{self.target}|{self.kind}|{self.where}"


@dataclass
class Watch:
    """What happens while one input runs. ``sandbox``: the only folder that may be written to."""

    sandbox: Path
    allowed: tuple[str, ...] = ()
    outside: list[str] = field(default_factory=list)
    forbidden: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def inside(self, path: str) -> bool:
        real = os.path.realpath(path)
        return real.startswith(str(self.sandbox)) or real in ("/dev/null", *self.allowed)


NEVER_NEGATIVE = re.compile(r"(?!)")  # allows no number below 0
_watch: Watch | None = None
_installed = False


def _audit(event: str, args: tuple[Any, ...]) -> None:
    """Refuses, and notes, what no input may bring about. Installed once; sleeps while nothing is watched."""
    if _watch is None:
        return
    if event == "open":
        path, _, flags = args
        if isinstance(path, int) or not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND):
            return
        name = os.fsdecode(path)
        if "__pycache__" in name or _watch.inside(name):
            return
        _watch.outside.append(name)
        raise PermissionError(13, "Permission denied", name)
    if event in _CHANGES:
        for path in args[:2] if event == "os.rename" else args[1:2] if event in ("os.link", "os.symlink") else args[:1]:
            if isinstance(path, str | bytes | os.PathLike):
                name = os.fsdecode(path)
                if "__pycache__" not in name and not _watch.inside(name):
                    _watch.outside.append(name)
                    raise PermissionError(13, "Permission denied", name)
    elif event in _FORBIDDEN:
        _watch.forbidden.append(f"{event} {args!r:.200}")
        raise PermissionError(13, f"{event} is not for a fuzzer")


def _install() -> None:
    global _installed
    if not _installed:
        sys.addaudithook(_audit)
        _installed = True


def _over(_signal: int, _frame: FrameType | None) -> None:
    raise Hang


def peak_megabytes() -> float:
    """The most memory that the process has held so far."""
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 2**20


def place(error: BaseException) -> str:
    """The deepest line of this program in a traceback: ``model/config.py:123``."""
    return frames(error.__traceback__)[-1] if frames(error.__traceback__) else type(error).__name__


def frames(trace: TracebackType | None) -> list[str]:
    """The lines of this program in a traceback, outermost first."""
    found = []
    for frame in traceback.extract_tb(trace):
        match = re.search(r"sizing/(.+\.py)$", frame.filename.replace("\\", "/"))
        if match and "/tests/" not in frame.filename:
            found.append(f"{match[1].removeprefix('sizing/')}:{frame.lineno}")
    return found


def message_trouble(text: str, most: int = MOST_MESSAGE) -> str | None:
    """What is wrong with the text of an error for people, None if nothing."""
    if not text.strip():
        return "an empty message"
    if len(text) > most:
        return f"a message of {len(text)} characters"
    bad = next((letter for letter in text if not letter.isprintable()), None)
    return None if bad is None else f"an unprintable character {bad!r}"


def watched(
    target: str, run: Callable[[], list[str]], sandbox: Path, *, allowed: tuple[str, ...] = (), alarm: bool = True
) -> tuple[list[Finding], str]:
    """Run one input. Returns what it broke, and where it ended (a coarse signature of the path it took).

    ``run`` returns complaints about its own result; a SizingError is the right end of a bad input, anything else that
    is raised is a finding. ``alarm``: interrupt by signals (not where a fuzzing engine has its own).
    """
    from sizing.base.errors import SizingError

    global _watch
    _install()
    found: list[Finding] = []
    watch = Watch(Path(os.path.realpath(sandbox)), tuple(os.path.realpath(path) for path in allowed))
    before = peak_megabytes()
    started = time.process_time()
    end = "ok"
    old = []
    if alarm:
        for number, timer, limit in (
            (signal.SIGPROF, signal.ITIMER_PROF, SECONDS * 2),
            (signal.SIGALRM, signal.ITIMER_REAL, WALL_SECONDS),
        ):
            old.append((number, timer, signal.signal(number, _over)))
            signal.setitimer(timer, limit)
    _watch = watch
    try:
        complaints = run()
    except SizingError as error:
        complaints = []
        trace = frames(error.__traceback__)
        end = ">".join(trace[-2:])
        trouble = message_trouble(str(error))
        if trouble:
            found.append(Finding(target, "message", place(error), f"{trouble}: {str(error)[:300]!r}"))
    except Hang as error:
        complaints = []
        found.append(Finding(target, "hang", place(error), "ran out of time"))
    except Exception as error:
        complaints = []
        kind = f"raises {type(error).__name__}"
        found.append(Finding(target, kind, place(error), "".join(traceback.format_exception(error))[-3000:]))
    finally:
        _watch = None
        for number, timer, handler in old:
            signal.setitimer(timer, 0)
            signal.signal(number, handler)
    watch.seconds = time.process_time() - started
    if watch.seconds > SECONDS and not any(item.kind == "hang" for item in found):
        found.append(Finding(target, "slow", end, f"{watch.seconds:.1f} s of processor time"))
    if peak_megabytes() - before > MEGABYTES:
        found.append(Finding(target, "memory", end, f"raised the peak by {peak_megabytes() - before:.0f} MB"))
    found += [Finding(target, "result", text.split(":")[0][:120], text) for text in complaints]
    found += [Finding(target, "writes outside", "", text) for text in watch.outside]
    found += [Finding(target, "starts or connects", "", text) for text in watch.forbidden]
    return found, end


def sandbox_folder() -> Path:
    """A fresh folder, deep enough that ``../..`` stays inside what is watched."""
    top = Path(tempfile.mkdtemp(prefix="sizing-fuzz-"))
    inner = top / "a" / "b" / "c"
    inner.mkdir(parents=True)
    return inner


def finite_trouble(document: object, negative: re.Pattern[str], path: str = "", most: int = 3) -> list[str]:
    """Numbers of a result that are not finite, or negative where ``negative`` (of the path) does not allow it."""
    found: list[str] = []
    stack: list[tuple[str, object]] = [(path, document)]
    while stack and len(found) < most:
        here, value = stack.pop()
        if isinstance(value, dict):
            stack += [(f"{here}.{key}", item) for key, item in value.items()]
        elif isinstance(value, list | tuple):
            stack += [(f"{here}[]", item) for item in value]
        elif isinstance(value, float) and value != value:
            found.append(f"{here}: is NaN")
        elif isinstance(value, float) and value in (float("inf"), float("-inf")):
            found.append(f"{here}: is infinite")
        elif isinstance(value, int | float) and value < 0 and not negative.search(here):
            found.append(f"{here}: is negative, {value!r:.40}")
    return found
