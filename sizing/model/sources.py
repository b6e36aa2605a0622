"""Where a model's config comes from: the catalog, a config.json, a model directory, or the Hugging Face
Hub.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import cast

from sizing.base.checked import one_of, public, required, switch
from sizing.base.errors import ConfigError, SizingError, unknown_name
from sizing.base.files import load_yaml
from sizing.model.architecture import Architecture
from sizing.model.checkpoints import access, hub
from sizing.model.checkpoints.gguf_file import load_gguf, single_file
from sizing.model.checkpoints.gguf_header import begins_as_gguf
from sizing.model.checkpoints.openvino_file import MODEL, openvino_constants
from sizing.model.checkpoints.safetensors import INDEX, check_against, describe_difference, safetensors_headers
from sizing.model.config import load_config, parse_config, read_json
from sizing.model.foreign import ollama_file, quantization_beside, why_no_config
from sizing.model.foreign_configs import MISTRAL
from sizing.model.name_formats import Stated, is_word, stated_format, without_mix
from sizing.model.quantization.gguf_mix import mix_scheme
from sizing.model.quantization.schemes import QuantScheme, scheme
from sizing.model.stored import by_the_bytes

CATALOG = "catalog"
MAX_NAME = 500

# Words at the end of a repository's name that change the training or the packing, not the build.
_TRAINING = ("instruct", "chat", "it", "base", "hf", "pt", "mtp")
_SCALES = ("quantized", "quarot", "dynamic", "static", "qat", "channel", "per", "pertensor", "block", "group")
_PACKING = ("fp8kv", "kv", "ct", "unsloth", "310", "vllm", "tp1", "tp2", "tp4", "tp8", "abliterated")
_WORDS = frozenset((*_TRAINING, *_SCALES, *_PACKING))
_BRACKETS = re.compile(r"\s*\([^()]*\)\s*$")


@dataclass(frozen=True, slots=True)
class CatalogModel:
    """One entry of the catalog. origin: "real", "reconstructed" or "hypothetical"; source: the public copy
    it is from.
    """

    name: str
    file: str
    family: str
    origin: str
    aliases: tuple[str, ...] = ()
    source: str | None = None
    hypothetical: bool = False
    note: str = ""
    max_position_embeddings: int | None = None
    hf_quant_config: str | None = None
    weights_unknown: str | None = None  # why the published weight format is not known


@lru_cache(maxsize=1)
def catalog_models() -> tuple[CatalogModel, ...]:
    """All entries of the catalog, by name."""
    text = _catalog_file("catalog.yaml").read_text(encoding="utf-8")
    document = cast(dict[str, list[dict[str, object]]], load_yaml(text))
    entries = []
    for item in document["models"]:
        source = cast("dict[str, str] | None", item.get("source"))
        entries.append(
            CatalogModel(
                name=str(item["id"]),
                file=str(item["file"]),
                family=str(item["family"]),
                origin=str(item["origin"]),
                aliases=tuple(cast(list[str], item.get("aliases", []))),
                source=f"{source['repo']}@{source['commit'][:12]}:{source['path']}" if source else None,
                hypothetical=bool(item.get("hypothetical", False)),
                note=str(item.get("note", "")),
                max_position_embeddings=cast("int | None", item.get("max_position_embeddings")),
                hf_quant_config=cast("str | None", item.get("hf_quant_config")),
                weights_unknown=cast("str | None", item.get("weights_unknown")),
            )
        )
    return tuple(sorted(entries, key=lambda entry: entry.name.lower()))


def _catalog_file(name: str) -> Path:
    return Path(str(resources.files("sizing.model") / CATALOG / name))


@lru_cache(maxsize=1)
def _names() -> dict[str, CatalogModel]:
    """Every spelling that names an entry, lower case: aliases, full names, and names without the
    organisation.
    """
    table: dict[str, CatalogModel] = {}
    entries = catalog_models()
    for entry in entries:
        table[entry.name.lower()] = entry
    for entry in entries:
        for alias in entry.aliases:
            table.setdefault(alias.lower(), entry)
    for entry in entries:
        for full in (entry.name, *entry.aliases):
            table.setdefault(full.lower().rsplit("/", 1)[-1], entry)
    return table


@public(name_or_path=required(one_of(str, Path)), allow_hub=switch)
def load_model(name_or_path: str | Path, *, allow_hub: bool = True, allow_paths: bool | None = None) -> Architecture:
    """The Architecture of a catalog name or alias, a config.json, a model directory, or a Hub id
    (``org/name``).

    Names are case-insensitive, with or without the organisation; quantised variants (``-FP8``, ``-AWQ``,
    ``-W8A8`` ...) and ``-Instruct`` resolve to the entry of the same build. The Hub is asked only for
    ``org/name`` that is not in the catalog, needs the optional ``huggingface_hub``, and honours HF_ENDPOINT
    and HF_HUB_OFFLINE. ``allow_paths``: whether the name may be a path at all; None: what the process may
    open (``sizing.model.checkpoints.access``), which for a page is no path.

    Raises ConfigError for a bad file and UnknownNameError, with the nearest names, otherwise.
    """
    name = str(name_or_path)
    if not name.strip() or len(name) > MAX_NAME or "\0" in name:
        raise SizingError("is not a model name or path", key="model")
    exact = _names().get(name.strip().lower())
    if exact is not None:
        return _load_entry(exact)
    paths = access.current().paths if allow_paths is None else allow_paths
    if paths:
        from_path = _load_path(name)
        if from_path is not None:
            return from_path
    found = _match(name)
    if found is not None:
        return _variant(name, *found)
    if allow_hub and hub.is_id(name):
        return _load_from_hub(name)
    hint = "`sizing models` lists the catalog; a path of a config.json or a Hub id such as org/name will do too"
    if not paths:
        hint = "choose one of the catalog, give a Hub id such as org/name, or upload its config.json"
    raise unknown_name("model", name, _known_names(), key="model", otherwise=hint)


def _load_path(name: str) -> Architecture | None:
    """The Architecture of what stands at a path; None where nothing does and the name is none of a file."""
    path = Path(name)
    try:
        if path.is_dir():
            return load_directory(path)
        if path.exists():  # a file, or a pipe such as /dev/stdin
            return _load_file(path)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error}", key=name) from None
    if name.endswith((".json", ".gguf")):
        raise ConfigError("no such file", key=name)
    return None


def find_in_catalog(name: str) -> tuple[CatalogModel, str | None] | None:
    """The entry of a name and the weight format that the name itself states ("X-AWQ": "int4_awq"), None if
    there is none.

    Words that do not change a model's build are taken off the name's end one by one until an entry is found.
    """
    found = _match(name)
    return None if found is None else (found[0], found[1].format)


def _match(name: str) -> tuple[CatalogModel, Stated] | None:
    """The entry of a name and what the name states of the weights."""
    table = _names()
    exact = next((text for text in _spellings(name) if text in table), None)
    if exact is not None:
        return table[exact], Stated()
    for candidate in _spellings(name):
        rest, mix = without_mix(candidate)
        words: list[str] = []
        while rest:
            for ending in ("", "-instruct", "-hf", "-fp8", "-nvfp4"):
                if rest + ending not in table:
                    continue
                stated = stated_format(name.strip().lower(), words, mix)
                if ending in ("-fp8", "-nvfp4") and stated == Stated():
                    stated = Stated("bf16")
                return table[rest + ending], stated
            head, _, last = rest.replace(".w", "-w").rpartition("-")
            if last not in _WORDS and not is_word(last):
                break
            words.append(last)
            rest = head
    return None


def _spellings(name: str) -> Iterable[str]:
    """The name as it is, without brackets at its end, without its organisation or folders."""
    plain = name.strip().lower().replace("_", "-").rstrip("/")
    bare = _BRACKETS.sub("", plain)
    for text in dict.fromkeys((plain, bare)):
        yield text
        if "/" in text:
            yield text.rsplit("/", 1)[-1]


def _variant(name: str, entry: CatalogModel, stated: Stated) -> Architecture:
    """The entry's Architecture under the name that was asked for."""
    architecture = _load_entry(entry)
    fmt = stated.format
    native = architecture.native_quantization
    notes = [*architecture.notes, f"{name} has the build of {entry.name}"]
    if fmt is not None:
        notes.append(f"its weight format, {fmt}, is read from its name")
        native = None if fmt in ("bf16", "fp16") else _scheme_like(fmt, native)
        if native is not None and native.mix is not None:
            native = mix_scheme(architecture, native.mix)
    problem = architecture.quantization_problem if fmt is None else None
    if stated.problem is not None:
        native, problem = None, stated.problem
    return replace(
        architecture, name=name, notes=tuple(notes), native_quantization=native, quantization_problem=problem
    )


