"""Headers of safetensors files."""

from __future__ import annotations

import contextlib
import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sizing.base.errors import ConfigError
from sizing.model.architecture import Architecture
from sizing.model.checkpoints.safetensors import INDEX, check_against, read_header, safetensors_headers
from sizing.model.config import parse_config
from sizing.model.sources import load_model
from tests.model.test_config import LLAMA


def write(path: Path, header: Any, data: int) -> None:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + bytes(data))


def entry(dtype: str, shape: list[int], start: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def test_bytes_and_dtypes_of_one_file(tmp_path: Path) -> None:
    header = {
        "__metadata__": {"format": "pt"},
        "a": entry("BF16", [3, 4], 0, 24),
        "b": entry("F8_E4M3", [5], 24, 29),
    }
    write(tmp_path / "model.safetensors", header, 29)
    tensors = {tensor.name: tensor for tensor in safetensors_headers(tmp_path)}
    assert (tensors["a"].bytes, tensors["a"].elements, tensors["b"].bytes) == (24, 12, 5)


def test_shards_by_their_index_and_the_count(tmp_path: Path) -> None:
    arch = parse_config(LLAMA)
    rest = arch.total - 1000
    write(tmp_path / "one.safetensors", {"a": entry("BF16", [1000], 0, 2000)}, 2000)
    write(tmp_path / "two.safetensors", {"b": entry("BF16", [rest], 0, 2 * rest)}, 2 * rest)
    index = {"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}
    (tmp_path / INDEX).write_text(json.dumps(index))
    found = check_against(arch, safetensors_headers(tmp_path))
    assert found["difference"] == 0 and found["stored_bytes"] == 2 * arch.total
    for bad in ("../one.safetensors", "/etc/passwd", "..", 7):
        (tmp_path / INDEX).write_text(json.dumps({"weight_map": {"a": bad}}))
        with pytest.raises(ConfigError):
            safetensors_headers(tmp_path)


@pytest.mark.parametrize(
    "header",
    [
        b"not json",
        [],
        {"a": 1},
        {"a": entry("F99", [1], 0, 4)},
        {"a": entry("F32", [2], 0, 4)},
        {"a": entry("F32", [1], 4, 8)},
        {"a": entry("F32", [-1], 0, 4)},
        {"a": entry("F32", [1.5], 0, 4)},  # type: ignore[list-item]
        {"a": {"dtype": "F32", "shape": [1]}},
    ],
)
def test_malformed_headers_are_errors(tmp_path: Path, header: Any) -> None:
    file = tmp_path / "model.safetensors"
    write(file, header, 4)
    with pytest.raises(ConfigError):
        read_header(file)


def test_lengths_beyond_the_file(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    for raw in (b"", b"1234567", struct.pack("<Q", 2**60) + b"{}", struct.pack("<Q", 10) + b"{}"):
        file.write_bytes(raw)
        with pytest.raises(ConfigError):
            read_header(file)
    with pytest.raises(ConfigError):
        safetensors_headers(tmp_path / "none")


@settings(max_examples=100, deadline=None)
@given(raw=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    file = tmp_path_factory.mktemp("st") / "model.safetensors"
    file.write_bytes(raw)
    with contextlib.suppress(ConfigError):
        read_header(file)


def checkpoint(folder: Path, entries: int, dtype: str = "BF16", config: dict[str, Any] | None = None) -> Architecture:
    size = 2 * entries if dtype == "BF16" else entries
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config or LLAMA))
    write(folder / "model.safetensors", {"a": entry(dtype, [entries], 0, size)}, size)
    return load_model(folder)


def test_a_directory_is_held_against_its_config(tmp_path: Path) -> None:
    total = parse_config(LLAMA).total
    same = checkpoint(tmp_path / "a", total)
    assert same.stored_bytes == 2 * total and same.stored_dtypes == (("BF16", 2 * total),)
    assert same.notes[-1].endswith("which is the config's count")
    tied = {**LLAMA, "tie_word_embeddings": True}
    both = checkpoint(tmp_path / "b", total, config=tied)
    assert "tied head stored" in both.notes[-1]
    odd = checkpoint(tmp_path / "c", total + 7)
    assert "differs from the config's count by +7" in odd.notes[-1]
    quantized = {**LLAMA, "quantization_config": {"quant_method": "fp8"}}
    packed = checkpoint(tmp_path / "d", total + 8, "F8_E4M3", quantized)
    assert "+8 entries" in packed.notes[-1] and packed.stored_bytes == total + 8


def test_a_directory_with_broken_tensors_is_still_counted(tmp_path: Path) -> None:
    checkpoint(tmp_path, 10)
    (tmp_path / "model.safetensors").write_bytes(b"x")
    found = load_model(tmp_path)
    assert found.total == parse_config(LLAMA).total and found.stored_bytes is None
    assert "cannot be read" in found.notes[-1]
