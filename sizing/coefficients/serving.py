"""The coefficients of whole servers: what engines add to kernel times, and how they mix prefill and decode.

They come from ``serving.yaml``, fitted by ``benchmarks/fit_serving.py``; the file is read once, when first asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources
from typing import Any

from sizing.base.errors import SizingError
from sizing.base.files import load_yaml
from sizing.coefficients import llama_cpp as llama_cpp_curves
from sizing.coefficients.batching import Batching
from sizing.coefficients.overheads import Overheads

LLAMA_CPP = "llama.cpp"
#: Coefficient in the file -> field of Overheads, factor to its unit.
OVERHEAD_UNITS = {
    "layer_us": ("layer_s", 1e-6),
    "moe_layer_us": ("moe_layer_s", 1e-6),
    "sync_us": ("sync_s", 1e-6),
    "sequence_us": ("sequence_s", 1e-6),
    "step_ms": ("step_s", 1e-3),
    "prefill_step_ms": ("prefill_step_s", 1e-3),
    **{name: (name, 1.0) for name in ("elementwise", "gemm", "attention", "experts", "collectives", "linear")},
    **{
        f"prefill_{name}": (f"prefill_{name}", 1.0)
        for name in ("gemm", "gemm16", "attention", "experts", "collectives")
    },
    "prefill_linear": ("prefill_linear", 1.0),
    "quantisation": ("quantisation", 1.0),
    "linear_layer_us": ("linear_layer_s", 1e-6),
    "norm_us": ("norm_s", 1e-6),
    "experts_mxfp4": ("experts_mxfp4", 1.0),
    "experts_fp8": ("experts_fp8", 1.0),
    "moe_sync_us": ("moe_sync_s", 1e-6),
    "index_layer_us": ("index_layer_s", 1e-6),
    "launch_us": ("launch_s", 1e-6),
}
BATCHING_UNITS = {
    "fixed_ttft_ms": ("fixed_ttft_s", 1e-3),
    **{
        name: (name, 1.0)
        for name in ("interference", "interference_same", "wait_weight", "wait_same", "ttft_step_share", "marginal")
    },
}


@dataclass(frozen=True, slots=True)
class ServingCoefficients:
    """What one engine does on one family of accelerators. origin: where the figures come from, in words."""

    overheads: Overheads
    batching: Batching
    origin: str


#: Coefficient of an engine's regime in throughput.yaml -> the coefficients of serving.yaml that it stands for, and the
#: factor to their unit. What such a regime holds in one figure per layer replaces the finer terms (``REGIME_HAS_NO``).
#: norm_us, linear_layer_us, quantisation and experts_mxfp4 stay: the throughput fit takes them from serving.yaml itself.
REGIME_TERMS: dict[str, tuple[str, float]] = {
    "gemm": ("gemm", 1.0),
    "decode_attention": ("attention", 1.0),
    "prefill_attention": ("prefill_attention", 1.0),
    "experts": ("experts", 1.0),
    "collectives": ("collectives", 1.0),
    "layer_s": ("layer_us", 1e6),
    "step_s": ("step_ms", 1e3),
    "sequence_s": ("sequence_us", 1e6),
    "elementwise": ("elementwise", 1.0),
    "first_s": ("fixed_ttft_ms", 1e3),
}
REGIME_HAS_NO = ("moe_layer_us", "moe_sync_us", "sync_us", "prefill_step_ms", "mla_ttft_ms")


def _read(name: str) -> dict[str, Any]:
    text = resources.files("sizing.coefficients").joinpath(name).read_text(encoding="utf-8")
    document = load_yaml(text)
    if not isinstance(document, dict):
        raise SizingError(f"{name} is not a mapping", key=name)
    return document


@lru_cache(maxsize=1)
def throughput_document() -> dict[str, Any]:
    """The whole of throughput.yaml."""
    return _read("throughput.yaml")


@lru_cache(maxsize=1)
def measured_families() -> frozenset[str]:
    """Families of accelerators whose own kernels were measured."""
    return frozenset(_read("kernels.yaml")["families"])


#: Coefficients that multiply kernel times.
KERNEL_FACTORS = ("gemm", "attention", "prefill_attention", "experts", "collectives", "linear", "prefill_gemm",
                  "prefill_experts", "prefill_collectives", "prefill_linear")  # fmt: skip


def regime_values(regime: str, family: str | None = None) -> dict[str, float]:
    """Coefficients of serving.yaml's kind, in its units, from an engine's regime in throughput.yaml.

    On a family whose kernels nobody measured all kernel times have the regime's ``unmeasured`` on top.
    Raises KeyError for a regime that the file does not hold (``regimes`` in serving.yaml names those it may ask for).
    """
    found: dict[str, float] = throughput_document()["regimes"][regime]["coefficients"]
    values = {name: found[key] * factor for key, (name, factor) in REGIME_TERMS.items()}
    values |= dict.fromkeys(REGIME_HAS_NO, 0.0)
    for name in ("gemm", "experts", "collectives"):
        values[f"prefill_{name}"] = values[name] * found["prefill"]
    values |= {"linear": 1.0, "prefill_linear": 1.0, "prefill_gemm16": 1.0}
    if family is not None and family not in measured_families():
        values |= {name: values[name] * found["unmeasured"] for name in KERNEL_FACTORS}
    return values


@lru_cache(maxsize=1)
def serving_document() -> dict[str, Any]:
    """The whole of serving.yaml."""
    document = _read("serving.yaml")
    if not {"shared", "engines", "intervals"} <= set(document):
        raise SizingError("serving.yaml lacks shared, engines or intervals", key="serving.yaml")
    return document


def stand_in(engine: str) -> tuple[str, bool]:
    """``(the engine whose coefficients apply, whether it is the engine itself)``."""
    document = serving_document()
    if engine in document["engines"]:
        return engine, True
    return str(document["stand_ins"].get(engine, document["fallback"])), False


def era_of(engine: str, version: tuple[int, ...] | None) -> dict[str, Any]:
    """What serving.yaml says of an older version of an engine; empty for those of the fit, and where none is stated."""
    for era in serving_document().get("eras", {}).get(engine, ()):
        if version is not None and tuple(version) < tuple(era["before"]):
            found: dict[str, Any] = era
            return found
    return {}


def mixes_prefill(engine: str, version: tuple[int, ...] | None = None) -> bool:
    """Whether an engine's steps hold prompt chunks beside decoding sequences, at a version (None: those of the fit)."""
    return engine not in serving_document()["prefill_alone"] and bool(era_of(engine, version).get("mixed", True))


