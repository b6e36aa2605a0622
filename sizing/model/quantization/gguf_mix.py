"""The mixes of llama.cpp by their names: which type its quantiser gives each matrix of a model, before a file exists.

``mix_scheme`` sizes ``Q4_K_M`` and its like for any Architecture. The rule is the quantiser's own (llama.cpp, October
2026, without an importance matrix): the head, or a tied embedding, has more bits; so have attention's values and the
feed-forward's way back in an eighth of the layers at either end and each third between; rows that no block of 256 fills
fall back to wider types; routers, norms and biases stay in 32 bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from sizing.model.architecture import Architecture, LayerGroup
from sizing.model.checkpoints.gguf_types import TYPES, fitting
from sizing.model.parts import Component, CoreKind, Linear
from sizing.model.quantization.schemes import BF16, FP32, QuantScheme, WeightFormat

# The type that most matrices of a mix have.
BASE = {
    "q4_0": "Q4_0", "q4_1": "Q4_1", "q5_0": "Q5_0", "q5_1": "Q5_1", "q8_0": "Q8_0", "q2_k": "Q2_K", "q2_k_s": "Q2_K",
    "q3_k_s": "Q3_K", "q3_k_m": "Q3_K", "q3_k_l": "Q3_K", "q4_k_s": "Q4_K", "q4_k_m": "Q4_K", "q5_k_s": "Q5_K",
    "q5_k_m": "Q5_K", "q6_k": "Q6_K", "iq1_s": "IQ1_S", "iq1_m": "IQ1_M", "iq2_xxs": "IQ2_XXS", "iq2_xs": "IQ2_XS",
    "iq2_s": "IQ2_XS", "iq2_m": "IQ2_S", "iq3_xxs": "IQ3_XXS", "iq3_xs": "IQ3_S", "iq3_s": "IQ3_S", "iq3_m": "IQ3_S",
    "iq4_nl": "IQ4_NL", "iq4_xs": "IQ4_XS", "tq1_0": "TQ1_0", "tq2_0": "TQ2_0", "mxfp4_moe": "MXFP4",
}  # fmt: skip
_TINY = ("iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s", "iq2_m")
# Model types whose GGUF files keep queries, keys and values in one matrix, and those with a type of 70B of its own.
_FUSED_QKV = frozenset((
    "bloom", "mpt", "gpt_neox", "gpt2", "gpt_bigcode", "phi3", "phi3_v", "phi4mm", "phi", "chatglm", "falcon", "qwen",
    "dbrx",
))  # fmt: skip
_SEVENTY = frozenset(("llama", "qwen2", "qwen2_vl", "qwen2_5_vl", "nemotron-nas", "deci"))


@dataclass(frozen=True, slots=True)
class _Facts:
    """What of a model the rule asks for. layers: all of them; values: layers with a matrix of attention's values."""

    mix: str
    base: str
    layers: int
    values: int
    gqa: float
    experts: int
    falcon: bool
    seventy: bool
    fused: bool


def _more(index: int, count: int) -> bool:
    """Whether a layer is among those with more bits: the first and last eighth, and each third between."""
    return index < count // 8 or index >= 7 * count // 8 or (index - count // 8) % 3 == 2


def _values(facts: _Facts, index: int) -> str:
    """The type of attention's values (and of a fused or latent matrix that holds them)."""
    mix, wide = facts.mix, facts.gqa >= 4
    if mix in _TINY:
        if wide or facts.experts >= 4:
            return "Q4_K"
        return "IQ3_S" if mix in ("iq2_s", "iq2_m") else "Q2_K"
    found = facts.base
    if mix == "q2_k":
        found = "Q4_K" if wide else "Q3_K"
    elif mix == "iq3_xxs":
        found = "Q4_K" if wide else "IQ3_S"
    elif mix == "iq3_m" or (mix in ("q2_k_s", "iq3_xs", "iq3_s") and wide):
        found = "Q4_K"
    elif mix == "q3_k_m":
        found = "Q5_K" if index < 2 else "Q4_K"
    elif mix == "q3_k_l" or (mix in ("iq4_nl", "iq4_xs") and wide) or (mix == "q4_k_s" and index < 4):
        found = "Q5_K"
    elif mix in ("q4_k_m", "q5_k_m") and _more(index, facts.values):
        found = "Q6_K"
    if facts.seventy and found in ("Q3_K", "Q4_K"):
        found = "Q5_K"
    return "Q8_0" if facts.experts == 8 else found


