"""Read the result files that people already have. The tool is recognised by what the file holds, not by its
name.

Known: vLLM ``bench serve`` (single, detailed, sweep summary), SGLang ``bench_serving`` (JSON Lines), the
TensorRT-LLM serving benchmark, GuideLLM, AIPerf and GenAI-Perf, InferenceX (InferenceMAX), the llm-d
benchmark report, EvalScope, inference-perf, LLMPerf.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sizing.errors import SizingError
from sizing.evidence.benchmark_flat import read_inferencex, read_serving
from sizing.evidence.benchmark_more import EVALSCOPE, LLMPERF, read_evalscope, read_inference_perf, read_llmperf
from sizing.evidence.benchmark_nested import read_aiperf, read_aiperf_records, read_guidellm, read_llmd
from sizing.evidence.fields import show
from sizing.evidence.measurement import Fields, Measurement, load_documents
from sizing.evidence.run_checks import labelled

TOOLS = (
    "vllm",
    "sglang",
    "tensorrt-llm",
    "guidellm",
    "aiperf",
    "genai-perf",
    "inferencex",
    "llm-d",
    "evalscope",
    "inference-perf",
    "llmperf",
)


def detect(document: object) -> str | None:
    """Which tool wrote this JSON object; None if none that is known."""
    if not isinstance(document, dict):
        return None
    if EVALSCOPE in document:
        return "evalscope"
    if LLMPERF in document:
        return "llmperf"
    if all(isinstance(document.get(key), dict) for key in ("load_summary", "successes")):
        return "inference-perf"
    if isinstance(document.get("benchmarks"), list):
        return "guidellm"
    if any(isinstance(document.get(k), dict) for k in ("time_to_first_token", "output_token_throughput")):
        return "aiperf"
    parts = document.get("metadata"), document.get("metrics")
    if all(isinstance(part, dict) for part in parts) and "request_start_ns" in document["metadata"]:
        return "aiperf-record"
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
    elif tool == "aiperf-record":
        yield read_aiperf_records([fields])
    elif tool == "evalscope":
        yield read_evalscope(fields)
    elif tool == "inference-perf":
        yield read_inference_perf(fields)
    elif tool == "llmperf":
        yield read_llmperf(fields)
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
    documents: list[tuple[str, object]] = []
    for source, document in load_documents(Path(path)):
        if isinstance(document, list):
            documents += [(f"{source}#{index}", item) for index, item in enumerate(document)]
        else:
            documents.append((source, document))
    if not documents:
        raise SizingError("holds no results", key=str(path))
    if len(documents) > 1 and all(detect(document) == "aiperf-record" for _, document in documents):
        return [labelled(read_aiperf_records([Fields(document, source) for source, document in documents]))]
    return [labelled(found) for source, document in documents for found in _read(document, source)]
