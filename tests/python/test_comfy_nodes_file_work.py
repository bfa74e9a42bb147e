"""Held files are read once for a prompt, registered when that stalls nobody, and tried again."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("hearth", reason="NOT RUN, hearth's native module is not built: ./dev build")
torch = pytest.importorskip("torch", reason="pins are torch tensors")

from fakes.comfy_fakes import Module, Patcher  # noqa: E402
from fakes.comfy_host import admit, make_host  # noqa: E402
from hearth import host_files  # noqa: E402
from hearth.errors import CheckpointCorruptError  # noqa: E402

from comfy_nodes.ahead import register_files  # noqa: E402
from comfy_nodes.arrivals import Arrivals  # noqa: E402
from comfy_nodes.file_work import FileWork  # noqa: E402
from comfy_nodes.held_files import HeldFiles  # noqa: E402
from comfy_nodes.host_supply import Feed  # noqa: E402
from comfy_nodes.patch_files import PatchFiles  # noqa: E402
from comfy_nodes.patch_pins import PatchPins  # noqa: E402
from comfy_nodes.pin_supply import PinSupply  # noqa: E402
from comfy_nodes.seams import Seams  # noqa: E402
from comfy_nodes.stock_loaders import FileStamp  # noqa: E402
from comfy_nodes.use_recording import UseRecorder  # noqa: E402

_GIB = 1 << 30
_OPENED: list[Served] = []


@pytest.fixture(autouse=True)
def whole_tier() -> Iterator[None]:
    """Nothing is left in the process's one tier: other tests count what is mapped there."""
    yield
    while _OPENED:
        served = _OPENED.pop()
        served.feed.close([served.base.model])
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


class NoThreads(FileWork):
    """Nothing is registered but by who asks."""

    def register(self, file: Any) -> None: ...


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


class Root(Module):
    """A model with one module that ComfyUI moves, its weight in a file."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer

    def modules(self) -> list[Any]:
        return [self.layer]


class Served:
    """A real file of the real tier behind a model's only weight, as if it were registered."""

    def __init__(self, path: Path, beside: Served | None = None) -> None:
        path.write_bytes(os.urandom(8192))
        self.path, self.host = path, make_host() if beside is None else beside.host
        self.descriptor = os.open(path, os.O_RDONLY)
        state = path.stat()
        stamp = FileStamp(str(path), state.st_size, state.st_mtime_ns, state.st_ino)
        files = HeldFiles(host_files.tier(), [stamp], NoThreads())
        files.open()
        place = (state.st_dev, state.st_ino)
        files._bytes[place] = Pieces(torch.from_dlpack(files._files[place].view()))  # type: ignore[assignment]
        self.base = Patcher(Root(_layer(self.descriptor, path)))
        resident = admit(self.host, path.name, self.base)
        adapter: Any = self.host.adapter
        _OPENED.append(self)
        self.feed = Feed(adapter, PinSupply(512), path.name, files)
        resident.feed = self.feed
        self.management: Any = self.host.adapter.management
        if beside is None:
            self.recorder = UseRecorder(self.host, Arrivals(self.host))
            self.recorder.install(self.management, Seams())

    def use(self) -> None:
        self.management.load_models_gpu([self.base.clone()])

    @property
    def has_pin(self) -> bool:
        return bool(self.base.model.layer.__dict__.get("_pins", {}).get("weights"))  # type: ignore[attr-defined]


class Pieces:
    def __init__(self, whole: Any) -> None:
        self.whole = whole

    def pieces(self, offset: int, size: int) -> list[Any]:
        return [self.whole[offset : offset + size]]


def _layer(descriptor: int, path: Path) -> Any:
    content = torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8)
    slice_ = type("Slice", (), {"file_ref": descriptor, "offset": 0, "size": content.nbytes})()
    content.untyped_storage()._comfy_tensor_file_slice = slice_
    layer = torch.nn.Module()
    layer.weight, layer.bias, layer._v = content, None, (1, 2, 3)
    return layer


def test_a_file_that_is_sound_feeds_its_model(tmp_path: Path) -> None:
    served = Served(tmp_path / "a.safetensors")
    served.use()
    assert served.has_pin
    part = served.feed.report()["parts"]["Root"]
    assert (part["modules"], part["bytes"], part["left_to_comfyui"]) == (1, 8192, 0)


