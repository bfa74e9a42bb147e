"""What feeds a model's transfers, and its LoRA's, also when a file is not what it was."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("hearth", reason="NOT RUN, hearth's native module is not built: ./dev build")
torch = pytest.importorskip("torch", reason="pins are torch tensors")

from fakes.comfy_fakes import Module, Patcher  # noqa: E402
from fakes.comfy_host import NoThreads, admit, make_host, wait_for_registering  # noqa: E402
from hearth import host_files  # noqa: E402
from hearth.errors import CheckpointCorruptError  # noqa: E402

from comfy_nodes.arrivals import Arrivals  # noqa: E402
from comfy_nodes.held_files import HeldFiles  # noqa: E402
from comfy_nodes.host_supply import Feed  # noqa: E402
from comfy_nodes.patch_files import PatchFiles  # noqa: E402
from comfy_nodes.patch_pins import PatchPins  # noqa: E402
from comfy_nodes.pin_supply import PinSupply  # noqa: E402
from comfy_nodes.seams import Seams  # noqa: E402
from comfy_nodes.stock_loaders import FileStamp  # noqa: E402
from comfy_nodes.use_recording import UseRecorder  # noqa: E402

_OPENED: list[Served] = []


@pytest.fixture(autouse=True)
def whole_tier() -> Iterator[None]:
    """Nothing is left in the process's one tier: other tests count what is mapped there."""
    yield
    while _OPENED:
        served = _OPENED.pop()
        served.feed.close([served.base.model])
        for _ in range(2):
            served.host.supply.end_prompt()
    wait_for_registering()
    host_files.tier().give_way()


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
        supply._patch_files = PatchFiles(self.host.adapter, host_files.tier(), supply.work)
        supply._patches = PatchPins(512, self._find)

    def holds_lora(self) -> bool:
        """Whether the tier has it mapped."""
        wait_for_registering()
        inode = self.lora.stat().st_ino
        files = host_files.tier().stats()["files"]
        return inode in [each["identity"].inode for each in files]

    def _find(self, descriptor: int) -> Any:
        self.host.supply._patch_files.find(descriptor)
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
    layer = served.base.model.layer  # type: ignore[attr-defined]
    assert layer._v_signature is None  # so that ComfyUI does not take zeros for weights
    served.recorder.end_prompt()
    layer.weight_lowvram_function = None
    served.use()


def test_an_idle_model_keeps_no_lora_mapped(tmp_path: Path) -> None:
    served = WithLora(tmp_path / "a.safetensors")
    served.use()
    assert served.holds_lora()
    served.base.model.layer._v_signature = 5  # type: ignore[attr-defined]  # on the device
    for _ in range(2):
        served.recorder.end_prompt()
        served.use()
    served.recorder.end_prompt()
    host_files.tier().give_way()
    assert not served.holds_lora()


def test_a_lora_in_a_form_that_nobody_knows_costs_no_model_its_own_pins(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    served = WithLora(tmp_path / "a.safetensors")
    beside = Served(tmp_path / "b.safetensors", beside=served)
    patch = served.base.model.layer.weight_lowvram_function  # type: ignore[attr-defined]
    patch.memory_required = lambda wanted: wanted
    served.use()
    beside.use()
    assert (served.has_pin, beside.has_pin) == (True, True)
    assert caplog.text.count("LoRAs are read by ComfyUI itself") == 1


def test_pins_of_loras_that_were_given_before_such_a_form_are_taken_back(tmp_path: Path) -> None:
    served = WithLora(tmp_path / "a.safetensors")
    layer = served.base.model.layer  # type: ignore[attr-defined]
    known = layer.weight_lowvram_function
    unknown = layer.bias_lowvram_function = Patch(known.patches["weight"][0][1][0])
    unknown.memory_required = lambda wanted: wanted  # type: ignore[assignment]
    served.use()
    assert known._pins["patches"]
    served.recorder.end_prompt()
    assert "patches" not in known._pins


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
