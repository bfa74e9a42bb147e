"""Starts Python programs as forks of a process that has imported their libraries already.

Of the six seconds of processor that a start of ComfyUI takes, five are imports of torch,
transformers, scipy and the like. What a program does before and while it imports them is not seen
in a fork: whoever measures a start, or tests it, starts a process of its own.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import re
import resource
import select
import signal
import socket
import subprocess
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

SCRIPT = Path(__file__).with_name("forking_python.py")

# What ComfyUI and its nodes import, none of it ComfyUI's own. It has to have no thread afterwards.
LIBRARIES = (
    *("yaml", "aiohttp.web", "PIL.Image", "tqdm", "torch", "numpy", "safetensors.torch", "einops"),
    *("psutil", "torchvision", "torchaudio", "torchsde", "scipy.integrate", "scipy.stats", "av"),
    *("transformers.models.clip.tokenization_clip", "sqlalchemy", "alembic.command"),
    *("pydantic_settings", "kornia", "spandrel"),
)

# ComfyUI's main.py sets these before it imports anything that reads them.
_AS_COMFYUI_SETS_THEM = {"HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1"}

# Of no library's interest, or taken care of by the server.
_MAY_DIFFER = re.compile(r"HEARTH_.*|PYTEST_CURRENT_TEST|PYTHONPATH|XDG_RUNTIME_DIR")
_MESSAGE_BYTES = 1 << 16
_START_SECONDS = 180.0


class NotForkedError(RuntimeError):
    """The fork server cannot make a process that is like a freshly started one; says why."""


class ServerProcess(Protocol):
    """What is needed of a running process: a subprocess.Popen has it too."""

    @property
    def pid(self) -> int: ...
    @property
    def returncode(self) -> int | None: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int, /) -> None: ...
    def kill(self) -> None: ...


class ForkedProcess:
    """A child of the fork server, which says when and how it ended. One thread at a time."""

    def __init__(self, pid: int, handle: int, status: socket.socket) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._handle = handle
        self._status = status

    def poll(self) -> int | None:
        """Its exit code if it has ended: negative, the signal that ended it."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code once it has ended; throws subprocess.TimeoutExpired."""
        if self.returncode is None:
            if not _readable(self._status, timeout):
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            said = self._status.recv(_MESSAGE_BYTES)
            # Silence means that the server is gone, and takes its children along.
            self.returncode = int(json.loads(said)["code"]) if said else -signal.SIGKILL
            self._status.close()
            os.close(self._handle)
        return self.returncode

    def send_signal(self, sig: int, /) -> None:
        """Nothing happens to a process that has ended, nor to another that has its number."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, sig)

    def kill(self) -> None:
        """Ends it at once."""
        self.send_signal(signal.SIGKILL)


class ForkServer:
    """A process of `python` with `imports`; it ends with this one, and its children with it."""

    def __init__(
        self,
        python: str,
        env: Mapping[str, str],
        imports: Iterable[str] = (),
        script: Path = SCRIPT,
    ) -> None:
        self._fixed = _fixed(env)
        started_with = self._fixed | _AS_COMFYUI_SETS_THEM
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [python, str(script), str(theirs.fileno())],
                env=started_with,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        first = {"names": [*imports], "env": started_with}
        self._control.send(json.dumps(first).encode())

    @property
    def pid(self) -> int:
        """The server itself."""
        return self._process.pid

    def start(
        self, command: Sequence[str], cwd: Path, env: Mapping[str, str], log: IO[bytes]
    ) -> ForkedProcess:
        """Runs `[python, script, *arguments]`; throws NotForkedError."""
        differing = sorted(dict(_fixed(env).items() ^ self._fixed.items()))
        if differing:
            raise NotForkedError(f"libraries may have read {', '.join(differing)} differently")
        request = {"command": [*command], "cwd": str(cwd), "env": dict(env), "limits": _limits()}
        status, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            descriptors = [log.fileno(), theirs.fileno()]
            with contextlib.suppress(BrokenPipeError):  # then its answer is missing as well
                socket.send_fds(self._control, [json.dumps(request).encode()], descriptors)
        return self._started(status)

    def close(self) -> None:
        """Ends the server and what still runs of its children."""
        self._control.close()
        self._process.wait()

    def _started(self, status: socket.socket) -> ForkedProcess:
        try:
            if not _readable(status, _START_SECONDS):
                raise NotForkedError("the fork server does not answer")
            said, handles, _, _ = socket.recv_fds(status, _MESSAGE_BYTES, 1)
            answer: dict[str, Any] = json.loads(said) if said else {"refused": "it has ended"}
            if "refused" in answer:
                raise NotForkedError(answer["refused"])
        except BaseException:
            status.close()
            raise
        return ForkedProcess(answer["pid"], handles[0], status)


def start_process(
    command: Sequence[str], cwd: Path, env: Mapping[str, str], log: IO[bytes]
) -> ServerProcess:
    """Starts a program in a process of its own; its output goes to `log`."""
    return subprocess.Popen(
        command, cwd=cwd, env=env, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
    )


def fork_process(
    command: Sequence[str], cwd: Path, env: Mapping[str, str], log: IO[bytes]
) -> ServerProcess:
    """The same by this process's fork server, which the first call starts; where a fork would not
    be like the real thing, the real thing."""
    try:
        return _server(command[0], env).start(command, cwd, env, log)
    except NotForkedError as why:
        warnings.warn(f"A server was not forked: {why}", stacklevel=2)
        return start_process(command, cwd, env, log)


_servers: dict[str, ForkServer] = {}


def _server(python: str, env: Mapping[str, str]) -> ForkServer:
    if not hasattr(os, "pidfd_open"):
        raise NotForkedError("this system has no handles of processes")
    if python not in _servers:
        _servers[python] = ForkServer(python, env, LIBRARIES)
        atexit.register(_servers[python].close)
    return _servers[python]


def _fixed(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if not _MAY_DIFFER.fullmatch(name)}


def _limits() -> list[tuple[int, tuple[int, int]]]:
    numbers = {getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")}
    return [(number, resource.getrlimit(number)) for number in sorted(numbers)]


def _readable(status: socket.socket, timeout: float | None) -> bool:
    waiting = select.poll()
    waiting.register(status, select.POLLIN)
    return bool(waiting.poll(None if timeout is None else timeout * 1000))