def _down(facts: _Facts, index: int) -> str:
    """The type of the feed-forward's way back."""
    mix, base, count = facts.mix, facts.base, facts.layers
    first = index < count // 8
    if mix in _TINY:
        return ("IQ3_S" if mix in ("iq2_s", "iq2_m") else "Q2_K") if first else base
    by_mix = {
        "q2_k": "Q3_K",
        "q2_k_s": "Q4_K" if first else base,
        "iq3_xxs": "Q4_K" if first else "Q3_K",
        "q3_k_m": "Q5_K" if index < count // 16 else "Q4_K" if not facts.falcon or _more(index, count) else "Q3_K",
        "iq3_m": "Q4_K" if first or (facts.experts == 8 and _more(index, count)) else base,
        "q3_k_l": "Q4_K" if facts.falcon else "Q5_K",
        "q4_k_m": "Q6_K" if _more(index, count) else base,
        "iq4_nl": "Q5_K" if first else base,
        "iq4_xs": "Q5_K" if first else base,
        "q5_k_m": "Q6_K" if _more(index, count) else base,
        "q4_k_s": "Q5_K" if first and not facts.falcon else base,
    }
    if mix == "q4_k_m" and facts.falcon:
        return "Q6_K" if index < count // 16 else "Q5_K" if _more(index, count) else base
    return by_mix.get(mix, base)


def _output(facts: _Facts) -> str:
    """The type of attention's output."""
    mix, base = facts.mix, facts.base
    if facts.experts == 8:
        return base if facts.falcon or mix not in _EIGHT else "Q5_K"
    if facts.falcon:
        return "Q4_K" if mix == "q3_k_l" else base
    by_mix = {"iq1_s": "IQ2_XXS", "iq1_m": "IQ2_XXS", "iq2_s": "IQ3_S", "iq2_m": "IQ3_S", "q2_k": "Q3_K", "iq3_xxs": "IQ3_S",
              "q3_k_m": "Q4_K", "q3_k_l": "Q5_K", "iq3_m": "Q4_K"}  # fmt: skip
    return by_mix.get(mix, base)


_EIGHT = frozenset((*_TINY, "q2_k", "iq3_xs", "iq3_xxs", "q3_k_s", "q3_k_m", "iq4_nl", "q4_k_s", "q4_k_m", "iq3_s", "iq3_m",
                    "iq4_xs"))  # fmt: skip


def _middle(facts: _Facts, index: int) -> str:
    """The type of the feed-forward's way in."""
    thin = facts.mix == "iq3_xs" and facts.layers // 8 <= index < 7 * facts.layers // 8
    return "IQ3_XXS" if thin else facts.base


def _query(facts: _Facts, *, key: bool) -> str:
    """The type of attention's queries and keys."""
    if key and facts.experts == 8:
        return "Q4_K" if facts.mix in _TINY else "Q8_0"
    return {"iq3_xs": "IQ3_XXS", "iq3_xxs": "IQ2_S"}.get(facts.mix, facts.base)


