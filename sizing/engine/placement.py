"""How one replica of a model is laid out over accelerators, and which layouts an engine would refuse.

``tp`` is the size of the attention tensor parallel group, ``dp`` the number of attention data parallel
ranks inside the replica (they share the experts), ``pp`` the number of pipeline stages, ``ep`` over how
many ranks whole experts are spread. A replica has ``tp * dp * pp`` accelerators; experts that are not
spread whole are cut ``moe_tp`` ways, ``moe_tp = tp * dp / ep``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from sizing.base.checked import Named, shown, whole
from sizing.base.errors import PlacementError, SizingError
from sizing.model.architecture import Architecture
from sizing.model.parts import Component, CoreKind, Sharding
from sizing.model.quantization.schemes import QuantScheme, WeightFormat

# Marlin kernels (GPTQ, AWQ) work on tiles of so many rows of a partition.
MARLIN_ROWS = 64
MOST_RANKS = 1_000_000  # of one group; more is a mistake


@dataclass(frozen=True, slots=True)
class Placement(metaclass=Named):
    """Sizes of the parallel groups of one replica: whole numbers, or NumPy arrays that broadcast.

    A single number of NumPy's becomes Python's own. What is no size at all is refused where the placement is used.
    """

    tp: Any = 1
    pp: Any = 1
    dp: Any = 1
    ep: Any = 1

    def __post_init__(self) -> None:
        for axis in ("tp", "pp", "dp", "ep"):
            size = getattr(self, axis)
            if type(size) is int or (isinstance(size, np.ndarray) and size.ndim):
                continue
            try:
                object.__setattr__(self, axis, whole(size, f"--{axis}"))
            except SizingError:
                continue

    @property
    def accelerators(self) -> Any:
        """Accelerators of one replica."""
        return self.tp * self.dp * self.pp

    @property
    def moe_tp(self) -> Any:
        """Ways in which each expert's own matrices are cut."""
        return self.tp * self.dp // self.ep

    def describe(self) -> str:
        """Short text such as ``"TP8 DP2 EP16"``."""
        parts = [("TP", self.tp), ("PP", self.pp), ("DP", self.dp), ("EP", self.ep)]
        return " ".join(f"{name}{size}" for name, size in parts if name == "TP" or np.any(size != 1))


def check(arch: Architecture, placement: Placement, scheme: QuantScheme, engine: Any = None) -> None:
    """Raise PlacementError (with its ``rule``) for the first rule that the layout breaks.

    ``engine`` is an ``Engine``; without one the strictest rules apply. Sources: the engines' own checks at
    start-up.
    """
    for problem in problems(arch, placement, scheme, engine):
        raise problem


def problems(arch: Architecture, placement: Placement, scheme: QuantScheme, engine: Any = None) -> list[PlacementError]:
    """Every rule that the layout breaks, in the order in which an engine would meet them."""
    found: list[PlacementError] = list(_sizes(placement))
    if found:
        return found
    found.extend(_pipeline(arch, placement))
    if engine is not None:
        found.extend(_groups(placement, engine))
    found.extend(_heads(arch, placement))
    found.extend(_widths(arch, placement, scheme))
    found.extend(_experts(arch, placement, scheme, engine))
    return found


def _refuse(rule: str, message: str, key: str, hint: str | None = None) -> PlacementError:
    return PlacementError(message, rule=rule, key=key, hint=hint)


def _sizes(placement: Placement) -> Iterator[PlacementError]:
    for name in ("tp", "pp", "dp", "ep"):
        size = getattr(placement, name)
        try:
            known = whole(size, f"--{name}") or 0
        except SizingError:
            known = 0
        if not 1 <= known <= MOST_RANKS:
            message = f"must be a whole number from 1 to {MOST_RANKS:,}, not {shown(size)}"
            yield _refuse("size_not_positive", message, f"--{name}")
            return
    ranks = placement.tp * placement.dp
    if ranks % placement.ep:
        yield _refuse(
            "ep_does_not_divide",
            f"{placement.ep} expert parallel ranks do not divide tp * dp = {ranks}",
            "--ep",
            f"use a divisor of {ranks}",
        )


def _pipeline(arch: Architecture, placement: Placement) -> Iterator[PlacementError]:
    if placement.pp > arch.num_layers:
        yield _refuse("more_stages_than_layers", f"{placement.pp} stages for {arch.num_layers} layers", "--pp")


def _groups(placement: Placement, engine: Any) -> Iterator[PlacementError]:
    """Combinations of groups that the engine's own options cannot say."""
    ranks = placement.tp * placement.dp
    if placement.pp > 1 and not engine.pipelines:
        yield _refuse("pp_unsupported", f"{engine.name} has no pipeline parallelism", "--pp", "use --tp, --dp or --ep")
    if placement.tp > 1 and not engine.tensor_parallel:
        yield _refuse(
            "tp_unsupported",
            f"{engine.name} spreads layers over cards, not matrices",
            "--tp",
            f"use --pp {placement.tp}",
        )
    if placement.dp > 1 and placement.tp > 1 and not engine.attention_dp_with_tp:
        yield _refuse(
            "attention_dp_with_tp",
            f"attention of {engine.name} is either tensor-parallel or data-parallel over all ranks",
            "--dp",
            "use --tp 1 with --dp, or --dp 1",
        )
    if 1 < placement.ep < ranks and not engine.partial_expert_parallel:
        yield _refuse(
            "ep_not_all_ranks",
            f"{engine.name} spreads experts over all tp * dp = {ranks} ranks or over none, not over {placement.ep}",
            "--ep",
            f"use 1 or {ranks}",
        )


