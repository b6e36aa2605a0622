"""Which placements of one replica are worth trying: sizes within the server and the fabric, legal for the engine."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from sizing.base.budget import spend
from sizing.base.errors import PlacementError
from sizing.engine.base import Engine
from sizing.engine.placement import Placement, problems
from sizing.model.architecture import Architecture
from sizing.model.quantization.schemes import QuantScheme

POWERS = tuple(2**power for power in range(11))
MOST_STAGES = 16  # longer pipelines are tried in powers of two only


@dataclass(frozen=True, slots=True)
class Space:
    """Bounds of the placements of one replica. Empty tuples: any size.

    host_size: accelerators of one host, where the scale-up domain (node_size) joins several: launch commands start
    whole hosts, and attention groups beside others stay within one. alone: a replica is one accelerator (slices).
    """

    node_size: int
    max_nodes: int = 1
    max_accelerators: int | None = None
    tensor_parallel: tuple[int, ...] = ()
    pipeline_parallel: tuple[int, ...] = ()
    data_parallel: tuple[int, ...] = ()
    expert_parallel: tuple[int, ...] = ()
    host_size: int | None = None
    alone: bool = False

    @property
    def most(self) -> int:
        """Accelerators of the largest replica."""
        whole = 1 if self.alone else self.node_size * self.max_nodes
        return min(whole, self.max_accelerators) if self.max_accelerators else whole


def enumerate_placements(arch: Architecture, space: Space) -> list[Placement]:
    """Sizes in powers of two (pipelines also of as many stages as servers, data parallelism also of whole servers):
    tensor parallelism inside a server,
    pipelines over servers, attention data parallelism for latent attention and for experts, experts whole over all
    ranks of a stage or cut like everything else."""
    most, node = space.most, space.node_size
    host = space.host_size or node
    tps = [size for size in POWERS if size <= min(node, most)]
    pps = sorted({size for size in (*POWERS, *range(1, space.max_nodes + 1)) if size <= min(most, arch.num_layers)})
    pps = [size for size in pps if size <= max(space.max_nodes * 2, 4) and (size in POWERS or size <= MOST_STAGES)]
    found: list[Placement] = []
    for tp in _kept(tps, space.tensor_parallel, most):
        spend()
        for dp in _kept(_data_parallel_sizes(arch, space, tp), space.data_parallel, most):
            spend()
            for pp in _kept(pps, space.pipeline_parallel, most):
                ranks = tp * dp
                whole = ranks * pp
                if whole > most or (whole > node and whole % node) or (dp > 1 and pp > 1):
                    continue
                if (whole > host and whole % host) or (dp > 1 and tp > host):
                    continue
                eps = [1, ranks] if arch.is_moe and ranks > 1 else [1]
                found += [
                    Placement(tp, pp, dp, ep)
                    for ep in _kept(eps, space.expert_parallel, most)
                    if not (dp > 1 and ep == 1 and ranks > node)
                ]
    return found


def _data_parallel_sizes(arch: Architecture, space: Space, tp: int) -> list[int]:
    """Powers of two, and whatever fills whole servers: 18 servers of 8 are 144 ranks."""
    if not arch.is_moe:
        return [1]
    filling = [servers * space.node_size // tp for servers in range(1, space.max_nodes + 1)]
    return sorted({size for size in (*POWERS, *filling) if size >= 1 and size * tp <= space.most})


def _kept(sizes: list[int], wanted: tuple[int, ...], most: int) -> list[int]:
    """The sizes asked for, each once, or all."""
    return [size for size in dict.fromkeys(wanted) if size <= most] if wanted else sizes


def legal_placements(
    arch: Architecture, scheme: QuantScheme, engine: Engine, space: Space
) -> tuple[list[Placement], Counter[tuple[str, str]]]:
    """The placements that the engine accepts, and how many fell to which rule (rule's name, an example's message)."""
    legal: list[Placement] = []
    fallen: dict[str, list[str]] = {}
    for placement in enumerate_placements(arch, space):
        spend(1)
        found = problems(arch, placement, scheme, engine)
        if not found:
            legal.append(placement)
            continue
        fallen.setdefault(found[0].rule, []).append(f"{placement.describe()}: {_short(found[0])}")
    return legal, Counter({(rule, examples[0]): len(examples) for rule, examples in fallen.items()})


def _short(problem: PlacementError) -> str:
    return problem.message


def as_arrays(placements: list[Placement], trailing: int = 0) -> Placement:
    """One Placement of arrays, with ``trailing`` axes of length 1 behind."""
    shape = (len(placements),) + (1,) * trailing
    tp, pp, dp, ep = (
        np.array([getattr(p, axis) for p in placements]).reshape(shape) for axis in ("tp", "pp", "dp", "ep")
    )
    return Placement(tp, pp, dp, ep)
