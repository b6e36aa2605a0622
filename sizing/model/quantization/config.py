"""A checkpoint's own quantisation: quantization_config and hf_quant_config.json to a QuantScheme.

What they exclude is read by ``quant_names``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import groupby

from sizing.base.errors import ConfigError
from sizing.model.keys import describe
from sizing.model.parts import Component
from sizing.model.quantization.methods import (
    NVFP4_WEIGHT_ONLY,
    cache_format,
    group_format,
    grouped_format,
    listed,
    mlx_format,
    pair,
    whole,
)
from sizing.model.quantization.names import EMBEDDING, HEAD, KEY, MAX_EXPRESSIONS, MODULES, Named, formats_of
from sizing.model.quantization.schemes import (
    BF16,
    BNB_FP4,
    BNB_FP4_DOUBLE,
    BNB_INT8,
    BNB_NF4,
    BNB_NF4_DOUBLE,
    EETQ,
    FP8_BLOCK,
    FP8_CHANNEL,
    FP8_TENSOR,
    INT4_AWQ,
    INT8_CHANNEL,
    INT8_WEIGHT_ONLY,
    MXFP4,
    MXFP8,
    NVFP4,
    W4A8,
    QuantScheme,
    WeightFormat,
)
from sizing.model.quantization.tools import OTHER_METHODS, OtherMethod


def read_quantization(
    config: Mapping[str, object] | None,
    beside: Mapping[str, object] | None,
    *,
    layers: Mapping[str, frozenset[int]],
    expert_dtype: str | None,
) -> QuantScheme | None:
    """See ``quantization.from_quantization_config``."""
    if beside is not None:
        inner = beside.get("quantization")
        if not isinstance(inner, Mapping):
            raise ConfigError("has no object 'quantization'", key="hf_quant_config.json")
        if config is None:
            return _modelopt(inner, layers)
        if "quantized_layers" in inner:
            return _modelopt({**config, **inner}, layers)
        if str(config.get("quant_method")).startswith("modelopt"):
            return _modelopt({**inner, **config}, layers)
    if config is None:
        return None
    method = config.get("quant_method")
    if method is None and "quant_algo" in config:
        method = "modelopt"
    if method is None and "bits" in config and "group_size" in config:
        return read_mlx(config, layers)
    if not isinstance(method, str):
        raise ConfigError(f"must be a string, not {describe(method)}", key=f"{KEY}.quant_method")
    method = method.lower().replace("_", "-")
    if method.startswith("modelopt") or "quantized_layers" in config:
        return _modelopt(config, layers)
    if method == "compressed-tensors":
        return _compressed_tensors(config, layers)
    if method in ("fp8", "fbgemm-fp8"):
        return _fp8(config, layers, channel=method == "fbgemm-fp8", expert_dtype=expert_dtype)
    if method in ("awq", "gptq", "auto-round", "gptqmodel", "autoround"):
        return _grouped_int(config, layers, gptq=method != "awq")
    if method == "mxfp4":
        fmt = MXFP4
        return QuantScheme("mxfp4", linear=BF16, experts=fmt)
    if method == "bitsandbytes":
        return _bitsandbytes(config, layers)
    if method == "eetq":
        return _assemble("eetq", EETQ, _left(config.get("modules_to_not_convert"), layers), layers, vision=BF16)
    if method in OTHER_METHODS:
        return _other(OTHER_METHODS[method](config), layers)
    raise ConfigError(f"{describe(method)} is not supported", key=f"{KEY}.quant_method")


Rules = list[tuple[Named, WeightFormat]]
Layers = Mapping[str, frozenset[int]]


def _assemble(
    name: str,
    fmt: WeightFormat,
    rules: Rules,
    layers: Layers,
    *,
    experts: WeightFormat | None = None,
    lm_head: WeightFormat = BF16,
    vision: WeightFormat | None = None,
    kv: str | None = None,
) -> QuantScheme:
    """A scheme of one main format, and rules of which the first that names a module holds."""
    names = [matrix for matrix in MODULES if not layers or matrix in layers]
    by_name = {matrix: formats_of(matrix, rules, fmt, layers) for matrix in names if matrix != "experts"}
    by_name = {matrix: own for matrix, own in by_name.items() if own != fmt}
    towers = fmt if vision is None else vision
    if any(own is BF16 and named.towers() for named, own in rules):
        towers = BF16
    unquantized = frozenset(
        component
        for component, matrices in {
            Component.SHARED_EXPERTS: ("shared_gate_proj", "shared_up_proj", "shared_down_proj"),
            Component.DENSE_MLP: ("gate_proj", "up_proj", "down_proj"),
        }.items()
        if layers and any(item in names for item in matrices)
        and all(by_name.get(item) is BF16 for item in matrices if item in names)
    )  # fmt: skip
    return QuantScheme(
        name,
        linear=fmt,
        experts=formats_of("experts", rules, fmt if experts is None else experts, layers),
        lm_head=next((own for named, own in rules if named.top(*HEAD)), lm_head),
        vision=towers,
        unquantized=unquantized,
        by_name=tuple(sorted(by_name.items(), key=lambda item: item[0])),
        kv_cache_dtype=kv,
    )


def _left(patterns: object, layers: Layers) -> Rules:
    """The rule that leaves what a list names in 16 bits."""
    return [(Named(patterns, layers), BF16)]


def _fp8(
    config: Mapping[str, object],
    layers: Mapping[str, frozenset[int]],
    *,
    channel: bool,
    expert_dtype: str | None,
) -> QuantScheme:
    rules = _left(config.get("modules_to_not_convert") or config.get("ignored_layers"), layers)
    block = config.get("weight_block_size")
    if channel:
        fmt = FP8_CHANNEL
    elif block is None:
        fmt = FP8_TENSOR
    else:
        rows, columns = pair(block)
        fmt = replace(FP8_BLOCK, block=(rows, columns))
    dtype = config.get("expert_dtype") or expert_dtype
    experts = None
    if dtype is not None:
        known = {"fp4": MXFP4, "mxfp4": MXFP4, "nvfp4": NVFP4, "fp8": fmt}
        if dtype not in known:
            raise ConfigError(f"{describe(dtype)} is not supported", key="expert_dtype")
        experts = known[str(dtype)]
    return _assemble(fmt.name, fmt, rules, layers, experts=experts)


def _grouped_int(config: Mapping[str, object], layers: Layers, *, gptq: bool) -> QuantScheme:
    fmt = grouped_format(config, gptq=gptq)
    exact: dict[WeightFormat, list[str]] = {}
    ordered: list[tuple[str, WeightFormat]] = []
    for key in ("dynamic", "extra_config"):
        entries = config.get(key)
        if entries is None:
            continue
        if not isinstance(entries, Mapping):
            raise ConfigError(f"must be an object, not {describe(entries)}", key=f"{KEY}.{key}")
        for name, entry in entries.items():
            if not isinstance(entry, Mapping) and not name.startswith("-:"):
                raise ConfigError(f"must be an object, not {describe(entry)}", key=f"{KEY}.{key}.{name[:60]}")
            own = BF16
            if isinstance(entry, Mapping) and not name.startswith("-:") and entry.get("bits") not in (16, 32):
                own = grouped_format({**config, **entry}, gptq=gptq)
            if key == "dynamic":
                ordered.append((f"re:{name[2:] if name.startswith(('-:', '+:')) else name}", own))
            elif _EXPRESSION.search(name):
                ordered.append((f"re:.*{name}", own))
            else:
                exact.setdefault(own, []).append(name)
    rules = [(Named(names, layers), own) for own, names in exact.items()]
    rules += _in_order(ordered, layers)
    rules += _left(config.get("modules_to_not_convert"), layers)
    whole_head = config.get("lm_head") is True or config.get("quant_lm_head") is True
    return _assemble(fmt.name, fmt, rules, layers, lm_head=fmt if whole_head else BF16, vision=BF16)


_EXPRESSION = re.compile(r"[*+?^$()\[\]{}|\\]")


def _in_order(ordered: list[tuple[str, WeightFormat]], layers: Layers) -> Rules:
    """Rules whose order counts; neighbours of one format make one."""
    if len(ordered) > MAX_EXPRESSIONS:
        raise ConfigError(f"more than {MAX_EXPRESSIONS:,} globs and regular expressions", key=KEY)
    return [
        (Named([pattern for pattern, _ in run], layers), own) for own, run in groupby(ordered, key=lambda item: item[1])
    ]


def _other(found: OtherMethod, layers: Layers) -> QuantScheme:
    """The scheme of a method that ``quant_methods`` reads."""
    rules = _left(found.left, layers)
    rules += [(Named(names, layers), own) for own, names in found.exact.items()]
    rules += _in_order(list(found.ordered), layers)
    made = _assemble(found.name, found.main, rules, layers, lm_head=found.lm_head, vision=BF16, kv=found.kv)
    embedding = next((own for named, own in rules if named.top(*EMBEDDING)), found.embedding)
    return made if embedding is None else replace(made, embedding=embedding)


def read_mlx(config: Mapping[str, object], layers: Layers) -> QuantScheme:
    """MLX's ``quantization``: one format for all matrices, head and embedding, and entries by module path."""
    fmt = mlx_format(config)
    own_rules: dict[WeightFormat, list[str]] = {}
    for name, entry in config.items():
        if entry is False:
            own_rules.setdefault(BF16, []).append(name)
        elif isinstance(entry, Mapping):
            own_rules.setdefault(mlx_format({**config, **entry}), []).append(name)
    rules = [(Named(names, layers), own) for own, names in own_rules.items()]
    made = _assemble(fmt.name, fmt, rules, layers, lm_head=fmt, vision=BF16)
    return replace(made, other=next((own for named, own in rules if named.top(*EMBEDDING)), fmt))


