"""What reads input from outside, as fuzz targets: seeds, a mutation, a run that complains about its own result."""

from __future__ import annotations

import contextlib
import io
import json
import random
import re
import struct
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from tests.fuzz import mutate
from tests.fuzz.guard import finite_trouble

ROOT = Path(__file__).resolve().parents[2]
BENCH = ROOT / "tests" / "data" / "bench"
CATALOG = ROOT / "sizing" / "model" / "catalog"
# Results that may be below 0: differences and changes, by the path of the key.
NEGATIVE = re.compile(r"difference|disputes|sensitivit|saving|change|residual|bias|break_even|margin|log_")

Mutation = Callable[[random.Random, bytes], bytes]


@dataclass(frozen=True)
class Target:
    """``run(data, folder)`` gives complaints; it may write to ``folder`` only. ``weight``: share of a long run."""

    name: str
    seeds: Callable[[], list[bytes]]
    mutate: Mutation
    run: Callable[[bytes, Path], list[str]]
    weight: float = 1.0


def _files(*patterns: str, most: int = 10_000) -> list[bytes]:
    found = [path.read_bytes() for pattern in patterns for path in sorted(ROOT.glob(pattern))]
    return [data for data in found if len(data) <= most]


# ---- model configs


@cache
def config_keys() -> tuple[str, ...]:
    """Every key that a config of the catalog has, at any level."""
    from sizing.model.keys import BUILD_KEYS

    keys = set(BUILD_KEYS)
    for path in CATALOG.glob("*.json"):
        stack: list[Any] = [json.loads(path.read_text(encoding="utf-8"))]
        while stack:
            here = stack.pop()
            if isinstance(here, dict):
                keys |= set(here)
                stack += here.values()
            elif isinstance(here, list):
                stack += here[:3]
    return tuple(sorted(keys))


def _mutate_config(rng: random.Random, data: bytes) -> bytes:
    return mutate.json_bytes(rng, data, config_keys())


def _config(data: bytes, folder: Path) -> list[str]:
    from sizing.model.counts import kv_report, params_report
    from sizing.model.sources import load_model

    path = folder / "config.json"
    path.write_bytes(data)
    arch = load_model(path, allow_hub=False)
    found = [params_report(arch), kv_report(arch, 131_072), kv_report(arch, 1, "fp8")]
    return finite_trouble(found, NEGATIVE, "params")


def _served(data: bytes, folder: Path) -> list[str]:
    """A config that is accepted must be servable, or be refused: the ledger and an estimate of it."""
    from sizing.engine.placement import Placement
    from sizing.estimate import estimate
    from sizing.memory import memory_ledger
    from sizing.target import resolve_target

    path = folder / "config.json"
    path.write_bytes(data)
    rng = random.Random(len(data))
    on = rng.choice(("h100-sxm", "b200-sxm", "ascend-910b2", "mi300x", "l40s"))
    target = resolve_target(str(path), on)
    place = Placement(rng.choice((1, 2, 8)), 1, 1, 1)
    ledger = memory_ledger(target.arch, target.accelerator.usable_bytes, place, target.engine, target.scheme,
                           device_name=target.accelerator.id, kv_dtype=target.kv)  # fmt: skip
    # What is left for the cache is below 0 where a model does not fit: that is the answer.
    found = finite_trouble(ledger.to_dict(), re.compile("pool|free|left|kv|ledger"), "memory")
    if ledger.fits:
        answer = estimate(str(path), on, place, input_tokens=100.0, output_tokens=50.0, target=target)
        found += finite_trouble(answer.to_dict(), NEGATIVE, "estimate")
    return found


# ---- checkpoints


def _safetensors_seeds() -> list[bytes]:
    def file(header: dict[str, Any], body: int) -> bytes:
        text = json.dumps(header).encode()
        return struct.pack("<Q", len(text)) + text + b"\0" * body

    return [
        file({"a": {"dtype": "BF16", "shape": [4, 8], "data_offsets": [0, 64]}, "__metadata__": {"format": "pt"}}, 64),
        file({"x": {"dtype": "F8_E4M3", "shape": [16], "data_offsets": [0, 16]},
              "y": {"dtype": "F32", "shape": [], "data_offsets": [16, 20]}}, 20),
        file({f"t{i}": {"dtype": "F4", "shape": [2, 2], "data_offsets": [2 * i, 2 * i + 2]} for i in range(30)}, 60),
    ]  # fmt: skip


