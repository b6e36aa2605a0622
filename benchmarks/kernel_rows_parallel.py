"""Kernel measurements of experts and of work between accelerators as curves to fit."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.kernel_rows import MACHINES, Frame, Problem, blocks, families_of, resident
from sizing.coefficients.kernels import CollectiveCurve, DispatchCurve, KernelCurves, MachineRates, MoeCurve
from sizing.step.kernels import (
    all_gather_seconds,
    all_reduce_seconds,
    all_to_all_seconds,
    expert_exchange_seconds,
    grouped_gemm_seconds,
)

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