def regime_name(engine: str, family: str, version: tuple[int, ...] | None = None) -> str | None:
    """The regime of throughput.yaml that holds an engine's host and kernel terms, where serving.yaml has no fit of them:
    an era, an engine, or any engine on a family whose host decides."""
    document = serving_document()
    regimes: dict[str, str] = document.get("regimes", {})
    host = document.get("host_of", {}).get(family)
    here = f"{engine} {host}" in throughput_document()["regimes"]
    found = era_of(engine, version).get("regime") or regimes.get(engine) or (f"{engine} {host}" if here else host)
    return str(found) if found in throughput_document()["regimes"] else None


@lru_cache(maxsize=256)
def serving_coefficients(
    engine: str, family: str, *, mla: bool = False, version: tuple[int, ...] | None = None, eager: bool = False
) -> ServingCoefficients:
    """The coefficients for an engine ("vllm", "sglang", "tensorrt-llm", ...) on a family ("hopper", "blackwell", ...).

    eager: without graphs (``--enforce-eager``). version: of the engine; None: those of the fit. An older era, an engine
    that only the throughput tables measured (``regimes``), and any engine on a family whose host decides (``host_of``)
    take their kernel and host terms there. An engine without measurements takes those of its stand-in, a family without
    takes the shared ones; both are told in ``origin``. The token budget in ``batching`` is the usual one; replace it by
    the engine's own for a device.
    """
    if engine == LLAMA_CPP:
        batching = replace(coefficients_from({}, mixed=True).batching, fixed_ttft_s=0.0)
        backend = llama_cpp_curves.backend_of(family)
        fitted = llama_cpp_curves.document()
        origin = f"{fitted['origin']}; the backend {backend} on {fitted['rows'][backend]} rows"
        return ServingCoefficients(llama_cpp_curves.overheads(backend), batching, origin)
    document = serving_document()
    used, own = stand_in(engine)
    values = {**document["shared"], **document["engines"][used]}
    values |= document.get("by_family", {}).get(family, {}).get(used, {})
    regime = regime_name(engine, family, version)
    if eager and f"{regime} eager" in throughput_document()["regimes"]:
        regime = f"{regime} eager"
    if regime is not None:
        values |= regime_values(regime, family)
    era = era_of(engine, version)
    values |= era.get("values", {})
    if eager and regime is None:
        values["launch_us"] = document["eager"]["launch_us"]
    if mla:
        # Latent attention's prefill runs as many small kernels outside graphs: a constant before the first token.
        values["fixed_ttft_ms"] = values["fixed_ttft_ms"] + values.get("mla_ttft_ms", 0.0)
    notes = [str(document["origin"])]
    if regime is not None:
        rows = throughput_document()["regimes"][regime]["origin"]["rows"]
        notes = [
            f"host and kernel terms of {regime} fitted by benchmarks/fit_throughput.py on {rows} rows of its servers",
            f"the rest as for {used}",
        ]
    elif not own:
        notes.append(f"no measured servers of {engine}: coefficients of {used}")
    if eager:
        notes.append(f"eager mode: {'the regime of eager rows' if regime else document['eager']['origin']}")
    if era.get("said"):
        notes.append(str(era["said"]))
    if regime is None and family not in document["families"]:
        known = " and ".join(document["families"])
        notes.append(f"no measured servers on {family}: overheads as on {known}")
    return coefficients_from(values, mixed=mixes_prefill(engine, version), origin="; ".join(notes))


def coefficients_from(values: dict[str, float], *, mixed: bool, origin: str = "") -> ServingCoefficients:
    """Coefficients from figures in the units of the file."""
    over = {
        OVERHEAD_UNITS[key][0]: value * OVERHEAD_UNITS[key][1] for key, value in values.items() if key in OVERHEAD_UNITS
    }
    batch = {
        BATCHING_UNITS[key][0]: value * BATCHING_UNITS[key][1] for key, value in values.items() if key in BATCHING_UNITS
    }
    return ServingCoefficients(Overheads(**over), Batching(mixed=mixed, **batch), origin)
