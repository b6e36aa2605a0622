"""The bytes of a checkpoint's files by component, held against what the config's scheme comes to: the bytes decide."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from sizing.model.architecture import BF16_BYTES, Architecture
from sizing.model.checkpoints.safetensors import StoredTensor
from sizing.model.parts import Component
from sizing.model.quantization.schemes import BF16, QuantScheme, WeightFormat

APART = 0.02  # the share from which the files and the config are said to differ
_WIDE = ("F32", "F64")
_FLOATS = (*_WIDE, "F16", "BF16")
_LAYER = re.compile(r"(?:^|\.)layers\.(\d+)\.")
_BY_NAME: tuple[tuple[str, Component], ...] = (
    (r"visual|vision|image|audio|multi_modal|mm_proj", Component.VISION),
    (r"lm_head|embed_out", Component.LM_HEAD),
    (r"per_layer", Component.PER_LAYER_EMBEDDING),
    (r"embed_tokens|wte\b|word_embeddings|vocab_embedding|tok_embeddings|^(?:model\.)?embed\b", Component.EMBEDDING),
    (r"shared_expert|shared_mlp", Component.SHARED_EXPERTS),
    (r"experts", Component.ROUTED_EXPERTS),
    (r"router|(?:mlp|moe|ffn|feed_forward|mixer)\.gate\.", Component.ROUTER),
    (r"norm|\bln_", Component.NORMS),
    (r"linear_attn|mamba|mixer\.(?:in_proj|out_proj|conv|A_|D\b|dt_|x_proj)|\.conv\.|time_mix", Component.LINEAR_ATTENTION),
    (r"(?:^|\.)(?:self_attn|self_attention|attention|attn|mixer\.[qkvo]_proj)", Component.ATTENTION),
    (r"mlp|feed_forward|ffn|mixer\.(?:up|down|gate)_proj", Component.DENSE_MLP),
)  # fmt: skip
_PATTERNS = tuple((re.compile(pattern), component) for pattern, component in _BY_NAME)


@dataclass(frozen=True, slots=True)
class StoredPart:
    """One component of the files. disk: bytes there; held: with 32-bit leftovers cast to 16 bits; whole: weights that
    have an 8-bit entry each.
    """

    disk: int
    held: int
    whole: int
    dtype: str


LEAST_BITS = 1.5  # of a weight: the fewest of any format in use (BitNet's ternary weights, GGUF's IQ1)


def component_of(name: str, num_layers: int) -> Component | None:
    """The component that a tensor of this name belongs to; None for modules that ``total`` leaves out."""
    layer = _LAYER.search(name)
    if re.search(r"(?:^|\.)mtp\b", name) or (layer is not None and int(layer.group(1)) >= num_layers):
        return None
    return next((found for pattern, found in _PATTERNS if pattern.search(name)), Component.OTHER)


def stored_parts(arch: Architecture, tensors: Iterable[StoredTensor]) -> dict[Component, StoredPart]:
    """The files' bytes by component."""
    disk: Counter[Component] = Counter()
    held: Counter[Component] = Counter()
    whole: Counter[Component] = Counter()
    dtypes: dict[Component, Counter[str]] = {}
    for tensor in tensors:
        part = component_of(tensor.name, arch.num_layers)
        if part is None:
            continue
        disk[part] += tensor.bytes
        plain = tensor.dtype in _WIDE and tensor.name.endswith((".weight", ".bias"))
        held[part] += tensor.elements * BF16_BYTES if plain else tensor.bytes
        if tensor.dtype == "I8":
            whole[part] += tensor.elements
        dtypes.setdefault(part, Counter())[tensor.dtype] += tensor.bytes
    return {part: StoredPart(disk[part], held[part], whole[part], dtypes[part].most_common(1)[0][0]) for part in disk}


