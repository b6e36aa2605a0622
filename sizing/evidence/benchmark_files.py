"""Read the result files that people already have. The tool is recognised by what the file holds, not by its
name.

Known: vLLM ``bench serve`` (single, detailed, sweep summary), SGLang ``bench_serving`` (JSON Lines), the
TensorRT-LLM serving benchmark and ``trtllm-bench``, GuideLLM, AIPerf and GenAI-Perf, inference-perf, EvalScope,
genai-bench, LLMPerf, AISBench, InferenceX (InferenceMAX), the llm-d benchmark report.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sizing.base.errors import SizingError
from sizing.evidence.benchmark_beside import with_beside
from sizing.evidence.benchmark_flat import read_inferencex, read_serving
from sizing.evidence.benchmark_nested import read_aiperf, read_aiperf_records, read_guidellm, read_llmd
from sizing.evidence.benchmark_sections import (
    read_aisbench,
    read_evalscope,
    read_genai_bench,
    read_inference_perf,
    read_llmperf,
    read_trtllm_bench,
)
from sizing.evidence.fields import read_table, show
from sizing.evidence.measurement import Fields, Measurement, load_documents

TOOLS = (
    *("vllm", "sglang", "tensorrt-llm", "trtllm-bench", "guidellm", "aiperf", "genai-perf", "inference-perf"),
    *("evalscope", "genai-bench", "llmperf", "aisbench", "inferencex", "llm-d"),
)
AISBENCH_CSV = "Performance Parameters"  # the first column of the table beside its JSON


#: Tool -> keys that stand together in its files only, by version.
_SIGNS: dict[str, tuple[tuple[str, ...], ...]] = {
    "inference-perf": (("load_summary", "successes"),),
    "genai-bench": (("aggregated_metrics",),),
    "trtllm-bench": (("request_info", "performance"),),
    "llmperf": (("results_num_requests_started",), ("results_ttft_s_mean",), ("results_ttft_s",)),
    "evalscope": (
        ("Output Throughput (tok/s)", "Concurrency"),
        ("Avg TTFT (ms)",),
        ("Average time to first token (s)",),
    ),
    "aisbench": (("Benchmark Duration", "Request Throughput"),),
}
_SECTIONED = {
    "inference-perf": read_inference_perf,
    "genai-bench": read_genai_bench,
    "trtllm-bench": read_trtllm_bench,
    "llmperf": read_llmperf,
    "evalscope": read_evalscope,
    "aisbench": read_aisbench,
}


def _is_record(document: dict[object, object]) -> bool:
    """A line of AIPerf's ``profile_export.jsonl``; newer ones have no ``error`` where all went well."""
    meta, metrics = document.get("metadata"), document.get("metrics")
    if not isinstance(meta, dict) or not isinstance(metrics, dict):
        return False
    return "error" in document or any(key in meta for key in ("request_start_ns", "benchmark_phase", "session_num"))


def detect(document: object) -> str | None:
    """Which tool wrote this JSON object; None if none that is known."""
    if not isinstance(document, dict):
        return None
    if isinstance(document.get("benchmarks"), list):
        return "guidellm"
    if any(isinstance(document.get(k), dict) for k in ("time_to_first_token", "output_token_throughput")):
        return "aiperf"
    if _is_record(document):
        return "aiperf-record"
    for tool, told in _SIGNS.items():
        if any(all(key in document for key in keys) for keys in told):
            return tool
    if "scenario" in document and ("results" in document or "metrics" in document):
        return "llm-d"
    if "conc" in document and ("hw" in document or "hardware" in document):
        return "inferencex"
    if "mean_e2e_latency_ms" in document or "total_output_tokens_retokenized" in document:
        return "sglang"
    if "mean_ttft_ms" in document or "output_throughput" in document:
        return "tensorrt-llm" if "avg_decoded_tokens_per_iter" in document else "vllm"
    return None


def _read(document: object, source: str) -> Iterator[Measurement]:
    tool = detect(document)
    if tool is None:
        keys = list(document)[:4] if isinstance(document, dict) else [type(document).__name__]
        found = ", ".join(map(show, keys))
        raise SizingError(
            f"is no benchmark result that is known (found {found or 'an empty object'})",
            key=source,
            hint="known tools: " + ", ".join(TOOLS),
        )
    fields = Fields(document, source)
    if tool == "guidellm":
        yield from read_guidellm(fields)
    elif tool == "aiperf":
        yield read_aiperf(fields)
    elif tool in _SECTIONED:
        yield _SECTIONED[tool](fields)
    elif tool == "aiperf-record":
        yield read_aiperf_records([fields])
    elif tool == "llm-d":
        yield read_llmd(fields)
    elif tool == "inferencex":
        yield read_inferencex(fields)
    else:
        yield read_serving(fields, tool)


def read_benchmark(path: str | Path) -> list[Measurement]:
    """Every run in a result file (JSON or JSON Lines, gzipped or not, at most 64 MiB).

    Raises SizingError, one line that names the file and the key, for anything that is not such a file.
    """
    file = Path(path)
    if file.suffix.lower() == ".csv":
        return [_aisbench(file)]
    documents: list[tuple[str, object]] = []
    for source, document in load_documents(Path(path)):
        if isinstance(document, list):
            documents += [(f"{source}#{index}", item) for index, item in enumerate(document)]
        else:
            documents.append((source, document))
    if not documents:
        raise SizingError("holds no results", key=str(path))
    if len(documents) > 1 and all(detect(document) == "aiperf-record" for _, document in documents):
        return [read_aiperf_records([Fields(document, source) for source, document in documents])]
    if len(documents) == 1 and detect(documents[0][1]) == "aisbench" and file.with_suffix(".csv").is_file():
        return [_aisbench(file.with_suffix(".csv"))]
    return [with_beside(found, file) for source, document in documents for found in _read(document, source)]


def _aisbench(table: Path) -> Measurement:
    """AISBench's table of latencies with the JSON beside it, which holds the load."""
    rows = {row[AISBENCH_CSV]: dict(row) for _, row in read_table(table, (AISBENCH_CSV, "Average"))}
    beside = table.with_suffix(".json")
    if not beside.is_file():
        raise SizingError("holds latencies only; the load stands in the JSON of the same name", key=str(table),
                          hint=f"put {beside.name} beside it")  # fmt: skip
    source, document = next(iter(load_documents(beside)))
    return read_aisbench(Fields(document, source), rows)