def _bitsandbytes(config: Mapping[str, object], layers: Mapping[str, frozenset[int]]) -> QuantScheme:
    rules = _left(config.get("llm_int8_skip_modules"), layers)
    if config.get("load_in_4bit") is True:
        double = config.get("bnb_4bit_use_double_quant") is True
        kind = config.get("bnb_4bit_quant_type", "fp4")
        known = {"nf4": (BNB_NF4, BNB_NF4_DOUBLE), "fp4": (BNB_FP4, BNB_FP4_DOUBLE)}
        if kind not in known:
            raise ConfigError(f"{describe(kind)} is not supported", key=f"{KEY}.bnb_4bit_quant_type")
        fmt = known[str(kind)][double]
    elif config.get("load_in_8bit") is True:
        fmt = BNB_INT8
    else:
        raise ConfigError("states neither load_in_4bit nor load_in_8bit", key=KEY)
    return _assemble(fmt.name, fmt, rules, layers)


# ---- compressed-tensors ----


def _compressed_tensors(config: Mapping[str, object], layers: Layers) -> QuantScheme:
    groups = config.get("config_groups")
    if not isinstance(groups, Mapping) or not groups:
        raise ConfigError("required key is missing", key=f"{KEY}.config_groups")
    if len(groups) > MAX_EXPRESSIONS:
        raise ConfigError(f"has more than {MAX_EXPRESSIONS:,} groups", key=f"{KEY}.config_groups")
    rules = _left(config.get("ignore"), layers)
    main: WeightFormat | None = None
    experts: WeightFormat | None = None
    embedding: WeightFormat | None = None
    named: list[WeightFormat] = []
    for name, group in groups.items():
        key = f"{KEY}.config_groups.{name}"
        if not isinstance(group, Mapping):
            raise ConfigError(f"must be an object, not {describe(group)}", key=key)
        targets = listed(group.get("targets")) or ["Linear"]
        if group.get("weights") is None and all(target.endswith("Attention") for target in targets):
            continue  # the cache's own group
        fmt = group_format(group, key)
        if "Linear" in targets:
            main = fmt
        if "Embedding" in targets:
            embedding = fmt
        if any(_CLASS_OF_EXPERTS.search(target) for target in targets):
            experts = fmt
        modules = [target for target in targets if not target[:1].isupper()]
        if modules:
            rules.append((Named(modules, layers), fmt))
            named.append(fmt)
        known = (*modules, *(t for t in targets if t in ("Linear", "Embedding") or _CLASS_OF_EXPERTS.search(t)))
        if not known:
            raise ConfigError(f"{describe(targets[0])} is not supported", key=f"{key}.targets")
    told = main or experts or (named[0] if named else embedding)
    if told is None:
        raise ConfigError("no group's targets are known", key=f"{KEY}.config_groups")
    made = _assemble(told.name, main or BF16, rules, layers, experts=experts or main or BF16, lm_head=main or BF16,
                     kv=cache_format(config.get("kv_cache_scheme")))  # fmt: skip
    return made if embedding is None else replace(made, embedding=embedding)


