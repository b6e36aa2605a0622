"""SGLang: ``sglang.launch_server`` in the form that each version takes."""

from __future__ import annotations

from typing import Any

from sizing.base.errors import PlacementError, SizingError
from sizing.deploy import flags
from sizing.deploy.command import HEAD, INTERFACE, Arguments, Command, compact_json, plain
from sizing.deploy.parsers import parser
from sizing.deploy.spec import DeploymentSpec
from sizing.deploy.text import Token, Variable
from sizing.deploy.vllm import check_fp8_blocks

IMAGES = {
    "nvidia": "lmsysorg/sglang:v{version}",
    "amd": "lmsysorg/sglang:v{version}-rocm700-mi30x",
    "ascend": "quay.io/ascend/sglang:v{version}-cann8.5.0-910b",
}
INIT_PORT = 20000


def commands(spec: DeploymentSpec, role: str = "serve") -> list[Command]:
    """The command of each node of one replica."""
    check_plan(spec)
    nodes = spec.nodes(spec.parallelism)
    return [_node(spec, role, node, nodes) for node in range(nodes)]


def _node(spec: DeploymentSpec, role: str, node: int, nodes: int) -> Command:
    args = arguments(spec, role)
    if nodes > 1:
        args.add("--nnodes", nodes, "--node-rank", node)
        args.add("--dist-init-addr", Variable(HEAD.name, after=f":{INIT_PORT}"))
    flags.check("sglang", spec.version, list(args))
    env: list[tuple[str, Token]] = []
    if spec.needs_rope:
        env.append(("SGLANG_ALLOW_OVERWRITE_LONGER_CONTEXT_LEN", "1"))
    if nodes > 1:
        env += [("NCCL_SOCKET_IFNAME", INTERFACE), ("GLOO_SOCKET_IFNAME", INTERFACE)]
    return Command(
        role=role,
        node=node,
        nodes=nodes,
        image=IMAGES[spec.vendor].format(version=spec.version),
        port=spec.serving_port,
        argv=("python3", "-m", "sglang.launch_server", *args),
        env=tuple(env),
        notes=_notes(spec),
        accelerators=spec.per_node(spec.parallelism),
    )


def arguments(spec: DeploymentSpec, role: str) -> Arguments:
    """The arguments that are the same on each node.

    The server's request limit and prefill chunk are for all attention groups together: it divides both.
    """
    layout = spec.parallelism
    attention_groups = layout.dp if spec.moe else 1
    args = Arguments()
    args.add("--model-path", spec.model, "--served-model-name", spec.served_name)
    args.add("--host", "0.0.0.0", "--port", spec.serving_port, "--tp-size", layout.tp * attention_groups)
    args.add_if(layout.pp > 1, "--pp-size", layout.pp)
    if layout.dp > 1:
        _data_parallel(spec, args)
    args.add_if(layout.ep > 1, "--ep-size", layout.ep)
    if spec.all2all_backend:
        args.add(flags.require("sglang", spec.version, "--moe-a2a-backend", "an all-to-all backend"))
        args.add(spec.all2all_backend)
    args.add_if(spec.weights in ("bf16", "fp16"), "--dtype", "bfloat16" if spec.weights == "bf16" else "float16")
    if spec.vendor == "ascend":
        args.add("--device", "npu", "--attention-backend", "ascend")
        args.add_if(spec.weights in ("int8_w8a8", "w4a8"), "--quantization", "modelslim")
    args.add_if(spec.quantize_online, "--quantization", "fp8")
    args.add_if(spec.weights == "bitsandbytes", "--quantization", "bitsandbytes")
    args.add("--kv-cache-dtype", "fp8_e4m3" if spec.kv_dtype == "fp8" else "auto")
    args.add("--context-length", spec.max_model_len)
    args.add("--max-running-requests", spec.max_num_seqs * layout.dp)
    args.add("--chunked-prefill-size", spec.max_num_batched_tokens * attention_groups)
    args.add("--mem-fraction-static", spec.memory_utilization)
    args.add_if(spec.enforce_eager, "--disable-cuda-graph")
    args.add_if(spec.needs_rope, "--json-model-override-args", compact_json(rope_overrides(spec)))
    _speculative(spec, args)
    for kind in ("reasoning", "tool"):
        name = parser("sglang", spec.version, kind, getattr(spec, f"{kind}_parser"))
        args.add_if(name, "--reasoning-parser" if kind == "reasoning" else "--tool-call-parser", name or "")
    args.add_if(spec.trust_remote_code, "--trust-remote-code")
    if role in ("prefill", "decode"):
        transfer = spec.transfer
        args.add("--disaggregation-mode", role, "--disaggregation-transfer-backend", transfer)
    return args


def _data_parallel(spec: DeploymentSpec, args: Arguments) -> None:
    """Attention groups inside the tensor-parallel ranks; of a dense model, replicas behind one port."""
    groups = spec.parallelism.dp
    if not spec.moe:
        args.add("--dp-size", groups)
    elif flags.has("sglang", spec.version, "--attn-dp-size"):
        args.add("--attn-dp-size", groups)
    else:
        args.add("--dp-size", groups, "--enable-dp-attention")


def rope_overrides(spec: DeploymentSpec) -> dict[str, Any]:
    """``--json-model-override-args`` for YaRN: the length check reads ``max_position_embeddings`` alone."""
    if spec.rope is None:
        return {}
    overrides: dict[str, Any] = {
        "max_position_embeddings": spec.rope.longest,
        "rope_scaling": {
            "rope_type": "yarn",
            "factor": float(spec.rope.factor),
            "original_max_position_embeddings": spec.rope.original_max_position_embeddings,
        },
        "rope_theta": plain(spec.rope.rope_theta),
    }
    return {"text_config": overrides} if spec.nested_text_config else overrides


def _speculative(spec: DeploymentSpec, args: Arguments) -> None:
    """A chain of drafts (topk 1) drafts one token a step and verifies them with one more."""
    chosen = spec.speculative
    if chosen is None:
        return
    if chosen.method == "ngram":
        args.add("--speculative-algorithm", "NGRAM", "--speculative-num-draft-tokens", chosen.tokens + 1)
        return
    args.add("--speculative-algorithm", "EAGLE3" if chosen.method == "eagle3" else "EAGLE")
    args.add_if(chosen.draft_model, "--speculative-draft-model-path", chosen.draft_model or "")
    args.add("--speculative-num-steps", chosen.tokens, "--speculative-eagle-topk", 1)
    args.add("--speculative-num-draft-tokens", chosen.tokens + 1)


def _notes(spec: DeploymentSpec) -> tuple[str, ...]:
    notes = []
    if spec.vendor != "nvidia":
        notes.append("The tag of this image was not checked: take the one that SGLang names for the accelerator.")
    if spec.moe and spec.parallelism.dp > 1:
        notes.append("Request limit and prefill chunk are for all attention groups together; the server divides them.")
    return tuple(notes)


def check_plan(spec: DeploymentSpec) -> None:
    """Refuse what SGLang would refuse at start-up."""
    layout = spec.parallelism
    if layout.pp > 1:
        flags.require("sglang", spec.version, "--pp-size", "pipeline parallelism")
    if not spec.moe and layout.dp > 1 and spec.nodes(layout) > 1:
        raise PlacementError(
            "replicas of a dense model do not share nodes",
            rule="dp_group_spans_nodes",
            key="dp",
            hint="use replicas",
        )
    check_fp8_blocks(spec)
    if spec.kv_dtype not in ("auto", "bf16", "fp16", "fp8"):
        raise SizingError("SGLang is not known to keep the cache in it", key="kv_dtype", hint="auto or fp8")
