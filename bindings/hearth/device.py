"""The GPUs of this machine, asked through the CUDA driver alone: neither torch nor a toolkit.

    with host_files.tier().hold(path) as file:
        arena = device.upload(file)             # disk, host and bus at work at the same time
    weights = torch.from_dlpack(arena.view(offset, nbytes)).view(torch.bfloat16)

An arena is device memory in one piece that no allocator knows of; views of it keep it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hearth._native import _core

CudaHost = _core.CudaHost
DeviceArena = _core.DeviceArena
UploadControl = _core.UploadControl
Uploader = _core.Uploader


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


def devices() -> CudaHost:
    """The GPUs as the native side holds them."""
    return _core.runtime().devices


def probe() -> DeviceProbe:
    """Loads the driver if there is one (some 100 ms, once) and lists the GPUs. Never raises."""
    found = devices().probe()
    facts = [DeviceFacts(**device) for device in found["devices"]]
    return DeviceProbe(found["driver_version"], found["reason"], facts)


def open_device(index: int = 0) -> None:
    """Makes the context of a GPU now (some 300 ms) rather than at its first use.

    Raises:
        CudaError: there is no such GPU, or no driver.
    """
    devices().open(index)


def upload(file: _core.HostFile, index: int = 0) -> DeviceArena:
    """All bytes of a held file in a new arena of one GPU, from byte 0 on.

    Raises:
        CudaError: no such GPU, or a call of the driver failed.
        DeviceOutOfMemoryError: the file does not fit.
        CheckpointCorruptError: a byte cannot be read, or the file changed meanwhile.
    """
    arena = DeviceArena(devices(), index, file.nbytes)
    Uploader(devices(), index).run(file, arena)
    return arena


__all__ = [
    "CudaHost",
    "DeviceArena",
    "DeviceFacts",
    "DeviceProbe",
    "UploadControl",
    "Uploader",
    "devices",
    "open_device",
    "probe",
    "upload",
]