_CLASS_OF_EXPERTS = re.compile(r"^[A-Z]\w*(?:Experts?|MoE|MoeMLP|Moe)$")


# ---- ModelOpt ----

_ALGORITHMS: dict[str, WeightFormat] = {
    "FP8": FP8_TENSOR,
    "FP8_PER_CHANNEL_PER_TOKEN": FP8_CHANNEL,
    "FP8_PB_WO": replace(FP8_BLOCK, name="fp8_block_wo", compute="bf16"),
    "FP8_BLOCK": FP8_BLOCK,
    "NVFP4": NVFP4,
    "NVFP4_AWQ": NVFP4,
    "W4A16_NVFP4": NVFP4_WEIGHT_ONLY,
    "W4A8_NVFP4_FP8": replace(NVFP4, name="w4a8_nvfp4", compute="fp8"),
    "MXFP4": replace(MXFP4, compute="fp4"),
    "W4A8_MXFP4_FP8": replace(MXFP4, name="w4a8_mxfp4", compute="fp8"),
    "W4A16_MXFP4": MXFP4,
    "W4A16_AWQ": replace(INT4_AWQ, scale_bytes=4, zero_bits=0),  # an F32 scale a group, no zero points
    "W4A8_AWQ": replace(W4A8, compute="fp8", scale_bytes=4),
    "INT8_SQ": INT8_CHANNEL,
    "W8A8_SQ_PER_CHANNEL": INT8_CHANNEL,
    "W8A16": replace(INT8_WEIGHT_ONLY, scale_bytes=4),
    "MXFP8": MXFP8,
}


