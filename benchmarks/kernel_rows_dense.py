"""Kernel measurements of one accelerator's dense work as curves to fit: products, attention, recurrent mixers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.kernel_rows import Frame, Problem, blocks, families_of, resident
from sizing.coefficients.kernels import AttentionCurve, GemmCurve, KernelCurves, LinearAttentionCurve, MachineRates
from sizing.step.kernels import (
    attention_decode_seconds,
    attention_prefill_seconds,
    encoder_attention_seconds,
    gemm_seconds,
    linear_context_seconds,
    linear_generation_seconds,
    mla_decode_seconds,
    mla_prefill_seconds,
)

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
