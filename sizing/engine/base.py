"""What every engine states about itself: memory policy by version, sharding layout, defaults, traits.

An ``Engine`` is a frozen description plus a few pure functions that broadcast over NumPy arrays. One file
per engine holds the differences; ``sizing.engine.registry.get_engine`` finds one by name and version.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sizing.coefficients.memory import constant
from sizing.engine.cache import BlockPlan, CacheGroup, block_plan
from sizing.engine.placement import Placement
from sizing.engine.shard import PLAIN_LAYOUT, Layout
from sizing.model.architecture import Architecture
from sizing.model.kv_formats import KVFormat
from sizing.model.parts import Component
from sizing.model.quantization.schemes import QuantScheme

GIB = 2**30
_ASCEND_NAME = re.compile(r"(?<![a-z0-9])(ascend(?![a-z])|910([a-d]\d?|_\d+)?(?![a-z0-9]))")
Version = tuple[int, int, int]


def parse_version(text: str | None) -> Version | None:
    """The first ``x.y[.z]`` in a version string ("v0.19.0 (V1)" -> (0, 19, 0)); None when there is none."""
    if not text:
        return None
    found = re.search(r"(?<![\d.])v?(\d{1,2})\.(\d{1,3})(?:\.(\d{1,3}))?(?![\d-])", text)
    if found is None:
        return None
    return (int(found[1]), int(found[2]), int(found[3] or 0))


@dataclass(frozen=True, slots=True)
class Device:
    """What the engine asks the accelerator.

    total_bytes: what its driver shows in all [bytes].
    name: what its driver calls it, where an engine asks for that ("" where nobody knows).
    ascend: whether it is an Ascend part; None: by the words of the name, for rows of logs that state no more.
    """

    total_bytes: Any
    name: str = ""
    ascend: bool | None = None

    @property
    def total_gib(self) -> Any:
        """What the driver shows [GiB]."""
        return self.total_bytes / GIB

    @property
    def is_ascend(self) -> bool:
        """Whether it is an Ascend part: engines decide by maker here, as they do themselves."""
        return self.ascend if self.ascend is not None else _ASCEND_NAME.search(self.name.lower()) is not None

    def named(self, *words: str) -> bool:
        """Whether one of the words stands in the driver's name, as a word of its own."""
        return not set(words).isdisjoint(re.split(r"[^a-z0-9]+", self.name.lower()))


@dataclass(frozen=True, slots=True)
class Load:
    """The flags that memory depends on, defaults filled in.

    utilization: the engine's memory fraction, a number or one for each placement. automatic: nobody gave it, so that
    where the engine's default cannot work another one is looked for (``sizing.memory.terms.memory_terms``).
    automatic_seqs: the
    same of max_num_seqs.
    """

    utilization: Any
    max_num_seqs: int
    max_num_batched_tokens: int
    context: int
    enforce_eager: bool = False
    speculative_tokens: int = 0
    prefix_caching: bool = True
    automatic: bool = False
    automatic_seqs: bool = False


#: Formats of checkpoints that engines run with the kernels of a format that they list.
_SAME_KERNELS = {
    "int4": "int4_gptq", "fp8_wo": "fp8", "fp8_block_wo": "fp8_block", "nvfp4_wo": "nvfp4", "w4a8_nvfp4": "nvfp4",
    "w4a8_mxfp4": "mxfp4", "int2_gptq": "int4_gptq", "int3_gptq": "int4_gptq", "int8_gptq": "int4_gptq",
    "int8_awq": "int4_awq", "bnb_nf4": "bnb", "bnb_nf4_dq": "bnb", "bnb_fp4": "bnb", "bnb_fp4_dq": "bnb",
    "bnb_int8": "bnb", "torchao_int4": "torchao", "torchao_int8": "torchao",
}  # fmt: skip