def _table(facts: _Facts, columns: int, *, head: bool) -> str:
    """The type of the head (or of an embedding that is the head too), or of the embedding alone."""
    mix, base = facts.mix, facts.base
    if head:
        if mix == "mxfp4_moe" or facts.falcon or columns % TYPES[base].weights:
            return fitting("Q8_0", columns)
        if mix in (*_TINY, "iq3_xxs"):
            return fitting("Q5_K", columns)
        return fitting(base if base == "Q8_0" else "Q6_K", columns)
    if mix == "mxfp4_moe":
        return fitting("Q8_0", columns)
    found = {"iq2_xxs": "Q2_K", "iq2_xs": "Q2_K", "iq1_s": "Q2_K", "iq1_m": "Q2_K", "iq2_s": "IQ3_S", "iq2_m": "IQ3_S",
             "iq3_xxs": "IQ3_S", "tq1_0": "Q4_K", "tq2_0": "Q4_K"}.get(mix, base)  # fmt: skip
    return fitting(found, columns)


def _pieces(linear: Linear, facts: _Facts, group: LayerGroup, layer: int, value: int) -> Iterator[tuple[float, float]]:
    """(weights, bits) of a matrix as the file stores it: ``layer`` and ``value`` are its places in the rule's counts."""
    size, columns = float(linear.weight_params), linear.in_features
    name, component = linear.name, linear.component
    if component is Component.ROUTER or name in ("shared_expert_gate", "indexer.k_proj", "indexer.q_proj"):
        yield size, 32.0
        return
    if not linear.quantizable and component is Component.OTHER:
        yield size, 32.0
        return
    kind = facts.base
    if facts.mix == "mxfp4_moe":
        kind = "Q8_0"
    elif facts.fused and name in ("q_proj", "k_proj", "v_proj"):
        kind = _values(facts, value)
    elif name == "kv_b_proj":
        core = group.mixer.core
        nope = core.qk_head_dim - (core.latent_dim - core.latent_v_dim)
        share = nope / (nope + core.v_head_dim)
        yield size * share, TYPES[fitting(kind, nope)].bits
        yield size * (1 - share), TYPES[fitting(kind, columns)].bits
        return
    elif component is Component.ATTENTION and name == "v_proj":
        kind = _values(facts, value)
    elif component is Component.ATTENTION and name in ("q_proj", "k_proj"):
        kind = _query(facts, key=name == "k_proj")
    elif name == "o_proj":
        kind = _output(facts)
    elif name in ("down_proj", "shared_down_proj"):
        kind = _down(facts, layer)
    elif name in ("gate_proj", "up_proj", "shared_gate_proj", "shared_up_proj"):
        kind = _middle(facts, layer)
    elif name == "in_proj_qkvz":
        core = group.mixer.core
        gate = core.num_heads * core.v_head_dim / linear.out_features
        yield size * (1 - gate), TYPES[fitting(_values(facts, value), columns)].bits
        yield size * gate, TYPES[fitting(kind, columns)].bits
        return
    yield size, TYPES[fitting(kind, columns)].bits


def _experts(facts: _Facts, group: LayerGroup, layer: int) -> Iterator[tuple[float, float]]:
    bank = group.feed_forward.experts
    if bank is None:
        return
    one = float(bank.num_experts * bank.hidden_size * bank.intermediate_size)
    plain = facts.mix == "mxfp4_moe"
    yield (
        (bank.matrices - 1) * one,
        TYPES[fitting(facts.base if plain else _middle(facts, layer), bank.hidden_size)].bits,
    )
    yield one, TYPES[fitting(facts.base if plain else _down(facts, layer), bank.intermediate_size)].bits


def _holds_values(group: LayerGroup) -> bool:
    return any(
        linear.name == "in_proj_qkvz" or (linear.name == "v_proj" and linear.component is Component.ATTENTION)
        for linear in group.mixer.linears
    )


