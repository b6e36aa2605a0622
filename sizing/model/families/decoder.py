"""The common decoder: softmax attention and an MLP or a mixture of experts, as a table of dialects.

Each dialect states what the modelling code of its family hard-codes: biases, norms, which layers have a
window, how the experts' keys are called. Defaults are those of the family's configuration class in
transformers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from sizing.model.body import Body, Layer, layer_count, norm
from sizing.model.feedforward import dense, moe
from sizing.model.keys import Keys
from sizing.model.mixers import gqa
from sizing.model.parts import FeedForward, Linear, Mixer, Vector

Flag = bool | tuple[str, bool] | tuple[str, str, bool]  # hard-coded, or (key, default), or two names of the key
Windows = Callable[[Keys, int], list[int | None]]
Parts = Callable[[Keys, "Dims"], tuple[tuple[Linear, ...], tuple[Vector, ...]]]
MoeLayers = Callable[[Keys, int], list[bool]]


@dataclass(frozen=True, slots=True)
class Dims:
    """Widths that most families state under the same names."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int


@dataclass(frozen=True, slots=True)
class MoeDialect:
    """How a family writes its mixture of experts."""

    experts: tuple[str, ...]
    top_k: tuple[str, ...] = ("num_experts_per_tok",)
    width: tuple[str, ...] = ("moe_intermediate_size",)
    layers: MoeLayers | None = None  # None: every layer
    dense_width: tuple[str, ...] = ("intermediate_size",)
    shared_count: tuple[str, ...] = ()  # shared experts, each of the routed width
    shared_count_default: int | None = None
    shared_of: Callable[[Keys, int], int] | None = None  # the width of one of them where it is not the routed
    shared_width: tuple[str, ...] = ()  # or their whole width
    shared_gate: bool = False
    shared_norm: bool = False  # a norm of the model's width behind the experts
    router_vector: bool = False  # a correction bias that is a parameter, not a buffer
    expert_bias: bool = False
    router_bias: bool = False
    optional: bool = False  # no experts key: a dense model
    default_top_k: int | None = None


@dataclass(frozen=True, slots=True)
class Dialect:
    """What the modelling code of a family hard-codes."""

    qkv_bias: Flag = False
    o_bias: Flag = False
    mlp_bias: Flag = False
    qk_norm: str = "none"
    qk_norm_flag: Flag = True
    layer_norms: int | Callable[[Keys], int] = 2
    norm_bias: Flag = False
    norm_weight: bool = True
    final_norm: bool = True
    gated: bool = True
    tie: bool = False
    windows: Windows | None = None
    moe: MoeDialect | None = None
    head_dim: int | None = None  # the class default where it is not hidden / heads
    ignore_head_dim: bool = False
    kv_default: int | None = None  # the class default where it is not the number of heads
    output_gate: Flag = False
    sinks: bool = False
    lm_head_bias: Flag = False
    vocab_default: int | None = None
    heads_default: int | None = None
    layer_key: tuple[str, ...] = ("num_hidden_layers",)
    square_output: bool = False  # the output projection is hidden x hidden: heads must be hidden / heads wide
    multi_head: bool = False  # as many KV heads as heads, whatever the config says
    mtp: str = "none"  # "deepseek": a copy of the last layer with 2 h^2 + 3 h; "noted": said to be left out
    attention_parts: Parts | None = None  # what every attention block holds besides
    mlp_parts: Parts | None = None  # what every dense MLP holds besides
    yarn_factor: int | None = None


def flag(keys: Keys, value: Flag) -> bool:
    """A hard-coded flag, or the one at its key."""
    if isinstance(value, bool):
        return value
    *names, default = value
    return keys.boolean(*map(str, names), default=bool(default))


