"""Qwen4-Exp (Qwen3.8-Flash-Next): gated hyper-connections instead of norms, hashed n-gram embeddings, indexed attention."""

from __future__ import annotations

import math
from dataclasses import replace

from sizing.model.body import Body, Layer, layer_count
from sizing.model.families.decoder import read_kv_heads
from sizing.model.feedforward import moe
from sizing.model.keys import Keys
from sizing.model.mixers import ATTENTION, gated_delta_net, gqa
from sizing.model.parts import Component, FeedForward, Linear, Mixer, Sharding, Vector

OTHER, PER_LAYER, WHOLE = Component.OTHER, Component.PER_LAYER_EMBEDDING, Sharding.REPLICATED


def build_qwen4(keys: Keys) -> Body:
    """Qwen4-Exp: gated delta nets and indexed attention, experts with a shared one in every layer."""
    hidden = keys.integer("hidden_size", maximum=2**20)
    count = layer_count(keys)
    attention, delta = _attention(keys, hidden), _delta(keys, hidden)
    block = _experts(keys, hidden)
    linears, vectors = _hyper_connection(keys, hidden, inject=True)
    both = tuple(replace(linear, name=f"{part}.{linear.name}") for part in ("attn", "mlp") for linear in linears)
    places = sorted(set(keys.integers("ple_layer_ids", minimum=1) or []))
    layers = []
    for index, fast in enumerate(_fast_layers(keys, count)):
        mixer = delta if fast else attention
        if index + 1 in places:
            if not fast:
                raise keys.error("ple_layer_ids", f"layer {index + 1} is not one of linear attention")
            mixer = _with_ngrams(keys, mixer, hidden, places.index(index + 1))
        mixer = replace(mixer, linears=(*mixer.linears, *both))
        layers.append(Layer(mixer, block, vectors * 2))
    if places and places[-1] > count:
        raise keys.error("ple_layer_ids", f"{places[-1]} is beyond the {count} layers")
    outside, final = _hyper_connection(keys, hidden, inject=False)
    body = Body(
        hidden_size=hidden,
        vocab_size=keys.integer("vocab_size", maximum=2**27),
        layers=layers,
        final_vectors=final,
        extra_linears=outside,
        notes=["index keys are one for indexer_compress_ratio tokens, counted at 2 bytes an element"],
    )
    for name in ("mtp_num_hidden_layers", "num_nextn_predict_layers"):
        if keys.integer(name, default=0, minimum=0, maximum=64):
            body.notes.append("the multi-token-prediction modules that the config states are not counted")
    return body


def _fast_layers(keys: Keys, count: int) -> list[bool]:
    """Which layers have linear attention; full_attention names the indexed ones too."""
    kinds = ("linear_attention", "full_attention", "indexed_attention")
    types = keys.names("layer_types", kinds, count)
    interval = keys.integer("full_attention_interval", default=4)
    if types is None:
        return [(index + 1) % interval != 0 for index in range(count)]
    return [kind == "linear_attention" for kind in types]


def _delta(keys: Keys, hidden: int) -> Mixer:
    return gated_delta_net(
        hidden=hidden,
        key_heads=keys.integer("linear_num_key_heads", default=16, maximum=2**16),
        value_heads=keys.integer("linear_num_value_heads", default=32, maximum=2**16),
        key_dim=keys.integer("linear_key_head_dim", default=128, maximum=2**16),
        value_dim=keys.integer("linear_value_head_dim", default=128, maximum=2**16),
        conv_kernel=keys.integer("linear_conv_kernel_dim", default=4, maximum=1024),
        fp32_state=keys.text("mamba_ssm_dtype", default="") == "float32",
    )


def _attention(keys: Keys, hidden: int) -> Mixer:
    heads = keys.integer("num_attention_heads", maximum=2**16)
    bias = keys.boolean("attention_bias", default=False)
    number, dim = keys.integer("indexer_n_heads", maximum=2**16), keys.integer("indexer_head_dim", maximum=2**16)
    if keys.integer("indexer_kv_heads") != 1:
        raise keys.error("indexer_kv_heads", "must be 1")
    ratio = keys.integer("indexer_compress_ratio", maximum=2**20)
    mixer = gqa(
        hidden=hidden,
        heads=heads,
        kv_heads=read_kv_heads(keys, heads, 2),
        head_dim=keys.integer("head_dim", default=256, maximum=2**16),
        q_bias=bias,
        o_bias=bias,
        qk_norm="head",
        output_gate=True,
        extra_linears=(Linear("indexer.index_qk_proj", hidden, (number + 1) * dim, ATTENTION, WHOLE),),
        extra_vectors=(Vector("indexer.norms", 2 * dim),),
    )
    budget = keys.integer("indexer_budget")
    core = replace(mixer.core, topk_tokens=budget, index_heads=number, index_dim=dim, index_ratio=ratio)
    cache = replace(mixer.cache, indexer_bytes_per_token=2.0 * dim / ratio)
    return replace(mixer, kind="gqa_sparse", core=core, cache=cache)


