"""Commands that answer: memory, estimate, plan."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sizing.base.errors import SizingError
from sizing.base.files import read_text, write_text
from sizing.base.units import digits, gib, seconds, usd, whole_or_digits
from sizing.cli import options as opt
from sizing.cli.output import line, message, print_json, table

Lengths = Annotated[int | None, typer.Option("--input", help="Mean input tokens of a request.")]
Outputs = Annotated[int | None, typer.Option("--output", help="Mean output tokens of a request.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("memory")(memory)
    app.command("estimate")(estimate)
    app.command("plan")(plan)


def memory(
    model: Annotated[str, typer.Argument(help="Model name, path or Hub id.")],
    on: opt.On,
    tp: Annotated[int | None, typer.Option("--tp", help="Tensor parallel size; else the least that fits.")] = None,
    pp: opt.Pp = 1,
    dp: opt.Dp = 1,
    ep: opt.Ep = 1,
    engine: opt.EngineName = None,
    engine_version: opt.EngineVersion = None,
    weights: opt.Weights = None,
    kv_dtype: opt.KvDtype = None,
    context: opt.Context = None,
    max_num_seqs: opt.MaxSeqs = None,
    max_num_batched_tokens: opt.MaxTokens = None,
    memory_utilization: opt.Utilization = None,
    draft_tokens: Annotated[
        int, typer.Option("--speculative-tokens", "--draft-tokens", help="Speculative tokens per step.")
    ] = 0,
    log: Annotated[
        Path | None,
        typer.Option("--log", help="An engine's start-up log to compare with; flags not given are its own."),
    ] = None,
    enforce_eager: opt.Eager = False,
    catalog: opt.CatalogDir = None,
    as_json: opt.Json = False,
) -> None:
    """The memory of one accelerator, line by line: what is left for the cache, and for how many requests."""
    from sizing.evidence.startup_log import compare_with, read_startup_log
    from sizing.hardware import load_catalog
    from sizing.memory.ledger import memory_ledger
    from sizing.model.counts import stored_report
    from sizing.planning.estimate import check_context, check_drafts
    from sizing.planning.hints import Asked, hints, tried_sizes
    from sizing.planning.target import check_alone, resolve_target

    read = read_startup_log(log) if log is not None else None
    if read is not None:
        tp = int(read.flags.get("tp", 1)) if tp is None else tp
        engine, engine_version = engine or read.engine, engine_version or read.version
        stated: dict[str, Any] = read.flags
        context = context or stated.get("context")
        max_num_seqs = max_num_seqs or stated.get("max_num_seqs")
        max_num_batched_tokens = max_num_batched_tokens or stated.get("max_num_batched_tokens")
        memory_utilization = memory_utilization or stated.get("utilization")
    place = opt.placement(1 if tp is None else tp, pp, dp, ep)
    check_drafts(draft_tokens)
    target = resolve_target(
        model,
        on,
        engine=engine,
        engine_version=engine_version,
        weights=weights,
        kv_dtype=kv_dtype,
        catalog=load_catalog(catalog),
        enforce_eager=enforce_eager,
    )
    check_alone(target.accelerator, place)
    said = check_context(target.arch, context, "--context") if context else []
    flags: dict[str, Any] = {
        "context": context,
        "max_num_seqs": max_num_seqs,
        "max_num_batched_tokens": max_num_batched_tokens,
        "memory_utilization": memory_utilization,
        "speculative_tokens": draft_tokens,
        "enforce_eager": enforce_eager,
    }
    if tp is None:
        place, tried = tried_sizes(target, place, flags)
        said += tried
    ledger = memory_ledger(target.arch, target.device, place, target.engine, target.scheme, kv_dtype=target.kv, **flags)
    helps = [] if ledger.fits else hints(Asked(target, place, flags))
    document: dict[str, Any] = {
        "model": target.arch.name,
        "hypothetical": target.arch.hypothetical,
        "accelerator": target.accelerator.id,
        "engine": target.engine.name,
        "engine_version": target.engine.version_text,
        "weights": target.scheme.name,
        "kv_dtype": target.kv.name,
        "placement": {"tp": int(place.tp), "pp": pp, "dp": dp, "ep": ep},
        **ledger.to_dict(),
        "hints": helps,
        **stored_report(target.arch),
    }
    beside = compare_with(read, ledger) if read is not None else []
    if read is not None:
        document["log"] = {
            "engine": read.engine,
            "engine_version": read.version,
            "flags": read.flags,
            "lines": [item.to_dict() for item in beside],
        }
    document["assumptions"] = list(dict.fromkeys([*target.assumptions, *said, *document["assumptions"]]))
    if as_json:
        print_json(document)
        return
    line(
        f"{target.arch.name} in {target.scheme.name} on {int(place.accelerators)} x {target.accelerator.name} "
        f"({place.describe()}), {target.engine.name} {target.engine.version_text}"
    )
    if beside:
        table(
            f"{log} beside the ledger, largest difference first",
            ("", "log", "ledger", "difference"),
            [(item.name, digits(item.logged), digits(item.predicted), f"{item.difference:+.1%}") for item in beside],
            right=(1, 2, 3),
        )
    table(
        "",
        ("per accelerator", "value", "how"),
        [(item.name, _value(item.value, item.unit), item.formula) for item in ledger.lines],
        right=(1,),
    )
    verdict = "fits" if ledger.fits else "DOES NOT FIT"
    line(
        f"{verdict}: {ledger.kv_pool_tokens:,} cache tokens, "
        f"{digits(ledger.max_concurrency)} requests of {ledger.load.context:,} tokens at once per data-parallel rank"
    )
    if ledger.shortage:
        line(ledger.shortage)
    for item in helps:
        line(f"would fit with {item}")
    _assumptions(document["assumptions"])


def _value(value: float, unit: str) -> str:
    if unit == "bytes":
        return gib(value)
    return f"{digits(value)} {unit}"


def _assumptions(items: list[str]) -> None:
    if items:
        line("")
        line("Assumptions")
        for item in items:
            line(f"  - {item}")


def estimate(
    model: Annotated[str, typer.Argument(help="Model name, path or Hub id.")],
    on: opt.On,
    input_tokens: Annotated[float, typer.Option("--input", help="Mean input tokens of a request.")],
    output_tokens: Annotated[float, typer.Option("--output", help="Mean output tokens of a request.")],
    tp: opt.Tp = 1,
    pp: opt.Pp = 1,
    dp: opt.Dp = 1,
    ep: opt.Ep = 1,
    concurrency: Annotated[float | None, typer.Option("--concurrency", help="Requests held by the replica.")] = None,
    rate: Annotated[float | None, typer.Option("--rate", help="Requests per second that it must carry.")] = None,
    maximum: Annotated[bool, typer.Option("--max", help="The most that the cache holds (the default).")] = False,
    engine: opt.EngineName = None,
    engine_version: opt.EngineVersion = None,
    weights: opt.Weights = None,
    kv_dtype: opt.KvDtype = None,
    context: opt.Context = None,
    max_num_seqs: opt.MaxSeqs = None,
    max_num_batched_tokens: opt.MaxTokens = None,
    memory_utilization: opt.Utilization = None,
    prefix_hit: Annotated[
        float, typer.Option("--prefix-cache-hit-rate", "--prefix-hit", help="Share of the input found in the cache.")
    ] = 0.0,
    draft_tokens: Annotated[
        int, typer.Option("--speculative-tokens", "--draft-tokens", help="Speculative tokens per step.")
    ] = 0,
    acceptance_rate: Annotated[
        float | None, typer.Option("--acceptance-rate", help="Share of drafted tokens that are accepted, 0 to 1.")
    ] = None,
    acceptance: Annotated[
        float | None,
        typer.Option("--acceptance-length", "--acceptance", help="Tokens gained per step with speculation."),
    ] = None,
    enforce_eager: opt.Eager = False,
    price: opt.Price = None,
    calibration: opt.Calibration = None,
    catalog: opt.CatalogDir = None,
    as_json: opt.Json = False,
) -> None:
    """One replica under a load: throughput, latency, cost, the bottleneck, and how sure."""
    from sizing.hardware import load_catalog
    from sizing.planning.estimate import check_drafts
    from sizing.planning.estimate import estimate as run

    if sum((concurrency is not None, rate is not None, maximum)) > 1:
        raise SizingError("give one of --concurrency, --rate and --max", key="--max")
    found = load_catalog(catalog)
    given = opt.prices(price, found)
    accelerator, _ = found.resolve(on)
    check_drafts(draft_tokens)
    answer = run(
        model,
        on,
        opt.placement(tp, pp, dp, ep),
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        concurrency=concurrency,
        rate=rate,
        engine=engine,
        engine_version=engine_version,
        weights=weights,
        kv_dtype=kv_dtype,
        context=context,
        max_num_seqs=max_num_seqs,
        max_num_batched_tokens=max_num_batched_tokens,
        memory_utilization=memory_utilization,
        prefix_cache_hit_rate=prefix_hit,
        acceptance_rate=acceptance_rate,
        acceptance_length=acceptance,
        speculative_tokens=draft_tokens,
        enforce_eager=enforce_eager,
        price=given.get(accelerator.id, given.get("")),
        catalog=found,
        **_calibrated(calibration),
    )
    document = answer.to_dict()
    if as_json:
        print_json(document)
        return
    line(
        f"{answer.target.arch.name} in {answer.target.scheme.name} on {int(answer.placement.accelerators)} x "
        f"{answer.target.accelerator.name} ({answer.placement.describe()}), "
        f"{whole_or_digits(answer.concurrency)} requests of {input_tokens:,.0f} in, {output_tokens:,.0f} out"
    )
    rows: list[tuple[str, ...]] = []
    for name, item in {**answer.throughput, **answer.latency}.items():
        if name == "tpot_s" and output_tokens <= 1:
            continue
        show = seconds if name.endswith("_s") and not name.endswith("per_s") else digits
        rows.append((name, show(item.p10), show(item.p50), show(item.p90)))
    for name, item in (answer.cost_intervals() or {}).items():
        rows.append((name, usd(item.p10), usd(item.p50), usd(item.p90)))
    table("", ("", "p10", "p50", "p90"), rows, right=(1, 2, 3))
    line(f"Bottleneck: {answer.bottleneck}")
    _assumptions(list(answer.assumptions))


def _calibrated(calibration: Path | None) -> dict[str, Any]:
    """The keyword for a calibration file, where one is given."""
    if calibration is None:
        return {}
    from sizing.coefficients.calibration import load_calibration

    return {"calibration": load_calibration(calibration)}


def plan(
    study: Annotated[str, typer.Argument(help="A study.yaml, or a model's name.")],
    input_tokens: Lengths = None,
    output_tokens: Outputs = None,
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
    answer = run(given, found, simulate=simulation, **_calibrated(calibration))
    ways = () if answer.plans else relaxations(given, found, **_calibrated(calibration))
    if as_json:
        more = {} if answer.plans else {"relaxations": [item.to_dict() for item in ways]}
        print_json({**answer.to_dict(), **more, **_best_in_full(answer, found)})
        return
    show_plan(answer, top)
    if ways:
        line("")
        line("What would work (one change each)")
        for item in ways:
            line(f"  {item.flags}: {' '.join(text for _, text in item.summary_lines())}")
    _show_money(answer, found)


def _in(study: Any, currency: str) -> Any:
    """The study with this currency beside USD."""
    from sizing.study import parse_study

    data = study.model_dump(mode="json")
    if currency.upper() not in ("USD", "CNY", "EUR", "GBP"):
        raise SizingError(f"must be USD, CNY, EUR or GBP, not {currency!r}", key="--currency")
    return parse_study({**data, "money": {**data["money"], "currency": currency.upper()}}, "flags")


def _best_in_full(answer: Any, catalog: Any) -> dict[str, Any]:
    """The bill of materials and the break-evens of the best plan, where there is one."""
    from sizing.planning.breakeven import break_even
    from sizing.planning.materials import bill_of_materials
    from sizing.planning.pricing import in_currency

    if answer.best is None:
        return {"materials": None, "break_even": [], "in_currency": None}
    return {
        "in_currency": in_currency(answer.best, answer.study.money.currency, catalog),
        "materials": bill_of_materials(answer.best, answer.study, catalog).to_dict(),
        "break_even": [item.to_dict() for item in break_even(answer.best, answer.study, catalog)],
    }


def _show_money(answer: Any, catalog: Any) -> None:
    """What stands in the racks, and from which volume the plan is cheaper than an API."""
    if answer.best is None:
        return
    full = _best_in_full(answer, catalog)
    line("")
    money = full["in_currency"]
    if money is not None:
        line(
            f"In {money['currency']} (1 = {money['usd']:g} USD, rate of {money['date']}): "
            f"{digits(money['per_hour'])} an hour, "
            f"{digits(money['per_month'])} a month, {digits(money['per_request'])} a request, "
            f"{digits(money['per_million_tokens'])} per million tokens."
        )
    table(
        "Bill of materials",
        ("what", "how many", "unit"),
        [(row["name"], _whole(row["quantity"]), row["unit"]) for row in full["materials"]["lines"]],
        right=(1,),
    )
    if full["break_even"]:
        line("")
        table(
            "Break-even against API list prices",
            ("API", "prices of", "requests a month", "why not"),
            [
                (
                    row["api"],
                    row["dated"],
                    "never" if row["requests_per_month"] is None else f"{row['requests_per_month']:,.0f}",
                    row["reason"] or "",
                )
                for row in full["break_even"]
            ],
            right=(2,),
        )


def _whole(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else digits(value)


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


def show_plan(answer: Any, top: int) -> None:
    """A plan for people: one sentence, the table, why not the others, the assumptions."""
    from sizing.planning.result import WORKS

    best = answer.best
    name = answer.model["model"] + (" (HYPOTHETICAL)" if answer.model["hypothetical"] else "")
    if best is None:
        line(f"No plan: nothing offered can serve {name} within the targets.")
    else:
        layout = " ".join(f"{axis.upper()}{size}" for axis, size in best.placement.items() if size > 1) or "TP1"
        money = f"{usd(best.usd_per_hour)}/hour ({usd(best.usd_per_month)}/month)" if best.usd_per_hour else "no price"
        line(
            f"{name}: {best.accelerators} x {best.accelerator_name} ({best.servers} "
            f"server{'s' if best.servers > 1 else ''}), {best.weights} weights, {best.replicas} x {layout} on "
            f"{best.engine} {best.engine_version}: {money}."
        )
        if best.cost:
            each, blend = best.cost["usd_per_request"], best.cost["usd_per_million_tokens"]
            line(
                f"{usd(each.p50)} a request, {usd(blend.p50)} per million tokens, input and output together "
                f"({usd(blend.p10)} to {usd(blend.p90)})."
            )
        if best.quality:
            line(f"Quality: {best.quality}")
        if best.bought is not None and best.bought.free:
            line(f"Bought: {best.bought.said()}")
        line(f"Bottleneck: {best.bottleneck}. What binds: {best.binding}.")
        if best.sensitivities:
            changes = ", ".join(f"{key} {value:+.1%}" for key, value in best.sensitivities.items())
            line(f"Cost per token would change with: {changes}.")
        line("")
        table(
            "",
            ("#", "accelerators", "weights", "kv", "layout", "replicas", "$/h", "$/request", "$/M tokens (p10–p90)",
             "TTFT p50", "TTFT p95", "TPOT p50", "load"),
            [_plan_row(number, item) for number, item in enumerate(answer.plans[:top], 1)],
            right=(0, 5, 6, 7, 8, 9, 10, 11, 12),
        )  # fmt: skip
        _money_lines(answer)
        _estimated_prices(answer.plans[:top])
        _old_prices(answer.plans[:top])
    if answer.rejected:
        line("")
        line("Why not the others")
        shown: dict[tuple[str, str], list[Any]] = {}
        for item in answer.rejected:
            key = (
                item.code,
                item.reason if item.code not in WORKS else item.candidate.split(" x ", 1)[-1].split(" ")[0],
            )
            shown.setdefault(key, []).append(item)
        for (code, _), items in list(shown.items())[:24]:
            total = sum(item.count for item in items)
            more = f" (and {total - 1} more)" if total > 1 else ""
            line(f"  {code}: {items[0].candidate}{more}: {items[0].reason}")
    line("")
    line(f"{answer.evaluated:,} configurations evaluated.")
    _assumptions(list(answer.assumptions))
    if best is not None and best.confidence:
        line("")
        line("How sure")
        for item in best.confidence:
            line(f"  - {item}")


def _money_lines(answer: Any) -> None:
    """Of the best plan: its split into input and output, its day scaled by the hour, carbon and water."""
    best = answer.best
    if best.cost:
        into, out = (best.cost[f"usd_per_million_{side}_tokens"].p50 for side in ("input", "output"))
        line(f"Working: split by the time that each takes, {usd(into)} per million input tokens, {usd(out)} output.")
    day = best.scaled_day(answer.study)
    if day is not None:
        line(
            f"Daily curve: {usd(day.usd_per_day_at_peak)} a day at the peak's {best.replicas} replicas; scaled by the hour "
            f"({min(day.replicas)} to {max(day.replicas)}) {usd(day.usd_per_day)}, {day.saved:.0%} less if hours are rented."
        )
    names = {"embodied_carbon_g_per_million_tokens": "g CO2e embodied", "water_l_per_million_tokens": "L of water"}
    spans = [f"{digits(v.value)} ({digits(v.low)}–{digits(v.high)}) {names[k]}" for k, v in best.footprint.items()]
    carbon = best.carbon_g_per_million_tokens
    if carbon is not None:
        spans.insert(0, f"{digits(carbon)} g CO2e of electricity")
    if spans:
        line(f"A million tokens: {', '.join(spans)}.")


def _estimated_prices(plans: Any) -> None:
    """One line that names the rents of the table that nobody quotes."""
    prices = {item.accelerator: item.price for item in plans if item.price is not None}
    found = [
        f"{name} ${price.usd:.2f} an accelerator-hour, {price.low:.2f} to {price.high:.2f}"
        for name, price in prices.items()
        if price.basis == "rent_estimated"
    ]
    if found:
        line(f"Estimated rents (no quote is known; ~ in the table): {'; '.join(found)}")


def _old_prices(plans: Any) -> None:
    """One line that names the prices of the table that are old."""
    from sizing.money.quotes import dated, is_stale

    prices = {item.accelerator: item.price for item in plans if item.price is not None}
    old = [f"{name} (quotes to {dated(price)})" for name, price in prices.items() if is_stale(price)]
    if old:
        line(f"Old prices: {', '.join(old)}")


def _hour(item: Any) -> str:
    """The plan's price of an hour; an estimated rent with a tilde."""
    if item.usd_per_hour is None:
        return "–"
    mark = "~" if item.price is not None and item.price.basis == "rent_estimated" else ""
    return mark + digits(item.usd_per_hour, 4)


def _plan_row(number: int, item: Any) -> tuple[str, ...]:
    out = item.cost.get("usd_per_million_tokens")
    each = item.cost.get("usd_per_request")
    layout = " ".join(f"{axis.upper()}{size}" for axis, size in item.placement.items() if size > 1) or "TP1"
    if item.mode == "disaggregated":
        layout = " + ".join(f"{p.instances}x{p.role}" for p in item.pools)
    if item.speculative_tokens:
        layout += f" +{item.speculative_tokens} draft"
    return (
        str(number),
        f"{item.accelerators} x {item.accelerator}",
        item.weights,
        item.kv_dtype,
        layout,
        str(item.replicas),
        _hour(item),
        digits(each.p50) if each else "–",
        f"{digits(out.p50)} ({digits(out.p10)}–{digits(out.p90)})" if out else "–",
        seconds(item.ttft_s.p50),
        seconds(item.ttft_p95_s),
        seconds(item.tpot_s.p50) if item.tpot_s.p50 else "–",
        f"{item.utilization:.0%}",
    )