def read_dims(keys: Keys, dialect: Dialect) -> Dims:
    """Read the widths, derive head_dim and the KV heads where they are absent."""
    hidden = keys.integer("hidden_size", maximum=2**20)
    layers = layer_count(keys, *dialect.layer_key)
    heads = keys.integer("num_attention_heads", default=dialect.heads_default, maximum=2**16)
    kv_heads = read_kv_heads(keys, heads, dialect.kv_default)
    if dialect.multi_head and kv_heads != heads:
        raise keys.error("num_key_value_heads", f"{kv_heads} is not supported in this family", f"it has {heads}")
    head_dim = read_head_dim(keys, hidden, heads, dialect.head_dim, ignore=dialect.ignore_head_dim)
    if dialect.square_output and head_dim * heads != hidden:
        raise keys.error("head_dim", f"{head_dim} is not hidden_size / num_attention_heads, which this family needs")
    vocab = keys.integer("vocab_size", default=dialect.vocab_default, maximum=2**27)
    return Dims(hidden, layers, heads, kv_heads, head_dim, vocab)


def read_kv_heads(keys: Keys, heads: int, default: int | None = None) -> int:
    """num_key_value_heads; absent means as many as heads, unless the family's own default would differ."""
    explicit = keys.optional_integer("num_key_value_heads", maximum=2**16)
    if explicit is None:
        if "num_key_value_heads" not in keys.data and default not in (None, heads) and heads % (default or 1) == 0:
            raise keys.error(
                "num_key_value_heads",
                "required key is missing",
                f"this family's default, {default}, is not {heads} heads",
            )
        return heads
    if heads % explicit:
        raise keys.error("num_key_value_heads", f"{explicit} does not divide the {heads} attention heads")
    return explicit


def read_head_dim(keys: Keys, hidden: int, heads: int, default: int | None = None, *, ignore: bool = False) -> int:
    """head_dim, else the family's default, else hidden_size / num_attention_heads."""
    explicit = None if ignore else keys.optional_integer("head_dim", maximum=2**16)
    if explicit is not None:
        return explicit
    if default is not None and "head_dim" not in keys.data:
        return default
    if hidden % heads:
        raise keys.error("hidden_size", f"{hidden} is not a multiple of num_attention_heads ({heads}) and no head_dim")
    return hidden // heads


# ---- which layers have a window ----


def window_always(keys: Keys, layers: int) -> list[int | None]:
    """Mistral, Phi-3: sliding_window, when not null, holds for every layer."""
    window = keys.optional_integer("sliding_window")
    return [window] * layers


def window_qwen(keys: Keys, layers: int) -> list[int | None]:
    """Qwen2, Qwen3: only with use_sliding_window, on layers from max_window_layers on, or by layer_types."""
    use = keys.boolean("use_sliding_window", default=False)
    window = keys.optional_integer("sliding_window", minimum=0)
    types = read_layer_types(keys, layers)
    first = keys.integer("max_window_layers", default=28, minimum=0)
    if not use:
        window = None
    elif window is None:
        window = 4096 if "sliding_window" not in keys.data else None
    if types is not None:
        if "sliding_attention" in types and not window:
            raise keys.error("sliding_window", "required key is missing, layer_types has sliding_attention")
        return [window if kind == "sliding_attention" else None for kind in types]
    return [window if window and index >= first else None for index in range(layers)]


def window_qwen_moe(keys: Keys, layers: int) -> list[int | None]:
    """Qwen2-MoE and Qwen3-MoE: a window in use is refused, engines and modelling code disagree on its
    layers.
    """
    if keys.boolean("use_sliding_window", default=False) and keys.optional_integer("sliding_window", minimum=0):
        raise keys.error("use_sliding_window", "is not supported in this family")
    keys.has("max_window_layers")
    return [None] * layers


