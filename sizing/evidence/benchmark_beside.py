"""What stands beside a result file: some tools keep the model, the engine and the cards in another file of the same run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sizing.base import yaml as safe_yaml
from sizing.base.errors import SizingError
from sizing.evidence.fields import engine_name, read_text
from sizing.evidence.measurement import Measurement, load_documents

#: Tool -> the file beside its results.
FILES = {
    "evalscope": "benchmark_args.json",
    "inference-perf": "config.yaml",
    "genai-bench": "experiment_metadata.json",
}


def with_beside(run: Measurement, path: Path) -> Measurement:
    """The run with what the file beside it states and its own does not; the run itself where there is none."""
    name = FILES.get(run.tool)
    if name is None or not path.with_name(name).is_file():
        return run
    try:
        document = _document(path.with_name(name))
    except SizingError:
        return run
    found = {key: value for key, value in _READERS[run.tool](document) if value is not None}
    return replace(run, **{key: value for key, value in found.items() if getattr(run, key) is None})


def _document(path: Path) -> Mapping[str, Any]:
    if path.suffix == ".yaml":
        found = safe_yaml.parse(read_text(path), path.name)
    else:
        _, found = next(iter(load_documents(path)))
    return found if isinstance(found, dict) else {}


def _text(value: object) -> str | None:
    return value[:300] if isinstance(value, str) and value.strip() else None


def _evalscope(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield "model", _text(document.get("model"))


def _inference_perf(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    server = document.get("server")
    if isinstance(server, dict):
        yield "model", _text(server.get("model_name"))
        yield "engine", engine_name(_text(server.get("type")) or "")


def _genai_bench(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield "model", _text(document.get("api_model_name")) or _text(document.get("model"))
    yield "engine", engine_name(_text(document.get("server_engine")) or "")
    yield "engine_version", _text(document.get("server_version"))
    yield "accelerator", _text(document.get("server_gpu_type"))
    count = str(document.get("server_gpu_count"))
    yield "accelerators", int(count) if count.isdigit() and 0 < len(count) < 6 and int(count) > 0 else None


_READERS = {"evalscope": _evalscope, "inference-perf": _inference_perf, "genai-bench": _genai_bench}
