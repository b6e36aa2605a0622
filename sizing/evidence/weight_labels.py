"""From the labels that measurements print for weight formats to the names in ``model/quantization/schemes.py``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Weights:
    """Scheme names of the linear layers and of the routed experts; None where the label says nothing."""

    linear: str | None = None
    experts: str | None = None

    def resolve(self, native: Weights | None = None) -> Weights:
        """What was served, given what the checkpoint itself holds.

        A checkpoint that is published in one 4-bit format only (MXFP4 experts) keeps it, whatever the label;
        an "fp8" label of a checkpoint with block scales means those; without a label the checkpoint decides,
        and without either it is BF16.
        """
        if native is None:
            return Weights(self.linear or "bf16", self.experts or self.linear or "bf16")
        if native.experts == "mxfp4":
            return native
        linear = self.linear or native.linear or "bf16"
        experts = self.experts or (self.linear if self.linear else native.experts) or linear
        if linear == "fp8" and native.linear == "fp8_block":
            linear = "fp8_block"
        if experts == "fp8" and native.experts == "fp8_block":
            experts = "fp8_block"
        return Weights(linear, experts)

    @property
    def scheme(self) -> str | None:
        """One name where both are alike, ``"linear+experts"`` where not, None where nothing is stated."""
        if self.experts is None or self.linear == self.experts:
            return self.linear
        if (self.linear, self.experts) == ("bf16", "mxfp4"):
            return "mxfp4"
        return f"{self.linear or 'bf16'}+{self.experts}"


_MODES = {
    "fp8": "fp8",
    "fp8_block": "fp8_block",
    "nvfp4": "nvfp4",
    "mxfp4": "mxfp4",
    "bf16": "bf16",
    "float16": "fp16",
}
_PRECISIONS = {
    "bf16": "bf16",
    "fp16": "fp16",
    "fp8": "fp8",
    "fp4": "nvfp4",
    "nvfp4": "nvfp4",
    "mxfp4": "mxfp4",
}


def from_modes(gemm: str, moe: str, precision: str) -> tuple[Weights, str | None]:
    """``(weights, complaint)`` of the columns gemm_quant_mode, moe_quant_mode and precision.

    ``int4_wo`` (or precision ``int4``) is weight-only INT4 of the routed experts, everything else in BF16, as
    the models that ship so have it. Blank means as ``precision`` says; blank everywhere is left to the
    checkpoint.
    """
    gemm, moe, precision = (text.strip().lower() for text in (gemm, moe, precision))
    if "int4_wo" in (gemm, moe) or (precision == "int4" and not gemm and not moe):
        return Weights("bf16", "int4_gptq"), None
    base = _PRECISIONS.get(precision)
    complaint = None
    for value, known in ((gemm, _MODES), (moe, _MODES), (precision, _PRECISIONS)):
        if value and value not in known and not (known is _PRECISIONS and (gemm or moe)):
            complaint = f"the weight format {value[:40]!r} is not known"
    linear, experts = _MODES.get(gemm, base), _MODES.get(moe, base)
    if "mxfp4" in (linear, experts):
        linear, experts = ("bf16" if linear == "mxfp4" else linear), "mxfp4"
    return Weights(linear, experts), complaint


_DTYPES = {
    "bf16": Weights("bf16", "bf16"),
    "fp16": Weights("fp16", "fp16"),
    "fp8": Weights("fp8", "fp8"),
    "fp8-static": Weights("fp8", "fp8"),
    "fp8-dynamic": Weights("fp8_channel", "fp8_channel"),
    "fp8 (native checkpoint)": Weights("fp8_block", "fp8_block"),
    "nvfp4": Weights("nvfp4", "nvfp4"),
    "fp4": Weights("nvfp4", "nvfp4"),
    "mxfp4": Weights("bf16", "mxfp4"),
    "int4-awq": Weights("int4_awq", "int4_awq"),
    "int4-gptq": Weights("int4_gptq", "int4_gptq"),
    "int4-w4a16": Weights("int4_gptq", "int4_gptq"),
    "int8-gptq": Weights("int8_wo", "int8_wo"),
    "int8": Weights("int8", "int8"),
    "w8a8-int8": Weights("int8", "int8"),
    "w8a8-int8 (int8 kv, c8)": Weights("int8", "int8"),
    "w4a8": Weights("int8", "w4a8"),
}


def from_dtype(label: str) -> tuple[Weights, str | None]:
    """``(weights, complaint)`` of a printed weight dtype. Blank says nothing and is no complaint.

    ``mixed-fp16`` is a table of 16-bit weights whose element type the source does not say.
    """
    key = label.strip().lower()
    if not key:
        return Weights(), None
    if key == "mixed-fp16":
        return Weights("fp16", "fp16"), None
    found = _DTYPES.get(key)
    return (found, None) if found else (Weights(), f"the weight format {label.strip()[:40]!r} is not known")
