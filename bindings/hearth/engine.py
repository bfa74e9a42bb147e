"""Models of hearth's own engine, kept by the cache of this process.

    engine.start()
    file = engine.ModelFile("diffusion_model", "UNETLoader", "z_image_turbo.safetensors", (path,))
    with engine.acquire(file, compute_type=torch.float32) as model:
        model.transformer.sample(...)

A model is in use, and so stays, from acquire() until the `with` block has ended and nothing that
was made of its parts is left. Importing this imports torch.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

import hearth

if TYPE_CHECKING:
    from hearth import _torch
else:
    from hearth._native_torch import _torch

import torch

Kind = Literal["checkpoint", "diffusion_model", "text_encoder", "vae"]
Numbers = Literal["parity", "fast", "fp8"]
"""How a GPU computes: rounding where ComfyUI does; with hearth's kernels, which round less often;
besides, experimental, a transformer's matrix products in 8-bit floats."""
Dtype = Any


@dataclass(frozen=True)
class ModelFile:
    """What a loader node names: a model's files and every choice that makes it another model."""

    kind: Kind
    loader: str
    """Class of the loader node."""
    name: str
    """Entry of the model list; never a path."""
    paths: tuple[str | os.PathLike[str], ...]
    """One file, or the shards of one model."""
    options: str = ""
    """Every other input of the loader, as one text."""


class Model:
    """A model in use; a context manager. A part that its file does not have is None."""

    def __init__(self, lease: _torch.EngineLease) -> None:
        self._lease: _torch.EngineLease | None = lease

    @property
    def transformer(self) -> _torch.ZImageTransformer | None:
        """S3-DiT."""
        return self._open.transformer

    @property
    def programs(self) -> _torch.VelocityPrograms | None:
        """Its steps by their shape, to be recorded (`hearth.step_graphs`); None without kernels."""
        return self._open.programs

    @property
    def text_encoder(self) -> _torch.ZImageTextEncoder | None:
        """Qwen3."""
        return self._open.text_encoder

    @property
    def vae(self) -> _torch.ZImageVaeDecoder | None:
        """Flux's decoder."""
        return self._open.vae

    @property
    def key(self) -> hearth.ModelKey:
        """What it is called in the cache."""
        key: hearth.ModelKey = self._open.key
        return key

    @property
    def was_hit(self) -> bool:
        """Whether no load was needed."""
        return self._open.was_hit

    def require_sound(self) -> None:
        """Raises CheckpointCorruptError when its files are no longer what was loaded; to be asked
        after work, before its result is used."""
        self._open.require_sound()

    def close(self) -> None:
        """Lets it go; twice is once."""
        self._lease = None

    @property
    def _open(self) -> _torch.EngineLease:
        if self._lease is None:
            raise ValueError("this model was closed")
        return self._lease

    def __enter__(self) -> Model:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def start() -> None:
    """Makes the calling thread the one that models are loaded and released on."""
    hearth.runtime().executor.adopt_current_thread()
    atexit.unregister(_end)
    atexit.register(_end)


def acquire(
    file: ModelFile,
    *,
    compute_type: Dtype,
    device: str = "cpu",
    numbers: Numbers = "parity",
    requested_by: str = "",
) -> Model:
    """The model, loaded first if it is not resident.

    Raises CheckpointNotFoundError, CheckpointCorruptError, CheckpointMismatchError for a file of
    another kind, and HearthError where the GPU has no 8-bit floats. REQUIRES: start() was called on
    this thread.
    """
    request = _request(file, compute_type, device, numbers)
    request.node = requested_by
    return Model(_torch.acquire_engine_model(request))


def key_of(
    file: ModelFile,
    *,
    compute_type: Dtype,
    device: str = "cpu",
    numbers: Numbers = "parity",
) -> hearth.ModelKey:
    """What the model is called in the cache; for pinning. Raises CheckpointNotFoundError."""
    key: hearth.ModelKey = _request(file, compute_type, device, numbers).key
    return key


def tidy() -> None:
    """Applies limits and idle times and runs what was put off; for the gap between two runs."""
    hearth.runtime().executor.run_pending()
    hearth.runtime().cache.enforce()
    hearth.runtime().host_tier.tidy()


def _request(
    file: ModelFile, compute_type: Dtype, device: str, numbers: Numbers
) -> _torch.EngineRequest:
    paths = [os.fspath(path) for path in file.paths]
    request = _torch.EngineRequest(file.kind, file.loader, file.name, paths)
    request.options = file.options
    request.device = torch.device(device)
    request.compute_type = compute_type
    request.fused, request.fp8 = numbers != "parity", numbers == "fp8"
    return request


def _end() -> None:
    runtime: Any = hearth.runtime()
    shutdown: Callable[[bool], None] = runtime.shutdown
    shutdown(bool(runtime.config["unload_on_exit"]))
