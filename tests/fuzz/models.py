"""Fuzz targets: model configs and checkpoints."""

from __future__ import annotations

import json
import random
import re
import struct
import tempfile
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from tests.fuzz import mutate
from tests.fuzz.base import CATALOG, NEGATIVE, files
from tests.fuzz.guard import finite_trouble


@cache
def config_keys() -> tuple[str, ...]:
    """Every key that a config of the catalog has, at any level."""
    from sizing.model.keys import BUILD_KEYS

    keys = set(BUILD_KEYS)
    for path in CATALOG.glob("*.json"):
        stack: list[Any] = [json.loads(path.read_text(encoding="utf-8"))]
        while stack:
            here = stack.pop()
            if isinstance(here, dict):
                keys |= set(here)
                stack += here.values()
            elif isinstance(here, list):
                stack += here[:3]
    return tuple(sorted(keys))


def mutate_config(rng: random.Random, data: bytes) -> bytes:
    return mutate.json_bytes(rng, data, config_keys())


def config(data: bytes, folder: Path) -> list[str]:
    from sizing.model.counts import kv_report, params_report
    from sizing.model.sources import load_model

    path = folder / "config.json"
    path.write_bytes(data)
    arch = load_model(path, allow_hub=False)
    found = [params_report(arch), kv_report(arch, 131_072), kv_report(arch, 1, "fp8")]
    return finite_trouble(found, NEGATIVE, "params")


def served(data: bytes, folder: Path) -> list[str]:
    """A config that is accepted must be servable, or be refused: the ledger and an estimate of it."""
    from sizing.engine.placement import Placement
    from sizing.memory.ledger import memory_ledger
    from sizing.planning.estimate import estimate
    from sizing.planning.target import resolve_target

    path = folder / "config.json"
    path.write_bytes(data)
    rng = random.Random(len(data))
    on = rng.choice(("h100-sxm", "b200-sxm", "ascend-910b2", "mi300x", "l40s"))
    target = resolve_target(str(path), on)
    place = Placement(rng.choice((1, 2, 8)), 1, 1, 1)
    ledger = memory_ledger(target.arch, target.accelerator.usable_bytes, place, target.engine, target.scheme,
                           device_name=target.accelerator.id, kv_dtype=target.kv)  # fmt: skip
    # What is left for the cache is below 0 where a model does not fit: that is the answer.
    found = finite_trouble(ledger.to_dict(), re.compile("pool|free|left|kv|ledger"), "memory")
    if ledger.fits:
        answer = estimate(str(path), on, place, input_tokens=100.0, output_tokens=50.0, target=target)
        found += finite_trouble(answer.to_dict(), NEGATIVE, "estimate")
    return found


def safetensors_seeds() -> list[bytes]:
    def file(header: dict[str, Any], body: int) -> bytes:
        text = json.dumps(header).encode()
        return struct.pack("<Q", len(text)) + text + b"\0" * body

    return [
        file({"a": {"dtype": "BF16", "shape": [4, 8], "data_offsets": [0, 64]}, "__metadata__": {"format": "pt"}}, 64),
        file({"x": {"dtype": "F8_E4M3", "shape": [16], "data_offsets": [0, 16]},
              "y": {"dtype": "F32", "shape": [], "data_offsets": [16, 20]}}, 20),
        file({f"t{i}": {"dtype": "F4", "shape": [2, 2], "data_offsets": [2 * i, 2 * i + 2]} for i in range(30)}, 60),
    ]  # fmt: skip


def mutate_safetensors(rng: random.Random, data: bytes) -> bytes:
    if rng.random() < 0.25 or len(data) < 8:
        return mutate.raw(rng, data)
    size = struct.unpack("<Q", data[:8])[0]
    header = mutate.json_bytes(rng, data[8 : 8 + size])
    stated = len(header) if rng.random() < 0.85 else rng.choice((0, 1, 2**31, 2**63, 2**64 - 1, len(header) + 1))
    return struct.pack("<Q", stated) + header + data[8 + size :]


def safetensors(data: bytes, folder: Path) -> list[str]:
    from sizing.model.checkpoints.safetensors import read_header, safetensors_headers

    path = folder / "model.safetensors"
    path.write_bytes(data)
    found = [asdict(item) for item in read_header(path)]
    assert found == [asdict(item) for item in safetensors_headers(folder)]
    return finite_trouble(found, NEGATIVE, "tensors")


def index(data: bytes, folder: Path) -> list[str]:
    """The index of a sharded checkpoint beside a config: a trouble with it is a note, never a crash."""
    from sizing.model.sources import load_model

    (folder / "config.json").write_bytes((CATALOG / "Qwen__Qwen3-8B.json").read_bytes())
    (folder / "model.safetensors.index.json").write_bytes(data)
    arch = load_model(folder, allow_hub=False)
    return finite_trouble({"stored": arch.stored_bytes, "total": arch.total}, NEGATIVE, "index")


def index_seeds() -> list[bytes]:
    names = {f"model.layers.{i}.w": f"model-0000{i % 3}-of-00003.safetensors" for i in range(9)}
    return [json.dumps({"metadata": {"total_size": 10}, "weight_map": names}).encode()]


@cache
def gguf_seeds() -> list[bytes]:
    """Small GGUF files of several families, as the gguf package writes them."""

    from tests.model.checkpoints.test_gguf import EXTRA, write

    found = []
    with tempfile.TemporaryDirectory() as name:
        for number, arch in enumerate(EXTRA):
            path = Path(name) / f"{arch}.gguf"
            write(path, arch, tied=number % 2 == 0, quantized=number % 3 == 0)
            found.append(path.read_bytes()[:60_000])
            found.append(path.read_bytes())
    return found


def gguf_file(data: bytes, folder: Path) -> list[str]:
    from sizing.model.counts import params_report
    from sizing.model.sources import load_model

    path = folder / "tiny.gguf"
    path.write_bytes(data)
    return finite_trouble(params_report(load_model(path, allow_hub=False)), NEGATIVE, "gguf")


def mutate_gguf(rng: random.Random, data: bytes) -> bytes:
    """Mostly the metadata at the start, where the counts and lengths stand."""
    if rng.random() < 0.2:
        return mutate.raw(rng, data)
    head = rng.choice((64, 400, 3000))
    return mutate.raw(rng, data[:head]) + data[head:]


def config_seeds() -> list[bytes]:
    return files("sizing/model/catalog/*.json", most=60_000)
