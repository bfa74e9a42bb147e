"""A real keeper with real files: what it keeps, who may ask it, and what a crash leaves."""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hearth import keeper
from hearth.cli import main
from hearth.errors import KeeperError

from benchmarks.harness.hearth_face import wait_until
from tests.page_cache import (
    all_in_ram,
    drop,
    pages_in_ram,
    require_droppable,
    require_lockable,
    without_ipc_lock,
)
from tests.python.checkpoint_files import good_file

_MIB = 1 << 20
_BINDINGS = str(Path(keeper.__file__).resolve().parents[1])
_NOBODY = 65534


@pytest.fixture
def folder() -> Iterator[Path]:
    """For the socket: short, because a socket's path is, and nobody else's."""
    require_lockable(7 * _MIB)
    with tempfile.TemporaryDirectory(prefix="hk-") as base:
        yield Path(base) / "k"


@pytest.fixture
def running(folder: Path) -> Iterator[int]:
    """A keeper; its process number."""
    process = keeper.start(folder)
    yield process
    try:
        keeper.stop(folder)
    except KeeperError:
        wait_until(lambda: not _is_alive(process), "the keeper to end")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A sound file of one MiB and a bit, small enough for every limit of locked memory."""
    return _write(tmp_path / "model.safetensors")


def _is_alive(process: int) -> bool:
    return Path(f"/proc/{process}/fd/0").exists()  # a zombie has no open files


def _kib_of(process: int, field: str) -> int:
    """A line of /proc/…/status; the kernel's own word, not the keeper's."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field + ":"))


def _write(path: Path, size: int = _MIB) -> Path:
    path.write_bytes(good_file(dtype="U8", data=os.urandom(size)))
    return path


def _locked(folder: Path) -> int:
    with keeper.connect(folder) as link:
        return int(link.status()["locked_bytes"])


def _wait_until_locked(folder: Path, *paths: Path) -> None:
    size = sum(path.stat().st_size for path in paths)
    wait_until(lambda: _locked(folder) >= size, "the keeper to lock the files")


def _limited_keeper(folder: Path, limit: int) -> subprocess.Popen[str]:
    """A keeper that may lock so many bytes; it serves when this returns."""

    def lower() -> None:
        without_ipc_lock()
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (limit, limit))

    process = subprocess.Popen(
        [sys.executable, "-m", "hearth", "keeper", "run", "--folder", str(folder)],
        env=os.environ | {"PYTHONPATH": _BINDINGS},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=lower,
    )
    assert process.stdout is not None and process.stdout.readline()
    return process


def test_what_was_declared_stays_in_ram_when_its_client_has_gone_and_goes_with_the_keeper(
    folder: Path, running: int, model: Path
) -> None:
    require_droppable(model)
    with keeper.connect(folder) as link:
        assert link.declare([keeper.claim(model)])["refused"] == []
    _wait_until_locked(folder, model)
    assert _kib_of(running, "VmLck") * 1024 >= model.stat().st_size
    drop(model)
    assert all_in_ram(model)
    keeper.stop(folder)
    drop(model)
    assert pages_in_ram(model)[0] == 0


def test_a_dropped_file_is_read_into_ram_by_locking_it(
    folder: Path, running: int, model: Path
) -> None:
    require_droppable(model)
    drop(model)
    with keeper.connect(folder) as link:
        link.declare([keeper.claim(model)])
    _wait_until_locked(folder, model)
    assert all_in_ram(model)


def test_there_is_no_second_copy_and_no_torch(folder: Path, running: int, tmp_path: Path) -> None:
    before = _kib_of(running, "RssAnon")
    big = _write(tmp_path / "big.safetensors", 6 * _MIB)
    with keeper.connect(folder) as link:
        link.declare([keeper.claim(big)])
    _wait_until_locked(folder, big)
    assert _kib_of(running, "RssAnon") - before < 2 * 1024
    assert "libtorch" not in Path(f"/proc/{running}/maps").read_text()


def test_a_registered_file_is_unlocked_when_the_answer_comes(
    folder: Path, running: int, model: Path
) -> None:
    with keeper.connect(folder) as link:
        link.declare([keeper.claim(model)])
        _wait_until_locked(folder, model)
        answer = link.declare([keeper.claim(model, registered=True)])
        assert answer["status"]["locked_bytes"] == 0
        assert _kib_of(running, "VmLck") == 0
    _wait_until_locked(folder, model)
    assert _kib_of(running, "VmLck") * 1024 >= model.stat().st_size


