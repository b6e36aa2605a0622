"""Token mixers: attention and recurrent blocks as matrices, vectors, a core for timing and a cache.

Formulas follow the public modelling code of each family (transformers, vLLM); counts are checked to the
last parameter.
"""

from __future__ import annotations

from dataclasses import replace

from sizing.model.parts import (
    AttentionCore,
    Cache,
    CacheKind,
    Component,
    CoreKind,
    Linear,
    Mixer,
    Sharding,
    Vector,
)

ATTENTION = Component.ATTENTION
RECURRENT = Component.LINEAR_ATTENTION
GDN_CHUNK = 64  # tokens of a chunk of the gated delta net's kernels (vLLM 0.33)
NO_CORE = AttentionCore(CoreKind.NONE)
NO_CACHE = Cache(CacheKind.NONE)
NO_MIXER = Mixer("none", (), (), NO_CORE, NO_CACHE)


def gqa(
    *,
    hidden: int,
    heads: int,
    kv_heads: int,
    head_dim: int,
    v_head_dim: int | None = None,
    q_bias: bool = False,
    k_bias: bool | None = None,
    v_bias: bool | None = None,
    o_bias: bool = False,
    qk_norm: str = "none",
    norm_bias: bool = False,
    output_gate: bool = False,
    sinks: bool = False,
    window: int | None = None,
    share_kv: bool = False,
    key_is_value: bool = False,
    extra_linears: tuple[Linear, ...] = (),
    extra_vectors: tuple[Vector, ...] = (),
) -> Mixer:
    """Multi-head, grouped-query or multi-query softmax attention, causal over all tokens or over ``window``.

    qk_norm: "none", "head" (one norm of head_dim for q, one for k), "full" (over all heads), "full_q_heads"
    (both of the query's width). output_gate: q_proj also makes a gate of the same width. share_kv: the
    layer reads another layer's cache and has no k and v. key_is_value: no v_proj, v is k before its norm.
    Cache: kv_heads * (head_dim + v_head_dim) elements a token.
    """
    value_dim = head_dim if v_head_dim is None else v_head_dim
    linears = [
        Linear(
            "q_proj",
            hidden,
            heads * head_dim * (2 if output_gate else 1),
            ATTENTION,
            Sharding.COLUMN,
            q_bias,
            fuse="qkv",
        )
    ]
    if not share_kv:
        linears.append(
            Linear(
                "k_proj",
                hidden,
                kv_heads * head_dim,
                ATTENTION,
                Sharding.KV_HEADS,
                q_bias if k_bias is None else k_bias,
                fuse="qkv",
                kv_heads=kv_heads,
            )
        )
        if not key_is_value:
            linears.append(
                Linear(
                    "v_proj",
                    hidden,
                    kv_heads * value_dim,
                    ATTENTION,
                    Sharding.KV_HEADS,
                    q_bias if v_bias is None else v_bias,
                    fuse="qkv",
                    kv_heads=kv_heads,
                )
            )
    linears.append(Linear("o_proj", heads * value_dim, hidden, ATTENTION, Sharding.ROW, o_bias))
    vectors = list(_qk_norms(qk_norm, heads, kv_heads, head_dim, norm_bias, share_kv))
    if sinks:
        vectors.append(Vector("sinks", heads, ATTENTION, sharded=True))
    core = AttentionCore(CoreKind.SOFTMAX, heads, kv_heads, head_dim, value_dim, window)
    if share_kv:
        cache = NO_CACHE
    else:
        kind = CacheKind.FULL if window is None else CacheKind.SLIDING
        cache = Cache(kind, kv_heads * (head_dim + value_dim), kv_heads, window)
    name = "gqa" if window is None else "sliding"
    if share_kv:
        name = f"shared_{name}"
    return Mixer(name, (*linears, *extra_linears), (*vectors, *extra_vectors), core, cache)


def _qk_norms(qk_norm: str, heads: int, kv_heads: int, head_dim: int, bias: bool, share_kv: bool) -> tuple[Vector, ...]:
    if qk_norm == "none":
        return ()
    q_width, k_width = {
        "head": (head_dim, head_dim),
        "full": (heads * head_dim, kv_heads * head_dim),
        "full_q_heads": (heads * head_dim, heads * head_dim),
    }[qk_norm]
    scale = 2 if bias else 1
    whole = qk_norm != "head"
    norms = [Vector("q_norm", scale * q_width, sharded=whole)]
    if not share_kv:
        norms.append(Vector("k_norm", scale * k_width, sharded=whole))
    return tuple(norms)


