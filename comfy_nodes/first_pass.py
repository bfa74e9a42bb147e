"""Waits for the end of a model's first pass, which with dynamic VRAM is when its weights are there.

ComfyUI then moves weights module by module while the model computes, and says nowhere that it is
done. The places watched are those that all work of a model goes through; each is let go after one
pass, so that later passes are ComfyUI's alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .adapter import ComfyAdapter
from .measure import loaded_bytes, pinned_bytes

# Called as methods, so that a forward hook would not see them: text encoders, and VAEs.
_ENTRY_METHODS = ("encode_token_weights", "decode", "encode")
# Under this name ComfyUI wraps the passes of a model that it compiles.
_COMPILED = "torch.compile"


class FirstPass:
    """One model between load_models_gpu() and the end of what it was loaded for."""

    def __init__(self, adapter: ComfyAdapter, patcher: Any) -> None:
        self._adapter = adapter
        self._patcher = patcher
        self._undo: list[Callable[[], None]] = []
        self._started = adapter.mark(patcher.load_device)
        self._ended: Any = None
        self.bytes = {"device": 0, "pinned": 0}
        self._watch(patcher.model)

    def finish(self) -> float:
        """Milliseconds of the pass, or until now where its end was not seen."""
        self._end()
        return self._adapter.ms_between(self._started, self._ended)

    def _watch(self, module: Any) -> None:
        inner = getattr(module, "diffusion_model", None)
        if inner is not None and not self._is_compiled():
            hook = inner.register_forward_hook(lambda *_: self._end())
            self._undo.append(hook.remove)
        if inner is not None:
            return
        for name in _ENTRY_METHODS:
            if hasattr(type(module), name) and name not in vars(module):
                self._shadow(module, name)

    def _is_compiled(self) -> bool:
        # A hook would be traced into the compiled pass, and taking it off would compile anew.
        wrappers = getattr(self._patcher, "wrappers", None) or {}
        return any(_COMPILED in by_key for by_key in wrappers.values())

    def _shadow(self, module: Any, name: str) -> None:
        method = getattr(module, name)

        def once(*args: Any, **kwargs: Any) -> Any:
            try:
                return method(*args, **kwargs)
            finally:
                self._end()

        vars(module)[name] = once
        self._undo.append(lambda: vars(module).pop(name, None))

    def _end(self) -> None:
        undo, self._undo = self._undo, []
        for action in undo:
            action()
        if self._ended is None:
            self._ended = self._adapter.mark(self._patcher.load_device)
            self.bytes = {
                "device": loaded_bytes(self._patcher),
                "pinned": pinned_bytes(self._patcher),
            }
