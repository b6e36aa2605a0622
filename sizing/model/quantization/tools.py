"""quantization_config as torchao, HQQ, quanto, Quark and ExLlama write it, and msModelSlim's description by tensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from sizing.base.errors import ConfigError
from sizing.model.keys import describe
from sizing.model.quantization.methods import FP8_WEIGHT_ONLY, cache_format, listed, whole
from sizing.model.quantization.names import KEY, MAX_PATTERNS
from sizing.model.quantization.schemes import (
    BF16,
    FP8_CHANNEL,
    FP8_TENSOR,
    HQQ_INT4,
    INT8_CHANNEL,
    INT8_WEIGHT_ONLY,
    MXFP4,
    MXFP8,
    TORCHAO_INT4,
    TORCHAO_INT8,
    W4A8,
    WeightFormat,
)


@dataclass(frozen=True, slots=True)
class OtherMethod:
    """What a method's config states. left: names that stay in 16 bits, before all else; exact: names by their format;
    ordered: expressions of which the first that names a module holds.
    """

    name: str
    main: WeightFormat
    left: list[str] = field(default_factory=list)
    exact: dict[WeightFormat, list[str]] = field(default_factory=dict)
    ordered: list[tuple[str, WeightFormat]] = field(default_factory=list)
    lm_head: WeightFormat = BF16
    embedding: WeightFormat | None = None
    kv: str | None = None


# ---- torchao ----

_INT8_ROWS = replace(TORCHAO_INT8, scale_bytes=4, zero_bits=8)  # an F32 scale a row, and an INT8 zero point
_INT8_DYNAMIC = replace(INT8_CHANNEL, scale_bytes=4, zero_bits=8)
# torchao's names of its schemes: the function of old, the class of today.
_TORCHAO: dict[str, WeightFormat] = {
    "int4_weight_only": TORCHAO_INT4,
    "Int4WeightOnlyConfig": TORCHAO_INT4,
    "int8_weight_only": _INT8_ROWS,
    "Int8WeightOnlyConfig": _INT8_ROWS,
    "int8_dynamic_activation_int8_weight": _INT8_DYNAMIC,
    "Int8DynamicActivationInt8WeightConfig": _INT8_DYNAMIC,
    "float8_weight_only": FP8_WEIGHT_ONLY,
    "Float8WeightOnlyConfig": FP8_WEIGHT_ONLY,
    "float8_dynamic_activation_float8_weight": FP8_CHANNEL,
    "Float8DynamicActivationFloat8WeightConfig": FP8_CHANNEL,
}
_BY_MODULE = ("ModuleFqnToConfig", "FqnToConfig")


def _torchao_format(kind: object, values: object) -> WeightFormat:
    settings = values if isinstance(values, Mapping) else {}
    if kind == "IntxWeightOnlyConfig":
        return _torchao_intx(settings)
    if not isinstance(kind, str) or kind not in _TORCHAO:
        raise ConfigError(f"{describe(kind)} is not supported", key=f"{KEY}.quant_type")
    fmt = _TORCHAO[kind]
    if fmt is TORCHAO_INT4:
        return replace(fmt, block=(1, whole(settings, ("group_size",), 128)))
    if settings.get("group_size") is not None:
        raise ConfigError("groups are supported with 4 bits only", key=f"{KEY}.group_size")
    return fmt


def _torchao_intx(values: Mapping[str, object]) -> WeightFormat:
    """Integers of any width, an 8-bit entry each; a scale and a zero point by row or by group."""
    granularity = values.get("granularity")
    kind = granularity.get("_type") if isinstance(granularity, Mapping) else None
    data = granularity.get("_data") if isinstance(granularity, Mapping) else None
    group = None
    if kind == "PerGroup":
        group = whole(data if isinstance(data, Mapping) else {}, ("group_size",), 32)
    elif kind not in (None, "PerAxis"):
        raise ConfigError(f"{describe(kind)} is not supported", key=f"{KEY}.granularity")
    return WeightFormat("torchao_intx", 8, block=(1, group), scale_bytes=2, zero_bits=8, kind="int8_wo")


def _torchao(config: Mapping[str, object]) -> OtherMethod:
    kind, extra = config.get("quant_type"), config.get("quant_type_kwargs")
    left = listed(config.get("modules_to_not_convert"))
    if isinstance(kind, Mapping):
        default = kind.get("default")
        if set(kind) != {"default"} or not isinstance(default, Mapping):
            raise ConfigError("has more than a default", key=f"{KEY}.quant_type")
        kind, extra = default.get("_type"), default.get("_data")
    if kind not in _BY_MODULE:
        fmt = _torchao_format(kind, extra)
        outer = fmt if config.get("include_input_output_embeddings") is True else None
        return OtherMethod(fmt.name, fmt, left, lm_head=outer or BF16, embedding=outer)
    tables = [value for key, value in (extra.items() if isinstance(extra, Mapping) else ()) if "fqn_to_config" in key]
    if not tables or not isinstance(tables[0], Mapping) or len(tables[0]) > MAX_PATTERNS:
        raise ConfigError("has no table of modules", key=f"{KEY}.quant_type")
    exact: dict[WeightFormat, list[str]] = {}
    ordered: list[tuple[str, WeightFormat]] = []
    main = BF16
    for name, entry in tables[0].items():
        own = BF16 if entry is None else _torchao_entry(entry)
        plain = name.removesuffix(".weight")
        if name == "_default":
            main = own
        elif name.startswith("re:"):
            ordered.append((name.removesuffix("\\.weight"), own))
        else:
            exact.setdefault(own, []).append(plain)
    told = (
        main if main is not BF16 else next((fmt for fmt in (*exact, *(own for _, own in ordered)) if fmt != BF16), BF16)
    )
    return OtherMethod(told.name, main, left, exact, ordered)


def _torchao_entry(entry: object) -> WeightFormat:
    if not isinstance(entry, Mapping):
        raise ConfigError(f"must be an object, not {describe(entry)}", key=f"{KEY}.quant_type")
    return _torchao_format(entry.get("_type"), entry.get("_data"))


# ---- HQQ, quanto ----


def _hqq_format(settings: Mapping[str, object]) -> WeightFormat:
    weights = settings.get("weight_quant_params")
    if not isinstance(weights, Mapping):
        raise ConfigError("has no weight_quant_params", key=f"{KEY}.quant_config")
    bits, group = whole(weights, ("nbits",), 4), whole(weights, ("group_size",), 64)
    if bits not in (1, 2, 3, 4, 8):
        raise ConfigError(f"{bits} bits are not supported", key=f"{KEY}.nbits")
    held = 3.2 if bits == 3 else bits  # ten 3-bit values in 32
    return replace(HQQ_INT4, name=f"hqq_int{bits}", bits=held, block=(1, group))


def _hqq(config: Mapping[str, object]) -> OtherMethod:
    settings = config.get("quant_config")
    left = listed(config.get("skip_modules"))
    if not isinstance(settings, Mapping):
        raise ConfigError("is missing: HQQ's qmodel.pt alone does not say its bits", key=f"{KEY}.quant_config")
    if "weight_quant_params" in settings or not settings:
        fmt = _hqq_format(settings)
        return OtherMethod(fmt.name, fmt, left)
    exact: dict[WeightFormat, list[str]] = {}
    for name, entry in settings.items():  # by the module's name below its layer; the others stay
        if not isinstance(entry, Mapping):
            raise ConfigError("has no weight_quant_params", key=f"{KEY}.quant_config")
        exact.setdefault(_hqq_format(entry), []).append(name)
    return OtherMethod(next(iter(exact)).name, BF16, left, exact)


_QUANTO: dict[str, WeightFormat] = {
    "int8": replace(INT8_WEIGHT_ONLY, name="quanto_int8"),
    "float8": FP8_WEIGHT_ONLY,
    "int4": replace(TORCHAO_INT4, name="quanto_int4"),  # groups of 128, a 16-bit scale and shift each
    "int2": WeightFormat("quanto_int2", 2, block=(1, 128), scale_bytes=2, zero_bits=16, kind="int4"),
}


def _quanto(config: Mapping[str, object]) -> OtherMethod:
    table = config.get("qmap")
    if isinstance(table, Mapping):
        return _quanto_map(table)
    kind = config.get("weights")
    if not isinstance(kind, str) or kind not in _QUANTO:
        raise ConfigError(f"{describe(kind)} is not supported", key=f"{KEY}.weights")
    return OtherMethod(_QUANTO[kind].name, _QUANTO[kind], listed(config.get("modules_to_not_convert")))


def _quanto_map(table: Mapping[str, object]) -> OtherMethod:
    """quanto_qmap.json of optimum-quanto: a format for each module; what it leaves out stays."""
    exact: dict[WeightFormat, list[str]] = {}
    for name, entry in table.items():
        kind = entry.get("weights") if isinstance(entry, Mapping) else entry
        found = "float8" if str(kind).startswith("qfloat8") else str(kind).removeprefix("q")
        if found == "none":
            continue
        if found not in _QUANTO:
            raise ConfigError(f"{describe(kind)} is not supported", key=f"quanto_qmap.json: {name[:80]}")
        exact.setdefault(_QUANTO[found], []).append(name)
    if not exact:
        raise ConfigError("names no quantised module", key="quanto_qmap.json")
    return OtherMethod(max(exact, key=lambda fmt: len(exact[fmt])).name, BF16, [], exact)


# ---- AMD Quark ----


def _quark_format(entry: object) -> WeightFormat:
    """The format of one of Quark's configs of a layer; no ``weight`` leaves the layer as it is."""
    weight = entry.get("weight") if isinstance(entry, Mapping) else None
    if weight is None:
        return BF16
    inputs = entry.get("input_tensors") if isinstance(entry, Mapping) else None
    if isinstance(weight, list):  # first to FP8, then to integers of it: the last is what is stored
        weight = weight[-1] if weight else None
    if not isinstance(weight, Mapping):
        raise ConfigError(f"must be an object, not {describe(weight)}", key=f"{KEY}.weight")
    kind, scheme = weight.get("dtype"), weight.get("qscheme")
    group = whole(weight, ("group_size",), 32) if scheme == "per_group" else None
    block: tuple[int | None, int | None] = (None, None) if scheme == "per_tensor" else (1, group)
    if kind == "mx":
        kind, block, group = weight.get("mx_element_dtype"), (1, 32), 32
    if scheme not in (None, "per_tensor", "per_channel", "per_group"):
        raise ConfigError(f"{describe(scheme)} is not supported", key=f"{KEY}.qscheme")
    powers = weight.get("scale_format") == "e8m0" or kind == weight.get("mx_element_dtype")
    active = isinstance(inputs, Mapping | list)
    if kind == "fp4":
        like = replace(MXFP4, block=block, scale_bytes=1 if powers or group in (16, 32) else 4)
        return replace(like, compute="fp4") if active else like
    if kind in ("fp6_e2m3", "fp6_e3m2"):
        return WeightFormat("mxfp6", 6, block=block, scale_bytes=1)
    if kind in ("fp8_e4m3", "fp8_e5m2"):
        if powers:
            return (
                replace(MXFP8, block=block) if active else replace(MXFP8, name="mxfp8_wo", compute="bf16", block=block)
            )
        like = replace(FP8_TENSOR if scheme == "per_tensor" else FP8_CHANNEL, block=block)
        return like if active else replace(FP8_WEIGHT_ONLY, block=block)
    if kind in ("int8", "uint8"):
        return replace(INT8_CHANNEL if active else INT8_WEIGHT_ONLY, block=block)
    if kind in ("int4", "uint4"):
        base = W4A8 if active else WeightFormat("int4", 4, kind="int4")
        return replace(base, block=block, scale_bytes=2, zero_bits=4)  # symmetric weights store their zero points too
    if kind in ("bfloat16", "float16"):
        return BF16
    raise ConfigError(f"{describe(kind)} is not supported", key=f"{KEY}.dtype")


