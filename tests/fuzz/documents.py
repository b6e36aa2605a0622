"""Fuzz targets: studies, and what is made of them: plans, reports, deployment files, links, pages."""

from __future__ import annotations

import base64
import io
import json
import random
import re
import zipfile
import zlib
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from tests.fuzz import mutate
from tests.fuzz.base import CATALOG, NEGATIVE, ROOT, files
from tests.fuzz.guard import finite_trouble


def study_seeds() -> list[bytes]:
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
    return [own, plain, inline.encode(), *files("examples/*.yaml")]


@cache
def _study_keys() -> tuple[str, ...]:
    from sizing.base.checked import all_keys
    from sizing.study import Study

    return tuple(all_keys(Study))


def mutate_study(rng: random.Random, data: bytes) -> bytes:
    return mutate.yaml_bytes(rng, data, _study_keys())


def _load(data: bytes, folder: Path) -> Any:
    from sizing.study import load_study

    path = folder / "study.yaml"
    path.write_bytes(data)
    return load_study(path)


def study_file(data: bytes, folder: Path) -> list[str]:
    """Reading, and what is read must survive being written."""
    from sizing.study import parse_study, parse_yaml

    study = _load(data, folder)
    if parse_study(json.loads(study.to_json())) != study:
        return ["round trip: JSON gives another study"]
    if parse_study(parse_yaml(study.to_yaml())) != study:
        return ["round trip: YAML gives another study"]
    return finite_trouble(study.model_dump(), re.compile("config"), "study")


def planned(data: bytes, folder: Path) -> list[str]:
    from sizing.planning.planner import plan

    answer = plan(_load(data, folder))
    return finite_trouble(answer.to_dict(), re.compile(f"{NEGATIVE.pattern}|study|config"), "plan")


def hostile_texts(rng: random.Random, data: bytes) -> bytes:
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


def reported(data: bytes, folder: Path) -> list[str]:
    from sizing.planning.planner import plan
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


def deployed(data: bytes, folder: Path) -> list[str]:
    import yaml

    from sizing.deploy import deployment_files
    from sizing.deploy.plan_spec import spec_of
    from sizing.planning.planner import plan

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


def share_seeds() -> list[bytes]:
    from sizing.study import parse_study, parse_yaml
    from sizing.web.share import encode

    return [encode(parse_study(parse_yaml(seed.decode()))).encode() for seed in study_seeds()[:2]]


def mutate_share(rng: random.Random, data: bytes) -> bytes:
    """The link's text, or the study inside it."""

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


def shared_link(data: bytes, folder: Path) -> list[str]:
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


def page_seeds() -> list[bytes]:
    import streamlit.testing.v1  # noqa: F401  (makes a folder of its own, before anything is watched)

    return study_seeds()[:3]


def page(data: bytes, folder: Path) -> list[str]:
    """A page of the web calculator opened with a link: no exception, no text of the study obeyed as Markdown."""
    from streamlit.testing.v1 import AppTest
    from streamlit.util import calc_hash

    from sizing.web.share import encode

    rng = random.Random(len(data))
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=900)
    app.query_params["s"] = encode(_load(data, folder)) if rng.random() < 0.8 else data.decode("utf-8", "replace")
    app.query_params["lang"] = rng.choice(("en", "zh", "xx"))
    page = rng.choice(("plan", "memory", "speed", "cost", "compare", "claim", "evidence", "catalog"))
    app._page_hash = calc_hash("" if page == "plan" else page)
    app.run()
    found = [f"page {page}: {item.message} {' '.join(item.stack_trace[-4:])}"[:1500] for item in app.exception]
    for kind in ("markdown", "error", "warning", "success", "info", "caption", "title", "header", "subheader"):
        found += [trouble for item in getattr(app, kind) for trouble in markdown_trouble(str(item.value))]
    return found


def uploaded(data: bytes, folder: Path) -> list[str]:
    from sizing.web.uploads import read_config, read_study

    read_config(data, "mine") if b"workload" not in data and data[:1] == b"{" else read_study(data)
    return []
