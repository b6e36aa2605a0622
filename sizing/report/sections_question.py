"""What was asked: the workload with its targets, and the model."""

from __future__ import annotations

from typing import cast

import numpy as np

from sizing.base.units import GIB, count
from sizing.model.counts import kv_bytes
from sizing.model.quantization.schemes import QuantScheme
from sizing.report.blocks import column, facts, table
from sizing.report.charts import CHARTED_KV, kv_chart
from sizing.report.context import Context
from sizing.report.model import Block, Cell, Section, Table, Text
from sizing.workload import BatchArrival, ConcurrencyArrival, RateArrival, UsersArrival
from sizing.workload.workload import ImageTokens

Row = tuple[Cell, ...]
TARGETS = ("ttft_p95", "ttft_p50", "tpot_p95", "tpot_p50", "e2e_p95")


def workload_section(ctx: Context) -> Section:
    """Requirements as understood, given or assumed, and the targets."""
    blocks: list[Block] = [facts(ctx.m, "requirements", _requirements(ctx), last="basis"), targets_table(ctx)]
    if ctx.study.workload.source:
        blocks.append(Text(text=ctx.m("req.source", source=ctx.m.phrase(ctx.study.workload.source)), tone="note"))
    return Section(id="workload", title=ctx.m("section.workload"), blocks=tuple(blocks))


def _requirements(ctx: Context) -> list[Row]:
    m, work, study = ctx.m, ctx.study.workload, ctx.study
    given, assumed = m("word.given"), m("word.assumed")
    basis = assumed if "ssum" in work.source else given
    inputs, outputs = ctx.lengths
    spread_in, spread_out = (int(_p95(values)) for values in work.length_grid(512, image_tokens=_images(ctx)))
    rows: list[Row] = [(m("req.model"), ctx.model_name, "", given)]
    if ctx.best is not None:
        said = given if study.model.context else basis
        rows.append((m("req.context"), ctx.demand(ctx.best).context, m("unit.tokens"), said))
    rows += [
        (m("req.input"), round(inputs, 1), m("unit.tokens"), basis),
        (m("req.input_spread"), spread_in, m("unit.tokens"), basis),
        (m("req.output"), round(outputs, 1), m("unit.tokens"), basis),
        (m("req.output_spread"), spread_out, m("unit.tokens"), basis),
        *_arrival(ctx),
        (m("req.prefix"), round(100 * work.prefix_cache_hit_rate, 4), "%", basis),
        (m("req.utilization"), round(100 * work.daily.utilization, 4), "%", basis),
        (m("req.headroom"), round(100 * work.targets.headroom, 4), "%", given),
        (m("req.spare"), work.targets.spare_replicas, "", given),
    ]
    if work.images is not None:
        rows.append((m("req.images"), work.images.per_request, f"{work.images.width} × {work.images.height} px", given))
    rows.append((m("req.money"), m(f"req.mode_{study.money.mode}"), "", given))
    offers = ", ".join(ctx.catalog.resolve(offer.accelerator)[0].name for offer in study.hardware)
    rows.append((m("req.offers"), offers, "", given))
    return rows


def _images(ctx: Context) -> ImageTokens | None:
    vision = ctx.arch.vision
    return vision.image_tokens if vision is not None else None


def _p95(values: object) -> float:
    return float(np.quantile(np.asarray(values, dtype=float), 0.95))


def _arrival(ctx: Context) -> list[Row]:
    m, arrival = ctx.m, ctx.study.workload.arrival
    given = m("word.given")
    if isinstance(arrival, UsersArrival):
        return [
            (m("req.arrival_users"), arrival.users, m("unit.users"), given),
            (m("req.arrival_think"), arrival.think_s, m("unit.s"), given),
        ]
    if isinstance(arrival, ConcurrencyArrival):
        return [(m("req.arrival_concurrency"), arrival.concurrency, m("unit.requests"), given)]
    if isinstance(arrival, BatchArrival):
        return [(m("req.arrival_batch"), arrival.requests, m("unit.requests"), given)]
    assert isinstance(arrival, RateArrival)
    peak = ctx.study.workload.peak_requests_per_s
    return [
        (m("req.arrival_rate"), peak, m("unit.requests_s"), given),
        (m("req.burstiness"), arrival.burstiness, "", given),
    ]