def _heads(arch: Architecture, placement: Placement) -> Iterator[PlacementError]:
    tp = placement.tp
    seen: set[tuple[int, int]] = set()
    for group in arch.groups:
        core = group.mixer.core
        if core.num_heads == 0 or (core.num_heads, core.num_kv_heads) in seen:
            continue
        seen.add((core.num_heads, core.num_kv_heads))
        if core.num_heads % tp:
            yield _refuse(
                "heads_not_divisible",
                f"{core.num_heads} attention heads do not divide by {tp}",
                "--tp",
                f"use one of {_divisors(core.num_heads)}",
            )
        kv_heads = core.num_kv_heads
        if core.kind is CoreKind.SOFTMAX and kv_heads and kv_heads % tp and tp % kv_heads:
            yield _refuse(
                "kv_heads_not_divisible",
                f"{kv_heads} KV heads neither divide by {tp} nor divide it",
                "--tp",
                f"use one of {_divisors(core.num_heads)}",
            )


def _divisors(number: int) -> str:
    return ", ".join(str(size) for size in range(1, min(number, 256) + 1) if number % size == 0)


def _widths(arch: Architecture, placement: Placement, scheme: QuantScheme) -> Iterator[PlacementError]:
    """Widths of the dense matrices: whole shards, whole quantisation blocks and groups."""
    tp = placement.tp
    if tp == 1:
        return
    seen: set[tuple[str, int, int]] = set()
    for group in arch.groups:
        for linear in (*group.mixer.linears, *group.feed_forward.linears):
            if linear.sharding not in (Sharding.COLUMN, Sharding.ROW):
                continue
            out = linear.out_features // (tp if linear.sharding is Sharding.COLUMN else 1)
            columns = linear.in_features // (tp if linear.sharding is Sharding.ROW else 1)
            split = linear.out_features if linear.sharding is Sharding.COLUMN else linear.in_features
            if (linear.name, linear.out_features, linear.in_features) in seen:
                continue
            seen.add((linear.name, linear.out_features, linear.in_features))
            if split % tp:
                if linear.component in (Component.DENSE_MLP, Component.SHARED_EXPERTS):
                    yield _refuse(
                        "intermediate_not_divisible",
                        f"intermediate size {split} of {linear.name} does not divide by {tp}",
                        "--tp",
                    )
                continue
            yield from _blocks(linear.name, out, columns, linear.sharding, scheme.format_of(linear), "--tp")


def _blocks(
    name: str, out: int, columns: int, sharding: Sharding, fmt: WeightFormat, key: str
) -> Iterator[PlacementError]:
    """Whether one shard of a matrix holds whole blocks or groups of its format."""
    for _, part in fmt.parts:
        yield from _blocks(name, out, columns, sharding, part, key)
    if fmt.block is None:
        return
    rows, group = fmt.block
    if rows and rows > 1 and group and group > 1:
        width, block = (out, rows) if sharding is Sharding.COLUMN else (columns, group)
        if width % block:
            yield _refuse(
                "fp8_block_not_divisible",
                f"a shard of {name} is {width} wide, not a multiple of the {block}-wide FP8 block",
                key,
                "spread whole experts instead (--ep), or use fewer ways",
            )
    elif group and fmt.bits == 4 and fmt.compute == "bf16" and fmt.scale_bytes == 2:
        if sharding is Sharding.ROW and columns % group:
            yield _refuse(
                "gptq_group_not_divisible",
                f"a shard of {name} has {columns} columns, not a multiple of the group of {group}",
                key,
            )
        elif sharding is Sharding.COLUMN and out % MARLIN_ROWS:
            yield _refuse(
                "gptq_tile_not_divisible",
                f"a shard of {name} has {out} rows, not a multiple of the {MARLIN_ROWS}-row tile",
                key,
            )


def _experts(arch: Architecture, placement: Placement, scheme: QuantScheme, engine: Any) -> Iterator[PlacementError]:
    banks = {group.feed_forward.experts for group in arch.groups if group.feed_forward.experts is not None}
    if not banks and placement.ep > 1:
        yield _refuse("no_experts", f"{arch.name} has no experts to spread over {placement.ep} ranks", "--ep")
    uneven_ok = engine is None or getattr(engine, "uneven_experts", False)
    for bank in sorted(banks, key=lambda item: item.intermediate_size):
        if placement.ep > bank.num_experts:
            yield _refuse("more_ranks_than_experts", f"{placement.ep} ranks for {bank.num_experts} experts", "--ep")
        elif bank.num_experts % placement.ep and not uneven_ok:
            yield _refuse(
                "experts_not_divisible", f"{bank.num_experts} experts do not divide by {placement.ep}", "--ep"
            )
        if bank.intermediate_size % placement.moe_tp:
            yield _refuse(
                "expert_intermediate_not_divisible",
                f"expert width {bank.intermediate_size} does not divide by {placement.moe_tp} (tp * dp / ep)",
                "--ep",
            )
            continue
        if placement.moe_tp == 1:
            continue
        shard = bank.intermediate_size // placement.moe_tp
        if engine is not None and engine.repairs_expert_blocks and math.gcd(128, shard) >= 32:
            continue
        yield from _blocks("the experts", shard, bank.hidden_size, Sharding.COLUMN, scheme.experts, "--ep")
