"""Configs: strange values, nesting, traps, and counts that must not depend on how a config is written."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sizing.base.errors import ConfigError
from sizing.model.config import load_config, parse_config, parse_json
from sizing.model.counts import kv_report
from sizing.model.parts import Component, Sharding
from sizing.model.sources import catalog_models, load_model

LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 128,
    "vocab_size": 100,
    "tie_word_embeddings": False,
}
REFERENCE: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "data" / "reference.json").read_text(encoding="utf-8")
)
CATALOG = Path(__file__).parents[2] / "sizing" / "model" / "catalog"


def config(name: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((CATALOG / f"{name}.json").read_text(encoding="utf-8"))
    return data


def with_keys(base: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(base), **changes}


def test_a_count_by_hand() -> None:
    arch = parse_config(LLAMA)
    # q and o: 64*64; k and v: 64*32; three matrices of 64*128; two norms of 64
    layer = 2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 128 + 2 * 64
    assert arch.total == 2 * layer + 2 * 100 * 64 + 64
    assert arch.active == arch.total
    assert arch.components()["attention"] == 2 * (2 * 64 * 64 + 2 * 64 * 32)


@pytest.mark.parametrize("key", ["hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size"])
@pytest.mark.parametrize(
    "value", ["64", True, 0, -1, 1.5, float("nan"), float("inf"), 10**30, [64], {"a": 1}, None, "missing"]
)
def test_a_strange_value_is_an_error_that_names_its_key(key: str, value: object) -> None:
    data = with_keys(LLAMA)
    if value == "missing":
        del data[key]
    else:
        data[key] = value
    with pytest.raises(ConfigError) as caught:
        parse_config(data)
    assert caught.value.key == key
    assert "\n" not in str(caught.value)


def test_required_keys_of_the_feed_forward_are_named() -> None:
    data = with_keys(LLAMA)
    del data["intermediate_size"]
    with pytest.raises(ConfigError, match="intermediate_size"):
        parse_config(data)


def test_depth_and_size_are_limited(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="num_hidden_layers"):
        parse_config(with_keys(LLAMA, num_hidden_layers=20_000))
    deep: Any = {}
    for _ in range(200):
        deep = {"a": deep}
    with pytest.raises(ConfigError, match="nested"):
        parse_config(with_keys(LLAMA, extra=deep))
    with pytest.raises(ConfigError, match="nested"):
        parse_json("[" * 100_000)
    big = tmp_path / "config.json"
    big.write_text('{"a": "' + "x" * (5 * 2**20) + '"}')
    with pytest.raises(ConfigError, match="larger than"):
        load_config(big)
    for text in ("", "[]", "{", "null", '"x"'):
        big.write_text(text)
        with pytest.raises(ConfigError):
            load_config(big)
    with pytest.raises(ConfigError):
        load_config(tmp_path / "nothing.json")


@pytest.mark.parametrize("model_type", ["nothing", "", "llama5", 7, None])
def test_an_unknown_type_is_refused(model_type: object) -> None:
    with pytest.raises(ConfigError, match="model_type"):
        parse_config(with_keys(LLAMA, model_type=model_type))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_kv_shared_layers", 2),
        ("num_experts", 8),
        ("n_routed_experts", 8),
        ("kv_lora_rank", 512),
        ("index_topk", 2048),
        ("block_configs", [{}]),
        ("cross_attention_layers", [1]),
        ("hidden_size_per_layer_input", 256),
        ("moe_latent_size", 64),
        ("vision_config", {"depth": 1}),
    ],
)
def test_a_key_that_would_change_the_build_is_refused(key: str, value: object) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(with_keys(LLAMA, **{key: value}))
    assert caught.value.key == key


def test_missing_kv_heads_mean_as_many_as_heads() -> None:
    data = with_keys(LLAMA)
    del data["num_key_value_heads"]
    assert parse_config(data).total == parse_config(with_keys(LLAMA, num_key_value_heads=4)).total


def test_the_top_level_decides_on_tying() -> None:
    data = config("Qwen__Qwen3-VL-8B-Instruct")
    for top, inner, tied in (
        (True, False, True),
        (False, True, False),
        (None, True, True),
        (None, None, False),
    ):
        data["tie_word_embeddings"] = top
        data["text_config"]["tie_word_embeddings"] = inner
        assert parse_config(data).tie_word_embeddings is tied


def test_a_window_that_is_not_in_use_does_not_count() -> None:
    base = config("Qwen__Qwen2.5-7B")
    assert all(group.mixer.cache.window is None for group in parse_config(base).groups)
    used = with_keys(base, use_sliding_window=True, sliding_window=4096, max_window_layers=20)
    windows = {group.mixer.cache.window: group.count for group in parse_config(used).groups}
    assert windows == {None: 20, 4096: 8}


def test_plain_query_projection() -> None:
    base = config("deepseek-ai__DeepSeek-V3")
    plain = parse_config(with_keys(base, q_lora_rank=None, num_nextn_predict_layers=0))
    ranked = parse_config(with_keys(base, num_nextn_predict_layers=0))
    layer = 7168 * 1536 + 1536 + 1536 * 128 * 192
    assert ranked.total - plain.total == 61 * (layer - 7168 * 128 * 192)
    assert plain.mtp == 0
    data = with_keys(base)
    del data["q_lora_rank"]
    with pytest.raises(ConfigError, match="q_lora_rank"):
        parse_config(data)


def test_dense_and_shared_variants_of_deepseek() -> None:
    base = config("deepseek-ai__DeepSeek-V3")
    none = parse_config(with_keys(base, n_shared_experts=None))
    assert none.components()["shared_experts"] == 0
    assert parse_config(with_keys(base, n_shared_experts=0)).total == none.total
    all_moe = parse_config(with_keys(base, first_k_dense_replace=0))
    assert all_moe.components()["dense_mlp"] == 0
    all_dense = parse_config(with_keys(base, first_k_dense_replace=61))
    assert all_dense.components()["routed_experts"] == 0


def test_sparse_steps_and_dense_layers() -> None:
    base = config("Qwen__Qwen3-30B-A3B")
    half = parse_config(with_keys(base, decoder_sparse_step=2))
    assert half.components()["routed_experts"] * 2 == parse_config(base).components()["routed_experts"]
    some = parse_config(with_keys(base, mlp_only_layers=[0, 5]))
    assert sum(g.count for g in some.groups if g.feed_forward.kind == "dense") == 2


def test_layers_keep_their_order() -> None:
    arch = parse_config(config("openai__gpt-oss-20b"))
    kinds = [arch.groups[index].mixer.cache.window for index in arch.layer_order]
    assert kinds == [128, None] * 12


def test_sharding_of_matrices() -> None:
    arch = parse_config(config("deepseek-ai__DeepSeek-V3.2"))
    linears = {linear.name: linear for linear in arch.groups[-1].mixer.linears}
    assert linears["q_a_proj"].sharding is Sharding.REPLICATED
    assert linears["q_a_proj"].fuse == linears["kv_a_proj"].fuse == "qkv_a"
    assert linears["q_b_proj"].sharding is linears["kv_b_proj"].sharding is Sharding.COLUMN
    assert linears["o_proj"].sharding is Sharding.ROW
    assert linears["indexer.wk"].sharding is Sharding.REPLICATED
    dense = parse_config(LLAMA).groups[0]
    named = {linear.name: linear for linear in (*dense.mixer.linears, *dense.feed_forward.linears)}
    assert named["k_proj"].sharding is Sharding.KV_HEADS and named["k_proj"].kv_heads == 2
    assert named["up_proj"].fuse == "gate_up" and named["down_proj"].sharding is Sharding.ROW
    routers = [
        linear for group in arch.groups for linear in group.feed_forward.linears if linear.component is Component.ROUTER
    ]
    assert routers and all(item.sharding is Sharding.REPLICATED and not item.quantizable for item in routers)


def test_contexts() -> None:
    qwen3 = parse_config(config("Qwen__Qwen3-32B"))
    assert (qwen3.native_context, qwen3.extended_context) == (40960, 131072)
    v3 = parse_config(config("deepseek-ai__DeepSeek-V3"))
    assert (v3.native_context, v3.rope_scaling_factor) == (163840, 40)
    assert v3.original_max_position_embeddings == 4096


@pytest.mark.parametrize("entry", catalog_models(), ids=lambda entry: entry.name)
def test_every_config_without_one_key_still_counts_the_same_or_is_refused(entry: Any) -> None:
    """Dropping a key never raises anything but a one-line ConfigError."""
    base = json.loads((CATALOG / entry.file).read_text(encoding="utf-8"))
    inner = base.get("text_config", base)
    for key in list(inner):
        if key == "quantization_config":
            continue
        changed = copy.deepcopy(base)
        del changed.get("text_config", changed)[key]
        try:
            parse_config(changed)
        except ConfigError as error:
            assert "\n" not in str(error)


@settings(max_examples=200, deadline=None)
@given(
    hidden=st.sampled_from([64, 128, 320]),
    heads=st.sampled_from([4, 8]),
    kv=st.sampled_from([1, 2, 4]),
    head_dim=st.one_of(st.none(), st.integers(1, 300)),
    layers=st.integers(1, 12),
    tie=st.booleans(),
    bias=st.booleans(),
)
def test_total_is_the_sum_of_its_parts(
    hidden: int, heads: int, kv: int, head_dim: int | None, layers: int, tie: bool, bias: bool
) -> None:
    arch = parse_config(
        with_keys(
            LLAMA,
            hidden_size=hidden,
            num_attention_heads=heads,
            num_key_value_heads=kv,
            head_dim=head_dim,
            num_hidden_layers=layers,
            tie_word_embeddings=tie,
            attention_bias=bias,
            mlp_bias=bias,
        )
    )
    width = head_dim or hidden // heads
    attention = 2 * hidden * width * (heads + kv) + bias * (width * (heads + 2 * kv) + hidden)
    mlp = 3 * hidden * 128 + bias * (2 * 128 + hidden)
    head = 0 if tie else 100 * hidden
    assert arch.total == layers * (attention + mlp + 2 * hidden) + 100 * hidden + head + hidden
    assert arch.active_without_embeddings + 100 * hidden + head == arch.active


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 10**12) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(name=st.sampled_from(sorted(entry.file for entry in catalog_models())), data=st.data(), value=JSON)
def test_any_value_at_any_key_is_counted_or_refused(name: str, data: st.DataObject, value: object) -> None:
    base = json.loads((CATALOG / name).read_text(encoding="utf-8"))
    base.pop("quantization_config", None)
    places = [base, *(item for item in base.values() if isinstance(item, dict))]
    place = data.draw(st.sampled_from(places))
    key = data.draw(st.sampled_from(sorted(place)))
    place[key] = value
    try:
        arch = parse_config(base)
    except ConfigError as error:
        assert "\n" not in str(error) and len(str(error)) < 600
    else:
        assert arch.total > 0 and arch.active <= arch.total


@pytest.mark.parametrize(
    ("architecture", "head"),
    [
        ("LlamaForCausalLM", True),
        ("LlamaModel", False),
        ("QWenLMHeadModel", True),
        ("InternVLChatModel", True),
        ("ChatGLMModel", True),
    ],
)
def test_embedding_models_have_no_head(architecture: str, head: bool) -> None:
    arch = parse_config(with_keys(LLAMA, architectures=[architecture]))
    assert arch.lm_head == (100 * 64 if head else 0)


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"model_type": "gpt2", "n_embd": 64, "hidden_size": 48, "n_layer": 2, "n_head": 4}, "n_embd"),
        ({"model_type": "mpt", "d_model": 64, "n_layers": 2, "n_heads": 4, "no_bias": False}, "no_bias"),
        ({"model_type": "mpt", "d_model": 64, "n_layers": 2, "n_heads": 4, "expansion_ratio": 3}, "expansion_ratio"),
        (
            {"model_type": "qwen", "hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 7},
            "intermediate_size",
        ),
        (
            {"model_type": "mamba", "hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 100},
            "intermediate_size",
        ),
        ({"model_type": "internvl_chat", "llm_config": LLAMA, "vision_config": {}}, "tie_word_embeddings"),
        ({"model_type": "qwen3_omni_moe", "talker_config": {}}, "thinker_config"),
    ],
)
def test_what_implementations_disagree_on_is_refused(config: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config({"vocab_size": 100, **config})
    assert caught.value.key == key


def test_nemotron_nas_by_hand() -> None:
    def block(attention: dict[str, Any], ffn: dict[str, Any]) -> dict[str, Any]:
        return {"attention": attention, "ffn": ffn}

    config = {
        "model_type": "nemotron-nas",
        "architectures": ["DeciLMForCausalLM"],
        "hidden_size": 1024,
        "num_attention_heads": 8,
        "num_hidden_layers": 3,
        "vocab_size": 100,
        "tie_word_embeddings": False,
        "block_configs": [
            block({"n_heads_in_group": 4, "no_op": False}, {"ffn_mult": 1.3, "no_op": False}),
            block({"no_op": True, "n_heads_in_group": None}, {"no_op": True, "ffn_mult": None}),
            block({"replace_with_linear": True}, {"replace_with_linear": True}),
        ],
    }
    arch = parse_config(config)
    width = 1024  # int(2 * 1.3 * 1024 / 3) = 887, rounded up to a multiple of 256
    first = 2 * 1024 * 1024 + 2 * 1024 * 256 + 3 * 1024 * width + 2 * 1024
    third = 2 * 1024 * 1024 + 2 * 1024
    assert arch.total == first + third + 2 * 100 * 1024 + 1024
    assert kv_report(arch, 1)["bytes"] == 2 * 2 * 128 * 2


def test_longcat_counts_experts_without_weights() -> None:
    arch = load_model("LongCat-Flash-Chat", allow_hub=False)
    assert arch.num_layers == 56
    assert 18e9 < arch.active < 32e9  # the publisher states 18.6 to 31.3 billion, 27 on average


def test_layers_that_share_a_cache_keep_none() -> None:
    config = {
        "model_type": "gemma3n_text",
        "vocab_size": 100,
        "hidden_size": 64,
        "num_hidden_layers": 10,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "intermediate_size": 128,
        "num_kv_shared_layers": 5,
        "sliding_window": 8,
    }
    report = kv_report(parse_config(config), 100)
    assert report["bytes"] == 2 * 2 * 2 * 16 * (4 * 8 + 1 * 100)


def test_the_thinker_is_counted_alone_and_said_so() -> None:
    case = next(case for case in REFERENCE if case["label"] == "qwen3_omni_moe_thinker base")
    whole = {"model_type": "qwen3_omni_moe", "thinker_config": case["config"], "talker_config": {"a": 1}}
    arch = parse_config(whole)
    assert arch.total == case["total"]
    assert any("thinker alone" in note for note in arch.notes)
