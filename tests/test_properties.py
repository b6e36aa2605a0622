"""What must hold of any model on any part: monotone, conserving, indifferent to how numbers are given."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sizing.engine.base import Device
from sizing.engine.layouts import Space, as_arrays, legal_placements
from sizing.engine.placement import Placement
from sizing.memory.ledger import memory_ledger
from sizing.memory.terms import memory_terms, resolve_load
from sizing.model.counts import kv_bytes, params_report
from sizing.model.sources import load_model
from sizing.planning.target import resolve_target
from sizing.step.operations import StepShape

MODELS = ["Qwen/Qwen3-32B", "Qwen/Qwen3-235B-A22B", "deepseek-ai/DeepSeek-V3", "google/gemma-3-27b-it",
          "openai/gpt-oss-120b", "Qwen/Qwen3-Next-80B-A3B-Instruct"]  # fmt: skip
PARTS = ["h100-sxm", "a100-80gb-sxm", "h200-sxm", "ascend-910b2", "l40s"]
RATES = ("bf16_flops", "fp8_flops", "int8_flops", "memory_bandwidth", "link_bandwidth", "node_bandwidth")


def target(model: str, part: str):
    return resolve_target(model, part, weights="bf16")


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(MODELS), st.integers(1, 200_000), st.integers(0, 100_000))
def test_more_context_never_needs_less_cache(model: str, tokens: int, more: int) -> None:
    arch = load_model(model)
    assert kv_bytes(arch, tokens, 2.0) <= kv_bytes(arch, tokens + more, 2.0)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(MODELS), st.sampled_from(PARTS), st.integers(128, 60_000), st.integers(1, 60_000))
def test_more_context_never_leaves_room_for_more_requests(model: str, part: str, tokens: int, more: int) -> None:
    aim = target(model, part)
    limits = []
    for context in (tokens, tokens + more):
        load = resolve_load(aim.engine, aim.device, aim.arch, Placement(8), context=context,
                            max_num_batched_tokens=8192, max_num_seqs=256)  # fmt: skip
        terms = memory_terms(
            aim.arch, Device(500e9, "wide"), Placement(8), aim.engine, aim.scheme, load, kv_dtype=aim.kv
        )
        limits.append(float(terms.max_concurrency))
    assert limits[1] <= limits[0] * (1 + 1e-9)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(MODELS), st.sampled_from(PARTS), st.sampled_from([1, 2, 4, 8]), st.floats(1.0, 4.0),
    st.sampled_from(RATES), st.floats(1, 256), st.floats(1, 60_000), st.floats(0, 8192),
)  # fmt: skip
def test_a_faster_part_is_never_slower(model, part, tp, factor, rate, batch, context, prompt) -> None:
    aim = target(model, part)
    shape = StepShape(decode_seqs=batch, decode_context=context, prefill_tokens=prompt)
    faster = replace(aim.step, machine=replace(aim.machine, **{rate: getattr(aim.machine, rate) * factor}))
    assert float(faster.seconds(shape, Placement(tp))) <= float(aim.step.seconds(shape, Placement(tp))) * (1 + 1e-9)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(MODELS), st.floats(1, 128), st.floats(1, 128), st.floats(1, 30_000), st.floats(0, 30_000))
def test_more_work_never_takes_less_time(model, batch, more, context, longer) -> None:
    step = target(model, "h100-sxm").step

    def seconds(seqs: float, tokens: float) -> float:
        return float(step.seconds(StepShape(decode_seqs=seqs, decode_context=tokens), Placement(2)))

    base = seconds(batch, context) * (1 - 1e-9)
    assert seconds(batch + more, context) >= base
    assert seconds(batch, context + longer) >= base


@pytest.mark.parametrize("model", MODELS)
def test_arrays_and_numbers_give_the_same(model: str) -> None:
    aim = target(model, "h100-sxm")
    legal, _ = legal_placements(aim.arch, aim.scheme, aim.engine, Space(8))
    shape = StepShape(decode_seqs=7.0, decode_context=3000.0, prefill_tokens=512.0)
    together = np.broadcast_to(aim.step.seconds(shape, as_arrays(legal)), len(legal))
    for row, place in enumerate(legal):
        assert together[row] == pytest.approx(float(aim.step.seconds(shape, place)), rel=1e-12)


@pytest.mark.parametrize("model", MODELS)
def test_one_rank_holds_the_models_bytes(model: str) -> None:
    """TP=1: every parameter at 2 bytes; what loading adds (tables, padding, allocator) stays below 3%."""
    aim = target(model, "h100-sxm")
    ledger = memory_ledger(aim.arch, 5e12, Placement(), aim.engine, aim.scheme, kv_dtype=aim.kv, context=4096,
                           max_num_seqs=64, max_num_batched_tokens=4096)  # fmt: skip
    counted = params_report(aim.arch)
    exact = (int(counted["total"])) * 2
    assert exact * 0.97 <= ledger.weights_bytes <= exact * 1.03 + 3e9
