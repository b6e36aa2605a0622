"""A checkpoint's own quantisation: quantization_config and hf_quant_config.json to a QuantScheme.

What they exclude is read by ``quant_names``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sizing.errors import ConfigError
from sizing.model.keys import describe
from sizing.model.parts import Component
from sizing.model.quant_methods import (
    NVFP4_WEIGHT_ONLY,
    OTHER_METHODS,
    group_format,
    grouped_format,
    listed,
    mlx_format,
    pair,
)
from sizing.model.quant_names import KEY, MAX_EXPRESSIONS, MODULES, Excluded, Patterns
from sizing.model.quantization import (
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
        return _assemble("eetq", EETQ, Excluded(config.get("modules_to_not_convert"), layers), vision=BF16)
    if method in OTHER_METHODS:
        fmt, skipped = OTHER_METHODS[method](config)
        return _assemble(fmt.name, fmt, Excluded(skipped, layers), vision=BF16)
    raise ConfigError(f"{describe(method)} is not supported", key=f"{KEY}.quant_method")


def _assemble(
    name: str,
    fmt: WeightFormat,
    excluded: Excluded,
    *,
    experts: WeightFormat | None = None,
    formats: Mapping[str, WeightFormat] | None = None,
    lm_head: WeightFormat = BF16,
    vision: WeightFormat | None = None,
    kv: str | None = None,
) -> QuantScheme:
    """A scheme of one main format, the exclusions, and formats of single matrices."""
    by_name = {matrix: form for matrix, form in (formats or {}).items() if matrix in excluded.names}
    for matrix in excluded.names:
        if matrix != "experts" and excluded.matrix(matrix):
            by_name[matrix] = BF16
    bank = fmt if experts is None else experts
    if excluded.matrix("experts"):
        bank = BF16
    towers = fmt if vision is None else vision
    if excluded.towers():
        towers = BF16
    unquantized = frozenset(
        component
        for component, names in {
            Component.SHARED_EXPERTS: ("shared_gate_proj", "shared_up_proj", "shared_down_proj"),
            Component.DENSE_MLP: ("gate_proj", "up_proj", "down_proj"),
        }.items()
        if all(by_name.get(item) is BF16 for item in names if item in excluded.names)
        and excluded.layers
        and any(item in excluded.names for item in names)
    )
    return QuantScheme(
        name,
        linear=fmt,
        experts=bank,
        lm_head=lm_head,
        vision=towers,
        unquantized=unquantized,
        by_name=tuple(sorted(by_name.items(), key=lambda item: item[0])),
        kv_cache_dtype=kv,
    )


def _fp8(
    config: Mapping[str, object],
    layers: Mapping[str, frozenset[int]],
    *,
    channel: bool,
    expert_dtype: str | None,
) -> QuantScheme:
    excluded = Excluded(config.get("modules_to_not_convert") or config.get("ignored_layers"), layers)
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
    return _assemble(fmt.name, fmt, excluded, experts=experts)


def _grouped_int(config: Mapping[str, object], layers: Mapping[str, frozenset[int]], *, gptq: bool) -> QuantScheme:
    fmt = grouped_format(config, gptq=gptq)
    patterns = list(listed(config.get("modules_to_not_convert")))
    rules: dict[WeightFormat, list[str]] = {}
    for key in ("dynamic", "extra_config"):
        entries = config.get(key)
        if not isinstance(entries, Mapping):
            continue
        for name, entry in entries.items():
            pattern = f"re:{name[2:]}" if name.startswith(("-:", "+:")) else name
            bits = entry.get("bits") if isinstance(entry, Mapping) else None
            if name.startswith("-:") or bits == 16:
                patterns.append(pattern)
            elif isinstance(entry, Mapping):
                rules.setdefault(grouped_format({**config, **entry}, gptq=gptq), []).append(pattern)
    formats, head = _by_module(rules, layers, fmt if config.get("lm_head") is True else BF16)
    return _assemble(fmt.name, fmt, Excluded(patterns, layers), formats=formats, lm_head=head, vision=BF16)


def _by_module(
    rules: Mapping[WeightFormat, list[str]], layers: Mapping[str, frozenset[int]], head: WeightFormat
) -> tuple[dict[str, WeightFormat], WeightFormat]:
    """The formats of matrices that rules of their own name, and the head's."""
    formats: dict[str, WeightFormat] = {}
    for fmt, modules in rules.items():
        inside = Excluded(modules, layers)
        formats.update({matrix: fmt for matrix in inside.names if inside.matrix(matrix)})
        if inside.top("lm_head", "language_model.lm_head"):
            head = fmt
    return formats, head


def read_mlx(config: Mapping[str, object], layers: Mapping[str, frozenset[int]]) -> QuantScheme:
    """MLX's ``quantization``: one format for all matrices, head and embedding, and entries by module path."""
    fmt = mlx_format(config)
    rules: dict[WeightFormat, list[str]] = {}
    left: list[str] = []
    for name, entry in config.items():
        if entry is False:
            left.append(name)
        elif isinstance(entry, Mapping):
            rules.setdefault(mlx_format({**config, **entry}), []).append(name)
    excluded = Excluded(left, layers)
    formats, head = _by_module(rules, layers, BF16 if excluded.top("lm_head", "language_model.lm_head") else fmt)
    embedding = BF16 if excluded.top("model.embed_tokens") else fmt
    for other, modules in rules.items():
        if Excluded(modules, layers).top("model.embed_tokens"):
            embedding = other
    experts = formats.pop("experts", fmt)
    made = _assemble(fmt.name, fmt, excluded, experts=experts, formats=formats, lm_head=head, vision=BF16)
    return replace(made, other=embedding)


