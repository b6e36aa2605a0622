"""Llama 4: a family whose layers differ in more than their window."""

from __future__ import annotations

from sizing.model.body import Body, Layer, layer_count, norm
from sizing.model.families.decoder import read_head_dim, read_kv_heads
from sizing.model.feedforward import dense, moe
from sizing.model.keys import Keys
from sizing.model.mixers import gqa
from sizing.model.parts import FeedForward, Mixer


def build_llama4(keys: Keys) -> Body:
    """Llama 4: chunked attention on RoPE layers, full attention on the others, a shared expert beside the
    routed.
    """
    hidden = keys.integer("hidden_size", maximum=2**20)
    count = layer_count(keys)
    heads = keys.integer("num_attention_heads", maximum=2**16)
    chunk = keys.optional_integer("attention_chunk_size")
    if chunk is None and "attention_chunk_size" not in keys.data:
        chunk = 8192
    types = keys.names("layer_types", ("full_attention", "chunked_attention"), count)
    if types is None:
        ropes = keys.integers("no_rope_layers", at_least=True) or []
        if not ropes:
            interval = keys.integer("no_rope_layer_interval", default=4)
            ropes = [int((index + 1) % interval != 0) for index in range(count)]
        if len(ropes) < count:
            raise keys.error("no_rope_layers", f"must have {count} entries, one a layer, not {len(ropes)}")
        types = ["chunked_attention" if rope else "full_attention" for rope in ropes[:count]]
    bias = keys.boolean("attention_bias", default=False)
    kv_heads = read_kv_heads(keys, heads, 8)
    head_dim = read_head_dim(keys, hidden, heads, 128)

    def attention(window: int | None) -> Mixer:
        return gqa(
            hidden=hidden,
            heads=heads,
            kv_heads=kv_heads,
            head_dim=head_dim,
            q_bias=bias,
            o_bias=bias,
            window=window,
        )

    mixers = {"full_attention": attention(None), "chunked_attention": attention(chunk)}
    blocks = _llama4_blocks(keys, hidden, count)
    vectors = norm(hidden, count=2)
    notes = []
    if chunk is not None and "chunked_attention" in types:
        notes.append(f"chunked attention keeps at most {chunk} tokens: counted as a window")
    return Body(
        hidden_size=hidden,
        vocab_size=keys.integer("vocab_size", maximum=2**27),
        layers=[Layer(mixers[kind], block, vectors) for kind, block in zip(types, blocks, strict=True)],
        final_vectors=norm(hidden, name="final_norm"),
        notes=notes,
    )


def _llama4_blocks(keys: Keys, hidden: int, count: int) -> list[FeedForward]:
    width = keys.integer("intermediate_size")
    number = keys.integer("num_local_experts", maximum=10**6)
    experts = moe(
        hidden=hidden,
        num_experts=number,
        num_experts_per_tok=keys.integer("num_experts_per_tok", maximum=number),
        intermediate=width,
        shared_intermediate=width,
    )
    step = keys.integer("interleave_moe_layer_step", default=1)
    listed = keys.integers("moe_layers")
    sparse = set(range(step - 1, count, step) if listed is None else listed)
    if sparse >= set(range(count)):
        return [experts] * count
    plain = dense(hidden, keys.integer("intermediate_size_mlp"))
    return [experts if index in sparse else plain for index in range(count)]
