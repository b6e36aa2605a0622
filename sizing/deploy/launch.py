"""The commands of a plan: one place that knows which module speaks for which engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from sizing.base.errors import SizingError
from sizing.deploy import mindie, sglang, tensorrt_llm, vllm, vllm_ascend
from sizing.deploy.command import ROUTER_PORT, Command
from sizing.deploy.spec import DeploymentSpec
from sizing.deploy.text import Token, Variable

ENGINE_COMMANDS: Mapping[str, Callable[[DeploymentSpec, str], list[Command]]] = {
    "vllm": vllm.commands,
    "vllm-ascend": vllm_ascend.commands,
    "sglang": sglang.commands,
    "tensorrt-llm": tensorrt_llm.commands,
    "mindie": mindie.commands,
}


def takes_served_name(engine: str) -> bool:
    """Whether an engine can serve a model under another name than its own."""
    return engine != "tensorrt-llm"


def launch_commands(spec: DeploymentSpec) -> list[Command]:
    """The command of each node of one replica; of a disaggregated plan, those of one replica of each pool.

    Raises SizingError (PlacementError for a layout) where the engine of this version would refuse the plan.
    """
    if spec.disaggregated is None:
        return ENGINE_COMMANDS[spec.engine](spec, "serve")
    return [*pool_commands(spec, "prefill"), *pool_commands(spec, "decode"), *_router(spec)]


def pool_commands(spec: DeploymentSpec, role: str) -> list[Command]:
    """The commands of one replica of the ``prefill`` or the ``decode`` pool."""
    pool = spec.of_pool(role)
    if spec.engine not in ("vllm", "sglang"):
        raise SizingError(
            f"pools are written for vllm and sglang, not {spec.engine}", key="disaggregated", hint="plan with it off"
        )
    return ENGINE_COMMANDS[spec.engine](pool, role)


def _router(spec: DeploymentSpec) -> list[Command]:
    """SGLang's own router in front of the pools. vLLM has none: llm-d and Dynamo bring theirs."""
    if spec.engine != "sglang":
        return []
    argv: tuple[Token, ...] = ("python3", "-m", "sglang_router.launch_router", "--pd-disaggregation")
    argv += ("--prefill", Variable("PREFILL_URL"), "--decode", Variable("DECODE_URL"))
    argv += ("--host", "0.0.0.0", "--port", str(ROUTER_PORT))
    first = pool_commands(spec, "decode")[0]
    note = "The router is the package sglang-router; its options were not checked."
    router = Command(role="router", node=0, nodes=1, image=first.image, port=ROUTER_PORT, argv=argv, notes=(note,))
    return [replace(router, accelerators=0)]
