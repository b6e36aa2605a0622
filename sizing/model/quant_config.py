"""A checkpoint's own quantisation: quantization_config and hf_quant_config.json to a QuantScheme.

What they exclude is read by ``quant_names``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sizing.errors import ConfigError
from sizing.model.keys import describe
from sizing.model.parts import Component
from sizing.model.quant_names import KEY, MAX_PATTERNS, MODULES, Excluded, matches
from sizing.model.quantization import (
    BF16,
    FP8_BLOCK,
    FP8_CHANNEL,
    FP8_TENSOR,
    INT4_AWQ,
    INT4_GPTQ,
    INT8_CHANNEL,
    INT8_WEIGHT_ONLY,
    MXFP4,
    NVFP4,
    W4A8,
    QuantScheme,
    WeightFormat,
)

NVFP4_WEIGHT_ONLY = replace(NVFP4, name="nvfp4_wo", compute="bf16")


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
        rows, columns = _pair(block)
        fmt = replace(FP8_BLOCK, block=(rows, columns))
    dtype = config.get("expert_dtype") or expert_dtype
    experts = None
    if dtype is not None:
        known = {"fp4": MXFP4, "mxfp4": MXFP4, "nvfp4": NVFP4, "fp8": fmt}
        if dtype not in known:
            raise ConfigError(f"{describe(dtype)} is not supported", key="expert_dtype")
        experts = known[str(dtype)]
    return _assemble(fmt.name, fmt, excluded, experts=experts)


def _pair(block: object) -> tuple[int, int]:
    if (
        not isinstance(block, list)
        or len(block) != 2
        or any(isinstance(side, bool) or not isinstance(side, int) or not 1 <= side <= 2**20 for side in block)
    ):
        raise ConfigError(f"must be two whole numbers, not {describe(block)}", key=f"{KEY}.weight_block_size")
    return block[0], block[1]


def _grouped_int(config: Mapping[str, object], layers: Mapping[str, frozenset[int]], *, gptq: bool) -> QuantScheme:
    bits = _whole(config, ("bits", "w_bit"), 4)
    group = _whole(config, ("group_size", "q_group_size"), 128, minimum=-1)
    base = INT4_GPTQ if gptq else INT4_AWQ
    symmetric_without_zeros = not gptq and config.get("zero_point") is False
    fmt = WeightFormat(
        base.name if bits == 4 else f"int{bits}_{'gptq' if gptq else 'awq'}",
        bits,
        block=(1, group if group > 0 else None),
        scale_bytes=2,
        zero_bits=0 if symmetric_without_zeros else bits,
    )
    patterns = list(_listed(config.get("modules_to_not_convert")))
    dynamic = config.get("dynamic")
    if isinstance(dynamic, Mapping):
        patterns.extend(f"re:{key[2:]}" for key in dynamic if isinstance(key, str) and key.startswith("-:"))
    extra = config.get("extra_config")
    if isinstance(extra, Mapping):
        patterns.extend(key for key, value in extra.items() if isinstance(value, Mapping) and value.get("bits") == 16)
    head = fmt if config.get("lm_head") is True else BF16
    return _assemble(fmt.name, fmt, Excluded(patterns, layers), lm_head=head, vision=BF16)


def _bitsandbytes(config: Mapping[str, object], layers: Mapping[str, frozenset[int]]) -> QuantScheme:
    excluded = Excluded(config.get("llm_int8_skip_modules"), layers)
    if config.get("load_in_4bit") is True:
        double = config.get("bnb_4bit_use_double_quant") is True
        fmt = WeightFormat("bnb4", 4, block=(1, 64), scale_bytes=1.015625 if double else 4)
    elif config.get("load_in_8bit") is True:
        fmt = replace(INT8_WEIGHT_ONLY, name="bnb8", scale_bytes=4)
    else:
        raise ConfigError("states neither load_in_4bit nor load_in_8bit", key=KEY)
    return _assemble(fmt.name, fmt, excluded)


# ---- compressed-tensors ----


def _compressed_tensors(config: Mapping[str, object], layers: Mapping[str, frozenset[int]]) -> QuantScheme:
    groups = config.get("config_groups")
    if not isinstance(groups, Mapping) or not groups:
        raise ConfigError("required key is missing", key=f"{KEY}.config_groups")
    excluded = Excluded(config.get("ignore"), layers)
    formats: dict[str, WeightFormat] = {}
    main: WeightFormat | None = None
    for name, group in groups.items():
        if not isinstance(group, Mapping):
            raise ConfigError(f"must be an object, not {describe(group)}", key=f"{KEY}.config_groups.{name}")
        fmt = _group_format(group, f"{KEY}.config_groups.{name}")
        targets = _listed(group.get("targets")) or ["Linear"]
        if "Linear" in targets:
            main = fmt
            continue
        for matrix, modules in MODULES.items():
            if any(matches(target, module, below_layer=True) for target in targets for module in modules):
                formats[matrix] = fmt
    experts = formats.pop("experts", main)
    if main is None:
        main = experts or next(iter(formats.values()), None)
        if main is None:
            raise ConfigError("no group's targets are known", key=f"{KEY}.config_groups")
    head = main if not excluded.top("lm_head", "language_model.lm_head") and main.bits == 16 else BF16
    scheme = config.get("kv_cache_scheme")
    kv = "fp8" if isinstance(scheme, Mapping) and scheme.get("num_bits") == 8 else None
    return _assemble(main.name, main, excluded, experts=experts, formats=formats, lm_head=head, kv=kv)


def _group_format(group: Mapping[str, object], key: str) -> WeightFormat:
    weights = group.get("weights")
    if not isinstance(weights, Mapping):
        raise ConfigError("required key is missing", key=f"{key}.weights")
    bits = _whole(weights, ("num_bits",), 8)
    kind = weights.get("type", "int")
    strategy = weights.get("strategy")
    size = _whole(weights, ("group_size",), 0, minimum=-1)
    inputs = group.get("input_activations")
    activations = inputs if isinstance(inputs, Mapping) else None
    structure = weights.get("block_structure")
    if kind == "float" and bits == 8:
        base = FP8_CHANNEL if strategy == "channel" else FP8_TENSOR
        if strategy == "block" or isinstance(structure, list):
            base = replace(FP8_BLOCK, block=_pair(structure))
        return base if activations is not None else replace(base, name="fp8_wo", compute="bf16")
    if kind == "float" and bits == 4:
        if size == 32:
            return MXFP4 if activations is None else replace(MXFP4, compute="fp4")
        return NVFP4 if activations is not None else NVFP4_WEIGHT_ONLY
    if kind == "int" and bits == 8:
        return INT8_CHANNEL if activations is not None else INT8_WEIGHT_ONLY
    if kind == "int" and bits == 4:
        zero = 0 if weights.get("symmetric", True) else 4
        block = (1, size if size > 0 else None)
        if activations is not None:
            return replace(W4A8, block=block, zero_bits=zero)
        return WeightFormat("int4", 4, block=block, scale_bytes=2, zero_bits=zero)
    raise ConfigError(f"weights of {bits} bits of type {describe(kind)} are not supported", key=key)


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
}


def _algorithm(name: object) -> WeightFormat:
    if not isinstance(name, str) or name.upper() not in _ALGORITHMS:
        raise ConfigError(f"{describe(name)} is not supported", key=f"{KEY}.quant_algo")
    return _ALGORITHMS[name.upper()]


def _modelopt(config: Mapping[str, object], layers: Mapping[str, frozenset[int]]) -> QuantScheme:
    patterns = [*_listed(config.get("exclude_modules")), *_listed(config.get("ignore"))]
    excluded = Excluded(patterns, layers)
    algorithm = config.get("quant_algo")
    cache = config.get("kv_cache_quant_algo") or config.get("kv_cache_scheme")
    fp8_cache = (isinstance(cache, str) and "FP8" in cache.upper()) or (
        isinstance(cache, Mapping) and cache.get("num_bits") == 8
    )
    kv = "fp8" if fp8_cache else None
    listed = config.get("quantized_layers")
    if not isinstance(listed, Mapping):
        fmt = _algorithm(algorithm)
        head = fmt if patterns and not excluded.top("lm_head", "language_model.lm_head") else BF16
        return _assemble(fmt.name, fmt, excluded, lm_head=head, kv=kv)
    return _mixed(config, listed, excluded, layers, kv)


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
        inside = Excluded(modules, layers)
        fmt = _algorithm(name)
        formats.update({matrix: fmt for matrix in inside.names if inside.matrix(matrix)})
        if inside.top("lm_head", "language_model.lm_head"):
            head = fmt
    rest = BF16
    if config.get("quant_method") == "fp8":
        block = config.get("weight_block_size")
        rest = FP8_TENSOR if block is None else replace(FP8_BLOCK, block=_pair(block))
        # In these checkpoints the exclusions keep their original FP8.
        excluded = Excluded([], layers)
    experts = formats.pop("experts", rest)
    return _assemble("mixed", rest, excluded, experts=experts, formats=formats, lm_head=head, vision=BF16, kv=kv)


def _listed(value: object) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > MAX_PATTERNS or not all(isinstance(v, str) for v in value):
        raise ConfigError(f"must be a list of names, not {describe(value)}", key=KEY)
    return [str(item) for item in value]


def _whole(config: Mapping[str, object], keys: tuple[str, ...], default: int, minimum: int = 1) -> int:
    for key in keys:
        value = config.get(key)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= 2**20:
            raise ConfigError(f"must be a whole number, not {describe(value)}", key=f"{KEY}.{key}")
        return value
    return default
