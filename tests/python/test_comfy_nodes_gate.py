"""At the end of the process nobody is in native code."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

pytest.importorskip("hearth", reason="NOT RUN, hearth's native module is not built: ./dev build")

from fakes.comfy_fakes import PromptQueue  # noqa: E402
from fakes.comfy_host import make_host  # noqa: E402

from comfy_nodes.arrivals import Arrivals  # noqa: E402
from comfy_nodes.between_prompts import BetweenPrompts  # noqa: E402
from comfy_nodes.gate import Gate  # noqa: E402
from comfy_nodes.node_cache import ComfyNodeCache  # noqa: E402
from comfy_nodes.seams import Seams  # noqa: E402


def test_closing_waits_for_who_is_inside_and_lets_nobody_in_again() -> None:
    gate = Gate()
    inside, leave = threading.Event(), threading.Event()

    def work() -> None:
        with gate.enter() as is_open, gate.enter():
            assert is_open
            inside.set()
            leave.wait()

    worker = threading.Thread(target=work)
    worker.start()
    inside.wait()
    assert not gate.close(0.0)
    leave.set()
    assert gate.close(60.0)
    worker.join()
    with gate.enter() as is_open:
        assert not is_open


def test_behind_a_closed_gate_the_queue_is_comfyuis_own() -> None:
    host = make_host()
    queue = PromptQueue()
    BetweenPrompts(host, Arrivals(host), ComfyNodeCache()).install(queue, Seams())
    ran: list[int] = []
    host.runtime.executor.post(lambda: ran.append(1))
    host.gate.close(0.0)
    queue.put((1, "id"))
    assert queue.get(timeout=0) == ((1, "id"), 0)
    assert queue.get_flags() == {"hearth": True}
    assert ran == []


# A load from a disk that hangs: the cache's end would wait for it, Python's end would abort it.
ENDS_DURING_A_LOAD = """
import atexit, threading, time
from types import SimpleNamespace
from fakes.comfy_host import make_host, model_key
from comfy_nodes import composition

host = make_host()
host.runtime.shutdown = host.runtime.cache.shutdown
began = threading.Event()

def load():
    began.set()
    while True:
        time.sleep(0.001)

def work():
    host.runtime.executor.adopt_current_thread()
    with host.gate.enter():
        host.runtime.cache.acquire(model_key("slow"), load)

threading.Thread(target=work, daemon=True).start()
began.wait()
composition._SECONDS_TO_END = 0.1
nothing = SimpleNamespace(stop=lambda: None, drain=lambda: None, end=lambda let_go: None)
atexit.register(composition._shut_down, host, nothing, nothing, nothing)
"""


def test_a_load_that_does_not_end_does_not_keep_the_process_alive() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ENDS_DURING_A_LOAD],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "still being loaded" in done.stderr