def _scheme_like(fmt: str, native: object) -> QuantScheme:
    """The scheme of this format; "fp8" of a checkpoint that is itself in FP8 keeps the checkpoint's own
    scheme.
    """
    if fmt == "fp8" and isinstance(native, QuantScheme) and native.linear.name.startswith("fp8"):
        return native
    return scheme(fmt)


@lru_cache(maxsize=1024)
def _load_entry(entry: CatalogModel) -> Architecture:
    config = read_json(_catalog_file(entry.file))
    beside = read_json(_catalog_file(entry.hf_quant_config)) if entry.hf_quant_config else None
    architecture = parse_config(
        config,
        name=entry.name,
        hf_quant_config=beside,
        hypothetical=entry.hypothetical,
        max_position_embeddings=entry.max_position_embeddings,
    )
    notes = list(architecture.notes)
    if entry.origin != "real":
        notes.insert(0, f"the config is {entry.origin}, not as published")
    if entry.note:
        notes.insert(0, entry.note)
    if entry.weights_unknown:
        notes.append(f"the checkpoint's format is not known, give the weight format: {entry.weights_unknown}")
    problem = entry.weights_unknown or architecture.quantization_problem
    return replace(architecture, notes=tuple(notes), quantization_problem=problem)


def load_directory(folder: str | Path) -> Architecture:
    """The Architecture of a model directory: config.json, hf_quant_config.json, and the stored tensors
    where present, whose headers are held against the config's count.
    """
    path = Path(folder)
    config = path / "config.json"
    if not config.is_file():
        single = sorted(path.glob("*.gguf"))
        if single and len(single_file(single)) == 1:
            return load_gguf(single[0])
        if (path / MISTRAL).is_file():
            read = parse_config(read_json(path / MISTRAL), name=path.resolve().name)
            return with_stored_tensors(read, path)
        raise why_no_config(path)
    files = sorted(path.glob("*.gguf"))
    stored = any(path.glob("*.safetensors")) or (path / INDEX).is_file()
    if not stored and len(single_file(files)) == 1:
        return load_gguf(files[0])
    read = load_config(config, name=path.resolve().name, quantization=quantization_beside(path))
    return with_stored_tensors(read, path)


