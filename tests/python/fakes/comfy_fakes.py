"""Stand-ins for the parts of ComfyUI that hearth touches, with ComfyUI's own habits.

A clone holds its parent and shares the module; the loaded list holds patchers weakly; a queue wakes
its waiter without looking at flags again.
"""

from __future__ import annotations

import contextlib
import heapq
import threading
import uuid
import weakref
from typing import Any


class Device:
    """A torch.device as far as hearth looks at it."""

    def __init__(self, kind: str = "cuda") -> None:
        self.type = kind

    def __str__(self) -> str:
        return self.type


class Module:
    """A module with weights; weakly referenceable and hashable by identity, as torch's are."""

    def __init__(self, size: int = 100) -> None:
        self.size = size
        self.loaded = 0


class Patcher:
    """A classic ModelPatcher."""

    def __init__(self, module: Module | None = None, device: Device | None = None) -> None:
        self.model = module or Module()
        self.load_device = device or Device()
        self.parent: Patcher | None = None
        self.patches: dict[str, Any] = {}
        self.model_options: dict[str, Any] = {}

    def clone(self) -> Patcher:
        copy = type(self)(self.model, self.load_device)
        copy.patches = dict(self.patches)
        copy.model_options = dict(self.model_options)
        copy.parent = self
        return copy

    def is_clone(self, other: Any) -> bool:
        return getattr(other, "model", None) is self.model

    def model_size(self) -> int:
        return self.model.size

    def loaded_size(self) -> int:
        return self.model.loaded


class Clip:
    """A CLIP: tokenizer and options around a patcher."""

    def __init__(self, patcher: Patcher | None = None) -> None:
        self.patcher = patcher or Patcher()
        self.cond_stage_model = self.patcher.model
        self.tokenizer = object()
        self.layer_idx: int | None = None

    def clone(self) -> Clip:
        copy = Clip(self.patcher.clone())
        copy.tokenizer, copy.layer_idx = self.tokenizer, self.layer_idx
        return copy


class Vae:
    """A VAE, which has no clone of its own."""

    def __init__(self, closes_over_itself: bool = False) -> None:
        self.patcher = Patcher()
        self.first_stage_model = self.patcher.model
        self.scale = 8
        if closes_over_itself:
            self.memory_used_decode = lambda shape: self.first_stage_model.size


class Loaded:
    """An entry of ComfyUI's list of loaded models."""

    def __init__(self, patcher: Patcher) -> None:
        self.real_model = weakref.ref(patcher.model)
        self._set_model(patcher)

    def _set_model(self, patcher: Patcher) -> None:
        self._patcher = weakref.ref(patcher)

    @property
    def model(self) -> Patcher | None:
        return self._patcher()


class Management:
    """comfy.model_management."""

    def __init__(self) -> None:
        self.current_loaded_models: list[Loaded] = []
        self.total_ram = 16 * 1024.0
        self.text_encoder = Device("cuda")
        self.emptied = 0

    def get_torch_device(self) -> Device:
        return Device("cuda")

    def text_encoder_device(self) -> Device:
        return self.text_encoder

    def load_models_gpu(self, models: list[Patcher], memory_required: int = 0) -> None:
        for patcher in models:
            patcher.model.loaded = patcher.model.size
            self.current_loaded_models.append(Loaded(patcher))

    def free_memory(self, required: float, device: Device, keep: list[Loaded]) -> None:
        for entry in self.current_loaded_models:
            if entry not in keep and entry.model is not None:
                entry.model.model.loaded = 0
        self.current_loaded_models = [each for each in self.current_loaded_models if each in keep]

    def soft_empty_cache(self) -> None:
        self.emptied += 1


class Cuda:
    """torch.cuda."""

    def __init__(self) -> None:
        self.waited = 0

    def synchronize(self, device: Device) -> None:
        self.waited += 1


class Torch:
    """torch."""

    def __init__(self) -> None:
        self.inference_depth = 0
        self.cuda = Cuda()

    def device(self, kind: str) -> Device:
        return Device(kind)

    @contextlib.contextmanager
    def inference_mode(self) -> Any:
        self.inference_depth += 1
        try:
            yield
        finally:
            self.inference_depth -= 1


class PromptQueue:
    """ComfyUI's queue: get() waits, set_flag() notifies, and get() looks at prompts only."""

    def __init__(self) -> None:
        self.mutex = threading.RLock()
        self.not_empty = threading.Condition(self.mutex)
        self.queue: list[Any] = []
        self.flags: dict[str, Any] = {}

    def put(self, item: Any) -> None:
        with self.mutex:
            heapq.heappush(self.queue, item)
            self.not_empty.notify()

    def get(self, timeout: float | None = None) -> Any:
        with self.not_empty:
            while not self.queue:
                self.not_empty.wait(timeout=timeout)
                if timeout is not None and not self.queue:
                    return None
            return (heapq.heappop(self.queue), 0)

    def set_flag(self, name: str, data: Any) -> None:
        with self.mutex:
            self.flags[name] = data
            self.not_empty.notify()

    def get_flags(self, reset: bool = True) -> dict[str, Any]:
        with self.mutex:
            flags, self.flags = self.flags, {}
            return flags


class FolderPaths:
    """folder_paths, over a dict of folder name to directory."""

    def __init__(self, folders: dict[str, Any]) -> None:
        self._folders = folders

    def get_full_path_or_raise(self, folder: str, name: str) -> str:
        path = self._folders[folder] / name
        if not path.is_file():
            raise FileNotFoundError(f"{name} not found in {folder}")
        return str(path)

    def get_full_path(self, folder: str, name: str) -> str | None:
        path = self._folders[folder] / name
        return str(path) if path.is_file() else None

    def get_filename_list(self, folder: str) -> list[str]:
        return sorted(path.name for path in self._folders[folder].iterdir())


def unique_name() -> str:
    """A model name no other test uses, because the runtime is one per process."""
    return f"model_{uuid.uuid4().hex}.safetensors"
