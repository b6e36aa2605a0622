"""Readers of benchmark result files: every tool, and nothing but SizingError for bad input."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shared_files import shared

from sizing.base.errors import SizingError
from sizing.evidence.benchmark_files import detect, read_benchmark
from sizing.evidence.benchmark_flat import quantiles

DATA = Path(__file__).resolve().parents[1] / "data" / "bench"


def one(name: str):
    found = read_benchmark(DATA / name)
    assert len(found) == 1
    return found[0]


def test_vllm_new():
    m = one("vllm_new.json")
    assert (m.tool, m.model, m.engine, m.tp) == ("vllm", "example/model-8b", "vllm", 2)
    assert (m.input_tokens, m.output_tokens, m.concurrency) == (1000.0, 200.0, 8.0)
    assert m.request_rate == math.inf
    assert m.ttft_s.mean == pytest.approx(0.12) and m.ttft_s.p95 == pytest.approx(0.25)
    assert m.tpot_s.p99 == pytest.approx(0.02) and m.e2e_s.mean == pytest.approx(2.6075)
    assert (m.output_tokens_per_s, m.total_tokens_per_s, m.requests_per_s) == (400.0, 2400.0, 2.0)
    assert m.extra["max_num_seqs"] == 64


def test_vllm_old_has_rate_and_no_cap():
    m = one("vllm_old.json")
    assert (m.request_rate, m.concurrency, m.failed) == (4.0, None, None)


def test_vllm_detailed_fills_missing_percentiles():
    m = one("vllm_detailed.json")
    assert m.ttft_s.mean == pytest.approx(0.12)  # the printed figure wins
    assert m.ttft_s.p50 == pytest.approx(0.25)
    assert m.input_tokens == 25.0


def test_vllm_sweep_is_a_list():
    assert [m.concurrency for m in read_benchmark(DATA / "vllm_sweep.json")] == [1.0, 8.0, 32.0]


def test_sglang_lines_with_infinity():
    first, second = read_benchmark(DATA / "sglang.jsonl")
    assert (first.tool, first.engine, first.model) == ("sglang", "sglang", "example/moe")
    assert (first.tp, first.dp, first.ep) == (8, 8, 8)
    assert first.request_rate == math.inf and first.concurrency_measured == 14.0
    assert first.accept_length == 2.5 and first.total_tokens_per_s == 1500.0
    assert second.model is None and second.concurrency == 32.0


def test_trtllm_engine_only_when_its_server_answered(tmp_path):
    assert one("trtllm.json").engine == "tensorrt-llm"
    data = json.loads((DATA / "trtllm.json").read_text()) | {"avg_decoded_tokens_per_iter": 0.0}
    path = tmp_path / "x.json"
    path.write_text(json.dumps(data))
    assert read_benchmark(path)[0].engine is None


def test_guidellm_versions():
    constant, concurrent, single = read_benchmark(DATA / "guidellm_v2.json")
    assert (constant.request_rate, constant.concurrency) == (2.0, None)
    assert (concurrent.concurrency, single.concurrency) == (6.0, 1.0)
    assert constant.ttft_s.mean == pytest.approx(0.15) and constant.tpot_s.mean == pytest.approx(0.022)
    assert (constant.input_tokens, constant.output_tokens_per_s) == (512.0, 256.0)
    assert one("guidellm_v1.json").request_rate == 3.0


@pytest.mark.parametrize("name", ["aiperf.json", "genai_perf.json"])
def test_aiperf_units(name):
    m = one(name)
    assert m.tool == name.split(".")[0].replace("_", "-")
    assert m.model == "example/model-8b" and m.concurrency == 6.0
    assert m.ttft_s.mean == pytest.approx(0.15) and m.tpot_s.mean == pytest.approx(0.022)
    assert m.e2e_s.mean == pytest.approx(3.0) and m.total_tokens_per_s == pytest.approx(1280.0)


def test_aiperf_records_are_added_up():
    m = one("aiperf_records.jsonl")
    assert (m.completed, m.failed, m.duration_s) == (3, 1, pytest.approx(4.0))
    assert m.ttft_s.mean == pytest.approx(0.101) and m.output_tokens_per_s == pytest.approx(37.5)


def test_inferencex():
    m = one("inferencex.json")
    assert (m.accelerators, m.tp, m.engine, m.precision) == (8, 8, "sglang", "fp8")
    assert m.output_tokens_per_s == 1200.0 and m.total_tokens_per_s == 2400.0
    assert m.input_tokens == pytest.approx(921.6) and m.ttft_s.mean == 0.3
    d = one("inferencex_disagg.json")
    assert (d.accelerators, d.output_tokens_per_s, d.total_tokens_per_s) == (12, 1200.0, 10800.0)
    assert d.tp is None and any("mtp" in note for note in d.notes)


def test_llmd_report():
    m = one("llmd.json")
    assert (m.model, m.output_tokens_per_s) == ("example/model-8b", 256.0)
    assert m.ttft_s.p99 == pytest.approx(0.22) and m.tpot_s.mean == pytest.approx(0.022)


def test_gzip(tmp_path):
    path = tmp_path / "result"
    path.write_bytes(gzip.compress((DATA / "vllm_new.json").read_bytes()))
    assert read_benchmark(path)[0].output_tokens_per_s == 400.0


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"\x1f\x8b\x08broken", "damaged gzip"),
        (b"{", "not valid JSON"),
        (b"[]", "holds no results"),
        (b"3", "no benchmark result"),
        (b"[" * 100_000, "nested deeper"),
        (b"[" * 80 + b"]" * 80, "nested deeper"),
        (b"1" * 5000, "number is too long"),
        (b'{"a": 1}', "known tools"),
        (b'{"mean_ttft_ms": 1}', "output_throughput"),
        (b'{"mean_ttft_ms": "x", "output_throughput": 1}', "mean_ttft_ms: must be a number"),
        (b'{"mean_ttft_ms": -1, "output_throughput": 1}', "must not be negative"),
        (b'{"mean_ttft_ms": 1, "output_throughput": [1]}', "output_throughput: must be a number"),
        (b'{"mean_ttft_ms": true, "output_throughput": 1}', "must be a number"),
        (b'{"output_throughput": 1, "completed": 1.5}', "must be a whole number"),
        (b'{"output_throughput": 1, "model_id": 7}', "must be a string"),
        (b'{"benchmarks": []}', "lacks the key benchmarks"),
        (b'{"benchmarks": [3]}', "benchmarks.0: is not an object"),
        (b'{"benchmarks": [{"metrics": 1}]}', "benchmarks.0.metrics"),
        (
            b'{"time_to_first_token": {"unit": "fortnights", "avg": 1}}',
            "lacks the key output_token_throughput",
        ),
    ],
)
def test_bad_files_say_what_is_wrong(tmp_path, content, says):
    path = tmp_path / "bad.json"
    path.write_bytes(content)
    with pytest.raises(SizingError) as caught:
        read_benchmark(path)
    message = str(caught.value)
    assert says in message and "bad.json" in message and "\n" not in message


def test_missing_file_and_null_byte():
    for name in ("/no/such/file.json", "a\0b"):
        with pytest.raises(SizingError):
            read_benchmark(name)


def test_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr("sizing.evidence.fields.MAX_BYTES", 2**20)
    path = tmp_path / "big.json.gz"
    path.write_bytes(gzip.compress(b" " * (2**20 + 1)))
    with pytest.raises(SizingError, match="larger than 1,048,576 bytes"):
        read_benchmark(path)


def test_nan_is_not_stated(tmp_path):
    path = tmp_path / "x.json"
    path.write_text('{"mean_ttft_ms": NaN, "output_throughput": 1.0, "mean_tpot_ms": Infinity}')
    m = read_benchmark(path)[0]
    assert m.ttft_s.mean is None and m.tpot_s.mean is None


def test_quantiles():
    q = quantiles([4.0, 1.0, 2.0, 3.0])
    assert (q.mean, q.p50) == (2.5, 2.5) and q.p99 == pytest.approx(3.97)


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
anything = st.recursive(leaves, lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=8), x, max_size=3))
SAMPLES = [path for path in sorted(DATA.iterdir()) if path.suffix == ".json"]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=anything)
def test_any_json_raises_nothing_else(tmp_path, document):
    path = tmp_path / "fuzz.json"
    path.write_text(json.dumps(document))
    try:
        read_benchmark(path)
    except SizingError as error:
        assert "\n" not in str(error)


def _paths(tree, here=()):
    yield here
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from _paths(value, (*here, key))
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from _paths(value, (*here, index))


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_real_file_with_one_part_replaced(tmp_path, data):
    document = json.loads(data.draw(st.sampled_from(SAMPLES)).read_text())
    path = data.draw(st.sampled_from(list(_paths(document))))
    value = data.draw(anything)
    if path:
        at = document
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = value
    else:
        document = value
    file = tmp_path / "fuzz.json"
    file.write_text(json.dumps(document))
    try:
        for m in read_benchmark(file):
            assert m.output_tokens_per_s is None or m.output_tokens_per_s >= 0
    except SizingError as error:
        assert "\n" not in str(error)


def test_detect_unknown():
    assert detect(3) is None and detect({}) is None


@pytest.mark.shared
def test_real_samples():
    known = {
        "aiperf_profile_export_record.jsonl": "aiperf",
        "bench3_1_vllm_concurrency_8.json": "tensorrt-llm",
        "guidellm_report_v2.json": "guidellm",
        "inferencex_api_row.json": "inferencex",
        "sglang_bench_serving.jsonl": "sglang",
        "vllm_bench_serve_v0.25.1.json": "vllm",
    }
    for name, tool in known.items():
        found = read_benchmark(shared("facts", "engines", "samples", name))
        assert found and all(m.tool == tool for m in found)
    vllm = read_benchmark(shared("facts", "engines", "samples", "vllm_bench_serve_v0.25.1.json"))[0]
    assert (vllm.input_tokens, vllm.output_tokens, vllm.concurrency) == (32.0, 16.0, 2.0)
