"""Fits sizing/coefficients/serving.yaml on the aggregated rows of serving.csv.gz and judges the fit on left-out groups.

``python benchmarks/fit_serving.py [--write]``; the measurements are found through SIZING_SHARED, else ../shared.
Robust least squares on the logarithms of TPOT and TTFT; each (model, system, engine) group weighs the same up to the
square root of its rows; coefficients are drawn to their priors, those of the engines to each other.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import yaml
from scipy.optimize import least_squares

from sizing.coefficients.batching import Batching
from sizing.coefficients.overheads import Overheads
from sizing.evidence.predict_serving import Features, Pools, committed_coefficients, evaluate, features
from sizing.evidence.rows_serving import read_serving_rows

ROOT = Path(__file__).resolve().parents[1]
YAML = ROOT / "sizing" / "coefficients" / "serving.yaml"
ENGINES = ("tensorrt-llm", "vllm", "sglang")
# name: prior, width of the prior in log units
SHARED = {
    "gemm": (1.0, 0.2), "attention": (0.9, 0.25), "experts": (0.85, 0.25), "collectives": (1.3, 0.3),
    "prefill_gemm": (1.0, 0.2), "prefill_gemm16": (1.2, 0.15), "prefill_attention": (1.0, 0.25),
    "prefill_experts": (1.0, 0.25), "prefill_collectives": (1.0, 0.3), "linear": (1.0, 0.2),
    "prefill_linear": (1.0, 0.2), "quantisation": (0.7, 0.7), "linear_layer_us": (20.0, 0.7), "norm_us": (4.0, 0.7),
    "experts_mxfp4": (1.0, 0.2), "moe_layer_us": (5.0, 1.0), "sync_us": (5.0, 1.0),
    "index_layer_us": (30.0, 0.7), "sequence_us": (10.0, 1.0),
    "elementwise": (15.0, 0.7), "burst": (0.05, 0.2), "wait_same": (1.0, 0.3), "interference_same": (0.5, 0.2),
    "wave": (0.5, 0.5), "wave_cap": (8.0, 0.5), "poll_steps": (20.0, 1.0), "balance_steps": (20.0, 1.0),
}  # fmt: skip
BY_ENGINE = {
    "layer_us": (8.0, 0.8), "step_ms": (0.5, 1.0), "prefill_step_ms": (2.0, 1.0), "fixed_ttft_ms": (20.0, 0.4),
    "interference": (0.95, 0.12), "wait_weight": (0.5, 0.5), "ttft_step_share": (0.7, 0.2), "marginal": (0.8, 0.3),
    "engine_prefill": (1.0, 0.15), "mla_ttft_ms": (10.0, 1.2), "moe_sync_us": (5.0, 1.0), "experts_fp8": (1.0, 0.3),
    "mxfp4_hopper": (1.0, 0.3), "prefill_hopper": (1.0, 0.15),
}  # fmt: skip
NAMES = [*SHARED, *(f"{name}/{engine}" for name in BY_ENGINE for engine in ENGINES)]
PRIOR = np.log([*(v[0] for v in SHARED.values()), *(v[0] for v in BY_ENGINE.values() for _ in ENGINES)])
WIDTH = np.array([*(v[1] for v in SHARED.values()), *(v[1] for v in BY_ENGINE.values() for _ in ENGINES)])
FOLDS = 8
MIN_GROUP = 15
LEAST_HELD = 0.67
NARROWEST = 0.05
POOLS = ("burst", "wave", "wave_cap", "poll_steps", "balance_steps")
HOPPER = "hopper"  # whose grouped FP8 products differ by engine: Triton, DeepGEMM, CUTLASS
UNIT = {"us": 1e-6, "ms": 1e-3}


def measurements() -> Path:
    """The table of measured servers."""
    places = [Path(os.environ["SIZING_SHARED"])] if "SIZING_SHARED" in os.environ else [ROOT.parent / "shared"]
    places += [ROOT.parent.parent / "shared"]
    found = (place / "measurements" / "serving" / "serving.csv.gz" for place in places)
    return next(path for path in found if path.exists())


#: Rows kept in every error table but not fitted: (model, system, engine, version or None) -> why.
SET_ASIDE = {
    (
        "nvidia/Llama-3.1-8B-Instruct-FP8",
        "h200_sxm",
        None,
    ): "the client's rate, not the stated concurrency, set the load",
    (
        "Qwen/Qwen3-235B-A22B-FP8",
        "h200_sxm",
        "0.12.0",
    ): "52 to 59 ms a token at every batch and length: host time, as without CUDA graphs (see EAGER)",
    ("Qwen/Qwen3-32B", "gb200", None): "a trial deployment whose TPOT is up to 10 times that of its kin",
}


def set_aside(row: object) -> bool:
    """Whether the fit leaves a row out."""
    return any(
        row.model == model and row.system == system and version in (None, row.engine_version)  # type: ignore[attr-defined]
        for model, system, version in SET_ASIDE
    )


class Data:
    """Aggregated rows as features, with their measurements and groups."""

    def __init__(self, mode: str = "agg") -> None:
        rows = [row for row in read_serving_rows(measurements()) if row.mode == mode]
        self.found: Features = features(rows)
        kept = [rows[i] for i in self.found.index]
        self.rows = kept
        self.tpot = np.log([row.tpot_s or np.nan for row in kept])
        self.ttft = np.log([row.ttft_s or np.nan for row in kept])
        base = [
            row.model.split("/")[-1].replace("-NVFP4", "").replace("-FP8", "").replace("-Instruct", "") for row in kept
        ]
        self.model = np.array([{"DeepSeek-R1": "DeepSeek-V3", "DeepSeek-V3.1": "DeepSeek-V3"}.get(b, b) for b in base])
        self.system = np.array([row.system for row in kept])
        self.engine = np.array(self.found.engines)
        self.group = np.array(
            [f"{a} | {b} | {c}" for a, b, c in zip(self.model, self.system, self.engine, strict=True)]
        )
        _, inverse, counts = np.unique(self.group, return_inverse=True, return_counts=True)
        weight = 1 / np.sqrt(np.maximum(counts[inverse], 10))  # tiny groups say little
        self.weight = np.sqrt(weight / weight.mean()) * 0.5
        self.uncertain = np.array([case.uncertain for case in self.found.cases]) | [set_aside(row) for row in kept]
        self.mla = np.array([kind == "mla" for kind in self.found.kinds])
        self.family = np.array(self.found.families)
        self.at = np.array([ENGINES.index(name) for name in self.engine])


def predict(data: Data, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logarithms of TTFT and TPOT."""
    value = dict(zip(NAMES, np.exp(x), strict=True))

    def of(name: str) -> np.ndarray | float:
        if name in SHARED:
            return float(value[name])
        return np.array([value[f"{name}/{engine}"] for engine in ENGINES])[data.at]

    hopper = data.family == HOPPER
    factor = of("engine_prefill") * np.where(hopper, of("prefill_hopper"), 1.0)
    over = {name: of(name) for name in SHARED if name in Overheads.__dataclass_fields__}
    for name in ("prefill_gemm", "prefill_attention", "prefill_experts", "prefill_collectives", "prefill_linear"):
        over[name] = over[name] * factor
    for name in (
        "layer_us",
        "step_ms",
        "prefill_step_ms",
        "moe_layer_us",
        "linear_layer_us",
        "norm_us",
        "index_layer_us",
        "moe_sync_us",
        "sync_us",
        "sequence_us",
    ):
        over[name[:-2] + "s"] = of(name) * UNIT[name[-2:]]
    over["experts_fp8"] = np.where(hopper, of("experts_fp8"), 1.0)
    over["experts_mxfp4"] = over["experts_mxfp4"] * np.where(hopper, of("mxfp4_hopper"), 1.0)
    sglang = data.engine == "sglang"
    batching = Batching(
        interference=of("interference"),  # type: ignore[arg-type]
        wait_weight=of("wait_weight"),  # type: ignore[arg-type]
        fixed_ttft_s=(of("fixed_ttft_ms") + data.mla * of("mla_ttft_ms")) * 1e-3,  # type: ignore[arg-type]
        ttft_step_share=of("ttft_step_share"),  # type: ignore[arg-type]
        marginal=np.minimum(of("marginal"), 1.0),  # type: ignore[arg-type]
        interference_same=np.where(sglang, of("interference_same"), of("interference")),  # type: ignore[arg-type]
        wait_same=np.where(sglang, of("wait_same"), of("wait_weight")),  # type: ignore[arg-type]
    )
    ttft, tpot = evaluate(data.found, Overheads(**over), batching, Pools(**{name: of(name) for name in POOLS}))  # type: ignore[arg-type]
    return np.log(ttft), np.log(tpot)


