"""TensorRT-LLM: ``trtllm-serve`` with the PyTorch backend, and its configuration file."""

from __future__ import annotations

from typing import Any

import yaml

from sizing.base.errors import PlacementError, SizingError
from sizing.deploy import flags
from sizing.deploy.command import Arguments, Command, config_path, header
from sizing.deploy.parsers import parser
from sizing.deploy.rope import PATCH_NAME, patch_script
from sizing.deploy.spec import DeploymentSpec
from sizing.deploy.text import Token, Variable
from sizing.deploy.vllm import check_fp8_blocks

IMAGE = "nvcr.io/nvidia/tensorrt-llm/release:{version}"
CONFIG = "trtllm-config.yaml"
HOSTS = Variable("HOSTS")
_KV = {"auto": "auto", "bf16": "auto", "fp16": "auto", "fp8": "fp8", "nvfp4": "nvfp4"}


def commands(spec: DeploymentSpec, role: str = "serve") -> list[Command]:
    """The command of one replica. Over several nodes ``mpirun`` on the first one starts all ranks."""
    check_plan(spec)
    if role != "serve":
        raise SizingError("disaggregated TensorRT-LLM is not written by this program", key="disaggregated")
    layout, nodes = spec.parallelism, spec.nodes(spec.parallelism)
    args = arguments(spec)
    argv: tuple[Token, ...] = ("trtllm-serve", spec.model, *args)
    notes: list[str] = []
    if nodes > 1:
        start: tuple[Token, ...] = (
            "mpirun",
            "-n",
            str(layout.accelerators),
            "--host",
            HOSTS,
            "trtllm-llmapi-launch",
        )
        argv = (*start, *argv, "--gpus_per_node", str(spec.accelerators_per_node))
        slots = ",".join(f"NODE{index}:{spec.accelerators_per_node}" for index in range(nodes))
        notes.append(f"Set HOSTS to {slots}. Launching over several nodes was not tried.")
    flags.check("tensorrt-llm", spec.version, argv[argv.index("trtllm-serve") :])
    files = [(CONFIG, config_file(spec))]
    if spec.needs_rope:
        files.append((PATCH_NAME, patch_script(spec)))
        notes.append(f"Before the first start: python3 {PATCH_NAME} MODEL_DIRECTORY, and serve that directory.")
    command = Command(
        role=role,
        node=0,
        nodes=nodes,
        image=IMAGE.format(version=spec.version),
        port=spec.serving_port,
        argv=argv,
        files=tuple(files),
        notes=tuple(notes),
        accelerators=spec.per_node(layout),
    )
    return [command]


def arguments(spec: DeploymentSpec) -> Arguments:
    """Options of ``trtllm-serve``. With data-parallel attention its limits are for one rank."""
    layout = spec.parallelism
    args = Arguments()
    args.add("--host", "0.0.0.0", "--port", spec.serving_port, "--backend", "pytorch")
    args.add("--tp_size", layout.tp * layout.dp)
    args.add_if(layout.pp > 1, "--pp_size", layout.pp)
    args.add_if(layout.ep > 1, "--ep_size", layout.ep)
    args.add("--max_batch_size", spec.max_num_seqs, "--max_num_tokens", spec.max_num_batched_tokens)
    args.add("--max_seq_len", spec.max_model_len)
    args.add("--kv_cache_free_gpu_memory_fraction", spec.memory_utilization)
    name = parser("tensorrt-llm", spec.version, "reasoning", spec.reasoning_parser)
    args.add_if(name, "--reasoning_parser", name or "")
    parser("tensorrt-llm", spec.version, "tool", spec.tool_parser)
    args.add_if(spec.trust_remote_code, "--trust_remote_code")
    return args.add("--config", config_path(CONFIG))


def config(spec: DeploymentSpec) -> dict[str, Any]:
    """The part of the configuration that has no option."""
    content: dict[str, Any] = {
        "enable_attention_dp": spec.parallelism.dp > 1,
        "enable_chunked_prefill": True,
        "kv_cache_config": {
            "dtype": _KV[spec.kv_dtype],
            "free_gpu_memory_fraction": spec.memory_utilization,
            "enable_block_reuse": True,
        },
        "cuda_graph_config": {"enable_padding": True, "max_batch_size": spec.max_num_seqs},
    }
    if spec.speculative:
        content["speculative_config"] = {
            "decoding_type": "MTP",
            "num_nextn_predict_layers": spec.speculative.tokens,
        }
    return content


def config_file(spec: DeploymentSpec) -> str:
    """The configuration as YAML."""
    return header(spec, "Configuration of trtllm-serve") + yaml.safe_dump(config(spec), sort_keys=False)


def check_plan(spec: DeploymentSpec) -> None:
    """Refuse what TensorRT-LLM would refuse, and what is not known of it here."""
    layout = spec.parallelism
    if layout.dp > 1 and layout.tp > 1:
        raise PlacementError(
            "its attention is either tensor-parallel or data-parallel over all ranks",
            rule="attention_dp_with_tp",
            key="dp",
            hint="use tp 1 with dp, or dp 1",
        )
    if layout.dp > 1 and not spec.moe:
        raise PlacementError("a dense model has no data-parallel attention", rule="dp_dense", key="dp")
    check_fp8_blocks(spec)
    if spec.kv_dtype not in _KV:
        raise SizingError("TensorRT-LLM does not keep the cache in it", key="kv_dtype", hint="auto, fp8 or nvfp4")
    if spec.speculative and spec.speculative.method != "mtp":
        raise SizingError("only mtp is written for TensorRT-LLM", key="speculative")
    if spec.quantize_online:
        raise SizingError("TensorRT-LLM wants a quantised checkpoint", key="quantize_online")
    if spec.served_model_name and spec.served_model_name != spec.model:
        raise SizingError("trtllm-serve has no option for another name", key="served_model_name")