def _algorithm(name: object, group: object = None) -> WeightFormat:
    """ModelOpt's format of this name; where integers or MXFP8 have groups of another size than usual, of that."""
    if not isinstance(name, str) or name.upper() not in _ALGORITHMS:
        raise ConfigError(f"{describe(name)} is not supported", key=f"{KEY}.quant_algo")
    fmt = _ALGORITHMS[name.upper()]
    if group is None or fmt.block is None or fmt.block[1] is None or fmt.block[0] != 1:
        return fmt
    return replace(fmt, block=(1, whole({"group_size": group}, ("group_size",), fmt.block[1])))


def _modelopt(config: Mapping[str, object], layers: Layers) -> QuantScheme:
    patterns = [*listed(config.get("exclude_modules")), *listed(config.get("ignore"))]
    kv = cache_format(config.get("kv_cache_quant_algo") or config.get("kv_cache_scheme"))
    by_layer = config.get("quantized_layers")
    if isinstance(by_layer, Mapping):
        return _mixed(config, by_layer, patterns, layers, kv)
    algorithm = config.get("quant_algo")
    if algorithm is None and kv is not None:  # the cache alone
        return QuantScheme("bf16", linear=BF16, experts=BF16, kv_cache_dtype=kv)
    fmt = _algorithm(algorithm, config.get("group_size"))
    return _assemble(fmt.name, fmt, _left(patterns, layers), layers, lm_head=fmt if patterns else BF16, kv=kv)


def _mixed(
    config: Mapping[str, object], listed: Mapping[str, object], left: list[str], layers: Layers, kv: str | None
) -> QuantScheme:
    """MIXED_PRECISION: what is listed has its format; the rest is FP8 when the method is, else 16 bits."""
    by_algorithm: dict[WeightFormat, list[str]] = {}
    for module, entry in listed.items():
        name, group = (
            (entry.get("quant_algo"), entry.get("group_size")) if isinstance(entry, Mapping) else (entry, None)
        )
        by_algorithm.setdefault(_algorithm(name, group), []).append(module)
    rules = [(Named(modules, layers), fmt) for fmt, modules in by_algorithm.items()]
    rest = BF16
    if config.get("quant_method") == "fp8":  # in these checkpoints the exclusions keep their original FP8
        block = config.get("weight_block_size")
        rest = FP8_TENSOR if block is None else replace(FP8_BLOCK, block=pair(block))
    else:
        rules = [*_left(left, layers), *rules]
    return _assemble("mixed", rest, rules, layers, vision=BF16, kv=kv)
