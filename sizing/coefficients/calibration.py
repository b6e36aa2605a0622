"""Calibrate to your own cluster: a shift of the coefficients, with its uncertainty, from benchmark results of yours.

Each measured run is compared with the estimate of the same setting. The ratio of TPOT shifts all that decode is made of,
the ratio of TTFT all that prefill is made of: two numbers, each with a standard deviation, by Bayes' rule for lognormal
factors. The prior is the model's own interval; one run carries ``RUN_SIGMA`` of noise (``FIRST_TOKEN_SIGMA`` for TTFT),
and what runs have in common that the next setting will not share leaves at least ``FLOOR_SIGMA``. The TTFT of a run that
sent all its prompts at once is waiting and teaches nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from sizing.base import yaml as safe_yaml
from sizing.base.errors import SizingError
from sizing.base.files import read_text, write_text
from sizing.base.ledger import Spread
from sizing.coefficients.serving import ServingCoefficients

RUN_SIGMA = 0.08  # log: run-to-run noise and what a setting has of its own
# The same for a first token: much of it is waiting, which says little of prefill (the fit's own errors are of this size).
FIRST_TOKEN_SIGMA = 0.35
Z90 = 1.2816  # 90th percentile of a standard normal
VERSION = 1
DECODE_FIELDS = (
    "step_s",
    "layer_s",
    "moe_layer_s",
    "sync_s",
    "moe_sync_s",
    "index_layer_s",
    "launch_s",
    "elementwise",
    "sequence_s",
    "gemm",
    "attention",
    "experts",
    "collectives",
    "linear",
    "linear_layer_s",
    "norm_s",
    "quantisation",
)
PREFILL_FIELDS = (
    "prefill_gemm",
    "prefill_attention",
    "prefill_experts",
    "prefill_collectives",
    "prefill_linear",
    "prefill_step_s",
)


@dataclass(frozen=True, slots=True)
class Shift:
    """A factor on times: its median and the standard deviation of its logarithm. runs: how many it rests on."""

    factor: float = 1.0
    sigma: float = 0.0
    runs: int = 0


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a cluster's own measurements say of one engine on one accelerator."""

    engine: str
    accelerator: str
    decode: Shift
    prefill: Shift
    files: tuple[str, ...] = ()

    def applies(self, engine: str, accelerator: str) -> bool:
        return (self.engine, self.accelerator) == (engine, accelerator)

    def describe(self) -> str:
        """One line for ``assumptions``: never silently."""
        return (
            f"calibrated on your own {self.decode.runs} runs of {self.engine} on {self.accelerator}: decode x "
            f"{self.decode.factor:.3f} (sigma {self.decode.sigma:.3f}), prefill x {self.prefill.factor:.3f} "
            f"(sigma {self.prefill.sigma:.3f}); {', '.join(self.files)}"
        )

    def apply(self, coefficients: ServingCoefficients) -> ServingCoefficients:
        """The coefficients with all decode and all prefill times shifted."""
        over = coefficients.overheads
        changed = {name: getattr(over, name) * self.decode.factor for name in DECODE_FIELDS}
        changed |= {name: getattr(over, name) * self.prefill.factor for name in PREFILL_FIELDS}
        batching = replace(coefficients.batching, fixed_ttft_s=coefficients.batching.fixed_ttft_s * self.prefill.factor)
        return replace(coefficients, overheads=replace(over, **changed), batching=batching, origin=self.describe())

    def spread(self, quantity: str) -> Spread:
        """The interval that is left: narrower than the model's own."""
        shift = self.prefill if quantity == "ttft" else self.decode
        noise = FIRST_TOKEN_SIGMA if quantity == "ttft" else RUN_SIGMA
        reach = math.exp(Z90 * math.hypot(shift.sigma, noise))
        return Spread(1 / reach, reach, (self.describe(),))


def write_calibration(found: Calibration, path: Path) -> None:
    """Write the calibration file, whole or not at all."""
    text = "# Shift of the model's coefficients to your own measurements. Written by `sizing calibrate`.\n"
    text += yaml.safe_dump(
        {
            "version": VERSION,
            "engine": found.engine,
            "accelerator": found.accelerator,
            **{
                name: {"factor": shift.factor, "sigma": shift.sigma, "runs": shift.runs}
                for name, shift in (("decode", found.decode), ("prefill", found.prefill))
            },
            "files": list(found.files),
        },
        sort_keys=False,
        allow_unicode=True,
    )
    write_text(path, text)


def load_calibration(path: Path) -> Calibration:
    """Read a calibration file; raises SizingError that names the key at fault."""
    data: Any = safe_yaml.parse(read_text(path, safe_yaml.MAX_BYTES), path.name)
    if not isinstance(data, dict) or data.get("version") != VERSION:
        raise SizingError(
            "is not a calibration file of version 1", key=str(path), hint="write it with sizing calibrate"
        )
    try:
        return Calibration(
            engine=_text(data["engine"], "engine"),
            accelerator=_text(data["accelerator"], "accelerator"),
            decode=_shift(data["decode"], "decode"),
            prefill=_shift(data["prefill"], "prefill"),
            files=_texts(data.get("files"), "files"),
        )
    except KeyError as error:
        raise SizingError(f"lacks {error.args[0]}", key=str(path)) from None


def _text(value: Any, key: str) -> str:
    if not isinstance(value, str) or not value or len(value) > 500:
        raise SizingError("must be a short text", key=key)
    return value


def _texts(value: Any, key: str) -> tuple[str, ...]:
    if not isinstance(value, list | None):
        raise SizingError("must be a list of short texts", key=key)
    return tuple(_text(item, key) for item in value or ())


def _shift(value: Any, key: str) -> Shift:
    if not isinstance(value, dict):
        raise SizingError("must have factor, sigma and runs", key=key)
    numbers: dict[str, float] = {}
    for name, low, high in (("factor", 0.01, 100.0), ("sigma", 0.0, 3.0), ("runs", 0, 1e9)):
        number = value.get(name)
        if isinstance(number, bool) or not isinstance(number, (int, float)) or not low <= number <= high:
            raise SizingError(f"must be a number from {low} to {high}, not {str(number)[:40]!r}", key=f"{key}.{name}")
        numbers[name] = float(number)
    return Shift(numbers["factor"], numbers["sigma"], int(numbers["runs"]))
