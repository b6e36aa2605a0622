"""What a plan takes of what is sold: cards one by one, boards and trays by the server."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from sizing.hardware.models import Accelerator, Server
from sizing.hardware.servers import box_of


@dataclass(frozen=True, slots=True)
class Bought:
    """Whole servers behind a plan.

    server: its id. servers: how many. accelerators: in them. used: by the plan; the rest is free for others.
    usd_per_hour: of all accelerators in them, used or not [USD/h]; None where no price is known.
    """

    server: str
    server_name: str
    servers: int
    accelerators: int
    used: int
    usd_per_hour: float | None

    @property
    def free(self) -> int:
        """Accelerators that the plan leaves to others."""
        return self.accelerators - self.used

    def said(self) -> str | None:
        """``4 of 8 accelerators of 1 x DGX H100; the rest is free for others``; None where nothing is left over."""
        if not self.free:
            return None
        whole = "" if self.usd_per_hour is None else f" All {self.accelerators} cost ${self.usd_per_hour:,.2f} an hour."
        return (
            f"the plan uses {self.used} of the {self.accelerators} accelerators of {self.servers} x {self.server_name}; "
            f"the rest is free for others.{whole}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {**asdict(self), "free": self.free}


def bought(
    accelerator: Accelerator, server: Server, used: int, servers: int, usd_per_accelerator_hour: float | None
) -> Bought:
    """The servers that hold ``used`` accelerators, at least ``servers`` of them (pools apart share none).

    A part of an accelerator counts as the part that it is: servers hold whole parents.

    >>> from sizing.hardware import default_server, load_accelerator
    >>> plan = bought(load_accelerator("h100-sxm"), default_server("h100-sxm"), 4, 1, 2.0)
    >>> plan.accelerators, plan.free, plan.usd_per_hour
    (8, 4, 16.0)
    """
    box = box_of(server, accelerator, used) if servers == 1 else server
    count = max(servers, math.ceil(used / box.accelerator_count))
    held = count * box.accelerator_count
    if accelerator.is_card:
        held = used  # cards are bought one by one: the last server is not filled
    whole = None if usd_per_accelerator_hour is None else usd_per_accelerator_hour * held
    return Bought(box.id, box.name, count, held, used, whole)
