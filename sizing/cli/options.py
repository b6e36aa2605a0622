"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sizing.base.errors import SizingError, UnknownNameError

if TYPE_CHECKING:
    from sizing.engine.placement import Placement

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
CatalogDir = Annotated[
    Path | None, typer.Option("--catalog", help="Folder (or file) of your own accelerators, servers, prices.")
]
On = Annotated[str, typer.Option("--on", help="Accelerator id or alias.")]
Tp = Annotated[int, typer.Option("--tp", help="Tensor parallel size of attention.")]
Pp = Annotated[int, typer.Option("--pp", help="Pipeline stages.")]
Dp = Annotated[int, typer.Option("--dp", help="Attention data parallel size inside the replica.")]
Ep = Annotated[int, typer.Option("--ep", help="Expert parallel size.")]
EngineName = Annotated[
    str | None,
    typer.Option("--engine", help="vllm, sglang, tensorrt-llm, vllm-ascend, mindie; else the usual one."),
]
EngineVersion = Annotated[str | None, typer.Option("--engine-version", help="Such as 0.19; else the latest known.")]
Weights = Annotated[
    str | None, typer.Option("--weights", help="bf16, fp8, fp8_block, int8, int4_awq, mxfp4, nvfp4, bits4.5, ...")
]
KvDtype = Annotated[str | None, typer.Option("--kv-dtype", help="bf16, fp8, int8, ...; default: the engine's.")]
Context = Annotated[int | None, typer.Option("--context", help="Longest request that must be possible [tokens].")]
MaxSeqs = Annotated[int | None, typer.Option("--max-num-seqs", help="Running requests at most, per rank.")]
MaxTokens = Annotated[int | None, typer.Option("--max-num-batched-tokens", help="Tokens of a step at most.")]
Input = Annotated[int | None, typer.Option("--input", help="Mean input tokens of a request.")]
Output = Annotated[int | None, typer.Option("--output", help="Mean output tokens of a request.")]
Utilization = Annotated[float | None, typer.Option("--memory-utilization", help="The engine's memory fraction.")]
Eager = Annotated[bool, typer.Option("--enforce-eager", help="No captured graphs: the host launches every kernel.")]
Price = Annotated[
    list[str] | None,
    typer.Option("--price", help="ID=USD per accelerator-hour, or one number; may be repeated."),
]
Calibration = Annotated[
    Path | None, typer.Option("--calibration", help="File written by `sizing calibrate` for your own cluster.")
]


def placement(tp: int, pp: int, dp: int, ep: int) -> Placement:
    """The placement of these sizes; raises SizingError for sizes that are not whole numbers from 1 to 10,000."""
    from sizing.engine.placement import Placement

    for key, size in (("--tp", tp), ("--pp", pp), ("--dp", dp), ("--ep", ep)):
        if not 1 <= size <= 10_000:
            raise SizingError(f"must be a whole number from 1 to 10,000, not {size}", key=key)
    return Placement(tp, pp, dp, ep)


def prices(values: list[str] | None, resolve: object | None = None) -> dict[str, float]:
    """``["h100-sxm=2.5"]`` as a mapping of resolved accelerator ids to USD per hour; ``""`` holds a bare number."""
    from sizing.hardware import Catalog

    found: dict[str, float] = {}
    if values and isinstance(resolve, Catalog):
        _ = resolve.accelerators  # a catalog that can't be read says so itself, under its file's name
    for value in values or []:
        name, sign, number = value.rpartition("=")
        try:
            if sign and not name.strip():
                raise ValueError
            usd = float(number)
        except ValueError:
            raise SizingError(f"{value!r} is not ID=USD", key="--price", hint="write --price ascend-910b=1.2") from None
        if not 0 <= usd < 1e6:
            raise SizingError(f"{number} is not a price per hour", key="--price", hint="a number of USD, 0 or more")
        if sign and isinstance(resolve, Catalog):
            try:
                name = resolve.resolve(name)[0].id
            except UnknownNameError as error:
                raise UnknownNameError(error.message, key="--price", hint=error.hint) from None
        found[name] = usd
    return found


def calibrated(calibration: Path | None) -> dict[str, Any]:
    """The keyword for a calibration file, where one is given."""
    if calibration is None:
        return {}
    from sizing.coefficients.calibration import load_calibration

    return {"calibration": load_calibration(calibration)}
