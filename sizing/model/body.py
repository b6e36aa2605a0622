"""Body: what a family's builder returns, and its assembly into an Architecture."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from sizing.model.architecture import LayerGroup
from sizing.model.keys import Keys
from sizing.model.parts import FeedForward, Linear, Mixer, Vector

MAX_LAYERS = 10_000


@dataclass(frozen=True, slots=True)
class Layer:
    """One decoder layer."""

    mixer: Mixer
    feed_forward: FeedForward
    vectors: tuple[Vector, ...] = ()

    @property
    def label(self) -> str:
        """What the layer is, for people: "gqa+moe"."""
        parts = [self.mixer.kind, self.feed_forward.kind]
        return "+".join(part for part in parts if part != "none") or "no_op"


@dataclass(slots=True)
class Body:
    """The language model of a config: layers in order and what stands around them."""

    hidden_size: int
    vocab_size: int
    layers: list[Layer]
    tie_default: bool = False
    final_vectors: tuple[Vector, ...] = ()
    extra_linears: tuple[Linear, ...] = ()
    embedding_params: int | None = None
    has_lm_head: bool = True
    lm_head_bias: bool = False
    mtp_layers: list[Layer] = field(default_factory=list)
    mtp_extra_params: int = 0
    notes: list[str] = field(default_factory=list)
    yarn_context: int | None = None  # context that the publisher documents with YaRN switched on


def norm(hidden: int, *, bias: bool = False, count: int = 1, name: str = "norms") -> tuple[Vector, ...]:
    """``count`` norms of the model's width, with a bias each where the family uses LayerNorm."""
    width = count * hidden * (2 if bias else 1)
    return (Vector(name, width),) if width else ()


def group_layers(layers: Iterable[Layer], prefix: str = "") -> tuple[tuple[LayerGroup, ...], tuple[int, ...]]:
    """Equal layers become one group each; also the group of every layer, in order."""
    index: dict[Layer, int] = {}
    counts: list[int] = []
    order: list[int] = []
    for layer in layers:
        position = index.setdefault(layer, len(index))
        if position == len(counts):
            counts.append(0)
        counts[position] += 1
        order.append(position)
    names: dict[str, int] = {}
    groups: list[LayerGroup] = []
    for layer, position in index.items():
        label = f"{prefix}{layer.label}"
        names[label] = names.get(label, 0) + 1
        name = label if names[label] == 1 else f"{label}#{names[label]}"
        groups.append(LayerGroup(name, counts[position], layer.mixer, layer.feed_forward, layer.vectors))
    return tuple(groups), tuple(order)


def layer_count(keys: Keys, *names: str) -> int:
    """The number of layers, at most MAX_LAYERS."""
    return keys.integer(*(names or ("num_hidden_layers",)), maximum=MAX_LAYERS)
