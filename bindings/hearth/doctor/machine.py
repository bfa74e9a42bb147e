"""The machine as `hearth doctor` asks it: what a test replaces to make up another one."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from hearth import device, runtime

_SECONDS = 20.0


class Machine:
    """Files below `root`, commands, and what the native side knows. Each question may raise."""

    root = Path("/")

    def text(self, path: str) -> str:
        """A file's text; `path` begins below the root."""
        return (self.root / path).read_text(encoding="utf-8", errors="replace")

    def output(self, command: Sequence[str], env: dict[str, str] | None = None) -> tuple[int, str]:
        """Exit code and what a command printed, both streams.

        Raises:
            FileNotFoundError: there is no such program.
            subprocess.TimeoutExpired: it takes too long.
        """
        if shutil.which(command[0]) is None:
            raise FileNotFoundError(f"there is no {command[0]} on this machine")
        done = subprocess.run(
            list(command),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            env=dict(os.environ) | (env or {}),
            check=False,
        )
        return done.returncode, done.stdout

    def gpus(self) -> device.DeviceProbe:
        """The driver and its GPUs."""
        return device.probe()

    def memory_bytes(self) -> tuple[int, int]:
        """RAM in total and free, the control group's limit minded; zeros where it is not known."""
        memory = runtime().host_memory()
        return memory["total"], memory["available"]

    def most_locked_bytes(self) -> int | None:
        """RLIMIT_MEMLOCK of this process; None: unlimited."""
        import resource

        soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
        return None if soft == resource.RLIM_INFINITY else soft

    def processes(self) -> list[tuple[int, list[str], Path]]:
        """Pid, command line and working folder of the processes that this user may look at."""
        found = []
        for folder in (self.root / "proc").iterdir():
            if not folder.name.isdigit():
                continue
            try:
                words = (folder / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
                found.append((int(folder.name), words[:-1], (folder / "cwd").resolve(strict=True)))
            except OSError:
                continue  # another user's, or it has just ended
        return found


def field_bytes(meminfo: str, name: str) -> int:
    """A field of /proc/meminfo.

    Raises:
        ValueError: it is not there.
    """
    for line in meminfo.splitlines():
        key, _, rest = line.partition(":")
        if key == name:
            return int(rest.split()[0]) * 1024
    raise ValueError(f"/proc/meminfo has no {name}")
