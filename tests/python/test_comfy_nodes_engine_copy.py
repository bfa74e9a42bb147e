"""The engine's own weights of a model that ComfyUI streams: when there are any, when they go."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="NOT RUN, needs torch")
pytest.importorskip(
    "hearth.zimage", reason="NOT RUN, needs hearth._torch: ./dev build", exc_type=ImportError
)

import hearth  # noqa: E402
from fakes.comfy_fakes import Device, Module, Patcher, PromptQueue  # noqa: E402
from fakes.comfy_host import make_host  # noqa: E402

from benchmarks.harness.safetensors_file import TensorSpec, write_safetensors  # noqa: E402
from comfy_nodes.arrivals import Arrivals  # noqa: E402
from comfy_nodes.between_prompts import BetweenPrompts  # noqa: E402
from comfy_nodes.engine_copy import CopyWish, EngineCopies, EngineCopy  # noqa: E402
from comfy_nodes.engine_paths import Refusal  # noqa: E402
from comfy_nodes.node_cache import ComfyNodeCache  # noqa: E402
from comfy_nodes.residents import ResidentModel  # noqa: E402
from comfy_nodes.seams import Seams  # noqa: E402
from comfy_nodes.stock_loaders import stamp_file  # noqa: E402
from comfy_nodes.use_recording import UseRecorder  # noqa: E402

WORKING = 2 << 30
DEVICE = Device("cuda")
WISH = CopyWish("transformer", DEVICE, torch.bfloat16, fused=True)


class Stage:
    """A device with so much free memory, and models that were loaded from files."""

    def __init__(self, folder: Path) -> None:
        self.host = make_host()
        self.folder = folder
        self.free = WORKING << 4
        self.copies = EngineCopies(self.host)
        self.made = 0
        management: Any = self.host.adapter.management
        management.get_free_memory = lambda device: self.free

    def admit(self, name: str, **changes: Any) -> tuple[ResidentModel, Patcher]:
        """Loads the model of a file into the cache."""
        path = self.folder / name
        write_safetensors(path, [TensorSpec("weight", (4, 4))], 1)
        inputs = {"weight_dtype": changes.pop("weight_dtype", "default")}
        identity = changes.pop("identity", stamp_file(str(path)).identity)
        options = json.dumps({"inputs": inputs, "devices": {}})
        kind = changes.pop("kind", "diffusion_model")
        key = hearth.ModelKey(kind, "UNETLoader", name, options, identity)
        patcher = Patcher(Module(path.stat().st_size), DEVICE)

        def load() -> tuple[ResidentModel, dict[str, int]]:
            resident = ResidentModel(key, (patcher,), path.stat().st_size, self.host.models)
            resident.paths = (str(path),)
            self.host.models.add(resident)
            return resident, resident.bytes()

        handle = self.host.runtime.cache.acquire(key, load)
        resident: ResidentModel = handle.value
        handle.close()
        return resident, patcher

    def get(self, patcher: Patcher, wish: CopyWish = WISH) -> EngineCopy | Refusal:
        """A copy that counts how often one was made."""

        def make(weights: Any) -> str:
            self.made += 1
            return f"made of {sorted(weights.names())}"

        return self.copies.get(patcher.model, wish, make)

    def device_bytes(self, name: str) -> int:
        """What the cache believes that a model has on its device."""
        views = self.host.runtime.cache.residents()
        return next(int(view["bytes"]["device"]) for view in views if view["name"] == name)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_a_copy_is_made_once_and_counts_as_its_models_bytes(stage: Stage) -> None:
    resident, patcher = stage.admit("a.safetensors")
    before = stage.device_bytes("a.safetensors")
    copy = stage.get(patcher)
    assert isinstance(copy, EngineCopy) and copy.model == "made of ['weight']"
    assert stage.get(patcher) is copy and stage.made == 1
    assert stage.device_bytes("a.safetensors") == before + resident.file_bytes
    event = stage.host.runtime.last("weights_arrived")
    assert event["bytes"]["device"] == resident.file_bytes and "engine" in event["reason"]


def test_another_type_is_another_copy_in_the_place_of_the_first(stage: Stage) -> None:
    resident, patcher = stage.admit("a.safetensors")
    stage.get(patcher)
    stage.get(patcher, CopyWish("transformer", DEVICE, torch.float32, fused=True))
    assert stage.made == 2 and len(resident.copies) == 1


@pytest.mark.parametrize("end", ["demote", "release", "surrender"])
def test_a_copy_goes_when_its_model_leaves_the_device(stage: Stage, end: str) -> None:
    resident, patcher = stage.admit("a.safetensors")
    stage.get(patcher)
    getattr(resident, end)()
    assert not resident.copies
    assert resident.bytes()["device"] == 0


def test_a_copy_goes_when_comfyui_is_asked_to_unload_its_models(stage: Stage) -> None:
    resident, patcher = stage.admit("a.safetensors")
    stage.get(patcher)
    queue = PromptQueue()
    between = BetweenPrompts(stage.host, Arrivals(stage.host), ComfyNodeCache())
    assert between.install(queue, Seams())
    queue.get_flags()
    assert resident.copies
    queue.set_flag("unload_models", True)
    queue.get_flags()
    assert not resident.copies


@pytest.mark.parametrize(
    ("why", "name", "changes"),
    [
        ("holds more", "a.safetensors", {"kind": "checkpoint"}),
        ("not a safetensors", "a.ckpt", {}),
        ("changes the weights", "a.safetensors", {"weight_dtype": "fp8_e4m3fn"}),
        ("another one by now", "a.safetensors", {"identity": "of another file"}),
    ],
)
def test_a_file_that_does_not_say_what_the_module_holds_is_not_copied(
    stage: Stage, why: str, name: str, changes: dict[str, Any]
) -> None:
    _, patcher = stage.admit(name, **changes)
    refusal = stage.get(patcher)
    assert isinstance(refusal, Refusal) and refusal.cause == "dynamic VRAM"
    assert why in refusal.detail and stage.made == 0


def test_a_model_that_is_not_cached_has_no_copy(stage: Stage) -> None:
    assert isinstance(stage.get(Patcher()), Refusal)


def test_without_room_there_is_no_copy_and_comfyui_was_asked_to_make_some(stage: Stage) -> None:
    _, patcher = stage.admit("a.safetensors")
    other = Patcher()
    stage.host.adapter.management.load_models_gpu([patcher, other])
    stage.free = WORKING
    refusal = stage.get(patcher)
    assert isinstance(refusal, Refusal) and refusal.cause == "too little VRAM"
    assert stage.made == 0
    assert other.model.loaded == 0 and patcher.model.loaded > 0


def recorded(stage: Stage) -> Any:
    """ComfyUI's load_models_gpu, with the copies told of what is about to work."""
    management: Any = stage.host.adapter.management
    recorder = UseRecorder(stage.host, Arrivals(stage.host), stage.copies.give_way)
    recorder.install(management, Seams())
    return management.load_models_gpu


@pytest.mark.parametrize(("free", "stays"), [(WORKING + (8 << 30), True), (WORKING, False)])
def test_copies_give_way_to_another_model_only_where_memory_is_short(
    stage: Stage, free: int, stays: bool
) -> None:
    resident, patcher = stage.admit("a.safetensors")
    stage.get(patcher)
    stage.free = free
    recorded(stage)([Patcher(Module(4 << 30))])
    assert bool(resident.copies) is stays
    assert stage.host.adapter.management.emptied == (0 if stays else 1)


def test_the_copy_of_the_model_that_is_about_to_work_stays(stage: Stage) -> None:
    resident, patcher = stage.admit("a.safetensors")
    stage.get(patcher)
    stage.free = WORKING
    recorded(stage)([patcher])
    assert resident.copies