def targets_table(ctx: Context) -> Table:
    """Each target, what the best plan reaches, and the margin."""
    m, targets, best = ctx.m, ctx.study.workload.targets, ctx.best
    reached: dict[str, float] = {}
    if best is not None:
        longest = best.ttft_p95_s + best.tpot_p95_s * max(ctx.lengths[1] - 1, 0)
        reached = {
            "ttft_p95": best.ttft_p95_s,
            "ttft_p50": best.ttft_s.p50,
            "tpot_p95": best.tpot_p95_s,
            "tpot_p50": best.tpot_s.p50,
            "e2e_p95": longest,
        }
    rows: list[Row] = []
    for name in TARGETS:
        bound = getattr(targets, f"{name}_s")
        if bound is None:
            continue
        value = reached.get(name)
        rows.append((m(f"target.{name}"), bound, value, None if value is None else 1 - value / bound))
    columns = [
        column(m, "item"),
        column(m, "target", "number", "s"),
        column(m, "value", "number", "s"),
        column(m, "margin", "percent", "percent"),
    ]
    return table(m, "targets", columns, rows, note=m("target.note") if rows else m("target.none"))


def model_section(ctx: Context) -> Section:
    """Counts, contexts, components, and how the cache grows."""
    m, arch, document = ctx.m, ctx.arch, ctx.result.model
    kind = m("model.kind_moe") if arch.is_moe else m("model.kind_dense")
    if arch.is_mla:
        kind += f", {m('model.mla')}"
    own = arch.native_quantization
    native = own.name if isinstance(own, QuantScheme) else arch.quantization_problem or arch.torch_dtype
    rows: list[Row] = [(m("model.kind"), kind, "", arch.model_type)]
    for key in ("total", "active", "active_without_input_embedding", "active_without_embeddings", "mtp"):
        value = cast(int, document[key])
        rows.append((m(f"model.{key}"), value, "", count(value) if value else ""))
    rows += [
        (m("model.layers"), arch.num_layers, "", ", ".join(f"{g.count} × {g.name}" for g in arch.groups)),
        (m("model.hidden"), arch.hidden_size, "", ""),
        (m("model.vocabulary"), arch.vocab_size, m("unit.tokens"), ""),
        (m("model.native_context"), arch.native_context, m("unit.tokens"), ""),
        (m("model.extended_context"), arch.extended_context, m("unit.tokens"), ""),
        (m("model.native_format"), native, "", ""),
    ]
    blocks: list[Block] = []
    if arch.hypothetical:
        blocks.append(Text(text=m("model.hypothetical"), tone="warning"))
    blocks += [facts(m, "model", rows), _components(ctx), kv_chart(ctx), _kv_table(ctx)]
    blocks += [Text(text=m.phrase(note), tone="note") for note in arch.notes]
    return Section(id="model", title=m("section.model"), blocks=tuple(blocks))


def _components(ctx: Context) -> Table:
    m = ctx.m
    parts = cast(dict[str, int], ctx.result.model["components"])
    total = max(sum(parts.values()), 1)
    rows = [(m.word("component", name), value, value / total) for name, value in parts.items() if value]
    columns = [column(m, "item"), column(m, "parameters", "number"), column(m, "share", "percent", "percent")]
    return table(m, "components", columns, rows)


def _kv_table(ctx: Context) -> Table:
    m, arch = ctx.m, ctx.arch
    names = list(dict.fromkeys([ctx.best.kv_dtype if ctx.best else "bf16", *CHARTED_KV]))
    lengths = [n for n in (1024, 4096, 8192, 16384, 32768, 65536, 131072) if n <= max(131072, arch.extended_context)]
    rows = []
    for tokens in lengths:
        sizes = [float(kv_bytes(arch, float(tokens), name)) / GIB for name in names]
        rows.append((tokens, *sizes))
    columns = [column(m, "context", "number", "tokens")]
    columns += [column(m, "per_sequence", "number", "gib", title=f"{m('col.per_sequence')}, {n}") for n in names]
    # Column keys must differ: one a format.
    columns = [columns[0], *(c.model_copy(update={"key": f"gib_{n}"}) for c, n in zip(columns[1:], names, strict=True))]
    return table(m, "kv", columns, rows)
