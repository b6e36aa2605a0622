"""Rules by module, exclusions among them: lists of module names, globs or regular expressions, often one for each layer.

They are matched against the public module names of each matrix, layer by layer: ``Named.layers_of`` says in which layers
a list names a matrix, ``formats_of`` what format that leaves it on the mean of its layers.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from sizing.base.errors import ConfigError
from sizing.model.keys import describe
from sizing.model.quantization.schemes import WeightFormat, mean_format

KEY = "quantization_config"
MAX_PATTERNS = 100_000
MAX_PATTERN = 900
MAX_EXPRESSIONS = 1000  # distinct globs and regular expressions of one list: each is held against every name
MAX_REPEATS = 5
ANYWHERE = frozenset((0,))  # stands for the layers where a config's own are not known

# Public module names, below the layer, of the matrices that this package names.
MODULES: dict[str, tuple[str, ...]] = {
    "q_proj": ("self_attn.q_proj", "mixer.q_proj", "attn.q_proj", "self_attn.qkv_proj", "self_attention.query_key_value"),
    "k_proj": ("self_attn.k_proj", "mixer.k_proj", "attn.k_proj", "self_attn.qkv_proj", "self_attention.query_key_value"),
    "v_proj": ("self_attn.v_proj", "mixer.v_proj", "attn.v_proj", "self_attn.qkv_proj", "self_attention.query_key_value"),
    "o_proj": ("self_attn.o_proj", "mixer.o_proj", "attn.o_proj", "self_attention.dense"),
    "g_proj": ("self_attn.g_proj",),
    "q_a_proj": ("self_attn.q_a_proj", "attn.wq_a", "attn.fused_wqa_wkv"),
    "q_b_proj": ("self_attn.q_b_proj", "attn.wq_b"),
    "kv_a_proj": ("self_attn.kv_a_proj_with_mqa",),
    "kv_b_proj": ("self_attn.kv_b_proj",),
    "kv_proj": ("self_attn.kv_proj", "attn.wkv", "attn.fused_wqa_wkv"),
    "o_a_proj": ("self_attn.o_a_proj", "attn.wo_a"),
    "o_b_proj": ("self_attn.o_b_proj", "attn.wo_b"),
    "compressor.kv_proj": ("self_attn.compressor.kv_proj", "attn.compressor.wkv"),
    "compressor.gate_proj": ("self_attn.compressor.gate_proj", "attn.compressor.wgate"),
    "indexer.wq_b": ("self_attn.indexer.wq_b",),
    "indexer.wk": ("self_attn.indexer.wk",),
    "indexer.q_b_proj": ("self_attn.indexer.q_b_proj", "attn.indexer.wq_b"),
    "indexer.kv_proj": ("self_attn.indexer.kv_proj", "attn.indexer.compressor.wkv"),
    "indexer.gate_proj": ("self_attn.indexer.gate_proj", "attn.indexer.compressor.wgate"),
    "indexer.q_proj": ("self_attn.indexer.q_proj", "self_attn.index_q_proj"),
    "indexer.k_proj": ("self_attn.indexer.k_proj", "self_attn.index_k_proj"),
    "in_proj_qkvz": ("linear_attn.in_proj_qkvz", "linear_attn.in_proj_qkv"),
    "out_proj": ("linear_attn.out_proj", "mixer.out_proj", "mamba.out_proj"),
    "in_proj": ("mixer.in_proj", "mamba.in_proj"),
    "x_proj": ("mixer.x_proj", "mamba.x_proj"),
    "dt_proj": ("mixer.dt_proj", "mamba.dt_proj"),
    "f_a_proj": ("self_attn.f_a_proj",),
    "f_b_proj": ("self_attn.f_b_proj",),
    "g_a_proj": ("self_attn.g_a_proj",),
    "g_b_proj": ("self_attn.g_b_proj",),
    "gate_proj": ("mlp.gate_proj", "feed_forward.gate_proj", "ffn.gate_proj", "mlp.gate_up_proj"),
    "up_proj": (
        "mlp.up_proj", "feed_forward.up_proj", "mixer.up_proj", "ffn.up_proj", "mlp.gate_up_proj", "mlp.dense_h_to_4h",
    ),
    "down_proj": (
        "mlp.down_proj", "feed_forward.down_proj", "mixer.down_proj", "ffn.down_proj", "mlp.dense_4h_to_h",
    ),
    "shared_gate_proj": (
        "mlp.shared_experts.gate_proj", "mlp.shared_expert.gate_proj", "feed_forward.shared_expert.gate_proj",
        "ffn.shared_experts.gate_proj",
    ),
    "shared_up_proj": (
        "mlp.shared_experts.up_proj", "mlp.shared_expert.up_proj", "feed_forward.shared_expert.up_proj",
        "ffn.shared_experts.up_proj", "mixer.shared_experts.up_proj",
    ),
    "shared_down_proj": (
        "mlp.shared_experts.down_proj", "mlp.shared_expert.down_proj", "feed_forward.shared_expert.down_proj",
        "ffn.shared_experts.down_proj", "mixer.shared_experts.down_proj",
    ),
    "fc1_latent_proj": ("mixer.fc1_latent_proj",),
    "fc2_latent_proj": ("mixer.fc2_latent_proj",),
    "experts": (
        "mlp.experts.0.gate_proj", "mlp.experts", "block_sparse_moe.experts.0.w1", "feed_forward.experts.0.gate_proj",
        "ffn.experts.0.gate_proj", "ffn.experts", "mixer.experts.0.up_proj", "mixer.experts", "experts.0.gate_proj",
        "experts",
    ),
}  # fmt: skip
# The way back of an expert has rules of its own in some checkpoints.
_WAY_BACK = (
    "mlp.experts.0.down_proj", "mlp.experts", "mlp.experts.down_proj", "block_sparse_moe.experts.0.w2",
    "feed_forward.experts.0.down_proj", "ffn.experts.0.down_proj", "ffn.experts", "mixer.experts.0.down_proj",
    "mixer.experts",
)  # fmt: skip
HEAD = ("lm_head", "language_model.lm_head", "model.lm_head", "output", "lm_head.linear")
EMBEDDING = ("model.embed_tokens", "model.language_model.embed_tokens", "language_model.model.embed_tokens")
_VISION = (
    "model.visual.blocks.0.attn.qkv",
    "model.vision_tower.encoder.layers.0.attn.q_proj",
    "model.vision_model.layers.0.mlp.fc1",
    "vision_tower.encoder.blocks.0.wqkv",
)
_BESIDE_DENSE = ("experts.0.gate_proj", "experts", "moe.experts")  # Gemma 4: experts stand beside the layer's mlp
_LAYER = re.compile(r"(?:^|.*?\.)layers\.(\d+)(?![^.*])\.?")


@dataclass(frozen=True, slots=True)
class _Rule:
    """One exclusion: the pattern below the layer, and the layer it names (None: every layer)."""

    pattern: str
    layer: int | None


def _rules(patterns: object) -> list[_Rule]:
    if patterns is None:
        return []
    if not isinstance(patterns, list) or len(patterns) > MAX_PATTERNS:
        raise ConfigError("exclusions must be a list of names", key=KEY)
    rules = []
    for pattern in patterns:
        if not isinstance(pattern, str):
            raise ConfigError(f"exclusions must be names, not {describe(pattern)}", key=KEY)
        head = pattern.split("layers.", 1)[0]
        if head.startswith("mtp"):
            continue
        found = None if pattern.startswith("re:") or "visi" in head or "visual" in head else _LAYER.match(pattern)
        if found is None:
            rules.append(_Rule(pattern, None))
        else:
            rules.append(_Rule(pattern[found.end() :] or "*", int(found.group(1))))
    return rules


@lru_cache(maxsize=4096)
def _compiled(expression: str) -> re.Pattern[str]:
    """An exclusion's regular expression; one that could take exponential time to match is refused."""
    repeats = sum(expression.count(sign) for sign in "*+{")
    if len(expression) > MAX_PATTERN or repeats > MAX_REPEATS or re.search(r"\)[*+{]", expression):
        raise ConfigError(f"the pattern {describe(expression)} is too complex", key=KEY)
    try:
        return re.compile(expression)
    except re.error:
        raise ConfigError(f"{describe(expression)} is no regular expression", key=KEY) from None


