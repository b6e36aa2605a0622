"""Typed reading of a config's keys: every strange value is a one-line ConfigError that names its key.

A ``Keys`` remembers which keys were read. After a family has built its layers, ``refuse_unread`` refuses a
key that is known to change a model's build but that the family did not look at: a count is exact or
refused, never wrong.
"""

from __future__ import annotations

import math
from collections import ChainMap
from collections.abc import Iterable, Mapping
from typing import cast

from sizing.base.errors import ConfigError

LARGEST = 10**9  # no count, width or vocabulary of a real model comes near

# Keys that change what a layer holds or caches. A family that supports one reads it; any other family
# refuses it.
BUILD_KEYS = (
    "per_layer_config",
    "num_kv_shared_layers",
    "hidden_size_per_layer_input",
    "altup_num_inputs",
    "laurel_rank",
    "block_configs",
    "cross_attention_layers",
    "index_topk",
    "index_n_heads",
    "index_head_dim",
    "moe_latent_size",
    "routed_expert_hidden_size",
    "zero_expert_num",
    "linear_attn_config",
    "hybrid_override_pattern",
    "layers_block_type",
    "hybrid_layer_pattern",
    "compress_ratios",
    "num_attention_heads_per_layer",
    "swa_num_attention_heads",
    "swa_num_key_value_heads",
    "swa_head_dim",
    "swa_v_head_dim",
    "global_head_dim",
    "num_global_key_value_heads",
    "attention_k_eq_v",
    "enable_moe_block",
    "kv_lora_rank",
    "q_lora_rank",
    "o_lora_rank",
    "o_groups",
    "hc_mult",
    "sparse_attention_config",
    "attn_type_list",
    "linear_num_value_heads",
    "linear_key_head_dim",
    "mamba_d_state",
    "mamba_d_ssm",
    "mamba_num_heads",
    "ssm_state_size",
    "conv_L_cache",
    "attn_output_gate",
    "use_double_wide_mlp",
    "n_routed_experts",
    "num_experts",
    "num_local_experts",
    "moe_num_experts",
    "n_shared_experts",
    "shared_expert_intermediate_size",
    "shared_intermediate_size",
    "share_expert_dim",
    "moe_num_shared_experts",
    "num_shared_expert",
    "num_shared_experts",
    "moe_shared_expert_intermediate_size",
    "add_cross_attention",
    "attn_layer_period",
    "expert_layer_period",
    "add_swa_attention_sink_bias",
    "add_full_attention_sink_bias",
    "attention_out_bias",
    "use_gate_norm",
    "layer_types_cross",
    "mtp_use_dedicated_embeddings",
    "hc_count",
    "ple_layer_ids",
    "indexer_n_heads",
    "indexer_head_dim",
    "attn_res_block_size",
    "mla_use_output_gate",
    "latent_moe_use_norm",
    "num_mem_blocks",
)