def _facts(arch: Architecture, mix: str) -> _Facts:
    softmax = [group.mixer.core for group in arch.groups if group.mixer.core.kind is CoreKind.SOFTMAX]
    gqa = max((core.num_heads / max(1, core.num_kv_heads) for core in softmax), default=1.0)
    if arch.is_mla:
        gqa = float(max(group.mixer.core.num_heads for group in arch.groups))
    banks = [group.feed_forward.experts for group in arch.groups if group.feed_forward.experts is not None]
    return _Facts(
        mix=mix,
        base=BASE[mix],
        layers=arch.num_layers,
        values=sum(group.count for group in arch.groups if _holds_values(group)),
        gqa=gqa,
        experts=banks[0].num_experts if banks else 0,
        falcon=arch.model_type == "falcon",
        seventy=arch.num_layers == 80 and arch.model_type in _SEVENTY and gqa > 1,
        fused=arch.model_type in _FUSED_QKV,
    )


def _mean(pieces: Iterable[tuple[float, float]], name: str) -> WeightFormat:
    weights = bits = 0.0
    for size, each in pieces:
        weights += size
        bits += size * each
    return WeightFormat(name, bits / weights if weights else 16.0)


def mix_scheme(arch: Architecture, mix: str) -> QuantScheme:
    """The mean bits of each matrix, the experts, the embedding and the head of ``arch`` in a mix such as ``q4_k_m``.

    Towers stay in 16 bits, as their file of their own usually is. Raises KeyError for a name that is no mix.
    """
    facts = _facts(arch, mix)
    order = arch.layer_order or tuple(i for i, group in enumerate(arch.groups) for _ in range(group.count))
    by_name: dict[str, list[tuple[float, float]]] = {}
    experts: list[tuple[float, float]] = []
    value = 0
    for layer, index in enumerate(order):
        group = arch.groups[index]
        for linear in (*group.mixer.linears, *group.feed_forward.linears):
            by_name.setdefault(linear.name, []).extend(_pieces(linear, facts, group, layer, value))
        experts.extend(_experts(facts, group, layer))
        value += _holds_values(group)
    name = f"gguf_{mix}"
    formats = {matrix: _mean(pieces, name) for matrix, pieces in by_name.items()}
    everything = [piece for pieces in by_name.values() for piece in pieces]
    matrices = _mean(everything, name)
    tied = arch.tie_word_embeddings and arch.has_lm_head
    head = WeightFormat(name, TYPES[_table(facts, arch.hidden_size, head=True)].bits)
    table = head if tied else WeightFormat(name, TYPES[_table(facts, arch.hidden_size, head=False)].bits)
    return QuantScheme(
        mix,
        linear=matrices,
        experts=_mean(experts, name) if experts else matrices,
        other=replace(FP32, kind=None, compute="bf16"),
        embedding=table,
        lm_head=head,
        vision=BF16,
        by_name=tuple(sorted(formats.items(), key=lambda item: item[0])),
        named_first=True,
        mix=mix,
    )


def stated_bits(arch: Architecture, scheme: QuantScheme) -> float:
    """Mean bits of a weight of the text model, as people state a GGUF file: bytes x 8 / weights."""
    total = bits = 0.0
    for group in arch.groups:
        for linear in (*group.mixer.linears, *group.feed_forward.linears):
            size = group.count * linear.weight_params
            total, bits = total + size, bits + size * scheme.format_of(linear).bits
            if linear.bias:
                total, bits = total + group.count * linear.out_features, bits + group.count * linear.out_features * 32
        for vector in (*group.mixer.vectors, *group.feed_forward.vectors, *group.vectors):
            total, bits = total + group.count * vector.params, bits + group.count * vector.params * 32
        bank = group.feed_forward.experts
        if bank is not None:
            plain = bank.num_experts * bank.bias_params
            size = bank.params - plain
            total, bits = (
                total + group.count * bank.params,
                bits + group.count * (size * scheme.experts.bits + plain * 32),
            )
    total, bits = total + arch.embedding, bits + arch.embedding * scheme.embedding_format.bits
    if arch.lm_head:
        total, bits = total + arch.lm_head, bits + arch.lm_head * scheme.lm_head.bits
    return bits / total