def matches(pattern: str, name: str, *, below_layer: bool, layer: int = 5) -> bool:
    """Whether a pattern names a module or one that holds it; below a layer, the module of that layer."""
    if pattern.startswith("re:"):
        full = f"{_stem(pattern)}.{layer}.{name}" if below_layer else name
        return _compiled(pattern[3:]).match(full) is not None
    if "*" in pattern or "?" in pattern:
        candidates = (name, f".{name}", f"layers.{layer}.{name}", f"{_stem(pattern)}.{layer}.{name}")
        return any(fnmatch.fnmatchcase(text, glob) for text in candidates for glob in (pattern, f"{pattern}.*"))
    return f".{pattern}." in f".{name}."


@lru_cache(maxsize=4096)
def _stem(pattern: str) -> str:
    """How the layers' modules begin in the tree that a pattern is written for."""
    plain = pattern.replace("\\", "")
    if "language_model.model" in plain:
        return "language_model.model.layers"
    if "language_model" in plain:
        return "model.language_model.layers"
    return "backbone.layers" if "backbone" in plain else "model.layers"


@lru_cache(maxsize=4096)
def _by_layer(pattern: str) -> bool:
    """Whether the answer of an expression may differ from layer to layer: it has a digit or stands for one."""
    return re.search(r"\d|\\d", pattern) is not None


def is_expression(pattern: str) -> bool:
    """Whether a pattern is a glob or a regular expression, and no plain name."""
    return pattern.startswith("re:") or "*" in pattern or "?" in pattern


@lru_cache(maxsize=1024)
def _parts(name: str) -> frozenset[str]:
    """Every plain pattern that names this module or one that holds it: its runs of whole words."""
    words = name.split(".")
    return frozenset(
        ".".join(words[start:end]) for start in range(len(words)) for end in range(start + 1, len(words) + 1)
    )