def _bitsandbytes(config: Mapping[str, object], layers: Mapping[str, frozenset[int]]) -> QuantScheme:
    excluded = Excluded(config.get("llm_int8_skip_modules"), layers)
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
    return _assemble(fmt.name, fmt, excluded)


# ---- compressed-tensors ----


def _compressed_tensors(config: Mapping[str, object], layers: Mapping[str, frozenset[int]]) -> QuantScheme:
    groups = config.get("config_groups")
    if not isinstance(groups, Mapping) or not groups:
        raise ConfigError("required key is missing", key=f"{KEY}.config_groups")
    if len(groups) > MAX_EXPRESSIONS:
        raise ConfigError(f"has more than {MAX_EXPRESSIONS:,} groups", key=f"{KEY}.config_groups")
    excluded = Excluded(config.get("ignore"), layers)
    formats: dict[str, WeightFormat] = {}
    main: WeightFormat | None = None
    for name, group in groups.items():
        if not isinstance(group, Mapping):
            raise ConfigError(f"must be an object, not {describe(group)}", key=f"{KEY}.config_groups.{name}")
        fmt = group_format(group, f"{KEY}.config_groups.{name}")
        targets = listed(group.get("targets")) or ["Linear"]
        if "Linear" in targets:
            main = fmt
            continue
        patterns = Patterns(targets)
        for matrix, modules in MODULES.items():
            if any(patterns.naming(modules)):
                formats[matrix] = fmt
    experts = formats.pop("experts", main)
    if main is None:
        main = experts or next(iter(formats.values()), None)
        if main is None:
            raise ConfigError("no group's targets are known", key=f"{KEY}.config_groups")
    every = any("Linear" in listed(group.get("targets")) for group in groups.values() if isinstance(group, Mapping))
    head = main if every and not excluded.top("lm_head", "language_model.lm_head") else BF16
    scheme = config.get("kv_cache_scheme")
    kv = "fp8" if isinstance(scheme, Mapping) and scheme.get("num_bits") == 8 else None
    return _assemble(main.name, main, excluded, experts=experts, formats=formats, lm_head=head, kv=kv)


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
    "W4A16_AWQ": INT4_AWQ,
    "W4A8_AWQ": replace(W4A8, compute="fp8"),
    "INT8_SQ": INT8_CHANNEL,
    "W8A8_SQ_PER_CHANNEL": INT8_CHANNEL,
    "W8A16": INT8_WEIGHT_ONLY,
    "MXFP8": MXFP8,
}


def _algorithm(name: object) -> WeightFormat:
    if not isinstance(name, str) or name.upper() not in _ALGORITHMS:
        raise ConfigError(f"{describe(name)} is not supported", key=f"{KEY}.quant_algo")
    return _ALGORITHMS[name.upper()]


def _modelopt(config: Mapping[str, object], layers: Mapping[str, frozenset[int]]) -> QuantScheme:
    patterns = [*listed(config.get("exclude_modules")), *listed(config.get("ignore"))]
    excluded = Excluded(patterns, layers)
    algorithm = config.get("quant_algo")
    cache = config.get("kv_cache_quant_algo") or config.get("kv_cache_scheme")
    fp8_cache = (isinstance(cache, str) and "FP8" in cache.upper()) or (
        isinstance(cache, Mapping) and cache.get("num_bits") == 8
    )
    kv = "fp8" if fp8_cache else "nvfp4" if isinstance(cache, str) and "NVFP4" in cache.upper() else None
    by_layer = config.get("quantized_layers")
    if not isinstance(by_layer, Mapping):
        fmt = _algorithm(algorithm)
        head = fmt if patterns and not excluded.top("lm_head", "language_model.lm_head") else BF16
        return _assemble(fmt.name, fmt, excluded, lm_head=head, kv=kv)
    return _mixed(config, by_layer, excluded, layers, kv)


def _mixed(
    config: Mapping[str, object],
    listed: Mapping[str, object],
    excluded: Excluded,
    layers: Mapping[str, frozenset[int]],
    kv: str | None,
) -> QuantScheme:
    """MIXED_PRECISION: what is listed has its format; the rest is FP8 when the method is, else 16 bits."""
    by_algorithm: dict[str, list[str]] = {}
    for module, entry in listed.items():
        name = entry.get("quant_algo") if isinstance(entry, Mapping) else entry
        by_algorithm.setdefault(str(name), []).append(module)
    formats: dict[str, WeightFormat] = {}
    head = BF16
    for name, modules in by_algorithm.items():
        found, head = _by_module({_algorithm(name): modules}, layers, head)
        formats.update(found)
    rest = BF16
    if config.get("quant_method") == "fp8":
        block = config.get("weight_block_size")
        rest = FP8_TENSOR if block is None else replace(FP8_BLOCK, block=pair(block))
        # In these checkpoints the exclusions keep their original FP8.
        excluded = Excluded([], layers)
    experts = formats.pop("experts", rest)
    return _assemble("mixed", rest, excluded, experts=experts, formats=formats, lm_head=head, vision=BF16, kv=kv)
