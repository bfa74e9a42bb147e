"""A ComfyUI node pack that watches from outside hearth.

It counts the model files that ComfyUI really reads, by wrapping `comfy.utils.load_torch_file`, and
holds a prompt at a known place so that tests need no sleeping. It knows nothing about hearth.

`HEARTH_SPY_LOG`: a file that gets one JSON line per read. `HEARTH_SPY_BARRIERS`: a folder for the
files by which a test and a held prompt meet.
"""

from __future__ import annotations

import asyncio
import copy
import functools
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.utils
import folder_paths
from aiohttp import web
from server import PromptServer


def _below_its_folder(path: str) -> str:
    """`checkpoints/sub/x.safetensors`; the name alone for a file of none of ComfyUI's folders."""
    for name, (folders, *_) in folder_paths.folder_names_and_paths.items():
        for folder in folders:
            if path.startswith(os.path.join(folder, "")):
                return f"{name}/{os.path.relpath(path, folder)}"
    return os.path.basename(path)


def _record(ckpt: str, seconds: float, ok: bool) -> None:
    log = os.environ.get("HEARTH_SPY_LOG")
    if not log:
        return
    line = {
        "file": os.path.basename(ckpt),
        "path": _below_its_folder(ckpt),
        "bytes": os.path.getsize(ckpt) if os.path.exists(ckpt) else 0,
        "time": time.time(),
        "seconds": seconds,
        "thread": threading.current_thread().name,
        "ok": ok,
    }
    # One write call on an append-mode descriptor: lines of two threads never mix.
    with open(log, "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def _watch(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def load_torch_file(ckpt: str, *args: Any, **kwargs: Any) -> Any:
        started = time.perf_counter()
        ok = False
        try:
            if _plant(f"{os.path.basename(ckpt)}.planted"):
                raise MemoryError("planted while loading")
            result = original(ckpt, *args, **kwargs)
            ok = True
            return result
        finally:
            _record(str(ckpt), time.perf_counter() - started, ok)

    return load_torch_file


def _meet(name: str) -> None:
    """Says that the prompt has arrived at `name` and waits until the test lets it go on."""
    folder = Path(os.environ["HEARTH_SPY_BARRIERS"])
    (folder / f"{name}.held").touch()
    while not (folder / f"{name}.go").exists():
        time.sleep(0.005)


class SpyHold:
    """Passes a latent through once the barrier is opened: a prompt held between two nodes."""

    RETURN_TYPES = ("LATENT",)
    FUNCTION = "hold"
    CATEGORY = "spy"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Inputs in ComfyUI's form."""
        return {"required": {"latent": ("LATENT",), "barrier": ("STRING", {"default": "hold"})}}

    def hold(self, latent: Any, barrier: str) -> tuple[Any]:
        """Waits at the barrier."""
        _meet(barrier)
        return (latent,)


class _AnyType(str):
    """Fits every input."""

    def __ne__(self, other: object) -> bool:
        return False


class SpyName:
    """Hands on a text, as packs do whose node says which file a loader loads."""

    RETURN_TYPES = (_AnyType("*"),)
    FUNCTION = "say"
    CATEGORY = "spy"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Inputs in ComfyUI's form."""
        return {"required": {"text": ("STRING", {"default": ""})}}

    def say(self, text: str) -> tuple[str]:
        """The same."""
        return (text,)


class SpyFail:
    """Raises an error."""

    RETURN_TYPES = ("LATENT",)
    FUNCTION = "fail"
    CATEGORY = "spy"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Inputs in ComfyUI's form."""
        return {"required": {"latent": ("LATENT",)}}

    def fail(self, latent: Any) -> tuple[Any]:
        """Never returns."""
        raise ValueError("a node that fails on purpose")


def _plant(name: str) -> bool:
    """Whether an error planted in the file `name` is due: the file holds how many more times."""
    planted = Path(os.environ.get("HEARTH_SPY_BARRIERS", "")) / name
    if not planted.is_file():
        return False
    left = int(planted.read_text(encoding="ascii"))
    planted.write_text(str(left - 1), encoding="ascii")
    with (planted.parent / f"{name}.tries").open("a", encoding="ascii") as tries:
        tries.write("x")
    return left > 0


class SpyOutOfMemory:
    """A model and a VAE that find no device memory as often as the file `planted` says: in the
    second step of sampling, and in decoding."""

    RETURN_TYPES = ("MODEL", "VAE")
    FUNCTION = "patch"
    CATEGORY = "spy"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Inputs in ComfyUI's form."""
        return {
            "required": {
                "model": ("MODEL",),
                "vae": ("VAE",),
                "sampling": ("STRING", {"default": ""}),
                "decoding": ("STRING", {"default": ""}),
            }
        }

    def patch(self, model: Any, vae: Any, sampling: str, decoding: str) -> tuple[Any, Any]:
        """Returns clones; the originals stay as they are."""
        patched, decoder = model.clone(), copy.copy(vae)
        steps: list[float] = []

        def evaluate(apply_model: Callable[..., Any], options: dict[str, Any]) -> Any:
            step = float(options["timestep"][0])
            if step in steps:  # sampling begins anew
                steps.clear()
            steps.append(step)
            if sampling and len(steps) == 2 and _plant(sampling):
                raise comfy.model_management.OOM_EXCEPTION("planted while sampling")
            return apply_model(options["input"], options["timestep"], **options["c"])

        kind = type(vae)

        def decode(self: Any, *args: Any, **kwargs: Any) -> Any:
            if decoding and _plant(decoding):
                raise comfy.model_management.OOM_EXCEPTION("planted while decoding")
            return kind.decode(self, *args, **kwargs)

        patched.set_model_unet_function_wrapper(evaluate)
        # Of the class, so that copies of this VAE decode by themselves.
        decoder.__class__ = type("ShortOfMemory", (kind,), {"decode": decode})
        return (patched, decoder)


class SpyHoldSampling:
    """A model whose first evaluation waits at a barrier: a prompt held while it samples."""

    RETURN_TYPES = ("MODEL",)
    FUNCTION = "patch"
    CATEGORY = "spy"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Inputs in ComfyUI's form."""
        return {"required": {"model": ("MODEL",), "barrier": ("STRING", {"default": "sampling"})}}

    def patch(self, model: Any, barrier: str) -> tuple[Any]:
        """Returns a clone; the model itself stays as it is."""
        patched = model.clone()

        def evaluate(apply_model: Callable[..., Any], options: dict[str, Any]) -> Any:
            _meet(barrier)
            return apply_model(options["input"], options["timestep"], **options["c"])

        patched.set_model_unet_function_wrapper(evaluate)
        return (patched,)


NODE_CLASS_MAPPINGS = {
    "SpyHold": SpyHold,
    "SpyFail": SpyFail,
    "SpyName": SpyName,
    "SpyOutOfMemory": SpyOutOfMemory,
    "SpyHoldSampling": SpyHoldSampling,
}

comfy.utils.load_torch_file = _watch(comfy.utils.load_torch_file)


def _unload_diffusion_models() -> None:
    """Takes every diffusion model off its device, as the demand of another one would."""
    management = comfy.model_management
    for loaded in list(management.current_loaded_models):
        patcher = loaded.model
        if patcher is not None and hasattr(patcher.model, "diffusion_model"):
            keep = [
                other
                for other in management.current_loaded_models
                if other.model is None or not patcher.is_clone(other.model)
            ]
            management.free_memory(1e30, patcher.load_device, keep)
    management.soft_empty_cache()


def _offer_unloading(server: Any) -> None:
    """POST /spy/unload_diffusion_models: done on the prompt worker, which alone may."""
    asked, done = threading.Event(), threading.Event()
    queue = server.prompt_queue
    original = queue.get_flags

    def get_flags(*args: Any, **kwargs: Any) -> Any:
        flags = original(*args, **kwargs)
        if asked.is_set():
            asked.clear()
            _unload_diffusion_models()
            done.set()
        return flags

    async def handle(_: Any) -> Any:
        done.clear()
        asked.set()
        queue.set_flag("spy", True)
        loop = asyncio.get_running_loop()
        ok = await loop.run_in_executor(None, done.wait, 30)
        return web.json_response({"done": ok}, status=200 if ok else 504)

    queue.get_flags = get_flags
    server.routes.post("/spy/unload_diffusion_models")(handle)


_offer_unloading(PromptServer.instance)
