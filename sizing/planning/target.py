"""A target: one model in one weight format on one kind of accelerator under one engine, everything resolved.

Estimates and plans start here: names become objects once, and every assumption made on the way is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sizing.base.errors import PlacementError, SizingError
from sizing.coefficients.calibration import Calibration
from sizing.coefficients.kernels import MachineRates, kernel_curves
from sizing.coefficients.llama_cpp import backend_of, machine_for
from sizing.coefficients.serving import ServingCoefficients, serving_coefficients
from sizing.engine.base import Device, Engine
from sizing.engine.devices import device_of
from sizing.engine.placement import Placement
from sizing.engine.registry import get_engine
from sizing.hardware import Accelerator, Catalog, Server, default_server, load_catalog
from sizing.hardware.machine import is_ascend, machine_rates
from sizing.hardware.servers import named_server
from sizing.model.architecture import Architecture
from sizing.model.habits import as_published
from sizing.model.kv_formats import KVFormat, kv_format
from sizing.model.quantization.gguf_mix import mix_scheme, stated_bits
from sizing.model.quantization.schemes import QuantScheme, scheme
from sizing.model.sources import load_model
from sizing.step.model import StepModel

ASCEND_ENGINE = "vllm-ascend"
LLAMA_CPP = "llama.cpp"


@dataclass(frozen=True)
class Target:
    """What an estimate is about, resolved. ``assumptions`` say what was chosen for the user."""

    arch: Architecture
    accelerator: Accelerator
    server: Server
    engine: Engine
    scheme: QuantScheme
    kv: KVFormat
    catalog: Catalog
    coefficients: ServingCoefficients
    assumptions: tuple[str, ...] = ()
    calibration: Calibration | None = None

    @cached_property
    def device(self) -> Device:
        """The accelerator as engines see it."""
        return device_of(self.accelerator)

    @cached_property
    def machine(self) -> MachineRates:
        """Its rates, in this server. Raises SizingError where the catalog has too few to time anything."""
        rates = machine_rates(self.accelerator, self.server)
        return machine_for(rates, backend_of(rates.family)) if self.engine.name == LLAMA_CPP else rates

    @cached_property
    def step(self) -> StepModel:
        """The step times of the model in this format on this machine under this engine."""
        return StepModel(
            arch=self.arch,
            scheme=self.scheme,
            machine=self.machine,
            curves=kernel_curves(self.machine.family),
            overheads=self.coefficients.overheads,
            kv=self.kv,
            layout=self.engine.layout,
            fp8_index_keys=self.engine.fp8_index_keys(self.device),
        )

    @property
    def host_size(self) -> int:
        """Accelerators that one launch command can use: those of one host of the scale-up domain."""
        return max(1, self.server.host_size)

    def facts(self, placement: Placement) -> dict[str, Any]:
        """What serves, for a JSON document: accelerator, engine, formats and layout."""
        return {
            "accelerator": self.accelerator.id,
            "accelerators": int(placement.accelerators),
            "engine": self.engine.name,
            "engine_version": self.engine.version_text,
            "weights": self.scheme.name,
            "kv_dtype": self.kv.name,
            "placement": {"tp": placement.tp, "pp": placement.pp, "dp": placement.dp, "ep": placement.ep},
        }

    @property
    def node_size(self) -> int:
        """Accelerators in one scale-up domain."""
        return max(1, self.server.scale_up_domain)


def usual_engine(accelerator: Accelerator) -> str:
    """The engine that is meant when none is named: vLLM, on Ascend its port, llama.cpp where vLLM does not run."""
    if is_ascend(accelerator):
        return ASCEND_ENGINE
    vendor = accelerator.vendor.lower()
    llama_alone = vendor in get_engine(LLAMA_CPP).vendors and vendor not in get_engine("vllm").vendors
    return LLAMA_CPP if llama_alone else "vllm"


def native_scheme(arch: Architecture) -> QuantScheme:
    """The format that the model's own checkpoint states; 16 bits where it states none.

    Raises SizingError, naming ``--weights``, for a checkpoint whose format was not understood.
    """
    own = arch.native_quantization
    if isinstance(own, QuantScheme):
        return own
    if arch.quantization_problem is not None:
        raise SizingError(
            f"the format of {arch.name} is not understood ({arch.quantization_problem}): give the weight format",
            key="--weights",
            hint="such as int4_gptq, nf4, fp8 or bf16, or its bits per weight with the scales, such as 4.5",
        )
    return scheme("fp16" if arch.torch_dtype == "float16" else "bf16")


def as_model(model: str | Path | Architecture) -> Architecture:
    """The architecture itself, or the one of this name or path."""
    return model if isinstance(model, Architecture) else load_model(model)


def choose_weights(arch: Architecture, accelerator: Accelerator, weights: str | None) -> tuple[QuantScheme, list[str]]:
    """The scheme named, or the checkpoint's own where the accelerator runs it, else 16 bits.

    Raises SizingError for a named format that the accelerator does not run, with the catalog's reason.
    """
    if weights is not None and weights.strip().lower() not in ("auto", "native"):
        chosen = scheme(weights)
        if chosen.mix is not None:
            chosen = mix_scheme(arch, chosen.mix)
            said = f"{stated_bits(arch, chosen):.2f} bits per weight by the quantiser's rule for these shapes"
            return chosen, [f"weights {chosen.name}: {said}"]
        check_weights(accelerator, chosen)
        chosen, habit = as_published(arch, chosen) if arch.native_quantization is None else (chosen, None)
        return chosen, [habit] if habit else []
    own = native_scheme(arch)
    if runs(accelerator, own) is not None:
        return own, [*([arch.stored_note] if arch.stored_note else []), _native_said(arch, own)]
    for stand_in in ("int8", "bf16", "fp16"):
        chosen = scheme(stand_in)
        if (stand_in != "int8" or own.experts.bits <= 8) and runs(accelerator, chosen) is not None:
            return chosen, [
                f"weights {stand_in}: {accelerator.name} does not run the checkpoint's own {own.name}; "
                f"a {stand_in} version of the checkpoint is assumed"
            ]
    raise SizingError(f"{accelerator.name} runs neither {own.name} nor 16-bit weights", key="--weights")


def _native_said(arch: Architecture, own: QuantScheme) -> str:
    """Where the format comes from that nobody named."""
    if arch.native_quantization is None and arch.torch_dtype == "float32":
        return (
            f"weights {own.name}: the checkpoint is stored in float32, which engines cast to 16 bits when no dtype is "
            "named; --weights float32 sizes it as stored"
        )
    if arch.native_quantization is None and not arch.dtype_stated:
        return f"weights {own.name}: assumed, the config states neither a dtype nor a quantisation"
    return f"weights {own.name}: the checkpoint's own format"


def runs(accelerator: Accelerator, chosen: QuantScheme) -> str | None:
    """How the accelerator runs a scheme's formats ("native", "weight-only"), None where it does not."""
    how = "native"
    for kind in {chosen.linear.kind, chosen.experts.kind}:
        if kind is None:
            how = "weight-only"
            continue
        support = accelerator.weight_support(kind)
        if support.how is None:
            return None
        if support.how == "weight-only":
            how = "weight-only"
    return how


