"""Throughput rows: reading, kinds, notes and the repair of shifted cells."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared_files import shared

from sizing.base.errors import SizingError
from sizing.evidence.fields import number, size, token_count, whole
from sizing.evidence.rows_throughput import KINDS, parse_throughput_row, read_throughput_rows
from sizing.evidence.throughput_notes import read_notes
from sizing.evidence.throughput_tables import accelerator_name

COLUMNS = (
    *(
        "id",
        "engine",
        "engine_version",
        "model",
        "weight_dtype",
        "kv_dtype",
        "accelerator",
        "n_accelerators",
        "tp",
    ),
    *(
        "pp",
        "ep",
        "dp",
        "input_tokens",
        "output_tokens",
        "concurrency_or_batch",
        "mode",
        "metric",
        "value",
        "notes",
    ),
)


def row(**changes: str):
    base = {
        "id": "some-0001",
        "engine": "vllm",
        "model": "example/model",
        "weight_dtype": "fp8",
        "accelerator": "h100-sxm-80gb",
        "n_accelerators": "8",
        "tp": "8",
        "input_tokens": "1000",
        "output_tokens": "500",
        "mode": "offline-max-throughput",
        "metric": "output_tok_s_total",
        "value": "14.8k",
    }
    repair = changes.pop("repair", "yes") == "yes"
    return parse_throughput_row(base | changes, repair=repair)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("14.8k", 14800.0),
        ("1,066", 1066.0),
        ("INF", math.inf),
        ("8.0", 8.0),
        ("", None),
        ("n/a", None),
        ("NaN", None),
        ("1e400", None),
        ("9" * 70, None),
        (True, None),
        (10**400, None),
    ],
)
def test_number(text, value):
    assert number(text) == value


def test_token_counts_and_sizes():
    assert [token_count(x) for x in ("3.5k", "8K", "64k", "254k", "15K", "2k", "467", "x", "-3")] == [
        *(3500.0, 8192.0, 65536.0, 254000.0, 15000.0, 2000.0, 467.0, None, None)
    ]
    assert [whole(x) for x in ("8.0", "7.5", "-1", "1e12", "")] == [8, None, None, None, None]
    assert [size(x) for x in ("", "0", "4.0")] == [1, 1, 4]


def test_plain_row():
    r = row()
    assert (r.kind, r.value, r.value_si, r.quantity, r.scope) == (
        *("offline", 14800.0, 14800.0, "output_tokens_per_s", "server"),
    )
    assert r.predictable and r.weights.scheme == "fp8" and r.source == "some"
    assert (r.tp, r.dp, r.pp, r.ep, r.accelerators) == (8, 1, 1, 1, 8)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({}, "offline"),
        ({"mode": "fixed-concurrency", "concurrency_or_batch": "16"}, "closed"),
        ({"mode": "fixed-concurrency", "concurrency_or_batch": "1"}, "single"),
        ({"mode": "fixed-concurrency"}, "unsupported"),
        ({"mode": "fixed-concurrency", "concurrency_or_batch": "16", "notes": "static batch (x)"}, "static"),
        ({"mode": "single-stream"}, "single"),
        ({"mode": "server-slo", "notes": "QPS=4; 500 requests"}, "open"),
        ({"mode": "server-slo", "notes": "request rate 10000; nominal 1/1"}, "offline"),
        ({"mode": "server-slo", "notes": "in / 1 requests (in 3, out 4); request rate 10000"}, "single"),
        ({"metric": "gpu_memory_gb", "mode": "single-stream"}, "memory"),
        ({"metric": "tok_s_unspecified"}, "unsupported"),
        ({"value": "INF"}, "unsupported"),
        ({"mode": "?"}, "unsupported"),
    ],
)
def test_kinds(changes, kind):
    assert row(**changes).kind == kind


def test_empty_measurement_is_still_predictable():
    r = row(value="")
    assert r.predictable and r.value is None


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"engine": "transformers"}, "not modelled"),
        ({"model": ""}, "model"),
        ({"n_accelerators": "", "tp": ""}, "number of accelerators"),
        ({"n_accelerators": "0.0", "tp": ""}, "number of accelerators"),
        ({"accelerator": "ambiguous: a/b"}, "several accelerators"),
        ({"accelerator": ""}, "accelerator is not stated"),
        ({"accelerator": "ascend (SoC not stated)"}, "not exact"),
        ({"weight_dtype": "q5"}, "weight format"),
        ({"input_tokens": "vision-arena (multimodal)"}, "images"),
        ({"input_tokens": ""}, "input length"),
        ({"output_tokens": ""}, "output length"),
        ({"value": "about 5"}, "no number"),
        ({"mode": "server-slo"}, "neither the request rate"),
        ({"notes": "2P1D: prefill DP2"}, "run apart"),
        ({"notes": "SUSPECT: typo"}, "suspect"),
        ({"notes": "MLPerf v4.1 closed; benchmark gptj-99 Offline;"}, "4 beams"),
    ],
)
def test_problems(changes, says):
    assert any(says in problem for problem in row(**changes).problems)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"tp": "8", "dp": "2", "n_accelerators": "16"}, (8, 1, 2, 1, 16)),
        ({"tp": "8", "dp": "2", "n_accelerators": ""}, (8, 1, 2, 1, 16)),
        ({"tp": "8", "dp": "2", "n_accelerators": "16", "ep": "on"}, (8, 1, 2, 16, 16)),
        ({"engine": "sglang", "tp": "8", "dp": "8"}, (1, 1, 8, 1, 8)),
        ({"tp": "", "dp": "4", "ep": "4", "n_accelerators": "4"}, (1, 1, 4, 4, 4)),
        (
            {"tp": "", "dp": "", "n_accelerators": "4", "notes": "parallelism label DEP2 PP2 (x)", "pp": "2"},
            (1, 2, 2, 1, 4),
        ),
        ({"engine": "tensorrt-llm", "notes": "MoE: enable_attention_dp in llm_options"}, (1, 1, 8, 1, 8)),
        ({"tp": "", "n_accelerators": "1"}, (1, 1, 1, 1, 1)),
        ({"tp": "", "n_accelerators": "4"}, (None, 1, 1, 1, 4)),
    ],
)
def test_placements(changes, expected):
    r = row(**changes)
    assert (r.tp, r.pp, r.dp, r.ep, r.accelerators) == expected
    assert r.placement_stated is (r.tp is not None)


def test_units():
    assert row(metric="ttft_ms", value="250").value_si == pytest.approx(0.25)
    assert row(metric="ttft_s_median", value="0.5").median
    assert row(metric="tpot_ms", notes="MEDIAN latencies").median
    assert row(metric="output_tok_s_per_gpu").scope == "accelerator"
    assert row(metric="gpu_memory_mb", value="3412").value_si == pytest.approx(3.412e9)
    assert row(accelerator="ascend-910c (A3)").per_die
    assert not row(accelerator="ascend-910c", notes="per NPU = one 910C package (2 dies)").per_die


def test_notes_of_a_serve_command():
    notes = (
        'section "x"; case "--max-num-batched-tokens 4096"; serve: vllm serve m -tp 8 '
        "--max-num-batched-tokens 8192 --max-num-seqs=512 --gpu-memory-utilization 0.85 "
        '--speculative-config={"method":"mtp","num_speculative_tokens":2}; '
        'hardware: "y"; 1000 requests; request rate inf (all at once)'
    )
    hints = read_notes(notes)
    assert hints.option("max_num_batched_tokens") == 4096  # the case varies the serve line
    assert hints.option("max_num_seqs") == 512 and hints.option("memory_fraction") == 0.85
    assert (hints.requests, hints.rate, hints.speculative, hints.draft_tokens) == (1000, math.inf, True, 2)
    assert not hints.in_process and hints.option("tp") == 8


@pytest.mark.parametrize(
    ("notes", "name", "value"),
    [
        ("prefix-cache dataset prefix90; num_prompts=4", "cached_share", 0.9),
        ("prefix-cache dataset prefix99; prefix caching off", "cached_share", 0.0),
        ("input includes 56.3% cache hits", "cached_share", 0.563),
        ("WITH suffix speculative decoding accept rate 27.0%", "accept_rate", 0.27),
        ("baseline without speculative decoding", "speculative", False),
        ("speculative/MTP on", "speculative", True),
        ("request_rate=0 threshold=0.97", "rate", math.inf),
        ("200 prompts at 1 req/s, random", "rate", 1.0),
        ("means over 2-8 requests", "requests", None),
        ("MLPerf v5.1 closed; SLO ttft 2000 ms tpot 200 ms (99th pct)", "slo_tpot_s", 0.2),
        ("trtllm-bench throughput", "in_process", True),
        ("kv fraction mostly 0.95", "options", (("memory_fraction", 0.95),)),
        ("MaxQ = power-capped", "power_capped", True),
        ("prefill-only instance TP1 DP4", "prefill_only", True),
    ],
)
def test_notes(notes, name, value):
    assert getattr(read_notes(notes), name) == value


def test_speculation_that_is_limited():
    note = "MTP(1 token) speculative decoding on for GLM-5 serve script"
    assert read_notes(note, "zai-org/GLM-5-FP8").speculative and not read_notes(note, "other/model").speculative
    cells = "low-latency cells (conc 1,16) use MTP"
    assert read_notes(cells, "", 16.0).speculative and not read_notes(cells, "", 64.0).speculative


def test_data_sets():
    r = row(input_tokens="", output_tokens="", notes="MLPerf v5.1 closed; benchmark llama3.1-405b Offline;")
    assert (r.input_tokens, r.output_tokens, r.lengths_assumed) == (9400.0, 684.68, "")
    r = row(input_tokens="", output_tokens="", notes="MLPerf v5.1 open; benchmark llama2-70b-99.9 Offline;")
    assert r.output_tokens == 294.45 and "300" in r.lengths_assumed and "open division" in r.notes[0]
    assert row(input_tokens="ShareGPT", output_tokens="ShareGPT").lengths_assumed
    assert row(notes="speed=(prompt+generated tokens)/total time").speed_formula == "total"
    assert row(id="qwen25-0001").speed_formula == "output"


def test_accelerator_names():
    names = {
        "h100-sxm-80gb (page says H100 80GB)": "h100-sxm-80gb",
        "ascend-910b (Atlas A2)": "ascend-910b",
        "NVIDIA RTX PRO 6000 Blackwell Server Edition": "rtx-pro-6000-blackwell-server",
        'gh200-120gb-label (source "GH200 120GB")': "gh200",
    }
    for label, name in names.items():
        assert accelerator_name(label) == (name, None)


def shifted(number: int, metric: str, **changes: str):
    base = {"id": f"trtserve-{number:04d}", "metric": metric, "output_tokens": "256", "input_tokens": "467"}
    return row(**(base | {"mode": "server-slo", "engine": "tensorrt-llm", "notes": "QPS=; 500 requests"} | changes))


def test_shifted_cells():
    first = shifted(2, "ttft_ms", notes="QPS=2; 500 requests")
    assert (first.metric, first.rate, first.notes) == ("ttft_ms", 2.0, ())
    second = shifted(8, "tpot_ms")
    assert (second.metric, second.printed_metric, second.rate) == ("ttft_ms", "tpot_ms", 4.0)
    assert shifted(10, "output_tok_s_total").quantity == "total_tokens_per_s"
    assert shifted(30, "output_tok_s_total").kind == "offline"
    moved = shifted(31 + 4, "output_tok_s_total", output_tokens="467", notes="QPS=16; 500 requests")
    assert (moved.input_tokens, moved.output_tokens, moved.rate) == (467.0, 16.0, 2.0)
    assert shifted(61 + 4, "ttft_ms", output_tokens="202").output_tokens == 214.0
    assert not shifted(6, "req_s").predictable
    assert shifted(8, "tpot_ms", repair="no").metric == "tpot_ms"


def test_table(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("id,engine,model,accelerator,mode,metric,zzz\na-1,vllm,m,h100,x,y,1\n")
    rows = read_throughput_rows(path)
    assert rows[0].kind == "unsupported"
    assert not rows[0].predictable
    path.write_text("id\n")
    with pytest.raises(SizingError, match="lacks the column"):
        read_throughput_rows(path)


words = st.sampled_from(
    ["8", "on", "INF", "3.5k", "", "prefix90", "QPS=4", "trtserve-0007", "DEP4", "serve: -tp 4;", "req_s"]
)


@given(st.fixed_dictionaries({}, optional={name: words | st.text(max_size=20) for name in COLUMNS}))
def test_no_cell_can_break_the_reader(cells):
    for repair in (True, False):
        assert parse_throughput_row(cells, repair=repair).kind


@pytest.mark.shared
def test_the_measurements():
    rows = read_throughput_rows(shared("measurements", "throughput", "throughput.csv.gz"))
    assert len(rows) > 7000 and sum(row.predictable for row in rows) > 0.8 * len(rows)
    assert {row.kind for row in rows} == set(KINDS)
    for r in rows:
        if r.predictable and r.tp is not None:
            assert r.tp * r.pp * r.dp == r.accelerators, r.id


@pytest.mark.shared
def test_repaired_rows_add_up():
    """After the repair, total throughput is requests/s times the tokens of a request, in every setting."""
    rows = read_throughput_rows(shared("measurements", "throughput", "throughput.csv.gz"))
    settings: dict[int, dict[str, object]] = {}
    for r in rows:
        if r.source == "trtserve":
            settings.setdefault((int(r.id[-4:]) - 1) // 5, {})[r.metric] = r
    for index, found in settings.items():
        offered, total = found.get("offered_req_s"), found.get("total_tok_s")
        if offered is not None and offered.value is not None:
            assert offered.rate == offered.value
        if total is None or index % 18 == 0:
            continue
        done = found.get("req_s")
        if done is not None:
            tokens = done.value * (total.input_tokens + total.output_tokens)
            assert total.value == pytest.approx(tokens, rel=0.15)
