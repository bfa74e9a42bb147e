"""Work between prompts: nothing is lost, nothing escapes, handles end with their prompt."""

from __future__ import annotations

import threading

import pytest

pytest.importorskip("hearth", reason="NOT RUN, hearth's native module is not built: ./dev build")

from fakes.comfy_fakes import Patcher, PromptQueue  # noqa: E402
from fakes.comfy_host import admit, make_host, model_key  # noqa: E402

from comfy_nodes.arrivals import Arrivals  # noqa: E402
from comfy_nodes.between_prompts import BetweenPrompts  # noqa: E402
from comfy_nodes.host import Host  # noqa: E402
from comfy_nodes.node_cache import ComfyNodeCache  # noqa: E402
from comfy_nodes.seams import Seams  # noqa: E402
from comfy_nodes.use_recording import UseRecorder  # noqa: E402


def install(host: Host) -> PromptQueue:
    queue = PromptQueue()
    seams = Seams()
    BetweenPrompts(host, Arrivals(host), ComfyNodeCache()).install(queue, seams)
    assert seams.found == {"between_prompts": True}
    return queue


def test_a_job_posted_just_before_the_worker_waits_is_run_all_the_same() -> None:
    """ComfyUI's own get() would sleep for its whole timeout here: the wake-up came too early."""
    host = make_host()
    queue = install(host)
    ran = threading.Event()
    host.runtime.executor.post(ran.set)
    queue.flags.clear()
    assert queue.get(timeout=1000.0) is None
    queue.get_flags()
    assert ran.is_set()


def test_a_job_wakes_a_worker_that_waits() -> None:
    host = make_host()
    queue = install(host)
    threads: list[int] = []
    done = threading.Event()
    waiting = threading.Event()

    def work() -> None:
        waiting.set()
        queue.get(timeout=1000.0)
        queue.get_flags()
        done.set()

    worker = threading.Thread(target=work)
    worker.start()
    waiting.wait()
    host.runtime.executor.post(lambda: threads.append(threading.get_ident()))
    worker.join()
    assert threads == [worker.ident]


def test_what_was_asked_for_before_a_prompt_is_done_before_it() -> None:
    """Else POST /free, then POST /prompt would at times drop the models of that prompt."""
    queue = install(make_host())
    queue.set_flag("free_memory", True)
    queue.put((1, "prompt"))
    assert queue.get(timeout=1000.0) is None
    assert queue.get_flags() == {"free_memory": True}
    assert queue.get(timeout=1000.0) == ((1, "prompt"), 0)


def test_a_prompt_and_a_flag_that_wake_the_worker_together_come_in_that_order() -> None:
    queue = install(make_host())
    waits = threading.Event()
    wait = queue.not_empty.wait

    def wait_and_tell(timeout: float | None = None) -> bool:
        waits.set()
        return wait(timeout)

    queue.not_empty.wait = wait_and_tell
    got: list[object] = []

    def work() -> None:
        got.append(queue.get(timeout=1000.0))
        got.append(queue.get_flags())

    worker = threading.Thread(target=work)
    worker.start()
    waits.wait()
    with queue.mutex:  # the worker waits until this ends, whoever wakes it
        queue.set_flag("free_memory", True)
        queue.put((1, "prompt"))
    worker.join()
    assert got == [None, {"free_memory": True}]
    assert queue.get(timeout=1000.0) is not None


def test_jobs_run_in_inference_mode() -> None:
    host = make_host()
    queue = install(host)
    torch = host.adapter._torch
    depths: list[int] = []
    host.runtime.executor.post(lambda: depths.append(torch.inference_depth))
    queue.get_flags()
    assert depths == [1]
    assert torch.inference_depth == 0


def test_nothing_that_goes_wrong_reaches_comfyuis_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    host = make_host()
    queue = install(host)
    queue.set_flag("unload_models", True)

    def fail() -> None:
        raise SystemExit

    monkeypatch.setattr(host.scope, "end", fail)
    assert queue.get_flags() == {"unload_models": True}


def test_a_prompt_passes_through_the_wrapped_queue_unchanged() -> None:
    queue = install(make_host())
    queue.put((1, "id"))
    assert queue.get(timeout=0) == ((1, "id"), 0)


