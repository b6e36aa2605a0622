"""The data of the four charts: memory, cache growth, throughput against interactivity, cost against utilisation."""

from __future__ import annotations

import numpy as np

from sizing.base.arrays import as_float
from sizing.base.units import GIB
from sizing.charts.data import Chart, Mark, Series
from sizing.model.counts import kv_bytes
from sizing.money.tokens import MILLION, token_cost
from sizing.planning.breakeven import BreakEven
from sizing.report.context import Context, possible_factors

PARTS = ("weights", "activation", "runtime", "graphs", "kv_pool")
CHARTED_KV = ("bf16", "fp8")
LONGEST_SHOWN = 131_072
API_LINES = 3


def memory_chart(ctx: Context) -> Chart | None:
    """What fills one accelerator, plan by plan."""
    plans = ctx.shown
    if not plans:
        return None
    series = [
        Series(
            key=part, name=ctx.m(f"part.{part}"), y=tuple(max(plan.memory_gib.get(part, 0.0), 0.0) for plan in plans)
        )
        for part in PARTS
    ]
    unused = tuple(
        max(plan.memory_gib["usable"] - sum(max(plan.memory_gib.get(part, 0.0), 0.0) for part in PARTS), 0.0)
        for plan in plans
    )
    series.append(Series(key="unused", name=ctx.m("part.unused"), y=unused))
    return Chart(
        id="memory",
        title=ctx.m("chart.memory"),
        description=ctx.m("chart.memory.desc"),
        kind="stack",
        y_label=ctx.m("axis.gib"),
        categories=tuple(ctx.plan_name(plan) for plan in plans),
        series=tuple(series),
    )


def kv_chart(ctx: Context) -> Chart:
    """The cache of one sequence up to 128K tokens (or the model's own context, where longer)."""
    longest = max(LONGEST_SHOWN, ctx.arch.extended_context)
    tokens = np.unique(np.concatenate([[0.0], np.linspace(0, longest, 33), [float(ctx.arch.native_context)]]))
    tokens = tokens[tokens <= longest]
    names = list(dict.fromkeys([ctx.best.kv_dtype if ctx.best else "bf16", *CHARTED_KV]))
    series = []
    for name in names:
        size = as_float(kv_bytes(ctx.arch, tokens, name)) / GIB
        series.append(Series(key=name, name=name, x=_plain(tokens), y=_plain(size)))
    marks = []
    if ctx.best is not None:
        marks.append(Mark(axis="x", value=float(ctx.demand(ctx.best).context), label=ctx.m("mark.context")))
    native = ctx.arch.native_context
    if native and native < longest:
        marks.append(Mark(axis="x", value=float(native), label=ctx.m("mark.native")))
    return Chart(
        id="kv",
        title=ctx.m("chart.kv"),
        description=ctx.m("chart.kv.desc"),
        kind="lines",
        x_label=ctx.m("axis.tokens"),
        y_label=ctx.m("axis.cache"),
        series=tuple(series),
        marks=tuple(marks),
    )


def speed_chart(ctx: Context) -> Chart | None:
    """Output per accelerator over the speed of one user, as the load of a replica rises."""
    series: list[Series] = []
    for number, plan in enumerate(ctx.shown):
        curve = ctx.curve(plan)
        chips = max(plan.accelerators / max(plan.replicas, 1), 1.0)
        if curve is None:
            continue
        held = curve.concurrency <= plan.max_concurrency_per_replica * 1.0001
        held[0] = True
        user = 1.0 / curve.tpot_s[held]
        made = curve.requests_per_s[held] * ctx.lengths[1] / chips
        low, high = possible_factors(plan)
        series.append(
            Series(
                key=f"plan{number}",
                name=ctx.plan_name(plan),
                x=_plain(user),
                y=_plain(made),
                low=_plain(made * low) if number == 0 else (),
                high=_plain(made * high) if number == 0 else (),
            )
        )
    best = ctx.best
    if best is None:
        return None
    working = max(best.replicas - best.spare_replicas, 1)
    chips = best.accelerators * working / max(best.replicas, 1)
    series.append(
        Series(
            key="planned",
            name=ctx.m("mark.planned"),
            x=(1.0 / best.tpot_s.p50,),
            y=(best.output_tokens_per_s.p50 / max(chips, 1.0),),
            style="points",
        )
    )
    bound = ctx.study.workload.targets.tpot_p50_s or ctx.study.workload.targets.tpot_p95_s
    return Chart(
        id="speed",
        title=ctx.m("chart.speed"),
        description=ctx.m("chart.speed.desc"),
        kind="lines",
        x_label=ctx.m("axis.interactivity"),
        y_label=ctx.m("axis.per_accelerator"),
        series=tuple(series),
        marks=(Mark(axis="x", value=1.0 / bound, label=ctx.m("mark.target")),) if bound else (),
    )


def cost_chart(ctx: Context) -> Chart | None:
    """The cost of a million tokens over the share of the capacity that is used."""
    shares = np.array([0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    inputs, outputs = ctx.lengths
    series: list[Series] = []
    for number, plan in enumerate(ctx.shown):
        if plan.usd_per_hour is None or not plan.cost:
            continue
        working = max(plan.replicas - plan.spare_replicas, 1)
        rate = plan.max_rate_per_replica * working * shares
        hit = ctx.study.workload.prefix_cache_hit_rate
        cost = as_float(
            token_cost(plan.usd_per_hour, rate, inputs, outputs, plan.prefill_share, hit).usd_per_million_tokens
        )
        middle = plan.cost["usd_per_million_tokens"]
        first = number == 0 and middle.p50 > 0
        series.append(
            Series(
                key=f"plan{number}",
                name=ctx.plan_name(plan),
                x=_plain(shares * 100),
                y=_plain(cost),
                low=_plain(cost * middle.p10 / middle.p50) if first else (),
                high=_plain(cost * middle.p90 / middle.p50) if first else (),
            )
        )
    if not series:
        return None
    for item in _relevant(ctx):
        level = item.api_usd_per_request / max(inputs + outputs, 1.0) * MILLION
        ends = (float(shares[0] * 100), 100.0)
        series.append(Series(key=f"api:{item.api}", name=item.api, x=ends, y=(level, level), style="dashed"))
    best = ctx.best
    marks: tuple[Mark, ...] = ()
    if best is not None:
        used = min(best.utilization, 1.0) * ctx.study.workload.daily.utilization * 100
        marks = (Mark(axis="x", value=used, label=ctx.m("mark.planned")),)
    return Chart(
        id="cost",
        title=ctx.m("chart.cost"),
        description=ctx.m("chart.cost.desc"),
        kind="lines",
        x_label=ctx.m("axis.utilization"),
        y_label=ctx.m("axis.usd_tokens"),
        y_log=True,
        series=tuple(series),
        marks=marks,
    )


def _relevant(ctx: Context) -> list[BreakEven]:
    """Few price lists to draw: the study's own, else those that carry the model's family name, else the first ones."""
    found = [item for item in ctx.break_even if item.api_usd_per_request > 0]
    if not ctx.study.money.api:
        family = ctx.arch.name.rsplit("/", 1)[-1].split("-")[0].lower()
        found.sort(key=lambda item: not item.api.lower().startswith(family))
    return found[:API_LINES]


def _plain(values: object) -> tuple[float, ...]:
    return tuple(float(f"{value:.6g}") for value in as_float(values).ravel())
