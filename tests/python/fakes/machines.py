"""Machines made up for `hearth doctor`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from hearth import doctor
from hearth.device import DeviceFacts, DeviceProbe
from hearth.doctor import Finding

GIB = 1 << 30


class MadeUp(doctor.Machine):
    """A machine below a folder, with one GPU and 64 GiB unless a test says otherwise."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.probe = DeviceProbe(13000, "", [DeviceFacts(0, "NVIDIA H200", 139 * GIB)])
        self.memory = (64 * GIB, 60 * GIB)
        self.memlock: int | None = None
        self.answer = (0, "580.1, Enabled\n")
        self.servers: list[tuple[int, list[str], Path]] = []

    def gpus(self) -> DeviceProbe:
        return self.probe

    def memory_bytes(self) -> tuple[int, int]:
        return self.memory

    def most_locked_bytes(self) -> int | None:
        return self.memlock

    def output(self, command: Sequence[str], env: dict[str, str] | None = None) -> tuple[int, str]:
        return self.answer

    def processes(self) -> list[tuple[int, list[str], Path]]:
        return self.servers


class Bare(doctor.Machine):
    """Nothing can be asked: no /proc, no driver, no permission."""

    def text(self, path: str) -> str:
        raise FileNotFoundError(f"no such file: {path}")

    def output(self, command: Sequence[str], env: dict[str, str] | None = None) -> tuple[int, str]:
        raise PermissionError("not permitted")

    def gpus(self) -> DeviceProbe:
        raise RuntimeError("the driver is of another kernel")

    def memory_bytes(self) -> tuple[int, int]:
        return 0, 0

    def most_locked_bytes(self) -> int | None:
        raise OSError("no such limit")

    def processes(self) -> list[tuple[int, list[str], Path]]:
        raise FileNotFoundError("no such folder: proc")


def made_up(root: Path) -> MadeUp:
    """One with a /proc/meminfo: 64 GiB of RAM."""
    (root / "proc").mkdir()
    meminfo = f"MemTotal: {64 << 20} kB\nCached: {9 << 20} kB\nShmem: {1 << 20} kB\n"
    (root / "proc" / "meminfo").write_text(meminfo)
    return MadeUp(root)


def only(found: Iterator[Finding]) -> Finding:
    """The one finding that there is."""
    (finding,) = found
    return finding


def levels(found: Iterator[Finding]) -> list[str]:
    """Their levels, in order."""
    return [finding.level for finding in found]
