"""At the end of the process nobody is in native code."""

from __future__ import annotations

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
