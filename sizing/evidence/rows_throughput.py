"""Rows of published throughput figures as typed, normalised records, each with the kind of run that it was.

A row that cannot be predicted says why in ``problems``; reading never fails for what is in a cell.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from sizing.evidence.fields import engine_name, number, read_table, token_count, whole
from sizing.evidence.throughput_notes import Hints, read_notes
from sizing.evidence.throughput_tables import (
    BEAMS,
    METRICS,
    MLPERF,
    SHAREGPT,
    accelerator_name,
    repair_shifted,
)
from sizing.evidence.weight_labels import Weights, from_dtype

KINDS = ("offline", "closed", "static", "single", "open", "memory", "unsupported")
_UNLIMITED = 1000.0  # requests/s: above it all requests arrive at once for any server here


@dataclass(frozen=True, slots=True)
class ThroughputRow:
    """One published figure.

    kind: "offline" (all requests at once), "closed" (``concurrency`` requests in flight), "static" (one batch
    prefilled, then decoded together), "single" (one request at a time), "open" (Poisson arrivals at ``rate``,
    or as many as the limits ``hints.slo_*`` allow), "memory", "unsupported".

    accelerators is the whole instance (dies, where ``per_die``). tp, dp: attention tensor and data parallel
    sizes, pp: stages, ep: expert parallel size; placement_stated is False where the source only gives the
    accelerators (tp is then None). concurrency: in flight on the whole instance. value: as printed, in the
    unit of ``metric``; quantity, factor, scope, median say what it is: ``value * factor`` is in SI units of
    the ``scope``. metric is the repaired one, printed_metric what the row says. speed_formula: "total" is
    (input + output) / time and "output" is output / time, both prefill included, for one request. weight_label and
    remarks are the cells weight_dtype and notes as printed.
    """

    id: str
    source: str
    kind: str
    engine: str | None
    engine_version: str | None
    model: str
    weights: Weights
    kv_dtype: str | None
    accelerator: str
    accelerators: int | None
    tp: int | None
    pp: int
    dp: int
    ep: int
    placement_stated: bool
    per_die: bool
    input_tokens: float | None
    output_tokens: float | None
    lengths_assumed: str
    concurrency: float | None
    rate: float | None
    metric: str
    printed_metric: str
    quantity: str | None
    factor: float
    scope: str
    median: bool
    value: float | None
    speed_formula: str | None
    hints: Hints
    notes: tuple[str, ...] = ()
    weight_label: str = ""
    remarks: str = ""
    problems: tuple[str, ...] = ()

    @property
    def predictable(self) -> bool:
        """Whether the row says all that a prediction needs."""
        return not self.problems and self.kind != "unsupported"

    @property
    def value_si(self) -> float | None:
        """The figure in tokens/s, requests/s, seconds or bytes, of ``scope``."""
        return None if self.value is None else self.value * self.factor


@dataclass(frozen=True, slots=True)
class _Placement:
    accelerators: int | None
    tp: int | None
    pp: int
    dp: int
    ep: int
    stated: bool


def _placement(cells: Mapping[str, str], hints: Hints, engine: str | None) -> _Placement:
    """Attention and expert parallel sizes over the accelerators of the instance.

    SGLang's tp counts the ranks that data-parallel attention shares out (attention tp = tp / dp); vLLM's does
    not; a DEPn label (and TensorRT-LLM's attention-DP) is n attention ranks.
    """

    def option(name: str) -> int | None:
        return whole(hints.option(name))

    count = whole(cells.get("n_accelerators", ""))
    printed = whole(cells.get("tp", ""))
    stated_dp = whole(cells.get("dp", "")) or option("dp")
    tp = printed or option("tp")
    pp = whole(cells.get("pp", "")) or option("pp") or 1
    dp = stated_dp or option("dep") or 1
    if count is None and tp is not None:
        count = tp * pp * (1 if engine == "sglang" else dp)
    if tp is None and dp > 1 and count and count % (pp * dp) == 0:
        tp = count // (pp * dp)
    elif engine == "sglang" and tp and dp > 1 and tp % dp == 0 and count == tp * pp:
        tp //= dp
    elif engine == "tensorrt-llm" and hints.attention_dp and tp and tp > 1 and dp == 1:
        tp, dp = 1, tp
    if tp is None and count == 1:
        tp = 1
    ranks = (tp or 1) * dp
    label = cells.get("ep", "").lower()
    ep = ranks if label == "on" or (not label and hints.expert_parallel) else whole(label) or option("ep") or 1
    return _Placement(count or None, tp, pp, dp, ep, tp is not None)


def _lengths(cells: Mapping[str, str], notes: str) -> tuple[float | None, float | None, str, list[str]]:
    """``(input, output, what is assumed, problems)``."""
    given, wanted = cells.get("input_tokens", ""), cells.get("output_tokens", "")
    if "multimodal" in given:
        return None, None, "", ["the prompts hold images"]
    if re.search(r"; dataset image;", notes):
        return token_count(given), token_count(wanted), "", ["the prompts hold images"]
    bench = re.search(r"MLPerf .*?benchmark (\S+)", notes)
    if bench:
        name = re.sub(r"-(?:99(?:\.9)?|interactive)$", "", bench.group(1).removesuffix("-interactive"))
        if name in BEAMS:
            return None, None, "", [f"the benchmark searches with {BEAMS[name]} beams"]
        known = MLPERF.get(name)
        if known:
            return known.input_tokens, known.output_tokens, known.assumed, []
    if given == wanted == "ShareGPT":
        return SHAREGPT.input_tokens, SHAREGPT.output_tokens, SHAREGPT.assumed, []
    first, second = token_count(given), token_count(wanted)
    problems = []
    if first is None and cells.get("metric") not in {"tpot_ms"}:
        problems.append(
            "the input length is not stated" if not given else f"the input length {given[:40]!r} is not known"
        )
    if second is None and cells.get("metric", "").split("_")[0] not in {"ttft", "input", "prefill"}:
        problems.append("the output length is not stated")
    return first, second, "", problems


def _kind(
    mode: str, quantity: str | None, value: float | None, row: tuple[float | None, float | None], hints: Hints
) -> str:
    """The kind of run; ``row`` is ``(concurrency, rate)``."""
    concurrency, rate = row
    if quantity is None or (value is not None and not math.isfinite(value)):
        return "unsupported"
    if quantity == "memory_bytes":
        return "memory"
    if mode == "single-stream" or hints.requests == 1:
        return "single"
    if hints.static:
        return "static"
    if mode == "fixed-concurrency":
        return "single" if concurrency == 1 else "closed" if concurrency else "unsupported"
    if mode == "offline-max-throughput":
        return "offline"
    if mode == "server-slo":
        return "offline" if rate is not None and rate >= _UNLIMITED else "open"
    return "unsupported"


def _formula(notes: str, row_id: str) -> str | None:
    if "speed=(prompt+generated" in notes:
        return "total"
    return "output" if "speed formula not stated" in notes or row_id.startswith(("qwen25-", "qwen2-")) else None


def _division(notes: str) -> str | None:
    return "MLPerf's open division: the model may differ" if re.match(r"MLPerf v[\d.]+ open\b", notes) else None


def _problems(row: ThroughputRow, engine: str, mode: str, blank: bool) -> list[str]:
    """Why a row cannot be predicted (beyond its lengths, weights and accelerator)."""
    found = []
    if row.engine is None:
        found.append(f"the engine {engine[:30]!r} is not modelled" if engine else "the engine is not stated")
    if not row.model:
        found.append("the model is not stated")
    if not row.accelerators:
        found.append("the number of accelerators is not stated")
    if row.quantity is None:
        found.append(f"the metric {row.metric[:40]!r} is not one that is predicted")
    elif row.value is None and not blank:
        found.append("the value is no number")
    if mode == "fixed-concurrency" and row.concurrency is None and row.kind != "memory":
        found.append("the concurrency is not stated")
    if row.kind == "open" and row.rate is None and row.hints.slo_ttft_s is None:
        found.append("neither the request rate nor latency limits are stated")
    if mode not in {"fixed-concurrency", "offline-max-throughput", "server-slo", "single-stream"}:
        found.append(f"the mode {mode[:40]!r} is not known")
    if row.hints.disaggregated:
        found.append("prefill and decode run apart; their placements are not stated")
    if row.hints.suspect:
        found.append("the source's own table marks it as suspect")
    return found


def parse_throughput_row(cells: Mapping[str, str], line: int = 0, *, repair: bool = True) -> ThroughputRow:
    """One row of the table as a record; ``repair=False`` leaves shifted cells as printed. Never raises for a
    cell.
    """
    printed = cells.get("metric", "")
    row_id, rate, repaired = cells.get("id", "") or f"line{line}", None, None
    fixed: Mapping[str, str] = cells
    if repair:
        fixed, rate, repaired = repair_shifted(cells)
    notes, mode = fixed.get("notes", ""), fixed.get("mode", "").lower()
    model, concurrency = fixed.get("model", ""), number(fixed.get("concurrency_or_batch", ""))
    concurrency = concurrency if concurrency and 0 < concurrency < 1e9 else None
    hints = read_notes(notes, model, concurrency)
    if rate is None:
        rate = hints.rate
    metric = METRICS.get(fixed.get("metric", ""))
    raw = fixed.get("value", "")
    value = number(raw)
    engine = fixed.get("engine", "")
    place = _placement(fixed, hints, engine_name(engine))
    weights, complaint = from_dtype(fixed.get("weight_dtype", ""))
    accelerator, unknown = accelerator_name(fixed.get("accelerator", ""))
    first, second, assumed, trouble = _lengths(fixed, notes)
    quantity = metric.quantity if metric else None
    kv = fixed.get("kv_dtype", "").split(" ")[0] or hints.kv_dtype
    if "int8 kv" in fixed.get("weight_dtype", ""):
        kv = kv or "int8"
    made = ThroughputRow(
        id=row_id,
        source=re.sub(r"-?\d+$", "", row_id),
        kind=_kind(mode, quantity, value, (concurrency, rate), hints),
        engine=engine_name(engine),
        engine_version=fixed.get("engine_version", "") or None,
        model=model,
        weights=weights,
        kv_dtype=kv or None,
        accelerator=accelerator,
        accelerators=place.accelerators,
        tp=place.tp,
        pp=place.pp,
        dp=place.dp,
        ep=place.ep,
        placement_stated=place.stated,
        per_die="910c" in accelerator and not hints.per_package,
        input_tokens=first,
        output_tokens=second,
        lengths_assumed=assumed,
        concurrency=concurrency,
        rate=rate,
        metric=fixed.get("metric", ""),
        printed_metric=printed,
        quantity=quantity,
        factor=metric.factor if metric else 1.0,
        scope=metric.scope if metric else "server",
        median=(metric.median if metric else False) or (hints.median and quantity in {"ttft_s", "tpot_s"}),
        value=value if value is not None and math.isfinite(value) else None,
        speed_formula=_formula(notes, row_id),
        hints=hints,
        notes=tuple(text for text in (repaired, _division(notes)) if text),
        weight_label=fixed.get("weight_dtype", ""),
        remarks=notes,
    )
    if made.engine == "llama.cpp":  # its labels are mixes of GGUF types, and its tables count prompts and decode apart
        complaint, trouble = None, []
    labels = [text for text in (complaint, unknown) if text]
    memory = made.kind == "memory"
    problems = [*_problems(made, engine, mode, not raw.strip()), *labels, *([] if memory else trouble)]
    return replace(made, problems=tuple(dict.fromkeys(problems)))


def read_throughput_rows(path: str | Path, *, repair: bool = True) -> list[ThroughputRow]:
    """Every row of a throughput table (CSV or CSV.gz), in the order of the file.

    Needs the columns id, engine, model, accelerator, mode, metric; all others may be absent, unknown ones are
    ignored. Raises SizingError when the file is no such table.
    """
    needed = ("id", "engine", "model", "accelerator", "mode", "metric")
    table = read_table(Path(path), needed)
    return [parse_throughput_row(cells, line, repair=repair) for line, cells in table]
