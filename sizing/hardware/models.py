"""The catalog's entries as validated, immutable objects.

Units: GB and TB are 10^9 and 10^12 bytes and serve bandwidths; GiB is 2^30 bytes and serves memory. Peaks
are dense (no sparsity) and in TFLOP/s (TOP/s for integers). A figure that nobody published is ``None``.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

GIB = 2**30

Positive = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(strict=True, gt=0, le=100_000)]
Fraction = Annotated[float, Field(strict=True, gt=0, le=1, allow_inf_nan=False)]
Id = Annotated[str, Field(strict=True, pattern=r"^[a-z0-9][a-z0-9.\-]*$", max_length=64)]
Text = Annotated[str, Field(strict=True, min_length=1, max_length=2000)]
Scalar = float | str | None

How = Literal["native", "weight-only"]
COMPUTE_DTYPES = ("fp64", "tf32", "bf16", "fp16", "fp8", "int8", "fp4", "int4")


class Entry(BaseModel):
    """Base of everything in the catalog: frozen, and a key that is not in the schema is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(Entry):
    """Where figures come from: ``ref`` vouches for the entry's ``fields``; ``says`` is what it states."""

    fields: tuple[Text, ...]
    ref: Text
    says: Text = "-"


class Dispute(Entry):
    """A figure on which sources differ: the values found, the one taken (null: none) and why."""

    field: Text
    values: tuple[float | str, ...]
    picked: Scalar = None
    reason: Text


class Memory(Entry):
    """Device memory. ``usable_gib`` is what an engine sees as the total of the device [GiB].

    ``basis`` says where it is from: "log" (printed by an engine), "driver" (reported by the driver or a
    vendor's file in exact units), "nominal" (the data-sheet figure, which may overstate by up to 7 percent),
    "sibling" (the same memory on another board) or "derived".
    """

    nominal_gb: Positive
    usable_gib: Positive | None = None
    basis: Literal["log", "driver", "nominal", "sibling", "derived"] = "nominal"
    reason: Text | None = None
    type: Text | None = None


class Interconnect(Entry):
    """The link between accelerators of one server: bandwidth in GB/s, one way, per accelerator."""

    type: Text
    generation: Count | None = None
    gb_s_per_direction: Positive | None = None
    note: Text | None = None


class PeakRates(Entry):
    """Dense peaks [TFLOP/s, TOP/s]; ``None`` is unsupported or not published."""

    fp64: Positive | None = None
    tf32: Positive | None = None
    bf16: Positive | None = None
    fp16: Positive | None = None
    fp8: Positive | None = None
    int8: Positive | None = None
    fp4: Positive | None = None
    int4: Positive | None = None


class WeightSupport(Entry):
    """How weights of one format run: natively, weight-only (dequantised first) or, null, not at all."""

    how: How | None
    reason: Text


class Family(Entry):
    """What accelerators of one generation share; fitted coefficients are keyed by its id."""

    id: Id
    name: Text
    weights: dict[Text, WeightSupport]
    sources: tuple[Source, ...] = ()


class Accelerator(Entry):
    """One accelerator as a buyer or an engine sees it.

    driver_name: what its driver calls it; stated where an engine's defaults ask for it.
    works_alone: no other may join it in one replica: slices that their maker isolates (MIG, virtual NPUs).
    """

    id: Id
    name: Text
    vendor: Text
    family: Id
    architecture: Text
    release: Text | None = None
    usual: bool = False
    driver_name: Text | None = None
    parent: Id | None = None
    fraction_of_parent: Fraction | None = None
    works_alone: bool = False
    aliases: tuple[Text, ...] = ()
    assumed_for: dict[Text, Text] = Field(default_factory=dict)
    memory: Memory
    memory_bandwidth_gb_s: Positive | None = None
    dense_peak_tflops: PeakRates = PeakRates()
    interconnect: Interconnect
    pcie_gen: Count | None = None
    tdp_w: Positive | None = None
    max_per_server: Count | None = None
    form_factor: Text | None = None
    typical_server: Text | None = None
    l2_cache_mb: Positive | None = None
    compute_units: dict[Text, Count | None] = Field(default_factory=dict)
    engines: tuple[Text, ...] = ()
    engines_note: Text | None = None
    hardware_dtypes: dict[Text, Text] = Field(default_factory=dict)
    weights: dict[Text, WeightSupport] = Field(default_factory=dict)
    note: Text | None = None
    sources: tuple[Source, ...] = ()
    disputes: tuple[Dispute, ...] = ()
    unsourced: tuple[Text, ...] = ()

    @property
    def is_card(self) -> bool:
        """Whether it goes into servers one by one, as PCIe cards do; else a board or a tray holds several."""
        return (self.form_factor or "").lower().startswith("pcie")

    @property
    def usable_bytes(self) -> float:
        """What an engine sees as the device's total memory [bytes]; the nominal GB where nothing is known."""
        if self.memory.usable_gib is None:
            return self.memory.nominal_gb * 1e9
        return self.memory.usable_gib * GIB

    @property
    def memory_bandwidth(self) -> float | None:
        """Peak memory bandwidth [bytes/s], ``None`` where no figure is published."""
        return None if self.memory_bandwidth_gb_s is None else self.memory_bandwidth_gb_s * 1e9

    @property
    def link_bandwidth(self) -> float | None:
        """Bandwidth to the other accelerators of the server, one way [bytes/s]."""
        link = self.interconnect.gb_s_per_direction
        return None if link is None else link * 1e9

    def peak_flops(self, dtype: str) -> float | None:
        """Dense peak of a compute dtype [FLOP/s, OP/s], ``None`` where it is not supported or not published.

        ``dtype``: "bf16", "fp16", "fp8", "int8", "fp4", "int4", "fp64", and "tf32", which "fp32" means too
        (matrix products in FP32 run through the TF32 or an equal path).
        """
        key = "tf32" if dtype.lower() in ("fp32", "tf32", "fp32/tf32") else dtype.lower()
        if key not in COMPUTE_DTYPES:
            raise ValueError(f"unknown compute dtype {dtype!r}: one of {', '.join(COMPUTE_DTYPES)}, fp32")
        value: float | None = getattr(self.dense_peak_tflops, key)
        return None if value is None else value * 1e12

    def weight_support(self, dtype: str) -> WeightSupport:
        """How weights stored as ``dtype`` run here, and why (names: ``weight_formats``)."""
        from sizing.hardware.weight_formats import canonical

        key = canonical(dtype)
        found = self.weights.get(key)
        if found is None:
            return WeightSupport(how=None, reason=f"no source says that {self.name} runs {key} weights")
        return found

    def runs_weights(self, dtype: str) -> How | None:
        """ "native", "weight-only" or ``None``; ``weight_support`` gives the reason too."""
        return self.weight_support(dtype).how

    def remarks(self) -> list[str]:
        """What a result that uses this entry should say: weakly known memory, bandwidth or peaks."""
        said = []
        if self.memory.basis != "log" and self.memory.basis != "driver":
            said.append(f"memory of {self.id} ({self.memory.basis}): {self.memory.reason or 'no reason given'}")
        for field in ("memory_bandwidth_gb_s", "dense_peak_tflops", "interconnect"):
            if self.unsourced_field(field):
                said.append(f"{field} of {self.id} is recalled or derived: no source read confirms it")
        return said

    def unsourced_field(self, field: str) -> bool:
        """Whether no source that was read confirms the field (a recalled or derived figure)."""
        return any(field == name or field.startswith(name + ".") for name in self.unsourced)


