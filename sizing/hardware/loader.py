"""The hardware catalog: built-in files, a user's own files on top, lookup by id or by any spelling in use.

Nothing is read at import. A kind of entry (accelerators, servers, prices) is read when it is first asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from sizing.base.checked import one_of, public, required, text
from sizing.base.errors import SizingError, unknown_name
from sizing.hardware import yaml_files
from sizing.hardware.models import Accelerator, Entry, Fabric, Family, Server, Slice
from sizing.hardware.price_models import ApiPrice, Price, PriceAssumptions, PurchaseQuote, RentalQuote, RentMargin
from sizing.hardware.slices import as_accelerator

# Which top-level keys each built-in file may hold; a user's file may hold them all.
_LIST = "`sizing hardware` lists them; --catalog FILE adds your own"
_SERVER_FILES = ("servers.yaml", "fabrics.yaml")
_PRICE_FILES = ("prices_cloud.yaml", "prices_purchase.yaml", "prices_api.yaml", "prices_assumptions.yaml")
_LISTS: dict[str, type[Entry]] = {
    "families": Family,
    "accelerators": Accelerator,
    "slices": Slice,
    "servers": Server,
    "fabrics": Fabric,
}
_PRICE_LISTS: dict[str, type[Entry]] = {
    "rental_quotes": RentalQuote,
    "purchase_quotes": PurchaseQuote,
    "api_prices": ApiPrice,
}
# What a later file's quotes replace: those that agree in all of these.
_SAME_QUOTE = {
    "rental_quotes": ("accelerator", "term"),
    "purchase_quotes": ("accelerator",),
    "api_prices": ("provider", "model"),
}
ENTRY_KINDS = (*_LISTS, *_PRICE_LISTS)
TOP_KEYS = (*_LISTS, *_PRICE_LISTS, "price_sources", "price_assumptions")


def catalog_dir() -> Path:
    """Where the built-in files are: in the installed package, or at the top of a checkout."""
    inside = Path(__file__).with_name("catalog")
    if inside.is_dir():
        return inside
    outside = Path(__file__).parents[2] / "hardware_catalog"
    if outside.is_dir():
        return outside
    raise SizingError("the hardware catalog is missing from this installation", key="hardware_catalog")


def normalize(name: str) -> str:
    """The form in which names are compared: lower case, words joined by single hyphens."""
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-")


_Raw = dict[str, tuple[str, dict[str, Any]]]  # id -> (file, entry)


class Catalog:
    """All hardware that is known. Built by ``load_catalog``; parts load when first asked for."""

    def __init__(self, directory: Path, extra: tuple[Path, ...] = ()) -> None:
        self.directory = directory
        self.extra_files = extra
        self.known_prices: dict[tuple[str, str], Price] = {}  # (accelerator, term), worked out once
        self.known_margins: dict[str, RentMargin | None] = {}  # by term, likewise

    def __eq__(self, other: object) -> bool:
        """Whether both hold the same entries: copies do."""
        if self is other or not isinstance(other, Catalog):
            return self is other
        if (self.directory, self.extra_files) != (other.directory, other.extra_files):
            return False
        try:
            return self._extra == other._extra
        except SizingError:  # a file that cannot be read is like no other
            return False

    def __hash__(self) -> int:
        return hash((self.directory, self.extra_files))

    @classmethod
    def with_data(cls, directory: Path, path: Path, data: dict[str, Any]) -> Catalog:
        """The catalog of a directory with the content of one more file on top, as it was read from ``path``."""
        made = cls(directory, (path,))
        made._extra = [(path.name, data)]
        return made

    # -- reading

    @cached_property
    def _extra(self) -> list[tuple[str, dict[str, Any]]]:
        read = [(path.name, yaml_files.read(path)) for path in self.extra_files]
        for name, data in read:
            check_top_keys(name, data)
        return read

    def _built_in(self, names: tuple[str, ...] | None) -> Iterator[tuple[str, dict[str, Any]]]:
        others = {*_SERVER_FILES, *_PRICE_FILES}
        for path in sorted(self.directory.glob("*.yaml")):
            if path.name in names if names is not None else path.name not in others:
                data = yaml_files.read(path, trusted=True)
                check_top_keys(path.name, data)
                yield path.name, data

    @cached_property
    def _core(self) -> list[tuple[str, dict[str, Any]]]:
        return [*self._built_in(None), *self._extra]

    @cached_property
    def _server_data(self) -> list[tuple[str, dict[str, Any]]]:
        return [*self._built_in(_SERVER_FILES), *self._extra]

    @cached_property
    def price_data(self) -> list[tuple[str, dict[str, Any]]]:
        """(file, mapping) of all files that may hold prices."""
        return [*self._built_in(_PRICE_FILES), *self._extra]

    @cached_property
    def _raw_accelerators(self) -> _Raw:
        return merged(self._core, "accelerators")

    # -- entries

    @cached_property
    def families(self) -> dict[str, Family]:
        """Accelerator families by id."""
        return validated(Family, merged(self._core, "families"))

    @cached_property
    def slices(self) -> dict[str, Slice]:
        """Parts of accelerators (MIG, virtual NPUs, dies) by id."""
        return validated(Slice, merged(self._core, "slices"))

    @cached_property
    def accelerators(self) -> dict[str, Accelerator]:
        """Accelerators by id, the slices among them."""
        found = {key: self._accelerator(file, key, data) for key, (file, data) in self._raw_accelerators.items()}
        for key, part in self.slices.items():
            if part.parent not in found:
                raise unknown_name("parent accelerator", part.parent, found, key=f"slices: {key}")
            found[key] = as_accelerator(part, found[part.parent])
        return found

    def misfits(self, kind: str, file: str, data: dict[str, Any]) -> Iterator[SizingError]:
        """The error of each of a file's entries of a kind that, merged over the entry of its id, breaks its schema.

        ``kind``: one of ``ENTRY_KINDS``; ``data``: the file's content.
        """
        try:
            items = as_list(data.get(kind), file, kind)
            files = self._core if kind in ("families", "accelerators", "slices") else self._server_data
            raw = merged(files, kind) if kind in _LISTS else {}
        except SizingError as error:
            yield error
            return
        for number, item in enumerate(items, 1):
            try:
                if kind in _PRICE_LISTS:
                    yaml_files.validate(_PRICE_LISTS[kind], item, file=file, entry=f"{kind}[{number}]")
                elif kind == "accelerators":
                    self._accelerator(file, item["id"], raw[item["id"]][1])
                else:
                    yaml_files.validate(_LISTS[kind], raw[item["id"]][1], file=file, entry=item["id"])
            except SizingError as error:
                yield error

    def _accelerator(self, file: str, key: str, data: dict[str, Any]) -> Accelerator:
        family = self.families.get(str(data.get("family")))
        if family is None and "family" in data:
            known = f"the nearest generation, of {', '.join(self.families)}; or a family of your own under families:"
            raise unknown_name("family", str(data["family"]), self.families, key=f"{file}: {key}", otherwise=known)
        shared = {name: support.model_dump() for name, support in family.weights.items()} if family else {}
        own = data.get("weights")
        weights = {**shared, **own} if isinstance(own, dict) else shared
        return yaml_files.validate(Accelerator, {**data, "weights": weights}, file=file, entry=key)

    @cached_property
    def servers(self) -> dict[str, Server]:
        """Servers and racks by id."""
        raw = merged(self._server_data, "servers")
        found = validated(Server, raw)
        for key, server in found.items():
            for name in (server.accelerator, *server.also_fits):
                if name not in self.accelerators:
                    raise unknown_name("accelerator", name, self.accelerators, key=f"{raw[key][0]}: {key}")
        return found

    @cached_property
    def own_server_ids(self) -> frozenset[str]:
        """Ids of the servers that files of one's own describe."""
        return frozenset(merged(self._extra, "servers"))

    @cached_property
    def fabrics(self) -> dict[str, Fabric]:
        """Kinds of link by id."""
        return validated(Fabric, merged(self._server_data, "fabrics"))

    @cached_property
    def rental_quotes(self) -> tuple[RentalQuote, ...]:
        """What providers ask for an accelerator-hour."""
        return self._quotes("rental_quotes", RentalQuote)

    @cached_property
    def purchase_quotes(self) -> tuple[PurchaseQuote, ...]:
        """What accelerators and servers cost to buy."""
        return self._quotes("purchase_quotes", PurchaseQuote)

    @cached_property
    def api_prices(self) -> tuple[ApiPrice, ...]:
        """Price lists of model APIs, per million tokens."""
        return self._quotes("api_prices", ApiPrice)

    def _quotes(self, key: str, model: type[yaml_files.Model]) -> tuple[yaml_files.Model, ...]:
        sources: dict[str, str] = {}
        quotes: dict[tuple[str, ...], list[yaml_files.Model]] = {}
        for file, data in self.price_data:
            named = data.get("price_sources") or {}
            if not isinstance(named, dict):
                raise SizingError("must be a mapping of names to sources", key=f"{file}: price_sources")
            sources.update({str(k): str(v) for k, v in named.items()})
            here: dict[tuple[str, ...], list[yaml_files.Model]] = {}
            for number, item in enumerate(as_list(data.get(key), file, key), 1):
                entry = dict(item)
                if "source" in entry:
                    entry["source"] = sources.get(str(entry["source"]), entry["source"])
                quote = yaml_files.validate(model, entry, file=file, entry=f"{key}[{number}]")
                same = tuple(str(getattr(quote, name, None)) for name in _SAME_QUOTE[key])
                here.setdefault(same, []).append(quote)
            quotes.update(here)
        return tuple(quote for group in quotes.values() for quote in group)

    @cached_property
    def price_assumptions(self) -> PriceAssumptions:
        """What a derived price assumes; a user's file may override single keys."""
        data: dict[str, Any] = {}
        file = "price_assumptions"
        for name, content in self.price_data:
            own = content.get("price_assumptions")
            if isinstance(own, dict):
                data, file = yaml_files.deep_merge(data, own), name
        return yaml_files.validate(PriceAssumptions, data, file=file, entry="price_assumptions")

    # -- lookup

    @cached_property
    def names(self) -> dict[str, tuple[str, str | None]]:
        """Every known spelling (normalized) -> (id, what is assumed or ``None``)."""
        table: dict[str, tuple[str, str | None]] = {}
        for accelerator in self.accelerators.values():
            for alias, assumption in accelerator.assumed_for.items():
                table.setdefault(normalize(alias), (accelerator.id, assumption))
        for accelerator in self.accelerators.values():
            for alias in accelerator.aliases:
                table[normalize(alias)] = (accelerator.id, None)
        for key in self.accelerators:
            table[normalize(key)] = (key, None)
        return table

    def resolve(self, name: str) -> tuple[Accelerator, list[str]]:
        """The accelerator that a name means, and what had to be assumed. Raises ``UnknownNameError``."""
        shown = name.strip()
        if not shown or len(shown) > 200:
            raise unknown_name("accelerator", name, self.accelerators, key="accelerator", otherwise=_LIST)
        if normalize(shown).startswith("ambiguous"):
            raise SizingError(f"{shown!r} names several accelerators: give one", key="accelerator")
        found = self.names.get(normalize(shown))
        if found:
            key, assumption = found
            return self.accelerators[key], [assumption] if assumption else []
        return self._resolve_with_remark(shown)

    def _resolve_with_remark(self, shown: str) -> tuple[Accelerator, list[str]]:
        """ "name (remark)": the remark may itself pick the variant ("a2b3"), else it is passed on."""
        match = re.fullmatch(r"(.*?)\s*\((.*)\)\s*", shown)
        found = self.names.get(normalize(match[1])) if match else None
        if match is None or found is None:
            raise unknown_name("accelerator", shown, self.accelerators, key="accelerator", otherwise=_LIST)
        key, assumption = found
        for remark, variant, why in _REMARKS:
            if key.startswith(remark[0]) and re.search(remark[1], match[2], re.IGNORECASE):
                return self.accelerators[variant], [why]
        remark_note = f"remark on the accelerator's name: {match[2]}"
        return self.accelerators[key], [assumption or remark_note]


