"""The only module that imports `comfy.*`: measures and moves ComfyUI's model objects.

Everything here runs on ComfyUI's prompt worker, because ComfyUI's memory code has no locks.
"""

from __future__ import annotations

import gc
import importlib
import operator
import time
from contextlib import AbstractContextManager
from typing import Any

from .gathered_pin import PinPart, make_pin
from .seams import Seams

_GIB = 1 << 30
_DEVICE_QUESTIONS = (
    "get_torch_device",
    "unet_offload_device",
    "text_encoder_device",
    "text_encoder_offload_device",
    "vae_device",
    "vae_offload_device",
)
_WRAPPER = "comfy.model_patcher:ModelPatcher.add_wrapper_with_key"
# What is taken hold of when a node runs, by seam: modules and what they must have.
_PLACES = {
    "device_oom": ("comfy.model_management:OOM_EXCEPTION",),
    "diffusion_forward": (
        "comfy.patcher_extension:WrappersMP.DIFFUSION_MODEL",
        "comfy.patcher_extension:CallbacksMP.ON_CLEANUP",
        "comfy.model_patcher:ModelPatcher.add_callback_with_key",
        _WRAPPER,
    ),
    "interrupt": (
        "comfy.model_management:processing_interrupted",
        "comfy.model_management:throw_exception_if_processing_interrupted",
    ),
    "loaded_models": (
        "comfy.model_management:current_loaded_models",
        "comfy.model_management:free_memory",
    ),
    "sampler_function": ("comfy.patcher_extension:WrappersMP.SAMPLER_SAMPLE", _WRAPPER),
    "sampler_object": ("comfy.samplers:sampler_object",),
    "seeded_noise": ("comfy.k_diffusion.sampling:default_noise_sampler",),
}
# The same where ComfyUI has another way that serves as well.
_BETTER_PLACES = {
    "is_oom": ("comfy.model_management:is_oom",),
    "sampler_progress": ("comfy.utils:model_trange",),
}
# Larger than any device, so that ComfyUI unloads whatever it is not told to keep.
_EVERYTHING = 1e30