def window_pattern(
    default: int,
    window: int | None = None,
    none: bool = True,
    *,
    first: bool = False,
    key: str = "sliding_window_pattern",
) -> Windows:
    """layer_types, else every ``default``-th layer is full (the number at ``key``), the others slide.

    first: the full layer is the first of each ``default``, not the last.
    """
    shift = 0 if first else 1

    def windows(keys: Keys, layers: int) -> list[int | None]:
        size = keys.optional_integer("sliding_window")
        if size is None and ("sliding_window" not in keys.data or not none):
            size = window
        types = read_layer_types(keys, layers)
        pattern = default
        raw = keys.data.get(key)
        if isinstance(raw, str):
            if not raw:
                raise keys.error("sliding_window_pattern", "must be a whole number or a string of L and G")
            pattern = 0
        elif keys.has(key):
            pattern = keys.integer(key)
        elif keys.has("_sliding_window_pattern"):
            pattern = keys.integer("_sliding_window_pattern")
        if types is None:
            types = (
                [{"L": "sliding_attention", "G": "full_attention"}.get(raw[i % len(raw)], "") for i in range(layers)]
                if isinstance(raw, str)
                else ["sliding_attention" if (i + shift) % pattern else "full_attention" for i in range(layers)]
            )
            if "" in types:
                raise keys.error(key, "must be a whole number or a string of L and G")
        if size is None and "sliding_attention" in types and "sliding_window" not in keys.data:
            raise keys.error("sliding_window", "required key is missing")
        return [size if kind == "sliding_attention" else None for kind in types]

    return windows


def window_by_types(keys: Keys, layers: int) -> list[int | None]:
    """A window only where layer_types says so."""
    types = read_layer_types(keys, layers)
    window = keys.optional_integer("sliding_window")
    if types is None or "sliding_attention" not in types:
        return [None] * layers
    if window is None:
        raise keys.error("sliding_window", "required key is missing, layer_types has sliding_attention")
    return [window if kind == "sliding_attention" else None for kind in types]


def window_minimax_m2(keys: Keys, layers: int) -> list[int | None]:
    """MiniMax-M2: full attention throughout; its attn_type_list must say so."""
    kinds = keys.integers("attn_type_list", layers) or []
    if 0 in kinds:
        raise keys.error("attn_type_list", "linear attention (0) is not supported in this family")
    if keys.optional_integer("sliding_window") is not None:
        raise keys.error("sliding_window", "is not supported in this family")
    return [None] * layers


def no_window(keys: Keys, layers: int) -> list[int | None]:
    """No window; layer_types, if given, must all be full attention."""
    types = keys.names("layer_types", ("full_attention",), layers)
    del types
    return [None] * layers


def window_beyond_context(keys: Keys, layers: int) -> list[int | None]:
    """Phi-MoE, Qwen3-VL-MoE: a window that a context can outgrow is refused, engines ignore what transformers obeys."""
    window = keys.optional_integer("sliding_window", minimum=0)
    context = keys.optional_integer("max_position_embeddings")
    if keys.boolean("use_sliding_window", default=True) and window and (context is None or window < context):
        raise keys.error("sliding_window", f"{window} is not supported in this family")
    keys.has("max_window_layers")
    return no_window(keys, layers)


def read_layer_types(keys: Keys, layers: int) -> list[str] | None:
    return keys.names("layer_types", ("full_attention", "sliding_attention"), layers)


# ---- which layers have experts ----


def moe_after_first(default_first: int | None = None) -> MoeLayers:
    """DeepSeek: layers before first_k_dense_replace are dense, then every moe_layer_freq-th has experts."""

    def layers_with_experts(keys: Keys, layers: int) -> list[bool]:
        kinds = keys.names("mlp_layer_types", ("dense", "sparse"), layers)
        if kinds is not None:
            keys.has("first_k_dense_replace")
            return [kind == "sparse" for kind in kinds]
        first = keys.integer("first_k_dense_replace", default=default_first, minimum=0)
        frequency = keys.data.get("moe_layer_freq")
        if isinstance(frequency, list):
            values = keys.integers("moe_layer_freq", layers) or []
            return [bool(value) for value in values]
        step = keys.integer("moe_layer_freq", default=1)
        return [index >= first and index % step == 0 for index in range(layers)]

    return layers_with_experts


