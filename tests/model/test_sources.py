"""Names, aliases, variants, directories and the Hub."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sizing.base.errors import ConfigError, SizingError, UnknownNameError
from sizing.model.quantization.schemes import QuantScheme
from sizing.model.sources import catalog_models, load_model

CATALOG = Path(__file__).parents[2] / "sizing" / "model" / "catalog"


def native(name: str) -> str | None:
    scheme = load_model(name, allow_hub=False).native_quantization
    return scheme.name if isinstance(scheme, QuantScheme) else None


def test_every_entry_has_its_file_its_origin_and_a_source_when_real() -> None:
    entries = catalog_models()
    files = {path.name for path in CATALOG.glob("*.json")}
    assert files == {entry.file for entry in entries}
    assert len({entry.name.lower() for entry in entries}) == len(entries)
    for entry in entries:
        assert entry.origin in ("real", "reconstructed", "hypothetical")
        assert entry.origin != "real" or entry.source or entry.note, entry.name
        assert (entry.origin == "hypothetical") == entry.hypothetical


def test_aliases_name_one_entry_each() -> None:
    seen: dict[str, str] = {}
    for entry in catalog_models():
        for alias in entry.aliases:
            assert seen.setdefault(alias.lower(), entry.name) == entry.name


@pytest.mark.parametrize(
    ("name", "total"),
    [
        ("Qwen/Qwen3-32B", 32762123264),
        ("qwen3-32b", 32762123264),
        ("QWEN3-32B", 32762123264),
        ("vllm-ascend/Qwen3-32B-W8A8-QuaRot", 32762123264),
        ("Qwen/Qwen2.5-7B-Instruct-AWQ", 7615616512),
        ("RedHatAI/Meta-Llama-3.1-8B-Instruct-quantized.w4a16", 8030261248),
        ("deepseek-ai/DeepSeek-R1-0528", 671026404352),
        ("nvidia/DeepSeek-R1-NVFP4", 671026404352),
        ("Llama-2-70B (MLPerf)", 68976648192),
        ("deepseek-r2", 1203267944448),
    ],
)
def test_names_resolve(name: str, total: int) -> None:
    assert load_model(name, allow_hub=False).total == total


def test_the_rumour_is_marked_hypothetical() -> None:
    arch = load_model("DeepSeek-R2")
    assert arch.hypothetical and "Not a real model" in arch.notes[0]
    assert not load_model("deepseek-r1").hypothetical


def test_the_name_of_a_variant_states_its_format() -> None:
    assert native("Qwen/Qwen3-14B-AWQ") == "int4_awq"
    assert native("Howeee/DeepSeek-R1-0528-w8a8") == "int8"
    assert native("unsloth/DeepSeek-V3.1-BF16") is None
    assert native("deepseek-ai/DeepSeek-R1-0528") == "fp8_block"
    assert native("Qwen3.6-27B") is None


def test_a_different_model_is_not_taken_for_its_neighbour() -> None:
    for name in ("GLM-5.4-Flash", "Qwen3.9-27B", "MiniMaxAI/MiniMax-M4", "EleutherAI/gpt-k-6b", "qwen"):
        with pytest.raises(UnknownNameError):
            load_model(name, allow_hub=False)


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="Qwen3-32B"):
        load_model("qwen3-32", allow_hub=False)


@pytest.mark.parametrize("name", ["", " ", "x" * 1000, "a\0b", "nothing/here.json", "../../etc/passwd"])
def test_bad_names_are_errors_of_one_line(name: str) -> None:
    with pytest.raises(SizingError) as caught:
        load_model(name, allow_hub=False)
    assert "\n" not in str(caught.value)


def test_a_path_and_a_directory(tmp_path: Path) -> None:
    folder = tmp_path / "My-Model"
    folder.mkdir()
    with pytest.raises(ConfigError, match=r"config\.json"):
        load_model(folder)
    text = (CATALOG / "nvidia__Qwen3-32B-NVFP4.json").read_text(encoding="utf-8")
    (folder / "config.json").write_text(text)
    assert load_model(str(folder / "config.json")).total == 32762123264
    quant = (CATALOG / "quant" / "nvidia__Qwen3-32B-NVFP4.json").read_text(encoding="utf-8")
    (folder / "hf_quant_config.json").write_text(quant)
    arch = load_model(folder)
    assert arch.name == "My-Model"
    assert isinstance(arch.native_quantization, QuantScheme)
    assert arch.native_quantization.name == "nvfp4" and arch.native_quantization.kv_cache_dtype == "fp8"
    (folder / "hf_quant_config.json").write_text("{}")
    odd = load_model(folder)
    assert odd.native_quantization is None and any("not understood" in note for note in odd.notes)


def test_the_hub_without_its_extra_or_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UnknownNameError, match="hub"):
        load_model("someone/some-model")
    monkeypatch.delitem(sys.modules, "huggingface_hub")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UnknownNameError):
        load_model("someone/some-model")


def test_a_catalog_model_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("Qwen3-32B", "Qwen/Qwen2.5-7B-Instruct-AWQ")
    first = [load_model(name, allow_hub=False) for name in names]
    monkeypatch.setattr("sizing.model.sources.read_json", None)  # a second reading would call it
    assert [load_model(name, allow_hub=False) for name in names] == first


def test_kimi_k2_thinking_is_int4_as_published() -> None:
    own = load_model("Kimi-K2-Thinking").native_quantization
    assert isinstance(own, QuantScheme)
    assert (own.experts.name, own.experts.bits, own.lm_head.name) == ("int4", 4, "bf16")