def test_a_killed_client_counts_as_gone(folder: Path, running: int, model: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from hearth import keeper\n"
        "link = keeper.connect(Path(sys.argv[1]))\n"
        "link.declare([keeper.claim(sys.argv[2], registered=True)])\n"
        "print('declared', flush=True); sys.stdin.read()\n"
    )
    client = subprocess.Popen(
        [sys.executable, "-c", program, str(folder), str(model)],
        env=os.environ | {"PYTHONPATH": _BINDINGS},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert client.stdout is not None and client.stdout.readline()
    with keeper.connect(folder) as link:
        assert link.status()["files"][0]["registered"] is True
        client.kill()
        _wait_until_locked(folder, model)
        assert link.status()["files"][0]["clients"] == 0
    client.communicate()


def test_a_killed_keeper_harms_nobody_and_its_place_is_taken_by_the_next(
    folder: Path, running: int, model: Path
) -> None:
    require_droppable(model)
    with keeper.connect(folder) as link:
        link.declare([keeper.claim(model)])
        _wait_until_locked(folder, model)
        os.kill(running, signal.SIGKILL)
        wait_until(lambda: not _is_alive(running), "the keeper to die")
        assert all_in_ram(model)  # nobody drops what is merely no longer locked
        with pytest.raises(KeeperError):
            link.declare([])
    assert (folder / "keeper.sock").exists()
    assert keeper.start(folder) != running
    assert _locked(folder) == 0


@pytest.mark.parametrize("limit_mib", [0, 2])
def test_with_too_little_lockable_memory_as_much_as_may_be_is_locked_and_what_to_raise_is_said(
    folder: Path, tmp_path: Path, limit_mib: int
) -> None:
    big = _write(tmp_path / "big.safetensors", 5 * _MIB)
    process = _limited_keeper(folder, limit_mib * _MIB)
    with keeper.connect(folder) as link:
        link.declare([keeper.claim(big)])
        wait_until(lambda: _locked(folder) == limit_mib * _MIB, "what may be locked to be locked")
        advice = link.status()["advice"]
    assert "`ulimit -l 6144`" in advice
    assert "`LimitMEMLOCK=6M`" in advice
    keeper.stop(folder)
    process.communicate()


def test_what_was_advised_suffices(folder: Path, tmp_path: Path) -> None:
    big = _write(tmp_path / "big.safetensors", 5 * _MIB)
    process = _limited_keeper(folder, 6 * _MIB)
    with keeper.connect(folder) as link:
        link.declare([keeper.claim(big)])
        _wait_until_locked(folder, big)
        assert link.status()["advice"] == ""
    keeper.stop(folder)
    process.communicate()


def test_the_budget_is_kept(folder: Path, running: int, model: Path, tmp_path: Path) -> None:
    other = _write(tmp_path / "other.safetensors")
    with keeper.connect(folder) as link:
        link.declare([keeper.claim(model), keeper.claim(other)], max_bytes=_MIB)
        wait_until(lambda: link.status()["locked_bytes"] == _MIB, "one MiB to be locked")
        assert link.declare([], max_bytes=0)["status"]["files"] == []


def test_no_ram_is_taken_that_is_to_stay_free(folder: Path, running: int, model: Path) -> None:
    with keeper.connect(folder) as link:
        link.declare([keeper.claim(model)], keep_free_bytes=1 << 60)
        wait_until(lambda: "RAM does not suffice" in link.status()["advice"], "the advice")
        assert link.status()["locked_bytes"] == 0


def test_a_second_keeper_says_that_the_first_is_there(folder: Path, running: int) -> None:
    assert keeper.start(folder) == running
    second = subprocess.run(
        [sys.executable, "-m", "hearth", "keeper", "run", "--folder", str(folder)],
        env=os.environ | {"PYTHONPATH": _BINDINGS},
        capture_output=True,
        text=True,
    )
    assert second.returncode == 1
    assert f"running already (process {running})" in second.stderr


def test_a_keeper_whose_socket_is_gone_is_said_to_be_there_and_how_it_ends(
    folder: Path, running: int, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "keeper.sock").unlink()
    assert [main(["keeper", it, "--folder", str(folder)]) for it in ("status", "stop")] == [3, 1]
    assert capsys.readouterr().err.count(f"; `kill {running}` ends it") == 2
    os.kill(running, signal.SIGTERM)
    wait_until(lambda: main(["keeper", "stop", "--folder", str(folder)]) == 0, "its end")


def test_of_two_that_start_at_once_one_serves_both(folder: Path) -> None:
    found: list[int] = []
    starters = [
        threading.Thread(target=lambda: found.append(keeper.start(folder))) for _ in range(2)
    ]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join()
    assert len(found) == 2 and len(set(found)) == 1
    keeper.stop(folder)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_and_leaves_no_socket(
    folder: Path, running: int, number: signal.Signals
) -> None:
    os.kill(running, number)
    wait_until(lambda: not _is_alive(running), "the keeper to end")
    assert not (folder / "keeper.sock").exists()


def test_lines_that_are_no_requests_are_answered_and_harm_nobody(
    folder: Path, running: int, model: Path
) -> None:
    with keeper.connect(folder) as link:
        link.declare([keeper.claim(model)])
        luck = random.Random(7)
        good = json.dumps({"op": "declare", "files": [keeper.claim(model)], "limits": {}}).encode()
        for _ in range(200):
            line = bytearray(good)
            for _ in range(luck.randrange(1, 8)):
                line[luck.randrange(len(line))] = luck.randrange(256)
            answer = _raw(folder, bytes(line).replace(b"\n", b" ") + b"\n")
            assert json.loads(answer)["ok"] in (True, False)
        assert b"too long" in _raw(folder, b"x" * (3 * _MIB))
        assert link.status()["pid"] == running


def _raw(folder: Path, sent: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(folder / "keeper.sock"))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it has heard enough
            connection.sendall(sent)
        return connection.recv(1 << 16)


def void(value: object) -> None:
    """Takes anything."""


def _as_nobody(work: Callable[[], bool]) -> bool:
    """What `work` returns in a child process of another user."""
    child = os.fork()
    if child == 0:
        os.setuid(_NOBODY)
        os._exit(0 if work() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="NOT RUN, needs root for a second user")


@needs_root
def test_another_user_cannot_reach_the_socket(folder: Path, running: int) -> None:
    os.chmod(folder.parent, 0o755)

    def is_refused() -> bool:
        with socket.socket(socket.AF_UNIX) as connection:
            return connection.connect_ex(str(folder / "keeper.sock")) == 13  # EACCES

    assert _as_nobody(is_refused)


@needs_root
def test_another_user_who_gets_past_the_folder_is_refused_by_both_sides() -> None:
    with tempfile.TemporaryDirectory(prefix="hk-") as base:
        os.chown(base, _NOBODY, _NOBODY)
        place = Path(base) / "k"
        ready, ends = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.setuid(_NOBODY)
                keeper.run(place, (None, 0), lambda: void(os.write(ends, b"x")), void)
                os._exit(0)
            finally:
                traceback.print_exc()
                os._exit(1)
        os.close(ends)
        assert os.read(ready, 1) == b"x"
        assert b"the user who started it" in _raw(place, b"")
        with pytest.raises(KeeperError, match="another user"):
            keeper.connect(place)
        os.kill(child, signal.SIGTERM)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_the_command_starts_shows_and_stops_it(
    folder: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def hearth(*words: str) -> tuple[int, str]:
        code = main(["keeper", *words, "--folder", str(folder)])
        told: Any = capsys.readouterr()
        return code, told.out + told.err

    assert hearth("status") == (
        3,
        "hearth keeper: no keeper is running; `hearth keeper start` starts one\n",
    )
    code, said = hearth("start")
    assert (code, said[:31]) == (0, "hearth keeper: running, process")
    with keeper.connect(folder) as link:
        link.declare([keeper.claim(model, registered=True)])
        assert "model.safetensors: registered with a GPU" in hearth("status")[1]
    _wait_until_locked(folder, model)
    assert "1.0 MB of 1.0 MB locked; waiting for a ComfyUI" in hearth("status")[1]
    assert json.loads(hearth("status", "--json")[1])["locked_bytes"] == model.stat().st_size
    assert hearth("stop") == (0, "hearth keeper: stopped\n")
    assert hearth("stop") == (0, "hearth keeper: none is running\n")


def test_the_unit_file_starts_what_the_command_has() -> None:
    unit = Path(__file__).resolve().parents[2] / "config" / "systemd" / "hearth-keeper.service"
    lines = dict(line.split("=", 1) for line in unit.read_text().splitlines() if "=" in line)
    assert lines["ExecStart"].split()[1:] == ["keeper", "run"]
    assert lines["LimitMEMLOCK"] == "infinity"


def test_the_socket_is_in_the_sessions_folder_or_in_the_users_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert keeper.socket_folder() == tmp_path / "hearth"
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "missing"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert keeper.socket_folder() == tmp_path / "state" / "hearth" / "keeper"
