"""Sampler functions by ComfyUI's names: hearth's own steps where it has them, else ComfyUI's."""

from __future__ import annotations

import functools
import importlib
import logging
from collections.abc import Callable, Mapping
from typing import Any

from .adapter import ComfyAdapter

_LOG = logging.getLogger("hearth")


def sampler_function(name: str) -> Callable[..., Any]:
    """The function that ComfyUI's `KSAMPLER` takes for this sampler's name.

    Called as `f(model, x, sigmas, extra_args=None, callback=None, disable=None, **options)`, it
    returns the latents. Throws AttributeError or ValueError for a name that ComfyUI does not know.
    What a name means beside the function (`ddim` also draws other noise where a mask is) is in
    ComfyUI's own sampler object: `ComfyAdapter.sampler_object`.
    """
    native = _native_functions().get(name)
    return native or ComfyAdapter.from_comfy().sampler_object(name).sampler_function


def native_names() -> tuple[str, ...]:
    """Names of the samplers whose steps are hearth's own in this process; () without `_torch`."""
    return tuple(_native_functions())


@functools.cache
def _native_functions() -> Mapping[str, Callable[..., Any]]:
    try:
        sampling = importlib.import_module("hearth.sampling")
    except ImportError as error:
        _LOG.info("samplers are ComfyUI's own: %s", error)
        return {}
    adapter = ComfyAdapter.from_comfy()
    lacking = [seam for seam in ("sampler_function", "seeded_noise") if not adapter.has(seam)]
    if lacking:
        _LOG.info("samplers are ComfyUI's own: it lacks %s", ", ".join(lacking))
        return {}
    functions: Mapping[str, Callable[..., Any]] = sampling.functions(
        adapter.progress_range(), seeded_noise=adapter.seeded_noise()
    )
    return functions
