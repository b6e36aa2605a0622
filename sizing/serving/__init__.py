"""One algebra of waiting, two arrival processes: from step times to TTFT, TPOT and requests/s.

``terms`` has what both share (chunks of prompts, what a prompt adds to a step), ``closed_loop`` a fixed number of requests
in flight, ``open_loop`` requests that arrive at random, over a grid of loads (``grids``).
"""

from sizing.serving.closed_loop import SteadyState, closed_response, settle, steady_state
from sizing.serving.grids import FineGrid, batch_grid
from sizing.serving.open_loop import (
    MOST_IN_FLIGHT,
    RANDOM,
    LoadCurve,
    curve_of,
    load_curve,
    open_state,
    tabulated_curve,
)
from sizing.serving.tails import EXPONENTIAL_95, Z95, Lengths, lengths_of
from sizing.serving.terms import (
    MIN_CHUNK,
    Chunks,
    Load,
    PrefillTimes,
    StepTimes,
    chunk_shape,
    held_tokens,
    mixed_prefill,
    prefill_times,
    prompt_room,
    split_prompt,
    varied_held_tokens,
)

__all__ = [
    "EXPONENTIAL_95",
    "MIN_CHUNK",
    "MOST_IN_FLIGHT",
    "RANDOM",
    "Z95",
    "Chunks",
    "FineGrid",
    "Lengths",
    "Load",
    "LoadCurve",
    "PrefillTimes",
    "SteadyState",
    "StepTimes",
    "batch_grid",
    "chunk_shape",
    "closed_response",
    "curve_of",
    "held_tokens",
    "lengths_of",
    "load_curve",
    "mixed_prefill",
    "open_state",
    "prefill_times",
    "prompt_room",
    "settle",
    "split_prompt",
    "steady_state",
    "tabulated_curve",
    "varied_held_tokens",
]