def _sizes(arch: Architecture, scheme: QuantScheme) -> dict[Component, tuple[float, float, float]]:
    """By component: the bytes that a scheme gives, its matrices' weights, and the bytes of what is no matrix."""
    total: dict[Component, list[float]] = {}

    def add(part: Component, size: float, weights: float, beside: float = 0.0) -> None:
        sums = total.setdefault(part, [0.0, 0.0, 0.0])
        for place, value in enumerate((size + beside, weights, beside)):
            sums[place] += value

    for count, linears, vectors in (
        *((g.count, (*g.mixer.linears, *g.feed_forward.linears), (*g.mixer.vectors, *g.feed_forward.vectors, *g.vectors))
          for g in arch.groups),
        (1, arch.extra_linears, arch.extra_vectors),
    ):  # fmt: skip
        for item in linears:
            size = scheme.format_of(item).bytes(item.out_features, item.in_features)
            bias = (item.params - item.weight_params) * BF16_BYTES
            add(item.component, count * size, count * item.weight_params, count * bias)
        for vector in vectors:
            add(vector.component, 0.0, 0.0, count * vector.params * BF16_BYTES)
    for group in arch.groups:
        bank = group.feed_forward.experts
        if bank is not None:
            into = scheme.experts.bytes(bank.intermediate_size, bank.hidden_size)
            back = scheme.experts.bytes(bank.hidden_size, bank.intermediate_size)
            one = (bank.matrices - 1) * into + back
            weights = bank.matrices * bank.intermediate_size * bank.hidden_size
            number = group.count * bank.num_experts
            add(Component.ROUTED_EXPERTS, number * one, number * weights, number * bank.bias_params * BF16_BYTES)
    width = arch.embedding / arch.vocab_size
    add(Component.EMBEDDING, scheme.embedding_format.bytes(arch.vocab_size, round(width)), arch.embedding)
    if arch.lm_head:
        add(Component.LM_HEAD, scheme.lm_head.bytes(arch.vocab_size, arch.hidden_size), arch.lm_head)
    if arch.vision is not None:
        add(Component.VISION, arch.vision.params * scheme.vision.effective_bits / 8, arch.vision.params)
    return {part: (sums[0], sums[1], sums[2]) for part, sums in total.items()}


def _with(scheme: QuantScheme, part: Component, fmt: WeightFormat) -> QuantScheme:
    if part is Component.ROUTED_EXPERTS:
        return replace(scheme, experts=fmt, unquantized=scheme.unquantized - {part})
    if part is Component.EMBEDDING:
        return replace(scheme, embedding=fmt)
    if part is Component.LM_HEAD:
        return replace(scheme, lm_head=fmt)
    if part is Component.VISION:
        return replace(scheme, vision=fmt)
    largest = fmt if part in (Component.ATTENTION, Component.DENSE_MLP) and scheme.name == "stored" else scheme.linear
    return replace(scheme, linear=largest, by_component=(*scheme.by_component, (part, fmt)))


def by_the_bytes(arch: Architecture, tensors: list[StoredTensor]) -> Architecture:
    """The Architecture with each component that is more than 2% apart from its files sized by them.

    What the config does not explain is sized by the bytes alone. Where weights that the config gives 4 bits have an 8-bit
    entry each on disk, engines pack them at load: the config's size stays, and both are said.
    """
    parts = stored_parts(arch, tensors)
    own = arch.native_quantization
    known = isinstance(own, QuantScheme)
    packed = any(part.dtype not in _FLOATS for part in parts.values())
    if not known and not packed:
        return replace(arch, stored_components=_named(parts))
    scheme = own if isinstance(own, QuantScheme) else QuantScheme("stored", linear=BF16, experts=BF16)
    said: list[str] = []
    sizes = _sizes(arch, scheme)
    if not known and any(weights and part not in parts for part, (_, weights, _) in sizes.items()):
        return replace(arch, stored_components=_named(parts))  # a part of the files cannot size the whole
    for part, (size, weights, beside) in sizes.items():
        found = parts.get(part)
        if found is None or not weights or abs(found.held - size) <= APART * size:
            continue
        what = f"{part.value}: {found.disk:,} bytes on disk, {size:,.0f} by the config"
        if known and found.whole >= 0.98 * weights and size < 0.75 * weights:
            said.append(f"{what}: stored in 8 bits, packed at load")
            continue
        bits = max(0.0, found.held - beside) * 8 / weights
        if bits < LEAST_BITS:  # no format has so few: tensors are missing, and the files decide nothing
            return replace(arch, stored_components=_named(parts))
        like = _like(scheme, part)
        scheme = _with(
            scheme, part, WeightFormat(f"stored_{found.dtype.lower()}", bits, compute=like.compute, kind=like.kind)
        )
        said.append(f"{what if known else f'{part.value}: {found.disk:,} bytes on disk'}: sized by the files")
    if not said:
        return replace(arch, stored_components=_named(parts))
    note = "the files decide: " + "; ".join(said)
    return replace(
        arch,
        native_quantization=scheme,
        quantization_problem=None,
        stored_components=_named(parts),
        stored_note=note,
        notes=(note, *arch.notes),
    )


def _like(scheme: QuantScheme, part: Component) -> WeightFormat:
    """The format whose arithmetic stays where a component's size comes from the files."""
    if scheme.name == "stored":
        return WeightFormat("stored", 16)
    return scheme.experts if part is Component.ROUTED_EXPERTS else scheme.linear


def _named(parts: dict[Component, StoredPart]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted((part.value, found.disk) for part, found in parts.items()))