# (start of id, pattern in the remark) -> variant, assumption
_REMARKS: tuple[tuple[tuple[str, str], str, str], ...] = (
    (("ascend-910b", r"a2b3|910b3"), "ascend-910b3", "the remark names 910B3"),
    (("ascend-910b", r"910b4"), "ascend-910b4", "the remark names 910B4"),
    (
        ("ascend-910c", r"\bA3\b"),
        "ascend-910c-die",
        "results from Atlas A3 count the dies of the 910C (two in a module): taken as one die each",
    ),
)


def check_top_keys(file: str, data: dict[str, Any]) -> None:
    """Refuses a top-level key that no kind of entry has."""
    for key in data:
        if key not in TOP_KEYS:
            hint = yaml_files.suggestion(key, TOP_KEYS) or f"known keys: {', '.join(TOP_KEYS)}"
            raise SizingError(f"unknown key {key[:80]!r}", key=file, hint=hint)


def as_list(value: Any, file: str, key: str) -> list[dict[str, Any]]:
    """A list of mappings, or one clear line."""
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise SizingError("must be a list of mappings ('- id: ...')", key=f"{file}: {key}")
    return value


def validated(model: type[yaml_files.Model], raw: _Raw) -> dict[str, yaml_files.Model]:
    """Every entry as ``model``."""
    return {key: yaml_files.validate(model, data, file=file, entry=key) for key, (file, data) in raw.items()}


