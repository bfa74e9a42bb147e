"""MODEL, CLIP and VAE as the cache holds them: handed out as clones, kept weakly once let go."""

from __future__ import annotations

import copy
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import FunctionType
from typing import Any

OnGone = Callable[[], None]


class UnknownOutputError(TypeError):
    """A loader returned something that is neither MODEL, CLIP nor VAE."""


class Part(ABC):
    """One base object. Only clones leave it, so LoRA, hooks and options never reach the base.

    It holds the base patcher and never a bare module: ComfyUI takes a module without its patcher
    for a memory leak.
    """

    def __init__(self, base: Any) -> None:
        self._base: Any = base
        self._weak_patcher: weakref.ref[Any] | None = None
        self._weak_module: weakref.ref[Any] | None = None
        self._shell: Any = None

    @property
    def base(self) -> Any:
        """The object the loader returned; None after let_go()."""
        return self._base

    @property
    def patcher(self) -> Any:
        """The base patcher, also of a part let go while somebody else holds it; else None."""
        if self._base is not None:
            return self._patcher_of(self._base)
        return None if self._weak_patcher is None else self._weak_patcher()

    @property
    def module(self) -> Any:
        """The module with the weights, as long as anybody holds it."""
        if self._base is not None:
            return self._patcher_of(self._base).model
        return None if self._weak_module is None else self._weak_module()

    def let_go(self, on_gone: OnGone) -> None:
        """Keeps only weak references; `on_gone` is called, possibly by the garbage collector, when
        the module dies later."""
        patcher = self._patcher_of(self._base)
        self._weak_patcher = weakref.ref(patcher)
        self._weak_module = weakref.ref(patcher.model, lambda _: on_gone())
        self._shell = self._make_shell(self._base)
        self._base = None

    def take_back(self) -> bool:
        """Undoes let_go() where everything still lives."""
        patcher, module = self.patcher, self.module
        if patcher is None or module is None:
            return False
        base = self._rebuild(self._shell, patcher)
        if base is None:
            return False
        self._base, self._shell = base, None
        self._weak_patcher = self._weak_module = None
        return True

    @abstractmethod
    def hand_out(self) -> Any:
        """A clone for one workflow."""

    def _patcher_of(self, base: Any) -> Any:
        return base.patcher

    @abstractmethod
    def _make_shell(self, base: Any) -> Any: ...

    @abstractmethod
    def _rebuild(self, shell: Any, patcher: Any) -> Any: ...


class ModelPart(Part):
    """A MODEL: the patcher is the object."""

    def hand_out(self) -> Any:
        """A clone of the patcher."""
        return self._base.clone()

    def _patcher_of(self, base: Any) -> Any:
        return base

    def _make_shell(self, base: Any) -> Any:
        return None

    def _rebuild(self, shell: Any, patcher: Any) -> Any:
        return patcher


class ClipPart(Part):
    """A CLIP: tokenizer and options around a patcher."""

    def hand_out(self) -> Any:
        """ComfyUI's own clone."""
        return self._base.clone()

    def _make_shell(self, base: Any) -> Any:
        return _light_copy(base, ("patcher", "cond_stage_model"))

    def _rebuild(self, shell: Any, patcher: Any) -> Any:
        return _refill(shell, {"patcher": patcher, "cond_stage_model": patcher.model})


class VaePart(Part):
    """A VAE: ComfyUI has no clone of it; this is what its own device selector does."""

    def hand_out(self) -> Any:
        """A shallow copy around a clone of the patcher."""
        clone = copy.copy(self._base)
        clone.patcher = self._base.patcher.clone()
        return clone

    def _make_shell(self, base: Any) -> Any:
        return _light_copy(base, ("patcher", "first_stage_model"))

    def _rebuild(self, shell: Any, patcher: Any) -> Any:
        return _refill(shell, {"patcher": patcher, "first_stage_model": patcher.model})


def make_part(output: Any) -> Part | None:
    """The part for one loader output; None for None. Throws UnknownOutputError."""
    if output is None:
        return None
    if hasattr(output, "first_stage_model") and hasattr(output, "patcher"):
        return VaePart(output)
    if hasattr(output, "cond_stage_model") and hasattr(output, "patcher"):
        return ClipPart(output)
    if hasattr(output, "model") and hasattr(output, "is_clone") and hasattr(output, "clone"):
        return ModelPart(output)
    raise UnknownOutputError(f"the loader returned a {type(output).__name__}")


def _light_copy(base: Any, heavy: tuple[str, ...]) -> Any:
    """A copy without the weights, or None where one of its functions would keep them alive."""
    if any(_closes_over(value, base) for value in vars(base).values()):
        return None
    shell = copy.copy(base)
    for name in heavy:
        vars(shell).pop(name, None)
    return shell


def _closes_over(value: Any, base: Any) -> bool:
    cells = value.__closure__ if isinstance(value, FunctionType) else None
    return any(getattr(cell, "cell_contents", None) is base for cell in cells or ())


def _refill(shell: Any, heavy: dict[str, Any]) -> Any:
    if shell is not None:
        vars(shell).update(heavy)
    return shell
