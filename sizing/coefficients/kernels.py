"""What a kernel time depends on besides its shape: the machine's rates and a handful of fitted efficiencies.

``MachineRates`` holds data-sheet figures. ``KernelCurves`` holds the coefficients of one accelerator family,
fitted on published kernel measurements by ``benchmarks/fit_kernels.py`` and kept in
``sizing/coefficients/kernels.yaml`` with their origin and their residuals. Coefficients are physical: a launch
time, fractions of peak, a tail of some waves.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from importlib import resources
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from sizing.base.files import load_yaml

__all__ = [
    "FORMATS",
    "AttentionCurve",
    "CollectiveCurve",
    "DispatchCurve",
    "FormatTraits",
    "GemmCurve",
    "KernelCurves",
    "LinearAttentionCurve",
    "MachineRates",
    "MoeCurve",
    "Seconds",
    "Values",
    "effective_format",
    "kernel_curves",
]

Seconds = NDArray[np.float64]
#: What the functions take wherever they broadcast: a number or an array of numbers.
Values = float | NDArray[np.float64] | NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class MachineRates:
    """Data-sheet rates of one accelerator and of the fabric around it.

    FLOP/s are dense (no sparsity), 0 where the hardware lacks the dtype; bandwidths are bytes/s, links per
    direction and per accelerator. ``family`` picks the coefficients: ampere, ada, hopper, blackwell,
    ascend-910b, or any other name (then the median of the measured families is used). ``fabric`` is "nvlink",
    "hccs" or "pcie": whether accelerators of a node talk over dedicated links or through the host. ``cores``
    is SMs (NVIDIA), AI cores (Ascend), CUs (AMD). ``node_size`` is the number of accelerators in one link
    domain, ``node_bandwidth`` the network bandwidth of one accelerator towards other nodes. ``least_rows``: matrix units
    multiply at least so many rows (1: kernels of a product with few rows do without them).
    """

    name: str
    family: str
    bf16_flops: float
    fp8_flops: float
    int8_flops: float
    fp4_flops: float
    memory_bandwidth: float
    cores: int
    link_bandwidth: float
    node_bandwidth: float = 50e9
    node_size: int = 8
    fabric: str = "nvlink"
    least_rows: float = 16.0

    def flops(self, compute: str) -> float:
        """Dense FLOP/s of a compute dtype: "bf16", "fp8", "int8" or "fp4"."""
        return float(getattr(self, f"{compute}_flops"))


@dataclass(frozen=True, slots=True)
class FormatTraits:
    """Bytes per element of weights and activations as a GEMM reads them (block scales included), and its
    dtype."""

    weight_bytes: float
    activation_bytes: float
    compute: str
    quantises: bool  # activations arrive in 16 bits and are quantised on the way
    alternatives: tuple[str, ...] = ()  # formats whose coefficients stand in, nearest first


#: GEMM formats. Weight-only formats compute in bf16. Scales: fp8_block 4 B per 128x128, nvfp4 1 B per 16,
#: mxfp4 1 B per 32, int4_wo 2 B per group of 128.
FORMATS: Mapping[str, FormatTraits] = MappingProxyType(
    {
        "bf16": FormatTraits(2.0, 2.0, "bf16", False),
        "fp8": FormatTraits(1.0, 1.0, "fp8", True, ("fp8_block", "int8", "bf16")),
        "fp8_block": FormatTraits(1.0, 1.0, "fp8", True, ("fp8", "int8", "bf16")),
        "int8": FormatTraits(1.0, 1.0, "int8", True, ("fp8", "fp8_block", "bf16")),
        "nvfp4": FormatTraits(0.5625, 0.5625, "fp4", True, ("mxfp4", "fp8", "bf16")),
        "mxfp4": FormatTraits(0.53125, 1.03125, "fp8", True, ("nvfp4", "fp8", "bf16")),
        "int8_wo": FormatTraits(1.0, 2.0, "bf16", False, ("int4_wo", "mxfp4_wo", "bf16")),
        "int4_wo": FormatTraits(0.515625, 2.0, "bf16", False, ("mxfp4_wo", "int8_wo", "bf16")),
        "mxfp4_wo": FormatTraits(0.53125, 2.0, "bf16", False, ("int4_wo", "int8_wo", "bf16")),
    }
)

_WEIGHT_ONLY = {
    "fp8": "int8_wo",
    "fp8_block": "int8_wo",
    "int8": "int8_wo",
    "nvfp4": "mxfp4_wo",
    "mxfp4": "mxfp4_wo",
}


def effective_format(fmt: str, machine: MachineRates) -> str:
    """The format that a kernel really runs: weight-only where the hardware lacks the compute dtype.

    FP8 on Ampere and FP4 before Blackwell keep their weights and compute in bf16 (Marlin kernels).

    Raises:
        KeyError: for a format that ``FORMATS`` does not list.
    """
    if fmt not in FORMATS:
        raise KeyError(f"unknown GEMM format {fmt!r}; known: {', '.join(FORMATS)}")
    if machine.flops(FORMATS[fmt].compute) > 0 and not (fmt == "mxfp4" and machine.fp4_flops <= 0):
        return fmt
    return _WEIGHT_ONLY.get(fmt, fmt)


@dataclass(frozen=True, slots=True)
class GemmCurve:
    """Coefficients of a dense GEMM. ``tail`` is in waves of 128x128 tiles over all cores; ``quant_bytes`` are
    the bytes moved per activation element to quantise it (0 where the format doesn't)."""

    launch_us: float
    compute: float
    memory: float
    tail: float
    quant_bytes: float = 0.0
    sigma: float = 0.2


@dataclass(frozen=True, slots=True)
class MoeCurve:
    """Coefficients of a fused expert block (two grouped GEMMs, activation, permutation).

    ``pad_tokens``: rows that each touched expert adds by tile padding. ``traffic_bytes``: bytes per routed
    row and hidden element of permuting, quantising and combining. ``tail``: waves of tiles, as for GEMM.
    """

    launch_us: float
    compute: float
    memory: float
    tail: float
    pad_tokens: float
    traffic_bytes: float
    sigma: float = 0.3


@dataclass(frozen=True, slots=True)
class AttentionCurve:
    """Coefficients of an attention kernel.

    ``softmax_dims``: cost of the exponentials per score, in head dimensions. ``tail``: fraction of the
    longest unsplit unit (a 128-row query block for prefill, one KV head's cache for decode) that adds to the
    time. ``pad_tokens``: cache tokens that each sequence and KV head costs in decode besides its own (blocks,
    set-up). ``memory`` of prefill holds the extra passes of rotary embedding and cache writes that engines
    fuse with it.
    """

    launch_us: float
    compute: float
    memory: float
    tail: float
    softmax_dims: float = 0.0
    pad_tokens: float = 0.0
    sigma: float = 0.25


@dataclass(frozen=True, slots=True)
class LinearAttentionCurve:
    """Coefficients of a recurrent mixer (convolution and state update): fractions of peak FLOPs and of
    bandwidth, and ``chunk_us``, the time of one step of the chain of 64-token chunks that one sequence must
    walk through."""

    launch_us: float
    compute: float
    memory: float
    chunk_us: float
    sigma: float = 0.3


@dataclass(frozen=True, slots=True)
class CollectiveCurve:
    """Coefficients of collectives inside one node and across nodes.

    Latencies in microseconds are ``base + per_rank * ranks``; ``*_rate`` are fractions of the link bandwidth.
    ``shared_rate``: what all ranks together move, as a fraction of one link, when more than two share a host
    bridge (PCIe boxes; 0: links are independent). ``rank_gain``: growth of the large-message rate per
    doubling of ranks beyond two (more rings, in-switch reduction). ``inter_us``: latency for each doubling of
    nodes.
    """

    one_shot_us: float
    one_shot_rank_us: float
    one_shot_rate: float
    two_shot_us: float
    two_shot_rank_us: float
    two_shot_rate: float
    rank_gain: float
    gather_us: float
    gather_rank_us: float
    gather_rate: float
    exchange_us: float
    exchange_rank_us: float
    exchange_rate: float
    shared_rate: float
    inter_us: float
    inter_rate: float
    sigma: float = 0.2


@dataclass(frozen=True, slots=True)
class DispatchCurve:
    """Coefficients of expert dispatch and combine (DeepEP): latency and fraction of the link bandwidth for
    the low-latency and the normal (throughput) kernels; ``inter_us`` per doubling of nodes."""

    low_latency_us: float
    low_latency_rate: float
    normal_us: float
    normal_rate: float
    inter_us: float
    inter_rate: float
    sigma: float = 0.3


CurveT = TypeVar("CurveT", GemmCurve, MoeCurve, AttentionCurve, LinearAttentionCurve, CollectiveCurve, DispatchCurve)

_KINDS: Mapping[str, type] = MappingProxyType(
    {
        "gemm": GemmCurve,
        "moe": MoeCurve,
        "prefill": AttentionCurve,
        "decode": AttentionCurve,
        "mla_prefill": AttentionCurve,
        "mla_decode": AttentionCurve,
        "encoder": AttentionCurve,
        "linear_context": LinearAttentionCurve,
        "linear_generation": LinearAttentionCurve,
        "collective": CollectiveCurve,
        "dispatch": DispatchCurve,
    }
)

#: Where a family without a measurement looks first: nearest generation of the same make.
_NEAREST: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "ampere": ("ada", "hopper", "blackwell"),
        "ada": ("ampere", "hopper", "blackwell"),
        "hopper": ("ampere", "blackwell", "ada"),
        "blackwell": ("hopper", "ada", "ampere"),
        "ascend-910b": ("ampere", "hopper"),
        "ascend-910c": ("ascend-910b", "ampere", "hopper"),
    }
)