def mla(
    *,
    hidden: int,
    heads: int,
    q_lora_rank: int | None,
    kv_lora_rank: int,
    qk_nope_head_dim: int,
    qk_rope_head_dim: int,
    v_head_dim: int,
    bias: bool = False,
    index_heads: int = 0,
    index_dim: int = 0,
    index_topk: int | None = None,
    own_indexer: bool = True,
    extra_linears: tuple[Linear, ...] = (),
    extra_vectors: tuple[Vector, ...] = (),
) -> Mixer:
    """Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434), with DeepSeek sparse attention when
    index_topk is set.

    Cache: kv_lora_rank + qk_rope_head_dim elements a token, one copy on every tensor parallel rank. The
    indexer keeps one key of index_dim a token, counted at 2 bytes an element (fp8 kernels keep index_dim +
    4 bytes). own_indexer: False where a layer uses the token choice of an earlier layer's indexer.
    """
    qk_dim = qk_nope_head_dim + qk_rope_head_dim
    replicated = Sharding.REPLICATED
    linears: list[Linear] = []
    vectors: list[Vector] = []
    if q_lora_rank is None:
        linears.append(Linear("q_proj", hidden, heads * qk_dim, ATTENTION, Sharding.COLUMN))
    else:
        linears.append(Linear("q_a_proj", hidden, q_lora_rank, ATTENTION, replicated, bias, fuse="qkv_a"))
        linears.append(Linear("q_b_proj", q_lora_rank, heads * qk_dim, ATTENTION, Sharding.COLUMN))
        vectors.append(Vector("q_a_norm", q_lora_rank))
    latent = kv_lora_rank + qk_rope_head_dim
    fuse = None if q_lora_rank is None else "qkv_a"
    linears.append(Linear("kv_a_proj", hidden, latent, ATTENTION, replicated, bias, fuse=fuse))
    vectors.append(Vector("kv_a_norm", kv_lora_rank))
    linears.append(
        Linear("kv_b_proj", kv_lora_rank, heads * (qk_nope_head_dim + v_head_dim), ATTENTION, Sharding.COLUMN)
    )
    linears.append(Linear("o_proj", heads * v_head_dim, hidden, ATTENTION, Sharding.ROW, bias))
    core = AttentionCore(CoreKind.MLA, heads, 1, qk_dim, v_head_dim, latent_dim=latent, latent_v_dim=kv_lora_rank)
    cache = Cache(CacheKind.MLA, latent, 1)
    kind = "mla"
    if index_topk is not None:
        kind = "mla_sparse" if own_indexer else "mla_sparse_shared"
        core = replace(core, topk_tokens=index_topk)
        if own_indexer:
            core = replace(core, index_heads=index_heads, index_dim=index_dim)
            cache = replace(cache, indexer_bytes_per_token=2.0 * index_dim)
            source = hidden if q_lora_rank is None else q_lora_rank
            linears.append(Linear("indexer.wq_b", source, index_heads * index_dim, ATTENTION, replicated))
            linears.append(Linear("indexer.wk", hidden, index_dim, ATTENTION, replicated))
            linears.append(
                Linear("indexer.weights_proj", hidden, index_heads, ATTENTION, replicated, quantizable=False)
            )
            vectors.append(Vector("indexer.k_norm", 2 * index_dim))
    return Mixer(kind, (*linears, *extra_linears), (*vectors, *extra_vectors), core, cache)


def gated_delta_net(
    *,
    hidden: int,
    key_heads: int,
    value_heads: int,
    key_dim: int,
    value_dim: int,
    conv_kernel: int,
    fp32_state: bool,
) -> Mixer:
    """Gated delta net of Qwen3-Next and Qwen3.5 (arXiv 2412.06464), with its short convolution over q, k
    and v.

    State: (2 * key width + value width) * conv_kernel + value_heads * key_dim * value_dim elements a
    sequence.
    """
    keys = key_heads * key_dim
    values = value_heads * value_dim
    conv = 2 * keys + values
    linears = (
        Linear("in_proj_qkvz", hidden, 2 * keys + 2 * values, RECURRENT, Sharding.COLUMN),
        Linear("in_proj_ba", hidden, 2 * value_heads, RECURRENT, Sharding.COLUMN, quantizable=False),
        Linear("out_proj", values, hidden, RECURRENT, Sharding.ROW),
    )
    vectors = (
        Vector("conv1d", conv * conv_kernel, RECURRENT, sharded=True),
        Vector("dt_bias", value_heads, RECURRENT, sharded=True),
        Vector("A_log", value_heads, RECURRENT, sharded=True),
        Vector("norm", value_dim),
    )
    state = value_heads * key_dim * value_dim
    core = AttentionCore(CoreKind.LINEAR, value_heads, key_heads, key_dim, value_dim)
    cache = _state(conv, conv_kernel, state, fp32_state, checkpoint=GDN_CHUNK)
    return Mixer("gated_delta_net", linears, vectors, core, cache)


