"""From a plan to its deployment files: ``spec_of`` says what ``sizing.deploy`` needs to know about a Result's plan."""

from __future__ import annotations

import math
from dataclasses import replace

from sizing.base.dates import today
from sizing.base.errors import SizingError
from sizing.base.ledger import Interval
from sizing.deploy import DeploymentSpec, Disaggregated, Expected, Parallelism, Rope, Speculative, Workload
from sizing.deploy.launch import takes_served_name
from sizing.deploy.parsers import has_parser
from sizing.deploy.spec import Interval as ExpectedInterval
from sizing.engine.base import Engine, Load
from sizing.engine.placement import Placement
from sizing.hardware import Catalog, load_catalog
from sizing.memory.terms import memory_terms, resolve_load
from sizing.model.architecture import Architecture
from sizing.model.quantization.schemes import QuantScheme
from sizing.planning.candidates import Demand
from sizing.planning.planner import study_model
from sizing.planning.result import Plan, Result
from sizing.planning.target import Target
from sizing.workload import BatchArrival

# The planner's weight formats as the engines' launch files call them.
WEIGHTS = {
    "bf16": "bf16", "fp16": "fp16", "fp8": "fp8", "fp8_channel": "fp8", "fp8_block": "fp8_block", "int8": "int8_w8a8",
    "int8_wo": "w8a16", "int4_awq": "awq", "int4_gptq": "gptq", "int4": "gptq", "w4a8": "w4a8", "mxfp4": "mxfp4",
    "nvfp4": "nvfp4", "mxfp8": "mxfp8", "bnb": "bitsandbytes", "torchao": "torchao",
}  # fmt: skip
SUFFIXES = {"fp8": "FP8", "fp8_block": "FP8", "awq": "AWQ", "gptq": "GPTQ-Int4", "int8_w8a8": "W8A8", "w8a16": "W8A16",
            "w4a8": "W4A8", "nvfp4": "NVFP4", "mxfp4": "MXFP4"}  # fmt: skip
AT_LOAD = "bnb_nf4"  # what engines make of a 16-bit checkpoint while they load it (--quantization bitsandbytes)
# Theta of the rotary base where YaRN is switched on by the publisher's recipe: (name starts with, original, theta).
YARN = (("qwen3", 32_768, 1_000_000.0), ("qwen2.5", 32_768, 1_000_000.0), ("qwq", 32_768, 1_000_000.0))
REASONING = (
    ("qwen3", "qwen3"), ("qwq", "deepseek-r1"), ("deepseek-r1", "deepseek-r1"), ("deepseek-v3.1", "deepseek-v3"),
    ("glm-4.5", "glm45"), ("kimi-k2", "kimi-k2"), ("gpt-oss", "gpt-oss"), ("minimax-m2", "minimax-m2"),
)  # fmt: skip


def spec_of(
    result: Result, plan: Plan | None = None, *, date: str | None = None, catalog: Catalog | None = None
) -> DeploymentSpec:
    """The spec of a plan (the best one by default). Raises SizingError where there is none, or no engine files for it.

    The engine's own limits (running requests, tokens of a step, memory fraction) are those that the plan's memory was
    computed with, so that the files start what was planned.
    """
    chosen = plan or result.best
    if chosen is None:
        raise SizingError("no plan meets the targets, so there is nothing to deploy", key="plan")
    catalog = catalog or load_catalog()
    arch = study_model(result.study)
    weights = WEIGHTS.get(chosen.weights) or _native(arch, chosen)
    target = chosen.resolved
    demand = Demand.of(result.study.workload, target, result.study.model.context)
    engine = result.study.engine
    load = resolve_load(
        target.engine,
        target.device,
        arch,
        Placement(**chosen.placement),
        context=demand.context,
        max_num_seqs=engine.max_num_seqs,
        max_num_batched_tokens=engine.max_num_batched_tokens,
        utilization=engine.memory_utilization or chosen.memory_utilization,
        speculative_tokens=chosen.speculative_tokens,
    )
    load = started(target, Placement(**chosen.placement), load)
    longest = max(demand.context, math.ceil(demand.input_tokens + demand.output_tokens))
    name = arch.name.rsplit("/", 1)[-1]
    return DeploymentSpec(
        plan=_plan_text(name, chosen),
        date=date or today().isoformat(),
        model=checkpoint(arch, weights, chosen),
        engine=chosen.engine,
        parallelism=Parallelism(**{axis: int(size) for axis, size in chosen.placement.items()}),
        weights=weights,
        accelerator=chosen.accelerator,
        vendor=_vendor(target),
        accelerators_per_node=target.host_size,
        engine_version=chosen.engine_version or None,
        max_model_len=longest,
        max_num_seqs=int(load.max_num_seqs),
        max_num_batched_tokens=int(load.max_num_batched_tokens),
        memory_utilization=float(load.utilization),
        native_context=arch.native_context or longest,
        kv_dtype=_kv(chosen.kv_dtype, arch),
        replicas=chosen.replicas,
        moe=arch.is_moe,
        moe_intermediate_size=_expert_width(arch),
        rope=_rope(arch, longest),
        speculative=_speculative(arch, chosen),
        reasoning_parser=_reasoning(name, target.engine),
        disaggregated=_pools(chosen),
        workload=_workload(result, chosen, demand),
        expected=_expected(chosen),
        served_model_name=name.lower() if takes_served_name(chosen.engine) else None,
        enforce_eager=result.study.engine.enforce_eager,
    )


def started(target: Target, place: Placement, load: Load) -> Load:
    """The flags with which the engine starts: no more running requests than its pool has recurrent states for."""
    terms = memory_terms(
        target.arch,
        target.device,
        place,
        target.engine,
        target.scheme,
        replace(load, automatic=False),
        kv_dtype=target.kv,
    )
    return replace(load, max_num_seqs=max(1, int(terms.max_num_seqs)))


