"""A chart as data: series, marks, axes. Reports and pages draw it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Series(Part):
    """Points of one line, bar segment or cloud; ``low`` and ``high`` bound ``y`` where it is a prediction."""

    key: str
    name: str
    x: tuple[float, ...] = ()
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()
    style: Literal["line", "dashed", "points"] = "line"


class Mark(Part):
    """A value to show across a chart: a limit, a target, what is planned."""

    axis: Literal["x", "y"]
    value: float
    label: str


class Chart(Part):
    """A chart as data. ``stack``: bars of ``categories``, one segment a series; ``lines``: x against y."""

    block: Literal["chart"] = "chart"
    id: str
    title: str
    description: str = ""
    kind: Literal["stack", "lines"]
    x_label: str = ""
    y_label: str = ""
    x_log: bool = False
    y_log: bool = False
    categories: tuple[str, ...] = ()
    series: tuple[Series, ...]
    marks: tuple[Mark, ...] = ()
