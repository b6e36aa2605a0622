"""Older dialects with names of their own: Falcon, ChatGLM, Qwen-1, GPT-NeoX, MPT, DBRX, StableLM."""

from __future__ import annotations

from sizing.model.body import Body, Layer, layer_count, norm
from sizing.model.feedforward import dense
from sizing.model.keys import Keys
from sizing.model.mixers import gqa


def build_falcon(keys: Keys) -> Body:
    """Falcon: multi-query or grouped attention, a two-matrix MLP of 4 h, parallel blocks with LayerNorms."""
    hidden = keys.integer("hidden_size", "n_embed", maximum=2**20)
    count = layer_count(keys, "num_hidden_layers", "n_layer")
    heads = keys.integer("num_attention_heads", "n_head", maximum=2**16)
    new = keys.boolean("new_decoder_architecture", default=False)
    multi_query = keys.boolean("multi_query", default=True)
    kv_heads = 1 if multi_query else heads
    if new:
        kv_heads = keys.integer("num_kv_heads", "n_head_kv", default=heads, maximum=2**16)
    if hidden % heads or heads % kv_heads:
        raise keys.error(
            "num_attention_heads", f"{heads} does not fit hidden_size {hidden} and {kv_heads} KV heads"
        )
    bias = keys.boolean("bias", default=False)
    parallel = keys.boolean("parallel_attn", default=True)
    mixer = gqa(
        hidden=hidden, heads=heads, kv_heads=kv_heads, head_dim=hidden // heads, q_bias=bias, o_bias=bias
    )
    block = dense(hidden, keys.integer("ffn_hidden_size", default=4 * hidden), gated=False, bias=bias)
    norms = 2
    if new:
        norms = keys.integer("num_ln_in_parallel_attn", default=2, maximum=2)
    elif parallel:
        norms = 1
    notes = []
    if new:
        notes.append(
            "the cache holds the KV heads once, as engines do; transformers repeats them for every head"
        )
    return Body(
        hidden_size=hidden,
        vocab_size=keys.integer("vocab_size", maximum=2**27),
        layers=[Layer(mixer, block, norm(hidden, bias=True, count=norms))] * count,
        tie_default=True,
        final_vectors=norm(hidden, bias=True, name="final_norm"),
        notes=notes,
    )


def build_chatglm(keys: Keys) -> Body:
    """ChatGLM 2 and 3, GLM-4-9B: grouped attention with its own key names, untied head."""
    hidden = keys.integer("hidden_size", maximum=2**20)
    count = layer_count(keys, "num_layers", "num_hidden_layers")
    heads = keys.integer("num_attention_heads", maximum=2**16)
    kv_heads = heads
    if keys.boolean("multi_query_attention", default=False):
        kv_heads = keys.integer("multi_query_group_num", maximum=heads)
    head_dim = keys.integer("kv_channels", maximum=2**16)
    linear_bias = keys.boolean("add_bias_linear", default=False)
    qkv_bias = keys.boolean("add_qkv_bias", default=False) or linear_bias
    rms = keys.boolean("rmsnorm", default=True)
    mixer = gqa(
        hidden=hidden, heads=heads, kv_heads=kv_heads, head_dim=head_dim, q_bias=qkv_bias, o_bias=linear_bias
    )
    block = dense(hidden, keys.integer("ffn_hidden_size"), bias=linear_bias)
    final = keys.boolean("post_layer_norm", default=True)
    return Body(
        hidden_size=hidden,
        vocab_size=keys.integer("padded_vocab_size", "vocab_size", maximum=2**27),
        layers=[Layer(mixer, block, norm(hidden, bias=not rms, count=2))] * count,
        final_vectors=norm(hidden if final else 0, bias=not rms, name="final_norm"),
    )