def _native(arch: Architecture, plan: Plan) -> str:
    """The launch files' word for a checkpoint's own scheme, by what its experts or matrices are stored in."""
    own = arch.native_quantization
    formats = (own.experts, own.linear, *(item for _, item in own.by_name)) if isinstance(own, QuantScheme) else ()
    stored = [item.name for item in sorted(formats, key=lambda item: item.bits)]
    for text in (plan.weights.lower(), *stored):
        for key in (
            "fp8_block",
            "nvfp4",
            "mxfp4",
            "w4a8",
            "mxfp8",
            "awq",
            "gptq",
            "bnb",
            "torchao",
            "int4",
            "int8",
            "fp8",
            "bf16",
            "fp16",
        ):
            if key in text:
                return WEIGHTS.get(key, key)
    raise SizingError(
        f"no engine's launch files know {plan.weights!r} weights", key="weights", hint="plan with bf16 or fp8"
    )


def checkpoint(arch: Architecture, weights: str, plan: Plan) -> str:
    """The repository to serve: the model's own, or its variant in the plan's format under the usual name.

    The name is the publishers' convention (``-FP8``, ``-AWQ``; ``vllm-ascend/...-W8A8``): check that it exists.
    """
    suffix = SUFFIXES.get(weights)
    own = arch.native_quantization is not None and any("own format" in text for text in plan.assumptions)
    if weights in ("bitsandbytes", "torchao") and not own and plan.weights != AT_LOAD:
        raise SizingError(
            f"no engine makes {plan.weights} weights at load", key="weights", hint="plan a checkpoint stored in them"
        )
    if suffix is None or own or arch.name.lower().endswith(suffix.lower()):
        return arch.name
    name = arch.name.rsplit("/", 1)[-1]
    if weights == "int8_w8a8" and plan.accelerator.startswith("ascend"):
        return f"vllm-ascend/{name}-{suffix}"
    return f"{arch.name}-{suffix}"


def _plan_text(name: str, plan: Plan) -> str:
    return f"{name} {plan.weights} on {plan.accelerators} x {plan.accelerator_name}"[:200]


def _vendor(target: Target) -> str:
    """The maker as the launch files know it: a maker's images and resources are its own."""
    if target.accelerator.family.startswith("ascend"):
        return "ascend"
    vendor = target.accelerator.vendor.lower()
    known = next((name for name in ("nvidia", "amd") if name in vendor), None)
    if known is None:
        raise SizingError(
            f"no launch files are written for accelerators of {target.accelerator.vendor}",
            key="accelerator",
            hint="NVIDIA, AMD or Huawei",
        )
    return known


def _speculative(arch: Architecture, plan: Plan) -> Speculative | None:
    """Drafts by the model's own MTP module; another drafter is not named by the plan."""
    if not plan.speculative_tokens:
        return None
    if not arch.mtp_groups:
        raise SizingError(
            f"{arch.name} has no MTP module, and the plan names no draft model",
            key="engine.speculative",
            hint="off, or try",
        )
    return Speculative("mtp", plan.speculative_tokens)


def _kv(kv_dtype: str, arch: Architecture) -> str:
    own = {"bfloat16": "bf16", "float16": "fp16"}.get(arch.torch_dtype)
    return "auto" if kv_dtype == own else kv_dtype


def _expert_width(arch: Architecture) -> int | None:
    for group in arch.groups:
        experts = group.feed_forward.experts
        if experts is not None:
            width = getattr(experts, "intermediate_size", None)
            return int(width) if width else None
    return None


def _rope(arch: Architecture, longest: int) -> Rope | None:
    if not arch.native_context or longest <= arch.native_context:
        return None
    name = arch.name.rsplit("/", 1)[-1].lower()
    for start, original, theta in YARN:
        if name.startswith(start):
            return Rope(factor=float(math.ceil(longest / original)), original_max_position_embeddings=original,
                        rope_theta=theta)  # fmt: skip
    return None


def _reasoning(name: str, engine: Engine) -> str | None:
    """The family of the model's reasoning format, where this version of the engine has a parser of it."""
    family = next((parser for start, parser in REASONING if name.lower().startswith(start)), None)
    return family if has_parser(engine.name, engine.version_text, "reasoning", family) else None


def _pools(plan: Plan) -> Disaggregated | None:
    if not plan.pools:
        return None
    prefill = next(pool for pool in plan.pools if pool.role == "prefill")
    decode = next(pool for pool in plan.pools if pool.role == "decode")
    return Disaggregated(
        Parallelism(**prefill.placement), Parallelism(**decode.placement), prefill.instances, decode.instances,
        prefill.memory_utilization, decode.memory_utilization,
    )  # fmt: skip


def _workload(result: Result, plan: Plan, demand: Demand) -> Workload:
    lengths = max(round(demand.input_tokens), 1), max(round(demand.output_tokens), 1)
    if isinstance(result.study.workload.arrival, BatchArrival):
        return Workload(*lengths, concurrency=max(round(plan.concurrency_per_replica * plan.replicas), 1))
    return Workload(*lengths, request_rate=float(f"{plan.requests_per_s:.4g}"))


def _expected(plan: Plan) -> Expected:
    def times(item: Interval, factor: float = 1.0) -> ExpectedInterval:
        low, middle, high = sorted(float(f"{value * factor:.4g}") for value in (item.p10, item.p50, item.p90))
        return ExpectedInterval(low, middle, high)

    return Expected(
        ttft_ms=times(plan.ttft_s, 1e3), tpot_ms=times(plan.tpot_s, 1e3),
        output_tokens_per_s=times(plan.output_tokens_per_s),
    )  # fmt: skip