def merged(files: list[tuple[str, dict[str, Any]]], key: str) -> _Raw:
    """Entries of one kind by id: a later file's entry of the same id is merged over the earlier one."""
    found: _Raw = {}
    for file, data in files:
        seen: set[str] = set()
        for item in as_list(data.get(key), file, key):
            name = item.get("id")
            if not isinstance(name, str) or not name:
                raise SizingError("an entry has no id (a text such as 'h100-sxm')", key=f"{file}: {key}")
            if name in seen:
                raise SizingError("appears twice in this file", key=f"{file}: {name[:80]}")
            seen.add(name)
            before = found.get(name)
            found[name] = (file, yaml_files.deep_merge(before[1], item) if before else item)
    return found


@lru_cache(maxsize=16)  # a server that checks uploads meets a new file each time
def _catalog(directory: Path, extra: tuple[tuple[Path, int, int], ...]) -> Catalog:
    return Catalog(directory, tuple(path for path, _, _ in extra))


@public(extra_dir=one_of(str, Path))
def load_catalog(extra_dir: Path | None = None) -> Catalog:
    """The built-in catalog, with the YAML files of ``extra_dir`` (or that one file) merged over it by id.

    An entry of a known id overrides only the keys that it gives. A file's rental quotes of an accelerator and
    term, purchase quotes of an accelerator and API prices of a provider's model replace the earlier ones.
    Cached; a changed file is read again.
    """
    paths: list[Path] = []
    if extra_dir is not None:
        extra_dir = Path(extra_dir)
        try:
            if extra_dir.is_dir():
                paths = sorted(p for p in extra_dir.iterdir() if p.suffix in (".yaml", ".yml") and p.is_file())
            elif extra_dir.is_file():
                paths = [extra_dir]
        except (OSError, ValueError):
            paths = []
        if not paths and not extra_dir.is_dir():
            raise SizingError("no such file or directory", key=str(extra_dir))
    stamped = tuple((p.resolve(), p.stat().st_mtime_ns, p.stat().st_size) for p in paths)
    return _catalog(catalog_dir(), stamped)


def read_catalog(file: Path) -> Catalog:
    """The built-in catalog with one file merged over it, read at once and not kept: the file may go away."""
    found = Catalog(catalog_dir(), (file,))
    found._extra  # noqa: B018  (reads it)
    return found


def resolve_accelerator(name: str, catalog: Catalog | None = None) -> tuple[Accelerator, list[str]]:
    """The accelerator that a name or alias means, and the assumptions that this took."""
    return (catalog or load_catalog()).resolve(name)


@public(name=required(text), catalog=one_of(Catalog, what="sizing.load_catalog()"))
def load_accelerator(name: str, catalog: Catalog | None = None) -> Accelerator:
    """The accelerator that a name or alias means; ``resolve_accelerator`` tells the assumptions too."""
    return resolve_accelerator(name, catalog)[0]
