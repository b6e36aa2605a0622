"""Llama 3.2 Vision (mllama): decoder layers that look at the image by cross-attention."""

from __future__ import annotations

from sizing.model.body import Body, Layer, layer_count, norm
from sizing.model.families.decoder import read_head_dim, read_kv_heads
from sizing.model.feedforward import dense
from sizing.model.keys import Keys
from sizing.model.mixers import NO_CACHE, NO_CORE, gqa
from sizing.model.parts import Component, Mixer, Vector

EXTRA_ROWS = 8  # the embedding has rows for the image token that the head lacks


def build_mllama(keys: Keys) -> Body:
    """Llama 3.2 Vision: layers of cross_attention_layers cache the image's keys and values, none of the text."""
    hidden = keys.integer("hidden_size", maximum=2**20)
    count = layer_count(keys)
    heads = keys.integer("num_attention_heads", maximum=2**16)
    kv_heads = read_kv_heads(keys, heads, 8)
    head_dim = read_head_dim(keys, hidden, heads, ignore=True)
    listed = keys.integers("cross_attention_layers")
    crossed = set([3, 8, 13, 18, 23, 28, 33, 38] if listed is None else listed)
    block = dense(hidden, keys.integer("intermediate_size"))
    own = gqa(hidden=hidden, heads=heads, kv_heads=kv_heads, head_dim=head_dim)
    image = gqa(hidden=hidden, heads=heads, kv_heads=kv_heads, head_dim=head_dim, qk_norm="head")
    cross = Mixer("cross_attention", image.linears, image.vectors, NO_CORE, NO_CACHE)
    gates = Vector("cross_attn_gates", 2, Component.OTHER)
    layers = [
        Layer(cross, block, (*norm(hidden, count=2), gates))
        if index in crossed
        else Layer(own, block, norm(hidden, count=2))
        for index in range(count)
    ]
    vocab = keys.integer("vocab_size", maximum=2**27)
    body = Body(
        hidden_size=hidden,
        vocab_size=vocab,
        layers=layers,
        final_vectors=norm(hidden, name="final_norm"),
        embedding_params=(vocab + EXTRA_ROWS) * hidden,
    )
    if keys.boolean("tie_word_embeddings", default=False):
        raise keys.error("tie_word_embeddings", "true is not supported in this family")
    number = sum(index in crossed for index in range(count))
    if number:
        body.notes.append(
            f"{number} cross-attention layers cache {2 * kv_heads * head_dim} elements for each image token, and "
            "nothing of the text: the cache and the steps are counted for text alone"
        )
    return body