@dataclass(frozen=True)
class Engine:
    """An engine at a version. Subclasses override the policy; all sizes are bytes.

    caps_seqs_by_tokens: running requests are at most the tokens of a step. pipelines: it cuts models into
    stages, tensor_parallel: matrices. pytorch: it loads with PyTorch, whose allocator rounds up. seats: what bounds the
    running requests in its pool.
    attention_dp_with_tp: data-parallel attention may be tensor-parallel besides. partial_expert_parallel: experts may be
    spread over fewer than all tp x dp ranks. fp32_states: recurrent states are kept in 32 bits, whatever the config says.
    lowers_seqs: it lowers max_num_seqs to what the states' pool holds, where others refuse to start.
    pools_apart: launch files of separate prefill and decode pools can be written.
    reserves_max_output: a request is admitted only when its whole prompt and longest output fit. How an engine's steps
    mix prompts and decode, and what its host costs, is fitted: ``evidence.serving_curves``.
    """

    name: str = ""
    version: Version = (0, 0, 0)
    layout: Layout = PLAIN_LAYOUT
    block_tokens: int = 16
    uneven_experts: bool = False
    repairs_expert_blocks: bool = False
    weight_dtypes: tuple[str, ...] = ()
    kv_dtypes: tuple[str, ...] = ()
    vendors: tuple[str, ...] = ()
    reserves_max_output: bool = False
    caps_seqs_by_tokens: bool = False
    pipelines: bool = True
    tensor_parallel: bool = True
    pytorch: bool = True
    seats: str = "recurrent states"
    attention_dp_with_tp: bool = True
    partial_expert_parallel: bool = True
    fp32_states: bool = False
    lowers_seqs: bool = False
    pools_apart: bool = False
    flags: dict[str, object] = field(default_factory=dict, compare=False)

    @property
    def version_text(self) -> str:
        """The version as people write it: "0.11.0"."""
        return ".".join(str(part) for part in self.version)

    def at_least(self, *version: int) -> bool:
        """Whether this version is at least ``version``."""
        return self.version >= tuple(version)

    def unsupported(self, scheme: QuantScheme, kv_dtype: str, vendor: str | None = None) -> str | None:
        """Why this engine would refuse these dtypes on a maker's accelerators; None when it takes them."""
        formats = {scheme.name, scheme.linear.name, scheme.experts.name}
        if vendor is not None and vendor.lower() not in self.vendors:
            return f"{self.name} does not run on accelerators of {vendor}"
        formats |= {_SAME_KERNELS[name] for name in formats if name in _SAME_KERNELS}
        if not formats & set(self.weight_dtypes):
            return f"{self.name} has no kernels for {scheme.name} weights"
        if kv_dtype not in ("auto", *self.kv_dtypes):
            return f"{self.name} has no {kv_dtype} cache"
        return None

    def drafts_refused(self, scheme: QuantScheme, drafts: int) -> str | None:
        """Why this engine would refuse to draft so many tokens with a model's own MTP module; None when it takes them."""
        return None

    # -- defaults ----------------------------------------------------------------------------------
    def default_utilization(self, device: Device, placement: Placement, arch: Architecture) -> Any:
        """The engine's own memory fraction when none is given, above 0 and below 1."""
        raise NotImplementedError

    def most_utilization(self) -> float:
        """The highest memory fraction that its guides set: where a search for one that works ends."""
        return constant("most_utilization", self.name)

    def default_batched_tokens(self, device: Device, context: int) -> int:
        """Tokens of the largest step when not given [tokens]."""
        raise NotImplementedError

    def default_num_seqs(self, device: Device) -> int:
        """Largest number of running requests when not given."""
        raise NotImplementedError

    # -- memory ------------------------------------------------------------------------------------
    def activation_bytes(
        self,
        arch: Architecture,
        scheme: QuantScheme,
        placement: Placement,
        load: Load,
        *,
        last_stage: bool = True,
    ) -> Any:
        """Peak of transient tensors in the largest step on one rank [bytes]."""
        return step_buffers(arch, placement, load.max_num_batched_tokens)

    def runtime_bytes(self, placement: Placement, device: Device) -> Any:
        """Memory outside the tensor allocator that the engine charges to its budget [bytes]."""
        raise NotImplementedError

    def fp8_index_keys(self, device: Device) -> bool:
        """Whether sparse attention's index keys are kept in FP8 with a scale; else in 16 bits."""
        return not device.is_ascend

    def load_overhead_bytes(self, placement: Placement) -> Any:
        """What the engine's own weight figure holds beyond the weights [bytes]."""
        return 0.0

    def graph_bytes(self, arch: Architecture, placement: Placement, load: Load, device: Device) -> Any:
        """Memory of captured graphs on one rank, whether or not the budget holds it [bytes]."""
        return 0.0

    def pool_bytes(
        self, device: Device, weights: Any, activation: Any, runtime: Any, graphs: Any, utilization: Any
    ) -> Any:
        """Bytes left for the cache pool on one rank; negative when the rest does not fit [bytes]."""
        raise NotImplementedError

    def asked_bytes(self, plan: BlockPlan, load: Load) -> Any:
        """What the caches ask for where an engine takes no more of the memory; infinite where it takes all that is free."""
        return np.inf

    def pool_formula(self) -> str:
        """The pool's formula in words."""
        raise NotImplementedError

    def plan(self, groups: list[CacheGroup], load: Load, fmt: KVFormat) -> BlockPlan:
        """How the pool is cut into blocks, under these flags and with this cache format."""
        return block_plan(groups, self.block_tokens, hybrid=False)

    def states_per_request(self, plan: BlockPlan, load: Load) -> int:
        """Blocks of recurrent state that one request may take in each group of states."""
        return 1 + load.speculative_tokens

    def draft_bytes(self, arch: Architecture, placement: Placement) -> Any:
        """What a model's own drafting module takes beyond its layers: copies of the vocabulary [bytes]."""
        return 0.0

    def most_seqs(self, pool: Any, plan: BlockPlan, load: Load) -> Any:
        """The largest number of running requests with which the engine starts; infinite where the pool sets none."""
        return np.full(np.shape(pool), np.inf)

    def in_flight_tokens(self, plan: BlockPlan, load: Load) -> int:
        """Tokens that may be scheduled before a window's old blocks are freed."""
        return load.max_num_batched_tokens

    def pool_tokens(self, pool: Any, plan: BlockPlan, load: Load) -> Any:
        """Tokens that the engine reports for a pool [tokens]."""
        blocks = np.floor(np.maximum(pool, 0.0) / plan.block_bytes)
        return np.floor(blocks / plan.groups) * plan.block_tokens

    def tokens_formula(self, kinds: int) -> str:
        """What ``pool_tokens`` is, in words, for layers of so many kinds."""
        return "whole blocks of the pool x block"

    def concurrency(self, pool: Any, plan: BlockPlan, load: Load, tokens: Any) -> Any:
        """Requests of ``tokens`` tokens that the pool holds at once."""
        blocks = np.floor(np.maximum(pool, 0.0) / plan.block_bytes)
        return blocks / plan.request_blocks(
            tokens, self.in_flight_tokens(plan, load), self.states_per_request(plan, load)
        )

    def running(self, pool: Any, plan: BlockPlan, load: Load, tokens: Any) -> Any:
        """Requests of ``tokens`` tokens that really run at once: each keeps what it holds once its prompt is read, and
        the one that is let in needs its worst case free. ``concurrency`` is the figure of the log, all at the worst.

        1 + (blocks - worst case) / held; vLLM 0.33's own manager, gpt-oss-120b with 40 GiB: 876 requests of 1,200
        tokens and 266 of 4,200, where the log's figure gives 482 and 138.
        """
        blocks = np.floor(np.maximum(pool, 0.0) / plan.block_bytes)
        worst = plan.request_blocks(tokens, self.in_flight_tokens(plan, load), self.states_per_request(plan, load))
        held = plan.held_blocks(tokens, 1 + load.speculative_tokens)
        return np.where(blocks >= worst, 1.0 + (blocks - worst) / np.maximum(held, 1.0), blocks / worst)


