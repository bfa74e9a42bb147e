"""The GPUs of this machine, asked through the CUDA driver alone: neither torch nor a toolkit."""

from __future__ import annotations

from dataclasses import dataclass, field

from hearth._native import _core


@dataclass(frozen=True)
class DeviceFacts:
    """One GPU; `free_bytes` is known once this process works with it."""

    index: int
    name: str
    total_bytes: int
    free_bytes: int | None = None


@dataclass(frozen=True)
class DeviceProbe:
    """What there is. `driver_version` is 13000 for 13.0; `reason` says why there is no GPU."""

    driver_version: int
    reason: str = ""
    devices: list[DeviceFacts] = field(default_factory=list)


def probe() -> DeviceProbe:
    """Loads the driver if there is one (some 100 ms, once) and lists the GPUs. Never raises."""
    found = _core.runtime().devices.probe()
    devices = [DeviceFacts(**facts) for facts in found["devices"]]
    return DeviceProbe(found["driver_version"], found["reason"], devices)


def open_device(index: int = 0) -> None:
    """Makes the context of a GPU now (some 300 ms) rather than at its first use.

    Raises:
        CudaError: there is no such GPU, or no driver.
    """
    _core.runtime().devices.open(index)


__all__ = ["DeviceFacts", "DeviceProbe", "open_device", "probe"]