def check_weights(accelerator: Accelerator, chosen: QuantScheme) -> None:
    """Raise SizingError where the accelerator does not run a scheme, with the reason."""
    for fmt in dict.fromkeys((chosen.linear, chosen.experts)):
        if fmt.kind is None:
            continue
        support = accelerator.weight_support(fmt.kind)
        if support.how is None:
            raise SizingError(
                f"{accelerator.name} does not run {fmt.name} weights: {support.reason}",
                key="--weights",
                hint="take one of " + ", ".join(sorted(k for k, v in accelerator.weights.items() if v.how)),
            )


def choose_kv(chosen: QuantScheme, kv_dtype: str | None) -> tuple[KVFormat, list[str]]:
    """The cache format named, or the checkpoint's, else 16 bits."""
    if kv_dtype is not None and kv_dtype.strip().lower() != "auto":
        return kv_format(kv_dtype), []
    stated = chosen.kv_cache_dtype
    if stated:
        return kv_format(stated), [f"KV cache {stated}: stated by the checkpoint"]
    if chosen.linear.bits == 32:
        return kv_format("fp32"), ["KV cache fp32: engines keep it in the dtype of float32 weights"]
    return kv_format("bf16"), ["KV cache bf16: the engine's default"]


def resolve_target(
    model: str | Path | Architecture,
    accelerator: str | Accelerator,
    *,
    engine: str | None = None,
    engine_version: str | None = None,
    weights: str | None = None,
    kv_dtype: str | None = None,
    catalog: Catalog | None = None,
    coefficients: ServingCoefficients | None = None,
    calibration: Calibration | None = None,
    server: str | None = None,
    enforce_eager: bool = False,
) -> Target:
    """Resolve names to objects; raises SizingError (or a subclass) with the key at fault.

    server: id of the server that it sits in; None takes the accelerator's usual one.
    """
    catalog = catalog or load_catalog()
    arch = as_model(model)
    assumptions: list[str] = []
    if arch.hypothetical:
        assumptions.append(f"{arch.name} is HYPOTHETICAL: no such model was published; built from stated assumptions")
    if isinstance(accelerator, Accelerator):
        chosen = accelerator
    else:
        chosen, said = catalog.resolve(accelerator)
        assumptions += said
    engine_name = engine or usual_engine(chosen)
    if engine is None:
        assumptions.append(f"engine {engine_name}: the usual one on {chosen.vendor} accelerators")
    served = get_engine(engine_name, engine_version)
    check_engine(served, chosen)
    formats, said = choose_weights(arch, chosen, weights)
    assumptions += said
    kv, said = choose_kv(formats, kv_dtype)
    assumptions += said
    stated = served.version if engine_version is not None else None
    used = coefficients or serving_coefficients(
        served.name, chosen.family, mla=arch.is_mla, version=stated, eager=enforce_eager
    )
    if enforce_eager:
        assumptions.append("eager mode: the host launches every kernel of a layer; no graphs are captured")
    own: Calibration | None = None
    if calibration is not None:
        if calibration.applies(served.name, chosen.id):
            own, used = calibration, calibration.apply(used)
            assumptions.append(calibration.describe())
        else:
            assumptions.append(
                f"the calibration is of {calibration.engine} on {calibration.accelerator}: not used for {served.name} "
                f"on {chosen.id}"
            )
    return Target(
        arch=arch,
        accelerator=chosen,
        server=named_server(chosen.id, server, catalog) if server else default_server(chosen.id, catalog),
        engine=served,
        scheme=formats,
        kv=kv,
        catalog=catalog,
        coefficients=used,
        assumptions=tuple(assumptions),
        calibration=own,
    )