def with_stored_tensors(architecture: Architecture, folder: Path) -> Architecture:
    """The Architecture with the stored bytes and dtypes of the folder's safetensors or OpenVINO model, and a note on how
    their entries compare with its count.
    """
    graph = folder / MODEL
    plain = any(folder.glob("*.safetensors")) or (folder / INDEX).is_file()
    if not plain and not graph.is_file():
        return architecture
    try:
        tensors = safetensors_headers(folder) if plain else openvino_constants(graph)
    except ConfigError as error:
        note = f"the stored tensors cannot be read: {error}"
        return replace(architecture, notes=(*architecture.notes, note))
    found = check_against(architecture, tensors)
    dtypes: Counter[str] = Counter()
    for tensor in tensors:
        dtypes[tensor.dtype] += tensor.bytes
    problem = architecture.quantization_problem
    if architecture.native_quantization is None and problem is None:
        problem = _packed(dtypes)
    read = replace(
        architecture,
        notes=(*architecture.notes, describe_difference(architecture, found)),
        quantization_problem=problem,
        stored_bytes=found["stored_bytes"],
        stored_dtypes=tuple(sorted(dtypes.items())),
    )
    return by_the_bytes(read, tensors)


def _packed(dtypes: Counter[str]) -> str | None:
    """What says that stored tensors are quantised where no config does; None for plain floats."""
    plain = ("F64", "F32", "F16", "BF16")
    rest = {name: size for name, size in dtypes.items() if name not in plain and size > sum(dtypes.values()) / 10}
    if not rest:
        return None
    held = " and ".join(f"{size} bytes in {name}" for name, size in sorted(rest.items()))
    return f"no quantization_config, and {held} among its tensors"


def _load_file(path: Path) -> Architecture:
    if path.suffix.lower() == ".gguf" or begins_as_gguf(path):
        return load_gguf(path)
    if not path.suffix or path.name == "manifest.json":
        blob = ollama_file(path)
        if blob is not None:
            return replace(load_gguf(blob), name=f"{path.parent.name}:{path.name}")
    name = path.parent.name if path.name == "config.json" else path.stem
    return load_config(path, name=name or path.stem)


def _known_names() -> list[str]:
    return [item for entry in catalog_models() for item in (entry.name, *entry.aliases)]


# ---- the Hub ----


def _load_from_hub(name: str) -> Architecture:
    """The Architecture of ``org/name`` by its config.json (and hf_quant_config.json) on the Hub."""
    known = unknown_name("model", name, _known_names(), key="model")
    config = hub.fetch_json(name, "config.json", known.hint)
    beside = hub.fetch_json(name, "hf_quant_config.json", known.hint, needed=False)
    assert config is not None
    found = parse_config(config, name=name, hf_quant_config=beside)
    return replace(found, notes=(*found.notes, hub.how_asked(name)))
