"""Feed-forward blocks: dense MLPs and mixtures of experts with routers and shared experts."""

from __future__ import annotations

from sizing.model.parts import Component, Experts, FeedForward, Linear, Sharding, Vector

NO_FEED_FORWARD = FeedForward("none")


def mlp_linears(
    hidden: int,
    intermediate: int,
    *,
    gated: bool = True,
    bias: bool = False,
    down_bias: bool | None = None,
    component: Component = Component.DENSE_MLP,
    prefix: str = "",
) -> tuple[Linear, ...]:
    """gate and up (one fused GEMM) and down of an MLP; without a gate only up and down."""
    fuse = f"{prefix}gate_up" if gated else None
    linears = []
    if gated:
        linears.append(
            Linear(f"{prefix}gate_proj", hidden, intermediate, component, Sharding.COLUMN, bias, fuse=fuse)
        )
    linears.append(
        Linear(f"{prefix}up_proj", hidden, intermediate, component, Sharding.COLUMN, bias, fuse=fuse)
    )
    down = bias if down_bias is None else down_bias
    linears.append(Linear(f"{prefix}down_proj", intermediate, hidden, component, Sharding.ROW, down))
    return tuple(linears)


def dense(
    hidden: int, intermediate: int, *, gated: bool = True, bias: bool = False, down_bias: bool | None = None
) -> FeedForward:
    """A dense MLP of 3 (gated) or 2 matrices."""
    return FeedForward(
        "dense", mlp_linears(hidden, intermediate, gated=gated, bias=bias, down_bias=down_bias)
    )


def moe(
    *,
    hidden: int,
    num_experts: int,
    num_experts_per_tok: float,
    intermediate: int,
    gated: bool = True,
    expert_hidden: int | None = None,
    expert_bias: bool = False,
    router_bias: bool = False,
    router_params: int = 0,
    shared_intermediate: int = 0,
    shared_gated: bool | None = None,
    shared_bias: bool = False,
    shared_gate: bool = False,
    zero_experts: int = 0,
    extra_linears: tuple[Linear, ...] = (),
    extra_vectors: tuple[Vector, ...] = (),
) -> FeedForward:
    """A mixture of experts: router, routed experts, and shared experts as one dense MLP of their summed
    width.

    expert_hidden: the width that experts work on where it is not the model's (latent experts).
    router_params: further parameters of the router that are no matrix. shared_gate: a sigmoid gate of one
    output (Qwen). zero_experts are routed to but hold no weights.
    """
    router = Linear(
        "router",
        hidden,
        num_experts + zero_experts,
        Component.ROUTER,
        Sharding.REPLICATED,
        router_bias,
        quantizable=False,
    )
    linears = [router]
    if shared_intermediate:
        linears.extend(
            mlp_linears(
                hidden,
                shared_intermediate,
                gated=gated if shared_gated is None else shared_gated,
                bias=shared_bias,
                component=Component.SHARED_EXPERTS,
                prefix="shared_",
            )
        )
        if shared_gate:
            linears.append(
                Linear(
                    "shared_expert_gate",
                    hidden,
                    1,
                    Component.SHARED_EXPERTS,
                    Sharding.REPLICATED,
                    quantizable=False,
                )
            )
    vectors = [Vector("router_extra", router_params, Component.ROUTER)] if router_params else []
    width = hidden if expert_hidden is None else expert_hidden
    matrices = 3 if gated else 2
    experts = Experts(
        num_experts=num_experts,
        num_experts_per_tok=num_experts_per_tok,
        hidden_size=width,
        intermediate_size=intermediate,
        matrices=matrices,
        bias_params=((matrices - 1) * intermediate + width) if expert_bias else 0,
        zero_experts=zero_experts,
    )
    return FeedForward("moe", (*linears, *extra_linears), (*vectors, *extra_vectors), experts)