class ComfyAdapter:
    """What hearth needs of `comfy.*`, with each part asked for at the moment it is used."""

    def __init__(self, management: Any, torch: Any) -> None:
        self.management = management
        self._torch = torch

    @classmethod
    def from_comfy(cls) -> ComfyAdapter:
        """Binds to the ComfyUI of this process; throws ImportError outside of one."""
        management = importlib.import_module("comfy.model_management")
        return cls(management, importlib.import_module("torch"))

    def has(self, seam: str) -> bool:
        """Whether this ComfyUI has what `record_seams` calls by that name."""
        return all(map(_is_there, (_PLACES | _BETTER_PLACES)[seam]))

    def record_seams(self, seams: Seams) -> None:
        """Looks for all that is taken hold of only when a node runs."""
        for seam in _PLACES:
            seams.record(seam, self.has(seam))
        for seam in _BETTER_PLACES:
            seams.prefer(seam, self.has(seam))

    def inference_mode(self) -> AbstractContextManager[Any]:
        """Prompts run in it; models are loaded, patched and dropped in it for the same reason."""
        mode: AbstractContextManager[Any] = self._torch.inference_mode()
        return mode

    def dynamic_vram(self) -> bool:
        """Whether ComfyUI maps files and moves weights when they are used."""
        try:
            memory = importlib.import_module("comfy.memory_management")
        except ImportError:
            return False
        return bool(getattr(memory, "aimdo_enabled", False))

    def devices(self) -> dict[str, str]:
        """The devices in force now; other packs change them around a loader."""
        found: dict[str, str] = {}
        for question in _DEVICE_QUESTIONS:
            answer = getattr(self.management, question, None)
            if callable(answer):
                found[question.removeprefix("get_")] = str(answer())
        return found

    def loaded_without_patcher(self) -> list[tuple[Any, Any]]:
        """Entries of ComfyUI's list of loaded models whose patcher has died, each with its module,
        which has not. ComfyUI hands an entry over to the parent of a clone that dies, but not when
        both die in one garbage collection; it then takes a base that is kept for a leak, and
        collects garbage at every step."""
        found = []
        for entry in list(getattr(self.management, "current_loaded_models", ())):
            module = getattr(entry, "real_model", None)
            module = module() if callable(module) else None
            if module is not None and entry.model is None and hasattr(entry, "_set_model"):
                found.append((entry, module))
        return found

    def unload(self, patcher: Any) -> None:
        """Takes a model and its clones off their device, whatever their patches are."""
        loaded = list(getattr(self.management, "current_loaded_models", ()))
        keep = [
            entry for entry in loaded if entry.model is None or not patcher.is_clone(entry.model)
        ]
        if len(keep) < len(loaded):
            self.management.free_memory(_EVERYTHING, patcher.load_device, keep)

    def make_room(self, bytes_: int, device: Any, base: Any) -> bool:
        """Whether so much memory of a device is free, after idle models gave theirs up; those at
        work and that of `base` stay."""
        if str(device).startswith("cpu"):
            return True
        management = self.management
        if management.get_free_memory(device) < bytes_:
            loaded = list(getattr(management, "current_loaded_models", ()))
            keep = [each for each in loaded if getattr(each.model, "model", base) is base]
            management.free_memory(bytes_, device, keep)
        return bool(management.get_free_memory(device) >= bytes_)

    def have_room(self, patchers: Any, beside: int) -> bool:
        """Whether models that are about to work fit on their devices as they are, with `beside`
        bytes to spare."""
        missing: dict[Any, int] = {}
        for patcher in patchers:
            device = patcher.load_device
            if not str(device).startswith("cpu"):
                left = patcher.model_size() - patcher.loaded_size()
                missing[device] = missing.get(device, beside) + max(0, int(left))
        free = self.management.get_free_memory
        return all(free(device) >= wanted for device, wanted in missing.items())

    def is_device_oom(self, error: BaseException) -> bool:
        """Whether ComfyUI takes an error for device memory that did not suffice."""
        question = getattr(self.management, "is_oom", None)
        if callable(question):
            return bool(question(error))
        kind = getattr(self.management, "OOM_EXCEPTION", Exception)
        # Without such a class in torch ComfyUI takes every error for one.
        return kind is not Exception and isinstance(error, kind)

    def oom_class(self) -> type[Exception]:
        """The class of such errors: ComfyUI answers them with advice, and by unloading."""
        kind: type[Exception] = getattr(self.management, "OOM_EXCEPTION", MemoryError)
        return kind

    def works_on_cpu(self) -> bool:
        """Whether the device that models work on is the host itself."""
        return str(self.management.get_torch_device()).startswith("cpu")

    def cpu_patcher(self, patcher: Any) -> Any:
        """A clone that works on the CPU, for a model that was unloaded; with dynamic VRAM its file
        is read again. As ComfyUI's own device selector does it."""
        cpu = self._torch.device("cpu")
        dynamic = getattr(patcher, "is_dynamic", lambda: False)()
        clone = patcher.clone(disable_dynamic=True) if dynamic else patcher.clone()
        clone.load_device = clone.offload_device = cpu
        if hasattr(clone.model, "diffusion_model") and hasattr(clone, "set_model_compute_dtype"):
            wanted = self.management.unet_manual_cast(clone.model_dtype(), cpu)
            if wanted is not None:
                clone.set_model_compute_dtype(wanted)
        return clone

    def packing_alignment(self) -> int:
        """Where in a packed buffer ComfyUI lets each tensor begin, in bytes."""
        memory = importlib.import_module("comfy.memory_management")
        return int(memory.vram_aligned_size(self._torch.empty(1, dtype=self._torch.uint8)))

    def why_no_pins(self) -> str:
        """Tries on a toy what giving pins relies on; an empty text when all of it works here.

        Throws whatever a ComfyUI throws that does not know these names.
        """
        torch, management = self._torch, self.management
        if getattr(self._arguments(), "disable_pinned_memory", False):
            return "--disable-pinned-memory"
        pinned_memory = importlib.import_module("comfy.pinned_memory")
        importlib.import_module("comfy.ops").cast_modules_with_vbar  # noqa: B018
        toy = torch.nn.Linear(1, 1)
        size = 2 * self.packing_alignment()
        source = torch.arange(size, dtype=torch.int64).to(torch.uint8)
        half = size // 2
        pin = make_pin([PinPart(source[:half], 0), PinPart(source[half : half + 8], half)], size)
        toy.__dict__["_pins"] = {"weights": {"pin": pin, "registered": True}}
        if pinned_memory.get_pin(toy, subset="weights") is not pin:
            return "ComfyUI does not take a pin that is already there"
        arrived = torch.zeros(size, dtype=torch.uint8, device=management.get_torch_device())
        management.cast_to_gathered([pin], arrived, non_blocking=False)
        if not torch.equal(arrived.cpu()[: half + 8], source[: half + 8]):
            return "a toy transfer did not arrive byte for byte"
        return ""

    def is_interrupted(self) -> bool:
        """Whether the user has asked for the end of the running prompt."""
        asked = getattr(self.management, "processing_interrupted", None)
        return bool(asked()) if callable(asked) else False

    def stop_if_interrupted(self) -> None:
        """Throws ComfyUI's own interrupt if there is one; in some versions a BaseException."""
        stop = getattr(self.management, "throw_exception_if_processing_interrupted", None)
        if callable(stop):
            stop()

    def finish_transfers(self) -> None:
        """Waits until the device has read everything it was told to read."""
        device = self.management.get_torch_device()
        if getattr(device, "type", "") == "cuda":
            self._torch.cuda.synchronize(device)

    def as_float(self, module: Any) -> Any:
        """Has a VAE that was read again compute in float32 on the CPU; returns that type. With
        dynamic VRAM its weights come as the file has them, others as the GPU would."""
        module.float()
        return self._torch.float32

    def collect(self) -> None:
        """Frees reference cycles, which models are full of."""
        gc.collect()

    def empty_device_cache(self) -> None:
        """Returns freed device memory to the system."""
        self.management.soft_empty_cache()

    def mark(self, device: Any) -> Any:
        """A point in time on that device's own timeline, which runs behind the host's."""
        if getattr(device, "type", "") != "cuda":
            return time.perf_counter()
        event = self._torch.cuda.Event(enable_timing=True)
        event.record(self._torch.cuda.current_stream(device))
        return event

    def ms_between(self, start: Any, end: Any) -> float:
        """Milliseconds between two marks of one device; waits for the later one."""
        if isinstance(start, float):
            return float(end - start) * 1000.0
        end.synchronize()
        return float(start.elapsed_time(end))

    def active_headroom(self) -> int:
        """Bytes of free RAM below which ComfyUI drops outputs of the running prompt."""
        total = int(getattr(self.management, "total_ram", 0) * (1 << 20))
        headroom = min(10.0, max(2.0, total * 0.10 / _GIB))
        given = getattr(self._arguments(), "cache_ram", None)
        if isinstance(given, (list, tuple)) and given:
            headroom = float(given[0])
        return int(headroom * _GIB)

    def progress_range(self) -> Any:
        """Makes the progress bar of a sampler in the console; None where ComfyUI has no own one."""
        return getattr(importlib.import_module("comfy.utils"), "model_trange", None)

    def seeded_noise(self) -> Any:
        """Makes the noise that ancestral samplers draw; versions differ in what a seed gives."""
        return importlib.import_module("comfy.k_diffusion.sampling").default_noise_sampler

    def sampler_object(self, name: str) -> Any:
        """ComfyUI's own `KSAMPLER` for the name of a sampler."""
        return importlib.import_module("comfy.samplers").sampler_object(name)

    def with_sampler_function(self, model: Any, function: Any) -> Any:
        """A clone of a MODEL that a sampler runs by `function`, which takes what a sampler function
        of ComfyUI takes; everything else about the sampler stays."""
        kinds = importlib.import_module("comfy.patcher_extension").WrappersMP

        def sample(executor: Any, *args: Any, **kwargs: Any) -> Any:
            # ComfyUI makes a sampler object for every sampling, so nobody else sees the change.
            executor.class_obj.sampler_function = function
            return executor(*args, **kwargs)

        clone = model.clone()
        clone.add_wrapper_with_key(kinds.SAMPLER_SAMPLE, "hearth", sample)
        return clone

    def with_forward(self, model: Any, forward: Any, ended: Any) -> Any:
        """A clone of a MODEL whose diffusion model's forward runs inside `forward`, which takes
        what a wrapper of ComfyUI takes; `ended` is called with the patcher after each sampling.

        Throws ImportError or AttributeError where this ComfyUI has no such wrappers.
        """
        extension = importlib.import_module("comfy.patcher_extension")
        clone = model.clone()
        clone.add_wrapper_with_key(extension.WrappersMP.DIFFUSION_MODEL, "hearth", forward)
        clone.add_callback_with_key(extension.CallbacksMP.ON_CLEANUP, "hearth", ended)
        return clone

    def wants_metadata(self) -> bool:
        """Whether images are to carry the workflow that made them."""
        return not getattr(self._arguments(), "disable_metadata", False)

    def version(self) -> str:
        """ComfyUI's version, or an empty text."""
        try:
            return str(importlib.import_module("comfyui_version").__version__)
        except (ImportError, AttributeError):
            return ""

    def _arguments(self) -> Any:
        try:
            return importlib.import_module("comfy.cli_args").args
        except (ImportError, AttributeError):
            return None


def _is_there(place: str) -> bool:
    module, _, path = place.partition(":")
    try:
        operator.attrgetter(path)(importlib.import_module(module))
    except (ImportError, AttributeError):
        return False
    return True
