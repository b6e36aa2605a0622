"""vLLM: ``vllm serve`` in the form that each version takes."""

from __future__ import annotations

from typing import Any

from sizing.base.errors import PlacementError, SizingError
from sizing.deploy import flags
from sizing.deploy.command import HEAD, INTERFACE, NODE, Arguments, Command, compact_json, plain
from sizing.deploy.parsers import parser
from sizing.deploy.spec import DeploymentSpec
from sizing.deploy.text import Token

IMAGES = {"nvidia": "vllm/vllm-openai:v{version}", "amd": "vllm/vllm-openai-rocm:v{version}"}
# Caches that every version takes, and those that vLLM names from 0.33 on.
PLAIN_KV = ("auto", "bf16", "fp16", "fp8")
PACKED_KV = (
    "nvfp4", "fp8_ds_mla", "nvfp4_ds_mla", "fp8_per_token_head", "int8_per_token_head", "int4_per_token_head"
)  # fmt: skip
RPC_PORT = 13345
MASTER_PORT = 29501
RAY_PORT = 6379
NIXL_PORT = 5600


def commands(spec: DeploymentSpec, role: str = "serve") -> list[Command]:
    """The command of each node of one replica."""
    check_plan(spec)
    image = IMAGES[spec.vendor].format(version=spec.version)
    env = environment(spec)
    if role != "serve":
        if spec.transfer != "nixl":
            raise SizingError("pools of vLLM are written with nixl", key="transfer", hint="nixl")
        flags.require(spec.engine, spec.version, "--kv-transfer-config", "a disaggregated plan")
        env += [("VLLM_NIXL_SIDE_CHANNEL_HOST", NODE), ("VLLM_NIXL_SIDE_CHANNEL_PORT", str(NIXL_PORT))]
    return [node_command(spec, role, node, image, env) for node in range(spec.nodes(spec.parallelism))]


def node_command(
    spec: DeploymentSpec,
    role: str,
    node: int,
    image: str,
    env: list[tuple[str, Token]],
    extra: tuple[Token, ...] = (),
    notes: tuple[str, ...] = (),
) -> Command:
    """One node's command: the common arguments, ``extra`` ones of a platform, and those of the node."""
    nodes = spec.nodes(spec.parallelism)
    ray = nodes > 1 and spec.parallelism.dp == 1 and not flags.has(spec.engine, spec.version, "--nnodes")
    argv: tuple[Token, ...] = ("vllm", "serve", spec.model, *arguments(spec, role), *extra)
    before: tuple[tuple[Token, ...], ...] = ()
    if ray and node:
        argv = ("ray", "start", "--address", HEAD, "--block")
    elif ray:
        argv = (*argv, "--distributed-executor-backend", "ray")
        before = (("ray", "start", "--head", "--port", str(RAY_PORT)),)
        notes = (*notes, "Start the other nodes' commands before this one: it waits for all accelerators.")
    elif nodes > 1:
        argv = (*argv, *node_arguments(spec, node))
    if not (ray and node):
        flags.check(spec.engine, spec.version, argv)
    return Command(
        role=role,
        node=node,
        nodes=nodes,
        image=image,
        port=spec.serving_port,
        argv=argv,
        env=tuple(env),
        before=before,
        notes=(*notes, *plan_notes(spec, role)),
        accelerators=spec.per_node(spec.parallelism),
    )


def arguments(spec: DeploymentSpec, role: str) -> Arguments:
    """The arguments that are the same on each node."""
    layout = spec.parallelism
    args = Arguments()
    args.add("--served-model-name", spec.served_name, "--host", "0.0.0.0", "--port", spec.serving_port)
    args.add("--tensor-parallel-size", layout.tp)
    args.add_if(layout.pp > 1, "--pipeline-parallel-size", layout.pp)
    args.add_if(layout.dp > 1, "--data-parallel-size", layout.dp)
    args.add_if(layout.ep > 1, "--enable-expert-parallel")
    if spec.all2all_backend and flags.has(spec.engine, spec.version, "--all2all-backend"):
        args.add("--all2all-backend", spec.all2all_backend)
    args.add_if(spec.weights in ("bf16", "fp16"), "--dtype", "bfloat16" if spec.weights == "bf16" else "float16")
    args.add_if(spec.quantize_online, "--quantization", "fp8")
    args.add_if(spec.weights == "bitsandbytes", "--quantization", "bitsandbytes")
    args.add("--kv-cache-dtype", spec.kv_dtype if spec.kv_dtype in ("fp8", *PACKED_KV) else "auto")
    args.add("--max-model-len", spec.max_model_len, "--max-num-seqs", spec.max_num_seqs)
    args.add("--max-num-batched-tokens", spec.max_num_batched_tokens)
    args.add("--gpu-memory-utilization", spec.memory_utilization)
    args.add_if(spec.enforce_eager, "--enforce-eager")
    args.add_if(spec.needs_rope, "--hf-overrides", compact_json(rope_overrides(spec)))
    args.add_if(spec.speculative, "--speculative-config", compact_json(speculative_config(spec)))
    add_parsers(spec, args)
    args.add_if(spec.trust_remote_code, "--trust-remote-code")
    if role in ("prefill", "decode"):
        args.add("--kv-transfer-config", compact_json(kv_transfer(spec)))
    return args


def add_parsers(spec: DeploymentSpec, args: Arguments) -> None:
    """Reasoning and tool parsers, as the version spells them."""
    reasoning = parser(spec.engine, spec.version, "reasoning", spec.reasoning_parser)
    if reasoning:
        args.add_if(flags.has(spec.engine, spec.version, "--enable-reasoning"), "--enable-reasoning")
        args.add("--reasoning-parser", reasoning)
    tool = parser(spec.engine, spec.version, "tool", spec.tool_parser)
    args.add_if(tool, "--enable-auto-tool-choice", "--tool-call-parser", tool or "")