class Keys:
    """A JSON object of a config, read key by key; ``path`` names it in errors ("text_config.")."""

    def __init__(self, data: Mapping[str, object], path: str = "") -> None:
        self.data = data
        self.path = path
        self.read: set[str] = set()

    def name(self, key: str) -> str:
        """The key as a message names it, with the section that it is in."""
        return f"{self.path}{key}"

    def error(self, key: str, message: str, hint: str | None = None) -> ConfigError:
        """An error that names the key; the caller raises it."""
        return ConfigError(message, key=self.name(key), hint=hint)

    def has(self, key: str) -> bool:
        """Whether the key is present and not null."""
        self.read.add(key)
        return self.data.get(key) is not None

    def first(self, keys: Iterable[str]) -> str | None:
        """The first of these keys that is present and not null."""
        found = None
        for key in keys:
            if self.has(key) and found is None:
                found = key
        return found

    def _find(self, keys: tuple[str, ...]) -> tuple[str, object] | None:
        key = self.first(keys)
        return None if key is None else (key, self.data[key])

    def _missing(self, keys: tuple[str, ...]) -> ConfigError:
        others = f"or {', '.join(keys[1:])}" if len(keys) > 1 else None
        return self.error(keys[0], "required key is missing", others)

    def integer(self, *keys: str, default: int | None = None, minimum: int = 1, maximum: int = LARGEST) -> int:
        """The whole number at the first of ``keys`` that is set; required when there is no default."""
        found = self._find(keys)
        if found is None:
            if default is None:
                raise self._missing(keys)
            return default
        key, value = found
        return self.check_integer(key, value, minimum, maximum)

    def optional_integer(self, *keys: str, minimum: int = 1, maximum: int = LARGEST) -> int | None:
        """As ``integer``, None when no key is set."""
        found = self._find(keys)
        return None if found is None else self.check_integer(found[0], found[1], minimum, maximum)

    def check_integer(self, key: str, value: object, minimum: int = 1, maximum: int = LARGEST) -> int:
        """The value if it is a whole number in the range. Raises ConfigError that names the key otherwise."""
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.error(key, f"must be a whole number, not {describe(value)}")
        if not minimum <= value <= maximum:
            raise self.error(key, f"must be from {minimum} to {maximum}, not {describe(value)}")
        return value

    def number(self, *keys: str, default: float | None = None, minimum: float = 0.0) -> float:
        """The finite number at the first of ``keys`` that is set."""
        found = self._find(keys)
        if found is None:
            if default is None:
                raise self._missing(keys)
            return default
        key, value = found
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.error(key, f"must be a number, not {describe(value)}")
        if not math.isfinite(value) or not minimum <= value <= LARGEST:
            raise self.error(key, f"must be a finite number from {minimum:g} to {LARGEST}, not {describe(value)}")
        return float(value)

    def boolean(self, *keys: str, default: bool) -> bool:
        """The true or false at the first of ``keys`` that is set. Raises ConfigError for anything else."""
        found = self._find(keys)
        if found is None:
            return default
        key, value = found
        if not isinstance(value, bool):
            raise self.error(key, f"must be true or false, not {describe(value)}")
        return value

    def text(self, *keys: str, default: str | None = None) -> str:
        """The string at the first of ``keys`` that is set. ConfigError for anything else, and for none without default."""
        found = self._find(keys)
        if found is None:
            if default is None:
                raise self._missing(keys)
            return default
        key, value = found
        if not isinstance(value, str):
            raise self.error(key, f"must be a string, not {describe(value)}")
        return value

    def sequence(self, key: str, length: int | None = None, *, at_least: bool = False) -> list[object] | None:
        """The list at ``key``, of ``length`` (or at least so long, then cut); None when it is not set."""
        if not self.has(key):
            return None
        value = self.data[key]
        if not isinstance(value, list):
            raise self.error(key, f"must be a list, not {describe(value)}")
        if length is not None and len(value) != length and not (at_least and len(value) > length):
            raise self.error(key, f"must have {length} entries, one a layer, not {len(value)}")
        return list(value) if length is None else list(value[:length])

    def integers(
        self, key: str, length: int | None = None, *, at_least: bool = False, minimum: int = 0
    ) -> list[int] | None:
        """The list of whole numbers at ``key`` (see ``sequence``), each at least ``minimum``; None when it is not set."""
        values = self.sequence(key, length, at_least=at_least)
        if values is None:
            return None
        return [self.check_integer(f"{key}[{i}]", value, minimum) for i, value in enumerate(values)]

    def names(
        self, key: str, allowed: Iterable[str], length: int | None = None, *, at_least: bool = False
    ) -> list[str] | None:
        """The list of names at ``key``, each one of ``allowed``."""
        values = self.sequence(key, length, at_least=at_least)
        if values is None:
            return None
        known = tuple(allowed)
        result: list[str] = []
        for index, value in enumerate(values):
            if not isinstance(value, str) or value not in known:
                raise self.error(f"{key}[{index}]", f"{describe(value)} is not supported", f"one of {', '.join(known)}")
            result.append(value)
        return result

    def child(self, *keys: str) -> Keys | None:
        """The object at the first of ``keys`` that is set, None when there is none."""
        found = self._find(keys)
        if found is None:
            return None
        key, value = found
        if not isinstance(value, dict):
            raise self.error(key, f"must be an object, not {describe(value)}")
        return Keys(value, f"{self.path}{key}.")

    def per_layer(self, count: int, allowed: Iterable[str]) -> list[Keys]:
        """The keys of every layer: this object's, with what ``per_layer_config`` overrides for that layer.

        Its keys are layer numbers from 0, its values objects with some of the ``allowed`` keys.
        """
        if not self.has("per_layer_config"):
            return [self] * count
        given = self.data["per_layer_config"]
        if not isinstance(given, dict):
            raise self.error("per_layer_config", f"must be an object, not {describe(given)}")
        known = set(allowed)
        layers = [self] * count
        for name, overrides in given.items():
            key = f"per_layer_config.{describe(name)}"
            if not name.isdecimal() or len(name) > 6 or int(name) >= count:
                raise self.error(key, f"must be a layer number from 0 to {count - 1}")
            if not isinstance(overrides, dict) or set(overrides) - known:
                raise self.error(key, f"must be an object with none but {', '.join(sorted(known))}")
            layer = Keys(
                ChainMap(overrides, cast("dict[str, object]", self.data)), f"{self.path}per_layer_config.{name}."
            )
            layer.read = self.read
            layers[int(name)] = layer
        return layers

    def refuse(self, keys: Iterable[str], why: str) -> None:
        """Refuse any of ``keys`` that is set to something other than null, false, 0 or an empty list."""
        for key in keys:
            if self.data.get(key):
                raise self.error(key, why)

    def unused(self, *keys: str) -> None:
        """Mark keys that this config's other keys leave without effect (experts of a model whose layers are
        all dense).
        """
        self.read.update(keys)

    def refuse_unread(self, family: str) -> None:
        """Refuse keys that change a model's build and that the family did not read."""
        for key in BUILD_KEYS:
            if key not in self.read and self.data.get(key):
                raise self.error(key, f"is not supported in a model of type {family!r}, and would change its build")


def describe(value: object) -> str:
    """A short rendering of a bad value, for errors."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 10**15:
        return "a number beyond all measure"
    text = {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
