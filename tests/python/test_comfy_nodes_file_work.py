"""Held files are read once for a prompt, registered when that stalls nobody, and tried again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("hearth", reason="NOT RUN, hearth's native module is not built: ./dev build")
torch = pytest.importorskip("torch", reason="pins are torch tensors")

from fakes.comfy_fakes import Patcher  # noqa: E402
from fakes.comfy_host import NoThreads, make_host  # noqa: E402
from hearth import host_files  # noqa: E402

from comfy_nodes.ahead import register_files  # noqa: E402
from comfy_nodes.arrivals import Arrivals  # noqa: E402
from comfy_nodes.file_work import FileWork  # noqa: E402
from comfy_nodes.held_files import HeldFiles  # noqa: E402
from comfy_nodes.seams import Seams  # noqa: E402
from comfy_nodes.stock_loaders import FileStamp  # noqa: E402
from comfy_nodes.use_recording import UseRecorder  # noqa: E402

_GIB = 1 << 30


@pytest.fixture(autouse=True)
def whole_tier() -> Iterator[None]:
    """Nothing is left in the process's one tier: other tests count what is mapped there."""
    yield
    host_files.tier().give_way()


class Machine:
    """RAM that may be registered, shared by files, and what hearth's tier says of it."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.registered = 0
        self.files: dict[str, File] = {}

    def hold(self, path: str) -> File:
        return self.files[path]

    def stats(self) -> dict[str, Any]:
        limits = {"max_bytes": 0, "keep_free_bytes": 0}
        return limits | {"registered_bytes": self.registered, "room_bytes": self.room}

    def give_back(self, size: int) -> None:
        self.registered -= size
        self.room += size


class File:
    """A file of four GiB, registered a GiB at a time."""

    nbytes = 4 * _GIB

    def __init__(self, machine: Machine, name: str) -> None:
        self.identity = type("Identity", (), {"device": 1, "inode": hash(name)})()
        self.machine, self.name, self.refusal = machine, name, ""
        self.registered_bytes = 0
        self.state = "mapped"
        self.progress = {"cancelled": False}
        self.reads = self.asked = 0
        self.lock = threading.Lock()
        self.slice_begun, self.slice_may_end = threading.Event(), threading.Event()
        self.slice_may_end.set()
        machine.files[name] = self

    def read_ahead(self, urgent: bool) -> None:
        assert urgent
        self.reads += 1
        self.state = "read"

    def wait_for_read_ahead(self, max_seconds: float) -> bool:
        return True

    def register(self, max_seconds: float | None = None) -> int:
        with self.lock:
            self.asked += 1
            done = 0
            while self.registered_bytes < self.nbytes and self.machine.room >= _GIB:
                self.slice_begun.set()
                self.slice_may_end.wait(60)
                self.machine.room -= _GIB
                self.machine.registered += _GIB
                self.registered_bytes += _GIB
                done += _GIB
                if max_seconds is not None:
                    break
            self.refusal = "" if self.registered_bytes == self.nbytes else "no RAM is free"
            return done

    def copyable_bytes(self, offset: int) -> int:
        return max(0, self.registered_bytes - offset)

    def view(self) -> Any:
        return torch.empty(16, dtype=torch.uint8)

    def require_sound(self) -> None: ...

    def close(self) -> None: ...


def held(machine: Machine, *names: str, work: FileWork | None = None) -> HeldFiles:
    stamps = [FileStamp(name, File.nbytes, 1, 2) for name in names]
    files = HeldFiles(machine, stamps, work or NoThreads())
    files.open()
    return files


def always() -> bool:
    return True


def test_what_was_registered_in_part_is_tried_again_when_something_was_released() -> None:
    machine = Machine(room=2 * _GIB)
    file = File(machine, "a")
    files = held(machine, "a")
    files.make_ready(always)
    assert file.registered_bytes == 2 * _GIB
    machine.give_back(2 * _GIB)
    files.make_ready(always)
    assert file.registered_bytes == 4 * _GIB


def test_as_long_as_nothing_was_released_it_is_not_tried_again() -> None:
    machine = Machine(room=2 * _GIB)
    file = File(machine, "a")
    files = held(machine, "a")
    for _ in range(3):
        files.make_ready(always)
    assert file.asked == 1


def test_of_several_files_only_those_that_lack_something_are_tried_again() -> None:
    machine = Machine(room=5 * _GIB)
    whole, part = File(machine, "a"), File(machine, "b")
    files = held(machine, "a", "b")
    files.make_ready(always)
    machine.give_back(_GIB)
    files.make_ready(always)
    assert (whole.asked, part.asked) == (1, 2)
    assert part.registered_bytes == 2 * _GIB


def test_what_was_registered_in_full_is_never_tried_again() -> None:
    machine = Machine(room=8 * _GIB)
    file = File(machine, "a")
    files = held(machine, "a")
    files.make_ready(always)
    machine.give_back(_GIB)
    files.make_ready(always)
    assert file.asked == 1


def test_the_report_says_how_far_a_file_is_registered_and_why_no_further() -> None:
    machine = Machine(room=2 * _GIB)
    File(machine, "a")
    files = held(machine, "a")
    files.make_ready(always)
    [found] = files.report()
    assert (found["registered_bytes"], found["bytes"]) == (2 * _GIB, 4 * _GIB)
    assert found["refusal"] == "no RAM is free"


def test_a_file_that_four_loaders_name_is_read_once_for_a_prompt() -> None:
    machine = Machine(room=8 * _GIB)
    file, work = File(machine, "a"), NoThreads()
    for _ in range(4):
        held(machine, "a", work=work).make_ready(always)
    assert file.reads == 1
    work.end_prompt()
    held(machine, "a", work=work)
    assert file.reads == 2


def sampling() -> Patcher:
    patcher = Patcher()
    patcher.model.diffusion_model = object()  # type: ignore[attr-defined]
    return patcher


def registering(work: FileWork, file: File) -> threading.Thread:
    thread = threading.Thread(target=work.register, args=(file,), daemon=True)
    thread.start()
    return thread


class Turnstile(threading.Event):
    """Tells when somebody stands before it."""

    def __init__(self) -> None:
        super().__init__()
        self.somebody_waits = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        if not self.is_set():
            self.somebody_waits.set()
        return super().wait(timeout)


def watched(work: FileWork) -> Turnstile:
    turnstile = Turnstile()
    turnstile.set()
    work._may_register = turnstile
    return turnstile


def test_nothing_is_registered_by_a_thread_while_a_model_samples() -> None:
    file, work = File(Machine(room=8 * _GIB), "a"), FileWork()
    turnstile = watched(work)
    work.follow([sampling()])
    thread = registering(work, file)
    assert turnstile.somebody_waits.wait(60)
    assert file.asked == 0
    work.end_prompt()
    thread.join(60)
    assert file.registered_bytes == file.nbytes


def test_sampling_begins_when_the_slice_that_is_under_way_has_ended() -> None:
    file, work = File(Machine(room=8 * _GIB), "a"), FileWork()
    file.slice_may_end.clear()
    thread = registering(work, file)
    assert file.slice_begun.wait(60)
    begins = threading.Thread(target=work.follow, args=([sampling()],), daemon=True)
    begins.start()
    begins.join(0.05)
    assert begins.is_alive()
    file.slice_may_end.set()
    begins.join(60)
    assert file.registered_bytes < file.nbytes and thread.is_alive()
    work.follow([Patcher()])  # the VAE's turn
    thread.join(60)
    assert file.registered_bytes == file.nbytes


def test_from_the_moment_comfyui_has_a_model_to_sample_with_nothing_is_registered() -> None:
    host, file = make_host(), File(Machine(room=8 * _GIB), "a")
    management: Any = host.adapter.management
    recorder = UseRecorder(host, Arrivals(host))
    recorder.install(management, Seams())
    turnstile = watched(host.supply.work)
    management.load_models_gpu([sampling()])
    thread = registering(host.supply.work, file)
    assert turnstile.somebody_waits.wait(60)
    assert file.asked == 0
    recorder.end_prompt()
    thread.join(60)
    assert file.registered_bytes == file.nbytes


def test_what_the_config_names_is_registered_in_the_same_way(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"0" * 4096)
    asked: list[str] = []
    register_files(host_files.tier(), [str(path)], lambda file: asked.append(file.name))
    assert asked == [path.name]