class Patterns:
    """A list of patterns that is asked which of them name a module. Plain names, however many, cost nothing to ask.

    Raises ConfigError for more globs and regular expressions than any checkpoint has.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._known = frozenset(patterns)
        self._expressions = sorted(pattern for pattern in self._known if is_expression(pattern))
        if len(self._expressions) > MAX_EXPRESSIONS:
            raise ConfigError(f"more than {MAX_EXPRESSIONS:,} globs and regular expressions", key=KEY)

    @property
    def expressions(self) -> list[str]:
        """The globs and regular expressions."""
        return self._expressions

    def plain(self, modules: Iterable[str]) -> list[str]:
        """The plain names that name one of these modules, or one that holds it."""
        return sorted({part for module in modules for part in _parts(module) if part in self._known})

    def naming(self, modules: Iterable[str], *, below_layer: bool = True) -> Iterator[str]:
        """The patterns that name one of these modules, or one that holds it (see ``matches``)."""
        modules = tuple(modules)
        yield from self.plain(modules)
        for pattern in self._expressions:
            if any(matches(pattern, module, below_layer=below_layer) for module in modules):
                yield pattern


@lru_cache(maxsize=2**16)
def _full(stem: str, modules: tuple[str, ...], layer: int) -> tuple[str, ...]:
    return tuple(f"{stem}.{layer}.{module}" for module in modules)


def _where(pattern: str, modules: tuple[str, ...], layers: frozenset[int]) -> frozenset[int]:
    """The layers among these in which an expression names one of the modules."""
    if not layers:
        return layers
    if not _by_layer(pattern):
        one = min(layers)
        return layers if any(matches(pattern, name, below_layer=True, layer=one) for name in modules) else frozenset()
    if pattern.startswith("re:"):
        match, stem = _compiled(pattern[3:]).match, _stem(pattern)
        return frozenset(layer for layer in layers if any(map(match, _full(stem, modules, layer))))
    return frozenset(
        layer for layer in layers if any(matches(pattern, name, below_layer=True, layer=layer) for name in modules)
    )


class Named:
    """Which layers' modules a list of names, globs or regular expressions names."""

    def __init__(self, patterns: object, layers: Mapping[str, frozenset[int]]) -> None:
        self.layers = layers
        by_pattern: dict[str, set[int] | None] = {}
        for rule in _rules(patterns):
            if rule.layer is None or by_pattern.get(rule.pattern, ()) is None:
                by_pattern[rule.pattern] = None
            else:
                known = by_pattern.setdefault(rule.pattern, set())
                if known is not None:
                    known.add(rule.layer)
        self.by_pattern = by_pattern
        self._patterns = Patterns(by_pattern)
        self.beside = bool(layers.get("experts", frozenset()) & layers.get("up_proj", frozenset()))

    def _in_layers(self, modules: tuple[str, ...], holders: frozenset[int]) -> frozenset[int]:
        hit: set[int] = set()
        for pattern in (*self._patterns.plain(modules), *self._patterns.expressions):
            layers = self.by_pattern[pattern]
            found = holders if layers is None else holders & layers if self.layers else frozenset(layers)
            hit |= _where(pattern, modules, found) if is_expression(pattern) else found
            if hit >= holders:
                break
        return frozenset(hit)

    def layers_of(self, name: str) -> tuple[frozenset[int], ...]:
        """The layers in which the list names a matrix; of experts, one answer each for the two ways in and the way back."""
        holders = self.layers.get(name) or ANYWHERE
        if name != "experts":
            return (self._in_layers(MODULES[name], holders),)
        if self.beside:
            return (self._in_layers(_BESIDE_DENSE, holders),)
        into = self._in_layers(MODULES[name], holders)
        return into, into, self._in_layers(_WAY_BACK, holders)

    def top(self, *names: str) -> bool:
        """Whether a module outside the layers (head, embedding, tower) is named under any of its names."""
        return any(self.by_pattern[pattern] is None for pattern in self._patterns.naming(names, below_layer=False))

    def towers(self) -> bool:
        """Whether the vision tower is named, by name or matrix by matrix."""
        return self.top(*_VISION) or any("visi" in name or "visual" in name for name in self.by_pattern)


def formats_of(
    name: str, rules: Sequence[tuple[Named, WeightFormat]], rest: WeightFormat, layers: Mapping[str, frozenset[int]]
) -> WeightFormat:
    """The format of a matrix on the mean of its layers: in each, of the first rule that names it, else ``rest``."""
    holders = layers.get(name) or ANYWHERE
    shares: dict[WeightFormat, int] = {}
    answers = [(named.layers_of(name), fmt) for named, fmt in rules]
    for part in range(3 if name == "experts" else 1):
        left = holders
        for found, fmt in answers:
            here = found[min(part, len(found) - 1)]
            taken = left & here if layers else left if here else frozenset()
            if taken:
                shares[fmt] = shares.get(fmt, 0) + len(taken)
                left -= taken
        if left:
            shares[rest] = shares.get(rest, 0) + len(left)
    return mean_format(shares)