def _mutate_safetensors(rng: random.Random, data: bytes) -> bytes:
    if rng.random() < 0.25 or len(data) < 8:
        return mutate.raw(rng, data)
    size = struct.unpack("<Q", data[:8])[0]
    header = mutate.json_bytes(rng, data[8 : 8 + size])
    stated = len(header) if rng.random() < 0.85 else rng.choice((0, 1, 2**31, 2**63, 2**64 - 1, len(header) + 1))
    return struct.pack("<Q", stated) + header + data[8 + size :]


def _safetensors(data: bytes, folder: Path) -> list[str]:
    from sizing.model.safetensors import read_header, safetensors_headers

    path = folder / "model.safetensors"
    path.write_bytes(data)
    found = [asdict(item) for item in read_header(path)]
    assert found == [asdict(item) for item in safetensors_headers(folder)]
    return finite_trouble(found, NEGATIVE, "tensors")


def _index(data: bytes, folder: Path) -> list[str]:
    """The index of a sharded checkpoint beside a config: a trouble with it is a note, never a crash."""
    from sizing.model.sources import load_model

    (folder / "config.json").write_bytes((CATALOG / "Qwen__Qwen3-8B.json").read_bytes())
    (folder / "model.safetensors.index.json").write_bytes(data)
    arch = load_model(folder, allow_hub=False)
    return finite_trouble({"stored": arch.stored_bytes, "total": arch.total}, NEGATIVE, "index")


def _index_seeds() -> list[bytes]:
    names = {f"model.layers.{i}.w": f"model-0000{i % 3}-of-00003.safetensors" for i in range(9)}
    return [json.dumps({"metadata": {"total_size": 10}, "weight_map": names}).encode()]


@cache
def gguf_seeds() -> list[bytes]:
    """Small GGUF files of several families, as the gguf package writes them."""

    from tests.model.test_gguf import EXTRA, write

    found = []
    with tempfile.TemporaryDirectory() as name:
        for number, arch in enumerate(EXTRA):
            path = Path(name) / f"{arch}.gguf"
            write(path, arch, tied=number % 2 == 0, quantized=number % 3 == 0)
            found.append(path.read_bytes()[:60_000])
            found.append(path.read_bytes())
    return found


def _gguf(data: bytes, folder: Path) -> list[str]:
    from sizing.model.counts import params_report
    from sizing.model.sources import load_model

    path = folder / "tiny.gguf"
    path.write_bytes(data)
    return finite_trouble(params_report(load_model(path, allow_hub=False)), NEGATIVE, "gguf")


def _mutate_gguf(rng: random.Random, data: bytes) -> bytes:
    """Mostly the metadata at the start, where the counts and lengths stand."""
    if rng.random() < 0.2:
        return mutate.raw(rng, data)
    head = rng.choice((64, 400, 3000))
    return mutate.raw(rng, data[:head]) + data[head:]


# ---- the hardware catalog


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
    from sizing.hardware import NoPriceError, check_file, hourly_price, load_catalog, servers_for

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


# ---- studies, and what is made of them


def _study_seeds() -> list[bytes]:
    own = b"""
version: 1
title: a chat service
model: {name: Qwen/Qwen3-8B, weights: [fp8], context: 16384}
workload:
  name: chat
  input: {kind: lognormal, mean: 2000, p95: 6000}
  output: {kind: uniform, low: 100, high: 300}
  arrival: {kind: users, users: 200, think_s: 20}
  prefix_cache_hit_rate: 0.3
  daily: {weights: [1,1,1,1,1,1,2,3,4,5,6,6,6,6,6,5,4,3,2,2,1,1,1,1]}
  thinking_output_multiplier: 1.5
  targets: {ttft_p95_s: 2, tpot_p95_s: 0.05, headroom: 0.2, spare_replicas: 1, goodput_share: 0.9}
hardware:
  - {accelerator: h100-sxm, usd_per_hour: 2.5, max_accelerators: 64, term: reserved}
engine: {names: [vllm], speculative: "off", max_num_seqs: 128, memory_utilization: 0.9}
constraints: {max_nodes: 1, max_plans: 3, tensor_parallel: [1, 2]}
money: {mode: own, own: {years: 3, pue: 1.2}}
"""
    plain = b"model: qwen3-8b\nworkload: chat\nhardware: [l40s]\nconstraints: {max_plans: 2}\n"
    config = (CATALOG / "Qwen__Qwen3-8B.json").read_bytes()
    inline = json.dumps(
        {"model": {"name": "mine", "config": json.loads(config)}, "workload": "rag", "hardware": ["a100-80gb-sxm"]}
    )
    return [own, plain, inline.encode(), *_files("examples/*.yaml")]