def fit(data: Data, mask: np.ndarray, start: np.ndarray | None = None, rounds: int = 20) -> np.ndarray:
    """Coefficients from the rows of ``mask``."""
    mask = mask & ~data.uncertain

    def residuals(x: np.ndarray) -> np.ndarray:
        ttft, tpot = predict(data, x)
        a = np.nan_to_num((tpot - data.tpot) * data.weight / 0.1)[mask]
        b = np.nan_to_num((ttft - data.ttft) * data.weight / 0.25)[mask]
        return np.concatenate([a, 0.6 * b, (x - PRIOR) / WIDTH])

    begin = PRIOR if start is None else start
    return np.asarray(least_squares(residuals, begin, loss="soft_l1", max_nfev=rounds).x)


def leave_out(data: Data, by: str, start: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Predictions of every row by a fit that has not seen its group (whole groups in ``FOLDS`` folds)."""
    ttft, tpot = np.full(len(data.ttft), np.nan), np.full(len(data.ttft), np.nan)
    labels = getattr(data, by)
    names = np.unique(labels)
    fold = dict(zip(names, np.arange(len(names)) % FOLDS, strict=True))
    for k in range(min(FOLDS, len(names))):
        chosen = np.array([fold[label] == k for label in labels])
        a, b = predict(data, fit(data, ~chosen, start, rounds=8))
        ttft[chosen], tpot[chosen] = a[chosen], b[chosen]
    return ttft, tpot


def summary(predicted: np.ndarray, measured: np.ndarray) -> dict[str, float]:
    """Median and 90th percentile of |p50 / measured - 1|."""
    error = np.abs(np.expm1(predicted - measured))
    error = error[np.isfinite(error)]
    return {"median": round(float(np.median(error)), 4), "p90": round(float(np.quantile(error, 0.9)), 4)}


def document(data: Data, x: np.ndarray) -> dict[str, object]:
    """The coefficients in the layout of serving.yaml."""
    value = {name: float(f"{v:.4g}") for name, v in zip(NAMES, np.exp(x), strict=True)}
    only_sglang = ("wait_same", "interference_same")
    shared = {name: value[name] for name in SHARED if name not in (*POOLS, *only_sglang)}
    engines: dict[str, dict[str, float]] = {}
    hopper: dict[str, dict[str, float]] = {}
    for engine in ENGINES:
        own = {name: value[f"{name}/{engine}"] for name in BY_ENGINE}
        factor = own.pop("engine_prefill")
        own["marginal"] = min(own["marginal"], 1.0)
        more = own.pop("prefill_hopper")
        hopper[engine] = {
            "experts_fp8": own.pop("experts_fp8"),
            "experts_mxfp4": float(f"{shared['experts_mxfp4'] * own.pop('mxfp4_hopper'):.4g}"),
        }
        for name in ("gemm", "attention", "experts", "collectives", "linear"):
            own[f"prefill_{name}"] = float(f"{shared[f'prefill_{name}'] * factor:.4g}")
            hopper[engine][f"prefill_{name}"] = float(f"{own[f'prefill_{name}'] * more:.4g}")
        if engine == "sglang":
            own |= {name: value[name] for name in only_sglang}
        engines[engine] = own
    by_family = {HOPPER: hopper}
    return {
        "shared": shared,
        "engines": engines,
        "by_family": by_family,
        "pools": {name: value[name] for name in POOLS},
    }


def main() -> None:
    """Fit, judge, and with --write replace serving.yaml."""
    data = Data()
    every = np.ones(len(data.tpot), bool)
    x = fit(data, every)
    print({n: round(float(np.exp(v)), 3) for n, v in zip(NAMES, x, strict=True)})
    ttft, tpot = predict(data, x)
    accuracy: dict[str, dict[str, dict[str, float]]] = {
        "in_sample": {"tpot": summary(tpot, data.tpot), "ttft": summary(ttft, data.ttft)}
    }
    print(accuracy, flush=True)
    if "--write" in sys.argv:
        save(data, x, accuracy, [])
    outs: list[tuple[np.ndarray, np.ndarray]] = []
    for by in ("group", "model", "system", "engine"):
        a, b = leave_out(data, by, x)
        accuracy[f"without_{by}"] = {"tpot": summary(b, data.tpot), "ttft": summary(a, data.ttft)}
        print(by, accuracy[f"without_{by}"], flush=True)
        if by in ("group", "model"):
            outs.append((data.ttft - a, data.tpot - b))
        for k, name in enumerate(("ttft", "tpot")):
            held = coverage(data, (data.ttft - a, data.tpot - b)[k], bands(data, [out[k] for out in outs]))
            print("  inside", name, held, flush=True)
        if "--write" in sys.argv:
            save(data, x, accuracy, outs)


Bands = dict[str, tuple[float, float]]


def partitions(data: Data) -> list[tuple[str, ...]]:
    """Where a row's interval comes from, the nearest evidence first (``intervals.spread``)."""
    named = zip(data.engine, data.found.families, data.found.kinds, strict=True)
    return [(f"{e} {f} {k}", f"{e} {f}", f"{f} {k}", "all") for e, f, k in named]


def bands(data: Data, errors: list[np.ndarray]) -> Bands:
    """Conformal intervals of log(measured / predicted) by partition, from rows whose groups were left out.

    The (n + 1) quantiles that hold 80% of the partition's rows, wide enough besides that each group of ``MIN_GROUP``
    rows or more has ``LEAST_HELD`` of its rows inside.
    """
    keys = partitions(data)
    made: Bands = {}
    for name in sorted({key for row in keys for key in row}):
        here = np.array([name in row for row in keys]) & ~data.uncertain  # rows set aside widen nothing
        found = np.concatenate([error[here & np.isfinite(error)] for error in errors])
        if found.size < MIN_GROUP * len(errors):
            continue
        tail = max(0.1 - 1.0 / found.size, 0.02)
        low, high = (
            min(float(np.quantile(found, tail)), -NARROWEST),
            max(float(np.quantile(found, 1 - tail)), NARROWEST),
        )
        for group in np.unique(data.group[here]):
            for error in errors:
                own = error[here & (data.group == group) & np.isfinite(error)]
                while name != "all" and own.size >= MIN_GROUP and np.mean((own >= low) & (own <= high)) < LEAST_HELD:
                    low, high = (low * 1.05, high) if np.mean(own < low) > np.mean(own > high) else (low, high * 1.05)
        made[name] = (round(low, 3), round(high, 3))
    return made


def coverage(data: Data, error: np.ndarray, made: Bands) -> dict[str, float]:
    """Share of rows inside, and of the worst group of ``MIN_GROUP`` rows or more."""
    limits = np.array([next(made[key] for key in row if key in made) for row in partitions(data)])
    inside = np.where(np.isfinite(error), (error >= limits[:, 0]) & (error <= limits[:, 1]), np.nan)
    sizes = {g: np.sum(data.group == g) for g in np.unique(data.group)}
    worst = min(float(np.nanmean(inside[data.group == g])) for g, size in sizes.items() if size >= MIN_GROUP)
    return {"all": round(float(np.nanmean(inside)), 3), "worst_group": round(worst, 3)}


def save(
    data: Data,
    x: np.ndarray,
    accuracy: dict[str, dict[str, dict[str, float]]],
    outs: list[tuple[np.ndarray, np.ndarray]],
) -> None:
    """Write serving.yaml, keeping what the fit does not touch."""
    old = yaml.safe_load(YAML.read_text(encoding="utf-8"))
    made = document(data, x)
    old["version"] = "1"
    old["origin"] = (
        f"fitted by benchmarks/fit_serving.py on {int((~data.uncertain).sum())} of {len(data.tpot)} aggregated rows "
        "of serving/serving.csv.gz "
        "(TensorRT-LLM, vLLM, SGLang on H100, H200, B200, GB200)"
    )
    old["shared"], old["engines"], old["by_family"] = made["shared"], made["engines"], made["by_family"]
    old.setdefault("pools", {}).update(made["pools"])
    old["accuracy"] = accuracy
    old["intervals"] |= separate_pools()
    if outs:
        by = {name: bands(data, [out[k] for out in outs]) for k, name in enumerate(("ttft", "tpot"))}
        for name, made_bands in by.items():
            low, high = np.exp(made_bands["all"])
            old["intervals"][name] = {"low": round(float(low), 3), "high": round(float(high), 3)}
        old["intervals"]["near"] = {
            name: {
                key: [round(float(v), 3) for v in np.exp(value)] for key, value in made_bands.items() if key != "all"
            }
            for name, made_bands in by.items()
        }
        worst = old["intervals"]["tpot"]
        old["intervals"]["throughput"] = {"low": round(1 / worst["high"], 3), "high": round(1 / worst["low"], 3)}
        old["intervals"]["cost"] = dict(worst)
    YAML.write_text(yaml.safe_dump(old, sort_keys=False, width=120), encoding="utf-8")


def separate_pools() -> dict[str, dict[str, dict[str, float]]]:
    """Intervals of disaggregated rows, which no coefficient is fitted on: with and without stated workers."""
    data = Data("disagg")
    ttft, tpot = (np.log(value) for value in evaluate(data.found, *committed_coefficients(data.found)))
    vague = np.array([case.uncertain for case in data.found.cases])
    made: dict[str, dict[str, dict[str, float]]] = {}
    for name, chosen in (("disagg", ~vague), ("disagg_uncertain", vague)):
        made[name] = {}
        for quantity, error in (("tpot", data.tpot - tpot), ("ttft", data.ttft - ttft)):
            low, high = np.exp(np.nanquantile(error[chosen], [0.1, 0.9]))
            made[name][quantity] = {"low": round(min(float(low), 0.95), 3), "high": round(max(float(high), 1.05), 3)}
    return made


if __name__ == "__main__":
    main()
