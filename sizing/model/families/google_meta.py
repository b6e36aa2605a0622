"""Gemma 4 and Llama 4: families whose layers differ in more than their window."""

from __future__ import annotations

from sizing.model.body import Body, Layer, layer_count, norm
from sizing.model.families.decoder import read_head_dim, read_kv_heads
from sizing.model.feedforward import dense, mlp_linears, moe
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


def build_gemma4(keys: Keys) -> Body:
    """Gemma 4: wider heads and fewer KV heads on full layers, keys used as values, dense and expert blocks
    side by side.
    """
    keys.refuse(
        ("hidden_size_per_layer_input", "num_kv_shared_layers", "use_double_wide_mlp", "per_layer_config"),
        "is not supported yet in this family",
    )
    for key in ("hidden_size_per_layer_input", "num_kv_shared_layers"):
        if key not in keys.data:
            raise keys.error(key, "required key is missing", "0 for a model without it")
    hidden = keys.integer("hidden_size", maximum=2**20)
    count = layer_count(keys)
    types = keys.names("layer_types", ("full_attention", "sliding_attention"), count)
    if types is None:
        types = ["sliding_attention" if (index + 1) % 6 else "full_attention" for index in range(count)]
    types[-1] = "full_attention"
    window = keys.integer("sliding_window")
    mixers = {
        "full_attention": _gemma4_attention(keys, hidden, None),
        "sliding_attention": _gemma4_attention(keys, hidden, window),
    }
    block, norms = _gemma4_block(keys, hidden)
    return Body(
        hidden_size=hidden,
        vocab_size=keys.integer("vocab_size", maximum=2**27),
        layers=[Layer(mixers[kind], block, norm(hidden, count=norms)) for kind in types],
        tie_default=True,
        final_vectors=norm(hidden, name="final_norm"),
    )


def _gemma4_attention(keys: Keys, hidden: int, window: int | None) -> Mixer:
    heads = keys.integer("num_attention_heads", maximum=2**16)
    kv_heads = read_kv_heads(keys, heads, 4)
    head_dim = keys.integer("head_dim", default=256, maximum=2**16)
    same = keys.boolean("attention_k_eq_v", default=False)
    wide = keys.integer("global_head_dim", default=512, maximum=2**16)
    few = keys.optional_integer("num_global_key_value_heads", maximum=2**16)
    bias = keys.boolean("attention_bias", default=False)
    full = window is None
    if full and same and few is not None:
        kv_heads = few
    return gqa(
        hidden=hidden,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=wide if full else head_dim,
        q_bias=bias,
        o_bias=bias,
        qk_norm="head",
        window=window,
        key_is_value=full and same,
    )


def _gemma4_block(keys: Keys, hidden: int) -> tuple[FeedForward, int]:
    """The feed-forward block and the layer's number of norms."""
    width = keys.integer("intermediate_size")
    if not keys.boolean("enable_moe_block", default=False):
        keys.unused("num_experts", "enable_moe_block")
        return dense(hidden, width), 4
    number = keys.integer("num_experts", maximum=10**6)
    block = moe(
        hidden=hidden,
        num_experts=number,
        num_experts_per_tok=keys.integer("top_k_experts", "num_experts_per_tok", maximum=number),
        intermediate=keys.integer("moe_intermediate_size"),
        router_params=hidden + number,
        extra_linears=mlp_linears(hidden, width),
    )
    return block, 7
