"""Many people at once: the web calculator under 50 sessions on one machine, over Streamlit's own WebSocket protocol.

    python benchmarks/web_load.py [--sessions 50] [--minutes 5] [--think 15] [--write]

Each session opens the page as a browser does, then goes on for the given time: through all pages in its own order,
with inputs changed between them, after a pause for reading (exponential, ``--think`` seconds in the mean; 0 hammers).
Now and then it leaves and comes back as somebody new. Latency counts from the click to the end of the script's run.

Exits with 1 where any page drew an exception or an error, a connection broke, or memory still grew after the warm-up
(its fitted slope over the second half, above ``GROWTH`` of its level). Linux only: memory is read from /proc.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"
HEADING = "## Many people at once (benchmarks/web_load.py --write)"
PAGES = ("plan", "memory", "speed", "cost", "compare", "claim", "evidence", "catalog")
MODELS = ("Qwen/Qwen3-8B", "Qwen/Qwen3-32B", "Qwen/Qwen3-235B-A22B", "Qwen/Qwen3-30B-A3B", "openai/gpt-oss-120b")
PRESETS = ("Chat", "RAG", "Thinking")
REFUSED = "This can't be answered"  # how a page says that its inputs make no sense: all those below do
GROWTH = 0.05  # of the level at half time, over the second half
LEAVE = 0.02  # chance after each step that a session ends and a new one takes its place
LONGEST = 120.0  # seconds that one step may take before it counts as broken


@dataclass
class Seen:
    """What all sessions saw."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    errors: Counter[str] = field(default_factory=Counter)
    sessions: int = 0
    messages: int = 0


class Session:
    """One browser tab: its WebSocket, the widgets it shows, and the values it has changed."""

    def __init__(self, socket_: Any, seen: Seen) -> None:
        self.socket, self.seen = socket_, seen
        self.states: dict[str, WidgetState] = {}
        self.shown: dict[str, tuple[str, Any]] = {}  # the widget's name -> its id and proto
        self.pages: dict[str, str] = {}
        self.page = ""
        self.query = ""

    async def rerun(self, kind: str, *triggers: WidgetState) -> None:
        """Ask for a run and read until its end."""
        message = BackMsg()
        client = message.rerun_script
        client.query_string, client.page_script_hash = self.query, self.page
        client.widget_states.widgets.extend([*self.states.values(), *triggers])
        started = time.perf_counter()
        await self.socket.send(message.SerializeToString())
        shown: dict[str, tuple[str, Any]] = {}
        while True:
            answer = ForwardMsg()
            answer.ParseFromString(await asyncio.wait_for(self.socket.recv(), LONGEST))
            self.seen.messages += 1
            what = answer.WhichOneof("type")
            if what == "new_session":
                shown = {}
                self.page = answer.new_session.page_script_hash
            elif what == "navigation":
                self.pages = {
                    page.url_pathname or "plan": page.page_script_hash for page in answer.navigation.app_pages
                }
            elif what == "page_info_changed":
                self.query = answer.page_info_changed.query_string
            elif what == "delta" and answer.delta.HasField("new_element"):
                self._element(answer.delta.new_element, shown, kind)
            elif what == "script_finished":
                if answer.script_finished == ForwardMsg.FINISHED_EARLY_FOR_RERUN:
                    continue
                if answer.script_finished != ForwardMsg.FINISHED_SUCCESSFULLY:
                    self.seen.errors[f"{kind}: the script ended with {answer.script_finished}"] += 1
                break
        self.shown = shown
        ids = {key for key, _ in shown.values()}
        self.states = {key: state for key, state in self.states.items() if key in ids}
        self.seen.seconds[kind].append(time.perf_counter() - started)

    def _element(self, element: Any, shown: dict[str, tuple[str, Any]], kind: str) -> None:
        name = element.WhichOneof("type")
        proto = getattr(element, name)
        if name == "exception":
            self.seen.errors[f"{kind}: exception {proto.type} {proto.message[:120]}"] += 1
        elif name == "alert" and proto.body.startswith(REFUSED):
            self.seen.errors[f"{kind}: error {proto.body[:120]}"] += 1
        key = getattr(proto, "id", "")
        if key.startswith("$$ID-"):
            shown[key.split("-", 2)[2].split("@")[0]] = (key, proto)
            if getattr(proto, "set_value", False):
                self.states.pop(key, None)

    def state(self, name: str) -> WidgetState:
        """The state of a widget that is shown, to be given a value."""
        key = self.shown[name][0]
        return self.states.setdefault(key, WidgetState(id=key))


async def step(session: Session, dice: random.Random) -> None:
    """What somebody does next: another page, or another value of an input."""
    if dice.random() < 0.4 and session.pages:
        name = dice.choice(PAGES)
        session.page = session.pages[name]
        await session.rerun(name)
        return
    choice = dice.choice([name for name in CHANGES if name in session.shown])
    CHANGES[choice](session.state(choice), session.shown[choice][1], dice)
    await session.rerun("input")


def _slider(state: WidgetState, proto: Any, dice: random.Random) -> None:
    state.double_array_value.data[:] = [float(5 * dice.randint(0, 17))]


def _rate(state: WidgetState, proto: Any, dice: random.Random) -> None:
    state.double_value = dice.choice([1.0, 2.0, 5.0, round(dice.uniform(1, 40), 1)])


def _ttft(state: WidgetState, proto: Any, dice: random.Random) -> None:
    state.double_value = dice.choice([1000.0, 2000.0, 3000.0])


