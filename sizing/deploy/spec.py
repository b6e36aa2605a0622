"""The one input of the deployment files: everything about a chosen plan that a launch command can say."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from sizing.base.errors import PlacementError, SizingError
from sizing.deploy import flags, text
from sizing.model.kv_formats import KV_FORMATS

ENGINES = ("vllm", "sglang", "tensorrt-llm", "vllm-ascend", "mindie")
VENDORS = {"nvidia": "nvidia.com/gpu", "amd": "amd.com/gpu", "ascend": "huawei.com/Ascend910"}
ENGINE_VENDORS = {
    "vllm": ("nvidia", "amd"),
    "sglang": ("nvidia", "amd", "ascend"),
    "tensorrt-llm": ("nvidia",),
    "vllm-ascend": ("ascend",),
    "mindie": ("ascend",),
}
WEIGHTS = (
    "bf16", "fp16", "fp8", "fp8_block", "int8_w8a8", "w8a16", "awq", "gptq", "w4a8", "nvfp4", "mxfp4", "mxfp8",
    "bitsandbytes", "torchao",
)  # fmt: skip
KV_DTYPES = ("auto", "fp16", *KV_FORMATS)
PORTS = {"vllm": 8000, "vllm-ascend": 8000, "sglang": 30000, "tensorrt-llm": 8000, "mindie": 1025}


@dataclass(frozen=True)
class Interval:
    """A figure as its 10th, 50th and 90th percentile."""

    p10: float
    p50: float
    p90: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) and value >= 0 for value in (self.p10, self.p50, self.p90)):
            raise SizingError("percentiles must be finite and not negative", key="expected")
        if not self.p10 <= self.p50 <= self.p90:
            raise SizingError("percentiles must be in order: p10 <= p50 <= p90", key="expected")


@dataclass(frozen=True)
class Expected:
    """What the plan predicts for the whole deployment (throughput) and for one request (latency)."""

    ttft_ms: Interval | None = None
    tpot_ms: Interval | None = None
    output_tokens_per_s: Interval | None = None
    requests_per_s: Interval | None = None


@dataclass(frozen=True)
class Workload:
    """The workload of the whole deployment: lengths [tokens], and a concurrency or a rate [requests/s]."""

    input_tokens: int
    output_tokens: int
    concurrency: int | None = None
    request_rate: float | None = None
    shared_prefix_tokens: int = 0

    def __post_init__(self) -> None:
        _at_least(1, workload_input=self.input_tokens, workload_output=self.output_tokens)
        _at_least(0, shared_prefix_tokens=self.shared_prefix_tokens)
        if self.shared_prefix_tokens >= self.input_tokens:
            raise SizingError("must be shorter than the input", key="shared_prefix_tokens")
        if self.concurrency is None and self.request_rate is None:
            raise SizingError("give a concurrency or a request rate", key="workload")
        if self.concurrency is not None:
            _at_least(1, concurrency=self.concurrency)
        if self.request_rate is not None and not (math.isfinite(self.request_rate) and self.request_rate > 0):
            raise SizingError("must be a positive number", key="request_rate")


@dataclass(frozen=True)
class Parallelism:
    """One replica: ``dp`` attention groups of ``tp`` x ``pp``; experts over ``ep`` of the tp x dp ranks."""

    tp: int = 1
    pp: int = 1
    dp: int = 1
    ep: int = 1

    def __post_init__(self) -> None:
        _at_least(1, tp=self.tp, pp=self.pp, dp=self.dp, ep=self.ep)
        if (self.tp * self.dp) % self.ep:
            raise PlacementError(
                f"{self.ep} expert parallel ranks do not divide tp * dp = {self.tp * self.dp}",
                rule="ep_does_not_divide",
                key="ep",
            )

    @property
    def accelerators(self) -> int:
        """Accelerators of one replica."""
        return self.tp * self.pp * self.dp

    def describe(self) -> str:
        """Short text such as ``TP8 EP8``."""
        sizes = (("TP", self.tp), ("PP", self.pp), ("DP", self.dp), ("EP", self.ep))
        return " ".join(f"{name}{size}" for name, size in sizes if name == "TP" or size > 1)


@dataclass(frozen=True)
class Rope:
    """YaRN: ``factor`` x ``original_max_position_embeddings`` is the longest context it gives."""

    factor: float
    original_max_position_embeddings: int
    rope_theta: float

    def __post_init__(self) -> None:
        _at_least(1, original_max_position_embeddings=self.original_max_position_embeddings)
        if not (math.isfinite(self.factor) and self.factor >= 1):
            raise SizingError("must be at least 1", key="rope.factor")
        if not (math.isfinite(self.rope_theta) and self.rope_theta > 0):
            raise SizingError("must be positive", key="rope.rope_theta")

    @property
    def longest(self) -> int:
        """The longest context [tokens]."""
        return int(self.factor * self.original_max_position_embeddings)


@dataclass(frozen=True)
class Speculative:
    """Speculative decoding: ``mtp`` (the model's own heads), ``eagle3`` (with a draft model) or ``ngram``."""

    method: str
    tokens: int
    draft_model: str | None = None

    def __post_init__(self) -> None:
        if self.method not in ("mtp", "eagle3", "ngram"):
            raise SizingError(f"unknown method {self.method[:40]!r}", key="speculative", hint="mtp, eagle3 or ngram")
        _at_least(1, speculative_tokens=self.tokens)
        if self.tokens > 64:
            raise SizingError("more than 64 draft tokens", key="speculative")
        if (self.method == "eagle3") != (self.draft_model is not None):
            raise SizingError("eagle3, and only eagle3, needs a draft model", key="speculative")
        if self.draft_model is not None:
            text.model_id(self.draft_model, "speculative.draft_model")


@dataclass(frozen=True)
class Disaggregated:
    """Separate prefill and decode pools; the spec's own ``parallelism`` and ``replicas`` are not used.

    The memory fractions are those of each pool's layout; None: the spec's own.
    """

    prefill: Parallelism
    decode: Parallelism
    prefill_replicas: int = 1
    decode_replicas: int = 1
    prefill_memory_utilization: float | None = None
    decode_memory_utilization: float | None = None

    def __post_init__(self) -> None:
        _at_least(1, prefill_replicas=self.prefill_replicas, decode_replicas=self.decode_replicas)
        for key in ("prefill_memory_utilization", "decode_memory_utilization"):
            _fraction(key, getattr(self, key))


@dataclass(frozen=True)
class DeploymentSpec:
    """A chosen plan. ``max_num_seqs`` and ``max_num_batched_tokens`` are for one attention group (dp rank).

    ``plan`` and ``date`` are printed in each file. ``native_context`` [tokens] is what the model's own config
    allows; beyond it ``rope`` is needed. ``moe_intermediate_size`` is the width of one routed expert.
    ``memory_utilization`` is the engine's own fraction: of all memory (vLLM, SGLang, MindIE), or of what is
    free after the weights (TensorRT-LLM). Every field is checked here, so that nothing unsafe reaches the
    files; SizingError names the field.
    """

    plan: str
    date: str
    model: str
    engine: str
    parallelism: Parallelism
    weights: str
    accelerator: str
    max_model_len: int
    max_num_seqs: int
    max_num_batched_tokens: int
    memory_utilization: float
    native_context: int
    vendor: str = "nvidia"
    accelerators_per_node: int = 8
    accelerator_resource: str | None = None
    engine_version: str | None = None
    kv_dtype: str = "auto"
    replicas: int = 1
    quantize_online: bool = False
    moe: bool = False
    moe_intermediate_size: int | None = None
    rope: Rope | None = None
    nested_text_config: bool = False
    speculative: Speculative | None = None
    reasoning_parser: str | None = None
    tool_parser: str | None = None
    trust_remote_code: bool = False
    all2all_backend: str | None = None
    disaggregated: Disaggregated | None = None
    transfer: str = "nixl"
    workload: Workload | None = None
    expected: Expected | None = None
    port: int | None = None
    served_model_name: str | None = None
    name: str | None = None
    enforce_eager: bool = False

    def __post_init__(self) -> None:
        text.one_line(self.plan, "plan", 200)
        text.iso_date(self.date)
        text.model_id(self.model)
        text.token(self.accelerator, "accelerator")
        _one_of("engine", self.engine, ENGINES)
        _one_of("weights", self.weights, WEIGHTS)
        _one_of("kv_dtype", self.kv_dtype, KV_DTYPES)
        _one_of("transfer", self.transfer, ("nixl", "mooncake"))
        _one_of("vendor", self.vendor, ENGINE_VENDORS[self.engine])
        for key in ("reasoning_parser", "tool_parser", "all2all_backend"):
            if getattr(self, key) is not None:
                text.token(getattr(self, key), key)
        if self.served_model_name is not None:
            text.one_line(self.served_model_name, "served_model_name")
        if self.name is not None and text.dns_label(self.name) != self.name:
            raise SizingError("not a DNS label", key="name", hint=f"such as {text.dns_label(self.name)}")
        if self.accelerator_resource is not None:
            text.resource_name(self.accelerator_resource)
        if self.engine_version is not None:
            text.version(self.engine_version)
        self._check_sizes()
        self._check_context()
        self._check_layouts()
        flags.resolve(self.engine, self.engine_version)

    def _check_sizes(self) -> None:
        for key in (
            "max_model_len", "max_num_seqs", "max_num_batched_tokens", "native_context", "replicas",
            "accelerators_per_node",
        ):  # fmt: skip
            _at_least(1, **{key: getattr(self, key)})
        _fraction("memory_utilization", self.memory_utilization)
        if self.port is not None and not 1024 <= self.port <= 60000:
            raise SizingError("must be from 1024 to 60000", key="port")
        if self.quantize_online and self.weights not in ("fp8",):
            raise SizingError("only fp8 can be made at load", key="quantize_online")
        lengths = self.workload
        if lengths and lengths.input_tokens + lengths.output_tokens > self.max_model_len:
            raise SizingError(
                f"the workload's {lengths.input_tokens} + {lengths.output_tokens} tokens exceed it",
                key="max_model_len",
            )

    def _check_context(self) -> None:
        if self.max_model_len <= self.native_context:
            return
        if self.rope is None:
            raise SizingError(
                f"{self.max_model_len} is beyond the model's {self.native_context} tokens",
                key="max_model_len",
                hint="give rope (YaRN), or a shorter context",
            )
        if self.max_model_len > self.rope.longest:
            raise SizingError(
                f"{self.max_model_len} is beyond the {self.rope.longest} tokens of this YaRN factor",
                key="max_model_len",
            )

    def _check_layouts(self) -> None:
        for layout in self.layouts():
            per_node = min(layout.accelerators, self.accelerators_per_node)
            if layout.accelerators % per_node:
                raise PlacementError(
                    f"{layout.accelerators} accelerators do not fill whole nodes of {per_node}",
                    rule="nodes_not_full",
                    key="parallelism",
                )
            if layout.ep > 1 and not self.moe:
                raise PlacementError("a dense model has no experts", rule="ep_without_experts", key="ep")

    def layouts(self) -> tuple[Parallelism, ...]:
        """The layouts that are launched: one, or prefill and decode."""
        if self.disaggregated is None:
            return (self.parallelism,)
        return (self.disaggregated.prefill, self.disaggregated.decode)

    @property
    def version(self) -> str:
        """The engine's version, the latest known one where none was asked for."""
        return flags.resolve(self.engine, self.engine_version)

    @property
    def resource(self) -> str:
        """The Kubernetes resource that counts the accelerators."""
        return self.accelerator_resource or VENDORS[self.vendor]

    @property
    def serving_port(self) -> int:
        """The port of the OpenAI API."""
        return self.port or PORTS[self.engine]

    @property
    def served_name(self) -> str:
        """The name that requests use."""
        return self.served_model_name or self.model

    @property
    def label(self) -> str:
        """A DNS label for the objects of Kubernetes."""
        return self.name or text.dns_label(self.model)

    @property
    def needs_rope(self) -> bool:
        """Whether the context is beyond what the model's config allows."""
        return self.max_model_len > self.native_context

    def nodes(self, layout: Parallelism) -> int:
        """Nodes of one replica."""
        return max(1, layout.accelerators // self.accelerators_per_node)

    def per_node(self, layout: Parallelism) -> int:
        """Accelerators of one replica on each of its nodes."""
        return min(layout.accelerators, self.accelerators_per_node)

    def of_pool(self, role: str) -> DeploymentSpec:
        """The spec of the ``prefill`` or the ``decode`` pool alone: its layout, its memory fraction, no pools."""
        pools = self.disaggregated
        if pools is None:
            raise SizingError("the plan has no separate prefill and decode pools", key="disaggregated")
        layout, fraction = pools.prefill, pools.prefill_memory_utilization
        if role == "decode":
            layout, fraction = pools.decode, pools.decode_memory_utilization
        return replace(
            self, parallelism=layout, disaggregated=None, memory_utilization=fraction or self.memory_utilization
        )


def _at_least(least: int, **values: int) -> None:
    for key, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 2**31:
            raise SizingError(f"must be a whole number of at least {least}, not {value!r}"[:200], key=key)


def _fraction(key: str, value: float | None) -> None:
    if value is not None and not 0 < value <= 1:
        raise SizingError("must be above 0 and at most 1", key=key)


def _one_of(key: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise SizingError(f"{value[:40]!r} does not fit", key=key, hint="one of " + ", ".join(known))
