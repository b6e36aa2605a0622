"""A catalog accelerator in its server as the rates that kernel times need."""

from __future__ import annotations

from sizing.base.errors import SizingError
from sizing.coefficients.kernels import MachineRates
from sizing.hardware import Accelerator, Server

#: Assumed where the catalog names no network card for a server: one 400 Gb/s port per accelerator.
DEFAULT_NETWORK_BANDWIDTH = 50e9
DEFAULT_NODE_SIZE = 8
PCIE_BANDWIDTH = {3: 15.75e9, 4: 31.5e9, 5: 63e9, 6: 126e9}
TYPICAL_CORES = 108


def machine_rates(accelerator: Accelerator, server: Server | None = None) -> MachineRates:
    """The rates of one accelerator, and of the fabric of the server that it sits in.

    Raises SizingError where the catalog has no 16-bit rate or no memory bandwidth: nothing can be timed then.
    """
    bandwidth = accelerator.memory_bandwidth
    bf16 = accelerator.peak_flops("bf16") or accelerator.peak_flops("fp16")
    if bandwidth is None or bf16 is None:
        missing = "memory_bandwidth_gb_s" if bandwidth is None else "dense_peak_tflops.bf16"
        raise SizingError(
            f"the catalog has no {missing} for {accelerator.id}, so its speed can't be estimated",
            key="--on",
            hint="add the figure in a catalog of your own, --catalog DIR",
        )
    pcie = PCIE_BANDWIDTH.get(accelerator.pcie_gen or 4, 31.5e9)
    link = (server.link_bandwidth if server is not None else None) or accelerator.link_bandwidth
    kind = accelerator.interconnect.type.lower()
    pcie_only = link is None or kind.startswith("pcie") or "ethernet" in kind
    network = (server.network_bandwidth if server is not None else None) or DEFAULT_NETWORK_BANDWIDTH
    return MachineRates(
        name=accelerator.id,
        family=accelerator.family,
        bf16_flops=bf16,
        fp8_flops=accelerator.peak_flops("fp8") or 0.0,
        int8_flops=accelerator.peak_flops("int8") or 0.0,
        fp4_flops=accelerator.peak_flops("fp4") or 0.0,
        memory_bandwidth=bandwidth,
        cores=_cores(accelerator),
        link_bandwidth=pcie if link is None else link,
        node_bandwidth=network,
        node_size=server.scale_up_domain if server is not None else accelerator.max_per_server or DEFAULT_NODE_SIZE,
        fabric="pcie" if pcie_only else "hccs" if "hccs" in kind else "nvlink",
    )


def _cores(accelerator: Accelerator) -> int:
    """Compute units that take work one by one: SMs, compute units, AI (cube) cores."""
    units = accelerator.compute_units
    for key in ("sm", "cu", "ai_cores", "tpc", "neuron_cores", "gpu_cores", "cores"):
        value = units.get(key)
        if value:
            return int(value)
    return TYPICAL_CORES


def is_ascend(accelerator: Accelerator) -> bool:
    """Whether it is of the Ascend families."""
    return accelerator.family.startswith("ascend")
