"""Parts of accelerators as accelerators of their own: a MIG instance, a virtual NPU, one die of a module."""

from __future__ import annotations

from sizing.hardware.models import COMPUTE_DTYPES, Accelerator, Interconnect, Memory, PeakRates, Slice

_KINDS = {"mig": "MIG instance", "vnpu": "virtual NPU", "die": "one die"}
#: Kinds of slice that no other slice may join. NVIDIA's MIG guide: no peer-to-peer access, over PCIe or NVLink. Virtual
#: NPUs alike: their templates name no link.
_ALONE = frozenset({"mig", "vnpu"})


def _times(value: float | None, fraction: float) -> float | None:
    return None if value is None else float(f"{value * fraction:.6g}")


def as_accelerator(part: Slice, parent: Accelerator) -> Accelerator:
    """The slice with the parent's figures times the slice's fractions [units as in ``Accelerator``].

    Memory is the stated size where one is published, at most the fraction of what engines see on the parent.
    """
    by_fraction = _times(parent.memory.usable_gib, part.memory)
    usable = min((v for v in (by_fraction, part.memory_gib) if v is not None), default=None)
    link = part.link_gb_s_per_direction
    note = part.link_note or ("no peer link: a slice works alone" if link is None else None)
    peaks = {name: _times(getattr(parent.dense_peak_tflops, name), part.compute) for name in COMPUTE_DTYPES}
    per_server = parent.max_per_server
    return parent.model_copy(
        update={
            "id": part.id,
            "name": part.name,
            "parent": parent.id,
            "works_alone": part.kind in _ALONE,
            "fraction_of_parent": part.price_fraction or 1.0 / part.instances_per_parent,
            "usual": False,
            "aliases": part.aliases,
            "assumed_for": part.assumed_for,
            "memory": Memory(
                nominal_gb=part.nominal_gb or parent.memory.nominal_gb * part.memory,
                usable_gib=usable,
                basis="derived",
                reason=f"{part.memory:.4g} of what {parent.id} has"
                + (f", at most the {part.memory_gib:g} GiB of the template" if part.memory_gib else ""),
                type=parent.memory.type,
            ),
            "memory_bandwidth_gb_s": _times(parent.memory_bandwidth_gb_s, part.bandwidth),
            "dense_peak_tflops": PeakRates(**peaks),
            "interconnect": Interconnect(type=parent.interconnect.type, gb_s_per_direction=link, note=note),
            "tdp_w": _times(parent.tdp_w, part.power_fraction or part.compute),
            "max_per_server": per_server * part.instances_per_parent if per_server else None,
            "form_factor": _KINDS[part.kind],
            "compute_units": {},
            "l2_cache_mb": None,
            "note": part.note,
            "sources": (*part.sources, *parent.sources),
            "unsourced": tuple(dict.fromkeys((*part.derived, *parent.unsourced))),
        }
    )
