"""Files known ahead from names: at start, before nodes exist, and of prompts that wait."""

from __future__ import annotations

import json
import sys
import threading
import types
from pathlib import Path
from typing import Any

import hearth
import pytest

from comfy_nodes.ahead import files_of_config, files_of_graph, files_of_model, read_files
from comfy_nodes.prefetch import Prefetch
from comfy_nodes.settings import Settings
from comfy_nodes.stock_loaders import HEARTH_LOADERS

_FOLDERS = ("checkpoints", "diffusion_models", "loras", "text_encoders", "vae")


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders as ComfyUI knows them, with a file of the same name in two."""
    for folder in _FOLDERS:
        (tmp_path / folder).mkdir()
    names = ("checkpoints/both", "vae/both", "text_encoders/l", "text_encoders/g")
    for name in (*names, "diffusion_models/z", "loras/style"):
        (tmp_path / f"{name}.safetensors").write_bytes(b"0" * 8192)
    (tmp_path / "checkpoints" / "old.ckpt").write_bytes(b"0")
    module: Any = types.ModuleType("folder_paths")
    module.folder_names_and_paths = dict.fromkeys(_FOLDERS)

    def get_full_path(folder: str, name: str) -> str | None:
        path = tmp_path / folder / name
        return str(path) if path.is_file() else None

    module.get_full_path = get_full_path
    monkeypatch.setitem(sys.modules, "folder_paths", module)
    return tmp_path


_FILES_OF: dict[str, tuple[dict[str, str], list[str]]] = {
    "CheckpointLoaderSimple": (
        {"ckpt_name": "both.safetensors"},
        ["checkpoints/both.safetensors"],
    ),
    "UNETLoader": ({"unet_name": "z.safetensors"}, ["diffusion_models/z.safetensors"]),
    "CLIPLoader": ({"clip_name": "l.safetensors"}, ["text_encoders/l.safetensors"]),
    "DualCLIPLoader": (
        {"clip_name1": "l.safetensors", "clip_name2": "g.safetensors"},
        ["text_encoders/l.safetensors", "text_encoders/g.safetensors"],
    ),
    "VAELoader": ({"vae_name": "both.safetensors"}, ["vae/both.safetensors"]),
}


def _names(paths: Any) -> list[str]:
    return [f"{Path(path).parent.name}/{Path(path).name}" for path in paths]


def _loader(name: str) -> dict[str, Any]:
    return {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": name}}


def test_a_name_with_its_folder_is_that_file_alone(models: Path) -> None:
    assert _names(files_of_model("vae/both.safetensors")) == ["vae/both.safetensors"]


def test_options_do_not_belong_to_the_name(models: Path) -> None:
    assert _names(files_of_model("both.safetensors?weight_dtype=x")) == [
        "checkpoints/both.safetensors"
    ]


def test_both_files_of_a_dual_loader_are_found(models: Path) -> None:
    found = _names(files_of_model("l.safetensors + g.safetensors?type=sdxl"))
    assert found == ["text_encoders/l.safetensors", "text_encoders/g.safetensors"]


def test_what_is_in_no_list_or_would_be_unpickled_is_passed_over(models: Path) -> None:
    assert list(files_of_model("absent.safetensors")) == []
    assert list(files_of_model("checkpoints/old.ckpt")) == []


def test_a_graph_names_the_files_of_its_loaders_and_no_others(models: Path) -> None:
    graph = {
        "1": _loader("both.safetensors"),
        "2": {"class_type": "VAELoader", "inputs": {"vae_name": "both.safetensors"}},
        "3": {"class_type": "CLIPLoader", "inputs": {"clip_name": ["9", 0]}},
        "4": {"class_type": "LoadImage", "inputs": {"image": "both.safetensors"}},
    }
    expected = ["checkpoints/both.safetensors", "vae/both.safetensors"]
    assert _names(files_of_graph(graph)) == expected


@pytest.mark.parametrize("class_type", [*HEARTH_LOADERS, *HEARTH_LOADERS.values()])
def test_every_loader_of_hearths_or_comfyuis_yields_its_files(
    models: Path, class_type: str
) -> None:
    inputs, expected = _FILES_OF[HEARTH_LOADERS.get(class_type, class_type)]
    graph = {"1": {"class_type": class_type, "inputs": {**inputs, "pin": True}}}
    assert _names(files_of_graph(graph)) == expected


@pytest.mark.parametrize("class_type", ["LoraLoader", "LoraLoaderModelOnly"])
def test_a_graph_names_its_loras(models: Path, class_type: str) -> None:
    inputs = {"model": ["1", 0], "lora_name": "style.safetensors", "strength_model": 1.0}
    graph = {"2": {"class_type": class_type, "inputs": inputs}}
    assert _names(files_of_graph(graph)) == ["loras/style.safetensors"]


def test_a_config_names_models_and_workflows_each_file_once(models: Path, tmp_path: Path) -> None:
    (tmp_path / "flow.json").write_text(json.dumps({"1": _loader("both.safetensors")}))
    config: dict[str, Any] = {
        "prewarm_on_startup": True,
        "host_tier": {"enabled": True},
        "prewarm": {"models": ["checkpoints/both.safetensors"], "workflows": ["flow", "absent"]},
    }
    assert _names(files_of_config(config, [tmp_path])) == ["checkpoints/both.safetensors"]
    assert files_of_config(config | {"prewarm_on_startup": False}, [tmp_path]) == []
    assert files_of_config(config | {"host_tier": {"enabled": False}}, [tmp_path]) == []


def test_a_workflow_that_cannot_be_read_keeps_no_other_file_from_being_read(
    models: Path, tmp_path: Path
) -> None:
    (tmp_path / "flow.json").write_text(json.dumps({"1": _loader("both.safetensors")}))
    (tmp_path / "deep.json").write_text("[" * 100_000)
    named = {"models": [], "workflows": ["a" * 300, "deep", "b\0", "flow"]}
    config: dict[str, Any] = {"prewarm_on_startup": True, "host_tier": {"enabled": True}}
    found = files_of_config(config | {"prewarm": named}, [tmp_path])
    assert _names(found) == ["checkpoints/both.safetensors"]


class _Runtime:
    def __init__(self) -> None:
        self.host_tier = hearth.runtime().host_tier


class _Queue:
    def __init__(self, *graphs: dict[str, Any]) -> None:
        self.mutex = threading.RLock()
        self.queue = [(number, f"id{number}", graph) for number, graph in enumerate(graphs)]


def _prefetch(queue: _Queue, depth: int = 2) -> Prefetch:
    return Prefetch(_Runtime(), Settings(prefetch_depth=depth), queue)


def test_files_of_waiting_prompts_are_mapped_and_read_once(models: Path) -> None:
    prefetch = _prefetch(_Queue({"1": _loader("both.safetensors")}))
    assert prefetch.look() == 1
    assert prefetch.look() == 0
    state = (models / "checkpoints" / "both.safetensors").stat()
    with hearth.runtime().host_tier.find(state.st_dev, state.st_ino) as file:
        file.read_ahead(wait=True)
        assert file.state == "read"


def test_no_deeper_than_the_config_says(models: Path) -> None:
    graphs = [{"1": _loader("none.safetensors")}, {"1": _loader("both.safetensors")}]
    assert _prefetch(_Queue(*graphs), depth=1).look() == 0
    assert _prefetch(_Queue(*graphs), depth=0).look() == 0
    assert _prefetch(_Queue(*graphs), depth=2).look() == 1


def test_a_file_that_is_here_already_is_not_read_again(models: Path) -> None:
    path = str(models / "checkpoints" / "both.safetensors")
    assert read_files(hearth.runtime().host_tier, [path]) == 1
    assert _prefetch(_Queue({"1": _loader("both.safetensors")})).look() == 0


def test_the_queue_is_left_as_it_was(models: Path) -> None:
    queue = _Queue({"1": _loader("both.safetensors")}, {"1": _loader("none.safetensors")})
    before = list(queue.queue)
    _prefetch(queue).look()
    assert queue.queue == before