#: Operations whose kernel is another's with other shapes. Where both are measured, the prefill curve in place
#: of their own has a median error of 9 to 22 percent, against 4 to 19 with their own.
_KIN: Mapping[str, str] = MappingProxyType({"mla_prefill": "prefill", "encoder": "prefill"})

#: Spread added to sigma (in log units, quadratically) for each kind of stand-in.
FORMAT_STANDIN_SIGMA = 0.15
FAMILY_STANDIN_SIGMA = 0.25
UNKNOWN_FAMILY_SIGMA = 0.35


@dataclass(frozen=True)
class KernelCurves:
    """Coefficients for one family, every gap filled by the stand-in rule; ``stand_ins`` says where each came
    from.

    Look-ups are by operation and key (a GEMM format, an attention compute dtype, "" for the rest).
    """

    family: str
    version: str
    table: Mapping[str, Mapping[str, Mapping[str, Any]]]  # family -> operation -> key -> curve
    _cache: dict[tuple[str, str], Any] = field(default_factory=dict, repr=False, compare=False)
    stand_ins: dict[tuple[str, str], str] = field(default_factory=dict, repr=False, compare=False)

    def gemm(self, fmt: str) -> GemmCurve:
        """Coefficients of dense products in a format of ``FORMATS``. Raises KeyError where no family has any."""
        return self._get("gemm", fmt, GemmCurve)

    def moe(self, fmt: str) -> MoeCurve:
        """Coefficients of expert blocks in a format of ``FORMATS``. Raises KeyError where no family has any."""
        return self._get("moe", fmt, MoeCurve)

    def attention(self, operation: str, dtype: str = "bf16") -> AttentionCurve:
        """``operation``: "prefill", "decode", "mla_prefill", "mla_decode" or "encoder"."""
        return self._get(operation, dtype, AttentionCurve)

    def linear(self, operation: str) -> LinearAttentionCurve:
        """``operation``: "linear_context" or "linear_generation"."""
        return self._get(operation, "bf16", LinearAttentionCurve)

    def collective(self, fabric: str) -> CollectiveCurve:
        """``fabric``: "nvlink", "hccs" or "pcie"."""
        return self._get("collective", fabric, CollectiveCurve)

    def dispatch(self) -> DispatchCurve:
        """Expert dispatch and combine."""
        return self._get("dispatch", "deepep", DispatchCurve)

    def override(self, operation: str, key: str, curve: Any) -> KernelCurves:
        """The same curves with one replaced: for fitting, which tries many."""
        return KernelCurves(self.family, self.version, self.table, {**self._cache, (operation, key): curve})

    def _get(self, operation: str, key: str, kind: type[CurveT]) -> CurveT:
        found = self._cache.get((operation, key))
        if found is None:
            found = self._cache[operation, key] = self._find(operation, key)
        if not isinstance(found, kind):
            raise TypeError(f"{operation}/{key} holds {type(found).__name__}")
        return found

    def _find(self, operation: str, key: str) -> Any:
        alternatives = FORMATS[key].alternatives if key in FORMATS else ()
        own = self.table.get(self.family, {}).get(operation, {})
        if key in own:
            return own[key]
        # The same family in a kindred format: same silicon, same compilers.
        for alternative in alternatives[:-1] if len(alternatives) > 1 else ():
            if alternative in own:
                self.stand_ins[operation, key] = f"{self.family} {alternative}"
                return _wider(own[alternative], FORMAT_STANDIN_SIGMA)
        kin = self.table.get(self.family, {}).get(_KIN.get(operation, ""), {})
        if key in kin:
            self.stand_ins[operation, key] = f"{self.family} {_KIN[operation]} {key}"
            return _wider(kin[key], FORMAT_STANDIN_SIGMA)
        nearest = _NEAREST.get(self.family, ())
        if operation == "mla_decode":  # Ampere's and Ada's only measured kernels don't split the context
            nearest = ("hopper", "blackwell", *nearest)
        for name in nearest:
            curve = self.table.get(name, {}).get(operation, {}).get(key)
            if curve is not None:
                self.stand_ins[operation, key] = f"{name} {key}"
                own_decode = self.table.get(self.family, {}).get("decode", {}).get(key)
                if operation == "mla_decode" and own_decode is not None:  # launching is the family's own
                    curve = replace(curve, launch_us=max(curve.launch_us, own_decode.launch_us))
                return _wider(curve, FAMILY_STANDIN_SIGMA)
        for candidate in (key, *alternatives, "bf16"):
            curves = [ops[operation][candidate] for ops in self.table.values() if candidate in ops.get(operation, {})]
            if curves:
                self.stand_ins[operation, key] = f"median of {len(curves)} families, {candidate}"
                return _wider(_median(curves), UNKNOWN_FAMILY_SIGMA)
        raise KeyError(f"no coefficients for {operation} {key!r} in any family of kernels.yaml")