def step_buffers(arch: Architecture, placement: Placement, tokens: Any, *, moe: bool = True) -> Any:
    """Transient tensors of the widest layer for a step of ``tokens`` tokens on one rank [bytes].

    2 bytes x tokens x (a x hidden + b x intermediate / tp) for a dense layer; for experts the second term is
    c x experts per token x (hidden + expert width / moe_tp). a, b, c are fitted (``vllm_activation``).
    """
    hidden = constant("vllm_activation", "hidden_copies") * arch.hidden_size
    widest: Any = 0.0
    for group in arch.groups:
        dense = [item for item in group.feed_forward.linears if item.component is Component.DENSE_MLP]
        if dense:
            width = max(item.in_features if item.name.startswith("down") else 0 for item in dense) or min(
                max(item.out_features for item in dense), max(item.in_features for item in dense)
            )
            copies = constant("vllm_activation", "intermediate_copies")
            widest = np.maximum(widest, copies * width / np.asarray(placement.tp))
        if moe:
            widest = np.maximum(widest, expert_copies(arch, placement))
    return 2.0 * tokens * (hidden + widest)


def vision_buffers(
    arch: Architecture, placement: Placement, load: Load, *, recent: bool = True, bounded: bool = True
) -> Any:
    """Transient tensors of encoding the largest image of a tower that takes any size (Qwen-VL) [bytes].

    2 bytes x patches x c x hidden / tp; patches are merged into at most 16384 tokens, no more than the
    context (``bounded``: since 0.9). Before 0.17 a part of the copies is whole on every rank.
    """
    tower = arch.vision
    if tower is None or tower.tokens_per_image is not None or tower.temporal_patch_size < 2:
        return 0.0
    tokens = constant("vllm_activation", "vision_tokens")
    if bounded:
        tokens = min(tokens, load.context)
    patches = tokens * tower.spatial_merge_size**2
    if recent:
        copies: Any = constant("vllm_activation", "vision_copies") / np.asarray(placement.tp)
    else:
        split = constant("vllm_activation", "vision_copies_before_0_17") / np.asarray(placement.tp)
        copies = constant("vllm_activation", "vision_copies_whole_before_0_17") + split
    return 2.0 * patches * copies * tower.hidden_size


def expert_copies(arch: Architecture, placement: Placement) -> Any:
    """Elements per token that the expert kernels keep: c x experts per token x (hidden + width / moe_tp)."""
    banks = [group.feed_forward.experts for group in arch.groups if group.feed_forward.experts is not None]
    if not banks:
        return 0.0
    bank = max(banks, key=lambda item: item.num_experts_per_tok * item.intermediate_size)
    ways = placement.tp * placement.dp / np.asarray(placement.ep)
    width = bank.hidden_size + bank.intermediate_size / ways
    return constant("vllm_activation", "expert_copies") * bank.num_experts_per_tok * width
