"""A file that is being read is waited for as long as somebody wants it, and no longer."""

from __future__ import annotations

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
    """A file of a disk that never ends to read, until it is told to."""

    identity = Identity()
    nbytes = 10
    registered_bytes = 0

    def __init__(self) -> None:
        self.is_read = False
        self.calls: list[str] = []

    def read_ahead(self, wait: bool) -> None:
        self.calls.append("read")

    def wait_for_read_ahead(self, max_seconds: float) -> bool:
        return self.is_read

    def cancel_read_ahead(self) -> None:
        self.calls.append("cancel")

    def register(self) -> None:
        self.calls.append("register")

    def close(self) -> None:
        self.calls.append("close")


class Tier:
    def __init__(self, file: SlowFile) -> None:
        self.file = file

    def hold(self, path: str) -> SlowFile:
        return self.file


def held(file: SlowFile) -> HeldFiles:
    files = HeldFiles(Tier(file), [FileStamp("a.safetensors", 10, 1, 2)])
    files.open()
    file.calls.clear()
    return files


def test_what_nobody_wants_any_more_is_not_read_to_its_end() -> None:
    file = SlowFile()
    held(file).make_ready(lambda: False)
    assert file.calls == ["read", "cancel"]


def test_after_that_the_next_use_reads_it() -> None:
    file = SlowFile()
    files = held(file)
    files.make_ready(lambda: False)
    file.is_read = True
    files.make_ready(lambda: True)
    files.make_ready(lambda: True)
    assert file.calls == ["read", "cancel", "read", "register"]


class Interrupt(BaseException):
    """ComfyUI's."""


def test_an_interrupt_while_a_file_is_read_ends_the_prompt_as_itself() -> None:
    host = make_host()
    base = Patcher()
    asked: list[Any] = []

    class Feed:
        mapped_bytes = 0

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
