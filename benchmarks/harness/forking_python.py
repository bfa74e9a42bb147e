"""Runs as the fork server: imports libraries once, then forks, and each child becomes a program.

A child leaves the server's loop, and the interpreter goes on as if it had just begun: what ends it,
and with which code, is Python's own doing. `fork_server.py` is the other side; what the two say to
each other are messages in JSON, one a packet, with file descriptors beside them.
"""

from __future__ import annotations

import builtins
import contextlib
import ctypes
import gc
import importlib
import importlib.util
import json
import logging
import os
import resource
import selectors
import signal
import socket
import sys
from dataclasses import dataclass
from importlib.machinery import PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

_MESSAGE_BYTES = 1 << 20
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Program:
    """What a child is to become: a script with its arguments, folder, environment and limits."""

    command: list[str]
    cwd: str
    env: dict[str, str]
    limits: list[tuple[int, tuple[int, int]]]

    @property
    def script(self) -> str:
        """The file to run."""
        return self.command[1]

    def first_places(self) -> list[str]:
        """Where Python looks for modules before it looks into its installation."""
        named = self.env.get("PYTHONPATH")
        places = named.split(os.pathsep) if named else []
        return [str(Path(self.script).parent), *(os.path.join(self.cwd, each) for each in places)]


@dataclass(frozen=True)
class _Request:
    """A program, where its output goes, and whom to tell what becomes of it."""

    program: Program
    log: int
    status: socket.socket


@dataclass(frozen=True)
class _Child:
    pid: int
    status: socket.socket


class ForkingServer:
    """Serves whoever has the other end of `control`."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._children: dict[int, _Child] = {}  # by their handles
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ)

    def serve(self) -> Program | None:
        """Returns in each child, with what it is to become; in the server with None, once nobody
        is left to ask."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's goes to the children as well
        first = self._control.recv(_MESSAGE_BYTES)
        set_by_libraries = _import(**json.loads(first)) if first else {}
        server = os.getpid()
        while True:
            for key, _ in self._selector.select():
                if key.fd in self._children:
                    self._reap(key.fd)
                    continue
                request = self._receive()
                if request is None:
                    return None
                if self._is_child(request):
                    _become(request, server, set_by_libraries)
                    return request.program

    def _receive(self) -> _Request | None:
        message, descriptors, _, _ = socket.recv_fds(self._control, _MESSAGE_BYTES, 2)
        if not message:
            return None
        log, status = descriptors
        return _Request(Program(**json.loads(message)), log, socket.socket(fileno=status))

    def _is_child(self, request: _Request) -> bool:
        """Forks. The server answers with a handle of the child, or with why there is none: a
        program that differs from a freshly started one is worse than none."""
        why_not = _threads() or _loggers() or _shadowed(request.program)
        if why_not:
            _answer(request.status, {"refused": why_not})
            request.status.close()
        else:
            sys.stdout.flush()
            sys.stderr.flush()
            pid = os.fork()
            if pid == 0:
                self._leave(request)
                return True
            handle = os.pidfd_open(pid)
            self._children[handle] = _Child(pid, request.status)
            self._selector.register(handle, selectors.EVENT_READ)
            _answer(request.status, {"pid": pid}, [handle])
        os.close(request.log)
        return False

    def _reap(self, handle: int) -> None:
        self._selector.unregister(handle)
        os.close(handle)
        child = self._children.pop(handle)
        _, status = os.waitpid(child.pid, 0)
        _answer(child.status, {"code": os.waitstatus_to_exitcode(status)})
        child.status.close()

    def _leave(self, request: _Request) -> None:
        """Closes in a child what is the server's."""
        self._selector.close()
        self._control.close()
        request.status.close()
        for handle, child in self._children.items():
            os.close(handle)
            child.status.close()


def _import(names: list[str], env: dict[str, str]) -> dict[str, str]:
    """Imports what is installed of `names`; returns what they and Python itself have put into the
    environment, with which the server was started."""
    del sys.path[0]  # this script's folder, of which no program must see anything
    gc.disable()  # nearly all that comes stays
    for name in names:
        if importlib.util.find_spec(name.partition(".")[0]) is not None:
            # A program that needs it will meet the same error, and say so.
            with contextlib.suppress(Exception):
                importlib.import_module(name)
    gc.enable()
    gc.collect()
    return dict(os.environ.items() - env.items())


def _threads() -> str:
    """A thread of the server would be gone in the child, with whatever lock it held."""
    count = len(os.listdir("/proc/self/task"))
    return "" if count == 1 else f"the fork server has {count} threads"


def _loggers() -> str:
    """A program that sets up its log finds it untouched."""
    return "" if not logging.root.handlers else "a library has set up the root logger"


def _shadowed(program: Program) -> str:
    """What is imported already is not looked for again, not even where a program would have found
    another module of that name first."""
    importlib.invalidate_caches()
    places = program.first_places()
    for name, module in list(sys.modules.items()):
        if "." in name or name == "__main__":
            continue
        found = PathFinder.find_spec(name, places)
        known = getattr(module, "__spec__", None)
        if found is not None and found.origin and found.origin != getattr(known, "origin", None):
            return f"the fork server has another {name} than {found.origin}"
    return ""


def _answer(
    status: socket.socket, message: dict[str, Any], handles: list[int] | None = None
) -> None:
    # Whoever asked may be gone: then the server is about to end as well.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        socket.send_fds(status, [json.dumps(message).encode()], handles or [])


def _become(request: _Request, server: int, set_by_libraries: dict[str, str]) -> None:
    """Makes the child what a new interpreter is before it runs the script."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != server:  # it ended before this was asked for
        os._exit(1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.dup2(request.log, 1)
    os.dup2(request.log, 2)
    os.close(request.log)
    program = request.program
    os.chdir(program.cwd)
    for number, limit in program.limits:
        resource.setrlimit(number, limit)
    os.environ.clear()
    os.environ.update(program.env | set_by_libraries)
    sys.path[:] = dict.fromkeys([*map(os.path.abspath, program.first_places()), *sys.path])
    importlib.invalidate_caches()
    sys.argv[:] = program.command[1:]
    sys.orig_argv[:] = program.command
    _seed_afresh()


def _seed_afresh() -> None:
    """As at import, so that no two children draw the same numbers; `random` does so by itself."""
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()
    if "torch" in sys.modules:
        sys.modules["torch"].default_generator.seed()


def load(script: str) -> tuple[CodeType, dict[str, Any]]:
    """The code of a script, and the names of the `__main__` in which it is to run."""
    module = ModuleType("__main__")
    module.__file__ = script
    module.__loader__ = SourceFileLoader("__main__", script)
    module.__dict__.update(__builtins__=builtins, __cached__=None)
    sys.modules["__main__"] = module
    code = compile(Path(script).read_bytes(), script, "exec", dont_inherit=True)
    return code, module.__dict__


if __name__ == "__main__":
    asked = ForkingServer(socket.socket(fileno=int(sys.argv[1]))).serve()
    if asked is None:
        os._exit(0)  # and its children with it: nothing of them is to be left behind
    exec(*load(asked.script))
