"""What reads input from outside, as fuzz targets: seeds, a mutation, a run that complains about its own result."""

from __future__ import annotations

import contextlib
import io
import json
import random
import re
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from tests.fuzz import mutate
from tests.fuzz.base import BENCH, NEGATIVE, ROOT, Target
from tests.fuzz.documents import (
    deployed,
    hostile_texts,
    html_trouble,
    mutate_share,
    mutate_study,
    page,
    page_seeds,
    planned,
    reported,
    share_seeds,
    shared_link,
    study_file,
    study_seeds,
    uploaded,
)
from tests.fuzz.guard import finite_trouble
from tests.fuzz.models import (
    config,
    config_seeds,
    gguf_file,
    gguf_seeds,
    index,
    index_seeds,
    mutate_config,
    mutate_gguf,
    mutate_safetensors,
    safetensors,
    safetensors_seeds,
    served,
)


@cache
def _hardware_seeds() -> list[bytes]:
    import yaml

    found = []
    for path in sorted((ROOT / "hardware_catalog").glob("*.yaml")):
        data = yaml.load(path.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        small = {key: value[:2] if isinstance(value, list) else value for key, value in data.items()}
        found.append(yaml.safe_dump(small, sort_keys=False, allow_unicode=True).encode())
    found.append(b"accelerators: [{id: h100-sxm, tdp_w: 500, memory: {usable_gib: 78.0}}]\n")
    found.append(b"slices: [{id: h100-mig-3g.40gb, name: x}]\nservers: [{id: dgx-h100, max_power_kw: 1.0}]\n")
    return found


def _hardware_keys() -> tuple[str, ...]:
    from sizing.hardware import loader, models, price_models

    kinds = [getattr(module, name) for module in (models, price_models) for name in dir(module)]
    keys = {
        field
        for kind in kinds
        if hasattr(kind, "model_fields") and isinstance(kind, type)
        for field in kind.model_fields
    }
    return tuple(sorted({*keys, *loader.TOP_KEYS}))


def _hardware(data: bytes, folder: Path) -> list[str]:
    from sizing.hardware import check_file, load_catalog, servers_for
    from sizing.money.prices import hourly_price
    from sizing.money.quotes import NoPriceError

    path = folder / "mine.yaml"
    path.write_bytes(data)
    complaints = []
    findings = check_file(path)
    for item in findings:
        text = str(item)
        if not text.isprintable() or len(text) > 2000:
            complaints.append(f"check: an unprintable or endless finding {text[:200]!r}")
    if any(item.level == "error" for item in findings):
        catalog = load_catalog(path)  # says it again, as an error
        _ = catalog.accelerators, catalog.servers, catalog.fabrics, catalog.rental_quotes
        _ = catalog.purchase_quotes, catalog.api_prices, catalog.price_assumptions
        return complaints
    catalog = load_catalog(path)
    complaints += finite_trouble(
        [item.model_dump() for item in catalog.accelerators.values()], NEGATIVE, "accelerators"
    )
    for key in [*[*catalog._raw_accelerators][:2], "h100-sxm", "h100-mig-3g.40gb"]:
        if key in catalog.accelerators:
            accelerator, _ = catalog.resolve(key)
            complaints += finite_trouble(
                [server.model_dump() for server in servers_for(accelerator.id, catalog)], NEGATIVE, "servers"
            )
            with contextlib.suppress(NoPriceError):
                found = asdict(hourly_price(accelerator.id, catalog=catalog))
                complaints += finite_trouble(found, NEGATIVE, "price")
    return complaints


def _trace_seeds() -> list[bytes]:
    return [
        b"TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n"
        b"2023-11-16 18:15:50.9951690,396,109\n",
        b"arrival,input,output,cached\n0,100,20,10\n1.5,200,30,0\n1.5,7,1,7\n",
        b"Timestamp,Model,Request tokens,Response tokens\n5,ChatGPT,472,18\n45,GPT-4,1087,230\n",
    ]


def _trace_trouble(trace: Any) -> list[str]:
    work = trace.fit()
    inputs, outputs = work.length_grid(64)
    found = {"rate": work.mean_requests_per_s, "input": inputs.tolist(), "output": outputs.tolist(),
             "hit": trace.prefix_cache_hit_rate, "at": trace.arrival_s.tolist(), "burst": trace.interval_cv,
             "mean": work.mean_output_tokens()}  # fmt: skip
    trace.requests()
    work.generate(50, seed=1)
    return finite_trouble(found, NEGATIVE, "trace")


def _trace(data: bytes, folder: Path) -> list[str]:
    from sizing.workload import read_trace

    path = folder / "trace.csv"
    path.write_bytes(data)
    return _trace_trouble(read_trace(path))


def _mooncake(data: bytes, folder: Path) -> list[str]:
    from sizing.workload import read_trace

    path = folder / "trace.jsonl"
    path.write_bytes(data)
    return _trace_trouble(read_trace(path))


def _mooncake_seeds() -> list[bytes]:
    rows = [
        {"timestamp": 100 * i, "input_length": 1000 + i, "output_length": 50, "hash_ids": list(range(i % 4))}
        for i in range(6)
    ]
    return ["\n".join(json.dumps(row) for row in rows).encode()]


def _lengths(data: bytes, folder: Path) -> list[str]:
    from sizing.workload import read_lengths_csv

    path = folder / "lengths.csv"
    path.write_bytes(data)
    inputs, outputs = read_lengths_csv(path).arrays()
    return finite_trouble({"input": inputs.tolist(), "output": outputs.tolist()}, NEGATIVE, "lengths")


def _bench_seeds(*names: str) -> Callable[[], list[bytes]]:
    return lambda: [path.read_bytes() for name in names for path in sorted(BENCH.glob(name)) if path.is_file()]


def _bench(data: bytes, folder: Path) -> list[str]:
    from sizing.evidence.benchmark_files import read_benchmark

    path = folder / "result.json"
    path.write_bytes(data)
    found = [asdict(item) for item in read_benchmark(path)]
    for row in found:
        row.pop("extra")
        if row["request_rate"] == float("inf"):  # all at once, as the tools write it
            row["request_rate"] = None
    return finite_trouble(found, NEGATIVE, "run")


def _calibrate(data: bytes, folder: Path) -> list[str]:
    """``sizing calibrate`` on a file, and the file that it writes read back."""
    from sizing.coefficients.calibration import load_calibration
    from tests.fuzz.commands import call

    path, out = folder / "result.json", folder / "cal.yaml"
    out.unlink(missing_ok=True)
    path.write_bytes(data)
    complaints = call(
        ["calibrate", str(path), "--on", "h100-sxm", "--model", "Qwen/Qwen3-8B", "-o", str(out), "--json"]
    )
    if out.exists():
        complaints += finite_trouble(asdict(load_calibration(out)), NEGATIVE, "calibration")
    return complaints


def _calibration_seeds() -> list[bytes]:
    text = (
        "version: 1\nengine: vllm\naccelerator: h100-sxm\ndecode: {factor: 1.1, sigma: 0.05, runs: 3}\n"
        "prefill: {factor: 0.9, sigma: 0.1, runs: 3}\nfiles: [a.json, b.json]\n"
    )
    return [text.encode()]


def _calibration(data: bytes, folder: Path) -> list[str]:
    from sizing.coefficients.calibration import load_calibration

    path = folder / "cal.yaml"
    path.write_bytes(data)
    found = load_calibration(path)
    return finite_trouble(
        [asdict(found), asdict(found.spread("ttft")), asdict(found.spread("tpot"))], NEGATIVE, "calibration"
    )


def _claim(data: bytes, folder: Path) -> list[str]:
    from sizing.claims import examine, parse_claim

    answer = examine(parse_claim(data.decode("utf-8", "replace")))
    return finite_trouble(answer.to_dict(), re.compile("."), "claim")


def _claim_seeds() -> list[bytes]:
    return [b"$0.07 per million tokens, 1.2T/78B, Ascend 910B", b"97% below gpt-4o, 1.2T parameters, 78B active",
            b"512 PFLOPS at 82% utilisation on Ascend 910B", b"128K context on 8 x H100, Qwen3-235B"]  # fmt: skip


def _mutate_text(rng: random.Random, data: bytes) -> bytes:
    if rng.random() < 0.5:
        return mutate.raw(rng, data)
    words = data.decode("utf-8", "replace").split(" ")
    words[rng.randrange(len(words))] = str(mutate.hostile(rng))[:5000]
    return " ".join(words).encode("utf-8", "replace")


def _command_seeds() -> list[bytes]:
    from tests.fuzz import commands

    return commands.seeds()


def _mutate_command(rng: random.Random, data: bytes) -> bytes:
    from tests.fuzz import commands

    return commands.change(rng, data)


def _command(data: bytes, folder: Path) -> list[str]:
    from tests.fuzz import commands

    return commands.run(data, folder)


def _rows_seeds() -> list[bytes]:
    """One row each of a serving table, a throughput table and a start-up log's table."""
    tables = (
        {"row": "r1", "backend": "trtllm", "backend_version": "1.0", "model_path": "Qwen/Qwen3-32B",
            "system": "h100_sxm", "precision": "fp8",
         "mode": "agg", "isl": "1024", "osl": "1024", "source": "a; silicon_concurrency=8; b",
         "gemm_quant_mode": "fp8_block",
         "moe_quant_mode": "fp8_block", "ttft_ms": "250", "tpot_ms": "12.5", "tp_size": "2", "pp_size": "1",
         "attention_dp_size": "1",
         "moe_tp_size": "2", "moe_ep_size": "1", "batch_size": "8", "num_workers": "1"},
    )  # fmt: skip
    return ["\n".join((",".join(row), ",".join(row.values()))).encode() for row in tables]


def _rows(data: bytes, folder: Path) -> list[str]:
    """``sizing validate``: predictions go to a CSV that people open in a spreadsheet."""
    from tests.fuzz.commands import call

    path = folder / "rows.csv"
    path.write_bytes(data)
    out = folder / "out.csv"
    out.unlink(missing_ok=True)
    complaints = call(["validate", str(path), "--predictions", str(out), "--html", str(folder / "out.html"), "--json"])
    if out.exists():
        import csv

        for row in csv.reader(io.StringIO(out.read_text(encoding="utf-8"))):
            for cell in row:
                if re.match(r"[=@\t\r]|[+-](?![\d.]+(e[+-]?\d+)?$)", cell, re.IGNORECASE):
                    complaints.append(f"csv: a cell starts like a formula: {cell[:60]!r}")
    if (folder / "out.html").exists():
        complaints += [
            item for item in html_trouble((folder / "out.html").read_text(encoding="utf-8")) if "scripts" not in item
        ]
    return complaints


TARGETS: dict[str, Target] = {
    item.name: item
    for item in (
        Target("config", config_seeds, mutate_config, config, 3),
        Target("served", config_seeds, mutate_config, served, 3),
        Target("safetensors", safetensors_seeds, mutate_safetensors, safetensors),
        Target("index", index_seeds, lambda r, d: mutate.json_bytes(r, d), index, 0.5),
        Target("gguf", gguf_seeds, mutate_gguf, gguf_file, 1.5),
        Target("hardware", _hardware_seeds, lambda r, d: mutate.yaml_bytes(r, d, _hardware_keys()), _hardware, 2),
        Target("study", study_seeds, mutate_study, study_file, 1.5),
        Target("plan", study_seeds, mutate_study, planned, 3),
        Target("report", study_seeds, hostile_texts, reported, 2),
        Target("deploy", study_seeds, hostile_texts, deployed, 1.5),
        Target("trace", _trace_seeds, mutate.csv_bytes, _trace),
        Target("mooncake", _mooncake_seeds, mutate.lines_bytes, _mooncake),
        Target("lengths", lambda: [b"input,output\n10,20\n30,40\n"], mutate.csv_bytes, _lengths, 0.5),
        Target("vllm", _bench_seeds("vllm*", "trtllm*"), lambda r, d: mutate.json_bytes(r, d), _bench),
        Target("sglang", _bench_seeds("sglang*"), mutate.lines_bytes, _bench),
        Target("guidellm", _bench_seeds("guidellm*"), lambda r, d: mutate.json_bytes(r, d), _bench),
        Target("aiperf", _bench_seeds("aiperf*", "genai*"), mutate.lines_bytes, _bench),
        Target(
            "others", _bench_seeds("infer*", "llm*", "evalscope*"), lambda r, d: mutate.json_bytes(r, d), _bench, 0.5
        ),
        Target(
            "calibrate", _bench_seeds("vllm*", "sglang*", "guidellm*", "aiperf*"), mutate.lines_bytes, _calibrate, 1.5
        ),
        Target("calibration", _calibration_seeds, lambda r, d: mutate.yaml_bytes(r, d), _calibration, 0.5),
        Target("rows", _rows_seeds, mutate.csv_bytes, _rows),
        Target("share", share_seeds, mutate_share, shared_link, 0.5),
        Target("upload", lambda: [*study_seeds(), *config_seeds()[:20]], mutate_study, uploaded),
        Target("page", page_seeds, hostile_texts, page, 2),
        Target("claim", _claim_seeds, _mutate_text, _claim),
        Target("command", _command_seeds, _mutate_command, _command, 4),
    )
}