class Slice(Entry):
    """A part of an accelerator: a MIG instance, a virtual NPU, a die; its figures are fractions."""

    id: Id
    name: Text
    parent: Id
    kind: Literal["mig", "vnpu", "die"]
    compute: Fraction
    bandwidth: Fraction
    memory: Fraction
    memory_gib: Positive | None = None
    nominal_gb: Positive | None = None
    link_gb_s_per_direction: Positive | None = None
    link_note: Text | None = None
    price_fraction: Fraction | None = None
    power_fraction: Fraction | None = None
    instances_per_parent: Count
    aliases: tuple[Text, ...] = ()
    assumed_for: dict[Text, Text] = Field(default_factory=dict)
    note: Text | None = None
    sources: tuple[Source, ...] = ()
    derived: tuple[Text, ...] = ()


class IntraNode(Entry):
    """The scale-up fabric of a server; bandwidth in GB/s per accelerator and direction."""

    fabric: Text
    topology: Text | None = None
    gb_s_per_direction: NotNegative | None = None


class ScaleOut(Entry):
    """Network cards of a server: how many, and how fast each is [Gbit/s]."""

    count: Count
    gbit_s: Positive
    type: Text | None = None


class ServerPrice(Entry):
    """What a whole server costs, to buy [USD] or to rent [USD/h]."""

    usd: Positive | None = None
    low: Positive | None = None
    high: Positive | None = None
    usd_per_hour: Positive | None = None
    source: Text | None = None


class Server(Entry):
    """A server or a rack-scale system: ``accelerator_count`` accelerators in one scale-up domain.

    accelerators_per_host: of one of its trays or nodes, where the domain is more than one host.
    """

    id: Id
    name: Text
    accelerator: Id
    also_fits: tuple[Id, ...] = ()
    accelerator_count: Count
    accelerators_per_host: Count | None = None
    default: bool = False
    generic: bool = False
    intra_node: IntraNode
    scale_out: ScaleOut | None = None
    host_cpu: Text | None = None
    host_power_kw: Positive | None = None
    max_power_kw: Positive | None = None
    power_basis: Literal["sourced", "derived", "recalled"] | None = None
    rack_units: Count | None = None
    form_factor: Text | None = None
    price: ServerPrice | None = None
    note: Text | None = None
    sources: tuple[Source, ...] = ()
    disputes: tuple[Dispute, ...] = ()
    unsourced: tuple[Text, ...] = ()

    @property
    def scale_up_domain(self) -> int:
        """How many accelerators the fast fabric joins."""
        return self.accelerator_count

    @property
    def host_size(self) -> int:
        """How many accelerators one operating system sees: those of a tray, where the fast fabric joins several."""
        return min(self.accelerators_per_host or self.accelerator_count, self.accelerator_count)

    @property
    def link_bandwidth(self) -> float | None:
        """Scale-up bandwidth per accelerator, one way [bytes/s]."""
        link = self.intra_node.gb_s_per_direction
        return None if not link else link * 1e9

    @property
    def network_bandwidth(self) -> float | None:
        """Scale-out bandwidth per accelerator, one way [bytes/s]: all cards shared evenly."""
        if self.scale_out is None:
            return None
        return self.scale_out.count * self.scale_out.gbit_s * 1e9 / 8 / self.accelerator_count

    @model_validator(mode="after")
    def _price_in_order(self) -> Server:
        price = self.price
        if price and price.low and price.high and price.low > price.high:
            raise ValueError("price.low is above price.high")
        return self


class Fabric(Entry):
    """A kind of link by name: one-way bandwidth per accelerator or port [GB/s]."""

    id: Id
    name: Text
    scope: Literal["scale-up", "host", "scale-out"]
    gb_s_per_direction: Positive
    note: Text | None = None
    sources: tuple[Source, ...] = ()
    unsourced: tuple[Text, ...] = ()