@cache
def _study_keys() -> tuple[str, ...]:
    from sizing.study import Study, _all_keys

    return tuple(_all_keys(Study))


def _mutate_study(rng: random.Random, data: bytes) -> bytes:
    return mutate.yaml_bytes(rng, data, _study_keys())


def _load(data: bytes, folder: Path) -> Any:
    from sizing.study import load_study

    path = folder / "study.yaml"
    path.write_bytes(data)
    return load_study(path)


def _study(data: bytes, folder: Path) -> list[str]:
    """Reading, and what is read must survive being written."""
    from sizing.study import parse_study, parse_yaml

    study = _load(data, folder)
    if parse_study(json.loads(study.to_json())) != study:
        return ["round trip: JSON gives another study"]
    if parse_study(parse_yaml(study.to_yaml())) != study:
        return ["round trip: YAML gives another study"]
    return finite_trouble(study.model_dump(), re.compile("config"), "study")


def _plan(data: bytes, folder: Path) -> list[str]:
    from sizing.planner import plan

    answer = plan(_load(data, folder))
    return finite_trouble(answer.to_dict(), re.compile(f"{NEGATIVE.pattern}|study|config"), "plan")


def _plain_study(rng: random.Random, data: bytes) -> bytes:
    """Texts of a study replaced by hostile ones: the study itself stays right."""
    import yaml

    try:
        tree = yaml.safe_load(data)
    except yaml.YAMLError:
        return mutate.raw(rng, data)
    if not isinstance(tree, dict):
        return mutate.raw(rng, data)
    tree["title"] = rng.choice(mutate.HOSTILE_TEXT)[:300] + rng.choice(mutate.HOSTILE_TEXT)[:100]
    if isinstance(tree.get("workload"), str):
        tree["workload"] = {"preset": tree["workload"]}
    if isinstance(tree.get("workload"), dict):
        tree["workload"]["name"] = rng.choice(mutate.HOSTILE_TEXT)[:200]
        tree["workload"]["source"] = rng.choice(mutate.HOSTILE_TEXT)[:2000]
    if isinstance(tree.get("model"), dict) and tree["model"].get("config"):
        tree["model"]["name"] = (rng.choice(mutate.HOSTILE_TEXT) or "m")[:1000]
    if rng.random() < 0.5:
        tree = mutate.value(rng, tree, _study_keys())
    return json.dumps(tree, default=str).encode()


class _Tags(HTMLParser):
    """Tags, handlers and links of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.bad: list[str] = []
        self.scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        if tag in ("img", "iframe", "object", "embed", "base", "form", "link"):
            self.bad.append(f"<{tag}>")
        for name, content in attrs:
            if name.startswith("on") or (
                name in ("href", "src", "xlink:href") and not re.match(r"#|data:image|https?://", content or "")
            ):
                self.bad.append(f"<{tag} {name}={content!r:.80}>")


def html_trouble(text: str) -> list[str]:
    """What stands in a page that its text must not have brought about."""
    parser = _Tags()
    parser.feed(text)
    found = [f"html: {item}" for item in parser.bad]
    if parser.scripts > 1:
        found.append(f"html: {parser.scripts} scripts")
    return found


def xlsx_trouble(data: bytes) -> list[str]:
    """Formulas that are not the report's own, links, and text that a sheet would take for a formula."""
    found = []
    with zipfile.ZipFile(io.BytesIO(data)) as book:
        for name in book.namelist():
            text = book.read(name).decode("utf-8")
            if "externalLink" in name or "<hyperlink " in text:
                found.append(f"xlsx: {name} has a link")
            for formula in re.findall(r"<f>(.*?)</f>", text, re.DOTALL):
                if re.search(r"HYPERLINK|cmd\||WEBSERVICE|SUM\(A1\)|^1\+1|DDE|\|'", formula):
                    found.append(f"xlsx: {name}: formula {formula[:80]!r}")
            if name.endswith("sharedStrings.xml"):
                for cell in re.findall(r"<t[^>]*>(.*?)</t>", text, re.DOTALL):
                    if re.match(r"\s*[=@+]|[\t\r]", cell) or re.match(r"-\S*[(|]", cell):
                        found.append(f"xlsx: a cell starts like a formula: {cell[:80]!r}")
    return found


