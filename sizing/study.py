"""The Study: the one input document. Command line, web page and Python all build it; a plan starts from it.

YAML, versioned, every key checked: an unknown key is refused with the nearest known one. ``Study.json_schema()`` is the
JSON Schema for editors.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from sizing.base import yaml as safe_yaml
from sizing.base.checked import Checked, one_of, plain, public, real, required, validation_message, whole
from sizing.base.errors import SizingError, nearest
from sizing.base.files import read_text
from sizing.workload import Workload, preset

STUDY_VERSION = 1
MAX_STUDY_BYTES = safe_yaml.MAX_BYTES


class _Part(BaseModel, metaclass=Checked):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _switch(value: object) -> object:
    """YAML reads a bare ``on`` or ``off`` as a truth value."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


Switch = Annotated[Literal["off", "try", "on"], BeforeValidator(_switch)]


class ModelChoice(_Part):
    """What is served. ``weights`` and ``kv_dtype``: formats to try; empty means the usual ones that each accelerator
    runs. ``context``: the longest request that must be possible [tokens]; None: input + output."""

    name: str = Field(..., min_length=1, max_length=1000)
    weights: tuple[str, ...] = ()
    kv_dtype: tuple[str, ...] = ()
    context: int | None = Field(None, ge=1, le=100_000_000)
    config: dict[str, Any] | None = None  # an inline config.json, for a model that is in no catalog

    @field_validator("config")
    @classmethod
    def _is_json(cls, config: dict[str, Any] | None) -> dict[str, Any] | None:
        """Only what JSON can hold: a date of YAML or an infinity would be another study once written."""
        try:
            json.dumps(config, allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            raise ValueError("must be as in JSON: no dates, no infinity, no NaN") from None
        return config


class Offer(_Part):
    """One accelerator on offer. ``usd_per_hour``: per accelerator; None: the catalog's price by its stated rule.
    ``server``: id of the server that it stands in, refused where it holds other accelerators; None: the usual one."""

    accelerator: str = Field(..., min_length=1, max_length=200)
    usd_per_hour: float | None = Field(None, ge=0, le=1e6)
    term: Literal["on-demand", "reserved", "spot", "serverless"] = "on-demand"
    max_accelerators: int | None = Field(None, ge=1, le=10_000_000)
    server: str | None = Field(None, max_length=200)


DEFAULT_ACCEPTANCE = 0.8  # share of drafted tokens that are accepted, where nothing is stated


class EngineChoice(_Part):
    """How it is served. ``names``: engines to try; empty: the usual one of each accelerator."""

    names: tuple[str, ...] = ()
    version: str | None = Field(None, max_length=50)
    memory_utilization: float | None = Field(None, gt=0, le=1)
    max_num_seqs: int | None = Field(None, ge=1, le=1_000_000)
    max_num_batched_tokens: int | None = Field(None, ge=1, le=10_000_000)
    speculative: Switch = "off"
    draft_tokens: int = Field(1, ge=1, le=16)
    acceptance_rate: float = Field(DEFAULT_ACCEPTANCE, ge=0, le=1)
    disaggregated: Switch = "off"
    enforce_eager: bool = False


class Constraints(_Part):
    """Bounds of the search. ``max_nodes``: servers that one replica may span. ``min_weight_bits``: formats of fewer
    bits per weight are left out (8 leaves out all of 4 bits)."""

    max_nodes: int = Field(1, ge=1, le=64)
    max_accelerators: int | None = Field(None, ge=1, le=10_000_000)
    tensor_parallel: tuple[int, ...] = ()
    pipeline_parallel: tuple[int, ...] = ()
    data_parallel: tuple[int, ...] = ()
    expert_parallel: tuple[int, ...] = ()
    min_weight_bits: float | None = Field(None, ge=1, le=32)
    max_plans: int = Field(20, ge=1, le=1000)


class Ownership(_Part):
    """Owning instead of renting; None takes the catalog's assumption (``price_assumptions.owning``).

    server_usd: price of a whole server; None takes the catalog's purchase price. average_power_fraction: of the most that
    the server draws, drawn on average; energy and carbon rest on it, rented or owned.
    """

    server_usd: float | None = Field(None, ge=0)
    years: float | None = Field(None, gt=0, le=30)
    residual_fraction: float | None = Field(None, ge=0, le=1)
    discount_rate: float | None = Field(None, ge=0, le=1)
    electricity_usd_per_kwh: float | None = Field(None, ge=0, le=10)
    pue: float | None = Field(None, ge=1, le=5)
    hosting_usd_per_kw_month: float | None = Field(None, ge=0, le=10_000)
    staff_usd_per_accelerator_year: float | None = Field(None, ge=0)
    network_usd_per_accelerator: float | None = Field(None, ge=0)
    rack_usd_per_accelerator: float | None = Field(None, ge=0)
    maintenance_fraction: float | None = Field(None, ge=0, le=1)
    average_power_fraction: float | None = Field(None, gt=0, le=1)


class Money(_Part):
    """Rent by the hour or own; carbon intensity of the grid [g CO2e/kWh]. ``currency``: in which the best plan's cost is
    said beside USD, by the catalog's dated rate."""

    mode: Literal["rent", "own"] = "rent"
    own: Ownership = Ownership()
    currency: Literal["USD", "CNY", "EUR", "GBP"] = "USD"
    grid_g_per_kwh: float = Field(400.0, ge=0, le=5000)
    api: tuple[str, ...] = ()  # API price list entries to break even against; empty: the reference ones


class Study(_Part):
    """Model, workload, hardware, engine, constraints and money: everything that an answer depends on."""

    version: Literal[1] = 1
    title: str = Field("", max_length=300)
    model: ModelChoice
    workload: Workload
    hardware: tuple[Offer, ...] = Field(..., min_length=1, max_length=200)
    engine: EngineChoice = EngineChoice()
    constraints: Constraints = Constraints()
    money: Money = Money()

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, data: Any) -> Any:
        """``model: NAME``, ``workload: PRESET`` and ``hardware: [ID, ...]`` are short for the full objects."""
        if not isinstance(data, dict):
            return data
        data = dict(data)
        if isinstance(data.get("model"), str):
            data["model"] = {"name": data["model"]}
        work = data.get("workload")
        if isinstance(work, str):
            data["workload"] = preset(work)
        elif isinstance(work, dict) and "preset" in work:
            rest = {key: value for key, value in work.items() if key != "preset"}
            data["workload"] = {**preset(str(work["preset"])).model_dump(), **rest}
        if isinstance(data.get("hardware"), (list, tuple)):
            data["hardware"] = [{"accelerator": item} if isinstance(item, str) else item for item in data["hardware"]]
        return data

    @property
    def key(self) -> str:
        """A short hash of the whole document."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def _plain(self) -> dict[str, Any]:
        """Plain data without defaults; the arrival keeps its ``kind``, by which it is told on reading."""
        data = self.model_dump(mode="json", exclude_defaults=True)
        arrival = data.get("workload", {}).get("arrival")
        if arrival is not None:
            data["workload"]["arrival"] = {"kind": self.workload.arrival.kind, **arrival}
        return data

    def to_json(self) -> str:
        """The document as compact JSON, keys sorted, defaults left out."""
        data = {"version": STUDY_VERSION, **self._plain()}
        return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    def to_yaml(self) -> str:
        """The document as YAML, defaults left out; ``load_study`` reads it back to an equal Study."""
        data = {"version": STUDY_VERSION, **self._plain()}
        return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """The JSON Schema of the document."""
        return cls.model_json_schema()


def parse_study(data: Any, name: str = "study") -> Study:
    """A Study from plain data; raises SizingError with one line that names the key."""
    try:
        return Study.model_validate(plain(data))
    except ValidationError as error:
        raise validation_message(error, name, Study) from None


@public(path=required(one_of(str, Path)))
def load_study(path: str | Path) -> Study:
    """Read a Study from a YAML or JSON file. No YAML tags, no aliases, limited in size."""
    file = Path(path)
    return parse_study(parse_yaml(read_text(file, MAX_STUDY_BYTES), file.name), file.name)


def parse_yaml(text: str, name: str = "study") -> Any:
    """Plain data from YAML text; aliases (a bomb's means), tags, doubled keys and deep nesting are refused."""
    return safe_yaml.parse(text, name)


@public(input_tokens=required(whole), output_tokens=required(whole), rate=required(real))
def quick_study(
    model: str,
    *,
    input_tokens: int,
    output_tokens: int,
    rate: float,
    on: list[str] | tuple[str, ...],
    **parts: Any,
) -> Study:
    """The Study behind ``sizing plan MODEL --input N --output N --rate R --on A,B``.

    ``parts`` are further parts of the Study. Raises SizingError with one line that names the key.
    """
    known = [name for name in Study.model_fields if name not in ("model", "hardware")]
    for name in parts:
        if name not in known:
            close = nearest(name, [*known, "model", "input_tokens", "output_tokens", "rate", "on"])
            hint = f"did you mean {' or '.join(close)}?" if close else None
            raise SizingError(f"takes no argument {name[:80]!r}", key="quick_study", hint=hint)
    if isinstance(on, str) or not isinstance(on, list | tuple):
        raise SizingError("must be a list of accelerators", key="on", hint="such as ['h100-sxm']")
    more = parts.pop("workload", {})
    if not isinstance(more, dict):
        raise SizingError("must be a mapping of further keys, such as targets", key="workload")
    workload = {
        "name": f"{input_tokens} in, {output_tokens} out",
        "input": {"kind": "fixed", "value": input_tokens},
        "output": {"kind": "fixed", "value": output_tokens},
        "arrival": {"kind": "rate", "requests_per_s": rate},
        **more,
    }
    return parse_study({"model": model, "workload": workload, "hardware": list(on), **parts})
