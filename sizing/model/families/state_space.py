"""Models of state spaces alone (Mamba, Mamba-2, Falcon-Mamba), and Falcon-H1, whose layers hold both kinds."""

from __future__ import annotations

import math

from sizing.model.body import Body, Layer, layer_count, norm
from sizing.model.families.decoder import read_head_dim, read_kv_heads
from sizing.model.families.recurrent import finish
from sizing.model.feedforward import NO_FEED_FORWARD, dense
from sizing.model.keys import Keys
from sizing.model.mixers import gqa, mamba1, mamba2


def _inner(keys: Keys, hidden: int) -> int:
    """The width of the state: expand times the model's width."""
    inner = int(keys.number("expand", default=2.0) * hidden)
    given = keys.optional_integer("intermediate_size", "d_inner")
    if given is not None and given != inner:
        raise keys.error("intermediate_size", f"{given} is not expand times hidden_size ({inner})")
    return inner


def build_mamba(keys: Keys) -> Body:
    """Mamba and Falcon-Mamba: one norm and one mixer a layer."""
    hidden = keys.integer("hidden_size", "d_model", maximum=2**20)
    count = layer_count(keys, "num_hidden_layers", "n_layer")
    automatic = keys.data.get("time_step_rank", "auto") == "auto"
    mixer = mamba1(
        hidden=hidden,
        inner=_inner(keys, hidden),
        state_size=keys.integer("state_size", default=16, maximum=2**20),
        dt_rank=math.ceil(hidden / 16) if automatic else keys.integer("time_step_rank"),
        conv_kernel=keys.integer("conv_kernel", default=4, maximum=1024),
        proj_bias=keys.boolean("use_bias", default=False),
        conv_bias=keys.boolean("use_conv_bias", default=True),
    )
    keys.unused("ssm_state_size")
    return finish(keys, hidden, [Layer(mixer, NO_FEED_FORWARD, norm(hidden))] * count, tie=True)


def build_mamba2(keys: Keys) -> Body:
    """Mamba-2 (Codestral Mamba): one norm and one mixer a layer."""
    hidden = keys.integer("hidden_size", maximum=2**20)
    heads = keys.integer("num_heads", default=128, maximum=2**20)
    head_dim = keys.integer("head_dim", default=64, maximum=2**16)
    inner = _inner(keys, hidden)
    if heads * head_dim != inner:
        raise keys.error("num_heads", f"{heads} heads of {head_dim} are not the width {inner}")
    mixer = mamba2(
        hidden=hidden,
        heads=heads,
        head_dim=head_dim,
        state_size=keys.integer("state_size", default=128, maximum=2**20),
        groups=keys.integer("n_groups", default=8, maximum=heads),
        conv_kernel=keys.integer("conv_kernel", default=4, maximum=1024),
        proj_bias=keys.boolean("use_bias", default=False),
        conv_bias=keys.boolean("use_conv_bias", default=True),
    )
    keys.unused("ssm_state_size")
    return finish(keys, hidden, [Layer(mixer, NO_FEED_FORWARD, norm(hidden))] * layer_count(keys))


def build_falcon_h1(keys: Keys) -> Body:
    """Falcon-H1: attention and Mamba-2 side by side in every layer, then a gated MLP.

    A layer is written as two entries, its Mamba part and its attention part with the MLP, so that each has
    its own cache.
    """
    hidden = keys.integer("hidden_size", maximum=2**20)
    heads = keys.integer("num_attention_heads", maximum=2**16)
    bias = keys.boolean("attention_bias", default=False)
    attention = gqa(
        hidden=hidden,
        heads=heads,
        kv_heads=read_kv_heads(keys, heads, 8),
        head_dim=read_head_dim(keys, hidden, heads),
        q_bias=bias,
        o_bias=bias,
    )
    inner = keys.optional_integer("mamba_d_ssm")
    if inner is None:
        if "mamba_d_ssm" not in keys.data:
            raise keys.error("mamba_d_ssm", "required key is missing")
        inner = int(keys.number("mamba_expand", default=2.0) * hidden)
    state_heads = keys.integer("mamba_n_heads", default=128, maximum=2**20)
    if inner % state_heads:
        raise keys.error("mamba_n_heads", f"{state_heads} does not divide the state's width {inner}")
    if keys.data.get("mamba_d_head", "auto") != "auto" and keys.integer("mamba_d_head") * state_heads != inner:
        raise keys.error("mamba_d_head", f"times mamba_n_heads is not the state's width {inner}")
    state = mamba2(
        hidden=hidden,
        heads=state_heads,
        head_dim=inner // state_heads,
        state_size=keys.integer("mamba_d_state", default=256, maximum=2**20),
        groups=keys.integer("mamba_n_groups", default=1, maximum=state_heads),
        conv_kernel=keys.integer("mamba_d_conv", default=4, maximum=1024),
        proj_bias=keys.boolean("mamba_proj_bias", default=False),
        out_bias=keys.boolean("projectors_bias", default=False),
        conv_bias=keys.boolean("mamba_conv_bias", default=True),
        gated_norm=keys.boolean("mamba_rms_norm", default=False),
    )
    mlp = dense(hidden, keys.integer("intermediate_size"), bias=keys.boolean("mlp_bias", default=False))
    pair = [Layer(state, NO_FEED_FORWARD), Layer(attention, mlp, norm(hidden, count=2))]
    body = finish(keys, hidden, pair * layer_count(keys))
    body.notes.append("every layer holds a Mamba and an attention block side by side: counted as two layers each")
    return body
