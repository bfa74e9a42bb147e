"""The keeper: a process of its own that keeps the pages of model files locked in RAM, so that a
restarted ComfyUI, or a second one, finds them there.

    keeper.start()                       # unless one is there
    with keeper.connect() as link:
        link.declare([keeper.claim(path)])
        print(link.status()["locked_bytes"])
    keeper.stop()

What a connection has declared stays locked when it ends; docs/keeper.md has the rules.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

import hearth
from hearth._native import _core
from hearth.errors import KeeperError, NoKeeperError

Json = dict[str, Any]

_ANSWER_SECONDS = 10.0
_START_SECONDS = 20.0
_STEP_SECONDS = 60.0
_MOST_ANSWER_BYTES = 4 << 20
_MOST_LOG_BYTES = 1 << 20
# Out of memory, the kernel is to take the keeper before a ComfyUI: nothing is lost with it.
_OOM_SCORE = "500"


def socket_folder() -> Path:
    """Where this user's keeper is met: `hearth` in the session's runtime folder, or where there is
    none (in containers) `hearth/keeper` in the user's state folder."""
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}"
    if os.path.isabs(runtime) and os.access(runtime, os.W_OK | os.X_OK):
        return Path(runtime) / "hearth"
    state = os.environ.get("XDG_STATE_HOME", "")
    base = Path(state) if os.path.isabs(state) else Path.home() / ".local" / "state"
    return base / "hearth" / "keeper"


def claim(path: str | os.PathLike[str], *, registered: bool = False) -> Json:
    """What is said of one file that is held: where it is and which it is, so that a keeper that
    sees another file there refuses it. `registered`: its pages are known to a device.

    Raises:
        OSError: there is no such file.
    """
    status = os.stat(path)
    return {
        "path": os.path.abspath(path),
        "device": status.st_dev,
        "inode": status.st_ino,
        "size": status.st_size,
        "mtime_ns": status.st_mtime_ns,
        "registered": registered,
    }


class Connection:
    """A connection to a keeper; a context manager. Its claims live as long as it does."""

    def __init__(self, folder: Path) -> None:
        self._received = b""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.settimeout(_ANSWER_SECONDS)
            self._socket.connect(str(folder / "keeper.sock"))
            self._require_own_keeper()
        except KeeperError:
            self._socket.close()
            raise
        except OSError as error:
            self._socket.close()
            raise _unreachable(folder) from error

    def _require_own_keeper(self) -> None:
        shape = "iII"
        size = struct.calcsize(shape)
        credentials = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        if struct.unpack(shape, credentials)[1] != os.geteuid():
            raise KeeperError("the keeper there belongs to another user")

    def declare(
        self,
        claims: Iterable[Json],
        *,
        max_bytes: int | None = None,
        keep_free_bytes: int = 0,
    ) -> Json:
        """Says all that is held from now on, and the limits; returns {"status", "refused"}. What
        must be unlocked for it is unlocked then; locking goes on afterwards.

        Raises:
            KeeperError: the keeper is gone, or refuses the request.
        """
        limits = {"max_bytes": max_bytes, "keep_free_bytes": keep_free_bytes}
        return self._ask({"op": "declare", "files": list(claims), "limits": limits})

    def status(self) -> Json:
        """What the keeper keeps: pid, files, locked_bytes, limits, advice. Raises KeeperError."""
        status: Json = self._ask({"op": "status"})["status"]
        return status

    def stop(self) -> None:
        """Asks the keeper to end and waits until it has let go of everything; raises KeeperError
        when it does not."""
        self._ask({"op": "stop"})
        try:
            while self._socket.recv(4096):
                pass
        except OSError as error:
            raise KeeperError("the keeper does not end") from error

    def close(self) -> None:
        """Ends the connection; what it declared stays locked."""
        self._socket.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _ask(self, request: Json) -> Json:
        try:
            self._socket.sendall(json.dumps(request).encode("utf-8") + b"\n")
            answer = json.loads(self._line())
        except (OSError, ValueError) as error:
            raise KeeperError(f"the keeper does not answer ({error})") from error
        if not isinstance(answer, dict) or answer.get("ok") is not True:
            raise KeeperError(str(answer.get("error") if isinstance(answer, dict) else answer))
        return answer

    def _line(self) -> bytes:
        while b"\n" not in self._received:
            piece = self._socket.recv(1 << 16)
            if not piece:
                raise ConnectionError("it has ended")
            self._received += piece
            if len(self._received) > _MOST_ANSWER_BYTES:
                raise ValueError("its answer does not end")
        line, _, self._received = self._received.partition(b"\n")
        return line


