"""llama.cpp's coefficients by backend: what its kernels take beside those of the kernel curves, and its host's time.

They come from ``llama_cpp.yaml``, fitted by ``benchmarks/fit_llama_cpp.py``; the file is read once, when first asked for.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from importlib import resources
from typing import Any

from sizing.base.files import load_yaml
from sizing.coefficients.kernels import MachineRates
from sizing.coefficients.overheads import Overheads

BACKENDS = ("cuda", "metal", "rocm", "vulkan", "mlx")
#: Coefficient in the file -> its factor to the unit of the field of ``Overheads`` of the same name.
UNITS = {"layer_us": ("layer_s", 1e-6), "moe_layer_us": ("moe_layer_s", 1e-6), "step_ms": ("step_s", 1e-3),
         "linear_layer_us": ("linear_layer_s", 1e-6), "sequence_us": ("sequence_s", 1e-6)}  # fmt: skip
#: Families that are not CUDA's -> the backend that is meant when none is named.
_BACKEND_OF = {"apple": "metal", "apple-m5": "metal", "rdna3.5": "rocm"}


@lru_cache(maxsize=1)
def document() -> dict[str, Any]:
    """The whole of llama_cpp.yaml."""
    text = resources.files("sizing.coefficients").joinpath("llama_cpp.yaml").read_text(encoding="utf-8")
    found: dict[str, Any] = load_yaml(text)
    return found


def backend_of(family: str) -> str:
    """The backend that llama.cpp is usually built with for a family of accelerators.

    >>> backend_of("apple"), backend_of("ada"), backend_of("cdna3")
    ('metal', 'cuda', 'rocm')
    """
    return _BACKEND_OF.get(family, "rocm" if family.startswith(("cdna", "rdna")) else "cuda")


def machine_from(machine: MachineRates, core_gb_s: float | None) -> MachineRates:
    """A machine as llama.cpp's kernels use it.

    16-bit products accumulate in FP16 and quantised ones in integers: both at half the rate of INT8 where that is more
    than the catalog's (FP32 accumulation). Products of few rows go without matrix units. A core unpacks ``core_gb_s`` [GB/s]
    of weights after loading them: ``1 / (1 / bandwidth + 1 / (cores x core_gb_s))``; None: nothing of it.
    """
    unpack = 0.0 if core_gb_s is None else 1 / (machine.cores * core_gb_s * 1e9)
    streamed = 1 / (1 / machine.memory_bandwidth + unpack)
    rate = max(machine.bf16_flops, machine.int8_flops / 2)
    return replace(machine, memory_bandwidth=streamed, bf16_flops=rate, least_rows=1.0)


def machine_for(machine: MachineRates, backend: str) -> MachineRates:
    """``machine_from`` with the backend's coefficient."""
    return machine_from(machine, document()["core_gb_s"].get(backend))


def overheads_from(values: dict[str, float]) -> Overheads:
    """Overheads from figures in the units of the file."""
    return Overheads(**{
        UNITS[key][0] if key in UNITS else key: value * (UNITS[key][1] if key in UNITS else 1.0)
        for key, value in values.items()
    })  # fmt: skip


def overheads(backend: str) -> Overheads:
    """The overheads of a backend."""
    return overheads_from(document()["backends"][backend])


def stage_overlap() -> float:
    """Share of the other stages' time of a prompt that layers split over several cards hide."""
    return float(document()["stage_overlap"])


def spread(kind: str) -> tuple[float, float]:
    """Quantiles (p10, p90) of log(measured / predicted), models and machines left out; kind: "prompt" or "decode"."""
    low, high = document()["intervals"][kind]
    return float(low), float(high)