def moe_by_types(keys: Keys, layers: int) -> list[bool]:
    """mlp_layer_types, else every layer has experts."""
    kinds = keys.names("mlp_layer_types", ("dense", "sparse"), layers)
    return [True] * layers if kinds is None else [kind == "sparse" for kind in kinds]


def moe_sparse_step(keys: Keys, layers: int) -> list[bool]:
    """Qwen: every decoder_sparse_step-th layer has experts, but not those of mlp_only_layers."""
    step = keys.integer("decoder_sparse_step", default=1)
    only = set(keys.integers("mlp_only_layers") or [])
    return [index not in only and (index + 1) % step == 0 for index in range(layers)]


# ---- building ----


def attention_of(keys: Keys, dialect: Dialect, dims: Dims) -> list[Mixer]:
    """The attention of every layer."""
    windows = (dialect.windows or no_window)(keys, dims.layers)
    qkv_bias = flag(keys, dialect.qkv_bias)
    o_bias = flag(keys, dialect.o_bias)
    qk_norm = dialect.qk_norm if flag(keys, dialect.qk_norm_flag) else "none"
    gate = flag(keys, dialect.output_gate)
    norm_bias = flag(keys, dialect.norm_bias)
    linears, vectors = dialect.attention_parts(keys, dims) if dialect.attention_parts else ((), ())
    made = {
        window: gqa(
            hidden=dims.hidden,
            heads=dims.heads,
            kv_heads=dims.kv_heads,
            head_dim=dims.head_dim,
            q_bias=qkv_bias,
            o_bias=o_bias,
            qk_norm=qk_norm,
            norm_bias=norm_bias and qk_norm != "none",
            output_gate=gate,
            sinks=dialect.sinks,
            window=window,
            extra_linears=linears,
            extra_vectors=vectors,
        )
        for window in set(windows)
    }
    return [made[window] for window in windows]


def read_moe(keys: Keys, dialect: MoeDialect, hidden: int, mlp_bias: bool = False) -> FeedForward:
    """The mixture of experts that a config's keys describe."""
    width = keys.integer(*dialect.width)
    experts = keys.integer(*dialect.experts, maximum=10**6)
    top_k = keys.integer(*dialect.top_k, default=dialect.default_top_k, maximum=experts)
    if top_k > experts:
        raise keys.error(dialect.top_k[0], f"the family's default, {top_k}, is more than the {experts} experts")
    shared = 0
    if dialect.shared_count:
        one = width if dialect.shared_of is None else dialect.shared_of(keys, width)
        shared = one * keys.integer(*dialect.shared_count, default=dialect.shared_count_default or 0, minimum=0)
    elif dialect.shared_width:
        shared = keys.integer(*dialect.shared_width, default=0, minimum=0)
    return moe(
        hidden=hidden,
        num_experts=experts,
        num_experts_per_tok=top_k,
        intermediate=width,
        expert_bias=dialect.expert_bias,
        router_bias=dialect.router_bias,
        shared_intermediate=shared,
        shared_bias=mlp_bias,
        shared_gate=dialect.shared_gate,
        router_params=experts if dialect.router_vector else 0,
        extra_vectors=norm(hidden, name="experts_norm") if dialect.shared_norm else (),
    )


def feed_forward_of(keys: Keys, dialect: Dialect, dims: Dims) -> list[FeedForward]:
    """The feed-forward block of every layer."""
    bias = flag(keys, dialect.mlp_bias)
    kinds = dialect.moe
    if kinds is not None and kinds.optional and not any(keys.data.get(key) for key in kinds.experts):
        keys.unused(*kinds.experts)
        kinds = None
    sparse = [kinds is not None] * dims.layers
    if kinds is not None and kinds.layers is not None:
        sparse = kinds.layers(keys, dims.layers)
    plain = experts = None
    if not all(sparse):
        width = keys.integer(*(kinds.dense_width if kinds else ("intermediate_size",)))
        plain = dense(dims.hidden, width, gated=dialect.gated, bias=bias)
        if dialect.mlp_parts is not None:
            linears, vectors = dialect.mlp_parts(keys, dims)
            plain = replace(plain, linears=(*plain.linears, *linears), vectors=(*plain.vectors, *vectors))
    if kinds is not None:
        experts = read_moe(keys, kinds, dims.hidden, bias)
    blocks = (plain, experts)
    return [block for block in (blocks[int(is_moe)] for is_moe in sparse) if block is not None]