def _unreachable(folder: Path) -> KeeperError:
    process = _owner_of_lock(folder / "keeper.lock")
    if process is None:
        return NoKeeperError("no keeper is running; `hearth keeper start` starts one")
    place = folder / "keeper.sock"
    return KeeperError(
        f"a keeper is running (process {process}) that does not answer at {place}; "
        f"`kill {process}` ends it"
    )


def _owner_of_lock(lock: Path) -> int | None:
    """Which process has locked that file. Not asked by trying to: a keeper that starts just then
    would take us for another one."""
    try:
        process = int(lock.read_text(encoding="ascii"))  # the keeper's own word, which may be old
        place = f":{lock.stat().st_ino}"
        lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return None
    # 1: FLOCK  ADVISORY  WRITE 4711 fd:00:1234 0 EOF
    held = [words[4] for words in map(str.split, lines) if words[-3].endswith(place)]
    return process if str(process) in held else None


def connect(folder: Path | None = None) -> Connection:
    """Connects to this user's keeper; raises NoKeeperError when none is running, and KeeperError
    when it does not answer."""
    return Connection(folder or socket_folder())


def start(
    folder: Path | None = None, *, max_bytes: int | None = None, keep_free_bytes: int = 0
) -> int:
    """Starts a keeper that outlives this process, and returns its process number when it serves;
    one that is there already is left as it is.

    Raises:
        KeeperError: it ended at once; says why.
    """
    place = folder or socket_folder()
    with contextlib.suppress(KeeperError), connect(place) as there:
        return int(there.status()["pid"])
    _make_folder(place)
    command = [sys.executable, "-m", "hearth", "keeper", "run", "--detached"]
    command += ["--folder", str(place), "--keep-free-bytes", str(keep_free_bytes)]
    if max_bytes is not None:
        command += ["--max-bytes", str(max_bytes)]
    with _open_log(place) as log:
        process = subprocess.Popen(
            command,
            cwd="/",
            env=os.environ | {"PYTHONPATH": str(Path(hearth.__file__).resolve().parents[1])},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,  # no terminal's Ctrl-C is meant for it
        )
        return _when_serving(process, place)


def _when_serving(process: subprocess.Popen[bytes], place: Path) -> int:
    assert process.stdout is not None
    with process.stdout as output:
        readable, _, _ = select.select([output], [], [], _START_SECONDS)
        line = output.readline() if readable else b""
    if not line and process.poll() is None:
        process.kill()
    process.wait()  # at once: what serves is its child
    if line:
        return int(line.split()[-1])
    with contextlib.suppress(KeeperError), connect(place) as first:
        return int(first.status()["pid"])  # another one was quicker
    raise KeeperError(f"the keeper did not start: {_last_line(place)}")


def _make_folder(place: Path) -> None:
    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        place.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise KeeperError(
            f"the folder of the keeper's socket, {place}, cannot be made ({error.strerror})"
        ) from error


def _open_log(place: Path) -> Any:
    path = place / "keeper.log"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise KeeperError(f"{path} cannot be written ({error.strerror})") from error
    if os.fstat(descriptor).st_size > _MOST_LOG_BYTES:
        os.ftruncate(descriptor, 0)
    return os.fdopen(descriptor, "ab")


def _last_line(place: Path) -> str:
    lines = (place / "keeper.log").read_text("utf-8", "replace").splitlines()
    return lines[-1] if lines else "it said nothing"


def stop(folder: Path | None = None) -> None:
    """Ends this user's keeper and waits for that; raises NoKeeperError when none is running."""
    with connect(folder) as there:
        there.stop()


def run(
    folder: Path,
    limits: tuple[int | None, int],
    on_ready: Callable[[], None],
    on_log: Callable[[str], None],
) -> None:
    """Is the keeper, until it is told to stop by a client, SIGTERM or SIGINT. For the main thread
    of a process that does nothing else. `limits`: max_bytes, keep_free_bytes.

    Raises:
        HearthError: another one is there, or the folder is not private.
    """
    _make_folder(folder)
    keeper = _core.Keeper(folder, max_bytes=limits[0], keep_free_bytes=limits[1])
    stopped: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: stopped.append(number))
    # Without it a signal that comes just before the wait would be noticed only after it.
    signal.set_wakeup_fd(keeper.wake_descriptor)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE, encoding="ascii")
    on_ready()
    while not stopped and keeper.step(_STEP_SECONDS):
        for _, line in hearth.runtime().drain_log():
            on_log(line)
    signal.set_wakeup_fd(-1)


__all__ = ["Connection", "claim", "connect", "run", "socket_folder", "start", "stop"]
