"""The hot loop: one replica with continuous batching, advanced from event to event.

Between two events (a completion, an arrival that can be admitted, a chunk's end, an empty cache) all steps
are alike but for contexts that grow by one token a step. So a stretch of k steps is one move: its time is k
times the step at the middle of the stretch (exact for times that are linear in context). ``clock`` counts
decode steps; a sequence whose first token came at clock c and which has n more to make ends at c + n, so a
heap of these ends gives the next completion, and sums over sequences (context, cache) move by additions only.
The cost of a run is thus a few microseconds per request and event, whatever the number of tokens.

Cache is accounted in tokens: a sequence's tokens plus the mean rounding loss (block_size - 1)/2. With a prefix cache,
free blocks wait in a line and are taken from its front. A preempted request's blocks join at the back, its last tokens
first, so when it comes back it finds all but what was taken beyond those that stood before it. (As vLLM's block pool does.)
"""

from __future__ import annotations

import math
from array import array
from collections import deque
from collections.abc import Callable, Generator, MutableSequence, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush

import numpy as np
import numpy.typing as npt

from sizing.serving import prompt_room
from sizing.serving.simulate.config import SchedulerConfig
from sizing.serving.simulate.steptimes import InterpolatedStepTimes

_SHIFT = 32
_MASK = (1 << _SHIFT) - 1
_CHECK_EVERY = 20_000  # events between two looks at should_stop and progress
_NEVER = math.inf


class RequestTable:
    """The requests of one pool as flat arrays (index = request), input and output.

    ``arrival``, ``admitted``, ``first``, ``finish``: seconds (-1: has not happened). ``prompt``: tokens to
    have in cache before the next token (grows when preempted), ``left``: output tokens still to come,
    ``final``: tokens to reserve.
    """

    def __init__(
        self,
        arrival: npt.NDArray[np.float64],
        prompt: npt.NDArray[np.int64],
        output: npt.NDArray[np.int64],
        cached: npt.NDArray[np.int64],
        reserve_output_tokens: int,
    ) -> None:
        n = len(arrival)
        self.size = n
        self.arrival = array("d", arrival.tobytes())
        self.prompt = array("q", prompt.tobytes())
        self.left = array("q", output.tobytes())
        self.cached = array("q", cached.tobytes())
        self.total = array("q", (prompt + output).tobytes())
        self.final = array("q", (prompt + np.maximum(output, reserve_output_tokens)).tobytes())
        self.end_clock = array("q", bytes(8 * n))
        unset = np.full(n, -1.0).tobytes()
        self.admitted = array("d", unset)
        self.first = array("d", unset)
        self.finish = array("d", unset)


@dataclass(slots=True)
class ReplicaStats:
    """Counters of one replica; seconds, tokens, sequence-seconds."""

    completed: int = 0
    now: float = 0.0
    busy_s: float = 0.0
    prefill_busy_s: float = 0.0
    sequence_seconds: float = 0.0
    steps: int = 0
    preemptions: int = 0
    recomputed_tokens: int = 0
    prefill_tokens: int = 0
    peak_cache_tokens: float = 0.0


@dataclass(slots=True)
class Feed:
    """Where requests come from: ``ids`` in order of arrival, or a closed loop of ``users`` that draw from
    it.
    """

    ids: MutableSequence[int] | Sequence[int]
    users: int = 0  # 0: open loop
    think: Sequence[float] | None = None  # seconds before request i, closed loop only
    events: list[tuple[float, int]] = field(default_factory=list)


class Stopped(Exception):
    """The caller's ``should_stop`` said so."""