def node_arguments(spec: DeploymentSpec, node: int) -> Arguments:
    """What differs between the nodes of one replica."""
    layout, nodes = spec.parallelism, spec.nodes(spec.parallelism)
    args = Arguments()
    if layout.dp > 1:
        local = layout.dp // nodes
        args.add(flags.require(spec.engine, spec.version, "--data-parallel-size-local", "data parallelism over nodes"))
        args.add(local, "--data-parallel-address", HEAD, "--data-parallel-rpc-port", RPC_PORT)
        args.add_if(node, "--headless", "--data-parallel-start-rank", node * local)
        return args
    args.add("--nnodes", nodes, "--node-rank", node, "--master-addr", HEAD, "--master-port", MASTER_PORT)
    args.add_if(node, "--headless")
    return args


def rope_overrides(spec: DeploymentSpec) -> dict[str, Any]:
    """``--hf-overrides`` for YaRN.

    The dictionary replaces the model's whole one, so the base is repeated; 0.33 takes the longest context
    from ``max_position_embeddings`` alone, which earlier versions tolerate.
    """
    if spec.rope is None:
        return {}
    key = "rope_parameters" if flags.numbers(spec.version) >= (0, 12) else "rope_scaling"
    scaling: dict[str, Any] = {
        "rope_type": "yarn",
        "factor": float(spec.rope.factor),
        "original_max_position_embeddings": spec.rope.original_max_position_embeddings,
    }
    if key == "rope_parameters":
        scaling = {"rope_type": "yarn", "rope_theta": plain(spec.rope.rope_theta), **scaling}
    overrides = {"max_position_embeddings": spec.rope.longest, key: scaling}
    return {"text_config": overrides} if spec.nested_text_config else overrides


def speculative_config(spec: DeploymentSpec) -> dict[str, Any]:
    """``--speculative-config``."""
    chosen = spec.speculative
    if chosen is None:
        return {}
    config: dict[str, Any] = {"method": chosen.method, "num_speculative_tokens": chosen.tokens}
    if chosen.draft_model:
        config["model"] = chosen.draft_model
    if chosen.method == "ngram":
        config["prompt_lookup_max"] = 4
    return config


def kv_transfer(spec: DeploymentSpec) -> dict[str, str]:
    """``--kv-transfer-config`` of a pool of a disaggregated plan."""
    return {"kv_connector": "NixlConnector", "kv_role": "kv_both"}


def environment(spec: DeploymentSpec) -> list[tuple[str, Token]]:
    """Environment variables that the plan needs."""
    env: list[tuple[str, Token]] = [("VLLM_ENGINE_READY_TIMEOUT_S", "3600")]
    if spec.all2all_backend and not flags.has(spec.engine, spec.version, "--all2all-backend"):
        env.append(("VLLM_ALL2ALL_BACKEND", spec.all2all_backend))
    if spec.nodes(spec.parallelism) > 1:
        env += [("VLLM_HOST_IP", NODE), ("NCCL_SOCKET_IFNAME", INTERFACE), ("GLOO_SOCKET_IFNAME", INTERFACE)]
    return env


def plan_notes(spec: DeploymentSpec, role: str) -> tuple[str, ...]:
    """What the person who starts it should know."""
    notes = []
    if spec.needs_rope:
        notes.append("YaRN is static: it also changes short prompts. Leave it out where 128K is not needed.")
    if spec.tool_parser and spec.tool_parser.startswith("deepseek"):
        notes.append("DeepSeek tool calls may need a chat template that writes them: add --chat-template FILE.")
    if role != "serve":
        notes.append("The image must hold NIXL; ghcr.io/llm-d/llm-d-cuda does. A router goes before the pools.")
    return tuple(notes)


def check_plan(spec: DeploymentSpec) -> None:
    """Refuse what vLLM of this version would refuse at start-up."""
    layout = spec.parallelism
    if layout.ep > 1 and layout.ep != layout.tp * layout.dp:
        raise PlacementError(
            f"vLLM spreads experts over all tp * dp = {layout.tp * layout.dp} ranks, not {layout.ep}",
            rule="ep_not_all_ranks",
            key="ep",
        )
    if layout.dp > 1 and layout.tp * layout.pp > spec.accelerators_per_node:
        raise PlacementError("an attention group cannot span nodes while dp > 1", rule="dp_group_spans_nodes", key="dp")
    check_fp8_blocks(spec, repaired=flags.numbers(spec.version) >= (0, 33))
    if spec.kv_dtype not in (*PLAIN_KV, *(PACKED_KV if flags.numbers(spec.version) >= (0, 33) else ())):
        raise SizingError(
            f"vLLM {spec.version} is not known to keep the cache in it", key="kv_dtype", hint="auto or fp8"
        )
    if spec.speculative and spec.speculative.method == "mtp" and flags.numbers(spec.version) < (0, 11):
        raise SizingError("MTP needs vLLM 0.11 or newer", key="engine_version")


def check_fp8_blocks(spec: DeploymentSpec, repaired: bool = False) -> None:
    """FP8 with 128 x 128 blocks: experts cut by tensor parallelism must keep whole blocks."""
    layout, width = spec.parallelism, spec.moe_intermediate_size
    ways = layout.tp * layout.dp // layout.ep
    if spec.weights == "fp8_block" and width and not repaired and (width % ways or (width // ways) % 128):
        raise PlacementError(
            f"experts of width {width} cut {ways} ways break the 128-wide FP8 blocks",
            rule="fp8_block",
            key="ep",
            hint=f"use expert parallelism, ep = {layout.tp * layout.dp}",
        )
