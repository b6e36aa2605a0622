"""The time of a step: parts equal the whole, and physics goes the right way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sizing.coefficients.kernels import kernel_curves
from sizing.coefficients.serving import serving_coefficients
from sizing.engine.placement import Placement
from sizing.engine.shard import Shards
from sizing.hardware import load_catalog
from sizing.hardware.machine import machine_rates
from sizing.model.quantization.schemes import scheme
from sizing.model.sources import load_model
from sizing.step.model import StepModel
from sizing.step.operations import StepShape, list_operations


def step_model(name: str = "Qwen/Qwen3-32B", weights: str = "bf16", engine: str = "vllm") -> StepModel:
    accelerator, _ = load_catalog().resolve("h100-sxm")
    machine = machine_rates(accelerator)
    overheads = serving_coefficients(engine, machine.family).overheads
    arch = load_model(name, allow_hub=False)
    return StepModel(arch, scheme(weights), machine, kernel_curves(machine.family), overheads)


SHAPES = [
    StepShape(decode_seqs=np.array([1.0, 64.0]), decode_context=2048.0),
    StepShape(prefill_tokens=np.array([256.0, 4096.0])),
    StepShape(decode_seqs=np.array([1.0, 64.0]), decode_context=2048.0, prefill_tokens=1024.0, prefill_past=512.0),
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["Qwen/Qwen3-32B", "Qwen/Qwen3-30B-A3B", "deepseek-ai/DeepSeek-V3"])
def test_parts_equal_the_whole(shape: StepShape, name: str) -> None:
    model = step_model(name)
    place = Placement(tp=np.array([4.0, 8.0]), ep=np.array([1.0, 8.0]))
    whole = model.seconds(shape, place)
    np.testing.assert_allclose(model.parts(shape, place).seconds(model.overheads), whole, rtol=1e-9)
    np.testing.assert_allclose(sum(item.seconds for item in model.working(shape, place)), whole, rtol=1e-12)


def test_decode_reads_the_weights() -> None:
    """64 GB of BF16 weights on one H100 at 3.35 TB/s take 19 ms at the least; overheads less than double that."""
    seconds = float(step_model().seconds(StepShape(decode_seqs=1.0, decode_context=1.0), Placement()))
    assert 0.0185 < seconds < 0.035


def test_monotone_in_batch_and_context() -> None:
    model, batch = step_model(), np.arange(1.0, 257.0)
    by_batch = model.seconds(StepShape(decode_seqs=batch, decode_context=4096.0), Placement(tp=4))
    by_context = model.seconds(StepShape(decode_seqs=8.0, decode_context=batch * 512), Placement(tp=4))
    assert np.all(np.diff(by_batch) > -1e-9)
    assert np.all(np.diff(by_context) > 0)


def test_a_faster_machine_is_never_slower() -> None:
    model = step_model()
    faster = replace(model, machine=replace(model.machine, memory_bandwidth=model.machine.memory_bandwidth * 1.5))
    for shape in SHAPES:
        assert np.all(faster.seconds(shape, Placement(tp=2)) <= model.seconds(shape, Placement(tp=2)))


def test_compressed_attention_reads_its_window_and_the_picked_entries() -> None:
    """V4-Flash at 100,000 tokens: 128 of the window beside 512 picked of 25,000 entries, or all of 781."""
    arch = load_model("deepseek-ai/DeepSeek-V4-Flash")
    shape = StepShape(decode_seqs=1.0, decode_context=100_000.0)
    reads = {
        (op.core.compress_ratio, bool(op.core.topk_tokens)): float(op.args["context"])
        for op in list_operations(arch, shape, Placement(), Shards(scheme("fp8_block")))
        if op.core is not None
    }
    assert reads[4, True] == 128 + 512
    assert reads[128, False] == pytest.approx(128 + 100_000 / 128)


def test_sparse_prefill_far_in_is_cheaper_than_full_and_index_keys_are_shared() -> None:
    arch = load_model("deepseek-ai/DeepSeek-V3.2")
    full = replace(
        arch,
        groups=tuple(
            replace(g, mixer=replace(g.mixer, core=replace(g.mixer.core, topk_tokens=None))) for g in arch.groups
        ),
    )
    shape = StepShape(prefill_tokens=8192.0, prefill_past=100_000.0)
    machine = machine_rates(load_catalog().resolve("h200-sxm")[0])
    sparse_s, full_s = (
        float(StepModel(a, scheme("fp8_block"), machine, kernel_curves("hopper")).seconds(shape, Placement(tp=8)))
        for a in (arch, full)
    )
    assert sparse_s < 0.7 * full_s
    pooled = load_model("zai-org/GLM-5.3-Flash")
    assert {g.mixer.core.index_ratio for g in pooled.groups if g.mixer.core.index_heads} == {4}
