"""Kernel times: shapes, signs and limits, and published timings within tolerance."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from sizing.coefficients.kernels import FORMATS, MachineRates, effective_format, kernel_curves
from sizing.step.kernels import (
    all_gather_seconds,
    all_reduce_seconds,
    all_to_all_seconds,
    attended_pairs,
    attention_decode_seconds,
    attention_prefill_seconds,
    encoder_attention_seconds,
    expert_exchange_seconds,
    experts_touched,
    gemm_seconds,
    linear_context_seconds,
    linear_generation_seconds,
    mla_decode_seconds,
    mla_prefill_seconds,
    moe_seconds,
    point_to_point_seconds,
    rank_imbalance,
    reduce_scatter_seconds,
)

T = 1e12
A100 = MachineRates("a100", "ampere", 312 * T, 0, 624 * T, 0, 2.039 * T, 108, 300e9, 25e9)
H100 = MachineRates("h100", "hopper", 989 * T, 1979 * T, 1979 * T, 0, 3.35 * T, 132, 450e9, 50e9)
H200 = dataclasses.replace(H100, name="h200", memory_bandwidth=4.8 * T)
B200 = MachineRates("b200", "blackwell", 2250 * T, 4500 * T, 4500 * T, 9000 * T, 7.7 * T, 148, 900e9, 50e9)
L40S = MachineRates("l40s", "ada", 362 * T, 733 * T, 733 * T, 0, 0.864 * T, 142, 31e9, 25e9, fabric="pcie")
NPU = MachineRates("910b", "ascend-910b", 353.9 * T, 0, 707.8 * T, 0, 1.6 * T, 24, 196e9, 25e9, fabric="hccs")
OTHER = dataclasses.replace(H100, name="mi300x", family="cdna3", bf16_flops=1307 * T, memory_bandwidth=5.3 * T)
MACHINES = [A100, H100, H200, B200, L40S, NPU, OTHER]

GRID = np.array([1, 2, 7, 16, 33, 64, 100, 256, 1000, 4096, 16384], float)


def rising(values: np.ndarray) -> bool:
    return bool(np.all(np.diff(values) >= -1e-12) and np.all(values > 0) and np.all(np.isfinite(values)))


@pytest.mark.parametrize("machine", MACHINES, ids=lambda m: m.name)
@pytest.mark.parametrize("fmt", list(FORMATS))
def test_gemm_and_experts_rise_with_every_dimension(machine: MachineRates, fmt: str) -> None:
    for m, n, k in ((GRID, 4096, 4096), (32, GRID * 4, 4096), (32, 4096, GRID * 4)):
        assert rising(gemm_seconds(m, n, k, machine=machine, fmt=fmt))
    assert rising(moe_seconds(GRID, 4096, 1536, 8, 128, machine=machine, fmt=fmt))
    assert rising(moe_seconds(64, GRID * 4, 1536, 8, 128, machine=machine, fmt=fmt))
    assert rising(moe_seconds(64, 4096, GRID, 8, 128, machine=machine, fmt=fmt))


@pytest.mark.parametrize("machine", MACHINES, ids=lambda m: m.name)
def test_attention_rises_with_batch_and_context(machine: MachineRates) -> None:
    for dtype in ("bf16", "fp8"):
        common = {"machine": machine, "dtype": dtype}
        assert rising(attention_prefill_seconds(2, GRID, 0, 32, 8, 128, 128, **common))
        assert rising(attention_prefill_seconds(2, 512, GRID, 32, 8, 128, 128, **common))
        assert rising(attention_prefill_seconds(GRID, 512, 0, 32, 8, 128, 128, **common))
        assert rising(attention_decode_seconds(8, GRID, 32, 8, 128, **common))
        assert rising(attention_decode_seconds(GRID, 1024, 32, 8, 128, **common))
        assert rising(mla_prefill_seconds(2, GRID, 0, 128, **common))
        assert rising(mla_decode_seconds(GRID, 1024, 16, **common))
        assert rising(mla_decode_seconds(8, GRID, 128, **common))
    assert rising(encoder_attention_seconds(4, GRID, 16, 72, machine=machine))
    assert rising(linear_context_seconds(2, GRID, 16, 32, 128, 128, machine=machine))
    assert rising(linear_generation_seconds(GRID, 16, 32, 128, 128, machine=machine))


@pytest.mark.parametrize("machine", MACHINES, ids=lambda m: m.name)
def test_collectives_rise_with_size_and_are_free_alone(machine: MachineRates) -> None:
    sizes = np.geomspace(256, 2**30, 60)
    for f in (all_reduce_seconds, all_gather_seconds, reduce_scatter_seconds, all_to_all_seconds):
        for ranks in (2, 4, 8, 16, 64):
            assert rising(f(sizes, ranks, machine=machine))
        assert np.all(f(sizes, 1, machine=machine) == 0.0)
        # leaving the node never makes it faster (but a host bridge carries less of an exchange)
        if not (machine.fabric == "pcie" and f is all_to_all_seconds):
            assert np.all(f(sizes, 16, machine=machine) >= f(sizes, 8, machine=machine))
    assert rising(point_to_point_seconds(sizes, machine=machine))
    assert rising(point_to_point_seconds(sizes, machine=machine, across_nodes=True))
    for low_latency, ranks in itertools.product((True, False), (2, 8, 16, 64)):
        assert rising(expert_exchange_seconds(GRID, 7168, 8, ranks, machine=machine, low_latency=low_latency))


def test_everything_broadcasts() -> None:
    a, b = np.array([[1.0], [8.0], [64.0]]), np.array([128.0, 1024.0])
    assert gemm_seconds(a, b, 4096, machine=H100).shape == (3, 2)
    assert attention_prefill_seconds(a, b, 0, 32, 8, 128, 128, np.array([0.0, 128.0]), machine=H100).shape == (3, 2)
    assert attention_decode_seconds(a, b, 32, 8, 128, 128, machine=H100).shape == (3, 2)
    assert mla_decode_seconds(a, b, 16, machine=H100).shape == (3, 2)
    assert moe_seconds(a, 4096, 1536, 8, b, 1, np.array([1.0, 8.0]), 1.0, machine=H100).shape == (3, 2)
    assert all_reduce_seconds(a, np.array([2.0, 16.0]), machine=H100).shape == (3, 2)
    assert expert_exchange_seconds(a, 7168, 8, np.array([8.0, 16.0]), machine=H100).shape == (3, 2)
    assert linear_context_seconds(a, b, 16, 32, 128, 128, machine=H100).shape == (3, 2)
    assert np.ndim(gemm_seconds(1, 4096, 4096, machine=H100)) == 0


@pytest.mark.parametrize("change", ["bf16_flops", "fp8_flops", "memory_bandwidth", "link_bandwidth", "node_bandwidth"])
def test_a_faster_machine_is_never_slower(change: str) -> None:
    fast = dataclasses.replace(H100, **{change: 1.5 * getattr(H100, change)})
    for fmt in ("bf16", "fp8", "int4_wo"):
        assert np.all(
            gemm_seconds(GRID, 4096, 4096, machine=fast, fmt=fmt)
            <= gemm_seconds(GRID, 4096, 4096, machine=H100, fmt=fmt)
        )
    for f in (all_reduce_seconds, all_to_all_seconds, all_gather_seconds):
        assert np.all(f(GRID * 1e4, 16, machine=fast) <= f(GRID * 1e4, 16, machine=H100))
    assert np.all(
        attention_decode_seconds(GRID, 4096, 32, 8, 128, machine=fast)
        <= attention_decode_seconds(GRID, 4096, 32, 8, 128, machine=H100)
    )


@pytest.mark.parametrize("machine", MACHINES, ids=lambda m: m.name)
def test_limits_of_efficiency(machine: MachineRates) -> None:
    n = 16384.0
    for fmt in ("bf16", "fp8", "int8", "nvfp4"):
        peak = machine.flops(FORMATS[effective_format(fmt, machine)].compute)
        assert 0.25 < 2 * n**3 / gemm_seconds(n, n, n, machine=machine, fmt=fmt) / peak < 1.0
    streamed = n * n * 2 / gemm_seconds(1, n, n, machine=machine) / machine.memory_bandwidth
    assert 0.5 < streamed < 1.0
    read = 64 * 32768 * 8 * 256 * 2 / attention_decode_seconds(64, 32768, 32, 8, 128, machine=machine)
    assert 0.4 < read / machine.memory_bandwidth < 1.0


def test_pairs_of_causal_and_windowed_attention() -> None:
    def count(new: int, past: int, window: int) -> int:
        return sum(min(past + i, window) if window else past + i for i in range(1, new + 1))

    for new, past, window in itertools.product((1, 5, 130), (0, 3, 200), (0, 4, 128, 1000)):
        assert attended_pairs(new, past, window) == count(new, past, window)


def test_experts_touched_by_a_batch() -> None:
    assert experts_touched(1, 8, 128) == pytest.approx(8)
    assert experts_touched(1e6, 8, 128) == pytest.approx(128)
    n = np.array([2.0, 16.0, 64.0])
    assert np.all(experts_touched(n, 8, 128, 1.0) < experts_touched(n, 8, 128))
    rng = np.random.default_rng(0)
    hits = [len(set(np.concatenate([rng.choice(64, 4, replace=False) for _ in range(20)]))) for _ in range(300)]
    assert experts_touched(20, 4, 64) == pytest.approx(np.mean(hits), rel=0.01)


def test_imbalance_of_expert_parallelism() -> None:
    assert rank_imbalance(1000, 8, 256, 1, 1.0) == 1.0
    ep = np.array([2.0, 8.0, 32.0])
    spread = rank_imbalance(4096, 8, 256, ep, 1.0)
    assert np.all(np.diff(spread) > 0) and np.all(spread <= ep)
    assert np.all(rank_imbalance(4096, 8, 256, ep, 0.0) < spread)


def test_formats_that_the_hardware_lacks_run_weight_only() -> None:
    assert effective_format("fp8", A100) == "int8_wo"
    assert effective_format("nvfp4", H100) == "mxfp4_wo"
    assert effective_format("mxfp4", H100) == "mxfp4_wo"
    assert effective_format("nvfp4", B200) == "nvfp4"
    with pytest.raises(KeyError, match="int3"):
        gemm_seconds(1, 1024, 1024, machine=H100, fmt="int3")


def test_stand_ins_are_named_and_less_certain() -> None:
    curves = kernel_curves("cdna3")
    assert curves.gemm("bf16").sigma > max(kernel_curves(f).gemm("bf16").sigma for f in ("hopper", "blackwell"))
    assert "median" in curves.stand_ins["gemm", "bf16"]
    assert kernel_curves("hopper").gemm("int8").sigma > kernel_curves("hopper").gemm("fp8").sigma


def test_latent_attention_of_a_family_without_a_measurement() -> None:
    curves = kernel_curves("ascend-910b")
    own, hopper = curves.attention("decode"), kernel_curves("hopper").attention("mla_decode")
    assert curves.attention("mla_prefill").compute == curves.attention("prefill").compute
    assert curves.attention("mla_decode").launch_us == own.launch_us
    assert curves.attention("mla_decode").memory == hopper.memory


# Published timings (ai-dynamo/aiconfigurator's tables, summarised by size; vLLM blog; DeepEP's README).


@pytest.mark.parametrize(
    ("machine", "fmt", "m", "tflops"),
    [
        (H100, "bf16", 4096, 776),
        (H100, "bf16", 128, 248),
        (H200, "bf16", 4096, 785),
        (B200, "bf16", 4096, 1544),
        (A100, "bf16", 4096, 268),
        (A100, "int8", 4096, 480),
        (A100, "int4_wo", 4096, 250),
        (L40S, "bf16", 4096, 214),
        (NPU, "bf16", 2048, 300),
        (NPU, "bf16", 64, 74),
        (NPU, "int8", 4096, 511),
    ],
)
def test_published_gemm_rates(machine: MachineRates, fmt: str, m: int, tflops: float) -> None:
    n = 6144.0
    rate = 2 * m * n * n / gemm_seconds(m, n, n, machine=machine, fmt=fmt) / T
    assert rate == pytest.approx(tflops, rel=0.25)


@pytest.mark.parametrize(
    ("machine", "ranks", "size", "microseconds"),
    [
        (H100, 8, 2**17, 7.9),
        (H100, 8, 2**20, 15.0),
        (H100, 8, 2**24, 92),
        (H100, 8, 2**27, 577),
        (H100, 4, 2**20, 12.8),
        (H100, 2, 2**24, 81),
        (A100, 8, 2**20, 22),
        (A100, 8, 2**24, 214),
        (B200, 8, 2**24, 63),
        (L40S, 2, 2**20, 60),
        (L40S, 8, 2**22, 4014),
        (NPU, 8, 2**20, 23),
        (NPU, 16, 2**29, 5318),
        (NPU, 32, 2**16, 29.8),
    ],
)
def test_published_all_reduce_latencies(machine: MachineRates, ranks: int, size: int, microseconds: float) -> None:
    assert all_reduce_seconds(size, ranks, machine=machine) * 1e6 == pytest.approx(microseconds, rel=0.35)


def test_cache_read_of_a_long_context() -> None:
    """Llama 3.1 8B on H100, vLLM 0.19: 43.7 us per 1,000 tokens of context in bf16, 23.7 us in FP8 (32
    layers)."""
    for kv_bytes, dtype, expected in ((2.0, "bf16", 4.37e-8), (1.0, "fp8", 2.37e-8)):
        at = attention_decode_seconds(
            1, np.array([30000.0, 130000.0]), 32, 8, 128, machine=H100, kv_bytes=kv_bytes, dtype=dtype
        )
        assert (at[1] - at[0]) * 32 / 100000 == pytest.approx(expected, rel=0.45)


def test_deepep_low_latency_between_nodes() -> None:
    for ranks, dispatch, combine in ((16, 118, 195), (64, 173, 314), (256, 194, 360)):
        for element, us in ((1.03, dispatch), (2.0, combine)):
            t = expert_exchange_seconds(128, 7168, 8, ranks, machine=H100, element_bytes=element)
            assert t * 1e6 == pytest.approx(us, rel=0.3)