def least_bits(chosen: QuantScheme) -> float:
    """Bits of one weight of the bulk of a model in this scheme: of linear layers or experts, the fewer [bits]."""
    return float(min(chosen.linear.bits, chosen.experts.bits))


def quality_note(target: Target) -> str | None:
    """A word where the weights have fewer than 8 bits and the model's makers did not publish them so; else None."""
    bits = least_bits(target.scheme)
    if bits >= 8 or bits >= least_bits(native_scheme(target.arch)):
        return None
    return (
        f"{target.scheme.name} keeps {bits:g} bits of a weight: answers lose some quality, more in long reasoning, code and "
        "languages other than English. Test it on your own tasks, or ask for 8 bits or more (--min-bits 8)."
    )


def check_alone(accelerator: Accelerator, placement: Placement) -> None:
    """Raise PlacementError (rule ``slice_is_one_rank``) for a layout over several slices that their maker isolates."""
    if accelerator.works_alone and int(placement.accelerators) > 1:
        raise PlacementError(
            f"{accelerator.name} works alone: no replica spans several slices, as {placement.describe()} would",
            rule="slice_is_one_rank",
            key="--tp",
            hint=f"use TP1 on one slice, or the whole {accelerator.parent}",
        )


def check_engine(engine: Engine, accelerator: Accelerator) -> None:
    """Raise SizingError where an engine does not run on an accelerator's make."""
    if not engine.vendors:
        return
    vendor = accelerator.vendor.lower()
    if not any(vendor.startswith(known.lower()) or known.lower() in vendor for known in engine.vendors):
        raise SizingError(
            f"{engine.name} does not run on {accelerator.vendor} accelerators, only on {', '.join(engine.vendors)}",
            key="--engine",
            hint=f"{usual_engine(accelerator)} does" if usual_engine(accelerator) != engine.name else None,
        )