def build(keys: Keys, dialect: Dialect) -> Body:
    """A decoder of ``dialect``."""
    dims = read_dims(keys, dialect)
    mixers = attention_of(keys, dialect, dims)
    blocks = feed_forward_of(keys, dialect, dims)
    bias = flag(keys, dialect.norm_bias)
    width = dims.hidden if dialect.norm_weight else 0
    number = dialect.layer_norms if isinstance(dialect.layer_norms, int) else dialect.layer_norms(keys)
    vectors = norm(width, bias=bias, count=number)
    layers = [Layer(mixer, block, vectors) for mixer, block in zip(mixers, blocks, strict=True)]
    body = Body(
        hidden_size=dims.hidden,
        vocab_size=dims.vocab,
        layers=layers,
        tie_default=dialect.tie,
        final_vectors=norm(width if dialect.final_norm else 0, bias=bias, name="final_norm"),
        lm_head_bias=flag(keys, dialect.lm_head_bias),
    )
    if dialect.mtp == "deepseek":
        add_mtp(keys, body)
    if dialect.mtp == "noted" and keys.integer("num_nextn_predict_layers", "num_mtp_layers", default=0, minimum=0):
        body.notes.append("the multi-token-prediction modules that the config states are not counted")
    if dialect.yarn_factor is not None:
        body.yarn_context = documented_yarn(keys, dialect.yarn_factor)
    return body


def build_plain_heads(keys: Keys, dialect: Dialect) -> Body:
    """As ``build``, where implementations disagree on a head_dim that is not hidden_size / heads: refuse it."""
    hidden, heads = keys.optional_integer("hidden_size"), keys.optional_integer("num_attention_heads")
    given = keys.optional_integer("head_dim")
    if given is not None and hidden is not None and heads is not None and given * heads != hidden:
        raise keys.error("head_dim", f"{given} is not hidden_size / num_attention_heads, which this family needs")
    return build(keys, dialect)


def add_mtp(
    keys: Keys,
    body: Body,
    *names: str,
    norms: int = 3,
    layer: Layer | None = None,
    shared_extra: bool = False,
) -> None:
    """Multi-token-prediction modules: each a copy of the last layer, a 2h x h projection and its norms.

    An expert layer's module also stores the router's correction bias, which the main model keeps as a buffer.
    shared_extra: the projection and norms exist once for all modules (Qwen).
    """
    count = keys.integer(*(names or ("num_nextn_predict_layers",)), default=0, minimum=0, maximum=64)
    if count == 0:
        return
    last = layer or body.layers[-1]
    hidden = body.hidden_size
    body.mtp_layers = [last] * count
    experts = last.feed_forward.experts
    extra = 2 * hidden * hidden + norms * hidden
    if shared_extra:
        body.mtp_extra_params = extra
    else:
        body.mtp_extra_params = count * (extra + (experts.num_experts if experts else 0))


def documented_yarn(keys: Keys, factor: int) -> int | None:
    """Context with the YaRN that Qwen documents: ``factor`` x 32,768 for models of 32K and 40K, ``factor``
    x 262,144 above.
    """
    if keys.data.get("rope_scaling"):
        return None
    native = keys.optional_integer("max_position_embeddings")
    if native is None:
        return None
    original = {32768: 32768, 40960: 32768}.get(native)
    return None if original is None else factor * original
