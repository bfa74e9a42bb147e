"""A control group with a limit of its own on RAM, in which a server sees a small host.

Both kinds of control groups are known; the root user, or whoever a group was handed to, may make
one inside the own.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path


class NoMemoryGroupError(RuntimeError):
    """No group can be made here; says why."""


@dataclass(frozen=True)
class _Words:
    limit: str
    usage: str
    swap: str
    prefix: str  # of the keys in memory.stat


_CACHED = ("inactive", "active")
_V1 = _Words("memory.limit_in_bytes", "memory.usage_in_bytes", "", "total_")
_V2 = _Words("memory.max", "memory.current", "memory.swap.current", "")


class MemoryGroup:
    """One group. REQUIRES for remove(): its processes have ended."""

    def __init__(self, folder: Path, words: _Words) -> None:
        self._folder = folder
        self._words = words

    @classmethod
    def make(cls, name: str) -> MemoryGroup:
        """A group below this process's own; throws NoMemoryGroupError."""
        folder, words = _own_group()
        made = cls(folder / name, words)
        try:
            made._folder.mkdir(exist_ok=True)
            if not (made._folder / words.limit).exists():
                made._folder.rmdir()
                raise NoMemoryGroupError(f"{folder} does not hand the memory controller on")
        except OSError as error:
            raise NoMemoryGroupError(str(error)) from error
        return made

    def starter(self, script: Path, program: str) -> Path:
        """Writes a script that starts the program in this group, with the arguments it is given."""
        procs = shlex.quote(str(self._folder / "cgroup.procs"))
        lines = ["#!/bin/sh", f"echo $$ > {procs}", f'exec {shlex.quote(program)} "$@"', ""]
        script.write_text("\n".join(lines), encoding="utf-8")
        script.chmod(0o755)
        return script

    def limit(self, size: int) -> None:
        """Sets how many bytes its processes and their files may take."""
        self._write(self._words.limit, str(size))

    def busy_bytes(self) -> int:
        """Bytes in use, without page cache: that can be had back."""
        cached = sum(self._statistic(f"{self._words.prefix}{kind}_file") for kind in _CACHED)
        return int(self._read(self._words.usage)) - cached

    def swapped_bytes(self) -> int:
        """Bytes that had to be swapped out; 0 where nothing can be."""
        if not self._words.swap:
            return self._statistic("total_swap")
        return int(self._read(self._words.swap))

    def remove(self) -> None:
        """Lifts the limit, and takes the group away once it is empty."""
        self._write(self._words.limit, "-1" if self._words is _V1 else "max")
        for pid in self._read("cgroup.procs").split():
            (self._folder.parent / "cgroup.procs").write_text(pid, encoding="ascii")
        self._folder.rmdir()

    def _statistic(self, key: str) -> int:
        lines = self._read("memory.stat").splitlines()
        return int(dict(line.split() for line in lines).get(key, 0))

    def _read(self, name: str) -> str:
        return (self._folder / name).read_text(encoding="ascii")

    def _write(self, name: str, text: str) -> None:
        (self._folder / name).write_text(text, encoding="ascii")


def _own_group() -> tuple[Path, _Words]:
    for line in Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return Path("/sys/fs/cgroup/memory" + path), _V1
    unified = [Path("/sys/fs/cgroup" + line[3:].strip()) for line in _unified_lines()]
    if not unified:
        raise NoMemoryGroupError("this process is in no control group")
    return unified[0], _V2


def _unified_lines() -> list[str]:
    lines = Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines()
    return [line for line in lines if line.startswith("0::")]