def _wider(curve: Any, extra: float) -> Any:
    return replace(curve, sigma=float(np.hypot(curve.sigma, extra)))


def _median(curves: list[Any]) -> Any:
    values = {f.name: statistics.median(getattr(c, f.name) for c in curves) for f in fields(curves[0])}
    return type(curves[0])(**values)


@lru_cache(maxsize=1)
def _load() -> tuple[str, dict[str, dict[str, dict[str, Any]]]]:
    text = resources.files("sizing.coefficients").joinpath("kernels.yaml").read_text(encoding="utf-8")
    document = load_yaml(text)
    return str(document["version"]), parse_curves(document)


def parse_curves(document: Mapping[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """The curves of a kernels.yaml document: family -> operation -> key -> curve."""
    table: dict[str, dict[str, dict[str, Any]]] = {}
    for family, operations in document["families"].items():
        for operation, entries in operations.items():
            kind = _KINDS[operation]
            names = {f.name for f in fields(kind)}
            for key, entry in entries.items():
                values = {n: float(v) for n, v in entry.items() if n in names}
                table.setdefault(family, {}).setdefault(operation, {})[key] = kind(**values)
    return table


@lru_cache(maxsize=64)
def kernel_curves(family: str) -> KernelCurves:
    """The coefficients of a family from ``sizing/coefficients/kernels.yaml`` (read once, lazily)."""
    version, table = _load()
    return KernelCurves(family.lower(), version, table)
