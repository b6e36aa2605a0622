"""Exclusions from quantisation: lists of module names, globs or regular expressions, often one for each layer.

They are matched against the public module names of each matrix; a matrix that is excluded in at least half of
the layers that hold it counts as unquantized.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from sizing.errors import ConfigError
from sizing.model.keys import describe

KEY = "quantization_config"
MAX_PATTERNS = 100_000
MAX_PATTERN = 300
MAX_EXPRESSIONS = 1000  # distinct globs and regular expressions of one list: each is held against every name
MAX_REPEATS = 5

# Public module names, below the layer, of the matrices that this package names.
MODULES: dict[str, tuple[str, ...]] = {
    "q_proj": ("self_attn.q_proj", "mixer.q_proj", "attn.q_proj"),
    "k_proj": ("self_attn.k_proj", "mixer.k_proj", "attn.k_proj"),
    "v_proj": ("self_attn.v_proj", "mixer.v_proj", "attn.v_proj"),
    "o_proj": ("self_attn.o_proj", "mixer.o_proj", "attn.o_proj"),
    "g_proj": ("self_attn.g_proj",),
    "q_a_proj": ("self_attn.q_a_proj", "attn.wq_a", "attn.fused_wqa_wkv"),
    "q_b_proj": ("self_attn.q_b_proj", "attn.wq_b"),
    "kv_a_proj": ("self_attn.kv_a_proj_with_mqa",),
    "kv_b_proj": ("self_attn.kv_b_proj",),
    "kv_proj": ("self_attn.kv_proj", "attn.wkv", "attn.fused_wqa_wkv"),
    "o_a_proj": ("self_attn.o_a_proj", "attn.wo_a"),
    "o_b_proj": ("self_attn.o_b_proj", "attn.wo_b"),
    "indexer.wq_b": ("self_attn.indexer.wq_b",),
    "indexer.wk": ("self_attn.indexer.wk",),
    "in_proj_qkvz": ("linear_attn.in_proj_qkvz", "linear_attn.in_proj_qkv"),
    "out_proj": ("linear_attn.out_proj", "mixer.out_proj", "mamba.out_proj"),
    "in_proj": ("mixer.in_proj", "mamba.in_proj"),
    "gate_proj": ("mlp.gate_proj", "feed_forward.gate_proj", "ffn.gate_proj"),
    "up_proj": ("mlp.up_proj", "feed_forward.up_proj", "mixer.up_proj", "ffn.up_proj"),
    "down_proj": ("mlp.down_proj", "feed_forward.down_proj", "mixer.down_proj", "ffn.down_proj"),
    "shared_gate_proj": (
        "mlp.shared_experts.gate_proj",
        "mlp.shared_expert.gate_proj",
        "feed_forward.shared_expert.gate_proj",
        "ffn.shared_experts.gate_proj",
    ),
    "shared_up_proj": (
        "mlp.shared_experts.up_proj",
        "mlp.shared_expert.up_proj",
        "feed_forward.shared_expert.up_proj",
        "ffn.shared_experts.up_proj",
        "mixer.shared_experts.up_proj",
    ),
    "shared_down_proj": (
        "mlp.shared_experts.down_proj",
        "mlp.shared_expert.down_proj",
        "feed_forward.shared_expert.down_proj",
        "ffn.shared_experts.down_proj",
        "mixer.shared_experts.down_proj",
    ),
    "fc1_latent_proj": ("mixer.fc1_latent_proj",),
    "fc2_latent_proj": ("mixer.fc2_latent_proj",),
    "experts": (
        "mlp.experts.0.gate_proj",
        "mlp.experts",
        "block_sparse_moe.experts.0.w1",
        "feed_forward.experts.0.gate_proj",
        "ffn.experts.0.gate_proj",
        "ffn.experts",
        "mixer.experts.0.up_proj",
        "mixer.experts",
        "experts.0.gate_proj",
        "experts",
    ),
}
_VISION = (
    "model.visual.blocks.0.attn.qkv",
    "model.vision_tower.encoder.layers.0.attn.q_proj",
    "model.vision_model.layers.0.mlp.fc1",
    "vision_tower.encoder.blocks.0.wqkv",
)
_BESIDE_DENSE = ("experts.0.gate_proj", "experts")  # Gemma 4: experts stand beside the layer's mlp
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


def matches(pattern: str, name: str, *, below_layer: bool) -> bool:
    """Whether a pattern names a module or one that holds it."""
    if pattern.startswith("re:"):
        full = f"model.layers.5.{name}" if below_layer else name
        return _compiled(pattern[3:]).match(full) is not None
    if "*" in pattern or "?" in pattern:
        candidates = (name, f".{name}", f"layers.5.{name}", f"model.layers.5.{name}")
        return any(fnmatch.fnmatchcase(text, glob) for text in candidates for glob in (pattern, f"{pattern}.*"))
    return f".{pattern}." in f".{name}."


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

    def naming(self, modules: Iterable[str], *, below_layer: bool = True) -> Iterator[str]:
        """The patterns that name one of these modules, or one that holds it (see ``matches``)."""
        modules = tuple(modules)
        yield from sorted({part for module in modules for part in _parts(module) if part in self._known})
        for pattern in self._expressions:
            if any(matches(pattern, module, below_layer=below_layer) for module in modules):
                yield pattern


class Excluded:
    """Answers whether a matrix is left unquantized."""

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
        beside = layers.get("experts", frozenset()) & layers.get("up_proj", frozenset())
        self.modules = {**MODULES, "experts": _BESIDE_DENSE} if beside else MODULES
        self.names = [name for name in MODULES if not layers or name in layers]

    def matrix(self, name: str) -> bool:
        """Whether a matrix stays unquantised in at least half of the layers that hold it."""
        holders = self.layers.get(name, frozenset())
        hit: set[int] = set()
        for pattern in self._patterns.naming(self.modules[name]):
            layers = self.by_pattern[pattern]
            if layers is None:
                return True
            hit |= layers
        if not holders:
            return bool(hit)
        return 2 * len(hit & holders) >= len(holders)

    def top(self, *names: str) -> bool:
        """Whether a module outside the layers (head, embedding, tower) is left out under any of its names."""
        return any(self.by_pattern[pattern] is None for pattern in self._patterns.naming(names, below_layer=False))

    def towers(self) -> bool:
        """Whether the vision tower is left out, by name or matrix by matrix."""
        return self.top(*_VISION) or any("visi" in name or "visual" in name for name in self.by_pattern)
