"""What must hold of any model on any machine: monotone, conserving, scale-free, finite."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sizing.coefficients.kernels import MachineRates, kernel_curves
from sizing.engine.base import Device
from sizing.engine.placement import Placement
from sizing.engine.registry import get_engine
from sizing.engine.sharding import stage_components, stages
from sizing.memory.ledger import memory_ledger
from sizing.memory.terms import memory_terms, resolve_load
from sizing.model.architecture import Architecture
from sizing.model.config import parse_config
from sizing.model.counts import kv_bytes, kv_report
from sizing.model.parts import Sharding
from sizing.model.quantization.schemes import scheme
from sizing.planning.estimate import estimate
from sizing.step.model import StepModel
from sizing.step.operations import StepShape
from tests.strategies import architectures, configs, machines

BF16 = scheme("bf16")
ENGINES = ("vllm", "sglang", "tensorrt-llm", "vllm-ascend", "mindie")
RATES = ("bf16_flops", "fp8_flops", "int8_flops", "fp4_flops", "memory_bandwidth", "link_bandwidth", "node_bandwidth")
DECODE = StepShape(decode_seqs=16.0, decode_context=4000.0)
MIXED = StepShape(decode_seqs=16.0, decode_context=4000.0, prefill_tokens=1024.0, prefill_seqs=1.0)
few = settings(max_examples=25, deadline=None)


def step(arch: Architecture, machine: MachineRates) -> StepModel:
    """Kernel times alone, without what an engine adds."""
    return StepModel(arch, BF16, machine, kernel_curves(machine.family))


def with_layers(data: dict[str, Any], layers: int) -> dict[str, Any]:
    """The same config with so many layers, lists of layers cut or repeated."""
    changed: dict[str, Any] = {**data, "num_hidden_layers": layers}
    for name in ("layer_types", "compress_ratios", "hybrid_override_pattern"):
        if name in data:
            changed[name] = (data[name] * layers)[:layers]
    return changed


# ---- parameters and cache ----


@few
@given(configs(), st.integers(1, 6))
def test_more_layers_are_more_of_everything(data: dict[str, Any], more: int) -> None:
    layers = int(data["num_hidden_layers"])
    small, large = parse_config(data), parse_config(with_layers(data, layers + more))
    assert large.num_layers > small.num_layers
    assert large.total > small.total
    assert large.active > small.active
    for tokens in (1.0, 5000.0, 200_000.0):
        assert kv_bytes(large, tokens, 2.0) >= kv_bytes(small, tokens, 2.0)
    for name, params in small.components().items():
        assert large.components()[name] >= params


@few
@given(architectures())
def test_counts_are_consistent(arch: Architecture) -> None:
    assert sum(arch.components().values()) == arch.total
    assert 0 < arch.active_without_embeddings <= arch.active_without_input_embedding <= arch.active <= arch.total
    assert len(arch.layer_order) == arch.num_layers == sum(group.count for group in arch.groups)
    report = kv_report(arch, 5000)
    listed: Any = report["layers"]
    assert sum(layer["bytes"] for layer in listed) == pytest.approx(float(str(report["bytes"])))


@few
@given(architectures(), st.integers(1, 300_000), st.integers(0, 300_000))
def test_the_cache_never_shrinks(arch: Architecture, tokens: int, more: int) -> None:
    assert kv_bytes(arch, float(tokens), 2.0) <= kv_bytes(arch, float(tokens + more), 2.0)
    assert kv_bytes(arch, float(tokens), 1.0) <= kv_bytes(arch, float(tokens), 2.0)
    both = kv_bytes(arch, np.array([tokens, tokens + more], dtype=float), 2.0)
    assert np.allclose(both, [kv_bytes(arch, float(tokens), 2.0), kv_bytes(arch, float(tokens + more), 2.0)])


# ---- shards ----


def replicated(arch: Architecture) -> float:
    """Bytes that every rank of a tensor parallel group holds whole."""
    total = 0.0
    for group in arch.groups:
        one = sum(
            linear.params
            for linear in (*group.mixer.linears, *group.feed_forward.linears)
            if linear.sharding is Sharding.REPLICATED
        )
        one += sum(
            linear.out_features  # the bias of a row-split matrix is added once, by every rank's own copy
            for linear in (*group.mixer.linears, *group.feed_forward.linears)
            if linear.sharding is Sharding.ROW and linear.bias
        )
        vectors = (*group.mixer.vectors, *group.feed_forward.vectors, *group.vectors)
        total += group.count * (one + sum(vector.params for vector in vectors if not vector.sharded))
    return 2.0 * (total + sum(vector.params for vector in arch.extra_vectors))


@few
@given(architectures(), st.sampled_from([1, 2, 4, 8]), st.sampled_from([1, 2]))
def test_shards_sum_to_the_model_and_what_is_copied(arch: Architecture, tp: int, pp: int) -> None:
    """KV heads beyond tp are copied, a tied embedding stands on the first and on the last stage."""
    held = sum(
        tp * sum(float(np.asarray(part)) for part in stage_components(arch, BF16, Placement(tp, pp), stage).values())
        for stage in stages(arch, pp)
    )
    copies = (tp - 1) * replicated(arch)
    for group in arch.groups:
        for linear in group.mixer.linears:
            if linear.sharding is Sharding.KV_HEADS and (linear.kv_heads or 1) < tp:
                copies += group.count * 2.0 * linear.params * (tp / (linear.kv_heads or 1) - 1)
    if pp > 1 and arch.tie_word_embeddings:
        copies += 2.0 * arch.embedding
    assert held == pytest.approx(2.0 * arch.total + copies, rel=1e-9)


@few
@given(architectures(), st.sampled_from([1, 2, 4]), st.sampled_from([1, 2, 4, 8]))
def test_experts_are_divided_not_multiplied(arch: Architecture, dp: int, ep: int) -> None:
    if not arch.is_moe or ep > 4 * dp:
        return
    tp = 4
    whole = 2.0 * arch.components()["routed_experts"]
    place = Placement(tp, 1, dp, min(ep, tp * dp))
    parts = stage_components(arch, BF16, place, stages(arch, 1)[0])
    assert float(np.asarray(parts["routed_experts"])) * tp * dp == pytest.approx(whole, rel=1e-9)


# ---- the ledger ----


@few
@given(
    architectures(),
    st.sampled_from(ENGINES),
    st.floats(8e9, 300e9),
    st.floats(0, 100e9),
    st.sampled_from([1, 2]),
    st.integers(256, 60_000),
    st.integers(0, 60_000),
)
def test_more_memory_and_shorter_contexts_hold_no_less(
    arch: Architecture, name: str, memory: float, more: float, tp: int, context: int, longer: int
) -> None:
    engine = get_engine(name)

    def room(size: float, tokens: int) -> tuple[float, float, float]:
        device, place = Device(size, "made-up"), Placement(tp)
        load = resolve_load(engine, device, arch, place, context=tokens, max_num_seqs=64, max_num_batched_tokens=4096,
                            utilization=0.9)  # fmt: skip
        terms = memory_terms(arch, device, place, engine, BF16, load)
        values = [float(terms.pool), float(terms.pool_tokens), float(terms.max_concurrency)]
        assert not any(np.isnan(values))
        return values[0], values[1], values[2]

    base = room(memory, context)
    richer = room(memory + more, context)
    assert all(large >= small * (1 - 1e-9) - 1e-9 for small, large in zip(base, richer, strict=True) if small >= 0)
    assert room(memory, context + longer)[2] <= max(base[2], 0.0) * (1 + 1e-9)


@few
@given(architectures(), st.sampled_from(ENGINES), st.sampled_from([1, 2, 4]))
def test_the_ledger_adds_up(arch: Architecture, name: str, tp: int) -> None:
    ledger = memory_ledger(arch, 640e9, Placement(tp), get_engine(name), BF16, context=8192, max_num_seqs=32,
                           max_num_batched_tokens=4096, utilization=0.9, strict=False)  # fmt: skip
    lines = [line.value for line in ledger.lines if line.name.startswith("weights: ")]
    assert sum(lines) == pytest.approx(ledger.weights_bytes)
    parts = ledger.weights_bytes + ledger.activation_bytes + ledger.runtime_bytes + ledger.kv_pool_bytes
    assert 0 < parts <= ledger.usable_bytes
    assert ledger.fits
    assert ledger.weights_bytes * tp >= 2.0 * (arch.total if not arch.is_moe else 0)


# ---- the step ----


@few
@given(architectures(), machines(), st.sampled_from([1, 2, 8]))
def test_times_are_finite_and_positive(arch: Architecture, machine: MachineRates, tp: int) -> None:
    for shape in (DECODE, MIXED):
        for timed in step(arch, machine).working(shape, Placement(tp)):
            seconds = float(np.asarray(timed.seconds))
            assert np.isfinite(seconds) and seconds >= 0.0, timed.operation.name
        assert float(step(arch, machine).seconds(shape, Placement(tp))) > 0.0


@few
@given(architectures(), machines(), st.sampled_from(RATES), st.floats(1.0, 8.0), st.sampled_from([1, 2, 8]))
def test_a_faster_machine_is_never_slower(
    arch: Architecture, machine: MachineRates, rate: str, factor: float, tp: int
) -> None:
    faster = replace(machine, **{rate: getattr(machine, rate) * factor})
    for shape in (DECODE, MIXED):
        before, after = (float(step(arch, each).seconds(shape, Placement(tp))) for each in (machine, faster))
        assert after <= before * (1 + 1e-9)


@few
@given(architectures(), machines(), st.floats(1.1, 4.0), st.sampled_from([1, 2, 8]))
def test_a_machine_twice_as_fast_takes_half_the_time_and_fixed_latencies(
    arch: Architecture, machine: MachineRates, factor: float, tp: int
) -> None:
    faster = replace(machine, **{name: getattr(machine, name) * factor for name in RATES})
    for shape in (DECODE, MIXED):
        before, after = (float(step(arch, each).seconds(shape, Placement(tp))) for each in (machine, faster))
        assert before / factor * (1 - 1e-9) <= after <= before * (1 + 1e-9)


@few
@given(architectures(), machines(), st.floats(1, 256), st.floats(0, 256), st.floats(1, 60_000), st.floats(0, 60_000))
def test_more_work_never_takes_less_time(
    arch: Architecture, machine: MachineRates, seqs: float, more: float, context: float, longer: float
) -> None:
    model = step(arch, machine)

    def seconds(batch: float, tokens: float, prompt: float = 0.0) -> float:
        shape = StepShape(decode_seqs=batch, decode_context=tokens, prefill_tokens=prompt, prefill_seqs=1.0)
        return float(model.seconds(shape, Placement(2)))

    base = seconds(seqs, context) * (1 - 1e-9)
    assert seconds(seqs + more, context) >= base
    assert seconds(seqs, context + longer) >= base
    assert seconds(seqs, context, 512.0) >= base


@few
@given(configs(), machines(), st.integers(1, 6))
def test_more_layers_never_take_less_time(data: dict[str, Any], machine: MachineRates, more: int) -> None:
    layers = int(data["num_hidden_layers"])
    small, large = parse_config(data), parse_config(with_layers(data, layers + more))
    for shape in (DECODE, MIXED):
        before, after = (float(step(arch, machine).seconds(shape, Placement(2))) for arch in (small, large))
        assert after >= before * (1 - 1e-9)


# ---- money ----


@settings(max_examples=8, deadline=None)
@given(architectures(("dense", "experts", "delta")), st.sampled_from([1, 2, 4]), st.integers(1, 32))
def test_an_hour_costs_the_accelerators_times_their_price(arch: Architecture, tp: int, concurrency: int) -> None:
    """And an hour's tokens cost the hour."""
    got = estimate(arch, "h100-sxm", Placement(tp), input_tokens=512, output_tokens=64, concurrency=concurrency)
    assert got.price is not None and got.usd_per_hour is not None
    assert got.usd_per_hour == pytest.approx(tp * got.price.usd)
    assert got.cost is not None
    spent = 512 * got.cost.usd_per_million_input_tokens + 64 * got.cost.usd_per_million_output_tokens
    assert spent / 1e6 == pytest.approx(got.usd_per_hour / (3600.0 * got.throughput["requests_per_s"].p50), rel=1e-6)
