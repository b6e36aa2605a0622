"""A plan in a terminal: the sentence, the table, the money, and why not the others."""

from __future__ import annotations

from typing import Any

from sizing.base.units import digits, seconds, usd
from sizing.cli.output import assumptions_lines, line, table


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
    assumptions_lines(list(answer.assumptions))
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


def show_money(answer: Any, catalog: Any) -> None:
    """What stands in the racks, and from which volume the plan is cheaper than an API."""
    if answer.best is None:
        return
    full = best_in_full(answer, catalog)
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


def best_in_full(answer: Any, catalog: Any) -> dict[str, Any]:
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