def mamba2(
    *,
    hidden: int,
    heads: int,
    head_dim: int,
    state_size: int,
    groups: int,
    conv_kernel: int,
    proj_bias: bool = False,
    out_bias: bool | None = None,
    conv_bias: bool = True,
    gated_norm: bool = True,
    fp32_state: bool = False,
) -> Mixer:
    """Mamba-2 (arXiv 2405.21060): in_proj to gate, x, B, C and dt; a short convolution over x, B and C.

    State: (d_inner + 2 * groups * state_size) * conv_kernel + d_inner * state_size elements a sequence.
    """
    inner = heads * head_dim
    conv = inner + 2 * groups * state_size
    out = proj_bias if out_bias is None else out_bias
    linears = (
        Linear("in_proj", hidden, inner + conv + heads, RECURRENT, Sharding.COLUMN, proj_bias),
        Linear("out_proj", inner, hidden, RECURRENT, Sharding.ROW, out),
    )
    vectors = [
        Vector("conv1d", conv * (conv_kernel + (1 if conv_bias else 0)), RECURRENT, sharded=True),
        Vector("dt_bias", heads, RECURRENT, sharded=True),
        Vector("A_log", heads, RECURRENT, sharded=True),
        Vector("D", heads, RECURRENT, sharded=True),
    ]
    if gated_norm:
        vectors.append(Vector("norm", inner, sharded=True))
    core = AttentionCore(CoreKind.LINEAR, heads, groups, state_size, head_dim)
    cache = _state(conv, conv_kernel, inner * state_size, fp32_state, checkpoint=1)
    return Mixer("mamba2", linears, tuple(vectors), core, cache)


def mamba1(
    *,
    hidden: int,
    inner: int,
    state_size: int,
    dt_rank: int,
    conv_kernel: int,
    proj_bias: bool = False,
    conv_bias: bool = True,
    inner_norms: bool = False,
    fp32_state: bool = False,
) -> Mixer:
    """Mamba (arXiv 2312.00752), with Jamba's norms of dt, B and C when ``inner_norms``.

    State: inner * (conv_kernel + state_size) elements a sequence.
    """
    linears = (
        Linear("in_proj", hidden, 2 * inner, RECURRENT, Sharding.COLUMN, proj_bias),
        Linear("x_proj", inner, dt_rank + 2 * state_size, RECURRENT, Sharding.ROW),
        Linear("dt_proj", dt_rank, inner, RECURRENT, Sharding.COLUMN, bias=True),
        Linear("out_proj", inner, hidden, RECURRENT, Sharding.ROW, proj_bias),
    )
    vectors = [
        Vector("conv1d", inner * (conv_kernel + (1 if conv_bias else 0)), RECURRENT, sharded=True),
        Vector("A_log", inner * state_size, RECURRENT, sharded=True),
        Vector("D", inner, RECURRENT, sharded=True),
    ]
    if inner_norms:
        vectors.append(Vector("dt_b_c_norms", dt_rank + 2 * state_size))
    core = AttentionCore(CoreKind.LINEAR, inner, 1, state_size, 1)
    return Mixer("mamba", linears, tuple(vectors), core, _state(inner, conv_kernel, inner * state_size, fp32_state))


def lightning(*, hidden: int, heads: int, head_dim: int) -> Mixer:
    """Lightning attention of MiniMax-Text-01 (arXiv 2501.08313): one qkv projection, an output gate, a state.

    State: heads * head_dim * head_dim elements a sequence.
    """
    width = heads * head_dim
    linears = (
        Linear("qkv_proj", hidden, 3 * width, RECURRENT, Sharding.COLUMN),
        Linear("output_gate", hidden, width, RECURRENT, Sharding.COLUMN),
        Linear("out_proj", width, hidden, RECURRENT, Sharding.ROW),
    )
    vectors = (Vector("norm", width, sharded=True),)
    core = AttentionCore(CoreKind.LINEAR, heads, heads, head_dim, head_dim)
    return Mixer("lightning", linears, vectors, core, _state(0, 0, heads * head_dim * head_dim, True))


def short_conv(*, hidden: int, kernel: int, bias: bool = False) -> Mixer:
    """The gated short convolution of LFM2. State: hidden * kernel elements a sequence."""
    linears = (
        Linear("in_proj", hidden, 3 * hidden, RECURRENT, Sharding.COLUMN, bias),
        Linear("out_proj", hidden, hidden, RECURRENT, Sharding.ROW, bias),
    )
    vectors = (Vector("conv", hidden * (kernel + (1 if bias else 0)), RECURRENT, sharded=True),)
    core = AttentionCore(CoreKind.LINEAR, hidden, hidden, 1, 1)
    return Mixer("short_conv", linears, vectors, core, _state(hidden, kernel, 0, False))


def _state(channels: int, kernel: int, recurrent: int, fp32: bool, *, checkpoint: int | None = None) -> Cache:
    """A constant cache: a convolution's last ``kernel`` inputs in 16 bits, and a recurrent state that engines may
    keep in fp32. checkpoint: tokens between the points of a prompt at which a state can be exported.
    """
    conv = channels * kernel
    return Cache(
        CacheKind.STATE,
        state_elements=conv + recurrent,
        state_fp32_elements=recurrent if fp32 else 0,
        conv_elements=conv,
        conv_columns=kernel,
        checkpoint_tokens=checkpoint,
    )
