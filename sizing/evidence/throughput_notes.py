"""What the free-text notes of a throughput row say: requests, rates, speculation, cache hits, scheduler
settings.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from sizing.evidence.fields import number

_SERVE = re.compile(r"serve: (.*?)(?:; hardware|$)")
_CASE = re.compile(r'case "([^"]*)"')
_REQUESTS = (
    re.compile(r"num_prompts=(\d+)"),
    re.compile(r"/ (\d+) requests"),
    re.compile(r"(?<![\d.-])(\d+)(?: ShareGPT)? (?:requests|prompts)\b"),
    re.compile(r"\b(\d+) samples\b"),
)
_RATES = (
    re.compile(r"QPS[= ]\s*(\d+(?:\.\d+)?|inf)\b", re.I),
    re.compile(r"request rate (\d+(?:\.\d+)?|inf)\b", re.I),
    re.compile(r"request_rate[= ](\d+(?:\.\d+)?|inf)\b", re.I),
    re.compile(r"\bat (\d+(?:\.\d+)?) req/s"),
)
_SLO = re.compile(r"SLO ttft (\d+) ms tpot (\d+) ms")
_PREFIX = re.compile(r"\bprefix[-_ ]?(?:cache dataset prefix)?(\d{1,2})\b")
_HITS = re.compile(r"(\d+(?:\.\d+)?)\s*%[^;]{0,20}\b(?:cache )?hits?\b")
_ACCEPT = re.compile(r"accept(?:ance)? rate (\d+(?:\.\d+)?)\s*%")
_LABEL = re.compile(r"parallelism label ([^;(]*)")
_DEP = re.compile(r"DEP(\d+)")
_PP = re.compile(r"PP(\d+)")
_EAGER = re.compile(r"(?<!not )\beager\b", re.I)
_GRAPH = re.compile(r"\b(?:torchair |acl)?graph\b(?! mode unstated)", re.I)
_IN_PROCESS = re.compile(
    r"trtllm-bench|gptManagerBenchmark|gptSessionBenchmark|benchmark_throughput|benchmark_latency|vllm bench "
    r"throughput|pytorch backend; kv fraction|DEP = attention-DP|MLPerf|speed formula|speed=\(prompt|batch-1 "
    r"first-token latency|profile\.py|kv_cache_free_gpu_mem_fraction"
)
_OPTIONS = {
    "max_num_batched_tokens": ("max-num-batched-tokens", "max_num_batched_tokens", "max_num_tokens"),
    "chunked_prefill_size": ("chunked-prefill-size", "chunked_prefill_size"),
    "max_num_seqs": ("max-num-seqs", "max-running-requests", "max_num_seqs", "max_batch_size"),
    "memory_fraction": (
        "gpu-memory-utilization",
        "mem-fraction-static",
        "kv_cache_free_gpu_memory_fraction",
        "kv_cache_free_gpu_mem_fraction",
    ),
    "max_model_len": ("max-model-len", "max_seq_len", "context-length"),
    "tp": ("tensor-parallel-size", "tp-size", "tp_size", "tp"),
    "pp": ("pipeline-parallel-size", "pp-size", "pp_size"),
    "dp": ("data-parallel-size", "dp-size", "dp_size", "dp"),
    "ep": ("ep-size", "ep_size", "ep"),
    "draft_tokens": ("speculative-num-steps",),
}


@dataclass(frozen=True, slots=True)
class Hints:
    """What was found. Options are those of the serve command (or of the case it was varied by); None: not
    stated.

    rate: offered [requests/s], inf for all at once. slo_*: 99th percentile limits [s]. cached_share: of the
    prompt, found in the prefix cache. accept_rate: of drafted tokens.
    """

    requests: int | None = None
    rate: float | None = None
    slo_ttft_s: float | None = None
    slo_tpot_s: float | None = None
    speculative: bool = False
    draft_tokens: int | None = None
    accept_rate: float | None = None
    cached_share: float = 0.0
    disaggregated: bool = False
    static: bool = False
    in_process: bool = False
    median: bool = False
    suspect: bool = False
    per_package: bool = False
    prefill_only: bool = False
    attention_dp: bool = False
    expert_parallel: bool = False
    power_capped: bool = False
    eager: bool | None = None
    options: tuple[tuple[str, float], ...] = ()
    kv_dtype: str | None = None

    def option(self, name: str) -> float | None:
        """A scheduler or parallelism option of the serve command."""
        return dict(self.options).get(name)


def _first(patterns: tuple[re.Pattern[str], ...], text: str) -> str | None:
    for pattern in patterns:
        found = pattern.search(text)
        if found:
            return found.group(1)
    return None


def _options(command: str, case: str, notes: str) -> dict[str, float]:
    """Numbers of known options; the case that a section varies wins over the serve line beside it."""
    found: dict[str, float] = {}
    for name, spellings in _OPTIONS.items():
        for text in (case, command):
            hit = re.search(rf"--?(?:{'|'.join(spellings)})[= ]\s*(\d+(?:\.\d+)?)\b", text)
            value = number(hit.group(1)) if hit else None
            if value:
                found[name] = value
                break
    for name in ("max_num_seqs", "max_num_batched_tokens"):
        said = re.search(rf"\b{name} (\d{{1,7}})\b", notes)
        if said and name not in found:
            found[name] = float(said.group(1))
    fraction = re.search(r"kv(?:_cache_free_gpu_mem)?[ _]fraction (?:mostly )?(0\.\d+)", notes)
    if fraction and "memory_fraction" not in found:
        found["memory_fraction"] = float(fraction.group(1))
    drafts = re.search(r'num_speculative_tokens"?[:=]\s*(\d{1,3})', command) or re.search(r"MTP\((\d+) token", notes)
    if drafts:
        found["draft_tokens"] = float(drafts.group(1))
    label = _LABEL.search(notes)
    if label:
        for name, pattern in (("dep", _DEP), ("pp", _PP)):
            hit = pattern.search(label.group(1))
            if hit:
                found[name] = float(hit.group(1))
    return found


def _speculative(notes: str, command: str, model: str, concurrency: float | None) -> bool:
    """Whether drafts were verified: a note may limit it to one model or to some concurrencies."""
    if re.search(r"(?:without|no) speculative|baseline without", notes):
        return False
    only = re.search(r"speculative decoding on for (\S+)", notes)
    if only:
        return only.group(1).lower() in model.lower()
    cells = re.search(r"\(conc ([\d,]+)\) use MTP", notes)
    if cells:
        return concurrency is not None and f"{concurrency:g}" in cells.group(1).split(",")
    if re.search(r"--speculative|speculative_config|speculative-config", command):
        return True
    return bool(re.search(r"speculative(?: decoding)?/MTP on|WITH \w+ speculative|with speculative", notes))


def read_notes(notes: str, model: str = "", concurrency: float | None = None) -> Hints:
    """The facts in the notes of one row. Never raises."""
    notes = notes[:20_000]
    serve = _SERVE.search(notes)
    command = serve.group(1) if serve else ""
    case_found = _CASE.search(notes)
    plain = notes.replace(command, "") if command else notes
    options = _options(command, case_found.group(1) if case_found else "", plain)
    requests = _first(_REQUESTS, plain)
    rate = number(_first(_RATES, plain))
    slo = _SLO.search(plain)
    shares = [float(x) / 100 for x in (_first((_HITS,), plain), _first((_PREFIX,), plain)) if x]
    accept = _ACCEPT.search(plain)
    kv = re.search(r"--kv-cache-dtype[= ](\S+)", command)
    speculative = _speculative(plain, command, model, concurrency)
    return Hints(
        requests=int(requests) if requests and len(requests) < 10 else None,
        rate=math.inf if rate == 0 else rate,  # AISBench: 0 is no limit
        slo_ttft_s=float(slo.group(1)) * 1e-3 if slo else None,
        slo_tpot_s=float(slo.group(2)) * 1e-3 if slo else None,
        speculative=speculative,
        draft_tokens=int(options["draft_tokens"]) if speculative and "draft_tokens" in options else None,
        accept_rate=float(accept.group(1)) / 100 if accept and speculative else None,
        cached_share=0.0 if "prefix caching off" in plain else min(max(shares, default=0.0), 1.0),
        disaggregated=bool(re.search(r"disaggregated|\b\d+P\d*1?D\b|PD disagg|prefill single-node", plain)),
        static="static batch" in plain or "static engine" in plain,
        in_process=bool(_IN_PROCESS.search(plain)),
        median=bool(re.search(r"\bMEDIAN\b|P50 TTFT", plain)),
        suspect="SUSPECT" in plain or "ANOMALY" in plain,
        per_package=bool(re.search(r"one 910C package|card = 2 dies|per NPU = package", plain)),
        prefill_only="prefill-only" in plain,
        attention_dp="enable_attention_dp" in plain or "--enable-dp-attention" in command,
        expert_parallel="--enable-expert-parallel" in command or "--enable-ep-moe" in command,
        power_capped="power-capped" in plain,
        eager=bool(_EAGER.search(plain)) if _EAGER.search(plain) or _GRAPH.search(plain) else None,
        options=tuple(sorted(options.items())),
        kv_dtype=kv.group(1).removesuffix(";") if kv else None,
    )
