"""A ComfyUI node pack that watches from outside hearth.

It counts the model files that ComfyUI really reads, by wrapping `comfy.utils.load_torch_file`, and
holds a prompt at a known place so that tests need no sleeping. It knows nothing about hearth.

`HEARTH_SPY_LOG`: a file that gets one JSON line per read. `HEARTH_SPY_BARRIERS`: a folder for the
files by which a test and a held prompt meet.
"""

from __future__ import annotations

import functools
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import comfy.utils


def _record(ckpt: str, seconds: float, ok: bool) -> None:
    log = os.environ.get("HEARTH_SPY_LOG")
    if not log:
        return
    line = {
        "file": os.path.basename(ckpt),
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


NODE_CLASS_MAPPINGS = {"SpyHold": SpyHold, "SpyHoldSampling": SpyHoldSampling}

comfy.utils.load_torch_file = _watch(comfy.utils.load_torch_file)
