"""A catalog accelerator as engines see it."""

from __future__ import annotations

from sizing.engine.base import Device
from sizing.hardware import Accelerator
from sizing.hardware.machine import is_ascend


def device_of(accelerator: Accelerator) -> Device:
    """An accelerator as engines see it: its bytes, what its driver calls it, whether it is an Ascend."""
    return Device(accelerator.usable_bytes, accelerator.driver_name or "", is_ascend(accelerator))
