"""Commands that measure the plan's own workload, and the file that says what the plan expects of them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sizing.base.errors import SizingError
from sizing.deploy import flags, yaml_text
from sizing.deploy.command import ROUTER_PORT, Arguments, header, number
from sizing.deploy.scripts import grouped
from sizing.deploy.spec import DeploymentSpec, Workload
from sizing.deploy.text import Token, Variable, shell_line

RESULTS = "results"
SCHEMA = "sizing/expected/1"
BASE_URL = Variable("BASE_URL")
CHAT_ONLY = ("mindie",)
PERCENTILES = "10,50,90,95,99"


def benchmark_files(spec: DeploymentSpec) -> dict[str, str]:
    """``benchmark.sh`` (the engine's usual client), ``benchmark-guidellm.sh`` and ``expected.yaml``."""
    if spec.workload is None:
        raise SizingError("a benchmark needs the plan's workload", key="workload")
    usual = sglang_argv(spec, spec.workload) if spec.engine == "sglang" else vllm_argv(spec, spec.workload)
    return {
        "benchmark.sh": _script(spec, usual),
        "benchmark-guidellm.sh": _script(spec, guidellm_argv(spec, spec.workload)),
        "expected.yaml": expected_file(spec),
    }


def endpoint(spec: DeploymentSpec) -> str:
    """Completions, which send the very prompt, where the engine is known to have them; else chat."""
    return "/v1/chat/completions" if spec.engine in CHAT_ONLY else "/v1/completions"


def requests(workload: Workload) -> int:
    """Requests of one run: ten times what is in flight, or five minutes of arrivals: a small ramp."""
    if workload.concurrency:
        return max(100, 10 * workload.concurrency)
    return max(100, round(300 * (workload.request_rate or 1)))


def labels(spec: DeploymentSpec) -> dict[str, str]:
    """What identifies the plan in a result."""
    layout = spec.layouts()[-1]
    return {
        "engine": spec.engine,
        "engine_version": spec.version,
        "accelerator": spec.accelerator,
        "tensor_parallel_size": str(layout.tp),
        "pipeline_parallel_size": str(layout.pp),
        "data_parallel_size": str(layout.dp),
        "expert_parallel_size": str(layout.ep),
        "replicas": str(spec.replicas),
        "weights": spec.weights,
        "kv_dtype": spec.kv_dtype,
    }


def vllm_argv(spec: DeploymentSpec, workload: Workload) -> tuple[Token, ...]:
    """``vllm bench serve`` of the latest known client, which any OpenAI API answers."""
    args = Arguments()
    chat = spec.engine in CHAT_ONLY
    args.add("--backend", "openai-chat" if chat else "openai", "--base-url", BASE_URL)
    args.add("--endpoint", endpoint(spec))
    args.add("--model", spec.served_name, "--tokenizer", spec.model)
    args.add_if(spec.trust_remote_code, "--trust-remote-code")
    args.add(
        "--dataset-name",
        "random",
        "--random-input-len",
        workload.input_tokens - workload.shared_prefix_tokens,
    )
    args.add("--random-output-len", workload.output_tokens)
    args.add_if(workload.shared_prefix_tokens, "--random-prefix-len", workload.shared_prefix_tokens)
    args.add("--ignore-eos", "--seed", 1, "--num-prompts", requests(workload))
    args.add_if(workload.concurrency, "--max-concurrency", workload.concurrency or 0)
    args.add("--request-rate", number(workload.request_rate) if workload.request_rate else "inf")
    args.add("--percentile-metrics", "ttft,tpot,itl,e2el", "--metric-percentiles", PERCENTILES)
    args.add("--save-result", "--result-dir", RESULTS, "--result-filename", "vllm-bench.json", "--metadata")
    args.add(*(f"{key}={value}" for key, value in labels(spec).items()))
    flags.check("vllm", flags.LATEST["vllm"], list(args), "bench")
    return ("vllm", "bench", "serve", *args)


def sglang_argv(spec: DeploymentSpec, workload: Workload) -> tuple[Token, ...]:
    """``sglang.bench_serving``: a ratio of 1 makes lengths exact; end-of-sequence is ignored by default."""
    args = Arguments()
    if workload.shared_prefix_tokens:
        args.add("--backend", "sglang-oai", "--dataset-name", "generated-shared-prefix", "--gsp-num-groups", 1)
        args.add("--gsp-prompts-per-group", requests(workload))
        args.add("--gsp-system-prompt-len", workload.shared_prefix_tokens)
        args.add("--gsp-question-len", workload.input_tokens - workload.shared_prefix_tokens)
        args.add("--gsp-output-len", workload.output_tokens)
    else:
        args.add(
            "--backend",
            "sglang-oai",
            "--dataset-name",
            "random-ids",
            "--random-input-len",
            workload.input_tokens,
        )
        args.add("--random-output-len", workload.output_tokens, "--random-range-ratio", 1)
    args.add("--base-url", BASE_URL, "--model", spec.model, "--served-model-name", spec.served_name)
    args.add("--seed", 1, "--num-prompts", requests(workload))
    args.add_if(workload.concurrency, "--max-concurrency", workload.concurrency or 0)
    args.add("--request-rate", number(workload.request_rate) if workload.request_rate else "inf")
    args.add("--tag", ",".join(f"{key}={value}" for key, value in labels(spec).items()))
    args.add("--output-file", f"{RESULTS}/sglang-bench.jsonl")
    flags.check("sglang", flags.LATEST["sglang"], list(args), "bench")
    return ("python3", "-m", "sglang.bench_serving", *args)


def guidellm_argv(spec: DeploymentSpec, workload: Workload) -> tuple[Token, ...]:
    """``guidellm run`` (0.8); it measures the first model that the server names."""
    args = Arguments()
    server = Variable(BASE_URL.name, "kind=openai_http,target=", f",request_format={endpoint(spec)}")
    args.add("--backend", server, "--tokenizer", f"kind=huggingface_auto,model={spec.model}")
    if workload.concurrency:
        args.add("--profile", f"kind=concurrent,streams={workload.concurrency}")
    else:
        args.add("--profile", f"kind=poisson,rate={number(workload.request_rate or 1)}")
    args.add("--constraint", f"kind=max_requests,count={requests(workload)}")
    args.add(
        "--data",
        f"kind=synthetic_text,prompt_tokens={workload.input_tokens},output_tokens={workload.output_tokens}",
    )
    args.add("--output", f"kind=json,path={RESULTS}/guidellm.json")
    for key, value in labels(spec).items():
        args.add("--label", f"{key}={value}")
    return ("guidellm", "run", *args)


def _script(spec: DeploymentSpec, argv: tuple[Token, ...]) -> str:
    notes = ["BASE_URL: the server, or the load balancer before the replicas"]
    if spec.weights == "bf16" and spec.model.startswith("/"):
        notes.append("the client reads the tokenizer at the model's path")
    url = f"http://localhost:{ROUTER_PORT if spec.disaggregated else spec.serving_port}"
    lines = ["#!/usr/bin/env bash", header(spec, "Benchmark of the plan's workload", tuple(notes)).rstrip()]
    lines += ["set -euo pipefail", f'BASE_URL="${{BASE_URL:-{url}}}"', f"mkdir -p {RESULTS}"]
    lines.append("exec " + " \\\n  ".join(shell_line(group) for group in grouped(argv)))
    return "\n".join(lines) + "\n"


def expected(spec: DeploymentSpec) -> dict[str, Any]:
    """What the plan expects, and where each result of the benchmarks holds the same figure."""
    layouts = spec.layouts()
    content: dict[str, Any] = {
        "schema": SCHEMA,
        "plan": spec.plan,
        "date": spec.date,
        "model": spec.model,
        "served_model_name": spec.served_name,
        "engine": {"name": spec.engine, "version": spec.version},
        "accelerator": spec.accelerator,
        "placements": [asdict(layout) for layout in layouts],
        "replicas": spec.replicas,
        "weights": spec.weights,
        "kv_dtype": spec.kv_dtype,
        "workload": asdict(spec.workload) if spec.workload else None,
        "expected": {key: value for key, value in asdict(spec.expected).items() if value} if spec.expected else {},
        "results": results(spec),
        "rule": "agrees if p10 <= measured <= p90; ttft and tpot are means over requests",
    }
    return content


def results(spec: DeploymentSpec) -> list[dict[str, Any]]:
    """Files that the benchmarks write, with the field of each figure."""
    common = {"ttft_ms": "mean_ttft_ms", "tpot_ms": "mean_tpot_ms"}
    common |= {"output_tokens_per_s": "output_throughput", "requests_per_s": "request_throughput"}
    usual = "sglang-bench.jsonl" if spec.engine == "sglang" else "vllm-bench.json"
    at = "benchmarks.0.metrics"
    guide = {
        "ttft_ms": f"{at}.time_to_first_token_ms.successful.mean",
        "tpot_ms": f"{at}.time_per_output_token_ms.successful.mean",
        "output_tokens_per_s": f"{at}.output_tokens_per_second.successful.mean",
        "requests_per_s": f"{at}.requests_per_second.successful.mean",
    }
    return [
        {"file": f"{RESULTS}/{usual}", "fields": common},
        {"file": f"{RESULTS}/guidellm.json", "fields": guide},
    ]


def expected_file(spec: DeploymentSpec) -> str:
    """``expected.yaml``: read by ``sizing calibrate`` together with the results."""
    return yaml_text.file(header(spec, "Expected against measured"), [expected(spec)])