def _experts(keys: Keys, hidden: int) -> FeedForward:
    number = keys.integer("num_experts", default=512, maximum=10**6)
    return moe(
        hidden=hidden,
        num_experts=number,
        num_experts_per_tok=keys.integer("num_experts_per_tok", default=10, maximum=number),
        intermediate=keys.integer("moe_intermediate_size", default=512),
        shared_intermediate=keys.integer("shared_expert_intermediate_size", default=512),
        shared_gate=True,
    )


def _hyper_connection(keys: Keys, hidden: int, *, inject: bool) -> tuple[tuple[Linear, ...], tuple[Vector, ...]]:
    """The mixer of the residual streams before one block: a norm, a low-rank pair and the weights of its way back."""
    streams = keys.integer("hc_count", default=4, minimum=2, maximum=64)
    rank = keys.integer("hc_lowrank", default=320, maximum=2**20)
    width = streams * hidden
    linears = [
        Linear("hyper.mix_down", width, rank, OTHER, WHOLE, quantizable=False),
        Linear("hyper.mix_up", rank, width, OTHER, WHOLE, quantizable=False),
    ]
    if inject:
        linears.append(Linear("hyper.inject", width, streams, OTHER, WHOLE, quantizable=False))
    return tuple(linears), (Vector("hyper.norm", width),)


# ---- hashed n-gram embeddings ----


def _with_ngrams(keys: Keys, mixer: Mixer, hidden: int, place: int) -> Mixer:
    """A mixer with the n-gram embedding of its layer: tables of prime sizes, two projections, a dilated convolution."""
    streams = keys.integer("hc_count", default=4, minimum=2, maximum=64)
    width = keys.integer("ple_embed_dim", default=hidden, maximum=2**20)
    kernel = keys.integer("ple_conv_kernel_size", default=4, maximum=1024)
    order = keys.integer("ngram_size", default=3, minimum=2, maximum=16)
    heads = (order - 1) * keys.integer("heads_per_ngram", default=8, maximum=256)
    if width % heads:
        raise keys.error("ple_embed_dim", f"{width} is not a multiple of the {heads} n-gram heads")
    rows = _rows(keys, heads, place)
    whole = streams * hidden
    linears = (
        Linear("ple.key_proj", width, whole, PER_LAYER, WHOLE, quantizable=False),
        Linear("ple.value_proj", width, hidden, PER_LAYER, WHOLE, quantizable=False),
    )
    vectors = (
        Vector("ple.ngram_embedding", rows * (width // heads), PER_LAYER, sharded=True),
        Vector("ple.conv1d", whole * kernel, PER_LAYER),
        Vector("ple.norms", 3 * whole),
    )
    cache = replace(mixer.cache, state_elements=mixer.cache.state_elements + (kernel - 1) * order * whole)
    return replace(
        mixer,
        kind=f"{mixer.kind}_ngram",
        linears=(*mixer.linears, *linears),
        vectors=(*mixer.vectors, *vectors),
        cache=cache,
    )


def _rows(keys: Keys, heads: int, place: int) -> int:
    """Rows of one layer's table: a distinct prime from ngram_vocab_size_base on for each head, rounded up together."""
    base = keys.integer("ngram_vocab_size_base", default=20_000_000, minimum=2)
    multiple = keys.integer("make_ngram_vocab_size_divisible_by", default=128, maximum=2**20)
    primes: list[int] = []
    number = base - 1
    while len(primes) < (place + 1) * heads:
        number += 1
        if _is_prime(number):
            primes.append(number)
    return math.ceil(sum(primes[place * heads :]) / multiple) * multiple


def _is_prime(number: int) -> bool:
    return number > 1 and all(number % divisor for divisor in range(2, math.isqrt(number) + 1))
