"""``sizing plan``: how many of what, laid out how, at what cost."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sizing.base.errors import SizingError
from sizing.base.files import read_text, write_text
from sizing.cli import options as opt
from sizing.cli.output import line, message, print_json
from sizing.cli.plan_text import best_in_full, show_money, show_plan


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("plan")(plan)


def plan(
    study: Annotated[str, typer.Argument(help="A study.yaml, or a model's name.")],
    input_tokens: opt.Input = None,
    output_tokens: opt.Output = None,
    rate: Annotated[float | None, typer.Option("--rate", help="Requests per second at the peak.")] = None,
    users: Annotated[int | None, typer.Option("--users", help="Concurrent users instead of a rate.")] = None,
    concurrency: Annotated[
        int | None, typer.Option("--concurrency", help="Requests always in flight, instead of a rate.")
    ] = None,
    batch: Annotated[
        int | None, typer.Option("--batch", help="Offline work: so many requests, all there at the start.")
    ] = None,
    think: Annotated[float, typer.Option("--think", help="Think time of a user between requests [s].")] = 10.0,
    workload: Annotated[str | None, typer.Option("--workload", help="A preset: chat, rag, thinking, ...")] = None,
    on: Annotated[str | None, typer.Option("--on", help="Accelerators, comma separated; default: h100-sxm.")] = None,
    ttft_p95: Annotated[float | None, typer.Option("--ttft-p95", help="Target for TTFT [s].")] = None,
    tpot_p95: Annotated[float | None, typer.Option("--tpot-p95", help="Target for TPOT [s].")] = None,
    headroom: Annotated[float, typer.Option("--headroom", help="Share of capacity kept free.")] = 0.1,
    spare: Annotated[int, typer.Option("--spare", help="Spare replicas (1: N+1).")] = 0,
    prefix_hit: Annotated[
        float | None, typer.Option("--prefix-cache-hit-rate", "--prefix-hit", help="Share of input found in cache.")
    ] = None,
    engine: Annotated[str | None, typer.Option("--engine", help="Engines, comma separated.")] = None,
    weights: Annotated[str | None, typer.Option("--weights", help="Formats to try, comma separated.")] = None,
    kv_dtype: Annotated[str | None, typer.Option("--kv-dtype", help="Cache formats to try, comma separated.")] = None,
    context: opt.Context = None,
    max_nodes: Annotated[int, typer.Option("--max-nodes", help="Servers that one replica may span.")] = 1,
    min_bits: Annotated[float | None, typer.Option("--min-bits", help="Least bits per weight: 8 leaves out 4.")] = None,
    currency: Annotated[
        str | None, typer.Option("--currency", help="CNY, EUR or GBP beside USD, by a dated rate.")
    ] = None,
    enforce_eager: opt.Eager = False,
    own: Annotated[bool, typer.Option("--own", help="Price owned hardware instead of rent.")] = False,
    price: opt.Price = None,
    top: Annotated[int, typer.Option("--top", min=1, help="Plans to show.")] = 10,
    write_study: Annotated[Path | None, typer.Option("--write-study", help="Write the study behind the flags.")] = None,
    simulation: Annotated[
        bool, typer.Option("--simulation/--no-simulation", help="Serve the first plans in the simulator.")
    ] = True,
    calibration: opt.Calibration = None,
    catalog: opt.CatalogDir = None,
    as_json: opt.Json = False,
) -> None:
    """How many of what, laid out how, at what cost, and why not the others."""
    from sizing.hardware import load_catalog
    from sizing.planning.planner import plan as run
    from sizing.planning.relax import relaxations
    from sizing.study import load_study

    found = load_catalog(catalog)
    if study.lower().endswith((".yaml", ".yml")) or _is_study(study):
        given = load_study(study)
    else:
        given = _study_of_flags(
            study, input_tokens, output_tokens, {"rate": rate, "users": users, "concurrency": concurrency, "batch": batch},
            think, workload, on, ttft_p95, tpot_p95, headroom, spare, prefix_hit, engine, weights, kv_dtype, context,
            max_nodes, min_bits, own, opt.prices(price, found), found,
        )  # fmt: skip
    if currency is not None:
        given = _in(given, currency)
    if enforce_eager:
        given = given.model_copy(update={"engine": given.engine.model_copy(update={"enforce_eager": True})})
    if write_study is not None:
        write_text(write_study, given.to_yaml())
        message(f"wrote {write_study}")
    answer = run(given, found, simulate=simulation, **opt.calibrated(calibration))
    ways = () if answer.plans else relaxations(given, found, **opt.calibrated(calibration))
    if as_json:
        more = {} if answer.plans else {"relaxations": [item.to_dict() for item in ways]}
        print_json({**answer.to_dict(), **more, **best_in_full(answer, found)})
        return
    show_plan(answer, top)
    if ways:
        line("")
        line("What would work (one change each)")
        for item in ways:
            line(f"  {item.flags}: {' '.join(text for _, text in item.summary_lines())}")
    show_money(answer, found)


def _in(study: Any, currency: str) -> Any:
    """The study with this currency beside USD."""
    from sizing.study import parse_study

    data = study.model_dump(mode="json")
    if currency.upper() not in ("USD", "CNY", "EUR", "GBP"):
        raise SizingError(f"must be USD, CNY, EUR or GBP, not {currency!r}", key="--currency")
    return parse_study({**data, "money": {**data["money"], "currency": currency.upper()}}, "flags")


def _is_study(name: str) -> bool:
    """Whether a name is a pipe (``/dev/stdin``), or a JSON file that is a study (has a workload) and no config.json."""
    import json

    from sizing.model.config import MAX_FILE_BYTES

    try:
        path = Path(name)
        if path.exists() and not path.is_file() and not path.is_dir():
            return True
        data = json.loads(read_text(path, MAX_FILE_BYTES)) if path.suffix.lower() == ".json" else None
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(data, dict) and "workload" in data


def _study_of_flags(
    model: str, input_tokens: int | None, output_tokens: int | None, amounts: dict[str, float | int | None], think: float,
    workload: str | None, on: str | None, ttft_p95: float | None, tpot_p95: float | None, headroom: float, spare: int,
    prefix_hit: float | None, engine: str | None, weights: str | None, kv_dtype: str | None, context: int | None,
    max_nodes: int, min_bits: float | None, own: bool, prices: dict[str, float], catalog: Any,
) -> Any:  # fmt: skip
    """The Study behind the flags."""
    from sizing.study import parse_study
    from sizing.workload import preset

    for key, value in (("--input", input_tokens), ("--output", output_tokens)):
        if value is not None and not 1 <= value <= 100_000_000:
            raise SizingError(f"must be from 1 to 100,000,000 tokens, not {value}", key=key)
    if workload is None and (input_tokens is None or output_tokens is None):
        raise SizingError("is needed", key="--input, --output", hint="or name a preset with --workload chat")
    data: dict[str, Any] = preset(workload).model_dump() if workload else {"name": "from flags"}
    if input_tokens is not None:
        data["input"] = {"kind": "fixed", "value": input_tokens}
        data["joint"] = None
    if output_tokens is not None:
        data["output"] = {"kind": "fixed", "value": output_tokens}
        data["joint"] = None
    arrival = _arrival(amounts, think)
    if arrival is not None:
        data["arrival"] = arrival
    elif workload is None:
        hint = "requests per second at the peak, or --users, --concurrency, --batch"
        raise SizingError("is needed", key="--rate", hint=hint)
    if prefix_hit is not None:
        data["prefix_cache_hit_rate"] = prefix_hit
    targets = dict(data.get("targets") or {})
    targets.update({"headroom": headroom, "spare_replicas": spare})
    if ttft_p95 is not None:
        targets["ttft_p95_s"] = ttft_p95
    if tpot_p95 is not None:
        targets["tpot_p95_s"] = tpot_p95
    data["targets"] = targets
    offers = []
    for name in _split(on) or ["h100-sxm"]:
        accelerator, _ = catalog.resolve(name)
        offers.append({"accelerator": name, "usd_per_hour": prices.get(accelerator.id, prices.get(""))})
    return parse_study(
        {
            "model": {"name": model, "weights": _split(weights), "kv_dtype": _split(kv_dtype), "context": context},
            "workload": data,
            "hardware": offers,
            "engine": {"names": _split(engine)},
            "constraints": {"max_nodes": max_nodes, "min_weight_bits": min_bits},
            "money": {"mode": "own" if own else "rent"},
        },
        "flags",
    )


def _arrival(amounts: dict[str, float | int | None], think: float) -> dict[str, Any] | None:
    """How requests come, by the one flag of ``--rate``, ``--users``, ``--concurrency`` and ``--batch`` that is given."""
    given = {name: value for name, value in amounts.items() if value is not None}
    if len(given) > 1:
        flags = " and ".join(f"--{name}" for name in given)
        raise SizingError(f"give one of them, not {flags}", key=f"--{next(iter(given))}")
    if not given:
        return None
    (name, value), most = next(iter(given.items())), {"rate": 1e7, "batch": 1e12}
    if not (value > 0 if name == "rate" else value >= 1) or value > most.get(name, 1e7):
        least = "above 0" if name == "rate" else "at least 1"
        unit = " requests/s" if name == "rate" else ""
        bound = f"{most.get(name, 1e7):,.0f}{unit}"
        raise SizingError(f"must be {least} and at most {bound}, not {value}", key=f"--{name}")
    if name == "rate":
        return {"kind": "rate", "requests_per_s": value}
    if name == "users":
        return {"kind": "users", "users": value, "think_s": think}
    return {"kind": name, "requests" if name == "batch" else "concurrency": value}


def _split(text: str | None) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()] if text else []