def _report(data: bytes, folder: Path) -> list[str]:
    from sizing.planner import plan
    from sizing.report import report

    rng = random.Random(len(data))
    answer = plan(_load(data, folder))
    language = rng.choice(("en", "zh"))
    found = []
    for kind in ("html", "xlsx", "md", "json"):
        path = folder / f"out.{kind}"
        report(answer, path, language=language, date="2026-11-24")
        content = path.read_bytes()
        if kind == "html":
            found += html_trouble(content.decode())
        elif kind == "xlsx":
            found += xlsx_trouble(content)
        elif kind == "md":
            outside = re.sub(r"^(`{3,}).*?^\1$", "", content.decode(), flags=re.MULTILINE | re.DOTALL)
            if re.search(r"(?<!\\)<(script|img)|(?<!\\)\]\(javascript", outside):
                found.append("md: raw HTML or a script link")
        else:
            found += finite_trouble(
                json.loads(content, parse_constant=float), re.compile(f"{NEGATIVE.pattern}|study|config|rows"), "json"
            )
    return found


def _deploy(data: bytes, folder: Path) -> list[str]:
    import yaml

    from sizing.deploy import deployment_files
    from sizing.deployment import spec_of
    from sizing.planner import plan

    answer = plan(_load(data, folder))
    best = answer.plans[0] if answer.plans else None
    found = []
    for name, content in deployment_files(spec_of(answer, best, date="2026-11-24"), "all").items():
        if Path(name).name != name or name.startswith("."):
            found.append(f"deploy: the name {name!r}")
        if name.endswith(".yaml"):
            list(yaml.safe_load_all(content))
        if re.search(r"^\s*touch owned|^rm |^\$\(touch", content, re.MULTILINE):
            found.append(f"deploy: {name} runs a text of the study")
    return found


# ---- workloads, measurements


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
    return lambda: [path.read_bytes() for name in names for path in sorted(BENCH.glob(name))]


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
    from sizing.evidence.calibration import load_calibration
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
    from sizing.evidence.calibration import load_calibration

    path = folder / "cal.yaml"
    path.write_bytes(data)
    found = load_calibration(path)
    return finite_trouble(
        [asdict(found), asdict(found.spread("ttft")), asdict(found.spread("tpot"))], NEGATIVE, "calibration"
    )


def _share_seeds() -> list[bytes]:
    from sizing.study import parse_study, parse_yaml
    from sizing.web.share import encode

    return [encode(parse_study(parse_yaml(seed.decode()))).encode() for seed in _study_seeds()[:2]]


def _mutate_share(rng: random.Random, data: bytes) -> bytes:
    """The link's text, or the study inside it."""
    import base64
    import zlib

    if rng.random() < 0.4:
        return mutate.raw(rng, data)
    try:
        text = data.partition(b".")[2]
        plain = zlib.decompress(base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4)))
    except ValueError:
        return mutate.raw(rng, data)
    except zlib.error:
        return mutate.raw(rng, data)
    packed = zlib.compress(mutate.json_bytes(rng, plain, _study_keys()))
    return b"1." + base64.urlsafe_b64encode(packed).rstrip(b"=")


def _share(data: bytes, folder: Path) -> list[str]:
    from sizing.web.share import decode, encode

    study = decode(data.decode("utf-8", "replace"))
    return [] if decode(encode(study)) == study else ["round trip: the link gives another study"]


def markdown_trouble(text: str) -> list[str]:
    """What Markdown of the page would obey: raw HTML, images, links that are no web address."""
    bare = re.sub(r"\\.|`[^`]*`", "", text)
    found = re.findall(
        r"<\s*(?:script|img|a|iframe|svg)\b|!\[[^\]]*\]\(|\]\((?!https?://|#|/)[^)]*\)", bare, re.IGNORECASE
    )
    return [f"markdown: {item!r} in {text[:120]!r}" for item in found]