def run_replica(
    table: RequestTable,
    feed: Feed,
    config: SchedulerConfig,
    steps: InterpolatedStepTimes,
    stats: ReplicaStats,
    on_check: Callable[[], None],
    horizon: float = _NEVER,
) -> Generator[None, float, None]:
    """Simulate until all of ``feed`` is served; a generator that yields when it needs to know beyond
    ``horizon``.

    Send the next horizon (seconds) in after adding the requests that arrive before it to ``feed.ids``;
    ``on_check`` is called every so many events and may raise :class:`Stopped`.
    """
    decode, mixed_time = steps.decode, steps.mixed
    arrival, prompt, left, cached = table.arrival, table.prompt, table.left, table.cached
    total, final, end_clock = table.total, table.final, table.end_clock
    admit_time, first, finish = table.admitted, table.first, table.finish
    mixed = config.scheduling == "mixed"
    max_seqs, max_tokens = config.max_num_seqs, config.max_num_batched_tokens
    least = int(prompt_room(max_tokens, max_tokens))
    capacity = float(config.cache_tokens)
    share = config.reserve_output_share
    optimistic = share < 1.0
    keeps = config.prefix_caching
    slack = (config.block_size - 1) / 2

    ids, closed, think, events = feed.ids, feed.users > 0, feed.think, feed.events
    waiting: deque[int] = deque()
    heap: list[int] = []  # end clock << 32 | request, of the decoding; entries of preempted ones are stale
    order: list[int] = []  # admitted ones, oldest first, for preemption; finished ones stay until popped
    done: list[int] = []
    left_behind: dict[
        int, tuple[int, int]
    ] = {}  # preempted: (tokens in its freed blocks, place in the line of free ones)
    freed = 0  # tokens of all blocks given back so far; with `used`, the tokens of all blocks ever taken
    now, clock = 0.0, 0
    running = admitted = 0
    context = used = reserved = 0  # tokens: of the decoding; of the admitted; set aside for the admitted
    partial, partial_left, partial_at = -1, 0, 0
    pointer = 0
    busy = prefill_busy = area = peak = 0.0
    step_count = computed = completed = 0

    if closed:
        while pointer < len(ids) and pointer < feed.users:
            i = ids[pointer]
            heappush(events, (think[i] if think is not None else 0.0, i))
            pointer += 1
        next_time = events[0][0] if events else _NEVER
    else:
        next_time = arrival[ids[0]] if ids else _NEVER

    while True:
        stats.completed, stats.now, stats.busy_s, stats.prefill_busy_s = completed, now, busy, prefill_busy
        stats.sequence_seconds, stats.steps, stats.prefill_tokens = area, step_count, computed
        stats.peak_cache_tokens = peak
        on_check()
        for _ in range(_CHECK_EVERY):
            if now >= horizon:
                stats.completed, stats.now = completed, now
                horizon = yield
                if not closed and next_time == _NEVER and pointer < len(ids):
                    next_time = arrival[ids[pointer]]
                continue
            while next_time <= now:
                if closed:
                    at, i = heappop(events)
                    arrival[i] = at
                    waiting.append(i)
                    next_time = events[0][0] if events else _NEVER
                else:
                    waiting.append(ids[pointer])
                    pointer += 1
                    next_time = arrival[ids[pointer]] if pointer < len(ids) else _NEVER

            # Out of blocks: the one admitted last gives way and is recomputed later. As in vLLM, a step that
            # preempts admits nobody; else the same request would come back at once, and for ever.
            preempted = False
            while optimistic and running and used + slack * admitted + running > capacity and admitted > 1:
                i = order.pop()
                if finish[i] >= 0.0:
                    continue
                have = prompt[i]
                if i == partial:
                    partial = -1
                    have = partial_at
                else:
                    rest = end_clock[i] - clock
                    made = left[i] - rest
                    prompt[i] += made
                    left[i] = rest
                    end_clock[i] = -1
                    have = prompt[i]
                    context -= prompt[i]
                    running -= 1
                if keeps:
                    left_behind[i] = have, int(capacity) + freed
                freed += prompt[i]
                used -= prompt[i]
                reserved -= final[i]
                admitted -= 1
                waiting.appendleft(i)
                preempted = True
                stats.preemptions += 1
                if not keeps:
                    stats.recomputed_tokens += prompt[i] - cached[i]

            tokens = 0
            weight = 0.0
            if partial >= 0 or (waiting and admitted < max_seqs and not preempted):
                room = max(max_tokens - running, least) if mixed else max_tokens
                if partial >= 0 and room > 0:
                    if partial_left > room:  # the whole budget, perhaps for several steps
                        count = (partial_left - 1) // room
                        seqs = running if mixed else 0
                        at_context = 0.0
                        if seqs:
                            while end_clock[heap[0] & _MASK] != heap[0] >> _SHIFT:
                                heappop(heap)
                            ahead = (heap[0] >> _SHIFT) - clock
                            if ahead < count:
                                count = ahead
                            spare = int((capacity - used - slack * admitted) / seqs)
                            if spare < count:
                                count = spare if spare > 1 else 1
                            at_context = context / seqs + (count - 1) / 2
                        dt = mixed_time(seqs, at_context, room, partial_at + count * room / 2)
                        if count * dt > horizon - now:
                            count = int((horizon - now) / dt) + 1
                        partial_left -= count * room
                        partial_at += count * room
                        computed += count * room
                        step_count += count
                        elapsed = count * dt
                        now += elapsed
                        busy += elapsed
                        prefill_busy += elapsed
                        area += elapsed * running
                        if seqs:
                            clock += count
                            context += count * seqs
                            used += count * seqs
                        tokens = -1
                    else:
                        tokens = partial_left
                        weight = tokens * (partial_at + tokens / 2)
                        room -= tokens
                        done.append(partial)
                        partial = -1
                if tokens >= 0:
                    while waiting and room > 0 and admitted < max_seqs and not preempted:
                        i = waiting[0]
                        size = prompt[i]
                        if admitted:
                            # Room for one decode step after it, or admitting and preempting would take turns.
                            held = used + size + running + 2 * (len(done) + 1)
                            after = held + share * (reserved + final[i] - held) + slack * (admitted + 1)
                            if after > capacity:
                                break
                        waiting.popleft()
                        start = cached[i]
                        if i in left_behind:
                            have, place = left_behind.pop(i)
                            start = max(start, min(have - max(0, used + freed - place), size - 1))
                            stats.recomputed_tokens += size - start
                        admitted += 1
                        used += size
                        reserved += final[i]
                        if optimistic:
                            order.append(i)
                        if admit_time[i] < 0.0:
                            admit_time[i] = now
                        need = size - start
                        if need > room:
                            partial, partial_left, partial_at = i, need - room, start + room
                            need = room
                        else:
                            done.append(i)
                        tokens += need
                        weight += need * (start + need / 2)
                        room -= need

            if tokens > 0:
                if mixed and running:
                    dt = mixed_time(running, context / running, tokens, weight / tokens)
                    clock += 1
                    context += running
                    used += running
                else:
                    dt = mixed_time(0, 0.0, tokens, weight / tokens)
                now += dt
                busy += dt
                prefill_busy += dt
                area += dt * running
                computed += tokens
                step_count += 1
            elif tokens == 0:
                if running == 0:  # idle: nothing waits, or it would have been admitted
                    if next_time >= horizon or next_time == _NEVER:
                        if horizon == _NEVER and next_time == _NEVER:
                            stats.completed, stats.now, stats.busy_s = completed, now, busy
                            stats.prefill_busy_s, stats.sequence_seconds = prefill_busy, area
                            stats.steps, stats.prefill_tokens, stats.peak_cache_tokens = (
                                step_count,
                                computed,
                                peak,
                            )
                            return
                        now = horizon
                    else:
                        now = next_time
                    continue
                while end_clock[heap[0] & _MASK] != heap[0] >> _SHIFT:
                    heappop(heap)
                count = (heap[0] >> _SHIFT) - clock
                if optimistic and used + slack * admitted + count * running > capacity:
                    spare = int((capacity - used - slack * admitted) / running)
                    count = spare if spare > 1 else 1
                mean = context / running
                dt = decode(running, mean + (count - 1) / 2)
                limit = horizon
                if next_time < limit and not waiting and admitted < max_seqs:
                    limit = next_time
                gap = limit - now
                if count * dt > gap:
                    count = int(gap / decode(running, mean)) + 1
                    dt = decode(running, mean + (count - 1) / 2)
                    fewer = int(gap / dt) + 1
                    if fewer < count:
                        count = fewer
                elapsed = count * dt
                now += elapsed
                busy += elapsed
                area += elapsed * running
                clock += count
                step_count += count
                count *= running
                context += count
                used += count

            if used + slack * admitted > peak:
                peak = used + slack * admitted

            while heap and heap[0] >> _SHIFT <= clock:
                entry = heappop(heap)
                i = entry & _MASK
                if end_clock[i] != entry >> _SHIFT:
                    continue
                size = total[i]
                finish[i] = now
                end_clock[i] = -1
                running -= 1
                admitted -= 1
                context -= size
                freed += size
                used -= size
                reserved -= final[i]
                completed += 1
                if closed and pointer < len(ids):
                    i = ids[pointer]
                    pointer += 1
                    heappush(events, (now + think[i] if think is not None else now, i))
                    next_time = events[0][0]
            if done:
                for i in done:
                    if first[i] < 0.0:
                        first[i] = now
                    used += 1
                    rest = left[i] - 1
                    if rest:
                        end = clock + rest
                        end_clock[i] = end
                        heappush(heap, end << _SHIFT | i)
                        context += prompt[i] + 1
                        running += 1
                    else:
                        finish[i] = now
                        admitted -= 1
                        freed += total[i]
                        used -= total[i]
                        reserved -= final[i]
                        completed += 1
                        if closed and pointer < len(ids):
                            j = ids[pointer]
                            pointer += 1
                            heappush(events, (now + think[j] if think is not None else now, j))
                            next_time = events[0][0]
                done.clear()
