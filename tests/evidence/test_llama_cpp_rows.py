"""llama.cpp's own benchmark tables: what a row ran, and how near the predictions are."""

from __future__ import annotations

import csv
import gzip
import io

import numpy as np
import pytest
from shared_files import shared

from sizing.evidence.llama_cpp_rows import bench_case
from sizing.evidence.predict_throughput import predict
from sizing.evidence.rows_throughput import parse_throughput_row, read_throughput_rows

TABLE = "measurements/throughput/llamacpp.csv.gz"
ROW = {
    "id": "a-1", "engine": "llama.cpp", "model": "meta-llama/Llama-2-7b-hf", "weight_dtype": "gguf-q4_0",
    "accelerator": "apple-m2-ultra", "n_accelerators": "1", "tp": "1", "input_tokens": "512", "output_tokens": "0",
    "concurrency_or_batch": "1", "mode": "single-stream", "metric": "input_tok_s", "value": "1238",
    "notes": "llama-bench pp512 at depth 4096",
}  # fmt: skip


def test_a_prompt_at_a_depth() -> None:
    case = bench_case(parse_throughput_row(ROW))
    assert case.prompt and case.backend == "metal"
    assert float(case.shape.prefill_tokens) == 512 and float(case.shape.prefill_past) == 4096


def test_decode_is_as_fast_as_the_memory_allows() -> None:
    """An M2 Ultra decodes Llama-2-7B in Q4_0 at 94 tokens/s (llama.cpp discussion 4167); 3.56 GiB at 800 GB/s allow 209."""
    row = {
        **ROW,
        "metric": "output_tok_s_total",
        "input_tokens": "0",
        "output_tokens": "128",
        "notes": "llama-bench tg128",
    }
    made = predict([parse_throughput_row(row)])[0]
    assert made.p10 is not None and made.p90 is not None
    assert made.p10 < 94 < made.p90 < 209


def test_ollama_is_a_face_of_llama_cpp() -> None:
    made = predict([parse_throughput_row({**ROW, "engine": "Ollama"}), parse_throughput_row(ROW)])
    assert made[0].p50 == made[1].p50


def test_an_unknown_model_is_told() -> None:
    made = predict([parse_throughput_row({**ROW, "model": "nobody/nothing-7B"})])[0]
    assert made.p50 is None and "nobody/nothing-7B" in made.note


@pytest.mark.shared
def test_every_row_is_answered() -> None:
    table = shared(TABLE)
    rows = read_throughput_rows(table)
    made = predict(rows)
    value = np.array([row.value for row in rows], dtype=float)
    p10, p50, p90 = (np.array([getattr(item, name) for item in made], dtype=float) for name in ("p10", "p50", "p90"))
    assert np.isfinite(p50).all()
    assert np.median(np.abs(p50 / value - 1)) < 0.15
    assert ((p10 <= value) & (value <= p90)).mean() > 0.8
    names = {row["id"] for row in csv.DictReader(io.StringIO(gzip.decompress(table.read_bytes()).decode()))}
    assert names == {item.id for item in made}