def _of(values: tuple[str, ...]) -> Any:
    def set_(state: WidgetState, proto: Any, dice: random.Random) -> None:
        wanted = dice.choice(values)
        state.string_value = next((one for one in proto.options if one.startswith(wanted)), proto.options[0])

    return set_


def _any(state: WidgetState, proto: Any, dice: random.Random) -> None:
    state.string_value = dice.choice(list(proto.options))


CHANGES: dict[str, Any] = {
    "hit_rate": _slider,
    "headroom": _slider,
    "rate": _rate,
    "ttft_ms": _ttft,
    "model": _of(MODELS),
    "preset": _of(PRESETS),
    "shown_plan": _any,
}


async def person(address: str, seen: Seen, until: float, think: float, dice: random.Random) -> None:
    """Sessions one after the other until the time is over."""
    await asyncio.sleep(dice.uniform(0, think + 5))
    while time.perf_counter() < until:
        try:
            async with websockets.connect(address, subprotocols=["streamlit"], max_size=None) as socket_:
                session = Session(socket_, seen)
                seen.sessions += 1
                await session.rerun("first page")
                while time.perf_counter() < until and dice.random() > LEAVE:
                    await asyncio.sleep(dice.expovariate(1 / think) if think else 0)
                    await step(session, dice)
        except (OSError, TimeoutError, websockets.WebSocketException) as error:
            seen.errors[f"connection: {type(error).__name__} {error}"] += 1
            await asyncio.sleep(1)


async def watch(pid: int, until: float, samples: list[tuple[float, float]]) -> None:
    """Resident memory of the server [MiB], twice a second."""
    page, start = os.sysconf("SC_PAGE_SIZE"), time.perf_counter()
    while time.perf_counter() < until:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
        samples.append((time.perf_counter() - start, pages * page / 2**20))
        await asyncio.sleep(0.5)


async def drive(address: str, pid: int, args: argparse.Namespace) -> tuple[Seen, list[tuple[float, float]]]:
    """All sessions and the watch over memory."""
    seen, samples = Seen(), []
    until = time.perf_counter() + args.minutes * 60
    people = [person(address, seen, until, args.think, random.Random(number)) for number in range(args.sessions)]
    await asyncio.gather(*people, watch(pid, until, samples))
    return seen, samples


def serve() -> tuple[subprocess.Popen[bytes], int]:
    """The calculator on a free port, as ``sizing app`` starts it."""
    from sizing.web.launch import arguments

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "streamlit", *arguments(port, "127.0.0.1", True), "--server.fileWatcherType=none"]
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": paths, "HF_HUB_OFFLINE": "1"})
    for _ in range(150):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1)
            return process, port
        except OSError:
            time.sleep(0.2)
    process.kill()
    raise SystemExit("the server did not start")


def table(seen: Seen, samples: list[tuple[float, float]], args: argparse.Namespace) -> tuple[str, float]:
    """The figures as Markdown, and the growth of memory over the second half as a share of its level."""
    every = [one for part in seen.seconds.values() for one in part]
    lines = [
        f"{args.sessions} sessions for {args.minutes:g} minutes, {args.think:g} s of reading between steps: {len(every):,} "
        f"steps ({len(every) / args.minutes / 60:.1f} a second), {seen.sessions} sessions begun, "
        f"{sum(seen.errors.values())} errors.",
        "",
        "| step | number | p50 [s] | p95 [s] |",
        "|---|---:|---:|---:|",
    ]
    for name in ("first page", "input", *PAGES):
        part = seen.seconds.get(name)
        if part:
            lines.append(f"| {name} | {len(part)} | {np.quantile(part, 0.5):.2f} | {np.quantile(part, 0.95):.2f} |")
    lines.append(f"| all | {len(every)} | {np.quantile(every, 0.5):.2f} | {np.quantile(every, 0.95):.2f} |")
    at, mib = np.array(samples).T
    late = at > at[-1] / 2
    slope, level = np.polyfit(at[late] - at[late][0], mib[late], 1)
    growth = slope * (at[-1] - at[late][0]) / level
    marks = ", ".join(f"{np.interp(share * at[-1], at, mib):,.0f}" for share in (0, 0.1, 0.25, 0.5, 0.75, 1))
    lines += [
        "",
        f"Memory of the server [MiB] at 0, 10, 25, 50, 75 and 100% of the time: {marks}; growth over the second half "
        f"{growth:+.1%} (bound {GROWTH:.0%}).",
    ]
    return "\n".join(lines), float(growth)


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sessions", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--think", type=float, default=15.0, help="mean seconds between steps")
    parser.add_argument("--write", action="store_true", help="put the figures into docs/benchmarks.md")
    args = parser.parse_args()
    process, port = serve()
    try:
        seen, samples = asyncio.run(drive(f"ws://127.0.0.1:{port}/_stcore/stream", process.pid, args))
    finally:
        process.terminate()
        process.wait(10)
    text, growth = table(seen, samples, args)
    print(text)
    if args.write:
        before, _, _ = PAGE.read_text(encoding="utf-8").partition(f"\n{HEADING}\n")
        PAGE.write_text(f"{before}\n{HEADING}\n\n{text}\n", encoding="utf-8")
    for error, number in seen.errors.most_common():
        print(f"{number:6} × {error}")
    return int(bool(seen.errors) or growth > GROWTH)


if __name__ == "__main__":
    sys.exit(main())
