"""A file that is being read is waited for as long as somebody wants it, and no longer."""

from __future__ import annotations

import queue
import threading
from typing import Any

import pytest

pytest.importorskip("hearth", reason="NOT RUN, hearth's native module is not built: ./dev build")

from fakes.comfy_fakes import Patcher  # noqa: E402
from fakes.comfy_host import admit, make_host  # noqa: E402

from comfy_nodes.arrivals import Arrivals  # noqa: E402
from comfy_nodes.held_files import HeldFiles  # noqa: E402
from comfy_nodes.seams import Seams  # noqa: E402
from comfy_nodes.stock_loaders import FileStamp  # noqa: E402
from comfy_nodes.use_recording import UseRecorder  # noqa: E402


class Identity:
    device, inode = 1, 2


class SlowFile:
    """A file of a disk that does not end to read until it is told to; `calls` are the caller's."""

    identity = Identity()
    nbytes = 10
    registered_bytes = 0
    state = "mapped"

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.progress = {"cancelled": False}
        self.is_read = False
        self.reading_ended = threading.Event()
        self.background: queue.Queue[threading.Thread] = queue.Queue()
        self.registered_by_itself = threading.Event()

    def finish(self) -> None:
        self.is_read = True
        self.reading_ended.set()

    def _note(self, call: str) -> None:
        if threading.current_thread() is threading.main_thread():
            self.calls.append(call)

    def read_ahead(self, urgent: bool) -> None:
        assert urgent
        self._note("hurry" if self.state == "reading" else "read")
        self.state = "reading"
        self.progress = {"cancelled": False}

    def wait_for_read_ahead(self, max_seconds: float) -> bool:
        if threading.current_thread() is threading.main_thread():
            return self.is_read
        self.background.put(threading.current_thread())
        return self.reading_ended.wait(max_seconds)

    def cancel_read_ahead(self) -> None:
        self._note("cancel")
        self.state, self.progress = "read", {"cancelled": True}
        self.reading_ended.set()

    def register(self, max_seconds: float | None = None) -> int:
        self._note("register")
        if threading.current_thread() is not threading.main_thread():
            self.registered_by_itself.set()
        return 0

    def close(self) -> None:
        self._note("close")


class Tier:
    def __init__(self, file: SlowFile) -> None:
        self.file = file

    def hold(self, path: str) -> SlowFile:
        return self.file

    def stats(self) -> dict[str, Any]:
        return {"max_bytes": 0, "keep_free_bytes": 0, "registered_bytes": 0, "room_bytes": 0}


def held(file: SlowFile) -> HeldFiles:
    files = HeldFiles(Tier(file), [FileStamp("a.safetensors", 10, 1, 2)])
    files.open()
    file.calls.clear()
    return files


def test_what_nobody_wants_any_more_is_not_read_to_its_end() -> None:
    file = SlowFile()
    held(file).make_ready(lambda: False)
    assert file.calls == ["hurry", "cancel"]


def test_after_that_the_next_use_reads_it() -> None:
    file = SlowFile()
    files = held(file)
    files.make_ready(lambda: False)
    file.finish()
    files.make_ready(lambda: True)
    files.make_ready(lambda: True)
    assert file.calls == ["hurry", "cancel", "read", "register"]


def test_what_is_read_is_registered_without_anybody_asking() -> None:
    file = SlowFile()
    held(file)
    file.finish()
    assert file.registered_by_itself.wait(60)


def test_what_was_read_only_in_part_is_not() -> None:
    file = SlowFile()
    held(file)
    file.progress["cancelled"] = True
    file.finish()
    file.background.get(timeout=60).join(60)
    assert not file.registered_by_itself.is_set()


class Interrupt(BaseException):
    """ComfyUI's."""


def test_an_interrupt_while_a_file_is_read_ends_the_prompt_as_itself() -> None:
    host = make_host()
    base = Patcher()
    asked: list[Any] = []

    class Feed:
        mapped_bytes = 0

        def check(self, modules: Any) -> None: ...

        def make_ready(self, is_wanted: Any) -> None:
            asked.append(is_wanted())

    admit(host, "a", base).feed = Feed()  # type: ignore[assignment]
    management: Any = host.adapter.management
    UseRecorder(host, Arrivals(host)).install(management, Seams())
    management.processing_interrupted = lambda: True

    def stop() -> None:
        raise Interrupt

    management.throw_exception_if_processing_interrupted = stop
    with pytest.raises(Interrupt):
        management.load_models_gpu([base.clone()])
    assert asked == [False]
