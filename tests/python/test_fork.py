"""A process forked from one whose native threads are at work; and one that is told to end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import hearth
import pytest

_BINDINGS = str(Path(hearth.__file__).resolve().parents[1])
_SECONDS = 120  # nothing is measured: a hang is to fail, not to hang

_COMMON = """
import os, sys, threading
import hearth
from hearth import host_files

path = sys.argv[1]
size = os.path.getsize(path)
ending = threading.Event()
reading = threading.Event()

def read_on_and_on():
    while not ending.is_set():
        with host_files.tier().hold(path) as file:
            file.read_ahead(threads=4)
            reading.set()
            file.read_ahead(wait=True)
        host_files.tier().give_way()

reader = threading.Thread(target=read_on_and_on, daemon=True)
reader.start()
reading.wait()
"""

_FORKS = """
held = host_files.tier().hold(path)
whole = memoryview(held.view())
for _ in range(30):
    child = os.fork()
    if child == 0:
        with host_files.tier().hold(path) as file:
            file.read_ahead(threads=2, wait=True)
            assert bytes(memoryview(file.view(size - 4))) == b"tail"
        assert bytes(whole[-4:]) == b"tail"  # what the parent has mapped is there, too
        assert hearth.runtime().cache.stats()["resident"] == 0
        hearth.runtime().drain_log()
        hearth.runtime().shutdown(True)
        sys.exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
ending.set()
reader.join()
with host_files.tier().hold(path) as file:  # and the parent is as it was
    file.read_ahead(wait=True)
    assert bytes(memoryview(file.view(size - 4))) == b"tail"
print("done")
"""

_WAITS = """
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    path.write_bytes(os.urandom(1 << 20) * 24 + b"tail")
    return path


def _start(program: str, model: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-X", "faulthandler", "-c", program, str(model)],
        env=os.environ | {"PYTHONPATH": _BINDINGS},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _end(process: subprocess.Popen[str]) -> None:
    """Also the children of it that hang."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def test_a_forked_child_uses_the_tier_and_ends_while_the_parents_threads_read(model: Path) -> None:
    process = _start(_COMMON + _FORKS, model)
    try:
        out, errors = process.communicate(timeout=_SECONDS)
    finally:
        _end(process)
    assert (process.returncode, out) == (0, "done\n"), errors


def test_sigterm_ends_a_process_whose_threads_read(model: Path) -> None:
    process = _start(_COMMON + _WAITS, model)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    try:
        process.communicate(timeout=_SECONDS)
    finally:
        _end(process)
    assert process.returncode == -signal.SIGTERM