def test_a_model_that_worked_in_a_prompt_cannot_be_evicted_before_its_end() -> None:
    host = make_host(max_models=1)
    queue = install(host)
    base = Patcher()
    admit(host, "a", base)
    management = host.adapter.management
    UseRecorder(host, Arrivals(host)).install(management, Seams())
    management.load_models_gpu([base.clone()])
    host.runtime.cache.trim(1 << 60, 1 << 60, "test")
    assert host.runtime.cache.stats()["resident"] == 1
    queue.get_flags()
    host.runtime.cache.trim(1 << 60, 1 << 60, "test")
    assert host.runtime.cache.stats()["resident"] == 0


def test_free_memory_drops_what_is_not_pinned_and_unload_models_drops_nothing() -> None:
    host = make_host()
    queue = install(host)
    admit(host, "a", Patcher())
    admit(host, "b", Patcher())
    host.runtime.cache.pin(model_key("b"))
    queue.set_flag("unload_models", True)
    queue.get_flags()
    assert host.runtime.cache.stats()["resident"] == 2
    queue.set_flag("free_memory", True)
    queue.get_flags()
    assert [each["name"] for each in host.runtime.cache.residents()] == ["b"]
    assert host.runtime.last("evicted")["reason"] == "free requested"


def test_a_queue_that_looks_different_is_left_alone() -> None:
    seams = Seams()
    host = make_host()
    BetweenPrompts(host, Arrivals(host), ComfyNodeCache()).install(object(), seams)
    assert seams.missing == ["between_prompts"]


class IdleWork:
    """Steps of work for when nobody waits."""

    def __init__(self, steps: int, queue: PromptQueue) -> None:
        self.left = steps
        self.queue = queue

    @property
    def has_work(self) -> bool:
        return self.left > 0

    def step(self) -> None:
        self.left -= 1
        self.queue.set_flag("free_memory", True)


def install_idle(host: Host, steps: int) -> tuple[PromptQueue, IdleWork]:
    queue = PromptQueue()
    work = IdleWork(steps, queue)
    between = BetweenPrompts(host, Arrivals(host), ComfyNodeCache())
    between.when_idle(work)
    assert between.install(queue, Seams())
    return queue, work


def test_idle_work_is_done_a_step_at_a_time_and_a_prompt_goes_first() -> None:
    queue, work = install_idle(make_host(), steps=2)
    assert queue.get(timeout=1000.0) is None
    queue.get_flags()
    assert work.left == 1
    queue.put((1, "prompt"))
    queue.get_flags()
    assert work.left == 1
    assert queue.get(timeout=1000.0) is not None
    queue.get_flags()
    assert work.left == 0


def run_prompts(queue: PromptQueue, count: int) -> None:
    """As ComfyUI's worker does, with a further prompt in the queue all the time."""
    for number in range(count):
        queue.put((number, "prompt"))
        assert queue.get(timeout=1000.0) is not None
        queue.get_flags()
        queue.flags.clear()


def test_a_queue_that_is_never_empty_puts_idle_work_off_but_not_for_ever() -> None:
    queue, work = install_idle(make_host(), steps=2)
    queue.put((100, "always one more"))
    run_prompts(queue, 3)
    assert work.left == 2
    run_prompts(queue, 1)
    assert work.left == 1
    run_prompts(queue, 4)
    assert work.left == 0


def test_idle_work_that_comes_to_a_busy_server_waits_as_long_as_any() -> None:
    queue, work = install_idle(make_host(), steps=0)
    queue.put((100, "always one more"))
    run_prompts(queue, 6)
    work.left = 1
    run_prompts(queue, 3)
    assert work.left == 1
    run_prompts(queue, 1)
    assert work.left == 0


def test_a_flag_set_during_idle_work_is_not_slept_over() -> None:
    queue, _ = install_idle(make_host(), steps=1)
    queue.get(timeout=1000.0)
    queue.get_flags()
    assert queue.get(timeout=1000.0) is None
    assert queue.get_flags() == {"free_memory": True}


def test_while_the_process_ends_no_idle_work_is_begun() -> None:
    host = make_host()
    queue, work = install_idle(host, steps=1)
    host.gate.close(1.0)
    queue.get_flags()
    assert work.left == 1
