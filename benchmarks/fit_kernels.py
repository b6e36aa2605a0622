"""Refit the kernel coefficients from published measurements and write sizing/evidence/kernels.yaml.

    python benchmarks/fit_kernels.py [--shared ../shared] [--out sizing/evidence/kernels.yaml] [--quick]

The measurements (``measurements/kernels``) are not part of this repository; SIZING_SHARED names their
directory too. Prints residuals by operation, system and dtype, and the errors on systems and engines that a
fit did not see.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from scipy.optimize import least_squares

from sizing.kernels import (
    AttentionCurve,
    CollectiveCurve,
    DispatchCurve,
    GemmCurve,
    KernelCurves,
    LinearAttentionCurve,
    MachineRates,
    MoeCurve,
    all_gather_seconds,
    all_reduce_seconds,
    all_to_all_seconds,
    attention_decode_seconds,
    attention_prefill_seconds,
    encoder_attention_seconds,
    expert_exchange_seconds,
    gemm_seconds,
    grouped_gemm_seconds,
    linear_context_seconds,
    linear_generation_seconds,
    mla_decode_seconds,
    mla_prefill_seconds,
)

T = 1e12
MACHINES = {
    "a100_sxm": MachineRates("a100_sxm", "ampere", 312 * T, 0, 624 * T, 0, 2.039 * T, 108, 300e9, 25e9),
    "h100_sxm": MachineRates("h100_sxm", "hopper", 989 * T, 1979 * T, 1979 * T, 0, 3.35 * T, 132, 450e9, 50e9),
    "h200_sxm": MachineRates("h200_sxm", "hopper", 989 * T, 1979 * T, 1979 * T, 0, 4.8 * T, 132, 450e9, 50e9),
    "l40s": MachineRates("l40s", "ada", 362.05 * T, 733 * T, 733 * T, 0, 0.864 * T, 142, 31e9, 25e9, fabric="pcie"),
    "b200_sxm": MachineRates(
        "b200_sxm",
        "blackwell",
        2250 * T,
        4500 * T,
        4500 * T,
        9000 * T,
        7.7 * T,
        148,
        900e9,
        50e9,
    ),
    "ascend_910b": MachineRates(
        "ascend_910b",
        "ascend-910b",
        353.9 * T,
        0,
        707.8 * T,
        0,
        1.6 * T,
        24,
        196e9,
        25e9,
        fabric="hccs",
    ),
}

Frame = pd.DataFrame
Predict = Callable[[MachineRates, Frame, KernelCurves], Any]


@dataclass
class Problem:
    """One curve to fit: rows of one family and key, a prediction, a start and what the fit may move."""

    operation: str
    key: str
    rows: Frame  # with columns system, engine, us, w
    predict: Predict
    start: Any
    free: dict[str, tuple[float, float]]
    source: str
    note: str = ""
    stats: dict[str, Any] = field(default_factory=dict)

    @property
    def family(self) -> str:
        return MACHINES[str(self.rows.system.iloc[0])].family


def blocks(frame: Frame, size: int) -> Frame:
    """Number the runs of ``size`` rows of each system and engine: the files hold one dtype after the
    other."""
    frame["block"] = frame.groupby(["system", "engine"], sort=False).cumcount() // size
    return frame


def resident(frame: Frame, data: Any) -> Any:
    """Rows whose data stay in L2 between repetitions, which in a model they would not (seen on L40S, 96
    MB)."""
    return (frame.system == "l40s") & (data < 96e6) & (data > 1e6)


def families_of(frame: Frame) -> Any:
    return frame.system.map({s: m.family for s, m in MACHINES.items()})


# ---------------------------------------------------------------- fitting


def predict_us(problem: Problem, rows: Frame, curve: Any, base: KernelCurves | None = None) -> np.ndarray:
    out = np.empty(len(rows))
    for system, index in rows.groupby("system", sort=False).indices.items():
        machine = MACHINES[str(system)]
        curves = base or KernelCurves(machine.family, "fit", {}).override(problem.operation, problem.key, curve)
        out[index] = problem.predict(machine, rows.iloc[index], curves) * 1e6
    return out


def fit(problem: Problem, rows: Frame | None = None) -> Any:
    rows = problem.rows if rows is None else rows
    rows = rows[rows.w > 0]
    if len(rows) > 12000:
        rows = rows.sample(12000, random_state=1)
    names = list(problem.free)
    low = np.log([problem.free[n][0] for n in names])
    high = np.log([problem.free[n][1] for n in names])
    x0 = np.clip(np.log([getattr(problem.start, n) for n in names]), low + 1e-6, high - 1e-6)
    y, w = np.log(rows.us.to_numpy()), np.sqrt(rows.w.to_numpy())

    def residuals(x: np.ndarray) -> np.ndarray:
        curve = replace(problem.start, **dict(zip(names, np.exp(x), strict=True)))
        return w * (np.log(predict_us(problem, rows, curve)) - y)

    best = least_squares(residuals, x0, bounds=(low, high), loss="soft_l1", f_scale=0.1, max_nfev=200)
    return replace(problem.start, **dict(zip(names, np.exp(best.x), strict=True)))


def errors(problem: Problem, rows: Frame, curve: Any, base: KernelCurves | None = None) -> np.ndarray:
    return np.log(predict_us(problem, rows, curve, base) / rows.us.to_numpy())


def describe(e: np.ndarray) -> dict[str, float]:
    a = np.abs(e)
    return {
        "rows": len(e),
        "median": round(float(np.median(a)), 3),
        "p90": round(float(np.quantile(a, 0.9)), 3),
        "bias": round(float(np.median(e)), 3),
    }


# ---------------------------------------------------------------- GEMM

GEMM_FORMATS = {
    ("a100_sxm", "vllm"): ["bf16"],
    ("a100_sxm", "sglang"): ["bf16"],
    ("a100_sxm", "trtllm"): ["bf16", "int4_wo", "int8_wo", "int8"],
    ("l40s", "sglang"): ["bf16", "fp8"],
}
GEMM_DEFAULT = ["bf16", "fp8", "fp8_block", "nvfp4"]


def gemm_problems(root: Path) -> list[Problem]:
    d = blocks(pd.read_csv(root / "gemm.csv.gz"), 2500)
    d["fmt"] = [GEMM_FORMATS.get((s, e), GEMM_DEFAULT)[b] for s, e, b in zip(d.system, d.engine, d.block, strict=True)]
    parts = [d.rename(columns={"latency_us": "us"})[["system", "engine", "fmt", "m", "n", "k", "us"]]]
    for name, fmt in (("MatMulV2", "bf16"), ("QuantBatchMatmulV3", "int8")):
        a = pd.read_csv(root / "ascend_910b" / f"{name}.csv")
        left = a["Input Shapes"].str.split(";", expand=True)[0].str.split(",", expand=True).astype(int)
        n = a["Output Shapes"].str.split(",", expand=True)[1].astype(int)
        parts.append(
            pd.DataFrame(
                {
                    "system": "ascend_910b",
                    "engine": "vllm-ascend",
                    "fmt": fmt,
                    "m": left[0],
                    "n": n,
                    "k": left[1],
                }
            ).assign(us=a["Average Duration(us)"])
        )
    d = pd.concat(parts, ignore_index=True)
    # Set aside: DeepGEMM through vLLM's wrapper, run eagerly, has a floor of 60 to 340 us (the host's); the
    # same kernel in SGLang on B200 13 us; TensorRT-LLM's fp8 path quantises in separate kernels (13 us
    # floor).
    d = d[~((d.engine == "vllm") & (d.fmt == "fp8_block"))]
    d = d[~((d.engine == "sglang") & (d.fmt == "fp8_block") & (d.system == "b200_sxm"))]
    d = d[~((d.engine == "trtllm") & (d.fmt == "fp8"))]
    d["w"] = np.where((d.n >= 512) & (d.k >= 512) & (d.n <= 40000) & (d.k <= 40000), 1.0, 0.1)
    bytes_per = {"bf16": 2.0}
    weights = d.n * d.k * d.fmt.map(bytes_per).fillna(1.0)
    d.loc[resident(d, weights), "w"] = 0.0

    def problem(fmt: str, rows: Frame) -> Problem:
        free = {"launch_us": (0.5, 60), "compute": (0.1, 0.98), "memory": (0.2, 0.98), "tail": (0.003, 2.0)}
        quantises = fmt in ("fp8", "fp8_block", "int8", "nvfp4")
        if quantises:
            free["quant_bytes"] = (0.05, 20.0)
        start = GemmCurve(4.0, 0.7, 0.8, 0.1, 3.0 if quantises else 0.0)

        def predict(machine: MachineRates, r: Frame, curves: KernelCurves) -> Any:
            return gemm_seconds(r.m, r.n, r.k, machine=machine, fmt=fmt, curves=curves)

        files = "MatMulV2.csv, QuantBatchMatmulV3.csv" if rows.system.iloc[0] == "ascend_910b" else "gemm.csv.gz"
        return Problem("gemm", fmt, rows.reset_index(drop=True), predict, start, free, files)

    families = families_of(d)
    return [problem(str(fmt), rows) for (_, fmt), rows in d.groupby([families, "fmt"])]


# ---------------------------------------------------------------- attention


def attention_dtype(frame: Frame, size: int) -> Frame:
    """bf16 is the first block of a system and engine; where there are several the last is FP8."""
    frame = blocks(frame, 1)
    count = frame.groupby(["system", "engine"])["block"].transform("max") + 1
    frame["dtype"] = np.where(frame.block < size, "bf16", np.where(frame.block >= count - size, "fp8", "other"))
    return frame[frame.dtype != "other"]


def ascend_attention(root: Path, name: str) -> Frame:
    a = pd.read_csv(root / "ascend_910b" / f"{name}.csv")
    kv = np.where(a["Num KV Heads"] > 0, a["Num KV Heads"], a["Num Heads"])
    return pd.DataFrame(
        {
            "system": "ascend_910b",
            "engine": "vllm-ascend",
            "kernel_source": name,
            "batch_size": a["Batch"],
            "isl": a["Seq Len"],
            "num_heads": a["Num Heads"],
            "num_key_value_heads": kv,
            "head_dim": a["Head Size"],
            "step": 0,
            "latency_us": a["Average Duration(us)"],
            "window_size": 0.0,
            "dtype": "bf16",
        }
    )


def attention_problems(root: Path) -> list[Problem]:
    out: list[Problem] = []
    for operation, name, ascend in (
        ("prefill", "context_attention", "FusedInferAttentionScore"),
        ("decode", "generation_attention", "FusedInferAttentionScore_Decode"),
    ):
        d = attention_dtype(pd.read_csv(root / f"{name}.csv.gz"), 1500)
        d = pd.concat([d, ascend_attention(root, ascend)], ignore_index=True)
        d["window_size"] = d.window_size.fillna(0.0)
        d["us"] = d.latency_us
        d["w"] = 1.0
        # Triton is the fallback of engines for odd head dims; good servers use the vendor's or
        # FlashAttention.
        d.loc[d.kernel_source.isin(["triton", "vllm_triton_attn"]), "w"] = 0.0
        d.loc[d.kernel_source.str.contains("decode") & (operation == "prefill"), "w"] = 0.0
        if operation == "prefill":
            d.loc[d.isl < 32, "w"] *= 0.2
        else:
            seen = np.where(d.window_size > 0, np.minimum(d.window_size, d.isl + d.step), d.isl + d.step)
            cache = d.batch_size * seen * d.num_key_value_heads * d.head_dim * np.where(d.dtype == "fp8", 2.0, 4.0)
            d.loc[resident(d, cache), "w"] = 0.0
            d.loc[d.isl + d.step < 64, "w"] *= 0.2  # hardly ever met in serving, and all set-up
        d.loc[~d.head_dim.isin([64, 128, 256]), "w"] *= 0.3
        for (dtype, family), rows in d.groupby(["dtype", families_of(d)]):
            rows = rows.reset_index(drop=True)
            fp8 = dtype == "fp8"

            def predict(
                machine: MachineRates,
                r: Frame,
                curves: KernelCurves,
                operation: str = operation,
                dtype: str = str(dtype),
                fp8: bool = fp8,
            ) -> Any:
                common = {
                    "machine": machine,
                    "curves": curves,
                    "dtype": dtype,
                    "kv_bytes": 1.0 if fp8 else 2.0,
                }
                dims, window = r.head_dim.to_numpy(float), r.window_size.to_numpy()
                if operation == "prefill":
                    return attention_prefill_seconds(
                        r.batch_size,
                        r.isl,
                        r.step,
                        r.num_heads,
                        r.num_key_value_heads,
                        dims,
                        dims,
                        window,
                        **common,
                    )
                context = r.isl + (r.step if machine.family != "ascend-910b" else 0)
                return attention_decode_seconds(
                    r.batch_size, context, r.num_heads, r.num_key_value_heads, dims, window, **common
                )

            start = AttentionCurve(6.0, 0.6, 0.8, 0.02)
            start = replace(start, **({"softmax_dims": 40.0} if operation == "prefill" else {"pad_tokens": 50.0}))
            free = {"launch_us": (0.5, 100.0), "compute": (0.02, 1.0), "tail": (1e-5, 1.0)}
            if operation == "prefill":
                free |= {"softmax_dims": (1.0, 800.0), "memory": (0.1, 0.97)}
            else:
                free |= {"memory": (0.1, 0.97), "pad_tokens": (0.1, 2000.0)}
            files = f"{ascend}.csv" if family == "ascend-910b" else f"{name}.csv.gz"
            out.append(Problem(operation, str(dtype), rows, predict, start, free, files))
    return out


def mla_problems(root: Path) -> list[Problem]:
    out: list[Problem] = []
    for operation, name in (("mla_prefill", "context_mla"), ("mla_decode", "generation_mla")):
        d = pd.read_csv(root / f"{name}.csv.gz")
        d["us"], d["w"] = d.latency_us, 1.0
        d["dtype"] = np.where(d.kv_cache_dtype == "fp8", "fp8", "bf16")
        # Set aside: vLLM 0.14 rows were run eagerly (floor 100 to 300 us, the host's); SGLang's prefill on
        # Hopper is the absorbed form (four times the FLOPs) and its FP8 decode there converts the cache first
        # (a tenth of the bandwidth); Triton on L40S; FP8 on Ampere, which has none (rows equal bf16's).
        d.loc[d.engine == "vllm", "w"] = 0.0
        hopper = d.system.isin(["h100_sxm", "h200_sxm"])
        d.loc[hopper & (d.engine == "sglang") & ((operation == "mla_prefill") | (d.dtype == "fp8")), "w"] = 0.0
        d.loc[d.kernel_source == "triton", "w"] = 0.0
        d = d[~((d.dtype == "fp8") & d.system.isin(["a100_sxm", "l40s"]))]
        if operation == "mla_decode":
            d.loc[resident(d, d.batch_size * (d.isl + d.step) * 576.0 * np.where(d.dtype == "fp8", 1, 2)), "w"] = 0.0
        for (dtype, _), rows in d.groupby(["dtype", families_of(d)]):
            rows = rows.reset_index(drop=True)

            def predict(
                machine: MachineRates,
                r: Frame,
                curves: KernelCurves,
                operation: str = operation,
                dtype: str = str(dtype),
            ) -> Any:
                if operation == "mla_prefill":
                    return mla_prefill_seconds(
                        r.batch_size, r.isl, r.step, r.num_heads, machine=machine, dtype=dtype, curves=curves
                    )
                return mla_decode_seconds(
                    r.batch_size,
                    r.isl + r.step,
                    r.num_heads,
                    machine=machine,
                    kv_bytes=1.0 if dtype == "fp8" else 2.0,
                    dtype=dtype,
                    curves=curves,
                )

            start = AttentionCurve(8.0, 0.5, 0.8, 0.02)
            extra = {"softmax_dims": 40.0} if operation == "mla_prefill" else {"pad_tokens": 50.0}
            start = replace(start, **extra)
            free = {"launch_us": (0.5, 400.0), "compute": (0.02, 1.0), "tail": (1e-5, 1.0)}
            if operation == "mla_prefill":
                free |= {"softmax_dims": (1.0, 800.0), "memory": (0.1, 0.97)}
            else:
                free |= {"memory": (0.1, 0.97), "pad_tokens": (0.1, 2000.0)}
            out.append(Problem(operation, str(dtype), rows, predict, start, free, f"{name}.csv.gz"))
    return out


def encoder_problems(root: Path) -> list[Problem]:
    d = pd.read_csv(root / "encoder_attention.csv.gz")
    d["us"] = d.latency_us
    d["w"] = np.where(d.kernel_source == "triton", 0.0, 1.0)
    out = []
    for _, rows in d.groupby(families_of(d)):

        def predict(machine: MachineRates, r: Frame, curves: KernelCurves) -> Any:
            return encoder_attention_seconds(
                r.batch_size, r.isl, r.num_heads, r.head_dim.to_numpy(float), machine=machine, curves=curves
            )

        free = {
            "launch_us": (0.5, 60.0),
            "compute": (0.05, 1.0),
            "tail": (1e-5, 1.0),
            "softmax_dims": (1.0, 800.0),
        }
        start = AttentionCurve(6.0, 0.6, 0.8, 0.02, 40.0)
        out.append(
            Problem(
                "encoder",
                "bf16",
                rows.reset_index(drop=True),
                predict,
                start,
                free,
                "encoder_attention.csv.gz",
            )
        )
    return out


# ---------------------------------------------------------------- linear attention


def linear_problems(root: Path) -> list[Problem]:
    d = pd.read_csv(root / "gated_delta_net.csv.gz")
    keys = ["system", "engine", "phase", "batch_size", "seq_len", "num_k_heads", "num_v_heads"]
    d["part"] = np.where(d.kernel_source.str.startswith("causal_conv"), "conv", "update")
    d = d.groupby([*keys, "part"]).latency_us.median().unstack("part").dropna().reset_index()
    d["us"], d["w"] = d["conv"] + d["update"], 1.0
    d.loc[(d.phase == "context") & (d.seq_len < 64), "w"] = 0.1
    state = d.batch_size * d.num_v_heads * (128.0 * 128.0 * 4.0)
    d.loc[(d.phase == "generation") & resident(d, state), "w"] = 0.0
    out = []
    for (phase, _), rows in d.groupby(["phase", families_of(d)]):
        context = phase == "context"

        def predict(machine: MachineRates, r: Frame, curves: KernelCurves, context: bool = context) -> Any:
            heads = (r.num_k_heads.to_numpy(), r.num_v_heads.to_numpy(), 128.0, 128.0)
            if context:
                return linear_context_seconds(r.batch_size, r.seq_len, *heads, machine=machine, curves=curves)
            return linear_generation_seconds(r.batch_size, *heads, machine=machine, curves=curves)

        start = LinearAttentionCurve(20.0, 0.3, 0.6, 0.5 if context else 0.0)
        free = {"launch_us": (1.0, 300.0), "memory": (0.02, 1.0)}
        if context:
            free |= {"chunk_us": (0.001, 20.0), "compute": (0.01, 1.0)}
        name = "linear_context" if context else "linear_generation"
        source = "gated_delta_net.csv.gz"
        out.append(Problem(name, "bf16", rows.reset_index(drop=True), predict, start, free, source))
    return out


# ---------------------------------------------------------------- experts


@cache
def routed(tokens: int, topk: int, experts: int, ep: int, distribution: str) -> tuple[float, float]:
    """Rows and touched experts of the busiest rank under the benchmark's own routing generator (mean of 12
    draws).

    Power law: loads drawn from x^-alpha between 1 and 0.8 n (0.01 and 2 when rows are fewer than experts),
    scaled to n k rows and rounded; the busiest rank is the one measured. Balanced: rows dealt round.
    """
    local = max(experts // ep, 1)
    rows = tokens * topk
    if distribution == "balanced":
        return rows / ep, min(local, max(rows / ep, 1.0))
    alpha = float(distribution.rsplit("_", 1)[1])
    low, high = (1.0, max(tokens * 0.8, 1.01)) if rows > experts else (0.01, 2.0)
    rng = np.random.default_rng(tokens * 1009 + topk * 31 + experts * 7 + ep)
    u = rng.random((12, experts))
    power = 1.0 - alpha
    x = (low**power + u * (high**power - low**power)) ** (1.0 / power)
    x *= rows / x.sum(axis=1, keepdims=True)
    x = np.minimum(np.round(x), tokens)
    per_rank = x[:, : local * ep].reshape(12, ep, local)
    busiest = per_rank.sum(axis=2).argmax(axis=1)
    mine = per_rank[np.arange(12), busiest]
    return float(max(mine.sum(axis=1).mean(), 1e-3)), float(max((mine > 0).sum(axis=1).mean(), 1e-3))


def moe_format(system: str, engine: str, block: int, kernel: str) -> str:
    """The format of a row: one dtype after the other in blocks of 2,500, confirmed by kernel names and rates.

    "" where it can't be told (SGLang's first and last Triton blocks, TensorRT-LLM's W4A8 and its B200 block).
    """
    for part, fmt in (
        ("wna16", "int4_wo"),
        ("sglang_marlin_moe", "int4_wo"),
        ("mxfp4_mxfp8", "mxfp4"),
        ("sglang_mxfp4_flashinfer", "mxfp4"),
        ("gptossmxfp4", "mxfp4_wo"),
        ("w4a4mxfp4moe_marlin", "mxfp4_wo"),
        ("nvfp4", "nvfp4"),
        ("unquantized", "bf16"),
        ("vllm_fused_moe", "bf16"),
        ("modeloptfp8", "fp8"),
        ("vllm_fp8moe", "fp8_block"),
    ):
        if part in kernel:
            return fmt
    if engine == "trtllm":
        if system == "b200_sxm":
            return ""
        return ("bf16", "fp8", "fp8_block", "")[block]
    if system == "a100_sxm":
        return "bf16"
    if system == "b200_sxm":
        return {3: "nvfp4"}.get(block, "")
    return "fp8_block" if block == 1 else ""


def moe_problems(root: Path) -> list[Problem]:
    d = blocks(pd.read_csv(root / "moe.csv.gz"), 2500)
    names = zip(d.system, d.engine, d.block, d.kernel_source, strict=True)
    d["fmt"] = [moe_format(s, e, b, k) for s, e, b, k in names]
    d = d[d.fmt != ""]
    # FlashInfer's per-tensor fp8 on Hopper reads weights at a fifth of the bandwidth: nobody's choice.
    slow = d.kernel_source.str.contains("modeloptfp8moe_flashinfer_cutlass") & (d.system != "b200_sxm")
    d = d[~slow]
    d["matrices"] = np.where(d.kernel_source.str.contains("nongated"), 2.0, 3.0)
    # Nemotron's experts have two matrices; whether vLLM's and SGLang's rows do is not stated.
    nemotron = (d.topk == 22) | (d.hidden_size == 2688)
    d = d[~nemotron | d.kernel_source.str.contains("nongated")]
    cases = zip(d.num_tokens, d.topk, d.num_experts, d.moe_ep_size, d.distribution, strict=True)
    pairs = [routed(int(n), int(k), int(e), int(p), str(x)) for n, k, e, p, x in cases]
    d["rows"], d["touched"] = np.array(pairs).T
    d["us"] = d.latency_us
    d["w"] = np.where(d.inter_size / d.moe_tp_size >= 96, 1.0, 0.2) * np.where(d.rows < 0.5, 0.1, 1.0)
    # Wide expert parallelism without dispatch: the kernel walks all ranks' rows. Dispatched ranks don't.
    everyone = d.num_tokens * d.topk
    d.loc[(everyone > 4 * d.rows) & (everyone > 1024), "w"] *= 0.1
    weight_bytes = d.touched * d.matrices * d.hidden_size * d.inter_size / d.moe_tp_size * 0.5
    d.loc[resident(d, weight_bytes), "w"] = 0.0
    kept = ["system", "engine", "fmt", "rows", "touched", "hidden_size", "inter_size", "moe_tp_size"]
    parts = [d[[*kept, "matrices", "num_tokens", "us", "w"]]]
    for name, fmt in (("GroupedMatmul_MoE_BF16", "bf16"), ("GroupedMatmul_MoE_W8A8", "int8")):
        parts.append(ascend_moe(root, name, fmt))
    d = pd.concat(parts, ignore_index=True)
    out = []
    for (fmt, family), rows in d.groupby(["fmt", families_of(d)]):

        def predict(machine: MachineRates, r: Frame, curves: KernelCurves, fmt: str = str(fmt)) -> Any:
            return grouped_gemm_seconds(
                r.rows,
                r.touched,
                r.hidden_size,
                r.inter_size / r.moe_tp_size,
                machine=machine,
                fmt=fmt,
                matrices=r.matrices.to_numpy(),
                curves=curves,
            )

        start = MoeCurve(15.0, 0.4, 0.7, 0.1, 16.0, 6.0)
        free = {
            "launch_us": (5.0, 200.0),
            "compute": (0.05, 0.95),
            "memory": (0.1, 0.97),
            "tail": (0.002, 2.0),
            "pad_tokens": (0.5, 128.0),
            "traffic_bytes": (0.1, 100.0),
        }
        source = "GroupedMatmul_MoE_*.csv" if family == "ascend-910b" else "moe.csv.gz"
        out.append(Problem("moe", str(fmt), rows.reset_index(drop=True), predict, start, free, source))
    return out


def ascend_moe(root: Path, name: str, fmt: str) -> Frame:
    a = pd.read_csv(root / "ascend_910b" / f"{name}.csv")
    n, k, ep = a["Num Tokens"].astype(float), a["TopK"], a["EP Size"]
    experts = a["Local Experts"] * ep
    # Input Shapes show tokens, the time is that of n k / EP rows through both products (bytes over time says
    # so).
    return pd.DataFrame(
        {
            "system": "ascend_910b",
            "engine": "vllm-ascend",
            "fmt": fmt,
            "rows": n * k / ep,
            "touched": np.minimum(a["Local Experts"] * (1.0 - (1.0 - k / experts) ** n), n * k / ep),
            "hidden_size": a["Hidden Size"],
            "inter_size": a["Intermediate Size"],
            "moe_tp_size": 1,
            "matrices": 3.0,
            "num_tokens": n,
            "us": a["Average Duration(us)"],
            "w": np.where(n * k / ep < 4, 0.2, 1.0),
        }
    )


# ---------------------------------------------------------------- collectives


def collective_problems(root: Path) -> list[Problem]:
    a = pd.read_csv(root / "custom_allreduce.csv.gz")
    a = a[~a.kernel_source.str.contains("eager")]
    a = pd.DataFrame({"system": a.system, "engine": a.engine, "op": "all_reduce", "ranks": a.num_gpus}).assign(
        bytes=a.message_size * 2.0, us=a.latency_us
    )
    n = pd.read_csv(root / "nccl.csv.gz")
    order = n.groupby(["system", "nccl_dtype", "num_gpus", "message_size"], sort=False).cumcount()
    n["op"] = order.map(dict(enumerate(("all_gather", "all_to_all", "reduce_scatter", "all_reduce"))))
    width = np.where(n.nccl_dtype == "int8", 1.0, 2.0)
    n = pd.DataFrame({"system": n.system, "engine": "nccl", "op": n.op, "ranks": n.num_gpus}).assign(
        bytes=n.message_size * width, us=n.latency_us
    )
    h = pd.read_csv(root / "ascend_910b" / "hccl_all_reduce.csv")
    h = pd.DataFrame({"system": "ascend_910b", "engine": "hccl", "op": "all_reduce", "ranks": h.n_accelerators}).assign(
        bytes=h.message_bytes.astype(float), us=h.latency_us
    )
    d = pd.concat([a, n, h], ignore_index=True)
    # The fastest implementation of a size is the one that engines choose; repeated outliers go with the
    # median.
    d = d.groupby(["system", "op", "ranks", "bytes", "engine"], as_index=False).us.median()
    d = d.groupby(["system", "op", "ranks", "bytes"], as_index=False).us.min()
    d["engine"], d["w"] = "best", 1.0
    d.loc[d.op != "all_reduce", "w"] = 0.5
    d.loc[d.bytes > 3e8, "w"] = 0.3
    out = []
    for _, rows in d.groupby(families_of(d)):
        machine0 = MACHINES[str(rows.system.iloc[0])]

        def predict(machine: MachineRates, r: Frame, curves: KernelCurves) -> Any:
            result = np.empty(len(r))
            for op, function in (
                ("all_reduce", all_reduce_seconds),
                ("all_to_all", all_to_all_seconds),
                ("all_gather", all_gather_seconds),
                ("reduce_scatter", all_gather_seconds),
            ):
                at = (r.op == op).to_numpy()
                result[at] = function(r.bytes[at], r.ranks[at], machine=machine, curves=curves)
            return result

        start = CollectiveCurve(3.0, 0.2, 0.6, 6.0, 0.3, 0.6, 0.1, 4.0, 0.8, 0.7, 5.0, 0.5, 0.7, 0.0, 15.0, 0.8)
        free = {
            "one_shot_us": (0.5, 30.0),
            "one_shot_rank_us": (0.01, 10.0),
            "one_shot_rate": (0.05, 1.2),
            "two_shot_us": (0.5, 120.0),
            "two_shot_rank_us": (0.01, 20.0),
            "two_shot_rate": (0.05, 1.2),
            "rank_gain": (0.001, 1.0),
        }
        if machine0.fabric != "hccs":
            for op in ("gather", "exchange"):
                free |= {f"{op}_us": (0.2, 60.0), f"{op}_rank_us": (0.01, 20.0), f"{op}_rate": (0.05, 1.2)}
        if machine0.fabric == "pcie":
            start = replace(start, shared_rate=0.5, rank_gain=0.0)
            free["shared_rate"] = (0.05, 4.0)
            del free["rank_gain"]
        if machine0.fabric == "hccs":
            free |= {"inter_us": (1.0, 100.0), "inter_rate": (0.1, 1.5)}
        source = "hccl_all_reduce.csv" if machine0.fabric == "hccs" else "custom_allreduce.csv.gz, nccl.csv.gz"
        note = (
            ""
            if machine0.fabric == "hccs"
            else "inter_us and inter_rate are assumed (no measurement between nodes in these files)"
        )
        out.append(
            Problem("collective", machine0.fabric, rows.reset_index(drop=True), predict, start, free, source, note)
        )
    return out


def dispatch_problems(root: Path) -> list[Problem]:
    low = pd.read_csv(root / "deepep_low_latency.csv.gz")
    normal = pd.read_csv(root / "deepep_normal.csv.gz")
    normal = normal[normal.dispatch_sms.isin([20, 24]) & (normal.num_token <= 32768)]
    parts = []
    for d, mode, names in (
        (low, True, ("dispatch_avg_t_us", "combine_avg_t_us")),
        (normal, False, ("dispatch_transmit_us", "combine_transmit_us")),
    ):
        for name, element in zip(names, (1.03, 2.0), strict=True):
            parts.append(
                pd.DataFrame(
                    {
                        "system": d.system,
                        "engine": "sglang",
                        "mode": mode,
                        "tokens": d.num_token,
                        "hidden": d.hidden_size,
                        "topk": d.num_topk,
                        "element": element,
                        "us": d[name],
                        "w": 1.0,
                        "ranks": 8,
                    }
                )
            )
    d = pd.concat(parts, ignore_index=True)
    # Published by DeepSeek for H800 with ConnectX-7 (128 tokens, hidden 7168, top-8): between nodes.
    published = [(16, 118, 195), (32, 155, 273), (64, 173, 314), (128, 192, 369), (256, 194, 360)]
    extra = [
        ("h100_sxm", "published", True, 128, 7168, 8, element, us, 20.0, ranks)
        for ranks, one, two in published
        for element, us in ((1.03, one), (2.0, two))
    ]
    d = pd.concat([d, pd.DataFrame(extra, columns=list(d.columns))], ignore_index=True)
    out = []
    for family, rows in d.groupby(families_of(d)):

        def predict(machine: MachineRates, r: Frame, curves: KernelCurves) -> Any:
            result = np.empty(len(r))
            for mode in (True, False):
                at = (r["mode"] == mode).to_numpy()
                q = r[at]
                result[at] = expert_exchange_seconds(
                    q.tokens,
                    q.hidden,
                    q.topk,
                    q.ranks,
                    machine=machine,
                    element_bytes=q.element.to_numpy(),
                    low_latency=mode,
                    curves=curves,
                )
            return result

        start = DispatchCurve(9.0, 0.5, 28.0, 0.5, 12.0, 0.9)
        free = {
            "low_latency_us": (2.0, 60.0),
            "low_latency_rate": (0.05, 1.2),
            "normal_us": (5.0, 100.0),
            "normal_rate": (0.05, 1.2),
        }
        if family == "hopper":
            free |= {"inter_us": (1.0, 60.0), "inter_rate": (0.2, 1.5)}
        source = "deepep_low_latency.csv.gz, deepep_normal.csv.gz (20 and 24 SMs), DeepEP README (H800)"
        out.append(Problem("dispatch", "deepep", rows.reset_index(drop=True), predict, start, free, source))
    return out


# ---------------------------------------------------------------- report


def rounded(curve: Any) -> dict[str, float]:
    return {n: float(f"{getattr(curve, n):.4g}") for n in curve.__dataclass_fields__}


def report(problems: list[Problem], quick: bool) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    families: dict[str, Any] = {}
    table: dict[str, dict[str, dict[str, Any]]] = {}
    lines: list[dict[str, Any]] = []
    for p in problems:
        curve = fit(p)
        good = p.rows[p.rows.w >= 0.3]
        e = errors(p, good, curve)
        curve = replace(curve, sigma=float(np.quantile(np.abs(e), 0.68)))
        systems = sorted(good.system.unique())
        stats = describe(e)
        entry: dict[str, Any] = rounded(curve)
        entry |= {
            "origin": {"files": p.source, "systems": systems, "rows": stats["rows"]},
            "residuals": {"median": stats["median"], "p90": stats["p90"]},
        }
        if p.note:
            entry["note"] = p.note
        families.setdefault(p.family, {}).setdefault(p.operation, {})[p.key] = entry
        table.setdefault(p.family, {}).setdefault(p.operation, {})[p.key] = curve
        p.stats["curve"] = curve
        for system in systems:
            at = (good.system == system).to_numpy()
            lines.append({"op": p.operation, "key": p.key, "fit": "in", "on": system, **describe(e[at])})
        factors: dict[str, float] = {}
        for engine in sorted(good.engine.unique()):
            at = (good.engine == engine).to_numpy()
            if not at.all():
                if at.sum() >= 30:
                    factors[str(engine)] = round(float(np.exp(-np.median(e[at]))), 3)
                lines.append({"op": p.operation, "key": p.key, "fit": "in", "on": f"{p.family}:{engine}",
                              **describe(e[at])})  # fmt: skip
        if factors:
            entry["engines"] = factors
        if quick:
            continue
        for column in ("system", "engine"):
            values = sorted(good[column].unique())
            for value in values if len(values) > 1 else ():
                out = good[good[column] == value].reset_index(drop=True)
                if len(out) < 30:
                    continue
                other = fit(p, good[good[column] != value])
                name = value if column == "system" else f"{p.family}:{value}"
                lines.append({"op": p.operation, "key": p.key, "fit": f"without {column}", "on": name,
                              **describe(errors(p, out, other))})  # fmt: skip
    for p in problems:  # the family left out altogether: what the stand-in rule gives
        rest = {name: ops for name, ops in table.items() if name != p.family}
        good = p.rows[p.rows.w >= 0.3]
        try:
            e = errors(p, good, None, KernelCurves(p.family, "fit", rest))
        except KeyError:
            continue
        lines.append({"op": p.operation, "key": p.key, "fit": "without family", "on": p.family, **describe(e)})
    return families, lines


HEADER = """\
# Coefficients of the kernel-time formulas in sizing/kernels. Written by benchmarks/fit_kernels.py.
# Measurements: ai-dynamo/aiconfigurator (Apache-2.0) for NVIDIA, hudingyi688/aiconfigurator-npu for Ascend.
# residuals: median and 90th percentile of |log(predicted / measured)| on rows of weight 0.3 and more, which
# the fit saw; sigma: their 68th percentile. engines: median time of an engine's kernels over the curve.
# A family or format without an entry takes a kindred format or operation of the same family (sigma + 0.15
# in quadrature), else the same in the nearest family (+ 0.25), else the median of families (+ 0.35).
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path(os.environ.get("SIZING_SHARED", "../shared")))
    parser.add_argument("--out", type=Path, default=Path("sizing/evidence/kernels.yaml"))
    parser.add_argument("--quick", action="store_true", help="skip the leave-one-out fits")
    parser.add_argument("--only", default="", help="fit one operation and print, without writing")
    arguments = parser.parse_args()
    root = arguments.shared / "measurements" / "kernels"
    if not root.is_dir():
        print(f"no measurements in {root}: pass --shared", file=sys.stderr)
        return 2
    begun = time.perf_counter()
    makers = {
        "gemm": gemm_problems,
        "attention": attention_problems,
        "mla": mla_problems,
        "encoder": encoder_problems,
        "linear": linear_problems,
        "moe": moe_problems,
        "collective": collective_problems,
        "dispatch": dispatch_problems,
    }
    problems = [p for name, make in makers.items() if arguments.only in ("", name) for p in make(root)]
    families, lines = report(problems, arguments.quick)
    for p in problems:
        print(f"{p.operation:18}{p.family:12}{p.key:10}", rounded(p.stats["curve"]))
    print(pd.DataFrame(lines).to_string(index=False))
    if not arguments.only:
        lines_out = [HEADER + "version: 1", "families:"]
        for family, operations in families.items():
            lines_out.append(f"  {family}:")
            for operation, entries in operations.items():
                lines_out.append(f"    {operation}:")
                for key, entry in entries.items():
                    flow = yaml.safe_dump(entry, default_flow_style=True, sort_keys=False, width=4000).strip()
                    start, end = flow.split(", origin: ")
                    lines_out += [f"      {key}:", f"        {start},", f"          origin: {end}"]
        text = "\n".join(lines_out) + "\n"
        arguments.out.write_text(text, encoding="utf-8")
        print(f"wrote {arguments.out}")
    print(f"{time.perf_counter() - begun:.0f} s", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