def _page_seeds() -> list[bytes]:
    import streamlit.testing.v1  # noqa: F401  (makes a folder of its own, before anything is watched)

    return _study_seeds()[:3]


def _page(data: bytes, folder: Path) -> list[str]:
    """A page of the web calculator opened with a link: no exception, no text of the study obeyed as Markdown."""
    from streamlit.testing.v1 import AppTest
    from streamlit.util import calc_hash

    from sizing.web.share import encode

    rng = random.Random(len(data))
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.query_params["s"] = encode(_load(data, folder)) if rng.random() < 0.8 else data.decode("utf-8", "replace")
    app.query_params["lang"] = rng.choice(("en", "zh", "xx"))
    page = rng.choice(("plan", "memory", "speed", "cost", "compare", "claim", "evidence", "catalog"))
    app._page_hash = calc_hash("" if page == "plan" else page)
    app.run()
    found = [f"page {page}: {item.message} {' '.join(item.stack_trace[-4:])}"[:1500] for item in app.exception]
    for kind in ("markdown", "error", "warning", "success", "info", "caption", "title", "header", "subheader"):
        found += [trouble for item in getattr(app, kind) for trouble in markdown_trouble(str(item.value))]
    return found


def _upload(data: bytes, folder: Path) -> list[str]:
    from sizing.web.uploads import read_config, read_study

    read_config(data, "mine") if b"workload" not in data and data[:1] == b"{" else read_study(data)
    return []


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


def _config_seeds() -> list[bytes]:
    return _files("sizing/model/catalog/*.json", most=60_000)


TARGETS: dict[str, Target] = {
    item.name: item
    for item in (
        Target("config", _config_seeds, _mutate_config, _config, 3),
        Target("served", _config_seeds, _mutate_config, _served, 3),
        Target("safetensors", _safetensors_seeds, _mutate_safetensors, _safetensors),
        Target("index", _index_seeds, lambda r, d: mutate.json_bytes(r, d), _index, 0.5),
        Target("gguf", gguf_seeds, _mutate_gguf, _gguf, 1.5),
        Target("hardware", _hardware_seeds, lambda r, d: mutate.yaml_bytes(r, d, _hardware_keys()), _hardware, 2),
        Target("study", _study_seeds, _mutate_study, _study, 1.5),
        Target("plan", _study_seeds, _mutate_study, _plan, 3),
        Target("report", _study_seeds, _plain_study, _report, 2),
        Target("deploy", _study_seeds, _plain_study, _deploy, 1.5),
        Target("trace", _trace_seeds, mutate.csv_bytes, _trace),
        Target("mooncake", _mooncake_seeds, mutate.lines_bytes, _mooncake),
        Target("lengths", lambda: [b"input,output\n10,20\n30,40\n"], mutate.csv_bytes, _lengths, 0.5),
        Target("vllm", _bench_seeds("vllm*", "trtllm*"), lambda r, d: mutate.json_bytes(r, d), _bench),
        Target("sglang", _bench_seeds("sglang*"), mutate.lines_bytes, _bench),
        Target("guidellm", _bench_seeds("guidellm*"), lambda r, d: mutate.json_bytes(r, d), _bench),
        Target("aiperf", _bench_seeds("aiperf*", "genai*"), mutate.lines_bytes, _bench),
        Target("others", _bench_seeds("infer*", "llmd*"), lambda r, d: mutate.json_bytes(r, d), _bench, 0.5),
        Target(
            "calibrate", _bench_seeds("vllm*", "sglang*", "guidellm*", "aiperf*"), mutate.lines_bytes, _calibrate, 1.5
        ),
        Target("calibration", _calibration_seeds, lambda r, d: mutate.yaml_bytes(r, d), _calibration, 0.5),
        Target("rows", _rows_seeds, mutate.csv_bytes, _rows),
        Target("share", _share_seeds, _mutate_share, _share, 0.5),
        Target("upload", lambda: [*_study_seeds(), *_config_seeds()[:20]], _mutate_study, _upload),
        Target("page", _page_seeds, _plain_study, _page, 2),
        Target("claim", _claim_seeds, _mutate_text, _claim),
        Target("command", _command_seeds, _mutate_command, _command, 4),
    )
}