def test_a_file_that_was_cut_short_ends_the_prompt_with_a_clear_error(tmp_path: Path) -> None:
    served = Served(tmp_path / "a.safetensors")
    served.use()
    os.truncate(served.path, 100)
    for _ in range(2):
        with pytest.raises(CheckpointCorruptError, match=r"a\.safetensors"):
            served.use()
    assert not served.has_pin


def test_a_file_that_was_cut_while_its_model_worked_ends_the_prompt_before_the_next_one(
    tmp_path: Path,
) -> None:
    transformer = Served(tmp_path / "a.safetensors")
    vae = Served(tmp_path / "b.safetensors", beside=transformer)
    transformer.use()
    os.truncate(transformer.path, 100)
    with pytest.raises(CheckpointCorruptError, match=r"a\.safetensors"):
        vae.use()
    assert not transformer.has_pin
    transformer.recorder.end_prompt()
    vae.use()
    assert vae.has_pin


class Patch:
    """As ComfyUI's LowVramPatch: a LoRA of one tensor."""

    is_lowvram_patch = True

    def __init__(self, tensor: Any) -> None:
        self.key, self.patches = "weight", {"weight": [(1.0, (tensor,), 1.0, None, None)]}

    def memory_required(self) -> int:
        return 8192

    def prepare(self, destination: Any, stream: Any, copy: bool, commit: bool) -> None:
        destination.copy_(self.patches["weight"][0][1][0])


class WithLora(Served):
    """The same, and a LoRA of a file of its own on its weight."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.lora = path.with_name("lora.safetensors")
        self.lora.write_bytes(os.urandom(8192))
        self.lora_descriptor = os.open(self.lora, os.O_RDONLY)
        tensor = _layer(self.lora_descriptor, self.lora).weight
        self.base.model.layer.weight_lowvram_function = Patch(tensor)  # type: ignore[attr-defined]
        supply: Any = self.host.supply
        supply.patch_files = PatchFiles(self.host.adapter, host_files.tier(), supply.work)
        supply._patches = PatchPins(512, self._find)

    def _find(self, descriptor: int) -> Any:
        self.host.supply.patch_files.find(descriptor)
        return Pieces(torch.from_dlpack(host_files.tier().hold(self.lora).view()))


def test_a_models_lora_is_fed_from_its_file_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    served = WithLora(tmp_path / "a.safetensors")
    with caplog.at_level("INFO", "hearth"):
        served.use()
    patch = served.base.model.layer.weight_lowvram_function  # type: ignore[attr-defined]
    assert bytes(patch._pins["patches"]["pin"].tolist()) == served.lora.read_bytes()
    assert "patches of Root: 1, 0.00 GiB, by hearth's pins; left to ComfyUI: 0" in caplog.text


def test_a_lora_that_was_cut_while_a_prompt_used_it_ends_the_prompt_before_the_next_model(
    tmp_path: Path,
) -> None:
    served = WithLora(tmp_path / "a.safetensors")
    served.use()
    os.truncate(served.lora, 100)
    with pytest.raises(CheckpointCorruptError, match=r"lora\.safetensors"):
        served.use()
    served.recorder.end_prompt()
    served.base.model.layer.weight_lowvram_function = None  # type: ignore[attr-defined]
    served.use()


def test_a_file_that_was_written_to_is_comfyuis_to_read(tmp_path: Path) -> None:
    served = Served(tmp_path / "a.safetensors")
    served.use()
    served.path.write_bytes(os.urandom(8192))
    os.utime(served.path, ns=(1, 1))
    served.use()
    assert not served.has_pin
    assert served.feed.report()["parts"]["Root"]["left_to_comfyui"] == 1


def test_weights_that_are_left_to_comfyui_are_counted_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    served = Served(tmp_path / "a.safetensors")
    served.base.model.layer.weight = torch.zeros(1 << 20, dtype=torch.uint8)  # type: ignore[attr-defined]
    with caplog.at_level("INFO", "hearth"):
        served.use()
        served.use()
    part = served.feed.report()["parts"]["Root"]
    assert (part["modules"], part["left_to_comfyui"], part["left_bytes"]) == (0, 1, 1 << 20)
    # Where ComfyUI's log has been set up before, it says who speaks.
    lines = [each.removeprefix("hearth: ") for each in caplog.messages]
    said = [each for each in lines if "left to ComfyUI" in each]
    assert said == [
        "weights of a.safetensors (Root): 0 modules, 0.00 GiB, by hearth's pins; "
        "left to ComfyUI: 1 modules, 0.00 GiB"
    ]
