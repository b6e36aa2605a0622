"""``sizing claim``: what would have to be true."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from sizing.base.errors import SizingError
from sizing.base.files import write_text
from sizing.cli import options as opt
from sizing.cli.output import line, message, print_json, table

_SCALES = {"k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("claim")(claim)


def claim(
    text: Annotated[
        list[str] | None,
        typer.Argument(
            help="The claim in words, English or Chinese, such as '$0.07 per million tokens, 1.2T/78B, Ascend 910B', "
            "'Qwen3-32B runs on one RTX 4090 in 4 bits at 20 tokens/s' or "
            "'DeepSeek V3: 2.788M H800 hours, 14.8T tokens, $5.576M', or a MODEL."
        ),
    ] = None,
    total: Annotated[str | None, typer.Option("--total", help="Parameters in all, such as 1.2T.")] = None,
    active: Annotated[str | None, typer.Option("--active", help="Parameters active per token, such as 78B.")] = None,
    usd_per_million: Annotated[
        float | None, typer.Option("--usd-per-million", help="Price per million tokens.")
    ] = None,
    kind: Annotated[str | None, typer.Option("--kind", help="Of which tokens: input, output, blend.")] = None,
    on: Annotated[str | None, typer.Option("--on", help="Accelerator id or alias.")] = None,
    price: opt.Price = None,
    context: opt.Context = None,
    input_tokens: Annotated[float | None, typer.Option("--input", help="Input tokens of a request; 1,000.")] = None,
    output_tokens: Annotated[float | None, typer.Option("--output", help="Output tokens of a request; 1,000.")] = None,
    weights: opt.Weights = None,
    kv_dtype: opt.KvDtype = None,
    utilisation: Annotated[
        str | None, typer.Option("--utilisation", "--utilization", help="Share of the hours that serve: 0.5 or 50%.")
    ] = None,
    tpot: Annotated[float | None, typer.Option("--tpot", help="Seconds a token that users accept.")] = None,
    below: Annotated[str | None, typer.Option("--below", help="This much below ..., such as 97%.")] = None,
    than: Annotated[str | None, typer.Option("--than", help="... the list price of this API model.")] = None,
    training_pflops: Annotated[float | None, typer.Option("--training-pflops", help="Of a training cluster.")] = None,
    training_utilisation: Annotated[str | None, typer.Option("--training-utilisation", help="Such as 82%.")] = None,
    reference: Annotated[bool, typer.Option("--reference", help="Work through the reference claims.")] = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the reference claims to this file.")] = None,
    catalog: opt.CatalogDir = None,
    as_json: opt.Json = False,
) -> None:
    """Check a claim on a price, a saving, a context or a training run: what would have to be true."""
    from sizing.claims import examine, parse_claim
    from sizing.hardware import load_catalog

    found = load_catalog(catalog)
    if reference:
        if as_json:
            raise SizingError(
                "the reference claims are a document", key="--json", hint="leave out --json, or --reference"
            )
        _reference(found, out)
        return
    if kind not in (None, "input", "output", "blend"):
        raise SizingError(f"unknown kind of token {kind!r}", key="--kind", hint="input, output or blend")
    hours = opt.prices(price, found)
    stated = parse_claim(
        " ".join(text or []),
        total=_size(total, "--total"),
        active=_size(active, "--active"),
        usd_per_million=usd_per_million,
        kind=kind,
        accelerator=on,
        context=context,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        weights=weights,
        kv_dtype=kv_dtype,
        utilisation=_share(utilisation, "--utilisation"),
        tpot_s=tpot,
        below=_share(below, "--below"),
        than=than,
        training_flops=None if training_pflops is None else training_pflops * 1e15,
        training_utilisation=_share(training_utilisation, "--training-utilisation"),
    )
    if stated.accelerator and hours:
        accelerator, _ = found.resolve(stated.accelerator)
        stated = replace(stated, usd_per_hour=hours.get(accelerator.id, hours.get("")))
    answer = examine(stated, found)
    if as_json:
        print_json(answer.to_dict())
        return
    _show(answer)


def _reference(catalog: Any, out: Path | None) -> None:
    from sizing.claims.reference import render

    text = render(catalog)
    if out is None:
        line(text.rstrip())
        return
    write_text(out, text)
    message(f"wrote {out}")


def _show(answer: Any) -> None:
    from sizing.claims import EXAMPLES
    from sizing.claims.reference import value
    from sizing.claims.text import is_chinese

    if is_chinese(answer.claim.text):
        line(answer.sentence_zh)
    line(answer.sentence)
    if answer.claim.unparsed:
        line(f"Not understood, and left out: {', '.join(answer.claim.unparsed)}")
        line("Understood would be, for example: " + "; ".join(f'"{text}"' for text in EXAMPLES[:4]))
    for item in answer.findings:
        line("")
        line(f"{item.statement}: {item.verdict}: {item.because}")
        if item.lines:
            table("", ("", "value", "how"), [(one.name, value(one), one.formula) for one in item.lines], right=(1,))
    if answer.assumptions:
        line("")
        line("Assumptions")
        for text in answer.assumptions:
            line(f"  - {text}")


def _size(text: str | None, key: str) -> float | None:
    """``"1.2T"`` as a number of parameters."""
    if text is None:
        return None
    plain = text.strip().lower().replace(",", "")
    scale = _SCALES.get(plain[-1:], 1.0)
    try:
        return float(plain[:-1] if plain[-1:] in _SCALES else plain) * scale
    except ValueError:
        raise SizingError(f"{text!r} is not a number of parameters", key=key, hint="such as 1.2T or 78B") from None


def _share(text: str | None, key: str) -> float | None:
    """``"97%"`` or ``"0.97"`` as a share."""
    if text is None:
        return None
    plain = text.strip()
    try:
        number = float(plain.removesuffix("%"))
    except ValueError:
        raise SizingError(f"{text!r} is not a share", key=key, hint="such as 97% or 0.97") from None
    return number / 100 if plain.endswith("%") else number