def _quark(config: Mapping[str, object]) -> OtherMethod:
    if not isinstance(config.get("global_quant_config"), Mapping):
        raise ConfigError("'quark' has no global_quant_config", key=f"{KEY}.quant_method")
    main = _quark_format(config.get("global_quant_config"))
    ordered: list[tuple[str, WeightFormat]] = []
    by_name, by_type = config.get("layer_quant_config"), config.get("layer_type_quant_config")
    embedding = None
    for name, entry in by_name.items() if isinstance(by_name, Mapping) else ():
        ordered.append((name, _quark_format(entry)))
    for name, entry in by_type.items() if isinstance(by_type, Mapping) else ():
        if name.endswith("Linear"):
            main = _quark_format(entry)
        elif name.endswith("Embedding"):
            embedding = _quark_format(entry)
    left = listed(config.get("exclude"))
    cache = config.get("kv_cache_quant_config")
    kinds = [
        entry.get("output_tensors") for entry in (cache.values() if isinstance(cache, Mapping) else ())
        if isinstance(entry, Mapping)
    ]  # fmt: skip
    dtypes = [str(kind.get("dtype")) for kind in kinds if isinstance(kind, Mapping)]
    told = main if main is not BF16 else next((own for _, own in ordered if own is not BF16), BF16)
    return OtherMethod(
        told.name,
        main,
        left,
        {},
        ordered,
        lm_head=main,
        embedding=embedding,
        kv=cache_format(dtypes[0] if dtypes else None),
    )


# ---- ExLlama ----


def _exllama(config: Mapping[str, object]) -> OtherMethod:
    """EXL2 and EXL3: the mean bits of all matrices, and those of the head."""
    bits, head = config.get("bits"), config.get("head_bits", 6)
    for key, value in (("bits", bits), ("head_bits", head)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= 16:
            raise ConfigError(f"must be a number of bits, not {describe(value)}", key=f"{KEY}.{key}")
    name = str(config.get("quant_method")).lower()
    assert isinstance(bits, int | float) and isinstance(head, int | float)
    return OtherMethod(name, WeightFormat(name, bits), lm_head=BF16 if head == 16 else WeightFormat(name, head))


# ---- msModelSlim ----

_ROWS = replace(INT8_CHANNEL, scale_bytes=8, zero_bits=32)  # an INT64 scale and an INT32 bias a row
_SCALED = replace(INT8_CHANNEL, scale_bytes=4, zero_bits=32)  # an F32 scale and an F32 offset a row
_MODELSLIM: dict[str, WeightFormat] = {
    "FLOAT": BF16,
    "W8A8": _ROWS,
    "W8A8S": _ROWS,
    "W8A8_DYNAMIC": _SCALED,
    "W8A8_MIX": _SCALED,
    "W8A16": replace(INT8_WEIGHT_ONLY, scale_bytes=4, zero_bits=32),
    "W4A16": WeightFormat("int4", 4, block=(1, 64), scale_bytes=4, zero_bits=32, kind="int4"),
    "W4A8": replace(W4A8, block=(1, None), scale_bytes=8),
    "W4A8_DYNAMIC": replace(W4A8, block=(1, None), scale_bytes=8),
    "W4A4_DYNAMIC": replace(W4A8, block=(1, None), scale_bytes=8),
    "W4A4_FLATQUANT_DYNAMIC": replace(W4A8, block=(1, None), scale_bytes=8),
    "W8A8_MXFP8": MXFP8,
    "W4A4_MXFP4": replace(MXFP4, compute="fp4"),
    "W4A8_MXFP": replace(MXFP4, compute="fp8"),
    "WFP8AF8_DYNAMIC": FP8_CHANNEL,
}


def _modelslim(config: Mapping[str, object]) -> OtherMethod:
    """msModelSlim's ``quant_model_description*.json``, which names the format of each tensor."""
    description = config.get("description")
    if not isinstance(description, Mapping):
        raise ConfigError("needs the file quant_model_description*.json beside it", key=f"{KEY}.quant_method")
    exact: dict[WeightFormat, list[str]] = {}
    group = description.get("group_size")
    left: list[str] = []
    for name, kind in description.items():
        if not name.endswith(".weight") or not isinstance(kind, str):
            continue
        if kind not in _MODELSLIM:
            raise ConfigError(f"{describe(kind)} is not supported", key=f"quant_model_description: {name[:80]}")
        fmt = _MODELSLIM[kind]
        if kind == "W4A16" and isinstance(group, int) and not isinstance(group, bool) and group > 0:
            fmt = replace(fmt, block=(1, group))
        (left if fmt is BF16 else exact.setdefault(fmt, [])).append(name.removesuffix(".weight"))
    stated = str(description.get("model_quant_type", "")).upper()
    largest = max(exact, key=lambda fmt: len(exact[fmt]), default=_MODELSLIM.get(stated))
    if largest is None:
        raise ConfigError("names no quantised tensor", key="quant_model_description")
    cache = description.get("kv_cache_type") or description.get("kv_quant_type")
    main = BF16 if exact else largest
    return OtherMethod(largest.name, main, left, exact, kv=cache_format(cache))


OTHER_METHODS: dict[str, Callable[[Mapping[str, object]], OtherMethod]] = {
    "torchao": _torchao,
    "hqq": _hqq,
    "quanto": _quanto,
    "quark": _quark,
    "exl2": _exllama,
    "exl3": _exllama,
    "msmodelslim": _modelslim,
    "ascend": _modelslim,
}
